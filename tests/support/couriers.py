"""Distribution and inventory in memory, with their process managers between them, and an outbox that loses, repeats and
delays what they send.

Each service answers as the kernel does: a command id that led to an event before changes nothing. A manager's steps to
one aggregate about one thing go one after another, as shared/outbox.py sends them, each until it is answered, and some
joined into one; everything else goes in any order. A restart throws the managers and all that they had yet to send
away; new ones are shown the streams again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from services.distribution.contract import distribution
from services.distribution.deciders import DECIDERS as OF_DISTRIBUTION
from services.distribution.processes import following_inventory
from services.distribution.processes import managers as distribution_managers
from services.inventory.contract import inventory
from services.inventory.deciders import DECIDERS as OF_INVENTORY
from services.inventory.processes import managers as inventory_managers
from shared.contract import Contract
from shared.decider import Context, Decider, NotRead, Ref
from shared.errors import LedgerError
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode, event_id, sha256, timestamp
from shared.manager import Manager, Step
from tests.support.following import shown
from tests.support.sentences import opened, sealed

FRIDAY: Final = datetime(2026, 11, 20, 8, tzinfo=UTC)


class Service:
    """One service's stream and states; every state's invariants are checked as soon as it changes."""

    def __init__(self, contract: Contract, deciders: Iterable[Decider[Any]], now: Callable[[], datetime]) -> None:
        self.contract, self.now = contract, now
        self.deciders = {decider.category: decider for decider in deciders}
        self.states: dict[Ref, Any] = {}
        self.events: list[Recorded] = []
        self._answered: dict[str, Recorded] = {}
        self._last: dict[str, Recorded] = {}

    def state(self, category: str, id: str) -> Any:
        ref = Ref(category, id)
        return self.states[ref] if ref in self.states else self.deciders[category].initial()

    def do(self, name: str, /, *, id: str | None = None, actor: str = "sam", **fields: Any) -> Recorded | None:
        """Send a command. Returns its event, None when nothing changed; refusals are raised."""
        return self.handle(self.contract.parse(name, msgspec.json.encode(fields)), id or "", actor)

    def handle(self, command: Any, id: str, actor: str, authtype: str = "user") -> Recorded | None:
        if id in self._answered:
            return self._answered[id]
        spec = self.contract.command_of(command)
        decider = self.deciders[spec.category]
        aggregate = spec.aggregate(command)
        reads = {ref: self.state(*ref) for ref in decider.reads(command)}
        while True:
            try:
                context = Context(self.now(), actor, None, reads, unseal=opened, authtype=authtype)
                event = decider.decide(command, self.state(spec.category, aggregate), context)
                break
            except NotRead as more:
                reads[more.ref] = self.state(*more.ref)
        if event is None:
            return None
        id = id or f"c{len(self.events)}"
        self._answered[id] = self._record(event, spec.category, aggregate, id, actor, authtype)
        return self._answered[id]

    def _record(self, event: Any, category: str, aggregate: str, id: str, actor: str, authtype: str) -> Recorded:
        event = sealed(self.contract, event)
        subject = f"ledger.{self.contract.service}.{category}.{aggregate}"
        before = self._last.get(subject)
        envelope = Envelope(
            specversion="1.0", id=event_id(subject, id), source="/commons/test", type=self.contract.spec_of(event).type,
            subject=f"{category}/{aggregate}", time=timestamp(self.now()), dataschema="",
            datacontenttype="application/json", revision=1 if before is None else before.revision + 1,
            prevhash=FIRST_PREVHASH if before is None else sha256(before.raw), correlationid="c", causationid=id,
            authtype=authtype, authid=actor, data=event,
        )  # fmt: skip
        stored = decode(
            encode(envelope), stream="S", sequence=len(self.events) + 1, subject=subject, contract=self.contract
        )
        self.events.append(stored)
        self._last[subject] = stored
        ref = Ref(category, aggregate)
        self.states[ref] = self.deciders[category].evolve(self.state(category, aggregate), stored.data)
        assert self.deciders[category].check(self.states[ref]) == []
        assert self.deciders[category].check_after(self.states[ref], stored.data) == []
        return stored

    def of(self, *classes: type) -> list[Any]:
        """The data of all events of some classes."""
        return [event.data for event in self.events if isinstance(event.data, classes)]


@dataclass(eq=False)
class Letter:
    """A step on its way."""

    manager: Manager
    step: Step

    @property
    def id(self) -> str:
        return self.step.id(self.manager.name)


@dataclass(eq=False)
class Courier:
    """The managers that one process runs over one stream, and what they have yet to send, by target."""

    home: Service
    made: Callable[[], list[Manager]]
    managers: list[Manager] = field(default_factory=list)
    read: int = 0
    queues: dict[tuple[str, str], deque[Letter]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.managers = self.made()


class Town:
    """Both services and their couriers. Time stands still until `later` moves it."""

    def __init__(self) -> None:
        self.now = FRIDAY
        self.distribution = Service(distribution, OF_DISTRIBUTION, lambda: self.now)
        self.inventory = Service(inventory, OF_INVENTORY, lambda: self.now)
        self.services = {"distribution": self.distribution, "inventory": self.inventory}
        self.couriers = [
            Courier(self.distribution, distribution_managers),
            Courier(self.inventory, following_inventory),
            Courier(self.inventory, inventory_managers),
        ]
        self.late: list[Letter] = []
        """Copies of steps to another service that may yet arrive."""

    def later(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    # -- what a process does ------------------------------------------------------------------------------------------

    def read(self, courier: Courier, events: int = 1_000) -> None:
        """Show the managers some of what is new, and note what follows; with all read, also what is due."""
        while courier.read < len(courier.home.events) and events:
            event = courier.home.events[courier.read]
            courier.read, events = courier.read + 1, events - 1
            for manager in courier.managers:
                self._note(courier, manager, shown(manager, event))
        if courier.read == len(courier.home.events):
            for manager in courier.managers:
                self._note(courier, manager, manager.due(self.now))

    def _note(self, courier: Courier, manager: Manager, steps: Iterable[Step]) -> None:
        for step in steps:
            letter = Letter(manager, step)
            if letter.id not in courier.known and not self._settled(courier, letter):
                courier.known.add(letter.id)
                courier.queues.setdefault((step.service, f"{step.target} {step.about}"), deque()).append(letter)

    def _settled(self, courier: Courier, letter: Letter) -> bool:
        """Whether the streams say what became of a step: in the manager's own one alone, as the kernel looks there."""
        refused = courier.home.state("process", letter.id).refused
        return refused or (letter.step.contract is courier.home.contract and letter.id in courier.home._answered)

    def send(self, courier: Courier, target: tuple[str, str], fate: str = "answered") -> None:
        """Send the first step to a target, and let this become of it: `answered`; `answer lost` or `lost`, and it is
        sent again; `delayed`, and a copy of it arrives whenever it likes. With `joined` before it, those that wait
        behind it go with it, as one command."""
        queue = courier.queues[target]
        joined = fate.startswith("joined") and self._join(queue)
        fate = fate.removeprefix("joined, ")
        if joined and fate in ("answered", "answer lost") and self._deliver(joined[0]) is None:
            for _ in range(joined[1] if fate == "answered" else 0):
                self._done(courier, target)
            return
        letter = queue[0]
        if letter.manager.moot(letter.step):
            self._done(courier, target)
            return
        if fate == "lost":
            return
        if fate == "delayed":
            if letter.step.contract is not courier.home.contract:
                self.late.append(letter)
            return
        refusal = self._deliver(letter)
        if fate == "answer lost":
            return
        if refusal is not None and str(refusal.code) not in letter.step.met_by:
            self._refused(courier, letter, refusal)
        self._done(courier, target)

    def _join(self, queue: deque[Letter]) -> tuple[Letter, int] | None:
        """What stands in front and can be joined, as one letter, and how many they are."""
        front = queue[0]
        alike = [
            *itertools.takewhile(
                lambda one: (
                    one.manager is front.manager and type(one.step.command) is type(front.step.command)
                    and one.step.cause.correlation_id == front.step.cause.correlation_id
                ),
                queue,
            )
        ]  # fmt: skip
        command = front.manager.joined([one.step.command for one in alike]) if len(alike) > 1 else None
        if command is None:
            return None
        last = alike[-1]
        name = f"joined {' '.join(one.id for one in alike)}"
        return Letter(last.manager, Step(last.step.cause, last.step.contract, command, name)), len(alike)

    def arrive_late(self, number: int) -> None:
        """One of the delayed copies arrives, and nobody waits for its answer any more."""
        self._deliver(self.late.pop(number % len(self.late)))

    def _deliver(self, letter: Letter) -> LedgerError | None:
        step = letter.step
        try:
            contract = self.services[step.service].contract
            command = contract.parse(type(step.command).__name__, msgspec.json.encode(step.command))
            self.services[step.service].handle(command, letter.id, letter.manager.name, "process")
        except LedgerError as refusal:
            return refusal
        return None

    def _refused(self, courier: Courier, letter: Letter, refusal: LedgerError) -> None:
        step = letter.step
        courier.home.do(
            "NoteRefusal", id=f"refusal of {letter.id}", actor=letter.manager.name, step=letter.id,
            manager=letter.manager.name, cause=step.cause.id, service=step.service, command=type(step.command).__name__,
            target=step.target, code=str(refusal.code), detail=refusal.detail,
        )  # fmt: skip

    def _done(self, courier: Courier, target: tuple[str, str]) -> None:
        courier.queues[target].popleft()
        if not courier.queues[target]:
            del courier.queues[target]

    def restart(self, courier: Courier) -> None:
        """The process is killed and another begins: what is in no stream is sent again, copies on their way arrive."""
        courier.managers, courier.read = courier.made(), 0
        courier.queues.clear()
        courier.known.clear()
        self.read(courier)

    def settle(self) -> None:
        """Let everything be read, sent and answered until nothing follows any more."""
        for _ in range(200):
            for courier in self.couriers:
                self.read(courier)
                for target in list(courier.queues):
                    while target in courier.queues:
                        self.send(courier, target)
            if not any(c.queues or c.read < len(c.home.events) for c in self.couriers):
                return
        raise AssertionError([letter.step for c in self.couriers for queue in c.queues.values() for letter in queue])
