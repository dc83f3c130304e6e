"""A ledger put back from a copy into a real server: byte for byte, in order, and over nothing that differs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import nats.js.errors
import pytest
from nats.aio.client import Client

from services.auditor import restore as restoring
from services.auditor.export import export_folder
from services.auditor.layout import log_folder
from services.auditor.merkle import leaf_hash
from services.auditor.restore import BY, Differs, Outcome, restore
from services.auditor.tiles import split_entries, tile_path
from services.local.nats import NatsServer
from shared import halt
from shared.errors import Corrupt, Invalid, LedgerError
from shared.halt import Halt
from shared.store import REQUIRED
from shared.wire import StreamReader
from tests.support.copies import chained, files, log_signer, subject_of, write_log

EVENTS = chained(2_600)


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[Client]:
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    write_log(tmp_path / "logs", "inventory", EVENTS)
    write_log(tmp_path / "logs", "treasury", chained(300), seed=1)
    export_folder(tmp_path / "logs", tmp_path / "copy")
    return tmp_path / "copy"


async def put_back(nc: Client, server: NatsServer, folder: Path, **more: Any) -> Outcome:
    return await restore(nc, server.url, server.monitor_url, folder, settle=0.0, **more)


async def stored(server: NatsServer, stream: str = "INVENTORY") -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    async with StreamReader(server.url, stream) as reader:
        async for messages in reader.batches(until=reader.last_sequence):
            found += [(message.subject, bytes(message.payload)) for message in messages]
    return found


async def holds(nc: Client, events: list[bytes], stream: str = "INVENTORY") -> None:
    """Make a stream as a service does, with these events in it."""
    name = stream.lower()
    wanted = {**REQUIRED, "name": stream, "subjects": [f"ledger.{name}.>"], "num_replicas": 1}
    await nc.request(f"$JS.API.STREAM.CREATE.{stream}", json.dumps(wanted).encode())
    for raw in events:
        await nc.jetstream().publish(subject_of(raw, name), raw)


async def test_an_empty_server_gets_every_event_on_its_own_subject(
    nc: Client, nats_server: NatsServer, copy: Path
) -> None:
    told = []
    done = await put_back(nc, nats_server, copy, progress=lambda *at: told.append(at))
    assert [(one.stream, one.size, one.appended, one.beyond) for one in done.streams] == [
        ("INVENTORY", 2_600, 2_600, 0), ("TREASURY", 300, 300, 0),
    ]  # fmt: skip
    assert await stored(nats_server) == [(subject_of(raw), raw) for raw in EVENTS]
    assert [raw for _, raw in await stored(nats_server, "TREASURY")] == chained(300)
    config = (await nc.jetstream().stream_info("INVENTORY")).config
    assert config.deny_delete and config.deny_purge
    assert told[-1] == ("treasury", 300, 300)
    assert done.halt is None
    standing = await halt.read(nc)
    assert standing is not None and not standing.halted, "it was halted meanwhile, and is not any more"


async def test_a_lost_tail_comes_back(nc: Client, nats_server: NatsServer, copy: Path) -> None:
    await holds(nc, EVENTS[:700])
    done = await put_back(nc, nats_server, copy)
    assert (done.streams[0].size, done.streams[0].appended) == (2_600, 1_900)
    assert [raw for _, raw in await stored(nats_server)] == EVENTS
    again = await put_back(nc, nats_server, copy)
    assert [one.appended for one in again.streams] == [0, 0]


async def test_the_auditors_own_tiles_restore_too(nc: Client, nats_server: NatsServer, copy: Path) -> None:
    (copy.parent / "logs" / "clinic" / "keys").mkdir(parents=True)  # a log that has nothing yet
    done = await put_back(nc, nats_server, copy.parent / "logs")
    assert [one.size for one in done.streams] == [2_600, 300]


async def test_what_a_stream_holds_beyond_the_copy_stays(nc: Client, nats_server: NatsServer, copy: Path) -> None:
    more = chained(2_605)
    await holds(nc, more)
    done = await put_back(nc, nats_server, copy)
    assert (done.streams[0].appended, done.streams[0].beyond) == (0, 5)
    assert [raw for _, raw in await stored(nats_server)] == more


async def test_another_history_is_refused_by_its_first_event(nc: Client, nats_server: NatsServer, copy: Path) -> None:
    other = [*EVENTS[:41], EVENTS[41].replace(b"xxx", b"xyx"), *EVENTS[42:60]]
    await holds(nc, other)
    with pytest.raises(Differs, match=r"Event 42 of INVENTORY") as refused:
        await put_back(nc, nats_server, copy)
    assert (refused.value.facts["stream"], refused.value.facts["sequence"]) == ("INVENTORY", 42)
    assert [raw for _, raw in await stored(nats_server)] == other
    assert await halt.read(nc) is None
    with pytest.raises(LedgerError, match="TREASURY"):
        await stored(nats_server, "TREASURY")


async def test_an_event_on_another_aggregates_subject_is_another_history(
    nc: Client, nats_server: NatsServer, copy: Path
) -> None:
    await holds(nc, EVENTS[:3])
    await nc.jetstream().publish("ledger.inventory.stock.a-9", EVENTS[3])
    with pytest.raises(Differs, match="Event 4 of INVENTORY"):
        await put_back(nc, nats_server, copy)


async def test_somebody_who_writes_meanwhile_stops_it(
    nc: Client, nats_server: NatsServer, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = restoring.Writer.append_batch

    async def raced(self: Any, frames: Any, **more: Any) -> Any:
        if more["after"] == 1_000:
            await nc.jetstream().publish("ledger.inventory.stock.a-1", b"{}")
        return await real(self, frames, **more)

    monkeypatch.setattr(restoring.Writer, "append_batch", raced)
    with pytest.raises(Differs, match="behind event 1,000"):
        await put_back(nc, nats_server, copy)
    assert len(await stored(nats_server)) == 1_001
    standing = await halt.read(nc)
    assert standing is not None and standing.halted and standing.by == BY, "half a ledger takes no writes"


async def test_a_broken_off_restore_goes_on_where_it_stopped(
    nc: Client, nats_server: NatsServer, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = restoring.Writer.append_batch

    async def lost(self: Any, frames: Any, **more: Any) -> Any:
        answer = await real(self, frames, **more)
        if more["after"] == 1_000:
            raise ConnectionResetError("the acknowledgement never came")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(restoring.Writer, "append_batch", lost)
        with pytest.raises(ConnectionResetError):
            await put_back(nc, nats_server, copy)
    standing = await halt.read(nc)
    assert standing is not None and standing.halted
    done = await put_back(nc, nats_server, copy)
    assert done.streams[0].appended == 600
    assert [raw for _, raw in await stored(nats_server)] == EVENTS
    standing = await halt.read(nc)
    assert standing is not None and not standing.halted


async def test_a_copy_must_be_signed_by_the_keys_that_were_given(
    nc: Client, nats_server: NatsServer, copy: Path
) -> None:
    keys = [log_signer("inventory").verifier, log_signer("treasury", 2).verifier]
    with pytest.raises(Corrupt, match="none of the keys that were given"):
        await put_back(nc, nats_server, copy, keys=keys)
    assert await nc.jetstream().streams_info() == []
    done = await put_back(nc, nats_server, copy, keys=[*keys, log_signer("treasury", 1).verifier])
    assert len(done.streams) == 2


RESTORING = """
import asyncio, sys
import nats
from pathlib import Path
from services.auditor.restore import restore

