"""The one way in which a process of the ledger connects to NATS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared import tls
from shared.credentials import API, Credentials, api, current, inbox
from shared.errors import Denied, Misconfigured
from shared.wireconnection import denial, denied

log = structlog.get_logger(__name__)

PING_SECONDS: Final = 5
"""How often the server is asked whether it is there: a network that goes away says no goodbye."""
PINGS: Final = 2
"""How many may be without an answer before the connection is given up, and another one opened."""

_TOLD: Final = 100
"""Complaints of a server that are remembered, so that each is told once."""

_ROUNDS: Final = 2
"""How often each of several servers may refuse a client that starts, before it is believed that all of them do."""


class LedgerClient(Client):
    """A NATS client whose requests and subscriptions say at once that they are not allowed.

    The server says so apart from any request, which would wait until its time is over.
    """

    def __init__(self, credentials: Credentials | None = None) -> None:
        super().__init__()
        self.api = api(credentials)
        self._asked: dict[str, list[tuple[str, Callable[[Denied], None]]]] = {}
        self._refused: list[Denied] = []

    async def request(self, subject: str, *args: Any, **kwargs: Any) -> Msg:
        """As any client's. Raises Denied when this user may not publish to the subject."""
        refused: list[Denied] = []
        try:
            async with asyncio.timeout(None) as scope:

                def deny(error: Denied) -> None:
                    refused.append(error)
                    scope.reschedule(0)

                with self.until_denied(subject, deny):
                    return await super().request(subject, *args, **kwargs)
        except TimeoutError:
            if refused:
                raise refused[0] from None
            raise

    async def _process_msg(self, sid: int, subject: bytes, *rest: Any) -> None:
        """As any client's, which would hear nothing more after a name that is no UTF-8."""
        try:
            await super()._process_msg(sid, subject, *rest)
        except UnicodeDecodeError:
            log.warning("a message was dropped: its subject, or where its reply is to go, is no text")

    async def _process_connect_init(self) -> None:
        """As any client's, which after a handshake that failed would wait for ever for that connection's end."""
        try:
            await super()._process_connect_init()
        except OSError:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call]
                self._transport = None
            raise

    async def flush(self, *args: Any, **kwargs: Any) -> None:
        """As any client's. Raises Denied when a subscription since the last time was not allowed."""
        await super().flush(*args, **kwargs)  # whose ping may go out before the subscriptions that wait to be sent
        await super().flush(*args, **kwargs)
        if self._refused:
            refused, self._refused = self._refused, []
            raise refused[0]

    @contextmanager
    def until_denied(self, subject: str, deny: Callable[[Denied], None]) -> Iterator[None]:
        """Have `deny` called when the server refuses a publish to the subject while the block runs."""
        asked = self._asked.setdefault(subject.lower(), [])
        asked.append(one := (subject, deny))
        try:
            yield
        finally:
            asked.remove(one)
            if not asked:
                self._asked.pop(subject.lower(), None)

    def refused(self, error: Denied) -> bool:
        """The server refused something; whether a request hears of it. The client library gives it in lower case."""
        if error.facts["action"] == "subscribe to":
            self._refused.append(error)
            return False
        asked = list(self._asked.get(str(error.facts["subject"]).lower(), ()))
        for subject, deny in asked:
            deny(denied(True, subject))
        return bool(asked)


@contextmanager
def until_denied(nc: Client, subject: str, deny: Callable[[Denied], None]) -> Iterator[None]:
    """The same on any client; one that is not the ledger's own calls nobody."""
    if isinstance(nc, LedgerClient):
        with nc.until_denied(subject, deny):
            yield
    else:
        yield


def api_of(nc: Client) -> str:
    """What a client's requests to JetStream begin with."""
    return nc.api if isinstance(nc, LedgerClient) else API


def jetstream(nc: Client) -> JetStreamContext:
    """The client library's JetStream, as this client reaches it."""
    return nc.jetstream(prefix=api_of(nc))


def _safe(url: str) -> str:
    """The addresses without their passwords."""
    return ",".join(f"{scheme or 'nats'}://{rest.rpartition('@')[2]}" for scheme, rest in map(_parts, servers(url)))


def _parts(url: str) -> tuple[str, str]:
    scheme, _, rest = url.rpartition("://")
    return scheme, rest


def servers(url: str) -> list[str]:
    """The addresses of one NATS system, given with commas between; the client takes the first that answers."""
    return [one.strip() for one in url.split(",") if one.strip()]


