"""Statements of one bank account: read in parts, checked as a whole, and matched line by line with the book."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from typing import Final

from services.treasury import rules
from services.treasury.contract import (
    AccountKind,
    AddStatementLines,
    ImportStatement,
    MatchLine,
    StartStatement,
    StatementImported,
    StatementLine,
    StatementLinesAdded,
    StatementStarted,
    TreasuryError,
    UnmatchLine,
    treasury,
)
from services.treasury.matching import match_line, unmatch_line
from services.treasury.posting import amount_text, of_kind, opened, rejected, today
from services.treasury.rules import Refusals
from services.treasury.state import Book
from services.treasury.statement_state import BankAccount, Reading, StatementEvent, check, evolve
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected
from shared.types import MAX_INTEGER

StatementCommand = StartStatement | AddStatementLines | ImportStatement | MatchLine | UnmatchLine


def reads(command: StatementCommand) -> Iterable[Ref]:
    return (Ref("book", command.book),)


def recalls(command: StatementCommand) -> Iterable[tuple[Ref, str]]:
    if isinstance(command, MatchLine):
        return [(Ref("book", command.book), f"entry:{entry}") for entry in command.entries]
    return ()


def decide(command: StatementCommand, account: BankAccount, context: Context) -> StatementEvent | None:
    at = rules.when(command.occurred_at, context)
    book: Book = context.read("book", command.book)
    opened(book, command.book)
    match command:
        case StartStatement():
            return _start(command, account, book, at, context)
        case AddStatementLines():
            return _add(command, account, at)
        case ImportStatement():
            return _import(command, account, book, at)
        case MatchLine():
            return match_line(command, account, book, at, context)
        case UnmatchLine():
            return unmatch_line(command, account, at)


def _start(
    command: StartStatement, account: BankAccount, book: Book, at: datetime, context: Context
) -> StatementStarted | None:
    if command.digest in account.imported:
        return None
    if command.ends > (last := today(book, context.now)):
        raise rejected(
            TreasuryError.OCCURRED_IN_FUTURE,
            f"The statement ends on {command.ends}, which is yet to come (it is {last}): nobody knows what that day "
            "brings. Give the last day that it tells of.",
            ends=str(command.ends), today=str(last),
        )  # fmt: skip
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
    of_kind(book, command.account, AccountKind.ASSET, AccountKind.LIABILITY)
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
    event = StatementStarted(**(dict(fields_of(command)) | {"occurred_at": at}))
    reading = account.reading
    if reading is not None and not reading.lines and _same_header(reading.header, event):
        return None
    return event


def _same_header(one: StatementStarted, other: StatementStarted) -> bool:
    return all(value == getattr(other, name) for name, value in fields_of(one) if name != "occurred_at")


def _add(command: AddStatementLines, account: BankAccount, at: datetime) -> StatementLinesAdded | None:
    reading = account.reading
    if reading is None or reading.header.statement != command.statement:
        if command.statement in account.imported.values():
            return None
        raise _not_started(command.statement)
    if command.part <= reading.parts:
        _came_before(command, reading)
        return None
    refusals = Refusals()
    seen = set(reading.lines)
    for line in command.lines:
        with refusals:
            _within(line, reading.header)
        with refusals:
            _once(line, seen)
        with refusals:
            _as_before(line, account)
        seen.add(line.line)
    with refusals:
        _fits(command, reading)
    refusals.answer()
    return StatementLinesAdded(**(dict(fields_of(command)) | {"occurred_at": at}))


def _came_before(command: AddStatementLines, reading: Reading) -> None:
    """Refuse a part that is here already when its lines are others; what is sealed in them cannot be compared."""
    for line in command.lines:
        here = reading.lines.get(line.line)
        if here is None or (here.date, here.amount) != (line.date, line.amount):
            raise rejected(
                TreasuryError.ALREADY_EXISTS,
                f"Part {command.part} of statement {command.statement} is here already, and line {line.line} is not in "
                "it as it is now. Start the statement again, with StartStatement.",
                statement=command.statement, part=command.part, line=line.line,
            )  # fmt: skip


def _within(line: StatementLine, header: StatementStarted) -> None:
    if not header.starts <= line.date <= header.ends:
        raise rejected(
            TreasuryError.INVALID_RANGE,
            f"Line {line.line} is of {line.date}, outside the statement's days, {header.starts} to {header.ends}.",
            line=line.line, date=str(line.date),
        )  # fmt: skip


def _once(line: StatementLine, seen: set[str]) -> None:
    if line.line in seen:
        raise rejected(
            TreasuryError.DUPLICATE_LINE, f"Line {line.line} stands twice in the statement. Number it anew.",
            line=line.line,
        )  # fmt: skip


def _as_before(line: StatementLine, account: BankAccount) -> None:
    """Refuse a line without an amount, or one that an earlier statement has otherwise."""
    if not line.amount:
        raise rejected(
            TreasuryError.AMOUNTS_DIFFER, f"Line {line.line} has no amount. Leave it out.", line=line.line, amount=0
        )
    before = account.lines.get(line.line)
    if before is not None and (before.amount, before.date) != (line.amount, line.date):
        raise rejected(
            TreasuryError.AMOUNTS_DIFFER,
            f"An earlier statement has line {line.line} with another amount or day. Ask the bank which is right.",
            line=line.line, amount=line.amount, before=before.amount,
        )  # fmt: skip


def _fits(command: AddStatementLines, reading: Reading) -> None:
    """Refuse a part that is not the next one, or brings more than the header says."""
    header, here = reading.header, len(reading.lines) + len(command.lines)
    if command.part != reading.parts + 1:
        raise rejected(
            TreasuryError.STATEMENT_INCOMPLETE,
            f"Part {reading.parts + 1} of statement {command.statement} comes next, not {command.part}.",
            statement=command.statement, expected=reading.parts + 1,
        )  # fmt: skip
    if here > header.lines:
        raise rejected(
            TreasuryError.STATEMENT_INCOMPLETE,
            f"Statement {command.statement} says that it has {header.lines} lines; with part {command.part} they are "
            f"{here}. Start it again, with the right number.",
            statement=command.statement, lines=header.lines, here=here,
        )  # fmt: skip
    if abs(reading.total + sum(line.amount for line in command.lines)) > MAX_INTEGER:
        raise _too_much("The balance that its lines make", command.statement)


def _too_much(what: str, statement: str) -> Rejected:
    return rejected(
        TreasuryError.OUT_OF_RANGE,
        f"{what} passes the largest figure that every reader of the ledger reads exactly, {MAX_INTEGER:,} minor units. "
        f"Check the amounts of statement {statement}.",
        statement=statement, limit=MAX_INTEGER,
    )  # fmt: skip


def _import(command: ImportStatement, account: BankAccount, book: Book, at: datetime) -> StatementImported | None:
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
    total = reading.total
    if total != header.closing:
        raise rejected(
            TreasuryError.WRONG_CLOSING_BALANCE,
            f"Statement {command.statement} opens with {amount_text(book, header.opening, header.unit)}; with its "
            f"lines that makes {amount_text(book, total, header.unit)}, and it says it closes with "
            f"{amount_text(book, header.closing, header.unit)}. Lines are missing or wrong; nothing was imported.",
            statement=command.statement, opening=header.opening, closing=header.closing, computed=total,
        )  # fmt: skip
    known = len(reading.lines.keys() & account.lines.keys())
    gap = _gap(header, account)
    if abs(gap) > MAX_INTEGER:
        raise _too_much("What lies between it and the statement before", command.statement)
    return StatementImported(
        book=command.book, account=command.account, statement=command.statement, starts=header.starts,
        ends=header.ends, closing=header.closing, unit=header.unit, new=len(reading.lines) - known, known=known,
        gap=gap, occurred_at=at,
    )  # fmt: skip


def _gap(header: StatementStarted, account: BankAccount) -> int:
    """By how much a statement opens with another balance than what is known of the account gives for its first day.

    That is the closing balance of the newest statement that ended before it, and the lines that others brought of the
    days between the two; nothing, when there is no such statement. One that ended on its first day, with just the
    balance that it opens with, goes before it as well.
    """
    if (header.starts, header.opening) in account.closings:
        return 0
    at = bisect_left(account.closings, header.starts, key=itemgetter(0))
    if at == 0:
        return 0
    ended, closing = account.closings[at - 1]
    between = sum(line.amount for line in account.lines.values() if ended < line.date < header.starts)
    return header.opening - closing - between


def _not_started(id: str) -> Rejected:
    return rejected(
        TreasuryError.UNKNOWN_STATEMENT,
        f"Statement {id} is not being read. Start it with StartStatement.",
        statement=id,
    )


statement: Final = Decider(
    treasury, "statement", BankAccount, BankAccount, decide, evolve, check, reads, recalls=recalls
)  # fmt: skip
