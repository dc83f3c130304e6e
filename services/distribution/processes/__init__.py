"""Distribution's process managers: what follows by itself from an event, here or in inventory."""

from __future__ import annotations

from services.distribution.processes.erasing import Erasing
from services.distribution.processes.fulfilling import Fulfilling
from services.distribution.processes.supply import Supply
from shared.erasure import AS_SET_FIRST, Terms
from shared.manager import Manager

__all__ = ["Erasing", "Fulfilling", "Supply", "following_inventory", "managers"]


def managers(terms: Terms = AS_SET_FIRST) -> list[Manager]:
    """New managers over distribution's own stream, whose memory is empty."""
    return [Fulfilling(), Erasing(terms)]


def following_inventory() -> list[Manager]:
    """New managers over inventory's stream."""
    return [Supply()]
