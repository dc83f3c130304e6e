"""Sessions as an iCalendar file (RFC 5545), for the calendars of volunteers and of whoever comes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from icalendar import Calendar, Event

from services.queries.distribution.printing import Opening

_NAMESPACE: Final = uuid.UUID("5d7f7a5e-0a0c-5d0b-9b4e-6c1f6a1e8d21")
"""Of the UIDs of sessions; changing it would put every session into people's calendars a second time."""


def as_calendar(openings: Iterable[Opening], chapter: str, now: datetime) -> bytes:
    """The file, made `now`. A session's UID is made of the chapter and its id, and so the same in every file."""
    calendar = Calendar()
    calendar.add("prodid", f"-//Commons Ledger//{version('commons-ledger')}//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    for opening in openings:
        event = Event()
        event.add("uid", f"{uuid.uuid5(_NAMESPACE, f'{chapter} {opening.session}')}")
        event.add("dtstamp", now.astimezone(UTC).replace(microsecond=0))
        event.add("dtstart", opening.starts_at.astimezone(UTC).replace(microsecond=0))
        event.add("dtend", opening.ends_at.astimezone(UTC).replace(microsecond=0))
        event.add("summary", opening.name)
        event.add("location", opening.site)
        event.add("categories", [opening.programme])
        if about := _about(opening):
            event.add("description", about)
        calendar.add_component(event)
    return bytes(calendar.to_ical())


def _about(opening: Opening) -> str:
    parts = []
    if opening.capacity is not None:
        parts.append(f"Up to {opening.capacity} households.")
    if opening.slot_minutes is not None:
        parts.append(f"By appointment, every {opening.slot_minutes} minutes.")
    return " ".join(parts)
