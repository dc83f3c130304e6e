"""Poison events: one is set aside, its aggregate waits, the rest flows, and an operator settles it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from services.local.nats import NatsServer
from shared.comparison import compare
from shared.errors import Invalid
from shared.parking import Released, list_parked, retry, skip
from shared.readmodel import read
from shared.runner import rebuild
from shared.status import status
from tests.support.projections import Stage
from tests.support.till import POISON, CoinsMoved, JarBroken, Jars, Takings, envelope

REFUSED = "a\x00b"
"""A text that JSON and Python hold, and PostgreSQL does not."""


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        yield made


@pytest.fixture
async def operator(stage: Stage) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stage.database_url)
    yield connection
    await connection.close()


class MendedJars(Jars):
    """The same version of the read model, its mistake corrected."""

    name = "jars"
    mended = True


def moved(jar: str, coins: int = 1, note: str = "") -> CoinsMoved:
    return CoinsMoved(jar=jar, coins=coins, note=note)


async def jars(stage: Stage) -> dict[str, int]:
    return dict((await read(stage.pool, "jars", "SELECT jar, coins FROM jar")).records)


async def test_it_is_parked_its_aggregate_waits_and_the_rest_flows(stage: Stage, operator: asyncpg.Connection) -> None:
    async with stage.running(Jars()) as runner:
        await stage.wait("jars", "TILL", await stage.publish([moved("a", 1), moved("b", 1)]))
        last = await stage.publish([moved("a", POISON), moved("b", 2), moved("a", 4), moved("a", 8), moved("c", 5)])
        await stage.wait("jars", "TILL", last)
        assert await jars(stage) == {"a": 1, "b": 3, "c": 5}
        assert await stage.pool.fetchval("SELECT coins FROM read.total") == 9
        assert runner.condition.state == "live"
    (parked,) = await list_parked(operator)
    assert (parked.stream, parked.sequence, parked.subject) == ("TILL", 3, "ledger.till.jar.a")
    assert (parked.status, parked.error, parked.waiting) == ("parked", f"ZeroDivisionError: {POISON} coins", 2)
    (known,) = await status(stage.pool)
    assert (known.parked, known.waiting, known.incomplete) == (1, 2, True)
    reading = await read(stage.pool, "jars", "SELECT 1")
    assert reading.incomplete
    assert reading.parked == 3


async def test_a_restart_remembers_who_waits(stage: Stage, operator: asyncpg.Connection) -> None:
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish([moved("a", POISON)]))
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish([moved("a", 1), moved("b", 1)]))
        assert await jars(stage) == {"b": 1}
    assert (await list_parked(operator))[0].waiting == 1


async def test_what_only_postgresql_refuses_is_found_in_a_batch(stage: Stage, operator: asyncpg.Connection) -> None:
    """Two events among a thousand, in one batch: those two are parked, and no others."""
    events: list[Any] = [moved(f"j{n}", 1) for n in range(1000)]
    events[333] = moved("j333", 1, note=REFUSED)
    events[334] = moved("j334", 2**53 - 1)
    events += [moved("j334", 2**53 - 1)] * 1023 + [moved("j334", 2**53 - 1)] * 2  # the sum no longer fits a bigint
    last = await stage.publish(events)
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
        parked = await list_parked(operator)
        assert parked[0].sequence == 334
        assert len(parked) == 2, parked
        assert parked[1].subject == "ledger.till.jar.j334"
        assert len(await jars(stage)) == 999
    async with stage.pool.acquire() as connection:
        comparison = await compare(connection, Jars(), stage.nats_url)
    assert comparison.same, comparison
    assert comparison.parked == len(parked) + sum(p.waiting for p in parked)


async def test_bytes_that_are_no_event_are_parked(stage: Stage, operator: asyncpg.Connection) -> None:
    subject, raw = envelope(moved("a", 1), 1)
    unknown = raw.replace(b"coins-moved.v1", b"coins-moved.v9")
    unfit = raw.replace(b'"coins":1', b'"coins":"one"')
    assert unknown != raw != unfit
    other = "ledger.till.jar"
    events = [(subject, b"{"), (f"{other}.b", unknown), (f"{other}.c", unfit), envelope(moved("d", 1), 4)]
    last = await stage.publish(events)
    async with stage.running(Jars()), stage.running(Takings()):
        await stage.wait("jars", "TILL", last)
        await stage.wait("takings", "TILL", last)
    for projection in ("jars", "takings"):
        parked = await list_parked(operator, projection)
        assert [p.sequence for p in parked] == [1, 2, 3]
        assert "is not an event" in str(parked[0].error)
        assert "No event of type" in str(parked[1].error)
        assert "does not fit its schema" in str(parked[2].error)


@pytest.mark.parametrize("running", [True, False])
async def test_retry_folds_it_and_those_that_waited(stage: Stage, operator: asyncpg.Connection, running: bool) -> None:
    await stage.publish(
        [moved("a", 1), moved("a", POISON), moved("b", 2), moved("a", 4), JarBroken(jar="a"), moved("a", 7)]
    )
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 6)
        if running:  # by an operator, beside the process that folds
            assert await retry(operator, MendedJars(), 2) == Released((2, 4, 5, 6))
            await stage.wait("jars", "TILL", await stage.publish([moved("a", 1), moved("b", 1)]))
            assert await jars(stage) == {"a": 8, "b": 3}
    if not running:
        assert await retry(operator, MendedJars(), 2) == Released((2, 4, 5, 6))
    assert await list_parked(operator) == []
    assert [(p.sequence, p.status) for p in await list_parked(operator, settled=True)] == [
        (n, "retried") for n in (2, 4, 5, 6)
    ]
    assert not (await read(stage.pool, "jars", "SELECT 1")).incomplete
    await stage.assert_fresh(MendedJars())


async def test_a_retry_in_vain_changes_nothing(stage: Stage, operator: asyncpg.Connection) -> None:
    await stage.publish([moved("a", 1), moved("a", POISON), moved("a", 4)])
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 3)
        before = [tuple(r) for r in await operator.fetch("SELECT * FROM read.jar, read.total")]
        assert await retry(operator, Jars(), 2) == Released((), 2, f"ZeroDivisionError: {POISON} coins")
        assert before == [tuple(r) for r in await operator.fetch("SELECT * FROM read.jar, read.total")]
        assert [(p.sequence, p.waiting) for p in await list_parked(operator)] == [(2, 1)]


async def test_the_next_poison_event_takes_the_place_of_the_first(stage: Stage, operator: asyncpg.Connection) -> None:
    await stage.publish([moved("a", POISON), moved("a", 2), moved("a", 3, note=REFUSED), moved("a", 4)])
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 4)
        released = await retry(operator, MendedJars(), 1)
        assert (released.folded, released.failed) == ((1, 2), 3)
        assert await jars(stage) == {"a": POISON + 2}
        (parked,) = await list_parked(operator)
        assert (parked.sequence, parked.waiting) == (3, 1)
        assert await skip(operator, MendedJars(), 3, "the note cannot be stored") == Released((4,))
        await stage.wait("jars", "TILL", await stage.publish([moved("a", 1)]))
        assert await jars(stage) == {"a": POISON + 7}
    await stage.assert_fresh(MendedJars())


async def test_skip_leaves_it_out_for_good(stage: Stage, operator: asyncpg.Connection) -> None:
    """Also when the read model is built anew at the same version, and when it is compared."""
    await stage.publish([moved("a", 1), moved("a", POISON), moved("b", 2), moved("a", 4)])
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 4)
        assert await skip(operator, Jars(), 2, "entered twice") == Released((4,))
        assert await jars(stage) == {"a": 5, "b": 2}
        settled = await list_parked(operator, "jars", settled=True)
        assert [(p.sequence, p.status, p.reason) for p in settled] == [
            (2, "skipped", "entered twice"),
            (4, "retried", None),
        ]
        await stage.assert_fresh(Jars())
        await rebuild(Jars(), stage.nats_url, stage.database_url)
        assert await jars(stage) == {"a": 5, "b": 2}
    await stage.assert_fresh(Jars())


async def test_what_cannot_be_released_is_refused(stage: Stage, operator: asyncpg.Connection) -> None:
    await stage.publish([moved("a", POISON), moved("a", 1)])

    class NewerJars(Jars):
        name = "jars"
        version = 2

    async with stage.running(Jars()), stage.running(Takings()):
        await stage.wait("jars", "TILL", 2)
        await stage.wait("takings", "TILL", 2)
        for sequence in (2, 3, 0):
            with pytest.raises(Invalid, match=f"Event {sequence} of TILL is not parked in jars"):
                await retry(operator, Jars(), sequence)
        with pytest.raises(Invalid, match="Say why"):
            await skip(operator, Jars(), 1, "  ")
        with pytest.raises(Invalid, match="jars is at version 1, and the code at hand is version 2"):
            await retry(operator, NewerJars(), 1)
        with pytest.raises(Invalid, match="reads TILL, SHOP: say in which"):
            await retry(operator, Takings(), 1)


@pytest.mark.parametrize("bad", [(0,), (199,), (200,), (650, 1250), (651, 653, 1999, 2000, 2950), (2999,)])
@pytest.mark.parametrize("kind", ["fold", "data"])
async def test_a_rebuild_that_folds_ahead_of_its_writes_parks_the_same_events(
    stage: Stage, operator: asyncpg.Connection, bad: tuple[int, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.runner.CATCHING_UP", 50)
    monkeypatch.setattr("shared.runner.FLUSH_EVENTS", 200)
    events = [moved(f"j{n % 700}") for n in range(3000)]
    for n in bad:
        events[n] = moved(f"j{n % 700}", POISON) if kind == "fold" else moved(f"j{n % 700}", note=REFUSED)
    last = await stage.publish(events)
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
    found = {parked.sequence - 1 for parked in await list_parked(operator)}
    first = {n for n in bad if not any(m < n and (n - m) % 700 == 0 for m in bad)}
    assert found == first
    async with stage.pool.acquire() as connection:
        comparison = await compare(connection, Jars(), stage.nats_url)
    assert comparison.same, comparison


async def test_many_poison_events_do_not_hold_up_the_rest(stage: Stage, operator: asyncpg.Connection) -> None:
    chance = random.Random(5)
    events = [moved(f"j{n % 500}", POISON if chance.random() < 0.1 else 1) for n in range(3000)]
    last = await stage.publish(events)
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last, timeout=60)
    parked = await list_parked(operator)
    poisoned = {e.jar for e in events if e.coins == POISON}
    assert len(parked) == len(poisoned)
    async with stage.pool.acquire() as connection:
        assert (await compare(connection, Jars(), stage.nats_url)).same
    for one in parked:
        assert (await retry(operator, MendedJars(), one.sequence)).failed is None
    await stage.assert_fresh(MendedJars())
