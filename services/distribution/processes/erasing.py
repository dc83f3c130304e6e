"""Erases households: once no order of theirs is open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.distribution.contract import (
    NoShowRecorded,
    OrderCancelled,
    OrderCompleted,
    OrderPlaced,
    distribution,
)
from shared import erasing
from shared.erasing import Person, some
from shared.erasure import Happened, Obstacle, Terms

_KIND = "household"


class Erasing(erasing.Erasing):
    """Remembers the open orders of each household."""

    reads = (Happened, OrderPlaced, OrderCancelled, NoShowRecorded, OrderCompleted)

    def __init__(self, terms: Terms) -> None:
        super().__init__(distribution, terms)
        self._orders: dict[str, set[str]] = {}

    def tie(self, event: Any) -> Iterable[Person]:
        match event:
            case OrderPlaced():
                self._orders.setdefault(event.household, set()).add(event.order)
                yield (_KIND, event.household)
            case OrderCancelled() | NoShowRecorded() | OrderCompleted():
                self._orders.get(event.household, set()).discard(event.order)
                yield (_KIND, event.household)

    def obstacles(self, person: Person) -> tuple[Obstacle, ...]:
        orders = self._orders.get(person[1])
        return (Obstacle(what="open orders", which=some(orders)),) if orders else ()
