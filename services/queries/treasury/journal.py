"""The journal as it was written, entry by entry: `commons show entries`."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.names import checked
from services.queries.treasury.book import UNIT, BookQuestion, find_book, known_in, span
from shared.errors import Invalid

MAX_ENTRIES: Final = 100_000

_QUESTION: Final = BookQuestion(
    "Journal", ("journal", "chart"),
    (
        Column("date", "Date", "date", rank=1), Column("entry", "Entry", rank=1), Column("kind", "Kind", rank=4),
        Column("account", "Account", rank=1), Column("name", "Name", rank=3), Column("fund", "Fund", rank=3),
        Column("debit", "Debit", "money", rank=1), Column("credit", "Credit", "money", rank=1), UNIT,
        Column("description", "Description"), Column("party", "Party", rank=3),
        Column("reference", "Reference", rank=3), Column("state", "State"), Column("document", "Document", rank=4),
        Column("recorded_at", "Recorded", "moment", rank=4), Column("actor", "By", rank=4),
        Column("sequence", "Event", "number", rank=4),
    ),
    """WITH chosen AS (
        SELECT * FROM entries e
        WHERE e.book = $1 AND ($2::text IS NULL OR e.entry = $2) AND ($3::date IS NULL OR e.date >= $3)
          AND ($4::date IS NULL OR e.date <= $4) AND ($5::text IS NULL OR e.party = $5)
          AND ($6::text IS NULL OR EXISTS (
              SELECT FROM postings p
              WHERE (p.book, p.sequence, p.entry) = (e.book, e.sequence, e.entry) AND p.account = $6))
        ORDER BY e.date DESC, e.sequence DESC, e.place DESC LIMIT $7)
    SELECT e.date, e.entry, e.kind, p.account, a.name, p.fund, p.unit, e.description, e.party, e.reference, e.document,
           CASE WHEN p.amount > 0 THEN p.amount END AS debit, CASE WHEN p.amount < 0 THEN -p.amount END AS credit,
           nullif(concat_ws(', ', 'reversed by ' || e.reversed_by, 'reverses ' || e.reverses), '') AS state,
           e.recorded_at, e.actor, e.sequence
    FROM chosen e JOIN postings p USING (book, sequence, entry)
    LEFT JOIN accounts a ON (a.book, a.account) = (p.book, p.account)
    ORDER BY e.date, e.sequence, p.number""",
    "There is no such entry.",
    sums=("debit", "credit"),
)  # fmt: skip


async def entries(
    pool: asyncpg.Pool, *, book: str | None = None, entry: str | None = None, account: str | None = None,
    party: str | None = None, first: date | None = None, last: date | None = None, limit: int = 200,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """The newest `limit` entries, each with all its postings, in order of their days."""
    if not 1 <= limit <= MAX_ENTRIES:
        raise Invalid(f"`limit` is from 1 to {MAX_ENTRIES:,} entries; {limit:,} is not.")
    checked(entry), checked(party)
    found = await find_book(pool, book, at_least=at_least)
    await known_in(pool, found, "account", account)
    given = await _QUESTION.ask(
        pool, found, entry, first, last, party, account, limit, about=span(first, last), at_least=at_least
    )
    shown = len({row[1] for row in given.rows})
    return replace(given, message=f"The newest {limit:,} entries; --limit gives more.") if shown >= limit > 1 else given
