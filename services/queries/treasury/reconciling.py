"""What the bank says and the book does not, and the other way round: `commons show unreconciled`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.treasury.book import UNIT, BookQuestion, find_book, known_in, totals_by

# An entry and the one that took it back cancel each other out, unless one of them is matched. What happened before the
# first statement began is not the bank's to tell. A match with an entry that was taken back is none any more.
_QUESTION: Final = BookQuestion(
    "Unreconciled", ("bank_statements", "journal"),
    (
        Column("side", "Known to"), Column("account", "Account"), Column("date", "Date", "date"),
        Column("line", "Line or entry"), Column("amount", "Amount", "money"), UNIT,
        Column("payee", "Other side", "sealed"), Column("memo", "Memo", "sealed"),
        Column("bank_reference", "Bank's reference", "sealed"),
        Column("description", "Description"), Column("party", "Party"), Column("reference", "Reference"),
        Column("why", "Why"), Column("statement", "Statement"),
    ),
    """WITH matched AS (
        SELECT m.account, m.line, m.entry, e.reversed_by
        FROM bank_matches m LEFT JOIN entries e USING (book, entry) WHERE m.book = $1),
    began AS (
        SELECT account, min(starts) AS starts FROM statements
        WHERE book = $1 AND imported_at IS NOT NULL GROUP BY account),
    booked AS (
        SELECT p.account, e.date, e.entry, p.unit, sum(p.amount)::bigint AS amount, e.description, e.party, e.reference,
               e.reverses, e.reversed_by
        FROM postings p JOIN began b USING (account) JOIN entries e USING (book, entry)
        WHERE p.book = $1 AND p.date >= b.starts
        GROUP BY p.account, e.date, e.entry, p.unit, e.description, e.party, e.reference, e.reverses, e.reversed_by
        HAVING sum(p.amount) <> 0)
    SELECT 'the bank' AS side, l.account, l.date, l.line, l.amount, l.unit, l.payee, l.memo,
           l.reference AS bank_reference, NULL AS description, NULL AS party, NULL AS reference,
           (SELECT 'matched with ' || string_agg(m.entry, ', ') || ', which was reversed' FROM matched m
            WHERE (m.account, m.line) = (l.account, l.line) AND m.reversed_by IS NOT NULL) AS why,
           l.statement
    FROM bank_lines l
    WHERE l.book = $1 AND ($2::text IS NULL OR l.account = $2)
      AND NOT EXISTS (SELECT FROM matched m WHERE (m.account, m.line) = (l.account, l.line) AND m.reversed_by IS NULL)
    UNION ALL
    SELECT 'the book', k.account, k.date, k.entry, k.amount, k.unit, NULL, NULL, NULL, k.description, k.party,
           k.reference, NULL, NULL
    FROM booked k
    WHERE ($2::text IS NULL OR k.account = $2)
      AND NOT EXISTS (SELECT FROM matched m WHERE (m.account, m.entry) = (k.account, k.entry))
      AND NOT EXISTS (SELECT FROM booked o WHERE o.account = k.account AND o.entry IN (k.reverses, k.reversed_by)
                      AND NOT EXISTS (SELECT FROM matched m WHERE (m.account, m.entry) = (o.account, o.entry)))
    ORDER BY account, date, side, line""",
    "Bank and book agree: every line and every entry is matched.",
)  # fmt: skip


async def unreconciled(
    pool: asyncpg.Pool, *, book: str | None = None, account: str | None = None, at_least: Position | None = None
) -> QueryResult:
    """Lines of bank statements that are not matched with an entry, and entries on these accounts that are in no line.

    Amounts are positive into the account.
    """
    found = await find_book(pool, book, at_least=at_least)
    await known_in(pool, found, "account", account)
    given = await _QUESTION.ask(pool, found, account, about=account, at_least=at_least)
    return replace(given, totals=totals_by(given, ("amount",)))
