"""Statements of one bank account: read in parts, checked as a whole, and matched line by line with the book."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from services.treasury import rules
from services.treasury.contract import (
    AccountKind,
    AddStatementLines,
    ImportStatement,
    LineMatched,
    LineUnmatched,
    MatchLine,
    StartStatement,
    StatementImported,
    StatementLine,
    StatementLinesAdded,
    StatementStarted,
    TreasuryError,
    UnmatchLine,
    entries_of,
    treasury,
)
from services.treasury.posting import amount_text, of_kind, opened, rejected
from services.treasury.rules import recalled
from services.treasury.state import Book
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref


@dataclass(slots=True)
class BankLine:
    """A line of the bank's: its amount in minor units, its day, and the entries that it is in the book."""

    amount: int
    date: date
    entries: tuple[str, ...] = ()


@dataclass
class Reading:
    """A statement that is being read: what its header says, and its lines so far."""

    header: StatementStarted
    parts: int = 0
    lines: list[StatementLine] = field(default_factory=list)


@dataclass
class BankAccount:
    """What the bank said of one account so far."""

    unit: str = ""
    reading: Reading | None = None
    lines: dict[str, BankLine] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    """The statements that are complete, by the SHA-256 of their files."""
    ends: date | None = None
    closing: int = 0
    matched: dict[str, str] = field(default_factory=dict)
    """The line that each entry is matched with."""


StatementCommand = StartStatement | AddStatementLines | ImportStatement | MatchLine | UnmatchLine
StatementEvent = StatementStarted | StatementLinesAdded | StatementImported | LineMatched | LineUnmatched


def evolve(account: BankAccount, event: StatementEvent) -> BankAccount:
    match event:
        case StatementStarted():
            account.unit, account.reading = event.unit, Reading(event)
        case StatementLinesAdded():
            assert account.reading is not None
            account.reading.parts = event.part
            account.reading.lines += event.lines
        case StatementImported():
            assert account.reading is not None
            for line in account.reading.lines:
                account.lines.setdefault(line.line, BankLine(line.amount, line.date))
            account.imported[account.reading.header.digest] = event.statement
            account.reading = None
            if account.ends is None or event.ends >= account.ends:
                account.ends, account.closing = event.ends, event.closing
        case LineMatched():
            account.lines[event.line].entries = event.entries
            account.matched |= dict.fromkeys(event.entries, event.line)
        case LineUnmatched():
            account.lines[event.line].entries = ()
            for entry in event.entries:
                del account.matched[entry]
    return account


def reads(command: StatementCommand) -> Iterable[Ref]:
    return (Ref("book", command.book),)


def recalls(command: StatementCommand) -> Iterable[tuple[Ref, str]]:
    if isinstance(command, MatchLine):
        return [(Ref("book", command.book), f"entry:{entry}") for entry in command.entries]
    return ()


def decide(command: StatementCommand, account: BankAccount, context: Context) -> StatementEvent | None:
    book: Book = context.read("book", command.book)
    opened(book, command.book)
    match command:
        case StartStatement():
            return _start(command, account, book, context)
        case AddStatementLines():
            return _add(command, account, context)
        case ImportStatement():
            return _import(command, account, book, context)
        case MatchLine():
            return _match(command, account, book, context)
        case UnmatchLine():
            line = _line(account, command.line, command.account)
            if not line.entries:
                return None
            return LineUnmatched(
                book=command.book, account=command.account, line=command.line, entries=line.entries,
                reason=command.reason, occurred_at=rules.when(command.occurred_at, context),
            )  # fmt: skip


