"""Many writers on one aggregate: each acknowledged decision is there once, in order, taken on the newest state."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from services.local.nats import NatsServer
from shared.command import Answer
from shared.decider import Ref
from shared.errors import Rejected
from tests.support.kiosk import ChangeJar, CloseJar, KioskError, LimitCounter, TakeTicket
from tests.support.ledger import Ledger, event_of, ledger, read


async def writers(stack: AsyncExitStack, server: NatsServer, count: int, **options: int) -> list[Ledger]:
    return [await stack.enter_async_context(ledger(server, **options)) for _ in range(count)]


async def test_fifty_writers_race_on_one_counter(nats_server: NatsServer) -> None:
    """Numbered tickets: a lost or doubled decision, or one on an old state, would leave a gap or a number twice."""
    async with AsyncExitStack() as stack:
        racers = await writers(stack, nats_server, 50)
        await racers[0].send(LimitCounter(counter="door", limit=75), "limit")
        answers = await asyncio.gather(
            *(
                racer.send(TakeTicket(counter="door", holder=f"h-{w}-{n}"), f"take-{w}-{n}")
                for w, racer in enumerate(racers)
                for n in range(2)
            ),
            return_exceptions=True,
        )
        conflicts = sum(racer.handler.conflicts for racer in racers)
    given = [answer for answer in answers if isinstance(answer, Answer)]
    refused = [answer for answer in answers if isinstance(answer, Rejected)]
    assert len(given) == 75 and len(refused) == 25
    assert {refusal.code for refusal in refused} == {KioskError.SOLD_OUT}
    assert conflicts > 0, "nobody raced: the test shows nothing"

    stored = await read(nats_server, Ref("counter", "door"))
    assert [event.data.number for event in stored[1:]] == list(range(1, 76))
    assert {event.sequence: event.raw for event in stored[1:]} == {a.sequence: a.event for a in given}


async def test_losers_of_a_batch_decide_again_on_the_new_state(nats_server: NatsServer) -> None:
    """Two writers empty one jar in full batches: what both took together is what was there, and not one more."""
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        await one.send(ChangeJar(jar="pot", by=300), "fill")
        await other.handler.state(Ref("jar", "pot"))  # both have it in memory
        answers = await asyncio.gather(
            *(w.start(ChangeJar(jar="pot", by=-1), f"{n}-{id(w)}") for n in range(200) for w in (one, other)),
            return_exceptions=True,
        )
        assert one.handler.conflicts + other.handler.conflicts > 0
    taken = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(taken) == 300
    assert sorted(event_of(answer).left for answer in taken) == list(range(300))
    stored = await read(nats_server, Ref("jar", "pot"))
    assert [event.data.left for event in stored] == list(range(300, -1, -1))


async def test_a_conflict_ends_with_a_refusal_or_a_no_op_where_the_new_state_asks_for_it(
    nats_server: NatsServer,
) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        await other.send(ChangeJar(jar="pot", by=1), "fill more")  # both have it in memory
        await other.send(CloseJar(jar="pot"), "close")
        late, closed = await asyncio.gather(
            one.start(ChangeJar(jar="pot", by=-2), "late"), one.start(CloseJar(jar="pot"), "close again"),
            return_exceptions=True,
        )  # fmt: skip
        assert isinstance(late, Rejected) and late.code is KioskError.CLOSED
        assert isinstance(closed, Answer) and closed.status == "unchanged" and closed.sequence == 3
        assert one.handler.conflicts > 0
    assert len(await read(nats_server)) == 3
