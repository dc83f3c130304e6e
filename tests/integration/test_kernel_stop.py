"""Stopping: what is in hand is answered, nothing is left behind, and a server that is gone holds nobody up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import nats
import pytest

from services.local.nats import NatsServer
from services.local.process import ChildProcess, free_port
from shared.client import CommandClient
from shared.command import CommandMeta
from shared.decider import Ref
from shared.errors import Busy, OutcomeUnknown
from shared.service import Service
from shared.settings import Settings
from tests.support.kiosk import DECIDERS, ChangeJar, TakeTicket, kiosk
from tests.support.ledger import last_sequence, ledger, read, until
from tests.support.proxy import Proxy


def service_of(server: NatsServer, url: str | None = None) -> Service:
    return Service(kiosk, DECIDERS, Settings(NATS_URL=url or server.url, NATS_MONITORING_URL=server.monitor_url))


def meta(id: str) -> CommandMeta:
    return CommandMeta(id=id, actor="sam")


def body(number: int) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0", "id": f"c-{number}", "source": "/test", "type": "commons.kiosk.take-ticket",
            "authid": "sam", "data": {"counter": f"c-{number % 20}", "holder": "ada"},
        }
    ).encode()  # fmt: skip


async def nothing_left(before: set[asyncio.Task[Any]], *, but: str = "nothing") -> None:
    """That every task that was begun has ended, but those of one function."""
    left = {task for task in others() - before if but not in repr(task.get_coro())}
    if left:
        await asyncio.wait(left, timeout=5)
    assert not {task for task in left if not task.done()}


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_stop_answers_what_is_in_hand_and_leaves_nothing(nats_server: NatsServer) -> None:
    before = others()
    service = service_of(nats_server)
    await service.start()
    client = await nats.connect(nats_server.url)
    asked = [asyncio.create_task(client.request("command.kiosk.take-ticket", body(n), timeout=10)) for n in range(500)]
    await until(lambda: service.health()["waiting"] or service.committer.writes)
    await service.stop()
    replies = [json.loads(reply.data) for reply in await asyncio.gather(*asked, return_exceptions=True)
               if not isinstance(reply, nats.errors.NoRespondersError)]  # fmt: skip
    assert replies
    assert {reply["status"] for reply in replies} == {"accepted"}, [r for r in replies if r["status"] != "accepted"][:1]
    await client.close()
    await nothing_left(before)
    assert len(await read(nats_server)) == len(replies)
    assert service.health()["ready"] is False


async def test_while_one_ends_the_other_takes_over(nats_server: NatsServer) -> None:
    """One still loads what it was asked before: that is answered by it, and what is asked now by the other."""
    first, second = service_of(nats_server), service_of(nats_server)
    await first.start()
    page, loading, let_go = first.store.page, asyncio.Event(), asyncio.Event()

    async def slow(ref: Ref, **options: Any) -> Any:
        loading.set()
        await let_go.wait()
        return await page(ref, **options)

    first.store.page = slow  # type: ignore[method-assign]
    client = await nats.connect(nats_server.url)
    old = asyncio.create_task(client.request("command.kiosk.take-ticket", body(0), timeout=10))
    await loading.wait()
    stopping = asyncio.create_task(first.stop())
    await second.start()
    await until(lambda: not first._reception.inbound.listening and second.health()["leading"])
    for number in range(1, 30):
        reply = json.loads((await client.request("command.kiosk.take-ticket", body(number), timeout=10)).data)
        assert reply["status"] == "accepted", reply
    assert not old.done() and not stopping.done()
    let_go.set()
    assert json.loads((await old).data)["status"] == "accepted"
    await stopping
    await second.stop()
    await client.close()
    assert len(await read(nats_server)) == 30


async def test_a_process_that_is_told_to_end_answers_first(nats_server: NatsServer, tmp_path: Path) -> None:
    """Under load, through the door, by SIGTERM: each request is accepted or was never taken; none is left hanging."""
    environment = {
        **os.environ, "NATS_URL": nats_server.url, "NATS_MONITORING_URL": nats_server.monitor_url,
        "COMMONS_HTTP_PORT": str(free_port()),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.support.kiosk_service"]
    root = Path(__file__).parents[2]
    process = ChildProcess("kiosk", command, log=tmp_path / "kiosk.log", env=environment, cwd=root)
    client = await nats.connect(nats_server.url)

    async def taken() -> bool:
        try:
            return bool(await client.request("command.kiosk.take-ticket", body(0), timeout=5))
        except nats.errors.NoRespondersError:
            return False

    try:
        await until(taken)
        outcomes: list[str] = []

        async def caller(number: int) -> None:
            for n in range(100):
                try:
                    reply = await client.request("command.kiosk.take-ticket", body(1 + number * 100 + n), timeout=10)
                except nats.errors.NoRespondersError:
                    outcomes.append("not taken")
                    return
                answer = json.loads(reply.data)
                outcomes.append(answer["status"] if answer["status"] == "accepted" else answer["problem"]["code"])

        callers = [asyncio.create_task(caller(number)) for number in range(30)]
        await until(lambda: len(outcomes) > 100)
        os.kill(process.pid, signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*callers), 20)
        assert await process.wait(15) == 0, process.last_words()
    finally:
        await process.kill()
        await client.close()
    assert set(outcomes) <= {"accepted", "not taken", "BUSY"} and "not taken" in outcomes
    assert await last_sequence(nats_server) == 1 + outcomes.count("accepted")


async def test_a_lost_server_does_not_hold_up_the_end(nats_server: NatsServer) -> None:
    """What could not be written is answered with an outcome that is not known, in less time than a supervisor waits."""
    before = others()
    service = service_of(nats_server)
    await service.start()
    await nats_server.kill()
    futures = [service.handler.submit(ChangeJar(jar="pot", by=by), meta(f"c-{by}")) for by in (1, -5)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.wait_for(service.stop(), 15)
    answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 1)
    assert {type(answer) for answer in answers} == {OutcomeUnknown}, answers
    assert loop.time() - began < 15  # a supervisor kills after 20
    # The client library leaves its subscriptions' tasks to the loop's end when its last flush meets a dead connection.
    await nothing_left(before, but="Subscription._wait_for_msgs")


async def test_a_server_that_says_nothing_does_not_hold_up_the_end(nats_server: NatsServer) -> None:
    """The connections stand, and no byte comes back."""
    async with Proxy(nats_server.port) as proxy:
        service = service_of(nats_server, proxy.url)
        await service.start()
        await service.handler.handle(ChangeJar(jar="pot", by=1), meta("c-0"))
        proxy.hold()
        futures = [service.handler.submit(ChangeJar(jar="pot", by=by), meta(f"c-{by}")) for by in (1, -50)]
        await asyncio.wait_for(service.stop(), 15)
        answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 1)
        assert {type(answer) for answer in answers} == {OutcomeUnknown}, answers


async def test_after_the_end_nothing_is_taken(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        await one.send(TakeTicket(counter="door", holder="ada"), "before")
    with pytest.raises(Busy, match="stopping"):
        await asyncio.wait_for(one.send(TakeTicket(counter="door", holder="ada"), "after"), 5)
    assert await last_sequence(nats_server) == 1


async def test_a_client_goes_on_with_the_service_that_comes_next(nats_server: NatsServer) -> None:
    """One service ends and another begins; a caller only waits, and each command is recorded once."""
    first, second = service_of(nats_server), service_of(nats_server)
    await first.start()
    nc = await nats.connect(nats_server.url)
    client = CommandClient(nc, actor="sam", timeout=5)

    async def caller(number: int) -> list[int]:
        return [
            (
                await client.send("kiosk", "TakeTicket", {"counter": "door", "holder": "ada"}, id=f"{number}-{n}")
            ).sequence
            for n in range(20)
        ]

    callers = [asyncio.create_task(caller(number)) for number in range(20)]
    await until(lambda: first.committer.appends > 50)
    await first.stop()
    await second.start()
    sequences = [sequence for one in await asyncio.wait_for(asyncio.gather(*callers), 30) for sequence in one]
    assert sorted(sequences) == list(range(1, 401))
    await second.stop()
    await nc.close()
