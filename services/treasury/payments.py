"""Payments of expenses: made once, under a reference, by somebody else than asked for or approved it; and failed."""

from __future__ import annotations

from services.treasury.contract import (
    ExpensePaid,
    PayExpense,
    PaymentFailed,
    RecordPaymentFailed,
    TreasuryError,
)
from services.treasury.expense_state import Expense, Stage, postings_of
from services.treasury.holds import without
from services.treasury.limits import judge
from services.treasury.posting import opened, posting_day, rejected
from services.treasury.rules import posted_before, recalled
from services.treasury.state import Book
from shared.contract import fields_of
from shared.decider import Context


def pay_expense(command: PayExpense, book: Book, context: Context) -> ExpensePaid | None:
    opened(book, command.book)
    if posted_before(command, context, ExpensePaid):
        return None
    expense: Expense = context.read("expense", command.expense)
    if expense.stage is Stage.NONE or expense.book != command.book:
        raise rejected(
            TreasuryError.UNKNOWN_EXPENSE,
            f"There is no expense {command.expense} of book {command.book}. Check its id.",
            expense=command.expense,
        )  # fmt: skip
    day = posting_day(command.date, book, context.now)
    if recalled(context, command.book, f"reference:{command.reference}") is not None:
        raise rejected(
            TreasuryError.PAYMENT_REFERENCE_USED,
            f"The payment reference {command.reference!r} was used before. A payment is made once: look that one up, "
            "or take the new payment's own reference.",
            reference=command.reference,
        )  # fmt: skip
    if expense.version != command.version:
        raise rejected(
            TreasuryError.EXPENSE_CHANGED,
            f"Expense {command.expense} is at version {expense.version}, not {command.version}: look at it again.",
            expense=command.expense, version=expense.version,
        )  # fmt: skip
    if expense.stage is Stage.REJECTED:
        raise rejected(
            TreasuryError.EXPENSE_REJECTED, f"Expense {command.expense} was rejected.", expense=command.expense
        )
    paid = recalled(context, command.book, f"expense:{command.expense}")
    if paid is not None and isinstance(paid.event, ExpensePaid):
        raise rejected(
            TreasuryError.EXPENSE_PAID,
            f"Expense {command.expense} was paid by entry {paid.event.entry}, reference {paid.event.reference!r}.",
            expense=command.expense, entry=paid.event.entry,
        )  # fmt: skip
    if context.actor in (expense.submitter, *expense.approvers):
        raise rejected(
            TreasuryError.SECOND_PERSON_REQUIRED,
            f"{context.actor} submitted or approved expense {command.expense}. Somebody else pays it.",
            expense=command.expense, actor=context.actor,
        )  # fmt: skip
    if expense.payee_index is not None and context.blind("login", context.actor) == expense.payee_index:
        raise rejected(
            TreasuryError.OWN_BENEFIT, f"Expense {command.expense} goes to {context.actor}. Somebody else pays it.",
            expense=command.expense,
        )  # fmt: skip
    if expense.stage is not Stage.APPROVED:
        raise rejected(
            TreasuryError.NOT_APPROVED,
            f"Expense {command.expense} has {len(expense.approvers)} of {expense.needed} approvals. It is paid when it "
            "has all of them.",
            expense=command.expense, approvals=len(expense.approvers), needed=expense.needed,
        )  # fmt: skip
    hold_id = _held_for(command.expense, expense, book)
    hold = book.holds[hold_id]
    judge(book, command.entry, day, hold.debits, hold.credits, guards=without(book, hold))
    return ExpensePaid(
        **(dict(fields_of(command)) | {"date": day}), debits=hold.debits, credits=hold.credits, hold=hold_id,
        payer=context.actor,
    )  # fmt: skip


def _held_for(id: str, expense: Expense, book: Book) -> str:
    """The hold in which the money is, exactly as it was approved. Refuses an expense that has none."""
    approved = postings_of(expense)
    for hold_id, hold in book.holds.items():
        if hold.expense == id and (hold.debits, hold.credits) == approved:
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