def _start(command: StartStatement, account: BankAccount, book: Book, context: Context) -> StatementStarted | None:
    if command.digest in account.imported:
        return None
    of_kind(book, command.account, AccountKind.ASSET, AccountKind.LIABILITY)
    if command.statement in account.imported.values():
        raise rejected(
            TreasuryError.ALREADY_EXISTS, f"A statement {command.statement} was imported from another file already.",
            statement=command.statement,
        )  # fmt: skip
    if command.ends < command.starts:
        raise rejected(
            TreasuryError.INVALID_RANGE, f"The statement ends on {command.ends}, before it starts on {command.starts}.",
            starts=str(command.starts), ends=str(command.ends),
        )  # fmt: skip
    if command.unit not in book.units:
        raise rejected(
            TreasuryError.UNKNOWN_UNIT, f"{command.unit} is no unit of this book. Register it with RegisterUnit.",
            unit=command.unit,
        )  # fmt: skip
    if account.unit and account.unit != command.unit:
        raise rejected(
            TreasuryError.WRONG_UNIT,
            f"Account {command.account} has statements in {account.unit}, not {command.unit}.",
            unit=command.unit, expected=account.unit,
        )  # fmt: skip
    event = StatementStarted(
        **(dict(fields_of(command)) | {"occurred_at": rules.when(command.occurred_at, context)})
    )  # fmt: skip
    reading = account.reading
    if reading is not None and not reading.lines and _same_header(reading.header, event):
        return None
    return event


def _same_header(one: StatementStarted, other: StatementStarted) -> bool:
    return all(value == getattr(other, name) for name, value in fields_of(one) if name != "occurred_at")


def _add(command: AddStatementLines, account: BankAccount, context: Context) -> StatementLinesAdded | None:
    reading = account.reading
    if reading is None or reading.header.statement != command.statement:
        if command.statement in account.imported.values():
            return None
        raise _not_started(command.statement)
    if command.part <= reading.parts:
        return None
    if command.part != reading.parts + 1:
        raise rejected(
            TreasuryError.STATEMENT_INCOMPLETE,
            f"Part {reading.parts + 1} of statement {command.statement} comes next, not {command.part}.",
            statement=command.statement, expected=reading.parts + 1,
        )  # fmt: skip
    seen = {line.line for line in reading.lines}
    for line in command.lines:
        if line.line in seen:
            raise rejected(
                TreasuryError.DUPLICATE_LINE, f"Line {line.line} stands twice in statement {command.statement}.",
                line=line.line,
            )  # fmt: skip
        seen.add(line.line)
        if not line.amount:
            raise rejected(TreasuryError.AMOUNTS_DIFFER, f"Line {line.line} has no amount.", line=line.line)
        if not reading.header.starts <= line.date <= reading.header.ends:
            raise rejected(
                TreasuryError.INVALID_RANGE,
                f"Line {line.line} is of {line.date}, outside the statement's days, {reading.header.starts} to "
                f"{reading.header.ends}.",
                line=line.line, date=str(line.date),
            )  # fmt: skip
        before = account.lines.get(line.line)
        if before is not None and (before.amount, before.date) != (line.amount, line.date):
            raise rejected(
                TreasuryError.AMOUNTS_DIFFER,
                f"An earlier statement has line {line.line} with another amount or day. Ask the bank which is right.",
                line=line.line, amount=line.amount, before=before.amount,
            )  # fmt: skip
    at = rules.when(command.occurred_at, context)
    return StatementLinesAdded(**(dict(fields_of(command)) | {"occurred_at": at}))


