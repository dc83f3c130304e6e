"""The words that all of the treasury's commands and events are written in: enums, refusals, postings.

Units: money is an integer in the minor units of its currency (cents, not euros), an ISO 4217 code beside it; other
units (hours, meal vouchers) are registered in the book with their own number of decimals. Every amount is positive:
the list that it stands in says whether it is debited or credited. Dates are calendar dates at the book's place.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

from msgspec import Meta
from pydantic import Field

from shared.contract import Contract, Cut, Results, value
from shared.types import MAX_INTEGER, Date, Id, Moment, Note, Revision, Text, shaped

__all__ = [
    "DEFAULT_FUND", "MAX_POSTINGS", "AccountKind", "Balance", "Breach", "Date", "Digest", "DuesOwed",
    "ExpenseId", "Function", "HoldId", "Id", "Journal", "Moment", "Money", "MoneyOrNone", "Note", "Posting",
    "Postings", "Restriction", "Revision", "Text", "TreasuryError", "Unit", "command", "event", "treasury", "value",
]  # fmt: skip

treasury: Final = Contract("treasury")
"""What the treasury service promises."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(*, category: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare an event of the treasury (as a function, which type checkers follow)."""
    return treasury.event(category=category, version=version)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def command(
    *, category: str, aggregate: str | Callable[[Any], str], makes: tuple[type, ...], cut: Cut | None = None,
    results: Results | None = None,
) -> Callable[[type[T]], type[T]]:  # fmt: skip
    """Declare a command of the treasury."""
    return treasury.command(category=category, aggregate=aggregate, makes=makes, cut=cut, results=results)


MAX_POSTINGS: Final = 100
"""Debits, and credits, of one entry. A larger one is several entries through a clearing account."""

DEFAULT_FUND: Final = "general"
"""The fund of a posting that names none: what an organisation without restricted gifts has only one of."""


# -- refusals ---------------------------------------------------------------------------------------------------------


class TreasuryError(StrEnum):
    """Why the treasury refuses a command. When several hold, the first in this order is the one that is answered."""

    OCCURRED_IN_FUTURE = "OCCURRED_IN_FUTURE"
    UNKNOWN_BOOK = "UNKNOWN_BOOK"
    ENTRY_EXISTS = "ENTRY_EXISTS"
    LINKED_ENTRY_REFUSED = "LINKED_ENTRY_REFUSED"
    UNKNOWN_PARTY = "UNKNOWN_PARTY"
    UNKNOWN_EXPENSE = "UNKNOWN_EXPENSE"
    UNKNOWN_STATEMENT = "UNKNOWN_STATEMENT"
    UNKNOWN_LINE = "UNKNOWN_LINE"
    UNKNOWN_PLEDGE = "UNKNOWN_PLEDGE"
    UNKNOWN_STEP = "UNKNOWN_STEP"
    UNKNOWN_ENTRY = "UNKNOWN_ENTRY"
    UNKNOWN_HOLD = "UNKNOWN_HOLD"
    UNKNOWN_DUES = "UNKNOWN_DUES"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ALREADY_REVERSED = "ALREADY_REVERSED"
    ALREADY_ASSESSED = "ALREADY_ASSESSED"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    NOT_A_DONATION = "NOT_A_DONATION"
    HOLD_ENDED = "HOLD_ENDED"
    HELD_FOR_EXPENSE = "HELD_FOR_EXPENSE"
    BEYOND_HOLD = "BEYOND_HOLD"
    NOT_YET_DUE = "NOT_YET_DUE"
    BEYOND_DUES = "BEYOND_DUES"
    DATE_OUTSIDE_BOOK = "DATE_OUTSIDE_BOOK"
    PERIOD_CLOSED = "PERIOD_CLOSED"
    PERIOD_OPEN = "PERIOD_OPEN"
    YEAR_CLOSED = "YEAR_CLOSED"
    INVALID_RANGE = "INVALID_RANGE"
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    ACCOUNT_IN_USE = "ACCOUNT_IN_USE"
    WRONG_ACCOUNT_KIND = "WRONG_ACCOUNT_KIND"
    UNKNOWN_FUND = "UNKNOWN_FUND"
    FUND_CLOSED = "FUND_CLOSED"
    FUND_IN_USE = "FUND_IN_USE"
    UNKNOWN_UNIT = "UNKNOWN_UNIT"
    WRONG_UNIT = "WRONG_UNIT"
    WRONG_DECIMALS = "WRONG_DECIMALS"
    DUPLICATE_LINE = "DUPLICATE_LINE"
    UNBALANCED = "UNBALANCED"
    NOTHING_MOVES = "NOTHING_MOVES"
    PAYMENT_REFERENCE_USED = "PAYMENT_REFERENCE_USED"
    EXPENSE_CHANGED = "EXPENSE_CHANGED"
    EXPENSE_REJECTED = "EXPENSE_REJECTED"
    EXPENSE_PAID = "EXPENSE_PAID"
    NOT_PAID = "NOT_PAID"
    NO_APPROVAL_RULE = "NO_APPROVAL_RULE"
    NOT_AN_APPROVER = "NOT_AN_APPROVER"
    SECOND_PERSON_REQUIRED = "SECOND_PERSON_REQUIRED"
    OWN_BENEFIT = "OWN_BENEFIT"
    ALREADY_APPROVED = "ALREADY_APPROVED"
    NOT_APPROVED = "NOT_APPROVED"
    MONEY_NOT_HELD = "MONEY_NOT_HELD"
    STATEMENT_INCOMPLETE = "STATEMENT_INCOMPLETE"
    WRONG_CLOSING_BALANCE = "WRONG_CLOSING_BALANCE"
    ALREADY_MATCHED = "ALREADY_MATCHED"
    AMOUNTS_DIFFER = "AMOUNTS_DIFFER"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    FUND_PURPOSE = "FUND_PURPOSE"
    FUND_NOT_YET_AVAILABLE = "FUND_NOT_YET_AVAILABLE"
    BREAKS_LATER_DAY = "BREAKS_LATER_DAY"
    ACCOUNT_LIMIT = "ACCOUNT_LIMIT"
    FUND_LIMIT = "FUND_LIMIT"
    ADMINISTRATOR_REQUIRED = "ADMINISTRATOR_REQUIRED"
    NOT_FOR_EVERYBODY = "NOT_FOR_EVERYBODY"
    SELF_GRANT = "SELF_GRANT"
    GRANT_ENDED = "GRANT_ENDED"
    LAST_ADMINISTRATOR = "LAST_ADMINISTRATOR"
    NOT_A_PERSON = "NOT_A_PERSON"
    ALREADY_ERASED = "ALREADY_ERASED"
    NOT_REQUESTED = "NOT_REQUESTED"
    ERASURE_HELD = "ERASURE_HELD"
    NOT_CHECKED = "NOT_CHECKED"
    STILL_NEEDED = "STILL_NEEDED"
    KEY_NOT_DESTROYED = "KEY_NOT_DESTROYED"


