"""The field types that every contract is written in.

Each alias carries its bounds twice: once for pydantic, which validates commands at the door, and once for msgspec,
which decodes events on the hot path. Every number is an integer that any consumer's JSON parser reads exactly
(RFC 8259 section 6, RFC 7493 section 2.2).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Final

from msgspec import Meta
from pydantic import AfterValidator, BeforeValidator, Field

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that an IEEE 754 double holds exactly with all its neighbours."""

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2199

_SHAPES: Final[dict[str, str]] = {}


def shaped(pattern: str, words: str) -> str:
    """A pattern, remembered with the words in which it is told to who typed something else."""
    _SHAPES[pattern] = words
    return pattern


def shape_of(pattern: str) -> str | None:
    """The words of a pattern; None when it has none."""
    return _SHAPES.get(pattern)


ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""One NATS subject token, safe in a file name and a URL: letters, digits, hyphen and underscore, 64 characters."""

COMMAND_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_:./-]{0,127}$"
"""A caller's own name for one command: a UUID, or a line number of an import."""

# No control characters (category Cc), and no blank text: \S somewhere in it.
TEXT_PATTERN: Final = shaped(
    r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$",
    "a text has no control characters, and is not blank",
)

Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=64), Meta(max_length=64)]
"""An aggregate's id, chosen by the caller."""

CommandId = Annotated[str, Field(pattern=COMMAND_ID_PATTERN, max_length=128), Meta(max_length=128)]

Text = Annotated[str, Field(pattern=TEXT_PATTERN, min_length=1, max_length=200), Meta(min_length=1, max_length=200)]
"""A short line of text for people."""

NOTE_PATTERN: Final = shaped(
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$", "a text has no control characters but tabs and line breaks"
)
"""No control characters but tab and line break: PostgreSQL's text cannot hold a NUL, and terminals act on others."""

Note = Annotated[str, Field(pattern=NOTE_PATTERN, min_length=1, max_length=2000), Meta(min_length=1, max_length=2000)]
"""A longer text for people; line breaks are allowed."""

Quantity = Annotated[int, Field(ge=1, le=MAX_INTEGER), Meta(ge=1, le=MAX_INTEGER)]
"""How much of something, in its base unit (each, g, ml); at least one."""

Amount = Annotated[int, Field(ge=0, le=MAX_INTEGER), Meta(ge=0, le=MAX_INTEGER)]
"""How much of something, in its base unit; zero is allowed."""

Delta = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER), Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
"""A change of a quantity, in its base unit; positive is in, negative is out."""

Revision = Annotated[int, Field(ge=1, le=MAX_INTEGER), Meta(ge=1, le=MAX_INTEGER)]
"""The number of an event in its aggregate: 1, 2, 3 …"""

Parts = Annotated[int, Field(ge=1, le=100_000), Meta(ge=1, le=100_000)]
"""How many parts a bulk request was cut into, each an event of its own; a request leaves it out."""


def _utc(value: object) -> object:
    """Refuse numbers (which pydantic would read as seconds since 1970) before they become a moment."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and not value[4:5] == "-"):
        raise ValueError("write a moment as 2026-11-20T09:30:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a moment needs its offset from UTC, for example 2026-11-20T09:30:00Z")
    if not FIRST_YEAR < value.year < LAST_YEAR:  # one year's room, so that the change to UTC stays in range
        raise ValueError(f"a moment lies between {FIRST_YEAR + 1} and {LAST_YEAR - 1}")
    return value.astimezone(UTC)


def _dated(value: object) -> object:
    if isinstance(value, (int, float)) or (isinstance(value, str) and not (len(value) == 10 and value[4] == "-")):
        raise ValueError("write a date as 2026-11-20")
    return value


def _in_range(value: date) -> date:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"a date lies between {FIRST_YEAR} and {LAST_YEAR}; leave it out if it is not known")
    return value


Moment = Annotated[datetime, Field(strict=False), BeforeValidator(_utc), AfterValidator(_in_utc), Meta(tz=True)]
"""An instant, in UTC, to the microsecond; RFC 3339 with an offset on the wire."""

Date = Annotated[date, Field(strict=False), BeforeValidator(_dated), AfterValidator(_in_range)]
"""A calendar date, as printed on a package: 2026-11-20."""

_ID = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Whether a text may be an aggregate's id."""
    return _ID.fullmatch(text) is not None