def _import(command: ImportStatement, account: BankAccount, book: Book, context: Context) -> StatementImported | None:
    reading = account.reading
    if reading is None or reading.header.statement != command.statement:
        if command.statement in account.imported.values():
            return None
        raise _not_started(command.statement)
    header = reading.header
    if len(reading.lines) != header.lines:
        raise rejected(
            TreasuryError.STATEMENT_INCOMPLETE,
            f"Statement {command.statement} has {header.lines} lines, of which {len(reading.lines)} are here. Send the "
            "rest, or start it again.",
            statement=command.statement, lines=header.lines, here=len(reading.lines),
        )  # fmt: skip
    total = header.opening + sum(line.amount for line in reading.lines)
    if total != header.closing:
        raise rejected(
            TreasuryError.WRONG_CLOSING_BALANCE,
            f"Statement {command.statement} opens with {amount_text(book, header.opening, header.unit)}; with its "
            f"lines that makes {amount_text(book, total, header.unit)}, and it says it closes with "
            f"{amount_text(book, header.closing, header.unit)}. Lines are missing or wrong; nothing was imported.",
            statement=command.statement, opening=header.opening, closing=header.closing, computed=total,
        )  # fmt: skip
    known = sum(line.line in account.lines for line in reading.lines)
    adjacent = account.ends is not None and header.starts == account.ends + timedelta(days=1)
    return StatementImported(
        book=command.book, account=command.account, statement=command.statement, starts=header.starts,
        ends=header.ends, closing=header.closing, unit=header.unit, new=len(reading.lines) - known, known=known,
        gap=header.opening - account.closing if adjacent else 0, occurred_at=rules.when(command.occurred_at, context),
    )  # fmt: skip


def _match(command: MatchLine, account: BankAccount, book: Book, context: Context) -> LineMatched | None:
    line = _line(account, command.line, command.account)
    if line.entries:
        if set(line.entries) == set(command.entries):
            return None
        raise rejected(
            TreasuryError.ALREADY_MATCHED,
            f"Line {command.line} is matched with {', '.join(line.entries)}. Unmatch it first, with UnmatchLine.",
            line=command.line, entries=list(line.entries),
        )  # fmt: skip
    if len(set(command.entries)) < len(command.entries):
        raise rejected(TreasuryError.DUPLICATE_LINE, "An entry is listed twice. List each once.")
    total = 0
    for id in command.entries:
        past = recalled(context, command.book, f"entry:{id}")
        if past is None:
            raise rejected(
                TreasuryError.UNKNOWN_ENTRY, f"There is no entry {id} in book {command.book}. Check its id.", entry=id
            )
        if id in account.matched:
            raise rejected(
                TreasuryError.ALREADY_MATCHED, f"Entry {id} is matched with line {account.matched[id]} already.",
                entry=id, line=account.matched[id],
            )  # fmt: skip
        entry = next(one for one in entries_of(past.event) if one.entry == id)
        for sign, postings in ((1, entry.debits), (-1, entry.credits)):
            total += sum(sign * p.amount for p in postings if (p.account, p.unit) == (command.account, account.unit))
    if total != line.amount:
        raise rejected(
            TreasuryError.AMOUNTS_DIFFER,
            f"Line {command.line} is of {amount_text(book, line.amount, account.unit)}; in account {command.account} "
            f"the entries make {amount_text(book, total, account.unit)}. Match other entries, or correct the book.",
            line=command.line, amount=line.amount, entries=total,
        )  # fmt: skip
    return LineMatched(
        book=command.book, account=command.account, line=command.line, entries=command.entries, amount=line.amount,
        occurred_at=rules.when(command.occurred_at, context),
    )  # fmt: skip


def _line(account: BankAccount, id: str, name: str) -> BankLine:
    line = account.lines.get(id)
    if line is None:
        raise rejected(
            TreasuryError.UNKNOWN_LINE,
            f"No imported statement of account {name} has a line {id}. Check its id.",
            line=id,
        )
    return line


def _not_started(id: str) -> Exception:
    return rejected(
        TreasuryError.UNKNOWN_STATEMENT,
        f"Statement {id} is not being read. Start it with StartStatement.",
        statement=id,
    )


def check(account: BankAccount) -> list[str]:
    broken = [
        f"entry {entry} is matched with line {line}, which does not say so"
        for entry, line in account.matched.items()
        if entry not in account.lines[line].entries
    ]
    if sum(len(line.entries) for line in account.lines.values()) != len(account.matched):
        broken.append("a line is matched with an entry that another line has")
    return broken


statement: Final = Decider(
    treasury, "statement", BankAccount, BankAccount, decide, evolve, check, reads, recalls=recalls
)  # fmt: skip
