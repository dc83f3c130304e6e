"""Orders, and how far their goods have come in inventory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from services.distribution.contract import (
    CompletionReversed,
    GoodsFreed,
    GoodsIssued,
    GoodsReserved,
    IssuedGoods,
    NoShowRecorded,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    PackedLine,
    ReservedGoods,
    ReversalNoted,
    Stage,
)
from services.projections.distribution.base import BANDS, DistributionProjection, by_age, events_of, quantities
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

_LINE: Final[dict[str, Any]] = {
    "asked": None, "short": None, "remaining": 0, "lots": [], "answered_at": None, "freed": 0, "freed_at": None,
    "issued": 0, "unrecorded": 0, "issued_at": None,
}  # fmt: skip

_LOT: Final = ("lot", "date", "owner")


class Orders(DistributionProjection):
    """`orders` has a row for each: placed, confirmed, completed, cancelled or no_show. `goods` is what it asks for, by
    item. `fulfilment_lines` has a row for each item of an order, or of a visit (`v-` and its id), that inventory has
    answered for: `asked` less `short` was set aside, `remaining` still is, of `lots`; `issued` was given out,
    `unrecorded` of it beyond inventory's ledger, less what was taken back; `freed` is free again.

    `reopened_at` is when it was open again after it had been handed out: nothing more is set aside for it from then on.
    Sealed are `warnings`, `reason` and `override_reason`.

    Its box is in the read model `boxes`, its claim in `entitlements`.
    """

    name = "orders"
    version = 4
    events = events_of("order") | {GoodsReserved, GoodsFreed, GoodsIssued, ReversalNoted}
    tables = (
        Table(
            "orders",
            key=("order_id",),
            columns={
                "order_id": "text", "household": "text", "programme": "text", "period": "text", "session": "text",
                "site": "text", "slot": "timestamptz", "stage": "text", "goods": "jsonb", "warnings": "text", **BANDS,
                "placed_at": "timestamptz", "confirmed_at": "timestamptz", "due_at": "timestamptz",
                "reopened_at": "timestamptz", "ended_at": "timestamptz", "box": "text", "reason": "text",
                "override_reason": "text", "placed_by": "text",
            },
            indexes=("session", "household, placed_at", "stage"),
        ),
        Table(
            "fulfilment_lines",
            key=("fulfilment", "item"),
            columns={
                "fulfilment": "text", "item": "text", "asked": "bigint", "short": "bigint", "remaining": "bigint",
                "lots": "jsonb", "answered_at": "timestamptz", "freed": "bigint", "freed_at": "timestamptz",
                "issued": "bigint", "unrecorded": "bigint", "issued_at": "timestamptz",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case GoodsReserved() | GoodsIssued() | ReversalNoted() as data:
                for one in data.goods:
                    yield "fulfilment_lines", (data.order, one.item)
            case GoodsFreed() as data:
                yield "fulfilment_lines", (data.order, data.item)
            case OrderPlaced():
                pass
            case data:
                yield "orders", (data.order,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case OrderPlaced() as data:
                _place(event, data, rows)
            case OrderConfirmed() | OrderCancelled() | NoShowRecorded() | OrderCompleted() | CompletionReversed():
                _step(event, rows)
            case GoodsReserved() as data:
                for one in data.goods:
                    _line(data.order, one, data.occurred_at, rows)
            case GoodsIssued() as data:
                for given in data.goods:
                    _given(data, given, rows)
            case ReversalNoted() as data:
                for given in data.goods:
                    row = rows.get("fulfilment_lines", (data.order, given.item))
                    if row is not None:
                        row["issued"] -= given.quantity
                        row["unrecorded"] -= given.unrecorded
            case GoodsFreed() as data:
                _line(data.order, data, data.occurred_at, rows)


def _place(event: Recorded, data: OrderPlaced, rows: Rows) -> None:
    rows.put(
        "orders",
        (data.order,),
        {
            "household": data.household, "programme": data.programme, "period": data.period, "session": data.session,
            "site": data.site, "slot": data.slot, "stage": "placed", "goods": quantities(data.goods),
            "warnings": data.warnings, **by_age(data.people), "placed_at": data.occurred_at, "confirmed_at": None,
            "due_at": None, "reopened_at": None, "ended_at": None, "box": None, "reason": None,
            "override_reason": data.override_reason, "placed_by": event.envelope.authid,
        },
    )  # fmt: skip


def _step(event: Recorded, rows: Rows) -> None:
    row = rows.get("orders", (event.data.order,))
    if row is None:
        return
    match event.data:
        case OrderConfirmed() as data:
            row |= {
                "stage": "confirmed",
                "confirmed_at": data.occurred_at,
                "due_at": data.due_at,
                "period": data.period,
            }
            row["override_reason"] = data.override_reason or row["override_reason"]
        case OrderCancelled() as data:
            row |= {"stage": "cancelled", "ended_at": data.occurred_at, "reason": data.reason}
        case NoShowRecorded() as data:
            row |= {"stage": "no_show", "ended_at": data.occurred_at}
        case OrderCompleted() as data:
            if data.beside is None:
                row |= {"stage": "completed", "ended_at": data.occurred_at, "box": data.box}
        case CompletionReversed() as data if data.instead is not None:
            row["box"] = data.instead
        case CompletionReversed() as data:
            row |= {"stage": str(data.stage), "ended_at": data.ended_at, "box": None}
            if data.stage is Stage.CONFIRMED:
                row["reopened_at"] = data.occurred_at


def _row(order: str, item: str, rows: Rows) -> Row:
    key = (order, item)
    return rows.get("fulfilment_lines", key) or rows.put("fulfilment_lines", key, {**_LINE, "lots": []})


def _given(data: GoodsIssued, given: IssuedGoods, rows: Rows) -> None:
    """What inventory gave out of one item."""
    row = _row(data.order, given.item, rows)
    if given.reserved:
        row |= {"lots": [], "remaining": 0}
    if not data.reversed:
        row["issued"] += given.quantity
        row["unrecorded"] += given.unrecorded
        row["issued_at"] = data.occurred_at


def _line(order: str, one: ReservedGoods | GoodsFreed, at: datetime, rows: Rows) -> None:
    """What inventory set aside of one item, or freed."""
    row = _row(order, one.item, rows)
    match one:
        case ReservedGoods():
            row |= {
                "asked": one.asked, "short": one.short, "remaining": one.asked - one.short,
                "lots": [
                    dict(zip(_LOT, _lot(line), strict=True)) | {"quantity": line.quantity} for line in one.lots
                ],
                "answered_at": at,
            }  # fmt: skip
        case GoodsFreed():
            taken = {_lot(line): line.quantity for line in one.lots}
            left = [lot | {"quantity": lot["quantity"] - taken.get(_lot_of(lot), 0)} for lot in row["lots"]]
            row |= {"lots": [lot for lot in left if lot["quantity"] > 0], "remaining": one.remaining, "freed_at": at}
            row["freed"] += one.quantity


def _lot(line: PackedLine) -> tuple[str | None, ...]:
    return line.lot, None if line.date is None else line.date.isoformat(), line.owner


def _lot_of(row: dict[str, Any]) -> tuple[str | None, ...]:
    return tuple(row[name] for name in _LOT)
