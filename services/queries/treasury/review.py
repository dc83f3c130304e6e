"""What somebody has to look at in a book: `commons show review --of money`."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.treasury.book import SIGN, UNIT, BookQuestion, find_book

_STAND: Final = "or let it stand with ResolveReview."

# Some of it needs no event of its own: it is seen by putting read models side by side. A limit that a fact broke is in
# order again once the account, or the fund, has at least what it must have.
_QUESTION: Final = BookQuestion(
    "To review", ("treasury_review", "trial_balance", "journal", "bank_statements", "expenses", "chart"),
    (
        Column("kind", "What", "code", rank=1), Column("entry", "Entry"), Column("account", "Account"),
        Column("fund", "Fund", rank=3), Column("date", "Day", "date"), Column("figure", "Figure", "money", rank=1),
        Column("lowest", "At least", "money"), UNIT, Column("subject", "Where to look", rank=1),
        Column("detail", "Detail"), Column("recorded_at", "Recorded", "moment", rank=4), Column("actor", "By", rank=3),
        Column("todo", "To do", rank=1), Column("closed_at", "Closed", "moment", rank=3),
        Column("closed_by", "Closed by", rank=3),
    ),
    f"""WITH accounts_now AS (
        SELECT d.account, d.unit, sum(d.debit - d.credit) * {SIGN} AS balance
        FROM daily_balances d JOIN accounts a USING (book, account) WHERE d.book = $1
        GROUP BY d.account, d.unit, a.kind),
    funds_now AS (
        SELECT d.fund, d.unit, sum(d.debit - d.credit) AS balance
        FROM daily_balances d JOIN accounts a USING (book, account)
        WHERE d.book = $1 AND a.kind IN ('asset', 'liability') GROUP BY d.fund, d.unit),
    seen AS (
        SELECT r.kind, r.entry, r.account, r.fund, r.date, r.figure, r.lowest, r.unit, r.subject, r.detail,
               r.recorded_at, r.actor, r.closed_at,
               coalesce(r.closed_by, CASE
                   WHEN r.kind = 'account_limit' AND EXISTS (SELECT FROM accounts_now n
                        WHERE (n.account, n.unit) = (r.account, r.unit) AND n.balance >= r.lowest) THEN 'made good'
                   WHEN r.kind = 'fund_limit' AND EXISTS (SELECT FROM funds_now n
                        WHERE (n.fund, n.unit) = (r.fund, r.unit) AND n.balance >= r.lowest) THEN 'made good' END)
                   AS closed_by
        FROM treasury_review_items r WHERE coalesce(r.book, $1) = $1
        UNION ALL
        SELECT 'statement_gap', NULL, s.account, NULL, s.starts, s.gap, NULL, s.unit, s.statement, NULL, s.imported_at,
               s.actor, NULL,
               CASE WHEN EXISTS (SELECT FROM statements t
                                 WHERE (t.book, t.account, t.closing) = (s.book, s.account, s.opening)
                                   AND t.imported_at IS NOT NULL AND t.statement <> s.statement
                                   AND t.ends = s.starts)
                      OR s.opening = before.closing + (SELECT coalesce(sum(l.amount), 0) FROM bank_lines l
                                                       WHERE (l.book, l.account) = (s.book, s.account)
                                                         AND l.date > before.ends AND l.date < s.starts)
                    THEN 'another statement' END
        FROM statements s LEFT JOIN LATERAL (
            SELECT t.ends, t.closing FROM statements t
            WHERE (t.book, t.account) = (s.book, s.account) AND t.imported_at IS NOT NULL AND t.ends < s.starts
            ORDER BY t.ends DESC, t.imported DESC LIMIT 1) before ON true
        WHERE s.book = $1 AND s.gap <> 0
        UNION ALL
        SELECT 'match_reversed', m.entry, m.account, NULL, e.date, m.amount, NULL, e.unit, m.line,
               'reversed by ' || e.reversed_by, m.matched_at, m.actor, NULL, NULL
        FROM bank_matches m JOIN entries e USING (book, entry) WHERE m.book = $1 AND e.reversed_by IS NOT NULL
          AND NOT EXISTS (SELECT FROM bank_matches b
                          WHERE (b.book, b.account, b.entry) = ($1, m.account, e.reversed_by))
        UNION ALL
        SELECT 'possible_duplicate', min(e.entry), NULL, NULL, e.date, e.amount, NULL, e.unit,
               string_agg(e.entry, ', ' ORDER BY e.sequence, e.place), 'reference ' || e.reference, max(e.recorded_at),
               NULL, max(s.resolved_at), CASE WHEN max(s.resolved_at) > max(e.recorded_at) THEN 'resolved' END
        FROM entries e LEFT JOIN let_stand s USING (book, entry)
        WHERE e.book = $1 AND e.reference IS NOT NULL AND e.reversed_by IS NULL AND e.reverses IS NULL
        GROUP BY e.reference, e.date, e.amount, e.unit, coalesce(e.party, '') HAVING count(*) > 1
        UNION ALL
        SELECT 'paid_and_changed', p.entry, e.pay_from, NULL, j.date, j.amount, NULL, j.unit, p.expense,
               CASE WHEN e.rejected_at IS NULL THEN 'changed' ELSE 'rejected' END || ' while it was being paid',
               j.recorded_at, p.payer, s.resolved_at, CASE WHEN s.entry IS NOT NULL THEN 'resolved' END
        FROM expense_payments p JOIN expenses e USING (expense) JOIN entries j ON (j.book, j.entry) = (p.book, p.entry)
        LEFT JOIN let_stand s ON (s.book, s.entry) = (p.book, p.entry)
        WHERE p.book = $1 AND (e.version <> p.version OR e.rejected_at IS NOT NULL))
    SELECT seen.*, CASE seen.kind
               WHEN 'payment_failed' THEN 'Pay again, or change or reject the expense.'
               WHEN 'step_refused' THEN 'Do by hand what it was meant to do, then send ResolveStep.'
               WHEN 'statement_gap' THEN 'Find the statement that lies before it, and import it.'
               WHEN 'match_reversed' THEN 'Take the match back with UnmatchLine, and match the line with what it was.'
               WHEN 'possible_duplicate' THEN 'Reverse one of them, if it happened once, {_STAND}'
               WHEN 'paid_and_changed' THEN 'RecordPaymentFailed, if the bank has not carried it out; else settle '
                   'what differs, and let the payment stand with ResolveReview.'
               WHEN 'account_limit' THEN 'Look into it; move money into the account, reverse the entry, {_STAND}'
               WHEN 'fund_limit' THEN 'Look into it; give the fund money, reverse the entry, {_STAND}'
               ELSE 'Look into it; reverse the entry if it is wrong, {_STAND}'
           END AS todo
    FROM seen WHERE $2 OR closed_by IS NULL
    ORDER BY closed_by IS NOT NULL, recorded_at DESC, kind, subject""",  # noqa: S608  # made of constants
    "Nothing waits for a review.",
)  # fmt: skip


async def review(
    pool: asyncpg.Pool, *, book: str | None = None, closed: bool = False, at_least: Position | None = None
) -> QueryResult:
    """Open review items of a book, the newest first, with what to do about each; with `closed`, closed ones too.

    Beside what is on record (services/projections/treasury/review.py): gaps between statements, matches with entries
    that were taken back by one that is no line of the bank's, entries that look like one entered twice, and expenses
    that were changed or rejected while another process paid them.
    """
    found = await find_book(pool, book, at_least=at_least)
    return await _QUESTION.ask(pool, found, closed, at_least=at_least)
