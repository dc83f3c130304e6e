"""Statements of a span of time: activities, and expenses by nature and function: `commons show activities`.

The closing entries of years are left out, so that a closed year still shows its income and expenses.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.treasury.book import UNIT, BookQuestion, find_book, span, totals_by, totals_of
from shared.errors import Invalid

# Expenses of a restricted fund are what its restriction asks for: they release as much from it, and stand with all the
# others under net assets without donor restrictions (ASC 958-220-45). What was released by an entry of its own moved
# between the funds, through an account that nets to zero over both.
_ACTIVITIES: Final = BookQuestion(
    "Statement of activities", ("trial_balance", "chart"),
    (
        Column("section", "Section"), Column("account", "Account", rank=1), Column("name", "Name"),
        Column("without", "Without donor restrictions", "money"), Column("with", "With donor restrictions", "money"),
        Column("total", "Total", "money", rank=1), UNIT,
    ),
    """WITH moved AS (
        SELECT d.account, a.name, a.kind, d.unit, d.part, d.credit - d.debit AS amount,
               coalesce(f.restriction, 'none') <> 'none' AS restricted
        FROM daily_balances d JOIN accounts a USING (book, account) LEFT JOIN funds f USING (book, fund)
        WHERE d.book = $1 AND d.date BETWEEN $2 AND $3 AND d.part <> 'closing' AND a.kind IN ('income', 'expense')),
    lines AS (
        SELECT 1 AS place, 'Revenue and support' AS section, account, name, unit,
               sum(amount) FILTER (WHERE NOT restricted)::bigint AS without,
               sum(amount) FILTER (WHERE restricted)::bigint AS "with"
        FROM moved WHERE kind = 'income' AND part = 'ordinary' GROUP BY account, name, unit
        UNION ALL
        SELECT 2, 'Net assets released from restrictions', NULL, CASE part WHEN 'release' THEN 'Released by entry'
                   ELSE 'Restrictions met by expenses' END, unit,
               sum(CASE WHEN kind = 'expense' THEN -amount WHEN NOT restricted THEN amount END)::bigint,
               sum(CASE WHEN restricted THEN amount END)::bigint
        FROM moved WHERE part = 'release' AND kind = 'income' OR part = 'ordinary' AND kind = 'expense' AND restricted
        GROUP BY part, unit
        UNION ALL
        SELECT 3, 'Expenses', account, name, unit, -sum(amount)::bigint, NULL
        FROM moved WHERE kind = 'expense' GROUP BY account, name, unit)
    SELECT section, account, name, nullif(without, 0) AS without, nullif("with", 0) AS "with",
           nullif(coalesce(without, 0) + coalesce("with", 0), 0) AS total, unit
    FROM lines WHERE coalesce(without, 0) <> 0 OR coalesce("with", 0) <> 0
    ORDER BY unit, place, account NULLS LAST, name""",
    "There was no income and no expense.",
)  # fmt: skip

_FIGURES: Final = ("without", "with", "total")
_EXPENSES: Final = "Expenses"

_FUNCTIONS: Final = (
    ("program", "Program services"), ("management", "Management and general"), ("fundraising", "Fundraising"),
    ("other", "No function"),
)  # fmt: skip
_FUNCTIONAL: Final = BookQuestion(
    "Functional expenses", ("trial_balance", "chart"),
    (
        Column("account", "Account", rank=1), Column("name", "Name"),
        *(Column(name, title, "money") for name, title in _FUNCTIONS), Column("total", "Total", "money", rank=1), UNIT,
    ),
    f"""WITH spent AS (
        SELECT d.account, a.name, coalesce(a.function, 'other') AS function, d.unit,
               sum(d.debit - d.credit)::bigint AS amount
        FROM daily_balances d JOIN accounts a USING (book, account)
        WHERE d.book = $1 AND d.date BETWEEN $2 AND $3 AND d.part <> 'closing' AND a.kind = 'expense'
        GROUP BY d.account, a.name, a.function, d.unit HAVING sum(d.debit - d.credit) <> 0)
    SELECT account, name, unit, amount AS total,
           {", ".join(f"CASE WHEN function = '{name}' THEN amount END AS {name}" for name, _ in _FUNCTIONS)}
    FROM spent ORDER BY unit, account""",  # noqa: S608  # made of constants
    "There was no expense.",
    sums=(*(name for name, _ in _FUNCTIONS), "total"),
)  # fmt: skip


async def activities(
    pool: asyncpg.Pool, *, book: str | None = None, first: date | None = None, last: date | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Income and expenses, without and with donor restrictions, and by how much they changed net assets.

    From the first day of the fiscal year to today, unless told otherwise.
    """
    found = await find_book(pool, book, at_least=at_least)
    start, end = _days(found.year_of(last or found.today)[0], found.today, first, last)
    given = await _ACTIVITIES.ask(pool, found, start, end, about=span(start, end), at_least=at_least)
    return replace(given, totals=_changes(given))


def _changes(given: QueryResult) -> list[tuple[Any, ...]]:
    """Sums by section, and the change in net assets, for each unit."""
    signed = [_negated(given, row) if row[0] == _EXPENSES else row for row in given.rows]
    return totals_by(given, _FIGURES) + totals_of(replace(given, rows=signed), _FIGURES, "Change in net assets")


def _negated(given: QueryResult, row: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [column.name for column in given.columns]
    return tuple(-v if name in _FIGURES and v is not None else v for name, v in zip(names, row, strict=True))


async def functional(
    pool: asyncpg.Pool, *, book: str | None = None, first: date | None = None, last: date | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Expenses by account (their nature) and by what they serve (ASC 958-720-45), of the fiscal year unless told."""
    found = await find_book(pool, book, at_least=at_least)
    start, end = _days(found.year_of(last or found.today)[0], found.today, first, last)
    return await _FUNCTIONAL.ask(pool, found, start, end, about=span(start, end), at_least=at_least)


def _days(start: date, today: date, first: date | None, last: date | None) -> tuple[date, date]:
    begin, end = first or start, last or today
    if begin > end:
        raise Invalid(f"The first day, {begin}, is after the last, {end}.")
    return begin, end
