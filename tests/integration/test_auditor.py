"""The auditor on a real stream: it follows, restarts, survives any crash, and halts the writers when the stream is not
what it signed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from prometheus_client import REGISTRY

from services.auditor import following
from services.auditor.app import Auditor
from services.auditor.layout import log_folder
from services.auditor.notes import Signer
from services.auditor.tiles import TileLog
from services.local.nats import NatsServer
from services.local.process import ChildProcess
from shared import halt
from shared.errors import Misconfigured
from shared.wire import StreamReader
from tests.support.ledger import until
from tests.support.logs import (
    STREAM,
    assert_sound,
    auditing,
    checkpoint_in,
    connected,
    halting,
    in_state,
    make_stream,
    settings_of,
    signed,
    some_events,
    write,
)

LOG = Path("tiles", "inventory")


def figure(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(f"commons_audit_{name}", {"log": "inventory", **labels})
    assert found is not None
    return found


async def test_it_follows_what_is_written(nats_server: NatsServer, tmp_path: Path) -> None:
    events = some_events(1000)
    async with connected(nats_server) as nc, auditing(nats_server, tmp_path) as auditor:
        await until(lambda: "no stream INVENTORY yet" in auditor.logs[0].progress.detail)
        await make_stream(nc, events[:3])
        await signed(auditor, 3)
        for start in range(3, 1000, 100):
            await write(nc, events[start : start + 100])
            await asyncio.sleep(0.05)
        await signed(auditor, 1000)
        told = await halt.checkpoint_of(nc, "inventory")
        assert told is not None and told.size == 1000
        health = auditor.health()
        assert health["ready"] and health["logs"]["inventory"]["behind"] == 0
    assert_sound(tmp_path, events)
    assert not (tmp_path / "tiles").stat().st_mode & 0o027  # entries of some logs are not for everybody
    key = tmp_path / "keys" / "inventory.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / LOG / "keys" / "log.vkey").read_text() == f"{Signer.read(key).verifier}\n"


async def test_a_restart_goes_on_where_it_was(nats_server: NatsServer, tmp_path: Path) -> None:
    events = some_events(900)
    async with connected(nats_server) as nc:
        await make_stream(nc, events[:600])
        for size in (600, 700, 900):
            async with auditing(nats_server, tmp_path) as auditor:
                await signed(auditor, size - 100 if size == 700 else size)
                if size < 900:
                    await write(nc, events[size : size + 100 if size == 600 else 900])
        await halt.publish_checkpoint(nc, "other", halt.Checkpointed(size=1, root="", at="now"))
    assert_sound(tmp_path, events)


async def test_nats_goes_away_and_comes_back(nats_server: NatsServer, tmp_path: Path) -> None:
    events = some_events(40)
    async with auditing(nats_server, tmp_path) as auditor:
        async with connected(nats_server) as nc:
            await make_stream(nc, events[:20])
            await signed(auditor, 20)
        await nats_server.kill()
        await in_state(auditor, "waiting")
        assert not auditor.health()["ready"] and auditor.health()["ok"]
        await until(lambda: figure("checkpoint_age_seconds") > 2)
        assert (figure("size"), figure("behind"), figure("state", state="waiting")) == (20, 0, 1)
        await nats_server.start()
        async with connected(nats_server) as nc:
            await write(nc, events[20:])
            await signed(auditor, 40)
        await until(lambda: figure("checkpoint_age_seconds") < 2)
        assert (figure("size"), figure("state", state="waiting")) == (40, 0)
    assert_sound(tmp_path, events)


@pytest.mark.slow
async def test_killed_again_and_again_under_load(nats_server: NatsServer, tmp_path: Path) -> None:
    """SIGKILL at any moment: the tiles recover, and no two checkpoints of one size differ."""
    events = some_events(30_000)
    settings = settings_of(nats_server, tmp_path)
    environment = {
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "NATS_URL": nats_server.url,
        "COMMONS_TILES": str(settings.tiles), "COMMONS_LOG_KEYS": str(settings.log_keys), "COMMONS_CHAPTER": "pantry",
    }  # fmt: skip

    async with connected(nats_server) as nc:
        await make_stream(nc)

        async def load() -> None:
            for start in range(0, len(events), 150):
                await write(nc, events[start : start + 150])
                await asyncio.sleep(0.02)

        loading = asyncio.create_task(load())
        deaths = 0
        while not loading.done() or deaths < 4:
            child = ChildProcess(
                "auditor", [sys.executable, "-m", "services.auditor.app"], log=tmp_path / "auditor.log", env=environment
            )
            await asyncio.sleep(1.6 + 0.37 * (deaths % 4))
            os.kill(child.pid, signal.SIGKILL)
            await child.wait()
            deaths += 1
        await loading
        assert await halt.read(nc) is None
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, len(events))
    assert_sound(tmp_path, events)


# -- what halts -----------------------------------------------------------------------------------------------------


async def recreated(nc: Any, events: list[bytes]) -> None:
    await nc.jetstream().delete_stream(STREAM)
    await make_stream(nc, events)


EVENTS = some_events(700)
CHANGED = [*EVENTS[:-1], EVENTS[-1][:-2] + b"!}"]
EARLY = [EVENTS[0][:-2] + b"!}", *EVENTS[1:]]
STREAMS = [
    pytest.param(EVENTS[:650], "ends at 650.*tail is lost", id="the tail is cut"),
    pytest.param([], "ends at 0.*tail is lost", id="deleted and recreated, empty"),
    pytest.param(None, "ends at 0.*tail is lost", id="deleted"),
    pytest.param(CHANGED, "Event 700 of INVENTORY is another", id="one byte of the last event"),
    pytest.param([*CHANGED, b"more"], "Event 700 of INVENTORY is another", id="one byte, and it goes on"),
    pytest.param([*EVENTS[:690], EVENTS[691], EVENTS[690], *EVENTS[692:]], "Event 691", id="two in another order"),
]


@pytest.mark.parametrize(("stream", "reason"), STREAMS)
@pytest.mark.parametrize("running", [False, True], ids=["at the start", "while it runs"])
async def test_a_stream_that_is_another_halts_the_writers(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: list[bytes] | None, reason: str,
    running: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(following, "StreamReader", Reader)
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS)
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
            if running:
                async with looking_away(auditor):
                    await tamper(nc, stream)
                found = await halting(auditor, nc)
        if not running:
            await tamper(nc, stream)
            async with auditing(nats_server, tmp_path) as auditor:
                found = await halting(auditor, nc)
    assert found.halted and (found.by, found.stream) == ("auditor", STREAM)
    assert re.search(reason, found.reason), found.reason
    assert_sound(tmp_path, EVENTS)


class Reader(StreamReader):
    """Whose connection a test can cut."""

    last: Reader

    async def __aenter__(self) -> Self:
        Reader.last = self
        return await super().__aenter__()

    def cut(self) -> None:
        assert self._wire is not None
        self._wire.close()


@asynccontextmanager
async def looking_away(auditor: Auditor) -> AsyncIterator[None]:
    """The auditor has no connection meanwhile: what is made of the stream it sees whole, not half made."""
    one = auditor.logs[0]
    connection, one._connection = one._connection, lambda: None
    Reader.last.cut()
    await in_state(auditor, "waiting")
    yield
    one._connection = connection


async def tamper(nc: Any, stream: list[bytes] | None) -> None:
    if stream is None:
        await nc.jetstream().delete_stream(STREAM)
    else:
        await recreated(nc, stream)


async def test_an_early_event_is_compared_too(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SAMPLED", 10_000)
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS)
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
        await recreated(nc, EARLY)
        async with auditing(nats_server, tmp_path) as auditor:
            assert "Event 1 of INVENTORY is another" in (await halting(auditor, nc)).reason


async def test_a_halt_is_lifted_and_comes_back_until_the_stream_is_mended(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS)
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
        await recreated(nc, CHANGED)
        async with auditing(nats_server, tmp_path) as auditor:
            await halting(auditor, nc)
            await halt.lift(nc, reason="I think it is fine", by="sam", at="now")

            async def halted_again() -> bool:
                return len(await halt.history(nc)) == 3

            await until(halted_again)
            await recreated(nc, EVENTS)
            await halt.lift(nc, reason="restored", by="ada", at="now")
            await in_state(auditor, "following")
            await write(nc, [b"more"])
            await signed(auditor, 701)
    assert_sound(tmp_path, [*EVENTS, b"more"])


# -- what the auditor itself lost -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["older tiles", "no tiles"])
@pytest.mark.parametrize("stream", [EVENTS, CHANGED, EARLY, EVENTS[:650]], ids=["same", "changed", "early", "cut"])
async def test_tiles_that_were_set_back_are_made_again_and_compared_with_what_was_signed(
    nats_server: NatsServer, tmp_path: Path, kept: str, stream: list[bytes]
) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:300])
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 300)
        shutil.copytree(tmp_path / "tiles", tmp_path / "older")
        await write(nc, EVENTS[300:])
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
        shutil.rmtree(tmp_path / "tiles")
        if kept == "older tiles":
            shutil.copytree(tmp_path / "older", tmp_path / "tiles")
        if stream != EVENTS:
            await recreated(nc, stream)
        async with auditing(nats_server, tmp_path) as auditor:
            if stream == EVENTS:
                await signed(auditor, 700)
                await until(lambda: checkpoint_in(tmp_path).size == 700)
            else:
                await halting(auditor, nc)
    if stream == EVENTS:
        assert_sound(tmp_path, EVENTS)
    elif kept == "no tiles":
        assert not (tmp_path / LOG / "checkpoint").exists()  # nothing was signed


async def test_when_the_files_are_gone_the_bucket_still_knows(nats_server: NatsServer, tmp_path: Path) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS)
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
        shutil.rmtree(tmp_path / "tiles")
        (tmp_path / "keys" / "inventory.signed").unlink()
        await recreated(nc, EARLY)
        async with auditing(nats_server, tmp_path) as auditor:
            assert "the checkpoint in the bucket AUDIT" in (await halting(auditor, nc)).reason


async def test_a_damaged_log_stops_the_auditor_and_nobody_else(nats_server: NatsServer, tmp_path: Path) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS)
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
        (tmp_path / LOG / "tile" / "entries" / "001").write_bytes(b"")
        for _ in range(2):
            async with auditing(nats_server, tmp_path) as auditor:
                assert "Move" in await in_state(auditor, "damaged")
                assert not auditor.health()["ready"]
        assert await halt.read(nc) is None
        (tmp_path / LOG).rename(tmp_path / "damaged")
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 700)
    assert_sound(tmp_path, EVENTS)


async def test_a_key_is_never_made_anew_for_a_log_that_exists(nats_server: NatsServer, tmp_path: Path) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:5])
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 5)
        key = tmp_path / "keys" / "inventory.key"
        key.rename(tmp_path / "elsewhere")
        async with auditing(nats_server, tmp_path) as auditor:
            await until(lambda: "is gone" in auditor.logs[0].progress.detail)
        assert not key.exists()
        (tmp_path / "elsewhere").rename(key)
        key.chmod(0o644)
        async with auditing(nats_server, tmp_path) as auditor:
            await until(lambda: "chmod 600" in auditor.logs[0].progress.detail)


async def test_another_name_for_the_log_is_refused(nats_server: NatsServer, tmp_path: Path) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:5])
        async with auditing(nats_server, tmp_path) as auditor:
            await signed(auditor, 5)
        async with auditing(nats_server, tmp_path, COMMONS_LOG_ORIGIN="other.example") as auditor:
            await until(lambda: "inventory.signed is not what the log" in auditor.logs[0].progress.detail)


async def test_one_writer_of_a_log(nats_server: NatsServer, tmp_path: Path) -> None:
    async with connected(nats_server) as nc:
        await make_stream(nc, EVENTS[:5])
        with TileLog.open(log_folder(tmp_path / "tiles", "inventory")):
            async with auditing(nats_server, tmp_path) as auditor:
                await until(lambda: "one writer" in auditor.logs[0].progress.detail)


def test_what_it_needs_is_asked_for() -> None:
    from services.auditor.app import Auditor
    from shared.settings import Settings

    with pytest.raises(Misconfigured, match="COMMONS_TILES and their keys in COMMONS_LOG_KEYS"):
        Auditor(Settings())
    with pytest.raises(Misconfigured, match="the same folder"):
        Auditor(Settings(COMMONS_TILES="a", COMMONS_LOG_KEYS="a"))
