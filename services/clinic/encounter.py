"""Encounters: one visit of a patient, and how far its notes have come.

The state holds of a note who wrote it and what of it waits; texts, vital signs and amendments are found by their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.clinic.allergies import person
from services.clinic.contract import (
    AmendNote,
    AttestNote,
    ClinicError,
    CloseEncounter,
    DraftNote,
    EncounterClosed,
    EncounterOpened,
    NoteAmended,
    NoteAttested,
    NoteDrafted,
    NoteSigned,
    OpenEncounter,
    RecordVitals,
    Role,
    SignNote,
    Vital,
    VitalsRecorded,
    clinic,
    schedule_id,
)
from services.clinic.patient import itself, known, not_erased
from services.clinic.practitioner import CARE, imports, in_role, licensed, sees_patients
from services.clinic.refusals import holds, local_days, rejected, when
from services.clinic.vitals import plausible
from shared.contract import fields_of
from shared.decider import Context, Decider, Past, Ref
from shared.moments import TOLERANCE
from shared.types import Date


@dataclass
class Written:
    """A note: its author, whether they signed it, which trainees' words in it wait, and who attested it last."""

    author: str
    signed: bool = False
    waiting: list[str] = field(default_factory=list)
    attested_by: str | None = None


@dataclass
class Encounter:
    """An encounter; without a patient it was never opened. It is closed from `closed_at` on."""

    patient: str = ""
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    follow_up_on: Date | None = None
    notes: dict[str, Written] = field(default_factory=dict)

    def open_notes(self) -> tuple[str, ...]:
        """Those that are not signed, or not attested."""
        return tuple(sorted(id for id, note in self.notes.items() if note.waiting or not note.signed))


EncounterCommand = OpenEncounter | RecordVitals | DraftNote | SignNote | AttestNote | AmendNote | CloseEncounter
EncounterEvent = (
    EncounterOpened | VitalsRecorded | NoteDrafted | NoteSigned | NoteAttested | NoteAmended | EncounterClosed
)
_Fields = dict[str, Any]

_WRITERS: Final = (Role.CLINICIAN, Role.TRAINEE)
_MAY: Final[Mapping[type, tuple[tuple[Role, ...], str]]] = {
    OpenEncounter: (CARE, "open an encounter"),
    RecordVitals: (CARE, "record vital signs"),
    DraftNote: (_WRITERS, "write a note"),
    SignNote: (_WRITERS, "sign a note"),
    AttestNote: ((Role.CLINICIAN,), "attest a note"),
    AmendNote: (_WRITERS, "amend a note"),
    CloseEncounter: (CARE, "close an encounter"),
}
_OPENED: Final = "opened"


def evolve(encounter: Encounter, event: EncounterEvent) -> Encounter:
    match event:
        case EncounterOpened():
            encounter.patient, encounter.opened_at = event.patient, event.occurred_at
            if event.imported_from is not None:
                encounter.closed_at = event.ended_at or event.occurred_at
        case NoteDrafted():
            encounter.notes.setdefault(event.note, Written(event.author))
        case NoteSigned():
            note = encounter.notes[event.note]
            note.signed, note.waiting = True, [note.author] if event.needs_attestation else []
        case NoteAttested():
            note = encounter.notes[event.note]
            note.waiting, note.attested_by = [], event.attested_by
        case NoteAmended():
            note = encounter.notes[event.note]
            if event.needs_attestation and event.author not in note.waiting:
                note.waiting.append(event.author)
        case EncounterClosed():
            encounter.closed_at, encounter.follow_up_on = event.occurred_at, event.follow_up_on
        case VitalsRecorded():
            pass  # found by its name
    return encounter


def reads(command: EncounterCommand) -> Iterable[Ref]:
    return (Ref("patient", command.patient),) if isinstance(command, OpenEncounter) else ()


def names(event: EncounterEvent) -> Iterable[str]:
    """What is compared with what is sent again. Of a note that was written anew the newest text is found."""
    match event:
        case EncounterOpened():
            return (_OPENED,)
        case VitalsRecorded():
            return (f"vitals:{event.vitals}",)
        case NoteDrafted():
            return (f"note:{event.note}",)
        case NoteAmended():
            return (f"amendment:{event.amendment}",)
    return ()


