"""Keeps what is held for expenses in step with what is approved and not paid.

ExpenseApproved (final) -> PlaceHold. ExpenseChanged, ExpenseRejected -> VoidHold, of whatever is held for the expense,
by this manager or by hand. HoldPlaced, PaymentFailed -> VoidHold, when the expense was changed or rejected meanwhile. A
hold that is refused, because the money is not there any more, is recorded for a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.treasury.contract import (
    ExpenseApproved,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    PaymentFailed,
    PlaceHold,
    Posting,
    VoidHold,
    treasury,
)
from shared.event import Recorded
from shared.manager import Manager, Step

_Entry = tuple[Counter[Posting], Counter[Posting]]


class Expenses(Manager):
    """Places and voids the holds of expenses."""

    name = "expenses"
    reads = (
        ExpenseApproved, ExpenseChanged, ExpenseRejected, ExpensePaid, PaymentFailed, HoldPlaced, HoldVoided,
        HoldExpired,
    )  # fmt: skip

    def __init__(self) -> None:
        self._approved: dict[str, _Entry | None] = {}
        """What is to be held, by expense, for as long as it is approved; None while it is paid."""
        self._held: dict[str, dict[str, _Entry]] = {}
        """What is held, by expense and hold."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case ExpenseApproved(final=True, hold=str() as hold) as approved:
                self._approved[approved.expense] = _entry(approved.debits, approved.credits)
                command = PlaceHold(
                    book=approved.book, hold=hold, debits=approved.debits, credits=approved.credits,
                    expense=approved.expense,
                )  # fmt: skip
                yield self.step(event, treasury, command, f"hold {hold}")
            case ExpenseChanged() | ExpenseRejected() as ended:
                self._approved.pop(ended.expense, None)
                why = "the expense was changed" if isinstance(ended, ExpenseChanged) else "the expense was rejected"
                for hold in self._held.get(ended.expense, ()):
                    yield self._void(event, ended.book, ended.expense, hold, why)
            case HoldPlaced(expense=str() as expense) as placed:
                yield from self._came(event, expense, placed.hold, _entry(placed.debits, placed.credits))
            case PaymentFailed() as failed:
                entry = _entry(failed.held_debits, failed.held_credits)
                if failed.expense in self._approved:
                    self._approved[failed.expense] = entry
                yield from self._came(event, failed.expense, failed.hold, entry)
            case HoldVoided(expense=str() as expense) | HoldExpired(expense=str() as expense) as gone:
                self._went(expense, gone.hold)
            case ExpensePaid() as paid:
                if paid.expense in self._approved:
                    self._approved[paid.expense] = None
                self._went(paid.expense, paid.hold)

    def _came(self, event: Recorded, expense: str, hold: str, entry: _Entry) -> Iterable[Step]:
        """Something is held for an expense; if that needs it no more, it is freed."""
        self._held.setdefault(expense, {})[hold] = entry
        if self._approved.get(expense) != entry:
            why = "the expense is not approved any more"
            yield self._void(event, event.data.book, expense, hold, why)

    def _went(self, expense: str, hold: str) -> None:
        held = self._held.get(expense, {})
        held.pop(hold, None)
        if not held:
            self._held.pop(expense, None)

    def _void(self, event: Recorded, book: str, expense: str, hold: str, why: str) -> Step:
        command = VoidHold(book=book, hold=hold, reason=why, expense=expense)
        return self.step(event, treasury, command, f"void {hold}")

    def moot(self, step: Step) -> bool:
        command = step.command
        wanted, held = self._approved.get(command.expense), self._held.get(command.expense, {})
        if isinstance(command, PlaceHold):
            entry = _entry(command.debits, command.credits)
            return wanted != entry or entry in held.values()
        return command.hold not in held or held[command.hold] == wanted


def _entry(debits: Sequence[Posting], credits: Sequence[Posting]) -> _Entry:  # noqa: A002
    """What an entry posts, whatever the order of its lines."""
    return Counter(debits), Counter(credits)
