"""One sender who asks for too much: refused, told when to come back, and felt by nobody else."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from prometheus_client import generate_latest

from services.local.nats import NatsServer
from shared.client import CommandClient
from shared.message import Refused
from shared.service import Service
from shared.settings import Settings
from tests.support.kiosk import DECIDERS, kiosk
from tests.support.ledger import read


@asynccontextmanager
async def serving(server: NatsServer, **settings: Any) -> AsyncIterator[tuple[Service, Client]]:
    made = {"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, **settings}
    service = Service(kiosk, DECIDERS, Settings.model_validate(made))
    await service.start()
    client = await nats.connect(server.url)
    try:
        yield service, client
    finally:
        await client.close()
        await service.stop()


def body(actor: str, number: int, **changes: Any) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0", "id": f"{actor}-{number}", "source": "/test", "type": "commons.kiosk.take-ticket",
            "authid": actor, "data": {"counter": f"c-{actor}", "holder": "ada"}, **changes,
        }
    ).encode()  # fmt: skip


async def ask(nc: Client, raw: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((await nc.request("command.kiosk.take-ticket", raw, timeout=20)).data)
    return answer


async def test_a_flood_by_one_actor_is_refused_and_every_command_of_another_accepted(nats_server: NatsServer) -> None:
    async with serving(nats_server, COMMONS_RATE=0.001, COMMONS_RATE_BURST=100) as (service, nc):
        floods = await nats.connect(nats_server.url)
        answers: list[dict[str, Any]] = []
        done = asyncio.Event()

        async def flood() -> None:
            while not done.is_set():
                first = len(answers)
                answers.extend(await asyncio.gather(*(ask(floods, body("eve", first + n)) for n in range(200))))

        flooding = asyncio.create_task(flood())
        for number in range(20):
            answer = await ask(nc, body("sam", number))
            assert answer["status"] == "accepted", answer
        done.set()
        await flooding
        statuses = Counter(answer["status"] for answer in answers)
        assert statuses["accepted"] == 100
        assert statuses["refused"] == len(answers) - 100 > 200
        problems = [answer["problem"] for answer in answers if answer["status"] == "refused"]
        assert {(one["status"], one["code"]) for one in problems} == {(429, "RATE_LIMITED")}
        assert all(isinstance(one["retry_after"], int) and "eve" in one["detail"] for one in problems)
        assert service.health()["turned_away"] == {"busy": 0, "limited": len(answers) - 100}
        exposed = generate_latest().decode()
        assert 'command="TakeTicket",service="kiosk",status="limited"' in exposed
        assert '"eve"' not in exposed, "as many series as senders"
        await floods.close()
    assert len(await read(nats_server)) == 120


async def test_who_sends_is_known_before_the_dearer_half_is_done(nats_server: NatsServer) -> None:
    """Refused for the rate, and not for the member that stands twice."""
    async with serving(nats_server, COMMONS_RATE=0.001, COMMONS_RATE_BURST=100) as (_, nc):
        twice = body("eve", 0).replace(b'"holder"', b'"holder": "eve", "holder"')
        codes = Counter([(await ask(nc, twice))["problem"]["code"] for _ in range(150)])
        assert codes == {"INVALID": 100, "RATE_LIMITED": 50}


async def test_the_client_waits_as_long_as_it_is_told_and_each_command_is_recorded_once(
    nats_server: NatsServer,
) -> None:
    async with serving(nats_server, COMMONS_RATE=50, COMMONS_RATE_BURST=100) as (service, nc):
        client = CommandClient(nc, actor="sam")
        fields = [{"counter": f"c-{number}", "holder": "ada"} for number in range(180)]
        replies = await asyncio.gather(
            *(client.send("kiosk", "TakeTicket", data, id=f"t-{number}") for number, data in enumerate(fields))
        )
        assert {reply.status for reply in replies} == {"accepted"}
        limited = service.health()["turned_away"]["limited"]
        assert 0 < limited < 400, "it comes back when it was told to, and not at once"
    assert len(await read(nats_server)) == 180


async def test_a_wait_beyond_the_senders_patience_is_told_at_once(nats_server: NatsServer) -> None:
    async with serving(nats_server, COMMONS_RATE=0.001, COMMONS_RATE_BURST=100) as (service, nc):
        client = CommandClient(nc, actor="sam", patience=30)
        for number in range(100):
            await client.send("kiosk", "TakeTicket", {"counter": "door", "holder": "ada"}, id=f"t-{number}")
        with pytest.raises(Refused) as refused:
            await client.send("kiosk", "TakeTicket", {"counter": "door", "holder": "ada"}, id="t-100")
        assert (refused.value.status, refused.value.code) == (429, "RATE_LIMITED")
        assert service.health()["turned_away"]["limited"] == 1
        first = await CommandClient(nc, actor="ben").send("kiosk", "TakeTicket", {"counter": "door", "holder": "ben"})
        assert first.status == "accepted"
