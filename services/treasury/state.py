"""The book as its events make it: chart, funds, balances, holds, dues, rules and periods; and the fold of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.treasury.contract import (
    DEFAULT_FUND,
    AccountClosed,
    AccountKind,
    AccountOpened,
    ApprovalRuleSet,
    BookOpened,
    BudgetSet,
    DonationAcknowledged,
    DuesAssessed,
    DuesReceived,
    DuesWaived,
    EntriesPosted,
    EntryReversed,
    ExpensePaid,
    FundClosed,
    FundOpened,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    Journal,
    PaymentFailed,
    PeriodClosed,
    PeriodReopened,
    Posting,
    Restriction,
    ReviewResolved,
    UnitRegistered,
    YearClosed,
    entries_of,
)
from services.treasury.lines import Guard, Line

_GROWS_BY_DEBITS: Final = frozenset({AccountKind.ASSET, AccountKind.EXPENSE})
_OWNED_OR_OWED: Final = frozenset({AccountKind.ASSET, AccountKind.LIABILITY})

GuardKey = tuple[str, str, str]
"""`account` or `fund`, its id, and the unit."""


@dataclass(slots=True)
class Account:
    """An account of the chart. `sign` is 1 when it grows by debits, -1 when by credits."""

    kind: AccountKind
    guarded: bool
    sign: int
    owned_or_owed: bool
    closed: bool = False


@dataclass(slots=True)
class Fund:
    """A fund. A `limited` one is restricted: not spent beyond its net assets and `advance`; days are ordinals."""

    limited: bool
    pays_for: frozenset[str]
    available_from: int | None
    advance: int
    net_assets: str
    closed: bool = False


@dataclass(slots=True)
class Hold:
    """An open hold: the entry that is to come, and until when it waits."""

    debits: tuple[Posting, ...]
    credits: tuple[Posting, ...]
    expires_at: datetime | None
    expense: str | None


@dataclass(slots=True)
class Dues:
    """Dues of which something is still owed."""

    member: str
    remaining: int
    unit: str
    fund: str
    receivable: str
    income: str
    period: str
    assessed: int


@dataclass
class Book:
    """One organisation's journal. Days are ordinals; `closed` is the last day that takes no entries any more."""

    revision: int = 0
    unit: str = ""
    starts: int = 0
    utc_offset: int = 0
    year_end: str = "12-31"
    closed: int = 0
    units: dict[str, int] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    funds: dict[str, Fund] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], Line] = field(default_factory=dict)
    """By account, fund and unit."""
    guards: dict[GuardKey, Guard] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    dues: dict[str, Dues] = field(default_factory=dict)
    rules: dict[str, ApprovalRuleSet] = field(default_factory=dict)
    budgets: dict[str, BudgetSet] = field(default_factory=dict)
    years: list[tuple[int, str]] = field(default_factory=list)
    """The closing entries of years, in order, each with the last day of its year; a year may have several."""


def effects(book: Book, debits: Iterable[Posting], credits: Iterable[Posting]) -> dict[GuardKey, int]:  # noqa: A002
    """What an entry does to guarded accounts and to restricted funds; positive is good for them."""
    accounts, funds = book.accounts, book.funds
    changes: dict[GuardKey, int] = {}
    for side, postings in ((1, debits), (-1, credits)):
        for posting in postings:
            account = accounts[posting.account]
            if account.guarded:
                key = ("account", posting.account, posting.unit)
                changes[key] = changes.get(key, 0) + side * account.sign * posting.amount
            if account.owned_or_owed and funds[posting.fund].limited:
                key = ("fund", posting.fund, posting.unit)
                changes[key] = changes.get(key, 0) + side * posting.amount
    return changes


def floor_of(book: Book, key: GuardKey) -> int:
    """The least that a guarded account or a restricted fund may have, in minor units."""
    kind, id, unit = key
    return -book.funds[id].advance if kind == "fund" and unit == book.unit else 0


def evolve(book: Book, event: Any) -> Book:
    """Fold one event of a book; changes and returns the state it was given."""
    book.revision += 1
    if isinstance(event, EntriesPosted):  # first, as the most of them are, in a book that imports
        for entry in entries_of(event):
            _post(book, entry.date.toordinal(), entry.debits, entry.credits)
        return book
    if isinstance(event, Journal):
        _post(book, event.date.toordinal(), event.debits, event.credits)
    match event:
        case BookOpened():
            book.unit, book.units = event.unit, {event.unit: event.decimals}
            book.starts, book.utc_offset, book.year_end = event.starts.toordinal(), event.utc_offset, event.year_end
            book.closed = book.starts - 1
        case AccountOpened():
            book.accounts[event.account] = Account(
                event.kind, event.guarded, 1 if event.kind in _GROWS_BY_DEBITS else -1, event.kind in _OWNED_OR_OWED
            )
        case AccountClosed():
            book.accounts[event.account].closed = True
        case FundOpened():
            book.funds[event.fund] = Fund(
                event.restriction is not Restriction.NONE, frozenset(event.pays_for),
                event.available_from.toordinal() if event.available_from else None, event.advance, event.net_assets,
            )  # fmt: skip
        case FundClosed():
            book.funds[event.fund].closed = True
        case UnitRegistered():
            book.units[event.unit] = event.scale
        case BudgetSet():
            book.budgets[event.budget] = event
        case ApprovalRuleSet():
            if event.approvals:
                book.rules[event.rule] = event
            else:
                book.rules.pop(event.rule, None)
        case HoldPlaced():
            _hold(book, event.hold, Hold(event.debits, event.credits, event.expires_at, event.expense))
        case HoldPosted() | HoldVoided() | HoldExpired() | ExpensePaid():
            _free(book, event.hold)
        case PaymentFailed():
            _hold(book, event.hold, Hold(event.held_debits, event.held_credits, None, event.expense))
        case PeriodClosed():
            book.closed = event.through.toordinal()
        case PeriodReopened():
            book.closed = event.since.toordinal() - 1
        case YearClosed():
            book.years.append((event.through.toordinal(), event.entry))
        case EntryReversed():
            if event.closing:
                book.years.pop()
            if (owed := event.owed_again) is not None:
                book.dues[owed.dues] = Dues(
                    owed.member, owed.remaining, owed.unit, owed.fund, owed.receivable, owed.income, owed.period,
                    owed.assessed,
                )  # fmt: skip
        case DuesAssessed():
            book.dues[event.entry] = Dues(
                event.member, event.amount, event.unit, event.fund, event.receivable, event.income, event.period,
                event.amount,
            )  # fmt: skip
        case DuesReceived() | DuesWaived():
            if event.remaining:
                book.dues[event.dues].remaining = event.remaining
            else:
                del book.dues[event.dues]
        case DonationAcknowledged() | ReviewResolved():
            pass  # it is found again by its name
    return book


