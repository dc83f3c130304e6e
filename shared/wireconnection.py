"""One connection to NATS, read at the pace of the wire: the part of shared/wire.py that knows bytes, not streams."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
from prometheus_client import Counter

from shared import tls as secure
from shared.credentials import Credentials, api, current, inbox
from shared.errors import Busy, Denied, LedgerError, Misconfigured
from shared.wireparser import DELIVERIES, Control, Message, Parser, WireError

HEARTBEAT_SECONDS: Final = 5
"""How often the server is asked to say that it is still there while it has nothing to send."""

_SILENT_HEARTBEATS: Final = 3
_AT_A_TIME: Final = 100
_DENIES_PUBLISH = re.compile(rb"permissions violation for publish", re.IGNORECASE)
_DENIAL = re.compile(r"permissions violation for (publish|subscription)[^\"]* to \"?([^\s\"]+)", re.IGNORECASE)

log = structlog.get_logger(__name__)

_DENIED: Final = Counter("commons_denied_total", "What NATS did not allow this process's user.", ["action"])
_DENIALS: Final = {said: _DENIED.labels(action) for said, action in
                   (("publish", "publish"), ("subscription", "subscribe"))}  # fmt: skip


class StreamLost(Busy):
    """The connection or the consumer is gone: open a new reader at the position that was reached."""

    code = "STREAM_LOST"


class Connection(asyncio.Protocol):
    """One connection: it parses what arrives, answers PING, and wakes whoever waits."""

    def __init__(self, keep_headers: bool, credentials: Credentials | None = None) -> None:
        self.credentials = credentials
        self.api = api(credentials)
        self.inbox = f"{inbox(credentials)}.{secrets.token_hex(11)}"
        self.messages: list[Message] = []
        self.info: dict[str, Any] | None = None
        self.error: LedgerError | None = None
        self._parser = Parser(keep_headers=keep_headers)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._replies: dict[str, asyncio.Future[Control]] = {}
        self._asked = 0
        self._unused = 0
        self._pull_ended: Callable[[], None] | None = None
        self._unknown: Callable[[], bool] | None = None
        self._take: Callable[[Control], None] | None = None
        self._waiting: deque[Control] = deque()
        self._unsent = False
        self._lost: asyncio.Future[None] | None = None
        self._heard = True
        self._beaten = True
        self._silent = 0
        self._timer: asyncio.TimerHandle | None = None

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a TCP connection it is a Transport

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            messages, controls = self._parser.feed(data)
        except LedgerError as error:
            self.fail(error)
            return
        self._waiting += controls
        self._work()
        if messages and self.error is None:
            self._beaten = True
            self.messages += messages
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(StreamLost(f"The connection to NATS was lost{f': {exc}' if exc else ''}."))

    def pause_writing(self) -> None:
        """What was written is not being taken: take no more requests, whose answers would gather too."""
        self._unsent = True
        self._read_or_not()

    def resume_writing(self) -> None:
        self._unsent = False
        self._read_or_not()

    # the reader calls these

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def publish(self, subject: str, body: bytes, reply: str = "") -> None:
        self.write(b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(body), body))

    async def request(self, subject: str, body: bytes, timeout: float) -> Control:
        reply = self.expect()
        self.publish(subject, body, reply)
        return await self.reply_to(reply, timeout, f"NATS did not answer {subject} within {timeout:g} s.")

    def expect(self) -> str:
        """A subject of its own for one reply; `reply_to` waits for it."""
        self._raise()
        self._asked += 1
        reply = f"{self.inbox}.api.{self._asked}"
        self._replies[reply] = asyncio.get_running_loop().create_future()
        return reply

    async def reply_to(self, reply: str, timeout: float, otherwise: str) -> Control:
        """The reply to an expected subject. Raises StreamLost, saying `otherwise`, when none comes in time."""
        try:
            return await _within(timeout, self._replies[reply], otherwise)
        finally:
            del self._replies[reply]

    async def signal(self, operation: str, timeout: float, *, again: bool = False) -> Control:
        """Wait for an INFO or a PONG; with `again` for the next one, though there was one before."""
        if again and operation in self._replies and self._replies[operation].done():
            del self._replies[operation]
        future = self._replies.setdefault(operation, asyncio.get_running_loop().create_future())
        self._raise()
        return await _within(timeout, future, f"NATS sent no {operation} within {timeout:g} s.")

    async def arrival(self, seconds: float | None) -> None:
        """Wait for a message. Raises TimeoutError after `seconds`, or what broke the connection."""
        self._raise()
        self._waiter = asyncio.get_running_loop().create_future()
        handle = self._waiter.get_loop().call_later(seconds, self._wake) if seconds is not None else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            if handle:
                handle.cancel()
        if not self.messages:
            self._raise()
            raise TimeoutError

    def take_unused(self) -> int:
        """How many messages ended pulls had left over, since it was last asked."""
        unused, self._unused = self._unused, 0
        return unused

    def watch(self, pull_ended: Callable[[], None], unknown: Callable[[], bool]) -> None:
        """Expect heartbeats from here on, and call `pull_ended` when a pull ends before it is filled; when the server
        knows no consumer to pull from, `unknown`, which says whether that may be so for now."""
        self._pull_ended, self._unknown = pull_ended, unknown
        self._tick()

    def serve(self, take: Callable[[Control], None], *, unread: int, unsent: int) -> None:
        """Hand all that is sent to other subjects than its own inbox to `take`; so many bytes of it wait in the kernel,
        and of what is written at most `unsent`, before no more is read."""
        self._take = take
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=unsent)
            if (raw := self._transport.get_extra_info("socket")) is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread)

    def quiet(self) -> bool:
        """Whether nothing has come since this was last asked."""
        heard, self._heard = self._heard, False
        return not heard

    async def lost(self, seconds: float) -> None:
        """Wait until it is lost, but no longer than so many seconds."""
        if self.error is None:
            self._lost = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._lost], timeout=seconds)

    def fail(self, error: LedgerError) -> None:
        """The first error is the one that counts; whoever waits gets it."""
        self.error = self.error or error
        for future in self._replies.values():
            if not future.done():
                future.set_exception(self.error)
                future.exception()  # nobody may be waiting any more; that is no news
        self._wake()
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        self.close()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    # inside

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        """Deal with what has arrived; of requests, some at a time, so that everything else gets its turn between."""
        count = len(self._waiting) if self._take is None else min(len(self._waiting), _AT_A_TIME)
        try:
            for _ in range(count):
                self._control(self._waiting.popleft())
        except LedgerError as error:
            self.fail(error)
        except (ValueError, KeyError, TypeError) as error:
            self.fail(WireError(f"The NATS server sent something that cannot be read: {error}."))
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work)
        self._read_or_not()

    def _read_or_not(self) -> None:
        """Read on, unless requests wait here, or what was written waits for the server."""
        if self._take is None or self._transport is None or self._transport.is_closing():
            return
        if self._waiting or self._unsent:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tick(self) -> None:
        """Counts silent intervals, not seconds: a process that was busy itself has not been left alone.

        While messages wait to be taken there may be no pull under way, so that silence says nothing. What the server
        says by itself, as that it is there, says nothing of the consumer, which may be gone without a word.
        """
        self._silent = 0 if self._beaten or self.messages else self._silent + 1
        self._beaten = False
        if self._silent >= _SILENT_HEARTBEATS:
            seconds = _SILENT_HEARTBEATS * HEARTBEAT_SECONDS
            self.fail(StreamLost(f"NATS has been silent for {seconds} s, though heartbeats were asked for."))
            return
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, self._tick)

    def _control(self, control: Control) -> None:
        match control.operation:
            case "PING":
                self.write(b"PONG\r\n")
            case "INFO":
                self.info = json.loads(control.payload)
                self._resolve("INFO", control)
            case "PONG":
                self._resolve("PONG", control)
            case "MSG" if self._take is not None and not control.subject.startswith(self.inbox):
                self._take(control)
            case "-ERR":
                if self._take is not None and _DENIES_PUBLISH.search(control.payload):
                    log.warning("nats", reason=control.payload.decode(errors="replace"))
                    return  # an asker's choice of a reply must not cut off the others
                raise _refusal(control.payload.decode(errors="replace").strip("'"))
            case _ if control.subject.startswith(f"{self.inbox}.pull."):
                self._pull_status(control)
            case _:
                self._resolve(control.subject, control)

    def _resolve(self, key: str, control: Control) -> None:
        future = self._replies.get(key)
        if future is not None and not future.done():
            future.set_result(control)

    def _pull_status(self, control: Control) -> None:
        """100 is a heartbeat; 404, 408 and some 409 end a pull; 503 says that there is no consumer, which may be so for
        a moment; anything else means that it is gone."""
        self._beaten = True
        text = control.headers.partition(b"\r\n")[0][13:].decode(errors="replace")
        if control.status == 100 or (control.status == 503 and self._unknown is not None and self._unknown()):
            return
        left = _header(control.headers, b"Nats-Pending-Messages")
        if control.status in (404, 408) or (control.status == 409 and left is not None):
            self._unused += left or 0
            if self._pull_ended is not None:
                self._pull_ended()
            return
        raise StreamLost(f"The consumer is gone: NATS said {control.status} {text}.")


def _header(headers: bytes, name: bytes) -> int | None:
    for line in headers.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == name.lower():
            return int(value)
    return None


def denial(said: str) -> Denied | None:
    """What a server's error says of a permission that is missing; None when it is about something else."""
    found = _DENIAL.search(said)
    if found is None:
        return None
    _DENIALS[found[1].lower()].inc()
    return denied(found[1].lower() == "publish", found[2])


