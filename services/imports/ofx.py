"""OFX files as a tree of elements: version 1, which is SGML with end tags left out, and version 2, which is XML.

Version 2 goes through Python's own XML parser, which is told to refuse any document type before it reads one, so no
entity is ever declared or expanded. Version 1 is read by the few rules that OFX has: a tag with text behind it is a
value and ends there, one without holds others and must be closed. What fits neither is refused with its line.
https://financialdataexchange.org/ofx, section 2.4 of the specifications 1.6 and 2.3
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import unescape

from shared.errors import Invalid

_DEEPEST: Final = 50
_TOKEN: Final = re.compile(r"<(/?)([A-Za-z0-9._]{1,64})\s*>([^<]*(?:<!\[CDATA\[.*?\]\]>[^<]*)*)", re.DOTALL)
_CDATA: Final = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_CHARSET: Final = re.compile(rb"^\s*CHARSET\s*:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_ENTITIES: Final = {"&quot;": '"', "&apos;": "'", "&nbsp;": "\u00a0"}
_CODECS: Final = {"1252": "cp1252", "1250": "cp1250", "1251": "cp1251", "ISO-8859-1": "latin-1", "8859-1": "latin-1"}


def is_ofx(data: bytes) -> bool:
    """Whether a file's beginning is that of an OFX file, of either version."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").upper()
    return head.startswith((b"OFXHEADER", b"<OFX>")) or b"<?OFX" in head


def read_ofx(path: Path, data: bytes) -> Element:
    """The root element, `OFX`. Raises Invalid, with the line, when the file is malformed, cut off or has a DOCTYPE."""
    data = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    root = _xml(path, data) if data.startswith(b"<?xml") else _sgml(path, _text(data))
    if root.tag != "OFX":
        raise Invalid(f"{path.name} holds a {root.tag[:40]} document, not OFX.", file=path.name)
    return root


def _broken(path: Path, line: int, what: str) -> Invalid:
    return Invalid(
        f"{path.name}, line {line}: {what}. Download the statement again; nothing of it was used.",
        file=path.name, line=line,
    )  # fmt: skip


# -- version 2 --------------------------------------------------------------------------------------------------------


def _xml(path: Path, data: bytes) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, _attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise _broken(path, parser.CurrentLineNumber, f"tags stand more than {_DEEPEST} deep in each other")
        builder.start(tag, {})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def declared(*_what: object) -> None:
        raise _broken(path, parser.CurrentLineNumber, _DECLARED)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = declared
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _broken(path, error.lineno, f"it is not well-formed XML ({expat.ErrorString(error.code)})") from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise _broken(path, 1, f"its encoding cannot be read ({error})") from error
    return builder.close()


_DECLARED: Final = "it declares a document type or entities, which no bank statement needs and which can do harm"


# -- version 1 --------------------------------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    """The text of a version 1 file. Banks write UTF-8 whatever the header says; else it is the charset it names."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        named = _CHARSET.search(data[:4096])
        codec = _CODECS.get(named[1].decode("ascii", "replace").upper(), "cp1252") if named else "cp1252"
        return data.decode(codec, "replace")


def _sgml(path: Path, text: str) -> Element:
    """The tree of a version 1 body. An element that is empty and not closed is noticed when its parent is closed."""
    begins = text.upper().find("<OFX>")
    if begins < 0:
        raise _broken(path, 1, "there is no <OFX> in it")
    top = Element("top")
    stack, closed, at = [top], "", begins
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            line = text.count("\n", 0, at) + 1
            raise _broken(path, line, _DECLARED if text.startswith("<!", at) else "a tag is cut off or malformed")
        ends, tag, value = found[1], found[2].upper(), found[3].strip()
        if ends and tag != closed:
            _close(path, stack, tag, text, at)
        if ends and value:
            raise _broken(path, text.count("\n", 0, at) + 1, f"there is text behind </{tag}>")
        closed = ""
        if not ends:
            element = SubElement(stack[-1], tag)
            if value:
                element.text, closed = _value(value), tag
            elif len(stack) > _DEEPEST:
                raise _broken(path, text.count("\n", 0, at) + 1, f"more than {_DEEPEST} tags are not closed")
            else:
                stack.append(element)
        at = found.end()
    if len(stack) > 1:
        raise _broken(path, text.count("\n") + 1, f"the file ends in the middle: <{stack[1].tag}> is not closed")
    if len(top) != 1:
        raise _broken(path, 1, "it holds more than one <OFX>")
    return top[0]


def _close(path: Path, stack: list[Element], tag: str, text: str, at: int) -> None:
    """Close an element. Those opened since and not closed were empty values: what follows them is their parent's."""
    if tag not in (element.tag for element in stack[1:]):
        raise _broken(path, text.count("\n", 0, at) + 1, f"</{tag}> closes what was not opened")
    while stack[-1].tag != tag:
        empty = stack.pop()
        stack[-1].extend(list(empty))
        empty[:] = []
    stack.pop()


def _value(raw: str) -> str:
    """A value without its markup; what stands in a CDATA section is taken as it is."""
    parts = _CDATA.split(raw)
    return "".join(part if number % 2 else unescape(part, _ENTITIES) for number, part in enumerate(parts)).strip()