def _post(book: Book, day: int, debits: Sequence[Posting], credits: Sequence[Posting]) -> None:  # noqa: A002
    lines = book.lines
    for posting in debits:
        key = (posting.account, posting.fund, posting.unit)
        line = lines.get(key)
        if line is None:
            line = lines[key] = Line()
        line.add(day, posting.amount)
    for posting in credits:
        key = (posting.account, posting.fund, posting.unit)
        line = lines.get(key)
        if line is None:
            line = lines[key] = Line()
        line.add(day, -posting.amount)
    for guard, change in effects(book, debits, credits).items():
        if change:
            _guard(book, guard).add(day, change)


def _guard(book: Book, key: GuardKey) -> Guard:
    guard = book.guards.get(key)
    if guard is None:
        guard = book.guards[key] = Guard()
    return guard


def _hold(book: Book, id: str, hold: Hold) -> None:
    book.holds[id] = hold
    for key, change in effects(book, hold.debits, hold.credits).items():
        if change < 0:
            _guard(book, key).held -= change


def _free(book: Book, id: str) -> None:
    hold = book.holds.pop(id)
    for key, change in effects(book, hold.debits, hold.credits).items():
        if change < 0:
            book.guards[key].held += change


def check(book: Book) -> list[str]:
    """Broken invariants of a book. Facts may take a guard below its limit; what they break is in their events."""
    broken = []
    totals: dict[tuple[str, str], int] = {}
    for (_, fund, unit), line in book.lines.items():
        totals[fund, unit] = totals.get((fund, unit), 0) + line.balance
        if line.ends and line.ends[-1] != line.balance:
            broken.append(f"a balance of fund {fund} in {unit} is not that of its last day")
    broken += [f"fund {fund} is out of balance by {total} {unit}" for (fund, unit), total in totals.items() if total]
    broken += _wrong_guards(book)
    held: dict[GuardKey, int] = {}
    for hold in book.holds.values():
        for key, change in effects(book, hold.debits, hold.credits).items():
            if change < 0:
                held[key] = held.get(key, 0) - change
    for key, guard in book.guards.items():
        if guard.held != held.get(key, 0):
            broken.append(
                f"{key[0]} {key[1]} counts {guard.held} {key[2]} as held, and its holds are {held.get(key, 0)}"
            )
    broken += [f"dues {id} have {dues.remaining} remaining" for id, dues in book.dues.items() if dues.remaining <= 0]
    return broken


def check_after(_: Book, event: Any) -> list[str]:
    """What the entries of an event are out of balance by, for each unit within each fund."""
    broken = []
    for entry in entries_of(event):
        totals: dict[tuple[str, str], int] = {}
        for side, postings in ((1, entry.debits), (-1, entry.credits)):
            for posting in postings:
                key = (posting.fund, posting.unit)
                totals[key] = totals.get(key, 0) + side * posting.amount
        broken += [
            f"the entry {entry.entry} is out of balance by {total} {unit} in fund {fund}"
            for (fund, unit), total in totals.items()
            if total
        ]
    return broken


def _wrong_guards(book: Book) -> list[str]:
    """Guards that do not say what the lines of their account or fund say."""
    sums: dict[GuardKey, int] = {}
    for (account_id, fund_id, unit), line in book.lines.items():
        account = book.accounts[account_id]
        if account.guarded:
            key = ("account", account_id, unit)
            sums[key] = sums.get(key, 0) + account.sign * line.balance
        if account.owned_or_owed and book.funds[fund_id].limited:
            key = ("fund", fund_id, unit)
            sums[key] = sums.get(key, 0) + line.balance
    return [
        f"{kind} {id} is kept at {guard.balance} {unit}, and its entries give {sums.get((kind, id, unit), 0)}"
        for (kind, id, unit), guard in book.guards.items()
        if guard.balance != sums.get((kind, id, unit), 0)
    ]


__all__ = [
    "DEFAULT_FUND", "Account", "Book", "Dues", "Fund", "GuardKey", "Hold", "check", "check_after", "effects", "evolve",
    "floor_of",
]  # fmt: skip
