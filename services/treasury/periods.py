"""Periods: closed and reopened; and the closing entry of a year."""

from __future__ import annotations

from calendar import monthrange
from datetime import date

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
    if book.years and through <= book.years[-1][0]:
        raise rejected(
            TreasuryError.YEAR_CLOSED,
            f"The year that ended on {date.fromordinal(book.years[-1][0])} was closed by {book.years[-1][1]} already.",
            entry=book.years[-1][1],
        )  # fmt: skip
    starts = date.fromordinal(book.years[-1][0] + 1 if book.years else book.starts)
    ends = _year_end(starts, book.year_end)
    if command.through != ends:
        raise rejected(
            TreasuryError.INVALID_RANGE,
            f"The year to close next is the one that ends on {ends}, and not on {command.through}. Years are closed "
            "one after another.",
            through=str(command.through), ends=str(ends),
        )  # fmt: skip
    debits, credits = _closing(book, through)  # noqa: A001
    breaches = judge(book, command.entry, command.through, debits, credits, fact=True, spending=False)
    return YearClosed(
        book=command.book, entry=command.entry, date=command.through, through=command.through, debits=debits,
        credits=credits, breaches=breaches, starts=starts, occurred_at=at,
    )  # fmt: skip


def _closing(book: Book, through: int) -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
    """Takes every income and expense account to zero at the end of a day, each fund's result to its net assets."""
    debits: list[Posting] = []
    credits: list[Posting] = []  # noqa: A001
    results: dict[tuple[str, str], int] = {}
    for (account, fund, unit), line in sorted(book.lines.items()):
        if book.accounts[account].kind in (AccountKind.INCOME, AccountKind.EXPENSE):
            balance = line.at_end_of(through)
            if balance:
                side = credits if balance > 0 else debits
                side.append(Posting(account=account, amount=abs(balance), unit=unit, fund=fund))
                results[fund, unit] = results.get((fund, unit), 0) + balance
    for (fund, unit), result in sorted(results.items()):
        if result:
            side = debits if result > 0 else credits
            side.append(Posting(account=book.funds[fund].net_assets, amount=abs(result), unit=unit, fund=fund))
    return tuple(debits), tuple(credits)


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
