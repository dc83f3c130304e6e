"""Histories that Hypothesis writes: commands in any order, of any quantity, many of them late; refusals are part of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from shared.errors import Rejected
from support.pantry import Pantry

LOTS = ("A", "a-", "B", None)
LOCATIONS = ("store", "site")

_quantity = st.integers(1, 12)
_lot = st.sampled_from(LOTS)
_location = st.sampled_from(LOCATIONS)
_date = st.sampled_from((None, "2026-05-30", "2026-06-20", "2026-08-01"))
_owner = st.sampled_from((None, None, "government"))
_late = st.sampled_from((None, None, None, 1, 5, 30))
"""How many hours ago a fact happened; None is now."""


@st.composite
def _line(draw: st.DrawFn) -> dict[str, Any]:
    day = draw(_date)
    return {
        "lot": draw(_lot), "quantity": draw(_quantity), "date": day, "date_kind": day and "use_by",
        "owner": draw(_owner),
    }  # fmt: skip


@st.composite
def _command(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    number = draw(st.integers(1, 3))
    at = {"item": "rice", "location": draw(_location)}
    pick = [{"lot": draw(_lot), "quantity": draw(_quantity)}]
    reason = draw(st.sampled_from(("damaged", "lost", "found", "counting_error")))
    sign = 1 if reason == "found" else -1
    already = {"already_left": draw(st.booleans())}
    count = {"count": f"c{draw(st.integers(1, 40))}", "location": at["location"]}
    transfer = {"transfer": f"t{number}", "item": "rice"}
    counted = draw(st.lists(_line(), max_size=2))
    other = "site" if at["location"] == "store" else "store"
    name, fields = draw(
        st.sampled_from(
            (
                ("ReceiveStock", {**at, "source": "donation", "lines": [draw(_line())]}),
                ("ReceiveStock", {**at, "source": "purchase", "lines": [draw(_line())]}),
                ("IssueStock", {**at, "purpose": "household", "lines": pick, **already}),
                ("IssueStock", {**at, "purpose": "meal", "reservation": f"r{number}", **already}),
                ("AdjustStock", {**at, "reason": reason, "lines": [{**draw(_line()), "change": sign * 3}]}),
                ("DisposeStock", {**at, "reason": "expired", "lines": pick}),
                ("ReturnToSupplier", {**at, "lines": pick}),
                ("RepackStock", {**at, "lines": pick, "into": [{"item": "rice", "lot": "P", "quantity": 2}], **already}),
                ("ReverseMovement", {**at, "movement": draw(st.integers(1, 12)), "reason": "mistake"}),
                ("CorrectMovement", {**at, "movement": draw(st.integers(1, 12)), "reason": "typo", "lines": pick}),
                ("ReserveStock", {
                    **at, "reservation": f"r{number}", "quantity": draw(_quantity), "purpose": "household",
                    "allow_part": draw(st.booleans()),
                }),
                ("ReleaseReservation", {**at, "reservation": f"r{number}"}),
                ("HoldStock", {**at, "hold": f"h{number}", "reason": "damage", "lots": [draw(_lot) or "UNKNOWN"]}),
                ("ReleaseHold", {**at, "hold": f"h{number}"}),
                ("RecallLot", {"item": "rice", "recall": "rc", "scope": {"lots": ["B"]}, "reason": "glass"}),
                ("HoldStock", {**at, "hold": "rc", "reason": "recall"}),
                ("DispatchTransfer", {**at, **transfer, "destination": other, "lines": pick, **already}),
                ("ReceiveTransfer", {**at, **transfer, "origin": other}),
                ("ReceiveTransfer", {**at, **transfer, "origin": other, "loss_reason": "lost", "lines": counted}),
                ("Count", {**count, "item": "rice", "lines": counted}),
            )
        )
    )  # fmt: skip
    if name == "AdjustStock":
        fields["lines"][0].pop("quantity")
    return name, {**fields, "late": draw(_late)}


histories = st.lists(st.tuples(_command(), st.sampled_from((0, 20, 300))), min_size=1, max_size=40)
"""Commands, each with the minutes that pass before it."""


def play(history: list[tuple[tuple[str, dict[str, Any]], int]]) -> Pantry:
    """The ledger after a history."""
    pantry = Pantry().furnish()
    for (name, fields), minutes in history:
        pantry.later(minutes=minutes)
        given = dict(fields)
        late = given.pop("late")
        if late is not None and name not in ("ReserveStock", "RecallLot", "HoldStock"):
            given["occurred_at"] = pantry.now - timedelta(hours=late)
        try:
            if name == "Count":
                _count(pantry, given)
            else:
                pantry.do(name, **given)
        except Rejected:
            continue
    return pantry


def _count(pantry: Pantry, given: dict[str, Any]) -> None:
    where = {name: given[name] for name in ("count", "location")}
    pantry.do("StartCount", **where)
    pantry.do("RecordCount", **given, actor="kim")
    pantry.do("ApproveCount", **where, item=given["item"], actor="sam")
