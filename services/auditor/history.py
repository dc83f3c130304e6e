"""Every checkpoint that a log published, a file of lines a day: {"time": "…", "note": "…"}."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from services.auditor.layout import history_file, history_folder
from shared.errors import Corrupt
from shared.masterkeys import sync_folder

_LONGEST = 1 << 20  # bytes of a line: a note has a hundred signatures at most


class Published(msgspec.Struct, frozen=True):
    """One line: when (UTC, ISO 8601), and the signed note as it was published."""

    time: str
    note: str


class History:
    """The history of one log, to be added to by its auditor."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = _last_note(folder)

    def add(self, note: bytes, at: datetime) -> None:
        """Add a checkpoint, on disk when this returns. The one that is there last is not added again."""
        text = note.decode()
        if text == self._last:
            return
        file = history_file(self._folder, at)
        new = not file.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab+") as opened:
            if opened.tell():
                opened.seek(-1, os.SEEK_END)
                if opened.read(1) != b"\n":
                    opened.write(b"\n")  # a crash cut the line before
            opened.write(msgspec.json.encode(Published(at.isoformat(), text)) + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
        if new:
            sync_folder(file.parent)
        self._last = text


def read_history(folder: Path) -> Iterator[Published]:
    """The checkpoints of a log's folder, the oldest first. A line that a crash cut is passed over.

    Raises Corrupt for any other that is not a checkpoint.
    """
    for file in sorted(history_folder(folder).glob("*.jsonl")):
        lines = file.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                yield msgspec.json.decode(line, type=Published)
            except msgspec.MsgspecError as error:
                if line.endswith(b"}"):
                    raise Corrupt(f"{file}, line {number}, is not a checkpoint: {error}.", path=str(file)) from error


def _last_note(folder: Path) -> str | None:
    files = sorted(history_folder(folder).glob("*.jsonl"))
    if not files:
        return None
    last = None
    with files[-1].open("rb") as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _LONGEST))
        end = opened.read()
    for line in end.splitlines()[-1:]:
        try:
            last = msgspec.json.decode(line, type=Published).note
        except msgspec.MsgspecError:
            last = None
    return last
