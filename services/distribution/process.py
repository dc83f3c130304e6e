"""Refused steps of process managers: each waits for a person, once (shared/refusedsteps.py)."""

from __future__ import annotations

from typing import Final

from services.distribution.contract import DistributionError, distribution
from services.distribution.refusals import when
from shared.decider import Decider
from shared.refusedsteps import ProcessStep, refused_steps

process: Final[Decider[ProcessStep]] = refused_steps(distribution, DistributionError.UNKNOWN_STEP, when)
