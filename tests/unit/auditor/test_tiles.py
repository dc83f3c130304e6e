"""A log in a folder of tiles: named as c2sp.org/tlog-tiles says, whole after any crash, and true to its entries."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.auditor.checkpoint import Checkpoint
from services.auditor.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of, verify_consistency, verify_inclusion
from services.auditor.notes import Note, Signer
from services.auditor.tiles import (
    MAX_ENTRY,
    BadTile,
    TileLog,
    Tiles,
    folder_reader,
    pack_entries,
    parse_tile_path,
    partial_paths,
    split_entries,
    tile_path,
)
from shared.errors import Corrupt, Misconfigured


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    """The disk is not waited for here: what a crash leaves is played by leaving files out."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: None)
        yield


LOG = Signer("pantry.example/inventory", bytes(32))


def entries(start: int, stop: int) -> list[bytes]:
    return [b"entry %d " % number + b"x" * (number % 7) for number in range(start, stop)]


def note(log: Tiles, size: int | None = None) -> bytes:
    size = log.size if size is None else size
    text = Checkpoint(LOG.name, size, log.root_at(size)).text()
    return Note(text, [LOG.sign(text)]).to_bytes()


def root(size: int) -> bytes:
    frontier = Frontier()
    frontier.extend(leaf_hash(entry) for entry in entries(0, size))
    return frontier.root()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_tiles_are_named_as_the_specification_shows() -> None:
    assert tile_path(0, 1_234_067) == "tile/0/x001/x234/067"
    assert tile_path(None, 7) == "tile/entries/007"
    assert tile_path(2, 1000, 5) == "tile/2/x001/000.p/5"
    paths = ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert partial_paths(70_000) == ["tile/entries/273.p/112", *paths]
    assert partial_paths(256) == ["tile/1/000.p/1"]


@given(st.none() | st.integers(0, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_the_path_of_a_tile_says_which_it_is(level: int | None, index: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, index, width)) == (level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "tile/64/000",
        "tile/00/000",
        "tile/0/1",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/../000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
    ],
)
def test_other_paths_are_no_tiles(path: str) -> None:
    with pytest.raises(ValueError, match="not the path of a tile"):
        parse_tile_path(path)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_holds_its_entries(given_entries: list[bytes]) -> None:
    raw = pack_entries(given_entries)
    assert split_entries(raw) == given_entries
    for end in range(len(raw)):
        with suppress(BadTile):
            assert split_entries(raw[:end]) == given_entries[: len(split_entries(raw[:end]))]


def test_the_longest_entry_fits_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    with TileLog.open(tmp_path) as log:
        assert log.append([bytes(MAX_ENTRY), b""]) == 2
        with pytest.raises(ValueError, match="at most 65,535"):
            log.append([b"fine", bytes(MAX_ENTRY + 1)])
        assert log.size == 2
        assert list(log.entries()) == [bytes(MAX_ENTRY), b""]
    with pytest.raises(ValueError, match="at most 65,535"):
        pack_entries([bytes(MAX_ENTRY + 1)])


