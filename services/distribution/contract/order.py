"""Commands and events of `order`: what one household is to get at one session.

    PlaceOrder -> OrderPlaced -> ConfirmOrder -> OrderConfirmed -> (box.py) packed and handed out
    CancelOrder -> OrderCancelled, RecordNoShow -> NoShowRecorded, and by the fulfilment process OrderCompleted, and
    CompletionReversed when the box was not handed out after all

When it is confirmed, the fulfilment process claims the entitlement and sets the goods aside in inventory.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.distribution.contract.base import (
    MAX_LINES,
    REMARK,
    BoxCode,
    Id,
    ItemLine,
    Moment,
    NewOrderId,
    Note,
    OrderId,
    People,
    Period,
    Revision,
    Text,
    command,
    event,
)


class Stage(StrEnum):
    """How far an order has come; what is packed for it is in its box."""

    NONE = "none"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


@event(category="order")
class OrderPlaced:
    """A household asked for goods at a session. `goods` is what it is to get: `lines`, or the standard box.

    `warnings` were given and seen: words with blanks between and behind, an item, `=` and `allergen` or
    `allergens_unknown` each (`rice=allergens_unknown stew=allergen`), or `none`. `site` is where the goods leave from.
    """

    order: OrderId
    household: Id
    session: Id
    slot: Moment | None = None
    lines: tuple[ItemLine, ...] = ()
    seen_warnings: bool = False
    confirm_unusual: bool = False
    override_reason: Annotated[str | None, REMARK] = None
    goods: tuple[ItemLine, ...]
    programme: Id
    period: Period
    site: Id
    people: People
    warnings: Annotated[str | None, REMARK] = None
    occurred_at: Moment


@command(category="order", aggregate="order", makes=(OrderPlaced,))
class PlaceOrder:
    """Ask for goods at a session; `lines` left out are the standard box for the household's size.

    More of an item than is usual in inventory needs `confirm_unusual`.
    """

    order: NewOrderId
    household: Id
    session: Id
    slot: Moment | None = None
    lines: Annotated[tuple[ItemLine, ...], Field(max_length=MAX_LINES)] = ()
    seen_warnings: bool = False
    confirm_unusual: bool = False
    override_reason: Note | None = None
    occurred_at: Moment | None = None


@event(category="order")
class OrderConfirmed:
    """An order is to be packed. What is set aside for it is freed at `due_at`, unless it is packed by then."""

    order: OrderId
    household: Id
    programme: Id
    period: Period
    session: Id
    site: Id
    goods: tuple[ItemLine, ...]
    people: People
    override_reason: Annotated[str | None, REMARK] = None
    due_at: Moment
    occurred_at: Moment


@command(category="order", aggregate="order", makes=(OrderConfirmed,))
class ConfirmOrder:
    """Confirm an order; refused when the household was served as often as its programme allows.

    An `override_reason` given when the order was placed is for its eligibility, one given here for both.
    """

    order: OrderId
    override_reason: Note | None = None
    occurred_at: Moment | None = None


@event(category="order")
class OrderCancelled:
    """An order is not wanted any more."""

    order: OrderId
    reason: Annotated[str, REMARK]
    household: Id
    session: Id
    occurred_at: Moment


@command(category="order", aggregate="order", makes=(OrderCancelled,))
class CancelOrder:
    """Cancel an order. A box that is packed for it waits until somebody unpacks it."""

    order: OrderId
    reason: Note
    occurred_at: Moment | None = None


@event(category="order")
class NoShowRecorded:
    """Nobody came for an order."""

    order: OrderId
    household: Id
    session: Id
    occurred_at: Moment


@command(category="order", aggregate="order", makes=(NoShowRecorded, OrderCancelled))
class RecordNoShow:
    """Record that nobody came for an order.

    One that was never confirmed, of a household that was served at its session without it, is cancelled instead: they
    came. What was confirmed had been set aside, and is a no-show whoever came.
    """

    order: OrderId
    occurred_at: Moment | None = None


@event(category="order")
class OrderCompleted:
    """An order was handed out, in the box `box`.

    `claim` is the one that the box counts by: the order's, or one of the box's own when the order was not confirmed,
    had ended or was handed out in another box, `beside` which it is out. The order's may not count yet: `claimed` says
    whether it did when the box left. `asked_by` is who handed it out.
    """

    order: OrderId
    box: BoxCode
    hand_out: Revision = 1
    claim: Id
    claimed: bool = False
    asked_by: Text | None = None
    beside: BoxCode | None = None
    household: Id
    programme: Id
    period: Period
    session: Id
    occurred_at: Moment


@command(category="order", aggregate="order", makes=(OrderCompleted,))
class CompleteOrder:
    """Note that an order was handed out, in a box or in another one beside it; sent by the fulfilment process.

    Here it is decided by which claim the box counts, as only the order knows how far it has come."""

    order: OrderId
    box: BoxCode
    hand_out: Revision = 1
    claimed: bool = False
    asked_by: Text | None = None
    occurred_at: Moment | None = None


@event(category="order")
class CompletionReversed:
    """An order was not handed out in `box` after all, and is what it was before (`stage`): confirmed, and to be handed
    out until `due_at`, or ended at `ended_at`. If another box of it is out (`instead`), it stays completed by that one.

    `released` is the claim that counts no more: that of the box, or of the other one when that counts by the order's
    from now on. It is null when the order's claim goes on with the order.
    """

    order: OrderId
    box: BoxCode
    instead: BoxCode | None = None
    released: Id | None = None
    household: Id
    programme: Id
    period: Period
    session: Id
    slot: Moment | None = None
    stage: Stage
    due_at: Moment | None = None
    ended_at: Moment | None = None
    occurred_at: Moment


@command(category="order", aggregate="order", makes=(CompletionReversed,))
class ReverseCompletion:
    """Note that a box of an order was not handed out after all; sent by the fulfilment process."""

    order: OrderId
    box: BoxCode
    occurred_at: Moment | None = None


__all__ = [
    "CancelOrder", "CompleteOrder", "CompletionReversed", "ConfirmOrder", "NoShowRecorded", "OrderCancelled",
    "OrderCompleted", "OrderConfirmed", "OrderPlaced", "PlaceOrder", "RecordNoShow", "ReverseCompletion", "Stage",
]  # fmt: skip
