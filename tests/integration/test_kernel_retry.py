"""A repeated command gets the first answer, byte for byte: at once, after a loss, after a restart, years later."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import shared.remembered
from services.local.nats import NatsServer
from shared.command import Answer
from shared.decider import Ref
from shared.errors import CommandIdReused, Rejected
from tests.support.kiosk import ChangeJar, CloseJar, LimitCounter, TakeTicket, counters
from tests.support.ledger import event_of, ledger, read, until

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST = TakeTicket(counter="door", holder="ada", remark="by the window", occurred_at=NOON)


def same(answers: list[Answer]) -> Answer:
    """That all answers are one: the same bytes at the same place. Exactly one of them is not marked as repeated."""
    first = answers[0]
    assert {(a.stream, a.sequence, a.event, a.status) for a in answers} == {
        (first.stream, first.sequence, first.event, first.status)
    }
    return first


async def test_at_once_in_one_process(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        answers = await asyncio.gather(*(one.send(FIRST, "take") for _ in range(20)))
        assert same(answers).sequence == 1
        assert [a.repeated for a in answers].count(False) == 1
        again = await one.send(FIRST, "take")
        assert again.repeated and same([answers[0], again])
    assert len(await read(nats_server)) == 1


async def test_at_once_in_many_processes(nats_server: NatsServer) -> None:
    async with AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(ledger(nats_server)) for _ in range(10)]
        answers = await asyncio.gather(*(w.send(FIRST, "take") for w in writers for _ in range(3)))
        assert same(answers).sequence == 1
    assert len(await read(nats_server)) == 1


async def test_behind_a_decision_that_loses_and_is_decided_again(nats_server: NatsServer) -> None:
    """The first and its repeat wait together; another writer wins; both are answered with the one new event."""
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        await one.send(TakeTicket(counter="door", holder="eve"), "before")
        await other.send(TakeTicket(counter="door", holder="kim"), "between")
        answers = await asyncio.gather(*(one.send(FIRST, "take") for _ in range(5)))
        assert one.handler.conflicts == 1
    assert event_of(same(answers)).number == 3
    assert len(await read(nats_server)) == 3


async def test_after_the_caller_gave_up_waiting(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        given_up = asyncio.create_task(one.send(FIRST, "take"))
        await asyncio.sleep(0)
        given_up.cancel()
        first = await one.send(FIRST, "take")
        assert first.sequence == 1
        assert same([first, await one.send(FIRST, "take")])
    assert len(await read(nats_server)) == 1


async def test_after_a_restart_of_the_service_and_of_the_server(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        first = await one.send(FIRST, "take")
    async with ledger(nats_server) as two:
        second = await two.send(FIRST, "take")
    await nats_server.kill()
    await nats_server.start()
    async with ledger(nats_server) as three:
        assert same([first, second, await three.send(FIRST, "take")]).sequence == 1
    assert len(await read(nats_server)) == 1


@pytest.mark.parametrize("segment", [64, 100_000], ids=["sealed segments", "one open segment"])
async def test_a_thousand_events_later_through_snapshots(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, segment: int
) -> None:
    monkeypatch.setattr(shared.remembered, "SEGMENT", segment)
    async with ledger(nats_server, snapshot_every=100) as one:
        firsts = [await one.send(TakeTicket(counter="door", holder=f"h-{n}"), f"early-{n}") for n in range(3)]
        rest = await asyncio.gather(
            *(one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"take-{n}") for n in range(1000))
        )
        firsts += [rest[0], rest[500], rest[999]]
        names = ["early-0", "early-1", "early-2", "take-0", "take-500", "take-999"]

        async def repeat(writer: Any) -> list[Answer]:
            return [
                await writer.send(TakeTicket(counter="door", holder=f"h-{name.partition('-')[2]}"), name)
                for name in names
            ]

        assert [(a.sequence, a.event) for a in await repeat(one)] == [(a.sequence, a.event) for a in firsts]
        snapshots = one.snapshots
        assert snapshots is not None
        await until(lambda: snapshots.load(Ref("counter", "door"), counters, one.store))
    async with ledger(nats_server, snapshot_every=100) as two:
        again = await repeat(two)
        assert [(a.sequence, a.event) for a in again] == [(a.sequence, a.event) for a in firsts]
        assert all(a.repeated for a in again)
        following = await two.send(TakeTicket(counter="door", holder="new"), "new")
        assert event_of(following).number == 1004 and not following.repeated
    assert len(await read(nats_server, Ref("counter", "door"))) == 1004


async def test_one_command_id_for_two_aggregates_is_two_commands(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        front = await one.send(TakeTicket(counter="front", holder="ada"), "take")
        back = await one.send(TakeTicket(counter="back", holder="ada"), "take")
        jar = await one.send(ChangeJar(jar="front", by=1), "take")
    assert [front.sequence, back.sequence, jar.sequence] == [1, 2, 3]
    assert len({event.id for event in await read(nats_server)}) == 3


OTHERS = [
    (TakeTicket(counter="door", holder="bob", remark="by the window", occurred_at=NOON), "sam", "holder"),
    (TakeTicket(counter="door", holder="ada", remark="by the door", occurred_at=NOON), "sam", "remark"),
    (
        TakeTicket(counter="door", holder="ada", remark="by the window", occurred_at=NOON.replace(second=1)),
        "sam",
        "occurred_at",
    ),
    (LimitCounter(counter="door", limit=9), "sam", "type"),
    (FIRST, "eve", "authid"),
]


@pytest.mark.parametrize(("command", "actor", "field"), OTHERS, ids=[field for _, _, field in OTHERS])
async def test_other_content_under_the_same_id_is_refused(
    nats_server: NatsServer, command: Any, actor: str, field: str
) -> None:
    """While the first is undurable, when it is remembered, and after it was read from the stream."""
    async with ledger(nats_server) as one:
        await one.send(TakeTicket(counter="door", holder="eve"), "load it")
        first, refused = await asyncio.gather(
            one.start(FIRST, "take"), one.start(command, "take", actor), return_exceptions=True
        )
        assert isinstance(first, Answer)
        assert isinstance(refused, CommandIdReused) and refused.facts["field"] == field
        assert field in refused.detail
        with pytest.raises(CommandIdReused, match=field):
            await one.send(command, "take", actor)
    async with ledger(nats_server) as two:
        with pytest.raises(CommandIdReused, match=field):
            await two.send(command, "take", actor)
        assert (await two.send(FIRST, "take")).event == first.event
    assert len(await read(nats_server)) == 2


async def test_a_field_that_the_repeat_leaves_out_is_other_content(nats_server: NatsServer) -> None:
    without = TakeTicket(counter="door", holder="ada")
    async with ledger(nats_server) as one:
        await one.send(FIRST, "take")
        with pytest.raises(CommandIdReused) as refused:
            await one.send(without, "take")
        assert refused.value.facts["field"] == "remark"
    assert len(await read(nats_server)) == 1


async def test_a_moment_that_the_decision_filled_in_may_be_left_out_again(nats_server: NatsServer) -> None:
    plain = TakeTicket(counter="door", holder="ada")
    async with ledger(nats_server) as one:
        first = await one.send(plain, "take")
    async with ledger(nats_server) as two:
        assert same([first, await two.send(plain, "take")])
        with pytest.raises(CommandIdReused) as refused:
            await two.send(replace(plain, occurred_at=datetime(2020, 1, 1, tzinfo=UTC)), "take")
        assert refused.value.facts["field"] == "occurred_at"


async def test_a_refusal_and_a_no_op_are_not_remembered(nats_server: NatsServer) -> None:
    """Nothing was recorded, so the same id is decided on the state of the day."""
    async with ledger(nats_server) as one:
        with pytest.raises(Rejected, match="holds 0"):
            await one.send(ChangeJar(jar="pot", by=-1), "out")
        await one.send(ChangeJar(jar="pot", by=1), "in")
        assert (await one.send(ChangeJar(jar="pot", by=-1), "out")).status == "accepted"
        await one.send(CloseJar(jar="pot"), "close")
        assert (await one.send(CloseJar(jar="pot"), "close too")).status == "unchanged"
        assert (await one.send(CloseJar(jar="pot"), "close")).status == "accepted"


async def test_a_repeat_that_waits_to_read_while_the_first_is_stored(nats_server: NatsServer) -> None:
    """The first is on its way when its repeat is taken up, and durable before what the repeat reads was asked for."""
    change = ChangeJar(jar="pot", by=1, beside="shelf")
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1, beside="shelf"), "fill")
        one.handler.cache.mark_stale()  # as after a lost connection: what is read is asked about first
        head, looks = one.store.head, 0

        async def slow(ref: Ref) -> int:
            nonlocal looks
            looks += 1
            if looks == 2:  # the repeat's
                await asyncio.wait_for(asyncio.shield(first), 10)
            return await head(ref)

        one.store.head = slow  # type: ignore[method-assign]
        first, second = one.start(change, "change"), one.start(change, "change")
        answers = await asyncio.wait_for(asyncio.gather(first, second), 20)
        assert looks >= 2, "the repeat did not have to wait"
        assert same(answers)
    assert len(await read(nats_server)) == 2