async def main():
    nc = await nats.connect(sys.argv[1])
    await restore(nc, sys.argv[1], sys.argv[2], Path(sys.argv[3]), settle=0)

asyncio.run(main())
"""


async def test_a_restore_that_is_killed_again_and_again_comes_to_its_end(
    nc: Client, nats_server: NatsServer, tmp_path: Path
) -> None:
    events = chained(30_000, filler=30)
    write_log(tmp_path / "logs", "inventory", events, every=10_000)
    command = [sys.executable, "-c", RESTORING, nats_server.url, nats_server.monitor_url, str(tmp_path / "logs")]
    for part in (1_000, 9_000, 18_000):
        process = subprocess.Popen(command)
        while await _last(nc) < part:
            assert process.poll() is None
            await asyncio.sleep(0.005)
        process.kill()
        process.wait()
        assert await _last(nc) < 30_000, "it was killed on its way"
    assert subprocess.run(command, check=False).returncode == 0
    assert [raw for _, raw in await stored(nats_server)] == events


async def _last(nc: Client) -> int:
    try:
        return (await nc.jetstream().stream_info("INVENTORY")).state.last_seq
    except nats.js.errors.NotFoundError:
        return 0


async def test_a_halt_of_somebody_elses_stays(nc: Client, nats_server: NatsServer, copy: Path) -> None:
    found = Halt(halted=True, reason="its tail is lost", at="2026-11-26T09:30:00Z", by="auditor", stream="INVENTORY")
    await halt.put(nc, found)
    done = await put_back(nc, nats_server, copy)
    assert done.halt == found
    assert await halt.read(nc) == found


BROKEN = (
    "entry", "entry and leaf", "edge", "leaf", "upper", "checkpoint", "signature", "missing",
    "unfinished", "other", "link",
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_is_not_verified_is_not_restored(
    nc: Client, nats_server: NatsServer, copy: Path, broken: str
) -> None:
    folder = log_folder(copy, "inventory")
    checkpoint = folder / "checkpoint"
    bundle, leaf, upper = (folder / path for path in (tile_path(None, 3), tile_path(0, 3), tile_path(1, 0, 10)))
    match broken:
        case "entry":
            bundle.write_bytes(bundle.read_bytes().replace(b"xxxx", b"xxyx", 1))
        case "entry and leaf":
            bundle.write_bytes(bundle.read_bytes().replace(b"xxxx", b"xxyx", 1))
            leaf.write_bytes(b"".join(map(leaf_hash, split_entries(bundle.read_bytes()))))
        case "edge":
            bundle, leaf = (folder / path for path in (tile_path(None, 10, 40), tile_path(0, 10, 40)))
            bundle.write_bytes(bundle.read_bytes().replace(b"xxxx", b"xxyx", 1))
            leaf.write_bytes(b"".join(map(leaf_hash, split_entries(bundle.read_bytes()))))
        case "leaf":
            raw = bytearray(leaf.read_bytes())
            raw[40] ^= 1
            leaf.write_bytes(raw)
        case "upper":
            raw = bytearray(upper.read_bytes())
            raw[100] ^= 1
            upper.write_bytes(raw)
        case "checkpoint":
            checkpoint.write_bytes(checkpoint.read_bytes().replace(b"2600", b"2500"))
        case "signature":
            checkpoint.write_bytes(log_folder(copy, "treasury").joinpath("checkpoint").read_bytes())
        case "missing":
            bundle.unlink()
        case "unfinished":
            (copy / "copy.json").unlink()
        case "link":
            leaf.rename(copy.parent / "leaf")
            leaf.symlink_to(copy.parent / "leaf")
        case "other":
            log_folder(copy, "treasury").rename(log_folder(copy, "clinic"))
    with pytest.raises((Corrupt, Invalid)):
        await put_back(nc, nats_server, copy)
    assert await nc.jetstream().streams_info() == [], "nothing was written"


async def test_restored_and_exported_again_it_is_the_same_copy(nc: Client, nats_server: NatsServer, copy: Path) -> None:
    await put_back(nc, nats_server, copy)
    write_log(copy.parent / "again", "inventory", [raw for _, raw in await stored(nats_server)])
    again = files(copy.parent / "again" / "inventory")
    assert {path: raw for path, raw in files(copy / "inventory").items() if ".p/" not in path} == {
        path: raw for path, raw in again.items() if ".p/" not in path
    }
