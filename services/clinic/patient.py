"""Patients: whether somebody is one, which of their allergies stand, and what they agreed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AllergyRecorded,
    AllergyRefuted,
    AssertNoKnownAllergy,
    ChangeContact,
    ClinicError,
    Consent,
    ConsentGranted,
    ConsentWithdrawn,
    ContactChanged,
    Demographics,
    GrantConsent,
    MergeNoted,
    MergePatients,
    NoKnownAllergyAsserted,
    NoteMerge,
    PatientRegistered,
    PatientsMerged,
    PatientsUnmerged,
    ProblemRecorded,
    RecordAllergy,
    RecordProblem,
    RecordResult,
    RefuteAllergy,
    RegisterPatient,
    ResultRecorded,
    Role,
    UnmergePatients,
    WithdrawConsent,
    clinic,
)
from services.clinic.practitioner import CARE, DESK, imports, in_role
from services.clinic.refusals import local_days, rejected, when
from services.clinic.terminology.ingredients import contradicts
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.erasure import CATEGORY as ERASURE
from shared.erasure import Erasure, Stage
from shared.moments import TOLERANCE


@dataclass
class Agreed:
    """A consent, its content as it is stored, and from when until when it stood."""

    content: str
    since: datetime
    withdrawn_at: datetime | None = None


@dataclass
class Patient:
    """A patient. Sealed texts are kept as they are stored; `problems` and `results` by id alone.

    `parted` are those as whom the record went on once. `none_known` are the kinds of allergy that somebody asked about
    and found none of; what is recorded counts for more.
    """

    registered: bool = False
    imported: bool = False
    merged_into: str | None = None
    parted: set[str] = field(default_factory=set)
    merged: list[str] = field(default_factory=list)
    allergies: dict[str, str] = field(default_factory=dict)
    refuted: set[str] = field(default_factory=set)
    none_known: set[AllergyCategory] = field(default_factory=set)
    consents: dict[str, Agreed] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    results: set[str] = field(default_factory=set)
    content: str = ""


PatientCommand = (
    RegisterPatient | ChangeContact | MergePatients | UnmergePatients | NoteMerge | GrantConsent | WithdrawConsent
    | RecordAllergy | RefuteAllergy | AssertNoKnownAllergy | RecordProblem | RecordResult
)  # fmt: skip
PatientEvent = (
    PatientRegistered | ContactChanged | PatientsMerged | PatientsUnmerged | MergeNoted | ConsentGranted
    | ConsentWithdrawn | AllergyRecorded | AllergyRefuted | NoKnownAllergyAsserted | ProblemRecorded | ResultRecorded
)  # fmt: skip


def evolve(patient: Patient, event: PatientEvent) -> Patient:
    match event:
        case PatientRegistered():
            patient.registered, patient.imported = True, event.imported_from is not None
            patient.content = event.content
        case ContactChanged():
            patient.content = event.content
        case PatientsMerged():
            patient.merged_into = event.into
        case PatientsUnmerged():
            patient.merged_into = None
            patient.parted.add(event.into)
        case MergeNoted():
            patient.merged = [id for id in patient.merged if id != event.other] + [event.other] * event.merged
        case ConsentGranted():
            patient.consents[event.consent] = Agreed(event.content, event.occurred_at)
        case ConsentWithdrawn():
            patient.consents[event.consent].withdrawn_at = event.occurred_at
        case AllergyRecorded():
            patient.allergies[event.allergy] = event.content
            patient.refuted.discard(event.allergy)
        case AllergyRefuted():
            patient.allergies.pop(event.allergy, None)
            patient.refuted.add(event.allergy)
        case NoKnownAllergyAsserted():
            patient.none_known.add(event.category)
        case ProblemRecorded():
            patient.problems[event.problem] = event.content
        case ResultRecorded():
            patient.results.add(event.result)
    return patient


def reads(command: PatientCommand) -> Iterable[Ref]:
    return (Ref("patient", command.into),) if isinstance(command, MergePatients) else ()


def decide(command: PatientCommand, patient: Patient, context: Context) -> PatientEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    _may(command, context)
    if isinstance(command, RegisterPatient):
        if patient.registered:
            raise rejected(
                ClinicError.ALREADY_EXISTS,
                f"There is a patient {command.patient} already. Change who has that id, or choose another.",
                patient=command.patient,
            )  # fmt: skip
        _is_born(command, context)
        return PatientRegistered(**fields)
    registered(patient, command.patient)
    if isinstance(command, NoteMerge):
        return None if (command.other in patient.merged) is command.merged else MergeNoted(**fields)
    not_erased(command.patient, context)
    match command:
        case ChangeContact():
            _is_born(command, context)
            same = context.unseal_as(patient.content, Demographics) == command.content
            return None if same else ContactChanged(**fields)
        case MergePatients():
            return _merge(command, patient, context, fields)
        case UnmergePatients():
            return _unmerge(command, patient, fields)
        case GrantConsent():
            return _grant(command, patient, context, fields)
        case WithdrawConsent():
            return _withdraw(command, patient, fields)
        case RecordAllergy() | RefuteAllergy() | AssertNoKnownAllergy():
            return _allergy(command, patient, context, fields)
        case RecordProblem():
            before = patient.problems.get(command.problem)
            same = before is not None and context.unseal_as(before, type(command.content)) == command.content
            return None if same else ProblemRecorded(**fields)
        case RecordResult():
            return _result(command, patient, fields)


_MERGING: Final = (Role.FRONT_DESK, Role.CLINICIAN)
_MAY: Final[Mapping[type, tuple[tuple[Role, ...], str]]] = {
    RegisterPatient: (DESK, "register a patient"),
    ChangeContact: (DESK, "change who a patient is"),
    GrantConsent: (DESK, "record a consent"),
    WithdrawConsent: (DESK, "record that a consent was withdrawn"),
    MergePatients: (_MERGING, "merge patients"),
    UnmergePatients: (_MERGING, "part patients"),
    RecordAllergy: (CARE, "record an allergy"),
    RefuteAllergy: ((Role.CLINICIAN, Role.PHARMACIST), "refute an allergy"),
    AssertNoKnownAllergy: (CARE, "record that no allergy is known"),
    RecordProblem: (CARE, "record a problem"),
    RecordResult: (CARE, "record a result"),
}
"""Who may do what, and the deed in words; what is not here a process manager sends."""


def _may(command: PatientCommand, context: Context) -> None:
    if isinstance(command, RegisterPatient) and command.imported_from is not None:
        imports(context)
    elif type(command) in _MAY:
        in_role(context, *_MAY[type(command)])


def _is_born(command: RegisterPatient | ChangeContact, context: Context) -> None:
    """Refuse somebody who would be born tomorrow, wherever the clinic is. It says no date: that is the patient's."""
    born = command.content.born
    if born is not None and born > local_days(context.now)[1]:
        raise rejected(
            ClinicError.IMPLAUSIBLE,
            f"Patient {command.patient} would be born on a day that is yet to come. Check `born`, or leave it out.",
            patient=command.patient,
        )  # fmt: skip


