"""Projections on real servers: what is folded, where it resumes, and what survives a crash."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest

from services.local.nats import NatsServer
from services.local.postgres import PostgresServer
from shared import runner as runner_module
from shared.comparison import compare, fold_to
from shared.errors import Invalid
from shared.folding import Folding
from shared.migrations import migrate_database
from shared.projection import Projection, Table
from shared.readmodel import Behind, read, wait_for
from shared.runner import Runner
from shared.status import standing, status
from tests.support.projections import Stage
from tests.support.till import (
    CoinsMoved,
    JarBroken,
    Jars,
    Sold,
    Takings,
    eventually,
)


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        yield made


def movements(count: int, *, jars: int = 7, seed: int = 1) -> list[CoinsMoved | JarBroken]:
    chance = random.Random(seed)
    return [
        JarBroken(jar=f"j{chance.randrange(jars)}")
        if chance.random() < 0.02
        else CoinsMoved(
            jar=f"j{chance.randrange(jars)}", coins=chance.choice([-3, 1, 2, 50]), note="x" * chance.randrange(2)
        )
        for _ in range(count)
    ]


async def test_folds_what_is_there_and_what_comes(stage: Stage) -> None:
    last = await stage.publish([CoinsMoved(jar="a", coins=5), CoinsMoved(jar="b", coins=7)])
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
        last = await stage.publish([CoinsMoved(jar="a", coins=1), JarBroken(jar="b")])
        reading = await read(stage.pool, "jars", "SELECT jar, coins FROM jar", at_least=("TILL", last))
        assert [tuple(r) for r in reading.records] == [("a", 6)]
        assert reading.checkpoints == {"jars": {"TILL": 4}}
        assert not reading.incomplete
        assert await stage.pool.fetchval("SELECT count(*) FROM read.movement") == 3
        assert await stage.pool.fetchval("SELECT coins FROM read.total") == 6


async def test_an_empty_stream_is_live_at_once(stage: Stage) -> None:
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 0)
        assert (await read(stage.pool, "jars", "SELECT * FROM rich")).records == []


async def test_it_is_told_who_is_behind_and_does_not_move(stage: Stage) -> None:
    async with stage.running(Jars()):
        await stage.publish(movements(5))
        await stage.wait("jars", "TILL", 5)
        assert await standing(stage.pool, await status(stage.pool, {"TILL": 5}), 5) == {}
        behind = await status(stage.pool, {"TILL": 9})
        assert await standing(stage.pool, behind, 1) == {("jars", "TILL"): 5}
        looking = asyncio.ensure_future(standing(stage.pool, behind, 60))
        await stage.publish(movements(1))
        assert await looking == {}


async def test_resumes_at_the_checkpoint(stage: Stage) -> None:
    await stage.publish(movements(300))
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 300)
    started = (await status(stage.pool))[0]
    assert (started.state, started.positions) == ("standing still", {"TILL": 300})
    await stage.publish(movements(300, seed=2))
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 600)
        assert (await status(stage.pool))[0].generation == started.generation
    await stage.assert_fresh(Jars())


async def test_rows_are_loaded_again_when_the_cache_is_small(stage: Stage) -> None:
    async with stage.running(Jars(), cache_rows=2):
        for seed in range(5):
            last = await stage.publish(movements(100, jars=40, seed=seed))
            await stage.wait("jars", "TILL", last)
    await stage.assert_fresh(Jars())


async def test_rows_that_were_not_announced_are_loaded_too(stage: Stage) -> None:
    class Unannounced(Jars):
        name = "unannounced"

        def touches(self, event: Any) -> Any:
            return ()

    async with stage.running(Unannounced(), cache_rows=0):
        for seed in range(3):
            last = await stage.publish(movements(50, seed=seed))
            await stage.wait("unannounced", "TILL", last)
        assert await stage.pool.fetchval("SELECT count(*) FROM commons.parked") == 0
    await stage.assert_fresh(Unannounced())


async def test_handlers_of_two_streams_commute(stage: Stage) -> None:
    chance = random.Random(3)
    async with stage.running(Takings()):
        for _ in range(20):
            moved = [CoinsMoved(jar=f"j{chance.randrange(3)}", coins=1) for _ in range(chance.randrange(5))]
            sold = [Sold(jar=f"j{chance.randrange(3)}", coins=2) for _ in range(chance.randrange(5))]
            parts = [part for part in (moved, sold) if part]
            chance.shuffle(parts)
            for part in parts:
                await stage.publish(part)
        await stage.wait("takings", "TILL", await stage.last("TILL"))
        await stage.wait("takings", "SHOP", await stage.last("SHOP"))
    await stage.assert_fresh(Takings())
    total = await stage.pool.fetchrow("SELECT sum(moved)::int AS moved, sum(sold)::int AS sold FROM read.taking")
    assert tuple(total) == (await stage.last("TILL"), 2 * await stage.last("SHOP"))


@pytest.mark.slow
async def test_survives_kill_9_of_postgresql(stage: Stage, tmp_path: Path) -> None:
    """Ten times, in the middle of folding: the rows are those of a fresh fold, and nothing needs a hand."""
    async with PostgresServer(tmp_path / "pg") as server:
        await migrate_database(server.url)
        runner = Runner(Jars(), stage.nats_url, server.url, cache_rows=100)
        running = asyncio.ensure_future(runner.run())
        try:
            for seed in range(10):
                writing = asyncio.ensure_future(stage.publish(movements(1000, seed=seed)))
                await asyncio.sleep(random.Random(seed).random() * 0.3)  # any moment is as good as another
                await server.kill()
                await writing
                await server.start()
            async with asyncpg.create_pool(server.url) as pool:

                async def live() -> bool:
                    return [s.positions.get("TILL") for s in await status(pool) if s.state == "live"] == [10_000]

                await eventually(live, 60)
                async with pool.acquire() as connection:
                    comparison = await compare(connection, Jars(), stage.nats_url)
                assert comparison.same, comparison
                assert comparison.positions == {"TILL": 10_000}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_survives_kill_9_of_nats(stage: Stage) -> None:
    async with stage.running(Jars()) as runner:
        for seed in range(10):
            last = await stage.publish(movements(200, seed=seed))
            if seed % 2:
                await stage.wait("jars", "TILL", last)
            await stage.nats.kill()
            await stage.nats.start()
            await stage.reconnect()
        await stage.wait("jars", "TILL", await stage.publish(movements(5)), timeout=60)
        assert runner.condition.state == "live"
    await stage.assert_fresh(Jars())


async def test_an_outage_is_said_once_and_waited_out(stage: Stage) -> None:
    """The stream does not exist yet, and neither do the tables: both come later."""
    await stage.pool.execute("DROP SCHEMA commons CASCADE; DROP SCHEMA read CASCADE; DROP SCHEMA clinic CASCADE")
    runner = Runner(Jars(), stage.nats_url.replace(str(stage.nats.port), "1"), stage.database_url)
    running = asyncio.ensure_future(runner.run())
    try:
        await eventually(lambda: _is(runner, "waiting"))
        assert "migrations" in runner.condition.detail
        await migrate_database(stage.database_url)
        await eventually(lambda: _says(runner, "cannot be reached"))
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_gap_stops_one_projection_loudly(stage: Stage) -> None:
    last = await stage.publish(movements(20))
    async with stage.running(Jars()), stage.running(Takings()) as other:
        await stage.wait("jars", "TILL", last)
        await stage.wait("takings", "TILL", last)
    await stage.publish(movements(20))
    await stage.js.delete_msg("TILL", 30)
    await stage.make("SHOP")
    async with stage.running(Jars()) as stopped, stage.running(OnlySales()) as other:
        await eventually(lambda: _is(stopped, "stopped"))
        assert "from 29 to 31" in stopped.condition.detail
        assert not stopped.condition.well
        jars = {s.name: s for s in await status(stage.pool)}["jars"]
        assert jars.state == "stopped"
        assert "from 29 to 31" in jars.detail
        with pytest.raises(Behind, match=r"has stopped at 2\d of TILL"):
            await wait_for(stage.pool, "jars", "TILL", 40, timeout=5)
        sold = await stage.publish([Sold(jar="a", coins=1)])
        await stage.wait("only_sales", "SHOP", sold)
        assert other.condition.state == "live"


async def test_a_lost_tail_stops_it(stage: Stage) -> None:
    last = await stage.publish(movements(20))
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
    await stage.js.delete_stream("TILL")
    await stage.make("TILL")
    await stage.publish(movements(5))
    async with stage.running(Jars()) as runner:
        await eventually(lambda: _is(runner, "stopped"))
        assert "ends at 5, but 20 had been read" in runner.condition.detail


async def test_it_goes_on_when_the_lost_tail_was_put_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "MENDED_SECONDS", 0.1)
    events = movements(20)
    await stage.publish(events)
    async with stage.running(Jars()) as runner:
        await stage.wait("jars", "TILL", 20)
        await stage.js.delete_stream("TILL")
        await stage.make("TILL")
        await stage.publish(events[:5])
        await eventually(lambda: _is(runner, "stopped"))
        await asyncio.sleep(0.5)
        assert runner.condition.state == "stopped"
        await stage.publish(events[5:])
        await eventually(lambda: _is(runner, "live"))
        await stage.wait("jars", "TILL", await stage.publish(movements(1)))


async def test_a_second_process_stands_by_and_takes_over(stage: Stage) -> None:
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(movements(10)))
        async with stage.running(Jars()) as second:
            await eventually(lambda: _is(second, "standing still"))
            assert "another process" in second.condition.detail
            assert second.condition.well
            await stage.wait("jars", "TILL", await stage.publish(movements(10)))
            await stage.cancel_first()
            await stage.wait("jars", "TILL", await stage.publish(movements(10)), timeout=20)
            assert second.condition.state == "live"
    await stage.assert_fresh(Jars())


async def test_a_second_writer_without_the_lock_loses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock keeps processes apart; should it fail, the compare-and-set still keeps the rows whole."""

    async def always(*_: object) -> bool:
        return True

    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(movements(10)))
        monkeypatch.setattr("shared.generations._lock", always)
        losses = 0
        write = Folding._write

        async def counted(self: Folding, stream: str, sequence: int) -> None:
            nonlocal losses
            try:
                await write(self, stream, sequence)
            except Exception:
                losses += 1
                raise

        monkeypatch.setattr(Folding, "_write", counted)
        async with stage.running(Jars()):
            for seed in range(30):
                last = await stage.publish(movements(20, seed=seed))
                await stage.wait("jars", "TILL", last, timeout=30)
    assert losses > 0
    await stage.assert_fresh(Jars())


