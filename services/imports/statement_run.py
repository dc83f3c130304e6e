"""Importing one bank statement: its commands one after the other, and not one more once one of them is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.imports.plan import Planned, Refused
from services.imports.report import Report
from services.imports.run import Progress, persistently
from services.imports.statement import BankStatement, commands
from services.treasury.contract import TreasuryError, treasury
from services.treasury.units import as_decimal
from shared.errors import Invalid, LedgerError

MAX_ATTEMPTS: Final = 20

_GIVEN_UP: Final = frozenset({TreasuryError.UNKNOWN_STATEMENT, TreasuryError.STATEMENT_INCOMPLETE})
"""How the ledger answers when a statement was begun and another one took its place before it was finished."""


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
        report.valid = len(planned)
        report.notes.append(_summary(statement))
    else:
        await _send(report, statement, book, account, send, progress)
    report.sort()
    return report


async def _send(
    report: Report, statement: BankStatement, book: str, account: str, send: SendOne, progress: Progress | None
) -> None:
    """Send it; begun anew when it was given up half-way for another statement of the account."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        report.new = report.unchanged = 0
        planned = list(commands(statement, book, account, attempt))
        event: Mapping[str, Any] = {}
        for number, one in enumerate(planned, 1):
            try:
                answer = await _answer(send, one)
            except LedgerError as error:
                if error.status >= 500:
                    report.stopped = f"{one.what}: {error.detail}"
                    return
                if error.code in _GIVEN_UP and report.new == 0 and attempt < MAX_ATTEMPTS:
                    break
                report.refuse(Refused(one.line, f"{error.code}: {error.detail}", one.what))
                report.notes.append("Nothing of this statement counts; what was sent of it has no effect.")
                return
            report.new += answer.new
            report.unchanged += not answer.new
            event = answer.event
            if progress is not None:
                progress(number, len(planned))
        else:
            report.notes += _told(statement, event, report.new == 0)
            return


async def _answer(send: SendOne, one: Planned) -> Answered:
    return await persistently(lambda: send(one.command, one.data, one.id))


def _told(statement: BankStatement, event: Mapping[str, Any], before: bool) -> list[str]:
    """What became of it, out of the event that closed it."""
    data = event.get("data", {})
    new, known, gap = (int(data.get(name, 0)) for name in ("new", "known", "gap"))
    told = [_summary(statement)]
    if before:
        told.append("This statement was imported before, and nothing changed.")
    else:
        lines = "1 line is" if new == 1 else f"{new:,} lines are"
        told.append(f"{lines} new; {known:,} were known from an earlier statement and were not taken again.")
    if gap:
        money = as_decimal(gap, statement.decimals)
        told.append(f"Its opening balance differs by {money} {statement.unit} from the closing balance before it.")
    return told


def _summary(statement: BankStatement) -> str:
    opening, closing = (as_decimal(n or 0, statement.decimals) for n in (statement.opening, statement.closing))
    lines = f"{len(statement.lines):,} line{'s' * (len(statement.lines) != 1)}"
    return f"{statement.starts} to {statement.ends}: {opening}, {lines}, {closing} {statement.unit}."
