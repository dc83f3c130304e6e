"""`commons restore`: puts the ledger back from a copy, or what a stream lost."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from services.auditor.archive import unpacked
from services.auditor.checked import open_logs
from services.auditor.export import give_logs
from services.auditor.notes import Verifier
from services.auditor.restore import Outcome
from services.auditor.restore import restore as restore_now
from services.commands.common import Operator, command
from services.commands.copies import Tiles, unwritten, watched
from services.commands.door import OK, Unreachable, Usage
from services.commands.publickeys import LogKey, keys_of
from services.commands.render import clean, console, emit, progress_bar
from services.commands.tables import print_table
from services.local.keys import Keys
from services.local.lock import AlreadyRunning, folder_lock
from services.local.nats import NatsServer
from services.local.process import StartFailed
from shared import keycare
from shared.connection import connect
from shared.errors import Misconfigured
from shared.masterkeys import MasterKeys
from shared.settings import load


@command
async def restore(
    operator: Operator,
    copy: Annotated[
        Path,
        typer.Argument(
            metavar="COPY",
            help="What `commons export ledger` or `commons backup` wrote, or the auditor's folder of logs.",
            show_default=False,
        ),
    ],
    keyring: Annotated[
        Path | None,
        typer.Option("--keyring", metavar="FILE", help="A copy of the keyrings that is taken in behind the ledger."),
    ] = None,
    log_key: LogKey = None,
    tiles: Tiles = None,
) -> int | None:
    """Put every event of a copy back into its stream, byte for byte and in order, and nothing over what is there.

    The copy is verified first. A stream that is empty gets everything, one that lost its tail the rest; one that
    differs is refused. While it runs no service writes, and none does before it is done; run it again if it was broken
    off.
    Without a running `commons up` it starts NATS on the folder --data by itself: that is how a new deployment begins.

    Erasures come back with the ledger, before any key does: who was erased in it stays erased, whatever --keyring
    holds.

    Example: commons restore /mnt/backup/ledger --keyring /mnt/keys/2026-11-26T0300Z.keys --data /srv/pantry
    """
    if not copy.exists():
        raise Usage(f"{copy} does not exist.", path=str(copy))
    if keyring is not None and not keyring.is_file():
        raise Usage(f"{keyring} does not exist.", path=str(keyring))
    trusted = list(keys_of(log_key, None, None).logs)
    keys = Keys(operator.folder.absolute() / "keys")
    masters = _masters(keys) if keyring is not None else None
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        folder = await watched(lambda _: stack.enter_context(unpacked(copy)))
        await watched(lambda _: open_logs(folder, trusted))  # before a server is started on an empty folder
        try:
            async with _servers(operator) as (nats_url, monitoring_url, own):
                outcome = await _restore(nats_url, monitoring_url, folder, trusted)
                if keyring is not None and masters is not None:
                    counts = await _take_in(nats_url, keys, keyring, masters)
                if own or tiles is not None:  # an auditor that has logs of its own keeps them
                    logs = tiles or operator.folder / "tiles"
                    await watched(lambda progress: give_logs(folder, logs, progress))
        except OSError as error:
            raise unwritten(operator.folder, error) from error
    _tell(operator, outcome, counts if keyring is not None else None, own_keys=not trusted)
    return OK


async def _restore(nats_url: str, monitoring_url: str | None, folder: Path, keys: list[Verifier]) -> Outcome:
    bar = progress_bar()
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=total)
        bar.update(tasks[name], completed=done)

    nc = await connect(nats_url, name="commons", timeout=5.0)
    try:
        with bar:
            return await restore_now(nc, nats_url, monitoring_url, folder, show, keys=keys)
    finally:
        await nc.close()


async def _take_in(nats_url: str, keys: Keys, file: Path, masters: MasterKeys) -> dict[str, int]:
    """The keyrings of a copy: the streams, which say who was erased, are there already."""
    nc = await connect(nats_url, name="commons", timeout=5.0)
    try:
        return await keycare.restore(nc, keys.keyring, file, lambda: masters)
    finally:
        await nc.close()


@asynccontextmanager
async def _servers(operator: Operator) -> AsyncIterator[tuple[str, str | None, bool]]:
    """NATS as it runs, or our own on the data folder for the time being: address, monitoring, whether it is ours.

    Raises AlreadyRunning when another process has the folder, Unreachable when the server does not come up.
    """
    with ExitStack() as stack:
        if operator.nats_url is None:
            folder = operator.folder.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(folder_lock(folder))
            except AlreadyRunning:
                if not operator.description:  # it has only just been started
                    raise
            else:
                async with _own_server(folder) as server:
                    yield server.url, server.monitor_url, True
                return
        url = operator.address("nats_url")
        async with operator.nats():
            pass
        monitoring = operator.description.get("nats_monitoring_url") if operator.nats_url is None else None
        yield url, monitoring or load({**os.environ, "NATS_URL": url}).monitoring_url, False


@asynccontextmanager
async def _own_server(folder: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(folder / "nats")
    try:
        await server.start()
    except StartFailed as error:
        raise Unreachable(str(error)) from error
    try:
        yield server
    finally:
        await server.stop()


def _masters(keys: Keys) -> MasterKeys:
    found = keys.masters()
    if found is None:
        raise Misconfigured(
            f"A copy of keyrings is of use with its master key alone, and there is none: put it to {keys.master}, or "
            "name it with COMMONS_MASTER_KEY_FILE. Nothing was restored."
        )
    return found


def _tell(operator: Operator, outcome: Outcome, keys: dict[str, int] | None, *, own_keys: bool) -> None:
    halt = outcome.halt
    if operator.as_json:
        told = None if halt is None else msgspec.to_builtins(halt)
        emit(
            {"streams": [asdict(one) for one in outcome.streams], "keys": keys, "halt": told, "own_log_keys": own_keys}
        )
        return
    rows = [[one.stream, one.size, one.appended, one.beyond, one.root[:16] + "…"] for one in outcome.streams]
    print_table(["stream", "of the copy", "restored", "beyond it", "root"], rows, title="Restored")
    out = console()
    if keys is not None:
        told = ", ".join(f"{count:,} of {service}" for service, count in keys.items()) or "nothing"
        out.print(f"Keys added or changed: {told}.", soft_wrap=True)
    out.print("Every stream leads to the root of its checkpoint.", style="bold green")
    if own_keys:
        out.print(
            "The logs' keys were taken from the copy itself: that shows that it agrees with itself, and not who signed "
            "it, nor that no log was taken out. Give --log-key with the keys that you have from elsewhere.",
            style="yellow", soft_wrap=True,
        )  # fmt: skip
    if halt is not None:
        out.print(
            f"Writing is still halted, by {clean(halt.by)}: {clean(halt.reason)}. Run `commons verify`, then `commons "
            "resume`.",
            style="yellow", soft_wrap=True, markup=False,
        )  # fmt: skip


def register(app: typer.Typer) -> None:
    app.command("restore")(restore)
