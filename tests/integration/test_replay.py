"""A read model as it stood at any moment, beside the live one, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.auditor import replay as replaying
from services.auditor.replay import NothingYet, Replay, Until, kept, positions_of, remove, replay
from services.local.nats import NatsServer
from services.projections.clinic.patients import ClinicPatients
from shared.comparison import digest
from shared.errors import Busy, Corrupt, Invalid
from shared.projection import Projection
from shared.tables import read_rows
from tests.support.projections import Stage
from tests.support.till import POISON, CoinsMoved, JarBroken, Jars, Sold, Takings, envelope, publish

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)  # when the events of tests.support.till are recorded
TABLES = {table.name: table for table in Jars.tables}


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        yield made


def coins(count: int, *, jars: int = 20, more: int = 0) -> list[CoinsMoved | JarBroken]:
    moved: list[CoinsMoved | JarBroken] = [CoinsMoved(jar=f"j{n % jars}", coins=1 + n % 3 + more) for n in range(count)]
    return [JarBroken(jar="j3") if n % 50 == 49 else one for n, one in enumerate(moved)]


def at(minutes: int, events: Sequence[Any]) -> list[tuple[str, bytes]]:
    """The events as recorded so many minutes after nine."""
    then = f"{NINE + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}".encode()
    found = [envelope(event, minutes * 10_000 + n) for n, event in enumerate(events)]
    return [(subject, raw.replace(b"2026-11-20T09:00:00", then)) for subject, raw in found]


async def followed(stage: Stage, projection: Projection, **last: int) -> None:
    """The live read model comes to where the streams are, and stays there."""
    async with stage.running(projection):
        for stream, sequence in last.items():
            await stage.wait(projection.name, stream, sequence)


async def again(stage: Stage, projection: Projection, **options: Any) -> Replay:
    return await replay(projection, stage.nats_url, stage.database_url, **options)


async def digests(stage: Stage, schema: str) -> dict[str, str]:
    async with stage.pool.acquire() as connection:
        return {name: digest(table, await read_rows(connection, schema, table)) for name, table in TABLES.items()}


async def schemas(stage: Stage) -> list[str]:
    found = await stage.pool.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(replay|jars|takings)_'")
    return sorted(name for (name,) in found)


async def test_a_replay_of_all_there_is_equals_the_live_one(stage: Stage) -> None:
    last = await stage.publish(coins(3000))
    await followed(stage, Jars(), TILL=last)
    before = await digests(stage, "jars_g1")
    made = await again(stage, Jars())
    assert (made.schema, made.positions, made.events) == ("replay_jars_1", {"TILL": last}, last)
    assert (made.level, made.problem, made.left_out) == (True, None, [])
    assert await digests(stage, "replay_jars_1") == before == await digests(stage, "jars_g1")
    assert {t.table: t.digest for t in made.tables} == {t.table: t.stored_digest for t in made.tables} == before
    assert {t.table: t.rows for t in made.tables}["movement"] == last - 60
    assert await stage.pool.fetch("TABLE replay_jars_1.rich") == await stage.pool.fetch("TABLE read.rich")
    assert (await again(stage, Jars())).schema == "replay_jars_2"
    assert await schemas(stage) == ["jars_g1", "replay_jars_1", "replay_jars_2"]


@pytest.mark.parametrize("cached", [1, 7])
async def test_rows_that_do_not_stay_in_memory_are_loaded(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, cached: int
) -> None:
    monkeypatch.setattr(replaying, "REBUILD_CACHE_ROWS", cached)
    monkeypatch.setattr(replaying, "FLUSH_EVENTS", 40)

    class Unsaid(Jars):
        """Says less of what it touches than it asks for."""

        name = "jars"

        def touches(self, event: Any) -> Any:
            return (("total", ("all",)),) if event.sequence % 3 else ()

    last = await stage.publish(coins(400))
    await followed(stage, Jars(), TILL=last)
    for projection in (Jars(), Unsaid()):
        made = await again(stage, projection)
        assert (made.level, made.problem) == (True, None)


async def test_a_replay_to_a_moment_is_what_the_live_one_was_then(stage: Stage) -> None:
    first = await publish(stage.nc, at(0, coins(500)))
    await followed(stage, Jars(), TILL=first)
    then = await digests(stage, "jars_g1")
    last = await publish(stage.nc, at(10, coins(300, jars=30, more=2)))
    await followed(stage, Jars(), TILL=last)
    for until in (
        Until(moment=NINE), Until(moment=NINE + timedelta(minutes=9, seconds=59)), Until(sequences={None: first}),
        Until(sequences={"TILL": first}),
    ):  # fmt: skip
        positions = await positions_of(stage.nc, Jars(), until)
        assert positions == {"TILL": first}
        made = await again(stage, Jars(), positions=positions, until=until.text)
        assert made.schema is not None
        assert await digests(stage, made.schema) == then
        assert (made.level, made.problem, made.until) == (False, None, until.text)
        changed = {t.table: (t.missing, t.extra, t.changed) for t in made.tables}
        assert changed == {"jar": (0, 10, 19), "movement": (0, 294, 0), "total": (0, 0, 1)}
    for moment in (NINE + timedelta(minutes=10), NINE + timedelta(days=1)):
        positions = await positions_of(stage.nc, Jars(), Until(moment=moment))
        assert positions == {"TILL": last}
        assert (await again(stage, Jars(), positions=positions)).level


async def test_of_each_stream_is_taken_what_was_recorded_by_then(stage: Stage) -> None:
    sales = [Sold(jar=f"j{n % 5}", coins=n) for n in range(30)]
    moved = await publish(stage.nc, at(0, coins(20)))
    await publish(stage.nc, at(5, sales[:10]))
    await publish(stage.nc, at(20, coins(30)))
    await publish(stage.nc, at(30, sales[10:]))
    taken = {}
    for minutes in (0, 4, 5, 25, 30):
        until = Until(moment=NINE + timedelta(minutes=minutes))
        taken[minutes] = tuple((await positions_of(stage.nc, Takings(), until)).values())
    assert taken == {0: (moved, 0), 4: (moved, 0), 5: (moved, 10), 25: (moved + 30, 10), 30: (moved + 30, 30)}
    await followed(stage, Takings(), TILL=moved + 30, SHOP=30)
    assert (await again(stage, Takings())).positions == {"TILL": moved + 30, "SHOP": 30}
    made = await again(stage, Takings(), positions={"TILL": moved, "SHOP": 0})
    assert made.schema == "replay_takings_2"
    assert await stage.pool.fetchval("SELECT sum(sold) FROM replay_takings_2.taking") == 0
    assert (await positions_of(stage.nc, Takings(), Until(sequences={"SHOP": 3, "TILL": 0}))) == {"TILL": 0, "SHOP": 3}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE jars_g1.jar SET coins = coins + 1 WHERE jar = 'j7'",
            "jar: in the row jar=j7, coins is 301 and should",
        ),
        (
            "UPDATE jars_g1.jar SET notes = '[\"x\"]' WHERE jar IN ('j7', 'j2')",
            "jar: in the row jar=j2, notes is ['x']",
        ),
        ("DELETE FROM jars_g1.movement WHERE sequence IN (21, 5)", "movement: the row sequence=5 is missing"),
        ("INSERT INTO jars_g1.jar VALUES ('aa', 5, '[]')", "jar: the row jar=aa is there, and should not be"),
        ("TRUNCATE jars_g1.total", "total: the row name=all is missing"),
    ],
)
async def test_a_row_that_was_changed_in_the_live_one_is_named(stage: Stage, statement: str, said: str) -> None:
    last = await stage.publish([CoinsMoved(jar=f"j{n % 10}", coins=100) for n in range(30)])
    await followed(stage, Jars(), TILL=last)
    await stage.pool.execute(statement)
    made = await again(stage, Jars(), keep=False)
    assert made.level
    assert (made.problem or "").startswith(said), made.problem
    wrong = [table for table in made.tables if table.difference]
    assert [(t.digest != t.stored_digest) for t in wrong] == [True]
    assert await schemas(stage) == ["jars_g1"]


async def test_what_the_live_one_set_aside_is_left_out_and_told(stage: Stage) -> None:
    events = coins(40)
    events[4] = CoinsMoved(jar="j4", coins=POISON)
    last = await stage.publish(events)
    await followed(stage, Jars(), TILL=last)
    made = await again(stage, Jars())
    assert (made.level, made.problem) == (True, None)
    assert [(one.sequence, one.status) for one in made.left_out] == [(5, "parked"), (25, "waiting")]
    assert "ZeroDivisionError" in (made.left_out[0].error or "")
    earlier = await again(stage, Jars(), positions={"TILL": 20})
    assert [one.sequence for one in earlier.left_out] == [5]


async def test_parked_events_that_are_released_meanwhile_end_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    last = await stage.publish([CoinsMoved(jar="a", coins=POISON), CoinsMoved(jar="b", coins=1)])
    await followed(stage, Jars(), TILL=last)
    fold = replaying._Folding.to

    async def to(self: Any, goal: Any) -> None:
        await fold(self, goal)
        await stage.pool.execute("UPDATE commons.parked SET status = 'retried'")

    monkeypatch.setattr(replaying._Folding, "to", to)
    with pytest.raises(Busy, match="run it again"):
        await again(stage, Jars())
    assert await schemas(stage) == ["jars_g1"]


async def test_the_live_one_may_go_on_meanwhile(stage: Stage) -> None:
    last = await stage.publish(coins(5000))
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
        going = True

        async def write() -> None:
            while going:
                await stage.publish(coins(20))

        writing = asyncio.ensure_future(write())
        try:
            for _ in range(3):
                made = await again(stage, Jars(), keep=False)
                assert (made.level, made.problem) == (True, None)
                assert made.positions["TILL"] > last
        finally:
            going = False
            await writing


async def test_without_a_live_one_it_goes_to_the_end_and_compares_nothing(stage: Stage) -> None:
    last = await stage.publish(coins(50))
    made = await again(stage, Jars())
    assert (made.positions, made.live, made.level, made.tables) == ({"TILL": last}, None, False, [])
    assert await stage.pool.fetchval("SELECT events FROM replay_jars_1.total") == last
    assert (await again(stage, Takings())).positions == {"TILL": last, "SHOP": 0}


async def test_a_moment_or_a_sequence_at_which_there_is_nothing_is_refused(stage: Stage) -> None:
    with pytest.raises(NothingYet, match="no event yet in TILL"):
        await positions_of(stage.nc, Jars(), Until(moment=NINE))
    await publish(stage.nc, at(0, coins(10)))
    for until, said in (
        (Until(moment=datetime.now(UTC) + timedelta(minutes=1)), "yet to come"),
        (Until(moment=NINE - timedelta(microseconds=1)), "first event of TILL was recorded at 2026-11-20T09:00:00"),
        (Until(sequences={None: 11}), "TILL ends at 10: there is no event 11"),
        (Until(sequences={"TILL": 0}), "Before event 1"),
        (Until(sequences={"SHOP": 1}), "reads TILL, for which"),
    ):
        with pytest.raises(Invalid, match=said):
            await positions_of(stage.nc, Jars(), until)
    with pytest.raises(Invalid, match="--until TILL:SEQ --until SHOP:SEQ"):
        await positions_of(stage.nc, Takings(), Until(sequences={"TILL": 3}))
    assert await schemas(stage) == []


async def test_an_event_that_does_not_fold_is_named_and_nothing_is_left_behind(stage: Stage) -> None:
    await stage.publish([*coins(25), CoinsMoved(jar="a", coins=POISON), *coins(5)])
    with pytest.raises(Corrupt, match=r"cannot fold event 26 of TILL \(ledger\.till\.jar\.a\).*ZeroDivisionError"):
        await again(stage, Jars())
    await stage.publish([CoinsMoved(jar="b", coins=1, note="a\x00b")])
    with pytest.raises(Corrupt, match="PostgreSQL refuses rows of jars"):
        await again(stage, type("Mended", (Jars,), {"name": "jars", "mended": True})())
    assert await schemas(stage) == []


async def test_broken_off_it_leaves_nothing_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "FLUSH_EVENTS", 100)
    await stage.publish(coins(3000))
    half = asyncio.Event()
    task = asyncio.ensure_future(
        again(stage, Jars(), on_progress=lambda _stream, done, _total: half.set() if done >= 1000 else None)
    )
    await half.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        while await stage.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'replay jars'"):
            await asyncio.sleep(0.01)
    assert await schemas(stage) == []
    assert (await again(stage, Jars())).schema == "replay_jars_1"


async def test_two_at_once_get_names_of_their_own(stage: Stage) -> None:
    await stage.publish(coins(500))
    made = await asyncio.gather(*(again(stage, Jars()) for _ in range(3)))
    assert sorted(str(one.schema) for one in made) == ["replay_jars_1", "replay_jars_2", "replay_jars_3"]


async def test_replays_are_listed_and_removed_and_nothing_else_is(stage: Stage) -> None:
    last = await stage.publish(coins(50))
    await followed(stage, Jars(), TILL=last)
    await again(stage, Jars())
    await again(stage, Jars(), positions={"TILL": 7}, until="7")
    await stage.pool.execute("CREATE SCHEMA replay_of_somebody; CREATE SCHEMA replay_jars_9")
    await stage.pool.execute("COMMENT ON SCHEMA replay_jars_9 IS 'mine'")
    async with stage.pool.acquire() as connection:
        found = await kept(connection)
        assert [(one.schema, one.model, one.version, one.positions, one.until) for one in found] == [
            ("replay_jars_1", "jars", 1, {"TILL": last}, None), ("replay_jars_2", "jars", 1, {"TILL": 7}, "7"),
        ]  # fmt: skip
        for name in ("replay_jars_9", "replay_of_somebody", "jars_g1", "read", "replay_jars_3", "x; DROP SCHEMA read"):
            with pytest.raises(Invalid, match="no replay"):
                await remove(connection, name)
        await remove(connection, "replay_jars_1")
        assert [one.schema for one in await kept(connection)] == ["replay_jars_2"]
    assert await schemas(stage) == ["jars_g1", "replay_jars_2", "replay_jars_9", "replay_of_somebody"]


async def test_one_that_is_read_is_removed_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "_LOCK_SECONDS", 1)
    await stage.publish(coins(5))
    await again(stage, Jars())
    async with stage.pool.acquire() as reader, stage.pool.acquire() as connection:
        async with reader.transaction():
            await reader.fetch("TABLE replay_jars_1.jar")
            with pytest.raises(Busy, match="being read"):
                await remove(connection, "replay_jars_1")
        await remove(connection, "replay_jars_1")
    assert await schemas(stage) == []


async def test_a_replay_is_read_by_whoever_reads_the_live_one_and_the_clinics_by_its_role_alone(stage: Stage) -> None:
    for stream in ("INVENTORY", "CLINIC"):
        await stage.make(stream)
    await stage.publish(coins(5))
    await again(stage, Jars())
    made = await again(stage, ClinicPatients())
    assert made.schema == "replay_clinic_patients_1"
    async with stage.pool.acquire() as connection:
        assert next(one.owner for one in await kept(connection)) == "commons_clinic"
        await connection.execute("SET ROLE commons_reader")
        assert await connection.fetch("TABLE replay_jars_1.jar")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"TABLE {made.schema}.{ClinicPatients.tables[0].name}")
        await connection.execute("RESET ROLE")
        await remove(connection, made.schema)
        assert [one.schema for one in await kept(connection)] == ["replay_jars_1"]
