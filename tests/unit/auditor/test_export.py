"""Copies of a ledger: whole, grown by what is new, and never over anything else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.auditor import export as exporting
from services.auditor.archive import unpacked
from services.auditor.checked import open_logs
from services.auditor.checkpoint import unverified
from services.auditor.export import Differs, documents, export_archive, export_folder
from services.auditor.guide import GUIDE
from services.auditor.opened import history
from services.auditor.tiles import TileLog, parse_tile_path, tile_path
from shared.errors import Corrupt, Invalid
from tests.support.copies import chained, files, write_log

EVENTS = chained(2_000)


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    write_log(tmp_path / "logs", "inventory", EVENTS[:1_300], every=500)
    write_log(tmp_path / "logs", "clinic", chained(100), seed=2)
    (tmp_path / "logs" / "clinic" / "keys" / "witness-oak.vkey").write_text("oak+00000000+abcd\n")
    return tmp_path / "logs"


def exported(folder: Path) -> dict[str, list[bytes]]:
    return {log.service: [raw for _, part in log.bundles() for raw in part] for log in open_logs(folder)}


def test_a_copy_holds_every_event_and_what_a_stranger_needs(logs: Path, tmp_path: Path) -> None:
    done = export_folder(logs, tmp_path / "copy")
    assert [(one.service, one.size, one.added) for one in done] == [("inventory", 1_300, 1_300), ("clinic", 100, 100)]
    copy = tmp_path / "copy"
    assert exported(copy) == {"inventory": EVENTS[:1_300], "clinic": chained(100)}
    found = files(copy)
    assert {"README.md", "events.md", "copy.json", "schemas/commons.envelope.json"} <= found.keys()
    assert found["clinic/keys/witness-oak.vkey"] == b"oak+00000000+abcd\n"
    for path, raw in files(logs).items():
        if "/tile/" not in path and "/.tmp" not in path:
            assert found[path] == raw
    assert not list(copy.rglob(".*"))
    assert copy.stat().st_mode & 0o777 == 0o700


def test_exported_again_it_grows_and_rewrites_nothing(logs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    export_folder(logs, copy)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert [one.added for one in export_folder(logs, copy)] == [0, 0]
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()} == before
    write_log(logs, "inventory", EVENTS[1_300:])
    assert [one.added for one in export_folder(logs, copy)] == [700, 0]
    assert exported(copy)["inventory"] == EVENTS
    for path, then in before.items():
        name = str(path.relative_to(copy))
        if name in {"copy.json", "inventory/checkpoint"} or "/checkpoints/" in name:
            continue
        if path.exists():
            assert path.stat().st_mtime_ns == then, name
        else:
            assert parse_tile_path(name.partition("/")[2])[2] < 256, "only a partial tile makes room for a full one"


def test_it_is_cut_at_the_checkpoint_that_was_published(logs: Path, tmp_path: Path) -> None:
    with TileLog.open(logs / "inventory") as log:
        log.append(EVENTS[1_300:1_400])  # not under a checkpoint yet
    file = logs / "inventory" / "checkpoints" / "2026-11-26.jsonl"
    whole = file.read_bytes()
    write_log(tmp_path / "later", "inventory", EVENTS, every=500)
    later = (tmp_path / "later" / "inventory" / "checkpoints" / "2026-11-26.jsonl").read_bytes()
    file.write_bytes(whole + later.splitlines(keepends=True)[-1] + b'{"time":"2026')
    export_folder(logs, tmp_path / "copy")
    copy = tmp_path / "copy" / "inventory"
    assert exported(tmp_path / "copy")["inventory"] == EVENTS[:1_300]
    assert [unverified(line.note.encode()).size for _, line in history(copy)] == [500, 1_000, 1_300]
    assert unverified((copy / "checkpoint").read_bytes()).size == 1_300


@pytest.mark.parametrize("name", ["copy.tar", "copy.tar.gz"])
def test_an_archive_holds_what_a_folder_does(logs: Path, tmp_path: Path, name: str) -> None:
    done = export_archive(logs, tmp_path / name)
    assert [(one.service, one.size) for one in done] == [("inventory", 1_300), ("clinic", 100)]
    export_folder(logs, tmp_path / "copy")
    with unpacked(tmp_path / name) as folder:
        assert files(folder) == files(tmp_path / "copy")
    assert not folder.exists()
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(Invalid, match="there already"):
        export_archive(logs, tmp_path / name)


def test_an_archive_made_by_tar_of_a_copy_is_one_too(logs: Path, tmp_path: Path) -> None:
    export_folder(logs, tmp_path / "copy")
    subprocess.run(["tar", "-czf", "by-hand.tgz", "-C", "copy", "."], cwd=tmp_path, check=True)
    with unpacked(tmp_path / "by-hand.tgz") as folder:
        assert exported(folder)["inventory"] == EVENTS[:1_300]


def test_a_broken_off_export_is_no_copy_and_goes_on(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, real, chunks = tmp_path / "copy", TileLog.append, []
    monkeypatch.setattr(exporting, "_CHUNK_BYTES", 20_000)

    def full(self: TileLog, entries: list[bytes]) -> int:
        chunks.append(len(entries))
        if len(chunks) == 4:
            raise OSError(28, "No space left on device")
        return real(self, entries)

    with monkeypatch.context() as patched:
        patched.setattr(TileLog, "append", full)
        with pytest.raises(OSError, match="No space"):
            export_folder(logs, copy)
    with pytest.raises(Corrupt, match="broken off"):
        open_logs(copy)
    done = export_folder(logs, copy)
    assert done[0].added == 1_300 - sum(chunks[:3])
    assert exported(copy) == exported(logs)


def test_an_export_that_is_killed_again_and_again_comes_to_its_end(tmp_path: Path) -> None:
    events = chained(20_000, filler=20)
    write_log(tmp_path / "logs", "inventory", events, every=20_000)
    code = (
        "import os, signal, sys; from pathlib import Path; from services.auditor import export\n"
        "export._CHUNK_BYTES = 100_000; export.documents = lambda: {'README.md': export.GUIDE.encode()}\n"
        "def show(name, done, total):\n"
        "    done < int(sys.argv[3]) or os.kill(os.getpid(), signal.SIGKILL)\n"
        "export.export_folder(Path(sys.argv[1]), Path(sys.argv[2]), show)"
    )
    for part in (1, 5_000, 12_000, 20_000):
        killed = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "logs"), str(tmp_path / "copy"), str(part)], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        with pytest.raises(Corrupt, match="broken off"):
            open_logs(tmp_path / "copy")
    (one,) = export_folder(tmp_path / "logs", tmp_path / "copy")
    assert one.added == 0, "all that was missing was the end"
    assert exported(tmp_path / "copy") == {"inventory": events}


def test_a_full_disk_leaves_no_archive(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "import resource, signal, sys; from pathlib import Path; from services.auditor.export import export_archive\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "export_archive(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(logs), str(out / "copy.tar")], capture_output=True, check=False
    )
    assert b"File too large" in done.stderr
    assert list(out.iterdir()) == []


def replace(path: Path, old: bytes, new: bytes) -> None:
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))


def test_a_copy_of_another_history_is_left_as_it_is(logs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    export_folder(logs, copy)
    other = [*EVENTS[:700], EVENTS[700].replace(b'"n": 700', b'"n": 7OO'), *EVENTS[701:]]
    write_log(tmp_path / "other", "inventory", other)
    write_log(tmp_path / "other", "clinic", chained(100), seed=2)
    before = files(copy)
    with pytest.raises(Differs, match="Event 701 of INVENTORY") as refused:
        export_folder(tmp_path / "other", copy)
    assert refused.value.facts["sequence"] == 701
    assert files(copy) == before


def test_a_copy_that_is_longer_than_the_ledger_is_left_as_it_is(logs: Path, tmp_path: Path) -> None:
    export_folder(logs, tmp_path / "copy")
    write_log(tmp_path / "older", "inventory", EVENTS[:900])
    write_log(tmp_path / "older", "clinic", chained(100), seed=2)
    before = files(tmp_path / "copy")
    with pytest.raises(Differs, match="lost their tail"):
        export_folder(tmp_path / "older", tmp_path / "copy")
    assert files(tmp_path / "copy") == before


def test_a_changed_history_of_checkpoints_is_told(logs: Path, tmp_path: Path) -> None:
    export_folder(logs, tmp_path / "copy")
    replace(tmp_path / "copy" / "inventory" / "checkpoints" / "2026-11-26.jsonl", b"09:30", b"09:31")
    with pytest.raises(Differs, match="history of checkpoints"):
        export_folder(logs, tmp_path / "copy")


def test_a_log_that_vanished_is_told(logs: Path, tmp_path: Path) -> None:
    export_folder(logs, tmp_path / "copy")
    shutil.rmtree(logs / "clinic")
    with pytest.raises(Differs, match="has no log of clinic"):
        export_folder(logs, tmp_path / "copy")


def test_another_ledgers_copy_is_refused(logs: Path, tmp_path: Path) -> None:
    export_folder(logs, tmp_path / "copy")
    write_log(tmp_path / "other", "inventory", EVENTS[:10], seed=9)
    before = files(tmp_path / "copy")
    with pytest.raises(Differs, match="another ledger"):
        export_folder(tmp_path / "other", tmp_path / "copy")
    assert files(tmp_path / "copy") == before


def test_a_log_that_was_taken_out_of_a_copy_is_missed_by_its_key(logs: Path, tmp_path: Path) -> None:
    """Whoever takes it out rewrites, or takes out, what says which logs there were."""
    export_folder(logs, tmp_path / "copy")
    keys = [log.verifier for log in open_logs(tmp_path / "copy", [log.verifier for log in open_logs(logs)])]
    gone = keys[-1].name.rpartition("/")[2]
    shutil.rmtree(tmp_path / "copy" / gone)
    (tmp_path / "copy" / "copy.json").unlink()
    (tmp_path / "copy" / "README.md").unlink()
    assert len(open_logs(tmp_path / "copy", keys[:-1])) == len(keys) - 1
    with pytest.raises(Corrupt, match="holds no such log: it was taken out"):
        open_logs(tmp_path / "copy", keys)


@pytest.mark.parametrize("said", [b"{", b'{"events":{"\xff":1}}', b"[]", b'{"events":{"inventory":"many"}}'])
def test_a_copy_that_does_not_say_what_it_holds_is_refused(logs: Path, tmp_path: Path, said: bytes) -> None:
    export_folder(logs, tmp_path / "copy")
    (tmp_path / "copy" / "copy.json").write_bytes(said)
    with pytest.raises(Corrupt, match="does not say what the copy holds"):
        open_logs(tmp_path / "copy")


def some_file(folder: Path) -> None:
    (folder / "letters.txt").write_text("dear")


def own_readme(folder: Path) -> None:
    (folder / "README.md").write_text("# Our garden\n")


def nameless_schemas(folder: Path) -> None:
    (folder / "schemas").mkdir()


@pytest.mark.parametrize("fill", [some_file, own_readme, nameless_schemas])
def test_a_folder_of_something_else_is_refused(logs: Path, tmp_path: Path, fill: Callable[[Path], None]) -> None:
    target = tmp_path / "target"
    target.mkdir()
    fill(target)
    before = files(target)
    with pytest.raises(Invalid, match="no copy of this ledger"):
        export_folder(logs, target)
    assert files(target) == before


def test_a_link_in_the_target_is_not_followed(logs: Path, tmp_path: Path) -> None:
    copy, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    export_folder(logs, copy)
    write_log(logs, "inventory", EVENTS[1_300:])
    shutil.move(copy / "inventory" / "tile" / "entries", elsewhere)
    (copy / "inventory" / "tile" / "entries").symlink_to(elsewhere)
    before = files(elsewhere)
    with pytest.raises(Invalid, match="is a link"):
        export_folder(logs, copy)
    assert files(elsewhere) == before


@pytest.mark.parametrize("where", ["entries", "leaves"])
def test_a_damaged_log_is_not_copied(logs: Path, tmp_path: Path, where: str) -> None:
    path = logs / "inventory" / tile_path(None if where == "entries" else 0, 2)
    raw = bytearray(path.read_bytes())
    raw[1_000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Corrupt, match=r"tile/(entries|0)/002"):
        export_folder(logs, tmp_path / "copy")
    with pytest.raises(Corrupt):
        export_archive(logs, tmp_path / "copy.tar")
    assert not (tmp_path / "copy.tar").exists()


def test_a_witness_with_a_new_key_keeps_the_old_one_beside_it(logs: Path, tmp_path: Path) -> None:
    export_folder(logs, tmp_path / "copy")
    (logs / "clinic" / "keys" / "witness-oak.vkey").write_text("oak+11111111+efgh\n")
    export_folder(logs, tmp_path / "copy")
    found = files(tmp_path / "copy" / "clinic" / "keys")
    assert found["witness-oak.vkey"] == b"oak+00000000+abcd\n"
    assert found["witness-oak-11111111.vkey"] == b"oak+11111111+efgh\n"


# -- archives that nobody should make ---------------------------------------------------------------------------------


def bad_archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [member("../outside")],
        [member("/etc/passwd")],
        [member("inventory/tile/../../../x")],
        [member("inventory/keys/../../x.vkey")],
        [member("inventory/checkpoint", tarfile.SYMTYPE, "/etc/passwd")],
        [member("inventory/checkpoint", tarfile.LNKTYPE, "README.md")],
        [member("inventory/checkpoint", tarfile.FIFOTYPE)],
        [member("inventory", tarfile.SYMTYPE, "/tmp"), member("inventory/checkpoint")],
        [member("inventory/checkpoint"), member("inventory/checkpoint")],
        [member("inventory/tile/entries/0")],
        [member("kitchen/checkpoint")],
        [member("..", tarfile.DIRTYPE)],
    ],
)
def test_an_archive_with_anything_else_in_it_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    path = bad_archive(tmp_path / "bad.tar", *members)
    with pytest.raises(Invalid, match="Nothing of it was used"), unpacked(path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["bad.tar"]


def test_garbage_and_what_was_cut_off_are_no_archives(logs: Path, tmp_path: Path) -> None:
    for name in ("whole.tar", "whole.tar.gz"):
        export_archive(logs, tmp_path / name)
        raw = (tmp_path / name).read_bytes()
        for number, broken in enumerate(
            (raw[: len(raw) // 2], b"", os.urandom(4_000), b"\x1f\x8b" + os.urandom(4_000))
        ):
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(broken)
            with pytest.raises((Invalid, Corrupt)), unpacked(path) as folder:
                open_logs(folder)


def test_a_file_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    huge = member("inventory/tile/entries/000")
    huge.size = 1 << 40
    with tarfile.open(tmp_path / "huge.tar", "w") as archive:
        archive.fileobj.write(huge.tobuf())  # type: ignore[union-attr]
    with pytest.raises(Invalid, match=r"too large|cut off"), unpacked(tmp_path / "huge.tar"):
        pass


# -- the page for strangers -------------------------------------------------------------------------------------------


def block(start: str, fence: str) -> str:
    return GUIDE.split(start)[1].split(fence)[0]


def test_the_script_of_the_page_verifies_a_copy_and_finds_a_change(logs: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    export_folder(logs, copy)
    (tmp_path / "check.py").write_text(block("```python\n", "```"))
    for service, size in (("inventory", 1_300), ("clinic", 100)):
        done = subprocess.run(
            [sys.executable, tmp_path / "check.py", copy / service], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(f"pantry/commons/{service}: {size} events, 7 chains, root "), done.stdout
    replace(copy / "inventory" / tile_path(None, 4), b"xxxx", b"xxyx")
    changed = subprocess.run(
        [sys.executable, tmp_path / "check.py", copy / "inventory"], capture_output=True, text=True, check=False
    )
    assert "breaks its chain" in changed.stderr or "not those that were signed" in changed.stderr


@pytest.mark.parametrize("service", ["inventory", "clinic"])
def test_the_shell_lines_of_the_page_show_the_same_hash_twice(logs: Path, tmp_path: Path, service: str) -> None:
    export_folder(logs, tmp_path / "copy")
    lines = block("One event by hand", "\n\nAll of it").partition("\n\n")[2].replace("cd inventory", f"cd {service}")
    done = subprocess.run(["sh", "-c", lines], cwd=tmp_path / "copy", capture_output=True, text=True, check=True)
    hashed, _, stored = done.stdout.partition("-")
    assert len(hashed.strip()) == 64 and hashed.strip() == "".join(stored.split()), done


def test_the_documents_are_those_of_the_reference() -> None:
    made = documents()
    assert made["events.md"] == Path("docs/events.md").read_bytes()
    for path in Path("docs/schemas").iterdir():
        assert made[f"schemas/{path.name}"] == path.read_bytes()
