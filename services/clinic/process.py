"""Refused steps of process managers: each waits for a clinician or a pharmacist, once (shared/refusedsteps.py)."""

from __future__ import annotations

from typing import Final

from services.clinic.contract import ClinicError, Role, clinic
from services.clinic.practitioner import in_role
from services.clinic.refusals import when
from shared.decider import Context, Decider
from shared.refusedsteps import ProcessStep, refused_steps


def _answers(context: Context) -> None:
    in_role(context, (Role.CLINICIAN, Role.PHARMACIST), "close a refused step")


process: Final[Decider[ProcessStep]] = refused_steps(clinic, ClinicError.UNKNOWN_STEP, when, _answers)
