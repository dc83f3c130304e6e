"""The journal: every posting, when it happened and when it was recorded; for account statements and past figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.projections.treasury.base import KINDS, TreasuryProjection, posting_events, taken_back
from services.treasury.contract import Entry, Journal, Posting, entries_of
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table


class GeneralJournal(TreasuryProjection):
    """`postings` has a row for each posting of each event, `number` counting within the event; debits are positive in
    `amount`, credits negative (minor units). `entries` has a row for each entry; `reversed_by` is the entry that took
    it back, `amount` the sum of its debits when they are all in one unit.
    """

    name = "journal"
    version = 1
    events = posting_events()
    tables = (
        Table(
            "postings",
            key=("book", "sequence", "number"),
            columns={
                "book": "text", "sequence": "bigint", "number": "integer", "entry": "text", "account": "text",
                "fund": "text", "unit": "text", "amount": "bigint", "date": "date", "recorded_at": "timestamptz",
            },
            indexes=("book, account, date", "book, entry"),
            append=True,
        ),
        Table(
            "entries",
            key=("book", "entry"),
            columns={
                "book": "text", "entry": "text", "sequence": "bigint", "place": "integer", "date": "date",
                "recorded_at": "timestamptz", "kind": "text", "description": "text", "party": "text",
                "reference": "text", "document": "text", "amount": "bigint", "unit": "text", "actor": "text",
                "expense": "text", "reverses": "text", "reversed_by": "text",
            },
            indexes=("book, date", "book, party"),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        undone = taken_back(event.data)
        if undone is not None:
            yield "entries", (event.data.book, undone)

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        recorded_at, sequence, kind = event.recorded_at, event.sequence, KINDS[type(data)]
        number = 0
        for place, entry in enumerate(entries_of(data)):
            rows.put(
                "entries",
                (data.book, entry.entry),
                {
                    "sequence": sequence, "place": place, "date": entry.date, "recorded_at": recorded_at, "kind": kind,
                    "actor": event.envelope.authid, "reversed_by": None, **_total(entry), **_facts(entry),
                },
            )  # fmt: skip
            for posting, amount in _signed(entry):
                rows.put(
                    "postings",
                    (data.book, sequence, number),
                    {
                        "entry": entry.entry, "account": posting.account, "fund": posting.fund, "unit": posting.unit,
                        "amount": amount, "date": entry.date, "recorded_at": recorded_at,
                    },
                )  # fmt: skip
                number += 1
        undone = taken_back(data)
        if undone is not None and (before := rows.get("entries", (data.book, undone))) is not None:
            before["reversed_by"] = data.entry


def _signed(entry: Journal | Entry) -> Iterator[tuple[Posting, int]]:
    for posting in entry.debits:
        yield posting, posting.amount
    for posting in entry.credits:
        yield posting, -posting.amount


def _total(entry: Journal | Entry) -> Row:
    units = {posting.unit for posting in entry.debits}
    if len(units) != 1:
        return {"amount": None, "unit": None}
    return {"amount": sum(posting.amount for posting in entry.debits), "unit": units.pop()}


def _facts(entry: object) -> Row:
    """What an entry says of itself, under the names that the events have for it."""

    def said(*names: str) -> str | None:
        return next((value for name in names if (value := getattr(entry, name, None)) is not None), None)

    return {
        "description": said("description", "what", "reason"), "party": said("party", "donor", "member"),
        "reference": said("reference"), "document": said("document"), "expense": said("expense"),
        "reverses": said("reverses"),
    }  # fmt: skip
