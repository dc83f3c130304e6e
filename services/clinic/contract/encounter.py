"""Commands and events of `encounter`: one visit of a patient, its vitals and its notes.

    OpenEncounter -> EncounterOpened -> RecordVitals -> VitalsRecorded
                                     -> DraftNote -> NoteDrafted -> SignNote -> NoteSigned
                                                     (a trainee's) -> AttestNote -> NoteAttested
                                                     AmendNote -> NoteAmended
                                     -> CloseEncounter -> EncounterClosed

A signed note is never edited: an amendment stands beside it.

Clinicians, trainees and pharmacists open and close encounters and measure; clinicians and trainees write notes;
licensed clinicians attest what trainees signed. All of it is of the encounter's patient, whom each command names.

After an encounter is closed, what happened while it was open is still recorded (`occurred_at` says when): vital signs,
and a note that was written by then. A note that was left unsigned is finished by its author, signed, and attested; and
a signed one is amended for ever.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.clinic.contract.base import Coded, Date, Id, Measure, Moment, Note, Text, command, event, value
from shared.personal import PersonalValue, Sealed
from shared.types import NOTE_PATTERN

NoteText = Annotated[str, Field(pattern=NOTE_PATTERN, min_length=1, max_length=12_000)]
"""The text of a note; what is longer goes on in an amendment."""


class EncounterKind(StrEnum):
    """How patient and clinic met, in the words of FHIR's v3 ActCode: AMB, VR, HH, EMER, IMP."""

    AMBULATORY = "ambulatory"
    VIRTUAL = "virtual"
    HOME = "home"
    EMERGENCY = "emergency"
    INPATIENT = "inpatient"


@value
class Visit:
    """Why a patient came: `kinds` of visit and `reasons`, coded (SNOMED CT, ICD-10) or in words, and where it was."""

    kinds: Annotated[tuple[Coded, ...], Field(max_length=5)] = ()
    reasons: Annotated[tuple[Coded, ...], Field(max_length=10)] = ()
    place: Text | None = None
    clinician: Text | None = None


@event(category="encounter")
class EncounterOpened:
    """A patient is seen. With `imported_from` it took place elsewhere, and until `ended_at`."""

    encounter: Id
    patient: Id
    clinician: Id | None = None
    appointment: Id | None = None
    kind: EncounterKind = EncounterKind.AMBULATORY
    content: Annotated[PersonalValue | None, Sealed(of="patient", holds=Visit)] = None
    imported_from: Text | None = None
    ended_at: Moment | None = None
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(EncounterOpened,))
class OpenEncounter:
    """Begin an encounter. One that was imported is over: it says when it ended, or is closed as it begins.

    `clinician` is somebody who works here, unless it was imported; then any of the staff may send it.
    """

    encounter: Id
    patient: Id
    clinician: Id | None = None
    appointment: Id | None = None
    kind: EncounterKind = EncounterKind.AMBULATORY
    content: Visit | None = None
    imported_from: Text | None = None
    ended_at: Moment | None = None
    occurred_at: Moment | None = None


@value
class Vital:
    """One vital sign: what was measured (LOINC), and the measure with its unit."""

    code: Coded
    measured: Measure


Vitals = Annotated[tuple[Vital, ...], Field(min_length=1, max_length=20)]


@event(category="encounter")
class VitalsRecorded:
    """Vital signs were measured. `confirm_unusual` says that somebody confirmed a value far out of the usual."""

    encounter: Id
    patient: Id
    vitals: Id
    content: Annotated[PersonalValue, Sealed(of="patient", holds=tuple[Vital, ...])]
    confirm_unusual: bool = False
    corrects: Id | None = None
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(VitalsRecorded,))
class RecordVitals:
    """Record vital signs. What no living body has is refused; what is unusual is confirmed with `confirm_unusual`.

    Each is measured once in a reading. Of those in the table of services/clinic/vitals.py the unit is checked, too.
    A mistaken reading is corrected by another, which names it in `corrects`.
    """

    encounter: Id
    patient: Id
    vitals: Id
    content: Vitals
    confirm_unusual: bool = False
    corrects: Id | None = None
    occurred_at: Moment | None = None


@event(category="encounter")
class NoteDrafted:
    """A note was written, or written anew before it was signed."""

    encounter: Id
    patient: Id
    note: Id
    text: Annotated[str, Sealed(of="patient")]
    author: str
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(NoteDrafted,))
class DraftNote:
    """Write a note, or write it anew; its author alone may, until it is signed."""

    encounter: Id
    patient: Id
    note: Id
    text: NoteText
    occurred_at: Moment | None = None


@event(category="encounter")
class NoteSigned:
    """The author stands for a note. One of a trainee's waits for attestation (`needs_attestation`)."""

    encounter: Id
    patient: Id
    note: Id
    needs_attestation: bool
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(NoteSigned,))
class SignNote:
    """Sign one's own note. It is not changed from then on."""

    encounter: Id
    patient: Id
    note: Id
    occurred_at: Moment | None = None


@event(category="encounter")
class NoteAttested:
    """A licensed clinician stands, too, for what trainees wrote of a note so far: itself, and what was added to it."""

    encounter: Id
    patient: Id
    note: Id
    attested_by: str
    remark: Annotated[str | None, Sealed(of="patient")] = None
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(NoteAttested,))
class AttestNote:
    """Attest what waits of a signed note: all that trainees wrote of it, and none of one's own."""

    encounter: Id
    patient: Id
    note: Id
    remark: Note | None = None
    occurred_at: Moment | None = None


@event(category="encounter")
class NoteAmended:
    """Something was added to a signed note: `text` stands beside it, signed by who wrote it (`author`).

    What a trainee added waits for attestation (`needs_attestation`), whoever wrote the note.
    """

    encounter: Id
    patient: Id
    note: Id
    amendment: Id
    text: Annotated[str, Sealed(of="patient")]
    author: str
    needs_attestation: bool
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(NoteAmended,))
class AmendNote:
    """Add to a signed note, or correct it in words; the encounter may be closed by then."""

    encounter: Id
    patient: Id
    note: Id
    amendment: Id
    text: NoteText
    occurred_at: Moment | None = None


@event(category="encounter")
class EncounterClosed:
    """An encounter is over. `follow_up_on` is when somebody should look again.

    `unsigned` are the notes that were left: not signed, or not attested.
    """

    encounter: Id
    patient: Id
    follow_up_on: Date | None = None
    leave_unsigned: bool = False
    unsigned: tuple[Id, ...] = ()
    occurred_at: Moment


@command(category="encounter", aggregate="encounter", makes=(EncounterClosed,))
class CloseEncounter:
    """Close an encounter. Refused while a note is not signed or not attested; `leave_unsigned` leaves it for later."""

    encounter: Id
    patient: Id
    follow_up_on: Date | None = None
    leave_unsigned: bool = False
    occurred_at: Moment | None = None


__all__ = [
    "AmendNote", "AttestNote", "CloseEncounter", "DraftNote", "EncounterClosed", "EncounterKind", "EncounterOpened",
    "NoteAmended", "NoteAttested", "NoteDrafted", "NoteSigned", "OpenEncounter", "RecordVitals", "SignNote", "Visit",
    "Vital", "VitalsRecorded",
]  # fmt: skip
