"""Recalls and quarantines are followed to every shelf, whatever arrives in between."""

from __future__ import annotations

from typing import Any

import pytest

from services.inventory.contract import (
    HoldReason,
    HoldReleased,
    HoldStock,
    ReleaseHold,
    ReleaseReservation,
    ReservationReleased,
    StockHeld,
)
from services.inventory.processes import Recalls
from shared.decider import Ref
from shared.errors import Rejected
from shared.event import Recorded
from tests.support.following import Follower, ids
from tests.support.pantry import Pantry


@pytest.fixture
def pantry() -> Pantry:
    pantry = Pantry().furnish()
    pantry.receive(40, "A")
    pantry.receive(30, "A", location="site")
    pantry.receive(20, "B", location="clinic")
    pantry.receive(12000, "A", item="milk")
    return pantry


@pytest.fixture
def recalls(pantry: Pantry) -> Follower:
    follower = Follower(pantry, Recalls())
    assert follower.settle() == []
    return follower


def recall(pantry: Pantry, **more: Any) -> None:
    pantry.do("RecallLot", item="rice", recall="rc-1", reason="glass", **{"scope": {"lots": ["A"]}, **more})


def holds(pantry: Pantry, item: str = "rice") -> dict[str, list[str]]:
    """The open holds at each location that has any."""
    places = ("store", "site", "clinic", "shelf-q")
    found = {place: list(pantry.state("stock", f"{item}:{place}").holds) for place in places}
    return {place: held for place, held in found.items() if held}


def test_a_recall_is_sent_to_each_location_that_ever_had_the_item(pantry: Pantry, recalls: Follower) -> None:
    pantry.issue(20, "B", location="clinic")  # none is left, and none of what it was is recalled
    recall(pantry)
    steps = recalls.catch_up()
    assert [(s.target, s.command) for s in steps] == [
        (f"stock/rice:{place}", HoldStock(item="rice", location=place, hold="rc-1", reason=HoldReason.RECALL))
        for place in ("store", "site", "clinic")
    ]
    assert len(set(ids(recalls.manager, steps))) == 3
    recalls.carry_out(steps)
    assert holds(pantry) == {"store": ["rc-1"], "site": ["rc-1"]}
    assert holds(pantry, "milk") == {}


def test_reservations_of_recalled_lots_are_released(pantry: Pantry, recalls: Follower) -> None:
    for number, place in ((1, "store"), (2, "store"), (3, "site"), (4, "clinic")):
        fields = {"item": "rice", "location": place, "reservation": f"r{number}", "quantity": 5, "purpose": "household"}
        pantry.do("ReserveStock", **fields)
    recall(pantry)
    made = [event.data for event in recalls.settle()]
    assert [(e.location, e.reservation) for e in made if isinstance(e, ReservationReleased)] == [
        ("store", "r1"), ("store", "r2"), ("site", "r3"),
    ]  # fmt: skip
    assert list(pantry.state("stock", "rice:clinic").reservations) == ["r4"]


def test_more_reservations_than_a_hold_names_are_all_released(pantry: Pantry, recalls: Follower) -> None:
    pantry.receive(300, "A", location="clinic")
    for number in range(300):
        fields = {"item": "rice", "location": "clinic", "reservation": f"r{number}", "quantity": 1, "lot": "A"}
        pantry.do("ReserveStock", **fields, purpose="household")
    pantry.issue(1, "A", location="clinic", reservation="r7")
    recall(pantry)
    made = [event.data for event in recalls.settle()]
    (held,) = (event for event in made if isinstance(event, StockHeld) and event.location == "clinic")
    assert len(held.reservations) == 200
    assert pantry.state("stock", "rice:clinic").reservations == {}
    assert sum(isinstance(event, ReservationReleased) for event in made) == 299


def test_reservations_of_a_lot_that_an_arrival_holds_are_released(pantry: Pantry, recalls: Follower) -> None:
    """The hold begins with the goods that arrive, and covers those that were there."""
    fields = {"item": "rice", "location": "site", "reservation": "r1", "quantity": 5, "purpose": "household"}
    pantry.do("ReserveStock", **fields)
    recall(pantry)
    pantry.receive(10, "A", location="site")
    recalls.settle()
    assert pantry.state("stock", "rice:site").reservations == {}


def test_more_lots_than_an_event_holds_are_held_in_several(pantry: Pantry, recalls: Follower) -> None:
    for number in range(410):
        pantry.receive(1, f"L{number}", location="clinic")
    recall(pantry, scope={})
    made = [event.data for event in recalls.settle()]
    assert [len(event.held) for event in made if event.location == "clinic"] == [200, 200, 11]
    assert len(pantry.state("stock", "rice:clinic").holds["rc-1"].keys) == 411


