"""Scale: one handler over 10,000, 100,000 and 1,000,000 events, ten events an aggregate."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

import psutil

from bench import ledger
from bench.figures import Figure, against
from services.local.nats import NatsServer
from shared.garbage import collect_seldom

SIZES = (10_000, 100_000, 1_000_000)
EVENTS_EACH = 10
CACHE_MB = 32
_HOT = 500


async def scale(folder: Path) -> list[Figure]:
    """Latency one at a time on a working set, and memory after twenty thousand other aggregates were touched."""
    found: dict[int, dict[str, float]] = {}
    async with ledger.server(folder / "nats") as server:
        stored = 0
        for size in SIZES:
            async with ledger.handler(server, cache_mb=512) as handler:
                first, last = stored // EVENTS_EACH, size // EVENTS_EACH
                picks = [f"s{n}" for _ in range(EVENTS_EACH) for n in range(first, last)]
                await ledger.load(handler, picks, str, waiting=2000, tag=f"fill-{size}")
            stored = size
            found[size] = await _in_a_process(server, size)
    small, large = found[SIZES[0]], found[SIZES[-1]]
    note = "; ".join(
        f"{size:,} events: p50 {f['p50']:.2f} ms, {f['idle_mb']:.0f} MB, {f['mb']:.0f} MB with a full cache"
        for size, f in found.items()
    )
    slowest = max(f["p50"] for f in found.values())
    return [
        against(
            "scale_latency", slowest, "ms", "at 10,000 events, and a tenth", small["p50"] * 1.1, 1, lower=True,
            note=note,
        ),
        against(
            "scale_memory", large["mb"] - large["idle_mb"], "MB", f"the cache's setting, {CACHE_MB} MB", CACHE_MB, 1,
            lower=True,
        ),
    ]  # fmt: skip


async def _in_a_process(server: NatsServer, size: int) -> dict[str, float]:
    """A fresh process each time: what it holds is what this size costs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.scale", server.url, server.monitor_url, str(size // EVENTS_EACH),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the measuring process failed with {process.returncode}")
    result: dict[str, float] = json.loads(out)
    return result


async def _measure(url: str, monitor_url: str, aggregates: int) -> dict[str, float]:
    me = psutil.Process()
    async with ledger.handler(ledger.Running(url, monitor_url), cache_mb=CACHE_MB) as handler:
        hot = [f"s{random.randrange(aggregates)}" for _ in range(_HOT)]
        tag = f"run-{aggregates}"
        await ledger.load(handler, hot, str, waiting=50, tag=f"{tag}-warm")
        single = await ledger.load(handler, random.choices(hot, k=2000), str, waiting=1, tag=tag)
        idle = me.memory_info().rss / 1e6
        for _ in range(20):
            await ledger.loaded(handler, {f"s{random.randrange(aggregates)}" for _ in range(1000)})
        full = me.memory_info().rss / 1e6
    return {"p50": single.quantile(0.5) * 1e3, "idle_mb": idle, "mb": full}


if __name__ == "__main__":
    import uvloop

    collect_seldom()
    print(json.dumps(uvloop.run(_measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
