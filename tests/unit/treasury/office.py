"""The words that sentences about expenses, bank statements, parties and pledges are made of.

The book `club` is in euros. Its bank account may not go below zero: 1,000.00 are in it, 200.00 of them for `youth`, a
fund that pays for food alone. An expense needs two approvals, by anybody. Amounts are in cents.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from services.treasury.contract import (
    AccountKind,
    AddStatementLines,
    ApproveExpense,
    ChangeExpense,
    ExpenseApproved,
    ExpenseLine,
    ExpensePaid,
    ExpenseSubmitted,
    Function,
    HoldPlaced,
    ImportStatement,
    MatchLine,
    OpenAccount,
    OpenBook,
    OpenFund,
    PayExpense,
    PlaceHold,
    PostEntry,
    Posting,
    RecordPaymentFailed,
    RegisterParty,
    Restriction,
    SetApprovalRule,
    StartStatement,
    StatementLine,
    SubmitExpense,
)
from services.treasury.deciders import DECIDERS
from services.treasury.expense_state import Expense
from services.treasury.state import Book
from shared.decider import Ref
from tests.support.sentences import NOW, Given, sentences

given = sentences(
    DECIDERS,
    {
        "book": lambda event: event.book,
        "expense": lambda event: event.expense,
        "party": lambda event: event.party,
        "pledge": lambda event: event.pledge,
        "statement": lambda event: f"{event.book}:{event.account}",
        "process": lambda event: event.step,
    },
)

IN: Final = {"book": "club"}
TODAY: Final = NOW.date()
TOMORROW: Final = NOW + timedelta(days=1)


def ago(**how_long: float) -> datetime:
    return NOW - timedelta(**how_long)


def posting(account: str, amount: int, fund: str = "general", unit: str = "EUR") -> Posting:
    return Posting(account=account, amount=amount, unit=unit, fund=fund)


def entry(id: str, debit: str, credit: str, amount: int, fund: str = "general", **more: Any) -> PostEntry:
    """An entry of two postings."""
    return PostEntry(
        **IN, entry=id, debits=(posting(debit, amount, fund),), credits=(posting(credit, amount, fund),), **more
    )


def account(id: str, kind: AccountKind, **more: Any) -> OpenAccount:
    function = Function.PROGRAM if kind is AccountKind.EXPENSE else None
    return OpenAccount(**IN, account=id, name=id.title(), kind=kind, function=function, **more)


def rule(id: str, approvals: int = 1, **more: Any) -> SetApprovalRule:
    return SetApprovalRule(**{**IN, "unit": "EUR", **more}, rule=id, approvals=approvals)


def party(id: str, login: str | None = None, **more: Any) -> RegisterParty:
    return RegisterParty(**{"name": "Ada Lovelace", **more}, party=id, login=login)


BOOK: Final = (
    OpenBook(**IN, name="The club", unit="EUR", starts=date(2026, 1, 1)),
    account("bank", AccountKind.ASSET, guarded=True), account("cash", AccountKind.ASSET),
    account("owed", AccountKind.LIABILITY), account("net", AccountKind.NET_ASSETS),
    account("gifts", AccountKind.INCOME), account("food", AccountKind.EXPENSE), account("rent", AccountKind.EXPENSE),
    OpenFund(**IN, fund="general", name="General", net_assets="net"),
    OpenFund(**IN, fund="youth", name="Youth", restriction=Restriction.PURPOSE, pays_for=("food",), net_assets="net"),
    entry("gift", "bank", "gifts", 80_000), entry("grant", "bank", "gifts", 20_000, "youth"),
)  # fmt: skip
OFFICE: Final = (*BOOK, rule("two", 2), party("shop"), party("ada", "ada"))
"""The book, a rule, a supplier who does not act on the ledger, and a member who does."""


# -- expenses ---------------------------------------------------------------------------------------------------------


def line(amount: int = 5_000, account: str = "food", fund: str = "general") -> ExpenseLine:
    return ExpenseLine(account=account, amount=amount, fund=fund)


def submit(*lines: ExpenseLine, payee: str = "shop", **more: Any) -> SubmitExpense:
    fields = {**IN, "expense": "x", "unit": "EUR", "pay_from": "bank", "description": "Lunch for Ada", **more}
    return SubmitExpense(**fields, payee=payee, lines=lines or (line(),))


def change(*lines: ExpenseLine, payee: str = "shop", **more: Any) -> ChangeExpense:
    fields = {**IN, "expense": "x", "unit": "EUR", "pay_from": "bank", "description": "Dinner for Ada", **more}
    return ChangeExpense(**fields, payee=payee, lines=lines or (line(),))


def approve(version: int = 1, **more: Any) -> ApproveExpense:
    return ApproveExpense(**{**IN, "expense": "x", **more}, version=version)


def pay(version: int = 1, entry: str = "pay", reference: str = "SEPA 1", **more: Any) -> PayExpense:
    return PayExpense(**{**IN, "expense": "x", **more}, version=version, entry=entry, reference=reference)


def came_back(entry: str = "back", reason: str = "Account closed", **more: Any) -> RecordPaymentFailed:
    return RecordPaymentFailed(**{**IN, "expense": "x", **more}, entry=entry, reason=reason)


def submitted(*lines: ExpenseLine, steps: tuple[Any, ...] = OFFICE, **more: Any) -> Given:
    """Sam asked for an expense."""
    return given(*steps).when(submit(*lines, **more)).then(ExpenseSubmitted, submitter="sam")


def approved(*lines: ExpenseLine, **more: Any) -> Given:
    """Ben and Cleo approved what Sam asked for; the money is not held yet."""
    approval = approve(expense=more.get("expense", "x"))
    return submitted(*lines, **more).when(approval, actor="ben").then_event().when(approval, actor="cleo").then_event()


def hold_for(world: Given, expense: str = "x") -> PlaceHold:
    """The hold that the process manager places once an expense is approved."""
    event = world.world.history[Ref("expense", expense)][-1]
    assert isinstance(event, ExpenseApproved)
    assert event.hold is not None
    return PlaceHold(book=event.book, hold=event.hold, debits=event.debits, credits=event.credits, expense=expense)


def held(*lines: ExpenseLine, **more: Any) -> Given:
    """The money for what was approved is held."""
    world = approved(*lines, **more)
    return world.when(hold_for(world, more.get("expense", "x")), actor="expenses").then(HoldPlaced)


def paid(*lines: ExpenseLine, **more: Any) -> Given:
    """Dora paid it."""
    return held(*lines, **more).when(pay(expense=more.get("expense", "x")), actor="dora").then(ExpensePaid)


def expense(world: Given, id: str = "x") -> Expense:
    state: Expense = world.state("expense", id)
    return state


def book(world: Given) -> Book:
    state: Book = world.state("book", "club")
    return state


def held_in_bank(world: Given) -> int:
    """What open holds take from the bank account."""
    return book(world).guards["account", "bank", "EUR"].held


def in_bank(world: Given) -> int:
    return book(world).guards["account", "bank", "EUR"].balance


# -- statements -------------------------------------------------------------------------------------------------------

OF: Final = {**IN, "account": "bank", "statement": "s1"}


def start(lines: int = 2, opening: int = 0, closing: int = 300, **more: Any) -> StartStatement:
    fields = {**OF, "unit": "EUR", "starts": date(2026, 10, 1), "ends": date(2026, 10, 31), "digest": "a" * 64, **more}
    return StartStatement(**fields, opening=opening, closing=closing, lines=lines)


def bank_line(id: str, amount: int, day: int = 5, **more: Any) -> StatementLine:
    """A line of October's."""
    return StatementLine(line=id, date=date(2026, 10, day), amount=amount, **more)


def add(*lines: StatementLine, part: int = 1, **more: Any) -> AddStatementLines:
    return AddStatementLines(**{**OF, **more}, part=part, lines=lines)


def finish(**more: Any) -> ImportStatement:
    return ImportStatement(**{**OF, **more})


def match(line: str, *entries: str, **more: Any) -> MatchLine:
    return MatchLine(**{**IN, "account": "bank", **more}, line=line, entries=entries)