async def test_waiting_ends_with_the_lag_when_time_is_up(stage: Stage) -> None:
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(movements(10)))
        with pytest.raises(Behind, match=r"come to 10 of TILL and did not reach 12 within 0.2 s: it is 2 event"):
            await wait_for(stage.pool, "jars", "TILL", 12, timeout=0.2)
        with pytest.raises(Behind):
            await read(stage.pool, "jars", "SELECT 1", at_least=("TILL", 12), timeout=0.2)
        with pytest.raises(Invalid, match=r"no read model jugs\. There are: jars"):
            await read(stage.pool, "jugs", "SELECT 1")
        with pytest.raises(Invalid, match="read no stream SHOP"):
            await wait_for(stage.pool, "jars", "SHOP", 1, timeout=0.2)


async def test_many_wait_at_once(stage: Stage) -> None:
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", 0)
        waiting = [asyncio.ensure_future(stage.wait("jars", "TILL", n, timeout=30)) for n in range(1, 41)]
        await stage.publish(movements(40))
        await asyncio.gather(*waiting)


async def test_comparison_names_the_first_row_that_differs(stage: Stage) -> None:
    last = await stage.publish(
        [CoinsMoved(jar="a", coins=5), CoinsMoved(jar="b", coins=7), CoinsMoved(jar="c", coins=1)]
    )
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
    schema = f"jars_g{(await status(stage.pool))[0].generation}"

    async def said() -> list[str]:
        async with stage.pool.acquire() as connection:
            return [t.difference for t in (await compare(connection, Jars(), stage.nats_url)).tables if t.difference]

    assert await said() == []
    await stage.pool.execute(f"UPDATE {schema}.jar SET coins = 8 WHERE jar = 'b'")
    assert await said() == ["jar: in the row jar=b, coins is 8 and should be 7"]
    await stage.pool.execute(f"DELETE FROM {schema}.jar WHERE jar = 'a'")
    assert await said() == ["jar: the row jar=a is missing"]
    await stage.pool.execute(f"INSERT INTO {schema}.jar VALUES ('a', 5, '[]'), ('A', 0, '[]')")
    assert await said() == ["jar: the row jar=A is there, and should not be"]