def recalls(command: EncounterCommand) -> Iterable[tuple[Ref, str]]:
    own = Ref("encounter", command.encounter)
    match command:
        case OpenEncounter():
            return ((own, _OPENED),)
        case RecordVitals():
            return tuple((own, f"vitals:{id}") for id in (command.vitals, command.corrects) if id is not None)
        case DraftNote():
            return ((own, f"note:{command.note}"),)
        case AmendNote():
            return ((own, f"amendment:{command.amendment}"),)
    return ()


def _past(command: EncounterCommand, name: str, context: Context) -> Past | None:
    return context.recalled(Ref("encounter", command.encounter), name)


def decide(command: EncounterCommand, encounter: Encounter, context: Context) -> EncounterEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    if isinstance(command, OpenEncounter):
        return _open(command, encounter, context, at, fields)
    role = in_role(context, *_MAY[type(command)])
    match command:
        case SignNote():
            return _sign(command, encounter, context, role, fields)
        case AttestNote():
            return _attest(command, encounter, context, fields)
        case AmendNote():
            return _amend(command, encounter, context, role, fields)
        case DraftNote():
            return _draft(command, encounter, context, at, fields)
        case RecordVitals():
            return _measure(command, encounter, context, at, fields)
        case CloseEncounter():
            return _close(command, encounter, at, fields)


# -- the encounter ----------------------------------------------------------------------------------------------------


def _open(
    command: OpenEncounter, encounter: Encounter, context: Context, at: datetime, fields: _Fields
) -> EncounterOpened | None:
    if command.imported_from is None:
        in_role(context, *_MAY[OpenEncounter])
    else:
        imports(context)
    if encounter.patient and _opened_so(command, context):
        return None
    if command.clinician is not None and command.imported_from is None:
        sees_patients(command.clinician, context)
    patient = context.read("patient", command.patient)
    known(patient, command.patient, context)
    if encounter.patient:
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is an encounter {command.encounter} already. Choose another id.",
            encounter=command.encounter,
        )  # fmt: skip
    itself(patient, command.patient)
    _its_appointment(command, context, at)
    _in_range(command, context, at)
    return EncounterOpened(**fields)


def _its_appointment(command: OpenEncounter, context: Context, at: datetime) -> None:
    """Refuse an appointment of somebody else with the same clinician, around that day; no other is looked for."""
    if command.appointment is None or command.clinician is None or command.imported_from is not None:
        return
    for day in dict.fromkeys(local_days(at)):
        found = context.read("schedule", schedule_id(command.clinician, day)).appointments.get(command.appointment)
        if found is not None and found.patient not in person(command.patient, context):
            raise rejected(
                ClinicError.WRONG_PATIENT,
                f"Appointment {command.appointment} is not one of patient {command.patient}. Check both ids.",
                appointment=command.appointment, patient=command.patient,
            )  # fmt: skip


def _opened_so(command: OpenEncounter, context: Context) -> bool:
    before = _past(command, _OPENED, context)
    if before is None:
        return False
    event: EncounterOpened = before.event
    said = ("patient", "clinician", "appointment", "kind", "imported_from", "ended_at")
    return (
        holds(event.content, command.content, context)
        and command.occurred_at in (None, event.occurred_at)
        and all(getattr(event, one) == getattr(command, one) for one in said)
    )


def _in_range(command: OpenEncounter, context: Context, at: datetime) -> None:
    if command.ended_at is None:
        return
    if command.imported_from is None:
        why = "ends when it is closed. Leave ended_at out, and send CloseEncounter"
    elif command.ended_at < at:
        why = f"ends at {command.ended_at:%Y-%m-%d %H:%M} UTC, before it begins. Check both moments"
    elif command.ended_at > context.now + TOLERANCE:
        why = f"ends at {command.ended_at:%Y-%m-%d %H:%M} UTC, which is yet to come. Import it when it is over"
    else:
        return
    raise rejected(
        ClinicError.INVALID_RANGE, f"Encounter {command.encounter} {why}.", encounter=command.encounter,
        ended_at=command.ended_at.isoformat(),
    )  # fmt: skip


def _measure(
    command: RecordVitals, encounter: Encounter, context: Context, at: datetime, fields: _Fields
) -> VitalsRecorded | None:
    _theirs(command, encounter, context)
    before = _past(command, f"vitals:{command.vitals}", context)
    if before is not None:
        content = context.unseal_as(before.event.content, tuple[Vital, ...])
        if (content, before.event.corrects) == (command.content, command.corrects):
            return None
        raise rejected(
            ClinicError.ALREADY_EXISTS,
            f"There is a reading {command.vitals} already. Record what corrects it under another id, with `corrects`.",
            vitals=command.vitals,
        )  # fmt: skip
    _while_open(command, encounter, at, "Measured afterwards, they belong to another encounter")
    if command.corrects is not None and _past(command, f"vitals:{command.corrects}", context) is None:
        raise rejected(
            ClinicError.UNKNOWN_RECORD,
            f"Encounter {command.encounter} has no reading {command.corrects} to correct. Check the id.",
            vitals=command.corrects,
        )  # fmt: skip
    plausible(command.content, confirmed=command.confirm_unusual)
    return VitalsRecorded(**fields)


