"""Ends holds whose time is over: `expires_at` passed -> ExpireHold."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime

from services.treasury.contract import (
    ExpireHold,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    TreasuryError,
    treasury,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step

_Key = tuple[str, str]


class Holds(Manager):
    """A clock for holds. One that was posted or voided in time is never asked about."""

    name = "holds"
    reads = (HoldPlaced, HoldPosted, HoldVoided, HoldExpired)

    def __init__(self) -> None:
        self._due: list[tuple[datetime, int, _Key, Cause]] = []
        """A heap of when a hold is over, its sequence, its book and id, and the event that made it."""
        self._open: set[_Key] = set()

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case HoldPlaced(expires_at=datetime() as expires_at) as placed:
                key = (placed.book, placed.hold)
                self._open.add(key)
                heapq.heappush(self._due, (expires_at, event.sequence, key, Cause.of(event)))
            case HoldPosted() | HoldVoided() | HoldExpired() as ended:
                self._open.discard((ended.book, ended.hold))
        return ()

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, _, key, cause = heapq.heappop(self._due)
            if key in self._open:
                command = ExpireHold(book=key[0], hold=key[1])
                met = TreasuryError.HOLD_ENDED
                yield self.step(cause, treasury, command, f"expire {key[1]}", met_by=met)

    def moot(self, step: Step) -> bool:
        return (step.command.book, step.command.hold) not in self._open
