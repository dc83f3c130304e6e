"""Ends reservations whose time is over: `due_at` passed -> ExpireReservation."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime

from services.inventory.contract import (
    ExpireReservation,
    InventoryError,
    ReservationExpired,
    ReservationReleased,
    StockIssued,
    StockReserved,
    inventory,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step

_Key = tuple[str, str, str]


class Reservations(Manager):
    """A clock for reservations. One that was used or given up in time is never asked about."""

    name = "reservations"
    reads = (StockReserved, ReservationReleased, ReservationExpired, StockIssued)

    def __init__(self) -> None:
        self._due: list[tuple[datetime, int, _Key, Cause]] = []
        """A heap of when a reservation is over, its sequence, its item, location and id, and the event that made it."""
        self._open: set[_Key] = set()

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case StockReserved() as made:
                if made.due_at is not None:
                    key = (made.item, made.location, made.reservation)
                    self._open.add(key)
                    heapq.heappush(self._due, (made.due_at, event.sequence, key, Cause.of(event)))
            case ReservationReleased() | ReservationExpired() as ended:
                self._open.discard((ended.item, ended.location, ended.reservation))
            case StockIssued(reservation=str() as reservation, keep_rest=False) as issued:
                self._open.discard((issued.item, issued.location, reservation))
        return ()

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, _, key, cause = heapq.heappop(self._due)
            if key in self._open:
                item, location, reservation = key
                command = ExpireReservation(item=item, location=location, reservation=reservation)
                met = InventoryError.UNKNOWN_RESERVATION
                yield self.step(cause, inventory, command, f"expire {reservation}", met_by=met)

    def moot(self, step: Step) -> bool:
        return (step.command.item, step.command.location, step.command.reservation) not in self._open