def _close(command: CloseEncounter, encounter: Encounter, at: datetime, fields: _Fields) -> EncounterClosed | None:
    _its_patient(command, encounter)
    if encounter.closed_at is not None:
        if encounter.follow_up_on == command.follow_up_on:
            return None
        raise rejected(
            ClinicError.ENCOUNTER_CLOSED,
            f"Encounter {command.encounter} is closed, and says of a follow-up something else. Open another one.",
            encounter=command.encounter,
        )  # fmt: skip
    if encounter.opened_at is not None and at < encounter.opened_at - TOLERANCE:
        raise rejected(
            ClinicError.INVALID_RANGE,
            f"Encounter {command.encounter} began at {encounter.opened_at:%Y-%m-%d %H:%M} UTC, and cannot be over by "
            "then. Check occurred_at.",
            encounter=command.encounter,
        )  # fmt: skip
    left = encounter.open_notes()
    if left and not command.leave_unsigned:
        raise rejected(
            ClinicError.NOTES_OPEN,
            f"Notes of encounter {command.encounter} are not signed, or not attested: {', '.join(left)}. See to them, "
            "or close it with leave_unsigned.",
            notes=list(left),
        )  # fmt: skip
    return EncounterClosed(**fields, unsigned=left)


# -- its notes --------------------------------------------------------------------------------------------------------


def _draft(
    command: DraftNote, encounter: Encounter, context: Context, at: datetime, fields: _Fields
) -> NoteDrafted | None:
    _theirs(command, encounter, context)
    note = encounter.notes.get(command.note)
    if note is None:
        _while_open(command, encounter, at, "Add to a signed note, or say in occurred_at when it was written")
        return NoteDrafted(**fields, author=context.actor)
    _own(note, command, context)
    before = _past(command, f"note:{command.note}", context)
    if before is not None and context.unseal(before.event.text) == command.text:
        return None
    if note.signed:
        raise rejected(
            ClinicError.NOTE_SIGNED, f"Note {command.note} is signed. Add to it with AmendNote.", note=command.note
        )
    return NoteDrafted(**fields, author=context.actor)


def _sign(command: SignNote, encounter: Encounter, context: Context, role: Role, fields: _Fields) -> NoteSigned | None:
    note = encounter.notes.get(command.note)
    if note is not None and note.signed and (note.author, encounter.patient) == (context.actor, command.patient):
        return None
    _answers(role, context, _MAY[SignNote][1])
    _theirs(command, encounter, context)
    _own(_noted(command, encounter), command, context)
    return NoteSigned(**fields, needs_attestation=role is Role.TRAINEE)


def _attest(command: AttestNote, encounter: Encounter, context: Context, fields: _Fields) -> NoteAttested | None:
    note = encounter.notes.get(command.note)
    if note is not None and not note.waiting and (note.attested_by, encounter.patient) == (
        context.actor, command.patient,
    ):  # fmt: skip
        return None
    _answers(Role.CLINICIAN, context, _MAY[AttestNote][1])
    _theirs(command, encounter, context)
    note = _signed(command, encounter)
    if not note.waiting:
        raise rejected(
            ClinicError.NOTHING_TO_REVIEW,
            f"Note {command.note} waits for nobody's attestation. Add to it with AmendNote, if there is more to say.",
            note=command.note,
        )  # fmt: skip
    if context.actor in note.waiting:
        raise rejected(
            ClinicError.SECOND_PERSON_REQUIRED,
            f"What waits of note {command.note} was written by {context.actor}, who cannot attest it too. Let another "
            "clinician.",
            note=command.note,
        )  # fmt: skip
    return NoteAttested(**fields, attested_by=context.actor)


