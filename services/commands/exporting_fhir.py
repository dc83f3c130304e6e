"""Writing charts as FHIR bulk data into a folder, and telling what was written."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from nats.aio.client import Client

from services.clinic.contract import Purpose, clinic
from services.commands.accesses import access, record
from services.commands.clinic_questions import readable
from services.commands.common import Operator
from services.commands.door import Usage
from services.commands.opening import NotOpened
from services.commands.render import emit, progress_bar
from services.fhir.charts import Forbidden
from services.fhir.entry import Entry
from services.fhir.ledger_charts import LedgerCharts
from services.fhir.ndjson import Exported, export
from services.local.keys import Keys
from shared.errors import LedgerError
from shared.keyreader import Closed, index_key, open_texts


async def write_charts(operator: Operator, folder: Path, entries: AsyncIterable[Entry]) -> Exported:
    """Writes entries as ndjson, a file for each type of resource. Raises Usage unless the folder is new or empty.

    Nothing is left behind of what fails, or is refused, and no folder that was not there.
    """
    new = _make_empty(folder)
    bar = progress_bar()
    task = bar.add_task("FHIR", total=None)
    try:
        with bar:
            done = await export(entries, folder, lambda written: bar.update(task, completed=written))
    except BaseException:
        if new:
            _take_away(folder)
        raise
    if operator.as_json:
        emit({
            "folder": str(folder), "resources": dict(sorted(done.resources.items())),
            "erased": dict(sorted(done.erased.items())), "hidden": dict(sorted(done.hidden.items())),
        })  # fmt: skip
    else:
        typer.echo(_told(folder, done))
    return done


def _make_empty(folder: Path) -> bool:
    """A folder that its owner alone may read: what goes into it is in clear. Gives whether it was made."""
    there = folder.exists()
    if there and (not folder.is_dir() or any(folder.iterdir())):
        raise Usage(f"{folder} is not an empty folder. Name one that is new or empty.", folder=str(folder))
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Usage(f"{folder} cannot be made: {error.strerror}. Name another folder.", folder=str(folder)) from None
    return not there


def _take_away(folder: Path) -> None:
    """A folder that was made here; not if there is something in it by now."""
    with suppress(OSError):
        folder.rmdir()


def _told(folder: Path, done: Exported) -> str:
    lines = [f"{name}.ndjson: {number:,}" for name, number in sorted(done.resources.items())]
    left = [
        f"{sum(each.values()):,} {what}" for each, what in ((done.erased, "erased"), (done.hidden, "not shown")) if each
    ]
    total = f"{sum(done.resources.values()):,} resources in {folder}"
    return "\n".join([*lines, total + (f"; left out: {', '.join(left)}." if left else ".")])


# -- who opens it, and that it was -------------------------------------------------------------------------------------


class OperatorKeys:
    """Opens what is sealed under the master key at hand. Raises LedgerError when there is none."""

    def __init__(self, operator: Operator, nc: Client) -> None:
        masters = Keys(operator.folder / "keys").masters()
        if masters is None:
            raise LedgerError("Charts are sealed, and there is no master key here, nor COMMONS_MASTER_KEY_FILE.")
        self._nc, self._masters = nc, masters

    async def open(self, texts: Iterable[str]) -> Mapping[str, str | Closed]:
        return await open_texts(self._nc, clinic.service, self._masters, texts)

    async def index_key(self) -> bytes | None:
        return await index_key(self._nc, clinic.service, self._masters)


class OperatorAccesses:
    """Records reads as every screen does. `said` is what is to be told of those that are not recorded yet."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self.said = ""

    async def record(self, reader: str, accesses: Sequence[Mapping[str, Any]]) -> None:
        self.said = await record(self._operator, [access(self._operator, **fields) for fields in accesses])


async def export_charts(operator: Operator, folder: Path, purpose: Purpose) -> Exported:
    """Every chart, as far as it is opened for who exports, into a folder. Each is recorded as read.

    Raises NotOpened for who works here in no role.
    """
    async with operator.database() as pool, operator.nats() as nc:
        accesses = OperatorAccesses(operator)
        charts = LedgerCharts(pool, OperatorKeys(operator, nc), accesses)
        try:
            done = await readable(write_charts(operator, folder, charts.whole(reader=operator.who, purpose=purpose)))
        except Forbidden as error:
            raise NotOpened(f"{error} Say who you are with --as.", actor=operator.who) from error
    if accesses.said:
        typer.echo(accesses.said, err=True)
    return done
