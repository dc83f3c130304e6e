"""What was debited and credited, day by day: every balance as of any day, and the figures of every statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from services.projections.treasury.base import TreasuryProjection, posting_events, taken_back
from services.treasury.contract import RestrictionReleased, YearClosed, entries_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table

TABLE: Final = "daily_balances"

ORDINARY: Final = "ordinary"
RELEASE: Final = "release"
CLOSING: Final = "closing"

_PARTS: Final[Mapping[type, str]] = {RestrictionReleased: RELEASE, YearClosed: CLOSING}


class TrialBalance(TreasuryProjection):
    """Sums of debits and credits by account, fund, unit and the day on which the entries happened, in minor units.

    `part` keeps apart what a statement of activities shows apart, or leaves out: ordinary entries, releases from
    restriction, and closing entries of a year; an entry that takes another back belongs where that one does. A balance
    is the sum of all three. `set_apart` remembers the entries that are not ordinary.
    """

    name = "trial_balance"
    version = 1
    events = posting_events()
    tables = (
        Table(
            TABLE,
            key=("book", "account", "fund", "unit", "date", "part"),
            columns={
                "book": "text", "account": "text", "fund": "text", "unit": "text", "date": "date", "part": "text",
                "debit": "bigint", "credit": "bigint",
            },
            indexes=("book, date",),
        ),
        Table(
            "set_apart",
            key=("book", "entry"),
            columns={"book": "text", "entry": "text", "part": "text"},
        ),
    )  # fmt: skip
    views = {  # noqa: RUF012  # typed in the base class
        "balances": (
            "SELECT book, account, fund, unit, sum(debit) AS debit, sum(credit) AS credit,"  # noqa: S608
            f" sum(debit) - sum(credit) AS balance FROM {TABLE} GROUP BY book, account, fund, unit"
        )
    }

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        undone = taken_back(data)
        if undone is not None:
            yield "set_apart", (data.book, undone)
            for part in (ORDINARY, RELEASE, CLOSING):
                for key in _sums(data, part):
                    yield TABLE, key
            return
        for key in _sums(data, _PARTS.get(type(data), ORDINARY)):
            yield TABLE, key

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        part = _PARTS.get(type(data), ORDINARY)
        undone = taken_back(data)
        if undone is not None and (apart := rows.get("set_apart", (data.book, undone))) is not None:
            part = apart["part"]
        if part != ORDINARY:
            rows.put("set_apart", (data.book, data.entry), {"part": part})
        for key, (debit, credit) in _sums(data, part).items():
            row = rows.get(TABLE, key)
            if row is None:
                rows.put(TABLE, key, {"debit": debit, "credit": credit})
            else:
                row["debit"] += debit
                row["credit"] += credit


def _sums(data: object, part: str) -> dict[Key, list[int]]:
    """Debits and credits of all the event's entries by row: an import's hundreds of entries touch few rows."""
    book = data.book  # type: ignore[attr-defined]  # every event that posts has one
    found: dict[Key, list[int]] = {}
    for entry in entries_of(data):
        date = entry.date
        for posting in entry.debits:
            key = (book, posting.account, posting.fund, posting.unit, date, part)
            if key in found:
                found[key][0] += posting.amount
            else:
                found[key] = [posting.amount, 0]
        for posting in entry.credits:
            key = (book, posting.account, posting.fund, posting.unit, date, part)
            if key in found:
                found[key][1] += posting.amount
            else:
                found[key] = [0, posting.amount]
    return found
