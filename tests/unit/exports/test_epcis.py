"""The EPCIS export: each kind of event by example, whole histories by adding them up, and the standard's own schema."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings

from services.exports.epcis import CONTEXT
from shared.errors import Corrupt
from shared.event import Recorded
from tests.support.epcis import TRANSIT, balances, document, schema, translated
from tests.support.histories import LOCATIONS, Draft, histories, play
from tests.support.pantry import Pantry

RICE, STORE = "urn:commons:test:inventory:item:rice", "urn:commons:test:inventory:location:store"
MILK = "https://id.gs1.org/01/04006381333931"

quickly = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture
def pantry() -> Pantry:
    return Pantry().furnish()


def said(pantry: Pantry, event: Recorded | None = None) -> list[dict[str, Any]]:
    """What the last event of the ledger became, or the event given."""
    sequence = (event or pantry.events[-1]).sequence
    return [one for one in translated(pantry.events) if one["commons:sequence"] == sequence]


# -- one kind of event after another ----------------------------------------------------------------------------------


def test_a_donation_is_goods_added_by_receiving_with_lot_and_date(pantry: Pantry) -> None:
    event = pantry.receive(12, "L-1", date="2026-08-01", donor="bakery", delivery="d-1")
    assert said(pantry) == [
        {
            "eventID": f"urn:uuid:{event.id}",
            "eventTime": "2026-06-01T09:00:00.000000Z",
            "recordTime": "2026-06-01T09:00:00.000000Z",
            "eventTimeZoneOffset": "+00:00",
            "type": "ObjectEvent",
            "action": "ADD",
            "quantityList": [{"epcClass": f"{RICE}:lot:L-1", "quantity": 12}],
            "bizStep": "receiving",
            "disposition": "in_progress",
            "readPoint": {"id": STORE},
            "bizLocation": {"id": STORE},
            "bizTransactionList": [{"bizTransaction": "urn:commons:test:inventory:delivery:d-1"}],
            "sourceList": [{"type": "owning_party", "source": "urn:commons:test:inventory:donor:bakery"}],
            "ilmd": {
                "cbvmda:lotNumber": "L-1",
                "cbvmda:itemExpirationDate": "2026-08-01",
                "commons:dateKind": "use_by",
            },
            "commons:source": "donation",
            "commons:sequence": event.sequence,
        }
    ]


def test_goods_with_a_gtin_are_named_by_digital_links_in_their_unit(pantry: Pantry) -> None:
    pantry.receive(12000, "A/7 b", item="milk", date="2026-06-09", date_kind="best_before")
    (known,) = said(pantry)
    # A blank is not among the characters that GS1 allows in a lot, so this class has the ledger's own name.
    assert known["quantityList"][0]["epcClass"] == "urn:commons:test:inventory:item:milk:lot:A%2F7%20b"
    assert known["ilmd"]["cbvmda:bestBeforeDate"] == "2026-06-09"
    pantry.receive(500, "A/8", item="milk")
    assert said(pantry)[0]["quantityList"] == [{"epcClass": f"{MILK}/10/A%2F8", "quantity": 500, "uom": "MLT"}]
    pantry.receive(250, item="milk")
    assert said(pantry)[0]["quantityList"] == [{"epcClass": MILK, "quantity": 250, "uom": "MLT"}]


def test_two_spellings_of_a_lot_are_one_class(pantry: Pantry) -> None:
    pantry.receive(1, "L 12-34")
    pantry.receive(2, "l1234", location="site")
    assert said(pantry)[0]["quantityList"] == [{"epcClass": f"{RICE}:lot:L%2012-34", "quantity": 2}]


def test_lots_that_differ_are_listed_one_by_one(pantry: Pantry) -> None:
    lines = [
        {"lot": "A", "date": "2026-08-01", "date_kind": "expiry", "quantity": 2},
        {"lot": "B", "owner": "government", "quantity": 3},
    ]
    pantry.do("ReceiveStock", item="rice", location="store", source="purchase", lines=lines)
    assert said(pantry)[0]["ilmd"] == {
        "commons:lots": [
            {
                "epcClass": f"{RICE}:lot:A",
                "cbvmda:lotNumber": "A",
                "cbvmda:itemExpirationDate": "2026-08-01",
            },
            {"epcClass": f"{RICE}:lot:B", "cbvmda:lotNumber": "B", "commons:owner": "government"},
        ]
    }


@pytest.mark.parametrize(
    ("command", "fields", "action", "step", "disposition"),
    [
        ("IssueStock", {"purpose": "household", "recipient": "box-7"}, "DELETE", "dispensing", "dispensed"),
        ("IssueStock", {"purpose": "partner"}, "OBSERVE", "shipping", "in_transit"),
        ("DisposeStock", {"reason": "expired"}, "DELETE", "destroying", "destroyed"),
        ("ReturnToSupplier", {"supplier": "mill"}, "OBSERVE", "shipping", "returned"),
        ("DispatchTransfer", {"transfer": "t", "destination": "site"}, "OBSERVE", "shipping", "in_transit"),
    ],
)
def test_goods_that_leave(
    pantry: Pantry, command: str, fields: dict[str, Any], action: str, step: str, disposition: str
) -> None:
    pantry.receive(10, "A")
    pantry.do(command, item="rice", location="store", lines=[{"quantity": 4, "lot": "A"}], **fields)
    (left,) = said(pantry)
    assert (left["action"], left["bizStep"], left["disposition"]) == (action, step, disposition)
    assert left["quantityList"] == [{"epcClass": f"{RICE}:lot:A", "quantity": 4}]
    assert left["readPoint"] == {"id": STORE}
    assert "bizLocation" not in left, "the goods are not there any more"
    assert "box-7" not in str(left), "who got them is not handed on"


def test_what_left_beyond_the_ledger_was_found_first(pantry: Pantry) -> None:
    event = pantry.issue(3)
    left, found = said(pantry)
    assert left["eventID"] == f"urn:uuid:{event.id}" != found["eventID"]
    assert (found["action"], found["bizStep"], found["commons:reason"]) == ("ADD", "stock_taking", "found")
    assert left["quantityList"] == found["quantityList"] == [{"epcClass": RICE, "quantity": 3}]
    assert balances([left, found]) == {}


def test_a_transfer_that_arrives_short(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    move = {"item": "rice", "transfer": "t"}
    pantry.do("DispatchTransfer", **move, location="store", destination="site", lines=[{"quantity": 6, "lot": "A"}])
    assert said(pantry)[0]["destinationList"] == [
        {"type": "location", "destination": "urn:commons:test:inventory:location:site"}
    ]
    assert balances(translated(pantry.events))[TRANSIT, f"{RICE}:lot:A"] == 6
    pantry.do(
        "ReceiveTransfer", **move, location="site", origin="store", loss_reason="stolen",
        lines=[{"quantity": 5, "lot": "A"}],
    )  # fmt: skip
    arrived, lost = said(pantry)
    assert (arrived["action"], arrived["bizStep"]) == ("OBSERVE", "receiving")
    assert (lost["action"], lost["disposition"], lost["quantityList"][0]["quantity"]) == ("DELETE", "stolen", 1)
    assert balances(translated(pantry.events)) == {
        (STORE, f"{RICE}:lot:A"): 4,
        ("urn:commons:test:inventory:location:site", f"{RICE}:lot:A"): 5,
    }


def test_repacking_is_a_transformation_and_its_receipt_only_puts_away(pantry: Pantry) -> None:
    pantry.do("RegisterItem", item="flour", name="Flour", unit="g")
    pantry.receive(5000, "S", item="flour")
    into = [{"item": "flour", "lot": "S", "quantity": 1000}, {"item": "rice", "lot": "P", "quantity": 8}]
    pantry.do(
        "RepackStock", item="flour", location="store", lines=[{"quantity": 5000, "lot": "S"}], into=into
    )  # fmt: skip
    (made,) = said(pantry)
    flour = "urn:commons:test:inventory:item:flour:lot:S"
    assert made["type"] == "TransformationEvent"
    assert made["inputQuantityList"] == [{"epcClass": flour, "quantity": 5000, "uom": "GRM"}]
    assert made["outputQuantityList"] == [
        {"epcClass": flour, "quantity": 1000, "uom": "GRM"},
        {"epcClass": f"{RICE}:lot:P", "quantity": 8},
    ]
    pantry.receive(8, "P", source="repack", made_from=[{"item": "flour", "lot": "S"}])
    (put,) = said(pantry)
    assert (put["action"], put["bizStep"]) == ("OBSERVE", "storing")
    assert "ilmd" not in put
    assert balances(translated(pantry.events)) == {(STORE, flour): 1000, (STORE, f"{RICE}:lot:P"): 8}


def test_a_count_observes_what_was_found_and_adjusts_the_difference(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.do("StartCount", count="c", location="store")
    pantry.do(
        "RecordCount", count="c", location="store", item="rice", actor="kim",
        lines=[{"lot": "A", "quantity": 7}, {"lot": "B", "quantity": 2}],
    )  # fmt: skip
    pantry.do("ApproveCount", count="c", location="store", item="rice")
    seen, found, gone = said(pantry)
    assert (seen["action"], seen["bizStep"]) == ("OBSERVE", "cycle_counting")
    assert [one["quantity"] for one in seen["quantityList"]] == [7, 2]
    assert (found["action"], found["quantityList"]) == ("ADD", [{"epcClass": f"{RICE}:lot:B", "quantity": 2}])
    assert (gone["action"], gone["quantityList"]) == ("DELETE", [{"epcClass": f"{RICE}:lot:A", "quantity": 3}])


def test_a_reversed_movement_is_said_again_as_one_that_did_not_occur(pantry: Pantry) -> None:
    received = pantry.receive(10, "A")
    (first,) = said(pantry, received)
    pantry.later(days=1)
    mistake = pantry.do("ReverseMovement", item="rice", location="store", movement=received.revision, reason="Twice")
    (again,) = [one for one in translated(pantry.events) if "errorDeclaration" in one]
    assert mistake is not None
    error = {"declarationTime": mistake.envelope.time, "reason": "did_not_occur"}
    assert again == first | {"recordTime": mistake.envelope.time, "errorDeclaration": error}
    assert balances(translated(pantry.events)) == {}


def test_a_corrected_movement_names_the_event_that_is_right(pantry: Pantry) -> None:
    received = pantry.receive(144, "A", donor="bakery")
    move = {"item": "rice", "location": "store", "movement": received.revision}
    for quantity in (12, 11):
        mend = pantry.do("CorrectMovement", **move, reason="Typed", lines=[{"lot": "A", "quantity": quantity}])
        assert mend is not None
        *_, wrong, right = translated(pantry.events)
        assert wrong["errorDeclaration"]["reason"] == "incorrect_data"
        assert wrong["errorDeclaration"]["correctiveEventIDs"] == [right["eventID"]] == [f"urn:uuid:{mend.id}"]
        assert right["quantityList"][0]["quantity"] == quantity
        assert right["eventTime"] == wrong["eventTime"], "the correction stands at the moment of what it mends"
        assert right["sourceList"] == wrong["sourceList"]
        assert balances(translated(pantry.events)) == {(STORE, f"{RICE}:lot:A"): quantity}
    pantry.do("ReverseMovement", **move, reason="None came")
    assert balances(translated(pantry.events)) == {}


def test_a_hold_names_lots_without_quantities(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.do("HoldStock", item="rice", location="store", hold="h", reason="damage", lots=["A"])
    (held,) = said(pantry)
    assert (held["bizStep"], held["disposition"]) == ("holding", "damaged")
    assert held["quantityList"] == [{"epcClass": f"{RICE}:lot:A"}]
    pantry.do("ReleaseHold", item="rice", location="store", hold="h")
    (free,) = said(pantry)
    assert (free["bizStep"], free["disposition"]) == ("storing", "in_progress")


def test_a_receipt_of_recalled_goods_is_followed_by_their_hold(pantry: Pantry) -> None:
    pantry.do("RecallLot", item="rice", recall="R", scope={"lots": ["A"]}, reason="glass")
    assert said(pantry) == [], "a recall as such has no goods at a place"
    pantry.receive(10, "A")
    _, held = said(pantry)
    assert (held["bizStep"], held["disposition"]) == ("holding", "recalled")


def test_temperatures_are_sensor_reports(pantry: Pantry) -> None:
    pantry.do(
        "OpenLocation", location="cold", name="Cold", kind="store", storage="chilled", maximum=50, utc_offset=-210
    )
    pantry.do("RecordTemperature", location="cold", temperature=85, sensor="Probe 1")
    (read,) = said(pantry)
    assert read["eventTimeZoneOffset"] == "-03:30"
    assert read["sensorElementList"] == [
        {
            "sensorReport": [
                {
                    "type": "Temperature",
                    "value": 8.5,
                    "uom": "CEL",
                    "deviceID": "urn:commons:test:inventory:sensor:Probe%201",
                    "exception": "ALARM_CONDITION",
                }
            ]
        }
    ]


def test_items_and_places_are_master_data(pantry: Pantry) -> None:
    made = document(pantry.events)
    goods, places = made["epcisHeader"]["epcisMasterData"]["vocabularyList"]
    assert {"id": "cbvmda:descriptionShort", "attribute": "Whole milk"} in next(
        one["attributes"] for one in goods["vocabularyElementList"] if one["id"] == MILK
    )
    assert STORE in [one["id"] for one in places["vocabularyElementList"]]


def test_a_mended_movement_that_never_was_is_named(pantry: Pantry) -> None:
    received = pantry.receive(10, "A")
    pantry.do("ReverseMovement", item="rice", location="store", movement=received.revision, reason="Twice")
    without = [event for event in pantry.events if event is not received]
    with pytest.raises(Corrupt, match="mends revision 1"):
        translated(without)


# -- whole histories --------------------------------------------------------------------------------------------------


@quickly
@given(histories)
def test_events_add_up_to_what_the_ledger_holds(history: list[Draft]) -> None:
    pantry = play(history)
    expected: dict[tuple[str, str], int] = {}
    for location in LOCATIONS:
        place = f"urn:commons:test:inventory:location:{location}"
        for row in pantry.state("stock", f"rice:{location}").rows.values():
            form = "".join(c for c in (row.ref.lot or "").upper() if c.isalnum())
            expected[place, form] = expected.get((place, form), 0) + row.on_hand
    found: dict[tuple[str, str], int] = {}
    for (place, name), quantity in balances(translated(pantry.events)).items():
        lot = unquote(name.removeprefix(RICE).removeprefix(":lot:")).upper()
        if place != TRANSIT:
            form = "".join(c for c in lot if c.isalnum())
            found[place, form] = found.get((place, form), 0) + quantity
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}


@quickly
@given(histories)
def test_every_event_has_the_form_that_the_standard_asks_for(history: list[Draft]) -> None:
    events = translated(play(history).events)
    said: dict[str, dict[str, Any]] = {}
    for event in events:
        assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", event["eventID"])
        assert re.fullmatch(r"[+-](0\d|1[0-4]):[0-5]\d", event["eventTimeZoneOffset"])
        assert event["eventTime"] <= event["recordTime"], "nothing is recorded before it happened"
        if event["type"] == "ObjectEvent":
            assert event["action"] in ("ADD", "OBSERVE", "DELETE")
            assert "ilmd" not in event or event["action"] == "ADD"
            assert event["quantityList"]
        for element in (e for name, v in event.items() if name.lower().endswith("quantitylist") for e in v):
            assert re.fullmatch(r"[a-z]+:[!-~]+", element["epcClass"]), "a URI has no blanks, and no letters but ASCII"
            assert element.get("quantity", 1) > 0
            assert isinstance(element.get("quantity", 1), int)
        if "errorDeclaration" in event:
            first = said.pop(event["eventID"])
            strip = ("recordTime", "errorDeclaration")
            assert {k: v for k, v in event.items() if k not in strip} == {
                k: v for k, v in first.items() if k not in strip
            }, "an event in error is said again as it was"
        else:
            assert event["eventID"] not in said, "two events have one id"
            said[event["eventID"]] = event
    named = {id for event in events for id in event.get("errorDeclaration", {}).get("correctiveEventIDs", ())}
    assert named <= {event["eventID"] for event in events}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_documents_are_valid_by_the_standards_own_schema(history: list[Draft]) -> None:
    validator = schema()
    pantry = play(history)
    pantry.do("RecordTemperature", location="store", temperature=-5, occurred_at=pantry.now - timedelta(hours=1))
    made = document(pantry.events)
    assert made["@context"] == CONTEXT
    validator.validate(made)


def test_the_standards_schema_refuses_what_is_wrong(pantry: Pantry) -> None:
    """So that the test above means something."""
    pantry.receive(10, "A", date="2026-08-01")
    for wrong in ({"bizStep": "hoarding"}, {"action": "OBSERVE"}, {"eventTime": "today"}, {"more": 1}):
        made = document(pantry.events)
        made["epcisBody"]["eventList"][0] |= wrong
        assert list(schema().iter_errors(made)), wrong
