"""The auditor beside a writer: how long an event waits for its checkpoint, and what the tiles cost who writes.

The auditor is a process of its own that follows the stream of bench/toy.py; events take the kernel's own way.
"""

from __future__ import annotations

import asyncio
import bisect
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
import psutil

from bench import ledger
from bench.figures import Figure, against
from bench.toy import PutGoods, shelves
from services.auditor.app import NAME, Auditor
from services.local.nats import NatsServer
from services.local.supervisor import ProcessSpec, ServiceProcess
from shared.application import run
from shared.command import Answer, CommandMeta
from shared.connection import connect
from shared.errors import Busy
from shared.halt import BUCKET, Checkpointed
from shared.handler import Handler

RATE: Final = 5_000
SECONDS: Final = 20.0
_TICK: Final = 0.005
_SHELVES: Final = 5_000
_PAIRS: Final = 6
_ROUND: Final = 30_000
_WAITING: Final = 512


class _Auditing:
    """The auditor's process, and the checkpoints that it told, each with the moment at which the news came."""

    def __init__(self, process: psutil.Process) -> None:
        self.told: list[tuple[float, int]] = []
        self._process = process

    async def hear(self, message: Any) -> None:
        self.told.append((time.perf_counter(), msgspec.json.decode(message.data, type=Checkpointed).size))

    def cpu(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)

    async def reach(self, size: int) -> None:
        """Wait until a checkpoint covers so many events."""
        until = time.perf_counter() + 60
        while not self.told or self.told[-1][1] < size:
            if time.perf_counter() > until:
                raise RuntimeError(f"the auditor signed nothing of {size:,} events within a minute")
            await asyncio.sleep(0.02)


async def checkpoint_lag(folder: Path) -> list[Figure]:
    """From an event's acknowledgement to the checkpoint that covers it, at a steady rate."""
    async with ledger.server(folder / "nats") as server, ledger.handler(server) as handler:
        names = [f"s{n}" for n in range(_SHELVES)]
        await ledger.warm(handler, names)
        async with _auditor(server, folder) as auditing:
            await auditing.reach(_SHELVES)
            used = auditing.cpu()
            began = time.perf_counter()
            acknowledged, refused = await _paced(handler, names)
            rate = len(acknowledged) / (time.perf_counter() - began)
            last = max(sequence for sequence, _ in acknowledged)
            await auditing.reach(last)
            used = auditing.cpu() - used
            told = auditing.told
    sizes = [size for _, size in told]
    lags = sorted(told[bisect.bisect_left(sizes, sequence)][0] - at for sequence, at in acknowledged)
    during = [at for at, size in told if size > _SHELVES]
    gap = max(after - before for before, after in pairwise(during))
    note = (
        f"{len(lags):,} events at {rate:,.0f}/s ({refused:,} refused as too many), {len(during)} checkpoints; p50 "
        f"{_at(lags, 0.5):.2f} s, most {lags[-1]:.2f} s; the largest gap between checkpoints {gap:.2f} s; the auditor "
        f"used {used / len(lags) * 1e6:.1f} µs of processor time an event; {_loaded()}"
    )
    return [against("checkpoint_lag_p99", _at(lags, 0.99), "s", "at most", 1.5, 1, lower=True, note=note)]


async def tiles_cost(folder: Path) -> list[Figure]:
    """The same writers at full speed on two servers in turn, of which an auditor follows one."""
    costs: list[float] = []
    async with (
        ledger.server(folder / "followed") as server, ledger.server(folder / "alone") as other,
        ledger.handler(server) as followed, ledger.handler(other) as alone,
    ):  # fmt: skip
        names = [f"s{n}" for n in range(_SHELVES)]
        for handler in (followed, alone):
            await ledger.warm(handler, names)
        async with _auditor(server, folder) as auditing:
            await auditing.reach(_SHELVES)
            used, written = auditing.cpu(), 0
            for pair in range(_PAIRS):
                rates: dict[bool, float] = {}
                for turn in (True, False) if pair % 2 else (False, True):
                    picks = random.choices(names, k=_ROUND)
                    load = await ledger.load(
                        followed if turn else alone, picks, str, waiting=_WAITING, tag=f"{pair}-{turn}"
                    )
                    rates[turn] = load.rate
                    if turn:
                        written += _ROUND
                        await auditing.reach(_SHELVES + written)  # so that the next round is without it
                costs.append(100 * (1 - rates[True] / rates[False]))
            spent = (auditing.cpu() - used) / written
    cost = median(costs)
    note = (
        f"median of {_PAIRS} pairs of rounds, each {_ROUND:,} events: {', '.join(f'{each:.1f}' for each in costs)}; "
        f"the auditor used {spent * 1e6:.1f} µs of processor time an event; {_loaded()}"
    )
    return [against("tiles_cost", max(cost, 0.01), "%", "at most", 5, 1, lower=True, note=note)]


async def _paced(handler: Handler, names: list[str]) -> tuple[list[tuple[int, float]], int]:
    """Send commands at the rate, whether or not those before are answered: sequence and moment of each answer."""
    acknowledged: list[tuple[int, float]] = []
    waiting: set[asyncio.Future[Answer]] = set()
    refused = 0

    def answered(future: asyncio.Future[Answer]) -> None:
        nonlocal refused
        waiting.discard(future)
        try:
            acknowledged.append((future.result().sequence, time.perf_counter()))
        except Busy:
            refused += 1

    began, sent = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS:
        while sent < RATE * passed:
            command = PutGoods(shelf=random.choice(names), lot="L1", quantity=5)
            future = handler.submit(command, CommandMeta(id=f"paced-{sent}", actor="bench"))
            waiting.add(future)
            future.add_done_callback(answered)
            sent += 1
        await asyncio.sleep(_TICK)
    while waiting:
        await asyncio.sleep(_TICK)
    return acknowledged, refused


@asynccontextmanager
async def _auditor(server: NatsServer, folder: Path) -> AsyncIterator[_Auditing]:
    """An auditor of the stream, and a connection of its own that hears what it publishes."""
    environment = {
        "NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, "COMMONS_TILES": str(folder / "tiles"),
        "COMMONS_LOG_KEYS": str(folder / "log-keys"),
    }  # fmt: skip
    spec = ProcessSpec("auditor", module="bench.checkpoints", ready_path="/healthz")
    process = ServiceProcess(spec, environment=environment, logs=folder / "logs")
    nc = await connect(server.url, name="bench-checkpoints")
    try:
        await process.start()
        auditing = _Auditing(psutil.Process(process.pid))
        await nc.subscribe(f"$KV.{BUCKET}.checkpoint.{shelves.service}", cb=auditing.hear)
        yield auditing
    finally:
        await process.stop()
        await nc.close()


def _at(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


def _loaded() -> str:
    return f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


if __name__ == "__main__":
    run(NAME, partial(Auditor, services=(shelves.service,)))
