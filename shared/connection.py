"""The one way in which a process of the ledger connects to NATS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import nats.errors
import structlog
from nats.aio.client import Client

from shared.errors import Misconfigured

log = structlog.get_logger(__name__)


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
    url: str, *, name: str, on_lost: Callable[[], None] | None = None, timeout: float = 10.0, wait: bool = False
) -> Client:
    """Connect to NATS, and stay connected for as long as the process runs.

    A publish while disconnected fails at once, rather than being sent later when its expectation may be stale.
    `on_lost` is called before any reconnection. `wait` keeps trying at the start, for servers that start together.
    Raises Misconfigured when there is no server at the address, or it refuses this client.
    """
    told = False
    client = Client()

    async def error(problem: Exception) -> None:
        nonlocal told
        # A denied publish or subscription reaches its caller as a time-out; its reason comes only through here.
        if not told or not isinstance(problem, OSError):
            log.warning("nats", reason=str(problem) or type(problem).__name__, url=_safe(url))
        told = isinstance(problem, OSError)

    async def lost() -> None:
        if client.is_closed or client.is_draining:
            return
        log.warning("connection to NATS lost", url=_safe(url))
        if on_lost:
            on_lost()

    async def back() -> None:
        nonlocal told
        told = False
        log.info("connected to NATS again", url=_safe(url))

    async def attempt() -> Client:
        try:
            await asyncio.wait_for(
                client.connect(
                    servers(url), name=name, pending_size=-1, max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds, and fractions are taken
                    allow_reconnect=True, connect_timeout=2, ping_interval=10, max_outstanding_pings=2,
                    error_cb=error, disconnected_cb=lost, reconnected_cb=back,
                ),
                timeout,
            )  # fmt: skip
            return client
        except (nats.errors.Error, OSError, ValueError, TimeoutError) as problem:
            raise Misconfigured(
                f"No NATS server answered at {_safe(url)} within {timeout:.0f} s: "
                f"{str(problem) or type(problem).__name__}. Check that it runs and that NATS_URL is its address.",
                url=_safe(url),
            ) from problem

    while True:
        if await reachable(url):
            return await attempt()
        if not wait:
            raise Misconfigured(
                f"No NATS server answers at {_safe(url)}. Check that it runs and that NATS_URL is its address.",
                url=_safe(url),
            )
        await asyncio.sleep(0.1)


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
