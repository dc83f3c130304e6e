"""At the edges: memory for next to nothing, deciders that break, and decisions that could not be read again."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from services.local.nats import NatsServer
from shared.command import CommandMeta
from shared.decider import Decider, Ref
from shared.errors import Busy, LedgerError, Rejected
from shared.handler import Handler
from shared.types import MAX_INTEGER
from tests.support.kiosk import ChangeJar, Order, TakeTicket, counters, jars
from tests.support.ledger import Ledger, event_of, ledger, read


def meta(id: str) -> CommandMeta:
    return CommandMeta(id=id, actor="sam")


def handler_with(one: Ledger, decider: Decider[Any]) -> Handler:
    return Handler(one.store, [decider], one.committer)


async def test_memory_for_next_to_nothing(nats_server: NatsServer) -> None:
    """Every aggregate is dropped as soon as nobody waits for it; answers are the same as with memory for all."""
    async with ledger(nats_server, cache_bytes=1) as one:
        for round_ in range(3):
            takes = [one.start(TakeTicket(counter=f"c-{n % 40}", holder=f"h-{n}"), f"{round_}-{n}") for n in range(200)]
            fills = [one.start(ChangeJar(jar=f"j-{n}", by=1, beside=f"j-{n + 1}"), f"{round_}") for n in range(20)]
            buys = [one.start(Order(order=f"o-{n}", jar=f"j-{n}", other=f"j-{n + 1}"), f"{round_}") for n in range(10)]
            answers = await asyncio.wait_for(asyncio.gather(*takes, *fills, *buys, return_exceptions=True), 30)
            broken = [answer for answer in answers[:220] if isinstance(answer, BaseException)]
            assert not broken, broken[:3]
            assert all(not isinstance(a, BaseException) or isinstance(a, Rejected) for a in answers[220:])
        again = await one.send(TakeTicket(counter="c-1", holder="h-1"), "0-1")
        assert again.repeated
        await one.send(ChangeJar(jar="new", by=1), "new")  # whoever needs room makes it
        assert one.handler.cache.nbytes < 10_000
    assert len([e for e in await read(nats_server) if e.category == "counter"]) == 600


async def test_one_aggregate_is_never_in_memory_twice(nats_server: NatsServer) -> None:
    """Two copies of one aggregate would race against each other inside one process."""
    async with ledger(nats_server, cache_bytes=1) as one:
        await asyncio.gather(*(one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(300)))
        assert one.handler.conflicts == 0


async def test_too_much_at_once_is_refused_and_nothing_of_it_is_recorded(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        one.handler.max_waiting = 50
        await one.send(TakeTicket(counter="door", holder="first"), "first")
        takes = [one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(200)]
        answers = await asyncio.gather(*takes, return_exceptions=True)
        busy = [answer for answer in answers if isinstance(answer, Busy)]
        assert len(busy) == 150
    assert len(await read(nats_server)) == 51


async def test_a_decision_that_could_not_be_read_again_is_not_recorded(nats_server: NatsServer) -> None:
    """A sum beyond the integers that every reader reads exactly: stored, it would lock its aggregate for ever."""
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=MAX_INTEGER), "all")
        with pytest.raises(LedgerError):
            await one.send(ChangeJar(jar="pot", by=1), "one more")
        assert event_of(await one.send(ChangeJar(jar="pot", by=-1), "one less")).left == MAX_INTEGER - 1
    async with ledger(nats_server) as two:
        assert (await two.handler.state(Ref("jar", "pot")))[0].left == MAX_INTEGER - 1
    assert len(await read(nats_server)) == 2


async def test_a_decider_that_breaks_is_an_error_of_its_own(nats_server: NatsServer) -> None:
    def decide(command: Any, state: Any, context: Any) -> Any:
        if command.holder == "bad":
            raise ZeroDivisionError
        return counters.decide(command, state, context)

    async with ledger(nats_server) as one:
        handler = handler_with(one, dataclasses.replace(counters, decide=decide))
        good = handler.submit(TakeTicket(counter="door", holder="good"), meta("1"))
        bad = handler.submit(TakeTicket(counter="door", holder="bad"), meta("2"))
        next_ = handler.submit(TakeTicket(counter="door", holder="good"), meta("3"))
        answers = await asyncio.wait_for(asyncio.gather(good, bad, next_, return_exceptions=True), 10)
        assert [event_of(a).number for a in (answers[0], answers[2])] == [1, 2]
        assert isinstance(answers[1], LedgerError) and answers[1].code == "INTERNAL"


async def test_a_fold_that_breaks_half_way_leaves_no_half_state(nats_server: NatsServer) -> None:
    """The decision is not recorded; what came before it and comes behind it is as if it had never been asked for."""

    def evolve(state: Any, event: Any) -> Any:
        state = jars.evolve(state, event)
        if event.by == 13:
            raise ZeroDivisionError
        return state

    async with ledger(nats_server) as one:
        handler = handler_with(one, dataclasses.replace(jars, evolve=evolve))
        commands = [ChangeJar(jar="pot", by=by) for by in (5, 13, 2, 13, 13, 1)]
        futures = [handler.submit(command, meta(f"c-{n}")) for n, command in enumerate(commands)]
        answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)
        assert [isinstance(answer, LedgerError) for answer in answers] == [False, True, False, True, True, False]
        assert [event_of(answers[n]).left for n in (0, 2, 5)] == [5, 7, 8]
        assert (await handler.state(Ref("jar", "pot")))[0].left == 8
    assert [event.data.left for event in await read(nats_server)] == [5, 7, 8]


async def test_a_broken_chain_takes_no_more_commands(nats_server: NatsServer) -> None:
    """Somebody wrote past the ledger: that aggregate says so, and the others go on."""
    async with ledger(nats_server) as one:
        first = await one.send(ChangeJar(jar="pot", by=1), "one")
        assert first.event is not None
        await one.nc.jetstream().publish("ledger.kiosk.jar.pot", first.event)
        with pytest.raises(LedgerError) as corrupt:
            await one.send(ChangeJar(jar="pot", by=1), "two")
        assert corrupt.value.code == "CORRUPT" and "sequence 2 of KIOSK" in corrupt.value.detail
        assert event_of(await one.send(ChangeJar(jar="urn", by=1), "one")).left == 1


async def test_something_that_is_no_event_takes_no_more_commands(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        await one.nc.jetstream().publish("ledger.kiosk.jar.pot", b"hello")
        with pytest.raises(LedgerError) as corrupt:
            await one.send(ChangeJar(jar="pot", by=1), "one")
        assert corrupt.value.code == "CORRUPT" and "1 of KIOSK" in corrupt.value.detail
