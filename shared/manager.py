"""The pure part of a process manager: events in, steps out, and a memory made of nothing but the events.

    class Welcome(Manager):
        name = "welcome"
        reads = (MemberJoined,)

        def react(self, event: Recorded) -> Iterable[Step]:
            yield self.step(event, contract, GreetMember(member=event.data.member))

A step is a command whose id is derived from the manager, the event that caused it, the aggregate it is sent to and its
name, so that whoever sees the event again sends the same command again, and it is recorded once. What a step says
therefore depends on the event and on the events before it, never on the clock. shared/process.py runs managers.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from shared.contract import Contract, value
from shared.errors import LedgerError
from shared.event import Recorded, event_id
from shared.types import MAX_INTEGER, Amount, Id, Note, Text

_NAMESPACE: Final = uuid.UUID("0f5e6a52-6a0b-5c1e-9d0a-7f1c55b0a3d4")
"""The RFC 9562 namespace of the ids of steps."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that a step follows from: its id, its story's correlation id, and its sequence in the stream."""

    id: str
    correlation_id: str
    sequence: int

    @classmethod
    def of(cls, event: Recorded) -> Cause:
        return cls(event.id, event.envelope.correlationid, event.sequence)


@dataclass(frozen=True, slots=True)
class Step:
    """A command that a manager sends. `name` tells apart the steps of one cause to one aggregate.

    `met_by` are refusals that say that what the step wants is so already: what it is to end is not there any more.
    `about` names what in the aggregate it is for, when that is all whose order matters: steps about something else, a
    hundred reservations in one stock, go at the same time.
    """

    cause: Cause
    contract: Contract
    command: Any
    name: str
    met_by: frozenset[str] = frozenset()
    about: str = ""

    @property
    def service(self) -> str:
        return self.contract.service

    @property
    def target(self) -> str:
        """The aggregate it is sent to: `<category>/<id>`."""
        spec = self.contract.command_of(self.command)
        return f"{spec.category}/{spec.aggregate(self.command)}"

    def id(self, manager: str) -> str:
        """The command's id."""
        return str(uuid.uuid5(_NAMESPACE, f"{manager} {self.cause.id} {self.service} {self.target} {self.name}"))

    def event_id(self, id: str) -> str:
        """The id of the event that the command makes under its own `id`, by which it is recognised in the stream."""
        category, _, aggregate = self.target.partition("/")
        return event_id(f"ledger.{self.service}.{category}.{aggregate}", id)


class Manager(ABC):
    """One process manager. `name` is the actor of its commands; `reads` are the event classes it is shown, or bases of
    such classes. The memory of an instance is what `react` made of the events it was shown, in the stream's order."""

    name: ClassVar[str]
    reads: ClassVar[tuple[type[Any], ...]]

    @abstractmethod
    def react(self, event: Recorded) -> Iterable[Step]:
        """Remember what matters of an event, and give the steps that follow from it.

        It is shown the whole stream again after a restart; steps of what was dealt with before are not sent again.
        """

    def due(self, now: datetime) -> Iterable[Step]:
        """The steps whose time has come, each given once; asked every second."""
        return ()

    def moot(self, step: Step) -> bool:
        """Whether events since have made a step needless; asked before each attempt to send it."""
        return False

    def joined(self, commands: Sequence[Any]) -> Any | None:
        """One command that says what several of one kind say to one aggregate, when they wait together.

        What some of them had led to already must change nothing again, in whatever company they are sent the next
        time. None: they go one by one, as they also do when the joined one is refused.
        """
        return None

    def step(
        self, cause: Recorded | Cause, contract: Contract, command: Any, name: str | None = None, *,
        met_by: str | None = None, about: str = "",
    ) -> Step:  # fmt: skip
        """A step, named after its command unless a name is given."""
        if isinstance(cause, Recorded):
            cause = Cause.of(cause)
        codes = frozenset[str]() if met_by is None else frozenset({met_by})
        return Step(cause, contract, command, name or type(command).__name__, codes, about)


@value
class StepRefusal:
    """The words of a contract's `NoteRefusal` command and `ProcessStepRefused` event, of category `process`.

    `step` is the id of the command that was refused, and of this aggregate; `manager` sent it because of the event
    `cause`; it was the command `command` of `service` to the aggregate `target` (`<category>/<id>`). `code` and
    `detail` are the refusal's own, and so is `available`: how much there is of what was asked for, where it says so.
    """

    step: Id
    manager: Id
    cause: Id
    service: Id
    command: Text
    target: Text
    code: Text
    detail: Note
    available: Amount | None = None


def available_of(refusal: LedgerError) -> int | None:
    """How much there is of what was asked for, of a refusal that says so."""
    found = refusal.problem().get("available")
    return found if isinstance(found, int) and 0 <= found <= MAX_INTEGER else None


NOTE_REFUSAL: Final = "NoteRefusal"
"""The command by which a refused step is recorded; every contract whose stream has managers declares it."""

STEP_REFUSED: Final = "ProcessStepRefused"
"""The event that it makes."""

STEP_RESOLVED: Final = "ProcessStepResolved"
"""The event by which a person closes it, having dealt with it."""