def denied(publish: bool, subject: str) -> Denied:
    """The error of a user who may not publish, or subscribe, to a subject."""
    action = "publish to" if publish else "subscribe to"
    return Denied(
        f"NATS does not allow this process's user to {action} {subject}. It may be another user's work (in containers "
        "the clinic's is clinic-operator's); if it is this one's, have `commons init` write the permissions anew, and "
        "the server read them.",
        action=action, subject=subject,
    )  # fmt: skip


def _refusal(said: str) -> LedgerError:
    low = said.lower()
    if (missing := denial(said)) is not None:
        return missing
    if "authorization" in low or "authentication" in low or "permissions" in low or "certificate" in low:
        return Misconfigured(
            f"The NATS server refused this process's user: {said}. Look at NATS_NKEY_SEED_FILE, or at the name and the "
            "password in NATS_URL."
        )
    return StreamLost(f"The NATS server closed the connection: {said}.")


async def _within(seconds: float, future: asyncio.Future[Control], otherwise: str) -> Control:
    """What a future brings. Raises StreamLost, saying `otherwise`, when it brings nothing in time."""
    # asyncio.wait_for does this too, a turn of the loop and some 20 µs later.
    handle = future.get_loop().call_later(seconds, _expire, future, otherwise)
    try:
        return await future
    finally:
        handle.cancel()


