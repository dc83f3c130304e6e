"""What an operator does about poison events: list them, retry them once the cause is mended, or skip them.

A retry folds the event and then those of its aggregate that waited behind it, in order. It folds them late, after
events of other aggregates that came between; a projection for whose rows that order matters is rebuilt afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from shared.errors import Invalid
from shared.event import decode
from shared.folding import is_data_error, passed_over
from shared.generations import live_generation
from shared.projection import NotLoaded, Projection, Rows, Unfoldable, fold
from shared.tables import Connection, Statements


@dataclass(frozen=True, slots=True)
class Parked:
    """One event that was set aside. `status` is parked (it failed), retried or skipped."""

    projection: str
    version: int
    stream: str
    sequence: int
    subject: str
    status: str
    error: str | None
    reason: str | None
    parked_at: datetime
    waiting: int
    """How many later events of the same aggregate wait behind it."""


@dataclass(frozen=True, slots=True)
class Released:
    """What a retry or a skip came to: the sequences folded, and the event that failed, if one did."""

    folded: tuple[int, ...]
    failed: int | None = None
    error: str | None = None


async def list_parked(connection: Connection, projection: str | None = None, *, settled: bool = False) -> list[Parked]:
    """The parked events of one live read model, or of all; with `settled`, those retried or skipped as well."""
    records = await connection.fetch(
        "SELECT p.projection, p.version, p.stream, p.sequence, p.subject, p.status, p.error, p.reason, p.parked_at,"
        " (SELECT count(*) FROM commons.parked AS w WHERE w.projection = p.projection AND w.generation = p.generation"
        "  AND w.stream = p.stream AND w.subject = p.subject AND w.status = 'waiting' AND p.status = 'parked')"
        " AS waiting"
        " FROM commons.parked AS p JOIN commons.generation USING (projection, generation)"
        " WHERE state = 'live' AND ($1::text IS NULL OR projection = $1)"
        " AND (status = 'parked' OR $2 AND status <> 'waiting') ORDER BY projection, stream, sequence",
        projection, settled,
    )  # fmt: skip
    return [Parked(**dict(record)) for record in records]


async def retry(connection: Connection, projection: Projection, sequence: int, stream: str | None = None) -> Released:
    """Fold a parked event again, and then those that wait behind it.

    The first that fails stays parked, with its new error, and the rest wait on. Raises Invalid when no such event is
    parked, or when the live read model is not of this code's version.
    """
    return await _release(connection, projection, stream, sequence, None)


async def skip(
    connection: Connection, projection: Projection, sequence: int, reason: str, stream: str | None = None
) -> Released:
    """Leave a parked event out of this read model for good, and fold those that wait behind it.

    A rebuild of the same version leaves it out too; a new version of the projection's code looks at it again.
    """
    if not reason.strip():
        raise Invalid("Say why the event is skipped: whoever reads these figures later will ask.")
    return await _release(connection, projection, stream, sequence, reason.strip())


# -- inside -------------------------------------------------------------------------------------------------------


async def _release(
    connection: Connection, projection: Projection, stream: str | None, sequence: int, reason: str | None
) -> Released:
    stream = _stream(projection, stream)
    async with connection.transaction():
        # The runner's next write waits for this row, then finds the raised epoch and reads everything afresh.
        live = await live_generation(connection, projection.name)
        if live is None or live.version != projection.version:
            version = f"at version {live.version}" if live else "not built yet"
            raise Invalid(
                f"{projection.name} is {version}, and the code at hand is version {projection.version}: "
                "events are released by the same code that folds them."
            )
        await connection.execute(
            "UPDATE commons.checkpoint SET epoch = epoch + 1 WHERE projection = $1 AND generation = $2",
            projection.name, live.number,
        )  # fmt: skip
        queue = await _queue(connection, projection, live.number, stream, sequence)
        mark = _Mark(connection, projection.name, live.number, stream)
        if reason is not None:
            await mark(sequence, "skipped", reason=reason)
            queue = queue[1:]
        folding = _Single(connection, projection, live.number, stream)
        folded: list[int] = []
        for record in queue:
            try:
                await folding.fold(record)
            except Unfoldable as failure:
                error = f"{type(failure.cause).__name__}: {failure.cause}".replace("\x00", "\\0")[:2000]
                await mark(record["sequence"], "parked", error=error)
                return Released(tuple(folded), record["sequence"], error)
            await mark(record["sequence"], "retried")
            folded.append(record["sequence"])
        return Released(tuple(folded))


def _stream(projection: Projection, stream: str | None) -> str:
    if stream is None and len(projection.streams) == 1:
        return projection.streams[0]
    if stream not in projection.streams:
        raise Invalid(f"{projection.name} reads {', '.join(projection.streams)}: say in which of them the event is.")
    return stream


async def _queue(
    connection: Connection, projection: Projection, generation: int, stream: str, sequence: int
) -> Sequence[asyncpg.Record]:
    """The parked event and all that wait behind it, in the stream's order."""
    queue: list[asyncpg.Record] = await connection.fetch(
        "SELECT w.sequence, w.subject, w.event FROM commons.parked AS p JOIN commons.parked AS w"
        " USING (projection, generation, stream, subject) WHERE projection = $1 AND generation = $2 AND stream = $3"
        " AND p.sequence = $4 AND p.status = 'parked' AND (w.sequence = $4 OR w.status = 'waiting')"
        " ORDER BY w.sequence",
        projection.name, generation, stream, sequence,
    )  # fmt: skip
    if not queue:
        raise Invalid(f"Event {sequence} of {stream} is not parked in {projection.name}; list the parked events first.")
    return queue


