"""Periods: closed and reopened; and the closing entry of a year."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Final

from services.treasury import rules
from services.treasury.contract import (
    AccountKind,
    ClosePeriod,
    CloseYear,
    PeriodClosed,
    PeriodReopened,
    Posting,
    ReopenPeriod,
    TreasuryError,
    YearClosed,
)
from services.treasury.limits import judge
from services.treasury.posting import opened, rejected, today
from services.treasury.rules import posted_before
from services.treasury.state import Book
from shared.decider import Context

_CLOSING_BYTES: Final = 42_000
"""What the postings of one closing entry may take: an event has room for them, for breaches, and for a reason."""

_POSTING_BYTES: Final = 82
"""Of a posting in an event, beside the ids of its account and fund: names of fields, an amount, a unit."""


def close_period(command: ClosePeriod, book: Book, context: Context) -> PeriodClosed | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    through, last = command.through.toordinal(), today(book, context.now)
    if through == book.closed:
        return None
    if through < book.starts:
        raise _before_start(command.through, book)
    if through < book.closed:
        raise rejected(
            TreasuryError.PERIOD_CLOSED,
            f"The book is closed up to {date.fromordinal(book.closed)} already. To open days again, use ReopenPeriod.",
            closed_through=str(date.fromordinal(book.closed)),
        )  # fmt: skip
    if command.through >= last:
        raise rejected(
            TreasuryError.DATE_OUTSIDE_BOOK, f"{command.through} is not over (it is {last}): close it tomorrow.",
            through=str(command.through), today=str(last),
        )  # fmt: skip
    return PeriodClosed(
        book=command.book, through=command.through, note=command.note, before=_closed_through(book, book.closed),
        occurred_at=at,
    )  # fmt: skip


def reopen_period(command: ReopenPeriod, book: Book, context: Context) -> PeriodReopened | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    since = command.since.toordinal()
    if since > book.closed:
        return None
    if since < book.starts:
        raise _before_start(command.since, book)
    if book.years and since <= book.years[-1][0]:
        end, entry = book.years[-1]
        raise rejected(
            TreasuryError.YEAR_CLOSED,
            f"The year that ended on {date.fromordinal(end)} has its closing entry {entry}. Reverse that with "
            "ReverseEntry, then open the days again.",
            through=str(date.fromordinal(end)), entry=entry,
        )  # fmt: skip
    return PeriodReopened(
        book=command.book, since=command.since, reason=command.reason, closed_through=_closed_through(book, since - 1),
        occurred_at=at,
    )  # fmt: skip


def close_year(command: CloseYear, book: Book, context: Context) -> YearClosed | None:
    at = rules.when(command.occurred_at, context)
    opened(book, command.book)
    if posted_before(command, context, YearClosed):
        return None
    through = command.through.toordinal()
    if through < book.starts:
        raise _before_start(command.through, book)
    if through > book.closed:
        raise rejected(
            TreasuryError.PERIOD_OPEN,
            f"Days up to {command.through} still take entries. Close them first, with ClosePeriod.",
            through=str(command.through),
        )  # fmt: skip
    starts = _start_of(command, book, through)
    debits, credits, left = _closing(book, through)  # noqa: A001
    breaches = judge(book, command.entry, command.through, debits, credits, fact=True, spending=False)
    return YearClosed(
        book=command.book, entry=command.entry, date=command.through, through=command.through, debits=debits,
        credits=credits, breaches=breaches, starts=starts, left=left, occurred_at=at,
    )  # fmt: skip


def _start_of(command: CloseYear, book: Book, through: int) -> date:
    """The first day of the year that is to be closed. Refuses one that is closed, or is not the next."""
    last, entry = book.years[-1] if book.years else (book.starts - 1, "")
    unfinished = bool(book.years) and bool(_open_lines(book, last))
    if book.years and (through < last or (through == last and not unfinished)):
        raise rejected(
            TreasuryError.YEAR_CLOSED,
            f"The year that ended on {date.fromordinal(last)} was closed by {entry} already.", entry=entry,
        )  # fmt: skip
    if unfinished:
        last = next((end for end, _ in reversed(book.years) if end < last), book.starts - 1)
    starts = date.fromordinal(last + 1)
    ends = _year_end(starts, book.year_end)
    if command.through != ends:
        raise rejected(
            TreasuryError.INVALID_RANGE,
            f"The year to close next is the one that ends on {ends}, and not on {command.through}. Years are closed "
            "one after another" + (", and of that one a part is left." if unfinished else "."),
            through=str(command.through), ends=str(ends),
        )  # fmt: skip
    return starts


def _open_lines(book: Book, through: int) -> list[tuple[tuple[str, str, str], int]]:
    """The income and expense lines that are not zero at the end of a day, in order, with their balances."""
    return [
        (key, balance)
        for key, line in sorted(book.lines.items())
        if book.accounts[key[0]].kind in (AccountKind.INCOME, AccountKind.EXPENSE)
        and (balance := line.at_end_of(through))
    ]


def _closing(book: Book, through: int) -> tuple[tuple[Posting, ...], tuple[Posting, ...], int]:
    """Takes income and expense accounts to zero at the end of a day, each fund's result to its net assets.

    All of them, or as many as fit into one event; gives how many lines are left for the next.
    """
    debits: list[Posting] = []
    credits: list[Posting] = []  # noqa: A001
    results: dict[tuple[str, str], int] = {}
    lines, room = _open_lines(book, through), _CLOSING_BYTES
    left = len(lines)
    for (account, fund, unit), balance in lines:
        room -= len(account) + len(fund) + _POSTING_BYTES
        if (fund, unit) not in results:
            room -= len(book.funds[fund].net_assets) + len(fund) + _POSTING_BYTES
        if room < 0:
            break
        left -= 1
        side = credits if balance > 0 else debits
        side.append(Posting(account=account, amount=abs(balance), unit=unit, fund=fund))
        results[fund, unit] = results.get((fund, unit), 0) + balance
    for (fund, unit), result in sorted(results.items()):
        if result:
            side = debits if result > 0 else credits
            side.append(Posting(account=book.funds[fund].net_assets, amount=abs(result), unit=unit, fund=fund))
    return tuple(debits), tuple(credits), left


def _year_end(day: date, year_end: str) -> date:
    """The last day of the fiscal year of a day; one that ends on 29 February ends on the 28th when there is no 29th."""
    month, number = map(int, year_end.split("-"))
    return next(end for year in (day.year, day.year + 1) if (end := _in_month(year, month, number)) >= day)


def _in_month(year: int, month: int, number: int) -> date:
    return date(year, month, min(number, monthrange(year, month)[1]))


def _before_start(day: date, book: Book) -> Exception:
    starts = date.fromordinal(book.starts)
    return rejected(
        TreasuryError.DATE_OUTSIDE_BOOK, f"{day} is before the book's first day, {starts}. Choose a later one.",
        date=str(day), starts=str(starts),
    )  # fmt: skip


def _closed_through(book: Book, day: int) -> date | None:
    return date.fromordinal(day) if day >= book.starts else None
