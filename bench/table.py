"""Check-in: fifty tables that scan cards and hand out boxes, with every service running."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg

from bench import hall
from bench.figures import Figure, against
from bench.running import Ledger, everything
from services.distribution.contract import RecordVisit, distribution
from services.queries.distribution import check_in
from shared.database import open_pool

_TABLES: Final = 50
_TURNS: Final = 12
_EVERY: Final = 4.0
"""Seconds between two scans at a table, each table at moments of its own: quicker than any person hands out a box. The
goods that leave are issued in inventory meanwhile."""


async def check_in_p99(folder: Path) -> list[Figure]:
    """From the scan of a card to the durable answer: is it due, then claim, goods and hand-out in one command."""
    async with everything(folder) as ledger:
        await hall.open_up(ledger, _TABLES * (_TURNS + 3))
        pool = await open_pool(ledger.postgres.url)
        try:
            cards = iter(range(_TABLES * (_TURNS + 3)))
            desk = _Desk(ledger, pool, cards)
            await desk.all_at_once()  # the first questions on each connection are planned
            await desk.each_by_itself(1)
            desk.clear()
            spent = ledger.cpu()
            await desk.each_by_itself(_TURNS)
            used = {name: (total - spent[name]) / len(desk.took) * 1e3 for name, total in ledger.cpu().items()}
            looked, took = sorted(desk.looked), sorted(desk.took)
            desk.clear()
            await desk.all_at_once()
        finally:
            pool.terminate()
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in sorted(used.items(), key=lambda part: -part[1]))
    note = (
        f"p50 {_quantile(took, 0.5):.0f} ms, of it the question {_quantile(looked, 0.5):.0f} ms; a table scans every "
        f"{_EVERY:g} s, {hall.LINES} items; when all scan at the same moment, the last is served after "
        f"{max(desk.took) * 1e3:.0f} ms; CPU ms a visit: {sum(used.values()):.1f}, of it {parts}; the machine's load "
        f"is {os.getloadavg()[0]:.1f}"
    )
    limit = f"{_TABLES} tables at once, under"
    return [against("check_in_p99", _quantile(took, 0.99), "ms", limit, 100, 1, lower=True, note=note)]


class _Desk:
    """The tables; `looked` and `took` are the seconds of each question and of each visit in all."""

    def __init__(self, ledger: Ledger, pool: asyncpg.Pool, cards: Iterator[int]) -> None:
        self.looked: list[float] = []
        self.took: list[float] = []
        self._ledger, self._pool, self._cards = ledger, pool, cards

    def clear(self) -> None:
        self.looked, self.took = [], []

    async def all_at_once(self) -> None:
        """One turn of every table, at the same moment."""
        await asyncio.gather(*(self._serve() for _ in range(_TABLES)))

    async def each_by_itself(self, turns: int) -> None:
        """Some turns of every table, spread over the time that a turn has."""

        async def table(number: int) -> None:
            for turn in range(turns):
                due = began + (turn + number / _TABLES) * _EVERY
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await self._serve()

        began = time.perf_counter()
        await asyncio.gather(*(table(number) for number in range(_TABLES)))

    async def _serve(self) -> None:
        number = next(self._cards)
        began = time.perf_counter()
        found = (await check_in(self._pool, who=hall.card(number), session=hall.SESSION)).records()[0]
        self.looked.append(time.perf_counter() - began)
        if not found["due"]:
            raise RuntimeError(f"household {found['household']} is not due: {found['warnings']}")
        visit = RecordVisit(
            visit=f"visit-{number}", household=found["household"], programme=found["programme"],
            period=found["period"], session=found["session"], seen_warnings=True,
        )  # fmt: skip
        await self._ledger.client.send(distribution.service, "RecordVisit", visit)
        self.took.append(time.perf_counter() - began)


def _quantile(seconds: list[float], q: float) -> float:
    """Milliseconds."""
    return seconds[min(len(seconds) - 1, int(len(seconds) * q))] * 1e3
