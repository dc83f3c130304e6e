"""An order on real servers, from its placing to stock that moved, while the services are killed between the steps."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats.aio.client import Client

from services.distribution.contract import (
    BoxHandedOut,
    BoxNoted,
    EntitlementClaimed,
    GoodsIssued,
    GoodsNoted,
    GoodsReserved,
    OrderCancelled,
    OrderCompleted,
    ProcessStepRefused,
    SlotBooked,
    SlotFreed,
    VisitRecorded,
    distribution,
)
from services.inventory.contract import MovementReversed, ReservationReleased, StockIssued, StockReserved, inventory
from services.local.nats import NatsServer
from shared.client import CommandClient
from shared.connection import connect
from shared.event import decode
from shared.store import stream_name
from shared.wire import StreamReader
from tests.support.keys import keys_beside, tokens_beside

CONTRACTS = {"distribution": distribution, "inventory": inventory}


@dataclass
class Stand:
    """The two services as processes of their own."""

    server: NatsServer
    nc: Client
    running: dict[str, Process] = field(default_factory=dict)

    async def start(self, *services: str) -> None:
        """Start services; commands wait until they take them."""
        urls = {"NATS_URL": self.server.url, "NATS_MONITORING_URL": self.server.monitor_url, "DATABASE_URL": ""}
        for service in services:
            keys = keys_beside(self.server, service)
            self.running[service] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"services.{service}.app", env={**os.environ, **urls, **keys}, stdout=DEVNULL
            )

    async def kill(self, *services: str) -> None:
        """SIGKILL: nothing is finished, nothing is said."""
        for service in services:
            process = self.running.pop(service)
            process.kill()
            await process.wait()

    async def do(self, service: str, command: str, /, **fields: Any) -> None:
        tokens = tokens_beside(self.server)
        client = CommandClient(self.nc, actor="sam", timeout=2, patience=60, tokens=tokens)
        await client.send(service, command, fields)

    async def events(self, service: str) -> list[Any]:
        """All that a service recorded."""
        found: list[Any] = []
        async with StreamReader(self.server.url, stream_name(service)) as reader:
            if reader.last_sequence:
                async for messages in reader.batches(until=reader.last_sequence):
                    found += [decode(message.payload, contract=CONTRACTS[service]).data for message in messages]
        return found

    async def until(self, service: str, *wanted: type, times: int = 1) -> list[Any]:
        """Wait until there are so many of each of some events; those of the last class."""
        async with asyncio.timeout(60):
            while True:
                events = await self.events(service)
                counted = Counter(type(event) for event in events)
                if all(counted[one] >= times for one in wanted):
                    return [event for event in events if type(event) is wanted[-1]]
                await asyncio.sleep(0.05)

    # -- the usual furniture ------------------------------------------------------------------------------------------

    async def furnish_inventory(self) -> None:
        await self.do("inventory", "OpenLocation", location="hall", name="Hall", kind="site")
        for item in ("rice", "milk"):
            await self.do("inventory", "RegisterItem", item=item, name=item, unit="each", allergens=[])
        lines = [{"lot": "R1", "quantity": 10}]
        await self.do("inventory", "ReceiveStock", item="rice", location="hall", source="donation", lines=lines)

    async def furnish_distribution(self) -> None:
        starts = datetime.now(UTC) - timedelta(minutes=1)
        at = {"starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=3)).isoformat()}
        await self.do("distribution", "OpenProgramme", programme="box", name="Boxes", kind="box")
        await self.do("distribution", "SetLimit", programme="box", times=1, every="year")
        for household in ("yilmaz", "okafor"):
            await self.do("distribution", "RegisterHousehold", household=household, size=2)
        await self.do("distribution", "ScheduleSession", session="s", programme="box", site="hall", name="S", **at)
        await self.do("distribution", "OpenSession", session="s")

    async def order(self, order: str = "o1", household: str = "yilmaz") -> None:
        lines = [{"item": "rice", "quantity": 4}]
        await self.do("distribution", "PlaceOrder", order=order, household=household, session="s", lines=lines)


@pytest.fixture
async def stand(nats_server: NatsServer) -> AsyncIterator[Stand]:
    nc = await connect(nats_server.url, name="test")
    stand = Stand(nats_server, nc)
    try:
        yield stand
    finally:
        await stand.kill(*stand.running)
        await nc.close()


@pytest.mark.slow
async def test_an_order_is_fulfilled_once_though_distribution_is_killed_after_each_step(stand: Stand) -> None:
    await stand.start("inventory", "distribution")
    await stand.furnish_inventory()
    await stand.furnish_distribution()
    await stand.until("distribution", GoodsNoted, times=2)

    async def killed_after(step: Callable[[], Any]) -> None:
        await step()
        await stand.kill("distribution")
        await stand.start("distribution")

    await killed_after(stand.order)
    await killed_after(lambda: stand.do("distribution", "ConfirmOrder", order="o1"))
    await stand.until("distribution", SlotBooked, EntitlementClaimed, GoodsReserved)
    await killed_after(lambda: stand.do("distribution", "PackBox", box="b1", order="o1"))
    await stand.until("distribution", BoxNoted)
    await killed_after(lambda: stand.do("distribution", "HandOutBox", box="b1"))
    await stand.until("distribution", OrderCompleted, SlotFreed, GoodsIssued)
    await stand.kill("distribution")
    await stand.start("distribution")
    visit = {"visit": "v1", "household": "okafor", "programme": "box", "period": str(datetime.now(UTC).year)}
    lines = [{"item": "rice", "quantity": 1}]
    await killed_after(lambda: stand.do("distribution", "RecordVisit", **visit, session="s", lines=lines))
    await stand.until("distribution", GoodsIssued, times=2)
    await killed_after(lambda: stand.do("distribution", "ReverseVisit", **visit, reason="The wrong card."))
    await stand.until("inventory", MovementReversed)

    told = Counter(type(event) for event in await stand.events("distribution"))
    for once in (SlotBooked, EntitlementClaimed, GoodsReserved, BoxHandedOut, OrderCompleted, SlotFreed, VisitRecorded):
        assert told[once] == 1, once
    assert not told[ProcessStepRefused]
    moved = await stand.events("inventory")
    assert [(event.recipient, event.on_hand) for event in moved if isinstance(event, StockIssued)] == [
        ("b1", 6), ("v-v1", 5)
    ]  # fmt: skip
    assert Counter(type(event) for event in moved)[StockReserved] == 1
    assert [event.on_hand for event in moved if isinstance(event, MovementReversed)] == [6]


async def test_steps_wait_while_inventory_is_down_and_go_on_when_it_is_back(stand: Stand) -> None:
    await stand.start("inventory", "distribution")
    await stand.furnish_inventory()
    await stand.furnish_distribution()
    await stand.until("distribution", GoodsNoted, times=2)
    await stand.kill("inventory")
    await stand.order()
    await stand.do("distribution", "ConfirmOrder", order="o1")
    await stand.order("o2", "okafor")
    await stand.do("distribution", "ConfirmOrder", order="o2")
    await stand.until("distribution", EntitlementClaimed, times=2)
    await stand.do("distribution", "CancelOrder", order="o2", reason="Ill.")
    await stand.until("distribution", OrderCancelled, SlotFreed)
    assert not [event for event in await stand.events("inventory") if isinstance(event, StockReserved)]
    await stand.start("inventory")
    await stand.until("distribution", GoodsReserved)
    await stand.do("distribution", "PackBox", box="b1", order="o1")
    await stand.do("distribution", "HandOutBox", box="b1")
    await stand.kill("inventory")
    await stand.until("distribution", OrderCompleted)
    await stand.start("inventory")
    (issued,) = await stand.until("inventory", StockIssued)
    assert (issued.recipient, issued.on_hand, issued.breaches) == ("b1", 6, ())
    reserved = {event.reservation for event in await stand.events("inventory") if isinstance(event, StockReserved)}
    freed = {event.reservation for event in await stand.events("inventory") if isinstance(event, ReservationReleased)}
    assert reserved - freed == {"d-o1"}, "what was set aside for a cancelled order is free"
    assert not [event for event in await stand.events("distribution") if isinstance(event, ProcessStepRefused)]


async def test_distribution_may_begin_before_inventory_was_ever_there(stand: Stand) -> None:
    await stand.start("distribution")
    await stand.furnish_distribution()
    await stand.start("inventory")
    await stand.furnish_inventory()
    assert {event.item for event in await stand.until("distribution", GoodsNoted, times=2)} == {"rice", "milk"}
    await stand.order()
