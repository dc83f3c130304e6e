"""Dues that members owe, by how long they have been due: `commons show dues`."""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.names import checked
from services.queries.treasury.book import UNIT, BookQuestion, find_book

_AGES: Final = (
    ("not_due", "Not due", "days <= 0"),
    ("days_30", "1-30 days", "days BETWEEN 1 AND 30"),
    ("days_60", "31-60 days", "days BETWEEN 31 AND 60"),
    ("days_90", "61-90 days", "days BETWEEN 61 AND 90"),
    ("older", "Over 90 days", "days > 90"),
)

_AGED: Final = ", ".join(f"CASE WHEN {when} THEN nullif(remaining, 0) END AS {name}" for name, _, when in _AGES)

_QUESTION: Final = BookQuestion(
    "Dues", ("giving", "journal"),
    (
        Column("dues", "Dues"), Column("member", "Member", rank=1), Column("member_name", "Name", "sealed", rank=1),
        Column("period", "Period"), Column("due_on", "Due", "date", rank=1),
        Column("assessed", "Assessed", "money", rank=3), Column("received", "Received", "money", rank=3),
        Column("waived", "Waived", "money", rank=3),
        *(Column(name, title, "money") for name, title, _ in _AGES), Column("remaining", "Owed", "money", rank=1), UNIT,
        Column("fund", "Fund", rank=3),
    ),
    f"""WITH found AS (
        SELECT d.entry AS dues, d.member, p.name AS member_name, d.period, d.due_on, d.amount AS assessed, d.unit,
               d.fund, paid.received, paid.waived, $2::date - d.due_on AS days,
               d.amount - coalesce(paid.received, 0) - coalesce(paid.waived, 0) AS remaining
        FROM dues d LEFT JOIN parties p ON p.party = d.member
        LEFT JOIN entries back ON (back.book, back.entry) = (d.book, d.reversed_by)
        CROSS JOIN LATERAL (
            SELECT nullif(sum(amount) FILTER (WHERE kind = 'received'), 0)::bigint AS received,
                   nullif(sum(amount) FILTER (WHERE kind = 'waived'), 0)::bigint AS waived
            FROM dues_payments x WHERE (x.book, x.dues) = (d.book, d.entry) AND x.date <= $2) paid
        WHERE d.book = $1 AND d.date <= $2 AND (back.date <= $2) IS NOT TRUE AND ($4::text IS NULL OR d.member = $4))
    SELECT *, {_AGED} FROM found WHERE $3 OR remaining <> 0 ORDER BY due_on, member, dues""",  # noqa: S608  # made of constants
    "No dues are owed.",
    sums=("assessed", "received", "waived", *(name for name, _, _ in _AGES), "remaining"),
)  # fmt: skip


async def dues(
    pool: asyncpg.Pool, *, book: str | None = None, member: str | None = None, as_of: date | None = None,
    settled: bool = False, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """What is owed of dues on a day, and for how long it has been due; with `settled`, dues that are paid too."""
    checked(member)
    found = await find_book(pool, book, at_least=at_least)
    day = as_of or found.today
    return await _QUESTION.ask(pool, found, day, settled, member, about=f"as of {day}", at_least=at_least)
