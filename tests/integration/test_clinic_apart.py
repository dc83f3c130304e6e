"""The clinic's read models on real servers: followed live, rebuilt, and out of the reach of other roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from services.local.nats import NatsServer
from services.projections.catalogue import Catalogue
from services.projections.clinic.patients import ClinicPatients
from services.projections.registry import CLINIC
from shared.database import open_pool
from shared.readmodel import read
from shared.runner import rebuild
from tests.support.evenings import KINDS, Draft, Evening
from tests.support.projections import Stage
from tests.support.till import publish

STREAMS = ("INVENTORY", "CLINIC")


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        for stream in STREAMS:
            await made.make(stream)
        yield made


def busy() -> Evening:
    """Days on which everything happens that evenings know of."""
    return Evening().play([Draft(n % KINDS, n % 3, n % 3, n * 7 + n // 5, 1 + n % 3) for n in range(KINDS * 5)])


async def store(stage: Stage, evening: Evening) -> dict[str, int]:
    """Publish both streams, and give their last sequences."""
    last = {}
    for stream, events in zip(STREAMS, (evening.pantry.events, evening.surgery.events), strict=True):
        last[stream] = await publish(stage.nc, [(event.subject, event.raw) for event in events])
    return last


async def test_every_read_model_follows_live_is_that_of_a_fresh_fold_and_is_rebuilt(stage: Stage) -> None:
    async with AsyncExitStack() as running:
        for projection in CLINIC:
            await running.enter_async_context(stage.running(projection))
        last = await store(stage, busy())
        for projection in CLINIC:
            for stream in projection.streams:
                await stage.wait(projection.name, stream, last[stream])
        patients = ClinicPatients()
        await rebuild(patients, stage.nats_url, stage.database_url)
    for projection in CLINIC:
        await stage.assert_fresh(projection)
        names = [table.name for table in projection.tables]
        owners = await stage.pool.fetch(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename = ANY($1)"
            " UNION SELECT viewowner FROM pg_views WHERE viewname = ANY($1)", names,
        )  # fmt: skip
        assert [owner for (owner,) in owners] == ["commons_clinic"], projection.name


async def _refused(connection: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with connection.transaction():
            await connection.execute(statement)


async def test_who_reads_the_other_read_models_reads_nothing_of_the_clinic(stage: Stage) -> None:
    evening = Evening().play([])
    async with stage.running(ClinicPatients()), stage.running(Catalogue()):
        last = await store(stage, evening)
        await stage.wait("clinic_patients", "CLINIC", last["CLINIC"])
        await stage.wait("catalogue", "INVENTORY", last["INVENTORY"])
    async with stage.pool.acquire() as connection:
        await connection.execute("SET ROLE commons_reader")
        for statement in (
            "SELECT * FROM clinic.patients", "SELECT * FROM clinic_patients_g1.patients",
            "SELECT * FROM clinic.search_token", "SELECT event FROM commons.parked",
        ):  # fmt: skip
            await _refused(connection, statement)
        assert await connection.fetchval("SELECT count(*) FROM read.items") > 0
        assert await connection.fetchval("SELECT count(*) FROM commons.parked") == 0
        await _refused(connection, "DELETE FROM commons.checkpoint")
        await connection.execute("RESET ROLE")


async def test_the_clinics_role_reads_its_own_and_changes_no_position_of_another(stage: Stage) -> None:
    evening = Evening().play([])
    async with stage.running(ClinicPatients()), stage.running(Catalogue()):
        last = await store(stage, evening)
        await stage.wait("clinic_patients", "CLINIC", last["CLINIC"])
        await stage.wait("catalogue", "INVENTORY", last["INVENTORY"])
    async with stage.pool.acquire() as connection:
        await connection.execute("ALTER ROLE commons_clinic PASSWORD 'p'")
    host = stage.database_url.partition("@")[2]
    own = await open_pool(f"postgresql://commons_clinic:p@{host}", max_size=1)
    try:
        reading = await read(own, "clinic_patients", "SELECT patient FROM patients ORDER BY 1")
        assert [row["patient"] for row in reading.records] == ["ada", "ben", "cyd"]
        changed = await own.execute("UPDATE commons.checkpoint SET sequence = 0 WHERE projection = 'catalogue'")
        assert changed == "UPDATE 0"
        async with own.acquire() as connection:
            await _refused(connection, "SELECT * FROM read.items")
        # The whole life of a generation, as the role alone.
        await rebuild(ClinicPatients(), stage.nats_url, f"postgresql://commons_clinic:p@{host}")
    finally:
        own.terminate()
    await stage.assert_fresh(ClinicPatients())
