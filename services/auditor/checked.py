"""A log in a folder of which nothing is believed but what its signed checkpoint leads to.

log = CheckedLog.open(folder, "inventory")      # the signature, and the root that the hash tiles lead to
for first, entries in log.bundles():            # entries whose hashes are under that root
    ...

Raises Corrupt (BadNote, BadTile) for whatever is missing, changed, or another log's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from services.auditor.checkpoint import Checkpoint, open_checkpoint
from services.auditor.layout import SERVICES, log_folder, log_vkey
from services.auditor.merkle import leaf_hash, pair_hashes
from services.auditor.notes import BadKey, Kind, Verifier
from services.auditor.tiles import CHECKPOINT, HEIGHT, MAX_ENTRY, WIDTH, BadTile, Tiles, tile_path
from shared.errors import Corrupt, Invalid
from shared.store import stream_name

README: Final = "README.md"
"""The first file of a copy that is written."""

MANIFEST: Final = "copy.json"
"""And the last one: without it a copy was broken off. The auditor's own folder has neither."""


class CheckedLog:
    """The log of one service, up to its checkpoint."""

    def __init__(self, folder: Path, service: str, verifier: Verifier, note: bytes, checkpoint: Checkpoint) -> None:
        """Use CheckedLog.open."""
        self.folder = folder
        self.service = service
        self.stream = stream_name(service)
        self.verifier = verifier
        """The key that signed the checkpoint."""
        self.note = note
        self.checkpoint = checkpoint
        self.tiles = Tiles.of_folder(folder, checkpoint.size)
        self._trusted: set[tuple[int, int]] = set()
        """The full tiles, by level and index, that were seen to be under the root."""

    @classmethod
    def open(cls, logs: Path, service: str) -> CheckedLog:
        """The log of a service in a folder of logs; its checkpoint is the one that is there now."""
        folder = log_folder(logs, service)
        verifier = log_key(folder, service)
        try:
            note = (folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            raise Corrupt(
                f"{folder} has no checkpoint, so nothing says how much of {stream_name(service)} should be there: the "
                "copy was broken off. Finish it, or take another.",
                path=str(folder),
            ) from None
        log = cls(folder, service, verifier, note, open_checkpoint(note, verifier.name, [verifier]))
        found = log.tiles.root_at(log.size)
        if found != log.checkpoint.root:
            raise Corrupt(
                f"The tiles in {folder} lead to the root {found.hex()} at {log.size:,} events, and the "
                f"signed checkpoint of {verifier.name} says {log.checkpoint.root.hex()}: a tile or the "
                "checkpoint was changed.",
                stream=log.stream, path=str(folder),
            )  # fmt: skip
        return log

    @property
    def size(self) -> int:
        """Events under the checkpoint."""
        return self.checkpoint.size

    def bundles(self, start: int = 0) -> Iterator[tuple[int, list[bytes]]]:
        """The entries from index `start` on, a bundle at a time with the index of its first; each is under the root."""
        while start < self.size:
            bundle, skipped = divmod(start, WIDTH)
            entries = self.tiles.bundle(bundle)
            self._check_bundle(bundle, entries)
            yield start, entries[skipped:]
            start += len(entries) - skipped

    def _check_bundle(self, bundle: int, entries: list[bytes]) -> None:
        self._trust(0, bundle)
        first = bundle * WIDTH
        for index, leaf in enumerate(self.tiles.leaves(first, first + len(entries)), first):
            if leaf_hash(entries[index - first]) != leaf:
                path = tile_path(None, bundle)
                raise Corrupt(
                    f"Event {index + 1:,} of {self.stream} in {self.folder / path} is not the one that was signed: its "
                    "bytes were changed. Take another copy.",
                    stream=self.stream, sequence=index + 1, path=path,
                )  # fmt: skip

    def hashes(self, level: int, index: int) -> list[bytes]:
        """The hashes of a tile as far as the log has them, each under the root."""
        self._trust(level, index)
        return self._hashes(level, index)

    def _hashes(self, level: int, index: int) -> list[bytes]:
        start = index * WIDTH
        stop = min(start + WIDTH, self.size >> HEIGHT * level)
        if level == 0:
            return list(self.tiles.leaves(start, stop))
        return [self.tiles.subtree(HEIGHT * level, at) for at in range(start, stop)]

    def _trust(self, level: int, index: int) -> None:
        """See that a tile is under the root: a full one is what the tile above says of it, and so on up.

        The tiles at the log's edge, partial ones, are what the root was computed from, every hash of them.
        """
        if (level, index) in self._trusted or (index + 1) * WIDTH > self.size >> HEIGHT * level:
            return
        above, place = divmod(index, WIDTH)
        self._trust(level + 1, above)
        nodes = self._hashes(level, index)
        while len(nodes) > 1:
            nodes = pair_hashes(nodes)
        if nodes[0] != self._hashes(level + 1, above)[place]:
            path = tile_path(level, index)
            raise BadTile(f"The tile {self.folder / path} is not the one that was signed: it was changed.", path=path)
        self._trusted.add((level, index))


def log_key(folder: Path, service: str) -> Verifier:
    """The public key of a service's log that stands beside it. Raises Corrupt, or BadKey when it is another's."""
    path = log_vkey(folder)
    try:
        verifier = Verifier.parse(path.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        raise Corrupt(f"The public key {path} is missing: the copy is not whole.", path=str(path)) from None
    except (UnicodeDecodeError, BadKey) as error:
        raise Corrupt(f"{path} is not a public key: {error}", path=str(path)) from error
    if verifier.kind is not Kind.ED25519 or not verifier.name.endswith(f"/{service}"):
        raise Corrupt(f"The key {path} is that of {verifier.name}, not of a log of {service}.", path=str(path))
    return verifier


def services_in(logs: Path) -> list[str]:
    """The services that have a log in a folder, those of a copy that was broken off too; an empty log is none."""
    return [
        service
        for service in SERVICES
        if log_vkey(folder := log_folder(logs, service)).exists()
        and ((folder / CHECKPOINT).exists() or (folder / "tile").exists())
    ]


def refuse_strange_files(logs: Path) -> None:
    """Raise Invalid for a copy with anything in it but plain files, none larger than it can be."""
    for folder, folders, names in os.walk(logs):
        for name in (*folders, *names):
            found = (path := Path(folder, name)).lstat()
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise Invalid(f"{path} is a link, or no file at all: no copy of a ledger has one.", path=str(path))
            if "tile" in path.parts and stat.S_ISREG(found.st_mode) and found.st_size > WIDTH * (MAX_ENTRY + 2):
                raise Invalid(f"{path} has {found.st_size:,} bytes, more than a tile can have.", path=str(path))


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `copy.json` holds, the last file of a copy that is written: how many events each service's log has."""

    events: dict[str, int]


def open_logs(logs: Path, keys: Sequence[Verifier] = ()) -> list[CheckedLog]:
    """Every log in a folder: the auditor's own, or a copy, which is then whole. Raises Invalid when there is none.

    With `keys`, each log must be signed by one of them, and each of them have its log there: who takes a log out of a
    copy can rewrite what says which logs there were. Else each is signed by the key beside it, which shows that the
    folder agrees with itself.
    """
    if not logs.is_dir():
        raise Invalid(f"{logs} is no folder.", path=str(logs))
    manifest = read_manifest(logs)
    if manifest is None and (logs / README).exists():
        raise Corrupt(
            f"The copy in {logs} was broken off: {MANIFEST} is missing. Finish it with `commons export ledger`, or "
            "take another.",
            path=str(logs),
        )  # fmt: skip
    told = {} if manifest is None else manifest.events
    found = [CheckedLog.open(logs, service) for service in SERVICES if service in {*services_in(logs), *told}]
    for log in found:
        if keys and log.verifier not in keys:
            raise Corrupt(
                f"The log of {log.service} in {logs} is signed by {log.verifier.name} (key "
                f"{log.verifier.key_id.hex()}), which is none of the keys that were given: it is another "
                "ledger's, or forged.",
                stream=log.stream, path=str(logs),
            )  # fmt: skip
        if log.size < told.get(log.service, 0):
            raise Corrupt(
                f"The copy in {logs} holds {log.size:,} events of {log.stream}, and {MANIFEST} says "
                f"{told[log.service]:,}: an older checkpoint was put into it. Take another copy.",
                stream=log.stream, path=str(logs),
            )  # fmt: skip
    origins = {log.verifier.name for log in found}
    for key in keys:
        if found and key.name not in origins:
            raise Corrupt(
                f"A key of the log {key.name} was given, and {logs} holds no such log: it was taken out. Take another "
                "copy, or leave that key out.",
                path=str(logs),
            )  # fmt: skip
    if not found:
        inner = logs / "ledger"
        hint = f" There is one in {inner}: name that." if inner.is_dir() and services_in(inner) else ""
        raise Invalid(f"{logs} is no copy of a ledger: it has no log of {', '.join(SERVICES)}.{hint}", path=str(logs))
    return found


def read_manifest(logs: Path) -> Manifest | None:
    """What a copy says that it holds; None when it says nothing. Raises Corrupt."""
    path = logs / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except ValueError as error:  # it is not JSON, not UTF-8, or says something else
        raise Corrupt(f"{path} does not say what the copy holds: {error}.", path=str(path)) from error
