"""Holds the money for an expense when it is approved, and frees it when it is changed or rejected.

ExpenseApproved (final) -> PlaceHold; ExpenseChanged, ExpenseRejected -> VoidHold. A hold that is refused, because the
money is not there any more, is recorded for a person.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.treasury.contract import (
    ExpenseApproved,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    PaymentFailed,
    PlaceHold,
    TreasuryError,
    VoidHold,
    treasury,
)
from shared.event import Recorded
from shared.manager import Manager, Step


class Expenses(Manager):
    """Keeps what is held in step with what is approved."""

    name = "expenses"
    reads = (ExpenseApproved, ExpenseChanged, ExpenseRejected, ExpensePaid, PaymentFailed)

    def __init__(self) -> None:
        self._ended: set[str] = set()
        """Holds whose expense was changed or rejected: one not yet placed is needless."""
        self._again: dict[str, str] = {}
        """The hold for an expense since a payment of it failed, by expense."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case ExpenseApproved(final=True, hold=str() as hold) as approved:
                command = PlaceHold(
                    book=approved.book, hold=hold, debits=approved.debits, credits=approved.credits,
                    expense=approved.expense,
                )  # fmt: skip
                yield self.step(event, treasury, command, f"hold {hold}")
            case ExpenseChanged() | ExpenseRejected() as ended:
                freed = self._again.pop(ended.expense, None) or ended.hold
                if freed is not None:
                    self._ended.add(freed)
                    why = "the expense was changed" if isinstance(ended, ExpenseChanged) else "the expense was rejected"
                    void = VoidHold(book=ended.book, hold=freed, reason=why)
                    yield self.step(event, treasury, void, f"void {freed}", met_by=TreasuryError.UNKNOWN_HOLD)
            case PaymentFailed() as failed:
                self._again[failed.expense] = failed.hold
            case ExpensePaid() as paid:
                self._again.pop(paid.expense, None)

    def moot(self, step: Step) -> bool:
        return isinstance(step.command, PlaceHold) and step.command.hold in self._ended
