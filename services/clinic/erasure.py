"""Erasures: how a patient is forgotten for good (shared/erasure.py)."""

from __future__ import annotations

from typing import Final

from services.clinic.contract import ClinicError, clinic
from services.clinic.patient import Patient
from services.clinic.practitioner import STAFF, in_role
from shared.decider import Context, Decider
from shared.erasure import AS_SET_FIRST, Erasure, Kind, Terms, erasures


def _known(patient: Patient) -> bool:
    return patient.registered


def _works_here(context: Context) -> None:
    in_role(context, STAFF, "decide on the erasure of a patient")


def erasure_under(terms: Terms) -> Decider[Erasure]:
    """The decider under what the operator has set."""
    kinds = {"patient": Kind(_known, ClinicError.UNKNOWN_PATIENT)}
    return erasures(clinic, ClinicError, kinds, terms, _works_here)


erasure: Final = erasure_under(AS_SET_FIRST)
