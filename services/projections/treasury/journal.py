"""The journal: every posting, when it happened and when it was recorded; for account statements and past figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from services.projections.treasury.base import KINDS, TreasuryProjection, posting_events, taken_back
from services.treasury.contract import Entry, Journal, Posting, entries_of
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

_SAID: Final[Mapping[str, tuple[str, ...]]] = {
    "description": ("description", "what", "reason"),
    "party": ("party", "donor", "member"),
    "reference": ("reference",),
    "document": ("document",),
    "expense": ("expense",),
    "reverses": ("reverses",),
}
"""Columns of `entries`, and the names that the events have for them."""

_NOTHING: Final[Row] = dict.fromkeys(_SAID)


def _fields(cls: type[Journal | Entry]) -> tuple[tuple[str, str], ...]:
    """The columns that a class of entry fills, each with the name of its field."""
    known = {field.name for field in dataclasses.fields(cls)}
    found = ((column, next((name for name in names if name in known), None)) for column, names in _SAID.items())
    return tuple((column, name) for column, name in found if name is not None)


_FIELDS: Final = {cls: _fields(cls) for cls in (Entry, *KINDS) if issubclass(cls, Journal | Entry)}


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
            indexes=("book, account, date",),
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
            indexes=("book, date",),
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
    if len(entry.debits) == 1:
        return {"amount": entry.debits[0].amount, "unit": entry.debits[0].unit}
    units = {posting.unit for posting in entry.debits}
    if len(units) != 1:
        return {"amount": None, "unit": None}
    return {"amount": sum(posting.amount for posting in entry.debits), "unit": units.pop()}


def _facts(entry: Journal | Entry) -> Row:
    """What an entry says of itself, under one name whichever event says it."""
    return {**_NOTHING, **{column: getattr(entry, name) for column, name in _FIELDS[type(entry)]}}
