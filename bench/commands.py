"""Commands: concurrent, one at a time, over the wire, and all on one aggregate."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import msgspec

from bench import ledger, pantry
from bench.figures import Figure, against
from bench.peer import NAME, Peer
from services.commands.common import roles_of
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS
from services.local.keys import Keys
from services.local.nats import NatsServer
from services.local.postgres import PostgresServer
from shared.actors import Signed
from shared.actortoken import Signer
from shared.client import CommandClient
from shared.connection import connect

AGGREGATES = 10_000


async def concurrent(folder: Path) -> list[Figure]:
    """512 callers over 10,000 aggregates, evenly and by Zipf's law, beside the peer with 8 threads."""
    async with PostgresServer(folder / "postgres") as postgres:
        peer = await asyncio.to_thread(Peer, postgres.url, AGGREGATES // 10)
        rate = await asyncio.to_thread(peer.concurrent, 4000, 8)
        alone = await asyncio.to_thread(peer.one_at_a_time, 600)
        peer.close()
    figures = []
    async with ledger.server(folder / "nats") as server, ledger.handler(server) as handler:
        names = [f"s{n}" for n in range(AGGREGATES)]
        await ledger.warm(handler, names)
        single = await ledger.load(handler, random.choices(names, k=1500), str, waiting=1, tag="one")
        even = await ledger.load(handler, random.choices(names, k=80_000), str, waiting=512, tag="even")
        weights = [1 / rank for rank in range(1, AGGREGATES + 1)]
        picks = random.choices(names, weights=weights, k=80_000)
        zipf = await ledger.load(handler, picks, str, waiting=512, tag="zipf")
    for name, load in (("commands_concurrent_512", even), ("commands_concurrent_512_zipf", zipf)):
        note = f"p50 {load.quantile(0.5) * 1e3:.1f} ms, p99 {load.quantile(0.99) * 1e3:.1f} ms"
        figures.append(against(name, load.rate, "/s", f"{NAME}, 8 threads", rate, 20, note=note))
    figures.append(
        against(
            "command_latency_p50", single.quantile(0.5) * 1e3, "ms", f"{NAME}, one at a time", median(alone) * 1e3, 2,
            lower=True, note=f"p99 {single.quantile(0.99) * 1e3:.2f} ms",
        )
    )  # fmt: skip
    return figures


async def hot_aggregate(folder: Path) -> list[Figure]:
    """512 callers who all receive into and issue from one stock, through inventory's own decider."""
    async with (
        ledger.server(folder / "nats") as server,
        ledger.handler(server, inventory, DECIDERS) as handler,
    ):
        await pantry.fill(handler, pantry.catalogue(1), tag="catalogue", waiting=1)
        # The stream is asked before each decision in the first second in which a process reads a category.
        await pantry.fill(handler, pantry.traffic(2000, 1), tag="warm", waiting=512)
        rate = await pantry.fill(handler, pantry.traffic(40_000, 1), tag="hot", waiting=512)
    return [against("hot_aggregate", rate, "/s", "at least", 5000, 1)]


async def over_wire(folder: Path) -> list[Figure]:
    """256 callers of one inventory process, from NATS request to durable answer, over 500 stocks."""
    async with ledger.server(folder / "nats") as server:
        async with ledger.handler(server, inventory, DECIDERS) as handler:
            await pantry.fill(handler, pantry.catalogue(500), tag="catalogue", waiting=100)
            await pantry.fill(handler, pantry.traffic(2000, 500), tag="warm")
        async with _service(server) as client:
            seconds: list[float] = []
            bodies = [msgspec.json.encode(command) for command in pantry.traffic(500, 500)]  # one receipt an item

            async def caller(count: int) -> None:
                for _ in range(count):
                    began = time.perf_counter()
                    await client.send("inventory", "ReceiveStock", random.choice(bodies))
                    seconds.append(time.perf_counter() - began)

            await asyncio.gather(*(caller(10) for _ in range(256)))
            seconds.clear()
            began = time.perf_counter()
            await asyncio.gather(*(caller(150) for _ in range(256)))
            rate = len(seconds) / (time.perf_counter() - began)
    seconds.sort()
    note = f"p50 {seconds[len(seconds) // 2] * 1e3:.1f} ms, p99 {seconds[int(len(seconds) * 0.99)] * 1e3:.1f} ms"
    return [against("commands_over_wire_256", rate, "/s", "at least", 6000, 1, note=note)]


@asynccontextmanager
async def _service(server: NatsServer) -> AsyncIterator[CommandClient]:
    """One inventory process of its own, and a client of it."""
    environment = os.environ | {"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url}
    environment["COMMONS_RATE"] = "0"  # one actor sends everything here
    environment.pop("DATABASE_URL", None)
    keys = Keys(server.folder / "keys", {})
    keys.prepare()
    environment |= keys.environment("inventory")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.inventory.app", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    nc = await connect(server.url, name="bench-client")
    try:
        while True:  # until it answers
            if process.returncode is not None:
                raise RuntimeError(f"the inventory service ended with {process.returncode} instead of starting")
            try:
                await nc.request("status.inventory", b"", timeout=1)
                break
            except Exception:  # noqa: BLE001 - not there yet, whichever way nats-py says so
                await asyncio.sleep(0.1)
        yield CommandClient(nc, actor="bench", tokens=Signed(Signer.from_file(keys.issuer, "local"), roles_of))
    finally:
        await nc.close()
        process.terminate()
        await process.wait()