def _merge(
    command: MergePatients, patient: Patient, context: Context, fields: dict[str, object]
) -> PatientsMerged | None:
    if command.into == command.patient:
        raise rejected(
            ClinicError.SAME_PATIENT, f"{command.patient} cannot be merged with itself. Name the other record.",
            patient=command.patient,
        )  # fmt: skip
    if patient.merged_into == command.into:
        return None
    into: Patient = context.read("patient", command.into)
    known(into, command.into, context)
    for id, one in ((command.patient, patient), (command.into, into)):
        itself(one, id)
    return PatientsMerged(**fields)  # type: ignore[arg-type]


def _unmerge(command: UnmergePatients, patient: Patient, fields: dict[str, object]) -> PatientsUnmerged | None:
    if patient.merged_into is None:
        if command.into in patient.parted:
            return None
        raise rejected(
            ClinicError.NOT_MERGED,
            f"Patient {command.patient} was never merged with {command.into}. Check both ids.",
            patient=command.patient,
        )  # fmt: skip
    if patient.merged_into != command.into:
        raise rejected(
            ClinicError.NOT_MERGED,
            f"Patient {command.patient} goes on as {patient.merged_into}, not as {command.into}.",
            patient=command.patient, into=patient.merged_into,
        )  # fmt: skip
    return PatientsUnmerged(**fields)  # type: ignore[arg-type]


def _grant(
    command: GrantConsent, patient: Patient, context: Context, fields: dict[str, object]
) -> ConsentGranted | None:
    before = patient.consents.get(command.consent)
    if before is None:
        return ConsentGranted(**fields)  # type: ignore[arg-type]
    if before.withdrawn_at is None and context.unseal_as(before.content, Consent) == command.content:
        return None
    raise rejected(
        ClinicError.ALREADY_EXISTS, f"There is, or was, a consent {command.consent}. Choose another id.",
        consent=command.consent,
    )  # fmt: skip


def _withdraw(command: WithdrawConsent, patient: Patient, fields: dict[str, object]) -> ConsentWithdrawn | None:
    agreed = patient.consents.get(command.consent)
    if agreed is None:
        raise rejected(
            ClinicError.UNKNOWN_CONSENT, f"Patient {command.patient} gave no consent {command.consent}.",
            consent=command.consent,
        )  # fmt: skip
    return None if agreed.withdrawn_at is not None else ConsentWithdrawn(**fields)  # type: ignore[arg-type]


