"""The folder of a log as a stranger opens it: every file bounded, links not followed, nothing believed.

What is believed in the end is what keys vouch for that the auditor had from elsewhere; the keys in the folder itself
show that it is whole, and not whose it is.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import msgspec

from services.auditor.chains import name_in, nats_subject
from services.auditor.checkpoint import BadCheckpoint, Checkpoint
from services.auditor.history import Published, by_size
from services.auditor.layout import history_folder, log_vkey
from services.auditor.merkle import pair_hashes
from services.auditor.notes import BadKey, BadNote, Kind, Note, Verifier
from services.auditor.tiles import (
    CHECKPOINT,
    HEIGHT,
    MAX_ENTRY,
    WIDTH,
    BadTile,
    Tiles,
    parse_tile_path,
    tile_path,
)
from shared.errors import Corrupt
from shared.store import stream_name

_MAX_BUNDLE: Final = WIDTH * (MAX_ENTRY + 2)
_MAX_NOTE: Final = 1 << 20


class Missing(Corrupt):
    """An entry that the newest checkpoint promises is not there."""


class Unsigned(Corrupt):
    """A log has no checkpoint at all."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys that an audit goes by, and how many witnesses must have cosigned the newest checkpoint.

    Without a key of a log, or of witnesses, those in the folder are taken for want of better.
    """

    logs: tuple[Verifier, ...] = ()
    witnesses: tuple[Verifier, ...] = ()
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signatures hold: what it says, and which witnesses cosigned it, with the last of their times.

    `said` tells where it was found, for errors; times are in seconds since 1970 UTC.
    """

    checkpoint: Checkpoint
    witnesses: tuple[str, ...]
    cosigned_at: int
    said: str


