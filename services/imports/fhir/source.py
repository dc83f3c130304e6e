"""The resources of FHIR files, one at a time: ndjson with a resource a line, or a Bundle as one JSON document.

A file is never held as a whole. Of a Bundle as much is held as one of its entries needs, MAX_RESOURCE at most, and as
much again of what stands beside them, whatever the file's size.

What is wrong with one line, or with one entry that is JSON, leaves the others alone. A file that is no text is Invalid
as a whole, and a Bundle that breaks off or is no JSON. That is found where it stands: who reads takes nothing before
the file was read once to its end.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

from services.imports.source import BOM, check_magic
from shared.errors import Invalid

MAX_RESOURCE: Final = 4_000_000
"""Bytes of one line; characters of one entry of a Bundle, of all that stands beside its entries, or of one resource."""

_CHUNK: Final = 1 << 18
_BLANK: Final = " \t\r\n"
_BEGUN: Final = re.compile(r"[-+.0-9eE]*|t(ru?)?|f(a(ls?)?)?|n(ul?)?|\\?u[0-9a-fA-F]{0,4}")
"""What a number, a word or an escape may be cut to."""

_DEPTH: Final = 60
_TWICE: Final = "\0twice"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: a line, or in a Bundle an entry; from 1 on."""

    number: int
    entry: bool = False

    def __str__(self) -> str:
        return f"{'entry' if self.entry else 'line'} {self.number}"


@dataclass(frozen=True, slots=True)
class Found:
    """A resource and where it stands: its line, or the number of its entry in a Bundle. `fault` is why it is none."""

    file: str
    place: Place
    resource: dict[str, Any] | None = None
    full_url: str | None = None
    fault: str | None = None


class _Faulty(ValueError):
    """A piece of JSON that is not taken as it stands."""


def resources(path: Path) -> Iterator[Found]:
    """Every resource of a file.

    Raises Invalid for a file that cannot be opened, is empty or of another format; and, at the place where that shows,
    for one that is not UTF-8 and for a Bundle that is not whole.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise Invalid(f"{path.name} cannot be opened: {error.strerror}.", file=path.name) from error
    with file:
        head = file.read(_CHUNK)
        check_magic(path, head)
        begins = head.removeprefix(BOM).strip()
        if not begins:
            raise Invalid(f"{path.name} is empty.", file=path.name)
        _check_text(path, Place(1), head, whole=False)
        if not begins.startswith(b"{"):
            what = "is XML" if begins.startswith(b"<") else "does not begin with {"
            raise Invalid(
                f"{path.name} {what}: FHIR is read as JSON, a resource a line or a Bundle.", file=path.name
            )  # fmt: skip
        file.seek(0)
        yield from _document(path, file) if _is_document(path, begins) else _lines(path, file)


def _is_document(path: Path, head: bytes) -> bool:
    """Whether a file is one JSON document rather than one a line."""
    if path.suffix.lower() in (".ndjson", ".jsonl"):
        return False
    first, _, rest = head.partition(b"\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return not rest.strip()


# -- one resource a line ----------------------------------------------------------------------------------------------


def _lines(path: Path, file: IO[bytes]) -> Iterator[Found]:
    number = 0
    while line := file.readline(MAX_RESOURCE + 1):
        number += 1
        if len(line) > MAX_RESOURCE and not line.endswith(b"\n"):
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
            yield Found(path.name, Place(number), fault=f"the line is longer than {MAX_RESOURCE:,} bytes")
            continue
        if number == 1:
            line = line.removeprefix(BOM)
        if line.strip():
            yield _found(path, Place(number), line)


def _found(path: Path, place: Place, line: bytes) -> Found:
    _check_text(path, place, line)
    try:
        return Found(path.name, place, _resource(_read(line.decode())))
    except json.JSONDecodeError as error:
        if not line.endswith(b"\n") and error.pos >= len(line.decode().strip()):
            return Found(path.name, place, fault="the file breaks off within it: what stood behind it is missing too")
        return Found(path.name, place, fault=f"it is not JSON: at character {error.pos + 1}")
    except _Faulty as error:
        return Found(path.name, place, fault=str(error))
    except (ValueError, RecursionError, ArithmeticError):
        return Found(
            path.name, place, fault="it is not JSON that can be read: a number or a nesting is out of all reason"
        )


def _check_text(path: Path, place: Place, data: bytes, *, whole: bool = True) -> None:
    """Raises Invalid for bytes that are no UTF-8 text; unless they are `whole`, the last character may be cut."""
    at, what = data.find(b"\0"), "there is a NUL byte: the file is damaged, or is no text"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=whole)
    except UnicodeDecodeError as error:
        if at < 0 or error.start < at:
            at, what = error.start, "the file is not UTF-8 text. Save it again with the encoding UTF-8"
    if at < 0:
        return
    where = place if whole else Place(1 + data[:at].count(b"\n"))
    at -= data.rfind(b"\n", 0, at) + 1
    raise Invalid(f"{path.name}, {where}, byte {at + 1}: {what}.", file=path.name)


def _read(text: str) -> Any:
    return _DECODER.decode(text.strip())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one that names an element twice is marked, so that it alone is not taken."""
    made = dict(pairs)
    if len(made) != len(pairs):
        made[_TWICE] = True
    return made


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_float=Decimal)


