"""The one way in which a process of the ledger connects to PostgreSQL.

A machine or a network that goes away says no goodbye: whoever waits for an answer of the other side would wait for many
minutes, or for ever. So both sides of every connection ask for signs of life, and give it up after some twenty seconds
without. On the server that ends the session too, whose lock on a read model would keep its process from going on.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import msgspec

IDLE_SECONDS: Final = 10
"""Silence after which the other side is asked whether it is there."""
_EVERY_SECONDS: Final = 3
_TIMES: Final = 3
GIVEN_UP_SECONDS: Final = 20
"""How long what was sent may stay without the other side's acknowledgement."""

_SERVER: Final = {
    "tcp_keepalives_idle": str(IDLE_SECONDS),
    "tcp_keepalives_interval": str(_EVERY_SECONDS),
    "tcp_keepalives_count": str(_TIMES),
    "tcp_user_timeout": f"{GIVEN_UP_SECONDS}s",
}
"""Settings of a session; where it comes over a Unix socket the server ignores them."""

_OURS: Final = (
    ("TCP_KEEPIDLE", IDLE_SECONDS), ("TCP_KEEPALIVE", IDLE_SECONDS), ("TCP_KEEPINTVL", _EVERY_SECONDS),
    ("TCP_KEEPCNT", _TIMES), ("TCP_USER_TIMEOUT", GIVEN_UP_SECONDS * 1000),
)  # fmt: skip
"""The same of our side, as far as the system has it; the second is macOS's name of the first."""


async def connect(
    url: str, *, timeout: float = 10.0, settings: Mapping[str, str] | None = None
) -> asyncpg.Connection:  # fmt: skip
    """One connection; `settings` are PostgreSQL's, for this session. Raises asyncpg's errors, OSError, TimeoutError."""
    connection = await asyncpg.connect(url, timeout=timeout, server_settings={**_SERVER, **(settings or {})})
    watch(connection)
    return connection


async def open_pool(url: str, *, max_size: int = 10) -> asyncpg.Pool:
    """A pool for reading: JSON columns come as Python values. Raises as `connect` does."""

    async def prepare(connection: asyncpg.Connection) -> None:
        watch(connection)
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=lambda v: msgspec.json.encode(v).decode(), decoder=msgspec.json.decode
        )

    return await asyncpg.create_pool(url, min_size=1, max_size=max_size, init=prepare, server_settings=_SERVER)


def watch(connection: asyncpg.Connection) -> None:
    """Have the system give the connection up when its other side is gone."""
    found = socket_of(connection)
    if found is None or found.family == socket.AF_UNIX:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OURS:
        if (option := getattr(socket, name, None)) is not None:
            found.setsockopt(socket.IPPROTO_TCP, option, value)


def socket_of(connection: Any) -> socket.socket | None:
    """The socket below a connection, which asyncpg does not give out."""
    found: socket.socket | None = connection._transport.get_extra_info("socket")
    return found
