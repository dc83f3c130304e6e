"""Who does not read in time is dropped by NATS, holds up nobody, and recovers by itself with nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import nats
import pytest

from services.local.nats import NatsServer
from services.local.process import ChildProcess
from shared import service as services
from shared.client import CommandClient
from shared.connection import connect
from shared.service import Service
from shared.settings import Settings
from shared.wire import StreamLost, StreamReader
from tests.support.kiosk import DECIDERS, ChangeJar, kiosk
from tests.support.ledger import event_of, ledger, until
from tests.support.projections import Stage
from tests.support.till import CoinsMoved, Jars

EVENTS = 12_000
"""Of 700 bytes: more than the kernel keeps on the way to who does not read."""


def moved(count: int) -> list[CoinsMoved]:
    return [CoinsMoved(jar=f"j-{n % 50:060}", coins=n % 7, note=f"{n:0100}") for n in range(count)]


async def dropped(server: NatsServer) -> int:
    """How many clients the server has cut off because they did not read."""

    def fetch() -> int:
        with urllib.request.urlopen(f"{server.monitor_url}/varz", timeout=5) as page:
            return int(json.load(page)["slow_consumers"])

    return await asyncio.to_thread(fetch)


async def test_a_read_model_that_was_frozen_under_load_is_dropped_and_catches_up(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        NatsServer(tmp_path / "nats", settings='write_deadline: "1s"') as server,
        Stage(server, database_url) as stage,
    ):
        reader = ChildProcess(
            "reader", [sys.executable, "-m", "tests.support.till_reader", server.url, database_url],
            log=tmp_path / "reader.log", cwd=Path(__file__).parents[2],
        )  # fmt: skip
        try:
            await stage.wait("jars", "TILL", await stage.publish(moved(10)))
            os.kill(reader.pid, signal.SIGSTOP)
            last = await stage.publish(moved(EVENTS))  # nobody who writes waits for it
            await until(lambda: dropped(server))
            os.kill(reader.pid, signal.SIGCONT)
            await stage.wait("jars", "TILL", last, timeout=60)
            last = await stage.publish(moved(10))
            await stage.wait("jars", "TILL", last)
            await stage.assert_fresh(Jars())
        finally:
            os.kill(reader.pid, signal.SIGCONT)
            await reader.kill()


async def test_a_reader_that_was_dropped_says_so_and_a_new_one_goes_on_where_it_was(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        NatsServer(tmp_path / "nats", settings='write_deadline: "1s"') as server,
        Stage(server, database_url) as stage,
    ):
        last = await stage.publish(moved(EVENTS))
        seen: list[int] = []

        async def read_and_pause() -> None:
            async with StreamReader(server.url, "TILL", 1) as reader:
                async for messages in reader.batches():
                    seen.extend([message.sequence for message in messages])
                    assert reader._wire is not None and reader._wire._transport is not None
                    reader._wire._transport.pause_reading()
                    await until(lambda: dropped(server))
                    reader._wire._transport.resume_reading()

        with pytest.raises(StreamLost):
            await read_and_pause()
        assert 0 < len(seen) < EVENTS
        async with StreamReader(server.url, "TILL", seen[-1] + 1) as reader:
            async for messages in reader.batches(until=last):
                seen += [message.sequence for message in messages]
        assert seen == list(range(1, last + 1))


async def test_a_queue_of_its_own_that_was_full_counts_as_a_lost_connection(nats_server: NatsServer) -> None:
    lost, go, heard = 0, asyncio.Event(), 0

    def missed() -> None:
        nonlocal lost
        lost += 1

    async def slow(_: Any) -> None:
        nonlocal heard
        await go.wait()
        heard += 1

    nc = await connect(nats_server.url, name="slow", on_lost=missed)
    await nc.subscribe("told", cb=slow, pending_msgs_limit=10)
    await nc.flush()
    other = await nats.connect(nats_server.url)
    for _ in range(100):
        await other.publish("told", b"x")
    await until(lambda: lost)
    assert nc.is_connected
    go.set()
    await other.publish("told", b"x")
    await until(lambda: heard >= 10)
    await other.close()
    await nc.close()


async def test_a_service_that_was_away_looks_again_at_what_others_wrote_meanwhile(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hints of what others write may be dropped while it is away: here all are."""
    monkeypatch.setattr(services, "AWAY_SECONDS", 0.2)
    settings = Settings.model_validate({"NATS_URL": nats_server.url, "NATS_MONITORING_URL": nats_server.monitor_url})
    service = Service(kiosk, DECIDERS, settings)
    await service.start()
    client = await nats.connect(nats_server.url)
    try:
        sam = CommandClient(client, actor="sam")
        await sam.send("kiosk", "ChangeJar", {"jar": "pot", "by": 5})
        first = await sam.send("kiosk", "Order", {"order": "o-1", "jar": "pot"})
        assert first.event is not None and first.event["data"]["seen"] == 5
        for subscription in list(service.nc._subs.values()):
            if subscription.subject.startswith("ledger."):
                await subscription.unsubscribe()
        async with ledger(nats_server) as other:
            assert event_of(await other.send(ChangeJar(jar="pot", by=2), "two")).left == 7
        time.sleep(0.8)  # the whole process is away
        await asyncio.sleep(1)
        second = await sam.send("kiosk", "Order", {"order": "o-2", "jar": "pot"})
        assert second.event is not None and second.event["data"]["seen"] == 7
    finally:
        await client.close()
        await service.stop()


async def test_a_caller_who_reads_no_answers_holds_up_no_other(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "nats", settings='write_deadline: "1s"') as server:
        made = {"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, "COMMONS_RATE": 1e6}
        service = Service(kiosk, DECIDERS, Settings.model_validate(made | {"COMMONS_RATE_BURST": 10**6}))
        await service.start()
        client = await nats.connect(server.url)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 10)
        try:
            writer.write(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.eve 1\r\n')
            # Answers of 700 bytes each to what is no command, which nobody reads.
            writer.write(b"PUB command.kiosk.take-ticket _INBOX.eve 2\r\n{}\r\n" * 30_000)
            sam = CommandClient(client, actor="sam")
            served = 0
            async with asyncio.timeout(30):
                while not (await dropped(server) and served >= 20):
                    reply = await sam.send("kiosk", "ChangeJar", {"jar": "pot", "by": 1})
                    assert reply.status == "accepted"
                    served += 1
            assert service.health()["ready"]
        finally:
            writer.close()
            await client.close()
            await service.stop()
        assert reader is not None
