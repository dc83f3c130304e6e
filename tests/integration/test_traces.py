"""A trace leads from a command through its event to the rows that a projection wrote for it; off, there is nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.inventory.app import service
from services.local.nats import NatsServer
from services.projections.registry import PROJECTIONS
from shared import runner, telemetry
from shared.database import open_pool
from shared.migrations import migrate_database
from shared.readmodel import wait_for
from shared.runner import Runner
from shared.settings import load
from shared.wire import StreamReader
from tests.support.keys import keys_beside, shown_as

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROJECTION = PROJECTIONS["catalogue"]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Tracing is on, and every span that ended is here."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("commons"))
    return exporter


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each reader that a projection opened, whether it keeps headers."""
    kept: list[bool] = []

    class Noted(StreamReader):
        def __init__(self, *given: Any, **settings: Any) -> None:
            kept.append(settings.get("keep_headers", False))
            super().__init__(*given, **settings)

    monkeypatch.setattr(runner, "StreamReader", Noted)
    return kept


@asynccontextmanager
async def ledger(server: NatsServer, database_url: str) -> AsyncIterator[nats.NATS]:
    """The inventory service and one projection, live."""
    await migrate_database(database_url)
    inventory = service(
        load({"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, **keys_beside(server)})
    )
    await inventory.start()
    projection = Runner(PROJECTION, server.url, database_url)
    following = asyncio.create_task(projection.run())
    client = await nats.connect(server.url)
    try:
        async with asyncio.timeout(30):
            while projection.condition.state != "live":
                await asyncio.sleep(0.01)
        yield client
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.close()
        await inventory.stop()


async def open_location(
    client: nats.NATS, server: NatsServer, database_url: str, location: str, **more: str
) -> dict[str, str]:
    """Send a command and wait for its rows; the headers of the stored message."""
    body = {
        "specversion": "1.0", "id": f"open-{location}", "source": "/commons/tests",
        "type": "commons.inventory.open-location", "authid": "sam", "authtype": "user",
        "data": {"location": location, "name": "Store", "kind": "store"}, **more,
    }  # fmt: skip
    reply = await client.request(
        "command.inventory.open-location", json.dumps(body).encode(), timeout=10,
        headers=shown_as(server, "sam", "inventory"),
    )  # fmt: skip
    answer = json.loads(reply.data)
    assert answer["status"] == "accepted", answer
    pool = await open_pool(database_url, max_size=2)
    await wait_for(pool, PROJECTION.name, "INVENTORY", answer["sequence"], timeout=20)
    pool.terminate()
    return (await client.jetstream().get_msg("INVENTORY", answer["sequence"])).headers or {}


async def test_from_command_through_event_to_row(
    nats_server: NatsServer, database_url: str, spans: InMemorySpanExporter, readers: list[bool]
) -> None:
    async with ledger(nats_server, database_url) as client:
        headers = await open_location(client, nats_server, database_url, "store", traceparent=f"00-{TRACE}-{PARENT}-01")
        command = await ended(spans, "OpenLocation")
        fold = await ended(spans, f"fold {PROJECTION.name}")
    assert command.context is not None and command.parent is not None and command.attributes is not None
    assert f"{command.context.trace_id:032x}" == TRACE
    assert f"{command.parent.span_id:016x}" == PARENT
    assert command.attributes["command_id"] == "open-store"
    assert command.attributes["status"] == "accepted"
    assert headers["traceparent"] == f"00-{TRACE}-{command.context.span_id:016x}-01"
    (link,) = fold.links
    assert (link.context.trace_id, link.context.span_id) == (command.context.trace_id, command.context.span_id)
    assert fold.attributes is not None
    assert (fold.attributes["stream"], fold.attributes["first"], fold.attributes["last"]) == ("INVENTORY", 1, 1)
    assert readers == [True]


async def test_off_there_is_nothing(
    nats_server: NatsServer, database_url: str, spans: InMemorySpanExporter, readers: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(telemetry, "_tracer", None)
    monkeypatch.setattr(telemetry, "traceparent_in", None)  # whoever looks into headers fails
    assert not telemetry.tracing()
    async with ledger(nats_server, database_url) as client:
        untraced = await open_location(client, nats_server, database_url, "site")
        caller = f"00-{TRACE}-{PARENT}-01"
        traced = await open_location(client, nats_server, database_url, "store", traceparent=caller)
    assert "traceparent" not in untraced
    assert traced["traceparent"] == caller, "the caller's own trace is passed on as it is"
    assert spans.get_finished_spans() == ()
    assert readers == [False]


async def ended(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    """The one span of a name; a fold's ends a moment after its rows can be read."""
    async with asyncio.timeout(10):
        while not (found := [span for span in spans.get_finished_spans() if span.name == name]):
            await asyncio.sleep(0.01)
    (span,) = found
    return span


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (b"NATS/1.0\r\ntraceparent:00-a-b-01\r\n\r\n", "00-a-b-01"),
        (b"NATS/1.0\r\nx: y\r\ntraceparent: 00-a-b-01\r\nz: \r\n\r\n", "00-a-b-01"),
        (b"NATS/1.0\r\nx-traceparent:1\r\n\r\n", None),
        (b"NATS/1.0\r\ntraceparent:\xff\r\n\r\n", "\ufffd"),
        (b"", None),
    ],
)
def test_the_header_of_a_message(headers: bytes, found: str | None) -> None:
    assert telemetry.traceparent_in(headers) == found
