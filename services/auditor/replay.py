"""A read model as it stood at any moment: a fresh fold of its streams into a schema of its own, beside the live one.

A replay is made in one transaction. Whatever breaks it off leaves nothing behind, and nobody sees a half of it. It has
the tables and views of the read model's code, belongs to the same role, and stays until it is removed; the live
tables are only ever read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
from nats.aio.client import Client

from shared.clock import utc_now
from shared.comparison import Beside, compare_sorted
from shared.connection import connect
from shared.errors import Busy, Corrupt, Invalid, LedgerError
from shared.event import Recorded, decode, timestamp
from shared.folding import is_data_error, passed_over
from shared.generations import Generation, live_generation, lock_key
from shared.projection import Key, NotLoaded, Projection, Rows, Unfoldable, fold
from shared.runner import FLUSH_BYTES, FLUSH_EVENTS, REBUILD_CACHE_ROWS, act_as, connected
from shared.store import EventStore
from shared.tables import Connection, RowStatements, create, rows_in_order
from shared.wire import Message, StreamReader

PREFIX: Final = "replay_"

READER: Final = "commons_reader"
"""The role of people and their tools (migrations/0003_clinic.sql). It reads a replay of what it may read live."""

_SLICE: Final = 500
_LOCK_SECONDS: Final = 5

Progress = Callable[[str, int, int], None]
"""Told a stream, the last sequence folded, and the one to which it is folded."""

Event = tuple[str, int]
"""A stream, and a sequence in it."""


class NothingYet(Invalid):
    """At the moment that was asked for, none of a read model's streams had an event."""

    code = "NOTHING_YET"


@dataclass(frozen=True, slots=True)
class Until:
    """Up to where streams are replayed: a moment of recording, or a sequence; without a stream of the only one."""

    moment: datetime | None = None
    sequences: Mapping[str | None, int] | None = None

    @property
    def text(self) -> str:
        if self.moment is not None:
            return timestamp(self.moment)
        return ", ".join(f"{stream}:{n}" if stream else str(n) for stream, n in (self.sequences or {}).items())


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An event that the live read model set aside, or that an operator skipped, and that the replay leaves out too."""

    stream: str
    sequence: int
    status: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Live:
    """Where the live read model stood when it was compared."""

    generation: int
    version: int
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay came to. `schema` is None when it was not kept.

    With `live`, `tables` are the replay's beside the live ones; they have to be equal when `level`: both stand at the
    same sequence of every stream. `live` is None when no read model of the code's version is live.
    """

    model: str
    version: int
    schema: str | None
    positions: Mapping[str, int]
    until: str | None
    events: int
    seconds: float
    left_out: Sequence[LeftOut]
    live: Live | None
    level: bool
    tables: Sequence[Beside]

    @property
    def problem(self) -> str | None:
        """The first row in which the live read model is not what its events say; None when it was not level."""
        return next((t.difference for t in self.tables if t.difference), None) if self.level else None


@dataclass(frozen=True, slots=True)
class Kept:
    """A replay that stands in the database."""

    schema: str
    model: str
    version: int
    positions: Mapping[str, int]
    until: str | None
    left_out: int
    made_at: str
    bytes: int
    owner: str


async def positions_of(nc: Client, projection: Projection, until: Until) -> dict[str, int]:
    """The sequence of each of a read model's streams up to which it is replayed.

    Raises Invalid for a moment that is yet to come or before the first event, for a sequence beyond the end, and for
    streams that are not the read model's.
    """
    stores = {stream: EventStore(nc, contract) for stream, contract in projection.contracts.items()}
    if until.moment is not None:
        return await _positions_at(projection, stores, until.moment)
    wanted = dict(until.sequences or {})
    if None in wanted and len(stores) == 1:
        wanted = {next(iter(stores)): wanted[None]}
    if missing := [stream for stream in stores if stream not in wanted]:
        needed = " ".join(f"--until {stream}:SEQ" for stream in stores)
        raise Invalid(
            f"{projection.name} reads {' and '.join(stores)}: say how far for each, as {needed}, or give a moment."
            if len(stores) > 1
            else f"{projection.name} reads {missing[0]}, for which --until says nothing."
        )
    positions = {stream: wanted[stream] for stream in stores}
    for stream, store in stores.items():
        last = await store.last_sequence()
        if positions[stream] > last:
            raise Invalid(
                f"{stream} ends at {last:,}: there is no event {positions[stream]:,} to replay {projection.name} to.",
                stream=stream, sequence=positions[stream], last=last,
            )  # fmt: skip
    if not any(positions.values()):
        raise NothingYet(f"Before event 1 {projection.name} had nothing to show: give a sequence from 1 on.")
    return positions