def _expire(future: asyncio.Future[Control], otherwise: str) -> None:
    if not future.done():
        future.set_exception(StreamLost(otherwise))


async def connect(
    urls: str, tls: ssl.SSLContext | None, timeout: float, name: str, keep_headers: bool,
    credentials: Credentials | None = None,
) -> Connection:  # fmt: skip
    """The first of the addresses that takes the connection; the last one's error when none does.

    Without `credentials` it logs in as the user that this process is.
    """
    credentials = credentials or current()
    error: LedgerError = Misconfigured("No NATS address was given.")
    for url in filter(None, (u.strip() for u in urls.split(","))):
        wire = Connection(keep_headers, credentials)
        try:
            await asyncio.wait_for(_login(wire, url, tls, timeout, name), timeout)
            return wire
        except (OSError, TimeoutError, ssl.SSLError) as cause:
            error = secure.refused(_plain(url), cause) or StreamLost(
                f"NATS cannot be reached at {_plain(url)}: {str(cause) or 'no answer in time'}."
            )
        except LedgerError as cause:
            error = cause
        wire.close()
    raise error


async def _login(wire: Connection, url: str, tls: ssl.SSLContext | None, timeout: float, name: str) -> None:
    address = urlsplit(url if "://" in url else f"nats://{url}")
    host, port = address.hostname or "127.0.0.1", address.port or 4222
    loop = asyncio.get_running_loop()
    if address.scheme == "tls":
        await loop.create_connection(lambda: wire, host, port, ssl=tls or secure.context(), server_hostname=host)
    else:
        await loop.create_connection(lambda: wire, host, port)
    if wire.info is None:
        try:
            await wire.signal("INFO", timeout)
        except StreamLost as error:
            if address.scheme == "tls":
                raise
            raise StreamLost(f"{error.detail} If it speaks TLS, let NATS_URL begin with tls://.") from error
    if address.scheme != "tls" and (wire.info or {}).get("tls_required"):
        raise Misconfigured(f"The NATS server at {_plain(url)} wants TLS: let NATS_URL begin with tls://.")
    options: dict[str, Any] = {
        "verbose": False, "pedantic": False, "lang": "python", "version": "1", "protocol": 1, "headers": True,
        "no_responders": True, "name": name, "tls_required": address.scheme == "tls",
    }  # fmt: skip
    if wire.credentials is not None:
        options["nkey"] = wire.credentials.public
        if nonce := (wire.info or {}).get("nonce"):  # none when the server asks for no proof
            options["sig"] = wire.credentials.sign(nonce)
    elif address.password is not None:
        options |= {"user": unquote(address.username or ""), "pass": unquote(address.password)}
    elif address.username:
        options["auth_token"] = unquote(address.username)
    sid = DELIVERIES.decode()
    subscriptions = f"SUB {wire.inbox}.pull.* {sid}\r\nSUB {wire.inbox}.api.* 2\r\n"
    wire.write(f"CONNECT {json.dumps(options)}\r\n{subscriptions}PING\r\n".encode())
    await wire.signal("PONG", timeout)


def _plain(url: str) -> str:
    """An address without its password, fit for a log."""
    return url.rpartition("@")[2].removeprefix("nats://").removeprefix("tls://")
