"""Carries erasures out: says what still needs a person's data, and erases when the time has come.

    ErasureRequested, or what ties a person changes -> NoteObstacles      what still needs them, by all events so far
    ErasureApproved, due_at passed, nothing against -> ErasePerson
    PersonErased                                    -> AcknowledgeErasure, once the key is destroyed (forgetting.py)

A service says in a subclass which of its events tie a person to it, and how. The ties are kept in memory alone, by id,
and made of the stream at each start.
"""

from __future__ import annotations

import heapq
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from shared.contract import Contract
from shared.erasure import (
    About,
    Approved,
    Checked,
    Erased,
    Happened,
    Held,
    HoldLifted,
    Obstacle,
    Requested,
    Stage,
    Terms,
)
from shared.event import Recorded
from shared.manager import Cause, Manager, Step

Person = tuple[str, str]
"""What somebody is in a service, and their id there."""

_MET = frozenset({"ERASURE_HELD", "STILL_NEEDED", "NOT_APPROVED"})
"""Refusals after which an event that has been recorded, or is on its way, leads to the step again if it is to be."""


@dataclass
class _Open:
    """An erasure under way; `told` are the obstacles that were noted or are about to be."""

    stage: Stage = Stage.NONE
    held: bool = False
    due_at: datetime | None = None
    told: tuple[Obstacle, ...] | None = None


class Erasing(Manager):
    """Erases in one service. Subclasses set `reads`, the erasures' own events among them."""

    name = "erasing"

    def __init__(self, contract: Contract, terms: Terms) -> None:
        self._contract = contract
        self._terms = terms
        self._open: dict[Person, _Open] = {}
        self._due: list[tuple[datetime, int, Person, Cause]] = []
        """A heap of when to look, at which event's behest, whose erasure."""

    @abstractmethod
    def tie(self, event: Any) -> Iterable[Person]:
        """Remember what an event ties somebody to, or frees them from; gives those for whom anything changed.

        It is shown the erasures' own events too: that somebody is erased may free another.
        """

    @abstractmethod
    def obstacles(self, person: Person) -> tuple[Obstacle, ...]:
        """What needs somebody's data, by all events that were seen."""

    def under_way(self) -> list[Person]:
        """Those whose erasure was asked for, and is not carried out."""
        return [person for person, found in self._open.items() if found.stage in (Stage.REQUESTED, Stage.APPROVED)]

    def react(self, event: Recorded) -> Iterable[Step]:
        if isinstance(event.data, Happened):
            yield from self._erasure(event, event.data)
        for person in self.tie(event.data):
            found = self._open.get(person)
            if found is not None and found.stage in (Stage.REQUESTED, Stage.APPROVED):
                yield from self._look(event, person, found)

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, sequence, person, cause = heapq.heappop(self._due)
            found = self._open.get(person)
            if found is None or found.stage is not Stage.APPROVED or found.held:
                continue
            standing = self._terms.standing(found.told or (), now.date())
            if not standing:
                command = self._command("ErasePerson", person)
                yield Step(cause, self._contract, command, "erase", _MET)
            elif all(one.last is not None for one in standing):  # time alone ends them
                until = max(day for one in standing if (day := self._terms.until(one)) is not None)
                again = datetime.combine(until + timedelta(days=1), time(), UTC)
                heapq.heappush(self._due, (again, sequence, person, cause))

    def _erasure(self, event: Recorded, said: Happened) -> Iterable[Step]:
        person = (said.kind, said.person)
        found = self._open.setdefault(person, _Open())
        found.stage = said.stage
        match said:
            case Requested():
                found.told = None
                yield from self._look(event, person, found)
            case Checked():
                found.told = said.obstacles
                self._wait(event, person, found)
            case Approved():
                found.due_at = said.due_at
                self._wait(event, person, found)
            case Held():
                found.held = True
            case HoldLifted():
                found.held = False
                self._wait(event, person, found)
            case Erased():
                yield Step(Cause.of(event), self._contract, self._command("AcknowledgeErasure", person), "acknowledge")

    def _look(self, event: Recorded, person: Person, found: _Open) -> Iterable[Step]:
        obstacles = self.obstacles(person)
        if obstacles != found.told:
            found.told = obstacles
            command = self._command("NoteObstacles", person, obstacles=obstacles)
            yield Step(Cause.of(event), self._contract, command, f"look {person[0]} {person[1]}")

    def _wait(self, event: Recorded, person: Person, found: _Open) -> None:
        if found.stage is Stage.APPROVED and found.due_at is not None:
            heapq.heappush(self._due, (found.due_at, event.sequence, person, Cause.of(event)))

    def _command(self, name: str, person: Person, **more: Any) -> About:
        made: About = self._contract.command_named(name).cls(kind=person[0], person=person[1], **more)
        return made


def some(ids: Iterable[str], limit: int = 10) -> tuple[str, ...]:
    """Some ids, in order, of what needs a person's data."""
    return tuple(sorted(ids)[:limit])
