"""What was planned, what it came to, and what is left: `commons show budget`."""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.names import checked
from services.queries.treasury.book import SIGN, UNIT, BookQuestion, find_book

# What is held for expenses that are approved will be spent too: it is taken off what is left. Accounts of which nothing
# was planned are shown when something was posted to them, in the funds that the budget has.
_QUESTION: Final = BookQuestion(
    "Budget", ("chart", "trial_balance", "treasury_holds"),
    (
        Column("budget", "Budget", rank=3), Column("account", "Account", rank=1), Column("name", "Name"),
        Column("kind", "Kind", rank=4), Column("fund", "Fund"), Column("planned", "Planned", "money", rank=1),
        Column("actual", "Actual", "money", rank=1), Column("held", "Held", "money"),
        Column("left", "Left", "money", rank=1), Column("used", "Used (%)", "number"), UNIT,
        Column("starts", "From", "date", rank=3), Column("ends", "To", "date", rank=3),
    ),
    f"""WITH chosen AS (
        SELECT * FROM budgets WHERE book = $1 AND CASE WHEN $3::text IS NULL THEN $2 BETWEEN starts AND ends
                                                       ELSE budget = $3 END),
    planned AS (
        SELECT l.budget, l.account, l.fund, l.unit, sum(l.amount)::bigint AS planned
        FROM budget_lines l JOIN chosen c USING (book, budget) GROUP BY l.budget, l.account, l.fund, l.unit),
    actual AS (
        SELECT c.budget, d.account, d.fund, d.unit, (sum(d.debit - d.credit) * {SIGN})::bigint AS actual
        FROM chosen c JOIN daily_balances d ON d.book = c.book AND d.date BETWEEN c.starts AND least(c.ends, $2)
        JOIN accounts a ON (a.book, a.account) = (d.book, d.account)
        WHERE a.kind IN ('income', 'expense') AND d.part = 'ordinary'
          AND EXISTS (SELECT FROM planned p WHERE p.budget = c.budget AND p.fund = d.fund AND p.unit = d.unit)
        GROUP BY c.budget, d.account, d.fund, d.unit, a.kind),
    held AS (
        SELECT c.budget, l.account, l.fund, l.unit, sum(l.amount)::bigint AS held
        FROM chosen c JOIN money_held_lines l USING (book) JOIN accounts a USING (book, account)
        WHERE a.kind = 'expense' AND $2 BETWEEN c.starts AND c.ends GROUP BY c.budget, l.account, l.fund, l.unit),
    found AS (
        SELECT budget, account, fund, unit, planned, coalesce(actual, 0) AS actual, held
        FROM planned FULL JOIN actual USING (budget, account, fund, unit)
        LEFT JOIN held USING (budget, account, fund, unit)
        WHERE planned IS NOT NULL OR actual <> 0)
    SELECT f.*, a.name, a.kind, c.starts, c.ends,
           CASE WHEN f.planned IS NOT NULL OR a.kind = 'expense'
                THEN coalesce(f.planned, 0) - f.actual - coalesce(f.held, 0) END AS left,
           CASE WHEN f.planned > 0 THEN (f.actual::numeric * 100 / f.planned)::integer END AS used
    FROM found f JOIN chosen c USING (budget) LEFT JOIN accounts a ON (a.book, a.account) = ($1, f.account)
    ORDER BY c.starts, f.budget, a.kind = 'expense', f.account, f.fund, f.unit""",  # noqa: S608  # made of constants
    "There is no such budget, or none for that day.",
)  # fmt: skip


async def budget(
    pool: asyncpg.Pool, *, book: str | None = None, budget: str | None = None, as_of: date | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Budgets of a day, or the one that is named, against what was posted up to that day."""
    checked(budget)
    found = await find_book(pool, book, at_least=at_least)
    day = as_of or found.today
    return await _QUESTION.ask(pool, found, day, budget, about=f"as of {day}", at_least=at_least)
