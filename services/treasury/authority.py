"""Grants: who may act in which role in the treasury (shared/authority.py)."""

from __future__ import annotations

from typing import Final

from services.treasury.contract import TreasuryError, treasury
from shared.authority import Grants, authorities
from shared.decider import Decider

authority: Final[Decider[Grants]] = authorities(treasury, TreasuryError)
