"""Brings a PostgreSQL database to the schema that this version of the code needs: numbered SQL files, forward only."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from shared.errors import Misconfigured

FOLDER: Final = Path(__file__).resolve().parent.parent / "migrations"
"""The project's own files, beside the packages."""

_FILE_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

# Any number will do, as long as every version of this module uses the same.
_LOCK: Final = 0x636F6D6D6F6E73

_TABLE: Final = """
CREATE SCHEMA IF NOT EXISTS commons;
CREATE TABLE IF NOT EXISTS commons.migration (
    number integer PRIMARY KEY CHECK (number > 0),
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE commons.migration IS 'The files of migrations/ that this database has been through.';
"""


@dataclass(frozen=True)
class Migration:
    """One file of the folder, NNNN_name.sql."""

    number: int
    name: str
    sql: str
    sha256: str


def read(folder: Path = FOLDER) -> list[Migration]:
    """The folder's migrations in order.

    Raises Misconfigured when a file's name has another form, or when the numbers are not 1, 2, 3 …
    """
    if not folder.is_dir():
        raise Misconfigured(f"There is no folder of migrations at {folder}: install the project from its repository.")
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise Misconfigured(f"{path} is not named like 0001_kernel.sql: four digits, then lower-case words.")
        try:
            content = path.read_bytes()
            sql = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{path} cannot be read as UTF-8 text: {error}") from error
        found.append(Migration(int(match[1]), match[2], sql, hashlib.sha256(content).hexdigest()))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise Misconfigured(
                f"{folder} should hold number {expected:04} next, but has {migration.number:04}_{migration.name}.sql: "
                "migrations are numbered from 0001 without gaps or repeats."
            )
    return found


async def migrate(connection: asyncpg.Connection, folder: Path = FOLDER) -> list[Migration]:
    """Apply what the database does not have yet, each file in a transaction of its own, and give what was applied.

    Safe to call from several processes at once: they take turns. Raises Misconfigured, with nothing applied, when a
    file that was applied before is missing or no longer the same; and with everything before it applied, when a file
    fails.
    """
    migrations = read(folder)
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(_TABLE)
        applied = await connection.fetch("SELECT number, name, sha256 FROM commons.migration ORDER BY number")
        _compare(applied, migrations, folder)
        fresh = migrations[len(applied) :]
        for migration in fresh:
            await _apply(connection, migration, folder)
        return fresh
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def migrate_database(url: str, folder: Path = FOLDER) -> list[Migration]:
    """The same, on a connection of its own. Raises Misconfigured also when the database cannot be reached."""
    try:
        connection = await asyncpg.connect(url, timeout=30)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        where = re.sub(r"//[^@/]*@", "//", url)  # never the password
        raise Misconfigured(
            f"The database {where} cannot be reached: {error}. Is it running, and is the URL right?"
        ) from error
    try:
        return await migrate(connection, folder)
    finally:
        await connection.close()


def _compare(applied: list[asyncpg.Record], migrations: list[Migration], folder: Path) -> None:
    for position, row in enumerate(applied):
        file = f"{row['number']:04}_{row['name']}.sql"
        if position >= len(migrations):
            raise Misconfigured(
                f"The database has been through {file}, which is not in {folder}: "
                "it was brought up to date by a newer version of the code. Run that version."
            )
        migration = migrations[position]
        if (migration.number, migration.name) != (row["number"], row["name"]):
            raise Misconfigured(
                f"The database has been through {file}, which is not in {folder} any more. Put the file back as it was."
            )
        if migration.sha256 != row["sha256"]:
            raise Misconfigured(
                f"{folder / file} was changed after this database had been through it "
                f"(SHA-256 {migration.sha256}, applied {row['sha256']}). "
                "Put it back as it was, and write what is to change into a new file."
            )


async def _apply(connection: asyncpg.Connection, migration: Migration, folder: Path) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO commons.migration (number, name, sha256) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        raise Misconfigured(
            f"{folder}/{migration.number:04}_{migration.name}.sql failed, and nothing of it was applied: {error} "
            f"(SQLSTATE {error.sqlstate})"
        ) from error