async def _positions_at(projection: Projection, stores: Mapping[str, EventStore], moment: datetime) -> dict[str, int]:
    now = utc_now()
    if moment > now:
        raise Invalid(
            f"{timestamp(moment)} is yet to come (it is {timestamp(now)}): give a moment that is past, or leave "
            "--until out to replay all there is."
        )
    positions = {stream: await store.position_at(moment) for stream, store in stores.items()}
    if not any(positions.values()):
        found = [await store.at(1) for store in stores.values()]
        begun = [f"the first event of {event.stream} was recorded at {event.envelope.time}" for event in found if event]
        raise NothingYet(
            f"At {timestamp(moment)} {projection.name} had nothing to show: "
            f"{' and '.join(begun) or 'there is no event yet in ' + ' or '.join(stores)}."
        )
    return positions


async def replay(
    projection: Projection, nats_url: str, database_url: str, *, positions: Mapping[str, int] | None = None,
    until: str | None = None, keep: bool = True, on_progress: Progress | None = None,
) -> Replay:  # fmt: skip
    """Fold a read model afresh in a schema of its own, and compare it with the live one, table by table.

    `positions` are the sequences up to which each stream is folded, `until` says in words what they came from. Without
    them the replay goes to where the live one is, or to the end when none is live. What the live one set aside is left
    out. Raises Corrupt, naming the event, when another one does not fold, and Busy when parked events were released
    meanwhile; nothing is then left behind. Without `keep` nothing is left in any case.
    """
    began = time.perf_counter()
    async with (
        connected(database_url, projection, "replay") as connection,
        connected(database_url, projection, "replay") as beside,
    ):
        # Never committed in parts: PostgreSQL throws a half-made replay away with the transaction.
        building = connection.transaction()
        await building.start()
        schema = await _reserve(connection, projection.name)
        await create(connection, projection, schema)
        async with beside.transaction(isolation="repeatable_read", readonly=True):
            live = await _standing(beside, projection)
        goal = positions if positions is not None else live.positions if live else await _ends(projection, nats_url)
        folding = _Folding(connection, projection, schema, nats_url, live.left_out if live else {}, on_progress)
        await folding.to(goal)
        async with beside.transaction(isolation="repeatable_read", readonly=True):
            now = await _standing(beside, projection)
            if now is not None:
                _same_left_out(projection, folding, now.left_out)
                if positions is None:  # it went on meanwhile: what is compared is what this snapshot sees
                    folding.left_out = now.left_out
                    await folding.to(now.positions)
            tables = [
                await compare_sorted(
                    table,
                    rows_in_order(connection, schema, table),
                    rows_in_order(beside, now.generation.schema, table),
                )
                for table in projection.tables if now is not None
            ]  # fmt: skip
        left_out = folding.passed()
        if keep:
            await _label(connection, projection, schema, folding.positions, until, len(left_out))
            await building.commit()
        else:
            await building.rollback()
    return Replay(
        projection.name, projection.version, schema if keep else None, folding.positions, until, folding.events,
        time.perf_counter() - began, left_out,
        Live(now.generation.number, now.generation.version, now.positions) if now else None,
        now is not None and dict(now.positions) == folding.positions, tables,
    )  # fmt: skip


async def kept(connection: Connection) -> list[Kept]:
    """The replays that stand in the database, by name."""
    found = await connection.fetch(
        "SELECT nspname, pg_get_userbyid(nspowner) AS owner, obj_description(n.oid, 'pg_namespace') AS said,"
        " (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c"
        "  WHERE c.relnamespace = n.oid AND c.relkind = 'r') AS bytes"
        " FROM pg_namespace AS n WHERE starts_with(nspname, $1)",
        PREFIX,
    )
    replays = []
    for record in found:
        said = _read_label(record["said"])
        if said is not None:
            replays.append(Kept(record["nspname"], **said, bytes=record["bytes"], owner=record["owner"]))
    return sorted(replays, key=lambda one: (one.model, len(one.schema), one.schema))


async def remove(connection: Connection, schema: str) -> Kept:
    """Remove a replay. Raises Invalid when there is none of that name, and Busy while somebody reads it."""
    found = {one.schema: one for one in await kept(connection)}
    one = found.get(schema)
    if one is None:
        there = f"There is: {', '.join(found)}." if found else "There is none."
        raise Invalid(f"There is no replay {schema[:80]!r}. {there}")
    if one.owner != await connection.fetchval("SELECT current_user"):
        await act_as(connection, await connection.fetchval("SELECT quote_ident($1)", one.owner))
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    except asyncpg.LockNotAvailableError as error:
        raise Busy(f"{schema} is being read: it was not removed. Try again when the reader is done.") from error
    finally:
        await connection.execute("RESET ROLE")
    return one


