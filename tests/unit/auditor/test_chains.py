"""The auditor finds whatever is wrong with the bytes of a stream, and names the event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from services.auditor.chains import Chains
from shared.contract import Contract
from shared.decider import Decider
from shared.errors import Corrupt
from shared.event import FIRST_PREVHASH, Envelope, Recorded, decode, encode, event_id, sha256, timestamp
from shared.types import Delta, Id
from tests.support.moments import NOON

toy = Contract("toy")


@toy.event(category="jar")
class Counted:
    """Sweets went in or out."""

    jar: Id
    change: Delta


toy.freeze()


@dataclass
class Jar:
    sweets: int = 0


def _evolve(jar: Jar, event: Any) -> Jar:
    jar.sweets += event.change
    return jar


jar = Decider(toy, "jar", Jar, Jar, lambda *_: None, _evolve, lambda j: ["it is below nothing"] if j.sweets < 0 else [])


@dataclass
class Stream:
    """Writes a stream's events, and lets one of them be wrong."""

    events: list[Recorded] = field(default_factory=list)
    last: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, id_: str, change: int, **wrong: Any) -> Stream:
        subject = f"ledger.toy.jar.{id_}"
        revision, hash_ = self.last.get(id_, (0, FIRST_PREVHASH))
        members: dict[str, Any] = {
            "specversion": "1.0", "id": event_id(subject, str(len(self.events))), "source": "/commons/local/toy",
            "type": "commons.toy.counted.v1", "subject": f"jar/{id_}", "time": timestamp(NOON), "dataschema": "urn:x",
            "datacontenttype": "application/json", "revision": revision + 1, "prevhash": hash_, "correlationid": "1",
            "causationid": "1", "authtype": "user", "authid": "sam", "data": Counted(jar=id_, change=change),
        }  # fmt: skip
        raw = encode(Envelope(**members | wrong))
        self.last[id_] = (revision + 1, sha256(raw))
        self.events.append(decode(raw, stream="TOY", sequence=len(self.events) + 1, subject=subject, contract=toy))
        return self

    def audited(self) -> Chains:
        chains = Chains(toy, [jar])
        for event in self.events:
            chains.take(event)
        return chains


def test_a_whole_stream_passes_and_is_counted() -> None:
    chains = Stream().add("a", 5).add("b", 1).add("a", -2).audited()
    assert (chains.events, chains.aggregates) == (3, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"revision": 3}, "its revision is 3, and should be 2"),
        ({"prevhash": "f" * 64}, "as its predecessor"),
        ({"subject": "jar/other"}, "stands on another subject"),
        ({"id": "not-a-uuid"}, "is not a UUID"),
        ({"id": event_id("ledger.toy.jar.a", "0")}, "was recorded twice"),
        ({"type": "commons.toy.unheard-of.v1"}, "No event of type"),
        ({"data": {"jar": "a", "change": "many"}}, "does not fit its schema"),
        ({"data": Counted(jar="a", change=-9)}, "it is below nothing"),
    ],
)
def test_the_first_thing_wrong_is_named_with_its_event(wrong: dict[str, Any], said: str) -> None:
    stream = Stream().add("a", 5).add("a", 1, **wrong).add("a", 1)
    with pytest.raises(Corrupt, match=said) as caught:
        stream.audited()
    assert caught.value.facts == {"stream": "TOY", "sequence": 2, "subject": "ledger.toy.jar.a"}


def test_a_changed_byte_of_an_older_event_is_seen_at_its_successor() -> None:
    stream = Stream().add("a", 5).add("a", 1)
    first = stream.events[0]
    changed = first.raw.replace(b'"change":5', b'"change":6')
    stream.events[0] = decode(changed, stream="TOY", sequence=1, subject=first.subject, contract=toy)
    with pytest.raises(Corrupt, match="as its predecessor") as caught:
        stream.audited()
    assert caught.value.facts["sequence"] == 2


def test_a_removed_event_is_seen() -> None:
    stream = Stream().add("a", 5).add("a", 1).add("a", 1)
    del stream.events[1]
    with pytest.raises(Corrupt, match="its revision is 3, and should be 2"):
        stream.audited()