def _resource(value: Any) -> dict[str, Any]:
    """A value that is a resource at all. Raises _Faulty."""
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise _Faulty("it is no resource: there is no resourceType")
    _sound(value)
    return value


def _sound(value: Any, depth: int = 0) -> None:
    if depth > _DEPTH:
        raise _Faulty(f"it is nested more than {_DEPTH} deep")
    if isinstance(value, dict):
        if _TWICE in value:
            raise _Faulty("it names one element twice: which of the two is meant cannot be known")
        for name, one in value.items():
            _sound(name)
            _sound(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _sound(one, depth + 1)
    elif isinstance(value, float):
        raise _Faulty("it is not JSON: NaN and Infinity are no numbers")
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Faulty("it holds half a character (a lone surrogate)") from None


# -- a Bundle ---------------------------------------------------------------------------------------------------------


class _Text:
    """A window on a JSON document that moves forward: what was taken is dropped, more is read when it is needed."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._before = 0
        self._ended = False

    @property
    def place(self) -> int:
        """How many characters of the document were taken."""
        return self._before + self._at

    def _more(self) -> bool:
        """Reads on; False at the end of the file."""
        if self._ended:
            return False
        chunk = self._file.read(_CHUNK)
        self._ended = not chunk
        try:
            read = self._decode.decode(chunk, final=self._ended)
        except UnicodeDecodeError:
            raise Invalid(f"{self._path.name} is not UTF-8 text.", file=self._path.name) from None
        self._before += self._at
        self._text, self._at = self._text[self._at :] + read, 0
        return True

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def expect(self, characters: str) -> str:
        found = self.peek()
        if not found or found not in characters:
            raise self.broken()
        self._at += 1
        return found

    def value(self) -> Any:
        """The next JSON value, whole. Raises Invalid when there is none within MAX_RESOURCE characters."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or self._ended:  # a number may go on behind what was read
                    self._at = end
                    return value
            except json.JSONDecodeError:
                pass
            if len(self._text) - self._at > MAX_RESOURCE:
                raise Invalid(
                    f"{self._path.name} is not JSON, or has an element of more than {MAX_RESOURCE:,} characters.",
                    file=self._path.name,
                )  # fmt: skip
            wanted = 2 * (len(self._text) - self._at)
            before = self._ended
            while len(self._text) - self._at < wanted and self._more():
                pass
            if before:
                raise self.broken()

    def broken(self) -> Invalid:
        """What is wrong where nothing can be read further; a value that the file's end cuts is one that breaks off."""
        rest = self._text[self._at :].strip()
        if self._ended and (not rest or _cut(rest)):
            return Invalid(f"{self._path.name} breaks off: it was not written, or not copied, to its end.")
        return Invalid(f"{self._path.name} is not JSON from character {self.place + 1:,} on.")


def _cut(text: str) -> bool:
    """Whether what makes a text no JSON is that it ends."""
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        return error.msg.startswith("Unterminated string") or _BEGUN.fullmatch(rest) is not None
    except (ValueError, RecursionError, ArithmeticError):
        return False
    return True


class _Others(dict[str, Any]):
    """What a document holds beside its entries: all of it while it may be one resource; of a Bundle the names alone."""

    def __init__(self) -> None:
        super().__init__()
        self._bundle = False
        self._size = 0

    def is_bundle(self) -> None:
        self._bundle = True
        self._size = sum(map(len, self))
        self.update({name: None for name in self if name != "resourceType"})

    def take(self, name: str, value: Any, size: int) -> None:
        """Raises _Faulty when it is more, in all, than a resource may be."""
        dropped = self._bundle and name != "resourceType"
        self[name] = None if dropped else value
        self._size += len(name) + (0 if dropped else size)
        if (name, value) == ("resourceType", "Bundle"):
            self.is_bundle()
        if self._size > MAX_RESOURCE:
            raise _Faulty(f"what it holds beside entries has more than {MAX_RESOURCE:,} characters in all")


def _document(path: Path, file: IO[bytes]) -> Iterator[Found]:
    """The entries of a Bundle, or the one resource that a file is. Raises Invalid where it is no JSON document."""
    text = _Text(path, file)
    text.expect("{")
    others = _Others()
    number = 0
    try:
        while text.peek() != "}":
            name = text.value()
            text.expect(":")
            if not isinstance(name, str) or name in others:
                raise _Faulty("it names one element twice, or is no JSON object")
            if name == "entry" and others.get("resourceType", "Bundle") == "Bundle" and text.peek() == "[":
                others.is_bundle()
                others[name] = None
                for number, entry in enumerate(_elements(text), 1):
                    yield _entry(path, Place(number, entry=True), entry)
            else:
                text.peek()
                begins = text.place
                value = text.value()
                others.take(name, value, text.place - begins)
            if text.peek() == ",":
                text.expect(",")
            elif text.peek() != "}":
                raise text.broken()
        text.expect("}")
        if text.peek():
            raise Invalid(f"{path.name} has something behind the end of its document.", file=path.name)
    except Invalid as error:
        behind = f" {number:,} entries were read before that." if number else ""
        raise Invalid(f"{error.detail}{behind}", file=path.name) from None
    except _Faulty as error:
        raise Invalid(f"{path.name} cannot be read: {error}.", file=path.name) from None
    except (ValueError, RecursionError, ArithmeticError):
        raise Invalid(
            f"{path.name} is not JSON that can be read: a number or a nesting is out of all reason.", file=path.name
        ) from None
    if "entry" not in others or others["entry"] is not None:
        yield from _alone(path, others)


def _alone(path: Path, resource: dict[str, Any]) -> Iterator[Found]:
    if resource.get("resourceType") == "Bundle":
        return
    try:
        yield Found(path.name, Place(1), _resource(resource))
    except _Faulty as error:
        yield Found(path.name, Place(1), fault=str(error))


def _elements(text: _Text) -> Iterator[Any]:
    text.expect("[")
    if text.peek() == "]":
        text.expect("]")
        return
    while True:
        yield text.value()
        if text.expect(",]") == "]":
            return


def _entry(path: Path, place: Place, entry: Any) -> Found:
    if not isinstance(entry, Mapping):
        return Found(path.name, place, fault="an entry of a Bundle is an object")
    url = entry.get("fullUrl")
    method = entry["request"].get("method") if isinstance(entry.get("request"), Mapping) else None
    if method not in (None, "POST", "PUT"):
        return Found(
            path.name, place, fault=f"it asks for {str(method)[:10]}: only what says that something is, is read"
        )
    try:
        return Found(path.name, place, _resource(entry.get("resource")), url if isinstance(url, str) else None)
    except _Faulty as error:
        return Found(path.name, place, fault=str(error))
