"""What a decision reads of other aggregates is the newest: whoever wrote it, whenever it was heard of, if at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import nats.errors
import pytest

from services.local.nats import NatsServer
from shared.decider import Ref
from shared.errors import OutcomeUnknown
from tests.support.elapsed import Elapsed
from tests.support.kiosk import ChangeJar, Order
from tests.support.ledger import Ledger, event_of, ledger, until

POT, SHELF = Ref("jar", "pot"), Ref("jar", "shelf")
LONG = 5.0
"""Seconds, longer than a hint is in advance of its event."""


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    return Elapsed(monkeypatch)


class Watched:
    """A writer's store, of which is known what it is asked, and which can be behind or slow to answer."""

    def __init__(self, one: Ledger) -> None:
        self.heads: Counter[Ref] = Counter()
        self.last: int | None = None
        """It has no event after this sequence yet: as between a hint and its event."""
        self.pages_behind = 0
        """So many pages more are of a server that has nothing."""
        self.held: dict[str, tuple[asyncio.Event, asyncio.Event]] = {}
        self._page, self._head = one.store.page, one.store.head
        one.store.page, one.store.head = self.page, self.head  # type: ignore[method-assign]

    def hold(self, call: str) -> tuple[asyncio.Event, asyncio.Event]:
        """Hold the next answer to a call back: what tells that it is there, and what lets it go on."""
        self.held[call] = asyncio.Event(), asyncio.Event()
        return self.held[call]

    async def page(self, ref: Ref, **options: Any) -> Any:
        events, left = await self._page(ref, **options)
        await self._hold("page", ref)
        if self.pages_behind and ref == POT:
            self.pages_behind -= 1
            return [], 0
        return [event for event in events if self.last is None or event.sequence <= self.last], left

    async def head(self, ref: Ref) -> int:
        self.heads[ref] += 1
        newest = await self._head(ref)
        if self.last is not None and newest > self.last:
            newest = max(
                (event.sequence for event in (await self._page(ref))[0] if event.sequence <= self.last), default=0
            )
        await self._hold("head", ref)
        return newest

    async def _hold(self, call: str, ref: Ref) -> None:
        if ref == POT and call in self.held:
            answered, go_on = self.held.pop(call)
            answered.set()
            await asyncio.wait_for(go_on.wait(), 20)


class Orders:
    """Orders that one writer places: what each saw in its jar."""

    def __init__(self, one: Ledger) -> None:
        self.one, self.placed = one, 0

    def start(self, jar: str = "pot") -> asyncio.Future[Any]:
        self.placed += 1
        return self.one.start(Order(order=f"o-{self.placed}", jar=jar), f"order {self.placed}")

    async def see(self, jar: str = "pot") -> int:
        seen: int = event_of(await self.start(jar)).seen
        return seen


async def more(writer: Ledger, id: str, jar: str = "pot") -> int:
    return (await writer.send(ChangeJar(jar=jar, by=1), id)).sequence


async def test_a_hint_holds_until_the_stream_was_asked_long_enough_after_it(
    nats_server: NatsServer, elapsed: Elapsed
) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        await more(one, "fill")
        assert await orders.see() == 1
        before = await more(one, "mine")
        elapsed.forward(LONG)
        assert await orders.see() == 2
        await more(other, "theirs")
        await one.nc.flush()
        elapsed.forward(LONG)
        assert await orders.see() == 3, "the hint was forgotten before anybody asked"
        last = await more(other, "on its way")
        await one.nc.flush()
        store.last = last - 1
        assert before < last and await orders.see() == 3
        store.last = None
        elapsed.forward(LONG)
        assert await orders.see() == 4, "the stream was asked before it had what the hint told of"


async def test_what_was_loaded_while_nobody_listened_is_asked_about(nats_server: NatsServer, elapsed: Elapsed) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        await more(one, "fill")
        await more(other, "theirs")
        elapsed.forward(LONG)
        assert await orders.see() == 2
        await more(one, "shelf", "shelf")  # loaded in the moment in which one began to listen
        elapsed.forward(LONG)
        assert [await orders.see(), await orders.see("shelf")] == [2, 1]
        store.heads.clear()
        assert [await orders.see(), await orders.see("shelf")] == [2, 1] and not store.heads[POT] + store.heads[SHELF]


async def test_what_was_on_its_way_when_one_began_to_listen_is_asked_for_again(
    nats_server: NatsServer, elapsed: Elapsed
) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        store.last = await more(one, "fill")
        await more(other, "theirs")
        elapsed.forward(LONG)
        assert await orders.see() == 1
        store.last = None
        elapsed.forward(0.5)
        assert await orders.see() == 2


