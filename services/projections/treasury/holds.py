"""Money that is held: set aside for an entry that is to come, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from services.projections.treasury.base import TreasuryProjection
from services.treasury.contract import (
    ExpensePaid,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    PaymentFailed,
    Posting,
)
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class MoneyHeld(TreasuryProjection):
    """A row for each hold; open while `ended` is null, else posted, paid, voided or expired. `entry` is what it became.

    `lines` are the entry as it is to be posted: debits positive, credits negative, in minor units; `money_held_lines`
    lists those of the open holds.
    """

    name = "treasury_holds"
    version = 1
    events = frozenset({HoldPlaced, HoldPosted, HoldVoided, HoldExpired, ExpensePaid, PaymentFailed})
    tables = (
        Table(
            "money_holds",
            key=("book", "hold"),
            columns={
                "book": "text", "hold": "text", "lines": "jsonb", "description": "text", "expense": "text",
                "placed_at": "timestamptz", "expires_at": "timestamptz", "actor": "text", "ended": "text",
                "ended_at": "timestamptz", "entry": "text", "reason": "text",
            },
            indexes=("book, ended",),
        ),
    )  # fmt: skip
    views = {  # noqa: RUF012  # typed in the base class
        "money_held_lines": (
            "SELECT h.book, h.hold, h.expense, l.account, l.fund, l.unit, l.amount FROM money_holds AS h,"
            " jsonb_to_recordset(h.lines) AS l(account text, fund text, unit text, amount bigint)"
            " WHERE h.ended IS NULL"
        )
    }

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if not isinstance(event.data, HoldPlaced | PaymentFailed):
            yield "money_holds", (event.data.book, event.data.hold)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case HoldPlaced() as data:
                row = rows.put("money_holds", (data.book, data.hold), _opened(event, data.debits, data.credits))
                row |= {"description": data.description, "expires_at": data.expires_at}
            case PaymentFailed() as data:
                row = rows.put(
                    "money_holds", (data.book, data.hold), _opened(event, data.held_debits, data.held_credits)
                )
                row["description"] = data.reason
            case HoldPosted() as data:
                _end(rows, event, "posted", entry=data.entry)
            case ExpensePaid() as data:
                _end(rows, event, "paid", entry=data.entry)
            case HoldVoided() as data:
                _end(rows, event, "voided", reason=data.reason)
            case HoldExpired():
                _end(rows, event, "expired")


def _opened(event: Recorded, debited: Sequence[Posting], credited: Sequence[Posting]) -> dict[str, Any]:
    return {
        "lines": [*_lines(debited, 1), *_lines(credited, -1)], "description": None, "expense": event.data.expense,
        "placed_at": event.recorded_at, "expires_at": None, "actor": event.envelope.authid, "ended": None,
        "ended_at": None, "entry": None, "reason": None,
    }  # fmt: skip


def _lines(postings: Sequence[Posting], sign: int) -> list[dict[str, Any]]:
    return [{"account": p.account, "fund": p.fund, "unit": p.unit, "amount": sign * p.amount} for p in postings]


def _end(rows: Rows, event: Recorded, how: str, *, entry: str | None = None, reason: str | None = None) -> None:
    row = rows.get("money_holds", (event.data.book, event.data.hold))
    if row is not None:
        row |= {"ended": how, "ended_at": event.recorded_at, "entry": entry, "reason": reason}