@dataclass(frozen=True)
class OpenedLog:
    """One log: its folder, the keys it is judged by, and its newest checkpoint."""

    service: str
    folder: Path
    key: Verifier
    witnesses: tuple[Verifier, ...]
    newest: Signed
    own_keys: tuple[str, ...] = field(default=())
    """Which keys come out of the folder itself: `log`, `witnesses`."""

    @property
    def stream(self) -> str:
        return stream_name(self.service)

    @property
    def size(self) -> int:
        """Events under the newest checkpoint."""
        return self.newest.checkpoint.size

    @property
    def bundles(self) -> int:
        return -(-self.size // WIDTH)

    def tiles(self) -> Tiles:
        return Tiles(bounded_reader(self.folder), self.size)

    def read(self, path: str) -> bytes:
        """The bytes of a file; none when it is not there, or cannot be read."""
        try:
            return bounded_reader(self.folder)(path) or b""
        except BadTile:
            return b""

    def check_cosigned(self, needed: int) -> None:
        """Raise Corrupt when fewer witnesses cosigned the newest checkpoint than are needed."""
        seen = self.newest.witnesses
        if len(seen) < needed:
            raise Corrupt(
                f"The newest checkpoint of {self.key.name} is cosigned by {len(seen)} of the witnesses whose keys are "
                f"known ({', '.join(seen) or 'none'}), and {needed} are needed: without them the log may have told "
                "others another history.",
                stream=self.stream,
            )

    def grown(self) -> bool:
        """Whether a newer checkpoint was published since."""
        raw = bounded_reader(self.folder)(CHECKPOINT)
        try:
            return raw is not None and check_note(raw, self.key, self.witnesses, "").checkpoint.size > self.size
        except BadNote:
            return False

    def wrong(self, sequence: int, what: str, raw: bytes = b"", kind: type[Corrupt] = Corrupt) -> Corrupt:
        """What is wrong with an entry of the log, with the place where it stands."""
        name = name_in(raw)
        subject = nats_subject(self.service, name) if name else ""
        return kind(
            f"Event {sequence:,} of {self.stream}{f', on {subject}' if subject else ''}: {what}.",
            stream=self.stream, sequence=sequence, subject=subject,
        )  # fmt: skip


def open_log(folder: Path, service: str, keys: Keys) -> OpenedLog | None:
    """A service's log up to its newest checkpoint; None when there is nothing of it.

    Raises Unsigned when entries are there and no checkpoint, and Corrupt when its signatures do not hold.
    """
    read = bounded_reader(folder)
    raw = read(CHECKPOINT)
    if raw is None:
        if (folder / "tile").exists() or (folder / "checkpoints").exists():
            raise Unsigned(
                f"The log of {service} has no checkpoint: nothing says how many events there should be.",
                stream=stream_name(service),
            )
        return None
    try:
        key, own = _log_key(folder, service, raw, keys)
    except BadNote as error:
        raise BadNote(f"{service}/{CHECKPOINT} is no checkpoint: {error.detail}", **error.facts) from error
    witnesses, own_witnesses = _witnesses(folder, keys)
    newest = check_note(raw, key, witnesses, "The newest checkpoint")
    from_folder = tuple(name for name, own in (("log", own), ("witnesses", own_witnesses)) if own)
    return OpenedLog(service, folder, key, witnesses, newest, from_folder)


def check_note(raw: bytes, key: Verifier, witnesses: Sequence[Verifier], said: str) -> Signed:
    """A checkpoint of the log whose key this is, every signature of a known key checked. Raises BadNote."""
    try:
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != key.name:
            raise BadCheckpoint(f"it is of the log {checkpoint.origin}, and the key is that of {key.name}.")
        if not note.verified([key]):
            raise BadNote(f"it is not signed by {key.name} (key {key.key_id.hex()}).")
        seen = note.verified(witnesses)
    except BadNote as error:
        raise BadNote(f"{said} of {key.name} does not hold: {error.detail}", **error.facts) from error
    return Signed(checkpoint, tuple(each.name for each in seen), max((each.time for each in seen), default=0), said)


def history(folder: Path) -> Iterator[tuple[str, Published]]:
    """Every checkpoint that was published, by size, with the place of its line. Raises Corrupt.

    The last line of a file may be cut by a crash, and is passed over: an auditor publishes again what it signed.
    """

    def lines(file: Path) -> Iterator[tuple[str, Published]]:
        with _open(file) as opened:
            number = 0
            while line := opened.readline(_MAX_NOTE):
                number += 1
                where = f"{file.parent.name}/{file.name}, line {number}"
                try:
                    yield where, msgspec.json.decode(line, type=Published)
                except ValueError as error:
                    if line.endswith(b"\n") or len(line) == _MAX_NOTE:
                        raise Corrupt(f"{where}, of the log of {folder.name} is no checkpoint: {error}.") from error

    return by_size(sorted(history_folder(folder).glob("*.jsonl")), lines)


def read_bundle(log: OpenedLog, tiles: Tiles, index: int) -> list[bytes]:
    """The entries of a bundle. Raises Corrupt, naming the first that is not there."""
    try:
        return tiles.bundle(index)
    except BadTile as error:
        first = index * WIDTH + 1
        width = min(WIDTH, log.size - index * WIDTH)
        there = _whole(log.read(tile_path(None, index, width)) or log.read(tile_path(None, index)) or _less(log, index))
        raise log.wrong(
            first + min(there, width - 1),
            f"it is missing, and the checkpoint is of {log.size:,} events ({error.detail.removesuffix('.')})",
            kind=Missing,
        ) from error


def _less(log: OpenedLog, index: int) -> bytes:
    """The longest bundle that is there of a log that was cut off."""
    path = tile_path(None, index)
    try:
        names = [file.name for file in (log.folder / f"{path}.p").iterdir()]
    except OSError:
        return b""
    widths = [int(name) for name in names if name.isascii() and name.isdecimal()]
    return log.read(f"{path}.p/{max(widths)}") if widths else b""


class Tree:
    """A log's tree, made anew from the hashes over its entries: the root at any size, and what each tile should be."""

    def __init__(self, bundles: list[bytes], entries: Callable[[int], list[bytes]]) -> None:
        """`bundles` are the hashes over each full bundle, `entries` gives those of any."""
        self._levels = [bundles]
        """The nodes of the levels from 8 on."""
        while len(self._levels[-1]) > 1:
            self._levels.append(pair_hashes(self._levels[-1]))
        self._entries = entries
        self._cached = (-1, [[b""]])

    def subtree(self, level: int, index: int) -> bytes:
        """The hash of a full subtree (merkle.Subtree)."""
        if level >= HEIGHT:
            return self._levels[level - HEIGHT][index]
        first = index << level
        bundle = first // WIDTH
        if self._cached[0] != bundle:
            self._cached = (bundle, _pyramid([sha256(b"\x00" + raw).digest() for raw in self._entries(bundle)]))
        return self._cached[1][level][(first % WIDTH) >> level]

    def nodes(self, level: int) -> list[bytes]:
        """The nodes that the tiles of a level above 0 hold."""
        at = (level - 1) * HEIGHT
        return self._levels[at] if at < len(self._levels) else []


def bounded_reader(folder: Path) -> Callable[[str], bytes | None]:
    """Reads files of a folder for Tiles: regular ones alone, none larger than one can be. Raises BadTile."""

    def read(path: str) -> bytes | None:
        try:
            handle = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BadTile(f"{folder.name}/{path} cannot be read: {_why(error)}.", path=path) from error
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BUNDLE:
            os.close(handle)
            raise BadTile(f"{folder.name}/{path} is too large for a file of a log, or is no file.", path=path)
        with os.fdopen(handle, "rb", buffering=0) as file:
            return file.read(found.st_size)  # not more: room for it would be taken, and cleared, each time

    return read


@dataclass(frozen=True, slots=True)
class Stray:
    """A file of a log that is not as the others, in half a sentence. One that only goes beyond the newest checkpoint
    may be the next one's; one that `contradicts` may not."""

    path: str
    what: str
    contradicts: bool = False


def strays(log: OpenedLog) -> Iterator[Stray]:
    """Files in a log's folder of tiles that no log of its size has, or that contradict the others."""
    for root, folders, names in os.walk(log.folder / "tile"):
        folders.sort()
        for name in sorted(names):
            path = (Path(root) / name).relative_to(log.folder).as_posix()
            try:
                level, index, width = parse_tile_path(path)
            except ValueError:
                yield Stray(path, f"{path} is no file of a log", contradicts=True)
                continue
            there = min(WIDTH, (log.size >> HEIGHT * (level or 0)) - index * WIDTH)
            if there < width:
                beyond = "goes beyond the newest checkpoint: nobody signed what it holds"
                yield Stray(path, f"{path} {beyond} after event {log.size:,}")
            elif width < there:
                whole = log.read(tile_path(level, index, there)) or log.read(tile_path(level, index))
                if not whole.startswith(log.read(path) or b"-"):
                    yield Stray(path, f"{path} is not the beginning of the tile that came after it", contradicts=True)


def _log_key(folder: Path, service: str, raw: bytes, keys: Keys) -> tuple[Verifier, bool]:
    """The key of the log that a checkpoint names, and whether it is out of the folder itself."""
    origin = Checkpoint.parse(Note.parse(raw).text).origin
    if not origin.endswith(f"/{service}"):
        raise Corrupt(f"The checkpoint of the log of {service} is that of {origin}.", stream=stream_name(service))
    if keys.logs:
        found = next((each for each in keys.logs if each.name == origin), None)
        if found is None:
            raise Corrupt(
                f"The log {origin} was not checked: of the keys that were given none is its own, they are of "
                f"{', '.join(each.name for each in keys.logs)}. Give it with --log-key.",
                stream=stream_name(service),
            )
        return found, False
    return _read_key(log_vkey(folder), Kind.ED25519), True


def _witnesses(folder: Path, keys: Keys) -> tuple[tuple[Verifier, ...], bool]:
    if keys.witnesses:
        return keys.witnesses, False
    found = [_read_key(path, Kind.COSIGNATURE) for path in sorted((folder / "keys").glob("witness-*.vkey"))]
    return tuple({(each.name, each.key_id): each for each in found}.values()), bool(found)


def _read_key(path: Path, kind: Kind) -> Verifier:
    raw = bounded_reader(path.parent)(path.name)
    if raw is None:
        raise Corrupt(f"The public key {path} is missing, and no other was given.", path=str(path))
    try:
        key = Verifier.parse(raw[:_MAX_NOTE].decode().strip())
    except (UnicodeDecodeError, BadKey) as error:
        raise Corrupt(f"{path} is no public key: {error}", path=str(path)) from error
    if key.kind is not kind:
        raise Corrupt(f"{path} is a key of type {key.kind:#04x}, and should be of {kind:#04x}.", path=str(path))
    return key


def _open(path: Path) -> IO[bytes]:
    """A regular file, opened to be read. Raises Corrupt."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Corrupt(f"{path} cannot be read: {_why(error)}.", path=str(path)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Corrupt(f"{path} is no file.", path=str(path))
    return os.fdopen(handle, "rb")


def _why(error: OSError) -> str:
    return "it is a symbolic link, and a copy has none" if error.errno == errno.ELOOP else str(error.strerror)


def _pyramid(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(pair_hashes(levels[-1]))
    return levels


def _whole(raw: bytes) -> int:
    """How many whole entries a bundle begins with."""
    count = at = 0
    while at + 2 <= len(raw) and (at := at + 2 + int.from_bytes(raw[at : at + 2], "big")) <= len(raw):
        count += 1
    return count
