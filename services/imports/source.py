"""Opening a text file that somebody else made: encoding, columns and line numbers, in bounded memory.

A file is looked through once before anything is taken from it, so that a file which is broken as a whole (not UTF-8,
cut off inside a quotation, a missing column) is refused with one error and nothing of it is used. Afterwards it is
streamed: one record at a time, with the line number that an editor shows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from services.imports.plan import Refused, shown
from shared.errors import Invalid

MAX_LINE: Final = 1_000_000
"""Bytes in one line of a CSV or JSON Lines file."""

CHUNK: Final = 1 << 16
_DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab"}
BOM: Final = b"\xef\xbb\xbf"
_FOREIGN: Final = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PK\x03\x04": "a spreadsheet or a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a CSV file: the line on which it begins, and its cells by column name, stripped of blanks."""

    line: int
    cells: dict[str, str]


def check_text(path: Path, max_line: int | None = None) -> None:
    """Refuse a file that is not readable UTF-8 text, or that has a line of more than `max_line` bytes.

    Raises Invalid, naming the line and the byte, for: no such file, empty, another format, NUL bytes, bytes that are
    not UTF-8, an over-long line. Never holds more than a chunk of it.
    """
    try:
        with path.open("rb") as file:
            _check_bytes(path, iter(lambda: file.read(CHUNK), b""), max_line)
    except OSError as error:
        raise Invalid(f"{path.name} cannot be opened: {error.strerror}.", file=path.name) from error


def _check_bytes(path: Path, chunks: Iterator[bytes], max_line: int | None) -> None:
    """The decoder's state is carried by hand: `kept` is what a chunk's end cut in two (a character, or CR from LF)."""
    offset, line, length, kept, blank = 0, 1, 0, b"", True
    for index, chunk in enumerate(chunks):
        if index == 0:
            check_magic(path, chunk)
        data = kept + chunk
        done = _decodable(path, data, line, offset)
        if done.endswith(b"\r"):
            done = done[:-1]
        kept = data[len(done) :]
        for piece in done.splitlines(keepends=True):
            length += len(piece)
            if max_line is not None and length > max_line + 2:
                raise _too_long(path, line, max_line)
            if piece.endswith((b"\n", b"\r")):
                line, length = line + 1, 0
        blank = blank and not done.removeprefix(BOM).strip()
        offset += len(done)
    if kept.strip(b"\r"):
        raise _not_utf8(path, line, offset, kept[0])
    if blank:
        raise Invalid(f"{path.name} is empty.", file=path.name)


def _decodable(path: Path, data: bytes, line: int, offset: int) -> bytes:
    """The part of `data` that decodes, which is all of it but for a character cut in two at its end."""
    nul = data.find(b"\0")
    if nul >= 0:
        where = line + len((data[:nul] + b".").splitlines()) - 1
        raise _broken(path, where, offset + nul, "there is a NUL byte; the file is damaged or is not text")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            where = line + len((data[: error.start] + b".").splitlines()) - 1
            raise _not_utf8(path, where, offset + error.start, data[error.start]) from error
        return data[: error.start]
    return data


def check_magic(path: Path, head: bytes) -> None:
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise Invalid(
                f"{path.name} is {what}, not plain text. Save or unpack it as CSV or JSON in UTF-8.", file=path.name
            )


def _broken(path: Path, line: int, offset: int, what: str) -> Invalid:
    return Invalid(f"{path.name}, line {line}, byte {offset}: {what}.", file=path.name, line=line, byte=offset)


def _not_utf8(path: Path, line: int, offset: int, byte: int) -> Invalid:
    return _broken(path, line, offset, f"0x{byte:02x} is not UTF-8; save the file again with the encoding UTF-8")


def _too_long(path: Path, line: int, limit: int) -> Invalid:
    return Invalid(
        f"{path.name}, line {line}: the line is longer than {limit:,} bytes. "
        "Check that the file has line breaks and is of the form expected.",
        file=path.name, line=line,
    )  # fmt: skip


# -- CSV ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a CSV form knows; `required` must be there, the others may.

    With `others`, columns that are not known are passed over; else the file is refused for them.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    others: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        return self.required + self.optional


