"""Payments of expenses: made once, under a reference, by somebody else than asked for or approved it; and failed."""

from __future__ import annotations

from services.treasury.contract import (
    ExpensePaid,
    PayExpense,
    PaymentFailed,
    RecordPaymentFailed,
    TreasuryError,
)
from services.treasury.expense_state import Expense, Stage
from services.treasury.holds import without
from services.treasury.posting import judge, judge_postings, opened, rejected, today
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
    paid = recalled(context, command.book, f"expense:{command.expense}")
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
    hold_id = book.expense_holds.get(command.expense)
    if hold_id is None:
        raise rejected(
            TreasuryError.MONEY_NOT_HELD,
            f"The money for expense {command.expense} is not held. See `commons show review` for why; when there is "
            f"enough, place the hold, with PlaceHold and expense {command.expense}.",
            expense=command.expense,
        )  # fmt: skip
    hold = book.holds[hold_id]
    last = today(book, context.now)
    day = command.date or last
    judge(book, command.entry, day, hold.debits, hold.credits, last=last, guards=without(book, hold))
    return ExpensePaid(
        **(dict(fields_of(command)) | {"date": day}), debits=hold.debits, credits=hold.credits, hold=hold_id,
        payer=context.actor,
    )  # fmt: skip


def payment_failed(command: RecordPaymentFailed, book: Book, context: Context) -> PaymentFailed | None:
    opened(book, command.book)
    if posted_before(command, context, PaymentFailed):
        return None
    past = recalled(context, command.book, f"expense:{command.expense}")
    if past is None or not isinstance(past.event, ExpensePaid):
        raise rejected(
            TreasuryError.NOT_PAID, f"Expense {command.expense} is not paid, so no payment of it can have failed.",
            expense=command.expense,
        )  # fmt: skip
    paid = past.event
    last = today(book, context.now)
    day = command.date or last
    breaches = judge(book, command.entry, day, paid.credits, paid.debits, last=last, fact=True, spending=False)
    judge_postings(book, command.entry, day, paid.debits, paid.credits, fact=True)
    return PaymentFailed(
        **(dict(fields_of(command)) | {"date": day}), debits=paid.credits, credits=paid.debits, breaches=breaches,
        reverses=paid.entry, hold=f"{command.expense}-r{book.revision + 1}", held_debits=paid.debits,
        held_credits=paid.credits,
    )  # fmt: skip
