"""What NATS stores is encrypted under the key that `commons init` makes, which can be changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.deploy.migrate import StreamsGone, make_streams
from services.deploy.secrets import prepare
from services.inventory.contract import inventory
from services.local.nats import NatsServer
from shared.connection import connect
from shared.errors import Misconfigured
from shared.store import EventStore

EVENT = b'{"a": "sack of rice"}'
INCLUDE = 'include "../secrets/nats/encryption.conf"'


async def write(server: NatsServer) -> None:
    nc = await connect(server.url, name="writer")
    await EventStore(nc, inventory).ensure(server.monitor_url)
    await nc.request("ledger.inventory.stock.sack-of-rice", EVENT, timeout=30)
    await nc.close()


async def read(server: NatsServer) -> bytes | None:
    """The event. Raises NotFoundError when there is no stream."""
    nc = await connect(server.url, name="reader")
    try:
        return (await nc.jetstream().get_msg("INVENTORY", 1)).data
    finally:
        await nc.close()


def stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    prepare(tmp_path / "secrets")
    return tmp_path / "secrets" / "nats" / "encryption.conf"


async def test_nothing_of_an_event_can_be_read_in_the_store(tmp_path: Path, key: Path) -> None:
    for name, jetstream in (("clear", ""), ("sealed", INCLUDE)):
        async with NatsServer(tmp_path / name, jetstream=jetstream) as server:
            await write(server)
    for told in (EVENT, b"sack-of-rice"):
        assert told in stored(tmp_path / "clear")  # so that it would be found
        assert told not in stored(tmp_path / "sealed")
    assert key.read_text().encode().split(b'"')[1] not in stored(tmp_path / "sealed")


async def test_under_another_key_nothing_is_made_and_so_nothing_is_lost(tmp_path: Path, key: Path) -> None:
    """NATS says then that there are no streams; to make one takes away the folder of the one that it cannot read."""
    async with NatsServer(tmp_path / "nats", jetstream=INCLUDE) as server:
        await write(server)
    right = key.read_text()
    key.write_text(re.sub('(?m)^key: ".*"', f'key: "{"b" * 48}"', right))
    async with NatsServer(tmp_path / "nats", jetstream=INCLUDE) as server:
        nc = await connect(server.url, name="migrate")
        with pytest.raises(StreamsGone, match="INVENTORY up to 1") as refused:
            await make_streams(nc, [inventory], server.monitor_url, 1, {"INVENTORY": 1, "TREASURY": 0})
        await nc.close()
    assert refused.value.facts["streams"] == {"INVENTORY": 1}
    key.write_text(right)
    async with NatsServer(tmp_path / "nats", jetstream=INCLUDE) as server:
        assert await read(server) == EVENT


def test_no_new_key_is_made_beside_older_secrets(tmp_path: Path, key: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "secrets").rglob("*") if path.is_file() and path != key}
    old = key.read_text()
    key.unlink()
    with pytest.raises(Misconfigured, match="Put it back"):
        prepare(tmp_path / "secrets")
    assert not key.exists()
    assert {path: path.read_bytes() for path in before} == before
    key.write_text(old)
    prepare(tmp_path / "secrets")
    assert key.read_text() == old


async def test_the_key_is_changed_with_a_restart(tmp_path: Path, key: Path) -> None:
    """As docs/deploying.md says: the old one stands as prev_key for one start."""
    async with NatsServer(tmp_path / "nats", jetstream=INCLUDE) as server:
        await write(server)
    old = key.read_text()
    key.write_text(re.sub("(?m)^key:", "prev_key:", old) + f'key: "{"b" * 48}"\n')
    async with NatsServer(tmp_path / "nats", jetstream=INCLUDE) as server:
        assert await read(server) == EVENT
    key.write_text(re.sub('(?m)^key: ".*"', f'key: "{"b" * 48}"', old))
    async with NatsServer(tmp_path / "nats", jetstream=INCLUDE) as server:
        assert await read(server) == EVENT
    assert EVENT not in stored(tmp_path / "nats")
