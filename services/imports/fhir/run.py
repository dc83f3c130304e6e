"""One import of FHIR files: read for what is in them, then the patients, their encounters, and what is known of them.

The files are read several times rather than held. What is about a patient whom the ledger refused is not sent: it
might be about somebody else. Commands of one aggregate go one after the other, others overlap; each is safe to send
again, so an import that ended early is simply run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final
from zlib import crc32

from services.clinic.contract import clinic
from services.imports.fhir.index import Index, Key, indexed
from services.imports.fhir.planning import Plan, Planner
from services.imports.fhir.report import UNREADABLE, Refusal, Report
from services.imports.fhir.source import Found, resources
from services.imports.plan import Planned
from services.imports.run import Send, persistently
from shared.errors import CommandIdReused, Invalid, LedgerError, undecided

Progress = Callable[[int, int], None]
"""Told how many resources are done, of how many."""

_AHEAD: Final = 8
_PATIENT: Final = "Patient"
_FIRST: Final = (_PATIENT, "Encounter")
"""What others refer to, and the ledger must know before them."""


async def run(
    paths: Sequence[Path], origin: str, send: Send, *, concurrency: int = 64, dry_run: bool = False,
    progress: Progress | None = None, today: date | None = None,
) -> Report:  # fmt: skip
    """Imports what the files hold. Raises Invalid, with nothing sent, for a file that cannot be read as a whole.

    `today`, without one that of UTC, is the day after which nobody is born yet.
    """
    if len({path.name for path in paths}) != len(paths):
        raise Invalid("Two of the files have the same name, so a report could not tell them apart. Rename one.")
    report = Report(tuple(path.name for path in paths), origin, dry_run)
    try:
        index = indexed(_noted(_all(paths), report), origin)
    except Invalid as error:
        raise Invalid(f"{error.detail} Nothing was sent.", **error.facts) from None
    for type_, number in index.read.items():
        report.count(type_).read += number
    known: set[Key] = set()
    planner = Planner(index, known, today or datetime.now(UTC).date())
    done = _Import(planner, known, report, send, dry_run, progress)
    try:
        for type_ in _FIRST:
            await done.send_all(_of(type_, paths, index), concurrency)
        await done.send_all((one for one in _all(paths) if _type(one) not in _FIRST), concurrency)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group  # the first trouble; the others follow from it
    report.finish()
    return report


def _all(paths: Iterable[Path]) -> Iterator[Found]:
    for path in paths:
        yield from resources(path)


def _of(type_: str, paths: Sequence[Path], index: Index) -> Iterator[Found]:
    holding = [path for path in paths if path.name in index.files.get(type_, ())]
    return (one for one in _all(holding) if _type(one) == type_)


def _type(found: Found) -> str | None:
    return None if found.resource is None else str(found.resource["resourceType"])


def _noted(found: Iterable[Found], report: Report) -> Iterator[Found]:
    """Counts, at the first reading, what is no resource."""
    for one in found:
        if one.fault is not None:
            report.count(UNREADABLE).read += 1
            report.refuse(Refusal(one.file, one.place, UNREADABLE, "", one.fault))
        yield one


class _Import:
    """One import under way."""

    def __init__(
        self, planner: Planner, known: set[Key], report: Report, send: Send, dry_run: bool, progress: Progress | None
    ) -> None:  # fmt: skip
        self._known = known
        """Patients and encounters that the ledger has as these files say them; nothing is sent about other patients."""
        self._planner = planner
        self._total = sum(one.read for name, one in report.types.items() if name != UNREADABLE)
        self._report = report
        self._send = send
        self._dry_run = dry_run
        self._progress = progress
        self._done = 0

    async def send_all(self, found: Iterable[Found], concurrency: int) -> None:
        """Deals the resources out to `concurrency` senders, all of one aggregate to the same one, and waits."""
        concurrency = max(1, concurrency)
        queues: list[asyncio.Queue[Plan | None]] = [asyncio.Queue(_AHEAD) for _ in range(concurrency)]
        async with asyncio.TaskGroup() as group:
            for queue in queues:
                group.create_task(self._sender(queue))
            for one in found:
                if self._report.stopped is not None:
                    break
                if one.resource is not None and (plan := self._settled(one)) is not None:
                    await queues[_place(plan.commands[0], concurrency)].put(plan)
            for queue in queues:
                await queue.put(None)

    def _settled(self, found: Found) -> Plan | None:
        """The plan of a resource that is to be sent; the fate of another is written down at once."""
        plan = self._planner.plan(found)
        if plan.refused is not None:
            self._refuse(plan, plan.refused)
        elif plan.left_out is not None:
            self._report.leave_out(plan.type, plan.left_out)
        elif plan.same:
            self._report.fell(plan.type, "same")
        elif plan.type != _PATIENT and plan.patient not in self._known:
            self._refuse(plan, "its patient was not taken")
        elif self._dry_run:
            self._taken(plan, "taken")
        else:
            return plan
        self._told()
        return None

    async def _sender(self, queue: asyncio.Queue[Plan | None]) -> None:
        """Sends its queue in order; once the import has stopped it only empties it, so that nobody waits."""
        while (plan := await queue.get()) is not None:
            if self._report.stopped is None:
                await self._one(plan)

    async def _one(self, plan: Plan) -> None:
        """Sends all that one resource asks for; it is taken when the ledger took all of it, anew or before.

        The parts of an observation stand alone: one that is refused holds back no other, and the refusal says how many
        the ledger has.
        """
        new = False
        refused: list[str] = []
        for command in plan.commands:
            try:
                answer = await _sent(self._send, command)
            except LedgerError as error:
                if undecided(error):
                    where = f"{plan.found.file}, {plan.found.place}"
                    self._report.stopped = self._report.stopped or f"{where}: {error.detail}"
                    return
                if _by_another(error):
                    continue
                refused.append(f"{error.code}: {self._said(error)}")
                continue
            new = new or answer == "accepted"
        if not refused:
            self._taken(plan, "taken" if new else "same")
        elif len(refused) == len(plan.commands):
            self._refuse(plan, refused[0])
        else:
            stored = len(plan.commands) - len(refused)
            self._refuse(plan, f"{stored} of its {len(plan.commands)} parts were taken; {'; '.join(refused)}")
            self._remarked(plan)
        self._told()

    def _said(self, error: LedgerError) -> str:
        """What a refusal says to who imports, and cannot choose ids of commands."""
        if error.code != CommandIdReused.code:
            return error.detail
        return (
            f"another with this id came from {self._report.origin} before, or this one said something else then. If "
            "these files are from another system, give its name with --from; if it changed there, change it here too"
        )

    def _taken(self, plan: Plan, fate: str) -> None:
        self._report.fell(plan.type, "taken" if fate == "taken" else "same")
        self._remarked(plan)
        if plan.type in _FIRST:
            self._known.add((plan.type, plan.id))

    def _remarked(self, plan: Plan) -> None:
        """What was taken otherwise than it stands, and what was not understood, of what the ledger has."""
        self._report.notes.update(plan.notes)
        self._report.unknown.update(plan.unknown)

    def _refuse(self, plan: Plan, reason: str) -> None:
        self._report.refuse(Refusal(plan.found.file, plan.found.place, plan.type, plan.id[:64], reason))

    def _told(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _by_another(error: LedgerError) -> bool:
    """Whether the ledger has just this, imported by another person."""
    return error.code == CommandIdReused.code and error.problem().get("field") == "authid"


async def _sent(send: Send, command: Planned) -> str:
    return await persistently(lambda: send(command.command, command.data, command.id))


def _place(command: Planned, concurrency: int) -> int:
    """Commands about one aggregate go to one sender, in the files' order."""
    spec = clinic.command_named(command.command)
    aggregate = f"{spec.category}/{spec.aggregate(clinic.parse(command.command, command.data))}"
    return crc32(aggregate.encode()) % concurrency
