"""Tests of a domain as sentences: given what has happened, when a command comes, then this follows.

    given(rice, main, received(lot="A", quantity=10)).when(issue(quantity=4)).then(StockIssued, on_hand=6)
    given(rice, main).when(issue(quantity=4, reservation="r")).then_rejected(InventoryError.UNKNOWN_RESERVATION)
    given(rice).when(rice).then_nothing()

`given` takes events and commands; a command is decided and must be accepted, and `*by("kim", command)` is one that kim
sent. `then` gives back what is now given, so a sentence can go on with another `.when`; what was given before stays as
it was, so two sentences may begin alike.
Beside what it says, every sentence checks what must hold for any decider: the command passes the contract's door
unchanged; deciding changes no state; the event is one the command may make, repeats the command's fields, and survives
JSON with integers only; the new state breaks no invariant and survives a snapshot.
"""

from __future__ import annotations

import dataclasses
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from shared.contract import Contract
from shared.decider import Context, Decider, Past, Ref
from shared.erasure import CATEGORY, Stage
from shared.errors import Rejected
from shared.heldvalue import read, written
from shared.personal import Sealed
from shared.sealing import is_sealed

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
"""The moment of every decision that says no other; a Friday morning."""

Locate = Callable[[Any], str]
"""The aggregate's id of an event."""


_texts: dict[str, str] = {}
"""What sealed texts say, for decisions that open one; of one that holds a value, its JSON."""


class _States(dict[Ref, Any]):
    """The states that a decision reads: those that its command names, and any other when it is asked for."""

    def __init__(self, world: World, own: Ref, named: Iterable[Ref]) -> None:
        super().__init__({ref: world.state(ref) for ref in named})
        self._world, self._own = world, own

    def __missing__(self, ref: Ref) -> Any:
        assert ref != self._own, "a decision asks to read the aggregate that it is about"
        return self._world.state(ref)


@dataclasses.dataclass
class World:
    """The deciders of one service, and the states of all its aggregates."""

    deciders: Mapping[str, Decider[Any]]
    locate: Mapping[str, Locate]
    states: dict[Ref, Any] = dataclasses.field(default_factory=dict)
    history: dict[Ref, list[Any]] = dataclasses.field(default_factory=dict)
    erased: frozenset[str] = frozenset()
    """Owners whose keys are destroyed, as `household/h-1`."""

    def state(self, ref: Ref) -> Any:
        return self.states[ref] if ref in self.states else self.deciders[ref.category].initial()

    def snapshot(self) -> dict[Ref, bytes]:
        return {ref: msgspec.msgpack.encode(state) for ref, state in self.states.items()}

    def decide(
        self, command: Any, now: datetime, actor: str, mandate: str | None, authtype: str = "user",
        roles: frozenset[str] | None = None,
    ) -> Any:  # fmt: skip
        """Decide a command as the kernel would; raises Rejected."""
        contract = next(iter(self.deciders.values())).contract
        spec = contract.command_of(command)
        assert contract.parse(spec.name, msgspec.json.encode(command)) == command, "the door changed the command"
        decider = self.deciders[spec.category]
        own = Ref(spec.category, spec.aggregate(command))
        reads = _States(self, own, decider.reads(command))
        past = dict(self._recalled(decider.recalls(command)))
        before = self.snapshot()
        try:
            event = decider.decide(
                command,
                self.state(own),
                Context(now, actor, mandate, reads, past, blind, self._opened, self.is_erased, authtype, roles),
            )
        finally:
            assert self.snapshot() == before, "deciding changed a state"
        if event is None:
            return None
        assert type(event) in spec.makes, f"{spec.name} does not make {type(event).__name__}"
        assert self.locate[spec.category](event) == spec.aggregate(command)
        for field in dataclasses.fields(command):
            said = getattr(command, field.name)
            assert said is None or getattr(event, field.name) == said, f"{field.name} did not come back"
        return event

    def is_erased(self, owner: str) -> bool:
        """Whether an owner's key is destroyed: at once, when the events say that they are erased."""
        ref = Ref(CATEGORY, owner.replace("/", ":"))
        return owner in self.erased or (CATEGORY in self.deciders and self.state(ref).stage is Stage.ERASED)

    def _opened(self, text: str) -> str | None:
        return None if self.is_erased(text.split(":")[2]) else opened(text)

    def _recalled(self, wanted: Iterable[tuple[Ref, str]]) -> Iterable[tuple[tuple[Ref, str], Past]]:
        """The newest event of an aggregate that bears each name, as the kernel finds it."""
        for ref, name in wanted:
            history = self.history.get(ref, [])
            for revision in range(len(history), 0, -1):
                if name in self.deciders[ref.category].names(history[revision - 1]):
                    yield (ref, name), Past(history[revision - 1], revision, "sam", NOW)
                    break

    def after(self, event: Any) -> World:
        """The world once an event is folded as the kernel would fold it, from its bytes. This world stays as it is."""
        contract = next(iter(self.deciders.values())).contract
        event = sealed(contract, event, self.is_erased)
        spec = contract.spec_of(event)
        raw = msgspec.json.encode(event)
        assert len(raw) < 59_000, "the event is too large"
        _integers_only(msgspec.json.decode(raw))
        read = spec.decoder.decode(raw)
        assert read == event, "the event does not survive its bytes"
        decider = self.deciders[spec.category]
        ref = Ref(spec.category, self.locate[spec.category](event))
        state = decider.evolve(_copy(decider, self.state(ref)), read)
        assert decider.check(state) == decider.check_after(state, read) == []
        assert _copy(decider, state) == state, "a snapshot loses something"
        history = {**self.history, ref: [*self.history.get(ref, ()), event]}
        return World(self.deciders, self.locate, {**self.states, ref: state}, history, self.erased)

    def folded_again(self, ref: Ref) -> Any:
        """The state of an aggregate, folded from its first event."""
        decider = self.deciders[ref.category]
        state = decider.initial()
        for event in self.history.get(ref, ()):
            state = decider.evolve(state, event)
        return state


