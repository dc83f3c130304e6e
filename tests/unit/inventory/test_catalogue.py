"""Items and locations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.inventory.contract import (
    BaseUnit,
    ChangeItem,
    CloseLocation,
    InventoryError,
    ItemChanged,
    ItemFacts,
    ItemRegistered,
    ItemRetired,
    LocationClosed,
    LocationKind,
    LocationOpened,
    PackSize,
    RecordTemperature,
    RegisterItem,
    RetireItem,
    StorageClass,
    TemperatureBreach,
    TemperatureRecorded,
)
from tests.unit.inventory.pantry import NOW, given, issue, main, opened, pick, received, rice

E = InventoryError
_FACTS = tuple(ItemFacts.__dataclass_fields__)


def changed(**facts: object) -> ChangeItem:
    """Rice, with these facts instead."""
    return ChangeItem(**{**{name: getattr(rice, name) for name in _FACTS}, **facts}, item="rice")  # type: ignore[arg-type]


def test_an_item_is_registered_once() -> None:
    after = given().when(rice).then(ItemRegistered, name="Rice, 500 g", unit=BaseUnit.EACH, occurred_at=NOW)
    after.when(rice).then_nothing()
    after.when(replace(rice, name="Other")).then_rejected(E.ALREADY_EXISTS, item="rice")


def test_the_dates_of_medicine_and_infant_formula_are_never_extended() -> None:
    for flag in ("medicine", "infant_formula"):
        given().when(replace(rice, best_before_extension=1, **{flag: True})).then_rejected(E.EXTENSION_FORBIDDEN)


def test_an_item_in_grams_weighs_its_quantity() -> None:
    given().when(replace(rice, unit=BaseUnit.GRAM)).then_rejected(E.INVALID_RANGE)


def test_packs_and_allergens_are_named_once() -> None:
    case = PackSize(name="case", quantity=12)
    given().when(replace(rice, packs=(case, case))).then_rejected(E.DUPLICATE_LINE)
    given().when(replace(rice, allergens=("milk", "milk"))).then_rejected(E.DUPLICATE_LINE)
    given().when(replace(rice, packs=(case,), allergens=())).then(ItemRegistered, allergens=(), packs=(case,))


def test_an_item_changes_but_never_its_unit() -> None:
    given().when(changed(name="Rice")).then_rejected(E.UNKNOWN_ITEM)
    after = given(rice).when(changed(name="Rice")).then(ItemChanged, name="Rice")
    after.when(changed(name="Rice")).then_nothing()
    after.when(changed(unit=BaseUnit.GRAM, net_weight=None)).then_rejected(E.UNIT_FIXED, unit=BaseUnit.EACH)


def test_a_retired_item_comes_back_by_a_change() -> None:
    given().when(RetireItem(item="rice")).then_rejected(E.UNKNOWN_ITEM)
    after = given(rice).when(RetireItem(item="rice")).then(ItemRetired)
    after.when(RetireItem(item="rice")).then_nothing()
    after = after.when(changed()).then(ItemChanged)
    assert after.state("item", "rice").retired_at is None


def test_nothing_happens_in_the_future() -> None:
    soon = NOW + timedelta(minutes=5)
    given().when(replace(rice, occurred_at=soon)).then(ItemRegistered, occurred_at=soon)
    given().when(replace(rice, occurred_at=soon + timedelta(seconds=1))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_a_location_is_opened_once() -> None:
    after = given().when(main).then(LocationOpened, kind=LocationKind.STORE)
    after.when(main).then_nothing()
    after.when(replace(main, name="Another")).then_rejected(E.ALREADY_EXISTS)


def test_the_limits_of_a_location_are_in_order() -> None:
    given().when(opened("fridge", minimum=50, maximum=20)).then_rejected(E.INVALID_RANGE)


def test_a_location_closes_only_when_empty() -> None:
    close = CloseLocation(location="main", items=("rice", "beans"))
    given().when(close).then_rejected(E.UNKNOWN_LOCATION)
    stocked = given(rice, main, received(3))
    stocked.when(close).then_rejected(E.LOCATION_NOT_EMPTY, items=["rice"])
    empty = stocked.when(issue(pick(3))).then_event()
    closed = empty.when(close).then(LocationClosed, items=("rice", "beans"))
    closed.when(close).then_nothing()
    closed.when(main).then(LocationOpened)


def test_a_temperature_outside_the_limits_is_a_breach() -> None:
    read = RecordTemperature(location="fridge", temperature=45)
    given().when(read).then_rejected(E.UNKNOWN_LOCATION)
    fridge = given(opened("fridge", storage=StorageClass.CHILLED, minimum=0, maximum=50))
    fridge.when(read).then(TemperatureRecorded, breach=None, minimum=0, maximum=50)
    fridge.when(replace(read, temperature=51)).then(TemperatureRecorded, breach=TemperatureBreach.ABOVE)
    fridge.when(replace(read, temperature=-1)).then(TemperatureRecorded, breach=TemperatureBreach.BELOW)


def test_a_temperature_without_limits_is_no_breach() -> None:
    given(main).when(RecordTemperature(location="main", temperature=-2731)).then(TemperatureRecorded, breach=None)


def test_allergens_unknown_is_not_none() -> None:
    unknown = RegisterItem(item="bread", name="Bread", unit=BaseUnit.EACH)
    given(unknown).when(replace(unknown, allergens=())).then_rejected(E.ALREADY_EXISTS)
