"""Holds the stock of a location whose temperature left its limits, until somebody has looked at it.

Readings come every few minutes while a refrigerator is warm. What is there at a reading outside the limits is held,
each stock under one hold, which stays the same until a person has released it; a reading outside the limits after
that begins a new one. Goods that turn out to have been there at such a reading, because their arrival was recorded
late, are held when it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.contract import (
    MAX_MOVES,
    HoldReason,
    HoldReleased,
    HoldStock,
    Movement,
    StockHeld,
    TemperatureBreach,
    TemperatureRecorded,
    inventory,
)
from shared.event import Recorded
from shared.manager import Manager, Step


@dataclass
class _Place:
    """A location.

    `items` are those of which there is stock; `gone` says at which sequence of the stream an item was last found to
    be gone; `breached_at` and `note` tell of the latest reading outside the limits; `holds` names the hold of each
    item that was asked for and not released since; `arrived` are items of which more has come since then.
    """

    items: dict[str, None] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    breached_at: datetime | None = None
    note: str | None = None
    holds: dict[str, str] = field(default_factory=dict)
    arrived: set[str] = field(default_factory=set)


class Temperatures(Manager):
    """TemperatureRecorded outside the limits -> HoldStock, for each item that is there."""

    name = "temperatures"
    reads = (Movement, StockHeld, HoldReleased, TemperatureRecorded)

    def __init__(self) -> None:
        self._places: defaultdict[str, _Place] = defaultdict(_Place)

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case Movement() as movement:
                yield from self._move(event, movement)
            case TemperatureRecorded(breach=TemperatureBreach()) as reading:
                place = self._places[reading.location]
                if place.breached_at is None or reading.occurred_at > place.breached_at:
                    place.breached_at, place.note = reading.occurred_at, _said(reading)
                for item in place.items:
                    if item not in place.holds or item in place.arrived:
                        yield self._hold(event, reading.location, place, item)
            case StockHeld(reason=HoldReason.TEMPERATURE) as held if len(held.held) == MAX_MOVES:
                place = self._places[held.location]  # there were more lots than one event holds
                if place.holds.get(held.item) == held.hold:
                    yield self._hold(event, held.location, place, held.item)
            case HoldReleased(reason=HoldReason.TEMPERATURE) as freed:
                place = self._places[freed.location]
                if place.holds.get(freed.item) == freed.hold:
                    del place.holds[freed.item]

    def moot(self, step: Step) -> bool:
        """All that was there at the reading has left since: what is there now came later."""
        return self._places[step.command.location].gone.get(step.command.item, 0) > step.cause.sequence

    def _move(self, event: Recorded, movement: Movement) -> Iterator[Step]:
        place, item = self._places[movement.location], movement.item
        if movement.on_hand > 0:
            place.items[item] = None
        else:
            place.items.pop(item, None)
            place.gone[item] = event.sequence
        if any(move.change > 0 for move in movement.moves):
            place.arrived.add(item)
            if place.breached_at is not None and movement.effective_at <= place.breached_at and item in place.items:
                yield self._hold(event, movement.location, place, item)

    def _hold(self, event: Recorded, location: str, place: _Place, item: str) -> Step:
        place.arrived.discard(item)
        hold = place.holds.setdefault(item, f"temperature-{event.id}")
        command = HoldStock(item=item, location=location, hold=hold, reason=HoldReason.TEMPERATURE, note=place.note)
        return self.step(event, inventory, command, f"hold {hold}")


def _said(reading: TemperatureRecorded) -> str:
    """The reading in a sentence, for whoever finds the hold."""
    below = reading.breach is TemperatureBreach.BELOW
    limit = reading.minimum if below else reading.maximum
    allowed = "" if limit is None else f"; {'at least' if below else 'at most'} {limit / 10:.1f} °C is allowed"
    return f"{reading.temperature / 10:.1f} °C at {reading.location}{allowed}."