def _allergy(
    command: RecordAllergy | RefuteAllergy | AssertNoKnownAllergy, patient: Patient, context: Context,
    fields: dict[str, object],
) -> PatientEvent | None:  # fmt: skip
    match command:
        case RecordAllergy():
            before = patient.allergies.get(command.allergy)
            same = before is not None and context.unseal_as(before, Allergy) == command.content
            if not same and contradicts(command.content.substance):
                raise rejected(
                    ClinicError.CODE_MISMATCH,
                    f"Allergy {command.allergy} has the code of one substance and the words of another. Give the code "
                    "its own words, or leave it out (`system` `text`).",
                    allergy=command.allergy,
                )  # fmt: skip
            return None if same else AllergyRecorded(**fields)  # type: ignore[arg-type]
        case RefuteAllergy():
            if command.allergy in patient.refuted:
                return None
            if command.allergy not in patient.allergies:
                raise rejected(
                    ClinicError.UNKNOWN_ALLERGY, f"Patient {command.patient} has no allergy {command.allergy}.",
                    allergy=command.allergy,
                )  # fmt: skip
            return AllergyRefuted(**fields)  # type: ignore[arg-type]
        case AssertNoKnownAllergy():
            standing = [
                id for id, one in allergies(patient, context).items() if one is None or one.category is command.category
            ]
            if standing:
                raise rejected(
                    ClinicError.ALLERGIES_STAND,
                    f"Of patient {command.patient} allergies are recorded: {', '.join(sorted(standing))}. Refute them "
                    "first, if they are none.",
                    allergies=sorted(standing),
                )  # fmt: skip
            return None if command.category in patient.none_known else NoKnownAllergyAsserted(**fields)  # type: ignore[arg-type]


def _result(command: RecordResult, patient: Patient, fields: dict[str, object]) -> ResultRecorded:
    if command.result in patient.results:
        raise rejected(
            ClinicError.ALREADY_EXISTS,
            f"There is a result {command.result} already. Record what corrects it under another id, with `corrects`.",
            result=command.result,
        )  # fmt: skip
    if command.corrects is not None and command.corrects not in patient.results:
        raise rejected(
            ClinicError.UNKNOWN_RECORD, f"Patient {command.patient} has no result {command.corrects} to correct.",
            result=command.corrects,
        )  # fmt: skip
    return ResultRecorded(**fields)  # type: ignore[arg-type]


# -- for the decisions about patients ---------------------------------------------------------------------------------


def registered(patient: Patient, id: str) -> None:
    """Refuse somebody who is no patient."""
    if not patient.registered:
        raise rejected(
            ClinicError.UNKNOWN_PATIENT, f"There is no patient {id}. Check the id, or register them first.", patient=id
        )


def not_erased(id: str, context: Context) -> None:
    """Refuse somebody who was erased: nothing can be sealed for them any more."""
    if context.erased(f"patient/{id}"):
        raise rejected(
            ClinicError.PATIENT_ERASED, f"Patient {id} was erased. Register them anew, under another id.", patient=id
        )


def known(patient: Patient, id: str, context: Context) -> None:
    """Refuse somebody who is no patient, or was erased."""
    registered(patient, id)
    not_erased(id, context)


def itself(patient: Patient, id: str) -> None:
    """Refuse a record that goes on as another one."""
    if patient.merged_into is not None:
        raise rejected(
            ClinicError.PATIENT_MERGED, f"Patient {id} goes on as {patient.merged_into}. Name that one.",
            patient=id, into=patient.merged_into,
        )  # fmt: skip


def seen_as_themselves(id: str, context: Context) -> Patient:
    """The patient of a command that begins something new. Refuses the unknown, the erased and the merged; and whose
    chart is locked, as nobody sees their allergies any more. What has happened to them is recorded still."""
    patient: Patient = context.read("patient", id)
    known(patient, id, context)
    itself(patient, id)
    erasure: Erasure = context.read(ERASURE, f"patient:{id}")
    if erasure.stage is Stage.APPROVED:
        raise rejected(
            ClinicError.CHART_LOCKED,
            f"Patient {id} is approved to be erased, and their chart is locked. Take that back first, if they are seen "
            f"again: `commons erase {id} --service clinic --cancel --reason …`.",
            patient=id,
        )  # fmt: skip
    return patient


def everyone(patient: Patient, id: str, context: Context) -> dict[str, Patient]:
    """A patient and all those whose records go on as theirs, by id: what is known of any of them counts."""
    found, waiting = {id: patient}, list(patient.merged)
    while waiting:
        other = waiting.pop()
        if other not in found:
            found[other] = context.read("patient", other)
            waiting += found[other].merged
    return found


def allergies(patient: Patient, context: Context) -> dict[str, Allergy | None]:
    """The allergies that stand, by id; None is one that cannot be read any more."""
    return {id: context.unseal_as(content, Allergy) for id, content in patient.allergies.items()}


def consents_to(patient: Patient, consent: str, context: Context, at: datetime) -> bool:
    """Whether a consent stood at a moment: given by then, not withdrawn, and not ended wherever the clinic is."""
    agreed = patient.consents.get(consent)
    if agreed is None or at < agreed.since - TOLERANCE:
        return False
    if agreed.withdrawn_at is not None and agreed.withdrawn_at <= at:
        return False
    content = context.unseal_as(agreed.content, Consent)
    return content is not None and (content.until is None or local_days(at)[0] <= content.until)


def check(patient: Patient) -> list[str]:
    broken = []
    if patient.allergies.keys() & patient.refuted:
        broken.append("an allergy stands that was refuted")
    if not patient.registered and (patient.merged_into or patient.allergies):
        broken.append("something is known of somebody who was never registered")
    return broken


patient: Final = Decider(clinic, "patient", Patient, Patient, decide, evolve, check, reads)
