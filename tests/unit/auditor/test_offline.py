"""`commons verify FOLDER` finds every attack on a copy of the logs, and names stream, sequence and aggregate."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from services.auditor import offline
from services.auditor.merkle import EMPTY_ROOT
from services.auditor.notes import Cosigner, Signer
from services.auditor.offline import verify_folder
from services.auditor.opened import Keys, open_log
from services.auditor.receipt import Receipt
from services.auditor.report import Report
from services.auditor.tiles import CHECKPOINT, TileLog, pack_entries, split_entries, tile_path
from shared.errors import Invalid
from shared.event import decode_envelope
from tests.support.jars import AUDITED, LOG, WITNESSES, Jars, history, newest, note_of, publish, signed, write_log

EVENTS = 1000
KEYS = Keys((LOG.verifier,), tuple(one.verifier for one in WITNESSES), 2)


def verified(logs: Path, keys: Keys = KEYS, **options: Any) -> Report:
    return verify_folder(logs, keys, audited=AUDITED, patience=0.05, **{"jobs": 1, **options})


def where(report: Report) -> tuple[str, Any, Any]:
    """The check that found the first thing wrong, and the sequence and subject that it names."""
    assert report.first is not None, "nothing was found"
    assert report.first.facts["stream"] == "TOY"
    return report.first.name.partition(": ")[2], report.first.facts.get("sequence"), report.first.facts.get("subject")


@pytest.fixture
def jars() -> Jars:
    return Jars.filled(EVENTS)


def change(folder: Path, path: str, edit: Callable[[bytes], bytes]) -> None:
    file = folder / path
    before = file.read_bytes()
    after = edit(before)
    assert after != before
    file.write_bytes(after)


def change_entries(folder: Path, bundle: int, edit: Callable[[list[bytes]], None], width: int = 256) -> None:
    """Write the entries of a bundle anew, as somebody does who knows the format."""

    def edited(raw: bytes) -> bytes:
        entries = split_entries(raw)
        edit(entries)
        return pack_entries(entries)

    change(folder, tile_path(None, bundle, width), edited)


# -- whole ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [1, 255, 256, 257, EVENTS])
def test_a_whole_copy_passes_and_says_how_much_was_checked(tmp_path: Path, events: int) -> None:
    write_log(tmp_path, Jars.filled(events).raws)
    report = verified(tmp_path)
    assert report.ok, report.first_problem
    counts = {check.name: check.count for check in report.checks}
    assert counts == {
        "toy: newest checkpoint": 3, "toy: chain": events, "toy: root": events, "toy: aggregates": min(events, 7),
        "toy: checkpoints": -(-events // 100),
    }  # fmt: skip
    assert report.notes == []


def test_a_log_that_was_signed_before_its_first_event_is_whole(tmp_path: Path) -> None:
    folder = write_log(tmp_path, [])
    (folder / CHECKPOINT).write_bytes(note_of(0, EMPTY_ROOT))
    report = verified(tmp_path)
    assert report.ok, report.first_problem
    (folder / CHECKPOINT).write_bytes(note_of(0, bytes(32)))
    assert not verified(tmp_path).ok


def test_several_processes_find_the_same(tmp_path: Path, jars: Jars, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "_SMALL", 0)
    monkeypatch.setattr(offline, "_HASHED", 1)
    folder = write_log(tmp_path, jars.raws)
    told: list[tuple[str, int, int]] = []
    report = verify_folder(tmp_path, KEYS, lambda *each: told.append(each), audited=AUDITED, jobs=2)
    assert report.ok and {check.count for check in report.checks} == {3, EVENTS, 7, 10}
    assert any(done == total == 2 * EVENTS for _, done, total in told)
    change_entries(folder, 1, lambda entries: entries.__setitem__(3, jars[260].replace(b"sam", b"tom")))
    assert where(verified(tmp_path, jobs=2)) == ("root", 260, "ledger.toy.jar.j0")


def test_keys_out_of_the_folder_are_said_to_prove_little(tmp_path: Path, jars: Jars) -> None:
    write_log(tmp_path, jars.raws)
    report = verified(tmp_path, Keys())
    assert report.ok
    assert any("not who signed it" in note for note in report.notes)


def test_a_log_that_is_not_there_is_named(tmp_path: Path, jars: Jars) -> None:
    write_log(tmp_path, jars.raws)
    report = verify_folder(tmp_path, KEYS, audited={**AUDITED, "other": AUDITED["toy"]}, jobs=1)
    assert report.ok and report.notes == ["There is no log of other here, and nothing is known of it."]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(Invalid, match="holds no log"):
        verified(tmp_path / "nothing")


def test_a_line_of_history_that_a_crash_cut_is_passed_over(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    with (folder / "checkpoints" / "2026-11-20.jsonl").open("ab") as file:
        file.write(b'{"time": "2026-11')
    assert verified(tmp_path).ok
    with (folder / "checkpoints" / "2026-11-20.jsonl").open("ab") as file:
        file.write(b'"}\n')
    assert "no checkpoint" in str(verified(tmp_path).first_problem)


@pytest.mark.parametrize("broken", [b"garb{\n", b"\xff\xfe\n", b"\n"])
def test_a_line_of_history_that_was_made_illegible_is_found(tmp_path: Path, jars: Jars, broken: bytes) -> None:
    """Whoever breaks a line may want to hide the checkpoint in it."""
    folder = write_log(tmp_path, jars.raws)
    file = folder / "checkpoints" / "2026-11-20.jsonl"
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + broken + b"".join(rest))
    assert "line 2" in str(verified(tmp_path).first_problem)


@pytest.mark.parametrize("what", ["garbage", "nothing", "a folder", "a link"])
def test_a_checkpoint_file_that_is_none_is_named(tmp_path: Path, jars: Jars, what: str) -> None:
    checkpoint = write_log(tmp_path, jars.raws) / CHECKPOINT
    checkpoint.unlink()
    match what:
        case "garbage":
            checkpoint.write_bytes(b"\xff\x00garbage")
        case "nothing":
            checkpoint.write_bytes(b"")
        case "a folder":
            checkpoint.mkdir()
        case _:
            checkpoint.symlink_to("/etc/hostname")
    report = verified(tmp_path)
    assert not report.ok and "toy/checkpoint" in str(report.first_problem)


def test_an_entry_file_that_is_a_folder_is_named(tmp_path: Path, jars: Jars) -> None:
    bundle = write_log(tmp_path, jars.raws) / tile_path(None, 0)
    bundle.unlink()
    bundle.mkdir()
    report = verified(tmp_path)
    assert not report.ok and "is no file" in str(report.first_problem)


# -- entries ----------------------------------------------------------------------------------------------------------


def test_a_byte_changed_in_an_entry(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    change_entries(folder, 1, lambda entries: entries.__setitem__(44, jars[301].replace(b"sam", b"tom")))
    report = verified(tmp_path)
    assert where(report) == ("root", 301, "ledger.toy.jar.j6")
    assert "is not the one in tile/0/001" in str(report.first_problem)


def test_a_byte_changed_that_breaks_the_json(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    change_entries(folder, 0, lambda entries: entries.__setitem__(9, jars[10].replace(b"{", b"[", 1)))
    assert where(verified(tmp_path)) == ("chain", 10, "")


def rewritten(tmp_path: Path, jars: Jars, edit: Callable[[list[bytes]], None]) -> Report:
    """The whole log made anew after an edit, tiles and all, under the checkpoint that was signed before."""
    note = newest(write_log(tmp_path / "before", jars.raws))
    edit(jars.raws)
    folder = write_log(tmp_path, jars.raws)
    (folder / CHECKPOINT).write_bytes(note)
    return verified(tmp_path)


def test_an_event_dropped(tmp_path: Path, jars: Jars) -> None:
    found = rewritten(tmp_path, jars, lambda raws: raws.__delitem__(500))
    assert where(found) == ("chain", 508 - 1, "ledger.toy.jar.j3")  # its successor, one place earlier


def test_an_event_inserted(tmp_path: Path, jars: Jars) -> None:
    strange = Jars.filled(500).add("j3", 9)[501]
    assert where(rewritten(tmp_path, jars, lambda raws: raws.insert(500, strange)))[:2] == ("chain", 502)


def test_events_reordered(tmp_path: Path, jars: Jars) -> None:
    def swap(raws: list[bytes]) -> None:
        raws[500], raws[507] = raws[507], raws[500]

    assert where(rewritten(tmp_path, jars, swap)) == ("chain", 501, "ledger.toy.jar.j3")


def test_events_of_different_aggregates_reordered_are_seen_by_the_root(tmp_path: Path, jars: Jars) -> None:
    def swap(raws: list[bytes]) -> None:
        raws[500], raws[501] = raws[501], raws[500]

    report = rewritten(tmp_path, jars, swap)
    assert where(report) == ("root", None, None)
    assert "they are not those that pantry/commons/toy signed" in str(report.first_problem)


def test_an_event_replayed(tmp_path: Path, jars: Jars) -> None:
    found = rewritten(tmp_path, jars, lambda raws: raws.insert(600, raws[500]))
    assert where(found) == ("chain", 601, "ledger.toy.jar.j3")


def test_an_event_replayed_at_the_end_and_signed(tmp_path: Path, jars: Jars) -> None:
    write_log(tmp_path, [*jars.raws, jars.raws[500]])
    assert where(verified(tmp_path)) == ("chain", 1001, "ledger.toy.jar.j3")


def test_a_command_recorded_twice(tmp_path: Path) -> None:
    """Two events with one id, each well made and well signed."""
    jars = Jars.filled(300)
    jars.add("other", 1, id=decode_envelope(jars[77]).id)
    write_log(tmp_path, jars.raws)
    report = verified(tmp_path)
    assert where(report) == ("chain", 301, "ledger.toy.jar.other")
    assert "was there before, at event 77" in str(report.first_problem)


def test_an_aggregate_forked(tmp_path: Path, jars: Jars) -> None:
    """Two events that follow the same one, both signed: the operator wrote two histories of one aggregate."""
    fork = Jars.filled(500)
    fork.add("j3", 2)
    jars.raws.append(fork[501])
    write_log(tmp_path, jars.raws)
    assert where(verified(tmp_path)) == ("chain", 1001, "ledger.toy.jar.j3")


def test_a_balance_changed(tmp_path: Path) -> None:
    """The event says another figure than those before it lead to, and all was signed so."""
    jars = Jars.filled(700)
    jars.add("j0", 1, left=999)
    write_log(tmp_path, jars.raws)
    assert where(verified(tmp_path)) == ("aggregates", 701, "ledger.toy.jar.j0")


def test_a_stock_below_zero(tmp_path: Path) -> None:
    jars = Jars.filled(70)
    jars.add("j2", -11)
    write_log(tmp_path, jars.raws)
    assert where(verified(tmp_path)) == ("aggregates", 71, "ledger.toy.jar.j2")


# -- the end ----------------------------------------------------------------------------------------------------------


def test_the_tail_cut(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    (folder / tile_path(None, 3, 232)).unlink()
    report = verified(tmp_path)
    assert where(report)[:2] == ("root", 901), "an older bundle has those before"
    assert "it is missing" in str(report.first_problem)
    shutil.rmtree(folder / "tile" / "entries" / "003.p")
    assert where(verified(tmp_path))[:2] == ("root", 769)


def test_a_bundle_truncated(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    change(folder, tile_path(None, 2), lambda raw: raw[:-5])
    assert where(verified(tmp_path))[:2] == ("root", 768)


def test_a_bundle_with_fewer_entries(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    change_entries(folder, 2, lambda entries: entries.__delitem__(slice(100, None)))
    assert where(verified(tmp_path))[:2] == ("root", 613)


def test_the_tail_cut_and_an_older_checkpoint_put_in_its_place(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path / "long", jars.raws)
    short = write_log(tmp_path, jars.raws[:600])
    assert verified(tmp_path).ok, "who cuts the history of checkpoints as well shows a shorter log that is whole"
    for note in history(folder)[6:]:
        publish(short, note)
    report = verified(tmp_path)
    assert where(report)[:2] == ("checkpoints", 601)
    assert "events 601 to 700 are missing" in str(report.first_problem)


def test_a_checkpoint_that_was_kept_elsewhere_shows_a_tail_that_was_cut(tmp_path: Path, jars: Jars) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(newest(write_log(tmp_path / "long", jars.raws)))
    write_log(tmp_path, jars.raws[:600])
    assert where(verified(tmp_path, known=[kept]))[:2] == ("known checkpoint", 601)
    (tmp_path / "whole").mkdir()
    write_log(tmp_path / "whole", jars.raws)
    report = verified(tmp_path / "whole", known=[kept])
    assert report.ok and report.checks[-1].count == 1


def test_a_receipt_that_was_kept_is_a_known_checkpoint(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    kept = tmp_path / "kept.tlog-proof"
    kept.write_text(Receipt(0, (), history(folder)[4], b"x").text())
    report = verified(tmp_path, known=[kept])
    assert report.ok and "of 500 events, begins this log" in report.checks[-1].detail


def test_a_log_that_one_knows_of_and_that_is_not_here(tmp_path: Path, jars: Jars) -> None:
    write_log(tmp_path, jars.raws)
    other = Signer.generate("pantry/commons/other")
    report = verified(tmp_path, Keys((*KEYS.logs, other.verifier), KEYS.witnesses, 2))
    assert "A key of the log pantry/commons/other was given" in str(report.first_problem)
    kept = tmp_path / "kept"
    kept.write_bytes(note_of(5, bytes(32), signer=other))
    assert "no such log is here" in str(verified(tmp_path, known=[kept]).first_problem)
    with pytest.raises(Invalid, match="There is no file"):
        verified(tmp_path, known=[tmp_path / "nothing"])


def test_entries_beyond_the_newest_checkpoint(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws[:600])
    with TileLog.open(folder) as log:
        log.append(jars.raws[600:700])
    report = verified(tmp_path)
    assert where(report)[0] == "root" and "goes beyond the newest checkpoint" in str(report.first_problem)


def test_a_log_that_grows_meanwhile_is_checked_as_it_was(
    tmp_path: Path, jars: Jars, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_log(tmp_path, jars.raws[:600])
    whole = offline._root

    def grow(*given: Any) -> Any:
        if (folder / "tile" / "entries" / "001").exists() and not (folder / "tile" / "entries" / "002").exists():
            with TileLog.open(folder) as log:
                log.append(jars.raws[600:800])
                note = signed(log)
                log.publish(note)
                publish(folder, note)
                log.append(jars.raws[800:])
        return whole(*given)

    monkeypatch.setattr(offline, "_root", grow)
    report = verified(tmp_path)
    assert report.ok, report.first_problem
    assert any("is being written to" in note for note in report.notes)


# -- tiles and checkpoints --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "index", "width"), [(0, 0, 256), (0, 3, 232), (1, 0, 3)])
def test_a_hash_tile_changed_or_gone(tmp_path: Path, jars: Jars, level: int, index: int, width: int) -> None:
    folder = write_log(tmp_path, jars.raws)
    path = tile_path(level, index, width)
    change(folder, path, lambda raw: bytes([raw[0] ^ 1]) + raw[1:])
    report = verified(tmp_path)
    assert where(report)[0] == "root"
    assert f"The hash tile {path}" in str(report.first_problem) and "the tile was changed" in str(report.first_problem)
    (folder / path).unlink()
    assert "missing" in str(verified(tmp_path).first_problem)


def test_an_older_partial_tile_that_is_not_how_the_full_one_began(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    (folder / "tile/entries/001.p").mkdir()
    (folder / "tile/entries/001.p/9").write_bytes(b"another story")
    report = verified(tmp_path)
    assert "is not the beginning of the tile" in str(report.first_problem)


def test_a_checkpoint_signed_again_over_another_history_with_the_real_key(tmp_path: Path, jars: Jars) -> None:
    """Events, tiles and the newest checkpoint are of one piece; the history of checkpoints tells."""
    old = history(write_log(tmp_path / "before", jars.raws[:500]))
    other = Jars.filled(480)
    for number in range(480, EVENTS):
        other.add(f"j{number % 7}", 1, left=number // 7 + 1, authid="mallory")
    folder = write_log(tmp_path, other.raws)
    assert verified(tmp_path).ok
    (folder / "checkpoints" / "2026-11-20.jsonl").unlink()
    for note in [*old, newest(folder)]:
        publish(folder, note)
    report = verified(tmp_path)
    assert where(report)[:2] == ("checkpoints", 500)
    assert "signed two histories" in str(report.first_problem)


def test_a_checkpoint_of_more_events_than_there_are(tmp_path: Path) -> None:
    """Whoever made the copy signed it, so it may say any number: only what is there takes time and memory."""
    folder = write_log(tmp_path, Jars.filled(300).raws)
    (folder / CHECKPOINT).write_bytes(note_of(2 * 10**11, bytes(32)))
    log = open_log(folder, "toy", KEYS)
    assert log is not None and len(list(islice(offline._pieces(log, 2), 100))) == 3
    report = verified(tmp_path)
    assert report.first is not None and report.first.facts["sequence"] == 301
    assert "it is missing, and the checkpoint is of 200,000,000,000 events" in str(report.first_problem)


def test_a_checkpoint_smaller_than_the_one_before_it(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    publish(folder, history(folder)[3])
    assert "a log never shrinks" in str(verified(tmp_path).first_problem)


def test_a_newest_checkpoint_over_other_entries(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    (folder / CHECKPOINT).write_bytes(note_of(EVENTS, bytes(32)))
    report = verified(tmp_path)
    assert where(report)[0] == "root"


def test_a_signature_that_another_key_made(tmp_path: Path, jars: Jars) -> None:
    forger = Signer.generate(LOG.name)
    write_log(tmp_path, jars.raws, signer=forger)
    assert verified(tmp_path, Keys()).ok, "a copy that was forged from end to end agrees with itself"
    report = verified(tmp_path)
    assert "is not signed by pantry/commons/toy" in str(report.first_problem)


def test_a_key_of_another_log(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    other = Signer.generate("other/commons/toy")
    report = verified(tmp_path, Keys((other.verifier,)))
    assert "The log pantry/commons/toy was not checked" in str(report.first_problem)
    (folder / "keys" / "log.vkey").write_text(str(other.verifier))
    assert "it is of the log pantry/commons/toy" in str(verified(tmp_path, Keys()).first_problem)


def test_witnesses_that_are_missing(tmp_path: Path, jars: Jars) -> None:
    write_log(tmp_path, jars.raws, cosigned=1)
    report = verified(tmp_path)
    assert "is cosigned by 1 of the witnesses" in str(report.first_problem)
    assert verified(tmp_path, Keys(KEYS.logs, KEYS.witnesses, 1)).ok
    stranger = Cosigner.generate("elsewhere/witness")
    assert not verified(tmp_path, Keys(KEYS.logs, (stranger.verifier,), 1)).ok


def test_a_signature_in_the_history_that_does_not_hold(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    text = (folder / "checkpoints" / "2026-11-20.jsonl").read_text()
    (folder / "checkpoints" / "2026-11-20.jsonl").write_text(text.replace("toy\\n300\\n", "toy\\n301\\n"))
    report = verified(tmp_path)
    assert report.first is not None and report.first.name == "toy: checkpoints"
    assert "line 3" in str(report.first_problem) and "does not fit the text" in str(report.first_problem)


def test_a_log_without_a_checkpoint(tmp_path: Path, jars: Jars) -> None:
    folder = write_log(tmp_path, jars.raws)
    (folder / CHECKPOINT).unlink()
    assert "has no checkpoint" in str(verified(tmp_path).first_problem)


@pytest.mark.parametrize("path", [CHECKPOINT, "tile/entries/000", "tile/0/000", "keys/log.vkey"])
def test_a_link_or_a_pipe_in_a_files_place_is_not_read(tmp_path: Path, jars: Jars, path: str) -> None:
    folder = write_log(tmp_path, jars.raws)
    file = folder / path
    file.rename(tmp_path / "moved")
    file.symlink_to(tmp_path / "moved")
    assert not verified(tmp_path, Keys()).ok
    file.unlink()
    os.mkfifo(file)
    assert not verified(tmp_path, Keys()).ok
