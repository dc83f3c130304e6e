"""Movements that come late, before a hundred thousand others of one stock, are each placed at their moment.

The stock is written past the deciders, as the events of years; from there on everything is the real thing: the handler
loads it by folding, decides, and answers when the server has it on disk.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import msgspec
import pytest

from services.inventory.contract import (
    BaseUnit,
    InventoryError,
    LotMove,
    PickLine,
    Purpose,
    ReceiptLine,
    Source,
    StockIssued,
    StockReceived,
    inventory,
)
from services.inventory.deciders import DECIDERS
from services.inventory.shelf import Stock, check
from services.inventory.timeline import microseconds
from services.local.nats import NatsServer
from shared.command import CommandMeta
from shared.committer import Committer
from shared.connection import connect
from shared.decider import Ref
from shared.errors import Rejected
from shared.event import FIRST_PREVHASH, Envelope, encode, event_id, sha256, timestamp
from shared.handler import Handler
from shared.store import EventStore
from shared.writer import Frame, Writer

MOVEMENTS = 100_000  # looked through one by one they would cost many times what a late one may
LATE = 2_000
BATCH = 1000
STOCK = Ref("stock", "rice:store")
SUBJECT = "ledger.inventory.stock.rice:store"
LOTS = ("A", "B", "C", "D")

FIRST_DAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
BUSY_DAY = FIRST_DAY + timedelta(days=3)
QUIET = MOVEMENTS * 2 // 5
"""How many of them fall on the days before the busy one."""
LOW_FROM, LOW_UNTIL = FIRST_DAY + timedelta(days=1, hours=9), FIRST_DAY + timedelta(days=5)
NOW = FIRST_DAY + timedelta(days=30)

DETAILS = {"ReceiveStock": {"source": "donation"}, "IssueStock": {"purpose": "meal"}}

Movements = dict[str, list[tuple[int, int, int]]]
"""By lot, in the order of recording: the moment (microseconds), the revision and the change. The plain way to keep
what the stock keeps cleverly."""


# -- the years before -------------------------------------------------------------------------------------------------


def seeded() -> Iterator[tuple[datetime, str, int]]:
    """When, which lot, how much: six days, more than half of it on the fourth.

    Lot LOW is down to 10 from the second day to the sixth, and has 210 from then on.
    """
    yield FIRST_DAY, "LOW", 100
    yield LOW_FROM, "LOW", -90
    for number in range(MOVEMENTS - 3):
        if number < QUIET:
            at = FIRST_DAY + timedelta(seconds=number * 5)  # two days and some hours
        else:
            at = BUSY_DAY + timedelta(milliseconds=(number - QUIET) * 500)  # eight hours
        turn = number // len(LOTS)
        yield at, LOTS[number % len(LOTS)], 7 if turn % 2 == 0 else -5
    yield LOW_UNTIL, "LOW", 200


async def seed(server: NatsServer, store: EventStore) -> Movements:
    """Write the stock's events with a whole chain, in atomic batches, the next one made while one is written."""
    movements: Movements = defaultdict(list)
    writer = Writer(server.url, name="seed")
    await writer.ensure_connected()
    writing: asyncio.Task[int] | None = None
    frames: list[Frame] = []
    for subject, raw in _events(movements):
        frames.append((subject, raw, None, None))
        if len(frames) % 50 == 0:
            await asyncio.sleep(0)  # the batch before is sent and acknowledged meanwhile
        if len(frames) == BATCH:
            expected = await writing if writing is not None else 0
            writing = asyncio.create_task(_append(writer, frames, expected))
            frames = []
    assert writing is not None and not frames
    await writing
    writer.close()
    return movements


async def _append(writer: Writer, frames: list[Frame], expected: int) -> int:
    subject, raw, _, _ = frames[0]
    answer = await writer.append_batch([(subject, raw, expected, None), *frames[1:]])
    assert answer.get("count") == len(frames), answer
    return int(answer["seq"])


