"""What the two local servers share: a folder, a port, and a life of start, stop, kill and start again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil

from services.local.process import POLL_SECONDS, ChildProcess, StartFailed, free_port


class Server(ABC):
    """A server of this machine alone (127.0.0.1), with all that it keeps in one folder.

    Its port is `port` and no other, or `preferred_port` if that is free, or any. `start` may be called again after
    `stop`, `kill` or a crash: the same folder, the same port.
    """

    name: ClassVar[str]
    start_seconds: ClassVar[float] = 60  # recovery after a crash reads the log; a first start takes well under a second

    def __init__(self, folder: Path | str, *, port: int | None = None, preferred_port: int | None = None) -> None:
        self.folder = Path(folder).absolute()
        self._wanted_port = port
        self._port = port or preferred_port
        self._process: ChildProcess | None = None

    @property
    def port(self) -> int:
        """The TCP port for clients; known once it was started."""
        if self._port is None:
            raise RuntimeError(f"{self.name} was not started yet, so it has no port")
        return self._port

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started yet, so it has no process")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    async def start(self) -> None:
        """Start it and wait until it takes clients; raises StartFailed with the end of its log."""
        if self.running:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            await self._outlast_predecessor()
            await self._prepare()
        except OSError as error:
            raise StartFailed(f"{self.name} cannot use the folder {self.folder}: {error}") from error
        said = ""
        for _ in range(5):
            if self._port is None:
                self._choose_ports()
            self._process = self._launch()
            self._remember(self._process.pid)
            if await self._came_up(self._process):
                self._wanted_port = self._port  # from now on clients know it
                return
            said = self._process.last_words()
            if self._wanted_port is not None or "address already in use" not in said.lower():
                break
            self._port = None  # somebody took it between the choice and the start: choose another
        raise StartFailed(
            f"{self.name} did not start on port {self._port} with its data in {self.folder}. "
            f"It said (all of it in {self.log}):\n{said}"
        )

    async def stop(self) -> None:
        """Stop it in order, by its process id; does nothing when it does not run."""
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and return when it and its children are gone."""
        if self._process is not None:
            await self._process.kill()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _remember(self, pid: int) -> None:
        # With the time of its start, since process ids are used again.
        with contextlib.suppress(psutil.NoSuchProcess):
            self._pid_file.write_text(f"{pid} {psutil.Process(pid).create_time()}\n")

    async def _outlast_predecessor(self) -> None:
        """Wait for a server on the same folder whose owner was killed: it stops by itself, and two spoil the data.

        Raises StartFailed when it still runs after `start_seconds`.
        """
        deadline = time.monotonic() + self.start_seconds
        while (pid := self._predecessor()) is not None:
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{self.name} still runs on the folder {self.folder} as process {pid}. Stop it first: kill {pid}"
                )
            await asyncio.sleep(POLL_SECONDS)

    def _predecessor(self) -> int | None:
        try:
            pid, created = self._pid_file.read_text().split()
            process = psutil.Process(int(pid))
            same = abs(process.create_time() - float(created)) < 0.1
            return process.pid if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    async def _came_up(self, process: ChildProcess) -> bool:
        ended = asyncio.create_task(process.wait(self.start_seconds))
        ready = asyncio.create_task(self._wait_until_ready())
        try:
            # Whichever is first: on a port that is somebody else's, an attempt to connect may take long.
            await asyncio.wait([ended, ready], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                return process.returncode is None
        except BaseException:
            process.kill_now()
            raise
        finally:
            ended.cancel()
            ready.cancel()
        await process.kill()
        return False

    async def _wait_until_ready(self) -> None:
        while not await self._ready():
            await asyncio.sleep(POLL_SECONDS)

    def _choose_ports(self) -> None:
        self._port = free_port()

    @abstractmethod
    async def _prepare(self) -> None:
        """Make the folder ready; called before each start."""

    @abstractmethod
    def _launch(self) -> ChildProcess: ...

    @abstractmethod
    async def _ready(self) -> bool:
        """Whether it takes clients by now."""
