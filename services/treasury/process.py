"""Refused steps of process managers: each waits for a person, once (shared/refusedsteps.py)."""

from __future__ import annotations

from typing import Final

from services.treasury.contract import TreasuryError, treasury
from services.treasury.rules import when
from shared.decider import Decider
from shared.refusedsteps import ProcessStep, refused_steps

process: Final[Decider[ProcessStep]] = refused_steps(treasury, TreasuryError.UNKNOWN_STEP, when)
