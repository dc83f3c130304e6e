"""Stock is held where a temperature left its limits: what was there, once, until a person has looked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.inventory.contract import HoldReason, StockHeld
from services.inventory.processes import Temperatures
from tests.support.following import Follower
from tests.support.pantry import Pantry


@pytest.fixture
def pantry() -> Pantry:
    pantry = Pantry().furnish()
    limits = {"storage": "chilled", "minimum": 0, "maximum": 50}
    for location in ("cold", "other"):
        pantry.do("OpenLocation", location=location, name="Cold room", kind="store", **limits)
    pantry.receive(5000, "M1", item="milk", location="cold")
    pantry.receive(10, "A", item="rice", location="cold")
    pantry.receive(10, "A", item="rice", location="other")
    return pantry


@pytest.fixture
def cold(pantry: Pantry) -> Follower:
    return Follower(pantry, Temperatures())


def read(pantry: Pantry, temperature: int, location: str = "cold", **more: object) -> str:
    pantry.later(minutes=5)
    event = pantry.do("RecordTemperature", location=location, temperature=temperature, **more)
    assert event is not None
    return event.id


def held(pantry: Pantry, item: str, location: str = "cold") -> dict[str, list[str]]:
    """The open holds of a stock, and the lots that each covers."""
    stock = pantry.state("stock", f"{item}:{location}")
    return {id: sorted(stock.rows[key].ref.lot for key in hold.keys) for id, hold in stock.holds.items()}


def test_a_breach_holds_everything_there_and_nothing_elsewhere(pantry: Pantry, cold: Follower) -> None:
    id = read(pantry, 95)
    made = [event.data for event in cold.settle()]
    assert [type(event) for event in made] == [StockHeld, StockHeld]
    assert {event.reason for event in made} == {HoldReason.TEMPERATURE}
    assert {event.note for event in made} == {"9.5 °C at cold; at most 5.0 °C is allowed."}
    assert held(pantry, "milk") == {f"temperature-{id}": ["M1"]}
    assert held(pantry, "rice") == {f"temperature-{id}": ["A"]}
    assert held(pantry, "rice", "other") == {}


def test_more_lots_than_an_event_holds_are_held_in_several(pantry: Pantry, cold: Follower) -> None:
    for number in range(410):
        pantry.receive(1, f"L{number}", location="cold")
    read(pantry, 95)
    made = [event.data for event in cold.settle()]
    assert [len(event.held) for event in made if event.item == "rice"] == [200, 200, 11]
    assert [len(lots) for lots in held(pantry, "rice").values()] == [411]


def test_a_reading_within_the_limits_holds_nothing(pantry: Pantry, cold: Follower) -> None:
    read(pantry, 50)
    read(pantry, 0)
    assert cold.settle() == []


def test_a_reading_below_the_limit_says_so(pantry: Pantry, cold: Follower) -> None:
    read(pantry, -12)
    assert {e.data.note for e in cold.settle()} == {"-1.2 °C at cold; at least 0.0 °C is allowed."}


def test_an_item_that_is_not_there_any_more_is_left_out(pantry: Pantry, cold: Follower) -> None:
    pantry.issue(10, "A", location="cold")
    read(pantry, 95)
    assert [step.target for step in cold.catch_up()] == ["stock/milk:cold"]


def test_many_readings_are_one_hold(pantry: Pantry, cold: Follower) -> None:
    first = read(pantry, 95)
    for temperature in (97, 40, 60, 99):
        read(pantry, temperature)
    cold.settle()
    assert len(cold.steps) == 2
    assert list(held(pantry, "milk")) == [f"temperature-{first}"]


def test_what_arrives_in_a_breach_is_held_at_the_next_reading_outside(pantry: Pantry, cold: Follower) -> None:
    first = read(pantry, 95)
    cold.settle()
    pantry.later(minutes=1)
    pantry.receive(5000, "M2", item="milk", location="cold")
    assert cold.settle() == []
    read(pantry, 40)
    assert cold.settle() == []
    read(pantry, 96)
    cold.settle()
    assert held(pantry, "milk") == {f"temperature-{first}": ["M1", "M2"]}


def test_goods_that_were_there_and_are_recorded_late_are_held(pantry: Pantry, cold: Follower) -> None:
    read(pantry, 95)
    cold.settle()
    before = pantry.now - timedelta(hours=1)
    received = pantry.receive(700, "M0", item="milk", location="cold", occurred_at=before)
    other = pantry.receive(3, "A", item="ibuprofen", location="cold", occurred_at=before, source="purchase")
    cold.settle()
    assert [list(lots) for lots in held(pantry, "milk").values()] == [["M0", "M1"]]
    assert held(pantry, "ibuprofen") == {f"temperature-{other.id}": ["A"]}
    assert [step.target for step in cold.steps if step.cause.id == received.id] == ["stock/milk:cold"]


def test_a_released_hold_is_followed_by_a_new_one(pantry: Pantry, cold: Follower) -> None:
    first = read(pantry, 95)
    cold.settle()
    pantry.do("ReleaseHold", item="milk", location="cold", hold=f"temperature-{first}")
    second = read(pantry, 96)
    cold.settle()
    assert held(pantry, "milk") == {f"temperature-{second}": ["M1"]}
    assert held(pantry, "rice") == {f"temperature-{first}": ["A"]}


def test_goods_that_left_before_the_hold_came_make_it_needless(pantry: Pantry, cold: Follower) -> None:
    """A hold that comes too late must not fall on what arrived since, be it a year later."""
    read(pantry, 95)
    steps = cold.catch_up()
    pantry.issue(10, "A", location="cold")
    pantry.receive(20, "C", location="cold")
    cold.catch_up()
    needless = {step.target: cold.manager.moot(step) for step in steps}
    assert needless == {"stock/milk:cold": False, "stock/rice:cold": True}
