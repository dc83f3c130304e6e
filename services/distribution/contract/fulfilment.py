"""Commands and events of `fulfilment`: how far the goods of one order, or of one visit, have come in inventory.

The aggregate's id is the order's, or `v-` and the visit's. It is the memory of the fulfilment process: what inventory
set aside, freed and gave out for it, noted from inventory's own events; what comes together is one note. It knows the
movements of each hand-out, so that a reversal finds them, those that are noted later too. All its commands are sent by
process managers.
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
    """Inventory set goods aside for an order, at the location `site`."""

    order: OrderId
    site: Id
    goods: tuple[ReservedGoods, ...]
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsReserved,))
class NoteReserved:
    """Note what inventory set aside. An item of which that was noted before is left out."""

    order: OrderId
    site: Id
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
    `quantity` was beyond inventory's ledger. With `reserved` it was taken from what was set aside, and the rest of that
    is free again."""

    item: Id
    quantity: Quantity
    site: Id
    movement: Revision
    unrecorded: Amount = 0
    reserved: bool = False


@event(category="fulfilment")
class GoodsIssued:
    """Inventory gave goods out for a visit, or for a box of an order: for its first hand-out, or a later one.

    With `reversed`, the visit or the hand-out had been reversed before this was known: the goods are to come back.
    """

    order: OrderId
    box: Id | None = None
    hand_out: Revision = 1
    goods: tuple[IssuedGoods, ...]
    reversed: bool = False
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(GoodsIssued,))
class NoteIssued:
    """Note what inventory gave out. A movement that was noted before is left out."""

    order: OrderId
    box: Id | None = None
    hand_out: Revision = 1
    goods: Annotated[tuple[IssuedGoods, ...], _Goods]
    occurred_at: Moment | None = None


@event(category="fulfilment")
class ReversalNoted:
    """A visit, or a hand-out of a box, was reversed. `goods` are those that are known to have left for it, and are to
    come back; what is noted later says so itself."""

    order: OrderId
    box: Id | None = None
    hand_out: Revision = 1
    goods: tuple[IssuedGoods, ...] = ()
    occurred_at: Moment


@command(category="fulfilment", aggregate="order", makes=(ReversalNoted,))
class NoteReversal:
    """Note that a visit, or a hand-out of a box, was reversed."""

    order: OrderId
    box: Id | None = None
    hand_out: Revision = 1
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
    "NoteReserved", "NoteReversal", "ReservedGoods", "ReversalNoted", "fulfilment_of_visit",
]  # fmt: skip