def _events(movements: Movements) -> Iterator[tuple[str, bytes]]:
    on_hand: dict[str, int] = defaultdict(int)
    total, previous = 0, FIRST_PREVHASH
    recorded = timestamp(NOW)
    received, issued = (inventory.spec_of(_data(FIRST_DAY, "A", change, 0, 0)).type for change in (1, -1))
    for revision, (at, lot, change) in enumerate(seeded(), start=1):
        movements[lot].append((microseconds(at), revision, change))
        on_hand[lot] += change
        total += change
        kind = received if change > 0 else issued
        raw = encode(
            Envelope(
                specversion="1.0", id=event_id(SUBJECT, f"seed-{revision}"), source="/commons/local/inventory",
                type=kind, subject="stock/rice:store", time=recorded, dataschema=f"urn:commons:schema:{kind}",
                datacontenttype="application/json", revision=revision, prevhash=previous,
                correlationid=f"seed-{revision}", causationid=f"seed-{revision}", authtype="user", authid="sam",
                data=_data(at, lot, change, on_hand[lot], total),
            )
        )  # fmt: skip
        previous = sha256(raw)
        yield SUBJECT, raw


def _data(at: datetime, lot: str, change: int, on_hand: int, total: int) -> Any:
    moves = (LotMove(lot=lot, change=change, on_hand=on_hand, weight=change * 500),)
    shared: dict[str, Any] = {
        "item": "rice", "location": "store", "occurred_at": at, "effective_at": at, "unit": BaseUnit.EACH,
        "moves": moves, "on_hand": total,
    }  # fmt: skip
    if change > 0:
        return StockReceived(source=Source.DONATION, lines=(ReceiptLine(quantity=change, lot=lot),), **shared)
    return StockIssued(purpose=Purpose.HOUSEHOLD, lines=(PickLine(quantity=-change, lot=lot),), **shared)


# -- the service ------------------------------------------------------------------------------------------------------


class Service:
    def __init__(self, handler: Handler, store: EventStore) -> None:
        self.handler, self.store = handler, store
        self._sent = 0

    async def send(self, name: str, /, **fields: Any) -> int:
        """Send a command; the revision of its event."""
        self._sent += 1
        command = inventory.parse(name, fields)
        answer = await self.handler.handle(command, CommandMeta(id=f"late-{self._sent}", actor="sam"))
        assert answer.event is not None
        return int(msgspec.json.decode(answer.event)["revision"])

    async def stock(self) -> Stock:
        state, _ = await self.handler.state(STOCK)
        assert isinstance(state, Stock)
        return state


@asynccontextmanager
async def service(server: NatsServer) -> AsyncIterator[Service]:
    nc = await connect(server.url, name="inventory")
    store = EventStore(nc, inventory)
    await store.ensure(server.monitor_url)
    committer = Committer(store)
    handler = Handler(store, DECIDERS, committer, clock=lambda: NOW)
    await committer.start()
    try:
        yield Service(handler, store)
    finally:
        await handler.stop()
        await nc.close()


def late_facts() -> Iterator[tuple[str, datetime, str, int]]:
    """Receipts and issues before everything else, on the quiet days and in the midst of the busy one, in turn."""
    for number in range(LATE):
        lot = LOTS[number % len(LOTS)]
        place = number // len(LOTS) % 4
        if place == 0:
            yield "ReceiveStock", FIRST_DAY - timedelta(days=2, seconds=number), lot, 3
        elif place == 1:
            yield "IssueStock", FIRST_DAY - timedelta(days=1, seconds=number), lot, 2
        elif place == 2:
            yield "ReceiveStock", FIRST_DAY + timedelta(hours=20, seconds=number), lot, 2
        else:
            yield "IssueStock", BUSY_DAY + timedelta(hours=4, milliseconds=number), lot, 1


def body(at: datetime, lot: str, quantity: int, **more: Any) -> dict[str, Any]:
    line = {"lot": lot, "quantity": quantity}
    return {"item": "rice", "location": "store", "occurred_at": at.isoformat(), "lines": [line], **more}


