"""Appointment: when a patient comes to a clinician. https://hl7.org/fhir/R4/appointment.html

It goes out alone: a day's schedule here is the clinic's own, and nobody else's appointments are taken into it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.fhir.entry import Entry, Resource
from services.fhir.values import begun, instant, present, reference

TYPE: Final = "Appointment"

_STATUS: Final = {
    "booked": ("booked", "accepted"), "checked_in": ("arrived", "accepted"), "no_show": ("noshow", "accepted"),
    "cancelled": ("cancelled", "declined"),
}  # fmt: skip


def appointment(entry: Entry) -> Resource:
    status, taking_part = _STATUS[entry.clear.get("status", "booked")]
    starts, minutes = datetime.fromisoformat(str(entry.clear["starts_at"])), int(entry.clear["minutes"])
    who = [reference("Patient", entry.patient), reference("Practitioner", entry.clear["clinician"])]
    return begun(entry, TYPE) | present(
        status=status, start=instant(starts), end=instant(starts + timedelta(minutes=minutes)),
        minutesDuration=minutes, created=instant(entry.occurred_at),
        reasonCode=[{"text": entry.content}] if entry.content else None,
        participant=[{"actor": one, "status": taking_part} for one in who],
    )  # fmt: skip
