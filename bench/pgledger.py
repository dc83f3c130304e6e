"""The treasury's peer: pgledger, a double entry ledger in SQL, on a PostgreSQL that syncs every commit.

Nothing of it is in this project. Fetch it from https://github.com/pgr0ss/pgledger, and name its file in the environment
variable PGLEDGER_SQL; the functions that it needs, which it brings along, are read from the folder `vendor` beside it.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from bench.ledger import Load
from services.local.postgres import PostgresServer

VARIABLE: Final = "PGLEDGER_SQL"
NAME: Final = "pgledger"
ABSENT: Final = f"no peer: set {VARIABLE}"
_ACCOUNT: Final = "SELECT id FROM pgledger_create_account($1, 'EUR')"
_TRANSFER: Final = "SELECT id FROM pgledger_create_transfer($1, $2, $3)"


class PgLedger:
    """pgledger with accounts that exist already, which may go either way, as is its default."""

    def __init__(self, pool: asyncpg.Pool, accounts: list[str]) -> None:
        self._pool = pool
        self._accounts = accounts

    async def transfers(self, count: int, connections: int) -> Load:
        """Transfers between two accounts at random, over so many connections, one after another on each."""
        seconds: list[float] = []
        todo = iter([(*random.sample(self._accounts, 2), random.randint(1, 10_000)) for _ in range(count)])

        async def worker() -> None:
            async with self._pool.acquire() as connection:
                statement = await connection.prepare(_TRANSFER)
                for transfer in todo:
                    began = time.perf_counter()
                    await statement.fetchval(*transfer)
                    seconds.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(connections)))
        rate = count / (time.perf_counter() - began)
        return Load(rate, sorted(seconds))


@asynccontextmanager
async def peer(folder: Path, accounts: int, connections: int) -> AsyncIterator[PgLedger | None]:
    """pgledger on a PostgreSQL of its own; None when PGLEDGER_SQL names no file."""
    path = os.environ.get(VARIABLE)
    if not path:
        yield None
        return
    async with (
        PostgresServer(folder) as postgres,
        asyncpg.create_pool(postgres.url, min_size=connections, max_size=connections) as pool,
    ):
        for script in [*sorted(Path(path).parent.glob("vendor/*/*.sql")), Path(path)]:
            await pool.execute(script.read_text())
        made = [await pool.fetchval(_ACCOUNT, f"account-{number}") for number in range(accounts)]
        yield PgLedger(pool, made)
