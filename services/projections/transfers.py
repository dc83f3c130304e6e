"""What is on the way between locations, for whoever waits for it, and what became of what was sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.inventory.contract import LotQuantity, TransferDispatched, TransferReceived
from services.projections.base import InventoryProjection
from services.projections.lots import COLUMNS, lot_columns, lot_key
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

VIEWS: Final = {
    "in_transit": (
        "SELECT l.transfer, l.item, l.origin, t.destination, t.unit, l.lot_key, l.lot, l.lot_form, l.date,"
        " l.date_kind, l.owner, l.quantity, t.dispatched_at, t.expected_by FROM transfer_lots AS l"
        " JOIN transfers AS t USING (transfer, item, origin) WHERE t.received_at IS NULL"
    )
}


class Transfers(InventoryProjection):
    """One row for each item of a transfer, and one for each lot of it. On the way while `received_at` is null.

    `in_transit` lists what is on the way, by lot.
    """

    name = "transfers"
    version = 1
    events = frozenset({TransferDispatched, TransferReceived})
    tables = (
        Table(
            "transfers",
            key=("transfer", "item", "origin"),
            columns={
                "transfer": "text", "item": "text", "origin": "text", "destination": "text", "unit": "text",
                "quantity": "bigint", "dispatched_at": "timestamptz", "expected_by": "timestamptz",
                "received_at": "timestamptz", "lost": "bigint", "surplus": "bigint", "loss_reason": "text",
            },
            indexes=("received_at", "item"),
        ),
        Table(
            "transfer_lots",
            key=("transfer", "item", "origin", "lot_key"),
            columns={
                "transfer": "text", "item": "text", "origin": "text", "lot_key": "text", **COLUMNS,
                "quantity": "bigint", "lost": "bigint", "surplus": "bigint",
            },
            indexes=("lot_form",),
        ),
    )  # fmt: skip
    views = VIEWS

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case TransferDispatched() as data:
                yield "transfers", (data.transfer, data.item, data.location)
            case TransferReceived() as data:
                key = (data.transfer, data.item, data.origin)
                yield "transfers", key
                for line in (*data.goods, *data.lost, *data.surplus):
                    yield "transfer_lots", (*key, lot_key(line))

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case TransferDispatched() as data:
                key = (data.transfer, data.item, data.location)
                row = rows.get("transfers", key) or _begin(rows, key, data.destination, data)
                row["dispatched_at"], row["expected_by"] = data.effective_at, data.expected_by
            case TransferReceived() as data:
                key = (data.transfer, data.item, data.origin)
                # A dispatch that was parked comes later or never: the receipt says what had been sent.
                row = rows.get("transfers", key) or _begin(rows, key, data.location, data)
                row["received_at"] = data.effective_at
                row["lost"], row["surplus"] = _sum(data.lost), _sum(data.surplus)
                row["loss_reason"] = data.loss_reason and str(data.loss_reason)
                for line in data.lost:
                    _at(rows, (*key, lot_key(line)), line)["lost"] = line.quantity
                for line in data.surplus:
                    _at(rows, (*key, lot_key(line)), line)["surplus"] = line.quantity


def _begin(rows: Rows, key: Key, destination: str, data: TransferDispatched | TransferReceived) -> Row:
    for line in data.goods:
        _lot(rows, (*key, lot_key(line)), line, line.quantity)
    return rows.put(
        "transfers",
        key,
        {
            "destination": destination, "unit": str(data.unit), "quantity": _sum(data.goods), "dispatched_at": None,
            "expected_by": None, "received_at": None, "lost": 0, "surplus": 0, "loss_reason": None,
        },
    )  # fmt: skip


def _sum(lines: Iterable[LotQuantity]) -> int:
    return sum(line.quantity for line in lines)


def _lot(rows: Rows, key: Key, line: LotQuantity, quantity: int) -> Row:
    return rows.put("transfer_lots", key, {**lot_columns(line), "quantity": quantity, "lost": 0, "surplus": 0})


def _at(rows: Rows, key: Key, line: LotQuantity) -> Row:
    return rows.get("transfer_lots", key) or _lot(rows, key, line, 0)
