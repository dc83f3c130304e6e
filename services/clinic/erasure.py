"""Erasures: how a patient is forgotten for good (shared/erasure.py)."""

from __future__ import annotations

from typing import Final

from services.clinic.contract import ClinicError, clinic
from services.clinic.patient import Patient
from shared.decider import Decider
from shared.erasure import AS_SET_FIRST, Erasure, Kind, Terms, erasures


def _known(patient: Patient) -> bool:
    return patient.registered


def erasure_under(terms: Terms) -> Decider[Erasure]:
    """The decider under what the operator has set."""
    return erasures(clinic, ClinicError, {"patient": Kind(_known, ClinicError.UNKNOWN_PATIENT)}, terms)


erasure: Final = erasure_under(AS_SET_FIRST)
