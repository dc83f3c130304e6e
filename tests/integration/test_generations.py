"""Generations of a read model: built beside the live one, switched in one transaction, and no reader sees a half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import asyncpg
import pytest

from services.local.nats import NatsServer
from shared.errors import Misconfigured
from shared.projection import Projection, Rows, Table
from shared.readmodel import Behind, read
from shared.runner import Runner, rebuild
from shared.status import status
from tests.support.projections import Stage
from tests.support.till import CoinsMoved, Jars, eventually

CONSISTENT = (
    "SELECT (SELECT coalesce(sum(events), 0) FROM total)::bigint AS events,"
    " (SELECT count(*) FROM movement) AS movements,"
    " (SELECT coalesce(sum(coins), 0) FROM total)::bigint AS total,"
    " (SELECT coalesce(sum(coins), 0) FROM jar)::bigint AS jars"
)


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        yield made


class JarsInPence(Jars):
    """Version 2: other figures, another column, another table."""

    name = "jars"
    version = 2
    tables = (
        *Jars.tables[:2],
        Table("total", key=("name",), columns={"name": "text", "coins": "bigint", "events": "bigint", "unit": "text"}),
        Table("extra", key=("jar",), columns={"jar": "text"}),
    )

    def apply(self, event: Any, rows: Rows) -> None:
        super().apply(event, rows)
        total = rows.get("total", ("all",))
        assert total is not None
        total["unit"] = "pence"
        rows.put("extra", (event.data.jar,), {})


def coins(count: int) -> list[CoinsMoved]:
    return [CoinsMoved(jar=f"j{n % 50}", coins=1 + n % 3) for n in range(count)]


class Readers:
    """Readers by both ways, as fast as they can; each answer must be whole, and never older than the one before."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.reads = 0
        self.versions: set[int] = set()

    async def through_the_helper(self) -> None:
        last = 0
        while True:
            reading = await read(self._stage.pool, "jars", CONSISTENT)
            (row,) = reading.records
            position = reading.checkpoints["jars"]["TILL"]
            assert row["events"] == row["movements"] == position >= last
            assert row["total"] == row["jars"]
            last = position
            self.reads += 1

    async def through_the_views(self) -> None:
        connection = await asyncpg.connect(self._stage.database_url, statement_cache_size=0)
        last = 0
        query = CONSISTENT
        for name in ("total", "movement", "jar"):
            query = query.replace(f"FROM {name})", f"FROM read.{name})")
        while True:
            row = await connection.fetchrow(query)
            assert row["events"] == row["movements"] >= last
            assert row["total"] == row["jars"]
            last = row["events"]
            self.reads += 1


async def under_load(stage: Stage, readers: Readers, work: Any) -> None:
    """Do `work` while events keep coming and readers keep reading."""

    async def write() -> None:
        while True:
            await stage.publish(coins(20))

    tasks = [
        asyncio.ensure_future(w)
        for w in (write(), *(readers.through_the_helper() for _ in range(3)), readers.through_the_views())
    ]
    try:
        working = asyncio.ensure_future(work)
        await asyncio.wait([working, *tasks], return_when=asyncio.FIRST_COMPLETED, timeout=60)
        for task in tasks:
            if task.done():
                task.result()
        await working
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert readers.reads > 20


async def test_rebuild_under_load_and_no_reader_sees_a_half(stage: Stage) -> None:
    readers = Readers(stage)
    async with stage.running(Jars()) as runner:
        await stage.wait("jars", "TILL", await stage.publish(coins(20_000)))
        seen: list[int] = []

        async def rebuilds() -> None:
            for _ in range(3):
                made = await rebuild(
                    Jars(), stage.nats_url, stage.database_url, on_progress=lambda at, _: seen.append(at.get("TILL", 0))
                )
                seen.append(made.number)
                await stage.wait("jars", "TILL", await stage.publish(coins(1)))  # the runner took over

        await under_load(stage, readers, rebuilds())
        assert {2, 3, 4} <= set(seen)
        await stage.wait("jars", "TILL", await stage.publish(coins(10)))
        (known,) = await status(stage.pool)
        assert (known.generation, known.version, known.state, known.building) == (4, 1, "live", None)
        assert runner.condition.state == "live"
    await stage.assert_fresh(Jars())


async def test_a_new_version_is_built_beside_the_old_one(stage: Stage) -> None:
    """The old version's code is gone with its process: it stands still, says so, and is read until the switch."""
    readers = Readers(stage)
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(coins(20_000)))

    async def upgrade() -> None:
        async with stage.running(JarsInPence()):
            await eventually(lambda: _version(stage, 2))
            await stage.wait("jars", "TILL", await stage.publish(coins(1)))

    await under_load(stage, readers, upgrade())
    assert await stage.pool.fetchval("SELECT unit FROM read.total") == "pence"
    assert await stage.pool.fetchval("SELECT count(*) FROM read.extra") == 50
    await stage.assert_fresh(JarsInPence())


