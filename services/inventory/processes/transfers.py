"""Follows goods on their way: notes each dispatch and receipt in the transfer, and that one is late."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime

from services.inventory.contract import (
    NoteDispatch,
    NoteOverdue,
    NoteReceipt,
    TransferDispatched,
    TransferOverdue,
    TransferReceived,
    inventory,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step


class Transfers(Manager):
    """TransferDispatched -> NoteDispatch; TransferReceived -> NoteReceipt; `expected_by` passed -> NoteOverdue."""

    name = "transfers"
    reads = (TransferDispatched, TransferReceived, TransferOverdue)

    def __init__(self) -> None:
        self._due: list[tuple[datetime, int, str, Cause]] = []
        """A heap of when goods are expected, the dispatch's sequence, the transfer, and the dispatch."""
        self._expected: dict[str, set[str]] = {}
        """Of each transfer that is not known to be late, the items on their way that are expected by a moment."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case TransferDispatched() as sent:
                yield self.step(event, inventory, NoteDispatch(
                    transfer=sent.transfer, item=sent.item, origin=sent.location, destination=sent.destination,
                    goods=sent.goods, expected_by=sent.expected_by, occurred_at=sent.occurred_at,
                ))  # fmt: skip
                if sent.expected_by is not None:
                    self._expected.setdefault(sent.transfer, set()).add(sent.item)
                    heapq.heappush(self._due, (sent.expected_by, event.sequence, sent.transfer, Cause.of(event)))
            case TransferReceived() as came:
                yield self.step(event, inventory, NoteReceipt(
                    transfer=came.transfer, item=came.item, lost=came.lost, occurred_at=came.occurred_at,
                ))  # fmt: skip
                expected = self._expected.get(came.transfer, set())
                expected.discard(came.item)
                if not expected:
                    self._expected.pop(came.transfer, None)
            case TransferOverdue() as late:
                self._expected.pop(late.transfer, None)

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, _, transfer, cause = heapq.heappop(self._due)
            if transfer in self._expected:
                yield self.step(cause, inventory, NoteOverdue(transfer=transfer))

    def moot(self, step: Step) -> bool:
        return isinstance(step.command, NoteOverdue) and step.command.transfer not in self._expected