def repack(pantry: Pantry, lot: str, into: str, location: str = "store", item: str = "rice") -> None:
    made = {"item": item, "lot": into, "quantity": 3}
    lines = [{"quantity": 3, "lot": lot}]
    pantry.do("RepackStock", item="rice", location=location, lines=lines, into=[made], already_left=True)


def test_what_was_packed_from_recalled_goods_is_held(pantry: Pantry, recalls: Follower) -> None:
    repack(pantry, "A", "BAG1")
    repack(pantry, "bag-1", "BAG2")
    repack(pantry, "B", "BAG3", "clinic")
    fields = {"item": "rice", "location": "store", "quantity": 2, "purpose": "household", "lot": "BAG2"}
    pantry.do("ReserveStock", reservation="r1", **fields)
    pantry.receive(4, "BAG1", location="clinic")
    recall(pantry)
    recalls.settle()
    store, clinic = (pantry.state("stock", f"rice:{place}") for place in ("store", "clinic"))
    assert store.holds["rc-1"].keys == ["A", "BAG2"]  # nothing is left of BAG1
    assert clinic.holds["rc-1"].keys == ["BAG1"]
    assert store.reservations == {}
    with pytest.raises(Rejected, match="recalled"):
        pantry.issue(1, "BAG2")
    pantry.do("LiftRecall", item="rice", recall="rc-1", reason="another plant")
    recalls.settle()
    assert holds(pantry) == {}
    pantry.issue(1, "BAG2")


def test_what_was_set_apart_is_recalled_with_the_lot_that_it_was_taken_from(pantry: Pantry, recalls: Follower) -> None:
    for lot, box in (("A", "b1"), ("B", "b2")):
        lines = [{"lot": lot, "quantity": 1}]
        place = {"item": "rice", "location": "store" if lot == "A" else "clinic"}
        pantry.do("SetApart", **place, lines=lines, apart=f"U-{box}", hold=f"unpacked-{box}")
    recall(pantry)
    recalls.settle()
    assert pantry.state("stock", "rice:store").holds["rc-1"].keys == ["A", "UB1"]
    assert "rc-1" not in pantry.state("stock", "rice:clinic").holds
    pantry.do("ReleaseHold", item="rice", location="store", hold="unpacked-b1")
    with pytest.raises(Rejected, match="recalled"):
        pantry.issue(1, "U-b1")


def test_what_is_packed_from_recalled_goods_later_is_held(pantry: Pantry, recalls: Follower) -> None:
    recall(pantry)
    recalls.settle()
    repack(pantry, "A", "BAG1")
    repack(pantry, "B", "BAG3", "clinic")
    recalls.settle()
    assert pantry.state("stock", "rice:store").holds["rc-1"].keys == ["A", "BAG1"]
    assert list(holds(pantry)) == ["store", "site"]


def test_more_lots_than_a_command_names_are_held_by_several(pantry: Pantry, recalls: Follower) -> None:
    pantry.receive(1000, "A")
    for number in range(210):
        repack(pantry, "A", f"BAG{number}")
    recall(pantry)
    recalls.settle()
    assert len(pantry.state("stock", "rice:store").holds["rc-1"].keys) == 211


def test_a_quarantine_holds_and_releases_nothing(pantry: Pantry, recalls: Follower) -> None:
    fields = {"item": "rice", "location": "store", "reservation": "r1", "quantity": 5, "purpose": "household"}
    pantry.do("ReserveStock", **fields)
    pantry.do("QuarantineLot", item="rice", quarantine="q-1", lot="a", reason="odd smell")
    made = [event.data for event in recalls.settle()]
    assert [type(event) for event in made] == [StockHeld, StockHeld]
    assert holds(pantry) == {"store": ["q-1"], "site": ["q-1"]}
    assert list(pantry.state("stock", "rice:store").reservations) == ["r1"]
    pantry.do("ReleaseLot", item="rice", quarantine="q-1", reason="it was the sack")
    recalls.settle()
    assert holds(pantry) == {}


def test_a_lifted_recall_lets_go_where_it_held(pantry: Pantry, recalls: Follower) -> None:
    recall(pantry)
    recalls.settle()
    pantry.do("LiftRecall", item="rice", recall="rc-1", reason="another plant")
    made = [event.data for event in recalls.settle()]
    assert [(type(event), event.location) for event in made] == [(HoldReleased, "store"), (HoldReleased, "site")]
    pantry.issue(40, "A")


