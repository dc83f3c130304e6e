"""Commands and events of a transfer: goods on the way from one location to another.

    DispatchTransfer -> stock of the item at the origin        TransferDispatched: off the shelf, in transit
    ReceiveTransfer  -> stock of the item at the destination   TransferReceived: on the shelf, or lost with a reason

Each of the two decisions is whole by itself, so goods are at any moment on one shelf, in transit or lost, whatever
stops in between. A transfer of several items has one dispatch and one receipt for each, under the same transfer id.
The receipt reads the origin's stock for what was dispatched. What is in transit is what TransferDispatched lists until
a TransferReceived of the same transfer and item.

The `transfer` aggregate (its id is the transfer's id) is the memory of the process manager that follows transfers:

    TransferDispatched -> NoteDispatch    TransferReceived -> NoteReceipt    `expected_by` passed -> NoteOverdue

The last becomes a review item. Goods may be dispatched whatever their state to a location of kind quarantine; to any
other, only what may be given out.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.inventory.contract.base import (
    MAX_LINES,
    AdjustReason,
    CountedLot,
    Id,
    LotHold,
    LotQuantity,
    Moment,
    Movement,
    PickLine,
    StockCommand,
    command,
    event,
    stock_of,
)


@event(category="stock")
class TransferDispatched(Movement):
    """Goods left this location for `destination`. They are nobody's stock until they are received there.

    `goods` is what is on the way, by lot.
    """

    transfer: Id
    destination: Id
    lines: tuple[PickLine, ...]
    expected_by: Moment | None = None
    already_left: bool = False
    goods: tuple[LotQuantity, ...]


@command(category="stock", aggregate=stock_of, makes=(TransferDispatched,))
class DispatchTransfer(StockCommand):
    """Send goods of one item from `location` to `destination`."""

    transfer: Id
    destination: Id
    lines: Annotated[tuple[PickLine, ...], Field(min_length=1, max_length=MAX_LINES)]
    expected_by: Moment | None = None
    already_left: bool = False


@event(category="stock")
class TransferReceived(Movement):
    """Goods of a transfer arrived at this location from `origin`; the transfer of this item is over.

    `goods` is what was dispatched, `lost` what of it did not arrive (for `loss_reason`), `surplus` what arrived
    without having been dispatched. `holds` began with the arrival.
    """

    transfer: Id
    origin: Id
    lines: tuple[CountedLot, ...] | None = None
    loss_reason: AdjustReason | None = None
    goods: tuple[LotQuantity, ...]
    lost: tuple[LotQuantity, ...] = ()
    surplus: tuple[LotQuantity, ...] = ()
    holds: tuple[LotHold, ...] = ()


@command(category="stock", aggregate=stock_of, makes=(TransferReceived,))
class ReceiveTransfer(StockCommand):
    """Take in what arrived of a transfer of one item at its destination, `location`.

    `lines` left out means that all of it arrived; otherwise they are what arrived, by lot, and less than was
    dispatched needs a `loss_reason`.
    """

    transfer: Id
    origin: Id
    lines: Annotated[tuple[CountedLot, ...], Field(max_length=MAX_LINES)] | None = None
    loss_reason: AdjustReason | None = None


@event(category="transfer")
class DispatchNoted:
    """A transfer has goods of an item on the way."""

    transfer: Id
    item: Id
    origin: Id
    destination: Id
    goods: tuple[LotQuantity, ...]
    expected_by: Moment | None = None
    occurred_at: Moment


@command(category="transfer", aggregate="transfer", makes=(DispatchNoted,))
class NoteDispatch:
    """Note that goods of an item are on the way; sent by the process manager."""

    transfer: Id
    item: Id
    origin: Id
    destination: Id
    goods: Annotated[tuple[LotQuantity, ...], Field(max_length=200)]
    expected_by: Moment | None = None
    occurred_at: Moment | None = None


@event(category="transfer")
class ReceiptNoted:
    """Goods of an item arrived, less `lost`. `complete` says whether nothing of the transfer is on the way any more."""

    transfer: Id
    item: Id
    lost: tuple[LotQuantity, ...] = ()
    occurred_at: Moment
    complete: bool


@command(category="transfer", aggregate="transfer", makes=(ReceiptNoted,))
class NoteReceipt:
    """Note that goods of an item arrived; sent by the process manager."""

    transfer: Id
    item: Id
    lost: Annotated[tuple[LotQuantity, ...], Field(max_length=200)] = ()
    occurred_at: Moment | None = None


@event(category="transfer")
class TransferOverdue:
    """Goods of `items` are still on the way after they were expected; `due_at` is the earliest moment they were."""

    transfer: Id
    items: tuple[Id, ...]
    due_at: Moment
    occurred_at: Moment


@command(category="transfer", aggregate="transfer", makes=(TransferOverdue,))
class NoteOverdue:
    """Note that a transfer is late; sent by the clock's process manager. Recorded once a transfer."""

    transfer: Id
    occurred_at: Moment | None = None
