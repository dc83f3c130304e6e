"""Inventory's process managers: what follows by itself from an event, in another aggregate.

A count needs none: its approval is one decision of the stock, which reads the count.
"""

from __future__ import annotations

from services.inventory.processes.erasing import Erasing
from services.inventory.processes.recalls import Recalls
from services.inventory.processes.repacking import Repacking
from services.inventory.processes.reservations import Reservations
from services.inventory.processes.temperatures import Temperatures
from services.inventory.processes.transfers import Transfers
from shared.erasure import AS_SET_FIRST, Terms
from shared.manager import Manager

__all__ = ["Erasing", "Recalls", "Repacking", "Reservations", "Temperatures", "Transfers", "managers"]


def managers(terms: Terms = AS_SET_FIRST) -> list[Manager]:
    """New managers, whose memory is empty: one set for each run over the stream."""
    return [Recalls(), Temperatures(), Repacking(), Transfers(), Reservations(), Erasing(terms)]
