"""What must hold of the bytes of a stream, event by event: each parses, follows its predecessor, and folds.

chains = Chains(contract, deciders)
for message in stream:
    chains.take(decode(...))     # raises Corrupt at the first thing wrong
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from shared.contract import Contract
from shared.decider import Decider
from shared.errors import Corrupt
from shared.event import FIRST_PREVHASH, Recorded
from shared.remembered import key_of
from shared.store import stream_name

_SPARSE: Final = 100
"""Up to this revision an aggregate's invariants are checked after every event."""


class Unsound(Corrupt):
    """The bytes are in order, and what they say does not fold, or breaks an invariant."""


@dataclass(slots=True)
class _Aggregate:
    """How far one aggregate has come, and its state there."""

    revision: int
    hash: str
    state: Any


class Chains:
    """Follows every aggregate of one stream from its first event on."""

    def __init__(self, contract: Contract, deciders: Iterable[Decider[Any]]) -> None:
        self.events = 0
        self._contract = contract
        self._deciders = {decider.category: decider for decider in deciders}
        self._aggregates: dict[str, _Aggregate] = {}
        self._ids: set[int] = set()

    @property
    def aggregates(self) -> int:
        """How many aggregates have an event."""
        return len(self._aggregates)

    def take(self, event: Recorded) -> None:
        """Check the next event of the stream. Raises Corrupt, naming stream, sequence and aggregate."""
        self._check_names(event)
        aggregate = self._aggregates.get(event.subject)
        decider = self._deciders.get(event.category)
        if aggregate is None:
            if decider is None:
                raise _wrong(event, f"no decider of {self._contract.service} knows the category {event.category!r}")
            aggregate = self._aggregates[event.subject] = _Aggregate(0, FIRST_PREVHASH, decider.initial())
        assert decider is not None
        if event.revision != aggregate.revision + 1:
            raise _wrong(event, f"its revision is {event.revision}, and should be {aggregate.revision + 1}")
        if event.envelope.prevhash != aggregate.hash:
            raise _wrong(
                event,
                f"it names {event.envelope.prevhash[:16]}… as its predecessor, which is {aggregate.hash[:16]}…",
            )
        self._fold(decider, aggregate, event)
        aggregate.revision, aggregate.hash = event.revision, event.hash
        self.events += 1

    def finish(self) -> None:
        """Check every aggregate as it is now. Raises Corrupt, naming the first whose invariants do not hold."""
        for subject, aggregate in self._aggregates.items():
            broken = self._deciders[subject.split(".")[2]].check(aggregate.state)
            if broken:
                raise Unsound(
                    f"The aggregate {subject} is not sound at event {aggregate.revision:,}: {'; '.join(broken)}.",
                    stream=stream_name(self._contract.service), subject=subject,
                )  # fmt: skip

    def _check_names(self, event: Recorded) -> None:
        """An event stands on its own aggregate's subject, under an id that no other event of the stream has."""
        subject = f"ledger.{self._contract.service}.{event.category}.{event.aggregate_id}"
        if event.subject != subject:
            raise _wrong(event, f"it says that it is about {event.envelope.subject}, and stands on another subject")
        try:
            key = key_of(event.id)
        except ValueError:
            raise _wrong(event, f"its id {event.id[:60]!r} is not a UUID") from None
        if key in self._ids:
            raise _wrong(event, f"its id {event.id} was there before: one command was recorded twice")
        self._ids.add(key)

    def _fold(self, decider: Decider[Any], aggregate: _Aggregate, event: Recorded) -> None:
        try:
            aggregate.state = decider.evolve(aggregate.state, event.data)
            # A check reads the whole state, history and all: in a long aggregate every hundredth part is looked at.
            due = event.revision % max(1, event.revision // _SPARSE) == 0
            broken = decider.check(aggregate.state) if due else []
        except Corrupt as error:
            raise _wrong(event, error.detail, Unsound) from error
        except Exception as error:  # whatever a fold stumbles over, the event that did it is named
            raise _wrong(event, f"it does not fold: {type(error).__name__}: {error}", Unsound) from error
        if broken:
            raise _wrong(event, "after it, " + "; ".join(broken), Unsound)


def _wrong(event: Recorded, what: str, kind: type[Corrupt] = Corrupt) -> Corrupt:
    return kind(
        f"Event {event.sequence:,} of {event.stream}, on {event.subject}: {what}.",
        stream=event.stream, sequence=event.sequence, subject=event.subject,
    )  # fmt: skip
