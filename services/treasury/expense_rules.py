"""What the commands about an expense refuse alike, whether the expense or the book decides them."""

from __future__ import annotations

from services.treasury.contract import ExpensePaid, TreasuryError
from services.treasury.expense_state import Expense, Stage
from services.treasury.posting import rejected
from services.treasury.rules import recalled
from shared.decider import Context


def of_book(expense: Expense, id: str, book: str) -> None:
    """Refuse an expense that was never submitted, or belongs to another book."""
    if expense.stage is Stage.NONE or expense.book != book:
        raise rejected(
            TreasuryError.UNKNOWN_EXPENSE, f"There is no expense {id} of book {book}. Check its id.", expense=id
        )


def same_version(expense: Expense, id: str, version: int) -> None:
    """Refuse a decision on an expense that was changed since it was looked at."""
    if expense.version != version:
        raise rejected(
            TreasuryError.EXPENSE_CHANGED,
            f"Expense {id} is at version {expense.version}, not {version}: look at it again.",
            expense=id, version=expense.version,
        )  # fmt: skip


def not_rejected(expense: Expense, id: str) -> None:
    if expense.stage is Stage.REJECTED:
        raise rejected(
            TreasuryError.EXPENSE_REJECTED,
            f"Expense {id} was rejected. If it is needed after all, put it again with ChangeExpense.",
            expense=id,
        )  # fmt: skip


def approved(expense: Expense, id: str) -> None:
    """Refuse what only an expense with all its approvals allows."""
    if expense.stage is not Stage.APPROVED:
        raise rejected(
            TreasuryError.NOT_APPROVED,
            f"Expense {id} has {len(expense.approvers)} approvals and needs {expense.needed}. Money is held for it, "
            "and it is paid, when it has them all.",
            expense=id, approvals=len(expense.approvers), needed=expense.needed,
        )  # fmt: skip


def not_paid(id: str, book: str, context: Context) -> None:
    """Refuse an expense whose payment stands; the decision recalls `expense:<id>` from the book."""
    past = recalled(context, book, f"expense:{id}")
    if past is not None and isinstance(past.event, ExpensePaid):
        raise rejected(
            TreasuryError.EXPENSE_PAID,
            f"Expense {id} was paid by entry {past.event.entry}, reference {past.event.reference!r}. If the payment "
            "failed, use RecordPaymentFailed.",
            expense=id, entry=past.event.entry,
        )  # fmt: skip
