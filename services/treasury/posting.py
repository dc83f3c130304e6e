"""Whether an entry has the form to be posted to a book: its day, accounts, funds and units, and that it balances.

What is wrong is given back and not raised, as a request may hold thousands of entries; `refuse` raises it. The checks
come in the order of TreasuryError; limits, which are looked at last, are in limits.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

from services.treasury.contract import AccountKind, Entry, Posting, TreasuryError
from services.treasury.lines import Line
from services.treasury.state import Book
from shared.errors import Rejected
from shared.types import MAX_INTEGER


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an entry is not posted: a code, a sentence for people, and the figures behind it."""

    code: TreasuryError
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def refuse(problem: Problem) -> NoReturn:
    raise Rejected(problem.code, problem.detail, **problem.facts)


def rejected(code: TreasuryError, detail: str, **facts: Any) -> Rejected:
    """A refusal, to be raised."""
    return Rejected(code, detail, **facts)


def today(book: Book, now: datetime) -> date:
    """The day at the book's place."""
    return (now.astimezone(UTC) + timedelta(minutes=book.utc_offset)).date()


def opened(book: Book, id: str) -> None:
    """Refuse to decide for a book that was never opened."""
    if not book.units:
        raise rejected(TreasuryError.UNKNOWN_BOOK, f"There is no book {id}. Open it first, with OpenBook.", book=id)


def amount_text(book: Book, amount: int, unit: str) -> str:
    """An amount for people: `1,234.50 EUR`."""
    scale = book.units.get(unit, 0)
    whole, part = divmod(abs(amount), 10**scale)
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole:,}{f'.{part:0{scale}}' if scale else ''} {unit}"


# -- the form of an entry ---------------------------------------------------------------------------------------------


def wrong_day(book: Book, day: date, last: date) -> Problem | None:
    """What is wrong with the day of an entry; `last` is today."""
    if book.closed < day.toordinal() <= last.toordinal():
        return None
    if day > last:
        return Problem(
            TreasuryError.DATE_OUTSIDE_BOOK,
            f"{day} is yet to come (it is {last}). Post what has happened; hold what is to come.",
            {"date": str(day), "today": str(last)},
        )
    if day.toordinal() < book.starts:
        starts = date.fromordinal(book.starts)
        return Problem(
            TreasuryError.DATE_OUTSIDE_BOOK,
            f"{day} is before the book's first day, {starts}. Post an opening balance on that day instead.",
            {"date": str(day), "starts": str(starts)},
        )
    through = date.fromordinal(book.closed)
    return Problem(
        TreasuryError.PERIOD_CLOSED,
        f"{day} is closed: nothing is posted to a day up to {through}. Date it later, or reopen the period.",
        {"date": str(day), "closed_through": str(through)},
    )


def posting_day(given: date | None, book: Book, now: datetime) -> date:
    """The day of an entry: the one given, or today. Refuses one that takes no entries."""
    last = today(book, now)
    day = given or last
    if problem := wrong_day(book, day, last):
        refuse(problem)
    return day


def malformed(
    book: Book, debits: Sequence[Posting], credits: Sequence[Posting], *, spending: bool = True,  # noqa: A002
    before: Iterable[Entry] = (), moved: int = 0,
) -> Problem | None:  # fmt: skip
    """What is wrong with the postings of an entry, limits aside.

    With `spending`, a restricted fund pays by expenses alone; releases and reversals are not spending. `before` are the
    entries that the same decision posts before this one, and `moved` the sum of their amounts: no balance has changed
    by more, so they are looked through only when so much could matter.
    """
    accounts, funds, units, lines = book.accounts, book.funds, book.units, book.lines
    most, limited = 0, False
    for postings in (debits, credits):
        for posting in postings:
            account = accounts.get(posting.account)
            fund = funds.get(posting.fund)
            if account is None or account.closed or fund is None or fund.closed or posting.unit not in units:
                return _unknown(book, (*debits, *credits))
            limited = limited or fund.limited
            moved += posting.amount
            line = lines.get((posting.account, posting.fund, posting.unit))
            if line is not None and line.peak > most:
                most = line.peak
    if len(debits) == 1 == len(credits):
        debit, credit = debits[0], credits[0]
        if debit.amount != credit.amount or debit.unit != credit.unit or debit.fund != credit.fund:
            return _unbalanced(book, debits, credits)
        if debit.account == credit.account:
            return _nothing_moves(debits)
    elif problem := _unbalanced(book, debits, credits):
        return problem
    elif debits and not any(_sums(debits, credits).values()):
        return _nothing_moves(debits)
    if moved + most > MAX_INTEGER and (problem := _out_of_range(book, debits, credits, before)):
        return problem
    return next((problem for _, problem in misspent(book, debits)), None) if spending and limited else None


def _unknown(book: Book, postings: Iterable[Posting]) -> Problem:
    """The first of the accounts, then funds, then units, that cannot be posted to."""
    postings = list(postings)
    if problem := unusable_accounts(book, [posting.account for posting in postings]):
        return problem
    funds = [(posting.fund, book.funds.get(posting.fund)) for posting in postings]
    for id, fund in funds:
        if fund is None:
            return Problem(
                TreasuryError.UNKNOWN_FUND, f"There is no fund {id} in this book. Check its name, or open it first.",
                {"fund": id},
            )  # fmt: skip
    for id, fund in funds:
        if fund is not None and fund.closed:
            return Problem(
                TreasuryError.FUND_CLOSED,
                f"Fund {id} is closed. Choose another, or open it again with OpenFund.", {"fund": id},
            )  # fmt: skip
    unit = next(posting.unit for posting in postings if posting.unit not in book.units)
    known = ", ".join(sorted(book.units))
    return Problem(
        TreasuryError.UNKNOWN_UNIT,
        f"{unit} is no unit of this book, which has {known}. Register it with RegisterUnit.",
        {"unit": unit},
    )


