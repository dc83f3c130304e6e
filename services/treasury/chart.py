"""What a book is made of: its opening, accounts, funds, units, budgets and approval rules."""

from __future__ import annotations

from datetime import datetime

from services.treasury import rules
from services.treasury.contract import (
    AccountClosed,
    AccountKind,
    AccountOpened,
    ApprovalRuleSet,
    BookOpened,
    BudgetSet,
    CloseAccount,
    CloseFund,
    FundClosed,
    FundOpened,
    OpenAccount,
    OpenBook,
    OpenFund,
    RegisterUnit,
    Restriction,
    SetApprovalRule,
    SetBudget,
    TreasuryError,
    UnitRegistered,
)
from services.treasury.posting import of_kinds, opened, rejected, today
from services.treasury.state import Book
from services.treasury.units import decimals_of
from shared.contract import fields_of
from shared.decider import Context

ChartCommand = OpenBook | OpenAccount | CloseAccount | OpenFund | CloseFund | RegisterUnit | SetBudget | SetApprovalRule
ChartEvent = (
    BookOpened | AccountOpened | AccountClosed | FundOpened | FundClosed | UnitRegistered | BudgetSet | ApprovalRuleSet
)


def decide(command: ChartCommand, book: Book, context: Context) -> ChartEvent | None:
    at = rules.when(command.occurred_at, context)
    match command:
        case OpenBook():
            return _open_book(command, book, context, at)
        case OpenAccount():
            return _open_account(command, book, context, at)
        case CloseAccount():
            opened(book, command.book)
            account = book.accounts.get(command.account)
            if account is None:
                raise _unknown("account", command.account)
            if account.closed:
                return None
            _unused(book, TreasuryError.ACCOUNT_IN_USE, "account", command.account)
            return AccountClosed(book=command.book, account=command.account, occurred_at=at)
        case OpenFund():
            return _open_fund(command, book, context, at)
        case CloseFund():
            opened(book, command.book)
            fund = book.funds.get(command.fund)
            if fund is None:
                raise _unknown("fund", command.fund)
            if fund.closed:
                return None
            _unused(book, TreasuryError.FUND_IN_USE, "fund", command.fund)
            return FundClosed(book=command.book, fund=command.fund, occurred_at=at)
        case RegisterUnit():
            return _register_unit(command, book, at)
        case SetBudget():
            return _set_budget(command, book, at)
        case SetApprovalRule():
            return _set_rule(command, book, at)


def _open_book(command: OpenBook, book: Book, context: Context, at: datetime) -> BookOpened | None:
    decimals = decimals_of(command.unit)
    if book.units:
        _as_it_was(command, context, "book", command.book)
        return None
    last = today(Book(utc_offset=command.utc_offset), context.now)
    if command.starts > last:
        raise rejected(
            TreasuryError.DATE_OUTSIDE_BOOK, f"{command.starts} is yet to come (it is {last}): open the book then.",
            starts=str(command.starts), today=str(last),
        )  # fmt: skip
    if decimals is None:
        raise rejected(
            TreasuryError.UNKNOWN_UNIT,
            f"{command.unit} is no currency of ISO 4217 with minor units. A book's own unit is one, such as EUR.",
            unit=command.unit,
        )  # fmt: skip
    fields = dict(fields_of(command)) | {"occurred_at": at}
    return BookOpened(**fields, decimals=decimals)


def _open_account(command: OpenAccount, book: Book, context: Context, at: datetime) -> AccountOpened | None:
    opened(book, command.book)
    account = book.accounts.get(command.account)
    if account is not None:
        _as_it_was(command, context, "account", command.account)
        if not account.closed:
            return None
    if (command.function is not None) != (command.kind is AccountKind.EXPENSE):
        raise rejected(
            TreasuryError.WRONG_ACCOUNT_KIND,
            f"Account {command.account} is of kind {command.kind}: "
            + ("an expense account says which function it serves (program, management, fundraising)."
               if command.kind is AccountKind.EXPENSE else "only an expense account has a function. Leave it out."),
            account=command.account, kind=command.kind,
        )  # fmt: skip
    fields = dict(fields_of(command)) | {"occurred_at": at}
    return AccountOpened(**fields)


def _open_fund(command: OpenFund, book: Book, context: Context, at: datetime) -> FundOpened | None:
    opened(book, command.book)
    fund = book.funds.get(command.fund)
    limited = command.restriction is not Restriction.NONE
    if fund is not None:
        _as_it_was(command, context, "fund", command.fund)
        if not fund.closed:
            return None
    wrong = None
    if not limited and (command.pays_for or command.available_from or command.advance):
        wrong = "has no restriction, so pays_for, available_from and advance say nothing. Leave them out"
    elif command.restriction is Restriction.PURPOSE and not command.pays_for:
        wrong = "is restricted to a purpose: list in pays_for the expense accounts that it pays"
    elif command.restriction is Restriction.TIME and command.available_from is None:
        wrong = "is restricted to a time: say in available_from from which day on it may be spent"
    if wrong:
        raise rejected(TreasuryError.INVALID_RANGE, f"Fund {command.fund} {wrong}.", fund=command.fund)
    of_kinds(
        book, (command.net_assets, (AccountKind.NET_ASSETS,)), *((a, (AccountKind.EXPENSE,)) for a in command.pays_for)
    )
    fields = dict(fields_of(command)) | {"occurred_at": at}
    return FundOpened(**fields)


