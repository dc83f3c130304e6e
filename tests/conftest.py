"""Fixtures that every test may use: a real PostgreSQL, a fresh database in it, a real NATS server."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog
from hypothesis import settings

from services.local.nats import NatsServer
from services.local.postgres import PostgresServer

# The same histories in every run, so that a change is judged by what it changed. `--hypothesis-profile=explore` looks
# at others every time: for whoever has time to look into what it finds. How long one example takes says how busy the
# machine is, and nothing about the code.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=500, derandomize=False, deadline=None, print_blob=True)
settings.load_profile("same")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: much of the time a test waits for servers that it killed or stopped."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole-stack tests take longest: they begin first, or one worker would be left alone with them at the end."""
    items.sort(key=lambda item: "system" not in item.path.parts)


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Logging as at a process's start: a command that was run in here leaves its own output, closed, behind."""
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole run. Tests that kill a server start one of their own."""
    # Without fsync a new database takes a tenth of the time; a killed server still loses nothing, only a machine would.
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), settings={"fsync": "off"})
    _finish(server.start())
    try:
        yield server
    finally:
        _finish(server.stop())


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    _finish(_execute(postgres.url, f"CREATE DATABASE {name}"))
    yield postgres.database_url(name)
    _finish(_execute(postgres.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS server of this test alone, with an empty store."""
    server = NatsServer(tmp_path / "nats")
    _finish(server.start())
    try:
        yield server
    finally:
        _finish(server.stop())


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on a loop of its own: a test's loop does not run while its fixtures are made."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
