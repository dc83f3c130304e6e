"""Commands and events of `location`: where stock is kept. The aggregate's id is the location's id."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.inventory.contract.base import (
    Celsius,
    Id,
    LocationKind,
    Moment,
    Note,
    Percent,
    StorageClass,
    Text,
    UtcOffset,
    command,
    event,
)


class TemperatureBreach(StrEnum):
    """On which side of a location's limits a temperature lay."""

    BELOW = "below"
    ABOVE = "above"


@event(category="location")
class LocationOpened:
    """A location takes stock from now on.

    `minimum` and `maximum` are the temperatures allowed there, in tenths of a degree Celsius; null is no limit.
    `utc_offset` is its clock in minutes east of UTC, by which a package's date is judged. `self_approval` is the
    variance, in percent of what the ledger expected, up to which the person who counted may approve the count.
    """

    location: Id
    name: Text
    kind: LocationKind
    storage: StorageClass = StorageClass.AMBIENT
    minimum: Celsius | None = None
    maximum: Celsius | None = None
    utc_offset: UtcOffset = 0
    self_approval: Percent = 0
    occurred_at: Moment


@command(category="location", aggregate="location", makes=(LocationOpened,))
class OpenLocation:
    """Open a location. A closed one is opened again, with these facts."""

    location: Id
    name: Text
    kind: LocationKind
    storage: StorageClass = StorageClass.AMBIENT
    minimum: Celsius | None = None
    maximum: Celsius | None = None
    utc_offset: UtcOffset = 0
    self_approval: Percent = 0
    occurred_at: Moment | None = None


@event(category="location")
class LocationClosed:
    """A location takes no more stock. `items` are those whose stock there was looked at and found to be nothing."""

    location: Id
    items: tuple[Id, ...] = ()
    occurred_at: Moment
    note: Note | None = None


@command(category="location", aggregate="location", makes=(LocationClosed,))
class CloseLocation:
    """Close a location that is empty.

    `items` names every item that a read model has ever shown there: the stock of each is read, and must be nothing.
    Stock of an item that the list misses cannot be seen by this decision; it becomes a review item.
    """

    location: Id
    items: Annotated[tuple[Id, ...], Field(max_length=500)] = ()
    occurred_at: Moment | None = None
    note: Note | None = None


@event(category="location")
class TemperatureRecorded:
    """A temperature was read at a location.

    `temperature` is in tenths of a degree Celsius. `breach` says on which side of the limits it lay, null within
    them; `minimum` and `maximum` are the limits at the time. A breach puts the stock there on hold for review.
    """

    location: Id
    temperature: Celsius
    sensor: Text | None = None
    occurred_at: Moment
    note: Note | None = None
    minimum: Celsius | None = None
    maximum: Celsius | None = None
    breach: TemperatureBreach | None = None


@command(category="location", aggregate="location", makes=(TemperatureRecorded,))
class RecordTemperature:
    """Record a temperature, in tenths of a degree Celsius: 45 is 4.5 degrees."""

    location: Id
    temperature: Celsius
    sensor: Text | None = None
    occurred_at: Moment | None = None
    note: Note | None = None
