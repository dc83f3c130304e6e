"""Keeps what is held for expenses in step with what is approved and not paid.

ExpenseApproved (final) -> PlaceHold. ExpenseChanged, ExpenseRejected -> VoidHold, of whatever is held for the expense,
by this manager or by hand. HoldPlaced, PaymentFailed -> VoidHold, when the expense was changed or rejected meanwhile. A
hold that is refused, because the money is not there any more, is recorded for a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.treasury.contract import (
    ExpenseApproved,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
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


@dataclass(frozen=True, slots=True)
class _Held:
    """The hold for an expense; the book has one at most."""

    book: str
    hold: str
    entry: _Entry


class Expenses(Manager):
    """Places and voids the holds of expenses."""

    name = "expenses"
    reads = (
        ExpenseApproved, ExpenseChanged, ExpenseRejected, ExpensePaid, PaymentFailed, HoldPlaced, HoldVoided,
    )  # fmt: skip

    def __init__(self) -> None:
        self._approved: dict[str, _Entry | None] = {}
        """What is to be held, by expense, for as long as it is approved; None while it is paid."""
        self._held: dict[str, _Held] = {}
        """What is held, by expense."""

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
                if (held := self._held.get(ended.expense)) is not None:
                    done = "changed" if isinstance(ended, ExpenseChanged) else "rejected"
                    yield self._void(event, held, f"the expense was {done}")
            case HoldPlaced(expense=str() as expense) as placed:
                held = _Held(placed.book, placed.hold, _entry(placed.debits, placed.credits))
                yield from self._came(event, expense, held)
            case PaymentFailed() as failed:
                held = _Held(failed.book, failed.hold, _entry(failed.held_debits, failed.held_credits))
                if failed.expense in self._approved:
                    self._approved[failed.expense] = held.entry
                yield from self._came(event, failed.expense, held)
            case HoldVoided(expense=str() as expense):
                self._held.pop(expense, None)
            case ExpensePaid() as paid:
                if paid.expense in self._approved:
                    self._approved[paid.expense] = None
                self._held.pop(paid.expense, None)

    def _came(self, event: Recorded, expense: str, held: _Held) -> Iterable[Step]:
        """Something is held for an expense; if that needs it no more, it is freed."""
        self._held[expense] = held
        if self._approved.get(expense) != held.entry:
            yield self._void(event, held, "the expense is not approved any more")

    def _void(self, event: Recorded, held: _Held, why: str) -> Step:
        command = VoidHold(book=held.book, hold=held.hold, reason=why)
        return self.step(event, treasury, command, f"void {held.hold}")

    def moot(self, step: Step) -> bool:
        command = step.command
        if isinstance(command, PlaceHold):
            entry, held = _entry(command.debits, command.credits), self._held.get(command.expense or "")
            return self._approved.get(command.expense or "") != entry or (held is not None and held.entry == entry)
        for expense, held in self._held.items():
            if (held.book, held.hold) == (command.book, command.hold):
                return held.entry == self._approved.get(expense)
        return True


def _entry(debits: Sequence[Posting], credits: Sequence[Posting]) -> _Entry:  # noqa: A002
    """What an entry posts, whatever the order of its lines."""
    return Counter(debits), Counter(credits)
