"""What anybody can do to a port that speaks HTTP, and the bound that each of it has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.auditor.web import TilesWeb
from shared import webserver
from shared.tasks import end
from shared.webserver import MAX_ADDRESS, MAX_BODY, MAX_HEADERS, listen

LARGE = 8 << 20


class App:
    """Answers with what it is asked for, and remembers what came to it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sending = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/large":
            self.sending += 1
            try:
                for _ in range(LARGE >> 16):
                    await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
            finally:
                self.sending -= 1
        await send({"type": "http.response.body", "body": b"here"})


@asynccontextmanager
async def at_port(app: Any) -> AsyncIterator[int]:
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(listen(app, "127.0.0.1", 0, port.set_result))
    try:
        yield await port
    finally:
        await end([serving])


async def ask(port: int, *sent: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the problem of the answer, after which the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        for some in sent:
            writer.write(some)
            await writer.drain()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
    body = await asyncio.wait_for(reader.readexactly(length), 10)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    return int(head.split(b" ")[1]), json.loads(body)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


@pytest.mark.parametrize(("sent", "status", "says"), [
    pytest.param([get("/" + "x" * MAX_ADDRESS)], 414, f"{MAX_ADDRESS:,}", id="a long path"),
    pytest.param([get("/?" + "x" * MAX_ADDRESS)], 414, f"{MAX_ADDRESS:,}", id="a long query"),
    pytest.param([get("/", "X: " + "y" * MAX_HEADERS)], 431, f"{MAX_HEADERS:,}", id="a long header"),
    pytest.param([get("/", *(f"X-{n}: y" for n in range(3000)))], 431, f"{MAX_HEADERS:,}", id="many headers"),
    pytest.param([get("/", "X: " + "y" * 70_000)[:-4]], 400, "head is longer", id="a head that does not end soon"),
    pytest.param([get("/", f"Content-Length: {MAX_BODY + 1}")], 413, f"{MAX_BODY:,}", id="a large body"),
    pytest.param([get("/", f"Content-Length: {'9' * 19}")], 413, f"{MAX_BODY:,}", id="a body without an end"),
    pytest.param([get("/", "Content-Length: many")], 400, "no HTTP/1.1", id="a length that is none"),
    pytest.param([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], 400, "no HTTP/1.1", id="TLS"),
    pytest.param([b"\x00" * 500 + b"\r\n\r\n"], 400, "no HTTP/1.1", id="zeros"),
    pytest.param([b"GET / HTTP/1.1\r\n\r\n"], 400, "no HTTP/1.1", id="no host"),
])  # fmt: skip
async def test_what_is_too_large_or_no_request_is_answered_once_and_clearly(
    sent: list[bytes], status: int, says: str
) -> None:
    app = App()
    async with at_port(app) as port:
        answered, problem = await ask(port, *sent)
        assert (answered, problem["status"]) == (status, status)
        assert says in problem["detail"] and problem["type"].startswith("urn:commons:problem:")
        assert app.asked == []
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/", "Connection: close"))
        assert b" 200 " in await reader.read()
        assert app.asked == ["/"]
        writer.close()


async def test_more_connections_than_there_may_be_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "MAX_CONNECTIONS", 20)
    async with at_port(App()) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        status, problem = await ask(port)
        assert (status, problem["type"]) == (503, "urn:commons:problem:busy")
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in idle))
        async with asyncio.timeout(10):
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(get("/", "Connection: close"))
                if b" 200 " in await reader.read():
                    break
        writer.close()


@pytest.mark.parametrize("sent", [
    pytest.param(b"", id="nothing"),
    pytest.param(b"GET / HT", id="half a line"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", id="half a head"),
])  # fmt: skip
async def test_who_sends_no_whole_request_is_cut_off_however_slowly_it_comes(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(webserver, "REQUEST_SECONDS", 0.3)
    app = App()
    async with at_port(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                while not ended.done():
                    writer.write(sent and b"y")
                    await asyncio.sleep(0.02)
                assert await ended == b""
        assert app.asked == []
        writer.close()


async def test_a_body_that_nobody_wants_is_not_read_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "REQUEST_SECONDS", 0.5)
    async with at_port(App()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/", "Transfer-Encoding: chunked"))
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        piece, taken = b"10000\r\n" + b"x" * 0x10000 + b"\r\n", 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while True:
                    writer.write(piece)
                    await writer.drain()
                    taken += len(piece)
        assert taken < 64 << 20, "what the buffers of the kernel hold, and no more"
        writer.close()


async def test_who_does_not_read_is_cut_off_and_the_answer_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "REQUEST_SECONDS", 0.3)
    app = App()
    async with at_port(app) as port:
        askers = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
            writer.write(get("/large"))
            askers.append((reader, writer))
        async with asyncio.timeout(10):
            while len(app.asked) < 5 or app.sending:
                await asyncio.sleep(0.01)
        for reader, writer in askers:
            with contextlib.suppress(ConnectionError):
                assert len(await reader.read()) < LARGE
            writer.close()


async def test_who_reads_slowly_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "REQUEST_SECONDS", 0.3)
    async with at_port(App()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 10)
        writer.write(get("/large", "Connection: close"))
        got = 0
        while piece := await reader.read(1 << 18):
            got += len(piece)
            await asyncio.sleep(0.02)
        assert got > LARGE
        writer.close()


async def test_a_large_file_of_a_log_is_sent_in_pieces(tmp_path: Path) -> None:
    bundle = tmp_path / "inventory" / "tile" / "entries" / "000"
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(bytes(range(256)) * 40_000)
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def told(message: Any) -> None:
            sizes.append(len(message.get("body", b"")))
            await send(message)

        await TilesWeb(tmp_path, [])(scope, receive, told)

    async with at_port(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/log/inventory/tile/entries/000", "Connection: close"))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b"content-length: 10240000" in head and body == bundle.read_bytes()
        assert max(sizes) <= 1 << 20
        writer.close()
