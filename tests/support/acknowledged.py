"""What a ledger acknowledged, held against what it has: nothing lost, nothing twice."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Events = dict[str, dict[int, str]]
"""The event id at every sequence, by service."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One command that was answered; `event` is None when it was refused, or changed nothing. Times are POSIX's."""

    service: str
    id: str
    asked: float
    answered: float
    event: str | None
    sequence: int
    refused: str | None = None
    status: int = 200
    detail: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Fulfilment:
    """What the ledger has of the goods of orders, each of which asks for one item: the order of each event that
    confirmed one, how often goods were set aside for an order, and how often that was refused, by the event."""

    confirmed: dict[str, str] = field(default_factory=dict)
    reserved: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def take(self, event: str, said: list[str]) -> None:
        """Take in what the line of an event says (eventids.py)."""
        match said:
            case ["confirmed", order]:
                self.confirmed[event] = order
            case ["reserved", order]:
                self.reserved[order] += 1
            case ["refused", cause]:
                self.refused[cause] += 1


def unfulfilled(acknowledged: Iterable[Answered], fulfilment: Fulfilment) -> list[str]:
    """The confirmed orders whose goods were not set aside once, nor recorded as refused; empty when there are none."""
    found = []
    for one in acknowledged:
        if one.command == "ConfirmOrder" and one.event is not None:
            order = fulfilment.confirmed.get(one.event)
            times = fulfilment.reserved[order or ""], fulfilment.refused[one.event]
            if order is None or sum(times) != 1:
                found.append(
                    f"{one.id} was acknowledged as event {one.event}, which confirmed {order or 'no order'}: goods "
                    f"were set aside {times[0]} times, and refused {times[1]} times"
                )
    return found


def wrong(acknowledged: Iterable[Answered], events: Events) -> list[str]:
    """What is lost or there twice, in sentences; empty when every acknowledged command is on the ledger once."""
    found = []
    for one in acknowledged:
        if one.event is None:
            continue
        stored = events.get(one.service, {}).get(one.sequence)
        if stored != one.event:
            found.append(
                f"{one.id} was acknowledged as event {one.event} at {one.sequence} of {one.service}, where "
                f"{'nothing is' if stored is None else f'{stored} is'}"
            )
    for service, stored_events in events.items():
        twice = [event for event, times in Counter(stored_events.values()).items() if times > 1]
        found += [f"event {event} is in {service} more than once" for event in twice]
        if sorted(stored_events) != list(range(1, len(stored_events) + 1)):
            found.append(f"the stream of {service} has a gap")
    return found


class Answers:
    """The lines of a load (load.py), taken in as they come, in a thread of their own."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """`lines` are chunks as the engine gives them out, which may end anywhere."""
        self._all: list[Answered] = []
        self.ended = False
        self.unreadable: list[str] = []
        self.again: list[str] = []
        """What those were told who were to send the same again, with its code."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        self._thread.start()

    def all(self) -> list[Answered]:
        with self._changed:
            return list(self._all)

    def errors(self) -> list[str]:
        """Answers that no fault excuses: errors of a service's own, and lines that say nothing."""
        failed = [f"{a.service} {a.id}: {a.refused}: {a.detail}" for a in self.all() if a.status >= 500]
        return failed + self.unreadable

    def wait_for(self, services: Iterable[str], asked_after: float, seconds: float) -> float:
        """When the last of the services first accepted a command that was asked after a moment. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        missing, answered = set(services), 0.0
        taken = 0
        with self._changed:
            while True:
                for one in self._all[taken:]:
                    if one.asked >= asked_after and one.event is not None and one.service in missing:
                        missing.discard(one.service)
                        answered = max(answered, one.answered)
                taken = len(self._all)
                if not missing:
                    return answered
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{', '.join(sorted(missing))} accepted nothing for {seconds:.0f} s")

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _read(self, lines: Iterable[bytes]) -> None:
        rest = b""
        for chunk in lines:
            *whole, rest = (rest + chunk).split(b"\n")
            with self._changed:
                for line in whole:
                    self._take(line)
                self._changed.notify_all()

    def _take(self, line: bytes) -> None:
        try:
            told: dict[str, Any] = json.loads(line)
        except ValueError:
            self.unreadable.append(line.decode(errors="replace"))
            return
        if "ended" in told:
            self.ended = True
        elif "again" in told:
            self.again.append(f"{told['again']}: {told['detail']}")
        elif "asked" in told:
            self._all.append(
                Answered(
                    told["service"], told["id"], told["asked"], told["answered"], told.get("event"),
                    told.get("sequence", 0), told.get("refused"), told.get("status", 200), told.get("detail", ""),
                    told.get("command", ""),
                )
            )  # fmt: skip
