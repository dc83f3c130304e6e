"""Commands and events of `session`: one opening of a programme at one site, and the orders that are booked for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.distribution.contract.base import Id, Moment, Note, OrderId, Text, command, event


@event(category="session")
class SessionScheduled:
    """A site opens at a time. `site` is the location in inventory that its goods leave from.

    At most `capacity` orders are booked, at most `slot_capacity` for each slot of `slot_minutes`; None is no limit.
    """

    session: Id
    programme: Id
    site: Id
    name: Text
    starts_at: Moment
    ends_at: Moment
    capacity: int | None = None
    slot_minutes: int | None = None
    slot_capacity: int | None = None
    occurred_at: Moment


@command(category="session", aggregate="session", makes=(SessionScheduled,))
class ScheduleSession:
    """Announce a session; it may be ordered for from now on. It is of seven days at most, and starts within two
    years."""

    session: Id
    programme: Id
    site: Id
    name: Text
    starts_at: Moment
    ends_at: Moment
    capacity: Annotated[int, Field(ge=1, le=10_000)] | None = None
    slot_minutes: Annotated[int, Field(ge=5, le=480)] | None = None
    slot_capacity: Annotated[int, Field(ge=1, le=1_000)] | None = None
    occurred_at: Moment | None = None


@event(category="session")
class SessionOpened:
    """The doors are open."""

    session: Id
    occurred_at: Moment


@command(category="session", aggregate="session", makes=(SessionOpened,))
class OpenSession:
    """Open the doors. They are opened once: whoever is served after they closed is of another session, or reported as a
    fact. They are opened at most a day before the session starts. Doors that opened at a moment yet to come, by a clock
    that was ahead, are opened again."""

    session: Id
    occurred_at: Moment | None = None


@event(category="session")
class SessionClosed:
    """The doors are closed. `no_shows` are the orders that nobody had come for; each is recorded as one, or cancelled
    if it was never confirmed and the household was served without it."""

    session: Id
    note: Note | None = None
    end_orders: bool = False
    no_shows: tuple[Id, ...] = ()
    occurred_at: Moment


@command(category="session", aggregate="session", makes=(SessionClosed,))
class CloseSession:
    """Close the doors. With orders still open it is refused, unless `end_orders` records them as no-shows."""

    session: Id
    note: Note | None = None
    end_orders: bool = False
    occurred_at: Moment | None = None


@event(category="session")
class SlotBooked:
    """An order is booked for a session, at `slot` if it has slots; `again` when it was expected before, and its box was
    not handed out after all."""

    session: Id
    order: OrderId
    slot: Moment | None = None
    again: bool = False
    occurred_at: Moment


@command(category="session", aggregate="session", makes=(SlotBooked,))
class BookSlot:
    """Book an order; sent by the fulfilment process when it is placed.

    When the session is closed, or it or the slot is full by then, the order is cancelled. With `again` it is one that
    was freed, and is expected still, whether or not the doors closed or its place was taken.
    """

    session: Id
    order: OrderId
    slot: Moment | None = None
    again: bool = False
    occurred_at: Moment | None = None


@event(category="session")
class SlotFreed:
    """An order is no longer expected: it was cancelled, handed out, or nobody came."""

    session: Id
    order: OrderId
    served: bool = False
    occurred_at: Moment


@command(category="session", aggregate="session", makes=(SlotFreed,))
class FreeSlot:
    """Note that an order is no longer expected; sent by the fulfilment process."""

    session: Id
    order: OrderId
    served: bool = False
    occurred_at: Moment | None = None


__all__ = [
    "BookSlot", "CloseSession", "FreeSlot", "OpenSession", "ScheduleSession", "SessionClosed", "SessionOpened",
    "SessionScheduled", "SlotBooked", "SlotFreed",
]  # fmt: skip
