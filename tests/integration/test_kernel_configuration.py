"""A stream or a server that is not as the ledger needs it is refused at the start, and what differs is named."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

import services.local.nats
from services.local.nats import NatsServer
from services.local.process import free_port
from shared.connection import connect
from shared.errors import Misconfigured
from shared.service import Service
from shared.settings import Settings
from shared.store import FORBIDDEN, REQUIRED, EventStore, assert_sync_always
from tests.support.kiosk import DECIDERS, kiosk

RIGHT = {**REQUIRED, "name": "KIOSK", "subjects": ["ledger.kiosk.>"], "num_replicas": 1}

# What an operator might have set instead of each setting that the ledger needs.
WRONG: dict[str, dict[str, Any]] = {
    "retention": {"retention": "interest"},
    "storage": {"storage": "memory"},
    "discard": {"discard": "old"},
    "max_msgs": {"max_msgs": 1_000_000},
    "max_bytes": {"max_bytes": 1 << 30},
    "max_age": {"max_age": 3_600_000_000_000},
    "max_msgs_per_subject": {"max_msgs_per_subject": 1},
    "max_msg_size": {"max_msg_size": 1000},
    "deny_delete": {"deny_delete": False},
    "deny_purge": {"deny_purge": False},
    "allow_direct": {"allow_direct": False},
    "allow_atomic": {"allow_atomic": False},
}
ALSO_SET: dict[str, dict[str, Any]] = {
    "allow_rollup_hdrs": {"allow_rollup_hdrs": True, "deny_purge": False},
    "allow_msg_ttl": {"allow_msg_ttl": True},
    "allow_msg_schedules": {"allow_msg_schedules": True, "deny_purge": False, "discard": "old"},
    "allow_msg_counter": {"allow_msg_counter": True, "discard": "old"},
    "no_ack": {"no_ack": True, "allow_atomic": False},
    "mirror": {"mirror": {"name": "ELSEWHERE"}, "subjects": [], "allow_atomic": False},
    "sources": {"sources": [{"name": "ELSEWHERE"}]},
    "republish": {"republish": {"src": "ledger.kiosk.>", "dest": "copy.>"}},
    "subject_transform": {"subject_transform": {"src": "ledger.kiosk.>", "dest": "ledger.kiosk.x.>"}},
    "subject_delete_marker_ttl": {
        "subject_delete_marker_ttl": 60_000_000_000, "allow_msg_ttl": True, "allow_rollup_hdrs": True,
        "deny_purge": False,
    },
    "discard_new_per_subject": {"discard_new_per_subject": True, "max_msgs_per_subject": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server for all; each test deletes its stream."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
async def nc(server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(server.url)
    yield client
    await client.request("$JS.API.STREAM.DELETE.KIOSK", b"", timeout=30)
    await client.close()


async def made(nc: Client, **config: Any) -> dict[str, Any]:
    wanted = json.dumps({**RIGHT, **config}).encode()
    for _ in range(50):  # the folder of the stream before may not be gone yet
        answer: dict[str, Any] = json.loads((await nc.request("$JS.API.STREAM.CREATE.KIOSK", wanted)).data)
        if answer.get("error", {}).get("err_code") != 10049:
            break
        await asyncio.sleep(0.1)
    assert "error" not in answer, answer
    found: dict[str, Any] = answer["config"]
    return found


async def refusal(nc: Client, server: NatsServer) -> Misconfigured:
    store = EventStore(nc, kiosk)
    with pytest.raises(Misconfigured) as refused:
        await store.ensure(server.monitor_url)
    return refused.value


def test_every_setting_has_its_case() -> None:
    assert set(WRONG) == set(REQUIRED)
    assert set(ALSO_SET) | {"sealed"} == set(FORBIDDEN)


@pytest.mark.parametrize("name", WRONG)
async def test_a_setting_that_differs(server: NatsServer, nc: Client, name: str) -> None:
    await made(nc, **WRONG[name])
    refused = await refusal(nc, server)
    assert any(line.startswith(f"{name} is ") for line in refused.facts["differences"]), refused
    assert name in refused.detail


@pytest.mark.parametrize("name", ALSO_SET)
async def test_a_setting_that_would_let_events_vanish(server: NatsServer, nc: Client, name: str) -> None:
    await made(nc, **ALSO_SET[name])
    refused = await refusal(nc, server)
    assert f"{name} is set" in refused.facts["differences"]


async def test_a_sealed_stream(server: NatsServer, nc: Client) -> None:
    config = await made(nc)
    await nc.request("$JS.API.STREAM.UPDATE.KIOSK", json.dumps({**config, "sealed": True}).encode())
    assert "sealed is set" in (await refusal(nc, server)).facts["differences"]


async def test_asynchronous_persistence(server: NatsServer, nc: Client) -> None:
    await made(nc, persist_mode="async", allow_atomic=False)
    assert "persist_mode is 'async'" in (await refusal(nc, server)).detail


async def test_other_subjects(server: NatsServer, nc: Client) -> None:
    await made(nc, subjects=["ledger.kiosk.jar.>"])
    assert "subjects are ['ledger.kiosk.jar.>']" in (await refusal(nc, server)).detail


async def test_the_right_stream_is_made_and_found_again(server: NatsServer, nc: Client) -> None:
    for _ in range(2):
        await EventStore(nc, kiosk).ensure(server.monitor_url)


async def test_the_service_says_all_that_is_wrong_and_starts_nothing(server: NatsServer, nc: Client) -> None:
    await made(nc, discard="old", deny_purge=False)
    service = Service(kiosk, DECIDERS, Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url))
    with pytest.raises(Misconfigured, match=r"discard is 'old', not 'new'; deny_purge is False, not True"):
        await service.start()
    assert not service.nc.is_connected, "a refused start leaves its connection open"
    await service.stop()


@pytest.fixture
async def other_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[NatsServer]:
    """A server with a part of its configuration changed."""
    old, new = request.param
    template = services.local.nats._CONFIG
    assert old in template
    monkeypatch.setattr(services.local.nats, "_CONFIG", template.replace(old, new))
    async with NatsServer(tmp_path / "other") as server:
        yield server


@pytest.mark.parametrize(
    "other_server",
    [("sync_interval: always", ""), ("sync_interval: always", 'sync_interval: "1s"')],
    ids=["default", "every second"],
    indirect=True,
)
async def test_a_server_that_does_not_sync_every_write(other_server: NatsServer) -> None:
    nc = await nats.connect(other_server.url)
    with pytest.raises(Misconfigured, match="sync_interval: always"):
        await EventStore(nc, kiosk).ensure(other_server.monitor_url)
    await nc.close()


@pytest.mark.parametrize(
    "other_server",
    [("jetstream {{\n  store_dir: {store_dir}\n  sync_interval: always\n  {jetstream}\n}}", "")],
    indirect=True,
)
async def test_a_server_without_jetstream(other_server: NatsServer) -> None:
    nc = await nats.connect(other_server.url)
    with pytest.raises(Misconfigured, match="no JetStream"):
        await EventStore(nc, kiosk).ensure(other_server.monitor_url)
    await nc.close()


async def test_a_server_whose_monitoring_does_not_answer(server: NatsServer) -> None:
    with pytest.raises(Misconfigured, match="NATS_MONITORING_URL"):
        await assert_sync_always(None)
    with pytest.raises(Misconfigured, match="did not answer"):
        await assert_sync_always(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Misconfigured, match="http:// or https://"):
        await assert_sync_always("file:///etc/passwd")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"config":null}', b'{"config":{"sync_always":false}}', b"\xff"]
)
async def test_a_monitoring_answer_that_does_not_say_so(body: bytes) -> None:
    with pytest.raises(Misconfigured):
        await assert_sync_always("http://127.0.0.1:1", fetch=lambda _: body)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (("yes", "yes", "yes"), None),
        (("yes", "gone", "yes"), None),
        (("yes", "gone", "gone"), "did not answer"),
        (("yes", "no", "yes"), "http://b:8222/jsz"),
        (("gone", "no", "yes"), "http://b:8222/jsz"),
    ],
)
async def test_most_servers_of_a_cluster_say_that_they_sync_and_none_the_contrary(
    answers: tuple[str, ...], reason: str | None
) -> None:
    said = {f"http://{host}:8222/jsz": answer for host, answer in zip("abc", answers, strict=True)}

    def fetch(url: str) -> bytes:
        if said[url] == "gone":
            raise OSError("no route to host")
        return b'{"config":{"sync_always":%s}}' % (b"true" if said[url] == "yes" else b"false")

    urls = "http://a:8222, http://b:8222/,http://c:8222"
    if reason is None:
        await assert_sync_always(urls, fetch)
    else:
        with pytest.raises(Misconfigured, match=reason):
            await assert_sync_always(urls, fetch)


async def test_no_server_at_the_address() -> None:
    with pytest.raises(Misconfigured, match="NATS_URL"):
        await connect(f"nats://127.0.0.1:{free_port()}", name="test")


async def test_something_else_at_the_address() -> None:
    """It takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Misconfigured, match=r"within 1 s"):
        await connect(f"nats://127.0.0.1:{silent.getsockname()[1]}", name="test", timeout=1)
