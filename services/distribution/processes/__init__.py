"""Distribution's process managers: what follows by itself from an event, here or in inventory."""

from __future__ import annotations

from services.distribution.processes.fulfilling import Fulfilling
from services.distribution.processes.supply import Supply
from shared.manager import Manager

__all__ = ["Fulfilling", "Supply", "following_inventory", "managers"]


def managers() -> list[Manager]:
    """New managers over distribution's own stream, whose memory is empty."""
    return [Fulfilling()]


def following_inventory() -> list[Manager]:
    """New managers over inventory's stream."""
    return [Supply()]
