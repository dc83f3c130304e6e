"""The one way in which a process of the ledger listens for HTTP, and what it takes of those who ask.

Anybody who reaches the port can open connections, send slowly or without an end, and not read what they are answered.
Each of these has a bound, and each bound one answer that says which. What an application asks of its requests beyond
that is its own.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from shared.errors import Misconfigured

REQUEST_SECONDS: Final = 10.0
"""A connection without a whole request for so long is closed, and one that reads nothing of its answer for so long."""

MAX_CONNECTIONS: Final = 500
"""So many may be open; who comes then is told to try again."""

MAX_ADDRESS: Final = 8_192
"""Bytes of a path with its query."""

MAX_HEADERS: Final = 16_384
"""Bytes of all headers of a request."""

MAX_BODY: Final = 1 << 20
"""Bytes of a body that is announced; of others no more is read than the application asks for."""

_DROPPED: Final = 16 << 20
_DROPPED_SECONDS: Final = 1.0

Scope = MutableMapping[str, Any]
Asgi = Callable[
    [Scope, Callable[[], Awaitable[MutableMapping[str, Any]]], Callable[[MutableMapping[str, Any]], Awaitable[None]]],
    Awaitable[None],
]


async def listen(
    application: Asgi, host: str, port: int, started: Callable[[int], None] = lambda _port: None, *,
    lifespan: Literal["on", "off"] = "off",
) -> None:  # fmt: skip
    """Serve HTTP until SIGINT or SIGTERM. `started` is told the port, chosen when it is 0.

    Raises Misconfigured when the address cannot be listened at.
    """
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise Misconfigured(
            f"{host}, port {port}, cannot be listened at: {error.strerror}. Stop who has it, or choose another port."
        ) from error
    config = uvicorn.Config(
        bounded(application), lifespan=lifespan, log_level="error", access_log=False, timeout_graceful_shutdown=5,
        http=_Bounded, ws="none", h11_max_incomplete_event_size=4 * MAX_HEADERS,
    )  # fmt: skip
    server = _Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.leave)
    started(listening.getsockname()[1])
    await server.serve([listening])


def problem(status: int, slug: str, detail: str) -> bytes:
    """An answer's body, of the type application/problem+json."""
    title = slug.replace("-", " ")
    made = {"type": f"urn:commons:problem:{slug}", "title": title, "status": status, "detail": detail}
    return json.dumps(made).encode()


def bounded(application: Asgi) -> Asgi:
    """The application, which sees no request that is larger than the bounds."""

    async def door(scope: Scope, receive: Any, send: Any) -> None:
        refused = _too_large(scope) if scope["type"] == "http" else None
        if refused is None:
            await application(scope, receive, send)
            return
        status, body = refused
        if status == 413:
            await _drop(receive)
        headers = [
            (b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return door


async def _drop(receive: Any) -> None:
    """Read what is being sent, within bounds, and keep nothing: who is still sending would not see the answer."""
    dropped, more = 0, True
    while more and dropped < _DROPPED:
        try:
            message = await asyncio.wait_for(receive(), _DROPPED_SECONDS)
        except TimeoutError:
            return
        dropped += len(message.get("body", b""))
        more = message.get("more_body", False)


def _too_large(scope: Scope) -> tuple[int, bytes] | None:
    address = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    if address > MAX_ADDRESS:
        return 414, problem(414, "too-long", f"The address is {address:,} bytes; at most {MAX_ADDRESS:,} are taken.")
    headers = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if headers > MAX_HEADERS:
        return 431, problem(431, "too-large", f"The headers are {headers:,} bytes; at most {MAX_HEADERS:,} are taken.")
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if int(length) > MAX_BODY:  # digits, or h11 would not have taken it
        return 413, problem(413, "too-large", f"The body is {int(length):,} bytes; at most {MAX_BODY:,} are taken.")
    return None


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handling, which would end the process before the component has stopped."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        self.should_exit = True


class _Bounded(H11Protocol):
    """Uvicorn's protocol, which bounds the time between two requests, but not before the first, nor within one, nor
    that in which an answer is read; nor the number of connections."""

    _late: asyncio.TimerHandle | None = None
    _watch: asyncio.TimerHandle | None = None
    _unread = 0
    _unwanted = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()
        self._look()
        if len(self.connections) > MAX_CONNECTIONS:
            self._say(503, "busy", f"{MAX_CONNECTIONS} connections are open already. Try again in a moment.")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.more_body or cycle.response_complete:
            self._expect()
        else:  # a whole request, which is being answered
            self._forget()
        if cycle is not None and cycle.more_body and cycle.response_complete:
            self._unwanted += len(data)
            if self._unwanted > MAX_BODY:
                self.flow.pause_reading()  # until it is closed, as there is no whole request
        else:
            self._unwanted = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What h11 does not take: it does not say which of the two it is."""
        self._say(400, "invalid", f"This is no HTTP/1.1 request, or its head is longer than {4 * MAX_HEADERS:,} bytes.")

    def _say(self, status: int, slug: str, detail: str) -> None:
        """Answer at once, whatever was asked, and close."""
        body = problem(status, slug, detail)
        head = f"HTTP/1.1 {status} {slug}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
        again = "retry-after: 1\r\n" if status == 503 else ""
        self.transport.write(f"{head}{again}connection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _expect(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _look(self) -> None:
        """Cut off who has read nothing since the last look; closing alone would wait for them for ever."""
        unread = self.transport.get_write_buffer_size()
        if unread and unread == self._unread:
            self.transport.abort()
            return
        self._unread = unread
        self._watch = self.loop.call_later(REQUEST_SECONDS, self._look)