async def test_an_old_version_stands_still_and_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(coins(100)))
    await stage.publish(coins(100))
    held = asyncio.Event()

    async def not_yet(*_: object) -> bool:
        return held.is_set() and await switch(*_)  # type: ignore[arg-type]

    from shared.generations import switch

    monkeypatch.setattr("shared.runner.switch", not_yet)
    async with stage.running(JarsInPence()) as runner:
        await eventually(lambda: _built(stage, 200))
        (known,) = await status(stage.pool, {"TILL": 200})
        assert (known.state, known.version, known.positions, known.lag) == (
            "standing still", 1, {"TILL": 100}, {"TILL": 100},
        )  # fmt: skip
        assert known.detail == "The code of version 1 is gone; version 2 is being built beside it."
        assert known.building is not None
        assert (known.building.version, known.building.folding) == (2, True)
        assert runner.condition.state == "building"
        with pytest.raises(Behind):
            await read(stage.pool, "jars", "SELECT 1", at_least=("TILL", 200), timeout=0.1)
        held.set()
        await stage.wait("jars", "TILL", 200)
        (known,) = await status(stage.pool)
        assert (known.state, known.version, known.building) == ("live", 2, None)


async def test_a_process_with_older_code_folds_nothing(stage: Stage) -> None:
    """As in a roll-out: the new process switches while the old one is still there."""
    async with stage.running(Jars()) as old:
        await stage.wait("jars", "TILL", await stage.publish(coins(100)))
        async with stage.running(JarsInPence()) as new:
            await eventually(lambda: _version(stage, 2))
            await stage.wait("jars", "TILL", await stage.publish(coins(100)))
            await eventually(lambda: _is(old, "standing still"))
            assert "is at version 2, and this process has the code of version 1" in old.condition.detail
            assert new.condition.state == "live"
            await stage.wait("jars", "TILL", await stage.publish(coins(100)))
    await stage.assert_fresh(JarsInPence())


async def test_a_build_cut_short_goes_on_where_it_was(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.runner.switch", _never)
    async with stage.running(Jars()):
        await stage.publish(coins(100))
        await eventually(lambda: _built(stage, 100, building_only=True))
    (known,) = await status(stage.pool)
    assert (known.state, known.generation, known.positions) == ("building", 1, {"TILL": 100})
    monkeypatch.undo()
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(coins(100)))
    (known,) = await status(stage.pool)
    assert (known.version, known.generation) == (1, 1)
    await stage.assert_fresh(Jars())


async def test_what_nobody_needs_is_swept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retired generations after their grace, and rebuilds whose operator went away."""
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(coins(100)))
        with monkeypatch.context() as patched:
            patched.setattr("shared.runner.switch", _never)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(rebuild(Jars(), stage.nats_url, stage.database_url), 1)
        assert await _schemas(stage) == ["jars_g1", "jars_g2"]
        await eventually(lambda: _unlocked(stage))
        await rebuild(Jars(), stage.nats_url, stage.database_url)
        assert await _schemas(stage) == ["jars_g1", "jars_g3"]
        monkeypatch.setattr("shared.generations.GRACE_SECONDS", 0)
        await eventually(lambda: _folded_by_somebody(stage))
        await rebuild(Jars(), stage.nats_url, stage.database_url)
        assert await _schemas(stage) == ["jars_g3", "jars_g4"]
        await stage.wait("jars", "TILL", await stage.publish(coins(100)))
    await stage.assert_fresh(Jars())


async def test_tables_that_changed_without_a_new_version_are_refused(stage: Stage) -> None:
    class Changed(Jars):
        name = "jars"
        tables = (*Jars.tables, Table("more", key=("jar",), columns={"jar": "text"}))

    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(coins(10)))
    async with stage.running(Changed()) as runner:
        await eventually(lambda: _is(runner, "stopped"))
        assert "tables of jars changed, but its version is still 1. Raise the version" in runner.condition.detail
    async with stage.running(Jars()) as runner:
        await stage.wait("jars", "TILL", await stage.publish(coins(10)))
        assert (await status(stage.pool))[0].state == "live"


async def test_two_read_models_with_one_table_name_are_refused(stage: Stage) -> None:
    class Cupboard(Projection):
        name = "cupboard"
        contracts: ClassVar = Jars.contracts
        tables = (Table("jar", key=("jar",), columns={"jar": "text"}),)

        def apply(self, event: Any, rows: Rows) -> None: ...

    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", await stage.publish(coins(10)))
        async with stage.running(Cupboard()) as runner:
            await eventually(lambda: _is(runner, "stopped"))
            assert "cupboard and jars both have a table or view named jar" in runner.condition.detail
        with pytest.raises(Misconfigured):
            await rebuild(Cupboard(), stage.nats_url, stage.database_url)
        await stage.wait("jars", "TILL", await stage.publish(coins(10)))


async def _never(*_: object) -> bool:
    return False


async def _is(runner: Runner, state: str) -> bool:
    return runner.condition.state == state


async def _version(stage: Stage, version: int) -> bool:
    return [s.version for s in await status(stage.pool)] == [version]


async def _built(stage: Stage, position: int, *, building_only: bool = False) -> bool:
    (known,) = await status(stage.pool) or [None]
    if known is None:
        return False
    positions = known.positions if building_only else known.building.positions if known.building else {}
    return positions == {"TILL": position}


async def _schemas(stage: Stage) -> list[str]:
    return [
        r[0] for r in await stage.pool.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^jars_g' ORDER BY 1")
    ]


async def _unlocked(stage: Stage) -> bool:
    (known,) = await status(stage.pool)
    return known.building is not None and not known.building.folding


async def _folded_by_somebody(stage: Stage) -> bool:
    (known,) = await status(stage.pool)
    return known.state == "live"
