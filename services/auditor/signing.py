"""The key of a log, and what it signed last: it never signs two histories, whatever is lost or set back meanwhile.

    KEYS/inventory.key       the private key, for its owner alone
    KEYS/inventory.signed    size and root of what was signed last: on disk before the signature leaves

Signatures are made anew after a crash, and come out the same: Ed25519 has no chance in it.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.auditor.checkpoint import Checkpoint
from services.auditor.merkle import HASH_BYTES
from services.auditor.notes import BadKey, Note, Signer, from_base64
from shared.errors import Corrupt, Misconfigured
from shared.masterkeys import sync_folder

RootAt = Callable[[int], bytes]
"""Gives the root over the first so many entries of the log as it is now."""

KEY: Final = ".key"
SIGNED: Final = ".signed"


class Inconsistent(Corrupt):
    """The stream, or the log made of it, is not what was signed before. Nothing more is signed."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A tree that was committed to before, and who says so; `said` completes a sentence."""

    size: int
    root: bytes
    said: str

    def check(self, root_at: RootAt, log: str) -> None:
        """Raise Inconsistent unless the log, which is at least as long, begins with this tree."""
        found = root_at(self.size)
        if found != self.root:
            raise Inconsistent(
                f"The first {self.size:,} events of {log} have the root {found.hex()[:16]}…, and {self.said} "
                f"has {self.root.hex()[:16]}…: an event among them was changed, or put in another place",
                sequence=self.size,
            )


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds; the root in base64."""

    origin: str
    size: int
    root: str


class LogKey:
    """Signs the checkpoints of one log, each consistent with the one before."""

    def __init__(self, signer: Signer, file: Path, last: Promise | None) -> None:
        """Use LogKey.open."""
        self.signer = signer
        self.last = last
        """What was signed last."""
        self._file = file

    @classmethod
    def open(cls, folder: Path, service: str, origin: str, *, begun: bool) -> LogKey:
        """The key of a service's log, made at the first start; `begun` says that the log exists already.

        Raises Misconfigured when a key is missing that signed before, others may read it, or it is another log's.
        """
        path, file = folder / f"{service}{KEY}", folder / f"{service}{SIGNED}"
        last = _read(file, origin)
        if not path.exists():
            if begun or last is not None:
                raise Misconfigured(
                    f"The key {path} is gone, and the log {origin} was signed with it. Put it back from a copy: with "
                    "another key nobody could tell this log from a forged one.",
                    path=str(path),
                )  # fmt: skip
            Signer.generate(origin).write(path)
        if path.stat().st_mode & 0o077:
            raise Misconfigured(f"Others than its owner may read the key {path}. Run: chmod 600 {path}", path=str(path))
        signer = Signer.read(path)
        if signer.name != origin:
            raise BadKey(
                f"The key {path} is that of the log {signer.name}, and this log is {origin}. A log keeps its name: set "
                "COMMONS_CHAPTER and COMMONS_LOG_ORIGIN back to what they were.",
                path=str(path),
            )  # fmt: skip
        return cls(signer, file, last)

    def sign(self, checkpoint: Checkpoint, root_at: RootAt) -> Note:
        """Sign a checkpoint, after what is signed was written to disk. `root_at` is the log's.

        Raises Inconsistent when the log does not begin with what was signed last, or is shorter; nothing is signed.
        """
        last = self.last
        if last is not None:
            if checkpoint.size < last.size:
                raise Inconsistent(
                    f"{checkpoint.origin} was signed at {last.size:,} events, and has {checkpoint.size:,} now: its "
                    "tail is lost",
                    sequence=checkpoint.size,
                )  # fmt: skip
            last.check(root_at, checkpoint.origin)
        if last is None or checkpoint.size > last.size:
            self._keep(checkpoint)
        elif checkpoint.root != last.root:
            raise Inconsistent(
                f"{checkpoint.origin} was signed at {last.size:,} events with another root", sequence=last.size
            )
        return Note(checkpoint.text(), [self.signer.sign(checkpoint.text())])

    def _keep(self, checkpoint: Checkpoint) -> None:
        state = _Signed(checkpoint.origin, checkpoint.size, base64.b64encode(checkpoint.root).decode())
        write_synced(self._file, msgspec.json.encode(state) + b"\n")
        self.last = _promise(checkpoint.size, checkpoint.root)


def write_synced(path: Path, content: bytes) -> None:
    """Replace a file by one that is whole, and on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def _read(file: Path, origin: str) -> Promise | None:
    try:
        signed = msgspec.json.decode(file.read_bytes(), type=_Signed)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise Misconfigured(
            f"What was signed last cannot be read from {file}: {error}. Put it back from a copy.", path=str(file)
        ) from error
    root = from_base64(signed.root)
    if root is None or len(root) != HASH_BYTES or signed.size < 0 or signed.origin != origin:
        raise Misconfigured(
            f"{file} is not what the log {origin} signed last. Put it back from a copy.", path=str(file)
        )
    return _promise(signed.size, root)


def _promise(size: int, root: bytes) -> Promise:
    return Promise(size, root, "what was signed last")
