"""What inventory's read models have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from services.inventory.contract import Movement, inventory
from shared.contract import Contract
from shared.projection import Projection


class InventoryProjection(Projection):
    """A read model of the stream INVENTORY. Summing over aggregates, it is incomplete while an event is parked."""

    contracts: ClassVar[Mapping[str, Contract]] = {"INVENTORY": inventory}
    sums = True


def events_of(*categories: str) -> frozenset[type]:
    """The events of whole categories of aggregates."""
    return frozenset(spec.cls for spec in inventory.events.values() if spec.category in categories)


def movements() -> frozenset[type]:
    """The events that move stock."""
    return frozenset(spec.cls for spec in inventory.events.values() if issubclass(spec.cls, Movement))
