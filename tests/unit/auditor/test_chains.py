"""The auditor finds whatever is wrong with the bytes of a log, and names the event."""

from __future__ import annotations

from typing import Any, Final

import pytest

from services.auditor.chains import Chains, Ids, Unsound
from services.auditor.registry import AUDITED
from services.inventory.contract import (
    BaseUnit,
    DonorRegistered,
    ErasureRequested,
    Source,
    StockReceived,
    inventory,
)
from services.inventory.deciders import DECIDERS
from shared.erasure import Stage
from shared.errors import Corrupt
from shared.event import decode_envelope, event_id
from tests.support.jars import Counted, Jars, first_event, jar, toy
from tests.support.moments import NOON


def audited(jars: Jars, part: int = 0, parts: int = 1) -> Chains:
    chains = Chains(toy, [jar], part, parts)
    for sequence, raw in enumerate(jars.raws, 1):
        if chains.mine(raw):
            chains.take(sequence, raw)
    chains.finish()
    return chains


def test_a_whole_stream_passes_and_is_counted() -> None:
    chains = audited(Jars().add("a", 5).add("b", 1).add("a", -2))
    assert (chains.events, chains.aggregates) == (3, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"revision": 3}, "its revision is 3, and should be 2"),
        ({"prevhash": "f" * 64}, "as its predecessor"),
        ({"id": "not-a-uuid"}, "is not a UUID"),
        ({"id": "0123456789abcdef0123456789abcdef"}, "is not a UUID"),
        ({"time": "banana"}, "its time 'banana' is not one in UTC"),
        ({"time": "2026-13-20T09:30:00.000000Z"}, "is not one in UTC"),
        ({"time": "2026-11-20T09:30:00.000+01:00"}, "is not one in UTC"),
        ({"specversion": "9"}, "is not written as events are"),
        ({"datacontenttype": "text/plain"}, "is not written as events are"),
        ({"source": "/commons/local/clinic"}, "its source is '/commons/local/clinic', and should be"),
        ({"source": "/commons/toy"}, "its source is"),
        ({"source": "/else/local/toy"}, "its source is"),
        ({"type": "commons.toy.unheard-of.v1"}, "No event of type"),
        ({"data": {"jar": "a", "change": "many"}}, "does not fit its schema"),
        ({"data": Counted(jar="a", change=-9)}, "it is below nothing"),
        ({"data": Counted(jar="a", change=1, left=7)}, "the event says 7 are left"),
    ],
)
def test_the_first_thing_wrong_is_named_with_its_event(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(Corrupt, match=said) as caught:
        audited(Jars().add("a", 5).add("a", 1, **wrong).add("a", 1))
    assert caught.value.facts == {"stream": "TOY", "sequence": 2, "subject": "ledger.toy.jar.a"}


@pytest.mark.parametrize("subject", ["lid/a", "jar", "jar/", ""])
def test_an_event_is_of_an_aggregate_that_a_decider_knows(subject: str) -> None:
    with pytest.raises(Corrupt, match="no decider of toy knows"):
        audited(Jars().add("a", 5, subject=subject))


RECEIVED: Final = StockReceived(
    item="rice", location="main", unit=BaseUnit.EACH, source=Source.PURCHASE, lines=(), moves=(), on_hand=0,
    occurred_at=NOON, effective_at=NOON,
)  # fmt: skip


@pytest.mark.parametrize("name", ["donor/d-1", "stock/beans:main", "item/rice"])
def test_an_event_counts_for_no_aggregate_but_the_one_that_its_data_names(name: str) -> None:
    """A read model counts by the data: what verify folds elsewhere, or passes over, would stand on the screens."""
    with pytest.raises(Corrupt, match=f"stands on '{name}', and its data is of 'stock/rice:main'") as caught:
        Chains(inventory, DECIDERS).take(1, first_event(inventory, name, RECEIVED))
    assert (type(caught.value), caught.value.facts["sequence"]) == (Corrupt, 1)
    Chains(inventory, DECIDERS).take(1, first_event(inventory, "stock/rice:main", RECEIVED))


@pytest.mark.parametrize("service", AUDITED)
def test_every_event_of_every_service_names_its_aggregate(service: str) -> None:
    contract = AUDITED[service][0]
    made = {each for command in contract.commands.values() for each in command.makes}
    assert made == {spec.cls for spec in contract.events.values()}


def test_an_event_that_stands_on_another_subject_is_seen() -> None:
    chains = Chains(toy, [jar])
    with pytest.raises(Corrupt, match="stands on another subject"):
        chains.take(1, Jars().add("a", 5)[1], "ledger.toy.jar.b")


def test_bytes_that_are_no_event_are_named_by_their_place() -> None:
    with pytest.raises(Corrupt, match="Event 7 of TOY: it is not an event") as caught:
        Chains(toy, [jar]).take(7, b"{}")
    assert caught.value.facts["sequence"] == 7


def test_a_changed_byte_of_an_older_event_is_seen_at_its_successor() -> None:
    jars = Jars().add("a", 5).add("a", 1)
    jars.raws[0] = jars.raws[0].replace(b'"change":5', b'"change":6')
    with pytest.raises(Corrupt, match="as its predecessor") as caught:
        audited(jars)
    assert caught.value.facts["sequence"] == 2


def test_a_removed_event_is_seen() -> None:
    jars = Jars().add("a", 5).add("a", 1).add("a", 1)
    del jars.raws[1]
    with pytest.raises(Corrupt, match="its revision is 3, and should be 2"):
        audited(jars)


def test_every_event_is_in_one_part_and_what_is_wrong_is_found_there() -> None:
    jars = Jars.filled(200, jars=20)
    whole = [audited(jars, part, 3) for part in range(3)]
    assert (sum(each.events for each in whole), sum(each.aggregates for each in whole)) == (200, 20)
    jars.add("j5", 1, revision=9)
    found = 0
    for part in range(3):
        try:
            audited(jars, part, 3)
        except Corrupt as error:
            found += error.facts["sequence"] == 201
    assert found == 1


TWICE: Final = (
    (b'"subject":"jar/a"', b'"subject":"jar/b","subject":"jar/a"'),
    (b'"subject":"jar/a"', b'"subject":"jar\\/a"'),
    (b'"data":', b'"data":{},"data":'),
    (b'"authid":"sam"', b'"authid":"sam","note":"unheard of"'),
    (b'"authid":"sam"', b'"authid": "sam"'),
)


@pytest.mark.parametrize("parts", [1, 2, 64])
@pytest.mark.parametrize(("plain", "other"), TWICE)
def test_an_envelope_that_can_be_read_in_two_ways_is_in_no_part(plain: bytes, other: bytes, parts: int) -> None:
    """Who reads the first name and who reads the last must not follow two chains, whatever the processors are."""
    raw = Jars().add("a", 1)[1].replace(plain, other)
    assert decode_envelope(raw).subject == "jar/a"
    taking = next(part for part in range(parts) if Chains(toy, [jar], part, parts).mine(raw))
    with pytest.raises(Corrupt, match="is there twice, is unknown, or is not written as events are"):
        Chains(toy, [jar], taking, parts).take(1, raw)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
@pytest.mark.parametrize("parts", [1, 64])
def test_a_name_whose_bytes_are_another_is_in_no_part(name: str, parts: int) -> None:
    raw = Jars().add(name, 1)[1]
    taking = next(part for part in range(parts) if Chains(toy, [jar], part, parts).mine(raw))
    with pytest.raises(Corrupt, match="is none of an aggregate"):
        Chains(toy, [jar], taking, parts).take(1, raw)


def test_a_short_aggregate_is_checked_after_every_event_and_a_long_one_at_every_eighth() -> None:
    chains = Chains(toy, [jar])
    jars = Jars()
    for sequence in range(1, 5_001):
        jars.add("a", 1)
        chains.take(sequence, jars[sequence])
        if sequence <= 8:
            assert chains.checks == sequence
    assert 30 < chains.checks < 80


def test_an_id_that_comes_twice_is_found_wherever_it_was() -> None:
    ids, others = Ids(), Ids()
    for number in range(1000):
        (ids if number % 2 else others).add(event_id("s", str(number)))
    ids.extend(others)
    assert ids.repeated() == set()
    ids.add(event_id("s", "77"))
    assert ids.repeated() == {event_id("s", "77")}


def test_ids_that_agree_in_their_first_half_are_not_the_same() -> None:
    ids = Ids()
    ids.add("00000000-0000-5000-8000-000000000001")
    ids.add("00000000-0000-5000-8000-000000000002")
    ids.add("00000000-0000-5000-9000-000000000002")
    assert ids.repeated() == set()


def test_what_is_wrong_at_the_end_alone_is_found_at_the_end() -> None:
    chains = Chains(toy, [jar])
    jars = Jars()
    for sequence in range(1, 101):
        chains.take(sequence, jars.add("a", 1)[sequence])
    chains._aggregates["jar/a"].state.sweets = -1
    with pytest.raises(Unsound, match=r"ledger\.toy\.jar\.a is not sound at event 100: it is below nothing"):
        chains.finish()


def test_who_was_erased_is_known_and_whose_data_each_aggregate_has() -> None:
    """By the events alone, without a key: what is sealed is followed as all else is."""
    chains = Chains(inventory, DECIDERS)
    sealed = "sealed:1:donor/{}:name:AAAA"
    made: list[tuple[str, Any]] = [
        (f"donor/{donor}", DonorRegistered(donor=donor, name=sealed.format(donor), occurred_at=NOON))
        for donor in ("d-1", "d-2")
    ]
    asked = {"kind": "donor", "person": "d-1", "stage": Stage.REQUESTED, "occurred_at": NOON}
    made.append(("erasure/donor:d-1", ErasureRequested(**asked, reason="asked to", requested_by="rui")))
    for sequence, (name, event) in enumerate(made, 1):
        chains.take(sequence, first_event(inventory, name, event))
    chains.finish()
    assert chains.owners() == {("donor/d-1",): 1, ("donor/d-2",): 1}
    assert chains.erased() == set()
    chains._aggregates["erasure/donor:d-1"].state.stage = Stage.ERASED
    assert chains.erased() == {"donor/d-1"}