# -- where the live one stands ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Standing:
    generation: Generation
    positions: dict[str, int]
    left_out: dict[Event, LeftOut]


async def _standing(connection: Connection, projection: Projection) -> _Standing | None:
    """The live read model in the caller's snapshot; None when there is none of this version."""
    live = await live_generation(connection, projection.name)
    if live is None or live.version != projection.version:
        return None
    where = (live.projection, live.number)
    positions = await connection.fetch(
        "SELECT stream, sequence FROM commons.checkpoint WHERE projection = $1 AND generation = $2", *where
    )
    left_out = await connection.fetch(
        "SELECT stream, sequence, status, error FROM commons.parked WHERE projection = $1 AND generation = $2"
        " AND status <> 'retried' ORDER BY stream, sequence", *where
    )  # fmt: skip
    return _Standing(
        live, {one["stream"]: one["sequence"] for one in positions},
        {(one["stream"], one["sequence"]): LeftOut(**dict(one)) for one in left_out},
    )  # fmt: skip


async def _ends(projection: Projection, nats_url: str) -> dict[str, int]:
    nc = await connect(nats_url, name="replay")
    try:
        return {s: await EventStore(nc, contract).last_sequence() for s, contract in projection.contracts.items()}
    finally:
        await nc.close()


def _same_left_out(projection: Projection, folding: _Folding, now: Mapping[Event, LeftOut]) -> None:
    """Events that were folded cannot be taken out again, nor can those that were passed over be put in."""
    since = {(stream, sequence) for stream, sequence in now if sequence <= folding.positions.get(stream, 0)}
    if since != {(one.stream, one.sequence) for one in folding.passed()}:
        raise Busy(
            f"Parked events of {projection.name} were set aside or released while it was replayed, so it cannot be "
            "compared. Nothing was kept; run it again."
        )


# -- folding ------------------------------------------------------------------------------------------------------


class _Folding:
    """Folds streams into the tables of one schema, a batch at a time, in the caller's transaction."""

    def __init__(
        self, connection: Connection, projection: Projection, schema: str, nats_url: str,
        left_out: Mapping[Event, LeftOut], on_progress: Progress | None,
    ) -> None:  # fmt: skip
        self.positions: dict[str, int] = dict.fromkeys(projection.streams, 0)
        self.left_out = left_out
        self.events = 0
        self._connection, self._projection, self._nats_url = connection, projection, nats_url
        self._on_progress = on_progress
        self._statements = RowStatements(projection, schema)
        self._rows = Rows(projection.tables, whole=True)
        self._writing: asyncio.Task[None] | None = None

    def passed(self) -> list[LeftOut]:
        """What was left out so far."""
        return [one for one in self.left_out.values() if one.sequence <= self.positions[one.stream]]

    async def to(self, goal: Mapping[str, int]) -> None:
        """Fold each stream up to a sequence, from where it stands; streams commute."""
        try:
            for stream, position in goal.items():
                if position > self.positions[stream]:
                    await self._stream(stream, position)
            await self._written()
        finally:
            if self._writing is not None:
                self._writing.cancel()
                await asyncio.gather(self._writing, return_exceptions=True)

    async def _stream(self, stream: str, position: int) -> None:
        start = self.positions[stream] + 1
        async with StreamReader(self._nats_url, stream, start, name=f"replay-{self._projection.name}") as reader:
            if reader.last_sequence < position:
                raise Corrupt(
                    f"{self._projection.name} has folded {stream} up to {position:,}, but the stream ends at "
                    f"{reader.last_sequence:,}: its tail is lost. Stop the services, keep the server's folder as it "
                    "is, and restore the stream from a backup.",
                    stream=stream, sequence=reader.last_sequence, expected=position,
                )  # fmt: skip
            gathered: list[Message] = []
            size = 0
            self._tell(stream, position)
            async for messages in reader.batches(until=position):
                gathered += messages
                size += sum(len(message.payload) for message in messages)
                if messages[-1].sequence < position and len(gathered) < FLUSH_EVENTS and size < FLUSH_BYTES:
                    continue
                await self._batch(stream, gathered)
                self.positions[stream] = gathered[-1].sequence
                gathered, size = [], 0
                self._tell(stream, position)

    def _tell(self, stream: str, position: int) -> None:
        if self._on_progress is not None:
            self._on_progress(stream, self.positions[stream], position)

    async def _batch(self, stream: str, messages: Sequence[Message]) -> None:
        """Fold the next messages. While PostgreSQL writes their rows, those after them are folded."""
        contract, unwanted = self._projection.contracts[stream], passed_over(self._projection, stream)
        events = []
        for number, message in enumerate(messages):
            if not number % _SLICE:
                await asyncio.sleep(0)
            if self.left_out and (stream, message.sequence) in self.left_out:
                continue
            event = decode(
                message.payload, stream=stream, sequence=message.sequence, subject=message.subject, contract=contract
            )
            if event.envelope.type not in unwanted:
                events.append(event)
        self.events += len(events)
        await self._fold(events)

    async def _fold(self, events: Sequence[Recorded]) -> None:
        extra: list[tuple[str, Key]] = []
        while events:
            try:
                await self._apply(events, extra)
                break
            except Unfoldable as failure:
                event = events[failure.index]
                if not isinstance(failure.cause, NotLoaded):
                    raise _unfoldable(self._projection, event, failure.cause) from failure
                self._rows.discard()
                await self._fold(events[: failure.index])  # these were seen to fold
                events = events[failure.index :]
                extra.append((failure.cause.table, failure.cause.key))
        if not self._rows.changed():
            return
        changes = self._statements.changes(self._rows)
        await self._written()
        self._rows.settle(REBUILD_CACHE_ROWS)
        self._writing = asyncio.ensure_future(self._statements.write_rows(self._connection, changes))

    async def _apply(self, events: Sequence[Recorded], extra: Sequence[tuple[str, Key]]) -> None:
        for start in range(0, len(events), _SLICE):
            await asyncio.sleep(0)
            part = events[start : start + _SLICE]
            if not self._rows.whole:
                await self._written()  # what is loaded may be among it
                wanted = list(extra)
                for index, event in enumerate(part):
                    try:
                        wanted += self._projection.touches(event)
                    except Exception as error:  # the door: whatever goes wrong in reading the event is the event's
                        raise Unfoldable(start + index, error) from error
                await self._statements.load(self._connection, self._rows, wanted)
            try:
                fold(self._projection, part, self._rows)
            except Unfoldable as failure:
                failure.index += start
                raise

    async def _written(self) -> None:
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        try:
            await writing
        except Exception as error:
            if not is_data_error(error):
                raise
            raise Corrupt(
                f"PostgreSQL refuses rows of {self._projection.name} that its events lead to, though none of them is "
                f"parked: {type(error).__name__}: {error}"
            ) from error


