"""`commons import`: catalogues, donors, deliveries and recall notices out of files that others made."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import nats.errors
import typer
from nats.aio.client import Client

from services.commands.common import Operator, command
from services.commands.door import OK, REFUSED, UNREACHABLE, Unreachable, Usage, new_group
from services.commands.render import emit, progress_bar
from services.imports.catalogue import Catalogue
from services.imports.donors import read_donors
from services.imports.items import read_items
from services.imports.plan import Planned, Read
from services.imports.recalls import read_recalls
from services.imports.receipts import read_receipts
from services.imports.report import Report
from services.imports.run import Send, run
from services.inventory.contract import inventory
from shared.client import CommandClient

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check everything, send nothing.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, max=1024, help="Commands that may be under way at once.")
]


@command
async def items(operator: Operator, file: File, dry_run: DryRun = False, concurrency: Concurrency = 64) -> int | None:
    """Import the catalogue: CSV (columns name, unit, item, gtin, pack_sizes …) or Open Food Facts product JSON.

    The same file twice changes nothing; an import that was interrupted is run again and goes on.

    Example: commons import items pantry-items.csv --dry-run
    """
    return await _import(operator, file, lambda: read_items(file), dry_run=dry_run, concurrency=concurrency)


@command
async def receipts(
    operator: Operator,
    file: File,
    dry_run: DryRun = False,
    concurrency: Concurrency = 64,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", metavar="FILE", help="Items from this file, not from the read model.")
    ] = None,
) -> int | None:
    """Import deliveries from CSV, one line a lot: delivery, received_at, location, source, item, quantity, lot, date …

    Items are named by id or GTIN, and looked up in the catalogue's read model.

    Example: commons import receipts deliveries.csv
    """
    known = await _catalogue(operator, catalogue)
    return await _import(operator, file, lambda: read_receipts(file, known), dry_run=dry_run, concurrency=concurrency)


@command
async def recalls(
    operator: Operator,
    file: File,
    dry_run: DryRun = False,
    concurrency: Concurrency = 64,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", metavar="FILE", help="Items from this file, not from the read model.")
    ] = None,
) -> int | None:
    """Import recalls from openFDA enforcement reports (JSON), matched with the catalogue by GTIN alone.

    What cannot be read of a notice is listed for a person, never guessed.

    Example: commons import recalls food-enforcement.json --dry-run
    """
    known = await _catalogue(operator, catalogue)
    return await _import(operator, file, lambda: read_recalls(file, known), dry_run=dry_run, concurrency=concurrency)


@command
async def donors(operator: Operator, file: File, dry_run: DryRun = False, concurrency: Concurrency = 64) -> int | None:
    """Import donors from CSV: donor (an id that says nothing of who it is), name, kind, contact, address, note.

    Names and contacts are encrypted under a key of each donor's own before anything is stored.

    Example: commons import donors donors.csv
    """
    return await _import(operator, file, lambda: read_donors(file), dry_run=dry_run, concurrency=concurrency)


async def _catalogue(operator: Operator, file: Path | None) -> Catalogue:
    """The items that lines are matched with: of a file of items, or as the read model knows them."""
    if file is not None:
        _must_exist(file)
        return Catalogue.of(one.data for one in read_items(file) if isinstance(one, Planned))
    async with operator.database() as pool:
        return Catalogue.of([dict(row) for row in await pool.fetch("SELECT item, unit, gtin, packs FROM read.items")])


async def _import(
    operator: Operator, file: Path, read: Callable[[], Iterable[Read]], *, dry_run: bool, concurrency: int
) -> int:
    """Read, check, send and report; the exit code is 1 when a line was refused."""
    _must_exist(file)
    if dry_run:
        report = await run(file, read, inventory, _nothing, dry_run=True)
    else:
        report = await _send_all(operator, file, read, concurrency)
    if operator.as_json:
        emit(report.as_json())
    else:
        typer.echo(report.as_text(), nl=False)
    if report.stopped is not None:
        return UNREACHABLE
    return OK if report.ok else REFUSED


async def _send_all(operator: Operator, file: Path, read: Callable[[], Iterable[Read]], concurrency: int) -> Report:
    bar = progress_bar()
    task = bar.add_task(file.name, total=None)

    def show(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    async with operator.nats() as nc:
        await _listens(nc)
        with bar:
            sender = _sender(operator.client(nc, patience=30))
            try:
                return await run(file, read, inventory, sender, concurrency=concurrency, progress=show)
            except asyncio.CancelledError:
                bar.stop()
                sys.stderr.write(f"Interrupted. What was acknowledged is kept; import {file.name} again to go on.\n")
                raise


def _sender(client: CommandClient) -> Send:
    async def send(name: str, data: Mapping[str, Any], id_: str) -> Literal["accepted", "unchanged"]:
        reply = await client.send(inventory.service, name, data, id=id_)
        return "unchanged" if reply.status == "unchanged" or reply.repeated else "accepted"

    return send


async def _listens(nc: Client) -> None:
    """Raises Unreachable when no inventory service runs: better before the first line than at it."""
    try:
        await nc.request(f"status.{inventory.service}", b"", timeout=5)
    except (nats.errors.Error, TimeoutError) as error:
        raise Unreachable(
            f"No {inventory.service} service answers, so nothing was sent. `commons status` says what runs."
        ) from error


async def _nothing(_name: str, _data: Mapping[str, Any], _id: str) -> Literal["accepted", "unchanged"]:
    raise AssertionError("a dry run sends nothing")


def _must_exist(file: Path) -> None:
    if not file.is_file():
        what = "is a folder, not a file" if file.is_dir() else "does not exist"
        raise Usage(f"{file} {what}.", file=str(file))


def register(app: typer.Typer) -> None:
    group = new_group("Import a file: items, donors, receipts or recalls. The same file twice changes nothing.")
    group.command("items")(items)
    group.command("donors")(donors)
    group.command("receipts")(receipts)
    group.command("recalls")(recalls)
    app.add_typer(group, name="import")
