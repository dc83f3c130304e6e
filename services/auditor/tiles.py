"""A log as tiles: files of 256 hashes and bundles of 256 entries that any web server can serve (c2sp.org/tlog-tiles).

The folder of a log holds `checkpoint`, `tile/LEVEL/INDEX[.p/WIDTH]` and `tile/entries/INDEX[.p/WIDTH]`. A file is
whole or absent: it is written beside (`.tmp`), synced, and renamed.

with TileLog.open(folder) as log:           # recovers what a crash left
    log.append(entries)                     # on disk when it returns
    log.publish(note)                       # the checkpoint of what was appended, signed

Tiles.of_folder(folder, size).inclusion_proof(index, size)
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Final

from services.auditor import merkle
from services.auditor.checkpoint import Checkpoint, unverified
from services.auditor.merkle import HASH_BYTES, pair_hashes
from shared.errors import Corrupt, Misconfigured
from shared.masterkeys import sync_folder

WIDTH: Final = 256
"""Hashes in a full tile, entries in a full bundle."""

MAX_ENTRY: Final = 65_535
"""Bytes of an entry: its length stands in two bytes."""

CHECKPOINT: Final = "checkpoint"

HEIGHT: Final = 8
"""Levels of the tree that a tile spans: it has 2 ** HEIGHT hashes, WIDTH of them."""

_LENGTH: Final = Struct(">H")
_CHUNK: Final = 65_536
"""Entries that are written at once at most, so that a crash leaves holes in at most so many."""

_TEMPORARY: Final = ".tmp"
_CACHED_TILES: Final = 1024
_WRITERS: Final = 8
"""Threads that write and sync: syncing eight files at once takes the time of one."""

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9]|[1-5][0-9]|6[0-3])/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


class BadTile(Corrupt):
    """A tile is missing, or is not what its name says."""


def tile_path(level: int | None, index: int, width: int = WIDTH) -> str:
    """Where a tile stands below the log's folder or URL; the level None is that of the entries."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{'/'.join(groups)}{partial}"


def parse_tile_path(path: str) -> tuple[int | None, int, int]:
    """The level (None: entries), the index and the width of what stands at a path. Raises ValueError for any other."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise ValueError(f"{path[:200]!r} is not the path of a tile")
    level = None if found["level"] == "entries" else int(found["level"])
    index, width = int(found["index"].replace("x", "").replace("/", "")), int(found["width"] or WIDTH)
    if tile_path(level, index, width) != path:
        raise ValueError(f"{path[:200]!r} is not the path of a tile: the index has zeroes in front")
    return level, index, width


def pack_entries(entries: Iterable[bytes]) -> bytes:
    """A bundle: each entry after its length in two bytes, the higher first. Raises ValueError for a longer entry."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise ValueError(f"An entry of a log has at most {MAX_ENTRY:,} bytes, and this one has {len(entry):,}.")
        parts += (_LENGTH.pack(len(entry)), entry)
    return b"".join(parts)


