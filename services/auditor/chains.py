"""What must hold of the bytes of a log, event by event: each parses, follows its predecessor, and folds.

    chains = Chains(contract, deciders)
    for sequence, raw in enumerate(entries, 1):
        chains.take(sequence, raw)      # raises Corrupt at the first thing wrong
    chains.finish()

Aggregates do not know of each other, so several processes may share the work: each takes the events of its own part of
the aggregates (`part` of `parts`, by a checksum of the name), which it tells from the bytes without decoding them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final
from zlib import crc32

from shared.contract import Contract
from shared.decider import Decider
from shared.erasure import CATEGORY as ERASURE
from shared.erasure import Stage
from shared.errors import Corrupt
from shared.event import FIRST_PREVHASH, Envelope, decode_envelope, is_canonical, is_timestamp
from shared.store import stream_name

_EVERY: Final = 100
"""Up to this revision all invariants of an aggregate are checked after every event, then at every so manieth part."""

_EVERY_BESIDE: Final = 8
"""The same where a decider looks at what each event touched as well (`check_after`)."""

_SUBJECT: Final = b'"subject":"'
_ID_LENGTH: Final = 36


class Unsound(Corrupt):
    """The bytes are in order, and what they say does not fold, or breaks an invariant."""


class _Aggregate:
    """How far one aggregate has come, its state there, and whose personal data it has."""

    __slots__ = ("decider", "due", "hash", "owners", "revision", "state")

    def __init__(self, decider: Decider[Any]) -> None:
        self.decider = decider
        self.revision = 0
        self.hash = FIRST_PREVHASH
        self.state = decider.initial()
        self.due = 1
        """The revision at which all its invariants are checked the next time."""
        self.owners: set[str] | None = None


class Ids:
    """The ids of events, 16 bytes each, that must all differ."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(256)]

    def add(self, id: str) -> None:
        """Note an event's id. Raises ValueError when it is not a UUID."""
        raw = bytes.fromhex(id.replace("-", ""))
        if len(raw) != 16 or len(id) != _ID_LENGTH:
            raise ValueError("not a UUID")
        self._buckets[raw[0]] += raw

    def extend(self, other: Ids) -> None:
        """Note all that another has noted."""
        for mine, theirs in zip(self._buckets, other._buckets, strict=True):
            mine += theirs

    def repeated(self) -> set[str]:
        """The ids that were noted more than once."""
        found: set[str] = set()
        for bucket in self._buckets:
            halves = array("Q", bytes(bucket))
            if len(set(halves[::2])) < len(halves) // 2:
                counted = Counter(bytes(bucket[at : at + 16]).hex() for at in range(0, len(bucket), 16))
                found |= {_dashed(id) for id, count in counted.items() if count > 1}
        return found


