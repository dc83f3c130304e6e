"""Inventory's process managers beside its real deciders, on a real server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from services.inventory.contract import StockHeld, TransferReceived, inventory
from services.inventory.deciders import DECIDERS
from services.inventory.processes import managers
from services.local.nats import NatsServer
from shared.command import CommandMeta
from shared.committer import Committer
from shared.connection import connect
from shared.decider import Ref
from shared.event import Recorded
from shared.handler import Handler
from shared.outbox import Send, in_process
from shared.positions import KvPositions, Positions
from shared.process import Processes, run_managers
from shared.store import EventStore
from tests.support.alarms import Forgetful, settled

PLACES = tuple(f"site-{n}" for n in range(50))


@dataclass
class Shop:
    """One process of the inventory service."""

    server: NatsServer
    store: EventStore
    handler: Handler
    positions: KvPositions
    number: int = 0

    async def do(self, name: str, /, **fields: Any) -> None:
        self.number += 1
        await self.handler.handle(inventory.parse(name, fields), CommandMeta(id=f"c-{self.number}", actor="sam"))

    async def receive(self, place: str, lot: str = "A", item: str = "rice") -> None:
        lines = [{"lot": lot, "quantity": 10}]
        await self.do("ReceiveStock", item=item, location=place, source="donation", lines=lines)

    @asynccontextmanager
    async def managers(self, send: Send | None = None, positions: Positions | None = None) -> AsyncIterator[Processes]:
        keeping, sending = positions or self.positions, send or in_process(self.handler)
        async with run_managers(self.server.url, inventory, managers(), sending, keeping) as processes:
            yield processes

    async def settled(self, processes: Processes) -> None:
        """Wait until nothing follows from anything any more."""
        last = 0
        while last != (last := await self.store.last_sequence()):
            await settled(processes, last)

    async def events(self, *classes: type) -> list[Recorded]:
        found = [await self.store.at(sequence) for sequence in range(1, await self.store.last_sequence() + 1)]
        return [event for event in found if event is not None and (not classes or isinstance(event.data, classes))]

    async def held(self, hold: str, item: str = "rice") -> set[str]:
        """The locations at which everything of lot A is under a hold."""
        found = set()
        for place in PLACES:
            stock, _ = await self.handler.state(Ref("stock", f"{item}:{place}"))
            if any(hold in row.holds for _, row in stock.shelf() if row.ref.lot == "A"):
                found.add(place)
        return found


@pytest.fixture
async def shop(nats_server: NatsServer) -> AsyncIterator[Shop]:
    nc = await connect(nats_server.url, name="inventory")
    try:
        store = EventStore(nc, inventory)
        await store.ensure(nats_server.monitor_url)
        committer = Committer(store)
        handler = Handler(store, DECIDERS, committer)
        await committer.start()
        shop = Shop(nats_server, store, handler, await KvPositions.open(nc, "inventory"))
        await shop.do("RegisterItem", item="rice", name="Rice", unit="each")
        await asyncio.gather(
            *(shop.do("OpenLocation", location=place, name="A site", kind="site", maximum=80) for place in PLACES)
        )
        try:
            yield shop
        finally:
            await handler.stop()
    finally:
        await nc.close()


async def recall(shop: Shop) -> None:
    await shop.do("RecallLot", item="rice", recall="rc-1", scope={"lots": ["A"]}, reason="glass in it")


async def test_killed_in_the_middle_of_a_recall_every_stock_is_held_once(shop: Shop) -> None:
    await asyncio.gather(*(shop.receive(place) for place in PLACES))
    fields = {"item": "rice", "purpose": "household", "quantity": 2}
    await asyncio.gather(*(shop.do("ReserveStock", **fields, location=place, reservation="r-1") for place in PLACES))
    through, halfway, answered, asked = in_process(shop.handler), asyncio.Event(), 0, 0

    async def breaks_off(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        nonlocal answered, asked
        asked += 1
        if asked > 30:
            await asyncio.sleep(3600)  # on its way for ever
        status = await through(service, command, data, meta)
        answered += 1
        if answered > 20:
            halfway.set()
            await asyncio.sleep(3600)  # recorded, and the answer lost
        return status

    async with shop.managers(breaks_off, Forgetful()):
        await recall(shop)
        await asyncio.wait_for(halfway.wait(), 10)
    assert 0 < len(await shop.held("rc-1")) < 50
    async with shop.managers() as processes:
        await shop.settled(processes)
    assert Counter(event.data.location for event in await shop.events(StockHeld)) == Counter(PLACES)
    for place in PLACES:
        stock, _ = await shop.handler.state(Ref("stock", f"rice:{place}"))
        assert stock.reservations == {}
    before = await shop.store.last_sequence()
    async with shop.managers(positions=Forgetful()) as processes:
        await shop.settled(processes)
    assert await shop.store.last_sequence() == before


async def test_what_arrives_during_a_recall_is_held_wherever_it_arrives(shop: Shop) -> None:
    await asyncio.gather(*(shop.receive(place) for place in PLACES[:20]))
    async with shop.managers() as processes:
        await asyncio.gather(
            *(shop.receive(place) for place in PLACES[10:30]), recall(shop),
            *(shop.receive(place) for place in PLACES[20:]), *(shop.receive(place, lot="B") for place in PLACES[:10]),
        )  # fmt: skip
        await shop.settled(processes)
        assert await shop.held("rc-1") == set(PLACES)
        stock, _ = await shop.handler.state(Ref("stock", "rice:site-1"))
        assert {row.ref.lot: row.holds for _, row in stock.shelf()} == {"A": ["rc-1"], "B": []}
        await shop.do("LiftRecall", item="rice", recall="rc-1", reason="another plant")
        await shop.settled(processes)
        assert await shop.held("rc-1") == set()


async def test_a_warm_location_is_held_and_a_transfer_noted(shop: Shop) -> None:
    async with shop.managers() as processes:
        await shop.receive("site-0")
        await shop.receive("site-1")
        await shop.do("RecordTemperature", location="site-0", temperature=120)
        goods = {"item": "rice", "transfer": "t-1"}
        await shop.do("DispatchTransfer", **goods, location="site-1", destination="site-2", lines=[{"quantity": 4}])
        await shop.do("ReceiveTransfer", **goods, location="site-2", origin="site-1")
        await shop.settled(processes)
    assert await shop.held(f"temperature-{(await warm(shop)).id}") == {"site-0"}
    transfer, _ = await shop.handler.state(Ref("transfer", "t-1"))
    assert [leg.arrived for leg in transfer.legs.values()] == [True]
    assert len(await shop.events(TransferReceived)) == 1


async def warm(shop: Shop) -> Recorded:
    return next(event for event in await shop.events() if event.category == "location" and event.revision == 2)


async def test_repacked_goods_that_cannot_be_taken_in_wait_for_a_person(shop: Shop) -> None:
    """The item was found to be controlled between the repacking and the receipt that follows from it."""
    bag = {"item": "bag", "name": "Rice in bags", "unit": "each"}
    await shop.do("RegisterItem", **bag)
    await shop.receive("site-0")
    into = [{"item": "bag", "quantity": 5}]
    await shop.do("RepackStock", item="rice", location="site-0", lines=[{"quantity": 10}], into=into)
    await shop.do("ChangeItem", **bag, controlled=True)
    async with shop.managers() as processes:
        await shop.settled(processes)
        async with asyncio.timeout(20):
            while not any(m["refusals"] for m in processes.health()["managers"]):
                await asyncio.sleep(0.05)
    refused = (await shop.events())[-1]
    assert (refused.category, refused.data.code) == ("process", "CONTROLLED_SUBSTANCE")
    assert refused.data.target == "stock/bag:site-0"
    await shop.do("ResolveStep", step=refused.data.step, note="Brought the item back and received the bags by hand.")