def split_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle. Raises BadTile when it ends inside one."""
    entries: list[bytes] = []
    at, end, length_at = 0, len(bundle), _LENGTH.unpack_from
    while at < end:
        if at + 2 > end:
            raise BadTile("A bundle of entries ends inside a length.")
        start = at + 2
        at = start + length_at(bundle, at)[0]
        entries.append(bundle[start:at])
    if at != end:
        raise BadTile("A bundle of entries ends inside an entry.")
    return entries


def partial_paths(size: int) -> list[str]:
    """The partial tiles and the partial bundle that a tree of this size has."""
    paths, level, count = [], 0, size
    if size % WIDTH:
        paths.append(tile_path(None, size // WIDTH, size % WIDTH))
    while count:
        if count % WIDTH:
            paths.append(tile_path(level, count // WIDTH, count % WIDTH))
        level, count = level + 1, count // WIDTH
    return paths


class Tiles:
    """Reads a log of `size` entries out of its tiles; `read` gives the bytes at a path, or None where nothing is.

    Nothing it reads is trusted: compare `root_at` with a signed checkpoint, and entries with their leaf hashes.
    """

    def __init__(self, read: Callable[[str], bytes | None], size: int) -> None:
        self._read = read
        self._size = size
        self._hashes = lru_cache(_CACHED_TILES)(self._read_hashes)

    @classmethod
    def of_folder(cls, folder: Path, size: int) -> Tiles:
        """The log in a folder."""
        return Tiles(folder_reader(folder), size)

    @property
    def size(self) -> int:
        """How many entries the log has."""
        return self._size

    def subtree(self, level: int, index: int) -> bytes:
        """The hash of a full subtree (see merkle.Subtree). Raises BadTile."""
        tile_level, height = divmod(level, HEIGHT)
        first = index << height
        tile, offset = divmod(first, WIDTH)
        raw = self._hashes(tile_level, tile, self._width(tile_level, tile))
        return _tile_root(_cut(raw[offset * HASH_BYTES : (offset + (1 << height)) * HASH_BYTES]))

    def root_at(self, size: int) -> bytes:
        """The root over the first `size` entries. Raises BadTile; ValueError when the log has fewer."""
        return merkle.root_at(self.subtree, self._within(size))

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """The proof that the entry `index` is in the tree of `size`. Raises BadTile, ValueError."""
        return merkle.inclusion_proof(self.subtree, index, self._within(size))

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `new` entries begins with that of `old`. Raises BadTile, ValueError."""
        return merkle.consistency_proof(self.subtree, old, self._within(new))

    def leaf(self, index: int) -> bytes:
        """The leaf hash of an entry. Raises BadTile."""
        return self.subtree(0, index)

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The leaf hashes from `start` up to `stop` (the log's end), tile by tile. Raises BadTile."""
        for tile, first, last in self._parts(start, stop):
            raw = self._read_hashes(0, tile, self._width(0, tile))
            yield from (raw[at : at + HASH_BYTES] for at in range(first * HASH_BYTES, last * HASH_BYTES, HASH_BYTES))

    def entry(self, index: int) -> bytes:
        """An entry's bytes. Raises BadTile; ValueError when the log has no such entry."""
        if not 0 <= index < self._size:
            raise ValueError(f"the log has {self._size} entries, and none numbered {index}")
        return self.bundle(index // WIDTH)[index % WIDTH]

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The entries from `start` up to `stop` (the log's end), bundle by bundle. Raises BadTile."""
        for bundle, first, last in self._parts(start, stop):
            yield from self.bundle(bundle)[first:last]

    def bundle(self, index: int) -> list[bytes]:
        """The entries of a bundle: 256, or at the end of the log those that are there. Raises BadTile."""
        width = self._width(0, index)
        path, raw = self._find(None, index, width)
        try:
            entries = split_entries(raw)
        except BadTile as error:
            raise BadTile(f"The bundle {path} is damaged: {error.detail}", path=path) from error
        if len(entries) not in {width, WIDTH}:
            raise BadTile(f"The bundle {path} holds {len(entries)} entries instead of {width}.", path=path)
        return entries[:width]

    def _parts(self, start: int, stop: int | None) -> Iterator[tuple[int, int, int]]:
        """By tile, from which to which of its places a range goes."""
        stop = self._within(self._size if stop is None else stop)
        while start < stop:
            tile, first = divmod(start, WIDTH)
            last = min(WIDTH, first + stop - start)
            yield tile, first, last
            start += last - first

    def _within(self, size: int) -> int:
        if not 0 <= size <= self._size:
            raise ValueError(f"the log has {self._size} entries, and {size} were asked for")
        return size

    def _width(self, level: int, index: int) -> int:
        """How much of a tile a log of this size has."""
        width = min(WIDTH, (self._size >> (HEIGHT * level)) - index * WIDTH)
        if width <= 0:
            raise ValueError(f"a log of {self._size} entries has no tile {index} at level {level}")
        return width

    def _read_hashes(self, level: int, index: int, width: int) -> bytes:
        path, raw = self._find(level, index, width)
        if len(raw) not in {width * HASH_BYTES, WIDTH * HASH_BYTES}:
            raise BadTile(f"The tile {path} has {len(raw):,} bytes instead of {width * HASH_BYTES:,}.", path=path)
        return raw[: width * HASH_BYTES]

    def _find(self, level: int | None, index: int, width: int) -> tuple[str, bytes]:
        """A tile's bytes; the full one has all that a partial one had, which may be gone since."""
        for path in dict.fromkeys((tile_path(level, index, width), tile_path(level, index))):
            if (raw := self._read(path)) is not None:
                return path, raw
        path = tile_path(level, index, width)
        raise BadTile(f"The tile {path} is missing: the log is not whole without it.", path=path)


def folder_reader(folder: Path) -> Callable[[str], bytes | None]:
    """What reads the files of a folder for Tiles."""

    def read(path: str) -> bytes | None:
        try:
            return (folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    return read


class TileLog(Tiles):
    """A log in a folder that one process at a time appends to."""

    def __init__(self, folder: Path, lock: int) -> None:
        """Use TileLog.open."""
        super().__init__(folder_reader(folder), 0)
        self._folder = folder
        self._lock = lock
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="tiles")
        self._bundle: list[bytes] = []
        """The entries of the last, partial bundle."""
        self._edge: list[list[bytes]] = []
        """By level, the hashes of the last, partial tile."""
        self._published = 0
        self._checkpoint: bytes | None = None
        self._partials: set[str] = set()
        """The partial tiles that are on disk."""
        self._promised: set[str] = set()
        """Those among them that some checkpoint had."""
        self._made: set[Path] = set()
        self._failed = False

    @classmethod
    def open(cls, folder: Path) -> TileLog:
        """Open a log, or begin one, and make good what a crash left: whatever is whole from the start on stays.

        Raises Misconfigured when another process has it open, and Corrupt when entries that the checkpoint promises are
        missing or changed.
        """
        temporary = folder / _TEMPORARY
        temporary.mkdir(parents=True, exist_ok=True)
        lock = os.open(temporary, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Misconfigured(f"Another process has the log in {folder} open: a log has one writer.") from None
        log = cls(folder, lock)
        try:
            log._recover()
        except BaseException:
            log.close()
            raise
        return log

    def __enter__(self) -> TileLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let another process write."""
        self._failed = True
        self._pool.shutdown()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def checkpoint(self) -> bytes | None:
        """The note that was last published."""
        return self._checkpoint

    @property
    def published(self) -> int:
        """The size in the checkpoint that was last published; 0 without one."""
        return self._published

    def append(self, entries: Sequence[bytes]) -> int:
        """Write entries at the log's end, durable when this returns; returns the new size.

        Raises ValueError, with nothing written, when an entry is too long. After any other error open the log again.
        """
        longest = max(map(len, entries), default=0)
        if longest > MAX_ENTRY:
            raise ValueError(f"An entry of a log has at most {MAX_ENTRY:,} bytes, and one has {longest:,}.")
        for start in range(0, len(entries), _CHUNK):
            self._append(entries[start : start + _CHUNK])
        return self._size

    def publish(self, note: bytes) -> None:
        """Replace the checkpoint by this signed note, whose tiles are all on disk.

        Raises Corrupt unless its root is the log's at its size, and its size not below the one published before.
        """
        self._use()
        checkpoint = unverified(note)
        if not self._published <= checkpoint.size <= self._size:
            raise Corrupt(
                f"The checkpoint of {checkpoint.origin} says {checkpoint.size:,} entries; it must say at least the "
                f"{self._published:,} published before, and at most the {self._size:,} that the log has."
            )
        self._check_root(checkpoint)
        self._put([(CHECKPOINT, note)])
        self._took(note, checkpoint)
        self._sweep()

    def _append(self, entries: Sequence[bytes]) -> None:
        self._use()
        held = [*self._bundle, *entries]
        bundles, rest = _bundles(self._size - len(self._bundle), held)
        hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
        tiles, edge = _grown(self._edge, self._size, hashes)
        self._put(bundles + tiles)
        self._size += len(entries)
        self._bundle, self._edge = rest, edge
        self._partials.update(partial_paths(self._size))
        self._sweep()

    def _use(self) -> None:
        if self._failed:
            raise Misconfigured(f"The log in {self._folder} was closed, or failed to write: open it again.")

    def _check_root(self, checkpoint: Checkpoint) -> None:
        found = self.root_at(checkpoint.size)
        if found != checkpoint.root:
            raise Corrupt(
                f"The checkpoint of {checkpoint.origin} at {checkpoint.size:,} entries has the root "
                f"{checkpoint.root.hex()}, and the tiles in {self._folder} lead to {found.hex()}: "
                "the checkpoint or a tile was changed, or is another log's."
            )

    def _took(self, note: bytes, checkpoint: Checkpoint) -> None:
        self._checkpoint, self._published = note, checkpoint.size
        self._promised.update(self._partials.intersection(partial_paths(checkpoint.size)))

    def _sweep(self) -> None:
        """Remove the partial tiles that nobody will ask for.

        c2sp.org/tlog-tiles wants those of every checkpoint kept until the full tile is there; those of the last
        checkpoint stay until the next in any case.
        """
        needed = {*partial_paths(self._size), *partial_paths(self._published)}
        for path in self._partials - needed:
            level, index, _ = parse_tile_path(path)
            if path in self._promised and index >= self._size >> HEIGHT * ((level or 0) + 1):
                continue
            self._remove(path)

    def _remove(self, path: str) -> None:
        """Remove a tile's file, and the folder of partial ones once it is empty."""
        file = self._folder / path
        file.unlink(missing_ok=True)
        if ".p/" in path:
            with suppress(OSError):
                file.parent.rmdir()
                self._made.discard(file.parent)
        self._partials.discard(path)
        self._promised.discard(path)

    def _put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write files so that each is whole or absent, and all are on disk when this returns."""
        self._failed = True  # until all is done: half a batch is for the next opening to make good
        beside = [self._folder / _TEMPORARY / str(number) for number in range(len(files))]
        list(self._pool.map(_write, beside, [content for _, content in files]))
        touched: set[Path] = set()
        for source, (path, _) in zip(beside, files, strict=True):
            target = self._folder / path
            touched |= self._make(target.parent)
            source.replace(target)
        list(self._pool.map(sync_folder, touched))
        self._failed = False

    def _make(self, folder: Path) -> set[Path]:
        """Make a folder if it is not there; returns the folders whose names must be synced."""
        touched = {folder}
        if folder not in self._made:
            at = folder
            while not at.exists():
                at = at.parent
                touched.add(at)
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)
        return touched

    def _recover(self) -> None:
        """Find how far the log is whole, remove what lies beyond, and make the hash tiles that are missing.

        All that the checkpoint promises was on disk before it, and each batch before the next: only the last batch can
        have holes. The entries lead; hash tiles after the checkpoint follow from them.
        """
        for leftover in (self._folder / _TEMPORARY).iterdir():
            leftover.unlink()
        note = self._read(CHECKPOINT)
        checkpoint = None if note is None else unverified(note)
        promised = 0 if checkpoint is None else checkpoint.size
        first = promised // WIDTH
        leaves = self._recover_entries(first)
        self._size = first * WIDTH + len(leaves)
        if self._size < promised:
            path = tile_path(None, self._size // WIDTH)
            raise Corrupt(
                f"The checkpoint in {self._folder} is of {promised:,} entries, and only {self._size:,} are there: "
                f"{path} is missing or damaged. Restore the folder from a copy.",
                path=path,
            )
        tiles, self._edge = _grown(self._edge_at(first), first * WIDTH, leaves)
        self._put([(path, content) for path, content in tiles if self._read(path) != content])
        self._clear_beyond(first)
        self._check_edge()
        if note is not None and checkpoint is not None:
            self._check_root(checkpoint)
            self._took(note, checkpoint)
        self._sweep()

    def _recover_entries(self, first: int) -> list[bytes]:
        """The leaf hashes of the whole bundles from `first` on, and of the longest partial one after them."""
        leaves: list[bytes] = []
        index = first
        while (entries := self._whole(tile_path(None, index), WIDTH)) is not None:
            leaves += [sha256(b"\x00" + entry).digest() for entry in entries]
            index += 1
        for width in sorted(self._widths(None, index), reverse=True):
            if (entries := self._whole(tile_path(None, index, width), width)) is not None:
                self._bundle = entries
                leaves += [sha256(b"\x00" + entry).digest() for entry in entries]
                break
        return leaves

    def _whole(self, path: str, width: int) -> list[bytes] | None:
        raw = self._read(path)
        if raw is None:
            return None
        try:
            entries = split_entries(raw)
        except BadTile:
            return None
        return entries if len(entries) == width else None

    def _widths(self, level: int | None, index: int) -> list[int]:
        """The widths of the partial tiles that are there under an index."""
        folder = self._folder / (tile_path(level, index) + ".p")
        return [int(file.name) for file in folder.iterdir()] if folder.is_dir() else []

    def _edge_at(self, first: int) -> list[list[bytes]]:
        """The partial tiles of the tree with `first` full bundles, out of the full tiles one level below each."""
        edge: list[list[bytes]] = [[]]
        level, count = 0, first
        while count:
            tiles = range(count - count % WIDTH, count)
            edge.append([_tile_root(_cut(self._read_hashes(level, tile, WIDTH))) for tile in tiles])
            level, count = level + 1, count // WIDTH
        return edge

    def _clear_beyond(self, first: int) -> None:
        """Remove what a crash left past the end, and take note of the partial tiles that are there."""
        for level in (None, *range(HEIGHT)):
            count = self._size >> HEIGHT * (level or 0)
            edge, width = divmod(count, WIDTH)
            reach = _CHUNK // WIDTH + 1 if not level else 2
            for index in range(first >> HEIGHT * (level or 0), edge + reach + 1):
                for found in self._widths(level, index):
                    path = tile_path(level, index, found)
                    if index > edge or (index == edge and found > width):
                        self._remove(path)
                    else:
                        self._partials.add(path)
                        self._promised.add(path)
                if index >= edge:
                    self._remove(tile_path(level, index))

    def _check_edge(self) -> None:
        """The tiles at the log's end and those below them lead to the same root."""

        def subtree(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, HEIGHT)
            offset = (index << height) % WIDTH
            return _tile_root(self._edge[tile_level][offset : offset + (1 << height)])

        if merkle.root_at(subtree, self._size) != self.root_at(self._size):
            raise BadTile(f"The hash tiles in {self._folder} contradict each other: one was changed. Restore them.")


def _write(path: Path, content: bytes) -> None:
    """Write a file and sync it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(handle, "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        os.fsync(handle)


def _bundles(start: int, entries: Sequence[bytes]) -> tuple[list[tuple[str, bytes]], list[bytes]]:
    """The bundles that hold these entries from the bundle's start on, and the entries of the last, partial one."""
    files = []
    for at in range(0, len(entries), WIDTH):
        part = entries[at : at + WIDTH]
        files.append((tile_path(None, (start + at) // WIDTH, len(part)), pack_entries(part)))
    return files, list(entries[len(entries) - len(entries) % WIDTH :])


def _grown(
    edge: Sequence[list[bytes]], size: int, hashes: list[bytes]
) -> tuple[list[tuple[str, bytes]], list[list[bytes]]]:
    """What a tree of `size` leaves with this edge becomes with more leaf hashes: the tiles to write, the new edge."""
    files, grown, level = [], list(edge), 0
    while hashes:
        if level == len(grown):
            grown.append([])
        nodes = [*grown[level], *hashes]
        index = (size >> HEIGHT * level) // WIDTH
        hashes = []
        for at in range(0, len(nodes), WIDTH):
            tile = nodes[at : at + WIDTH]
            files.append((tile_path(level, index + at // WIDTH, len(tile)), b"".join(tile)))
            if len(tile) == WIDTH:
                hashes.append(_tile_root(tile))
        grown[level] = nodes[len(nodes) - len(nodes) % WIDTH :]
        level += 1
    return files, grown


def _cut(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def _tile_root(nodes: list[bytes]) -> bytes:
    """The hash over the hashes of a full subtree."""
    while len(nodes) > 1:
        nodes = pair_hashes(nodes)
    return nodes[0]
