"""Distribution's read models on real servers: followed live, rebuilt, and equal to a fresh fold, over two streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from services.local.nats import NatsServer
from services.projections.distribution.recall_reach import RecallReachBoxes
from services.projections.registry import DISTRIBUTION
from shared.readmodel import read
from shared.runner import rebuild
from tests.support.openings import Draft, Opening
from tests.support.projections import Stage
from tests.support.till import publish

STREAMS = ("INVENTORY", "DISTRIBUTION")


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        for stream in STREAMS:
            await made.make(stream)
        yield made


def busy() -> Opening:
    """Weeks in which everything happens that openings know of."""
    kinds = list(range(16)) * 5
    return Opening().play([Draft(kind, n % 5, n % 2, n % 3, 1 + n % 9, n, 3) for n, kind in enumerate(kinds)])


async def store(stage: Stage, opening: Opening) -> dict[str, int]:
    """Store both streams, now a part of one and now of the other; returns their last sequences."""
    last = {}
    both = (opening.pantry.events, opening.hall.events)
    for start in range(0, max(map(len, both)), 20):
        for stream, events in zip(STREAMS, both, strict=True):
            part = [(event.subject, event.raw) for event in events[start : start + 20]]
            if part:
                last[stream] = await publish(stage.nc, part, first=start + 1)
    return last


async def test_every_read_model_follows_live_and_is_that_of_a_fresh_fold(stage: Stage) -> None:
    async with AsyncExitStack() as running:
        for projection in DISTRIBUTION:
            await running.enter_async_context(stage.running(projection))
        last = await store(stage, busy())
        for projection in DISTRIBUTION:
            for stream in projection.streams:
                await stage.wait(projection.name, stream, last[stream])
    for projection in DISTRIBUTION:
        await stage.assert_fresh(projection)


async def test_a_read_model_of_two_streams_is_rebuilt_as_it_was(stage: Stage) -> None:
    reach = RecallReachBoxes()
    last = await store(stage, busy())
    count = "SELECT (SELECT count(*) FROM reach_visit_lots), (SELECT count(*) FROM reach_boxes)"
    async with stage.running(reach):
        for stream in STREAMS:
            await stage.wait(reach.name, stream, last[stream])
        before = await read(stage.pool, reach.name, count)
        await rebuild(reach, stage.nats_url, stage.database_url)
        after = await read(stage.pool, reach.name, count)
    assert after.checkpoints == before.checkpoints == {reach.name: last}
    assert [tuple(row) for row in after.records] == [tuple(row) for row in before.records]
    assert all(before.records[0])
    await stage.assert_fresh(reach)
