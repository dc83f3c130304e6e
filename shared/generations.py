"""The life of a projection's generations: building, live, retired, gone.

A generation is built beside the live one and takes its place in one transaction. Whoever folds a generation holds an
advisory lock on it, so two processes never fold the same one; PostgreSQL gives the lock back when a process dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.errors import LedgerError, Misconfigured
from shared.projection import Projection
from shared.tables import CHANNEL, Connection, create, layout, relations, schema_of

GRACE_SECONDS: Final = 60
"""How long the tables of a retired generation stay for readers that began before the switch."""


_PATIENCE_MS: Final = 50


class StandsStill(LedgerError):
    """Nothing is to be folded here for now; the detail says why. It may change, so look again later."""

    status = 503
    code = "STANDS_STILL"


@dataclass(frozen=True, slots=True)
class Generation:
    """One build of a projection: its number, the version of the code that fills it, and whether readers see it."""

    projection: str
    number: int
    version: int
    live: bool

    @property
    def schema(self) -> str:
        return schema_of(self.projection, self.number)


async def take(connection: Connection, projection: Projection) -> Generation:
    """The generation that this process is to fold: the live one, or one of its own version to be built.

    The connection then holds its lock. Raises StandsStill when another process folds it or when the live one is of a
    newer version, and Misconfigured when the tables changed without a new version.
    """
    async with connection.transaction():
        await _claim(connection, projection.name)
        live = await live_generation(connection, projection.name)
        if live is not None and live.version > projection.version:
            raise StandsStill(
                f"{projection.name} is at version {live.version}, and this process has the code of version "
                f"{projection.version}: it folds nothing."
            )
        if live is not None and live.version == projection.version:
            await _same_layout(connection, projection, live)
            if not await _lock(connection, live.projection, live.number):
                raise StandsStill(f"{projection.name} is being folded by another process; this one stands by.")
            return live
        for number in await _numbers(connection, projection, "building"):
            if not await _lock(connection, projection.name, number):
                raise StandsStill(
                    f"Version {projection.version} of {projection.name} is being built by another process; "
                    "this one stands by."
                )
            return Generation(projection.name, number, projection.version, live=False)
        return await _begin(connection, projection)


async def begin_rebuild(connection: Connection, projection: Projection) -> Generation:
    """A new, empty generation of the code's version, beside whatever is live. The connection holds its lock."""
    async with connection.transaction():
        await _claim(connection, projection.name)
        return await _begin(connection, projection)


async def release(connection: Connection, generation: Generation) -> None:
    """Give back the lock that `take` or `begin_rebuild` took."""
    await connection.execute("SELECT pg_advisory_unlock($1, $2)", *lock_key(generation.projection, generation.number))


async def switch(connection: Connection, projection: Projection, generation: Generation) -> bool:
    """Make a generation the live one, views and all, if it is not behind the one that is live now.

    Rows, views and the mark are switched by one transaction, so a reader sees the one or the other. False: it is still
    behind on some stream, or readers hold the views; nothing changed, and it may be tried again at once. Raises
    Misconfigured when another read model shows one of its names.
    """
    try:
        async with connection.transaction():
            await _switch(connection, projection, generation)
    except (_Behind, asyncpg.LockNotAvailableError):
        return False
    return True


async def sweep(connection: Connection, projection: Projection) -> list[int]:
    """Drop what nobody needs: retired generations after their grace, and half-built ones that nobody builds on.

    Returns their numbers. One that is still read is left for the next time.
    """
    dropped = []
    old = await connection.fetch(
        "SELECT generation FROM commons.generation WHERE projection = $1 AND "
        "(state = 'retired' AND retired_at < now() - make_interval(secs => $2) OR state = 'building' AND version <> $3"
        " OR state = 'building' AND EXISTS (SELECT FROM commons.generation AS l WHERE l.projection = $1"
        " AND l.state = 'live' AND l.version = $3))",
        projection.name, GRACE_SECONDS, projection.version,
    )  # fmt: skip
    for (number,) in old:
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '200ms'")
                if not await connection.fetchval(
                    "SELECT pg_try_advisory_xact_lock($1, $2)", *lock_key(projection.name, number)
                ):
                    continue
                await connection.execute(f"DROP SCHEMA {schema_of(projection.name, number)} CASCADE")
                await connection.execute(
                    "UPDATE commons.generation SET state = 'dropped' WHERE projection = $1 AND generation = $2",
                    projection.name, number,
                )  # fmt: skip
        except asyncpg.LockNotAvailableError:
            continue
        dropped.append(number)
    return dropped


async def live_generation(connection: Connection, projection: str) -> Generation | None:
    found = await connection.fetchrow(
        "SELECT generation, version FROM commons.generation WHERE projection = $1 AND state = 'live'", projection
    )
    return Generation(projection, found["generation"], found["version"], live=True) if found else None


# -- inside -------------------------------------------------------------------------------------------------------


class _Behind(Exception):
    """Rolls the switch back."""


