"""Sessions: one opening at one site, and which orders are expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.distribution.contract import (
    BookSlot,
    CloseSession,
    DistributionError,
    FreeSlot,
    OpenSession,
    ScheduleSession,
    SessionClosed,
    SessionOpened,
    SessionScheduled,
    SlotBooked,
    SlotFreed,
    distribution,
)
from services.distribution.programme import Programme, running
from services.distribution.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.moments import TOLERANCE, is_late

GRACE: Final = timedelta(hours=2)
"""How long after a session's end what is set aside for its orders waits."""

LONGEST: Final = timedelta(days=7)
"""How long a session is at most: one that is longer has a wrong date."""

AHEAD: Final = timedelta(days=2 * 366)
"""How long before it a session is announced at most."""

EARLY: Final = timedelta(days=1)
"""How long before its start a session may be opened."""


@dataclass
class Session:
    """A session; `announced` is None before it is scheduled. `booked` are the orders that are expected."""

    announced: SessionScheduled | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    booked: dict[str, datetime | None] = field(default_factory=dict)
    freed: set[str] = field(default_factory=set)


SessionCommand = ScheduleSession | OpenSession | CloseSession | BookSlot | FreeSlot
SessionEvent = SessionScheduled | SessionOpened | SessionClosed | SlotBooked | SlotFreed


def evolve(session: Session, event: SessionEvent) -> Session:
    match event:
        case SessionScheduled():
            session.announced = event
        case SessionOpened():
            session.opened_at = event.occurred_at
        case SessionClosed():
            session.closed_at = event.occurred_at
        case SlotBooked():
            session.booked[event.order] = event.slot
            session.freed.discard(event.order)
        case SlotFreed():
            session.booked.pop(event.order, None)
            session.freed.add(event.order)
    return session


def reads(command: SessionCommand) -> Iterable[Ref]:
    return (Ref("programme", command.programme),) if isinstance(command, ScheduleSession) else ()


def decide(command: SessionCommand, session: Session, context: Context) -> SessionEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    if isinstance(command, ScheduleSession):
        return _schedule(command, session, context, fields)
    scheduled(session, command.session)
    match command:
        case OpenSession():
            if session.closed_at is not None:
                raise _closed(command.session, session)
            if session.opened_at is not None and session.opened_at <= context.now + TOLERANCE:
                return None
            _may_open(command, session, context, at)
            return SessionOpened(**fields)  # anew, if it was opened by a clock that was ahead
        case CloseSession():
            return _close(command, session, at)
        case BookSlot():
            if command.order in session.booked or (command.order in session.freed and not command.again):
                return None
            if session.closed_at is not None and not command.again:
                raise _closed(command.session, session)
            if not command.again:
                has_room(session, command.session, command.slot)  # two orders may have been placed for the last place
            return SlotBooked(**fields)
        case FreeSlot():
            return None if command.order in session.freed else SlotFreed(**fields)


def _may_open(command: OpenSession, session: Session, context: Context, at: datetime) -> None:
    """Refuse to open the doors of another day, or of a programme that is over. What was opened a while ago was."""
    announced = scheduled(session, command.session)
    if not is_late(command.occurred_at, context):
        running(context.read("programme", announced.programme), announced.programme)
    if at < announced.starts_at - EARLY:
        raise rejected(
            DistributionError.INVALID_RANGE,
            f"Session {command.session} starts at {announced.starts_at:%Y-%m-%d %H:%M} UTC, more than a day later. "
            "Check which session it is.",
            session=command.session, starts_at=announced.starts_at.isoformat(),
        )  # fmt: skip


def _schedule(
    command: ScheduleSession, session: Session, context: Context, fields: dict[str, object]
) -> SessionScheduled | None:
    programme: Programme = context.read("programme", command.programme)
    if session.announced is not None:
        same = all(
            value == getattr(session.announced, name) for name, value in fields_of(command) if name != "occurred_at"
        )
        if same:
            return None
        raise rejected(
            DistributionError.ALREADY_EXISTS, f"There is a session {command.session} already. Choose another id.",
            session=command.session,
        )  # fmt: skip
    running(programme, command.programme)
    if command.ends_at <= command.starts_at:
        raise rejected(
            DistributionError.INVALID_RANGE, "The session ends before it starts. Check the two moments.",
            starts_at=command.starts_at.isoformat(), ends_at=command.ends_at.isoformat(),
        )  # fmt: skip
    if command.ends_at - command.starts_at > LONGEST or command.starts_at > context.now + AHEAD:
        raise rejected(
            DistributionError.INVALID_RANGE,
            f"The session is from {command.starts_at:%Y-%m-%d %H:%M} to {command.ends_at:%Y-%m-%d %H:%M} UTC. One is "
            f"of {LONGEST.days} days at most, and starts within two years: check the two moments.",
            starts_at=command.starts_at.isoformat(), ends_at=command.ends_at.isoformat(),
        )  # fmt: skip
    if command.slot_capacity is not None and command.slot_minutes is None:
        raise rejected(
            DistributionError.INVALID_RANGE, "A capacity for each slot needs slot_minutes: how long a slot is."
        )
    return SessionScheduled(**fields)  # type: ignore[arg-type]


