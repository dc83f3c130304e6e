"""The treasury's process managers: what follows by itself from an event, in another aggregate or at a later time."""

from __future__ import annotations

from services.treasury.processes.erasing import Erasing
from services.treasury.processes.expenses import Expenses
from services.treasury.processes.holds import Holds
from shared.erasure import AS_SET_FIRST, Terms
from shared.manager import Manager

__all__ = ["Erasing", "Expenses", "Holds", "managers"]


def managers(terms: Terms = AS_SET_FIRST) -> list[Manager]:
    """New managers, whose memory is empty: one set for each run over the stream."""
    return [Expenses(), Holds(), Erasing(terms)]
