"""What distribution's read models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from services.distribution.contract import ItemLine, PackedLine, People, distribution
from shared.contract import Contract
from shared.projection import Projection

BANDS: Final[Mapping[str, str]] = dict.fromkeys(("child", "adult", "senior", "unknown"), "integer")
"""Columns: how many people, by age."""


class DistributionProjection(Projection):
    """A read model of the stream DISTRIBUTION. Summing over aggregates, it is incomplete while an event is parked.

    A row, or a column that several aggregates speak of, never depends on which of them was folded first: an event that
    was parked comes late.
    """

    contracts: ClassVar[Mapping[str, Contract]] = {"DISTRIBUTION": distribution}
    sums = True


def events_of(*categories: str) -> frozenset[type]:
    """The events of whole categories of aggregates."""
    return frozenset(spec.cls for spec in distribution.events.values() if spec.category in categories)


def by_age(people: People) -> dict[str, int]:
    """The values of BANDS."""
    return {"child": people.child, "adult": people.adult, "senior": people.senior, "unknown": people.unknown}


def quantities(lines: Iterable[ItemLine | PackedLine]) -> dict[str, int]:
    """How much of each item, its lots taken together."""
    found: dict[str, int] = {}
    for line in lines:
        found[line.item] = found.get(line.item, 0) + line.quantity
    return found


def fill(row: dict[str, Any] | None, columns: Iterable[str]) -> dict[str, Any]:
    """A row's columns, each of them null until it is known."""
    return dict.fromkeys(columns) if row is None else row
