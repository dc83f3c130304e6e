"""The JSON values of a file that somebody else made: one document, or JSON Lines, one value a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from services.imports.plan import Refused, shown
from services.imports.source import BOM, CHUNK, MAX_LINE, check_text, open_text
from shared.errors import Invalid

MAX_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of a file that is one JSON document, which has to be held whole; larger ones come as JSON Lines."""


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON value of a file and the line on which it begins."""

    line: int
    value: Any


def is_json(path: Path) -> bool:
    """Whether a file begins as JSON does; the name does not matter."""
    try:
        with path.open("rb") as file:
            return file.read(CHUNK).removeprefix(BOM).lstrip()[:1] in (b"{", b"[")
    except OSError:
        return False


def documents(path: Path) -> Iterator[Document | Refused]:
    """The JSON values of a file: one, if it is one document, or one a line (JSON Lines).

    A line that is not JSON is yielded as Refused. Raises Invalid for what is wrong with the file as a whole.
    """
    check_text(path)
    if _is_lines(path):
        check_text(path, MAX_LINE)
        return _lines(path)
    return iter([_whole(path)])


def _is_lines(path: Path) -> bool:
    """JSON Lines, by name or because the first line is a whole JSON object with another line after it."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return True
    with path.open("rb") as file:
        first = b""
        while not first.strip():
            first = file.readline(MAX_LINE + 1).removeprefix(BOM)
            if not first:
                return False
        if len(first) > MAX_LINE or not first.lstrip().startswith(b"{"):
            return False
        rest = file.read(CHUNK).strip()
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError):
        return False
    return bool(rest)


def _lines(path: Path) -> Iterator[Document | Refused]:
    decoder = msgspec.json.Decoder()
    with open_text(path) as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                yield Document(number, decoder.decode(text))
            except (msgspec.DecodeError, RecursionError) as error:
                yield Refused(number, f"is not a JSON value: {_json_fault(text, error)}", shown(text, 60))


def _whole(path: Path) -> Document:
    size = path.stat().st_size
    if size > MAX_DOCUMENT:
        raise Invalid(
            f"{path.name} is one JSON document of {size:,} bytes; at most {MAX_DOCUMENT:,} are read at once. "
            "Give it as JSON Lines, one value a line.",
            file=path.name,
        )
    data = path.read_bytes().removeprefix(BOM)
    try:
        return Document(1, msgspec.json.decode(data))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"{path.name} is not a JSON document: {_json_fault(data, error)}.", file=path.name) from error


def _json_fault(text: str | bytes, error: Exception) -> str:
    """The decoder's complaint, with the byte it gives turned into a line, and truncation called by its name."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    message = str(error)
    if "truncated" in message:
        return "it ends in the middle; the file may have been cut off while it was copied"
    data = text.encode() if isinstance(text, str) else text
    found = re.search(r"byte (\d+)", message)
    at = int(found[1]) if found else 0
    line = data.count(b"\n", 0, at) + 1
    where = f" (line {line} of it)" if b"\n" in data.rstrip() else ""
    return message.removeprefix("JSON is malformed: ") + where
