"""Expenses on their way, and the money that is held: `commons show expenses`, `commons show holds --of money`."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.treasury.book import UNIT, BookQuestion, find_book
from shared.clock import utc_now

State = Literal["requested", "approved", "held", "paid", "failed", "rejected"]

_EXPENSES: Final = BookQuestion(
    "Expenses", ("expenses", "giving"),
    (
        Column("expense", "Expense", rank=1), Column("state", "State", rank=1),
        Column("amount", "Amount", "money", rank=1), UNIT, Column("payee", "To", rank=3),
        Column("payee_name", "Name", "sealed", rank=1), Column("description", "What for", "sealed"),
        Column("waits_for", "Waits for", rank=1), Column("submitter", "Asked by", rank=3),
        Column("approvers", "Approved by", rank=3), Column("needed", "Approvals needed", "number", rank=3),
        Column("version", "Version", "number", rank=4), Column("lines", "Accounts and funds", rank=3),
        Column("submitted_at", "Asked", "moment", rank=3), Column("approved_at", "Approved", "moment", rank=3),
        Column("paid_on", "Paid", "date"), Column("payer", "Paid by", rank=3), Column("reference", "Reference", rank=4),
        Column("entry", "Entry", rank=3), Column("reason", "Reason"),
    ),
    """SELECT e.*, p.name AS payee_name,
           coalesce(e.reason, e.failure) AS reason,
           (SELECT string_agg(l.account || CASE WHEN l.fund <> 'general' THEN ' of ' || l.fund ELSE '' END, ', ')
            FROM jsonb_to_recordset(e.lines) AS l(account text, fund text)) AS lines,
           CASE e.state
               WHEN 'requested' THEN CASE WHEN e.needed - jsonb_array_length(e.approvers) > 1
                        THEN e.needed - jsonb_array_length(e.approvers) || ' approvals' ELSE '1 approval' END
               WHEN 'approved' THEN 'its money to be held'
               WHEN 'held' THEN 'payment'
               WHEN 'failed' THEN 'somebody to pay again, change or reject it'
           END AS waits_for
    FROM (SELECT e.expense, e.state, e.amount, e.unit, e.payee, e.description, e.submitter, e.approvers, e.needed,
                 e.version, e.lines, e.submitted_at, e.approved_at, e.paid_on, e.payer, e.reference, e.entry, e.reason,
                 e.failure
          FROM expense_states e WHERE e.book = $1) e
    LEFT JOIN parties p ON p.party = e.payee
    WHERE CASE WHEN $2::text IS NULL THEN $3 OR e.state NOT IN ('paid', 'rejected') ELSE e.state = $2 END
    ORDER BY e.submitted_at DESC, e.expense""",
    "No expense is on its way.",
    sums=("amount",),
)  # fmt: skip

_HELD: Final = BookQuestion(
    "Money held", ("treasury_holds", "chart"),
    (
        Column("hold", "Hold", rank=1), Column("amount", "Amount", "money", rank=1), UNIT, Column("debited", "For"),
        Column("credited", "Out of"), Column("funds", "Funds", rank=1), Column("expense", "Expense"),
        Column("description", "Description"), Column("placed_at", "Since", "moment", rank=3),
        Column("expires_at", "Until", "moment", rank=1), Column("overdue", "Overdue", "flag", rank=1),
        Column("actor", "By", rank=3), Column("ended", "Ended"), Column("ended_at", "Ended at", "moment", rank=3),
        Column("entry", "Entry", rank=3), Column("reason", "Reason"),
    ),
    """SELECT h.*, l.*, h.ended IS NULL AND coalesce(h.expires_at < $3, false) AS overdue
    FROM money_holds h CROSS JOIN LATERAL (
        SELECT unit, sum(amount) FILTER (WHERE amount > 0)::bigint AS amount,
               string_agg(DISTINCT account, ', ') FILTER (WHERE amount > 0) AS debited,
               string_agg(DISTINCT account, ', ') FILTER (WHERE amount < 0) AS credited,
               string_agg(DISTINCT fund, ', ') AS funds
        FROM jsonb_to_recordset(h.lines) AS l(account text, fund text, unit text, amount bigint) GROUP BY unit) l
    WHERE h.book = $1 AND ($2 OR h.ended IS NULL)
    ORDER BY h.ended IS NOT NULL, h.placed_at DESC, h.hold, l.unit""",
    "No money is held.",
    sums=("amount",),
)  # fmt: skip


async def expenses(
    pool: asyncpg.Pool, *, book: str | None = None, state: State | None = None, ended: bool = False,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Expenses that wait for something, and for what; those of one state; with `ended`, the paid and rejected too."""
    found = await find_book(pool, book, at_least=at_least)
    return await _EXPENSES.ask(pool, found, state, ended, at_least=at_least)


async def money_held(
    pool: asyncpg.Pool, *, book: str | None = None, ended: bool = False, now: datetime | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Open holds, the newest first; with `ended`, those that are over too. One whose time is over counts until then."""
    found = await find_book(pool, book, at_least=at_least)
    return await _HELD.ask(pool, found, ended, now or utc_now(), at_least=at_least)
