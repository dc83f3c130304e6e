"""The words that sentences about the clinic are made of.

A Friday in November, half past nine. Dr Osei and Dr Varga are licensed clinicians, Ms Lind is a licensed pharmacist,
Tam a trainee, Rui sits at the front desk, and Ines is the auditor. Ada is a patient who tolerates no penicillin; Ben
was never asked. What nobody else is said to have sent, Dr Osei sent.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

from services.clinic.authority import ByRoster
from services.clinic.contract import (
    ROSTER,
    AddPractitioner,
    Allergy,
    AllergyCategory,
    AmendNote,
    AttestNote,
    BookAppointment,
    CloseEncounter,
    CodeSystem,
    Coding,
    Demographics,
    DraftNote,
    ErasureApproved,
    Licence,
    Measure,
    OpenEncounter,
    PersonErased,
    RecordAllergy,
    RecordVitals,
    RegisterPatient,
    Role,
    SignNote,
    Vital,
    schedule_id,
)
from services.clinic.deciders import DECIDERS
from shared.actorkeys import Authtype
from shared.command import CommandMeta
from shared.erasure import Stage
from shared.errors import Rejected
from tests.support.sentences import NOW, Given, Outcome, by, sentences

given = sentences(
    DECIDERS,
    {
        "patient": lambda event: event.patient,
        "practitioner": lambda event: ROSTER,
        "schedule": lambda event: schedule_id(event.clinician, event.date),
        "encounter": lambda event: event.encounter,
        "prescription": lambda event: event.prescription,
        "medication": lambda event: event.patient,
        "formulary": lambda event: event.item,
        "dispensing": lambda event: event.dispensing,
        "administration": lambda event: event.administration,
        "referral": lambda event: event.referral,
        "access": lambda event: event.patient,
        "process": lambda event: event.step,
        "erasure": lambda event: f"{event.kind}:{event.person}",
    },
    actor="osei",
)


def at(hour: int, minute: int = 0, day: int = 20) -> datetime:
    """A moment of that November."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


# -- codes ------------------------------------------------------------------------------------------------------------


def rxnorm(code: str, display: str) -> Coding:
    return Coding(system=CodeSystem.RXNORM, code=code, display=display)


def loinc(code: str, display: str) -> Coding:
    return Coding(system=CodeSystem.LOINC, code=code, display=display)


def measured(value: int, decimals: int, unit: str) -> Measure:
    return Measure(value=value, decimals=decimals, unit=unit)


penicillin = rxnorm("7980", "penicillin G")
amoxicillin = rxnorm("723", "amoxicillin")


# -- people -----------------------------------------------------------------------------------------------------------


def practitioner(id: str, *roles: Role, licensed: bool = True, until: date | None = None, **more: Any) -> Any:
    """Somebody who works at the clinic, licensed since 2020 unless it says not."""
    licence = Licence(title="MD", valid_from=date(2020, 1, 1), valid_until=until) if licensed else None
    return AddPractitioner(practitioner=id, name=id.title(), roles=roles, licence=licence, **more)


osei = practitioner("osei", Role.CLINICIAN)
varga = practitioner("varga", Role.CLINICIAN)
lind = practitioner("lind", Role.PHARMACIST)
tam = practitioner("tam", Role.TRAINEE, licensed=False)
rui = practitioner("rui", Role.FRONT_DESK, licensed=False)
ines = practitioner("ines", Role.AUDITOR, licensed=False)
STAFF: Final = (osei, varga, lind, tam, rui, ines)

ada = RegisterPatient(patient="ada", content=Demographics(family="Byron", given=("Ada",), born=date(1985, 12, 10)))
ben = RegisterPatient(patient="ben", content=Demographics(family="Adeyemi", given=("Ben",)))
no_penicillin = RecordAllergy(
    patient="ada", allergy="a-1", content=Allergy(substance=penicillin, category=AllergyCategory.MEDICATION)
)
CLINIC: Final = (*STAFF, ada, ben, no_penicillin)


def gone(patient: str) -> tuple[Any, ...]:
    """A patient was erased."""
    fields: dict[str, Any] = {"kind": "patient", "person": patient, "occurred_at": at(8)}
    approved = ErasureApproved(**fields, stage=Stage.APPROVED, approved_by="kim", due_at=at(8))
    return approved, PersonErased(**fields, stage=Stage.ERASED)


# -- at the door ------------------------------------------------------------------------------------------------------


def sent(
    there: Given, command: Any, actor: str, *roles: str, mandate: str | None = None, authtype: Authtype = "user"
) -> Outcome:
    """A command as the service takes it, with a token that carries these roles. Raises Forbidden."""
    carried = frozenset(roles)
    meta = CommandMeta(id="c", actor=actor, authtype=authtype, mandate=mandate, roles=carried)
    try:
        acting = ByRoster().acting(command, meta, there.state("practitioner", ROSTER), NOW)
    except Rejected as refusal:
        return Outcome(there.world, None, refusal)
    return there.when(command, actor=actor, mandate=acting.mandate, authtype=authtype, roles=carried)


# -- what is done -----------------------------------------------------------------------------------------------------


def book(id: str = "p-1", **more: Any) -> BookAppointment:
    """Ada comes at ten, for a quarter of an hour."""
    return BookAppointment(
        **{"appointment": id, "clinician": "osei", "date": NOW.date(), "patient": "ada", "starts_at": at(10), **more}
    )


VISIT: Final[dict[str, Any]] = {"encounter": "e-1", "patient": "ada"}
visit = OpenEncounter(**VISIT, clinician="osei")


def vital(code: str, value: int, unit: str, decimals: int = 0) -> Vital:
    return Vital(code=loinc(code, "a vital sign"), measured=measured(value, decimals, unit))


pulse = vital("8867-4", 72, "/min")
pressure = (vital("8480-6", 128, "mm[Hg]"), vital("8462-4", 82, "mm[Hg]"))


def reading(*vitals: Vital, id: str = "v-1", **more: Any) -> RecordVitals:
    return RecordVitals(**{**VISIT, "vitals": id, "content": vitals or (pulse, *pressure), **more})


def draft(text: str = "Slept badly.", **more: Any) -> DraftNote:
    return DraftNote(**{**VISIT, "note": "n-1", "text": text, **more})


def amend(id: str = "m-1", text: str = "Sleeps well again.", **more: Any) -> AmendNote:
    return AmendNote(**{**VISIT, "note": "n-1", "amendment": id, "text": text, **more})


sign = SignNote(**VISIT, note="n-1")
attest = AttestNote(**VISIT, note="n-1")
close = CloseEncounter(**VISIT)

SIGNED: Final[tuple[Any, ...]] = (*CLINIC, visit, draft(), sign)
"""Dr Osei's note, signed."""
UNATTESTED: Final[tuple[Any, ...]] = (*CLINIC, visit, *by("tam", draft(), sign))
"""Tam's note, which waits."""
