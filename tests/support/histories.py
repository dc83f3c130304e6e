"""Histories that Hypothesis writes: commands in any order, many of them late; refusals are part of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from shared.errors import Rejected
from tests.support.pantry import Pantry

LOCATIONS = ("store", "site")
LOTS = ("A", "a-", "B", None)
DATES = (None, None, "2026-05-30", "2026-08-01")


class Draft(NamedTuple):
    """The numbers that a command is made from."""

    kind: int
    place: int
    quantity: int
    lot: int
    date: int
    id: int
    late: int
    passing: int


Fields = dict[str, Any]
Maker = Callable[[Draft, Fields], tuple[str, Fields]]


def _line(draft: Draft) -> Fields:
    """A lot in full, as a receipt or a count says it."""
    day = DATES[draft.date]
    return {
        "lot": LOTS[draft.lot], "quantity": draft.quantity, "date": day, "date_kind": day and "use_by",
        "owner": "government" if draft.id == 1 else None,
    }  # fmt: skip


def _pick(draft: Draft) -> Fields:
    """A lot as somebody names it who takes from it."""
    return {"lot": LOTS[draft.lot], "quantity": draft.quantity}


def _adjust(draft: Draft, at: Fields) -> tuple[str, Fields]:
    reason = ("damaged", "lost", "found", "counting_error")[draft.id]
    change = draft.quantity if reason == "found" else -draft.quantity
    line = {**_line(draft), "change": change}
    del line["quantity"]
    return "AdjustStock", {**at, "reason": reason, "lines": [line]}


def _other(at: Fields) -> str:
    return "site" if at["location"] == "store" else "store"


_ALREADY = ({}, {"already_left": True})

MAKERS: tuple[Maker, ...] = (
    *([lambda d, at: ("ReceiveStock", {**at, "source": "donation", "lines": [_line(d)]})] * 3),
    *([lambda d, at: ("IssueStock", {**at, "purpose": "household", "lines": [_pick(d)], **_ALREADY[d.id % 2]})] * 2),
    lambda d, at: ("IssueStock", {**at, "purpose": "meal", "reservation": f"r{d.id}", **_ALREADY[d.date % 2]}),
    lambda d, at: (
        "IssueStock",
        {**at, "purpose": "meal", "reservation": f"r{d.id}", "lines": [_pick(d)], "keep_rest": True},
    ),
    _adjust,
    lambda d, at: ("DisposeStock", {**at, "reason": "expired", "lines": [_pick(d)]}),
    lambda d, at: ("ReturnToSupplier", {**at, "lines": [_pick(d)]}),
    lambda d, at: (
        "RepackStock",
        {**at, "lines": [_pick(d)], "into": [{"item": "rice", "lot": "P", "quantity": 2}], **_ALREADY[d.id % 2]},
    ),
    lambda d, at: ("ReverseMovement", {**at, "movement": d.quantity + d.id, "reason": "mistake"}),
    lambda d, at: ("ReverseMovement", {**at, "movement": d.quantity, "reason": "mistake"}),
    lambda d, at: (
        "CorrectMovement", {**at, "movement": d.quantity + d.date, "reason": "typed wrongly", "lines": [_pick(d)]}
    ),
    *(
        [
            lambda d, at: (
                "ReserveStock",
                {**at, "reservation": f"r{d.id}", "quantity": d.quantity, "purpose": "meal", "allow_part": d.date > 1},
            )
        ]
        * 2
    ),
    lambda d, at: ("ReleaseReservation", {**at, "reservation": f"r{d.id}"}),
    lambda d, at: ("HoldStock", {**at, "hold": f"h{d.id}", "reason": "damage", "lots": [LOTS[d.lot] or "UNKNOWN"]}),
    lambda d, at: ("SetApart", {**at, "hold": f"u{d.id}", "apart": f"U{d.id}", "lines": [_pick(d)]}),
    lambda d, at: ("ReleaseHold", {**at, "hold": f"{'hu'[d.date % 2]}{d.id}"}),
    lambda d, at: ("RecallLot", {"item": "rice", "recall": "rc", "scope": {"lots": ["B"]}, "reason": "glass"}),
    lambda d, at: ("HoldStock", {**at, "hold": "rc", "reason": "recall"}),
    lambda d, at: (
        "DispatchTransfer",
        {**at, "transfer": f"t{d.date}", "destination": _other(at), "lines": [_pick(d)], **_ALREADY[d.id % 2]},
    ),
    lambda d, at: ("ReceiveTransfer", {**at, "transfer": f"t{d.date}", "origin": _other(at)}),
    lambda d, at: (
        "ReceiveTransfer",
        {**at, "transfer": f"t{d.date}", "origin": _other(at), "loss_reason": "lost", "lines": [_line(d)]},
    ),
    lambda d, at: ("Count", {**at, "lines": [_line(d)]}),
)  # fmt: skip

_AUTHORITY = ("ReserveStock", "ReleaseReservation", "RecallLot", "HoldStock", "ReleaseHold")

histories = st.lists(
    st.builds(
        Draft, st.integers(0, len(MAKERS) - 1), st.integers(0, 1), st.integers(1, 12), st.integers(0, 3),
        st.integers(0, 3), st.integers(0, 3), st.sampled_from((0, 0, 0, 1, 30)), st.sampled_from((0, 20, 300)),
    ),
    min_size=15, max_size=60,
)  # fmt: skip


def play(history: list[Draft]) -> Pantry:
    """The ledger after a history that began with something on both shelves."""
    pantry = Pantry().furnish()
    for location in LOCATIONS:
        pantry.receive(40, "A", location=location)
        pantry.receive(20, "B", location=location, date="2026-08-01")
    for number, draft in enumerate(history):
        pantry.later(minutes=draft.passing)
        name, fields = MAKERS[draft.kind](draft, {"item": "rice", "location": LOCATIONS[draft.place]})
        if draft.late and name not in _AUTHORITY:
            fields["occurred_at"] = pantry.now - timedelta(hours=draft.late)
        try:
            if name == "Count":
                _count(pantry, f"c{number}", fields)
            else:
                pantry.do(name, **fields)
        except Rejected:
            continue
    return pantry


def _count(pantry: Pantry, count: str, fields: Fields) -> None:
    pantry.do("StartCount", count=count, location=fields["location"])
    pantry.do("RecordCount", count=count, **fields, actor="kim")
    pantry.do("ApproveCount", count=count, item="rice", location=fields["location"], actor="sam")
