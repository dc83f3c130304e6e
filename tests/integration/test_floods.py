"""Floods of every kind against a real service: its memory stays bounded, and afterwards all is as it should be."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import nats
import pytest

from services.local.nats import NatsServer
from services.local.process import ChildProcess, free_port
from shared.client import CommandClient
from shared.message import Reply
from tests.support.ledger import read, until

COMMANDS: Final = 70_000
"""Of one actor; with the other floods there are more than 100,000 requests."""

MORE_MIB: Final = {"service": 100, "nats": 250}
"""What a process may take on top of what it began with."""


def command(actor: str, number: int, **data: str) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0", "id": f"{actor}-{number}", "source": "/test", "type": "commons.kiosk.take-ticket",
            "authid": actor, "data": {"counter": f"c-{number % 200}", "holder": "ada", **data},
        }
    ).encode()  # fmt: skip


def frame(body: bytes, reply: bytes = b"", name: bytes = b"take-ticket") -> bytes:
    return b"PUB command.kiosk.%s %s %d\r\n%s\r\n" % (name, reply, len(body), body)


def one_actor() -> Iterator[bytes]:
    for first in range(0, COMMANDS, 500):
        yield b"".join(frame(command("eve", number)) for number in range(first, first + 500))


def answers_that_nobody_reads() -> Iterator[bytes]:
    yield b"SUB _INBOX.eve.* 1\r\n"
    for first in range(0, 10_000, 500):
        yield b"".join(frame(command("eve", number), b"_INBOX.eve.%d" % number) for number in range(first, first + 500))


def many_names() -> Iterator[bytes]:
    for first in range(0, 8_000, 500):
        yield b"".join(
            frame(command(f"eve-{number}", number, remark="x" * 2000)) for number in range(first, first + 500)
        )


def large() -> Iterator[bytes]:
    mebibyte = frame(command("eve", 1, remark="x" * 1_040_000))
    for _ in range(150):
        yield mebibyte


def garbage() -> Iterator[bytes]:
    for _ in range(20):
        yield frame(b"\x00" * 500) * 500
        yield frame(b"[" * 4_000_000)
        yield frame(b"{}", b"_INBOX.nobody", b"\xff") * 500
        yield frame(b"{}", b"ledger.kiosk.counter.c-1") * 100


FLOODS: Final = (one_actor, answers_that_nobody_reads, many_names, large, garbage)


def resident(pid: int) -> int:
    """The memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def pour(port: int, flood: Callable[[], Iterator[bytes]]) -> socket.socket:
    """Send all of it, or as much as the server takes of a client that reads nothing."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n')
    try:
        for some in flood():
            client.sendall(some)
    except OSError:
        pass  # cut off
    return client


@pytest.mark.slow
async def test_floods_neither_fill_the_memory_nor_keep_others_out(nats_server: NatsServer, tmp_path: Path) -> None:
    environment = {
        **os.environ, "NATS_URL": nats_server.url, "NATS_MONITORING_URL": nats_server.monitor_url,
        "COMMONS_HTTP_PORT": str(free_port()),
    }  # fmt: skip
    service = ChildProcess(
        "kiosk", [sys.executable, "-m", "tests.support.kiosk_service"], log=tmp_path / "kiosk.log",
        env=environment, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    nc = await nats.connect(nats_server.url)
    sam = CommandClient(nc, actor="sam", timeout=20, patience=60)
    accepted: list[Reply] = []
    try:
        first = await sam.send("kiosk", "TakeTicket", {"counter": "sams", "holder": "ada"})
        processes = {"service": service.pid, "nats": nats_server.pid}
        before = {name: resident(pid) for name, pid in processes.items()}
        most = dict(before)
        over = asyncio.Event()

        async def watch() -> None:
            while not over.is_set():
                for name, pid in processes.items():
                    most[name] = max(most[name], resident(pid))
                await asyncio.sleep(0.02)

        watching = asyncio.create_task(watch())
        for flood in FLOODS:
            pouring = asyncio.create_task(asyncio.to_thread(pour, nats_server.port, flood))
            while not pouring.done() or not accepted:
                accepted.append(await sam.send("kiosk", "TakeTicket", {"counter": "sams", "holder": "ada"}))
            (await pouring).close()
        accepted.append(await sam.send("kiosk", "TakeTicket", {"counter": "sams", "holder": "ada"}))
        over.set()
        await watching
        assert {reply.status for reply in accepted} == {"accepted"}
        grown = {name: most[name] - before[name] for name in processes}
        assert all(more < MORE_MIB[name] for name, more in grown.items()), grown
        health = json.loads((await nc.request("status.kiosk", b"", timeout=10)).data)
        assert health["ready"] and health["turned_away"]["limited"] > 10_000, health
        await until(lambda: _idle(nc))
    finally:
        await nc.close()
        await service.kill()
    events = await read(nats_server)  # each chain whole, as nothing was recorded twice and nothing overwritten
    mine = [event for event in events if event.aggregate_id == "sams"]
    assert [event.sequence for event in mine] == [first.sequence, *(reply.sequence for reply in accepted)]
    assert len({event.id for event in events}) == len(events)


async def _idle(nc: nats.NATS) -> bool:
    return bool(json.loads((await nc.request("status.kiosk", b"", timeout=10)).data)["waiting"] == 0)
