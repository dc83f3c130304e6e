"""Commands and events of `statement`: what the bank says of one account. The aggregate's id is `<book>:<account>`.

A statement is a header, its lines in numbered parts, and a closing command that checks it: opening balance and lines
must give the closing balance. It has no effect until then. A line that an earlier statement brought (the same bank's
id) is known already, so statements may overlap.

    StartStatement -> StatementStarted, AddStatementLines -> StatementLinesAdded, ImportStatement -> StatementImported

Lines are matched with entries of the book; the entries' effect on the account must be the line's amount.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from services.treasury.contract.base import (
    Balance,
    Date,
    Digest,
    Id,
    Moment,
    Note,
    Unit,
    command,
    event,
    value,
)
from shared.personal import PersonalNote, PersonalText, Sealed
from shared.types import shaped

MAX_STATEMENT_LINES = 100
"""Lines of one part."""

LineId = Annotated[
    str,
    Field(
        pattern=shaped(
            r"^[A-Za-z0-9][A-Za-z0-9_.:/+=-]{0,127}$",
            "a line's id is 1 to 128 letters, digits and _ . : / + = -, and begins with a letter or digit",
        )
    ),
]
"""The bank's own id of a line (FITID), or one made from its content; unique within the account."""

Line = Annotated[int, Field(ge=1, le=100_000)]


def bank_account(command: Any) -> str:
    """The id of the aggregate: one account of one book. Neither part can hold a colon."""
    return f"{command.book}:{command.account}"


@value
class StatementLine:
    """What the bank says happened: `amount` in minor units, positive into the account, never zero.

    `payee` is the other side, `memo` and `reference` what came with it; all three are sealed.
    """

    line: LineId
    date: Date
    amount: Balance
    payee: Annotated[PersonalText | None, Sealed(of="statement")] = None
    memo: Annotated[PersonalNote | None, Sealed(of="statement")] = None
    reference: Annotated[PersonalText | None, Sealed(of="statement")] = None


@event(category="statement")
class StatementStarted:
    """A statement began to be read: its balances, its days, and how many lines and parts it has.

    `digest` is the SHA-256 of the file it came in, by which the same statement is known again.
    """

    book: Id
    account: Id
    statement: Id
    unit: Unit
    starts: Date
    ends: Date
    opening: Balance
    closing: Balance
    lines: int
    digest: Digest
    occurred_at: Moment


@command(category="statement", aggregate=bank_account, makes=(StatementStarted,))
class StartStatement:
    """Begin to import a statement of a bank account. Started again, it replaces one that was never finished."""

    book: Id
    account: Id
    statement: Id
    unit: Unit
    starts: Date
    ends: Date
    opening: Balance
    closing: Balance
    lines: Annotated[int, Field(ge=0, le=100_000)]
    digest: Digest
    occurred_at: Moment | None = None


@event(category="statement")
class StatementLinesAdded:
    """One part of a statement's lines, in order; `part` counts from 1."""

    book: Id
    account: Id
    statement: Id
    part: Line
    lines: tuple[StatementLine, ...]
    occurred_at: Moment


@command(category="statement", aggregate=bank_account, makes=(StatementLinesAdded,))
class AddStatementLines:
    """Add one part of a statement's lines."""

    book: Id
    account: Id
    statement: Id
    part: Line
    lines: Annotated[tuple[StatementLine, ...], Field(min_length=1, max_length=MAX_STATEMENT_LINES)]
    occurred_at: Moment | None = None


@event(category="statement")
class StatementImported:
    """A statement is complete and adds up; its lines wait to be matched.

    `known` of its lines came with an earlier statement. `gap` is its opening balance less what was known for its first
    day: the closing balance of the newest statement that ended before it, and the lines known of the days between.
    """

    book: Id
    account: Id
    statement: Id
    starts: Date
    ends: Date
    closing: Balance
    unit: Unit
    new: int
    known: int
    gap: int = 0
    occurred_at: Moment


@command(category="statement", aggregate=bank_account, makes=(StatementImported,))
class ImportStatement:
    """Finish a statement: check that it adds up, and let its lines be matched."""

    book: Id
    account: Id
    statement: Id
    occurred_at: Moment | None = None


@event(category="statement")
class LineMatched:
    """A line of the bank's is these entries of the book; `amount` is what both say."""

    book: Id
    account: Id
    line: LineId
    entries: tuple[Id, ...]
    amount: Balance
    occurred_at: Moment


@command(category="statement", aggregate=bank_account, makes=(LineMatched,))
class MatchLine:
    """Match a line of the bank's with the entry, or the few entries, that it is in the book."""

    book: Id
    account: Id
    line: LineId
    entries: Annotated[tuple[Id, ...], Field(min_length=1, max_length=50)]
    occurred_at: Moment | None = None


@event(category="statement")
class LineUnmatched:
    """A line waits to be matched again; `entries` were matched with it by mistake."""

    book: Id
    account: Id
    line: LineId
    entries: tuple[Id, ...]
    reason: Note
    occurred_at: Moment


@command(category="statement", aggregate=bank_account, makes=(LineUnmatched,))
class UnmatchLine:
    """Take the match of a line back."""

    book: Id
    account: Id
    line: LineId
    reason: Note
    occurred_at: Moment | None = None


__all__ = [
    "MAX_STATEMENT_LINES", "AddStatementLines", "ImportStatement", "LineMatched", "LineUnmatched",
    "MatchLine", "StartStatement", "StatementImported", "StatementLine", "StatementLinesAdded", "StatementStarted",
    "UnmatchLine", "bank_account",
]  # fmt: skip
