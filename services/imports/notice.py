"""What was read of a recall notice: codes, dates, and what is left to a person, each with where it stood."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """Something read, the fragment of the notice it was read from, and the notice's products it is about.

    `products` are the notice's own list numbers; none means all of them.
    """

    value: T
    fragment: str
    products: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DateRange:
    """Dates printed on the packages, first and last included; `lots` are those that the same clause names."""

    first: date
    last: date
    kind: str
    lots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a notice that a person has to read, and why."""

    fragment: str
    reason: str


@dataclass
class Codes:
    """All that a notice's text about codes yields."""

    lots: list[Found[str]] = field(default_factory=list)
    dates: list[Found[DateRange]] = field(default_factory=list)
    gtins: list[Found[str]] = field(default_factory=list)
    all_lots: list[Found[str]] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecallNotice:
    """One recall as a regulator published it, with all that could be read of its text.

    `id` is the regulator's number where there is one. `published` is the date of the report. Everything found names
    the fragment it was read from; what was not understood stands in `unread`.
    """

    id: str
    firm: str
    product: str
    reason: str
    classification: str
    product_type: str
    published: date | None
    gtins: tuple[Found[str], ...]
    lots: tuple[Found[str], ...]
    date_ranges: tuple[Found[DateRange], ...]
    all_lots: tuple[Found[str], ...]
    unread: tuple[Unread, ...]
