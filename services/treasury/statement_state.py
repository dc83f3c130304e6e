"""What the bank said of one account, as the events make it: statements, their lines, and what these are in the book."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from datetime import date
from operator import itemgetter

from services.treasury.contract import (
    LineMatched,
    LineUnmatched,
    StatementImported,
    StatementLinesAdded,
    StatementStarted,
)

StatementEvent = StatementStarted | StatementLinesAdded | StatementImported | LineMatched | LineUnmatched


@dataclass(slots=True)
class BankLine:
    """A line of the bank's: its amount in minor units, its day, and the entries that it is in the book."""

    amount: int
    date: date
    entries: tuple[str, ...] = ()


@dataclass
class Reading:
    """A statement that is being read: what its header says, and its lines so far, without their texts."""

    header: StatementStarted
    parts: int = 0
    lines: dict[str, BankLine] = field(default_factory=dict)
    total: int = 0
    """What the opening balance and the lines so far make."""


@dataclass
class BankAccount:
    """What the bank said of one account so far."""

    unit: str = ""
    reading: Reading | None = None
    lines: dict[str, BankLine] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    """The statements that are complete, by the SHA-256 of their files."""
    closings: list[tuple[date, int]] = field(default_factory=list)
    """The last day of each statement, and the balance that it closes with; of one day, in the order they came."""
    matched: dict[str, str] = field(default_factory=dict)
    """The line that each entry is matched with."""


def evolve(account: BankAccount, event: StatementEvent) -> BankAccount:
    match event:
        case StatementStarted():
            account.reading = Reading(event, total=event.opening)
        case StatementLinesAdded():
            assert account.reading is not None
            account.reading.parts = event.part
            account.reading.lines |= {line.line: BankLine(line.amount, line.date) for line in event.lines}
            account.reading.total += sum(line.amount for line in event.lines)
        case StatementImported():
            assert account.reading is not None
            account.lines = account.reading.lines | account.lines
            account.unit = event.unit
            account.imported[account.reading.header.digest] = event.statement
            account.reading = None
            insort(account.closings, (event.ends, event.closing), key=itemgetter(0))
        case LineMatched():
            account.lines[event.line].entries = event.entries
            account.matched |= dict.fromkeys(event.entries, event.line)
        case LineUnmatched():
            account.lines[event.line].entries = ()
            for entry in event.entries:
                del account.matched[entry]
    return account


def check(account: BankAccount) -> list[str]:
    broken = [
        f"entry {entry} is matched with line {line}, which does not say so"
        for entry, line in account.matched.items()
        if entry not in account.lines[line].entries
    ]
    if sum(len(line.entries) for line in account.lines.values()) != len(account.matched):
        broken.append("a line is matched with an entry that another line has")
    return broken
