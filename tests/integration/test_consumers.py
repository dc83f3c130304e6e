"""The consumers that docs/consuming.md shows: run as they stand, against a ledger that a real server holds."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest

from services.local.nats import NatsServer
from shared.event import Recorded
from tests.support.inventory import Keeper, keeper

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PAGE = EXAMPLES.parent / "consuming.md"
FURNISHED = 9
_INVENTORY = """{
  jetstream: enabled
  users = [ { user: "writer", password: "w" } ]
  exports = [ { service: "$JS.API.>", response_type: stream } ]
}"""
"""The stream's account, with somebody who writes."""
_PATIENCE = 60


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node consumer beside the packages it names, installed as its reader would."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("the Node consumer needs node and npm, which are not on this machine")
    folder = tmp_path_factory.mktemp("node")
    for name in ("consumer.mjs", "package.json"):
        shutil.copy(EXAMPLES / name, folder)
    install = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(install, cwd=folder, timeout=120, check=True, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"the Node consumer needs its packages, which npm could not install here ({type(error).__name__})")
    return folder


@pytest.fixture(params=["python", "node"])
def consumer(request: pytest.FixtureRequest) -> list[str]:
    """The command line of a consumer."""
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "consumer.py")]
    folder: Path = request.getfixturevalue("node_folder")
    return ["node", str(folder / "consumer.mjs")]


@asynccontextmanager
async def running(
    command: list[str], server: NatsServer, position: Path, url: str | None = None, **told: str
) -> AsyncIterator[Process]:
    environment = {**os.environ, "NATS_URL": url or server.url, "POSITION": str(position), **told}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def printed(process: Process, count: int) -> list[str]:
    """The next lines that a consumer prints."""
    assert process.stdout is not None
    async with asyncio.timeout(_PATIENCE):
        return [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(count)]


async def stopped(process: Process) -> str:
    """Stop a consumer as Ctrl-C does; gives whatever else it had printed."""
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), _PATIENCE)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def refused(process: Process) -> str:
    """What a consumer that stops by itself says about it."""
    out, err = await asyncio.wait_for(process.communicate(), _PATIENCE)
    assert process.returncode not in (0, None)
    assert out == b"", "nothing is made of the event"
    return err.decode()


async def stream(book: Keeper) -> list[Recorded]:
    found = [await book.store.at(sequence) for sequence in range(1, await book.store.last_sequence() + 1)]
    return [event for event in found if event is not None]


def lines(events: list[Recorded]) -> list[str]:
    """What a consumer should print of events."""
    return [f"{e.sequence} {e.id} {e.type} {e.envelope.subject}" for e in events]


async def test_every_event_once_in_order_and_on_from_there_after_a_restart(
    consumer: list[str], nats_server: NatsServer, tmp_path: Path
) -> None:
    position = tmp_path / "position.json"
    async with keeper(nats_server) as book:
        await book.furnish()
        async with running(consumer, nats_server, position) as process:
            assert await printed(process, FURNISHED) == lines(await stream(book))
            await book.receive("rice", 5, "B")
            assert await printed(process, 1) == lines(await stream(book))[FURNISHED:], "it goes on with new events"
            assert await stopped(process) == ""
        for quantity in (1, 2):
            await book.take("rice", quantity)
        async with running(consumer, nats_server, position) as process:
            assert await printed(process, 2) == lines(await stream(book))[FURNISHED + 1 :]
            assert await stopped(process) == "", "what was printed before is not printed again"
        last = (await stream(book))[-1]
        known = json.loads(position.read_text())
        assert known["sequence"] == last.sequence
        assert known["hashes"][last.envelope.subject] == last.hash


async def test_it_goes_on_when_the_server_comes_back(
    consumer: list[str], nats_server: NatsServer, tmp_path: Path
) -> None:
    async with keeper(nats_server) as book:
        await book.furnish()
        async with running(consumer, nats_server, tmp_path / "position.json") as process:
            await printed(process, FURNISHED)
            await nats_server.kill()
            await nats_server.start()
            await book.receive("rice", 5, "B")
            assert await printed(process, 1) == lines(await stream(book))[FURNISHED:]
            assert await stopped(process) == ""


async def test_an_event_that_does_not_follow_is_not_taken(
    consumer: list[str], nats_server: NatsServer, tmp_path: Path
) -> None:
    position = tmp_path / "position.json"
    async with keeper(nats_server) as book:
        await book.furnish()
        async with running(consumer, nats_server, position) as process:
            await printed(process, FURNISHED)
            await stopped(process)
        known = json.loads(position.read_text())
        known["hashes"]["stock/rice:store"] = "f" * 64  # as if what was read then is no longer what is there
        position.write_text(json.dumps(known))
        await book.take("rice", 1)
        async with running(consumer, nats_server, position) as process:
            said = await refused(process)
        assert f"event {FURNISHED + 1} does not follow what was read of stock/rice:store before it" in said


async def test_a_gap_in_the_stream_is_named(consumer: list[str], nats_server: NatsServer, tmp_path: Path) -> None:
    """In a stream that somebody has taken an event out of; the ledger's own would refuse it."""
    nc = await nats.connect(nats_server.url)
    try:
        js = nc.jetstream()
        await js.add_stream(name="INVENTORY", subjects=["ledger.inventory.>"])
        for item in ("rice", "milk", "beans"):
            event = {"id": item, "type": "t", "subject": f"item/{item}", "prevhash": "0" * 64}
            await js.publish(f"ledger.inventory.item.{item}", json.dumps(event).encode())
        await js.delete_msg("INVENTORY", 2)
    finally:
        await nc.close()
    async with running(consumer, nats_server, tmp_path / "position.json") as process:
        assert await printed(process, 1) == ["1 rice t item/rice"]
        assert "events 2 to 2 are missing" in await refused(process)


async def test_a_reader_needs_no_more_than_the_permissions_that_the_page_lists(
    consumer: list[str], tmp_path: Path
) -> None:
    """And with them cannot write into the ledger."""
    (reader,) = re.findall(r"^```\n(reader \{\n.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    users = f"accounts {{ INVENTORY {_INVENTORY}\n{reader} }}"
    async with NatsServer(tmp_path / "nats", settings=users) as server:
        as_writer, as_reader = (server.url.replace("//", f"//{who}@") for who in ("writer:w", "reader:change-me"))
        async with keeper(server, as_writer) as book:
            await book.furnish()
            told = {"NATS_INBOX": "_INBOX.reader", "NATS_API": "JS.API"}
            async with running(consumer, server, tmp_path / "position.json", as_reader, **told) as process:
                assert await printed(process, FURNISHED) == lines(await stream(book))
                await stopped(process)
            nc = await nats.connect(as_reader)
            await nc.publish("ledger.inventory.item.forged", b"{}")
            await nc.flush()
            await nc.close()
            assert await book.store.last_sequence() == FURNISHED
