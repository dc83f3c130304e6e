"""Grants: who may act in which role in distribution (shared/authority.py)."""

from __future__ import annotations

from typing import Final

from services.distribution.contract import DistributionError, distribution
from shared.authority import Grants, authorities
from shared.decider import Decider

authority: Final[Decider[Grants]] = authorities(distribution, DistributionError)
