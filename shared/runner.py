"""What keeps a projection going: it takes a generation, reads its streams from the checkpoints on, and folds.

One runner is one task. An outage of NATS or PostgreSQL is waited out, for ever; anything else that is not an event's
own fault stops this projection, says so, and leaves the others alone. Where a stream lacks events, it goes on once they
are there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import asyncpg
import structlog

from shared import database, telemetry
from shared.errors import Busy, Corrupt, LedgerError, Misconfigured
from shared.folding import Folding, Moved, is_outage
from shared.generations import Generation, StandsStill, begin_rebuild, release, sweep, switch, take
from shared.projection import Projection
from shared.tables import Connection
from shared.tasks import end
from shared.wire import Message, StreamLost, StreamReader

log = structlog.get_logger(__name__)

State = Literal["starting", "building", "live", "waiting", "standing still", "stopped"]

CATCHING_UP: Final = 2_000
"""With more events than this before it, a projection folds in large batches; else each as soon as it arrives."""

FLUSH_EVENTS: Final = 20_000
FLUSH_BYTES: Final = 24 << 20
CACHE_ROWS: Final = 50_000
REBUILD_CACHE_ROWS: Final = 200_000

MENDED_SECONDS: Final = 2.0
"""How often a stream that lacks events is looked at again."""

_IDLE_SECONDS: Final = 0.5
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 2.0
_SWEEP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Condition:
    """How a projection is in this process: `detail` is a sentence for people, empty while all is well."""

    state: State
    detail: str = ""

    @property
    def well(self) -> bool:
        """Fit for a health check: standing by for another process is well, a stop or an outage is not."""
        return self.state in ("building", "live", "standing still")


class Follower:
    """Reads the streams of one generation and folds them, until cancelled, lost, or (if so asked) switched live."""

    def __init__(
        self, connection: Connection, projection: Projection, generation: Generation, nats_url: str, *,
        cache_rows: int, tls: ssl.SSLContext | None = None, until_live: bool = False,
        on_live: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.projection = projection
        self.folding = Folding(connection, projection, generation, cache_rows=cache_rows)
        self.last: dict[str, int] = {}
        """The last sequence that each stream was seen to hold."""
        self._connection, self._nats_url, self._tls = connection, nats_url, tls
        self._until_live, self._on_live = until_live, on_live
        self._one_at_a_time = asyncio.Lock()
        self._level: dict[str, bool] = dict.fromkeys(projection.streams, False)

    async def run(self) -> None:
        await self.folding.open()
        try:
            await _together(self._follow(stream) for stream in self.projection.streams)
        finally:
            await self.folding.close()

    @property
    def _finished(self) -> bool:
        return self._until_live and self.folding.generation.live

    async def _follow(self, stream: str) -> None:
        """Several streams take turns: the rows and the connection are one."""
        swept = asyncio.get_running_loop().time()
        async with self._reader(stream) as reader:
            gathered: list[Message] = []
            size = 0
            self._note(stream, reader)
            await self._switch_if_level()
            async for messages in reader.batches(idle=_IDLE_SECONDS):
                if self._finished:
                    return
                gathered = gathered + messages if gathered else messages
                size += sum([len(message.payload) for message in messages])
                if messages and reader.pending > CATCHING_UP and len(gathered) < FLUSH_EVENTS and size < FLUSH_BYTES:
                    continue
                async with self._one_at_a_time:
                    if gathered and reader.pending > CATCHING_UP:
                        await self.folding.fold_ahead(stream, gathered)
                    elif gathered:
                        # Large batches of the past have no span: who follows a command to its rows asks of the present.
                        with telemetry.batch_span(
                            f"fold {self.projection.name}", (message.headers for message in gathered), stream=stream,
                            version=self.projection.version, first=gathered[0].sequence, last=gathered[-1].sequence,
                        ):  # fmt: skip
                            await self.folding.fold(stream, gathered)
                    else:
                        await self.folding.finish()
                        await self.folding.check(stream)
                    if (now := asyncio.get_running_loop().time()) - swept > _SWEEP_SECONDS and not self._until_live:
                        swept = now
                        await self.folding.finish()
                        await sweep(self._connection, self.projection)
                gathered, size = [], 0
                self._note(stream, reader)
                await self._switch_if_level()
                if self._finished:
                    return

    async def look(self, stream: str) -> None:
        """Raise Corrupt unless a stream goes on where its events were folded up to."""
        async with self._reader(stream) as reader:
            async for _ in reader.batches(idle=_IDLE_SECONDS):
                return

    @contextlib.asynccontextmanager
    async def _reader(self, stream: str) -> AsyncIterator[StreamReader]:
        start = self.folding.positions[stream] + 1
        reader = StreamReader(
            self._nats_url, stream, start, tls=self._tls, name=f"projection-{self.projection.name}",
            keep_headers=telemetry.tracing(),
        )  # fmt: skip
        try:
            await reader.__aenter__()
        except Misconfigured as error:  # no such stream, or no right to read it: somebody may be about to mend that
            raise StreamLost(error.detail) from error
        try:
            yield reader
        finally:
            await reader.__aexit__(None, None, None)

    def _note(self, stream: str, reader: StreamReader) -> None:
        self.last[stream] = reader.last_sequence
        self._level[stream] = reader.pending == 0

    async def _switch_if_level(self) -> None:
        if self.folding.generation.live or not all(self._level.values()):
            return
        async with self._one_at_a_time:
            await self.folding.finish()
            building = self.folding.generation
            if not building.live and await switch(self._connection, self.projection, building):
                live = Generation(building.projection, building.number, building.version, live=True)
                self.folding.go_live(live)
                log.info(
                    "projection switched", projection=live.projection, version=live.version, generation=live.number
                )
                if self._on_live is not None:
                    self._on_live()


class Runner:
    """Keeps one projection going in this process; `condition` says how it is, `run` never returns by itself."""

    def __init__(
        self, projection: Projection, nats_url: str, database_url: str, *, cache_rows: int = CACHE_ROWS,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.projection = projection
        self.condition = Condition("starting")
        self.follower: Follower | None = None
        self._nats_url, self._database_url, self._tls = nats_url, database_url, tls
        self._cache_rows = cache_rows

    async def run(self) -> None:
        delay = _FIRST_DELAY
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._session()
            except Moved as error:
                log.info("checkpoint moved", projection=self.projection.name, detail=error.detail)
            except StandsStill as error:
                self._become("standing still", error.detail)
            except Exception as error:  # noqa: BLE001  # the door: whatever it is must not touch the other projections
                if not is_outage(error):
                    await self._stop(error)
                    if not await self._mended(error):
                        return
                    continue
                self._become("waiting", f"{type(error).__name__}: {error}")
            lasted = asyncio.get_running_loop().time() - began
            delay = _FIRST_DELAY if lasted > _LONGEST_DELAY else min(delay * 2, _LONGEST_DELAY)
            await asyncio.sleep(delay)

    async def _session(self) -> None:
        """From connecting to the first error."""
        self.follower = None
        async with connected(self._database_url, self.projection) as connection:
            try:
                generation = await take(connection, self.projection)
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
                raise Busy("The database has none of the ledger's tables yet: apply the migrations.") from error
            await connection.execute(
                "UPDATE commons.generation SET stopped = NULL WHERE projection = $1 AND generation = $2"
                " AND stopped IS NOT NULL", generation.projection, generation.number,
            )  # fmt: skip
            self._become("live" if generation.live else "building")
            self.follower = Follower(
                connection, self.projection, generation, self._nats_url, tls=self._tls,
                cache_rows=self._cache_rows if generation.live else REBUILD_CACHE_ROWS,
                on_live=lambda: self._become("live"),
            )  # fmt: skip
            await self.follower.run()

    async def _mended(self, error: Exception) -> bool:
        """Wait for a stream that lacks events to have them again, as after a restore; false when it is not that."""
        if self.follower is None or not isinstance(error, Corrupt) or "expected" not in error.facts:
            return False
        stream = error.facts["stream"]
        while True:
            await asyncio.sleep(MENDED_SECONDS)
            try:
                await self.follower.look(stream)
                return True
            except Exception as still:  # noqa: BLE001  # as above
                if not isinstance(still, Corrupt) and not is_outage(still):
                    await self._stop(still)
                    return False

    def _become(self, state: State, detail: str = "") -> None:
        """Said once for each change, however often it is tried again."""
        if (condition := Condition(state, detail)) != self.condition:
            self.condition = condition
            level = log.warning if state in ("waiting", "standing still") else log.info
            level(
                "projection " + state, projection=self.projection.name, version=self.projection.version, detail=detail
            )

    async def _stop(self, error: Exception) -> None:
        """Say it everywhere: in the log, in this process's health, and, if it had begun, where `status` reads it."""
        detail = error.detail if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
        log.error(
            "projection stopped",
            projection=self.projection.name,
            detail=detail,
            exc_info=None if isinstance(error, LedgerError) else error,
        )
        generation = self.follower.folding.generation if self.follower is not None else None
        if generation is not None:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                async with connected(self._database_url, self.projection) as connection:
                    await connection.execute(
                        "UPDATE commons.generation SET stopped = $3 WHERE projection = $1 AND generation = $2",
                        self.projection.name, generation.number, detail[:2000].replace("\x00", ""),
                    )  # fmt: skip
        self.condition = Condition("stopped", detail)


