"""What may not be given out and why: holds at a location, quarantines and recalls everywhere, open and ended.

For whoever clears the shelves after a recall, and for the pharmacist who lets donated medicine go.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.inventory.contract import (
    HoldReleased,
    LotHold,
    LotQuarantined,
    LotRecalled,
    LotReleased,
    RecallLifted,
    StockHeld,
    StockReceived,
    StockRepacked,
    TransferReceived,
    lot_form,
)
from services.projections.base import InventoryProjection
from services.projections.lots import COLUMNS, lot_columns, lot_key
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Holds(InventoryProjection):
    """`holds` has a row for each hold of a stock, `hold_lots` one for each lot that it covers or covered. The hold of a
    recall or quarantine bears its id. `scope_forms` are a recall's lots in their comparable form.
    """

    name = "holds"
    version = 1
    events = frozenset(
        {StockHeld, HoldReleased, StockReceived, StockRepacked, TransferReceived}
        | {LotRecalled, RecallLifted, LotQuarantined, LotReleased}
    )
    tables = (
        Table(
            "holds",
            key=("hold", "item", "location"),
            columns={
                "hold": "text", "item": "text", "location": "text", "reason": "text", "begun_at": "timestamptz",
                "ended_at": "timestamptz", "note": "text", "reservations": "jsonb",
            },
            indexes=("item, location",),
        ),
        Table(
            "hold_lots",
            key=("hold", "item", "location", "lot_key"),
            columns={"hold": "text", "item": "text", "location": "text", "lot_key": "text", **COLUMNS},
            append=True,
        ),
        Table(
            "quarantines",
            key=("item", "quarantine"),
            columns={
                "item": "text", "quarantine": "text", "lot": "text", "lot_form": "text", "reason": "text",
                "begun_at": "timestamptz", "ended_at": "timestamptz", "end_reason": "text",
            },
        ),
        Table(
            "recalls",
            key=("item", "recall"),
            columns={
                "item": "text", "recall": "text", "scope_lots": "jsonb", "scope_forms": "jsonb", "first_date": "date",
                "last_date": "date", "reason": "text", "classification": "text", "issued_by": "text", "notice": "text",
                "begun_at": "timestamptz", "ended_at": "timestamptz", "end_reason": "text",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case StockHeld() | HoldReleased() as data:
                yield "holds", (data.hold, data.item, data.location)
            case StockReceived() | StockRepacked() | TransferReceived() as data:
                for hold in data.holds:
                    yield "holds", (hold.hold, data.item, data.location)
            case LotReleased() as data:
                yield "quarantines", (data.item, data.quarantine)
            case RecallLifted() as data:
                yield "recalls", (data.item, data.recall)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case StockHeld() as data:
                _begin(rows, data, LotHold(hold=data.hold, reason=data.reason, lots=data.held))
                row = rows.get("holds", (data.hold, data.item, data.location))
                if row is not None:
                    row["reservations"] = sorted({*row["reservations"], *data.reservations})
            case StockReceived() | StockRepacked() | TransferReceived() as data:
                for hold in data.holds:
                    _begin(rows, data, hold)
            case HoldReleased() as data:
                row = rows.get("holds", (data.hold, data.item, data.location))
                if row is not None:
                    row["ended_at"] = data.occurred_at
            case LotQuarantined() as data:
                rows.put(
                    "quarantines",
                    (data.item, data.quarantine),
                    {
                        "lot": data.lot, "lot_form": lot_form(data.lot), "reason": data.reason,
                        "begun_at": data.occurred_at, "ended_at": None, "end_reason": None,
                    },
                )  # fmt: skip
            case LotReleased() as data:
                _end(rows, "quarantines", (data.item, data.quarantine), data)
            case LotRecalled() as data:
                scope = data.scope
                rows.put(
                    "recalls",
                    (data.item, data.recall),
                    {
                        "scope_lots": list(scope.lots), "scope_forms": sorted({lot_form(lot) for lot in scope.lots}),
                        "first_date": scope.first_date, "last_date": scope.last_date, "reason": data.reason,
                        "classification": str(data.classification), "issued_by": data.issued_by, "notice": data.notice,
                        "begun_at": data.occurred_at, "ended_at": None, "end_reason": None,
                    },
                )  # fmt: skip
            case RecallLifted() as data:
                _end(rows, "recalls", (data.item, data.recall), data)


def _begin(rows: Rows, data: StockHeld | StockReceived | StockRepacked | TransferReceived, hold: LotHold) -> None:
    """Begin a hold, or let one that stands cover more."""
    key = (hold.hold, data.item, data.location)
    row = rows.get("holds", key)
    if row is None or row["ended_at"] is not None:
        rows.put(
            "holds",
            key,
            {
                "reason": str(hold.reason), "begun_at": data.occurred_at, "ended_at": None, "note": data.note,
                "reservations": [],
            },
        )  # fmt: skip
    for ref in hold.lots:
        rows.put("hold_lots", (*key, lot_key(ref)), lot_columns(ref))


def _end(rows: Rows, table: str, key: Key, data: LotReleased | RecallLifted) -> None:
    row = rows.get(table, key)
    if row is not None:
        row["ended_at"], row["end_reason"] = data.occurred_at, data.reason
