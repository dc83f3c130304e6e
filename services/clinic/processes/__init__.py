"""The clinic's process managers: what follows by itself from an event, here or in inventory."""

from __future__ import annotations

from services.clinic.processes.dispensing import Dispensing
from services.clinic.processes.erasing import Erasing
from services.clinic.processes.supply import Supply
from shared.erasure import AS_SET_FIRST, Terms
from shared.manager import Manager

__all__ = ["Dispensing", "Erasing", "Supply", "following_inventory", "managers"]


def managers(terms: Terms = AS_SET_FIRST) -> list[Manager]:
    """New managers over the clinic's own stream, whose memory is empty."""
    return [Dispensing(), Erasing(terms)]


def following_inventory() -> list[Manager]:
    """New managers over inventory's stream."""
    return [Supply()]
