"""How each projection is, as the database tells it, whichever process folds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import asyncpg
import msgspec

from shared.generations import lock_key

_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Build:
    """A generation that is being built; `folding` says whether a process is at it now."""

    version: int
    generation: int
    positions: Mapping[str, int]
    folding: bool


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """`state` is live, building (nothing is live yet), stopped, or standing still (live, but no process folds it).

    `detail` is a sentence when there is something to say. `lag` is how many events each stream holds beyond the
    checkpoint, for the streams whose end was given. `building` is a generation on its way beside the live one.
    """

    name: str
    state: str
    detail: str
    version: int
    generation: int
    positions: Mapping[str, int]
    lag: Mapping[str, int]
    parked: int
    waiting: int
    incomplete: bool
    building: Build | None = None


async def status(pool: asyncpg.Pool, last: Mapping[str, int] | None = None) -> list[ProjectionStatus]:
    """Every projection that the database knows, by name. `last` are the last sequences of the streams."""
    async with pool.acquire() as connection:
        records = await connection.fetch(
            "SELECT g.projection, g.generation, g.version, state, sums, stopped,"
            " (SELECT json_object_agg(stream, sequence)::text FROM commons.checkpoint AS c"
            "  WHERE c.projection = g.projection AND c.generation = g.generation) AS positions,"
            " count(p.*) FILTER (WHERE p.status = 'parked') AS parked,"
            " count(p.*) FILTER (WHERE p.status = 'waiting') AS waiting"
            " FROM commons.generation AS g LEFT JOIN commons.parked AS p USING (projection, generation)"
            " WHERE state IN ('building', 'live') GROUP BY g.projection, g.generation"
            " ORDER BY g.projection, state DESC, g.generation DESC"
        )
        locks = await connection.fetch(
            "SELECT classid::bigint, objid::bigint FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    held = {(first, second) for first, second in locks}
    found: dict[str, ProjectionStatus] = {}
    for record in records:  # of each projection the live generation comes first, then the newest build
        name = record["projection"]
        folding = lock_key(name, record["generation"]) in held
        known = found.get(name)
        if known is None:
            found[name] = _status(record, folding, last or {})
        elif known.building is None and known.state != "building":
            found[name] = replace(known, building=_build(record, folding))
    return [_told(known) for known in found.values()]


async def standing(pool: asyncpg.Pool, seen: Iterable[ProjectionStatus], seconds: float) -> dict[tuple[str, str], int]:
    """The positions, by read model and stream, of those that are behind and do not move for so many seconds.

    `seen` is what `status` said of them; looks on for as long as there is one that might not.
    """
    behind = {
        (known.name, stream): known.positions[stream]
        for known in seen
        if known.state == "live"
        for stream, lag in known.lag.items()
        if lag
    }
    deadline = time.monotonic() + seconds
    while behind and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        now = {(known.name, stream): at for known in await status(pool) for stream, at in known.positions.items()}
        behind = {which: at for which, at in behind.items() if now.get(which) == at}
    return behind


def _status(record: asyncpg.Record, folding: bool, last: Mapping[str, int]) -> ProjectionStatus:
    positions = _positions(record)
    if record["stopped"]:
        state = "stopped"
    elif record["state"] == "building":
        state = "building"
    else:
        state = "live" if folding else "standing still"
    return ProjectionStatus(
        name=record["projection"], state=state, detail=record["stopped"] or "", version=record["version"],
        generation=record["generation"], positions=positions,
        lag={stream: max(0, last[stream] - position) for stream, position in positions.items() if stream in last},
        parked=record["parked"], waiting=record["waiting"],
        incomplete=record["sums"] and record["parked"] + record["waiting"] > 0,
    )  # fmt: skip


def _told(known: ProjectionStatus) -> ProjectionStatus:
    if known.state != "standing still":
        return known
    if known.building is not None and known.building.version > known.version:
        why = f"The code of version {known.version} is gone; version {known.building.version} is being built beside it."
    else:
        why = f"No process folds version {known.version} now."
    return replace(known, detail=why)


def _build(record: asyncpg.Record, folding: bool) -> Build:
    return Build(record["version"], record["generation"], _positions(record), folding)


def _positions(record: asyncpg.Record) -> dict[str, int]:
    return msgspec.json.decode(record["positions"] or "{}", type=dict[str, int])
