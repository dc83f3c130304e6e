"""Who comes, who is here, and what is still to be done after they left: appointments, encounters, notes, referrals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.clinic.contract import (
    AppointmentBooked,
    AppointmentCancelled,
    CheckedIn,
    EncounterClosed,
    EncounterOpened,
    NoShowRecorded,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    ReferralClosed,
    ReferralMade,
    VitalsRecorded,
)
from services.projections.clinic.base import ClinicProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class ClinicVisits(ClinicProjection):
    """`clinic_appointments` are a clinician's by day: booked, checked_in, no_show, cancelled. `clinic_encounters` are
    open while `closed_at` is null; `appointment` is the one they are of, null for a walk-in.

    `clinic_notes` are those of encounters: `signed_at` null is unsigned; with `to_attest` somebody with a licence has
    to stand for it, or for an amendment of it. `clinic_referrals` are open while `closed_at` is null.

    Sealed are the reasons of appointments (`reason`, `ended_for`). The board, follow-ups, no-shows and unsigned notes
    are questions over these (services/queries/clinic/day.py).
    """

    name = "clinic_visits"
    version = 1
    events = events_of("schedule", "encounter", "referral") - {VitalsRecorded}
    tables = (
        Table(
            "clinic_appointments",
            key=("clinician", "date", "appointment"),
            columns={
                "clinician": "text", "date": "date", "appointment": "text", "patient": "text",
                "starts_at": "timestamptz", "minutes": "integer", "state": "text", "reason": "text",
                "overbooked": "jsonb", "booked_at": "timestamptz", "checked_in_at": "timestamptz",
                "ended_at": "timestamptz", "ended_for": "text",
            },
            indexes=("date", "patient, starts_at", "appointment"),
        ),
        Table(
            "clinic_encounters",
            key=("encounter",),
            columns={
                "encounter": "text", "patient": "text", "clinician": "text", "appointment": "text", "kind": "text",
                "imported_from": "text", "opened_at": "timestamptz", "opened_by": "text", "closed_at": "timestamptz",
                "follow_up_on": "date",
            },
            indexes=("opened_at", "patient, opened_at", "follow_up_on", "appointment"),
        ),
        Table(
            "clinic_notes",
            key=("encounter", "note"),
            columns={
                "encounter": "text", "note": "text", "patient": "text", "author": "text", "drafted_at": "timestamptz",
                "signed_at": "timestamptz", "to_attest": "boolean", "to_attest_since": "timestamptz",
            },
            indexes=("signed_at", "to_attest"),
        ),
        Table(
            "clinic_referrals",
            key=("referral",),
            columns={
                "referral": "text", "patient": "text", "content": "text", "due_on": "date", "made_at": "timestamptz",
                "made_by": "text", "closed_at": "timestamptz",
            },
            indexes=("due_on", "patient"),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case CheckedIn() | NoShowRecorded() | AppointmentCancelled() as data:
                yield "clinic_appointments", (data.clinician, data.date, data.appointment)
            case EncounterClosed() as data:
                yield "clinic_encounters", (data.encounter,)
            case NoteDrafted() | NoteSigned() | NoteAttested() | NoteAmended() as data:
                yield "clinic_notes", (data.encounter, data.note)
            case ReferralClosed() as data:
                yield "clinic_referrals", (data.referral,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case AppointmentBooked() | CheckedIn() | NoShowRecorded() | AppointmentCancelled():
                _appointment(event, rows)
            case EncounterOpened() as data:
                over = data.imported_from is not None and data.ended_at is None
                rows.put(
                    "clinic_encounters",
                    (data.encounter,),
                    {
                        "patient": data.patient, "clinician": data.clinician, "appointment": data.appointment,
                        "kind": str(data.kind), "imported_from": data.imported_from, "opened_at": data.occurred_at,
                        "opened_by": event.envelope.authid, "closed_at": data.occurred_at if over else data.ended_at,
                        "follow_up_on": None,
                    },
                )  # fmt: skip
            case EncounterClosed() as data:
                if (row := rows.get("clinic_encounters", (data.encounter,))) is not None:
                    row["closed_at"] = row["closed_at"] or data.occurred_at
                    row["follow_up_on"] = data.follow_up_on
            case ReferralMade() as data:
                rows.put(
                    "clinic_referrals",
                    (data.referral,),
                    {
                        "patient": data.patient, "content": data.content, "due_on": data.due_on,
                        "made_at": data.occurred_at, "made_by": event.envelope.authid, "closed_at": None,
                    },
                )  # fmt: skip
            case ReferralClosed() as data:
                if (row := rows.get("clinic_referrals", (data.referral,))) is not None:
                    row["closed_at"] = data.occurred_at
            case _:
                _note(event, rows)


def _appointment(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    key = (data.clinician, data.date, data.appointment)
    if isinstance(data, AppointmentBooked):
        rows.put(
            "clinic_appointments",
            key,
            {
                "patient": data.patient, "starts_at": data.starts_at, "minutes": data.minutes, "state": "booked",
                "reason": data.reason, "overbooked": list(data.overlaps), "booked_at": data.occurred_at,
                "checked_in_at": None, "ended_at": None, "ended_for": None,
            },
        )  # fmt: skip
        return
    row = rows.get("clinic_appointments", key)
    if row is None:
        return
    match data:
        case CheckedIn():
            row |= {"state": "checked_in", "checked_in_at": data.occurred_at, "ended_at": None}
        case NoShowRecorded():
            row |= {"state": "no_show", "ended_at": data.occurred_at}
        case AppointmentCancelled():
            row |= {"state": "cancelled", "ended_at": data.occurred_at, "ended_for": data.reason}


def _note(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    key = (data.encounter, data.note)
    row = rows.get("clinic_notes", key)
    if isinstance(data, NoteDrafted):
        rows.put(
            "clinic_notes",
            key,
            {
                "patient": data.patient, "author": data.author,
                "drafted_at": data.occurred_at if row is None else row["drafted_at"], "signed_at": None,
                "to_attest": False, "to_attest_since": None,
            },
        )  # fmt: skip
        return
    if row is None:
        return
    match data:
        case NoteSigned() | NoteAmended():
            if isinstance(data, NoteSigned):
                row["signed_at"] = data.occurred_at
            if data.needs_attestation:
                row |= {"to_attest": True, "to_attest_since": row["to_attest_since"] or data.occurred_at}
        case NoteAttested():
            row |= {"to_attest": False, "to_attest_since": None}