class Chains:
    """Follows the aggregates of one log, or one part of them, from their first event on."""

    def __init__(self, contract: Contract, deciders: Iterable[Decider[Any]], part: int = 0, parts: int = 1) -> None:
        self.events = 0
        self.checks = 0
        """How many times all invariants of an aggregate were checked."""
        self.ids = Ids()
        self._contract = contract
        self._stream = stream_name(contract.service)
        self._deciders = {decider.category: decider for decider in deciders}
        self._aggregates: dict[str, _Aggregate] = {}
        self._part, self._parts = part, parts
        self._sources: set[str] = set()
        """The sources that were seen, each right."""
        self._decode = contract.decode
        self._personal = contract.personal

    @property
    def aggregates(self) -> int:
        """How many aggregates have an event."""
        return len(self._aggregates)

    def mine(self, raw: bytes) -> bool:
        """Whether an event belongs to this part of the aggregates, by the first name in its bytes."""
        at = raw.find(_SUBJECT) + len(_SUBJECT)
        return crc32(raw[at : raw.find(b'"', at)]) % self._parts == self._part

    def take(self, sequence: int, raw: bytes, subject: str | None = None) -> None:
        """Check the next event; `subject` is where it stood in the stream, when it was read from there.

        Raises Corrupt, naming stream, sequence and aggregate.
        """
        try:
            envelope = decode_envelope(raw)
        except ValueError as error:
            raise self._unreadable(sequence, subject, error) from error
        name = envelope.subject
        aggregate = self._aggregates.get(name)
        try:
            if not is_canonical(envelope, raw):
                raise _Wrong("a member of its envelope is there twice, is unknown, or is not written as events are")
            if not is_timestamp(envelope.time):
                raise _Wrong(f"its time {envelope.time[:60]!r} is not one in UTC with microseconds")
            if envelope.source not in self._sources:
                self._check_source(envelope)
            if subject is not None and subject != nats_subject(self._contract.service, name):
                raise _Wrong(f"it says that it is about {name}, and stands on another subject")
            if aggregate is None:
                aggregate = self._begin(name)
            revision = envelope.revision
            if revision != aggregate.revision + 1:
                raise _Wrong(f"its revision is {revision}, and should be {aggregate.revision + 1}")
            if envelope.prevhash != aggregate.hash:
                raise _Wrong(f"it names {envelope.prevhash[:16]}… as its predecessor, which is {aggregate.hash[:16]}…")
            self._fold(aggregate, envelope)
        except _Wrong as wrong:
            raise self.wrong(sequence, name, str(wrong), Unsound if wrong.unsound else Corrupt) from wrong.__cause__
        aggregate.revision = revision
        aggregate.hash = sha256(raw).hexdigest()
        self.events += 1

    def finish(self) -> None:
        """Check every aggregate as it is now. Raises Unsound, naming the first whose invariants do not hold."""
        for name, aggregate in self._aggregates.items():
            broken = aggregate.decider.check(aggregate.state)
            if broken:
                raise Unsound(
                    f"The aggregate {nats_subject(self._contract.service, name)} is not sound at event "
                    f"{aggregate.revision:,}: {'; '.join(broken)}.",
                    stream=self._stream, subject=nats_subject(self._contract.service, name),
                )  # fmt: skip
        self.checks += len(self._aggregates)

    def erased(self) -> set[str]:
        """The owners whose keys were destroyed, as `household/h-12`."""
        found = (
            name.removeprefix(f"{ERASURE}/").replace(":", "/")
            for name, aggregate in self._aggregates.items()
            if name.startswith(f"{ERASURE}/") and aggregate.state.stage is Stage.ERASED
        )
        return set(found)

    def owners(self) -> Counter[tuple[str, ...]]:
        """How many aggregates have personal data of whom."""
        return Counter(tuple(each.owners) for each in self._aggregates.values() if each.owners)

    def wrong(self, sequence: int, name: str, what: str, kind: type[Corrupt] = Corrupt) -> Corrupt:
        """What is wrong with an event, with the place where it stands."""
        subject = nats_subject(self._contract.service, name)
        return kind(
            f"Event {sequence:,} of {self._stream}, on {subject}: {what}.",
            stream=self._stream, sequence=sequence, subject=subject,
        )  # fmt: skip

    def _unreadable(self, sequence: int, subject: str | None, error: ValueError) -> Corrupt:
        return Corrupt(
            f"Event {sequence:,} of {self._stream}{f', on {subject}' if subject else ''}: it is not an event: {error}.",
            stream=self._stream, sequence=sequence, subject=subject or "",
        )  # fmt: skip

    def _begin(self, name: str) -> _Aggregate:
        category, _, id = name.partition("/")
        decider = self._deciders.get(category)
        if decider is None or not id:
            raise _Wrong(f"no decider of {self._contract.service} knows the category {category!r}")
        if not name.isprintable() or '"' in name or "\\" in name:
            raise _Wrong(f"the name {name[:60]!r} is none of an aggregate")  # its bytes may be another's, see `mine`
        aggregate = self._aggregates[name] = _Aggregate(decider)
        return aggregate

    def _check_source(self, envelope: Envelope) -> None:
        source = envelope.source
        start, _, chapter = source.removesuffix(f"/{self._contract.service}").rpartition("/")
        if start != "/commons" or not chapter or not source.endswith(f"/{self._contract.service}"):
            raise _Wrong(f"its source is {source[:60]!r}, and should be /commons/<chapter>/{self._contract.service}")
        self._sources.add(source)

    def _fold(self, aggregate: _Aggregate, envelope: Envelope) -> None:
        try:
            self.ids.add(envelope.id)
            event = self._decode(envelope.type, envelope.data, envelope.subject)
        except Corrupt as error:
            raise _Wrong(error.detail.removesuffix(".")) from error
        except ValueError:
            raise _Wrong(f"its id {envelope.id[:60]!r} is not a UUID") from None
        decider = aggregate.decider
        try:
            aggregate.state = state = decider.evolve(aggregate.state, event)
            broken = decider.check_after(state, event)
            if (revision := envelope.revision) >= aggregate.due:
                # A check reads the whole state, history and all.
                aggregate.due = revision + max(1, revision // (_EVERY_BESIDE if decider.checks_after else _EVERY))
                self.checks += 1
                broken += decider.check(state)
        except Corrupt as error:
            raise _Wrong(error.detail.removesuffix("."), unsound=True) from error
        except Exception as error:  # whatever a fold stumbles over, the event that did it is named
            raise _Wrong(f"it does not fold: {type(error).__name__}: {error}", unsound=True) from error
        if broken:
            raise _Wrong("after it, " + "; ".join(dict.fromkeys(broken)), unsound=True)
        if self._personal and (owners := self._contract.owners_of(event)):
            aggregate.owners = {*owners} if aggregate.owners is None else aggregate.owners.union(owners)


class _Wrong(Exception):
    """What is wrong with the event at hand."""

    def __init__(self, what: str, *, unsound: bool = False) -> None:
        super().__init__(what)
        self.unsound = unsound


def nats_subject(service: str, name: str) -> str:
    """The subject of an aggregate in the stream: `ledger.inventory.stock.rice:main` of `stock/rice:main`."""
    return f"ledger.{service}.{name.replace('/', '.', 1)}"


def name_in(raw: bytes) -> str:
    """The aggregate that an event names, as far as its bytes still tell."""
    at = raw.find(_SUBJECT)
    end = raw.find(b'"', at + len(_SUBJECT))
    return "" if at < 0 or end < 0 else raw[at + len(_SUBJECT) : end][:200].decode(errors="replace")


def with_id(entries: Iterable[bytes], id: str) -> Iterator[tuple[int, bytes]]:
    """The events of a log that have an id, with their sequences."""
    wanted = id.encode()
    for sequence, raw in enumerate(entries, 1):
        if wanted in raw and decode_envelope(raw).id == id:
            yield sequence, raw


def _dashed(id: str) -> str:
    return f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}"
