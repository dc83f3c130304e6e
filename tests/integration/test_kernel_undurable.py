"""No answer stands on a decision that is not durable: no refusal, no no-op, no event, nothing that another read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.local.nats import NatsServer
from shared.command import Answer
from shared.decider import Ref
from shared.errors import OutcomeUnknown, Rejected
from tests.support.kiosk import ChangeJar, CloseJar, KioskError, LimitCounter, Order, TakeTicket
from tests.support.ledger import Ledger, event_of, ledger, read, until
from tests.support.proxy import Proxy

PUBLISH = b"Nats-Expected-Last-Subject-Sequence"


def gated(one: Ledger, *ids: str) -> tuple[dict[str, asyncio.Event], dict[str, asyncio.Event]]:
    """Hold back the loading of some aggregates: events that tell of the attempt, and events that let it go on."""
    begun = {id: asyncio.Event() for id in ids}
    let_go = {id: asyncio.Event() for id in ids}
    page = one.store.page

    async def slow(ref: Ref, **options: Any) -> Any:
        if ref.id in begun:
            begun[ref.id].set()
            await let_go[ref.id].wait()
        return await page(ref, **options)

    one.store.page = slow  # type: ignore[method-assign]
    return begun, let_go


def intercepted(one: Ledger, name: str, then: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]) -> None:
    """Put something around one method of a writer's store."""
    method = getattr(one.store, name)

    async def around(*args: Any, **options: Any) -> Any:
        return await then(lambda: method(*args, **options))

    setattr(one.store, name, around)


@pytest.mark.parametrize("batch_from", [1, 1000], ids=["batch", "publish"])
async def test_answers_behind_a_pending_decision_wait_for_it(nats_server: NatsServer, batch_from: int) -> None:
    """The last one is taken, the next caller is refused for it, the taking is lost: neither may have been answered."""
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, url=proxy.url, batch_from=batch_from) as one,
        ledger(nats_server) as other,
    ):
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        await one.send(LimitCounter(counter="door", limit=1), "limit")
        proxy.shut()
        taken = one.start(ChangeJar(jar="pot", by=-1), "take")
        refused = one.start(ChangeJar(jar="pot", by=-1), "take too")
        limited = one.start(LimitCounter(counter="door", limit=2), "two")
        no_op = one.start(LimitCounter(counter="door", limit=2), "two again")
        second = one.start(TakeTicket(counter="door", holder="ada"), "ada")
        sold_out = [one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"h-{n}") for n in range(2)]
        everything = [taken, refused, limited, no_op, second, *sold_out]
        await until(lambda: one.committer.writes)
        await other.send(ChangeJar(jar="pot", by=4), "more")
        await other.send(LimitCounter(counter="door", limit=9), "nine")
        assert not any(future.done() for future in everything)
        proxy.open()
        answers = await asyncio.wait_for(asyncio.gather(*everything, return_exceptions=True), 20)
        assert [type(answer) for answer in answers] == [Answer] * 5 + [Answer, Rejected]
        assert [event_of(answer).left for answer in answers[:2]] == [4, 3]
        assert [answer.status for answer in answers[2:4]] == ["accepted", "unchanged"]
        assert answers[3].sequence >= answers[2].sequence
    await read(nats_server)


async def test_nothing_is_answered_from_memory_while_the_server_is_away(nats_server: NatsServer) -> None:
    """A refusal of a state that cannot be confirmed is no refusal, and says so."""
    async with ledger(nats_server) as one:
        await one.send(CloseJar(jar="pot"), "close")
        await nats_server.kill()
        refused, no_op = await asyncio.gather(
            one.start(ChangeJar(jar="pot", by=1), "in"), one.start(CloseJar(jar="pot"), "again"), return_exceptions=True
        )
        assert isinstance(refused, OutcomeUnknown) and isinstance(no_op, OutcomeUnknown)
        await nats_server.start()
        await until(lambda: one.nc.is_connected)
        with pytest.raises(Rejected, match="closed"):
            await one.send(ChangeJar(jar="pot", by=1), "in")


async def test_a_refusal_is_taken_back_when_somebody_else_wrote(nats_server: NatsServer) -> None:
    """The writer's memory is old, and it has no reason of its own to look: the stream is asked all the same."""
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        await other.send(ChangeJar(jar="pot", by=9), "more")
        assert event_of(await one.send(ChangeJar(jar="pot", by=-10), "all")).left == 0
        await one.send(LimitCounter(counter="door", limit=1), "one")
        await other.send(LimitCounter(counter="door", limit=2), "two")
        assert (await one.send(LimitCounter(counter="door", limit=1), "one again")).status == "accepted"


async def test_a_refusal_that_arrived_during_the_look_is_looked_at_again(nats_server: NatsServer) -> None:
    """What the stream ended with before a command came says nothing of what was written before the command came."""
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        late: list[asyncio.Future[Answer]] = []
        looks = 0

        async def meanwhile(look: Callable[[], Awaitable[Any]]) -> Any:
            nonlocal looks
            looks += 1
            found = await look()
            if looks == 1:  # the stream was looked at; then another writes, is answered, and its caller comes here
                await other.send(ChangeJar(jar="pot", by=9), "more")
                late.append(one.start(ChangeJar(jar="pot", by=-10), "all"))
            return found

        intercepted(one, "head", meanwhile)
        early = one.start(ChangeJar(jar="pot", by=-5), "five")
        with pytest.raises(Rejected):
            await early
        assert event_of(await late[0]).left == 0


