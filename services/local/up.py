"""`commons up`: the whole ledger on one machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.local.keys import Keys
from services.local.lock import folder_lock
from services.local.nats import NatsServer
from services.local.postgres import PostgresServer
from services.local.process import StartFailed
from services.local.server import Server
from services.local.supervisor import ProcessSpec, ServiceProcess, Supervisor
from shared import migrations

STATE_FILE: Final = "commons.json"
"""In the data folder while `up` runs: where everything listens. Readable by its owner alone, as it holds a password."""

TILES: Final = "COMMONS_TILES"

SERVICES: Final = (
    ProcessSpec("inventory", module="services.inventory.app"),
    ProcessSpec("distribution", module="services.distribution.app"),
    ProcessSpec("treasury", module="services.treasury.app"),
    ProcessSpec("clinic", module="services.clinic.app", role="commons_clinic"),
    ProcessSpec("projections", module="services.projections.app"),
    ProcessSpec("clinic-projections", module="services.projections.clinic.app", role="commons_clinic"),
    ProcessSpec("fhir", module="services.fhir.server", role="commons_clinic", entrance="/fhir/metadata"),
    ProcessSpec("auditor", module="services.auditor.app", ready_path="/healthz"),  # nobody waits for it
)


@dataclass(frozen=True)
class Options:
    """What `commons up` was asked for. A URL names a server that runs already; without one it starts its own."""

    data: Path = Path("data")
    nats_url: str | None = None
    database_url: str | None = None
    chapter: str = field(default_factory=lambda: os.environ.get("COMMONS_CHAPTER", "local"))
    services: Sequence[ProcessSpec] = SERVICES


async def run(options: Options, report: Callable[[str], None] = print) -> int:
    """Run everything until SIGINT or SIGTERM, then drain and stop; a second signal ends it at once.

    Gives 0 after an orderly stop. Raises AlreadyRunning when another process has the folder, StartFailed or
    Misconfigured when something does not come up; nothing is left running then.
    """
    folder = options.data.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartFailed(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose one with --data."
        ) from error
    with folder_lock(folder):
        return await _Ledger(options, folder, report).run()


class _Ledger:
    """One run of `commons up` on a folder that is ours."""

    def __init__(self, options: Options, folder: Path, report: Callable[[str], None]) -> None:
        self._report = report
        self._chapter = options.chapter
        self._specs = options.services
        self._state_file = folder / STATE_FILE
        self._logs = folder / "logs"
        self._nats_url = options.nats_url
        self._database_url = options.database_url
        # Once chosen, the ports are kept from run to run, so that other programs' settings stay right.
        ports = _kept_ports(folder / "ports.json")
        self._ports_file = folder / "ports.json"
        self._nats = None if options.nats_url else NatsServer(folder / "nats", preferred_port=ports.get("nats"))
        self._postgres = (
            None if options.database_url else PostgresServer(folder / "postgres", preferred_port=ports.get("postgres"))
        )
        self._keys = Keys(folder / "keys")
        self._services: list[ServiceProcess] = []

    async def run(self) -> int:
        servers: list[Server] = [server for server in (self._nats, self._postgres) if server is not None]
        supervisor = Supervisor([servers, self._services], self._report, self._write_state)
        signals = _Signals()
        try:
            starting = asyncio.create_task(self._start(supervisor, servers))
            await signals.first_of(starting)
            if starting.done():
                starting.result()
                self._announce()
                await signals.wait()
            else:
                starting.cancel()
                with suppress(asyncio.CancelledError):
                    await starting
            self._report("Stopping: the services first, then the servers.")
            stopping = asyncio.create_task(supervisor.stop())
            if not await signals.first_of(stopping):
                self._report("Ending everything at once.")
                stopping.cancel()
                with suppress(asyncio.CancelledError):
                    await stopping
                await supervisor.kill()
            else:
                stopping.result()
                self._report("Stopped. Everything acknowledged is kept.")
            return 0
        finally:
            self._state_file.unlink(missing_ok=True)
            await supervisor.stop()
            signals.close()

    async def _start(self, supervisor: Supervisor, servers: list[Server]) -> None:
        self._keys.prepare()
        await supervisor.start_group(servers)
        if self._nats:
            self._nats_url = self._nats.url
        if self._postgres:
            self._database_url = self._postgres.url
        self._ports_file.write_text(json.dumps({server.name: server.port for server in servers}) + "\n")
        assert self._database_url
        applied = await migrations.migrate_database(self._database_url)
        if applied:
            self._report("Migrations applied: " + ", ".join(f"{m.number:04} {m.name}" for m in applied))
        environment = self._environment()
        own = {spec.role: await self._log_in(spec.role) for spec in self._specs if spec.role is not None}
        self._services += [
            ServiceProcess(
                spec,
                logs=self._logs,
                environment=environment | self._keys.environment(spec.name) | own.get(spec.role or "", {}),
            )
            for spec in self._specs
        ]
        await supervisor.start_group(self._services)
        self._write_state()

    async def _log_in(self, role: str) -> dict[str, str]:
        """What a process is told that logs in as a role of its own. In a database that was given to us, its owner's
        login goes on as the role: whoever gave it sets the passwords."""
        return {"DATABASE_URL": await self._postgres.login(role)} if self._postgres else {}

    def _environment(self) -> dict[str, str]:
        assert self._nats_url
        assert self._database_url
        environment = {
            "NATS_URL": self._nats_url,
            "DATABASE_URL": self._database_url,
            "COMMONS_CHAPTER": self._chapter,
            "COMMONS_FHIR_QUEUE": str(self._state_file.parent),
            TILES: os.environ.get(TILES) or str(self._state_file.parent / "tiles"),
        }
        if self._nats:
            environment["NATS_MONITORING_URL"] = self._nats.monitor_url
        return environment

    def _state(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "chapter": self._chapter,
            "nats_url": self._nats_url,
            "nats_monitoring_url": self._nats.monitor_url if self._nats else None,
            "database_url": self._database_url,
            "servers": {server.name: {"pid": server.pid} for server in (self._nats, self._postgres) if server},
            "services": {
                service.name: {"pid": service.pid, "http_url": service.http_url, "log": str(service.log)}
                for service in self._services
            },
        }

    def _write_state(self) -> None:
        fresh = self._state_file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self._state(), indent=2) + "\n")
        fresh.replace(self._state_file)

    def _announce(self) -> None:
        lines = [("NATS", _public(self._nats_url))]
        if self._nats:
            lines.append(("NATS monitoring", self._nats.monitor_url))
        lines.append(("PostgreSQL", _public(self._database_url)))
        for service in self._services:
            if service.entrance is not None:
                lines.append((f"{service.name}, for clients", f"{service.http_url}{service.entrance}"))
            lines.append((service.name, f"{service.http_url}/healthz  /readyz  /metrics"))
        lines += [("Logs", str(self._logs)), ("URLs with password", str(self._state_file))]
        width = max(len(name) for name, _ in lines)
        self._report(
            "The ledger runs. Ctrl-C stops it.\n" + "\n".join(f"  {name:<{width}}  {at}" for name, at in lines)
        )


class _Signals:
    """SIGINT and SIGTERM as something to wait for; each wait takes one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[None] = asyncio.Queue()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._arrived.put_nowait, None)

    async def wait(self) -> None:
        await self._arrived.get()

    async def first_of(self, task: asyncio.Task[None]) -> bool:
        """Wait for the task to end or a signal to come, and say whether the task ended."""
        waiting = asyncio.create_task(self.wait())
        try:
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return task.done()

    def close(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)


def _kept_ports(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: port for name, port in found.items() if isinstance(port, int) and 0 < port < 65_536}


def _public(url: str | None) -> str:
    """A URL without its password."""
    return re.sub(r"(//[^:/@]*):[^@/]*@", r"\1@", url or "")
