"""Bad input at distribution's door: one clear error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.distribution.contract import MAX_LINES, distribution
from shared.errors import Invalid

CLAIM: dict[str, Any] = {"household": "h", "programme": "p", "period": "2026-W47"}
MEAL: dict[str, Any] = {"site": "s", "date": "2026-11-20", "meal": "breakfast"}
LINES: list[dict[str, Any]] = [{"item": "rice", "quantity": 2}]
GOOD: dict[str, dict[str, Any]] = {
    "AddMember": {"household": "h", "member": "m"},
    "AuthoriseProxy": {"household": "h", "proxy": "p", "since": "2026-11-20"},
    "BookSlot": {"session": "s", "order": "o"},
    "CancelOrder": {"order": "o", "reason": "Ill."},
    "CertifyCount": MEAL,
    "ChangeHousehold": {"household": "h"},
    "ClaimEntitlement": CLAIM | {"claim": "c"},
    "CloseProgramme": {"programme": "p"},
    "CloseSession": {"session": "s"},
    "CompleteOrder": {"order": "o", "box": "b"},
    "ConfirmOrder": {"order": "o"},
    "DeliverMeals": MEAL | {"delivery": "d", "quantity": 40},
    "DiscardMeals": MEAL | {"discard": "d", "quantity": 1, "reason": "Cold."},
    "FreeSlot": {"session": "s", "order": "o"},
    "GrantRole": {"actor": "ada", "role": "volunteer"},
    "HandOutBox": {"box": "b"},
    "MergeHouseholds": {"household": "h", "into": "i", "reason": "Twice."},
    "NoteBox": {"order": "o", "box": "b", "packed": True},
    "NoteFreed": {"order": "o", "item": "i", "lots": LINES},
    "NoteGoods": {"item": "i", "revision": 1, "name": "I", "unit": "each"},
    "NoteIssued": {"order": "o", "goods": [{"item": "i", "quantity": 1, "site": "s", "movement": 1}]},
    "NoteMerge": {"household": "h", "other": "o", "merged": True},
    "NoteOrigin": {"made": [{"item": "i", "lot": "B"}], "made_from": [{"item": "i", "lot": "A"}]},
    "NoteRecall": {"item": "i", "recall": "r", "revision": 1, "scope": {}, "open": True},
    "NoteReserved": {"order": "o", "site": "s", "goods": [{"item": "i", "asked": 2, "lots": LINES, "short": 0}]},
    "NoteReversal": {"order": "o"},
    "OpenProgramme": {"programme": "p", "name": "P", "kind": "box"},
    "OpenSession": {"session": "s"},
    "PackBox": {"box": "b", "order": "o"},
    "PlaceOrder": {"order": "o", "household": "h", "session": "s"},
    "RecordNoShow": {"order": "o"},
    "RecordVisit": {"visit": "v", "programme": "p", "period": "2026-W47", "session": "s"},
    "RegisterHousehold": {"household": "h", "size": 4},
    "ReleaseEntitlement": CLAIM | {"claim": "c", "reason": "x"},
    "RemoveMember": {"household": "h", "member": "m"},
    "RenewEligibility": {"household": "h"},
    "ResolveCount": MEAL | {"note": "x"},
    "ResolveHandOut": {"box": "b", "note": "x"},
    "ResolveStep": {"step": "s", "note": "Done."},
    "ResolveVisit": {"visit": "v", "programme": "p", "period": "2026-W47", "note": "x"},
    "ReverseCompletion": {"order": "o", "box": "b"},
    "ReverseHandOut": {"box": "b", "reason": "x"},
    "ReverseVisit": {"visit": "v", "programme": "p", "period": "2026-W47", "reason": "x"},
    "ReverseMeals": MEAL | {"kind": "serving", "entry": "s", "reason": "Twice."},
    "RevokeProxy": {"household": "h", "proxy": "p"},
    "RevokeRole": {"actor": "ada", "role": "volunteer"},
    "ScheduleSession": {
        "session": "s", "programme": "p", "site": "h", "name": "S", "starts_at": "2026-11-20T08:00:00Z",
        "ends_at": "2026-11-20T11:00:00Z",
    },
    "ServeMeal": MEAL | {"serving": "s"},
    "SetBundle": {"programme": "p", "lines": LINES},
    "SetLimit": {"programme": "p", "times": 1, "every": "week"},
    "UnmergeHouseholds": {"household": "h", "into": "i", "reason": "x"},
    "UnpackBox": {"box": "b", "reason": "x"},
}  # fmt: skip


def refused(name: str, match: str, /, **changes: Any) -> None:
    with pytest.raises(Invalid, match=match):
        distribution.parse(name, {**GOOD[name], **changes})


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_passes(name: str) -> None:
    assert distribution.parse(name, GOOD[name]) == distribution.parse(name, json.dumps(GOOD[name]))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_or_strange_is_named(name: str) -> None:
    for field in GOOD[name]:
        with pytest.raises(Invalid, match=rf"{field}: is required"):
            distribution.parse(name, {key: value for key, value in GOOD[name].items() if key != field})
        refused(name, field, **{field: {"strange": [1, None, 1.5]}})
        refused(name, field, **{field: None})
    refused(name, "colour: there is no such field", colour="red")


def test_every_command_is_looked_at_here() -> None:
    about_steps = {"NoteRefusal"}
    of_erasure = {name for name, spec in distribution.commands.items() if spec.category == "erasure"}
    assert set(distribution.commands) - about_steps - of_erasure == set(GOOD)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"a"', "7", b"\xff\xfe{}", '{"a": 1', "NaN", "[" * 100_000])
def test_what_is_no_object_is_refused(name: str, body: str | bytes) -> None:
    with pytest.raises(Invalid):
        distribution.parse(name, body)


@pytest.mark.parametrize("name", sorted([*distribution.commands, *distribution.events]))
def test_every_command_and_event_says_what_it_means(name: str) -> None:
    spec: Any = distribution.commands.get(name) or distribution.events[name]
    assert len((spec.cls.__doc__ or "").split()) > 2
    assert not spec.cls.__doc__.startswith(f"{name}(")


@pytest.mark.parametrize("size", [0, -1, 31, 400, 2**53, 1.5, 1.0, "4", True, None])
def test_a_household_is_of_one_to_thirty(size: Any) -> None:
    refused("RegisterHousehold", "size|JSON", size=size)


def test_a_households_words_are_bounded() -> None:
    refused("RegisterHousehold", "members", members=[{"member": f"m{n}"} for n in range(31)])
    refused("RegisterHousehold", r"members\.0\.allergens", members=[{"member": "m", "allergens": "x" * 201}])
    refused("RegisterHousehold", r"members\.0\.band", members=[{"member": "m", "band": "teen"}])
    refused("RegisterHousehold", "name", name="a\x00b")
    refused("RegisterHousehold", "eligible_until", eligible_until="2026-02-30")


@pytest.mark.parametrize(
    "id", ["", "a.b", "a*", ">", "a b", "a\n", "a:b", "a/b", "é", "-a", "a" * 65, "a\x00", 7, None]
)
def test_an_id_is_one_plain_word(id: Any) -> None:
    refused("PlaceOrder", "household", household=id)
    refused("MergeHouseholds", "into", into=id)


@pytest.mark.parametrize(("name", "field", "longest"), [
    ("PlaceOrder", "order", 48), ("PackBox", "box", 48), ("RecordVisit", "visit", 46), ("BookSlot", "order", 48),
])  # fmt: skip
def test_ids_of_orders_boxes_and_visits_leave_room_for_what_follows_from_them(
    name: str, field: str, longest: int
) -> None:
    distribution.parse(name, {**GOOD[name], field: "x" * longest})
    for id in ("x" * (longest + 1), "", "a:b", "a.b", "a b", "-a", "é"):
        refused(name, field, **{field: id})


@pytest.mark.parametrize(("name", "field"), [("PlaceOrder", "order"), ("PackBox", "box")])
def test_no_order_and_no_box_is_named_as_the_goods_of_a_visit_are(name: str, field: str) -> None:
    refused(name, f"{field}: .*v-", **{field: "v-1"})
    for id in ("v1", "V-1", "w-1", "v"):
        distribution.parse(name, {**GOOD[name], field: id})


@pytest.mark.parametrize(
    "period", ["", "26", "2026-W4", "2026-W477", "2026-1", "2026-11-", "2026-11-2", "W47", "2026W47"]
)
def test_a_period_is_written_as_iso_8601_has_it(period: str) -> None:
    refused("RecordVisit", "period", period=period)


@pytest.mark.parametrize("quantity", [0, -1, 2**53, 2**64, 1.5, 1.0, "1", True, None])
def test_a_quantity_is_a_whole_positive_number(quantity: Any) -> None:
    for name in ("PlaceOrder", "RecordVisit", "PackBox", "SetBundle"):
        refused(name, r"lines\.0\.quantity|JSON", lines=[{"item": "rice", "quantity": quantity}])
    for name in ("DeliverMeals", "DiscardMeals", "ServeMeal"):
        refused(name, "quantity|JSON", quantity=quantity)


def test_figures_are_such_as_people_can_mean() -> None:
    refused("RecordVisit", r"people\.adult", people={"adult": 1001})
    refused("RecordVisit", r"people\.child", people={"child": -1})
    refused("DeliverMeals", "quantity", quantity=100_001)
    refused("ServeMeal", "quantity", quantity=1001)
    for field in ("carried_over", "left_over", "kept"):
        refused("CertifyCount", field, **{field: 1_000_001})
        refused("CertifyCount", field, **{field: -1})
    for times in (0, 101, -1):
        refused("SetLimit", "times", times=times)
    refused("SetLimit", "every", every="fortnight")
    refused("OpenProgramme", "utc_offset", utc_offset=15 * 60)
    refused("ScheduleSession", "capacity", capacity=0)
    refused("ScheduleSession", "slot_minutes", slot_minutes=4)
    refused("SetBundle", "min_size", min_size=0)
    refused("SetBundle", "min_size", min_size=31)


def test_lines_are_bounded() -> None:
    for name in ("PlaceOrder", "RecordVisit", "SetBundle"):
        many = [{"item": f"i{n}", "quantity": 1} for n in range(MAX_LINES + 1)]
        distribution.parse(name, {**GOOD[name], "lines": many[:-1]})
        refused(name, "lines", lines=many)
    refused("PackBox", "lines", lines=[{"item": f"i{n}", "quantity": 1} for n in range(MAX_LINES + 1)])
    refused("PlaceOrder", r"lines\.0\.price", lines=[{"item": "rice", "quantity": 1, "price": 3}])


@pytest.mark.parametrize("lot", ["", " ", " A", "A\nB", "x" * 51, 7])
def test_a_lot_in_a_box_is_written_as_inventory_has_it(lot: Any) -> None:
    refused("PackBox", r"lines\.0\.lot", lines=[{"item": "rice", "quantity": 1, "lot": lot}])


def test_an_override_and_a_reason_are_not_empty() -> None:
    refused("ConfirmOrder", "override_reason", override_reason="")
    refused("CancelOrder", "reason", reason="")
    refused("CancelOrder", "reason", reason="x" * 2001)
    refused("PlaceOrder", "slot", slot="2026-11-20T09:30:00")