async def test_a_refusal_behind_an_append_is_confirmed_after_it_came(nats_server: NatsServer) -> None:
    """The append is stored and its reply on the way; another writes, is answered, and its caller comes here."""
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, url=proxy.url) as one,
        ledger(nats_server) as other,
    ):
        await one.send(ChangeJar(jar="pot", by=3), "fill")
        proxy.watch(PUBLISH)
        first = one.start(ChangeJar(jar="pot", by=-1), "one")
        await asyncio.wait_for(proxy.seen.wait(), 10)
        more = await until(lambda: written(other))
        assert event_of(more).left == 2 + 9
        late = one.start(ChangeJar(jar="pot", by=-10), "ten")
        proxy.release()
        assert event_of(await asyncio.wait_for(first, 20)).left == 2
        assert event_of(await asyncio.wait_for(late, 20)).left == 1


async def written(other: Ledger) -> Answer | None:
    if (await other.handler.state(Ref("jar", "pot")))[1] < 2:
        return None
    return await other.send(ChangeJar(jar="pot", by=9), "more")


async def test_a_look_that_was_overtaken_is_no_loss(nats_server: NatsServer) -> None:
    """An old look at the stream comes back after the aggregate was loaded anew: the ledger must not halt for it."""
    async with ledger(nats_server, batch_from=1000) as one, ledger(nats_server) as other:
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        hold, held = asyncio.Event(), asyncio.Event()
        looks = appends = 0

        async def slow_once(look: Callable[[], Awaitable[Any]]) -> Any:
            nonlocal looks
            looks += 1
            found = await look()
            if looks == 1:
                held.set()
                await hold.wait()
            return found

        append = one.committer.writer.append

        async def overtaken(frame: Any) -> Any:
            nonlocal appends
            appends += 1
            if appends == 2:  # decided again on the newer state, and not yet stored: now the first look comes back
                hold.set()
                for _ in range(10):
                    await asyncio.sleep(0)
            return await append(frame)

        intercepted(one, "head", slow_once)
        one.committer.writer.append = overtaken  # type: ignore[method-assign]
        refused = one.start(ChangeJar(jar="pot", by=-100), "hundred")
        await held.wait()
        await other.send(ChangeJar(jar="pot", by=1), "more")
        accepted = one.start(ChangeJar(jar="pot", by=5), "five")  # meets the other's event, and all are decided again
        assert event_of(await accepted).left == 7
        with pytest.raises(Rejected) as refusal:
            await refused
        assert refusal.value.facts["left"] == 2
        assert one.committer.halted is None
        assert event_of(await one.send(ChangeJar(jar="pot", by=1), "on")).left == 8


async def test_a_decision_that_reads_sees_only_what_is_durable(nats_server: NatsServer) -> None:
    """The jar is emptied, but not durably: an order neither sees it empty nor is answered before that is settled."""
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, url=proxy.url) as one,
        ledger(nats_server) as other,
    ):
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        await one.send(Order(order="o", jar="pot"), "first")
        proxy.shut()
        emptied = one.start(ChangeJar(jar="pot", by=-1), "empty")
        order = one.start(Order(order="o", jar="pot"), "second")
        await until(lambda: one.committer.writes)
        await other.send(CloseJar(jar="pot"), "close")
        assert not order.done()
        proxy.open()
        with pytest.raises(Rejected) as refusal:
            await asyncio.wait_for(emptied, 20)
        assert refusal.value.code is KioskError.CLOSED
        assert event_of(await asyncio.wait_for(order, 20)).seen == 1


async def test_all_that_a_decision_reads_is_durable_at_one_moment(nats_server: NatsServer) -> None:
    """While the second jar is fetched, the first one, found durable before, decides something of its own."""
    async with Proxy(nats_server.port) as proxy, ledger(nats_server, url=proxy.url) as one:
        await one.send(ChangeJar(jar="a", by=1), "fill")
        await one.send(Order(order="o", jar="a"), "first")
        begun, let_go = gated(one, "beside", "c")
        emptying = one.start(ChangeJar(jar="a", by=-1, beside="beside"), "empty")
        await begun["beside"].wait()
        order = one.start(Order(order="o", jar="a", other="c"), "second")
        await begun["c"].wait()
        proxy.watch(PUBLISH, forward=True)
        let_go["beside"].set()
        await asyncio.wait_for(proxy.seen.wait(), 10)  # decided, sent, and not known to be stored
        let_go["c"].set()
        answered, _ = await asyncio.wait([order, emptying], timeout=0.3)
        assert not answered
        proxy.release()
        assert event_of(await asyncio.wait_for(emptying, 20)).left == 0
        with pytest.raises(Rejected, match="empty"):
            await asyncio.wait_for(order, 20)


async def test_two_that_read_each_other_do_not_wait_for_ever(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        answers = await asyncio.wait_for(
            asyncio.gather(
                *(
                    one.send(ChangeJar(jar=jar, by=1, beside=beside), f"{jar}-{beside}-{n}")
                    for n in range(50)
                    for jar, beside in (("a", "b"), ("b", "a"), ("c", "a"), ("b", "c"))
                )
            ),
            30,
        )
    assert len(answers) == 200


async def test_a_reader_of_a_busy_aggregate_gets_its_turn(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        ordered = asyncio.Event()

        async def keep_busy(name: int) -> None:
            number = 0
            while not ordered.is_set():
                number += 1
                await one.send(ChangeJar(jar="pot", by=1), f"{name}-{number}")

        busy = [asyncio.create_task(keep_busy(name)) for name in range(64)]
        await asyncio.sleep(0.05)
        answer = await asyncio.wait_for(one.send(Order(order="o", jar="pot"), "order"), 10)
        ordered.set()
        await asyncio.gather(*busy)
        assert event_of(answer).seen >= 1
