"""What the bank says and the book does not, and the other way round: `commons show unreconciled`, `statements`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.treasury.book import UNIT, BookQuestion, find_book, known_in, totals_by
from shared.readmodel import read

# An entry and the one that took it back cancel each other out, unless one of them is matched. What happened before the
# first statement began is not the bank's to tell. A match with an entry that was taken back is none any more, unless
# the bank took it back as well: a payment that came back is two lines, the second matched with the reversing entry.
_QUESTION: Final = BookQuestion(
    "Unreconciled", ("bank_statements", "journal"),
    (
        Column("side", "Known to", rank=1), Column("account", "Account"), Column("date", "Date", "date", rank=1),
        Column("line", "Line or entry", rank=1), Column("amount", "Amount", "money", rank=1), UNIT,
        Column("payee", "Other side", "sealed"), Column("memo", "Memo", "sealed", rank=3),
        Column("bank_reference", "Bank's reference", "sealed", rank=4), Column("description", "Description"),
        Column("party", "Party", rank=3), Column("reference", "Reference", rank=3), Column("why", "Why", rank=1),
        Column("statement", "Statement", rank=4),
    ),
    """WITH matched AS (
        SELECT m.account, m.line, m.entry,
               CASE WHEN NOT EXISTS (SELECT FROM bank_matches b
                                     WHERE (b.book, b.account, b.entry) = ($1, m.account, e.reversed_by))
                    THEN e.reversed_by END AS reversed_by
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
    "Every line and every entry is matched.",
)  # fmt: skip

_NEWEST: Final = """SELECT s.account, s.unit, s.ends, s.closing, coalesce((
        SELECT sum(p.amount) FROM postings p
        WHERE (p.book, p.account, p.unit) = (s.book, s.account, s.unit) AND p.date <= s.ends), 0)::bigint AS booked,
        coalesce((
        SELECT sum(p.amount) FROM postings p JOIN bank_matches m USING (book, account, entry)
        WHERE (p.book, p.account, p.unit) = (s.book, s.account, s.unit) AND p.date > s.ends), 0)::bigint AS later
    FROM (SELECT DISTINCT ON (account) * FROM statements
          WHERE book = $1 AND imported_at IS NOT NULL AND ($2::text IS NULL OR account = $2)
          ORDER BY account, ends DESC, imported DESC) s ORDER BY s.account"""

_STATEMENTS: Final = BookQuestion(
    "Statements", ("bank_statements",),
    (
        Column("account", "Account", rank=1), Column("starts", "From", "date"), Column("ends", "To", "date", rank=1),
        Column("opening", "Opening", "money"), Column("closing", "Closing", "money", rank=1), UNIT,
        Column("lines", "Lines", "number", rank=3), Column("new", "New", "number", rank=3),
        Column("matched", "Matched", "number", rank=3), Column("unmatched", "Not matched", "number", rank=1),
        Column("gap", "Gap before it", "money", rank=1), Column("imported_at", "Imported", "moment", rank=4),
        Column("actor", "By", rank=4), Column("statement", "Statement"),
    ),
    """WITH brought AS (
        SELECT l.account, l.statement, count(*) AS matched FROM bank_lines l
        WHERE l.book = $1 AND EXISTS (SELECT FROM bank_matches m
                                      WHERE (m.book, m.account, m.line) = (l.book, l.account, l.line))
        GROUP BY l.account, l.statement)
    SELECT s.*, coalesce(b.matched, 0) AS matched, s.new - coalesce(b.matched, 0) AS unmatched
    FROM statements s LEFT JOIN brought b USING (account, statement)
    WHERE s.book = $1 AND s.imported_at IS NOT NULL AND ($2::text IS NULL OR s.account = $2)
    ORDER BY s.ends DESC, s.account, s.imported DESC""",
    "No statement was imported yet.",
)  # fmt: skip


async def unreconciled(
    pool: asyncpg.Pool, *, book: str | None = None, account: str | None = None, at_least: Position | None = None
) -> QueryResult:
    """Lines of bank statements that are not matched with an entry, and entries on these accounts that are in no line.

    Amounts are positive into the account. `message` says of each account whether bank and book agree.
    """
    found = await find_book(pool, book, at_least=at_least)
    await known_in(pool, found, "account", account)
    given = await _QUESTION.ask(pool, found, account, about=account, at_least=at_least)
    said = [given.message] if given.message else []
    newest = await read(pool, _QUESTION.models, _NEWEST, found.id, account, at_least=at_least)
    said += [_agreement(given, record) for record in newest.records]
    return replace(given, totals=totals_by(given, ("amount",)), message=" ".join(said) or None)


def _agreement(given: QueryResult, newest: asyncpg.Record) -> str:
    """Whether the newest statement of an account and the book agree, and what of a difference the rows explain."""
    account, unit, ends = newest["account"], newest["unit"], newest["ends"]
    differs = newest["closing"] - newest["booked"]

    def money(amount: int) -> str:
        return f"{Decimal(amount).scaleb(-given.decimals.get(unit, 0)):,f} {unit}"

    has = (
        f"Account {account}: on {ends} the bank's closing balance is {money(newest['closing'])}, the book's "
        f"{money(newest['booked'])}"
    )
    if not differs:
        return f"{has}; they agree."
    rows = [row for row in given.records() if (row["account"], row["unit"]) == (account, unit) and row["date"] <= ends]
    made = newest["later"] + sum(row["amount"] if row["side"] == "the bank" else -row["amount"] for row in rows)
    what = (
        "what is not matched, or is matched and dated later in the book," if newest["later"] else "what is not matched"
    )
    if made == differs:
        return f"{has}. They differ by {money(differs)}, and {what} explains all of it."
    return (
        f"{has}. They differ by {money(differs)}, of which {what} explains {money(made)}; the rest is "
        "from before the first statement, or from a gap between two."
    )


async def statements(
    pool: asyncpg.Pool, *, book: str | None = None, account: str | None = None, at_least: Position | None = None
) -> QueryResult:
    """The statements that were imported, the newest first, with how many of the lines that each brought are matched."""
    found = await find_book(pool, book, at_least=at_least)
    await known_in(pool, found, "account", account)
    return await _STATEMENTS.ask(pool, found, account, about=account, at_least=at_least)