def rows(path: Path, columns: Columns) -> Iterator[Row | Refused]:
    """The records of a CSV file, after the whole file has been looked through.

    Comma, semicolon and tab are told apart by the header. A record with more or fewer cells than the header is
    yielded as Refused. Raises Invalid for what is wrong with the file as a whole.
    """
    check_text(path, MAX_LINE)
    delimiter, header = _header(path, columns)
    for _ in _records(path, delimiter):
        pass
    return _rows(path, delimiter, header)


def _rows(path: Path, delimiter: str, header: Sequence[str]) -> Iterator[Row | Refused]:
    records = _records(path, delimiter)
    for _ in records:
        break
    for line, cells in records:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            yield Refused(
                line,
                f"has {len(cells)} cells where the header has {len(header)} (separator: {_DELIMITERS[delimiter]}); "
                "put a cell that holds the separator in quotation marks",
                shown(delimiter.join(cells), 60),
            )
            continue
        yield Row(line, {name: cell.strip() for name, cell in zip(header, cells, strict=True)})


def open_text(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", newline="")


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins on; blank lines before the header are passed over."""
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        begins, started = 1, False
        try:
            for cells in reader:
                if cells and (started or any(cell.strip() for cell in cells)):
                    started = True
                    yield begins, cells
                begins = reader.line_num + 1
        except csv.Error as error:
            raise Invalid(
                f"{path.name}, line {begins}: the record that begins here cannot be read ({error}). "
                "A quotation mark is probably missing or doubled.",
                file=path.name, line=begins,
            ) from error  # fmt: skip


def header(path: Path) -> frozenset[str]:
    """The columns that a file's first record names, whichever separator stands between them."""
    check_text(path, MAX_LINE)
    return frozenset(name for _, names, _ in _headers(path) for name in names)


def likeliest_header(path: Path, known: Collection[str]) -> list[str]:
    """The columns that a file's first record names, under the separator that finds most of the known ones."""
    check_text(path, MAX_LINE)
    return _likeliest(path, known)[1]


def _likeliest(path: Path, known: Collection[str]) -> tuple[str, list[str], int]:
    return max(_headers(path), key=lambda each: sum(name in known for name in each[1]))


def _header(path: Path, columns: Columns) -> tuple[str, list[str]]:
    """The delimiter under which the header names most known columns, and the names."""
    delimiter, names, line = _likeliest(path, columns.known)
    _check_columns(path, line, names, columns)
    return delimiter, names


def _headers(path: Path) -> list[tuple[str, list[str], int]]:
    """What the header is under each delimiter, without those that do not stand behind its quotation marks."""
    found: list[tuple[str, list[str], int]] = []
    error: Invalid | None = None
    for delimiter in _DELIMITERS:
        try:
            line, cells = next(_records(path, delimiter), (1, []))
        except Invalid as refusal:
            error = error or refusal
        else:
            found.append((delimiter, [column_name(cell) for cell in cells], line))
    if not found and error is not None:
        raise error
    return found


def column_name(cell: str) -> str:
    """How a column's name is compared: in lower case, with underscores for blanks and hyphens."""
    return re.sub(r"[\s-]+", "_", cell.strip().lower())


def _check_columns(path: Path, line: int, names: list[str], columns: Columns) -> None:
    problems = []
    if missing := [name for name in columns.required if name not in names]:
        problems.append("it lacks the columns " + ", ".join(missing))
    unknown = [shown(name, 40) or "(no name)" for name in names if name not in columns.known]
    if unknown and not columns.others:
        problems.append("it has columns that are not known: " + ", ".join(unknown[:20]))
    if twice := sorted(
        {name for name in names if names.count(name) > 1 and (name in columns.known or not columns.others)}
    ):
        problems.append("it names twice: " + ", ".join(shown(name, 40) or "(no name)" for name in twice))
    if problems:
        optional = f"; it may have {', '.join(columns.optional)}" if columns.optional else ""
        raise Invalid(
            f"{path.name}, line {line}: the header does not fit, {'; '.join(problems)}. "
            f"It must have {', '.join(columns.required)}{optional}; "
            "the columns may be separated by commas, semicolons or tabs.",
            file=path.name, line=line,
        )  # fmt: skip