class _Mark:
    """Records what became of one parked event."""

    def __init__(self, connection: Connection, projection: str, generation: int, stream: str) -> None:
        self._connection = connection
        self._where = (projection, generation, stream)

    async def __call__(
        self, sequence: int, status: str, *, error: str | None = None, reason: str | None = None
    ) -> None:
        await self._connection.execute(
            "UPDATE commons.parked SET status = $5, error = coalesce($6, error), reason = $7,"
            " settled_at = CASE WHEN $5 IN ('retried', 'skipped') THEN now() END"
            " WHERE projection = $1 AND generation = $2 AND stream = $3 AND sequence = $4",
            *self._where, sequence, status, error, reason,
        )  # fmt: skip


class _Single:
    """Folds stored events one at a time, each whole or not at all."""

    def __init__(self, connection: Connection, projection: Projection, generation: int, stream: str) -> None:
        self._connection, self._projection, self._stream = connection, projection, stream
        self._statements = Statements(projection, generation)
        self._rows = Rows(projection.tables)
        self._passed_over = passed_over(projection, stream)

    async def fold(self, record: asyncpg.Record) -> None:
        """Raises Unfoldable, with rows and database as they were before."""
        savepoint = self._connection.transaction()
        await savepoint.start()
        try:
            await self._fold(record)
        except Unfoldable:
            self._rows.discard()
            await savepoint.rollback()
            raise
        except Exception as error:  # of the database; data errors are the event's
            if not is_data_error(error):
                raise
            self._rows.discard()
            await savepoint.rollback()
            raise Unfoldable(0, error) from error
        await savepoint.commit()

    async def _fold(self, record: asyncpg.Record) -> None:
        projection, rows = self._projection, self._rows
        event = decode(
            record["event"], stream=self._stream, sequence=record["sequence"], subject=record["subject"],
            contract=projection.contracts[self._stream],
        )  # fmt: skip
        if event.envelope.type in self._passed_over:
            return
        wanted = list(projection.touches(event))
        while True:
            await self._statements.load(self._connection, rows, wanted)
            try:
                fold(projection, [event], rows)
                break
            except Unfoldable as failure:
                if not isinstance(failure.cause, NotLoaded):
                    raise
                rows.discard()
                wanted.append((failure.cause.table, failure.cause.key))
        await self._statements.write_rows(self._connection, self._statements.changes(rows))
        rows.settle(0)
