"""A process manager while it runs: how far it has come, what waits, and what it tells of itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Gauge

from shared.manager import Manager

_LABELS: Final = ("stream", "manager")
GAUGES: Final = {
    "position": Gauge("commons_process_position", "The sequence up to which all was dealt with.", _LABELS),
    "lag": Gauge("commons_process_lag", "Events behind the position.", _LABELS),
    "waiting": Gauge("commons_process_waiting", "Steps under way.", _LABELS),
    "oldest_seconds": Gauge("commons_process_oldest_seconds", "How long the oldest of them has waited.", _LABELS),
    "refusals": Gauge("commons_process_refusals", "Steps that were ever refused.", _LABELS),
    "failed": Gauge("commons_process_failed", "1 when the manager stands still.", _LABELS),
}


@dataclass(eq=False)
class Managed:
    """A manager and how far it has come.

    `key` is that of its position, `start` its position when this run began, `saved` the one that was last kept. `open`
    says how many steps of each event are under way, by the event's sequence, in order; `waiting` since when each has
    been, by the step's id. `refusals` counts the refused steps that the stream names.
    """

    manager: Manager
    key: str
    start: int = 0
    saved: int = 0
    open: dict[int, int] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    refusals: int = 0
    failure: str | None = None

    def position(self, next_sequence: int) -> int:
        """The sequence up to which it has dealt with everything, when `next_sequence` is the next to be read."""
        return max(self.start, next(iter(self.open), next_sequence) - 1)

    def figures(self, next_sequence: int, last_sequence: int) -> dict[str, float]:
        """Its position, how far that is behind the stream's last event, what waits, for how long, and refusals."""
        now, position = time.monotonic(), self.position(next_sequence)
        return {
            "position": position, "lag": max(0, last_sequence - position), "waiting": len(self.waiting),
            "oldest_seconds": round(now - next(iter(self.waiting.values()), now), 3), "refusals": self.refusals,
        }  # fmt: skip
