"""Streams and auditors of tests: a stream of any bytes, as the auditor reads none, and an auditor in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client

from services.auditor.app import Auditor
from services.auditor.checkpoint import Checkpoint, open_checkpoint
from services.auditor.layout import log_folder, log_vkey
from services.auditor.merkle import leaf_hash, root_of
from services.auditor.notes import Verifier
from services.auditor.opened import history
from services.auditor.tiles import Tiles
from services.local.nats import NatsServer
from shared import halt
from shared.halt import Halt
from shared.settings import Settings
from tests.support.ledger import until

STREAM = "INVENTORY"
ORIGIN = "pantry/commons/inventory"


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Client]:
    nc = await nats.connect(server.url)
    try:
        yield nc
    finally:
        await nc.close()


async def make_stream(nc: Client, events: Iterable[bytes] = ()) -> None:
    await nc.jetstream().add_stream(name=STREAM, subjects=["ledger.inventory.>"])
    await write(nc, events)


async def write(nc: Client, events: Iterable[bytes]) -> None:
    """Append events; all are stored when this returns."""
    sent = list(events)
    before = (await nc.jetstream().stream_info(STREAM)).state.last_seq
    for event in sent:
        await nc.publish("ledger.inventory.stock.x", event)

    async def stored() -> bool:
        return (await nc.jetstream().stream_info(STREAM)).state.last_seq == before + len(sent)

    await until(stored)


def some_events(count: int, first: int = 1) -> list[bytes]:
    """Events of different lengths, each telling its number."""
    return [b'{"number": %d, "filler": "%s"}' % (n, b"x" * (n % 97)) for n in range(first, first + count)]


def settings_of(server: NatsServer, folder: Path, **more: Any) -> Settings:
    return Settings(
        NATS_URL=server.url, COMMONS_TILES=folder / "tiles", COMMONS_LOG_KEYS=folder / "keys", COMMONS_CHAPTER="pantry",
        **more,
    )  # fmt: skip


@asynccontextmanager
async def auditing(server: NatsServer, folder: Path, **more: Any) -> AsyncIterator[Auditor]:
    """An auditor of the inventory's stream in this process."""
    auditor = Auditor(settings_of(server, folder, **more), ("inventory",))
    await auditor.start()
    try:
        yield auditor
    finally:
        await auditor.stop()


async def signed(auditor: Auditor, size: int) -> None:
    """Wait until so many events are under a checkpoint."""
    await until(lambda: auditor.logs[0].progress.signed >= size)


async def in_state(auditor: Auditor, state: str) -> str:
    """Wait until the log is in a state; what it says to it."""
    await until(lambda: auditor.logs[0].progress.state == state)
    return auditor.logs[0].progress.detail


async def halting(auditor: Auditor, nc: Client) -> Halt:
    """Wait until the auditor has halted the writers; what it says."""
    await in_state(auditor, "halted")

    async def standing() -> Halt | None:
        found = await halt.read(nc)
        return found if found is not None and found.halted else None

    found: Halt = await until(standing)
    return found


def checkpoint_in(folder: Path) -> Checkpoint:
    """The published checkpoint, its signature checked under the key beside it."""
    log = log_folder(folder / "tiles", "inventory")
    verifier = Verifier.parse(log_vkey(log).read_text().strip())
    return open_checkpoint((log / "checkpoint").read_bytes(), ORIGIN, [verifier])


def assert_sound(folder: Path, events: list[bytes]) -> None:
    """The log under the published checkpoint is the events, byte for byte; no two checkpoints contradict each other."""
    log = log_folder(folder / "tiles", "inventory")
    checkpoint = checkpoint_in(folder)
    tiles = Tiles.of_folder(log, checkpoint.size)
    assert list(tiles.entries()) == events[: checkpoint.size]
    assert (
        tiles.root_at(checkpoint.size) == checkpoint.root == root_of([leaf_hash(e) for e in events[: checkpoint.size]])
    )
    verifier = Verifier.parse(log_vkey(log).read_text().strip())
    roots: dict[int, bytes] = {}
    sizes = [0]
    for _, line in history(log):
        told = open_checkpoint(line.note.encode(), ORIGIN, [verifier])
        assert roots.setdefault(told.size, told.root) == told.root
        assert told.root == tiles.root_at(told.size)
        sizes.append(told.size)
    assert sizes == sorted(sizes) and sizes[-1] == checkpoint.size
