"""All deciders of the clinic, for the service that runs them and for the auditor that folds them."""

from __future__ import annotations

from typing import Any, Final

from services.clinic.access import access
from services.clinic.administration import administration
from services.clinic.dispensing import dispensing
from services.clinic.encounter import encounter
from services.clinic.erasure import erasure, erasure_under
from services.clinic.formulary import formulary
from services.clinic.medication import medication
from services.clinic.patient import patient
from services.clinic.practitioner import practitioner
from services.clinic.prescription import prescription
from services.clinic.process import process
from services.clinic.referral import referral
from services.clinic.schedule import schedule
from shared.decider import Decider
from shared.erasure import Terms

DECIDERS: Final[tuple[Decider[Any], ...]] = (
    patient, practitioner, schedule, encounter, referral, access,
    prescription, medication, formulary, dispensing, administration,
    process, erasure,
)  # fmt: skip


def deciders_under(terms: Terms) -> tuple[Decider[Any], ...]:
    """The same, under what an operator has set."""
    return tuple(erasure_under(terms) if one is erasure else one for one in DECIDERS)
