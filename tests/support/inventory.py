"""A writer of inventory in a test: its deciders behind the kernel, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from services.local.nats import NatsServer
from shared.command import Answer, CommandMeta
from shared.committer import Committer
from shared.connection import connect
from shared.handler import Handler
from shared.store import EventStore


@dataclass
class Keeper:
    """Sends commands one after another, in sam's name."""

    store: EventStore
    handler: Handler
    sent: int = 0

    async def do(self, name: str, /, *, actor: str = "sam", **fields: Any) -> Answer:
        self.sent += 1
        return await self.handler.handle(inventory.parse(name, fields), CommandMeta(id=f"c-{self.sent}", actor=actor))

    async def furnish(self) -> None:
        """Rice and milk, a store and a site, and something to begin with: nine events."""
        await self.do("RegisterItem", item="rice", name="Rice", unit="each")
        await self.do("RegisterItem", item="milk", name="Whole milk", unit="ml", gtin="4006381333931")
        for place in ("store", "site"):
            await self.do("OpenLocation", location=place, name=place.title(), kind="store", storage="chilled")
        await self.receive("rice", 40, "A")
        await self.receive("milk", 12000, "M-1")
        await self.take("rice", 4)
        await self.do("ReverseMovement", item="rice", location="store", movement=2, reason="Wrong box")
        await self.take("rice", 3)

    async def receive(self, item: str, quantity: int, lot: str | None = None) -> Answer:
        lines = [{"quantity": quantity, "lot": lot}]
        return await self.do("ReceiveStock", item=item, location="store", source="donation", donor="d-1", lines=lines)

    async def take(self, item: str, quantity: int) -> Answer:
        lines = [{"quantity": quantity}]
        return await self.do("IssueStock", item=item, location="store", purpose="household", lines=lines)


@asynccontextmanager
async def keeper(server: NatsServer, url: str | None = None) -> AsyncIterator[Keeper]:
    """A running writer over the stream INVENTORY; `url` says who it is, where the server asks."""
    nc = await connect(url or server.url, name="inventory")
    try:
        store = EventStore(nc, inventory)
        await store.ensure(server.monitor_url)
        committer = Committer(store)
        handler = Handler(store, DECIDERS, committer)
        await committer.start()
        try:
            yield Keeper(store, handler)
        finally:
            await handler.stop()
    finally:
        await nc.close()
