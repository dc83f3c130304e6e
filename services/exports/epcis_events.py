"""The events of inventory as EPCIS 2.0 events, one after another, in the order of the stream.

What has no goods at a place (items, locations, reservations, recalls as such, the notes of process managers) makes no
EPCIS event; items and locations become master data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from services.exports.epcis_names import Names
from services.exports.epcis_parts import Goods, Moved, Part, absorbed, held_at_once, hold, moved, movement
from services.inventory.contract import (
    CountApproved,
    HoldReleased,
    ItemChanged,
    ItemRegistered,
    LocationOpened,
    Movement,
    MovementCorrected,
    MovementReversed,
    StockHeld,
    StockReceived,
    StockRepacked,
    TemperatureRecorded,
    TransferReceived,
)
from shared.errors import Corrupt
from shared.event import Recorded, timestamp

Mended = tuple[str, int]
"""A movement that another one mends: the subject of its stock, and its revision there."""

EpcisEvent = dict[str, Any]


@dataclass(slots=True)
class _Standing:
    """A movement that will be mended: its event, and the EPCIS events that say now what it did."""

    data: Movement
    said: list[EpcisEvent]


def learn(names: Names, event: Recorded) -> None:
    """Take in what an event says of items and locations, if it does."""
    data = event.data
    if isinstance(data, ItemRegistered | ItemChanged):
        names.item_is(data.item, data)
    elif isinstance(data, LocationOpened):
        names.location_is(data)


def mends(event: Recorded) -> Mended | None:
    """Which movement an event reverses or corrects, if it does."""
    if isinstance(event.data, MovementReversed | MovementCorrected):
        return event.subject, event.data.movement
    return None


class Translator:
    """Turns the events of one stream into EPCIS events. It must be given all of them, from the first.

    `mended` are the movements that a later event mends. Only those are kept in memory, because EPCIS declares an event
    in error by saying it again, word for word.
    """

    def __init__(self, names: Names, mended: Collection[Mended]) -> None:
        self._names = names
        self._mended = mended
        self._standing: dict[Mended, _Standing] = {}
        self._counts: dict[tuple[str, str], datetime] = {}

    def take(self, event: Recorded) -> list[EpcisEvent]:
        """What the next event of the stream becomes: none, one or several EPCIS events."""
        learn(self._names, event)
        data = event.data
        match data:
            case MovementReversed() | MovementCorrected():
                return self._mend(event, data)
            case Movement():
                return self._movement(event, data)
            case StockHeld() | HoldReleased():
                return self._written(event, hold(data, self._names))
            case TemperatureRecorded():
                return self._written(event, [_temperature(data, self._names)])
        return []

    def _movement(self, event: Recorded, data: Movement) -> list[EpcisEvent]:
        if isinstance(data, CountApproved):
            self._counts[event.subject, data.count] = data.effective_at
        parts = movement(data, moved(data.moves), self._names) + self._absorbed(event, data)
        if isinstance(data, StockReceived | StockRepacked | TransferReceived):
            parts += held_at_once(data, self._names)
        written = self._written(event, parts)
        self._keep((event.subject, event.revision), data, parts, written)
        return written

    def _mend(self, event: Recorded, data: MovementReversed | MovementCorrected) -> list[EpcisEvent]:
        """Declare what was said in error, and say what is right, if anything is."""
        key = event.subject, data.movement
        standing = self._standing.get(key)
        if standing is None:
            raise Corrupt(
                f"Event {event.sequence:,} of {event.stream} mends revision {data.movement} of {event.subject}, "
                "which is no movement. Run `commons verify`.",
                stream=event.stream, sequence=event.sequence, subject=event.subject,
            )  # fmt: skip
        parts: list[Part] = []
        if isinstance(data, MovementCorrected):
            goods: Goods = [(line, line.quantity) for line in data.lines]
            came_in = any(move.change > 0 for move in data.was)
            right = Moved(came=goods) if came_in else Moved(left=goods)
            parts = movement(standing.data, right, self._names)
        corrective = len(parts)
        written = self._written(event, parts + self._absorbed(event, data))
        error = {
            "declarationTime": event.envelope.time,
            "reason": "incorrect_data" if corrective else "did_not_occur",
            **({"correctiveEventIDs": [said["eventID"] for said in written[:corrective]]} if corrective else {}),
        }
        wrong = [said | {"recordTime": event.envelope.time, "errorDeclaration": error} for said in standing.said]
        self._keep(key, standing.data, parts, written[:corrective])
        return wrong + written

    def _absorbed(self, event: Recorded, data: Movement) -> list[Part]:
        if data.absorbed_by is None:
            return []
        counted_at = self._counts.get((event.subject, data.absorbed_by), data.effective_at)
        return absorbed(data, counted_at, self._names)

    def _keep(self, key: Mended, data: Movement, parts: list[Part], written: list[EpcisEvent]) -> None:
        if key in self._mended:
            said = [one for part, one in zip(parts, written, strict=True) if part.mendable]
            self._standing[key] = _Standing(data, said)

    def _written(self, event: Recorded, parts: Iterable[Part]) -> list[EpcisEvent]:
        """Parts with their ids and times. The first bears the ledger event's own id, each further one an id made from
        it and its number, so that every export names the same events alike."""
        return [
            {
                "eventID": _event_id(event.id, number),
                "eventTime": timestamp(part.at),
                "recordTime": event.envelope.time,
                "eventTimeZoneOffset": self._names.offset(part.location),
                **part.members,
                "commons:sequence": event.sequence,
            }
            for number, part in enumerate(parts, start=1)
        ]


def _event_id(id: str, number: int) -> str:
    return f"urn:uuid:{id}" if number == 1 else f"urn:uuid:{uuid5(UUID(id), str(number))}"


def _temperature(data: TemperatureRecorded, names: Names) -> Part:
    """The only number that is not an integer: the standard's unit is the degree, the ledger's a tenth of it."""
    place = {"id": names.place(data.location)}
    report: dict[str, Any] = {"type": "Temperature", "value": data.temperature / 10, "uom": "CEL"}
    if data.sensor is not None:
        report["deviceID"] = names.thing("sensor", data.sensor)
    if data.breach is not None:
        report["exception"] = "ALARM_CONDITION"
    members = {
        "type": "ObjectEvent", "action": "OBSERVE", "epcList": [], "bizStep": "sensor_reporting",
        "readPoint": place, "bizLocation": place, "sensorElementList": [{"sensorReport": [report]}],
    }  # fmt: skip
    return Part(data.occurred_at, data.location, members)
