"""The read models' process: it waits for its servers, follows, tells its health and figures, and stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import nats

from services.distribution.contract import distribution
from services.inventory.contract import inventory
from services.local.nats import NatsServer
from services.local.process import free_port
from services.projections.registry import INVENTORY, TOGETHER
from services.treasury.contract import treasury
from shared.migrations import migrate_database
from shared.store import EventStore
from tests.support.pantry import Pantry


@asynccontextmanager
async def process(nats_url: str, database_url: str, port: int) -> AsyncIterator[Process]:
    environment = {
        **os.environ, "NATS_URL": nats_url, "DATABASE_URL": database_url, "COMMONS_HTTP_PORT": str(port),
        "COMMONS_LOG_FORMAT": "json",
    }  # fmt: skip
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.projections.app", env=environment, stderr=PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""

    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    return await asyncio.to_thread(fetch)


async def until(port: int, path: str, status: int) -> str:
    async with asyncio.timeout(30):
        while True:
            code, body = await get(port, path)
            if code == status:
                return body
            await asyncio.sleep(0.05)


def metric(text: str, name: str, **labels: str) -> float:
    """One sample of a Prometheus text page."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    (line,) = [
        line for line in text.splitlines()
        if line.startswith(name + "{") and all(label in line for label in wanted)
    ]  # fmt: skip
    return float(line.rpartition(" ")[2])


async def test_it_waits_for_its_database_then_follows_and_stops_in_order(
    nats_server: NatsServer, database_url: str
) -> None:
    port = free_port()
    pantry = Pantry().furnish()
    pantry.receive(10, "A")
    async with process(nats_server.url, database_url, port) as running:
        body = json.loads(await until(port, "/readyz", 503))
        assert {p["state"] for p in body["projections"].values()} <= {"starting", "waiting"}
        assert (await get(port, "/healthz"))[0] == 200
        nc = await nats.connect(nats_server.url)
        for contract in (inventory, distribution, treasury):
            await EventStore(nc, contract).ensure(nats_server.monitor_url)
        for event in pantry.events:
            await nc.jetstream().publish(event.subject, event.raw)
        await migrate_database(database_url)
        body = json.loads(await until(port, "/readyz", 200))
        assert set(body["projections"]) == {projection.name for projection in TOGETHER}

        async def level() -> str:
            while True:
                page = (await get(port, "/metrics"))[1]
                done = [
                    metric(page, "commons_projection_sequence", projection=name) == len(pantry.events)
                    and metric(page, "commons_projection_state", projection=name, state="live") == 1
                    for name in (projection.name for projection in INVENTORY)
                ]  # it has folded all a moment before it takes the place of what was live
                if all(done):
                    return page
                await asyncio.sleep(0.05)

        page = await asyncio.wait_for(level(), 30)
        assert metric(page, "commons_projection_lag", projection="stock_on_hand", stream="INVENTORY") == 0
        assert metric(page, "commons_projection_state", projection="stock_on_hand", state="live") == 1
        assert metric(page, "commons_projection_parked", projection="stock_on_hand") == 0
        status = json.loads((await nc.request("status.projections", b"", timeout=5)).data)
        assert status["ready"] is True

        # An event that cannot be folded is set aside, counted, and holds up nobody.
        bad = pantry.events[-1].raw.replace(b'"on_hand":10', b'"on_hand":null')
        await nc.jetstream().publish("ledger.inventory.stock.rice:store", bad)
        pantry.receive(5, "B", location="site")
        await nc.jetstream().publish(pantry.events[-1].subject, pantry.events[-1].raw)
        async with asyncio.timeout(30):
            while metric((await get(port, "/metrics"))[1], "commons_projection_parked", projection="stock_on_hand") < 1:
                await asyncio.sleep(0.1)
        assert await _on_hand(database_url) == {"store": 10, "site": 5}
        await nc.close()
        running.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.decode().splitlines() if line.startswith("{")]
    said = {line["event"] for line in lines}
    assert {"started", "projection switched", "event parked", "stopping"} <= said
    assert {line["service"] for line in lines} == {"projections"}


async def test_without_a_database_it_says_what_to_set(nats_server: NatsServer) -> None:
    async with process(nats_server.url, "", free_port()) as running:
        _, said = await asyncio.wait_for(running.communicate(), 20)
    assert running.returncode == 3
    assert "set DATABASE_URL" in said.decode()


async def _on_hand(database_url: str) -> dict[str, int]:
    connection = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(10):
            while True:
                rows = await connection.fetch(
                    "SELECT location, sum(on_hand)::bigint FROM read.stock_on_hand GROUP BY 1"
                )
                if len(rows) == 2:
                    return dict(rows)
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
