"""Everything that moved stock, at the moment it moved: the bin card, and the ground of traces, waste and weights.

A movement that mends another (a reversal, a correction) takes over what that one was: its flow, reason, donor and
recipient. So the sum over a `root` is what the movement really came to, and a reversed gift is no gift.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from services.inventory.contract import (
    AdjustReason,
    CountApproved,
    LotRef,
    Movement,
    MovementCorrected,
    MovementKind,
    MovementReversed,
    Source,
    StockAdjusted,
    StockDisposed,
    StockIssued,
    StockReceived,
    StockRepacked,
    StockReturned,
    TransferDispatched,
    TransferReceived,
    lot_form,
)
from services.projections.base import InventoryProjection, movements
from services.projections.lots import COLUMNS, lot_columns, lot_key
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

FLOWS: Final[dict[MovementKind, str]] = {
    MovementKind.STOCK_RECEIVED: "received",
    MovementKind.STOCK_ISSUED: "issued",
    MovementKind.STOCK_ADJUSTED: "adjusted",
    MovementKind.STOCK_DISPOSED: "wasted",
    MovementKind.STOCK_RETURNED: "returned",
    MovementKind.STOCK_REPACKED: "repacked",
    MovementKind.TRANSFER_DISPATCHED: "transferred",
    MovementKind.TRANSFER_RECEIVED: "transferred",
    MovementKind.COUNT_APPROVED: "counted",
}
"""Where goods go by a movement. Refined by source and reason, see `_facts`: received also becomes opening or repacked,
adjusted becomes wasted. Only received, issued, wasted, returned and adjusted change what the organisation has."""

_NOT_WASTE: Final = (AdjustReason.FOUND, AdjustReason.COUNTING_ERROR)
_INHERITED: Final = (
    "flow", "source", "donor", "supplier", "delivery", "purpose", "recipient", "reason", "transfer", "counterpart",
    "count",
)  # fmt: skip


class Movements(InventoryProjection):
    """`movements` has a row an event, `movement_lots` one for each lot that it moved (with what sums need of the
    event), `lot_parents` one for each lot that went into repacked goods.

    `root` is the revision of the movement that was mended, or its own. `reversed_by` and `corrected_by` are revisions.
    `on_hand` is the stock's figure after the event in recorded order; the running figure in order of `effective_at` is
    a query's work (services/queries/movements.py). `change` changes the balance, `unrecorded` left beyond the ledger,
    `lost` was dispatched and did not arrive; `weight` is in g. What left is `unrecorded - change`.
    """

    name = "movements"
    version = 1
    events = movements()
    tables = (
        Table(
            "movements",
            key=("item", "location", "revision"),
            columns={
                "item": "text", "location": "text", "revision": "bigint", "kind": "text", "flow": "text",
                "root": "bigint", "effective_at": "timestamptz", "occurred_at": "timestamptz",
                "recorded_at": "timestamptz", "sequence": "bigint", "actor": "text", "unit": "text",
                "change": "bigint", "on_hand": "bigint", "counted": "bigint", "source": "text", "donor": "text",
                "supplier": "text", "delivery": "text", "purpose": "text", "recipient": "text", "reason": "text",
                "transfer": "text", "counterpart": "text", "count": "text", "note": "text", "absorbed_by": "text",
                "breaches": "jsonb", "reversed_by": "bigint", "corrected_by": "bigint",
            },
            indexes=("flow, effective_at", "item, effective_at"),
        ),
        Table(
            "movement_lots",
            key=("item", "location", "revision", "lot_key"),
            columns={
                "item": "text", "location": "text", "revision": "bigint", "lot_key": "text", **COLUMNS,
                "change": "bigint", "unrecorded": "bigint", "lost": "bigint", "weight": "bigint",
                "root": "bigint", "flow": "text", "effective_at": "timestamptz",
            },
            indexes=("lot_form, item",),
            append=True,
        ),
        Table(
            "lot_parents",
            key=("item", "location", "revision", "lot_key", "parent", "parent_form"),
            columns={
                "item": "text", "location": "text", "revision": "bigint", "lot_key": "text", "lot": "text",
                "lot_form": "text", "parent": "text", "parent_form": "text", "parent_lot": "text",
            },
            indexes=("lot_form, item", "parent_form, parent"),
            append=True,
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        if isinstance(data, MovementReversed | MovementCorrected):
            yield "movements", (data.item, data.location, data.movement)

    def apply(self, event: Recorded, rows: Rows) -> None:
        data: Movement = event.data
        key = (data.item, data.location, event.revision)
        row: Row = {
            **dict.fromkeys(_INHERITED), **_facts(data), "kind": type(data).__name__, "root": event.revision,
            "effective_at": data.effective_at, "occurred_at": data.occurred_at, "recorded_at": event.recorded_at,
            "sequence": event.sequence, "actor": event.envelope.authid, "unit": str(data.unit),
            "change": sum(move.change for move in data.moves), "on_hand": data.on_hand, "counted": None,
            "note": data.note, "absorbed_by": data.absorbed_by, "breaches": [str(b) for b in data.breaches],
            "reversed_by": None, "corrected_by": None,
        }  # fmt: skip
        match data:
            case MovementReversed() | MovementCorrected():
                row["root"] = data.movement
                mended = rows.get("movements", (data.item, data.location, data.movement))
                if mended is not None:
                    row.update({name: mended[name] for name in _INHERITED}, root=mended["root"])
                    mended["reversed_by" if isinstance(data, MovementReversed) else "corrected_by"] = event.revision
                row["note"] = data.note or data.reason
            case CountApproved():
                row["counted"] = sum(line.quantity for line in data.counted)
        rows.put("movements", key, row)
        for lot, figures in _lots(data).items():
            figures.update(root=row["root"], flow=row["flow"], effective_at=data.effective_at)
            rows.put("movement_lots", (*key, lot), figures)
        for made, parent_item, parent in parents(data):
            rows.put(
                "lot_parents",
                (*key, lot_key(made), parent_item, lot_form(parent.lot)),
                {"lot": made.lot, "lot_form": lot_form(made.lot), "parent_lot": parent.lot},
            )


def _facts(data: Movement) -> dict[str, Any]:
    """What kind of movement it was, and whom or what it had to do with."""
    match data:
        case StockReceived():
            flow = {Source.OPENING: "opening", Source.REPACK: "repacked"}.get(data.source, "received")
            return {
                "flow": flow, "source": str(data.source), "donor": data.donor, "supplier": data.supplier,
                "delivery": data.delivery,
            }  # fmt: skip
        case StockIssued():
            return {"flow": "issued", "purpose": str(data.purpose), "recipient": data.recipient}
        case StockAdjusted():
            flow = "adjusted" if data.reason in _NOT_WASTE else "wasted"
            return {"flow": flow, "reason": str(data.reason)}
        case StockDisposed():
            return {"flow": "wasted", "reason": str(data.reason)}
        case StockReturned():
            return {"flow": "returned", "supplier": data.supplier, "reason": data.reason and str(data.reason)}
        case TransferDispatched():
            return {"flow": "transferred", "transfer": data.transfer, "counterpart": data.destination}
        case TransferReceived():
            reason = data.loss_reason and str(data.loss_reason)
            return {"flow": "transferred", "transfer": data.transfer, "counterpart": data.origin, "reason": reason}
        case CountApproved():
            return {"flow": "counted", "count": data.count}
        case MovementReversed() | MovementCorrected():
            return {"flow": FLOWS[data.kind]}
        case _:
            return {"flow": "repacked"}


def _lots(data: Movement) -> dict[str, Row]:
    """The figures of each lot; several moves of one lot are one row."""
    found: dict[str, Row] = {}

    def at(ref: LotRef) -> Row:
        return found.setdefault(
            lot_key(ref), {**lot_columns(ref), "change": 0, "unrecorded": 0, "lost": 0, "weight": None}
        )

    for move in data.moves:
        row = at(move)
        row["change"] += move.change
        row["unrecorded"] += move.unrecorded
        if move.weight is not None:
            row["weight"] = (row["weight"] or 0) + move.weight
    if isinstance(data, TransferReceived):
        for line in data.lost:
            at(line)["lost"] += line.quantity
    return found


def parents(data: Movement) -> Iterable[tuple[LotRef, str, LotRef]]:
    """Repacked goods with the item and lot of what went into them. What became another item is told by its receipt."""
    match data:
        case StockReceived():
            for line in data.lines:
                for source in line.made_from:
                    yield line, source.item, LotRef(lot=source.lot)
        case StockRepacked():
            named = [LotRef(lot=line.lot) for line in data.lines if line.lot is not None]
            taken = [move for move in data.moves if move.unrecorded > move.change]
            for made in data.into:
                if made.item == data.item:
                    for taken_from in (*named, *taken):
                        yield made, data.item, taken_from
