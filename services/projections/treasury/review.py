"""What somebody has to look at in the treasury: facts that broke a limit, payments that failed, refused steps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from services.projections.treasury.base import TreasuryProjection, posting_events, taken_back
from services.treasury.contract import (
    Breach,
    EntriesPosted,
    ExpensePaid,
    HoldVoided,
    Journal,
    PaymentFailed,
    ProcessStepRefused,
    ProcessStepResolved,
    ReviewResolved,
)
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table


class TreasuryReview(TreasuryProjection):
    """A row for each item to review; open while `closed_at` is null. `closed_by` says what closed it:

    - reversed: the entry that broke a limit was taken back;
    - paid, voided: what became of the money that a failed payment left held;
    - resolved: somebody has seen to it, and said so (ResolveStep for a refused step of a process manager, ResolveReview
      for what an entry broke).

    `figure` is the balance that was below `lowest`, in minor units of `unit`. What is seen by putting read models side
    by side (a limit that is kept again, gaps between statements, matches with entries that were taken back) is added by
    the query (services/queries/treasury/review.py), for which `let_stand` has the entries that somebody let stand.
    `breaking` lists the items of an entry.
    """

    name = "treasury_review"
    version = 1
    events = posting_events() | {HoldVoided, ProcessStepRefused, ProcessStepResolved, ReviewResolved}
    tables = (
        Table(
            "treasury_review_items",
            key=("kind", "subject"),
            columns={
                "kind": "text", "subject": "text", "book": "text", "entry": "text", "account": "text", "fund": "text",
                "unit": "text", "date": "date", "figure": "bigint", "lowest": "bigint", "recorded_at": "timestamptz",
                "detail": "text", "actor": "text", "closed_at": "timestamptz", "closed_by": "text",
            },
            indexes=("book, closed_at",),
        ),
        Table(
            "breaking",
            key=("book", "entry"),
            columns={"book": "text", "entry": "text", "items": "jsonb"},
        ),
        Table(
            "let_stand",
            key=("book", "entry"),
            columns={"book": "text", "entry": "text", "note": "text", "actor": "text", "resolved_at": "timestamptz"},
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        seen_to = _seen_to(data)
        if seen_to is not None:
            yield "breaking", (data.book, seen_to)
        match data:
            case ExpensePaid() | HoldVoided() if data.expense is not None:
                yield "treasury_review_items", ("payment_failed", f"{data.book}:{data.expense}")
            case ProcessStepResolved():
                yield "treasury_review_items", ("step_refused", data.step)

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        if isinstance(data, Journal | EntriesPosted):
            _breaches(event, data.breaches, rows)
        seen_to = _seen_to(data)
        if seen_to is not None and (broken := rows.get("breaking", (data.book, seen_to))) is not None:
            for kind, subject in broken["items"]:
                if isinstance(data, ReviewResolved):
                    _close(rows, (kind, subject), event, "resolved", data.note)
                else:
                    _close(rows, (kind, subject), event, "reversed")
        match data:
            case PaymentFailed():
                row = _open(rows, ("payment_failed", f"{data.book}:{data.expense}"), event, data.book, data.date)
                row |= {"entry": data.reverses, "detail": data.reason}
            case ExpensePaid():
                _close(rows, ("payment_failed", f"{data.book}:{data.expense}"), event, "paid")
            case HoldVoided() if data.expense is not None:
                _close(rows, ("payment_failed", f"{data.book}:{data.expense}"), event, "voided")
            case ProcessStepRefused():
                row = _open(rows, ("step_refused", data.step), event, None, None)
                row["detail"] = f"{data.manager}: {data.command} to {data.target}: {data.code}. {data.detail}"
            case ProcessStepResolved():
                _close(rows, ("step_refused", data.step), event, "resolved")
            case ReviewResolved():
                rows.put(
                    "let_stand",
                    (data.book, data.entry),
                    {"note": data.note, "actor": event.envelope.authid, "resolved_at": event.recorded_at},
                )


def _seen_to(data: Any) -> str | None:
    """The entry that an event takes back, or lets stand."""
    return data.entry if isinstance(data, ReviewResolved) else taken_back(data)


def _breaches(event: Recorded, breaches: Iterable[Breach], rows: Rows) -> None:
    """Whatever an entry broke is said by the one event that posted it."""
    book = event.data.book
    broken: dict[str, list[list[str]]] = {}
    for breach in breaches:
        where = (book, breach.entry, breach.account or "", breach.fund or "", breach.unit)
        key = (str(breach.code).lower(), ":".join(where))
        row = _open(rows, key, event, book, breach.date)
        row |= {
            "entry": breach.entry, "account": breach.account, "fund": breach.fund, "unit": breach.unit,
            "figure": breach.balance, "lowest": breach.limit,
        }  # fmt: skip
        broken.setdefault(breach.entry, []).append(list(key))
    for entry, items in broken.items():
        rows.put("breaking", (book, entry), {"items": items})


def _open(rows: Rows, key: Key, event: Recorded, book: str | None, day: date | None) -> Row:
    return rows.put(
        "treasury_review_items",
        key,
        {
            "book": book, "entry": None, "account": None, "fund": None, "unit": None, "date": day, "figure": None,
            "lowest": None, "recorded_at": event.recorded_at, "detail": None, "actor": event.envelope.authid,
            "closed_at": None, "closed_by": None,
        },
    )  # fmt: skip


def _close(rows: Rows, key: Key, event: Recorded, how: str, detail: str | None = None) -> None:
    row = rows.get("treasury_review_items", key)
    if row is not None and row["closed_at"] is None:
        row |= {"closed_at": event.recorded_at, "closed_by": how, "detail": detail or row["detail"]}
