"""Erasures: how a household is forgotten for good (shared/erasure.py)."""

from __future__ import annotations

from typing import Final

from services.distribution.contract import DistributionError, distribution
from services.distribution.household import Household
from shared.decider import Decider
from shared.erasure import AS_SET_FIRST, Erasure, Kind, Terms, erasures


def _known(household: Household) -> bool:
    return household.size > 0


def erasure_under(terms: Terms) -> Decider[Erasure]:
    """The decider under what the operator has set."""
    return erasures(
        distribution, DistributionError, {"household": Kind(_known, DistributionError.UNKNOWN_HOUSEHOLD)}, terms
    )


erasure: Final = erasure_under(AS_SET_FIRST)