async def connect(
    url: str, *, name: str, on_lost: Callable[[], None] | None = None, timeout: float = 10.0, wait: bool = False,
    credentials: Credentials | None = None,
) -> LedgerClient:  # fmt: skip
    """Connect to NATS, and stay connected for as long as the process runs.

    Without `credentials` it logs in as the user that this process is (credentials.py).

    A publish while disconnected fails at once, rather than being sent later when its expectation may be stale.
    `on_lost` is called before any reconnection, and when a subscription's queue was full, as something was missed then
    too. `wait` keeps trying at the start, for servers that start together.
    Raises Misconfigured when there is no server at the address, or it refuses this client.
    """
    told = set[str]()
    refused = asyncio.Event()
    refusal: Misconfigured | None = None
    # Refusals in a row after which each server has been asked, so that none is left to wait for.
    enough = 1 if len(servers(url)) == 1 else _ROUNDS * len(servers(url))
    refusals = 0
    credentials = credentials or current()
    client = LedgerClient(credentials)
    trusted: ssl.SSLContext | None = tls.context() if tls.wanted(url) else None

    async def error(problem: Exception) -> None:
        nonlocal refusals, refusal
        said = str(problem) or type(problem).__name__
        distrust = tls.refused(_safe(url), problem)
        if distrust is None and "authorization violation" in said.lower():
            distrust = _unknown_user(url)
        refusal, refusals = distrust or refusal, refusals + 1 if distrust else 0
        heard = (missing := denial(said)) is not None and client.refused(missing)
        if refusals >= enough:
            refused.set()
        if isinstance(problem, nats.errors.SlowConsumerError) and on_lost:
            on_lost()  # one of its own queues was full, so that something was not heard
        if said not in told and not (told and isinstance(problem, OSError)):
            level = log.info if heard else log.warning  # who asked is told, and knows whether it is news
            level("nats", reason=said, url=_safe(url))
        if len(told) >= _TOLD:
            told.clear()
        told.add(said)

    async def lost() -> None:
        if client.is_closed or client.is_draining:
            return
        log.warning("connection to NATS lost", url=_safe(url))
        if on_lost:
            on_lost()

    async def back() -> None:
        told.clear()
        log.info("connected to NATS again", url=_safe(url))

    async def attempt() -> LedgerClient:
        connecting = asyncio.ensure_future(
            client.connect(
                servers(url), name=name, pending_size=-1, max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds, and fractions are taken
                allow_reconnect=True, connect_timeout=2, ping_interval=PING_SECONDS, max_outstanding_pings=PINGS,
                error_cb=error, disconnected_cb=lost, reconnected_cb=back,
                inbox_prefix=inbox(credentials), nkeys_seed_str=credentials.seed if credentials else None,
                tls=trusted, tls_handshake_first=trusted is not None,
            )
        )  # fmt: skip
        unknown = asyncio.ensure_future(refused.wait())  # the library would try again until the time is over
        try:
            await asyncio.wait({connecting, unknown}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
                return client
        except (nats.errors.Error, OSError, ValueError, TimeoutError) as problem:
            raise tls.refused(_safe(url), problem) or _no_server(url, timeout, problem) from problem
        finally:
            unknown.cancel()
            if not connecting.done():
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
        raise refusal or _no_server(url, timeout, TimeoutError())

    while True:
        if await reachable(url):
            return await attempt()
        if not wait:
            raise Misconfigured(
                f"No NATS server answers at {_safe(url)}. Check that it runs and that NATS_URL is its address.",
                url=_safe(url),
            )
        await asyncio.sleep(0.1)


def _unknown_user(url: str) -> Misconfigured:
    return Misconfigured(
        f"The NATS server at {_safe(url)} does not know this process's user, or not by this key. Look at "
        "NATS_NKEY_SEED_FILE, or at the name and the password in NATS_URL.",
        url=_safe(url),
    )  # fmt: skip


def _no_server(url: str, timeout: float, problem: Exception) -> Misconfigured:
    secured = "" if tls.wanted(url) else ", which begins with tls:// if it speaks TLS"
    return Misconfigured(
        f"No NATS server answered at {_safe(url)} within {timeout:.0f} s: {str(problem) or type(problem).__name__}. "
        f"Check that it runs and that NATS_URL is its address{secured}.",
        url=_safe(url),
    )


async def reachable(url: str) -> bool:
    """Whether anything accepts connections at one of the addresses; nats-py itself would try without an end."""
    return any([await _accepts(one) for one in servers(url)])


async def _accepts(url: str) -> bool:
    hostport = _safe(url).partition("://")[2]
    host, _, port = hostport.rpartition(":") if ":" in hostport else (hostport, "", "4222")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port.strip("/") or 4222)), 2)
    except (OSError, TimeoutError, ValueError):
        return False
    writer.close()
    return True
