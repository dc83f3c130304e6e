"""Gifts, which of them are to be acknowledged, pledges and parties: `commons show donations` and the like."""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.names import checked
from services.queries.treasury.book import STREAM, UNIT, BookQuestion, find_book, span

_GIFT: Final = (
    Column("date", "Date", "date", rank=1), Column("entry", "Entry", rank=3), Column("donor", "Donor"),
    Column("donor_name", "Name", "sealed", rank=1), Column("amount", "Amount", "money", rank=1), UNIT,
    Column("fund", "Fund", rank=3),
)  # fmt: skip
_THANKED: Final = (Column("acknowledged_at", "Acknowledged", "moment"), Column("means", "By"))
_GIFTS: Final = """SELECT g.*, p.name AS donor_name, p.contact AS donor_contact
    FROM gifts g LEFT JOIN parties p ON p.party = g.donor
    WHERE g.book = $1 AND g.reversed_by IS NULL AND ($2::date IS NULL OR g.date >= $2)
      AND ($3::date IS NULL OR g.date <= $3) AND ($4::text IS NULL OR g.donor = $4)"""

_DONATIONS: Final = BookQuestion(
    "Donations", ("giving",),
    (
        *_GIFT, Column("what", "Description"), Column("reference", "Reference", rank=3),
        Column("pledge", "Pledge", rank=3), Column("into_account", "Into", rank=4), Column("income", "Income", rank=4),
        *_THANKED,
    ),
    f"{_GIFTS} AND g.kind = 'money' ORDER BY g.date DESC, g.entry",
    "Nothing was donated.",
    sums=("amount",),
)  # fmt: skip
_IN_KIND: Final = BookQuestion(
    "Gifts in kind", ("giving",),
    (
        *_GIFT, Column("what", "What"), Column("delivery", "Delivery", rank=3), Column("into_account", "Into", rank=4),
        Column("income", "Income", rank=4), *_THANKED,
    ),
    f"{_GIFTS} AND g.kind = 'in kind' ORDER BY g.date DESC, g.entry",
    "Nothing was given in kind.",
    sums=("amount",),
)  # fmt: skip
_DUE: Final = BookQuestion(
    "Acknowledgements due", ("giving",),
    (*_GIFT, Column("kind", "Kind"), Column("what", "What"), Column("donor_contact", "Contact", "sealed")),
    f"{_GIFTS} AND g.donor IS NOT NULL AND g.acknowledged_at IS NULL ORDER BY g.date, g.entry",
    "Every gift was acknowledged.",
    sums=("amount",),
)  # fmt: skip

# An instalment is due on the first day and then every month, quarter or year, as long as the pledge runs.
_PLEDGES: Final = BookQuestion(
    "Pledges", ("giving",),
    (
        Column("pledge", "Pledge", rank=1), Column("donor", "Donor", rank=3),
        Column("donor_name", "Name", "sealed", rank=1), Column("amount", "Amount", "money", rank=1),
        Column("every", "Every", rank=1), UNIT, Column("fund", "Fund", rank=3),
        Column("starts", "From", "date", rank=3), Column("ends", "To", "date", rank=3),
        Column("due", "Due so far", "money"), Column("received", "Received", "money"),
        Column("outstanding", "Outstanding", "money", rank=1), Column("last_on", "Last gift", "date"),
        Column("ended_at", "Ended", "moment"), Column("end_reason", "Why"),
    ),
    """WITH found AS (
        SELECT l.*, p.name AS donor_name, got.received, got.last_on, l.amount * (
                   SELECT count(*) FROM generate_series(0, CASE l.every WHEN 'once' THEN 0 ELSE 3600 END) AS n
                   WHERE l.starts + n * CASE l.every WHEN 'quarter' THEN interval '3 months'
                                             WHEN 'year' THEN interval '1 year' ELSE interval '1 month' END
                         <= least($2, coalesce(l.ends, $2), coalesce(l.ended_at::date, $2))) AS due
        FROM pledges l LEFT JOIN parties p ON p.party = l.donor
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(g.amount), 0)::bigint AS received, max(g.date) AS last_on FROM gifts g
            WHERE g.book = l.book AND g.pledge = l.pledge AND g.reversed_by IS NULL AND g.date <= $2) got
        WHERE l.book = $1 AND ($3 OR l.ended_at IS NULL))
    SELECT *, nullif(greatest(due - received, 0), 0) AS outstanding FROM found
    ORDER BY ended_at IS NOT NULL, starts, pledge""",
    "Nothing is pledged.",
    sums=("due", "received", "outstanding"),
)  # fmt: skip

_PARTIES: Final = Question(
    STREAM, "Parties", ("giving",),
    (
        Column("party", "Party", rank=1), Column("kind", "Kind"), Column("name", "Name", "sealed", rank=1),
        Column("contact", "Contact", "sealed"), Column("bank_account", "Bank account", "sealed"),
        Column("login", "Login", "sealed", rank=4), Column("note", "Note", "sealed", rank=3),
        Column("registered_at", "Registered", "moment", rank=4), Column("changed_at", "Changed", "moment", rank=4),
    ),
    "SELECT * FROM parties WHERE $1::text IS NULL OR party = $1 ORDER BY party",
    "There are no parties yet.",
)  # fmt: skip


async def donations(
    pool: asyncpg.Pool, *, book: str | None = None, donor: str | None = None, first: date | None = None,
    last: date | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Gifts of money, the newest first; those that were reversed are none."""
    return await _gifts(_DONATIONS, pool, book, donor, first, last, at_least)


async def in_kind(
    pool: asyncpg.Pool, *, book: str | None = None, donor: str | None = None, first: date | None = None,
    last: date | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Goods and services that were given, at their fair value, the newest first."""
    return await _gifts(_IN_KIND, pool, book, donor, first, last, at_least)


async def acknowledgements(
    pool: asyncpg.Pool, *, book: str | None = None, donor: str | None = None, at_least: Position | None = None
) -> QueryResult:
    """Gifts of known donors that were not acknowledged yet, the oldest first."""
    return await _gifts(_DUE, pool, book, donor, None, None, at_least)


async def pledges(
    pool: asyncpg.Pool, *, book: str | None = None, as_of: date | None = None, ended: bool = False,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """What was promised, what of it is due by a day, and what came in by then; with `ended`, what is over too."""
    found = await find_book(pool, book, at_least=at_least)
    day = as_of or found.today
    return await _PLEDGES.ask(pool, found, day, ended, about=f"as of {day}", at_least=at_least)


async def parties(pool: asyncpg.Pool, *, party: str | None = None, at_least: Position | None = None) -> QueryResult:
    """Who gives, owes, or is paid; what is known of them comes sealed (services/commands/opening.py)."""
    return await _PARTIES.rows(pool, checked(party), at_least=at_least)


async def _gifts(
    question: BookQuestion, pool: asyncpg.Pool, book: str | None, donor: str | None, first: date | None,
    last: date | None, at_least: Position | None,
) -> QueryResult:  # fmt: skip
    checked(donor)
    found = await find_book(pool, book, at_least=at_least)
    return await question.ask(pool, found, first, last, donor, about=span(first, last), at_least=at_least)
