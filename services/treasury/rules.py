"""Rules that several deciders of the treasury share: days, moments, repeated commands, and what a book remembers."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Any

from services.treasury.contract import EntryReversed, PaymentFailed, TreasuryError
from services.treasury.limits import RANK
from services.treasury.posting import rejected
from shared.contract import FILLED, fields_of
from shared.decider import Context, Past, Ref
from shared.errors import Rejected
from shared.moments import TOLERANCE


class Refusals:
    """Gathers what several checks refuse, and answers with the first in the order of TreasuryError.

    refusals = Refusals()
    with refusals:
        same_version(expense, command.expense, command.version)
    with refusals:
        not_rejected(expense, command.expense)
    refusals.answer()
    """

    def __init__(self) -> None:
        self._found: list[Rejected] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type | None, error: BaseException | None, __: TracebackType | None) -> bool:
        if isinstance(error, Rejected):
            self._found.append(error)
        return isinstance(error, Rejected)

    def answer(self) -> None:
        if self._found:
            raise min(self._found, key=lambda refusal: RANK[TreasuryError(refusal.code)])


def when(occurred_at: datetime | None, context: Context) -> datetime:
    """When a command's fact happened: as it says, or now. Refuses the future."""
    if occurred_at is None:
        return context.now
    if occurred_at > context.now + TOLERANCE:
        raise rejected(
            TreasuryError.OCCURRED_IN_FUTURE,
            f"occurred_at is {occurred_at:%Y-%m-%d %H:%M} UTC, which is yet to come. Leave it out for now.",
            occurred_at=occurred_at.isoformat(), now=context.now.isoformat(),
        )  # fmt: skip
    return occurred_at


def differing(command: Any, past: Any, *, but: str = "") -> str | None:
    """The first field, but one, in which a command differs from what was recorded; None when it says the same."""
    for name, wanted in fields_of(command):
        if name != but and getattr(past, name, None) != wanted and not (wanted is None and name in FILLED):
            return name
    return None


def recalled(context: Context, book: str, name: str) -> Past | None:
    """The newest event of a book that bears a name."""
    return context.recalled(Ref("book", book), name)


def taken_back_by(event: object, id: str) -> str | None:
    """The entry that took an entry back, when the newest event with the entry's name did that."""
    return event.entry if isinstance(event, EntryReversed | PaymentFailed) and event.reverses == id else None


def posted_before(command: Any, context: Context, makes: type) -> bool:
    """Whether this very entry is posted already. Refuses when another one has its id, or it was taken back since."""
    past = recalled(context, command.book, f"entry:{command.entry}")
    if past is None:
        return False
    if (by := taken_back_by(past.event, command.entry)) is not None:
        raise rejected(
            TreasuryError.ENTRY_EXISTS,
            f"Entry {command.entry} was posted before, and was reversed by {by}. An entry's id is used once: choose "
            "another.",
            entry=command.entry, reversed_by=by,
        )  # fmt: skip
    return same_entry(command.entry, differing(command, past.event) if isinstance(past.event, makes) else "type")


def same_entry(id: str, field: str | None) -> bool:
    """Whether an entry that differs in a field, or in none, from the one of its id is that one. Refuses another."""
    if field is None:
        return True
    raise rejected(
        TreasuryError.ENTRY_EXISTS,
        f"Entry {id} was posted before with another {field}. An entry's id is used once: choose another.",
        entry=id, field=field,
    )  # fmt: skip
