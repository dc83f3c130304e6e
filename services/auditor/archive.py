"""Unpacks an archive of a copy of the logs, of which nothing is believed: neither its names nor its sizes."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from services.auditor.layout import SERVICES
from services.auditor.tiles import MAX_ENTRY, WIDTH, parse_tile_path
from shared.errors import Invalid

_MAX_TILE: Final = WIDTH * (MAX_ENTRY + 2)
_MAX_FILE: Final = 1 << 30
_MAX_HEADER: Final = 1 << 20
_BLOCK: Final = 4096
"""What a file takes of a disk at least."""

_MAX_MEMBERS: Final = 2_000_000
"""Of an archive, folders too: the logs of two hundred million events have fewer."""

_KEPT_FREE: Final = 1 << 30
"""Bytes of the disk that an archive may not fill."""

_PLAIN: Final = re.compile(
    r"README\.md|copy\.json|events\.md|schemas/[A-Za-z0-9._-]{1,200}\.json|"
    rf"(?:{'|'.join(SERVICES)})/(?:checkpoint|checkpoints/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\.jsonl|keys/[A-Za-z0-9._-]{{1,200}}\.vkey)"
)


class _Guarded(io.RawIOBase):
    """A file of which only so much is read at once: a header that claims to be large is not taken into memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header in it has {size} bytes")
        return self._file.read(size)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder that an archive holds, gone when the block ends; a folder is given as it is.

    Raises Invalid for what is no archive of a copy: a file of another name, a link, a device, a name twice, a file
    larger than it can be, more than the disk has room for, an end that is missing.
    """
    if not path.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="commons-copy-") as name:
        folder = Path(name)
        try:
            with path.open("rb") as file:
                zipped = file.read(2) == b"\x1f\x8b"
                file.seek(0)
                with gzip.GzipFile(fileobj=file) if zipped else file as whole:
                    guarded = _Guarded(whole)  # type: ignore[arg-type]  # a GzipFile is a file
                    with tarfile.open(fileobj=guarded, mode="r:") as archive:
                        _unpack(archive, folder, path)
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, OverflowError) as error:
            raise Invalid(f"{path} is no archive of a ledger, or was cut off: {error}.", path=str(path)) from error
        yield folder


def _unpack(archive: tarfile.TarFile, folder: Path, path: Path) -> None:
    room = shutil.disk_usage(folder).free - _KEPT_FREE
    members = 0
    while (member := archive.next()) is not None:
        members += 1
        if members > _MAX_MEMBERS:
            raise _refused(path, f"more than {_MAX_MEMBERS:,} files and folders, which no copy of a ledger has")
        archive.members.clear()  # type: ignore[attr-defined]  # tarfile remembers each
        name = member.name.removeprefix("./")  # as tar programs write it
        if member.isdir() and ".." not in name.split("/"):
            continue
        if not member.isreg() or member.issparse() or not _is_known(name):
            raise _refused(path, f"{name[:120]!r}, which no copy of a ledger has")
        if not 0 <= member.size <= (_MAX_TILE if "/tile/" in name else _MAX_FILE):
            raise _refused(path, f"{name!r} of {member.size:,} bytes, which is too large")
        room -= -(-member.size // _BLOCK) * _BLOCK or _BLOCK
        if room < 0:
            raise _refused(path, f"more than there is room for in {folder.parent}")
        _write(archive, member, folder / name, path)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None  # it is a regular file
    try:
        with content, target.open("xb") as file:
            shutil.copyfileobj(content, file, _MAX_HEADER // 4)
            written = file.tell()
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise _refused(path, f"{member.name!r} twice") from None
    if written != member.size:
        raise Invalid(f"{path} was cut off inside {member.name!r}.", path=str(path))


def _refused(path: Path, what: str) -> Invalid:
    return Invalid(f"{path} holds {what}. Nothing of it was used.", path=str(path))


def _is_known(name: str) -> bool:
    """Whether this is the name of a file of a copy; none leads out of its folder."""
    service, _, rest = name.partition("/")
    if service in SERVICES and rest.startswith("tile/"):
        try:
            parse_tile_path(rest)
        except ValueError:
            return False
        return True
    return _PLAIN.fullmatch(name) is not None