def unusable_accounts(book: Book, ids: Sequence[str]) -> Problem | None:
    """The first of some accounts that is not there; else the first that is closed."""
    for id in ids:
        if id not in book.accounts:
            return Problem(
                TreasuryError.UNKNOWN_ACCOUNT,
                f"There is no account {id} in this book. Check its name, or open it first.", {"account": id},
            )  # fmt: skip
    for id in ids:
        if book.accounts[id].closed:
            return Problem(
                TreasuryError.ACCOUNT_CLOSED,
                f"Account {id} is closed. Choose another, or open it again with OpenAccount.", {"account": id},
            )  # fmt: skip
    return None


def of_kinds(book: Book, *wanted: tuple[str, tuple[AccountKind, ...]]) -> None:
    """Refuse accounts that are not there, are closed, or are not of the kinds that each may have."""
    if problem := unusable_accounts(book, [account for account, _ in wanted]):
        refuse(problem)
    for account, kinds in wanted:
        kind = book.accounts[account].kind
        if kind not in kinds:
            raise rejected(
                TreasuryError.WRONG_ACCOUNT_KIND,
                f"Account {account} is of kind {kind}; this takes one of {' or '.join(kinds)}.",
                account=account, kind=kind,
            )  # fmt: skip


def of_kind(book: Book, account: str, *kinds: AccountKind) -> None:
    """Refuse an account that is not there, is closed, or is not of one of these kinds."""
    of_kinds(book, (account, kinds))


def _unbalanced(book: Book, debits: Iterable[Posting], credits: Iterable[Posting]) -> Problem | None:  # noqa: A002
    totals: dict[tuple[str, str], list[int]] = {}
    for side, postings in enumerate((debits, credits)):
        for posting in postings:
            totals.setdefault((posting.fund, posting.unit), [0, 0])[side] += posting.amount
    for (fund, unit), (debit, credit) in totals.items():
        if debit != credit:
            return Problem(
                TreasuryError.UNBALANCED,
                f"In fund {fund}, debits are {amount_text(book, debit, unit)} and credits "
                f"{amount_text(book, credit, unit)}. They must be equal for each unit within each fund.",
                {"fund": fund, "unit": unit, "debits": debit, "credits": credit},
            )
    return None


def _nothing_moves(postings: Sequence[Posting]) -> Problem:
    accounts = sorted({posting.account for posting in postings})
    return Problem(
        TreasuryError.NOTHING_MOVES,
        f"The entry debits and credits the same for {', '.join(accounts)}, so no balance would change. Check the "
        "accounts.",
        {"accounts": accounts},
    )


def _out_of_range(
    book: Book, debits: Sequence[Posting], credits: Sequence[Posting], before: Iterable[Entry]  # noqa: A002
) -> Problem | None:  # fmt: skip
    """Whether a balance, on any day, would pass what every reader of the ledger reads exactly."""
    changes = _sums(debits, credits)
    lines = {key: book.lines[key].copy() if key in book.lines else Line() for key in changes}
    for entry in before:
        for key, change in _sums(entry.debits, entry.credits).items():
            if key in lines:
                lines[key].add(entry.date.toordinal(), change)
    for (account, fund, unit), change in changes.items():
        ends = lines[account, fund, unit].ends
        if max(abs(min(ends, default=0) + change), abs(max(ends, default=0) + change)) > MAX_INTEGER:
            return too_large(book, f"account {account}", unit)
    return None


def too_large(book: Book, what: str, unit: str) -> Problem:
    return Problem(
        TreasuryError.OUT_OF_RANGE,
        f"The balance of {what} would pass {amount_text(book, MAX_INTEGER, unit)}, the largest figure that every "
        "reader of the ledger reads exactly. Check the amount.",
        {"what": what, "unit": unit, "limit": MAX_INTEGER},
    )


def _sums(debits: Iterable[Posting], credits: Iterable[Posting]) -> dict[tuple[str, str, str], int]:  # noqa: A002
    """What postings do to each account, fund and unit; debits count as positive."""
    sums: dict[tuple[str, str, str], int] = {}
    for sign, postings in ((1, debits), (-1, credits)):
        for posting in postings:
            key = (posting.account, posting.fund, posting.unit)
            sums[key] = sums.get(key, 0) + sign * posting.amount
    return sums


def misspent(book: Book, debits: Iterable[Posting]) -> Iterator[tuple[Posting, Problem]]:
    """What of an entry a restricted fund pays and is not meant for."""
    for posting in debits:
        fund = book.funds[posting.fund]
        if not fund.limited:
            continue
        kind = book.accounts[posting.account].kind
        if kind is AccountKind.EXPENSE and fund.pays_for and posting.account not in fund.pays_for:
            allowed = ", ".join(sorted(fund.pays_for))
            why = f"Fund {posting.fund} is restricted and does not pay for {posting.account}. It pays for: {allowed}. "
            why += "Take another fund."
        elif kind in (AccountKind.INCOME, AccountKind.NET_ASSETS):
            why = (
                f"Fund {posting.fund} is restricted: {posting.account} is no expense that it pays for. Release the "
                "restriction with ReleaseRestriction, or reverse the entry that brought the money."
            )
        else:
            continue
        facts = {"fund": posting.fund, "account": posting.account, "pays_for": sorted(fund.pays_for)}
        yield posting, Problem(TreasuryError.FUND_PURPOSE, why, facts)
