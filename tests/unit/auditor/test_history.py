"""The history of checkpoints: what is published is there once, and by size, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.auditor.checkpoint import unverified
from services.auditor.history import History
from services.auditor.offline import verify_folder
from services.auditor.opened import Keys, history
from services.auditor.tiles import TileLog
from tests.support.jars import AUDITED, Jars, note_of, publish, signed, write_log

MIDNIGHT = datetime(2026, 11, 27, tzinfo=UTC)


def test_a_clock_that_is_set_back_over_midnight_changes_nothing_before(tmp_path: Path) -> None:
    moments = [-2, 1, -1, -86_400 * 3, 2, 86_400]
    for size, seconds in enumerate(moments):
        History(tmp_path).add(note_of(size, bytes(32)), MIDNIGHT + timedelta(seconds=seconds))
    files = sorted((tmp_path / "checkpoints").iterdir())
    assert [file.stem for file in files] == ["2026-11-26", "2026-11-27", "2026-11-28"]
    assert [len(file.read_bytes().splitlines()) for file in files] == [1, 4, 1]
    assert [unverified(line.note.encode()).size for _, line in history(tmp_path)] == list(range(len(moments)))


def test_a_line_that_a_crash_cut_makes_room_for_the_next(tmp_path: Path) -> None:
    History(tmp_path).add(note_of(1, bytes(32)), MIDNIGHT)
    (file,) = (tmp_path / "checkpoints").iterdir()
    whole = file.read_bytes()
    for cut in (1, 30, len(whole) - 1):
        file.write_bytes(whole + whole[:cut])
        History(tmp_path).add(note_of(2, bytes(32)), MIDNIGHT)
        assert [unverified(line.note.encode()).size for _, line in history(tmp_path)] == [1, 2]
    file.write_bytes(whole[:20])
    History(tmp_path).add(note_of(2, bytes(32)), MIDNIGHT)
    assert [unverified(line.note.encode()).size for _, line in history(tmp_path)] == [2]


def test_what_was_published_last_is_not_added_again_after_a_clock_was_set_back(tmp_path: Path) -> None:
    for seconds in (1, -1, -1):
        History(tmp_path).add(note_of(7, bytes(32)), MIDNIGHT + timedelta(seconds=seconds))
    assert len(list(history(tmp_path))) == 1


@pytest.mark.parametrize("files", ["011011", "000100", "101010", "210210"])
def test_an_honest_log_whose_clock_was_set_back_passes(tmp_path: Path, files: str) -> None:
    """As it was written before: each checkpoint in the file of the day that the clock said."""
    folder = write_log(tmp_path, Jars.filled(100).raws, every=200)
    jars = Jars.filled(700)
    (folder / "checkpoints" / "2026-11-20.jsonl").unlink()
    with TileLog.open(folder) as log:
        for number, day in enumerate(files):
            log.append(jars.raws[log.size : (number + 2) * 100])
            note = signed(log)
            log.publish(note)
            publish(folder, note, f"2026-11-2{day}")
    report = verify_folder(tmp_path, Keys(), audited=AUDITED, jobs=1)
    assert report.ok, report.first_problem
    assert [unverified(line.note.encode()).size for _, line in history(folder)] == [200, 300, 400, 500, 600, 700]