# -- enums ------------------------------------------------------------------------------------------------------------


class AccountKind(StrEnum):
    """The five kinds of account. Assets and expenses grow by debits, the others by credits."""

    ASSET = "asset"
    LIABILITY = "liability"
    NET_ASSETS = "net_assets"
    INCOME = "income"
    EXPENSE = "expense"


class Function(StrEnum):
    """What an expense serves (FASB ASC 958-720-45): the programmes, running the organisation, or raising money."""

    PROGRAM = "program"
    MANAGEMENT = "management"
    FUNDRAISING = "fundraising"


class Restriction(StrEnum):
    """Whether donors restricted what a fund may be spent on: not at all, to a purpose, to a time (ASC 958-210-45)."""

    NONE = "none"
    PURPOSE = "purpose"
    TIME = "time"


# -- fields -----------------------------------------------------------------------------------------------------------

_MINOR_UNITS: Final = {"format": "minor-units"}
"""How the schemas tell an amount of money from other numbers."""

Money = Annotated[int, Field(ge=1, le=MAX_INTEGER, json_schema_extra=_MINOR_UNITS), Meta(ge=1, le=MAX_INTEGER)]
"""An amount in minor units; at least one."""

MoneyOrNone = Annotated[int, Field(ge=0, le=MAX_INTEGER, json_schema_extra=_MINOR_UNITS), Meta(ge=0, le=MAX_INTEGER)]
"""An amount in minor units; zero is allowed."""

Balance = Annotated[
    int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER, json_schema_extra=_MINOR_UNITS), Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)
]
"""A balance, or a change of one, in minor units; negative is overdrawn, or out."""

Unit = Annotated[
    str,
    Field(pattern=shaped(r"^[A-Z][A-Z0-9]{1,11}$", "a unit is 2 to 12 capital letters and digits, as EUR or HOURS")),
    Meta(max_length=12),
]
"""An ISO 4217 code (EUR, USD), or a unit that the book registered (HOURS)."""

Digest = Annotated[
    str,
    Field(pattern=shaped(r"^[0-9a-f]{64}$", "a SHA-256 is 64 digits and letters from a to f")),
    Meta(max_length=64),
]
"""The SHA-256 of a document, in hex; the document itself is kept elsewhere."""

ExpenseId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$"), Meta(max_length=48)]
"""An expense's id: up to 48 characters, so that the id of the hold for it has room for a number behind it."""

HoldId = Id
"""A hold's id, chosen by the caller."""


@value
class Posting:
    """One side of an entry: so much to one account, for one fund. `amount` is in minor units of `unit`."""

    account: Id
    amount: Money
    unit: Unit
    fund: Id = DEFAULT_FUND


Postings = Annotated[tuple[Posting, ...], Field(min_length=1, max_length=MAX_POSTINGS), Meta(max_length=1000)]
"""The debits, or the credits, of one entry."""


@value
class DuesOwed:
    """Dues of which something is owed: by whom, how much (minor units of `unit`), and where they stand in the book.

    `assessed` is how much was asked for, for `period`.
    """

    dues: Id
    member: Id
    remaining: int
    unit: Unit
    fund: Id
    receivable: Id
    income: Id
    period: Id
    assessed: int


@value
class Breach:
    """A limit that a recorded fact broke: of an account, or of a fund. It waits for somebody to look at it.

    `date` is the first day on which it is broken, `balance` the figure that day, held amounts taken off when the day is
    the last one, and `limit` the least that it may be, in minor units of `unit`. `entry` is the entry that broke it.
    """

    code: TreasuryError
    entry: Id
    account: Id | None = None
    fund: Id | None = None
    unit: Unit
    date: Date
    balance: int
    limit: int


@value
class Journal:
    """What every event that posts has: an entry of this book, balanced for each unit within each fund.

    `entry` is its id in the book, `date` the day that it happened; the envelope's `time` is when it was recorded.
    `breaches` are limits that it broke, of an entry that reports a fact.
    """

    book: Id
    entry: Id
    date: Date
    debits: tuple[Posting, ...]
    credits: tuple[Posting, ...]
    breaches: tuple[Breach, ...] = ()
