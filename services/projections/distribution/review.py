"""What somebody has to look at in distribution: facts that broke a rule, counts that are off, refused steps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from services.distribution.contract import (
    ANONYMOUS,
    BoxHandedOut,
    BoxPacked,
    BoxUnpacked,
    CountCertified,
    CountResolved,
    DistributionError,
    HandOutResolved,
    HandOutReversed,
    ProcessStepRefused,
    ProcessStepResolved,
    VisitRecorded,
    VisitResolved,
    VisitReversed,
)
from services.projections.distribution.base import DistributionProjection
from shared.event import Recorded
from shared.projection import Key, Rows, Table

LOOK: Final = "look_at_warnings"
"""What is of a household and was not asked about its warnings, as it was over: whether there is one that nobody saw is
sealed, and is read when it is shown (services/queries/distribution/warned.py)."""

KINDS: Final = (*(str(error).lower() for error in DistributionError), LOOK)
"""What kinds of items are called: the rules that a fact may break, whatever a decider names, in small letters. What was
broken is not said again by the event that closes it, so that closes all of them."""

_OVER: Final = timedelta(minutes=2)
"""What happened so long before it was recorded may not have been asked about. Deciders ask until a little later, and
clocks differ; of what was asked about, too, there is no warning that nobody saw."""


class DistributionReview(DistributionProjection):
    """A row for each item to review; open while `closed_at` is null. `closed_by` says what closed it: reversed (the
    visit, or the hand-out of the box, was taken back), unpacked (the box was, before it left), or resolved (somebody
    has seen to it, and said so: ResolveVisit, ResolveHandOut, ResolveCount, and ResolveStep for a refused step). `note`
    is what they found, `period` that of a visit.

    What is said of a household, in `detail` and `note`, is sealed; what names none is in clear.

    `kind` limit_reached is a household that was served more often than it may be. `look_at_warnings` is anything that
    was given to a household, or packed for it, and reported once it was over: its `detail` are the warnings about the
    goods, sealed, which say whether there is one that nobody saw, or none. What is seen by the clock, such as an
    order that nothing happens to, is listed by another query (services/queries/distribution/waiting.py).
    """

    name = "distribution_review"
    version = 6
    events = frozenset({VisitRecorded, VisitReversed, VisitResolved, BoxPacked, BoxUnpacked, BoxHandedOut,
                        HandOutReversed, HandOutResolved, CountCertified, CountResolved, ProcessStepRefused,
                        ProcessStepResolved})  # fmt: skip
    tables = (
        Table(
            "distribution_review_items",
            key=("kind", "subject"),
            columns={
                "kind": "text", "subject": "text", "household": "text", "programme": "text", "period": "text",
                "session": "text",
                "site": "text", "figure": "bigint", "occurred_at": "timestamptz", "recorded_at": "timestamptz",
                "detail": "text", "actor": "text", "closed_at": "timestamptz", "closed_by": "text",
                "note": "text",
            },
            indexes=("closed_at, occurred_at",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case VisitReversed() | VisitResolved() as data:
                for kind in KINDS:
                    yield "distribution_review_items", (kind, _visit(data))
            case BoxHandedOut() as data:
                yield "distribution_review_items", (LOOK, f"box:{data.box}")
            case BoxUnpacked() | HandOutReversed() | HandOutResolved() as data:
                for kind in KINDS:
                    yield "distribution_review_items", (kind, f"box:{data.box}")
            case CountResolved() as data:
                yield "distribution_review_items", ("count_off", _count(data))
            case ProcessStepResolved() as data:
                yield "distribution_review_items", ("step_refused", data.step)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case VisitRecorded() as data:
                for breach in data.breaches:
                    _open(rows, (_kind(breach), _visit(data)), event, detail=data.override_reason, figure=data.used)
                if data.warnings is not None and not data.seen_warnings and (data.fact or _was_over(event)):
                    _open(rows, (LOOK, _visit(data)), event, detail=data.warnings)
            case BoxPacked() | BoxHandedOut() as data:
                for breach in data.breaches:
                    _open(rows, (_kind(breach), f"box:{data.box}"), event, detail=f"order {data.order}")
                key = (LOOK, f"box:{data.box}")
                if isinstance(data, BoxPacked):
                    if data.warnings is not None and not data.seen_warnings and _was_over(event):
                        _open(rows, key, event, detail=data.warnings)
                elif (row := rows.get("distribution_review_items", key)) and row["closed_by"] == "unpacked":
                    row["closed_at"], row["closed_by"], row["note"] = None, None, None  # it was handed out after all
            case BoxUnpacked() as data:
                for kind in KINDS:
                    _close(rows, (kind, f"box:{data.box}"), event, "unpacked", data.reason)
            case VisitReversed() as data:
                for kind in KINDS:
                    _close(rows, (kind, _visit(data)), event, "reversed", data.reason)
            case VisitResolved() as data:
                for kind in KINDS:
                    _close(rows, (kind, _visit(data)), event, "resolved", data.note)
            case HandOutReversed() as data:  # what it was packed against stands, and what is in it warns still
                for kind in set(KINDS) - {LOOK, *map(_kind, data.breaches)}:
                    _close(rows, (kind, f"box:{data.box}"), event, "reversed", data.reason)
            case HandOutResolved() as data:
                for kind in KINDS:
                    _close(rows, (kind, f"box:{data.box}"), event, "resolved", data.note)
            case CountCertified() as data if off := data.discrepancy or data.carry_off:
                _open(rows, ("count_off", _count(data)), event, detail=data.reason, figure=off)
            case CountResolved() as data:
                _close(rows, ("count_off", _count(data)), event, "resolved", data.note)
            case ProcessStepRefused() as data:
                said = f"{data.manager}: {data.command} to {data.target}: {data.code}. {data.detail}"
                _open(rows, ("step_refused", data.step), event, detail=said)
            case ProcessStepResolved() as data:
                _close(rows, ("step_refused", data.step), event, "resolved", data.note)


def _was_over(event: Recorded) -> bool:
    return bool(event.recorded_at - event.data.occurred_at > _OVER)


def _kind(breach: DistributionError) -> str:
    return str(breach).lower()


def _visit(data: VisitRecorded | VisitReversed | VisitResolved) -> str:
    return f"visit:{data.household or ANONYMOUS}:{data.programme}:{data.visit}"


def _count(data: CountCertified | CountResolved) -> str:
    return f"{data.site}:{data.date}:{data.meal}"


def _open(
    rows: Rows, key: Key, event: Recorded, *, detail: str | None = None, figure: int | None = None
) -> None:  # fmt: skip
    data: Any = event.data
    said = ("household", "programme", "period", "session", "site")
    rows.put(
        "distribution_review_items",
        key,
        {
            **{name: getattr(data, name, None) for name in said}, "figure": figure, "occurred_at": data.occurred_at,
            "recorded_at": event.recorded_at, "detail": detail, "actor": event.envelope.authid, "closed_at": None,
            "closed_by": None, "note": None,
        },
    )  # fmt: skip


def _close(rows: Rows, key: Key, event: Recorded, how: str, note: str) -> None:
    row = rows.get("distribution_review_items", key)
    if row is not None and row["closed_at"] is None:
        row["closed_at"], row["closed_by"], row["note"] = event.recorded_at, how, note
