"""Rows go into PostgreSQL and come back as they went, and what does not fit is an error of the event's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import asyncpg
import pytest

from services.local.nats import NatsServer
from shared.comparison import compare_sorted, difference, digest
from shared.folding import is_data_error
from shared.generations import begin_rebuild
from shared.projection import Rows, Table
from shared.tables import Statements, read_rows, rows_in_order
from tests.support.projections import Stage
from tests.support.till import CoinsMoved, Jars


@pytest.fixture
async def stage(nats_server: NatsServer, database_url: str) -> AsyncIterator[Stage]:
    async with Stage(nats_server, database_url) as made:
        yield made


TEXTS = (
    "",
    "null",
    "Z",
    "a",
    "\u00e9",
    "\uffee",
    "a b",
    "\\x41",
    '"\\ \u2603 \u0001 \U0001f980',
    "{}",
    "a\nb\tc",
    "'; DROP TABLE x; --",
)
EVERYTHING: list[dict[str, Any]] = [
    *({"t": text, "b": 2**63 - 1 - n, "i": -(2**31) + n, "o": n % 2 == 0, "d": date(1, 1, 1), "x": text.encode(),
     "m": datetime(1900, 1, 1, 0, 0, 0, n, tzinfo=UTC), "j": {text: [text, None, 2**53, {"a": []}]}}
    for n, text in enumerate(TEXTS)),
    {}, {"j": "a string"}, {"j": 0}, {"j": []}, {"j": None, "x": b"", "d": date(9999, 12, 31), "b": -(2**63)},
]  # fmt: skip


class Everything(Jars):
    name = "everything"
    views: ClassVar = {}
    tables = (
        Table(
            "everything", key=("t1", "b1", "m1", "d1"),
            columns={
                "t1": "text", "b1": "bigint", "m1": "timestamptz", "d1": "date", "t": "text", "b": "bigint",
                "i": "integer", "o": "boolean", "d": "date", "m": "timestamptz", "x": "bytea", "j": "jsonb",
            },
        ),
        Table("only_key", key=("t1",), columns={"t1": "text"}),
    )  # fmt: skip


async def test_every_type_of_column_comes_back_as_it_went(stage: Stage) -> None:
    moment, day = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC), date(2026, 2, 28)
    wanted = {(str(row.get("t")), n, moment, day): row for n, row in enumerate(EVERYTHING)}
    connection = await asyncpg.connect(stage.database_url)
    generation = await begin_rebuild(connection, Everything())
    statements = Statements(Everything(), generation.number)
    rows = Rows(Everything.tables, whole=True)
    for key, row in wanted.items():
        rows.put("everything", key, dict(row))
        rows.put("only_key", (key[0],), {})
    for _ in range(2):  # inserted, and then replaced
        await statements.write_rows(connection, statements.changes(rows))
    table = Everything.tables[0]
    stored = await read_rows(connection, generation.schema, table)
    assert difference(table, wanted, stored) is None
    assert digest(table, wanted) == digest(table, stored)
    async with connection.transaction():
        batches = [batch async for batch in rows_in_order(connection, generation.schema, table)]
        assert [key for batch in batches for key, _ in batch] == sorted(wanted)
        same = [rows_in_order(connection, generation.schema, table) for _ in range(2)]
        compared = await compare_sorted(table, *same)
    assert compared.difference is None
    assert compared.digest == compared.stored_digest == digest(table, stored)
    assert compared.rows == compared.stored_rows == len(wanted)
    loaded = Rows(Everything.tables)
    await statements.load(connection, loaded, [("everything", key) for key in wanted])
    assert difference(table, wanted, loaded.all("everything")) is None
    for key in wanted:
        rows.delete("everything", key)
    await statements.write_rows(connection, statements.changes(rows))
    assert await read_rows(connection, generation.schema, table) == {}
    assert len(await read_rows(connection, generation.schema, Everything.tables[1])) == len({key[0] for key in wanted})
    await connection.close()


@pytest.mark.parametrize(
    "unfit",
    [{"b": 2**63}, {"b": 2**64}, {"b": "one"}, {"b": 1.5}, {"i": 2**31}, {"o": "perhaps"}, {"d": "soon"}, {"m": 5},
     {"t": "a\x00b"}, {"j": ["a\x00b"]}, {"t": "\ud800"}, {"j": object()}],
)  # fmt: skip
async def test_a_value_that_does_not_fit_its_column_is_the_events_fault(stage: Stage, unfit: dict[str, Any]) -> None:
    connection = await asyncpg.connect(stage.database_url)
    generation = await begin_rebuild(connection, Everything())
    statements = Statements(Everything(), generation.number)
    rows = Rows(Everything.tables, whole=True)
    rows.put("everything", ("a", 1, datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1)), unfit)
    with pytest.raises((asyncpg.PostgresError, ValueError, TypeError)) as error:
        await statements.write_rows(connection, statements.changes(rows))
    assert is_data_error(error.value), error.value
    await connection.close()


async def test_a_write_from_a_wrong_position_writes_nothing(stage: Stage) -> None:
    last = await stage.publish([CoinsMoved(jar="a", coins=5), CoinsMoved(jar="b", coins=7)])
    async with stage.running(Jars()):
        await stage.wait("jars", "TILL", last)
    statements = Statements(Jars(), 1)
    for before, epoch, moved in ((1, 0, False), (2, 1, False), (2, 0, True)):
        rows = Rows(Jars.tables, whole=True)
        rows.put("jar", ("a",), {"coins": 99, "notes": []})
        rows.put("jar", ("c",), {"coins": 1, "notes": []})
        rows.delete("jar", ("b",))
        async with stage.pool.acquire() as connection:
            changes = statements.changes(rows)
            assert await statements.write(connection, changes, "TILL", before=before, after=3, epoch=epoch) is moved
        stored = dict(await stage.pool.fetch("SELECT jar, coins FROM read.jar"))
        assert stored == ({"a": 99, "c": 1} if moved else {"a": 5, "b": 7})