def _close(command: CloseSession, session: Session, at: datetime) -> SessionClosed | None:
    if session.closed_at is not None:
        return None
    if session.opened_at is None:
        raise rejected(
            DistributionError.SESSION_NOT_OPEN, f"Session {command.session} was never opened.", session=command.session
        )
    if at < session.opened_at:
        raise rejected(
            DistributionError.CLOCK_RUNS_BACK,
            f"Session {command.session} opened at {session.opened_at:%Y-%m-%d %H:%M} UTC, later than "
            f"{at:%Y-%m-%d %H:%M} UTC. Check this machine's clock, or the moment; if it was opened by a "
            "clock that was ahead, open it again with OpenSession first.",
            session=command.session, opened_at=session.opened_at.isoformat(),
        )  # fmt: skip
    if session.booked and not command.end_orders:
        some = ", ".join(sorted(session.booked)[:5])
        raise rejected(
            DistributionError.ORDERS_OPEN,
            f"{len(session.booked)} orders of session {command.session} are still open ({some}"
            f"{' …' if len(session.booked) > 5 else ''}). Hand them out, or close with end_orders to record no-shows.",
            session=command.session, orders=len(session.booked),
        )  # fmt: skip
    return SessionClosed(
        session=command.session, note=command.note, end_orders=command.end_orders,
        no_shows=tuple(sorted(session.booked)), occurred_at=at,
    )  # fmt: skip


def _closed(id: str, session: Session) -> Exception:
    assert session.closed_at is not None
    return rejected(
        DistributionError.SESSION_CLOSED,
        f"Session {id} closed at {session.closed_at:%Y-%m-%d %H:%M} UTC. Schedule another, or choose one.", session=id,
    )  # fmt: skip


# -- for the decisions that need a session ----------------------------------------------------------------------------


def scheduled(session: Session, id: str) -> SessionScheduled:
    """What a session was announced as. Refuses one that never was."""
    if session.announced is None:
        raise rejected(
            DistributionError.UNKNOWN_SESSION, f"There is no session {id}. Check its id, or schedule it first.",
            session=id,
        )  # fmt: skip
    return session.announced


def goes_on(session: Session, id: str, now: datetime) -> SessionScheduled:
    """What a session was announced as. Refuses one that is over."""
    announced = scheduled(session, id)
    if session.closed_at is not None:
        raise _closed(id, session)
    if now >= announced.ends_at + GRACE:
        raise rejected(
            DistributionError.SESSION_CLOSED,
            f"Session {id} ended at {announced.ends_at:%Y-%m-%d %H:%M} UTC. Place the order for another.", session=id,
        )  # fmt: skip
    return announced


def has_room(session: Session, id: str, slot: datetime | None) -> None:
    """Refuse an order at a time that is none of a session's slots, or for which there is no room.

    It is asked when an order is placed, as an early answer, and decided when the order is booked.
    """
    announced = scheduled(session, id)
    if (slot is not None) != (announced.slot_minutes is not None):
        what = "has slots: choose one" if slot is None else "has no slots: leave it out"
        raise rejected(DistributionError.WRONG_SLOT, f"Session {id} {what}.", session=id)
    if slot is not None and announced.slot_minutes is not None:
        _has_slot(session, announced, id, slot, timedelta(minutes=announced.slot_minutes))
    if announced.capacity is not None and len(session.booked) >= announced.capacity:
        raise rejected(
            DistributionError.SESSION_FULL, f"Session {id} has {announced.capacity} orders, and takes no more.",
            session=id, capacity=announced.capacity,
        )  # fmt: skip


def _has_slot(session: Session, announced: SessionScheduled, id: str, slot: datetime, length: timedelta) -> None:
    if not announced.starts_at <= slot < announced.ends_at or (slot - announced.starts_at) % length:
        raise rejected(
            DistributionError.WRONG_SLOT,
            f"{slot:%H:%M} UTC is no slot of session {id}: they begin at {announced.starts_at:%H:%M} UTC, every "
            f"{announced.slot_minutes} minutes.",
            session=id, slot=slot.isoformat(),
        )  # fmt: skip
    at_once = sum(one == slot for one in session.booked.values())
    if announced.slot_capacity is not None and at_once >= announced.slot_capacity:
        raise rejected(
            DistributionError.SESSION_FULL, f"The slot at {slot:%H:%M} UTC of session {id} is full. Choose another.",
            session=id, slot=slot.isoformat(), capacity=announced.slot_capacity,
        )  # fmt: skip


def not_open(session: Session, id: str, at: datetime, *, now: bool) -> str | None:
    """Why nobody can be served at a session at a moment, in a sentence; None when it is open.

    With `now` the moment is this service's own: doors that are closed are closed, and no clocks may differ.
    """
    scheduled(session, id)
    if session.opened_at is None or at < session.opened_at - TOLERANCE:
        return f"Session {id} is not open. Open it first, with OpenSession."
    if session.closed_at is not None and (now or at > session.closed_at + TOLERANCE):
        return (
            f"Session {id} closed at {session.closed_at:%Y-%m-%d %H:%M} UTC. If it was served before, record that with "
            "`fact`."
        )
    return None


def check(session: Session) -> list[str]:
    broken = []
    if session.closed_at is not None and session.opened_at is None:
        broken.append("it closed without having opened")
    if set(session.booked) & session.freed:
        broken.append("an order is expected that was freed")
    return broken


session: Final = Decider(distribution, "session", Session, Session, decide, evolve, check, reads)
