"""What a keyring holds of each owner, and the first of its two places: a file beside the service.

A record is the owner's keys, wrapped, or the note that they were destroyed. Wherever two records of one owner meet, the
note wins: keys that were destroyed never come back, whichever copy is restored.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from shared.errors import Corrupt, Misconfigured
from shared.masterkeys import replace_file, sync_folder

log = structlog.get_logger(__name__)


class WrappedKey(msgspec.Struct, frozen=True):
    """One key: its number, chosen at random, so that no later key is taken for one that was lost."""

    number: int
    master: str
    wrapped: str


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of one owner. The last key is the one that seals. `erased` is when they were destroyed."""

    owner: str
    keys: tuple[WrappedKey, ...] = ()
    erased: str | None = None


Records = dict[str, KeyRecord]

KEYS: Final = "keys"
"""The name of a service's file in the folder of that service."""

encode_record: Final = msgspec.json.Encoder().encode
decode_record: Final = msgspec.json.Decoder(KeyRecord).decode


def merged(one: KeyRecord | None, newer: KeyRecord) -> KeyRecord:
    """One record out of two of the same owner: destroyed if either says so, else with the keys of both."""
    if one is None or one == newer:
        return newer
    if one.erased or newer.erased:
        return KeyRecord(newer.owner, erased=min(filter(None, (one.erased, newer.erased))))
    numbers = {key.number for key in newer.keys}
    return KeyRecord(newer.owner, (*(key for key in one.keys if key.number not in numbers), *newer.keys))


class KeyFile:
    """The records of one service in a file, one a line, appended and synced; later lines count beside earlier ones.

    Several processes may use it: each change is made under a lock on the file beside it.
    """

    def __init__(self, folder: Path, service: str) -> None:
        place = folder / service  # of its own, so that who runs one service need not be given the keys of another
        self.path = place / KEYS
        self._lock = place / "lock"
        self.written_over = False
        """Whether it was seen to hold lines that later ones have taken the place of."""

    def load(self) -> Records:
        """Every record; none when there is no file yet. A line that a crash cut off was never relied on, and goes.

        Raises Misconfigured when it cannot be read, Corrupt when a line is not a record.
        """
        if not self.path.exists():
            return {}
        with self._locked():
            return self._read()

    def append(self, *records: KeyRecord) -> None:
        """Add records, on disk when this returns. Raises OSError."""
        with self._locked():
            new = not self.path.exists()
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    self._read()  # cuts off what a crash left half-written
                file.write(b"".join(encode_record(record) + b"\n" for record in records))
                file.flush()
                os.fsync(file.fileno())
            if new:
                sync_folder(self.path.parent)

    def rewrite(self, change: Callable[[Records], Records] = lambda records: records) -> None:
        """Write the file anew with one line an owner, so that no wrapped key stays in it that no record names."""
        with self._locked():
            records = change(self._read())
            replace_file(self.path, b"".join(encode_record(record) + b"\n" for record in records.values()))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Misconfigured(
                f"The keyring's folder {self.path.parent} cannot be used: {error.strerror}. Name another with "
                "COMMONS_KEYRING.",
                path=str(self.path.parent),
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> Records:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Misconfigured(f"The keyring {self.path} cannot be read: {error.strerror}.") from error
        whole, newline, rest = raw.rpartition(b"\n")
        if rest:
            log.warning("a line of the keyring was cut off by a crash, and is left out", path=str(self.path))
            os.truncate(self.path, len(whole) + len(newline))
        records = read_records(whole + newline, str(self.path))
        self.written_over = raw.count(b"\n") > len(records)
        return records


def read_records(raw: bytes, where: str) -> Records:
    """The records of a keyring's bytes. Raises Corrupt, naming the line that is none."""
    records: Records = {}
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            record = decode_record(line)
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{where}, line {number} is not a record of a keyring: {error}. Restore it from a backup, or move it "
                "away: what the keys bucket in NATS holds is then written to a new one.",
                path=where, line=number,
            ) from error  # fmt: skip
        records[record.owner] = merged(records.get(record.owner), record)
    return records
