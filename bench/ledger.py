"""The ledger under measurement: a NATS server that syncs every write, a handler over it, and callers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.toy import PutGoods, shelf, shelves
from services.local.nats import NatsServer
from shared.command import CommandMeta
from shared.committer import Committer
from shared.connection import connect
from shared.contract import Contract
from shared.decider import Decider, Ref
from shared.handler import Handler
from shared.snapshot import Snapshots
from shared.store import EventStore


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses of a server that another process runs."""

    url: str
    monitor_url: str


@dataclass(frozen=True, slots=True)
class Load:
    """How a number of commands went: how many a second, and the seconds that each took, sorted."""

    rate: float
    seconds: list[float]

    def quantile(self, q: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * q))]


@asynccontextmanager
async def handler(
    server: NatsServer | Running,
    contract: Contract = shelves,
    deciders: Iterable[Decider[Any]] = (shelf,),
    *,
    cache_mb: int = 256,
) -> AsyncIterator[Handler]:
    """The kernel as a service has it, without the wire in front."""
    nc = await connect(server.url, name="bench")
    store = EventStore(nc, contract)
    await store.ensure(server.monitor_url)
    committer = Committer(store)
    await committer.start()
    made = Handler(
        store, deciders, committer, snapshots=await Snapshots.open(nc, contract.service), cache_bytes=cache_mb << 20
    )
    try:
        yield made
    finally:
        await made.stop()
        await nc.close()


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(folder) as running:
        yield running


async def warm(target: Handler, names: Iterable[str]) -> None:
    """Give each shelf a first event, so that none is new when it is measured."""
    await load(target, [*names], lambda name: name, waiting=1000, tag="warm")


async def load(target: Handler, picks: list[Any], pick: Callable[[Any], str], *, waiting: int, tag: str) -> Load:
    """Put goods on the shelves picked, with so many callers that each wait for their answer."""
    seconds: list[float] = []
    todo = iter(enumerate(picks))

    async def caller() -> None:
        for number, picked in todo:
            command = PutGoods(shelf=pick(picked), lot="L1", quantity=5)
            began = time.perf_counter()
            await target.handle(command, CommandMeta(id=f"{tag}-{number}", actor="bench"))
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(waiting)))
    rate = len(picks) / (time.perf_counter() - began)
    return Load(rate, sorted(seconds))


async def loaded(target: Handler, ids: Iterable[str]) -> None:
    """Bring shelves into memory."""
    await asyncio.gather(*(target.state(Ref("shelf", id_)) for id_ in ids))
