"""Folding a generation: events in, rows and checkpoint out, in one transaction; what cannot be folded is parked.

One event that fails must not hold up the others, and must not be looked for one by one: everything before it is folded
as one batch, it is parked, and the rest goes on. An error that only the database sees (a figure out of range, a
constraint) is found by halving the batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg
import structlog

from shared.errors import Busy, Corrupt, LedgerError
from shared.event import Recorded, decode
from shared.generations import Generation
from shared.projection import Key, NotLoaded, Projection, Rows, Unfoldable, fold
from shared.tables import Changes, Connection, Statements
from shared.tasks import end
from shared.wire import Message, StreamLost
from shared.wireparser import WireError

log = structlog.get_logger(__name__)

_SLICE: Final = 500  # events between two moments in which the rest of the process may run: a few milliseconds
_ERROR_LENGTH: Final = 2000


class Moved(LedgerError):
    """The checkpoint is not where this process left it: somebody else switched, retried, skipped or folded."""

    code = "MOVED"


def is_data_error(error: BaseException) -> bool:
    """Whether rows were refused for what is in them: SQLSTATE classes 22 and 23, or not even fit to be sent."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in ("22", "23")
    return isinstance(error, ValueError | TypeError | OverflowError)  # asyncpg's own DataError is a ValueError


def is_outage(error: BaseException) -> bool:
    """Whether trying again later may help: a server is away, restarting, overloaded, or not set up yet."""
    if isinstance(error, asyncpg.PostgresError):
        # connection; rolled back for others; resources; lock not available; an administrator's; the system's
        return (error.sqlstate or "")[:2] in ("08", "40", "53", "55", "57", "58")
    # A connection that dies in the middle of a call leaves asyncpg's client in a state of its own, of no further use.
    client = (asyncpg.InterfaceError, asyncpg.InternalClientError)
    return isinstance(error, (OSError, TimeoutError, StreamLost, WireError, Busy, *client))


