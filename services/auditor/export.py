"""Copies of a ledger that stand for themselves: every log up to a checkpoint, public keys, schemas, and how to verify.

A copy in a folder is laid out as the auditor's own folder of logs is (layout.py), and grows: exporting again appends
what is new. What is there already is never written over; when it is not what the ledger says, the export says so and
stops. An archive is written once, whole or not at all.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from services.auditor.checked import MANIFEST, README, CheckedLog, Manifest, log_key, open_logs, services_in
from services.auditor.checkpoint import open_checkpoint, unverified
from services.auditor.guide import GUIDE, TITLE
from services.auditor.history import Published
from services.auditor.layout import SERVICES, history_folder, log_folder, log_vkey
from services.auditor.notes import BadNote
from services.auditor.signing import write_synced
from services.auditor.tiles import CHECKPOINT, WIDTH, TileLog, pack_entries, tile_path
from shared.errors import Corrupt, Invalid
from shared.masterkeys import sync_folder

_DOCUMENTS: Final = (README, MANIFEST, "events.md", "schemas")
_CHUNK_BYTES: Final = 16 << 20

Progress = Callable[[str, int, int], None]
"""Told the name of a log, how many events are done, and how many there are."""


class Differs(Corrupt):
    """What is there is not what it would be replaced by: two histories. Nothing was written over."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One log of a copy: its events, how many of them came new, and the root in hex."""

    service: str
    origin: str
    size: int
    added: int
    root: str


def is_archive(target: Path) -> bool:
    """Whether a name is that of an archive rather than of a folder."""
    return target.name.endswith((".tar", ".tar.gz"))


def export_folder(logs: Path, target: Path, progress: Progress = lambda *_: None) -> list[Copied]:
    """Copy every log of a folder into another, or append to the copy there, up to the checkpoints of this moment.

    Raises Invalid when the target is something else, Differs when it is a copy of another history, Corrupt when the
    logs themselves are not whole. An OSError leaves a copy that the next export goes on with.
    """
    sources = open_logs(logs)
    _check_target(target, sources)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in documents().items():
        _put(target / path, content, synced=path == README)
    copied = [_export_log(source, log_folder(target, source.service), progress) for source in sources]
    _put(target / MANIFEST, _manifest(sources))
    return copied


def give_logs(copy: Path, logs: Path, progress: Progress = lambda *_: None) -> None:
    """Put the logs of a copy where an auditor has none, so that its checkpoints follow those that were published."""
    for source in open_logs(copy):
        folder = log_folder(logs, source.service)
        if not (folder / CHECKPOINT).exists():
            _export_log(source, folder, progress)


