"""Connections to PostgreSQL ask for signs of life, on both sides: a network that goes away says no goodbye."""

from __future__ import annotations

import socket
import sys

import asyncpg
import pytest

from shared import database

ASKED = (
    ("tcp_keepalives_idle", "10"), ("tcp_keepalives_interval", "3"), ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "20000"),
)  # fmt: skip


async def _asks_for_life(connection: asyncpg.Connection) -> None:
    for setting, wanted in ASKED:
        assert await connection.fetchval("SELECT current_setting($1)", setting) == wanted
    below = database.socket_of(connection)
    assert below is not None and below.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if sys.platform == "linux":
        assert below.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == database.IDLE_SECONDS
        assert below.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == database.GIVEN_UP_SECONDS * 1000


async def test_a_connection_asks_for_signs_of_life_on_both_sides(database_url: str) -> None:
    connection = await database.connect(database_url, settings={"application_name": "probe"})
    try:
        await _asks_for_life(connection)
        assert await connection.fetchval("SHOW application_name") == "probe"
    finally:
        await connection.close()


async def test_so_does_every_connection_of_a_pool(database_url: str) -> None:
    pool = await database.open_pool(database_url, max_size=2)
    try:
        async with pool.acquire() as one, pool.acquire() as another:
            for connection in (one, another):
                await _asks_for_life(connection)
                assert await connection.fetchval("SELECT '[1]'::jsonb") == [1]
    finally:
        await pool.close()


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/none"])
async def test_a_server_that_is_not_there_is_said_at_once(url: str) -> None:
    with pytest.raises(OSError, match="Connect"):
        await database.connect(url, timeout=2)