def _unfoldable(projection: Projection, event: Recorded, cause: Exception) -> Corrupt:
    return Corrupt(
        f"{projection.name} cannot fold event {event.sequence:,} of {event.stream} ({event.subject}), though it is not "
        f"parked: {type(cause).__name__}: {cause}",
        stream=event.stream, sequence=event.sequence, subject=event.subject,
    )  # fmt: skip


# -- names and labels ---------------------------------------------------------------------------------------------


async def _reserve(connection: Connection, model: str) -> str:
    """A name that no replay has: it is this one's until the end of the transaction."""
    for number in range(1, 1000):
        schema = f"{PREFIX}{model}_{number}"
        if not await _exists(connection, schema) and await connection.fetchval(
            "SELECT pg_try_advisory_xact_lock($1, $2)", *lock_key(schema, 0)
        ):
            if await _exists(connection, schema):  # another's, which ended in between
                continue
            return schema
    raise LedgerError(f"There are a thousand replays of {model}. Remove some: commons replay --list.")


async def _exists(connection: Connection, schema: str) -> bool:
    found: bool = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema)
    return found


async def _label(
    connection: Connection, projection: Projection, schema: str, positions: Mapping[str, int], until: str | None,
    left_out: int,
) -> None:  # fmt: skip
    """Say in the schema's comment what it is, and let read it who may read the live one."""
    said = {
        "model": projection.name, "version": projection.version, "positions": dict(positions), "until": until,
        "left_out": left_out, "made_at": timestamp(utc_now()),
    }  # fmt: skip
    statements: Iterable[str] = [
        await connection.fetchval("SELECT format('COMMENT ON SCHEMA %I IS %L', $1::text, $2::text)", schema,
                                  json.dumps(said))
    ]  # fmt: skip
    if projection.role is None:
        statements = [
            *statements, f"GRANT USAGE ON SCHEMA {schema} TO {READER}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}",
        ]  # fmt: skip
    for statement in statements:
        await connection.execute(statement)


def _read_label(said: str | None) -> dict[str, Any] | None:
    """What the comment of a replay's schema says; None for a schema that is none."""
    try:
        found = json.loads(said or "")
    except ValueError:
        return None
    names = ("model", "version", "positions", "until", "left_out", "made_at")
    return {name: found[name] for name in names} if isinstance(found, dict) and set(names) <= found.keys() else None
