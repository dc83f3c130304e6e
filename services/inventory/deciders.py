"""All deciders of inventory, for the service that runs them and for the auditor that folds them."""

from __future__ import annotations

from typing import Any, Final

from services.inventory.authority import authority
from services.inventory.count import count
from services.inventory.donor import donor
from services.inventory.erasure import erasure, erasure_under
from services.inventory.item import item
from services.inventory.location import location
from services.inventory.lot import lot
from services.inventory.process import process
from services.inventory.stock import stock
from services.inventory.transfer import transfer
from shared.decider import Decider
from shared.erasure import Terms

DECIDERS: Final[tuple[Decider[Any], ...]] = (
    item,
    location,
    stock,
    lot,
    count,
    transfer,
    donor,
    process,
    erasure,
    authority,
)


def deciders_under(terms: Terms) -> tuple[Decider[Any], ...]:
    """The same, under what an operator has set."""
    return tuple(erasure_under(terms) if one is erasure else one for one in DECIDERS)