async def _switch(connection: Connection, projection: Projection, generation: Generation) -> None:
    await _claim(connection, projection.name)
    live = await live_generation(connection, projection.name)
    if live is not None:
        # Held until the switch is made, so that the live one cannot move on in between; the raised epoch tells its
        # runner, at its next write, that it is no longer the one.
        await connection.execute(
            "UPDATE commons.checkpoint SET epoch = epoch + 1 WHERE projection = $1 AND generation = $2",
            live.projection, live.number,
        )  # fmt: skip
        if await _behind(connection, generation, live):
            raise _Behind
        # A reader may hold one view and wait for another. It is the switch that gives way, and not the reader, so it
        # waits for less than PostgreSQL's deadlock_timeout; whoever reads meanwhile is held up no longer than that.
        await connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE_MS}ms'")
        await _hide(connection, projection, live)
    await _free(connection, projection)
    for name in relations(projection):
        await connection.execute(f"CREATE VIEW {projection.schema}.{name} AS SELECT * FROM {generation.schema}.{name}")  # noqa: S608
    await connection.execute(
        "UPDATE commons.generation SET state = 'live', live_at = now() WHERE projection = $1 AND generation = $2",
        projection.name, generation.number,
    )  # fmt: skip
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{projection.name} * 0")


async def _claim(connection: Connection, projection: str) -> None:
    """Until the end of the transaction nobody else begins, takes or switches generations of this projection."""
    await connection.execute("SELECT pg_advisory_xact_lock($1, 0)", lock_key(projection, 0)[0])


def lock_key(projection: str, number: int) -> tuple[int, int]:
    """An advisory lock's two halves: the projection's name, hashed alike by every process, and the generation."""
    digest = 0
    for byte in projection.encode():
        digest = (digest * 31 + byte) & 0x7FFFFFFF
    return digest, number


async def _lock(connection: Connection, projection: str, number: int) -> bool:
    locked: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", *lock_key(projection, number))
    return locked


async def _numbers(connection: Connection, projection: Projection, state: str) -> list[int]:
    """Generations of the code's own version and layout in a state, newest first."""
    records = await connection.fetch(
        "SELECT generation FROM commons.generation"
        " WHERE projection = $1 AND state = $2 AND version = $3 AND layout = $4 ORDER BY generation DESC",
        projection.name, state, projection.version, layout(projection),
    )  # fmt: skip
    return [number for (number,) in records]


async def _same_layout(connection: Connection, projection: Projection, live: Generation) -> None:
    stored = await connection.fetchval(
        "SELECT layout FROM commons.generation WHERE projection = $1 AND generation = $2", live.projection, live.number
    )
    if stored != layout(projection):
        raise Misconfigured(
            f"The tables of {projection.name} changed, but its version is still {projection.version}. Raise the "
            "version in its code: the new one is then built beside the live one."
        )


async def _begin(connection: Connection, projection: Projection) -> Generation:
    """Make the tables and the checkpoints of a new generation; what an operator skipped stays skipped."""
    name = projection.name
    number: int = await connection.fetchval(
        "SELECT coalesce(max(generation), 0) + 1 FROM commons.generation WHERE projection = $1", name
    )
    await connection.execute(
        "INSERT INTO commons.generation (projection, generation, version, state, layout, relations, sums)"
        " VALUES ($1, $2, $3, 'building', $4, $5, $6)",
        name, number, projection.version, layout(projection), relations(projection), projection.sums,
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO commons.checkpoint (projection, generation, stream, sequence) VALUES ($1, $2, $3, 0)",
        [(name, number, stream) for stream in projection.streams],
    )
    await connection.execute(
        "INSERT INTO commons.parked (projection, generation, version, stream, sequence, subject, event, status, error,"
        " reason, parked_at, settled_at) SELECT DISTINCT ON (stream, sequence) projection, $2, version, stream,"
        " sequence, subject, event, status, error, reason, parked_at, settled_at FROM commons.parked"
        " WHERE projection = $1 AND version = $3 AND status = 'skipped' ORDER BY stream, sequence, generation DESC",
        name, number, projection.version,
    )  # fmt: skip
    await create(connection, projection, schema_of(name, number))
    if not await _lock(connection, name, number):
        raise StandsStill(f"Generation {number} of {name} is locked by another process.")
    return Generation(name, number, projection.version, live=False)


async def _behind(connection: Connection, generation: Generation, live: Generation) -> bool:
    """Whether a stream that both read was read further by the live one."""
    behind: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM commons.checkpoint AS new JOIN commons.checkpoint AS old USING (projection, stream)"
        " WHERE projection = $1 AND new.generation = $2 AND old.generation = $3 AND new.sequence < old.sequence)",
        live.projection, generation.number, live.number,
    )  # fmt: skip
    return behind


async def _hide(connection: Connection, projection: Projection, live: Generation) -> None:
    shown: list[str] = await connection.fetchval(
        "UPDATE commons.generation SET state = 'retired', retired_at = now()"
        " WHERE projection = $1 AND generation = $2 RETURNING relations",
        live.projection, live.number,
    )  # fmt: skip
    for name in shown:
        await connection.execute(f"DROP VIEW IF EXISTS {projection.schema}.{name}")


async def _free(connection: Connection, projection: Projection) -> None:
    """Refuse a name that another read model shows: the views of one would silently hide the other's."""
    taken = await connection.fetchrow(
        "SELECT projection, relations FROM commons.generation WHERE state = 'live' AND projection <> $1"
        " AND relations && $2",
        projection.name, relations(projection),
    )  # fmt: skip
    if taken is not None:
        names = sorted(set(taken["relations"]) & set(relations(projection)))
        raise Misconfigured(
            f"{projection.name} and {taken['projection']} both have a table or view named {', '.join(names)}. "
            "Rename it in one of them, and raise that one's version."
        )
