"""Erasures: how a party is forgotten for good (shared/erasure.py)."""

from __future__ import annotations

from typing import Final

from services.treasury.contract import TreasuryError, treasury
from services.treasury.party import Party
from shared.decider import Decider
from shared.erasure import AS_SET_FIRST, Erasure, Kind, Terms, erasures


def _known(party: Party) -> bool:
    return party.registered


def erasure_under(terms: Terms) -> Decider[Erasure]:
    """The decider under what the operator has set."""
    return erasures(treasury, TreasuryError, {"party": Kind(_known, TreasuryError.UNKNOWN_PARTY)}, terms)


erasure: Final = erasure_under(AS_SET_FIRST)
