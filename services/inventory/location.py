"""Locations: what kind each is, how cold it is kept, and whether it takes stock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.inventory import rules
from services.inventory.contract import (
    CloseLocation,
    InventoryError,
    LocationClosed,
    LocationKind,
    LocationOpened,
    OpenLocation,
    RecordTemperature,
    StorageClass,
    TemperatureBreach,
    TemperatureRecorded,
    inventory,
    stock_id,
)
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected


@dataclass
class Location:
    """A location as it was opened; `name` is None before that. Temperatures are in tenths of a degree Celsius."""

    name: str | None = None
    kind: LocationKind = LocationKind.STORE
    storage: StorageClass = StorageClass.AMBIENT
    minimum: int | None = None
    maximum: int | None = None
    utc_offset: int = 0
    self_approval: int = 0
    closed_at: datetime | None = None


LocationCommand = OpenLocation | CloseLocation | RecordTemperature
LocationEvent = LocationOpened | LocationClosed | TemperatureRecorded


def evolve(location: Location, event: LocationEvent) -> Location:
    match event:
        case LocationOpened():
            return _opened(event)
        case LocationClosed():
            location.closed_at = event.occurred_at
        case TemperatureRecorded():
            pass
    return location


def reads(command: LocationCommand) -> Iterable[Ref]:
    if isinstance(command, CloseLocation):
        return [Ref("stock", stock_id(item, command.location)) for item in command.items]
    return ()


def decide(command: LocationCommand, location: Location, context: Context) -> LocationEvent | None:
    at = rules.when(command.occurred_at, context)
    match command:
        case OpenLocation():
            if location.name is not None and location.closed_at is None:
                if location == _opened(command):
                    return None
                raise Rejected(
                    InventoryError.ALREADY_EXISTS,
                    f"Location {command.location} is open already, as {location.name!r}. Close it first, or choose "
                    "another id.",
                    location=command.location,
                )
            if command.minimum is not None and command.maximum is not None and command.minimum > command.maximum:
                raise Rejected(
                    InventoryError.INVALID_RANGE,
                    f"The lowest temperature allowed ({command.minimum / 10} °C) is above the highest "
                    f"({command.maximum / 10} °C).",
                    minimum=command.minimum, maximum=command.maximum,
                )  # fmt: skip
            return LocationOpened(
                location=command.location, name=command.name, kind=command.kind, storage=command.storage,
                minimum=command.minimum, maximum=command.maximum, utc_offset=command.utc_offset,
                self_approval=command.self_approval, occurred_at=at,
            )  # fmt: skip
        case CloseLocation():
            known(location, command.location)
            if location.closed_at is not None:
                return None
            stocked = [
                item for item in command.items if context.read("stock", stock_id(item, command.location)).on_hand
            ]
            if stocked:
                raise Rejected(
                    InventoryError.LOCATION_NOT_EMPTY,
                    f"Location {command.location} still holds {', '.join(stocked[:10])}"
                    f"{' and more' if len(stocked) > 10 else ''}. Move, issue or dispose of it first.",
                    location=command.location, items=stocked[:100],
                )  # fmt: skip
            return LocationClosed(location=command.location, items=command.items, occurred_at=at, note=command.note)
        case RecordTemperature():
            known(location, command.location)
            breach = None
            if location.minimum is not None and command.temperature < location.minimum:
                breach = TemperatureBreach.BELOW
            elif location.maximum is not None and command.temperature > location.maximum:
                breach = TemperatureBreach.ABOVE
            return TemperatureRecorded(
                location=command.location, temperature=command.temperature, sensor=command.sensor, occurred_at=at,
                note=command.note, minimum=location.minimum, maximum=location.maximum, breach=breach,
            )  # fmt: skip


def known(location: Location, id: str) -> Location:
    """The location, open or closed, or a refusal."""
    if location.name is None:
        raise Rejected(
            InventoryError.UNKNOWN_LOCATION,
            f"No location {id} was ever opened. Open it first, or check the spelling.",
            location=id,
        )
    return location


def _opened(source: OpenLocation | LocationOpened) -> Location:
    return Location(
        name=source.name, kind=source.kind, storage=source.storage, minimum=source.minimum, maximum=source.maximum,
        utc_offset=source.utc_offset, self_approval=source.self_approval,
    )  # fmt: skip


def check(location: Location) -> list[str]:
    if location.minimum is not None and location.maximum is not None and location.minimum > location.maximum:
        return ["the lowest temperature allowed is above the highest"]
    return []


location: Final = Decider(inventory, "location", Location, Location, decide, evolve, check, reads)
