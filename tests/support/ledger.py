"""A writer of the kernel in a test: its own connection, committer and handler, as a service process has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.client import Client

from services.local.nats import NatsServer
from shared.command import Answer, CommandMeta
from shared.committer import Committer
from shared.connection import connect
from shared.contract import Contract
from shared.decider import Decider, Ref
from shared.event import FIRST_PREVHASH, Recorded, decode
from shared.handler import Handler
from shared.snapshot import Snapshots
from shared.store import EventStore, chain, stream_name
from shared.wire import StreamReader
from tests.support.kiosk import DECIDERS, kiosk


@dataclass
class Ledger:
    """What one service process holds."""

    nc: Client
    store: EventStore
    committer: Committer
    handler: Handler
    snapshots: Snapshots | None = None

    async def send(self, command: Any, id: str, actor: str = "sam", **meta: Any) -> Answer:
        return await self.handler.handle(command, CommandMeta(id=id, actor=actor, **meta))

    def start(self, command: Any, id: str, actor: str = "sam") -> asyncio.Future[Answer]:
        return self.handler.submit(command, CommandMeta(id=id, actor=actor))


@asynccontextmanager
async def ledger(
    server: NatsServer,
    *,
    contract: Contract = kiosk,
    deciders: Sequence[Decider[Any]] = DECIDERS,
    url: str | None = None,
    lanes: int = 2,
    batch_from: int = 24,
    known: Callable[[], Awaitable[int]] | None = None,
    snapshot_every: int | None = None,
    **options: Any,
) -> AsyncIterator[Ledger]:
    """A running writer over the kiosk's stream, or another's; `url` leads to the server by another way, as a proxy."""
    handler: Handler | None = None

    def lost() -> None:
        if handler is not None:
            handler.connection_changed()

    nc = await connect(url or server.url, name=contract.service, on_lost=lost)
    try:
        store = EventStore(nc, contract)
        await store.ensure(server.monitor_url)
        committer = Committer(store, lanes=lanes, batch_from=batch_from, known_sequence=known)
        snapshots = None
        if snapshot_every is not None:
            snapshots = await Snapshots.open(nc, contract.service)
            options["snapshot_every"] = snapshot_every
        handler = Handler(store, deciders, committer, snapshots=snapshots, **options)
        await committer.start()
        try:
            yield Ledger(nc, store, committer, handler, snapshots)
        finally:
            await handler.stop()
    finally:
        await nc.close()


async def read(server: NatsServer, ref: Ref | None = None, contract: Contract = kiosk) -> list[Recorded]:
    """The stream as it is on the server, one aggregate of it or all, with every aggregate's chain checked."""
    last = await last_sequence(server, contract)
    stream = stream_name(contract.service)
    events: list[Recorded] = []
    if last:
        async with StreamReader(server.url, stream, 1) as reader:
            async for batch in reader.batches(until=last):
                events += [
                    decode(m.payload, stream=stream, sequence=m.sequence, subject=m.subject, contract=contract)
                    for m in batch
                ]
    assert [event.sequence for event in events] == list(range(1, last + 1))
    chains: dict[Ref, list[Recorded]] = {}
    for event in events:
        chains.setdefault(Ref(event.category, event.aggregate_id), []).append(event)
    for chained in chains.values():
        chain(chained, revision=0, previous=FIRST_PREVHASH)
    return events if ref is None else chains.get(ref, [])


def event_of(answer: Answer, contract: Contract = kiosk) -> Any:
    """The event that an answer carries, as its class."""
    assert answer.event is not None
    return decode(answer.event, contract=contract).data


def envelope_of(answer: Answer) -> dict[str, Any]:
    assert answer.event is not None
    made: dict[str, Any] = json.loads(answer.event)
    return made


async def last_sequence(server: NatsServer, contract: Contract = kiosk) -> int:
    nc = await nats.connect(server.url)
    try:
        return await EventStore(nc, contract).last_sequence()
    finally:
        await nc.close()


async def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait until a condition (awaitable or not) is true, and give what it gave."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)
