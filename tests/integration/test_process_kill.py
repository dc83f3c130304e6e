"""The inventory service as a process of its own, killed in the middle of a recall."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.inventory.contract import StockHeld, inventory
from services.local.nats import NatsServer
from shared.client import CommandClient
from shared.connection import connect
from shared.event import decode
from shared.store import EventStore
from shared.wire import StreamReader
from tests.support.keys import keys_beside, tokens_beside

PLACES = tuple(f"site-{n}" for n in range(600))


@asynccontextmanager
async def service(server: NatsServer) -> AsyncIterator[Process]:
    environment = {**os.environ, "NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, "DATABASE_URL": ""}
    environment |= keys_beside(server)
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.inventory.app", env=environment, stdout=DEVNULL
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def do(sam: CommandClient, name: str, /, **fields: Any) -> None:
    await sam.send("inventory", name, fields)


async def reached(store: EventStore, sequence: int) -> None:
    async with asyncio.timeout(60):
        while await store.last_sequence() < sequence:
            await asyncio.sleep(0.001)


async def held(server: NatsServer, store: EventStore) -> Counter[str]:
    """How often each location's stock was held, as the stream says."""
    found: Counter[str] = Counter()
    last = await store.last_sequence()
    async with StreamReader(server.url, store.stream) as reader:
        async for messages in reader.batches(until=last):
            events = [decode(message.payload, contract=inventory) for message in messages]
            found.update(event.data.location for event in events if isinstance(event.data, StockHeld))
    return found


async def test_every_stock_is_held_once_though_the_service_is_killed_twice(nats_server: NatsServer) -> None:
    nc = await connect(nats_server.url, name="test")
    store = EventStore(nc, inventory)
    try:
        async with service(nats_server) as running:
            sam = CommandClient(nc, actor="sam", tokens=tokens_beside(nats_server))
            await do(sam, "RegisterItem", item="rice", name="Rice", unit="each")
            await asyncio.gather(*(do(sam, "OpenLocation", location=p, name="A site", kind="site") for p in PLACES))
            goods = {"item": "rice", "source": "donation", "lines": [{"lot": "A", "quantity": 3}]}
            await asyncio.gather(*(do(sam, "ReceiveStock", **goods, location=place) for place in PLACES))
            recalled = await store.last_sequence() + 1
            await do(sam, "RecallLot", item="rice", recall="rc-1", scope={"lots": ["A"]}, reason="glass in it")
            await reached(store, recalled + 100)
            running.kill()
        assert 100 <= (await held(nats_server, store)).total() < len(PLACES)
        async with service(nats_server) as running:
            await reached(store, recalled + 300)
            running.kill()
        async with service(nats_server):
            await reached(store, recalled + len(PLACES))
            assert await held(nats_server, store) == Counter(PLACES)
            await do(sam, "LiftRecall", item="rice", recall="rc-1", reason="another plant")
            await reached(store, recalled + 1 + 2 * len(PLACES))
        assert await held(nats_server, store) == Counter(PLACES)
    finally:
        await nc.close()
