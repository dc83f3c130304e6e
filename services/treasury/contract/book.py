"""Commands and events of `book` that shape it: accounts, funds, units, budgets, approval rules, periods and years.

A book is one organisation's journal, continuous over the years. Its entries are in entries.py, holds in holds.py,
donations and dues in giving.py; payments of expenses in expense.py. All of them are decisions of the one aggregate
`book`, so that no two of them can spend the same money.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.treasury.contract.base import (
    AccountKind,
    Date,
    Function,
    Id,
    Journal,
    Moment,
    Money,
    MoneyOrNone,
    Note,
    Restriction,
    Text,
    Unit,
    command,
    event,
    value,
)
from shared.types import shaped

YearEnd = Annotated[
    str,
    Field(pattern=shaped(r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", "a year's last day is month and day, as 12-31")),
]
Offset = Annotated[int, Field(ge=-14 * 60, le=14 * 60)]
Decimals = Annotated[int, Field(ge=0, le=6)]


@event(category="book")
class BookOpened:
    """A book began. `unit` is its own currency, with `decimals` minor digits; nothing is dated before `starts`.

    `utc_offset` is how many minutes the place's clock is east of UTC: it says which day it is. `year_end` is the last
    month and day of its fiscal year.
    """

    book: Id
    name: Text
    unit: Unit
    starts: Date
    utc_offset: int = 0
    year_end: str = "12-31"
    decimals: int
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(BookOpened,))
class OpenBook:
    """Begin an organisation's book, in its own currency (an ISO 4217 code), from a day on."""

    book: Id
    name: Text
    unit: Unit
    starts: Date
    utc_offset: Offset = 0
    year_end: YearEnd = "12-31"
    occurred_at: Moment | None = None


@event(category="book")
class AccountOpened:
    """An account entered the chart. One that is `guarded` refuses to go below zero, over all funds, what is held
    counted; `function` is what the expenses in it serve."""

    book: Id
    account: Id
    name: Text
    kind: AccountKind
    function: Function | None = None
    guarded: bool = False
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(AccountOpened,))
class OpenAccount:
    """Put an account into the chart of accounts. Expense accounts say which function they serve."""

    book: Id
    account: Id
    name: Text
    kind: AccountKind
    function: Function | None = None
    guarded: bool = False
    occurred_at: Moment | None = None


@event(category="book")
class AccountClosed:
    """Nothing more is posted to an account. Its balance was zero."""

    book: Id
    account: Id
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(AccountClosed,))
class CloseAccount:
    """Close an account whose balances are all zero and for which nothing is held."""

    book: Id
    account: Id
    occurred_at: Moment | None = None


@event(category="book")
class FundOpened:
    """A fund began: money that is accounted for apart.

    A restricted one is never spent beyond its net assets plus `advance` (minor units of the book's currency): what may
    be spent before a grant that reimburses is received. `pays_for` are the only expense accounts it pays, none means
    any; nothing is spent from it before `available_from`. The year's result goes to the account `net_assets`.
    """

    book: Id
    fund: Id
    name: Text
    restriction: Restriction = Restriction.NONE
    purpose: Text | None = None
    pays_for: tuple[Id, ...] = ()
    available_from: Date | None = None
    advance: int = 0
    net_assets: Id
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(FundOpened,))
class OpenFund:
    """Open a fund: `general` for what donors left free, others for what they restricted to a purpose or a time."""

    book: Id
    fund: Id
    name: Text
    restriction: Restriction = Restriction.NONE
    purpose: Text | None = None
    pays_for: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    available_from: Date | None = None
    advance: MoneyOrNone = 0
    net_assets: Id
    occurred_at: Moment | None = None


@event(category="book")
class FundClosed:
    """Nothing more is posted to a fund. Its balances were zero."""

    book: Id
    fund: Id
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(FundClosed,))
class CloseFund:
    """Close a fund all of whose balances are zero and for which nothing is held."""

    book: Id
    fund: Id
    occurred_at: Moment | None = None


@event(category="book")
class UnitRegistered:
    """Amounts in one more unit may be posted; `scale` is how many of its decimals the minor unit has."""

    book: Id
    unit: Unit
    name: Text | None = None
    decimals: int | None = None
    scale: int
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(UnitRegistered,))
class RegisterUnit:
    """Let a further currency (ISO 4217 says its decimals) or a unit of the book's own (hours) be posted."""

    book: Id
    unit: Unit
    name: Text | None = None
    decimals: Decimals | None = None
    occurred_at: Moment | None = None


