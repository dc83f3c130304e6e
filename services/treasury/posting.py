"""Whether an entry may be posted to a book: its days, accounts, funds and units, its balance, and the limits.

What is wrong is given back and not raised, as a request may hold thousands of entries; `refuse` raises it. The checks
come in the order of TreasuryError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NoReturn

from services.treasury.contract import AccountKind, Breach, Posting, TreasuryError
from services.treasury.lines import Guard
from services.treasury.state import Book, GuardKey, effects, floor_of
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


def malformed(
    book: Book, debits: Sequence[Posting], credits: Sequence[Posting], *, spending: bool = True,  # noqa: A002
    moved: int = 0,
) -> Problem | None:  # fmt: skip
    """What is wrong with the postings of an entry, limits aside.

    With `spending`, a restricted fund pays by expenses alone; releases and reversals are not spending. `moved` is what
    the same decision posted before, in all: no balance can have changed by more.
    """
    accounts, funds, units, lines = book.accounts, book.funds, book.units, book.lines
    for postings in (debits, credits):
        for posting in postings:
            account = accounts.get(posting.account)
            fund = funds.get(posting.fund)
            if account is None or account.closed or fund is None or fund.closed or posting.unit not in units:
                return _unknown(book, (*debits, *credits))
            line = lines.get((posting.account, posting.fund, posting.unit))
            if posting.amount + moved + (abs(line.balance) if line is not None else 0) > MAX_INTEGER:
                return _out_of_range(book, posting)
    if len(debits) == 1 == len(credits):
        debit, credit = debits[0], credits[0]
        if debit.amount != credit.amount or debit.unit != credit.unit or debit.fund != credit.fund:
            return _unbalanced(book, debits, credits)
    elif problem := _unbalanced(book, debits, credits):
        return problem
    if len(debits) + len(credits) > 2 and (problem := _sum_out_of_range(book, debits, credits)):
        return problem
    return None if not spending else _purpose(book, debits)


def _unknown(book: Book, postings: Iterable[Posting]) -> Problem:
    """The first of the accounts, then funds, then units, that cannot be posted to."""
    postings = list(postings)
    for posting in postings:
        account = book.accounts.get(posting.account)
        if account is None or account.closed:
            code = TreasuryError.UNKNOWN_ACCOUNT if account is None else TreasuryError.ACCOUNT_CLOSED
            said = (
                f"There is no account {posting.account}" if account is None else f"Account {posting.account} is closed"
            )
            return Problem(code, f"{said}. Choose another, or open one with OpenAccount.", {"account": posting.account})
    for posting in postings:
        fund = book.funds.get(posting.fund)
        if fund is None or fund.closed:
            code = TreasuryError.UNKNOWN_FUND if fund is None else TreasuryError.FUND_CLOSED
            said = f"There is no fund {posting.fund}" if fund is None else f"Fund {posting.fund} is closed"
            return Problem(code, f"{said}. Choose another, or open one with OpenFund.", {"fund": posting.fund})
    unit = next(posting.unit for posting in postings if posting.unit not in book.units)
    known = ", ".join(sorted(book.units))
    return Problem(
        TreasuryError.UNKNOWN_UNIT,
        f"{unit} is no unit of this book, which has {known}. Register it with RegisterUnit.",
        {"unit": unit},
    )


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


def _out_of_range(book: Book, posting: Posting) -> Problem:
    return Problem(
        TreasuryError.OUT_OF_RANGE,
        f"The balance of account {posting.account} would pass {amount_text(book, MAX_INTEGER, posting.unit)}, the "
        "largest figure that every reader of the ledger reads exactly. Check the amount.",
        {"account": posting.account, "amount": posting.amount, "limit": MAX_INTEGER},
    )


def _sum_out_of_range(book: Book, debits: Iterable[Posting], credits: Iterable[Posting]) -> Problem | None:  # noqa: A002
    """An account may stand in several postings of one entry."""
    totals: dict[tuple[str, str, str], int] = {}
    for posting in (*debits, *credits):
        key = (posting.account, posting.fund, posting.unit)
        totals[key] = totals.get(key, 0) + posting.amount
        line = book.lines.get(key)
        if totals[key] + (abs(line.balance) if line is not None else 0) > MAX_INTEGER:
            return _out_of_range(book, posting)
    return None


def _purpose(book: Book, debits: Iterable[Posting]) -> Problem | None:
    """Whether a restricted fund pays for what it is not meant for."""
    for posting in debits:
        fund = book.funds[posting.fund]
        if not fund.limited:
            continue
        kind = book.accounts[posting.account].kind
        if kind is AccountKind.EXPENSE and fund.pays_for and posting.account not in fund.pays_for:
            allowed = ", ".join(sorted(fund.pays_for))
            return Problem(
                TreasuryError.FUND_PURPOSE,
                f"Fund {posting.fund} is restricted and does not pay for {posting.account}. It pays for: {allowed}. "
                "Take another fund.",
                {"fund": posting.fund, "account": posting.account, "pays_for": sorted(fund.pays_for)},
            )
        if kind in (AccountKind.INCOME, AccountKind.NET_ASSETS):
            return Problem(
                TreasuryError.FUND_PURPOSE,
                f"Fund {posting.fund} is restricted: {posting.account} is no expense that it pays for. Release the "
                "restriction with ReleaseRestriction, or reverse the entry that brought the money.",
                {"fund": posting.fund, "account": posting.account},
            )
    return None


# -- limits -----------------------------------------------------------------------------------------------------------


_RANK: Final = {code: rank for rank, code in enumerate(TreasuryError)}


class Guards:
    """The guards of a book as they will be once what was decided so far in one decision is folded."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._own: dict[GuardKey, Guard] = {}

    def get(self, key: GuardKey) -> Guard:
        return self._own.get(key) or self.book.guards.get(key) or Guard()

    def _mine(self, key: GuardKey) -> Guard:
        if key not in self._own:
            self._own[key] = self.get(key).copy()
        return self._own[key]

    def post(self, day: int, changes: Mapping[GuardKey, int]) -> None:
        """Let an entry that was found right change them."""
        for key, change in changes.items():
            if change:
                self._mine(key).add(day, change)

    def free(self, changes: Mapping[GuardKey, int]) -> None:
        """Let go of what a hold of these effects took."""
        for key, change in changes.items():
            if change < 0:
                self._mine(key).held += change

    def copy(self) -> Guards:
        made = Guards(self.book)
        made._own = {key: guard.copy() for key, guard in self._own.items()}
        return made


