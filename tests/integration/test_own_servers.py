"""Servers that run already: `commons up` uses them and leaves them running, and a service that cannot use them says why
in one sentence."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import asyncpg
import nats
import nats.errors
import pytest

import services.local.nats
from services.local.nats import NatsServer
from services.local.process import free_port
from shared.actortoken import HEADER
from shared.errors import Misconfigured
from shared.settings import load
from shared.store import REQUIRED
from tests.support.keys import keys_beside, tokens_of

INVENTORY, PROJECTIONS = "services.inventory.app", "services.projections.app"
DISTRIBUTION = "services.distribution.app"
PASSWORD = "kept-to-itself"
NOBODY = Path(__file__).parents[1] / "support" / "nobody.jwks"
"""The keys of nobody: a service that knows them starts, and takes no command."""


def environment(**given: str) -> dict[str, str]:
    """This process's, without what it may say of a ledger, and with what is given."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("COMMONS_", "NATS_", "DATABASE_"))}
    return {**plain, "NO_COLOR": "1", "COMMONS_ACTOR_KEYS": str(NOBODY), **given}


# -- commons up -------------------------------------------------------------------------------------------------------


async def test_up_runs_on_servers_of_its_own_choice_and_leaves_them_running(
    nats_server: NatsServer, database_url: str, tmp_path: Path
) -> None:
    urls = ["--nats-url", nats_server.url, "--database-url", database_url]
    data = tmp_path / "data"
    up = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", "up", "--data", str(data), *urls,
        stdout=PIPE, stderr=PIPE, env=environment(NATS_MONITORING_URL=nats_server.monitor_url),
    )  # fmt: skip
    try:
        assert up.stdout is not None
        async with asyncio.timeout(120):
            while b"The ledger runs" not in (line := await up.stdout.readline()):
                assert line, (await up.communicate())[1].decode()
        state = json.loads((data / "commons.json").read_text())
        assert state["servers"] == {}
        assert {path.name for path in data.iterdir()}.isdisjoint({"nats", "postgres"})

        client = await nats.connect(nats_server.url)
        sam = {HEADER: tokens_of(data / "keys").token("sam", "user", "inventory")}
        answer = await ask(client, sam, "open-location", {"location": "store", "name": "Store", "kind": "store"})
        assert answer["status"] == "accepted"
        await folded(database_url, answer["sequence"])

        up.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            out, err = await up.communicate()
        assert up.returncode == 0, err.decode()
        assert b"Stopped. Everything acknowledged is kept." in out
        assert nats_server.running
        assert (await client.jetstream().stream_info("INVENTORY")).state.last_seq == answer["sequence"]
        await client.close()
        await folded(database_url, answer["sequence"])
    finally:
        if up.returncode is None:
            up.kill()
            await up.wait()


async def ask(client: nats.NATS, sam: dict[str, str], command: str, data: dict[str, Any]) -> dict[str, Any]:
    body = {
        "specversion": "1.0", "id": f"own-{command}", "source": "/commons/tests",
        "type": f"commons.inventory.{command}", "authid": "sam", "authtype": "user", "data": data,
    }  # fmt: skip
    raw = json.dumps(body).encode()
    reply = await client.request(f"command.inventory.{command}", raw, timeout=20, headers=sam)
    found: dict[str, Any] = json.loads(reply.data)
    return found


async def folded(database_url: str, sequence: int) -> None:
    """Wait until every read model of inventory has folded an event; also says that the database answers."""
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(60):
        while (
            await connection.fetchval("SELECT min(sequence) FROM commons.checkpoint WHERE stream = 'INVENTORY'")
            != sequence
        ):
            await asyncio.sleep(0.05)
    await connection.close()


async def test_a_service_with_personal_data_and_no_master_key_says_so(nats_server: NatsServer) -> None:
    assert "Set COMMONS_MASTER_KEY_FILE" in await refused(INVENTORY, **addresses(nats_server))


async def test_the_first_server_that_answers_of_several(nats_server: NatsServer) -> None:
    url = f"nats://sam:{PASSWORD}@127.0.0.1:{free_port()},{nats_server.url}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", INVENTORY, stdout=DEVNULL, stderr=PIPE,
        env=environment(NATS_URL=url, NATS_MONITORING_URL=nats_server.monitor_url, **keys_beside(nats_server)),
    )  # fmt: skip
    client = await nats.connect(nats_server.url)
    try:
        async with asyncio.timeout(60):
            while (health := await status(client)) is None:
                assert process.returncode is None
                await asyncio.sleep(0.05)
        assert health["ready"]
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        assert PASSWORD not in said.decode()
    finally:
        await client.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def status(client: nats.NATS) -> dict[str, Any] | None:
    """What the service says of itself; None while it is not there."""
    try:
        found: dict[str, Any] = json.loads((await client.request("status.inventory", timeout=2)).data)
    except nats.errors.Error:
        return None
    return found


# -- refusals ---------------------------------------------------------------------------------------------------------


