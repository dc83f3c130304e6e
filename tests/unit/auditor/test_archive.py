"""An archive of a copy is unpacked without believing a word of it."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from services.auditor import archive
from services.auditor.archive import unpacked
from services.auditor.offline import verify_folder
from services.auditor.opened import Keys
from services.auditor.tiles import CHECKPOINT
from shared.errors import Invalid
from tests.support.jars import AUDITED, Jars, write_log

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy's folder, laid out as inventory's, as archives hold no other services."""
    write_log(tmp_path / "made", Jars.filled(300).raws)
    (tmp_path / "copy").mkdir()
    (tmp_path / "made" / "toy").rename(tmp_path / "copy" / "inventory")
    (tmp_path / "copy" / "README.md").write_text("# A copy of a ledger\n")
    return tmp_path / "copy"


def packed(folder: Path, path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for each in sorted(folder.rglob("*")):
            file.add(each, each.relative_to(folder).as_posix(), recursive=False)
    return path


@pytest.mark.parametrize(("name", "mode"), [("a.tar", "w:"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")])
def test_an_archive_is_the_folder(tmp_path: Path, copy: Path, name: str, mode: str) -> None:
    with unpacked(packed(copy, tmp_path / name, mode)) as folder:
        files = {each.relative_to(folder): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
        (folder / "inventory").rename(folder / "toy")
        assert verify_folder(folder, Keys(), audited=AUDITED, jobs=1).ok
    assert files == {each.relative_to(copy): each.read_bytes() for each in copy.rglob("*") if each.is_file()}
    assert not folder.exists()


def test_a_folder_is_given_as_it_is(copy: Path) -> None:
    with unpacked(copy) as folder:
        assert folder == copy
    assert copy.exists()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", size: int | None = None):  # type: ignore[no-untyped-def]
    def add(file: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, len(content) if size is None else size
        file.addfile(info, io.BytesIO(content) if size is None else None)

    return add


HOSTILE: dict[str, Callable[[tarfile.TarFile], None]] = {
    "a way out": member("../../etc/passwd", b"x"),
    "a way out inside": member("inventory/tile/../../../x", b"x"),
    "an absolute name": member("/etc/passwd", b"x"),
    "a link": member("inventory/checkpoint", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    "a hard link": member("inventory/checkpoint", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    "a device": member("inventory/checkpoint", kind=tarfile.CHRTYPE),
    "a pipe": member("inventory/checkpoint", kind=tarfile.FIFOTYPE),
    "a name that no log has": member("inventory/tile/0/x01", b"x"),
    "a file that no copy has": member(".bashrc", b"x"),
    "another service": member("payroll/checkpoint", b"x"),
    "a huge file": member("inventory/tile/0/000", size=1 << 40),
    "a huge header": member("inventory/checkpoint", b"y" * (2 << 20), kind=tarfile.GNUTYPE_LONGNAME),
    "a huge extended header": member("inventory/checkpoint", b"y" * (2 << 20), kind=tarfile.XHDTYPE),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_copy_has_is_refused(tmp_path: Path, copy: Path, what: str) -> None:
    (copy / "inventory" / CHECKPOINT).unlink()
    path = packed(copy, tmp_path / "a.tar", "w:")
    with tarfile.open(path, "a:") as file:
        HOSTILE[what](file)
    said = "which is too large" if what == "a huge file" else "a header in it has" if "header" in what else r"a\.tar"
    with pytest.raises(Invalid, match=said), unpacked(path):
        pass
    assert not (tmp_path / "x").exists()


def test_a_name_twice_is_refused(tmp_path: Path, copy: Path) -> None:
    path = packed(copy, tmp_path / "a.tar", "w:")
    with tarfile.open(path, "a:") as file:
        member("inventory/checkpoint", b"another")(file)
    with pytest.raises(Invalid, match="twice"), unpacked(path):
        pass


def test_an_archive_that_fills_the_disk_is_refused(tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(copy, tmp_path / "a.tar.gz")
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: Usage(1 << 40, 0, (1 << 30) + 5000))
    with pytest.raises(Invalid, match="more than there is room for"), unpacked(path):
        pass


def test_empty_files_without_end_are_refused(tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred bytes each in the archive, zipped to nothing: each takes room on the disk all the same."""
    path = packed(copy, tmp_path / "a.tar", "w:")
    with tarfile.open(path, "a:") as file:
        for index in range(100):
            member(f"inventory/tile/3/{index:03}")(file)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: Usage(1 << 40, 0, (1 << 30) + 100 * 4096))
    with pytest.raises(Invalid, match="more than there is room for"), unpacked(path):
        pass


def test_folders_without_end_are_refused(tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(copy, tmp_path / "a.tar", "w:")
    with tarfile.open(path, "a:") as file:
        for _ in range(100):
            member("inventory", kind=tarfile.DIRTYPE)(file)
    monkeypatch.setattr(archive, "_MAX_MEMBERS", 100)
    with pytest.raises(Invalid, match="more than 100 files and folders"), unpacked(path):
        pass


@pytest.mark.parametrize("cut", [300, 2000])
def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path, copy: Path, cut: int) -> None:
    path = packed(copy, tmp_path / "a.tar.gz")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(Invalid, match="cut off"), unpacked(path):
        pass


@pytest.mark.parametrize(
    "raw",
    [b"no archive", b"\x1f\x8b garbage", gzip.compress(b"garbage" * 1000), b"\x00" * 600],
    ids=["words", "a header alone", "something else, zipped", "nothing"],  # what gzip writes has the time in it
)
def test_garbage_is_no_archive(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(raw)
    with pytest.raises(Invalid), unpacked(path) as folder:
        verify_folder(folder, Keys(), audited=AUDITED, jobs=1)
    shutil.rmtree(tmp_path)
