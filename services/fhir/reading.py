"""Reading a resource that somebody else wrote, and knowing afterwards what of it was not read.

Each element is wrapped in a Node, which remembers what was asked of it. What was never asked for is what the clinic
does not understand: it is listed by its path, so that nothing is lost unseen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar

_BLANK: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")

TEXT: Final = 200
NOTE: Final = 2000


_KINDS: Final = frozenset({
    "usual", "official", "temp", "nickname", "anonymous", "old", "maiden", "secondary", "home", "work", "mobile",
    "billing", "phone", "fax", "email", "pager", "url", "sms", "other",
})  # fmt: skip
"""Codes by which R4 tells names, addresses, numbers and identifiers apart."""

E = TypeVar("E", bound=StrEnum)


class NotTaken(Exception):
    """A resource is rightly not taken, such as one entered in error: it is left out, and the reason counted."""


class Unusable(Exception):
    """A resource should be taken and cannot be: it is refused, and somebody looks at it."""


@dataclass
class Reading:
    """One resource being read: notes on what was taken otherwise than it stands, and where names are looked up."""

    notes: list[tuple[str, str]] = field(default_factory=list)
    """Path and sentence, neither with anything of the person's in it."""
    named: Callable[[str], str | None] = lambda _reference: None
    """The name of what a reference leads to, if the resource does not say it: a practitioner's, a place's."""
    medication: Callable[[str], Mapping[str, Any] | None] = lambda _reference: None
    """The Medication that a reference leads to."""

    def note(self, path: str, sentence: str) -> None:
        self.notes.append((path, sentence))


class Node:
    """An element of a resource."""

    __slots__ = ("_children", "_data", "_read", "path", "reading")

    def __init__(self, data: Mapping[str, Any], path: str, reading: Reading) -> None:
        self._data = data
        self._read: set[str] = set()
        self._children: dict[str, list[Node]] = {}
        self.path = path
        self.reading = reading

    @classmethod
    def of(cls, resource: Mapping[str, Any], reading: Reading | None = None) -> Node:
        """A whole resource; its type, id, meta and narrative are not the mapping's concern."""
        node = cls(resource, str(resource["resourceType"]), reading or Reading())
        node.skip("resourceType", "id", "meta", "text", "language", "contained")
        return node

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def skip(self, *names: str) -> None:
        """Take note of elements that say nothing which is to be kept."""
        self._read.update(names)

    def note(self, name: str, sentence: str) -> None:
        self.reading.note(f"{self.path}.{name}" if name else self.path, sentence)

    # -- values -------------------------------------------------------------------------------------------------------

    def raw(self, name: str) -> Any:
        self._read.add(name)
        return self._data.get(name)

    def string(self, name: str) -> str | None:
        """A text or a code as it stands; None when it is missing or blank. Raises Unusable when it is none."""
        found = self.raw(name)
        if found is None:
            return None
        if not isinstance(found, str):
            raise Unusable(f"{self.path}.{name} is not a text")
        return found if found.strip() else None

    def text(self, name: str, limit: int = TEXT) -> str | None:
        """One line for people: blanks made single, cut to what fits here."""
        found = self.string(name)
        return None if found is None else self.line(name, found, limit)

    def line(self, name: str, text: str, limit: int = TEXT) -> str | None:
        flat = _BLANK.sub(" ", text).strip()
        if len(flat) > limit:
            self.note(name, f"cut to {limit:,} characters")
            flat = flat[: limit - 1].rstrip() + "…"
        return flat or None

    def texts(self, name: str, limit: int = TEXT) -> list[str]:
        found = self.raw(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found if one is not None):
            raise Unusable(f"{self.path}.{name} is not a list of texts")
        lines = [self.line(name, one, limit) for one in found if one is not None]
        return [line for line in lines if line]

    def flag(self, name: str) -> bool | None:
        found = self.raw(name)
        if found is not None and not isinstance(found, bool):
            raise Unusable(f"{self.path}.{name} is neither true nor false")
        return found

    def number(self, name: str) -> Decimal | None:
        found = self.raw(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float | Decimal):
            raise Unusable(f"{self.path}.{name} is not a number")
        made = Decimal(str(found)) if isinstance(found, float) else Decimal(found)
        if not made.is_finite():
            raise Unusable(f"{self.path}.{name} is not a number")
        return made

    # -- elements within ----------------------------------------------------------------------------------------------

    def node(self, name: str) -> Node | None:
        found = self.raw(name)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise Unusable(f"{self.path}.{name} is not an element")
        return self._child(name, [found])[0]

    def nodes(self, name: str) -> list[Node]:
        found = self.raw(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Unusable(f"{self.path}.{name} is not a list of elements")
        return self._child(name, found)

    def first(self, name: str) -> Node | None:
        return next(iter(self.nodes(name)), None)

    def _child(self, name: str, found: list[Any]) -> list[Node]:
        if name not in self._children:
            self._children[name] = [Node(one, f"{self.path}.{name}", self.reading) for one in found]
        return self._children[name]

    # -- what was left ------------------------------------------------------------------------------------------------

    def kind(self) -> str:
        """Which of several elements of one name it is, in a word of R4's that says nothing of anybody."""
        words = [one for key in ("system", "use") if isinstance(one := self._data.get(key), str) and one in _KINDS]
        return " ".join(words) or "another"

    def untouched(self) -> bool:
        return not self._read and not any(self._children.values())

    def unread(self) -> Iterator[str]:
        """The path of every element that nobody asked for."""
        for name, found in self._data.items():
            if name in self._children:
                for child in self._children[name]:
                    if child.untouched() and child._data:
                        yield f"{child.path}[{child.kind()}]" if isinstance(found, list) else child.path
                    else:
                        yield from child.unread()
            elif name == "extension" and isinstance(found, list):
                for one in found:
                    url = one.get("url") if isinstance(one, dict) else None
                    yield f"{self.path}.extension[{_named(url)}]"
            elif name not in self._read:
                yield f"{self.path}.{_named(name)}"


def _named(url: Any) -> str:
    """The last part of an extension's URL, fit for a report."""
    last = str(url).rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.:-]", "·", last)[:80]


def member(words: type[E], text: str | None) -> E | None:
    """A text as the word of a closed list that it is; None when it is none of them."""
    return next((one for one in words if one == text), None)


def paragraph(*sentences: str | None) -> str | None:
    """Sentences as one note, cut to what fits; None of nothing."""
    whole = " ".join(_CONTROL.sub(" ", one).strip() for one in sentences if one and one.strip())
    return None if not whole else whole if len(whole) <= NOTE else whole[: NOTE - 1] + "…"
