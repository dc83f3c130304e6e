"""A child process that never outlives its parent, with its output in a log file."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from shared.errors import LedgerError

POLL_SECONDS: Final = 0.01
LOG_LIMIT_BYTES: Final = 10_000_000

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_alive: set[ChildProcess] = set()


class StartFailed(LedgerError):
    """A server or service did not come up; the detail ends with what it said last."""

    status = 503
    code = "START_FAILED"


@dataclass(frozen=True)
class Account:
    """The operating-system account that a child runs under, when it is not the parent's own."""

    uid: int
    gid: int


class ChildProcess:
    """One child process: started, watched, and stopped by its own process id.

    On Linux the kernel sends it `stop_signal` when the thread that started it ends, even by SIGKILL; so start it from
    the main thread. It leads a session of its own, so that Ctrl-C in a terminal reaches only the parent, which then
    stops its children in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        _rotate(log)
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._popen = subprocess.Popen(  # noqa: S603  (the commands are the project's own)
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ if env is None else env),
                cwd=cwd,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_die_with(os.getpid(), stop_signal) if _libc else None,
            )
        _alive.add(self)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        code = self._popen.poll()
        if code is not None:
            _alive.discard(self)
        return code

    async def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended and give its return code, or None when `timeout` seconds pass first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.returncode) is None and (deadline is None or time.monotonic() < deadline):
            await asyncio.sleep(POLL_SECONDS)
        return code

    async def stop(self, timeout: float = 20) -> int | None:
        """Ask it to end, and end it (with whatever it started) if it has not done so in `timeout` seconds."""
        if self.returncode is None:
            self._popen.send_signal(self._stop_signal)
            if await self.wait(timeout) is None:
                await self.kill()
        return self.returncode

    async def kill(self) -> None:
        """End it and all that it started at once, as a crash would (SIGKILL), and wait until all are gone."""
        family = self._family()
        for member in family:
            _kill(member)
        await self.wait()
        while any(_runs(member) for member in family):
            await asyncio.sleep(POLL_SECONDS)

    def kill_now(self) -> None:
        """The same without waiting, for when no event loop runs any more."""
        for member in self._family():
            _kill(member)

    def last_words(self, lines: int = 15) -> str:
        """The end of what it wrote to its log since it was started."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 20_000))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _family(self) -> list[psutil.Process]:
        if self.returncode is not None:
            return []
        try:
            leader = psutil.Process(self.pid)
            # The leader first: it must not replace the children that are ended after it.
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with(parent: int, stop_signal: signal.Signals) -> Callable[[], None]:
    """What the child runs between fork and exec: ask the kernel for a signal when the parent dies."""
    libc = _libc
    number = int(stop_signal)

    def prepare() -> None:
        assert libc is not None
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return prepare


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(log.suffix + ".1"))


@atexit.register
def _kill_what_is_left() -> None:
    for child in list(_alive):
        child.kill_now()
