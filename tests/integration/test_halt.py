"""A halt of the whole ledger: every writer stops within a second, `commons resume` lets them go on, and nobody needs an
auditor to write."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from services.local.nats import NatsServer
from shared import halt
from shared.client import CommandClient
from shared.errors import Halted
from shared.halt import BUCKET, Checkpointed, Halt, HaltWatch
from shared.message import Refused
from shared.service import Service
from shared.settings import Settings
from tests.integration.commands.conftest import Commons
from tests.support.kiosk import DECIDERS, ChangeJar, kiosk
from tests.support.ledger import last_sequence, ledger, until

FOUND = Halt(
    halted=True, reason="the entry at 3 is not the event at 3", at="2026-11-26T10:00:00+00:00", by="auditor",
    stream="KIOSK", sequence=3,
)  # fmt: skip


@asynccontextmanager
async def serving(server: NatsServer) -> AsyncIterator[Service]:
    service = Service(kiosk, DECIDERS, Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url))
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def talking(server: NatsServer) -> AsyncIterator[tuple[Any, CommandClient]]:
    nc = await nats.connect(server.url)
    try:
        yield nc, CommandClient(nc, actor="sam")
    finally:
        await nc.close()


async def fill(client: CommandClient, jar: str = "pot") -> None:
    await client.send("kiosk", "ChangeJar", {"jar": jar, "by": 1})


async def test_a_halt_stops_a_service_within_a_second_and_resuming_starts_it_again(nats_server: NatsServer) -> None:
    async with serving(nats_server) as service, talking(nats_server) as (nc, client):
        await fill(client)
        began = time.monotonic()
        assert await halt.put(nc, FOUND) == FOUND
        await until(lambda: service.committer.halted)
        assert time.monotonic() - began < 1
        for jar in ("pot", "new"):
            with pytest.raises(
                Refused, match=r"halted at 2026-11-26T10:00:00.*by auditor.*KIOSK at 3.*commons resume"
            ) as no:
                await fill(client, jar)
            assert (no.value.code, no.value.status) == ("HALTED", 503)
        health = service.health()
        assert (health["ok"], health["ready"], health["halted"]["by"]) == (False, False, "auditor")
        before = await last_sequence(nats_server)
        assert await halt.lift(nc, reason="restored", by="ada", at="2026-11-26T11:00:00+00:00") == FOUND
        await until(lambda: service.committer.halted is None)
        await fill(client)
        assert await last_sequence(nats_server) == before + 1
        assert [(one.halted, one.by, one.reason) for one in await halt.history(nc)] == [
            (True, "auditor", FOUND.reason), (False, "ada", "restored"),
        ]  # fmt: skip


async def test_without_a_bucket_everybody_writes(nats_server: NatsServer) -> None:
    async with serving(nats_server), talking(nats_server) as (nc, client):
        await fill(client)
        assert await halt.read(nc) is None and await halt.checkpointed(nc, "kiosk") == 0
        assert await halt.lift(nc, reason="why not", by="ada", at="now") is None


async def test_under_load_what_was_answered_is_what_is_stored(nats_server: NatsServer) -> None:
    """The halt comes while writes are under way: an accepted command is there, and after the halt nothing more is."""
    async with serving(nats_server) as service, talking(nats_server) as (nc, client):

        async def keep_sending(worker: int) -> tuple[int, str]:
            for number in range(100_000):
                try:
                    await client.send("kiosk", "ChangeJar", {"jar": f"jar-{worker}", "by": 1}, id=f"{worker}-{number}")
                except Refused as refused:
                    return number, refused.code
            raise AssertionError("nothing stopped it")

        workers = [asyncio.create_task(keep_sending(worker)) for worker in range(40)]
        await until(lambda: service.committer.acknowledged > 300)
        await halt.put(nc, FOUND)
        ended = await asyncio.wait_for(asyncio.gather(*workers), 5)
        assert {code for _, code in ended} == {"HALTED"}
        assert await last_sequence(nats_server) == sum(accepted for accepted, _ in ended)
        await halt.lift(nc, reason="restored", by="ada", at="now")
        await until(lambda: service.committer.halted is None)
        for worker, (accepted, _) in enumerate(ended):
            await client.send("kiosk", "ChangeJar", {"jar": f"jar-{worker}", "by": 1}, id=f"{worker}-{accepted}")
        assert await last_sequence(nats_server) == sum(accepted + 1 for accepted, _ in ended)


async def test_a_halt_that_was_set_before_the_start_holds_and_the_service_runs(nats_server: NatsServer) -> None:
    async with talking(nats_server) as (nc, client):
        await halt.put(nc, FOUND)
        async with serving(nats_server) as service:
            with pytest.raises(Refused, match="halted"):
                await fill(client)
            await halt.lift(nc, reason="restored", by="ada", at="now")
            await until(lambda: service.committer.halted is None)
            await fill(client)


async def test_a_halt_that_is_set_while_nats_restarts_is_not_missed(nats_server: NatsServer) -> None:
    """The news of it never comes; the bucket is looked at before anything is written."""
    async with serving(nats_server) as service, talking(nats_server) as (nc, client):
        await fill(client)
        assert service._halt is not None and service._halt._subscription is not None
        await service._halt._subscription.unsubscribe()
        service._halt._subscription = None
        await nats_server.stop()
        await nats_server.start()
        await until(lambda: nc.is_connected)
        await halt.put(nc, FOUND)
        await until(lambda: service.committer.halted, 3)
        with pytest.raises(Refused, match="halted"):
            await fill(client)


async def test_a_bucket_that_vanishes_lifts_nothing(nats_server: NatsServer) -> None:
    async with talking(nats_server) as (nc, _):
        told: list[Halt | None] = []
        watch = HaltWatch(nc, told.append)
        await watch.start()
        await halt.put(nc, FOUND)
        await until(lambda: told)
        await nc.jetstream().delete_key_value(BUCKET)
        await asyncio.sleep(1.2)
        assert told == [FOUND]
        await watch.stop()


async def test_a_halt_whose_bucket_vanished_is_lifted_without_a_restart(nats_server: NatsServer) -> None:
    async with serving(nats_server) as service, talking(nats_server) as (nc, client):
        await halt.put(nc, FOUND)
        await until(lambda: service.committer.halted)
        await nc.jetstream().delete_key_value(BUCKET)
        assert await halt.lift(nc, reason="looked at it", by="ada", at="2026-11-26T11:00:00+00:00") is None
        await until(lambda: service.committer.halted is None)
        await fill(client)
        assert [(one.halted, one.by) for one in await halt.history(nc)] == [(False, "ada")]


@pytest.mark.parametrize("junk", [b"{", b'{"halted":true,"reason":"\xff","at":"","by":""}', b"\xff\xfe", b"[]"])
async def test_a_halt_that_cannot_be_read_halts_and_deafens_nobody(nats_server: NatsServer, junk: bytes) -> None:
    async with serving(nats_server) as service, talking(nats_server) as (nc, client):
        await halt.publish_checkpoint(nc, "kiosk", Checkpointed(size=0, root="", at="now"))
        bucket = await nc.jetstream().key_value(BUCKET)
        await bucket.put("halt", junk)
        await bucket.put("checkpoint.kiosk", junk)
        await until(lambda: service.committer.halted)
        assert await halt.checkpoint_of(nc, "kiosk") is None
        await halt.lift(nc, reason="nonsense", by="ada", at="2026-11-26T11:00:00+00:00")
        await until(lambda: service.committer.halted is None)
        await fill(client)
        assert [one.halted for one in await halt.history(nc)] == [True, False]
    async with talking(nats_server) as (nc, _):  # nor at the start
        await (await nc.jetstream().key_value(BUCKET)).put("halt", junk)
        async with serving(nats_server) as service:
            assert service.committer.halted is not None


async def test_nothing_that_fails_ends_the_watch(nats_server: NatsServer) -> None:
    async with talking(nats_server) as (nc, _):
        told: list[Halt | None] = []

        def changed(found: Halt | None) -> None:
            told.append(found)
            if len(told) == 1:
                raise RuntimeError("somebody told failed")

        watch = HaltWatch(nc, changed)
        await watch.start()
        await halt.put(nc, FOUND)
        await until(lambda: told)
        await halt.lift(nc, reason="restored", by="ada", at="now")
        await until(lambda: told == [FOUND, None])
        await watch.stop()


async def test_the_first_halt_stays_and_one_that_cannot_be_read_halts(nats_server: NatsServer) -> None:
    async with talking(nats_server) as (nc, _):
        await halt.put(nc, FOUND)
        later = Halt(halted=True, reason="another", at="later", by="auditor")
        assert await halt.put(nc, later) == FOUND
        assert await halt.read(nc) == FOUND
        await (await nc.jetstream().key_value(BUCKET)).put("halt", b"{")
        found = await halt.read(nc)
        assert found is not None and found.halted and "cannot be read" in found.reason


async def test_a_stream_that_ends_before_its_checkpoint_is_not_written_to(nats_server: NatsServer) -> None:
    async with serving(nats_server), talking(nats_server) as (nc, client):
        for _ in range(3):
            await fill(client)
        await halt.publish_checkpoint(nc, "kiosk", Checkpointed(size=3, root="", at="2026-11-26T10:00:00+00:00"))
    async with serving(nats_server), talking(nats_server) as (_, client):
        await fill(client)
    async with talking(nats_server) as (nc, _):
        await nc.jetstream().delete_stream("KIOSK")
    with pytest.raises(Halted, match=r"KIOSK ends at sequence 0, but 3 was known"):
        async with serving(nats_server):
            pass


async def test_a_checkpoint_is_looked_at_on_every_connection(nats_server: NatsServer) -> None:
    known = 0

    async def checkpointed() -> int:
        return known

    async with ledger(nats_server, known=checkpointed) as one:
        await one.send(ChangeJar(jar="pot", by=1), "fill")
        known = 9
        await nats_server.stop()
        await nats_server.start()
        await until(lambda: one.nc.is_connected)
        with pytest.raises(Halted, match="ends at sequence 1, but 9 was known"):
            await one.send(ChangeJar(jar="pot", by=1), "more")


def test_commons_resume_and_status(nats_server: NatsServer, tmp_path: Path) -> None:
    commons = Commons(tmp_path)

    async def found(checkpoint: bool) -> None:
        async with talking(nats_server) as (nc, _):
            await halt.put(nc, FOUND)
            if checkpoint:
                stored = Checkpointed(size=3, root="", at="2026-11-26T10:00:00+00:00", cosigned=2)
                await halt.publish_checkpoint(nc, "inventory", stored)

    asyncio.run(found(checkpoint=True))
    told = commons("status", "--json", "--nats-url", nats_server.url)
    assert json.loads(told.out)["halt"]["reason"] == FOUND.reason
    assert json.loads(told.out)["checkpoints"][0]["size"] == 3
    assert "its checkpoint holds 3 events: its tail is lost" in told.out
    assert commons("resume", "--nats-url", nats_server.url).code == 2  # why is asked for
    done = commons("resume", "--reason", "restored from the tiles", "--as", "ada", "--nats-url", nats_server.url)
    assert (done.code, "Lifted: the halt of 2026-11-26T10:00:00+00:00, set by auditor" in done.out) == (0, True)
    assert "Nothing was halted" in commons("resume", "--reason", "again", "--nats-url", nats_server.url).out
    assert json.loads(commons("status", "--json", "--nats-url", nats_server.url).out)["halt"] is None
