"""Commands and events of `fulfilment`: how far the goods of one order, or of one visit, have come in inventory.

The aggregate's id is the order's, or `v-` and the visit's. It is the memory of the fulfilment process: what inventory
set aside, freed and gave out for it, noted from inventory's own events. All its commands are sent by process managers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.distribution.contract.base import (
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
)

_Lots = Field(max_length=200)


def fulfilment_of_visit(visit: str) -> str:
    """The id of a visit's fulfilment; also whom inventory gives its goods to."""
    return f"v-{visit}"


@event(category="fulfilment")
class GoodsReserved:
    """Inventory set goods aside for an order: these lots of an item; `short` is what was asked for and is not there."""

    order: OrderId
    item: Id
    asked: Quantity
    lots: tuple[PackedLine, ...]
    short: Amount
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsReserved,))
class NoteReserved:
    """Note what inventory set aside."""

    order: OrderId
    item: Id
    asked: Quantity
    lots: Annotated[tuple[PackedLine, ...], _Lots]
    short: Amount
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


@event(category="fulfilment")
class GoodsIssued:
    """Inventory gave goods out for a visit, or of what was set aside for an order; `movement` is the revision of its
    movement in that stock. `unrecorded` of the `quantity` was beyond its ledger."""

    order: OrderId
    item: Id
    quantity: Quantity
    site: Id
    movement: Revision
    unrecorded: Amount = 0
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsIssued,))
class NoteIssued:
    """Note what inventory gave out; `unrecorded` of it was beyond its ledger."""

    order: OrderId
    item: Id
    quantity: Quantity
    site: Id
    movement: Revision
    unrecorded: Amount = 0
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
    "BoxNoted",
    "GoodsFreed",
    "GoodsIssued",
    "GoodsReserved",
    "NoteBox",
    "NoteFreed",
    "NoteIssued",
    "NoteReserved",
    "fulfilment_of_visit",
]
