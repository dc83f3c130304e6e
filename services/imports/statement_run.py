"""Importing one bank statement: its commands one after the other, and not one more once one of them is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from services.imports.plan import Planned, Refused
from services.imports.report import Report
from services.imports.run import Progress, persistently
from services.imports.statement import BankStatement, commands
from services.treasury.contract import TreasuryError, treasury
from services.treasury.units import as_decimal
from shared.errors import Invalid, LedgerError, undecided

MAX_ATTEMPTS: Final = 20

_GIVEN_UP: Final = frozenset({TreasuryError.UNKNOWN_STATEMENT, TreasuryError.STATEMENT_INCOMPLETE})
"""How the ledger answers when a statement was begun and another one took its place before it was finished."""

_OTHER_CONTENT: Final = "COMMAND_ID_REUSED"
"""How it answers when lines of the same file were sent before with other texts: it was read with other columns."""

_COUNTS_ALREADY: Final = (
    "this file was imported before, read in another way (other columns, days or formats). The statement counts as it "
    "was read then, and nothing changed: payees and texts cannot be added to it later"
)

_NAMED: Final = 20
"""Columns and lines that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The ledger's answer to one command: whether it changed anything, and the event that stands for it."""

    new: bool
    event: Mapping[str, Any]


SendOne = Callable[[str, Mapping[str, Any], str], Awaitable[Answered]]
"""Sends one command (name, data, command id); a refusal is raised as LedgerError."""


async def import_statement(
    path: Path, statement: BankStatement, refused: list[Refused], book: str, account: str, send: SendOne, *,
    dry_run: bool = False, progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Import a statement that was completed with `refused` faults; with any of them nothing is sent at all."""
    report = Report(path.name, dry_run=dry_run)
    for fault in refused:
        report.refuse(fault)
    planned = [] if refused else list(commands(statement, book, account))
    for one in planned:
        try:
            treasury.parse(one.command, one.data)
        except Invalid as error:
            report.refuse(Refused(one.line, error.detail, one.what))
    if not report.ok:
        report.notes.append("Nothing of this statement was imported.")
    elif dry_run:
        report.valid = len(statement.lines)
        report.counts = f"{_lines(report.valid)} valid (nothing was sent); {_balances(statement)}"
        report.notes.append(_days(statement))
    else:
        await _send(report, statement, book, account, send, progress)
    report.notes += _passed_over(statement)
    report.sort()
    return report


async def _send(
    report: Report, statement: BankStatement, book: str, account: str, send: SendOne, progress: Progress | None
) -> None:
    """Send it; begun anew when it was given up half-way, for another statement or to be read in another way."""
    read_otherwise = False
    for attempt in range(1, MAX_ATTEMPTS + 1):
        changed = unstarted = False
        planned = list(commands(statement, book, account, attempt))
        event: Mapping[str, Any] = {}
        for number, one in enumerate(planned, 1):
            try:
                answer = await _answer(send, one)
            except LedgerError as error:
                if undecided(error):
                    report.stopped = f"{one.what}: {error.detail}"
                    return
                if unstarted and error.code == TreasuryError.UNKNOWN_STATEMENT:
                    report.refuse(Refused(one.line, _COUNTS_ALREADY, one.what))
                    return
                read_otherwise = read_otherwise or error.code == _OTHER_CONTENT
                if error.code in (*_GIVEN_UP, _OTHER_CONTENT) and not changed and attempt < MAX_ATTEMPTS:
                    break
                report.refuse(Refused(one.line, f"{error.code}: {error.detail}", one.what))
                report.notes.append("Nothing of this statement counts; what was sent of it has no effect.")
                return
            changed = changed or answer.new
            event = answer.event
            unstarted = unstarted or (number == 1 and not event)
            if progress is not None:
                progress(number, len(planned))
        else:
            if read_otherwise and not changed and not event:
                report.refuse(Refused(1, _COUNTS_ALREADY, planned[-1].what))
            else:
                _tell(report, statement, event, changed)
            return


async def _answer(send: SendOne, one: Planned) -> Answered:
    return await persistently(lambda: send(one.command, one.data, one.id))


def _tell(report: Report, statement: BankStatement, event: Mapping[str, Any], changed: bool) -> None:
    """What became of it, out of the event that closed it: counted in lines."""
    data = event.get("data", {})
    new, known, gap = (int(data.get(name, 0)) for name in ("new", "known", "gap"))
    if not changed:
        new, known = 0, len(statement.lines)
    report.new, report.unchanged = new, known
    report.counts = f"{_lines(new)} new, {known:,} known; {_balances(statement)}"
    report.notes.append(_days(statement))
    if not changed:
        report.notes.append("This statement was imported before, and nothing changed.")
    elif known:
        report.notes.append("Lines that an earlier statement brought were not taken again.")
    if gap:
        money = as_decimal(gap, statement.decimals)
        report.notes.append(
            f"Its opening balance differs by {money} {statement.unit} from the closing balance before it."
        )


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _balances(statement: BankStatement) -> str:
    opening, closing = (
        f"{Decimal(as_decimal(n or 0, statement.decimals)):,}" for n in (statement.opening, statement.closing)
    )
    return f"opening {opening}, closing {closing} {statement.unit}"


def _days(statement: BankStatement) -> str:
    return f"The statement is of {statement.starts} to {statement.ends}."


def _passed_over(statement: BankStatement) -> list[str]:
    """What of the file was not taken: columns that were not read, and lines about no money."""
    told = []
    if statement.unread:
        more = f" and {len(statement.unread) - _NAMED} more" if len(statement.unread) > _NAMED else ""
        told.append(f"Columns that were not read: {', '.join(statement.unread[:_NAMED])}{more}. --map reads them.")
    if statement.empty:
        which = ", ".join(str(at) for at in statement.empty[:_NAMED])
        more = f" and {len(statement.empty) - _NAMED} more" if len(statement.empty) > _NAMED else ""
        zero = as_decimal(0, statement.decimals)
        one = len(statement.empty) == 1
        told.append(
            f"Line{'' if one else 's'} {which}{more} {'is' if one else 'are'} of {zero} {statement.unit}, and "
            f"{'was' if one else 'were'} left out."
        )
    return told