@dataclass(frozen=True, slots=True)
class Broken:
    """A limit that an entry would break: where, on which day, the figure then, and the least that it may be."""

    code: TreasuryError
    key: GuardKey
    day: int
    balance: int
    limit: int
    held: int

    def breach(self, entry: str) -> Breach:
        """How the event of a fact names it."""
        kind, id, unit = self.key
        return Breach(
            code=self.code, entry=entry, account=id if kind == "account" else None, fund=id if kind == "fund" else None,
            unit=unit, date=date.fromordinal(self.day), balance=self.balance, limit=self.limit,
        )  # fmt: skip

    def problem(self, book: Book) -> Problem:
        kind, id, unit = self.key
        figure, limit = amount_text(book, self.balance, unit), amount_text(book, self.limit, unit)
        what = f"Account {id}" if kind == "account" else f"The net assets of fund {id}"
        day = date.fromordinal(self.day)
        facts = {kind: id, "unit": unit, "date": str(day), "balance": self.balance, "limit": self.limit}
        if self.code is TreasuryError.FUND_NOT_YET_AVAILABLE:
            return Problem(
                self.code, f"Fund {id} may not be spent before {day}. Date it later, or take another.", facts
            )
        if self.code is TreasuryError.BREAKS_LATER_DAY:
            return Problem(
                self.code,
                f"{what} would stand at {figure} on {day}, and may not go below {limit}: later entries need what this "
                "one takes. Date it later, or report it as a fact.",
                facts,
            )
        held = f", {amount_text(book, self.held, unit)} being held" if self.held else ""
        return Problem(
            self.code,
            f"{what} would stand at {figure}{held}, and may not go below {limit}.",
            facts | {"held": self.held},
        )


def broken_limits(
    guards: Guards, day: int, changes: Mapping[GuardKey, int], *, held: bool = True
) -> list[Broken]:  # fmt: skip
    """The limits that an entry of a day would break; what only gains breaks none.

    Checks of the past ignore holds; without `held`, those of the present do too.
    """
    found: list[Broken] = []
    book = guards.book
    for key, change in changes.items():
        if change >= 0:
            continue
        guard, floor = guards.get(key), floor_of(book, key)
        if key[0] == "fund":
            available = book.funds[key[1]].available_from
            if available is not None and day < available:
                found.append(Broken(TreasuryError.FUND_NOT_YET_AVAILABLE, key, available, 0, 0, 0))
                continue
        if guard.days and day < guard.days[-1]:
            low, when = guard.lowest_from(day)
            if low + change < floor:
                found.append(Broken(TreasuryError.BREAKS_LATER_DAY, key, when, low + change, floor, 0))
                continue
        taken = guard.held if held else 0
        if guard.balance + change - taken < floor:
            code = TreasuryError.ACCOUNT_LIMIT if key[0] == "account" else TreasuryError.FUND_LIMIT
            found.append(Broken(code, key, day, guard.balance + change - taken, floor, taken))
    found.sort(key=lambda broken: _RANK[broken.code])
    return found


def judge(
    book: Book, entry: str, day: date, debits: Sequence[Posting], credits: Sequence[Posting], *,  # noqa: A002
    last: date, fact: bool = False, spending: bool = True, guards: Guards | None = None,
) -> tuple[Breach, ...]:  # fmt: skip
    """Refuse an entry that may not be posted; of a fact, name the limits that it broke."""
    if problem := wrong_day(book, day, last):
        refuse(problem)
    return judge_postings(book, entry, day, debits, credits, fact=fact, spending=spending, guards=guards)


def judge_postings(
    book: Book, entry: str, day: date, debits: Sequence[Posting], credits: Sequence[Posting], *,  # noqa: A002
    fact: bool = False, spending: bool = True, guards: Guards | None = None, moved: int = 0,
) -> tuple[Breach, ...]:  # fmt: skip
    """The same for an entry whose day is beyond question, such as a year's closing entry."""
    if problem := malformed(book, debits, credits, spending=spending and not fact, moved=moved):
        refuse(problem)
    breaches: list[Breach] = []
    if fact and (problem := _purpose(book, debits)):
        fund = problem.facts["fund"]
        posting = next(p for p in debits if p.fund == fund)
        breaches.append(
            Breach(
                code=problem.code, entry=entry, account=problem.facts["account"], fund=fund, unit=posting.unit,
                date=day, balance=posting.amount, limit=0,
            )
        )  # fmt: skip
    found = broken_limits(guards or Guards(book), day.toordinal(), effects(book, debits, credits))
    if found and not fact:
        refuse(found[0].problem(book))
    return (*breaches, *(one.breach(entry) for one in found))