@pytest.mark.parametrize("batches", [[1], [255, 1, 1], [256], [257, 600], [70_000], [3] * 100, [0, 5, 0]])
def test_a_log_has_exactly_the_tiles_of_its_size(tmp_path: Path, batches: list[int]) -> None:
    size = 0
    with TileLog.open(tmp_path) as log:
        assert log.root_at(0) == EMPTY_ROOT
        for batch in batches:
            size = log.append(entries(size, size + batch))
        assert log.root_at(size) == root(size)
        assert list(log.entries()) == entries(0, size)
        assert list(log.leaves()) == [leaf_hash(entry) for entry in entries(0, size)]
    wanted = set(partial_paths(size)) | {tile_path(None, index) for index in range(size // 256)}
    for level in range(4):
        wanted |= {tile_path(level, index) for index in range(size >> 8 * level + 8)}
    assert files(tmp_path) == wanted


def test_proofs_out_of_tiles_hold(tmp_path: Path) -> None:
    chance = random.Random(6)
    with TileLog.open(tmp_path) as log:
        size = log.append(entries(0, 70_000))
        reader = Tiles.of_folder(tmp_path, size)
        for _ in range(60):
            new = chance.randint(1, size)
            old, index = chance.randint(0, new), chance.randrange(new)
            proof = reader.inclusion_proof(index, new)
            verify_inclusion(leaf_hash(reader.entry(index)), index, new, proof, reader.root_at(new))
            verify_consistency(old, new, log.consistency_proof(old, new), log.root_at(old), log.root_at(new))
        assert reader.root_at(1000) == root(1000)
    for wrong in (
        lambda: reader.entry(size),
        lambda: reader.root_at(size + 1),
        lambda: reader.inclusion_proof(0, size + 1),
    ):
        with pytest.raises(ValueError, match="70000"):
            wrong()


def test_a_range_of_entries_is_read_alone(tmp_path: Path) -> None:
    with TileLog.open(tmp_path) as log:
        log.append(entries(0, 1000))
        for start, stop in ((0, 0), (0, 1), (255, 257), (256, 512), (3, 1000), (999, 1000)):
            assert list(log.entries(start, stop)) == entries(start, stop)
            assert list(log.leaves(start, stop)) == [leaf_hash(entry) for entry in entries(start, stop)]


def test_a_log_goes_on_where_it_was(tmp_path: Path) -> None:
    size = 0
    for batch in (1, 100, 155, 1, 1000, 0, 300):
        with TileLog.open(tmp_path) as log:
            assert log.size == size
            size = log.append(entries(size, size + batch))
            log.publish(note(log))
    with TileLog.open(tmp_path) as log:
        assert (log.size, log.published, log.root_at(size)) == (size, size, root(size))
        assert log.checkpoint == (tmp_path / "checkpoint").read_bytes() == note(log)


def test_one_process_writes(tmp_path: Path) -> None:
    with TileLog.open(tmp_path), pytest.raises(Misconfigured, match="one writer"):
        TileLog.open(tmp_path)
    log = TileLog.open(tmp_path)
    log.close()
    with pytest.raises(Misconfigured, match="open it again"):
        log.append([b"late"])


def test_partial_tiles_of_checkpoints_stay_until_the_full_tile_and_the_next_checkpoint(tmp_path: Path) -> None:
    with TileLog.open(tmp_path) as log:
        log.append(entries(0, 10))
        log.publish(note(log))
        log.append(entries(10, 20))
        log.append(entries(20, 30))
        assert {"tile/0/000.p/10", "tile/0/000.p/30"} <= files(tmp_path)
        assert "tile/0/000.p/20" not in files(tmp_path), "no checkpoint had it"
        log.publish(note(log))
        assert "tile/entries/000.p/10" in files(tmp_path), "clients may still hold that checkpoint"
        log.append(entries(30, 300))
        assert {"tile/0/000", "tile/0/000.p/30"} <= files(tmp_path), "the last checkpoint refers to it"
        assert "tile/0/000.p/10" not in files(tmp_path)
        assert Tiles.of_folder(tmp_path, 10).root_at(10) == root(10), "the full tile stands in for the partial one"
        assert list(Tiles.of_folder(tmp_path, 10).entries()) == entries(0, 10)
        log.publish(note(log))
        assert not (tmp_path / "tile/0/000.p").exists()


def test_only_a_true_checkpoint_is_published(tmp_path: Path) -> None:
    with TileLog.open(tmp_path) as log:
        log.append(entries(0, 300))
        log.publish(note(log, 200))
        for size, tree in ((199, root(199)), (301, root(301)), (250, root(249))):
            text = Checkpoint(LOG.name, size, tree).text()
            with pytest.raises(Corrupt):
                log.publish(Note(text, [LOG.sign(text)]).to_bytes())
        assert log.published == 200
        log.publish(note(log, 200))


class Cut(Exception):
    """The power went."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 500 entries, 300 of them under a checkpoint."""
    folder = tmp_path_factory.mktemp("begun")
    with TileLog.open(folder) as log:
        log.append(entries(0, 300))
        log.publish(note(log))
        log.append(entries(300, 500))
    return folder


def _continues(folder: Path, least: int, most: int) -> None:
    """The log opens with a whole prefix of what was given to it, and takes the rest."""
    with TileLog.open(folder) as log:
        size = log.size
        assert least <= size <= most
        assert log.published in {300, 500}
        assert list(log.entries()) == entries(0, size) and log.root_at(size) == root(size)
        log.append(entries(size, 1900))
        log.publish(note(log))
        assert log.root_at(1900) == root(1900)
    full = {tile_path(level, index) for index in range(7) for level in (None, 0)}
    spare = files(folder) - full - {"checkpoint", *partial_paths(1900)}
    assert full <= files(folder) and not list((folder / ".tmp").iterdir())
    for level, index, width in map(parse_tile_path, spare):  # of earlier sizes, which a checkpoint may have had
        assert index == 1900 >> 8 * (level or 0) + 8 and width < 1900 >> 8 * (level or 0), spare


def _renames(monkeypatch: pytest.MonkeyPatch, allowed: int) -> Iterator[None]:
    rename, done = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal done
        if done == allowed:
            raise Cut
        done += 1
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        yield


@pytest.mark.parametrize("allowed", range(15))
def test_an_append_cut_at_any_file_is_made_good(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    folder = shutil.copytree(begun, tmp_path / "log")
    for _ in _renames(monkeypatch, allowed):
        log = TileLog.open(folder)
        with pytest.raises(Cut):
            log.append(entries(500, 1800))
        with pytest.raises(Misconfigured, match="open it again"):
            log.append(entries(500, 1800))
        log.close()
    _continues(folder, 500, 1800)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_files_of_the_last_batch_may_be_missing(
    begun: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """After a power failure some of the names may be gone that were not yet synced: any of the batch's."""
    folder = shutil.copytree(begun, tmp_path_factory.mktemp("cut") / "log")
    before = files(folder)
    old = {path: (folder / path).read_bytes() for path in before}
    with TileLog.open(folder) as log:
        log.append(entries(500, 1800))
    for path in sorted(files(folder) - before):
        if data.draw(st.booleans(), path):
            (folder / path).unlink()
    for path, content in old.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / ".tmp" / "17").write_bytes(b"half a ti")
    _continues(folder, 500, 1800)


def test_nothing_past_a_hole_comes_back(begun: Path, tmp_path: Path) -> None:
    """What lay behind the hole could be of another history than what is appended next."""
    folder = shutil.copytree(begun, tmp_path / "log")
    with TileLog.open(folder) as log:
        log.append(entries(500, 1800))
    (folder / "tile/entries/003").unlink()
    for stray in ("tile/entries/003.p/9", "tile/0/003.p/9"):
        (folder / stray).parent.mkdir()
        (folder / stray).write_bytes(b"half")
    with TileLog.open(folder) as log:
        assert log.size == 768
        past = {path for path in files(folder) if path != "checkpoint" and parse_tile_path(path)[1] >= 3}
        assert past == set() and not (folder / "tile/entries/007.p").exists()


def test_a_checkpoint_cut_short_leaves_the_one_before(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(begun, tmp_path / "log")
    for _ in _renames(monkeypatch, 0):
        with TileLog.open(folder) as log, pytest.raises(Cut):
            log.publish(note(log))
    with TileLog.open(folder) as log:
        assert (log.published, log.size) == (300, 500)


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/entries/001.p/44", "tile/0/000", "tile/0/001.p/44"])
def test_what_the_checkpoint_promised_is_missed(tmp_path: Path, path: str) -> None:
    """At the log's end when it is opened, before when it is read; hashes at the end follow from the entries."""
    with TileLog.open(tmp_path) as log:
        log.append(entries(0, 300))
        log.publish(note(log))
    (tmp_path / path).unlink()
    if path == "tile/0/001.p/44":
        with TileLog.open(tmp_path) as log:
            assert log.root_at(300) == root(300), "made again"
        return
    with pytest.raises(Corrupt, match=path.partition(".")[0]), TileLog.open(tmp_path) as log:
        list(log.entries())


@pytest.mark.parametrize("path", ["tile/entries/001.p/44", "tile/0/000", "tile/1/000.p/1"])
def test_a_changed_tile_is_noticed_when_the_log_is_opened(tmp_path: Path, path: str) -> None:
    with TileLog.open(tmp_path) as log:
        log.append(entries(0, 300))
        log.publish(note(log))
    content = bytearray((tmp_path / path).read_bytes())
    content[-1] ^= 1
    (tmp_path / path).write_bytes(content)
    with pytest.raises(Corrupt):
        TileLog.open(tmp_path)


def test_a_reader_names_the_tile_that_is_wrong(tmp_path: Path) -> None:
    with TileLog.open(tmp_path) as log:
        log.append(entries(0, 300))
    (tmp_path / "tile/0/000").write_bytes(bytes(8191))
    (tmp_path / "tile/entries/000").write_bytes(pack_entries(entries(0, 255)))
    reader = Tiles.of_folder(tmp_path, 300)
    with pytest.raises(BadTile, match=r"tile/0/000 has 8,191 bytes"):
        reader.leaf(0)
    with pytest.raises(BadTile, match=r"tile/entries/000 holds 255 entries"):
        reader.entry(0)
    (tmp_path / "tile/entries/000").write_bytes(pack_entries(entries(0, 256))[:-1])
    with pytest.raises(BadTile, match=r"tile/entries/000 is damaged"):
        reader.entry(0)
    with pytest.raises(BadTile, match=r"tile/0/002.p/88 is missing"):
        Tiles(folder_reader(tmp_path), 600).leaf(599)


def test_a_small_log_has_the_root_of_the_definition(tmp_path: Path) -> None:
    with TileLog.open(tmp_path) as log:
        for size in range(1, 70):
            log.append(entries(size - 1, size))
            assert log.root_at(size) == root_of([leaf_hash(entry) for entry in entries(0, size)])


def test_a_file_gets_its_name_once_it_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is synced before it is renamed, and every folder after; the checkpoint comes after all of them."""
    steps: list[tuple[str, str]] = []
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        steps.append(("rename", str(self)))
        steps.append(("to", str(target.parent)))
        return rename(self, target)

    monkeypatch.setattr(
        os, "fsync", lambda handle: steps.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
    )
    monkeypatch.setattr(Path, "replace", replace)
    with TileLog.open(tmp_path) as log:
        steps.clear()
        log.append(entries(0, 700))
        appended = len(steps)
        log.publish(note(log))
    for at, (what, path) in enumerate(steps):
        if what == "rename":
            assert ("sync", path) in steps[:at]
        if what == "to":
            rest = steps[at:appended] if at < appended else steps[at:]
            assert ("sync", path) in rest, "the folder's own names are synced before the next batch"
    for made in ("tile", "tile/0", "tile/entries"):
        assert ("sync", str(tmp_path / made)) in steps[:appended], "so are the names of new folders"
    assert ("sync", str(tmp_path)) in steps[:appended]