async def refused(module: str, **given: str) -> str:
    """Start a service that must not start; what it said, which is one line and no more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment(**given)
    )
    try:
        async with asyncio.timeout(90):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = err.decode()
    assert process.returncode == 3, (process.returncode, said)
    assert out == b""
    (line,) = [line for line in said.splitlines() if "cannot run:" in line]
    assert said.splitlines()[-1] == line
    assert "Traceback" not in said
    assert PASSWORD not in said
    return line


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NATS_URL", "somewhere", "NATS_URL='somewhere'"),
        ("NATS_MONITORING_URL", "localhost:8222", "NATS_MONITORING_URL='localhost:8222'"),
        ("DATABASE_URL", "mysql://db/ledger", "DATABASE_URL='mysql://db/ledger'"),
        ("COMMONS_CHAPTER", "two words", "COMMONS_CHAPTER='two words'"),
        ("COMMONS_HTTP_PORT", "seventy", "COMMONS_HTTP_PORT='seventy'"),
        ("COMMONS_CACHE_MB", "0", "COMMONS_CACHE_MB='0'"),
        ("COMMONS_LANES", "17", "COMMONS_LANES='17'"),
        ("COMMONS_LOG_LEVEL", "loud", "COMMONS_LOG_LEVEL='loud'"),
        ("COMMONS_TRACES", "yes", "COMMONS_TRACES='yes'"),
    ],
)
def test_a_setting_that_cannot_be_used(name: str, value: str, says: str) -> None:
    with pytest.raises(Misconfigured) as wrong:
        load({name: value})
    assert says in wrong.value.detail


@pytest.mark.parametrize("module", [INVENTORY, PROJECTIONS])
async def test_all_settings_that_cannot_be_used_are_named_at_once(module: str) -> None:
    said = await refused(module, NATS_URL="x", COMMONS_HTTP_PORT="-1", COMMONS_LOG_FORMAT="poem")
    assert all(name in said for name in ("NATS_URL", "COMMONS_HTTP_PORT", "COMMONS_LOG_FORMAT"))


async def test_no_nats_at_the_address() -> None:
    url = f"nats://sam:{PASSWORD}@127.0.0.1:{free_port()}"
    said = await refused(INVENTORY, NATS_URL=url)
    assert "NATS_URL" in said


async def test_nats_without_jetstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = "jetstream {{\n  store_dir: {store_dir}\n  sync_interval: always\n  {jetstream}\n}}"
    async with other_server(tmp_path, monkeypatch, block, "") as server:
        assert "no JetStream" in await refused(INVENTORY, **addresses(server))


async def test_nats_that_does_not_sync_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with other_server(tmp_path, monkeypatch, "sync_interval: always", "") as server:
        assert "sync_interval: always" in await refused(INVENTORY, **addresses(server))


async def test_a_service_that_is_not_told_whom_to_believe_says_so(nats_server: NatsServer, tmp_path: Path) -> None:
    assert "set COMMONS_ACTOR_KEYS" in await refused(INVENTORY, **addresses(nats_server), COMMONS_ACTOR_KEYS="")
    (tmp_path / "garbage").write_text("garbage")
    said = await refused(INVENTORY, **addresses(nats_server), COMMONS_ACTOR_KEYS=str(tmp_path / "garbage"))
    assert str(tmp_path / "garbage") in said
    told = {**addresses(nats_server), **keys_beside(nats_server, "distribution"), "COMMONS_ACTOR_KEY": ""}
    assert "set COMMONS_ACTOR_KEY to" in await refused(DISTRIBUTION, **told)


async def test_nats_whose_monitoring_is_somewhere_else(nats_server: NatsServer) -> None:
    said = await refused(INVENTORY, NATS_URL=nats_server.url, NATS_MONITORING_URL=f"http://127.0.0.1:{free_port()}")
    assert "did not answer" in said


async def test_a_stream_that_discards_what_is_old(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    config = {**REQUIRED, "name": "INVENTORY", "subjects": ["ledger.inventory.>"], "num_replicas": 1, "discard": "old"}
    made = json.loads((await client.request("$JS.API.STREAM.CREATE.INVENTORY", json.dumps(config).encode())).data)
    assert "error" not in made, made
    await client.close()
    assert "discard is 'old', not 'new'" in await refused(INVENTORY, **addresses(nats_server))


async def test_read_models_without_a_database(nats_server: NatsServer) -> None:
    assert "set DATABASE_URL" in await refused(PROJECTIONS, **addresses(nats_server))


async def test_read_models_with_the_address_of_something_else(nats_server: NatsServer) -> None:
    said = await refused(PROJECTIONS, **addresses(nats_server), DATABASE_URL=f"mysql://sam:{PASSWORD}@db/ledger")
    assert "DATABASE_URL" in said


def addresses(server: NatsServer) -> dict[str, str]:
    return {"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url}


def other_server(folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> NatsServer:
    """A server with a part of its configuration changed."""
    template = services.local.nats._CONFIG
    assert old in template
    monkeypatch.setattr(services.local.nats, "_CONFIG", template.replace(old, new))
    return NatsServer(folder / "other")
