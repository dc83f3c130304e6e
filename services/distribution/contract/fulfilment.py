"""Commands and events of `fulfilment`: how far the goods of one order, or of one visit, have come in inventory.

The aggregate's id is the order's, or `v-` and the visit's. It is the memory of the fulfilment process: what inventory
set aside, freed and gave out for it, noted from inventory's own events; what comes together is one note. All its
commands are sent by process managers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.distribution.contract.base import (
    MAX_LINES,
    Amount,
    BoxCode,
    Id,
    Moment,
    OrderId,
    PackedLine,
    Quantity,
    Revision,
    command,
    event,
    value,
)

_Lots = Field(max_length=200)
_Goods = Field(min_length=1, max_length=MAX_LINES)


def fulfilment_of_visit(visit: str) -> str:
    """The id of a visit's fulfilment; also whom inventory gives its goods to."""
    return f"v-{visit}"


@value
class ReservedGoods:
    """These lots of an item were set aside; `short` is what was asked for and is not there."""

    item: Id
    asked: Quantity
    lots: Annotated[tuple[PackedLine, ...], _Lots]
    short: Amount


@event(category="fulfilment")
class GoodsReserved:
    """Inventory set goods aside for an order."""

    order: OrderId
    goods: tuple[ReservedGoods, ...]
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsReserved,))
class NoteReserved:
    """Note what inventory set aside. An item of which that was noted before is left out."""

    order: OrderId
    goods: Annotated[tuple[ReservedGoods, ...], _Goods]
    occurred_at: Moment | None = None


@event(category="fulfilment")
class GoodsFreed:
    """What inventory had set aside of an item for an order is free again, or was taken away, as by a recall: these
    lots, `quantity` in all of what was set aside. `remaining` still is."""

    order: OrderId
    item: Id
    lots: tuple[PackedLine, ...]
    quantity: Quantity
    remaining: Amount
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsFreed,))
class NoteFreed:
    """Note what inventory freed."""

    order: OrderId
    item: Id
    lots: Annotated[tuple[PackedLine, ...], _Lots]
    occurred_at: Moment | None = None


@value
class IssuedGoods:
    """So much of an item was given out; `movement` is the revision of the movement in that stock. `unrecorded` of the
    `quantity` was beyond inventory's ledger."""

    item: Id
    quantity: Quantity
    site: Id
    movement: Revision
    unrecorded: Amount = 0


@event(category="fulfilment")
class GoodsIssued:
    """Inventory gave goods out for a visit, or of what was set aside for an order."""

    order: OrderId
    goods: tuple[IssuedGoods, ...]
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsIssued,))
class NoteIssued:
    """Note what inventory gave out. A movement that was noted before is left out."""

    order: OrderId
    goods: Annotated[tuple[IssuedGoods, ...], _Goods]
    occurred_at: Moment | None = None


@event(category="fulfilment")
class BoxNoted:
    """An order is in a box, or (`packed` false) is not in it any more."""

    order: OrderId
    box: BoxCode
    packed: bool
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(BoxNoted,))
class NoteBox:
    """Note in which box an order is."""

    order: OrderId
    box: BoxCode
    packed: bool
    occurred_at: Moment | None = None


__all__ = [
    "BoxNoted", "GoodsFreed", "GoodsIssued", "GoodsReserved", "IssuedGoods", "NoteBox", "NoteFreed", "NoteIssued",
    "NoteReserved", "ReservedGoods", "fulfilment_of_visit",
]  # fmt: skip