def export_archive(logs: Path, target: Path, progress: Progress = lambda *_: None) -> list[Copied]:
    """Write a copy as one tar file, gzipped if its name ends in .gz, for its owner alone to read.

    Raises Invalid when there is a file of that name: a copy is never written over.
    """
    if target.exists():
        raise Invalid(f"{target} is there already. Choose another name: an archive is never written over.")
    if not target.parent.is_dir():
        raise Invalid(f"{target.parent} is no folder, so {target.name} cannot be written there. Make the folder first.")
    sources = open_logs(logs)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    unfinished, now = Path(name), int(time.time())
    try:
        with os.fdopen(handle, "wb") as file:
            mode = "w:gz" if target.name.endswith(".gz") else "w:"
            with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
                for path, content in _files(sources, progress):
                    info = tarfile.TarInfo(path)
                    info.size, info.mtime, info.mode = len(content), now, 0o644
                    archive.addfile(info, io.BytesIO(content))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        sync_folder(target.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return [_copied(source, source.size) for source in sources]


@cache
def documents() -> dict[str, bytes]:
    """What goes with every copy: how to verify it, the event catalogue and the schemas."""
    from services.reference.files import schemas_and_catalogue  # every contract: a second to import

    return {path: text.encode() for path, text in {README: GUIDE, **schemas_and_catalogue()}.items()}


# -- a folder ---------------------------------------------------------------------------------------------------------


def _check_target(target: Path, sources: list[CheckedLog]) -> None:
    """The target is new, empty, or a copy of these logs, without a link that leads elsewhere."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise Invalid(f"{target} is no folder. Name a new or an empty one.", path=str(target))
    if not target.exists():
        return
    names = {path.name.removesuffix(".new") for path in target.iterdir()}  # a crash leaves files half-written
    readme = target / README
    strange = sorted(names - {*SERVICES, *_DOCUMENTS})
    if not strange and readme.exists() and not readme.read_bytes().startswith(TITLE.encode()):
        strange = [README]
    if strange or (names and README not in names):
        shown = ", ".join(strange[:3] or sorted(names)[:3])
        raise Invalid(
            f"{target} is not empty, and no copy of this ledger: it holds {shown}. Name a new or an empty folder.",
            path=str(target),
        )
    for folder, folders, files in os.walk(target):
        for name in (*folders, *files):
            if (path := Path(folder, name)).is_symlink():
                raise Invalid(f"{path} is a link, and a copy has none. Name a new folder.", path=str(path))
    known = {source.service: source for source in sources}
    for service in services_in(target):
        there = log_key(log_folder(target, service), service)
        source = known.get(service)
        if source is None:
            raise Differs(
                f"{target} has a log of {service}, and the folder of logs has no log of {service} any more. Nothing "
                "was written. Find out where it went.",
                path=str(target),
            )
        if source.verifier != there:
            raise Differs(
                f"{target} is a copy of another ledger: its log of {service} is signed by {there.name} (key "
                f"{there.key_id.hex()}). Nothing was written. Name a new folder.",
                path=str(target),
            )


def _export_log(source: CheckedLog, folder: Path, progress: Progress) -> Copied:
    """Append to a log in the target what the source has more, and publish the source's checkpoint there."""
    _put(log_vkey(folder), log_vkey(source.folder).read_bytes())
    _copy_witnesses(source, folder)
    with TileLog.open(folder) as log:
        _check_begins(log, source, folder)
        start = log.size
        progress(source.service, start, source.size)
        waiting: list[bytes] = []
        gathered = 0
        for _, entries in source.bundles(start):
            waiting += entries
            gathered += sum(map(len, entries))
            if gathered >= _CHUNK_BYTES:
                log.append(waiting)
                progress(source.service, log.size, source.size)
                waiting, gathered = [], 0
        log.append(waiting)
        if log.checkpoint != source.note:
            log.publish(source.note)
        progress(source.service, log.size, source.size)
    with suppress(OSError):
        (folder / ".tmp").rmdir()  # the writer's own place
    for path, content in _history(source):
        _grow(folder / path, content)
    return _copied(source, source.size - start)


def _check_begins(log: TileLog, source: CheckedLog, folder: Path) -> None:
    """What is in the target is the beginning of the source."""
    if log.checkpoint is not None:
        open_checkpoint(log.checkpoint, source.verifier.name, [source.verifier])
    if log.size > source.size:
        raise Differs(
            f"{folder} holds {log.size:,} events of {source.stream}, and the auditor's checkpoint is of "
            f"{source.size:,}: the tiles lost their tail, or are an older copy. Nothing was written over; keep both.",
            stream=source.stream, path=str(folder),
        )  # fmt: skip
    if log.root_at(log.size) != source.tiles.root_at(log.size):
        first = next(
            (
                number
                for number, (one, other) in enumerate(
                    zip(log.leaves(), source.tiles.leaves(stop=log.size), strict=True), 1
                )
                if one != other
            ),
            log.size,
        )
        raise Differs(
            f"Event {first:,} of {source.stream} in {folder} is another than in the auditor's log {source.folder}. "
            "One of the two was changed; nothing was written over. `commons verify` says which is whole.",
            stream=source.stream, sequence=first, path=str(folder),
        )  # fmt: skip


def _copy_witnesses(source: CheckedLog, folder: Path) -> None:
    """The public keys of witnesses; one that took the place of another of that name stands beside it."""
    for path in _witness_keys(source):
        content = path.read_bytes()
        target = log_vkey(folder).with_name(path.name)
        if target.exists() and target.read_bytes() != content:
            key_id = content.decode(errors="replace").split("+")[1:2]
            target = target.with_name(f"{path.stem}-{''.join(key_id)[:8]}.vkey")
        _put(target, content)


def _witness_keys(source: CheckedLog) -> list[Path]:
    return sorted(log_vkey(source.folder).parent.glob("witness-*.vkey"))


def _grow(path: Path, content: bytes) -> None:
    """Write a file of lines that only ever gets longer."""
    before = path.read_bytes() if path.exists() else b""
    if not content.startswith(before):
        raise Differs(
            f"{path} is not what the auditor's history of checkpoints begins with. Nothing was written over.",
            path=str(path),
        )
    if content != before:
        write_synced(path, content)


def _put(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a file whole, unless it is there as it should be; what can be made again need not be on disk at once."""
    if path.exists() and path.read_bytes() == content:
        return
    if synced:
        write_synced(path, content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)


# -- what a copy holds ------------------------------------------------------------------------------------------------


def _history(source: CheckedLog) -> Iterator[tuple[str, bytes]]:
    """The files of the log's published checkpoints, cut behind the one that is exported."""
    for path in sorted(history_folder(source.folder).glob("*.jsonl")):
        lines = []
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n") or _size(line) > source.size:
                break
            lines.append(line)
        if lines:
            yield f"checkpoints/{path.name}", b"".join(lines)


def _size(line: bytes) -> int:
    """The size that a line of the history tells of; 0 for a line that a crash cut."""
    try:
        return unverified(msgspec.json.decode(line, type=Published).note.encode()).size
    except (ValueError, BadNote):
        return 0


def _files(sources: list[CheckedLog], progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Every file of a copy, those first that a reader needs first."""
    yield from documents().items()
    for source in sources:
        keys = [log_vkey(source.folder), *_witness_keys(source)]
        yield f"{source.service}/{CHECKPOINT}", source.note
        yield from ((f"{source.service}/keys/{path.name}", path.read_bytes()) for path in keys)
        for path, content in chain(_history(source), _tiles(source, progress)):
            yield f"{source.service}/{path}", content
    yield MANIFEST, _manifest(sources)


def _manifest(sources: list[CheckedLog]) -> bytes:
    return msgspec.json.encode(Manifest({source.service: source.size for source in sources})) + b"\n"


def _tiles(source: CheckedLog, progress: Progress) -> Iterator[tuple[str, bytes]]:
    level, count = 0, source.size
    while count:
        for index in range(-(-count // WIDTH)):
            hashes = source.hashes(level, index)
            yield tile_path(level, index, len(hashes)), b"".join(hashes)
        level, count = level + 1, count // WIDTH
    for first, entries in source.bundles():
        yield tile_path(None, first // WIDTH, len(entries)), pack_entries(entries)
        progress(source.service, first + len(entries), source.size)


def _copied(source: CheckedLog, added: int) -> Copied:
    return Copied(source.service, source.checkpoint.origin, source.size, added, source.checkpoint.root.hex())
