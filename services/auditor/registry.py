"""The services whose logs are audited: the contract and the deciders of each."""

from __future__ import annotations

from typing import Any, Final

from services.clinic.contract import clinic
from services.clinic.deciders import DECIDERS as CLINIC
from services.distribution.contract import distribution
from services.distribution.deciders import DECIDERS as DISTRIBUTION
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS as INVENTORY
from services.treasury.contract import treasury
from services.treasury.deciders import DECIDERS as TREASURY
from shared.contract import Contract
from shared.decider import Decider

Audited = tuple[Contract, tuple[Decider[Any], ...]]

AUDITED: Final[dict[str, Audited]] = {
    "inventory": (inventory, INVENTORY),
    "distribution": (distribution, DISTRIBUTION),
    "treasury": (treasury, TREASURY),
    "clinic": (clinic, CLINIC),
}
