"""What is set aside, for what and until when: for whoever packs, and for the clock that ends what nobody came for."""

from __future__ import annotations

from collections.abc import Iterable

from services.inventory.contract import (
    FreedLine,
    Movement,
    ReservationExpired,
    ReservationReleased,
    StockIssued,
    StockReserved,
)
from services.projections.base import InventoryProjection, events_of
from services.projections.lots import COLUMNS, lot_columns, lot_key
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Reservations(InventoryProjection):
    """`quantity` was asked for, `short` of it could not be set aside, `remaining` still is. `ended` says how it came to
    nothing: used, released, expired or taken; null while it is open. `due_at` is when it may be expired.
    """

    name = "reservations"
    version = 1
    events = events_of("stock")
    tables = (
        Table(
            "reservations",
            key=("item", "location", "reservation"),
            columns={
                "item": "text", "location": "text", "reservation": "text", "quantity": "bigint", "short": "bigint",
                "remaining": "bigint", "purpose": "text", "recipient": "text", "reserved_at": "timestamptz",
                "due_at": "timestamptz", "ended": "text", "ended_at": "timestamptz",
            },
            indexes=("reservation", "due_at"),
        ),
        Table(
            "reservation_lots",
            key=("item", "location", "reservation", "lot_key"),
            columns={
                "item": "text", "location": "text", "reservation": "text", "lot_key": "text", **COLUMNS,
                "remaining": "bigint",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        for line in _freed(data):
            key = (data.item, data.location, line.reservation)
            yield "reservations", key
            yield "reservation_lots", (*key, lot_key(line))
        match data:
            case StockIssued(reservation=str() as reservation):
                yield "reservations", (data.item, data.location, reservation)
            case ReservationReleased() | ReservationExpired():
                yield "reservations", (data.item, data.location, data.reservation)

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        if isinstance(data, StockReserved):
            key = (data.item, data.location, data.reservation)
            rows.put(
                "reservations",
                key,
                {
                    "quantity": data.quantity, "short": data.short,
                    "remaining": sum(line.quantity for line in data.reserved), "purpose": str(data.purpose),
                    "recipient": data.recipient, "reserved_at": data.occurred_at, "due_at": data.due_at,
                    "ended": None, "ended_at": None,
                },
            )  # fmt: skip
            for line in data.reserved:
                rows.put("reservation_lots", (*key, lot_key(line)), {**lot_columns(line), "remaining": line.quantity})
            return
        for freed in _freed(data):
            _free(rows, (data.item, data.location, freed.reservation), freed, event)
        match data:  # a reservation can also end with nothing left to free
            case ReservationReleased():
                _end(rows, (data.item, data.location, data.reservation), "released", event)
            case ReservationExpired():
                _end(rows, (data.item, data.location, data.reservation), "expired", event)
            case StockIssued(reservation=str() as reservation, keep_rest=False):
                _end(rows, (data.item, data.location, reservation), "used", event)


def _freed(data: object) -> tuple[FreedLine, ...]:
    return data.freed if isinstance(data, Movement | ReservationReleased | ReservationExpired) else ()


def _free(rows: Rows, key: Key, line: FreedLine, event: Recorded) -> None:
    lot = (*key, lot_key(line))
    held = rows.get("reservation_lots", lot)
    row = rows.get("reservations", key)
    if held is None or row is None:
        return  # its reservation was parked and skipped
    held["remaining"] -= line.quantity
    if held["remaining"] <= 0:
        rows.delete("reservation_lots", lot)
    row["remaining"] -= line.quantity
    if row["remaining"] <= 0:
        _end(rows, key, str(line.why), event)


def _end(rows: Rows, key: Key, how: str, event: Recorded) -> None:
    """The first end counts; within one event the last word does: an issue also frees what it did not use."""
    row = rows.get("reservations", key)
    if row is not None and row["ended_at"] in (None, event.data.occurred_at):
        row["ended"], row["ended_at"] = how, event.data.occurred_at
