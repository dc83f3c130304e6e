"""The connection is cut between write and reply: the decision is stored once, and the answer is the right one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

import shared.writer
from services.local.nats import NatsServer
from shared.command import Answer
from shared.errors import Halted, OutcomeUnknown, Rejected
from tests.support.kiosk import ChangeJar, TakeTicket
from tests.support.ledger import Ledger, event_of, last_sequence, ledger, read, until
from tests.support.proxy import Proxy

PUBLISH = b"Nats-Expected-Last-Subject-Sequence"
COMMIT = b"Nats-Batch-Commit"


async def warm(one: Ledger) -> None:
    """Both connections stand, and the aggregate is in memory."""
    await one.send(TakeTicket(counter="door", holder="first"), "first")


@pytest.mark.parametrize("marker", [PUBLISH, COMMIT], ids=["publish", "batch"])
@pytest.mark.parametrize("forward", [True, False], ids=["after the write", "before the write"])
async def test_cut_between_write_and_reply(nats_server: NatsServer, marker: bytes, forward: bool) -> None:
    count = 1 if marker == PUBLISH else 100
    async with Proxy(nats_server.port) as proxy, ledger(nats_server, url=proxy.url, lanes=1, batch_from=50) as one:
        await warm(one)
        proxy.watch(marker, forward=forward)
        futures = [one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(count)]
        await asyncio.wait_for(proxy.seen.wait(), 10)
        if forward:
            await until(lambda: stored(nats_server, 1 + count))
            assert not any(future.done() for future in futures), "an answer came through: the test shows nothing"
            proxy.cut()
        answers = await asyncio.wait_for(asyncio.gather(*futures), 20)
        assert [event_of(answer).number for answer in answers] == list(range(2, count + 2))
        assert [event_of(answer).holder for answer in answers] == [f"h-{n}" for n in range(count)]
        following = await one.send(TakeTicket(counter="door", holder="last"), "last")
        assert event_of(following).number == count + 2
    events = await read(nats_server)
    assert len(events) == count + 2
    assert [answer.event for answer in answers] == [event.raw for event in events[1:-1]]


async def stored(server: NatsServer, sequence: int) -> bool:
    return await last_sequence(server) >= sequence


@pytest.mark.parametrize("batch_from", [50, 1], ids=["publish", "batch"])
async def test_a_halt_after_a_write_that_was_not_answered_leaves_its_outcome_open(
    nats_server: NatsServer, batch_from: int
) -> None:
    """It is stored, and nobody knows; what waited behind it was never sent."""
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, url=proxy.url, lanes=1, batch_from=batch_from) as one,
    ):
        await warm(one)
        await one.send(ChangeJar(jar="pot", by=1), "warm")
        proxy.watch(COMMIT if batch_from == 1 else PUBLISH)
        sent = one.start(TakeTicket(counter="door", holder="h"), "sent")
        await asyncio.wait_for(proxy.seen.wait(), 10)
        await until(lambda: stored(nats_server, 3))
        behind = one.start(ChangeJar(jar="pot", by=1), "behind")
        await until(lambda: one.committer.waiting)
        one.committer.suspend(Halted("Writing was halted by auditor."))
        proxy.cut()
        with pytest.raises(OutcomeUnknown, match=r"halted by auditor.*recorded before is not known.*the same id"):
            await asyncio.wait_for(sent, 20)
        with pytest.raises(Halted):
            await asyncio.wait_for(behind, 20)
        one.committer.resume()
        await until(lambda: one.nc.is_connected)
        assert (await one.send(TakeTicket(counter="door", holder="h"), "sent")).sequence == 3
    assert len(await read(nats_server)) == 3


async def test_many_aggregates_in_a_batch_whose_reply_is_lost(nats_server: NatsServer) -> None:
    async with Proxy(nats_server.port) as proxy, ledger(nats_server, url=proxy.url, lanes=1) as one:
        await warm(one)
        # All of them are in memory, so the three hundred decisions below are one write.
        await asyncio.gather(*(one.send(ChangeJar(jar=f"pot-{n}", by=1), f"warm-{n}") for n in range(60)))
        proxy.watch(COMMIT)
        futures = [one.start(ChangeJar(jar=f"pot-{n % 60}", by=n + 1), f"c-{n}") for n in range(300)]
        await asyncio.wait_for(proxy.seen.wait(), 10)
        await until(lambda: stored(nats_server, 361))
        proxy.cut()
        answers = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert [event_of(answer).by for answer in answers] == list(range(1, 301))
    events = {event.sequence: event.raw for event in await read(nats_server)}
    assert len(events) == 361
    assert all(events[answer.sequence] == answer.event for answer in answers)


async def test_the_reply_is_lost_and_another_writer_writes_behind(nats_server: NatsServer) -> None:
    """The event is found though it is no longer the aggregate's last."""
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, url=proxy.url) as one,
        ledger(nats_server) as other,
    ):
        await warm(one)
        proxy.watch(PUBLISH)
        future = one.start(TakeTicket(counter="door", holder="ada"), "ada")
        await asyncio.wait_for(proxy.seen.wait(), 10)
        await until(lambda: stored(nats_server, 2))
        behind = await other.send(TakeTicket(counter="door", holder="kim"), "kim")
        proxy.cut()
        answer = await asyncio.wait_for(future, 20)
    assert (event_of(answer).number, event_of(behind).number) == (2, 3)
    assert len(await read(nats_server)) == 3