class Folding:
    """One generation of a projection, being folded over a connection that holds its lock."""

    def __init__(
        self, connection: Connection, projection: Projection, generation: Generation, *, cache_rows: int
    ) -> None:
        self.projection = projection
        self.generation = generation
        self.positions: dict[str, int] = {}
        """The last sequence folded, by stream."""
        self._connection = connection
        self._cache_rows = cache_rows
        self._statements = Statements(projection, generation.number, live=generation.live)
        self._epochs: dict[str, int] = {}
        self._rows = Rows(projection.tables)
        self._waiting: set[tuple[str, str]] = set()  # stream and subject of aggregates with a parked event
        self._skipped: set[tuple[str, int]] = set()
        self._passed_over = {stream: passed_over(projection, stream) for stream in projection.streams}
        self._ahead: tuple[str, Sequence[Message], asyncio.Task[None]] | None = None

    async def open(self) -> None:
        """Read where this generation stands."""
        where = (self.projection.name, self.generation.number)
        for stream, sequence, epoch in await self._connection.fetch(
            "SELECT stream, sequence, epoch FROM commons.checkpoint WHERE projection = $1 AND generation = $2", *where
        ):
            self.positions[stream], self._epochs[stream] = sequence, epoch
        for stream, sequence, subject, status in await self._connection.fetch(
            "SELECT stream, sequence, subject, status FROM commons.parked"
            " WHERE projection = $1 AND generation = $2 AND status <> 'retried'", *where
        ):  # fmt: skip
            if status == "skipped":
                self._skipped.add((stream, sequence))
            else:
                self._waiting.add((stream, subject))
        self._rows = Rows(self.projection.tables, whole=not any(self.positions.values()))

    def go_live(self, generation: Generation) -> None:
        """The generation was switched: from here on readers are told of every move."""
        self.generation = generation
        self._statements = Statements(self.projection, generation.number, live=True)

    async def check(self, stream: str) -> None:
        """Raises Moved when the checkpoint is not ours any more: to be asked now and then while nothing is folded."""
        epoch = await self._connection.fetchval(
            "SELECT epoch FROM commons.checkpoint WHERE projection = $1 AND generation = $2 AND stream = $3",
            self.projection.name, self.generation.number, stream,
        )  # fmt: skip
        if epoch != self._epochs[stream]:
            raise self._moved(stream)

    async def fold(self, stream: str, messages: Sequence[Message]) -> None:
        """Fold the next messages of a stream; when it returns they are folded or parked, and committed.

        Raises Moved when the checkpoint is not ours any more, and whatever the connection raises when it is lost; the
        folding is then of no further use.
        """
        await self.finish()
        extra: list[tuple[str, Key]] = []
        while messages:
            try:
                held = await self._apply(stream, messages, extra)
                await self._commit(stream, messages, held)
                return
            except Unfoldable as failure:
                self._rows.discard()
                await self.fold(stream, messages[: failure.index])  # these were seen to fold
                messages = messages[failure.index :]
                if isinstance(failure.cause, NotLoaded):
                    extra = [*extra, (failure.cause.table, failure.cause.key)]
                    continue
                await self._park(stream, messages[0], failure.cause)
                messages = messages[1:]
            except Exception as error:  # of the database, or on the way there; all but data errors go on up
                self._rows.discard()
                if not is_data_error(error):
                    raise
                if len(messages) == 1:
                    await self._park(stream, messages[0], error)
                    return
                half = len(messages) // 2
                await self.fold(stream, messages[:half])
                messages = messages[half:]
            extra = []

    async def fold_ahead(self, stream: str, messages: Sequence[Message]) -> None:
        """Like `fold`, but return while PostgreSQL is still writing, so that the next batch is folded meanwhile.

        That takes rows of which none has to be loaded. What goes wrong with the write comes with the next call, or
        with `finish`, and is dealt with as by `fold`.
        """
        if not self._rows.whole:
            return await self.fold(stream, messages)
        try:
            held = await self._apply(stream, messages, ())
        except Unfoldable:
            await self.finish()
            self._rows.discard()
            return await self.fold(stream, messages)
        if not await self.finish():
            return await self.fold(stream, messages)  # its rows went with those that could not be written
        if held:
            return await self._commit(stream, messages, held)
        changes = self._statements.changes(self._rows)
        self._rows.settle(self._cache_rows)
        self._ahead = stream, messages, asyncio.ensure_future(self._write(stream, messages[-1].sequence, changes))
        return None

    async def finish(self) -> bool:
        """Wait for the write of `fold_ahead`.

        False: it was refused, and its events were folded again, one part after another; all other rows are forgotten.
        """
        if self._ahead is None:
            return True
        stream, messages, writing = self._ahead
        self._ahead = None
        try:
            await writing
        except Exception as error:
            if not is_data_error(error):
                raise
            self._rows.forget()
            await self.fold(stream, messages)
            return False
        self.positions[stream] = messages[-1].sequence
        return True

    async def close(self) -> None:
        """Leave off, whatever is under way."""
        if self._ahead is not None:
            await end([self._ahead[2]])

    # -- inside ---------------------------------------------------------------------------------------------------

    async def _apply(self, stream: str, messages: Sequence[Message], extra: Sequence[tuple[str, Key]]) -> list[Message]:
        """Change the rows in memory. Returns the messages that have to wait behind a parked one."""
        projection, rows = self.projection, self._rows
        held: list[Message] = []
        for start in range(0, len(messages), _SLICE):
            if start:
                await asyncio.sleep(0)
            events = self._decode(stream, messages, start, held)
            if not rows.whole:
                wanted = list(extra)
                for event in events:
                    try:
                        wanted += projection.touches(event)
                    except Exception as error:  # the door: whatever goes wrong in reading the event parks it
                        raise Unfoldable(event.sequence - messages[0].sequence, error) from error
                await self._statements.load(self._connection, rows, wanted)
            try:
                fold(projection, events, rows)
            except Unfoldable as failure:
                failure.index = events[failure.index].sequence - messages[0].sequence
                raise
        return held

    def _decode(self, stream: str, messages: Sequence[Message], start: int, held: list[Message]) -> list[Recorded]:
        contract, passed_over = self.projection.contracts[stream], self._passed_over[stream]
        events = []
        for index in range(start, min(start + _SLICE, len(messages))):
            message = messages[index]
            if self._waiting and (stream, message.subject) in self._waiting:
                held.append(message)
                continue
            if self._skipped and (stream, message.sequence) in self._skipped:
                continue
            try:
                event = decode(
                    message.payload,
                    stream=stream,
                    sequence=message.sequence,
                    subject=message.subject,
                    contract=contract,
                )
            except Corrupt as error:
                raise Unfoldable(index, error) from error
            if event.envelope.type not in passed_over:
                events.append(event)
        return events

    async def _commit(self, stream: str, messages: Sequence[Message], held: Sequence[Message]) -> None:
        if held:
            async with self._connection.transaction():
                await self._store(stream, held, "waiting", None)
                await self._write(stream, messages[-1].sequence)
        else:
            await self._write(stream, messages[-1].sequence)
        self._done(stream, messages[-1].sequence)

    async def _park(self, stream: str, message: Message, error: Exception) -> None:
        """Set one event aside, with what it raised; its aggregate waits from here on."""
        said = f"{type(error).__name__}: {error}".replace("\x00", "\\0")[:_ERROR_LENGTH]
        async with self._connection.transaction():
            await self._store(stream, [message], "parked", said)
            await self._write(stream, message.sequence)
        self._done(stream, message.sequence)
        self._waiting.add((stream, message.subject))
        log.error(
            "event parked", projection=self.projection.name, version=self.projection.version, stream=stream,
            sequence=message.sequence, subject=message.subject, error=said,
        )  # fmt: skip

    async def _store(self, stream: str, messages: Sequence[Message], status: str, error: str | None) -> None:
        where = (self.projection.name, self.generation.number, self.projection.version, stream)
        await self._connection.executemany(
            "INSERT INTO commons.parked (projection, generation, version, stream, sequence, subject, event, status,"
            " error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [(*where, m.sequence, m.subject, m.payload, status, error) for m in messages],
        )

    async def _write(self, stream: str, sequence: int, changes: Changes | None = None) -> None:
        before = self.positions[stream]
        changes = self._statements.changes(self._rows) if changes is None else changes
        if not await self._statements.write(
            self._connection, changes, stream, before=before, after=sequence, epoch=self._epochs[stream]
        ):
            raise self._moved(stream)

    def _moved(self, stream: str) -> Moved:
        return Moved(
            f"The checkpoint of {self.projection.name} on {stream} is not as this process left it, at "
            f"{self.positions[stream]:,}: somebody else folded, switched, retried or skipped."
        )

    def _done(self, stream: str, sequence: int) -> None:
        self._rows.settle(self._cache_rows)
        self.positions[stream] = sequence


def passed_over(projection: Projection, stream: str) -> frozenset[str]:
    """The event types that the projection does not want. An unknown type is not among them: it has to be looked at."""
    if projection.events is None:
        return frozenset()
    contract, wanted = projection.contracts[stream], projection.events
    return frozenset(
        contract.event_type(spec.name, version)
        for spec in contract.events.values() if spec.cls not in wanted
        for version in range(1, spec.version + 1)
    )  # fmt: skip
