"""Reading: replay without a database, a rebuild into PostgreSQL, and how far a read model is behind."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from bisect import bisect_left
from pathlib import Path

import asyncpg

from bench import ledger, pantry
from bench.figures import Figure, against
from bench.peer import NAME, Peer
from bench.toy import shelf, shelves
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from services.local.postgres import PostgresServer
from services.projections.registry import PROJECTIONS
from shared import migrations
from shared.command import CommandMeta
from shared.event import decode
from shared.runner import rebuild
from shared.store import stream_name
from shared.wire import StreamReader

EVENTS = 200_000
ITEMS = 500


async def replay(folder: Path) -> list[Figure]:
    """Read a stream, decode every event and fold every aggregate; the peer reads and decodes as many."""
    async with PostgresServer(folder / "postgres") as postgres:
        peer = await asyncio.to_thread(Peer, postgres.url, 10)
        await asyncio.to_thread(peer.fill, EVENTS)
        rate = await asyncio.to_thread(peer.read_back, EVENTS)
        peer.close()
    async with ledger.server(folder / "nats") as server:
        async with ledger.handler(server) as handler:
            names = [f"s{n % 1000}" for n in range(EVENTS)]
            await ledger.load(handler, names, str, waiting=1000, tag="fill")
        best = 0.0
        for _ in range(3):
            best = max(best, await _replay(server.url))
    return [against("replay", best, "/s", f"{NAME}, read back and decode", rate, 1.5)]


async def _replay(url: str) -> float:
    stream, states, read = stream_name(shelves.service), {}, 0
    began = time.perf_counter()
    async with StreamReader(url, stream, name="bench") as reader:
        async for messages in reader.batches(until=reader.last_sequence):
            for message in messages:
                event = decode(
                    message.payload, stream=stream, sequence=message.sequence, subject=message.subject, contract=shelves
                )
                state = states.get(event.subject) or shelf.initial()
                states[event.subject] = shelf.evolve(state, event.data)
            read += len(messages)
    return read / (time.perf_counter() - began)


async def rebuild_stock_on_hand(folder: Path) -> list[Figure]:
    """Rebuild what is on hand, from a pantry's stream into PostgreSQL."""
    async with PostgresServer(folder / "postgres") as postgres, ledger.server(folder / "nats") as server:
        await migrations.migrate_database(postgres.url)
        async with ledger.handler(server, inventory, DECIDERS) as handler:
            await pantry.fill(handler, pantry.catalogue(ITEMS), tag="catalogue", waiting=100)
            await pantry.fill(handler, pantry.traffic(EVENTS, ITEMS), tag="fill")
        began = time.perf_counter()
        await rebuild(PROJECTIONS["stock_on_hand"], server.url, postgres.url)
        rate = (EVENTS + ITEMS + 1) / (time.perf_counter() - began)
    return [against("rebuild_stock_on_hand", rate, "/s", "at least", 50_000, 1)]


async def projection_lag(folder: Path) -> list[Figure]:
    """1,000 commands a second for ten seconds: from a durable answer to the row, with all read models running."""
    rate, seconds = 1000, 10
    async with PostgresServer(folder / "postgres") as postgres, ledger.server(folder / "nats") as server:
        await migrations.migrate_database(postgres.url)
        async with ledger.handler(server, inventory, DECIDERS) as handler:
            await pantry.fill(handler, pantry.catalogue(ITEMS), tag="catalogue", waiting=100)
            await pantry.fill(handler, pantry.traffic(2000, ITEMS), tag="warm")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.projections.app", stderr=asyncio.subprocess.DEVNULL,
                env=os.environ | {"NATS_URL": server.url, "DATABASE_URL": postgres.url},
            )  # fmt: skip
            try:
                watch = _Watch(await asyncio.wait_for(_level(postgres.url, await handler.store.last_sequence()), 60))
                watching = asyncio.create_task(watch.run())
                answered: list[tuple[int, float]] = []
                tasks = []
                began = time.perf_counter()
                for number, command in enumerate(pantry.traffic(rate * seconds, ITEMS)):
                    due = began + number / rate
                    if (early := due - time.perf_counter()) > 0:
                        await asyncio.sleep(early)

                    async def send(command: object = command, number: int = number) -> None:
                        answer = await handler.handle(command, CommandMeta(id=f"lag-{number}", actor="bench"))
                        answered.append((answer.sequence, time.perf_counter()))

                    tasks.append(asyncio.create_task(send()))
                await asyncio.gather(*tasks)
                await watch.until(max(sequence for sequence, _ in answered))
                watching.cancel()
            finally:
                process.terminate()
                await process.wait()
    lags = sorted(max(0.0, watch.seen_at(sequence) - at) for sequence, at in answered)
    p50, p99 = lags[len(lags) // 2] * 1e3, lags[int(len(lags) * 0.99)] * 1e3
    return [against("projection_lag_p99", p99, "ms", "at most", 50, 1, lower=True, note=f"p50 {p50:.1f} ms")]


_CHECKPOINT = (
    "SELECT c.sequence FROM commons.checkpoint AS c JOIN commons.generation AS g USING (projection, generation)"
    " WHERE g.projection = 'stock_on_hand' AND g.state = 'live' AND c.stream = 'INVENTORY'"
)


async def _level(database_url: str, sequence: int) -> asyncpg.Connection:
    """A connection, once the read model is live and level."""
    connection = await asyncpg.connect(database_url)
    while (await connection.fetchval(_CHECKPOINT) or 0) < sequence:
        await asyncio.sleep(0.05)
    return connection


class _Watch:
    """Notes when each checkpoint was seen, every two milliseconds; a lag is overstated by as much at most."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._sequences: list[int] = []
        self._times: list[float] = []

    async def run(self) -> None:
        statement = await self._connection.prepare(_CHECKPOINT)
        while True:
            sequence = await statement.fetchval()
            if not self._sequences or sequence > self._sequences[-1]:
                self._sequences.append(sequence)
                self._times.append(time.perf_counter())
            await asyncio.sleep(0.002)

    async def until(self, sequence: int) -> None:
        while not self._sequences or self._sequences[-1] < sequence:
            await asyncio.sleep(0.01)

    def seen_at(self, sequence: int) -> float:
        return self._times[bisect_left(self._sequences, sequence)]