def _register_unit(command: RegisterUnit, book: Book, at: datetime) -> UnitRegistered | None:
    opened(book, command.book)
    standard = decimals_of(command.unit)
    if command.unit in book.units:
        if command.decimals in (None, book.units[command.unit]):
            return None
        raise _exists("unit", command.unit, "decimals")
    if standard is not None and command.decimals not in (None, standard):
        raise rejected(
            TreasuryError.WRONG_DECIMALS,
            f"{command.unit} has {standard} decimals in ISO 4217, not {command.decimals}. Leave `decimals` out.",
            unit=command.unit, decimals=standard,
        )  # fmt: skip
    scale = standard if standard is not None else command.decimals
    if scale is None:
        raise rejected(
            TreasuryError.WRONG_DECIMALS,
            f"{command.unit} is no currency of ISO 4217: say in `decimals` how many decimals the unit has.",
            unit=command.unit,
        )  # fmt: skip
    fields = dict(fields_of(command)) | {"occurred_at": at}
    return UnitRegistered(**fields, scale=scale)


def _set_budget(command: SetBudget, book: Book, at: datetime) -> BudgetSet | None:
    opened(book, command.book)
    if command.ends < command.starts:
        raise rejected(
            TreasuryError.INVALID_RANGE, f"The budget ends on {command.ends}, before it starts on {command.starts}.",
            starts=str(command.starts), ends=str(command.ends),
        )  # fmt: skip
    of_kinds(book, *((line.account, (AccountKind.INCOME, AccountKind.EXPENSE)) for line in command.lines))
    for line in command.lines:
        if line.fund not in book.funds:
            raise _unknown("fund", line.fund)
    for line in command.lines:
        if line.unit not in book.units:
            raise _unknown("unit", line.unit)
    if len({(line.account, line.fund, line.unit) for line in command.lines}) < len(command.lines):
        raise rejected(
            TreasuryError.DUPLICATE_LINE, "An account stands twice for one fund in the budget. Add the two up."
        )
    fields = dict(fields_of(command)) | {"occurred_at": at}
    event = BudgetSet(**fields)
    return None if _same(book.budgets.get(command.budget), event) else event


def _set_rule(command: SetApprovalRule, book: Book, at: datetime) -> ApprovalRuleSet | None:
    opened(book, command.book)
    by_name = command.people and not command.roles and not command.bodies
    people = len(set(command.people))
    if by_name and people < command.approvals:
        raise rejected(
            TreasuryError.INVALID_RANGE,
            f"Rule {command.rule} asks for {command.approvals} approvals from {people} people: nothing could ever be "
            "approved. Name more people, or ask for fewer approvals.",
            rule=command.rule, approvals=command.approvals, people=people,
        )  # fmt: skip
    if command.fund is not None and command.fund not in book.funds:
        raise _unknown("fund", command.fund)
    if command.unit not in book.units:
        raise _unknown("unit", command.unit)
    if not command.approvals and command.rule not in book.rules:
        return None
    fields = dict(fields_of(command)) | {"occurred_at": at}
    event = ApprovalRuleSet(**fields)
    return None if _same(book.rules.get(command.rule), event) else event


def _same(before: BudgetSet | ApprovalRuleSet | None, event: BudgetSet | ApprovalRuleSet) -> bool:
    """Whether an event says what was said before, at whatever moment."""
    if before is None:
        return False
    return all(value == getattr(before, name) for name, value in fields_of(event) if name != "occurred_at")


def _unused(book: Book, code: TreasuryError, what: str, id: str) -> None:
    """Refuse to close what has a balance, or for which something is held."""
    place = 0 if what == "account" else 1
    for key, line in book.lines.items():
        if key[place] == id and line.balance:
            raise rejected(
                code, f"The {what} {id} has a balance in {key[2]}; move it away first, then close the {what}.",
                **{what: id, "unit": key[2], "balance": line.balance},
            )  # fmt: skip
    for hold_id, hold in book.holds.items():
        if any(id == (p.account if what == "account" else p.fund) for p in (*hold.debits, *hold.credits)):
            raise rejected(
                code, f"Hold {hold_id} is for the {what} {id}; post or void it first.", **{what: id, "hold": hold_id}
            )
    if what == "account":
        using = next((name for name, fund in book.funds.items() if fund.net_assets == id and not fund.closed), None)
        if using is not None:
            raise rejected(
                code,
                f"Fund {using} closes its years into the account {id}; close the fund first.",
                account=id,
                fund=using,
            )


def _unknown(what: str, id: str) -> Exception:
    codes = {
        "account": TreasuryError.UNKNOWN_ACCOUNT, "fund": TreasuryError.UNKNOWN_FUND, "unit": TreasuryError.UNKNOWN_UNIT
    }  # fmt: skip
    return rejected(
        codes[what], f"There is no {what} {id} in this book. Check its name, or open it first.", **{what: id}
    )


def _as_it_was(command: OpenBook | OpenAccount | OpenFund, context: Context, what: str, id: str) -> None:
    """Refuse to open what is there already as something else; `names` in book.py lets it be found again."""
    past = rules.recalled(context, command.book, f"{what}:{id}")
    field = None if past is None else rules.differing(command, past.event, but="occurred_at")
    if field is not None:
        raise _exists(what, id, field)


def _exists(what: str, id: str, field: str) -> Exception:
    return rejected(
        TreasuryError.ALREADY_EXISTS, f"The {what} {id} is there already, with another {field}. Choose another id.",
        **{what: id, "field": field},
    )  # fmt: skip