@value
class BudgetLine:
    """What is planned for one account and fund over the budget's time, in minor units of `unit`."""

    account: Id
    amount: Money
    unit: Unit
    fund: Id = "general"


@event(category="book")
class BudgetSet:
    """What is planned, from the first day to the last; it stands in the place of the budget of that id before."""

    book: Id
    budget: Id
    name: Text | None = None
    starts: Date
    ends: Date
    lines: tuple[BudgetLine, ...]
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(BudgetSet,))
class SetBudget:
    """Plan income and expenses for a time; sent again with other lines, it replaces the plan."""

    book: Id
    budget: Id
    name: Text | None = None
    starts: Date
    ends: Date
    lines: Annotated[tuple[BudgetLine, ...], Field(min_length=1, max_length=300)]
    occurred_at: Moment | None = None


@event(category="book")
class ApprovalRuleSet:
    """Expenses of `from_amount` and more (minor units of `unit`, the whole expense) need `approvals`.

    Of `fund` alone, or of every fund when it is None. They come from the `people` named, or from whoever acts under a
    mandate of one of the `roles`, or of a decision of one of the `bodies` (`<body>/<minute>`); from anyone when none of
    the three is given. Of several rules for one fund the one with the highest `from_amount` reached counts, a rule for
    the fund itself before one for all. `approvals` of 0 ends a rule.
    """

    book: Id
    rule: Id
    unit: Unit
    from_amount: int = 0
    fund: Id | None = None
    approvals: int
    people: tuple[Text, ...] = ()
    roles: tuple[Id, ...] = ()
    bodies: tuple[Id, ...] = ()
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(ApprovalRuleSet,))
class SetApprovalRule:
    """Say how many approvals an expense needs, by amount and fund, and from whom."""

    book: Id
    rule: Id
    unit: Unit
    from_amount: MoneyOrNone = 0
    fund: Id | None = None
    approvals: Annotated[int, Field(ge=0, le=20)]
    people: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    roles: Annotated[tuple[Id, ...], Field(max_length=20)] = ()
    bodies: Annotated[tuple[Id, ...], Field(max_length=20)] = ()
    occurred_at: Moment | None = None


# -- periods ----------------------------------------------------------------------------------------------------------


@event(category="book")
class PeriodClosed:
    """Nothing is posted to a day up to and including `through` any more. `before` is what was closed until then."""

    book: Id
    through: Date
    note: Note | None = None
    before: Date | None = None
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(PeriodClosed,))
class ClosePeriod:
    """Close every day up to and including one: figures that were reported stay as they were."""

    book: Id
    through: Date
    note: Note | None = None
    occurred_at: Moment | None = None


@event(category="book")
class PeriodReopened:
    """Days from `since` on take entries again; what is before it stays closed (`closed_through`)."""

    book: Id
    since: Date
    reason: Note
    closed_through: Date | None = None
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(PeriodReopened,))
class ReopenPeriod:
    """Open closed days again, from one on. A year whose closing entry stands is not opened: reverse that first."""

    book: Id
    since: Date
    reason: Note
    occurred_at: Moment | None = None


@event(category="book")
class YearClosed(Journal):
    """The closing entry of a fiscal year: every income and expense account is zero at its end.

    Fund by fund and unit by unit the result went to the fund's net assets account. `date` is the year's last day; later
    days were open all along. `starts` is the year's first day, or the book's. More than some 500 lines (an account for
    a fund) are closed by several such entries: `left` is how many lines wait for the next one.
    """

    through: Date
    starts: Date
    left: int = 0
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(YearClosed,))
class CloseYear:
    """Record the closing entry of the fiscal year that ends with a day; its days must be closed before.

    When the answer says that lines are `left`, send it again with another entry, until none are. To mend a closed year,
    reverse its closing entries, the last one first, open the days, post, and close both again.
    """

    book: Id
    entry: Id
    through: Date
    occurred_at: Moment | None = None


__all__ = [
    "AccountClosed",
    "AccountOpened",
    "ApprovalRuleSet",
    "BookOpened",
    "BudgetLine",
    "BudgetSet",
    "CloseAccount",
    "CloseFund",
    "ClosePeriod",
    "CloseYear",
    "FundClosed",
    "FundOpened",
    "OpenAccount",
    "OpenBook",
    "OpenFund",
    "PeriodClosed",
    "PeriodReopened",
    "RegisterUnit",
    "ReopenPeriod",
    "SetApprovalRule",
    "SetBudget",
    "UnitRegistered",
    "YearClosed",
]