def _amend(
    command: AmendNote, encounter: Encounter, context: Context, role: Role, fields: _Fields
) -> NoteAmended | None:
    before = _past(command, f"amendment:{command.amendment}", context)
    if before is not None:
        said = (before.event.patient, before.event.note, before.event.author, context.unseal(before.event.text))
        if said == (command.patient, command.note, context.actor, command.text):
            return None
    _answers(role, context, _MAY[AmendNote][1])
    _theirs(command, encounter, context)
    if before is not None:
        raise rejected(
            ClinicError.ALREADY_EXISTS, f"There is an amendment {command.amendment} already. Choose another id.",
            amendment=command.amendment,
        )  # fmt: skip
    _signed(command, encounter)
    return NoteAmended(**fields, author=context.actor, needs_attestation=role is Role.TRAINEE)


def _answers(role: Role, context: Context, what: str) -> None:
    """Refuse a clinician without a licence; it is valid now, whenever they say that it was. Trainees need none."""
    if role is Role.CLINICIAN:
        licensed(context, (role,), what, context.now)


def _noted(command: SignNote | AttestNote | AmendNote, encounter: Encounter) -> Written:
    note = encounter.notes.get(command.note)
    if note is None:
        raise rejected(
            ClinicError.UNKNOWN_NOTE, f"Encounter {command.encounter} has no note {command.note}. Check the id.",
            note=command.note,
        )  # fmt: skip
    return note


def _signed(command: AttestNote | AmendNote, encounter: Encounter) -> Written:
    note = _noted(command, encounter)
    if not note.signed:
        raise rejected(
            ClinicError.NOTE_NOT_SIGNED,
            f"Note {command.note} is not signed. Its author, {note.author}, writes it anew or signs it.",
            note=command.note,
        )  # fmt: skip
    return note


def _own(note: Written, command: DraftNote | SignNote, context: Context) -> None:
    if note.author != context.actor:
        raise rejected(
            ClinicError.NOT_THE_AUTHOR, f"Note {command.note} is {note.author}'s. Write another.", note=command.note
        )


# -- whose, and when --------------------------------------------------------------------------------------------------


def _theirs(command: EncounterCommand, encounter: Encounter, context: Context) -> None:
    """Refuse what is not the encounter's patient's, or could not be sealed for them any more."""
    not_erased(command.patient, context)
    _its_patient(command, encounter)


def _its_patient(command: EncounterCommand, encounter: Encounter) -> None:
    if not encounter.patient:
        raise _no_encounter(command.encounter)
    if command.patient != encounter.patient:
        raise _of_another(command.encounter, command.patient)


def _while_open(command: RecordVitals | DraftNote, encounter: Encounter, at: datetime, otherwise: str) -> None:
    """Refuse what happened before or after an encounter that is closed; what happened in it may come late."""
    if encounter.closed_at is None or encounter.opened_at is None:
        return
    if not encounter.opened_at - TOLERANCE <= at <= encounter.closed_at + TOLERANCE:
        raise rejected(
            ClinicError.ENCOUNTER_CLOSED,
            f"Encounter {command.encounter} was open from {encounter.opened_at:%Y-%m-%d %H:%M} to "
            f"{encounter.closed_at:%Y-%m-%d %H:%M} UTC. {otherwise}.",
            encounter=command.encounter, closed_at=encounter.closed_at.isoformat(),
        )  # fmt: skip


# -- for the decisions that name one ----------------------------------------------------------------------------------


def in_encounter(id: str | None, patient: str, context: Context) -> None:
    """Refuse an encounter that was never opened, or is of somebody else than a patient, in any of their records."""
    if id is None:
        return
    found: Encounter = context.read("encounter", id)
    if not found.patient:
        raise _no_encounter(id)
    if found.patient not in person(patient, context):
        raise _of_another(id, patient)


def _no_encounter(id: str) -> Exception:
    return rejected(
        ClinicError.UNKNOWN_ENCOUNTER, f"There is no encounter {id}. Check the id, or open it first.", encounter=id
    )


def _of_another(id: str, patient: str) -> Exception:
    return rejected(
        ClinicError.WRONG_PATIENT, f"Encounter {id} is not one of patient {patient}. Look whose chart is open.",
        encounter=id, patient=patient,
    )  # fmt: skip


def check(encounter: Encounter) -> list[str]:
    broken = []
    if (encounter.notes or encounter.closed_at) and not encounter.patient:
        broken.append("something is known of an encounter that was never opened")
    for id, note in encounter.notes.items():
        if (note.waiting or note.attested_by) and not note.signed:
            broken.append(f"note {id} is attested, or waits to be, and is not signed")
    return broken


encounter: Final = Decider(clinic, "encounter", Encounter, Encounter, decide, evolve, check, reads, names, recalls)
