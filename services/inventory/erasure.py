"""Erasures: how a donor is forgotten for good (shared/erasure.py)."""

from __future__ import annotations

from typing import Final

from services.inventory.contract import InventoryError, inventory
from services.inventory.donor import Donor
from shared.decider import Decider
from shared.erasure import AS_SET_FIRST, Erasure, Kind, Terms, erasures


def _known(donor: Donor) -> bool:
    return donor.registered_at is not None


def erasure_under(terms: Terms) -> Decider[Erasure]:
    """The decider under what the operator has set."""
    return erasures(inventory, InventoryError, {"donor": Kind(_known, InventoryError.UNKNOWN_DONOR)}, terms)


erasure: Final = erasure_under(AS_SET_FIRST)
