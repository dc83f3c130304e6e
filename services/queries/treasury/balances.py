"""Balances: trial balance, the statement of an account, and what each fund has: `commons show trial-balance`.

As of a day by when entries happened (`as_of`), by when they were recorded (`recorded`), or both.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.treasury.book import SIGN, UNIT, BookQuestion, find_book, known_in, span
from shared.errors import Invalid

MAX_ROWS: Final = 100_000

_ACCOUNT: Final = (Column("account", "Account", rank=1), Column("name", "Name"), Column("kind", "Kind"))
_FUND: Final = (Column("fund", "Fund"),)
_SIDES: Final = (Column("debit", "Debit", "money", rank=1), Column("credit", "Credit", "money", rank=1), UNIT)

# What was recorded by a moment is in the journal alone, which takes longer to sum up.
_BY_DAY: Final = (
    "SELECT account, fund, unit, debit - credit AS amount FROM daily_balances"
    " WHERE book = $1 AND ($2::date IS NULL OR date <= $2) AND $3::timestamptz IS NULL"
)
_BY_RECORD: Final = (
    "SELECT account, fund, unit, amount FROM postings"
    " WHERE book = $1 AND ($2::date IS NULL OR date <= $2) AND recorded_at <= $3::timestamptz"
)


def _trial_balance(recorded: bool, by_fund: bool) -> BookQuestion:
    group = "m.account, m.fund, m.unit" if by_fund else "m.account, m.unit"
    return BookQuestion(
        "Trial balance by fund" if by_fund else "Trial balance",
        ("journal" if recorded else "trial_balance", "chart"),
        (*_ACCOUNT, *(_FUND if by_fund else ()), *_SIDES),
        f"""WITH moved AS ({_BY_RECORD if recorded else _BY_DAY}),
        sums AS (SELECT {group.replace("m.", "")}, sum(amount)::bigint AS balance FROM moved m GROUP BY {group})
        SELECT m.account, a.name, a.kind, {"m.fund," if by_fund else ""} m.unit,
               CASE WHEN balance > 0 THEN balance END AS debit, CASE WHEN balance < 0 THEN -balance END AS credit
        FROM sums m LEFT JOIN accounts a ON (a.book, a.account) = ($1, m.account)
        WHERE balance <> 0
        ORDER BY array_position(ARRAY['asset', 'liability', 'net_assets', 'income', 'expense'], a.kind), {group}""",  # noqa: S608
        "Nothing has been posted.",
        sums=("debit", "credit"),
    )


_TRIAL_BALANCES: Final = {
    (recorded, by_fund): _trial_balance(recorded, by_fund) for recorded in (False, True) for by_fund in (False, True)
}

_STATEMENT: Final = BookQuestion(
    "Account statement", ("journal", "chart"),
    (
        Column("date", "Date", "date", rank=1), Column("entry", "Entry"), Column("kind", "Kind", rank=3),
        Column("description", "Description", rank=1), Column("party", "Party", rank=3),
        Column("reference", "Reference", rank=3), Column("fund", "Fund", rank=3),
        Column("debit", "Debit", "money", rank=1), Column("credit", "Credit", "money", rank=1),
        Column("balance", "Balance", "money", rank=1), UNIT, Column("state", "State"),
        Column("recorded_at", "Recorded", "moment", rank=4), Column("actor", "By", rank=4),
        Column("sequence", "Event", "number", rank=4),
    ),
    f"""WITH moved AS (
        SELECT p.*, (sum(p.amount) OVER (PARTITION BY p.unit ORDER BY p.date, p.sequence, p.number) * {SIGN})::bigint
                   AS balance
        FROM postings p JOIN accounts a USING (book, account)
        WHERE p.book = $1 AND p.account = $2 AND ($3::text IS NULL OR p.fund = $3)
          AND ($5::date IS NULL OR p.date <= $5) AND ($6::timestamptz IS NULL OR p.recorded_at <= $6)),
    shown AS (
        SELECT m.date, m.entry, e.kind, e.description, e.party, e.reference, m.fund,
               CASE WHEN m.amount > 0 THEN m.amount END AS debit, CASE WHEN m.amount < 0 THEN -m.amount END AS credit,
               m.balance, m.unit,
               nullif(concat_ws(', ', 'reversed by ' || e.reversed_by, 'reverses ' || e.reverses), '') AS state,
               m.recorded_at, e.actor, m.sequence, m.number
        FROM moved m LEFT JOIN entries e USING (book, entry)
        WHERE $4::date IS NULL OR m.date >= $4
        ORDER BY m.date DESC, m.sequence DESC, m.number DESC LIMIT $7)
    SELECT * FROM shown
    UNION ALL
    SELECT $4, NULL, NULL, 'Brought forward', NULL, NULL, NULL, NULL, NULL, balance, unit, NULL, NULL, NULL, NULL, NULL
    FROM (SELECT DISTINCT ON (unit) unit, balance FROM moved WHERE date < $4
          ORDER BY unit, date DESC, sequence DESC, number DESC) before
    ORDER BY date, sequence NULLS FIRST, number""",  # noqa: S608  # made of constants
    "Nothing was posted to it.",
)  # fmt: skip

_FUNDS: Final = BookQuestion(
    "Funds", ("trial_balance", "treasury_holds", "chart"),
    (
        Column("fund", "Fund", rank=1), Column("name", "Name"), Column("restriction", "Restricted to"),
        Column("purpose", "Purpose", rank=3), Column("available_from", "Not before", "date", rank=3),
        Column("net_assets", "Net assets", "money", rank=1), Column("held", "Held", "money", rank=1),
        Column("advance", "Advance", "money"), Column("available", "Net assets less held", "money", rank=1), UNIT,
        Column("closed_at", "Closed", "moment", rank=3),
    ),
    """WITH net AS (
        SELECT d.fund, d.unit, sum(d.debit - d.credit)::bigint AS net_assets, 0::bigint AS held
        FROM daily_balances d JOIN accounts a USING (book, account)
        WHERE d.book = $1 AND a.kind IN ('asset', 'liability') AND ($2::date IS NULL OR d.date <= $2)
        GROUP BY d.fund, d.unit
        UNION ALL
        SELECT l.fund, l.unit, 0, -sum(l.amount)::bigint
        FROM money_holds h JOIN books b USING (book)
        CROSS JOIN LATERAL (SELECT make_interval(mins => b.utc_offset) AS east) clock
        CROSS JOIN jsonb_to_recordset(h.lines) AS l(account text, fund text, unit text, amount bigint)
        JOIN accounts a ON (a.book, a.account) = (h.book, l.account)
        WHERE h.book = $1 AND a.kind IN ('asset', 'liability')
          AND CASE WHEN $2::date IS NULL THEN h.ended IS NULL
                   ELSE (h.placed_at AT TIME ZONE 'UTC' + clock.east)::date <= $2
                        AND (h.ended_at IS NULL OR (h.ended_at AT TIME ZONE 'UTC' + clock.east)::date > $2) END
        GROUP BY l.fund, l.unit),
    figures AS (SELECT fund, unit, sum(net_assets)::bigint AS net_assets, sum(held)::bigint AS held
                FROM net GROUP BY fund, unit)
    SELECT f.fund, f.name, nullif(f.restriction, 'none') AS restriction, f.purpose, f.available_from, f.closed_at,
           coalesce(g.net_assets, 0) AS net_assets, nullif(coalesce(g.held, 0), 0) AS held,
           coalesce(g.unit, b.unit) AS unit, allowed.advance,
           coalesce(g.net_assets, 0) - coalesce(g.held, 0) + coalesce(allowed.advance, 0) AS available
    FROM funds f JOIN books b USING (book) LEFT JOIN figures g USING (fund)
    CROSS JOIN LATERAL (SELECT CASE WHEN f.restriction <> 'none' AND f.advance > 0 AND coalesce(g.unit, b.unit) = b.unit
                                    THEN f.advance END AS advance) allowed
    WHERE f.book = $1 AND ($3 OR f.closed_at IS NULL)
    ORDER BY f.restriction <> 'none', f.fund, unit""",
    "There are no funds yet.",
    sums=("net_assets", "held", "available"),
)  # fmt: skip

_NOT_ALL_MONEY: Final = (
    "Net assets are everything a fund has, equipment and goods too, less what it owes; what can be paid out is on the "
    "bank accounts."
)


async def trial_balance(
    pool: asyncpg.Pool, *, book: str | None = None, as_of: date | None = None, recorded: datetime | None = None,
    by_fund: bool = False, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Each account's balance, in the column of its side; the two columns have the same total in every unit."""
    found = await find_book(pool, book, at_least=at_least)
    about = ", ".join(
        part
        for part in (f"as of {as_of or found.today}", recorded and f"as recorded by {recorded:%Y-%m-%d %H:%MZ}")
        if part
    )
    question = _TRIAL_BALANCES[recorded is not None, by_fund]
    return await question.ask(pool, found, as_of, recorded, about=about, at_least=at_least)


