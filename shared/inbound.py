"""Requests from NATS over a connection of their own, and the answers to them.

Whoever may send a request may send a hundred thousand, and the answers of the stream, asked for over the same
connection, would wait behind them. Here a request costs some microseconds before it is looked at, where the client
library takes ten times as many; answers that the server does not take stop the reading, so that neither gathers.
A connection that is lost is opened again; who asked over the old one asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import Final

import structlog

from shared.errors import Denied, LedgerError
from shared.tasks import end
from shared.wireconnection import HEARTBEAT_SECONDS, Connection, StreamLost, connect
from shared.wireparser import Control

MAX_HEADERS: Final = 64
"""Headers of a request that are looked at; those behind them count as not there."""

_SID: Final = b"3"
_UNREAD: Final = 512 << 10
"""Bytes that the kernel keeps of what has arrived: what waits there cannot be refused, and others wait behind it."""
_UNSENT: Final = 1 << 20
_TIMEOUT: Final = 10.0
_PAUSE: Final = 0.25

log = structlog.get_logger(__name__)


class Request:
    """A request; `reply` is empty when no answer is wanted."""

    def __init__(self, control: Control) -> None:
        self.subject = control.subject
        self.reply = control.reply
        self.data = control.payload
        self._head = control.headers

    @property
    def size(self) -> int:
        """Its bytes, headers included."""
        return len(self.data) + len(self._head)

    @cached_property
    def headers(self) -> dict[str, str]:
        """Of a name that is there twice, the first."""
        found: dict[str, str] = {}
        for line in self._head.decode("latin-1").split("\r\n", MAX_HEADERS + 1)[1 : MAX_HEADERS + 1]:
            name, colon, value = line.partition(":")
            if colon:
                found.setdefault(name, value.strip())
        return found


class Inbound:
    """Hears the requests of a subject, as one of a `queue` of which each is given to one.

    `receive` is called with each, in the order of their arrival, and must neither wait nor raise.
    """

    def __init__(self, url: str, subject: str, *, queue: str, name: str, receive: Callable[[Request], None]) -> None:
        self.listening = False
        """Whether it takes requests, as far as there is a connection."""
        self._url, self._name, self._receive = url, name, receive
        self._subscribe = b"SUB %s %s %s\r\n" % (subject.encode(), queue.encode(), _SID)
        self._wire: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()
        self._out: list[bytes] = []

    @property
    def able(self) -> bool:
        """Whether it could take requests: it is connected, or was never asked to be."""
        return self.connected or self._task is None

    @property
    def connected(self) -> bool:
        return self._wire is not None and self._wire.error is None

    async def listen(self) -> None:
        """Take requests from now on, or as soon as there is a connection again.

        Raises StreamLost, Misconfigured, and Denied when this user may not.
        """
        if self.listening:
            return
        self.listening = True
        if self._task is None:
            try:
                self._wire = await self._connected()
            except BaseException:
                self.listening = False
                raise
            self._task = asyncio.create_task(self._stay(), name=self._name)
        elif self.connected and self._wire is not None:
            self._wire.write(self._subscribe)
            await self._heard(self._wire)

    async def drain(self) -> None:
        """Take no more; when this returns, every request that the server gave to this process has been received."""
        self.listening = False
        if self.connected and self._wire is not None:
            self._wire.write(b"UNSUB %s\r\n" % _SID)
            await self._heard(self._wire)

    async def close(self) -> None:
        """Send what answers are left, and disconnect."""
        self.listening = False
        if self._task is not None:
            await end([self._task])
        if self.connected and self._wire is not None:
            self._flush()
            try:
                await self._heard(self._wire)
            finally:
                self._wire.fail(StreamLost("It was closed."))

    def answer(self, reply: str, raw: bytes) -> None:
        """Answer a request. Without a connection nothing is sent: who asked asks again."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(b"PUB %s %d\r\n%s\r\n" % (reply.encode("utf-8", "surrogateescape"), len(raw), raw))

    # inside

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._wire is not None and out:
            limit = int((self._wire.info or {}).get("max_payload", 1 << 20))
            self._wire.write(b"".join([one for one in out if len(one) <= limit]))
            if not self.connected or any(len(one) > limit for one in out):
                log.warning("answers could not be sent", name=self._name)

    async def _connected(self) -> Connection:
        wire = await connect(self._url, None, _TIMEOUT, self._name, False)
        try:
            wire.serve(self._take, unread=_UNREAD, unsent=_UNSENT)
            if self.listening:
                wire.write(self._subscribe)
            await self._heard(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _heard(self, wire: Connection, seconds: float = 30) -> None:
        """Wait until the server has taken what was written so far. Raises what it said instead, or StreamLost."""
        async with self._asking:  # one at a time, as one answer is like another
            wire.write(b"PING\r\n")
            await wire.signal("PONG", seconds, again=True)

    def _take(self, control: Control) -> None:
        self._receive(Request(control))

    async def _stay(self) -> None:
        """Keep a connection: ask the server whether it is still there, and open another one when it is not."""
        told = ""
        while True:
            if self.connected and self._wire is not None:
                told = ""
                await self._wire.lost(HEARTBEAT_SECONDS)
                if self._wire.quiet():  # else it is there, and its answer may have to wait behind many requests
                    try:
                        await self._heard(self._wire, _TIMEOUT)
                    except LedgerError as error:
                        self._wire.fail(error)
                continue
            if not told and self._wire is not None:
                log.warning("the connection for commands was lost", reason=str(self._wire.error), name=self._name)
            try:
                self._wire = await self._connected()
                log.info("commands are taken again", name=self._name)
            except (LedgerError, OSError) as error:
                if str(error) != told:
                    told = str(error)
                    level = log.error if isinstance(error, Denied) else log.warning
                    level("no connection for commands", reason=told, name=self._name)
                await asyncio.sleep(_PAUSE)
