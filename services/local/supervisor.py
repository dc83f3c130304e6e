"""Keeps a set of processes running: starts them in order, starts again what dies, stops them in the reverse order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from services.local.process import ChildProcess, StartFailed, free_port
from shared.tasks import end

WATCH_SECONDS: Final = 0.05
READY_SECONDS: Final = 60
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 2.0
SETTLED_SECONDS: Final = 30.0
"""Whoever ran for this long is started again at once when it dies; who dies sooner waits twice as long each time."""

_ANSWER_BYTES: Final = 1 << 20
_ROOT: Final = Path(__file__).resolve().parents[2]


class Member(Protocol):
    """What the supervisor looks after: a server, or a service process."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def log(self) -> Path: ...
    @property
    def returncode(self) -> int | None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def kill(self) -> None: ...


@dataclass(frozen=True)
class ProcessSpec:
    """A service to run: `module` as `python -m module`, or any `command`.

    `ready_path` is asked for over HTTP on the service's port until it answers 200; None waits for nothing. `role` is
    the PostgreSQL role that it logs in as, where the server is our own; None is the owner of the database. `entrance`
    is the path at which clients of its own HTTP begin, if it has any.
    """

    name: str
    module: str = ""
    command: Sequence[str] = ()
    ready_path: str | None = "/readyz"
    role: str | None = None
    entrance: str | None = None

    @property
    def argv(self) -> list[str]:
        return list(self.command) or [sys.executable, "-m", self.module]


class ServiceProcess:
    """One service as a child process, with a port for its health and metrics that stays the same when it restarts."""

    def __init__(self, spec: ProcessSpec, *, environment: Mapping[str, str], logs: Path) -> None:
        self.name = spec.name
        self.entrance = spec.entrance
        self.log = logs / f"{spec.name}.log"
        self.http_port = free_port()
        self._spec = spec
        self._environment = environment
        self._process: ChildProcess | None = None
        self._was_ready = False

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started yet, so it has no process")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def start(self) -> None:
        """Start it; the first time also wait until it takes work. Raises StartFailed with the end of its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",  # its output goes to a file
            **self._environment,
            "COMMONS_HTTP_PORT": str(self.http_port),
        }
        self._process = ChildProcess(self.name, self._spec.argv, log=self.log, env=environment, cwd=_ROOT)
        if not self._was_ready and self._spec.ready_path is not None:
            await self._wait_until_ready(self._process)
        self._was_ready = True

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        if self._process is not None:
            await self._process.kill()

    async def _wait_until_ready(self, process: ChildProcess) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while process.returncode is None and time.monotonic() < deadline:
            if await _answers(self.http_port, self._spec.ready_path or "/"):
                return
            if await _halted(self.http_port):
                return  # it runs, and takes no work until a person has lifted the halt, for which NATS has to run
            await asyncio.sleep(WATCH_SECONDS)
        ended = process.returncode
        why = f"was not ready within {READY_SECONDS} seconds" if ended is None else f"ended at once, {_manner(ended)}"
        await process.stop()
        raise StartFailed(f"{self.name} {why}. It said (all of it in {self.log}):\n{process.last_words()}")


@dataclass
class Supervisor:
    """Starts `groups` one after another (the members of a group side by side) and keeps every member running.

    `report` is given a sentence about whatever happens; `changed` is called when a process id has changed.
    """

    groups: Sequence[Sequence[Member]]
    report: Callable[[str], None]
    changed: Callable[[], None] = lambda: None
    _watchers: list[asyncio.Task[None]] = field(default_factory=list, init=False)

    @property
    def members(self) -> list[Member]:
        return [member for group in self.groups for member in group]

    async def start(self) -> None:
        """Start everything. Raises StartFailed, with nothing left running, when something does not come up."""
        try:
            for group in self.groups:
                await self.start_group(group)
        except BaseException:
            await self.stop()
            raise

    async def start_group(self, group: Sequence[Member]) -> None:
        """Start the members of one group and watch them from then on; for callers with work between two groups."""
        results = await asyncio.gather(*(member.start() for member in group), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._watchers += [asyncio.create_task(self._watch(member), name=f"watch {member.name}") for member in group]

    async def stop(self) -> None:
        """Stop the groups, the last one first. Safe to call at any time, and again."""
        await self._stop_watching()
        for group in reversed(self.groups):
            await asyncio.gather(*(member.stop() for member in group))

    async def kill(self) -> None:
        """End everything at once, without draining."""
        await self._stop_watching()
        await asyncio.gather(*(member.kill() for member in self.members))

    async def _stop_watching(self) -> None:
        watchers, self._watchers = self._watchers, []
        await end(watchers)

    async def _watch(self, member: Member) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            while (code := member.returncode) is None:
                await asyncio.sleep(WATCH_SECONDS)
            if time.monotonic() - started >= SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            said = _last_line(member.log) if code > 0 else ""
            self.report(
                f"{member.name} ended, {_manner(code)}; starting it again in {pause:g} s (log: {member.log}){said}"
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                await member.start()
            except (StartFailed, OSError) as error:
                self.report(str(error))
                if member.returncode is None:  # it never became a process: the same again after the pause
                    await member.kill()
                continue
            self.report(f"{member.name} runs again as process {member.pid}")
            self.changed()


async def _answers(port: int, path: str) -> bool:
    """Whether an HTTP server on this machine answers a GET with 200."""
    return b" 200 " in (await _get(port, path)).partition(b"\r\n")[0]


async def _halted(port: int) -> bool:
    """Whether a service's health says that its writing was halted."""
    body = (await _get(port, "/healthz")).partition(b"\r\n\r\n")[2]
    try:
        health = json.loads(body)
    except ValueError:
        return False
    return isinstance(health, dict) and isinstance(health.get("halted"), dict)


async def _get(port: int, path: str) -> bytes:
    """What an HTTP server on this machine answers to a GET; nothing when it is not there."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                return await reader.read(_ANSWER_BYTES)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def _last_line(log: Path) -> str:
    """What it said last, since somebody who ends of its own accord has mostly said why."""
    lines = log.read_text(errors="replace")[-4000:].strip().splitlines() if log.exists() else []
    return f"\n  {lines[-1]}" if lines else ""


def _manner(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