async def test_the_request_is_lost_and_another_writer_takes_its_place(nats_server: NatsServer) -> None:
    """It was never stored: it is decided again behind the other's, or refused there."""
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, url=proxy.url) as one,
        ledger(nats_server) as other,
    ):
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        await one.send(ChangeJar(jar="urn", by=1), "fill")
        proxy.shut()
        last_one = one.start(ChangeJar(jar="pot", by=-1), "mine")
        another = one.start(ChangeJar(jar="urn", by=-1), "mine")
        await other.send(ChangeJar(jar="pot", by=-1), "theirs")
        await other.send(ChangeJar(jar="urn", by=4), "theirs")
        proxy.open()
        with pytest.raises(Rejected, match="holds 0"):
            await asyncio.wait_for(last_one, 20)
        assert event_of(await asyncio.wait_for(another, 20)).left == 4
    assert len(await read(nats_server)) == 5


@pytest.mark.parametrize("marker", [PUBLISH, COMMIT], ids=["publish", "batch"])
async def test_the_reply_comes_too_late(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, marker: bytes
) -> None:
    """The connection stands and says nothing; when it speaks at last, nobody listens to it any more."""
    monkeypatch.setattr(shared.writer, "_TIMEOUT", 0.5)
    count = 1 if marker == PUBLISH else 100
    async with Proxy(nats_server.port) as proxy, ledger(nats_server, url=proxy.url, lanes=1, batch_from=50) as one:
        await warm(one)
        proxy.watch(marker)
        futures = [one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(count)]
        await asyncio.wait_for(proxy.seen.wait(), 10)
        answers = await asyncio.wait_for(asyncio.gather(*futures), 20)
        proxy.release()
        following = await one.send(TakeTicket(counter="door", holder="last"), "last")
        assert event_of(following).number == count + 2
    events = await read(nats_server)
    assert [answer.event for answer in answers] == [event.raw for event in events[1:-1]]


async def test_cut_again_and_again_under_load(nats_server: NatsServer) -> None:
    """Wherever the cuts fall: each command once, in order, each answer the stored event."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(nats_server.port))
        one = await stack.enter_async_context(ledger(nats_server, url=proxy.url))
        answers: list[Answer] = []

        async def client(name: int) -> None:
            for n in range(40):
                answer = await one.send(TakeTicket(counter=f"c-{name % 7}", holder=f"h-{name}"), f"{name}-{n}")
                answers.append(answer)

        clients = [asyncio.create_task(client(name)) for name in range(40)]
        for number in range(4):
            marker = (PUBLISH, COMMIT)[number % 2]
            proxy.watch(marker, forward=number % 3 != 0)
            seen = asyncio.create_task(proxy.seen.wait())
            await asyncio.wait([seen, asyncio.gather(*clients)], return_when=asyncio.FIRST_COMPLETED, timeout=20)
            proxy.cut()
        await asyncio.wait_for(asyncio.gather(*clients), 60)
    events = await read(nats_server)
    assert len(events) == len(answers) == 1600
    by_sequence = {event.sequence: event.raw for event in events}
    assert all(by_sequence[answer.sequence] == answer.event for answer in answers)
    for counter in range(7):
        numbers = [event.data.number for event in events if event.data.counter == f"c-{counter}"]
        assert numbers == list(range(1, len(numbers) + 1))