@pytest.mark.slow
async def test_late_facts_before_a_hundred_thousand_others(nats_server: NatsServer) -> None:
    async with service(nats_server) as inventory_service:
        send = inventory_service.send
        await send("RegisterItem", item="rice", name="Long-grain rice", unit="each", net_weight=500)
        await send("OpenLocation", location="store", name="Store", kind="store")
        movements = await seed(nats_server, inventory_service.store)
        assert sum(map(len, movements.values())) == MOVEMENTS
        stock = await inventory_service.stock()
        assert stock.revision == MOVEMENTS
        assert_balances(stock, movements)

        commands = [(name, body(at, lot, quantity, **DETAILS[name])) for name, at, lot, quantity in late_facts()]
        began = time.process_time()  # the work itself: whoever else is busy on the machine is not counted
        revisions: list[int] = []
        for start in range(0, LATE, 500):
            revisions += await asyncio.gather(*(send(name, **fields) for name, fields in commands[start : start + 500]))
        each = (time.process_time() - began) / LATE
        assert each < 0.001, f"a late movement cost {each * 1000:.2f} ms"

        for (name, at, lot, quantity), revision in zip(late_facts(), revisions, strict=True):
            change = quantity if name == "ReceiveStock" else -quantity
            movements[lot].append((microseconds(at), revision, change))
        stock = await inventory_service.stock()
        assert stock.revision == MOVEMENTS + LATE
        assert_balances(stock, movements)
        assert check(stock) == []

        await assert_authority_is_checked_against_what_came_late(inventory_service)


def assert_balances(stock: Stock, movements: Movements) -> None:
    """Every lot's figure now, at moments long ago and at its lowest since are those of adding everything up."""
    assert stock.on_hand == sum(change for changes in movements.values() for _, _, change in changes)
    for lot, changes in movements.items():
        ordered = sorted(changes)
        moments = [moment for moment, _, _ in ordered]
        balances = list(accumulate(change for _, _, change in ordered))
        lowest = list(accumulate(reversed(balances), min))[::-1]
        timeline = stock.rows[lot].timeline
        assert timeline.balance == balances[-1]
        for moment in moments[:: max(1, len(moments) // 50)]:
            at = bisect_right(moments, moment) - 1
            assert timeline.balance_at(moment) == balances[at]
            assert timeline.minimum_from(moment) == lowest[at]


async def assert_authority_is_checked_against_what_came_late(inventory_service: Service) -> None:
    send = inventory_service.send
    reserve = {
        "item": "rice", "location": "store", "lot": "LOW", "purpose": "household",
        "occurred_at": (FIRST_DAY + timedelta(hours=1)).isoformat(),
    }  # fmt: skip

    # Lot LOW has 210 by now, but only 10 from the second day on: whoever dates back cannot have more than those.
    with pytest.raises(Rejected) as refused:
        await send("ReserveStock", reservation="first", quantity=50, **reserve)
    assert refused.value.code == InventoryError.INSUFFICIENT_STOCK
    assert refused.value.facts["available"] == 10
    assert refused.value.facts["moment"] == LOW_FROM.isoformat()
    assert LOW_FROM.isoformat() in refused.value.detail and "10 can be set aside" in refused.value.detail

    with pytest.raises(Rejected) as refused:
        await send("ReverseMovement", item="rice", location="store", movement=1, reason="typed twice")
    assert refused.value.code == InventoryError.BREAKS_LATER_MOMENT
    assert (refused.value.facts["moment"], refused.value.facts["balance"]) == (LOW_FROM.isoformat(), 10)
    assert refused.value.facts["movements"] == [2]

    # A receipt that comes late raises that figure, a late issue lowers it, and both are asked about.
    before = FIRST_DAY - timedelta(days=9)
    receipt = await send("ReceiveStock", **body(before, "LOW", 60, source="donation"))
    await send("IssueStock", **body(FIRST_DAY + timedelta(hours=2), "LOW", 15, purpose="household"))
    with pytest.raises(Rejected) as refused:
        await send("ReserveStock", reservation="second", quantity=56, **reserve)
    assert refused.value.facts["available"] == 55
    await send("ReserveStock", reservation="third", quantity=50, **reserve)
    with pytest.raises(Rejected) as refused:
        await send("ReverseMovement", item="rice", location="store", movement=receipt, reason="typed twice")
    assert refused.value.code == InventoryError.BREAKS_LATER_MOMENT
    assert (refused.value.facts["moment"], refused.value.facts["balance"]) == (LOW_FROM.isoformat(), 55)
    assert (await inventory_service.stock()).rows["LOW"].reserved == 50