async def rebuild(
    projection: Projection, nats_url: str, database_url: str, *, tls: ssl.SSLContext | None = None,
    on_progress: Callable[[dict[str, int], dict[str, int]], None] | None = None,
) -> Generation:  # fmt: skip
    """Build a projection anew beside the live one, in this process, and switch to it.

    `on_progress` is told now and then how far each stream was folded, and where it ends. Readers see the old rows
    until the switch. Raises what went wrong; the live one is then as it was, and the half-built one is swept later.
    """
    async with connected(database_url, projection) as connection:
        await sweep(connection, projection)
        generation = await begin_rebuild(connection, projection)
        follower = Follower(
            connection, projection, generation, nats_url, tls=tls, cache_rows=REBUILD_CACHE_ROWS, until_live=True
        )

        async def report() -> None:
            while on_progress is not None:
                on_progress(dict(follower.folding.positions), dict(follower.last))
                await asyncio.sleep(0.2)

        reporting = asyncio.ensure_future(report())
        try:
            await follower.run()
        finally:
            reporting.cancel()
        await release(connection, generation)
        if on_progress is not None:
            on_progress(dict(follower.folding.positions), dict(follower.last))
        return follower.folding.generation


@contextlib.asynccontextmanager
async def connected(database_url: str, projection: Projection, work: str = "projection") -> AsyncIterator[Connection]:
    """A connection of this projection's own, in the role that its tables ask for: it holds the lock while it lives.

    `work` is what PostgreSQL's list of sessions shows before the name.
    Its commits do not wait for the disk: rows and checkpoint are lost or kept together, and what is lost is folded
    again from the stream, which is the record.
    """
    settings = {"application_name": f"{work} {projection.name}", "synchronous_commit": "off", "jit": "off"}
    connection = await database.connect(database_url, settings=settings)
    try:
        if projection.role is not None:
            await act_as(connection, projection.role)
        yield connection
    except BaseException:
        connection.terminate()  # whatever it was doing; the server rolls back what is half done
        raise
    await connection.close()


async def act_as(connection: Connection, role: str) -> None:
    """Go on as the role that owns the tables, whoever logged in. Raises Busy before there is one, and Misconfigured."""
    try:
        await connection.execute(f"SET ROLE {role}")  # its form was checked in projection.py
    except asyncpg.InvalidParameterValueError as error:
        raise Busy(f"The database has no role {role} yet: apply the migrations.") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise Misconfigured(
            f"The login of DATABASE_URL may not act as the role {role}. Log in as that role, or grant it."
        ) from error


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run side by side; the first error ends the others and is raised as it is."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        await end(tasks)
