"""A ledger is one chapter's, from its first event on."""

from __future__ import annotations

import pytest

from services.local.nats import NatsServer
from shared.client import CommandClient
from shared.connection import connect
from shared.errors import Misconfigured
from shared.service import Service
from shared.settings import Settings
from tests.support.kiosk import DECIDERS, kiosk


def service_of(server: NatsServer, chapter: str) -> Service:
    told = Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url, COMMONS_CHAPTER=chapter)
    return Service(kiosk, DECIDERS, told)


async def test_a_service_does_not_go_on_with_another_chapters_ledger(nats_server: NatsServer) -> None:
    south = service_of(nats_server, "south")
    await south.start()
    nc = await connect(nats_server.url, name="test")
    await CommandClient(nc, actor="ada").send("kiosk", "TakeTicket", {"counter": "north", "holder": "Ann"})
    await nc.close()
    await south.stop()
    with pytest.raises(Misconfigured, match="of /commons/south/kiosk, and this service is /commons/north/kiosk"):
        await service_of(nats_server, "north").start()
    again = service_of(nats_server, "south")
    await again.start()
    await again.stop()
