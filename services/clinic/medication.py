"""Medication: what one patient was given here, so that nobody gives it again within days; and what they report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from services.clinic.contract import (
    Claim,
    ClaimFill,
    ClinicError,
    Fill,
    FillClaimed,
    FillReleased,
    RecordReportedMedication,
    ReleaseFill,
    ReportedMedication,
    ReportedMedicationRecorded,
    clinic,
)
from services.clinic.formulary import same_medicine
from services.clinic.patient import Patient, everyone, itself, known
from services.clinic.practitioner import CARE, in_role
from services.clinic.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref

APART: Final = timedelta(days=7)
"""Two fills of one medicine that begin less than this apart are duplicates."""


@dataclass
class Medication:
    """What one patient takes: sealed reports and fills, by id; `released` are dispensings that came to nothing."""

    reports: dict[str, str] = field(default_factory=dict)
    fills: dict[str, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)


MedicationCommand = RecordReportedMedication | ClaimFill | ReleaseFill
MedicationEvent = ReportedMedicationRecorded | FillClaimed | FillReleased


def evolve(medication: Medication, event: MedicationEvent) -> Medication:
    match event:
        case ReportedMedicationRecorded():
            medication.reports[event.report] = event.content
        case FillClaimed():
            medication.fills[event.dispensing] = event.content
            medication.released.discard(event.dispensing)
        case FillReleased():
            medication.fills.pop(event.dispensing, None)
            medication.released.add(event.dispensing)
    return medication


def reads(command: MedicationCommand) -> Iterable[Ref]:
    return (Ref("patient", command.patient),)


def decide(command: MedicationCommand, medication: Medication, context: Context) -> MedicationEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    if isinstance(command, ReleaseFill):  # recorded although nothing was claimed, and of somebody who was erased since
        return None if command.dispensing in medication.released else FillReleased(**fields)
    if isinstance(command, RecordReportedMedication):
        in_role(context, CARE, "record what a patient takes")
    patient: Patient = context.read("patient", command.patient)
    known(patient, command.patient, context)
    match command:
        case RecordReportedMedication():
            itself(patient, command.patient)
            before = medication.reports.get(command.report)
            same = before is not None and context.unseal_as(before, ReportedMedication) == command.content
            return None if same else ReportedMedicationRecorded(**fields)
        case ClaimFill():
            if command.dispensing in medication.fills:
                return None
            if not command.fact:
                _may_claim(command, patient, medication, context)
            return FillClaimed(**fields)


def _may_claim(command: ClaimFill, patient: Patient, medication: Medication, context: Context) -> None:
    if command.dispensing in medication.released:
        raise rejected(
            ClinicError.DISPENSING_OVER, f"Dispensing {command.dispensing} came to nothing. Request another.",
            dispensing=command.dispensing,
        )  # fmt: skip
    others = duplicates(command.content, command.dispensing, command.patient, patient, context, medication)
    answered = command.overridden and Claim.FILL in context.read("dispensing", command.dispensing).claims
    if others and not answered:
        raise rejected(
            ClinicError.DUPLICATE,
            f"Dispensing {command.dispensing} is within {APART.days} days of another of the like: {others[0]}. A "
            "licensed clinician or pharmacist may answer for it.",
            dispensing=command.dispensing, other=others[0],
        )  # fmt: skip


def duplicates(
    fill: Fill, dispensing: str, id: str, patient: Patient, context: Context, own: Medication
) -> list[str]:  # fmt: skip
    """The other dispensings, to a patient or to a record that goes on as theirs, that give the same within days."""
    found = []
    for who in everyone(patient, id, context):
        medication = own if who == id else context.read("medication", who)
        for other, content in medication.fills.items():
            before = context.unseal_as(content, Fill)
            if other != dispensing and before is not None and _alike(fill, before):
                found.append(other)
    return sorted(found)


def _alike(one: Fill, other: Fill) -> bool:
    if abs(one.on - other.on) >= APART:
        return False
    return same_medicine(one.medication, other.medication) or any(
        same_medicine(mine, theirs) for mine in one.ingredients for theirs in other.ingredients
    )


def check(medication: Medication) -> list[str]:
    return ["a dispensing counts that came to nothing"] if medication.fills.keys() & medication.released else []


medication: Final = Decider(clinic, "medication", Medication, Medication, decide, evolve, check, reads)