def sealed(contract: Contract, event: Any, erased: Callable[[str], bool] = lambda _: False) -> Any:
    """An event as the kernel stores it: what is personal in it cannot be read, and never looks the same twice."""
    fields = contract.sealed_of(event)
    if fields is None:
        return event

    def change(mark: Sealed, path: str, content: Any) -> str:
        if isinstance(content, str) and is_sealed(content):
            return content
        assert mark.remark or not erased(str(mark.owner(event))), f"{path} is to be sealed for somebody who was erased"
        text = written(mark, path, content)
        if mark.holds is not None:
            _integers_only(msgspec.json.decode(text))
            assert read(text, mark.holds) == content, "what was sealed does not come back"
        if mark.remark and mark.owner(event) is None:
            return text
        made = f"sealed:1:{mark.owner(event)}:{path}:{secrets.token_urlsafe(60 + len(text.encode()))}"
        _texts[made] = text
        return made

    return fields.replace(event, change)


def opened(text: str) -> str | None:
    """What a sealed text says; None when its owner was erased."""
    return _texts.get(text)


def erase(owner: str) -> None:
    """Lose the key of an owner: what was sealed for it is never opened again."""
    for text in [text for text in _texts if text.startswith(f"sealed:1:{owner}:")]:
        del _texts[text]


def blind(kind: str, text: str) -> str:
    """A blind index under a key that is no secret, for tests alone."""
    return hmac.new(b"tests", f"{kind}\0{' '.join(text.casefold().split())}".encode(), "sha256").hexdigest()[:32]


