"""One owner at a time for a folder of data."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import LedgerError


class AlreadyRunning(LedgerError):
    """Another process holds the folder."""

    status = 409
    code = "ALREADY_RUNNING"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends; the kernel lets go of it when the process dies, however it dies.

    Raises AlreadyRunning, naming the process that holds it.
    """
    path = folder / "commons.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunning(
                f"`commons up` already runs on {folder} as process {holder}. "
                "Stop that one first, or choose another folder with --data.",
                folder=str(folder),
                pid=holder,
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)  # which lets go of the lock; the file stays, since removing it would race with the next owner
