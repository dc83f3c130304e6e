"""Sending what was read of a file to the ledger: many commands in flight, each safe to send again.

Commands about the same aggregate are sent in the file's order, one after the other; others overlap. Because command ids
are derived from what the commands say, an import that ended early is simply run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from zlib import crc32

from services.imports.plan import ForAPerson, Planned, Read, Refused
from services.imports.report import Report
from shared.contract import Contract
from shared.errors import Busy, Invalid, LedgerError, OutcomeUnknown, undecided

Send = Callable[[str, Mapping[str, Any], str], Awaitable[Literal["accepted", "unchanged"]]]
"""Sends one command (name, data, command id) and gives the ledger's answer; a refusal is raised as LedgerError."""

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Told after each command how many are done, of how many."""

_REGISTERED: Final = frozenset({"COMMAND_ID_REUSED", "ALREADY_EXISTS"})
"""Refusals of what is there already, and not as the file has it."""

_CHANGED_BY: Final[Mapping[tuple[str, str], str]] = {
    ("RegisterHousehold", "size"): "AddMember or RemoveMember",
    ("RegisterHousehold", "members"): "AddMember or RemoveMember",
    **{("RegisterHousehold", name): "RenewEligibility" for name in ("eligible_until", "basis", "signature")},
}
"""What changes a field of what was registered, where it is not the command named so."""

_TRIES: Final = 6
_PAUSE: Final = 0.1
_AHEAD: Final = 8


async def run(
    path: Path,
    read: Callable[[], Iterable[Read]],
    contract: Contract,
    send: Send,
    *,
    concurrency: int = 64,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Imports what `read` yields, which is called twice: to look through the whole file, and to send it.

    Every command is checked against its contract first; one that does not fit is a refused line. Raises Invalid, with
    nothing sent, when the file as a whole cannot be read.
    """
    report = Report(path.name, dry_run=dry_run)
    total = 0
    for one in read():
        if isinstance(one, ForAPerson):
            report.ask(one)
        elif isinstance(one, Refused):
            report.refuse(one)
        elif refusal := _fault(one, contract):
            report.refuse(refusal)
        else:
            total += 1
    if dry_run:
        report.valid = total
    else:
        valid = (one for one in read() if isinstance(one, Planned) and _fault(one, contract) is None)
        try:
            await _Sending(report, contract, send, total, progress).all(valid, max(1, concurrency))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group  # the first trouble; the others follow from it
    report.sort()
    return report


def _fault(planned: Planned, contract: Contract) -> Refused | None:
    try:
        contract.parse(planned.command, planned.data)
    except Invalid as error:
        return Refused(planned.line, error.detail, planned.what)
    return None


class _Sending:
    """One import under way."""

    def __init__(self, report: Report, contract: Contract, send: Send, total: int, progress: Progress | None) -> None:
        self.report = report
        self.contract = contract
        self.send = send
        self.total = total
        self.progress = progress
        self.done = 0

    async def all(self, commands: Iterable[Planned], concurrency: int) -> None:
        """Deals the commands out to `concurrency` senders, all of one aggregate to the same one, and waits."""
        queues: list[asyncio.Queue[Planned | None]] = [asyncio.Queue(_AHEAD) for _ in range(concurrency)]
        async with asyncio.TaskGroup() as group:
            for queue in queues:
                group.create_task(self._sender(queue))
            for command in commands:
                if self.report.stopped is not None:
                    break
                await queues[crc32(_aggregate(command, self.contract).encode()) % concurrency].put(command)
            for queue in queues:
                await queue.put(None)

    async def _sender(self, queue: asyncio.Queue[Planned | None]) -> None:
        """Sends its queue in order; once the import has stopped it only empties it, so that nobody waits."""
        while (command := await queue.get()) is not None:
            if self.report.stopped is None:
                await self._one(command)

    async def _one(self, command: Planned) -> None:
        try:
            answer = await persistently(lambda: self.send(command.command, command.data, command.id))
        except LedgerError as error:
            if undecided(error):
                self.report.stopped = self.report.stopped or f"line {command.line}, {command.what}: {error.detail}"
                return
            if str(error.code) in _REGISTERED and command.command.startswith("Register"):
                self.report.other_facts += 1
                reason = _otherwise(command, self.contract, error)
            else:
                reason = f"{error.code}: {error.detail}"
            self.report.refuse(Refused(command.line, reason, command.what))
        else:
            self.report.new += answer == "accepted"
            self.report.unchanged += answer == "unchanged"
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


def _otherwise(command: Planned, contract: Contract, error: LedgerError) -> str:
    """That what a line registers is registered with other facts, and the command that changes it."""
    differs = error.problem().get("field")
    change = f"Change{command.command.removeprefix('Register')}"
    change = _CHANGED_BY.get((command.command, str(differs)), change if change in contract.commands else "")
    which = f" ({str(differs).replace('_', ' ')})" if differs else ""
    return f"is registered with other facts{which}" + (f"; change it with {change}" if change else "")


async def persistently(send: Callable[[], Awaitable[T]]) -> T:
    """The ledger's answer; what was sent and whose outcome is not known is sent again, under the same id."""
    for attempt in range(_TRIES - 1):
        try:
            return await send()
        except (Busy, OutcomeUnknown):
            await asyncio.sleep(_PAUSE * 2**attempt)
    return await send()


def _aggregate(command: Planned, contract: Contract) -> str:
    """What decides the order: commands about one aggregate (an item's stock at a location, a book) go one by one."""
    spec = contract.command_named(command.command)
    return f"{spec.category}/{spec.aggregate(contract.parse(command.command, command.data))}"
