"""The words that sentences about the clinic are made of.

A Friday in November, half past nine. Dr Osei is a licensed clinician, Ms Lind a licensed pharmacist, Tam a trainee, and
Rui sits at the front desk. Ada is a patient who tolerates no penicillin; Ben was never asked.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

from services.clinic.contract import (
    AddPractitioner,
    Allergy,
    AllergyCategory,
    CodeSystem,
    Coding,
    Demographics,
    Licence,
    Measure,
    RecordAllergy,
    RegisterPatient,
    Role,
    schedule_id,
)
from services.clinic.deciders import DECIDERS
from tests.support.sentences import sentences

given = sentences(
    DECIDERS,
    {
        "patient": lambda event: event.patient,
        "practitioner": lambda event: event.practitioner,
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
lind = practitioner("lind", Role.PHARMACIST)
tam = practitioner("tam", Role.TRAINEE, licensed=False)
rui = practitioner("rui", Role.FRONT_DESK, licensed=False)
STAFF: Final = (osei, lind, tam, rui)

ada = RegisterPatient(patient="ada", content=Demographics(family="Byron", given=("Ada",), born=date(1985, 12, 10)))
ben = RegisterPatient(patient="ben", content=Demographics(family="Adeyemi", given=("Ben",)))
no_penicillin = RecordAllergy(
    patient="ada", allergy="a-1", content=Allergy(substance=penicillin, category=AllergyCategory.MEDICATION)
)
CLINIC: Final = (*STAFF, ada, ben, no_penicillin)
