"""Payments of expenses: made once, under a reference, by somebody else than asked for or approved it; and failed."""

from __future__ import annotations

from services.treasury.approvals import benefits
from services.treasury.contract import (
    ExpensePaid,
    PayExpense,
    PaymentFailed,
    RecordPaymentFailed,
    TreasuryError,
)
from services.treasury.expense_rules import approved, not_paid, not_rejected, of_book, same_version
from services.treasury.expense_state import Expense, is_for
from services.treasury.holds import without
from services.treasury.limits import judge
from services.treasury.posting import opened, posting_day, rejected
from services.treasury.rules import Refusals, posted_before, recalled
from services.treasury.state import Book
from shared.contract import fields_of
from shared.decider import Context
from shared.persons import is_among


def pay_expense(command: PayExpense, book: Book, context: Context) -> ExpensePaid | None:
    opened(book, command.book)
    if posted_before(command, context, ExpensePaid):
        return None
    expense: Expense = context.read("expense", command.expense)
    of_book(expense, command.expense, command.book)
    day = posting_day(command.date, book, context.now)
    refusals = Refusals()
    with refusals:
        _new_reference(command, context)
    with refusals:
        same_version(expense, command.expense, command.version)
    with refusals:
        not_rejected(expense, command.expense)
    with refusals:
        not_paid(command.expense, command.book, context)
    with refusals:
        _by_another(command, expense, context)
    with refusals:
        approved(expense, command.expense)
    refusals.answer()
    hold_id = _held_for(command.expense, expense, book)
    hold = book.holds[hold_id]
    judge(book, command.entry, day, hold.debits, hold.credits, guards=without(book, hold))
    return ExpensePaid(
        **(dict(fields_of(command)) | {"date": day}), debits=hold.debits, credits=hold.credits, hold=hold_id,
        payer=context.actor,
    )  # fmt: skip


def reference_name(reference: str) -> str:
    """The name under which the book finds a payment's reference again; case and blanks make no difference."""
    return f"reference:{' '.join(reference.casefold().split())}"


def _new_reference(command: PayExpense, context: Context) -> None:
    used = recalled(context, command.book, reference_name(command.reference))
    if used is not None:
        raise rejected(
            TreasuryError.PAYMENT_REFERENCE_USED,
            f"The payment reference {command.reference!r} was used before, by entry {used.event.entry}. A payment is "
            "made once: look that one up, or take the new payment's own reference.",
            reference=command.reference, entry=used.event.entry,
        )  # fmt: skip


def _by_another(command: PayExpense, expense: Expense, context: Context) -> None:
    """Refuse a payment by who asked for the expense, approved it, or is paid."""
    if is_among(context.actor, (*expense.submitters, *expense.approvers)):
        raise rejected(
            TreasuryError.SECOND_PERSON_REQUIRED,
            f"{context.actor} submitted, changed or approved expense {command.expense}. Somebody else pays it.",
            expense=command.expense, actor=context.actor,
        )  # fmt: skip
    if benefits(expense, context):
        raise rejected(
            TreasuryError.OWN_BENEFIT, f"Expense {command.expense} goes to {context.actor}. Somebody else pays it.",
            expense=command.expense,
        )  # fmt: skip


def _held_for(id: str, expense: Expense, book: Book) -> str:
    """The hold in which the money is, just as it was approved. Refuses an expense that has none."""
    for hold_id, hold in book.holds.items():
        if hold.expense == id and is_for(expense, hold.debits, hold.credits):
            return hold_id
    raise rejected(
        TreasuryError.MONEY_NOT_HELD,
        f"The money for expense {id} is not held as it was approved. See `commons show review` for why; when there is "
        f"enough, place the hold, with PlaceHold and expense {id}.",
        expense=id,
    )  # fmt: skip


def payment_failed(command: RecordPaymentFailed, book: Book, context: Context) -> PaymentFailed | None:
    opened(book, command.book)
    if posted_before(command, context, PaymentFailed):
        return None
    day = posting_day(command.date, book, context.now)
    past = recalled(context, command.book, f"expense:{command.expense}")
    if past is None or not isinstance(past.event, ExpensePaid):
        raise rejected(
            TreasuryError.NOT_PAID, f"Expense {command.expense} is not paid, so no payment of it can have failed.",
            expense=command.expense,
        )  # fmt: skip
    paid = past.event
    breaches = judge(book, command.entry, day, paid.credits, paid.debits, fact=True, spending=False)
    number = book.revision + 1
    while f"{command.expense}-r{number}" in book.holds:
        number += 1
    return PaymentFailed(
        **(dict(fields_of(command)) | {"date": day}), debits=paid.credits, credits=paid.debits, breaches=breaches,
        reverses=paid.entry, hold=f"{command.expense}-r{number}", held_debits=paid.debits,
        held_credits=paid.credits,
    )  # fmt: skip
