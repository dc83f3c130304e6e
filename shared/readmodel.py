"""Reading read models: rows with the position they stand for, and waiting for a position.

answer = await handler.handle(command, meta)
stock = await read(pool, "stock_on_hand", "SELECT on_hand FROM stock WHERE item = $1", "rice",
                   at_least=(answer.stream, answer.sequence))
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from shared.errors import Busy, Invalid
from shared.tables import CHANNEL, Connection, schema_of

_POLL_SECONDS: Final = 0.25  # in case a notification is lost with its connection


class Behind(Busy):
    """A read model did not reach the wanted position in time."""

    code = "BEHIND"


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows of one moment. `checkpoints` are, by projection and stream, the last sequence the rows stand for.

    `incomplete` is set when a projection that sums over aggregates has set events aside: its figures leave them out.
    `parked` counts those events in any of the projections read.
    """

    records: Sequence[asyncpg.Record]
    checkpoints: Mapping[str, Mapping[str, int]]
    incomplete: bool
    parked: int


async def read(
    pool: asyncpg.Pool, projections: str | Sequence[str], sql: str, *arguments: Any,
    at_least: tuple[str, int] | None = None, timeout: float = 5.0,
) -> Reading:  # fmt: skip
    """Run a query over the tables of one or several read models, all as of one moment.

    Tables are named without a schema. The rows, the checkpoints and the choice of the live generation come from one
    snapshot, so a switch in the middle is not seen. With `at_least`, a stream and a sequence, it waits until each
    of the read models that reads this stream has got there. Raises Behind after `timeout`
    seconds, and Invalid for a name that is not a read model's.
    """
    names = [projections] if isinstance(projections, str) else list(projections)
    deadline = asyncio.get_running_loop().time() + timeout
    retried = False
    while True:
        if at_least is not None:
            for name in names:
                left = max(0.0, deadline - asyncio.get_running_loop().time())
                await wait_for(pool, name, *at_least, timeout=left, among=names)
        try:
            reading = await _read(pool, names, sql, arguments)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidCachedStatementError):
            # The switch of a version changed the columns under a prepared statement, or a reader was so slow that the
            # tables it had chosen were swept away. Both are over at the second try.
            if retried:
                raise
            retried = True
            continue
        # A crash of PostgreSQL can take the last moments of a read model with it; they are then folded again.
        if at_least is None or all(
            c.get(at_least[0], at_least[1]) >= at_least[1] for c in reading.checkpoints.values()
        ):
            return reading


async def wait_for(
    pool: asyncpg.Pool, projection: str, stream: str, sequence: int, *, timeout: float = 5.0,
    among: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Return once a read model has folded `sequence` of a stream. Raises Behind after `timeout` seconds, with the lag.

    `among` are the read models of one query: one of them has to read the stream, not each.
    """
    async with pool.acquire() as connection:
        if await _reached(connection, projection, stream, sequence, among or [projection]):
            return
        moved = asyncio.Event()

        def heard(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            if str(payload).startswith(f"{projection} "):
                moved.set()

        await connection.add_listener(CHANNEL, heard)
        try:
            async with asyncio.timeout(timeout):
                while not await _reached(connection, projection, stream, sequence, among or [projection]):
                    try:
                        await asyncio.wait_for(moved.wait(), _POLL_SECONDS)
                    except TimeoutError:
                        continue
                    finally:
                        moved.clear()
        except TimeoutError:
            raise await _behind(connection, projection, stream, sequence, timeout) from None
        finally:
            if not connection.is_closed():
                await connection.remove_listener(CHANNEL, heard)


# -- inside -------------------------------------------------------------------------------------------------------


async def _read(pool: asyncpg.Pool, names: Sequence[str], sql: str, arguments: Sequence[Any]) -> Reading:
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        records = await connection.fetch(
            "SELECT g.projection, g.generation, sums, stream, sequence,"
            " (SELECT count(*) FROM commons.parked AS p WHERE p.projection = g.projection"
            "  AND p.generation = g.generation AND p.status IN ('parked', 'waiting')) AS parked"
            " FROM commons.generation AS g JOIN commons.checkpoint AS c USING (projection, generation)"
            " WHERE g.state = 'live' AND g.projection = ANY($1)",
            names,
        )
        if missing := set(names) - {record["projection"] for record in records}:
            raise await _unknown(connection, sorted(missing))
        schemas = {schema_of(record["projection"], record["generation"]): None for record in records}
        await connection.execute(f"SET LOCAL search_path TO {', '.join(schemas)}")
        rows = await connection.fetch(sql, *arguments)
    checkpoints: dict[str, dict[str, int]] = {}
    parked: dict[str, int] = {}
    for record in records:
        checkpoints.setdefault(record["projection"], {})[record["stream"]] = record["sequence"]
        parked[record["projection"]] = record["parked"]
    incomplete = any(record["sums"] and record["parked"] for record in records)
    return Reading(rows, checkpoints, incomplete, sum(parked.values()))


async def _reached(connection: Connection, projection: str, stream: str, sequence: int, among: Sequence[str]) -> bool:
    """Raises Invalid when nothing that is read here reads the stream, and Behind when the projection stopped."""
    records = await connection.fetch(
        "SELECT projection, stream, sequence, stopped FROM commons.generation JOIN commons.checkpoint"
        " USING (projection, generation) WHERE state = 'live' AND projection = ANY($1)",
        [projection, *among],
    )
    if projection not in {record["projection"] for record in records}:
        raise await _unknown(connection, [projection])
    if stream not in {record["stream"] for record in records}:
        raise Invalid(f"{' and '.join(among)} read no stream {stream}: they cannot be waited for on it.")
    for record in records:
        if record["projection"] == projection and record["stream"] == stream and record["sequence"] < sequence:
            if record["stopped"]:
                raise Behind(f"{projection} has stopped at {record['sequence']:,} of {stream}: {record['stopped']}")
            return False
    return True


async def _behind(connection: Connection, projection: str, stream: str, sequence: int, timeout: float) -> Behind:
    position = await connection.fetchval(
        "SELECT sequence FROM commons.generation JOIN commons.checkpoint USING (projection, generation)"
        " WHERE state = 'live' AND projection = $1 AND stream = $2",
        projection, stream,
    )  # fmt: skip
    return Behind(
        f"{projection} has come to {position:,} of {stream} and did not reach {sequence:,} within {timeout:g} s: it is "
        f"{sequence - position:,} event(s) behind. Ask again, or look at `commons status`.",
        projection=projection, stream=stream, sequence=position, lag=sequence - position,
    )  # fmt: skip


async def _unknown(connection: Connection, names: Sequence[str]) -> Invalid | Behind:
    building = await connection.fetchval(
        "SELECT min(projection) FROM commons.generation WHERE projection = ANY($1) AND state = 'building'", names
    )
    if building is not None:
        return Behind(f"{building} is being built for the first time; ask again when it is ready.")
    known = await connection.fetch("SELECT projection FROM commons.generation WHERE state = 'live' ORDER BY 1")
    listed = ", ".join(name for (name,) in known) or "none yet"
    return Invalid(f"There is no read model {', '.join(name[:60] for name in names)}. There are: {listed}.")
