"""Sending entries to the ledger, thousands with one request, and reporting what became of each.

The file is cut into requests by its content alone and their ids are made of it: the same file again is the same
requests, and one that was cut off goes on. A corrected file is other requests, in which entries that were posted before
are found again by their own ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from services.imports.entries import EntryRead, PlannedEntry
from services.imports.entry_refusals import Chart, reason
from services.imports.plan import ForAPerson, Planned, Refused, command_id
from services.imports.report import Report
from services.imports.run import Progress, persistently
from services.treasury.contract import EntryResult, treasury
from shared.errors import Invalid, LedgerError, undecided

PER_REQUEST: Final = 2000
BYTES_PER_REQUEST: Final = 3_000_000
"""A request holds at most 8,189 entries and 4 MB; smaller ones show how far the import is, and repeat less."""


@dataclass(frozen=True, slots=True)
class Results:
    """What the ledger answered to many entries, in their order. `repeated`: all of it was answered before."""

    results: Sequence[Mapping[str, Any]]
    repeated: bool = False


SendEntries = Callable[[Mapping[str, Any], str], Awaitable[Results]]
"""Sends one PostEntries (data, command id)."""

SendParty = Callable[[Mapping[str, Any], str], Awaitable[bool]]
"""Sends one RegisterParty (data, command id); whether the party is new."""


async def import_entries(
    path: Path, read: Callable[[], Iterable[EntryRead]], book: str, send: SendEntries, register: SendParty, *,
    dry_run: bool = False, per_request: int = PER_REQUEST, progress: Progress | None = None,
    chart: Chart | None = None,
) -> Report:  # fmt: skip
    """Import what `read` yields, which is called twice: to look through the whole file, and to send it.

    Refusals are put into words with the `chart`, as far as that is known.

    Raises Invalid, with nothing sent, when the file as a whole cannot be read.
    """
    report = Report(path.name, dry_run=dry_run)
    total = sum(1 for one in _valid(read(), book, report) if isinstance(one, PlannedEntry))
    if dry_run:
        report.valid = total
        report.notes.append(
            f"{total:,} entries would be sent to {book}. Whether its accounts, funds, days and limits allow them is "
            "checked when they are sent."
        )
    else:
        await _Sending(report, book, send, register, total, progress, chart or Chart()).all(
            _valid(read(), book, None), per_request
        )
    report.sort()
    return report


def _valid(read: Iterable[EntryRead], book: str, report: Report | None) -> Iterator[PlannedEntry | Planned]:
    """What fits the contract. What does not is put into the report, when there is one to put it into."""
    seen: dict[str, int] = {}
    for one in read:
        fault = one if isinstance(one, Refused) else _fault(one, book)
        if fault is None and isinstance(one, PlannedEntry):
            first = seen.setdefault(one.data["entry"], one.line)
            if first != one.line:
                why = f"line {first} has the same id, or says the same without one; give each entry an id of its own"
                fault = Refused(one.line, why, one.what)
        if fault is None and not isinstance(one, Refused):
            yield one
        elif fault is not None and report is not None:
            report.refuse(fault)


def _fault(one: PlannedEntry | Planned, book: str) -> Refused | None:
    try:
        if isinstance(one, Planned):
            treasury.parse(one.command, one.data)
        else:
            treasury.parse("PostEntries", {"book": book, "entries": [one.data]})
    except Invalid as error:
        return Refused(one.line, error.detail, one.what)
    return None


class _Sending:
    """One import under way."""

    def __init__(
        self, report: Report, book: str, send: SendEntries, register: SendParty, total: int, progress: Progress | None,
        chart: Chart,
    ) -> None:  # fmt: skip
        self.report = report
        self.book = book
        self.send = send
        self.register = register
        self.total = total
        self.progress = progress
        self.chart = chart
        self.done = 0
        self.parties = 0

    async def all(self, read: Iterable[PlannedEntry | Planned], per_request: int) -> None:
        """Parties as they come, each before the entries that name it, which wait until a request is full."""
        waiting: list[PlannedEntry] = []
        size = 0
        for one in read:
            if self.report.stopped is not None:
                return
            if isinstance(one, Planned):
                await self._party(one)
                continue
            length = len(msgspec.json.encode(one.data))
            if len(waiting) == per_request or size + length > BYTES_PER_REQUEST:
                await self._request(waiting)
                waiting, size = [], 0
            waiting.append(one)
            size += length
        if waiting and self.report.stopped is None:
            await self._request(waiting)
        if self.parties:
            self.report.notes.append(f"{self.parties:,} parties were registered, their names sealed.")

    async def _party(self, one: Planned) -> None:
        try:
            self.parties += await persistently(lambda: self.register(one.data, one.id))
        except LedgerError as error:
            if undecided(error):
                self.report.stopped = f"line {one.line}, {one.what}: {error.detail}"
            elif error.code in ("COMMAND_ID_REUSED", "ALREADY_EXISTS"):
                why = "is registered with other facts than the file has; ChangeParty changes them"
                self.report.ask(ForAPerson(one.line, one.what, why))
            else:
                self.report.refuse(Refused(one.line, f"{error.code}: {error.detail}", one.what))

    async def _request(self, entries: Sequence[PlannedEntry]) -> None:
        data = {"book": self.book, "entries": [one.data for one in entries]}
        id_ = command_id("entries", hashlib.sha256(msgspec.json.encode(data)).hexdigest())
        try:
            answer = await persistently(lambda: self.send(data, id_))
        except LedgerError as error:
            # What holds for the whole request, such as a book that is not there, would hold for those after it.
            where = f"lines {entries[0].line} to {entries[-1].line}"
            self.report.stopped = f"{where}: {error.detail}"
            return
        for one, result in zip(entries, answer.results, strict=True):
            self._told(one, result, answer.repeated)
        self.done += len(entries)
        if self.progress is not None:
            self.progress(self.done, self.total)

    def _told(self, one: PlannedEntry, result: Mapping[str, Any], repeated: bool) -> None:
        match result["result"]:
            case EntryResult.POSTED:
                self.report.new += not repeated
                self.report.unchanged += repeated
            case EntryResult.ALREADY_POSTED:
                self.report.unchanged += 1
            case EntryResult.DIFFERS:
                why = f"another entry was posted under this id: its {result.get('field', 'content')} differs"
                self.report.refuse(Refused(one.line, why, one.what))
            case _:
                why = reason(str(result.get("code")), one.data, self.chart)
                self.report.refuse(Refused(one.line, why, one.what))
