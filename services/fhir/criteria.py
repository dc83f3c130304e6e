"""What a search asks of a resource: tokens, names and dates, compared as FHIR says.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from services.fhir.entry import Resource


class BadSearch(ValueError):
    """A search that cannot be answered as it stands; the text says what is wrong with it."""


class Kind(StrEnum):
    """FHIR's types of search parameters, those that are used here."""

    TOKEN = "token"  # noqa: S105  # a kind of parameter
    STRING = "string"
    DATE = "date"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Token:
    """`system|code`; None of what is not asked for, an empty system for codes that have none."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """A date or a moment as the time that it may stand for, from `start` to before `end`, and how to compare."""

    compare: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Criterion:
    """One search parameter: any of `values` will do. Values are Token, Span, or a text in the form of `folded`."""

    name: str
    kind: Kind
    values: tuple[Any, ...]


_PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le")
_UNKNOWN_PREFIXES: Final = ("sa", "eb", "ap")
_DATE: Final = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?)?)?", re.ASCII
)
_LONGEST: Final = 200
_MOST: Final = 50
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC)


# -- reading a parameter ----------------------------------------------------------------------------------------------


def criterion(name: str, kind: Kind, text: str) -> Criterion:
    """A parameter as it is asked. Raises BadSearch."""
    values = parts(name, text)
    match kind:
        case Kind.TOKEN:
            return Criterion(name, kind, tuple(_token(name, value) for value in values))
        case Kind.DATE:
            return Criterion(name, kind, tuple(_span(name, value) for value in values))
        case _:
            return Criterion(name, kind, tuple(folded(value) for value in values))


def parts(name: str, text: str) -> list[str]:
    """What stands between commas; a comma behind a backslash is one itself."""
    found = [re.sub(r"\\([\\,$|])", r"\1", part).strip() for part in re.split(r"(?<!\\),", text)]
    if not all(found) or len(found) > _MOST or any(len(one) > _LONGEST for one in found):
        raise BadSearch(f"{name} has an empty or an over-long value, or more than {_MOST}.")
    return found


def _token(name: str, text: str) -> Token:
    system, bar, code = text.rpartition("|")
    if not bar:
        return Token(None, text)
    if not system and not code:
        raise BadSearch(f"{name} asks for a token without system and code.")
    return Token(system, code or None)


def _span(name: str, text: str) -> Span:
    compare = "eq"
    if text[:2] in _UNKNOWN_PREFIXES:
        raise BadSearch(f"{name} compares with {text[:2]}, which is not known here. Use {', '.join(_PREFIXES)}.")
    if text[:2] in _PREFIXES:
        compare, text = text[:2], text[2:]
    try:
        start, end = interval(text)
    except (ValueError, OverflowError):
        raise BadSearch(f"{name} is no date such as 2026, 2026-11, 2026-11-20 or 2026-11-20T09:30:00Z.") from None
    return Span(compare, start, end)


def interval(text: str) -> tuple[datetime, datetime]:
    """The time that a FHIR date stands for. Raises ValueError. Without an offset it is UTC."""
    found = _DATE.fullmatch(text.replace(" ", "+"))  # an unescaped + is a blank in a query
    if found is None:
        raise ValueError("no date")
    year, month, day, hour, minute, second, offset = found.groups()
    if month is None:
        start = datetime(int(year), 1, 1, tzinfo=UTC)
        return start, start.replace(year=start.year + 1) if start.year < 9999 else _LAST
    if day is None:
        start = datetime(int(year), int(month), 1, tzinfo=UTC)
        return start, start + timedelta(days=calendar.monthrange(start.year, start.month)[1])
    if hour is None:
        start = datetime(int(year), int(month), int(day), tzinfo=UTC)
        return start, start + timedelta(days=1)
    start = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{offset or 'Z'}")
    return start.astimezone(UTC), (start + timedelta(seconds=1 if second else 60)).astimezone(UTC)


def folded(text: str) -> str:
    """A text without case and accents, as names are compared."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(one for one in plain if not unicodedata.combining(one)).split())


# -- comparing --------------------------------------------------------------------------------------------------------

Finder = Callable[[Resource], Iterable[Any]]
"""Where a parameter looks: tokens as (system, code), texts, or dates as (start, end)."""


def matches(resource: Resource, criteria: Iterable[Criterion], finders: Mapping[str, Finder]) -> bool:
    """Whether a resource meets all criteria."""
    return all(_meets(criterion, list(finders[criterion.name](resource))) for criterion in criteria)


def _meets(criterion: Criterion, found: list[Any]) -> bool:
    match criterion.kind:
        case Kind.TOKEN:
            return any(_same(token, system, code) for token in criterion.values for system, code in found)
        case Kind.DATE:
            return any(_within(span, *each) for span in criterion.values for each in found)
        case _:
            return any(_begins(value, folded(text)) for value in criterion.values for text in found)


def _same(token: Token, system: str | None, code: str | None) -> bool:
    return (token.system is None or token.system == (system or "")) and (token.code is None or token.code == code)


def _begins(value: str, text: str) -> bool:
    return text.startswith(value) or any(word.startswith(value) for word in text.split())


def _within(span: Span, start: datetime, end: datetime) -> bool:
    inside = span.start <= start and end <= span.end
    match span.compare:
        case "eq":
            return inside
        case "ne":
            return not inside
        case "gt":
            return end > span.end
        case "lt":
            return start < span.start
        case "ge":
            return end > span.end or inside
        case _:
            return start < span.start or inside


# -- where to look ----------------------------------------------------------------------------------------------------


def codes(concept: Any) -> Iterator[tuple[str | None, str | None]]:
    """The codes of a CodeableConcept, of several, of a Coding, or a bare code."""
    if isinstance(concept, list):
        for one in concept:
            yield from codes(one)
    elif isinstance(concept, str):
        yield None, concept
    elif isinstance(concept, Mapping):
        for coding in concept.get("coding") or ([concept] if "code" in concept else ()):
            yield coding.get("system"), coding.get("code")


def identifiers(resource: Resource) -> Iterator[tuple[str | None, str | None]]:
    for one in resource.get("identifier") or ():
        yield one.get("system"), one.get("value")


def names(resource: Resource) -> Iterator[str]:
    for one in resource.get("name") or ():
        yield from (one[key] for key in ("text", "family") if one.get(key))
        yield from one.get("given") or ()


def dates(value: Any) -> Iterator[tuple[datetime, datetime]]:
    """The time that a date, a moment or a Period stands for; a Period without an end goes on."""
    if isinstance(value, str):
        start, end = interval(value)
        yield start, end
    elif isinstance(value, Mapping):
        start = interval(value["start"])[0] if "start" in value else _FIRST
        yield start, interval(value["end"])[1] if "end" in value else _LAST
