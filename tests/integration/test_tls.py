"""TLS to NATS, with the certificates that `commons init` makes: who cannot show the right one is not spoken to."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.auditor import servers
from services.deploy.certificates import NAMES, SERVER_DAYS, Pair, make_authority, make_server
from services.deploy.secrets import prepare
from services.local.nats import NatsServer
from services.local.process import free_port
from shared.connection import connect
from shared.errors import LedgerError, Misconfigured
from shared.wireconnection import connect as connect_wire

NOW = datetime.now(UTC)


@pytest.fixture
async def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prepare(tmp_path / "secrets")
    monkeypatch.setenv("NATS_CA_FILE", str(tmp_path / "secrets" / "operator" / "ca.crt"))
    return tmp_path / "secrets"


@pytest.fixture
async def server(secrets: Path, tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path / "nats", certificate=secrets / "nats") as one:
        yield one


def show(secrets: Path, names: Sequence[str], authority: Pair | None = None, **when: object) -> None:
    """Have the server show another certificate."""
    own = Pair((secrets / "ca" / "ca.crt").read_bytes(), (secrets / "ca" / "ca.key").read_bytes())
    made = make_server(authority or own, names, **{"now": NOW, **when})  # type: ignore[arg-type]
    (secrets / "nats" / "server.crt").write_bytes(made.certificate)
    (secrets / "nats" / "server.key").write_bytes(made.key)


async def refusals(url: str) -> list[LedgerError]:
    """What both clients say of a server; each at once, and as one error."""
    found = []
    for attempt in (lambda: connect(url, name="one", timeout=3), lambda: connect_wire(url, None, 3, "two", False)):
        with pytest.raises(LedgerError) as refusal:
            await attempt()
        found.append(refusal.value)
    return found


async def test_both_clients_speak_tls(server: NatsServer) -> None:
    assert server.url.startswith("tls://")
    nc = await connect(server.url, name="one")
    await nc.jetstream().add_stream(name="PANTRY", subjects=["pantry.>"])
    wire = await connect_wire(server.url, None, 5, "two", False)
    assert b'"seq":1' in (await wire.request("pantry.rice", b"{}", 5)).payload
    wire.close()
    await nc.close()


@pytest.mark.parametrize(
    ("names", "authority", "when", "why"),
    [
        (NAMES["nats"], make_authority(NOW), {}, "unable to get local issuer|self.signed"),
        (NAMES["nats"], None, {"now": NOW - timedelta(days=9), "days": 8}, "expired"),
        (("elsewhere", "10.0.0.9"), None, {}, "not valid for '127.0.0.1'"),
    ],
    ids=["another authority", "expired", "another name"],
)
async def test_a_certificate_that_is_not_right_is_refused_and_named(
    secrets: Path, tmp_path: Path, names: Sequence[str], authority: Pair | None, when: dict[str, object], why: str
) -> None:  # fmt: skip
    show(secrets, names, authority, **when)
    async with NatsServer(tmp_path / "nats", certificate=secrets / "nats") as server:
        for refusal in await refusals(server.url):
            assert isinstance(refusal, Misconfigured)
            assert refusal.detail.startswith("The certificate of the NATS server at")
            assert re.search(why, refusal.detail)


async def test_it_is_told_for_how_long_the_certificate_that_the_server_has_read_is_valid(
    secrets: Path, server: NatsServer
) -> None:
    def days() -> float:
        servers._measure(server.monitor_url)
        where = {"server": server.monitor_url.removeprefix("http://")}
        return (REGISTRY.get_sample_value("commons_nats_certificate_seconds", where) or 0.0) / 86400

    assert SERVER_DAYS - 1 < days() <= SERVER_DAYS
    show(secrets, NAMES["nats"], days=20)
    assert days() > SERVER_DAYS - 1, "a file that is written anew is not read yet"
    os.kill(server.pid, signal.SIGHUP)
    async with asyncio.timeout(30):
        while days() > 20:
            await asyncio.sleep(0.1)


async def test_without_the_authority_nobody_is_trusted(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NATS_CA_FILE")
    assert all("not accepted" in refusal.detail for refusal in await refusals(server.url))
    monkeypatch.setenv("NATS_CA_FILE", "/nowhere/ca.crt")
    assert all("/nowhere/ca.crt, cannot be used: No such" in refusal.detail for refusal in await refusals(server.url))


async def test_who_speaks_in_clear_is_told_nothing(server: NatsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
    heard = await asyncio.wait_for(reader.read(), 9)  # until the server closes
    writer.close()
    assert b"INFO" not in heard and b"PONG" not in heard
    for refusal in await refusals(server.url.replace("tls://", "nats://")):
        assert "tls://" in refusal.detail


async def test_a_server_that_speaks_in_clear_is_told_nothing(secrets: Path, nats_server: NatsServer) -> None:
    """It could be anybody, who says that there is no TLS here."""
    for refusal in await refusals(nats_server.url.replace("nats://", "tls://")):
        assert "does not begin with TLS" in refusal.detail


async def test_of_several_servers_one_may_show_a_certificate_that_is_not_right(
    secrets: Path, server: NatsServer, tmp_path: Path
) -> None:
    show(secrets, ("elsewhere",))
    async with NatsServer(tmp_path / "other", certificate=secrets / "nats") as other:
        for urls in (f"{other.url},{server.url}", f"{server.url},{other.url}"):
            nc = await connect(urls, name="one", timeout=5)
            assert nc.connected_url is not None
            assert nc.connected_url.port == server.port
            await nc.close()
            wire = await connect_wire(urls, None, 5, "two", False)
            wire.close()
        for refusal in await refusals(f"{other.url},{other.url.replace('127.0.0.1', 'localhost')}"):
            assert "not valid for" in refusal.detail


async def test_a_server_that_does_not_know_the_user_is_named_though_another_is_away(tmp_path: Path) -> None:
    users = '{user: "us", password: "right"}'
    async with NatsServer(tmp_path / "nats", settings=f"authorization {{ users = [{users}] }}") as server:
        mistaken = server.url.replace("://", "://us:wrong@")
        with pytest.raises(Misconfigured, match="does not know this process's user"):
            await connect(f"{mistaken},nats://127.0.0.1:{free_port()}", name="one", timeout=2)
