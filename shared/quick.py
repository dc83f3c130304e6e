"""Many values of one class from JSON, checked in full and at the speed of msgspec.

pydantic takes some 12 µs for an entry with two postings, and says in plain words what is wrong. Here the same is read
twice by msgspec (as structs that know the bounds and refuse what has no place, and as the contract's own dataclasses),
and what msgspec cannot check, such as patterns, is checked once for each different text. What does not pass is not
refused here: it is read again by pydantic, whose word counts.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from enum import Enum
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic.fields import FieldInfo

from shared.message import same_text
from shared.personal import Sealed
from shared.types import FIRST_YEAR, LAST_YEAR, Date, Moment

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_LEAVES: Final = (str, int, bool, date, datetime, type(None))

_FINER: Final = re.compile(rb"\.[0-9]{7}")
"""More than microseconds, which msgspec rounds and pydantic cuts off."""

Check = Callable[[Iterable[Any]], bool]


class Quick:
    """Reads values of one annotated type, such as `Annotated[tuple[Line, ...], Field(max_length=8189)]`.

    Raises TypeError when it is made of something that cannot be checked here.
    """

    def __init__(self, annotation: Any) -> None:
        self._bounds = msgspec.json.Decoder(_twin(annotation))
        self._values = msgspec.json.Decoder(annotation)
        self._check = _check(annotation)
        self._moments = _holds_moments(annotation)

    def read(self, raw: bytes | msgspec.Raw) -> tuple[Any, bytes] | None:
        """The value and the JSON text that is written of it; None when it is not right, or cannot be known to be."""
        try:
            bounded = self._bounds.decode(raw)
            value = self._values.decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if self._check is not None and not self._check((value,)):
            return None
        written = _encode(value)
        given = bytes(raw)
        if self._moments and _FINER.search(given):
            return None
        # A member that stands twice, or in another order, or is left out because it has a default: then the text is
        # another. Most callers leave out what has a default, and so does the twin. Read without types and written
        # again, the text is another only if a member stands twice.
        if not (
            same_text(given, written) or same_text(given, _encode(bounded)) or same_text(given, _encode(_decode(given)))
        ):
            return None
        return value, written


def _twin(annotation: Any) -> Any:
    """The type as msgspec checks it: pydantic's bounds, and no members that are not declared."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        held = next((extra.holds for extra in annotation.__metadata__ if isinstance(extra, Sealed)), None)
        if held is not None:
            return _twin(held)  # and no text, as which the class reads it: pydantic reads what holds one
        bounds = _bounds(annotation)
        return Annotated[_twin(parts[0]), msgspec.Meta(**bounds)] if bounds else _twin(parts[0])
    if origin is tuple and parts[1:] == (...,):
        return tuple[_twin(parts[0]), ...]  # type: ignore[misc]
    if origin in (Union, types.UnionType):
        return Union[tuple(_twin(part) for part in parts)]  # noqa: UP007 - made of what is known at run time
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        hints = get_type_hints(annotation, include_extras=True)
        fields: list[Any] = []
        for field in dataclasses.fields(annotation):
            has_default = field.default is not dataclasses.MISSING
            fields.append((field.name, _twin(hints[field.name]), *((field.default,) if has_default else ())))
        return msgspec.defstruct(
            annotation.__name__, fields, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
        )
    if annotation in _LEAVES or origin is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return annotation
    raise TypeError(f"{annotation!r} cannot be read quickly")


def _holds_moments(annotation: Any) -> bool:
    if dataclasses.is_dataclass(annotation):
        return any(map(_holds_moments, get_type_hints(annotation, include_extras=True).values()))
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _holds_moments(parts[0])
    return annotation is datetime or any(map(_holds_moments, parts))


def _extras(annotation: Any) -> Iterator[Any]:
    """What pydantic and msgspec are told of a type, one by one."""
    for extra in annotation.__metadata__:
        if isinstance(extra, FieldInfo):
            yield from extra.metadata
        else:
            yield extra


def _bounds(annotation: Any) -> dict[str, Any]:
    """The bounds of a type, as msgspec.Meta takes them."""
    found: dict[str, Any] = {}
    for extra in _extras(annotation):
        for name in ("ge", "le", "gt", "lt", "min_length", "max_length"):
            bound = getattr(extra, name, None)
            if bound is not None:
                tighter = max if name.startswith(("g", "min")) else min
                found[name] = tighter(bound, found.get(name, bound))
    if annotation.__origin__ is datetime:
        found["tz"] = True
    return found


def _check(annotation: Any) -> Check | None:
    """What is left to be checked of many values of a type at once; None when nothing is."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation == Date:
        return lambda values: all(FIRST_YEAR <= value.year <= LAST_YEAR for value in set(values))
    if annotation == Moment:
        return lambda values: all(FIRST_YEAR < value.year < LAST_YEAR and value.tzinfo is UTC for value in set(values))
    if origin is Annotated:
        return _both(_pattern(annotation), _check(parts[0]))
    if origin is tuple:
        each = _check(parts[0])
        return None if each is None else lambda values: each(chain.from_iterable(values))
    if origin in (Union, types.UnionType):
        return _some(parts)
    if dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        checks = [(attrgetter(name), check) for name, hint in hints.items() if (check := _check(hint)) is not None]
        return (lambda values: _members(list(values), checks)) if checks else None
    return None


def _pattern(annotation: Any) -> Check | None:
    matches: list[Callable[[str], Any]] = []
    for extra in _extras(annotation):
        pattern = getattr(extra, "pattern", None)
        if isinstance(pattern, str):
            matches.append(re.compile(pattern).fullmatch)
        elif hasattr(extra, "func"):
            raise TypeError(f"{annotation!r} has a check of its own, which is not known here")
        elif not (isinstance(extra, msgspec.Meta | Sealed) or _is_bound(extra)):
            raise TypeError(f"{annotation!r} is marked with {extra!r}, which is not known here")
    if not matches:
        return None
    return lambda values: _all_match(set(values), matches)


def _is_bound(extra: Any) -> bool:
    return any(hasattr(extra, name) for name in ("ge", "le", "gt", "lt", "min_length", "max_length", "strict"))


def _all_match(texts: set[str], matches: list[Callable[[str], Any]]) -> bool:
    return all(None not in map(match, texts) for match in matches)


def _both(one: Check | None, other: Check | None) -> Check | None:
    if one is None or other is None:
        return one or other

    def check(values: Iterable[Any]) -> bool:
        kept = list(values)
        return one(kept) and other(kept)

    return check


def _some(parts: tuple[Any, ...]) -> Check | None:
    """Of a type that may be None."""
    others = [part for part in parts if part is not type(None)]
    if len(others) != 1:
        if any(_check(part) is not None for part in others):
            raise TypeError(f"{parts!r} cannot be told apart here")
        return None
    check = _check(others[0])
    return None if check is None else lambda values: check([value for value in values if value is not None])


def _members(values: list[Any], checks: list[tuple[attrgetter[Any], Check]]) -> bool:
    return all(check(map(member, values)) for member, check in checks)
