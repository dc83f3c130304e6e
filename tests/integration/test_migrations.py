"""Migrations are applied once each, in order, whole, and are never changed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from shared.errors import Misconfigured
from shared.migrations import FOLDER, migrate, migrate_database, read


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database_url)
    yield made
    await made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (n int);")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (n int); INSERT INTO two VALUES (2);")
    return tmp_path


async def applied(connection: asyncpg.Connection) -> list[int]:
    return [row["number"] for row in await connection.fetch("SELECT number FROM commons.migration ORDER BY number")]


async def test_applies_each_file_once_in_order(connection: asyncpg.Connection, folder: Path) -> None:
    assert [migration.name for migration in await migrate(connection, folder)] == ["one", "two"]
    assert await migrate(connection, folder) == []
    (folder / "0003_three.sql").write_text("INSERT INTO two VALUES (3);")
    assert [migration.name for migration in await migrate(connection, folder)] == ["three"]
    assert [row["n"] for row in await connection.fetch("SELECT n FROM two ORDER BY n")] == [2, 3]
    assert await applied(connection) == [1, 2, 3]


async def test_a_failing_file_leaves_nothing_of_itself_and_all_before_it(
    connection: asyncpg.Connection, folder: Path
) -> None:
    (folder / "0003_three.sql").write_text("CREATE TABLE three (n int); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(Misconfigured, match=r"0003_three\.sql failed.*nowhere.*42P01"):
        await migrate(connection, folder)
    assert await applied(connection) == [1, 2]
    assert await connection.fetchval("SELECT to_regclass('three')") is None
    (folder / "0003_three.sql").write_text("CREATE TABLE three (n int);")
    assert len(await migrate(connection, folder)) == 1


async def test_a_file_and_the_record_of_it_are_one_transaction(connection: asyncpg.Connection, folder: Path) -> None:
    taken = "INSERT INTO commons.migration (number, name, sha256) VALUES (3, 'x', 'x');"
    (folder / "0003_three.sql").write_text(f"CREATE TABLE three (n int); {taken}")
    with pytest.raises(Misconfigured, match=r"0003_three\.sql failed"):
        await migrate(connection, folder)
    assert await connection.fetchval("SELECT to_regclass('three')") is None
    assert await applied(connection) == [1, 2]


async def test_a_changed_file_is_refused_and_nothing_new_is_applied(
    connection: asyncpg.Connection, folder: Path
) -> None:
    await migrate(connection, folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE one (n bigint);")
    (folder / "0003_three.sql").write_text("CREATE TABLE three (n int);")
    with pytest.raises(Misconfigured, match=r"0001_one\.sql was changed"):
        await migrate(connection, folder)
    assert await applied(connection) == [1, 2]


async def test_a_renamed_file_is_refused(connection: asyncpg.Connection, folder: Path) -> None:
    await migrate(connection, folder)
    (folder / "0001_one.sql").rename(folder / "0001_other.sql")
    with pytest.raises(Misconfigured, match=r"0001_one\.sql, which is not in"):
        await migrate(connection, folder)


async def test_a_database_ahead_of_the_code_is_refused(connection: asyncpg.Connection, folder: Path) -> None:
    await migrate(connection, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(Misconfigured, match="newer version of the code"):
        await migrate(connection, folder)


async def test_two_at_once_take_turns(database_url: str, folder: Path) -> None:
    results = await asyncio.gather(*(migrate_database(database_url, folder) for _ in range(5)))
    assert sorted(len(result) for result in results) == [0, 0, 0, 0, 2]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("0004_gap.sql", "0003 next"),
        ("0001_again.sql", "0002 next"),
        ("3_short.sql", "not named"),
        ("x.sql", "not named"),
    ],
)
def test_names_that_leave_the_order_open_are_refused(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(Misconfigured, match=says):
        read(folder)


def test_a_file_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "0003_bytes.sql").write_bytes(b"SELECT '\xff';")
    with pytest.raises(Misconfigured, match=r"0003_bytes\.sql cannot be read as UTF-8"):
        read(folder)


async def test_an_unreachable_database_is_named_without_its_password(folder: Path) -> None:
    with pytest.raises(Misconfigured, match=r"postgresql://127\.0\.0\.1:1/x cannot be reached") as failure:
        await migrate_database("postgresql://who:secret@127.0.0.1:1/x", folder)
    assert "secret" not in failure.value.detail


async def test_the_projects_own_migrations_apply(database_url: str) -> None:
    assert await migrate_database(database_url) == read(FOLDER)
    assert await migrate_database(database_url) == []