async def account(
    pool: asyncpg.Pool, *, account: str, book: str | None = None, fund: str | None = None, first: date | None = None,
    last: date | None = None, recorded: datetime | None = None, limit: int = 1000, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """The postings of an account in order of their days, with the running balance in the account's own direction.

    `first` and `last` are days; what was before is brought forward. Of more than `limit` postings, only the newest are
    given.
    """
    if not 1 <= limit <= MAX_ROWS:
        raise Invalid(f"`limit` is from 1 to {MAX_ROWS:,} postings; {limit:,} is not.")
    found = await find_book(pool, book, at_least=at_least)
    await known_in(pool, found, "account", account)
    await known_in(pool, found, "fund", fund)
    about = ", ".join(part for part in (account, fund, span(first, last)) if part)
    given = await _STATEMENT.ask(
        pool, found, account, fund, first, last, recorded, limit, about=about, at_least=at_least
    )
    if len(given.rows) >= limit:
        return replace(given, message=f"The newest {limit:,}; --limit gives more.")
    return given


async def funds(
    pool: asyncpg.Pool, *, book: str | None = None, as_of: date | None = None, closed: bool = False,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """What each fund has: net assets (assets less liabilities), what of it is held, and what is left of them then.

    Net assets count what cannot be paid out too, such as equipment. A restricted fund may be overspent by its advance.
    With `as_of`, net assets are those of that day, and holds are those that were placed by then and had not ended; one
    that a failed payment opened again counts from that day on.
    """
    found = await find_book(pool, book, at_least=at_least)
    given = await _FUNDS.ask(pool, found, as_of, closed, about=f"as of {as_of or found.today}", at_least=at_least)
    if not given.rows:
        return given
    return replace(given, message=_NOT_ALL_MONEY)
