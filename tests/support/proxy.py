"""A TCP proxy between a client and its NATS server, which a test tells when to swallow, hold back or cut."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(eq=False)
class _Pair:
    """One client's connection and the proxy's own to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tail: bytes = b""
    held: list[bytes] = field(default_factory=list)

    def abort(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class Proxy:
    """Forwards 127.0.0.1:`port` to the server, until told otherwise.

    `watch(marker, forward=True)` waits for bytes from a client: with `forward` they go on to the server, and from then
    on no byte comes back over that connection (a lost reply); without it they are swallowed and the connection is cut
    (a lost request). `seen` is set when that has happened.
    """

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._marker: bytes | None = None
        self._forward = True
        self._holding: set[_Pair] = set()
        self._shut = False
        self.seen = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # what a test tells it

    def watch(self, marker: bytes, *, forward: bool = True) -> None:
        self._marker, self._forward = marker, forward
        self.seen.clear()

    def hold(self) -> None:
        """Hold back all that the server says over the connections of now."""
        self._holding |= self._pairs

    def release(self) -> None:
        """Let the held replies go, late as they are."""
        for pair in self._holding:
            for data in pair.held:
                pair.client.write(data)
            pair.held.clear()
        self._holding.clear()

    def cut(self) -> None:
        """End every connection at once; held replies are lost."""
        for pair in list(self._pairs):
            pair.abort()
        self._holding.clear()

    def shut(self) -> None:
        """Cut, and take no new connection until `open` is called."""
        self._shut = True
        self.cut()

    def open(self) -> None:
        self._shut = False

    # inside

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            writer.transport.abort()
            return
        try:
            to_client, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, to_server)
        self._pairs.add(pair)
        for work in (self._up(pair, reader), self._down(pair, to_client)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _up(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._marker is not None:
                    window = pair.tail + data
                    pair.tail = window[-len(self._marker) :]
                    if self._marker in window:
                        self._marker = None
                        if not self._forward:
                            self.cut()
                            self.seen.set()
                            break
                        self._holding.add(pair)
                        pair.server.write(data)
                        self.seen.set()
                        continue
                pair.server.write(data)
                await pair.server.drain()
        self._end(pair)

    async def _down(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if pair in self._holding:
                    pair.held.append(data)
                else:
                    pair.client.write(data)
                    await pair.client.drain()
        self._end(pair)

    def _end(self, pair: _Pair) -> None:
        pair.abort()
        self._pairs.discard(pair)
        self._holding.discard(pair)
