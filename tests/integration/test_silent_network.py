"""A network that goes away without a word: every connection to NATS notices, and another one takes its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from services.local.nats import NatsServer
from shared import application, connection
from shared.connection import connect
from shared.settings import Settings
from tests.support.proxy import Proxy


class Well:
    """A component that is always well."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def health(self) -> dict[str, Any]:
        return {"ok": True, "ready": True}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, application):
        monkeypatch.setattr(module, "PING_SECONDS", 0.1)


async def _answers(nc: Client) -> None:
    """Wait until the process says that it is well."""
    async with asyncio.timeout(20):
        while True:
            try:
                reply = await nc.request("status.probe", b"", timeout=0.5)
            except nats.errors.Error:
                await asyncio.sleep(0.02)
            else:
                assert json.loads(reply.data) == {"ok": True, "ready": True}
                return


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_client_gives_up_a_connection_over_which_nothing_comes(nats_server: NatsServer) -> None:
    async with Proxy(nats_server.port) as proxy:
        lost = asyncio.Event()
        nc = await connect(proxy.url, name="test", on_lost=lost.set)
        try:
            proxy.hold()
            await asyncio.wait_for(lost.wait(), 20)
            await _until(lambda: nc.is_connected)
            await nc.flush()
        finally:
            await nc.close()


async def test_a_process_answers_for_its_health_again(nats_server: NatsServer) -> None:
    async with Proxy(nats_server.port) as proxy:
        asker = await connect(nats_server.url, name="asker")
        settings = Settings.model_validate({"NATS_URL": proxy.url})
        broker = application.build("probe", Well(), settings).broker
        assert broker is not None
        await broker.start()
        try:
            await _answers(asker)
            proxy.hold()
            await _answers(asker)
        finally:
            await broker.stop()
            await asker.close()
