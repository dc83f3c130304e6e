"""Grants: who may act in which role in inventory (shared/authority.py)."""

from __future__ import annotations

from typing import Final

from services.inventory.contract import InventoryError, inventory
from shared.authority import Grants, authorities
from shared.decider import Decider

authority: Final[Decider[Grants]] = authorities(inventory, InventoryError)
