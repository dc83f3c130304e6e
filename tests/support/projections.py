"""A stage for projections: a database with the kernel's tables, streams, and runners that are stopped again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import asyncpg
import nats

from services.local.nats import NatsServer
from shared.comparison import compare
from shared.database import open_pool
from shared.migrations import migrate_database
from shared.projection import Projection
from shared.readmodel import wait_for
from shared.runner import Runner
from tests.support.till import make_stream, publish


class Stage:
    def __init__(self, server: NatsServer, database_url: str) -> None:
        self.nats = server
        self.nats_url = server.url
        self.database_url = database_url
        self.pool: asyncpg.Pool
        self._published = 0
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await migrate_database(self.database_url)
        self.pool = await open_pool(self.database_url, max_size=20)
        await self.reconnect()
        await self.make("TILL")
        await self.make("SHOP")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self.pool.terminate()
        await self.nc.close()

    async def reconnect(self) -> None:
        if hasattr(self, "nc"):
            await self.nc.close()

        async def quiet(_: Exception) -> None: ...

        self.nc = await nats.connect(self.nats_url, error_cb=quiet)
        self.js = self.nc.jetstream()

    async def make(self, stream: str) -> None:
        await make_stream(self.nc, stream)

    async def publish(self, events: Sequence[Any]) -> int:
        """Store events in one stream, and return its last sequence."""
        first, self._published = self._published + 1, self._published + len(events)
        return await publish(self.nc, events, first=first)

    async def last(self, stream: str) -> int:
        return (await self.js.stream_info(stream)).state.last_seq

    @contextlib.asynccontextmanager
    async def running(self, projection: Projection, **settings: Any) -> AsyncIterator[Runner]:
        """A runner like one in a process of its own; it ends with the block."""
        runner = Runner(projection, self.nats_url, self.database_url, **settings)
        task = asyncio.ensure_future(runner.run())
        self._running.append(task)
        try:
            yield runner
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def cancel_first(self) -> None:
        """The process that has been running longest dies."""
        self._running[0].cancel()
        await asyncio.gather(self._running[0], return_exceptions=True)

    async def wait(self, projection: str, stream: str, sequence: int, timeout: float = 20) -> None:
        """Wait for a read model that may not even exist yet."""
        async with asyncio.timeout(timeout):
            while not await self.pool.fetchval(
                "SELECT EXISTS (SELECT FROM commons.generation WHERE projection = $1 AND state = 'live')", projection
            ):
                await asyncio.sleep(0.01)
            await wait_for(self.pool, projection, stream, sequence, timeout=timeout)

    async def assert_fresh(self, projection: Projection) -> None:
        """The rows are those of a fresh fold."""
        async with self.pool.acquire() as connection:
            comparison = await compare(connection, projection, self.nats_url)
        assert comparison.same, comparison
        assert any(table.rows for table in comparison.tables)
