"""Every checkpoint that a log published, a file of lines a day: {"time": "…", "note": "…"}.

A file only grows while it is the newest: with a clock that was set back, it goes on in that of the later day.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from services.auditor.checkpoint import unverified
from services.auditor.layout import history_file, history_folder
from services.auditor.notes import BadNote
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
        file = max([history_file(self._folder, at), *_files(self._folder)[-1:]])  # never one before the newest
        new = not file.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab+") as opened:
            opened.truncate(_whole_lines(opened))  # a crash may have cut the line before
            opened.write(msgspec.json.encode(Published(at.isoformat(), text)) + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
        if new:
            sync_folder(file.parent)
        self._last = text


def by_size(
    files: Iterable[Path], lines: Callable[[Path], Iterator[tuple[str, Published]]]
) -> Iterator[tuple[str, Published]]:
    """What `lines` gives of each file, those of smaller checkpoints first: where a clock was set back over midnight,
    the file of the earlier day has later ones too. In a file all stay in their order."""
    opened = []
    for number, file in enumerate(files):  # one after the other: a year has more than may be open at once
        for first in _sized(lines(file)):
            opened.append((first[0], number, file))
            break
    waiting = sorted(opened, reverse=True)
    merged: list[tuple[int, int, tuple[str, Published], Iterator[tuple[int, tuple[str, Published]]]]] = []
    while waiting or merged:
        while waiting and (not merged or waiting[-1][0] <= merged[0][0]):
            _, number, file = waiting.pop()
            _advance(merged, number, _sized(lines(file)))
        if merged:
            _, number, line, rest = heapq.heappop(merged)
            yield line
            _advance(merged, number, rest)


def _advance(
    merged: list[tuple[int, int, tuple[str, Published], Iterator[tuple[int, tuple[str, Published]]]]], number: int,
    rest: Iterator[tuple[int, tuple[str, Published]]],
) -> None:  # fmt: skip
    for size, line in rest:
        heapq.heappush(merged, (size, number, line, rest))
        break


def _sized(lines: Iterator[tuple[str, Published]]) -> Iterator[tuple[int, tuple[str, Published]]]:
    """Each line with its size; one that is no checkpoint, which others say, with that of the one before it."""
    size = 0
    for line in lines:
        with suppress(BadNote, ValueError):
            size = unverified(line[1].note.encode()).size
        yield size, line


def _files(folder: Path) -> list[Path]:
    return sorted(history_folder(folder).glob("*.jsonl"))


def _whole_lines(opened: BinaryIO) -> int:
    """How many bytes of a file are whole lines."""
    end = opened.seek(0, os.SEEK_END)
    opened.seek(max(0, end - _LONGEST))
    tail = opened.read()
    return end - len(tail) + tail.rfind(b"\n") + 1


def _last_note(folder: Path) -> str | None:
    files = _files(folder)
    if not files:
        return None
    last = None
    with files[-1].open("rb") as opened:
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _LONGEST))
        end = opened.read()
    for line in end.splitlines()[-1:]:
        try:
            last = msgspec.json.decode(line, type=Published).note
        except ValueError:
            last = None
    return last