async def test_a_read_over_two_read_models_is_of_one_moment(stage: Stage) -> None:
    async with stage.running(Jars()), stage.running(Takings()):
        last = await stage.publish(movements(200))
        await stage.wait("jars", "TILL", 0)
        await stage.wait("takings", "TILL", 0)
        reading = await read(
            stage.pool, ("jars", "takings"),
            "SELECT (SELECT count(*) FROM movement) AS movements, (SELECT sum(moved) FROM taking) AS moved",
            at_least=("TILL", last), timeout=20,
        )  # fmt: skip
        assert reading.checkpoints == {"jars": {"TILL": last}, "takings": {"TILL": last, "SHOP": 0}}
        fresh = await fold_to(Takings(), stage.nats_url, {"TILL": last})
        assert reading.records[0]["moved"] == sum(row["moved"] for row in fresh.all("taking").values())


class OnlySales(Projection):
    name = "only_sales"
    contracts: ClassVar = {"SHOP": Takings.contracts["SHOP"]}
    tables: Sequence[Table] = (Table("sale", key=("sequence",), columns={"sequence": "bigint"}, append=True),)

    def apply(self, event: Any, rows: Any) -> None:
        rows.put("sale", (event.sequence,), {})


async def _is(runner: Runner, state: str) -> bool:
    return runner.condition.state == state


async def _says(runner: Runner, text: str) -> bool:
    return text in runner.condition.detail
