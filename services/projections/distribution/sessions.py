"""Openings: when and where, how full they are, and which orders are expected."""

from __future__ import annotations

from collections.abc import Iterable

from services.distribution.contract import SessionClosed, SessionOpened, SessionScheduled, SlotBooked, SlotFreed
from services.projections.distribution.base import DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Sessions(DistributionProjection):
    """`sessions` has a row for each, `bookings` one for each order that was booked for one, at its slot if it has any.

    A booking is expected until `freed_at`, and was `served` or not. `booked` counts those that are expected, `served`
    those that were handed out, `no_shows` those that were still expected when it closed.
    """

    name = "sessions"
    version = 1
    events = events_of("session")
    tables = (
        Table(
            "sessions",
            key=("session",),
            columns={
                "session": "text", "programme": "text", "site": "text", "name": "text", "starts_at": "timestamptz",
                "ends_at": "timestamptz", "capacity": "integer", "slot_minutes": "integer",
                "slot_capacity": "integer", "state": "text", "opened_at": "timestamptz", "closed_at": "timestamptz",
                "note": "text", "booked": "integer", "served": "integer", "no_shows": "integer",
            },
            indexes=("starts_at",),
        ),
        Table(
            "bookings",
            key=("session", "order_id"),
            columns={
                "session": "text", "order_id": "text", "slot": "timestamptz", "booked_at": "timestamptz",
                "freed_at": "timestamptz", "served": "boolean",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        if not isinstance(data, SessionScheduled):
            yield "sessions", (data.session,)
        if isinstance(data, SlotFreed | SlotBooked):
            yield "bookings", (data.session, data.order)

    def apply(self, event: Recorded, rows: Rows) -> None:
        if isinstance(event.data, SessionScheduled):
            _schedule(event.data, rows)
            return
        row = rows.get("sessions", (event.data.session,))
        if row is None:
            return
        match event.data:
            case SessionOpened() as data:
                row |= {"state": "open", "opened_at": data.occurred_at, "closed_at": None}
            case SessionClosed() as data:
                row |= {
                    "state": "closed", "closed_at": data.occurred_at, "note": data.note,
                    "no_shows": len(data.no_shows),
                }  # fmt: skip
            case SlotBooked() as data:
                row["booked"] += 1
                before = rows.get("bookings", (data.session, data.order))
                if before is not None:  # it was not handed out after all
                    row["served"] -= before["served"] is True
                rows.put(
                    "bookings",
                    (data.session, data.order),
                    {"slot": data.slot, "booked_at": data.occurred_at, "freed_at": None, "served": None},
                )
            case SlotFreed() as data:
                booking = rows.get("bookings", (data.session, data.order))
                if booking is None:
                    blank = {"slot": None, "booked_at": None}
                    booking = rows.put("bookings", (data.session, data.order), blank)
                elif booking["freed_at"] is None:
                    row["booked"] -= 1
                booking |= {"freed_at": data.occurred_at, "served": data.served}
                row["served"] += data.served


def _schedule(data: SessionScheduled, rows: Rows) -> None:
    rows.put(
        "sessions",
        (data.session,),
        {
            "programme": data.programme, "site": data.site, "name": data.name, "starts_at": data.starts_at,
            "ends_at": data.ends_at, "capacity": data.capacity, "slot_minutes": data.slot_minutes,
            "slot_capacity": data.slot_capacity, "state": "scheduled", "opened_at": None, "closed_at": None,
            "note": None, "booked": 0, "served": 0, "no_shows": 0,
        },
    )  # fmt: skip
