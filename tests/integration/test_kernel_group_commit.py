"""Group commit: a conflict fails alone, a batch is whole or absent, and order holds whatever the server answers."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from services.local.nats import NatsServer
from shared.decider import Ref
from shared.errors import LedgerError
from tests.support.kiosk import ChangeJar, TakeTicket
from tests.support.ledger import event_of, last_sequence, ledger, read


async def test_one_conflict_in_a_full_batch_fails_alone(nats_server: NatsServer) -> None:
    """The others are stored in the next write, side by side; the loser is decided again behind the winner."""
    async with ledger(nats_server, lanes=1) as one, ledger(nats_server) as other:
        jars = [f"jar-{n}" for n in range(1000)]
        await asyncio.gather(*(one.handler.state(Ref("jar", jar)) for jar in jars))  # all are in memory
        await other.send(ChangeJar(jar="jar-500", by=7), "theirs")
        batches: list[int] = []
        append_batch = one.committer.writer.append_batch

        async def counted(frames: list[Any]) -> dict[str, Any]:
            batches.append(len(frames))
            return await append_batch(frames)

        one.committer.writer.append_batch = counted  # type: ignore[method-assign]
        answers = await asyncio.gather(*(one.start(ChangeJar(jar=jar, by=1), "mine") for jar in jars))
        assert batches == [1000, 999]
        assert one.handler.conflicts == 1
    assert event_of(answers[500]).left == 8
    others = [answer.sequence for n, answer in enumerate(answers) if n != 500]
    assert others == list(range(2, 1001))
    assert answers[500].sequence == 1001
    assert len(await read(nats_server)) == 1001


async def test_those_behind_the_loser_fail_with_it_and_keep_their_order(nats_server: NatsServer) -> None:
    async with ledger(nats_server, lanes=1) as one, ledger(nats_server) as other:
        await one.send(TakeTicket(counter="door", holder="first"), "first")
        await other.send(TakeTicket(counter="door", holder="other"), "other")
        takes = [
            one.start(TakeTicket(counter="door" if n % 2 else f"c-{n}", holder=f"h-{n}"), f"t-{n}") for n in range(200)
        ]
        answers = await asyncio.gather(*takes)
        assert one.handler.conflicts == 1
    assert [event_of(answer).number for answer in answers[1::2]] == list(range(3, 103))
    assert await read(nats_server, Ref("counter", "door"))


async def test_a_false_alarm_leaves_the_order(nats_server: NatsServer) -> None:
    """The server sees a conflict that is past when it is looked at: what stands behind must not overtake."""
    async with ledger(nats_server, batch_from=1000) as one:
        await one.send(TakeTicket(counter="door", holder="first"), "first")
        append, alarms = one.committer.writer.append, 0

        async def alarmed(frame: Any) -> dict[str, Any]:
            nonlocal alarms
            alarms += 1
            return {"error": {"code": 400, "err_code": 10071}} if alarms == 1 else await append(frame)

        one.committer.writer.append = alarmed  # type: ignore[method-assign]
        answers = await asyncio.gather(
            *(one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(5))
        )
    assert [event_of(answer).holder for answer in answers] == [f"h-{n}" for n in range(5)]
    events = {event.sequence: event.raw for event in await read(nats_server)}
    assert [events[answer.sequence] for answer in answers] == [answer.event for answer in answers]


async def test_full_storage_is_answered_and_what_waits_goes_on_afterwards(nats_server: NatsServer) -> None:
    """The decision that met the full disk is taken back, with all that stood on it; nothing of it is remembered."""
    async with ledger(nats_server, lanes=1) as one:
        await one.send(TakeTicket(counter="door", holder="first"), "first")
        append_batch = one.committer.writer.append_batch

        async def full(frames: list[Any]) -> dict[str, Any]:
            return {"error": {"code": 500, "err_code": 10023, "description": "insufficient resources"}}

        one.committer.writer.append_batch = full  # type: ignore[method-assign]
        takes = [one.start(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(30)]
        refused = await asyncio.gather(*takes, return_exceptions=True)
        assert {getattr(error, "code", error) for error in refused} == {"BUSY"}
        one.committer.writer.append_batch = append_batch  # type: ignore[method-assign]
        answers = [await one.send(TakeTicket(counter="door", holder=f"h-{n}"), f"t-{n}") for n in range(3)]
    assert [event_of(answer).number for answer in answers] == [2, 3, 4]
    assert len(await read(nats_server)) == 4


async def test_a_batch_is_whole_or_absent_after_a_kill(nats_server: NatsServer) -> None:
    """Killed at random moments of a write: it is all there or not at all, and once the server is back all is, once."""
    chance = random.Random(20261122)
    jars = [f"jar-{n}" for n in range(1000)]
    absent = 0
    async with ledger(nats_server, lanes=1) as one:
        await asyncio.gather(*(one.handler.state(Ref("jar", jar)) for jar in jars))  # so that all go in one batch
        writer = one.committer.writer
        append_batch = writer.append_batch
        looked_at = asyncio.Event()

        async def patient(frames: list[Any]) -> dict[str, Any]:
            """What a lost batch left behind is looked at before it is sent again."""
            try:
                return await append_batch(frames)
            except LedgerError:
                await looked_at.wait()
                raise

        writer.append_batch = patient  # type: ignore[method-assign]
        for number in range(8):
            looked_at.clear()
            takes = [one.start(ChangeJar(jar=jar, by=1), f"round-{number}") for jar in jars]
            await asyncio.sleep(chance.uniform(0.0, 0.08))
            await nats_server.kill()
            await nats_server.start()
            stored = await last_sequence(nats_server) - number * 1000
            assert stored in (0, 1000), "half a batch"
            assert stored == 1000 or not any(take.done() for take in takes)
            absent += stored == 0
            looked_at.set()
            answers = await asyncio.wait_for(asyncio.gather(*takes), 30)
            assert {event_of(answer).left for answer in answers} == {number + 1}
            assert await last_sequence(nats_server) == (number + 1) * 1000
    assert absent, "no batch was lost: the test shows nothing"
    assert len(await read(nats_server)) == 8000