def test_a_receipt_between_the_recall_and_its_holds_is_held_on_arrival(pantry: Pantry, recalls: Follower) -> None:
    recall(pantry)
    received = pantry.receive(10, "A", location="shelf-q")  # a location that never had any
    assert [hold.hold for hold in received.data.holds] == ["rc-1"]
    recalls.settle()
    assert holds(pantry) == {"store": ["rc-1"], "site": ["rc-1"], "shelf-q": ["rc-1"]}
    assert [s.target for s in recalls.steps if s.cause.id == received.id] == []
    pantry.do("LiftRecall", item="rice", recall="rc-1", reason="another plant")
    recalls.settle()
    assert holds(pantry) == {}


def unheld(pantry: Pantry, location: str) -> Recorded:
    """A receipt that was decided before the recall, and stored behind it."""
    lots = pantry.states.pop(Ref("lot", "rice"))
    received = pantry.receive(10, "A", location=location)
    pantry.states[Ref("lot", "rice")] = lots
    assert received.data.holds == ()
    return received


@pytest.mark.parametrize("place", ["store", "shelf-q"])
def test_a_receipt_decided_before_the_recall_and_stored_behind_it_is_held(
    pantry: Pantry, recalls: Follower, place: str
) -> None:
    recall(pantry)
    received = unheld(pantry, place)
    recalls.settle()
    assert holds(pantry)[place] == ["rc-1"]
    assert [s.target for s in recalls.steps if s.cause.id == received.id] == [f"stock/rice:{place}"]


def test_recalled_goods_that_turn_up_later_are_held(pantry: Pantry, recalls: Follower) -> None:
    recall(pantry)
    recalls.settle()
    found = {"item": "rice", "reason": "found"}
    pantry.do("AdjustStock", **found, location="shelf-q", lines=[{"lot": "a-", "change": 3}])
    pantry.do("AdjustStock", **found, location="clinic", lines=[{"lot": "B", "change": 3}])
    assert [step.target for step in recalls.catch_up()] == ["stock/rice:shelf-q"]
    recalls.carry_out(recalls.steps[-1:])
    assert holds(pantry)["shelf-q"] == ["rc-1"]


def test_goods_that_are_held_already_are_not_held_again(pantry: Pantry, recalls: Follower) -> None:
    recall(pantry)
    recalls.settle()
    pantry.receive(10, "A")
    pantry.do("AdjustStock", item="rice", location="store", reason="found", lines=[{"lot": "A", "change": 3}])
    assert recalls.catch_up() == []


def test_a_hold_that_began_after_the_recall_was_over_ends(pantry: Pantry, recalls: Follower) -> None:
    """Another process decided the hold, or a receipt, on the recall as it was a moment before."""
    recall(pantry)
    steps = recalls.catch_up()
    lots = pantry.states[Ref("lot", "rice")]
    pantry.states[Ref("lot", "rice")] = type(lots)(recalls=dict(lots.recalls))
    pantry.do("LiftRecall", item="rice", recall="rc-1", reason="another plant")
    after, pantry.states[Ref("lot", "rice")] = pantry.states[Ref("lot", "rice")], lots
    lots.recalls.setdefault("rc-1", next(iter(after.lifted.values())))
    lots.lifted.clear()
    recalls.carry_out(steps[:1])
    pantry.receive(10, "A", location="shelf-q")
    pantry.states[Ref("lot", "rice")] = after
    assert holds(pantry) == {"store": ["rc-1"], "shelf-q": ["rc-1"]}
    recalls.settle()
    assert holds(pantry) == {}


def test_what_is_over_needs_no_step(pantry: Pantry, recalls: Follower) -> None:
    recall(pantry)
    hold = recalls.catch_up()[0]
    assert not recalls.manager.moot(hold)
    recalls.carry_out([hold])
    pantry.do("LiftRecall", item="rice", recall="rc-1", reason="another plant")
    (release,) = (step for step in recalls.catch_up() if isinstance(step.command, ReleaseHold))
    assert recalls.manager.moot(hold)
    assert not recalls.manager.moot(release)
    recalls.carry_out([release])
    recalls.catch_up()
    assert recalls.manager.moot(release)


def test_a_forgotten_reservation_counts_as_released(pantry: Pantry, recalls: Follower) -> None:
    pantry.do("ReserveStock", item="rice", location="store", reservation="r1", quantity=5, purpose="household")
    recall(pantry)
    recalls.settle()
    (release,) = (step for step in recalls.steps if isinstance(step.command, ReleaseReservation))
    pantry.state("stock", "rice:store").ended.clear()  # as after two thousand others
    with pytest.raises(Rejected) as refusal:
        recalls.carry_out([release])
    assert refusal.value.code in release.met_by
