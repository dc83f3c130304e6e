"""What every `commons import` shares: reading, checking, sending, and telling what became of the file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import nats.errors
import typer
from nats.aio.client import Client

from services.commands.common import Operator
from services.commands.door import OK, REFUSED, UNREACHABLE, Unreachable, Usage
from services.commands.render import emit, progress_bar
from services.commands.waiting import wait_for_model
from services.imports.plan import Read
from services.imports.report import Report
from services.imports.run import Progress, run
from shared.client import CommandClient
from shared.contract import Contract
from shared.readmodel import Behind
from shared.store import stream_name

_SHOWN_SECONDS: Final = 10.0

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")]


async def import_lines(
    operator: Operator, file: Path, read: Callable[[], Iterable[Read]], contract: Contract, *, dry_run: bool,
    concurrency: int = 64, shown_in: str | None = None,
) -> int:  # fmt: skip
    """Read, check, send and report; the exit code is 1 when a line was refused.

    With `shown_in`, a read model that other imports look things up in, it also waits until that shows what was sent.
    """
    must_exist(file)
    if dry_run:
        return told(operator, await run(file, read, contract, _nothing, dry_run=True))
    async with sending(operator, contract, file) as (client, progress):
        sender = Sender(client, contract)
        report = await run(file, read, contract, sender, concurrency=concurrency, progress=progress)
    if shown_in is not None and sender.last:
        try:
            await wait_for_model(operator, shown_in, stream_name(contract.service), sender.last, timeout=_SHOWN_SECONDS)
        except (Behind, Unreachable) as error:
            report.notes.append(f"The read models do not show it yet: {error.detail}")
    return told(operator, report)


def told(operator: Operator, report: Report) -> int:
    """Show what became of a file; gives the exit code."""
    if operator.as_json:
        emit(report.as_json())
    else:
        typer.echo(report.as_text(), nl=False)
    if report.stopped is not None:
        return UNREACHABLE
    return OK if report.ok else REFUSED


@asynccontextmanager
async def sending(operator: Operator, contract: Contract, file: Path) -> AsyncIterator[tuple[CommandClient, Progress]]:
    """A sender of a service's commands that is known to have somebody to answer, and a bar that shows how far it is."""
    bar = progress_bar()
    task = bar.add_task(file.name, total=None)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    async with operator.nats() as nc:
        await _listens(nc, contract.service)
        with bar:
            try:
                yield operator.client(nc, patience=30), show
            except asyncio.CancelledError:
                bar.stop()
                sys.stderr.write(f"Interrupted. What was acknowledged is kept; import {file.name} again to go on.\n")
                raise


class Sender:
    """Sends commands of one service; `last` is the highest sequence that an answer named."""

    def __init__(self, client: CommandClient, contract: Contract) -> None:
        self._client = client
        self._service = contract.service
        self.last = 0

    async def __call__(self, name: str, data: Mapping[str, Any], id_: str) -> Literal["accepted", "unchanged"]:
        reply = await self._client.send(self._service, name, data, id=id_)
        self.last = max(self.last, reply.sequence)
        return "unchanged" if reply.status == "unchanged" or reply.repeated else "accepted"


async def _listens(nc: Client, service: str) -> None:
    """Raises Unreachable when the service does not run: better before the first line than at it."""
    try:
        await nc.request(f"status.{service}", b"", timeout=5)
    except (nats.errors.Error, TimeoutError) as error:
        raise Unreachable(
            f"No {service} service answers, so nothing was sent. `commons status` says what runs."
        ) from error


async def _nothing(_name: str, _data: Mapping[str, Any], _id: str) -> Literal["accepted", "unchanged"]:
    raise AssertionError("a dry run sends nothing")


def must_exist(file: Path) -> None:
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "does not exist"
        raise Usage(f"{file} {what}.", file=str(file))
