"""What is on the shelf now, by item, location and lot, and how much of it may still be promised or given out.

For whoever packs, orders or reserves. Whether a date is past depends on the day: queries judge it, these rows do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from services.inventory.contract import (
    FreedLine,
    HoldReleased,
    LotRef,
    Movement,
    ReservationExpired,
    ReservationReleased,
    StockHeld,
    StockReceived,
    StockRepacked,
    StockReserved,
    TransferReceived,
)
from services.projections.base import InventoryProjection, events_of
from services.projections.lots import COLUMNS, lot_columns, lot_key
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

TABLE = "stock_on_hand"


VIEWS: Final = {
    "stock_by_location": (
        "SELECT item, location, sum(on_hand)::bigint AS on_hand, sum(reserved)::bigint AS reserved,"
        " sum(held)::bigint AS held, sum(available)::bigint AS available, min(date) AS first_date"
        " FROM stock_on_hand GROUP BY item, location"
    )
}


class StockOnHand(InventoryProjection):
    """Quantities in the item's base unit.

    `holds` are the ids of the holds that cover the lot; `held` is what of it is neither reserved nor free because of
    them, so that available = on_hand - reserved - held. A row without goods, reservations and holds goes away.
    """

    name = "stock_on_hand"
    version = 1
    events = events_of("stock")
    tables = (
        Table(
            TABLE,
            key=("item", "location", "lot_key"),
            columns={
                "item": "text", "location": "text", "lot_key": "text", **COLUMNS, "on_hand": "bigint",
                "reserved": "bigint", "held": "bigint", "available": "bigint", "holds": "jsonb",
            },
            indexes=("location", "lot_form", "date"),
        ),
    )  # fmt: skip
    views = VIEWS

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        for ref in _refs(data):
            yield TABLE, (data.item, data.location, lot_key(ref))

    def apply(self, event: Recorded, rows: Rows) -> None:
        data = event.data
        match data:
            case Movement():
                for move in data.moves:
                    _row(rows, data, move)["on_hand"] = move.on_hand
                _free(rows, data, data.freed)
                if isinstance(data, StockReceived | StockRepacked | TransferReceived):
                    for hold in data.holds:
                        _hold(rows, data, hold.hold, hold.lots)
            case StockReserved():
                for line in data.reserved:
                    _row(rows, data, line)["reserved"] += line.quantity
            case ReservationReleased() | ReservationExpired():
                _free(rows, data, data.freed)
            case StockHeld():
                _hold(rows, data, data.hold, data.held)
            case HoldReleased():
                for ref in data.freed_lots:
                    row = _row(rows, data, ref)
                    row["holds"] = [hold for hold in row["holds"] if hold != data.hold]
        for ref in _refs(data):
            _figure(rows, (data.item, data.location, lot_key(ref)))


StockData = Movement | StockReserved | ReservationReleased | ReservationExpired | StockHeld | HoldReleased


def _refs(data: StockData) -> Iterator[LotRef]:
    """The lots that an event of a stock changes."""
    match data:
        case Movement():
            yield from data.moves
            yield from data.freed
            if isinstance(data, StockReceived | StockRepacked | TransferReceived):
                for hold in data.holds:
                    yield from hold.lots
        case StockReserved():
            yield from data.reserved
        case ReservationReleased() | ReservationExpired():
            yield from data.freed
        case StockHeld():
            yield from data.held
        case HoldReleased():
            yield from data.freed_lots


def _row(rows: Rows, data: StockData, ref: LotRef) -> Row:
    key = (data.item, data.location, lot_key(ref))
    return rows.get(TABLE, key) or rows.put(TABLE, key, {**lot_columns(ref), "on_hand": 0, "reserved": 0, "holds": []})


def _free(rows: Rows, data: StockData, freed: Iterable[FreedLine]) -> None:
    for line in freed:
        _row(rows, data, line)["reserved"] -= line.quantity


def _hold(rows: Rows, data: StockData, hold: str, refs: Iterable[LotRef]) -> None:
    for ref in refs:
        row = _row(rows, data, ref)
        if hold not in row["holds"]:
            row["holds"] = [*row["holds"], hold]


def _figure(rows: Rows, key: Key) -> None:
    """Bring what follows from the other figures in line, or let an empty row go."""
    row = rows.get(TABLE, key)
    if row is None:
        return
    if not (row["on_hand"] or row["reserved"] or row["holds"]):
        rows.delete(TABLE, key)
        return
    free = row["on_hand"] - row["reserved"]
    row["held"], row["available"] = (free, 0) if row["holds"] else (0, free)
