"""The decider: how one kind of aggregate decides, as pure functions.

    decide(command, state, context) -> event or None      refuse by raising Rejected
    evolve(state, event)            -> state              never refuses; may change and return the state it was given
    check(state)                    -> broken invariants, as sentences; empty when all is well
    check_after(state, event)       -> the same of what the last event touched, and of the figures that it says itself

No function reads a clock, a file or the network. What they need from outside is in the context: the moment, the actor,
the states of other aggregates that the decision reads (`reads`), which are eventually consistent and are therefore
copied into the event wherever the decision depends on them, and past events that it recalls by a name.

A state that had to hold all that ever happened would grow for ever. So an event may bear names (`names`: an entry's id
in a book, for example), and a decision says which names it wants to look up (`recalls`) and finds the newest event that
bears each in its context. That a name was never used is known at once; an event that was is read from the stream.

The pattern is Jérémie Chassaing's "Functional Event Sourcing Decider" (2021).
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from shared.contract import Contract
from shared.errors import LedgerError
from shared.heldvalue import read as read_held

S = TypeVar("S")
T = TypeVar("T")


class Ref(NamedTuple):
    """An aggregate: its category and its id."""

    category: str
    id: str


class NotRead(Exception):
    """A decision asks for an aggregate that was not read for it. It is read, and decided again from the beginning."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(ref)
        self.ref = ref


def _no_vault(_: str) -> str | None:
    """Nothing is opened without a key."""
    raise LedgerError("A sealed text was to be opened for a decision, and there is no vault to open it.")


def _nobody(_: str) -> bool:
    """Without a vault nobody's key was destroyed."""
    return False


def _no_figures(_state: Any, _event: Any) -> list[str]:
    """An event that says nothing which could be checked against the state."""
    return []


def _no_index(kind: str, _: str) -> str:
    """No index without a key: one that anybody could make would tell the text to whoever guesses it."""
    raise LedgerError(f"A blind index of {kind} was asked for, and there is no vault to make it.")


@dataclass(frozen=True, slots=True)
class Past:
    """An event that a decision recalled: as its newest class, its number in its aggregate, who caused it, and when."""

    event: Any
    revision: int
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision may know beside the command and the state.

    `now` is the moment of deciding, in UTC; `actor` and `mandate` are who acts and under which grant; `states` holds
    the aggregates that `Decider.reads` named; `past` the events that were found of those that `Decider.recalls` named.
    `blind(kind, text)` is the blind index of a text: equal for equal texts, and telling nothing to who has not the
    service's key (vault.py). `unseal(text)` opens a sealed text of a state, and gives None when its owner was erased;
    what it says may decide, and is never copied into an event; `unseal_as` opens one that holds a value.
    `erased(owner)` says whether an owner's key was destroyed. `authtype` is what kind of actor it is: the steps of a
    process follow from what was decided before, and need nobody's role. `roles` are those that the actor's token
    carries; None where nobody asks for a token.
    """

    now: datetime
    actor: str = "unknown"
    mandate: str | None = None
    states: Mapping[Ref, Any] = field(default_factory=dict)
    past: Mapping[tuple[Ref, str], Past] = field(default_factory=dict)
    blind: Callable[[str, str], str] = _no_index
    unseal: Callable[[str], str | None] = _no_vault
    erased: Callable[[str], bool] = _nobody
    authtype: str = "user"
    roles: frozenset[str] | None = None

    def read(self, category: str, id: str) -> Any:
        """The state of another aggregate; its initial state when it has no events.

        `Decider.reads` names those that a command names itself, which saves a round. One that a decision learns of only
        from another's state is read when it is asked for, and the decision begins again: it changes nothing, so it may.
        """
        ref = Ref(category, id)
        try:
            return self.states[ref]
        except KeyError:
            raise NotRead(ref) from None

    def unseal_as(self, text: str, holds: type[T]) -> T | None:
        """The value in a sealed text, or the tuple of values, as the mark of its field says it (`Sealed.holds`); None
        when its owner was erased. Raises Corrupt when it is another."""
        opened = self.unseal(text)
        return None if opened is None else read_held(opened, holds)

    def recalled(self, ref: Ref, name: str) -> Past | None:
        """The newest event of an aggregate that bears a name; None when none does, or `recalls` did not ask for it."""
        return self.past.get((ref, name)) if self.past else None


def _nothing(_: Any) -> Iterable[Any]:
    return ()


@dataclass(frozen=True)
class Decider(Generic[S]):
    """One category of aggregates: its functions, its contract, and what its decisions read.

    `reads` gives the other aggregates that a command's decision reads. `names` gives the names under which an event is
    found again in its aggregate; the newest event with a name is the one that is found. `recalls` gives the names that
    a command's decision looks up, each with its aggregate, which is the command's own or one that `reads` gives.
    `check_after` looks at what an event touched alone, so that an auditor can do so after every event.
    """

    contract: Contract
    category: str
    initial: Callable[[], S]
    state_type: type[S]
    decide: Callable[[Any, S, Context], Any]
    evolve: Callable[[S, Any], S]
    check: Callable[[S], list[str]]
    reads: Callable[[Any], Iterable[Ref]] = _nothing
    names: Callable[[Any], Iterable[str]] = _nothing
    recalls: Callable[[Any], Iterable[tuple[Ref, str]]] = _nothing
    check_after: Callable[[S, Any], list[str]] = _no_figures
    fold_version: str = field(init=False, default="")
    """A fingerprint of the code that folds: snapshots made under another one are thrown away.

    It covers the source of the modules that define evolve, names, the state and the contract, and of those of the same
    package that they import, so nobody has to remember to raise a number; a change of a comment costs one fold from the
    stream. It is taken once, when the code is loaded: files that change under a running process do not change it.
    """

    @property
    def checks_after(self) -> bool:
        """Whether it has a `check_after` of its own."""
        return self.check_after is not _no_figures

    def __post_init__(self) -> None:
        object.__setattr__(self, "fold_version", self._fingerprint())

    def _fingerprint(self) -> str:
        modules = {self.evolve.__module__, self.state_type.__module__}
        modules |= {self.names.__module__} if self.names is not _nothing else set()
        modules |= {spec.cls.__module__ for spec in self.contract.events.values() if spec.category == self.category}
        while more := {m for name in modules for m in _siblings(name)} - modules:
            modules |= more
        text = "".join(inspect.getsource(sys.modules[name]) for name in sorted(modules))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _siblings(module: str) -> set[str]:
    """Modules of the same package that a module imports, or takes a name from: helpers of its fold, as a timeline."""
    package = module.rpartition(".")[0] + "."
    found: set[object] = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(sys.modules[module]).values()
    }
    return {name for name in found if isinstance(name, str) and name.startswith(package) and name in sys.modules}