def _copy(decider: Decider[Any], state: Any) -> Any:
    """A state as it comes out of a snapshot."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=decider.state_type)


def _integers_only(value: Any) -> None:
    assert not isinstance(value, float), "a float is in an event"
    if isinstance(value, int) and not isinstance(value, bool):
        assert abs(value) < 2**53, "a number no consumer can read exactly is in an event"
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _integers_only(part)


@dataclasses.dataclass
class By:
    """A command, and who sent it."""

    actor: str
    command: Any


def by(actor: str, *commands: Any) -> tuple[By, ...]:
    return tuple(By(actor, command) for command in commands)


@dataclasses.dataclass
class Given:
    """What has happened."""

    world: World

    def when(
        self, command: Any, *, now: datetime = NOW, actor: str = "sam", mandate: str | None = None,
        authtype: str = "user", roles: frozenset[str] | None = None,
    ) -> Outcome:  # fmt: skip
        """Decide a command; `roles` are those that a token carries, None where nobody asks for one."""
        try:
            return Outcome(self.world, self.world.decide(command, now, actor, mandate, authtype, roles), None)
        except Rejected as refusal:
            return Outcome(self.world, None, refusal)

    def erased(self, owner: str) -> Given:
        """The same, once the key of an owner is destroyed."""
        erase(owner)
        return Given(dataclasses.replace(self.world, erased=self.world.erased | {owner}))

    def state(self, category: str, id: str) -> Any:
        return self.world.state(Ref(category, id))


@dataclasses.dataclass
class Outcome:
    """What followed from a command."""

    world: World
    event: Any
    refusal: Rejected | None

    def then(self, event: type, **fields: Any) -> Given:
        """The event is of this type, and has these fields; lists of lines are compared in what they say."""
        assert self.refusal is None, f"refused: {self.refusal!r}"
        assert type(self.event) is event, f"made {self.event}"
        for name, expected in fields.items():
            actual = getattr(self.event, name)
            assert _alike(actual, expected), f"{name} is {actual}, not {expected}"
        return Given(self.world.after(self.event))

    def then_event(self) -> Given:
        """The command is accepted, whatever its event says."""
        return self.then(type(self.event))

    def then_rejected(self, code: StrEnum, **facts: Any) -> Given:
        """The command is refused with this code and these facts, in a sentence that ends, and again when it is "
        "repeated."""
        assert self.refusal is not None, f"not refused, but made {self.event}"
        assert self.refusal.code == code, f"{self.refusal!r}"
        for name, expected in facts.items():
            assert self.refusal.facts.get(name) == expected, f"{name} is {self.refusal.facts.get(name)}, not {expected}"
        assert self.refusal.detail.endswith("."), self.refusal.detail
        msgspec.json.encode(self.refusal.problem())
        return Given(self.world)

    def then_nothing(self) -> Given:
        """The command was already true."""
        assert self.refusal is None, f"refused: {self.refusal!r}"
        assert self.event is None, f"made {self.event}"
        return Given(self.world)


def _alike(actual: Any, expected: Any) -> bool:
    """Whether a value is as expected; a mapping names the fields of a line that matter."""
    if isinstance(expected, Mapping):
        return all(_alike(getattr(actual, name), value) for name, value in expected.items())
    if isinstance(expected, list | tuple) and isinstance(actual, tuple):
        return len(actual) == len(expected) and all(map(_alike, actual, expected))
    return bool(actual == expected)


def sentences(
    deciders: Iterable[Decider[Any]], locate: Mapping[str, Locate], actor: str = "sam"
) -> Callable[..., Given]:
    """The `given` of one service; `actor` sent what nobody else is said to have sent."""
    by_category = {decider.category: decider for decider in deciders}

    def given(*steps: Any, now: datetime = NOW) -> Given:
        """Events and commands that came first, an hour before `now` unless they say otherwise."""
        world = World(by_category, locate)
        contract = next(iter(by_category.values())).contract
        for said in steps:
            who, step = (said.actor, said.command) if isinstance(said, By) else (actor, said)
            if type(step).__name__ in contract.commands:
                event = world.decide(step, getattr(step, "occurred_at", None) or now - timedelta(hours=1), who, None)
                assert event is not None, f"{step} changed nothing"
                world = world.after(event)
            else:
                world = world.after(step)
        return Given(world)

    return given