async def test_what_was_on_its_way_when_hints_were_missed_is_asked_for_again(
    nats_server: NatsServer, elapsed: Elapsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is asked at once after a lost connection: it may not have what was sent before that was back."""
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        store.last = await more(one, "fill")
        await orders.see()
        elapsed.forward(LONG)
        await orders.see()
        with monkeypatch.context() as deaf:
            deaf.setattr(one.handler.cache, "_found", {})
            deaf.setattr(one.handler.cache, "_unheard", {}, raising=False)
            await more(other, "theirs")
            await one.nc.flush()
        one.handler.cache.mark_stale()
        elapsed.forward(LONG)
        assert await orders.see() == 1
        elapsed.forward(LONG)
        store.last = None
        assert await orders.see() == 2


async def test_a_hint_that_comes_during_a_fold_outlasts_it(nats_server: NatsServer, elapsed: Elapsed) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        await more(one, "shelf", "shelf")
        await orders.see("shelf")
        await more(other, "fill")
        elapsed.forward(LONG)
        answered, go_on = store.hold("page")
        order = orders.start()
        await until(answered.is_set)
        await more(other, "theirs")
        await one.nc.flush()
        elapsed.forward(LONG)
        go_on.set()
        assert event_of(await order).seen == 2


@pytest.mark.parametrize("after", [0.5, 2.0])
async def test_a_hint_that_comes_while_the_stream_is_asked_is_followed_up(
    nats_server: NatsServer, elapsed: Elapsed, after: float
) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        await more(one, "fill")
        await orders.see()
        elapsed.forward(LONG)
        await orders.see()
        await one.nc.flush()
        one.handler.cache.mark_stale()
        await orders.see()
        elapsed.forward(after)  # a second and more: long enough for what was missed, if nothing came meanwhile
        answered, go_on = store.hold("head")
        order = orders.start()
        await until(lambda: answered.is_set() or order.done())
        await more(other, "theirs")
        await one.nc.flush()
        go_on.set()
        await order
        elapsed.forward(LONG)
        assert await orders.see() == 2


async def test_a_hint_of_what_is_not_in_memory_is_followed_up_when_it_is_loaded(
    nats_server: NatsServer, elapsed: Elapsed
) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        await more(one, "shelf", "shelf")
        await orders.see("shelf")
        store.last = await more(other, "fill")
        elapsed.forward(LONG)
        await more(other, "theirs")
        await one.nc.flush()
        assert await orders.see() == 1
        store.last = None
        elapsed.forward(LONG)
        assert await orders.see() == 2


async def test_of_a_stream_on_several_servers_what_was_loaded_is_confirmed_by_its_leader(
    nats_server: NatsServer, elapsed: Elapsed
) -> None:
    """An aggregate's events are read from any server, and that may be behind for a while."""
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        one.store.replicas = 3
        orders, store = Orders(one), Watched(one)
        await more(one, "shelf", "shelf")
        await orders.see("shelf")
        await more(other, "fill")
        await one.nc.flush()
        elapsed.forward(LONG)
        store.pages_behind = 3
        assert await orders.see() == 1
        assert not store.pages_behind


async def test_what_nobody_else_writes_is_read_in_memory(nats_server: NatsServer, elapsed: Elapsed) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        orders, store = Orders(one), Watched(one)
        for jar in ("pot", "shelf"):
            await more(one, f"fill {jar}", jar)
            await orders.see(jar)
        elapsed.forward(LONG)
        for jar in ("pot", "shelf"):
            await orders.see(jar)
        store.heads.clear()
        await more(one, "mine")  # the copies of its own are no news
        await one.nc.flush()
        assert await orders.see() == 2 and not store.heads[POT]
        await more(one, "new", "bowl")
        assert await orders.see("bowl") == 1 and not store.heads[Ref("jar", "bowl")]  # loaded while it was listened
        await more(other, "theirs", "shelf")
        await one.nc.flush()
        assert await orders.see("shelf") == 2 and store.heads[SHELF]
        elapsed.forward(LONG)
        await orders.see("shelf")
        store.heads.clear()
        assert [await orders.see("shelf"), await orders.see()] == [2, 2] and not store.heads[SHELF] + store.heads[POT]


async def test_who_could_not_begin_to_listen_tries_again(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger(nats_server) as one:
        orders = Orders(one)
        await more(one, "fill")

        async def silent() -> None:
            raise nats.errors.FlushTimeoutError

        with monkeypatch.context() as away:
            away.setattr(one.nc, "flush", silent)
            with pytest.raises(OutcomeUnknown, match="cannot be reached"):
                await orders.see()
        assert await orders.see() == 1
