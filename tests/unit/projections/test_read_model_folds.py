"""What each read model keeps of the events: catalogue, reservations, movements, transfers, holds, review."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory.contract import LotRef, lot_form
from services.inventory.rules import ref_key
from services.projections.catalogue import Catalogue
from services.projections.donors import Donors
from services.projections.holds import Holds
from services.projections.lots import lot_key
from services.projections.movements import FLOWS, Movements
from services.projections.registry import PROJECTIONS
from services.projections.reservations import Reservations
from services.projections.review import Review
from services.projections.transfers import Transfers
from shared.sealing import is_sealed
from shared.tables import relations
from tests.support.pantry import MONDAY, Pantry, rows_of, table

STORE = {"item": "rice", "location": "store"}


@pytest.fixture
def pantry() -> Pantry:
    return Pantry().furnish()


def cut(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    found = [tuple(row[name] for name in names) for row in rows]
    return [row[0] for row in found] if len(names) == 1 else found


# -- catalogue ----------------------------------------------------------------------------------------------------


def test_an_item_is_what_was_last_said_of_it_and_its_barcodes_go_with_it(pantry: Pantry) -> None:
    codes = table(Catalogue(), pantry.events, "barcodes")
    assert cut(codes, "gtin", "item", "pack", "quantity") == [("04006381333931", "milk", None, 1)]
    pantry.do(
        "ChangeItem", item="milk", name="Milk", unit="ml",
        packs=[{"name": "crate", "quantity": 12, "gtin": "12345670"}],
    )  # fmt: skip
    codes = table(Catalogue(), pantry.events, "barcodes")
    assert cut(codes, "gtin", "pack", "quantity") == [("00000012345670", "crate", 12)]
    (milk,) = [row for row in table(Catalogue(), pantry.events) if row["item"] == "milk"]
    assert (milk["name"], milk["net_weight"], milk["storage"], milk["allergens"]) == ("Milk", None, "ambient", None)


def test_a_retired_item_and_a_closed_location_stay_and_can_come_back(pantry: Pantry) -> None:
    registered = pantry.now
    pantry.later(days=1)
    pantry.do("RetireItem", item="rice")
    pantry.do("CloseLocation", location="site", items=["rice"])
    rice = next(row for row in table(Catalogue(), pantry.events) if row["item"] == "rice")
    site = next(row for row in table(Catalogue(), pantry.events, "locations") if row["location"] == "site")
    assert (rice["registered_at"], rice["retired_at"]) == (registered, pantry.now)
    assert (site["closed_at"], site["items_at_closing"]) == (pantry.now, ["rice"])
    pantry.do("ChangeItem", item="rice", name="Rice", unit="each")
    pantry.do("OpenLocation", location="site", name="Site", kind="site")
    rice = next(row for row in table(Catalogue(), pantry.events) if row["item"] == "rice")
    site = next(row for row in table(Catalogue(), pantry.events, "locations") if row["location"] == "site")
    assert (rice["registered_at"], rice["retired_at"], site["closed_at"]) == (registered, None, None)


# -- donors -------------------------------------------------------------------------------------------------------


def test_a_donor_is_what_was_last_said_of_them_and_stays_sealed(pantry: Pantry) -> None:
    registered = pantry.now
    pantry.do("RegisterDonor", donor="d-1", name="Hyacinth Pike", contact="hyacinth@example.org", kind="household")
    (before,) = table(Donors(), pantry.events)
    pantry.later(days=1)
    pantry.do("ChangeDonor", donor="d-1", name="Hyacinth Lunt", note="rings first")
    (after,) = table(Donors(), pantry.events)
    assert is_sealed(before["name"]) and is_sealed(after["name"]) and before["name"] != after["name"]
    assert (after["kind"], after["contact"], is_sealed(after["note"])) == (None, None, True)
    assert after["registered_at"] == registered


# -- reservations -------------------------------------------------------------------------------------------------


def reserve(pantry: Pantry, reservation: str, quantity: int, **more: Any) -> None:
    pantry.do("ReserveStock", **STORE, reservation=reservation, quantity=quantity, purpose="household", **more)


def test_a_reservation_says_how_it_ended(pantry: Pantry) -> None:
    pantry.receive(20, "A")
    for name in ("used", "released", "expired", "taken"):
        reserve(pantry, name, 5, due_at=MONDAY + timedelta(hours=1))
    pantry.issue(5, already_left=True)
    pantry.do("IssueStock", **STORE, purpose="household", reservation="used")
    pantry.do("ReleaseReservation", **STORE, reservation="released")
    pantry.later(hours=2)
    pantry.do("ExpireReservation", **STORE, reservation="expired")
    rows = table(Reservations(), pantry.events)
    assert all(row["ended"] == row["reservation"] for row in rows)
    assert {row["remaining"] for row in rows} == {0}
    assert table(Reservations(), pantry.events, "reservation_lots") == []


def test_a_reservation_used_in_part_stays_open_with_the_rest(pantry: Pantry) -> None:
    pantry.receive(3, "A", date="2026-07-01")
    pantry.receive(9, "B", date="2026-08-01")
    reserve(pantry, "r1", 8)
    pantry.do(
        "IssueStock", **STORE, purpose="household", reservation="r1", keep_rest=True, lines=[{"quantity": 2}],
    )  # fmt: skip
    (row,) = table(Reservations(), pantry.events)
    assert (row["quantity"], row["remaining"], row["ended"]) == (8, 6, None)
    lots = table(Reservations(), pantry.events, "reservation_lots")
    assert cut(lots, "lot", "remaining") == [("A", 1), ("B", 5)]
    pantry.do("IssueStock", **STORE, purpose="household", reservation="r1", lines=[{"quantity": 2}])
    (row,) = table(Reservations(), pantry.events)
    assert (row["remaining"], row["ended"]) == (0, "used")


# -- movements ----------------------------------------------------------------------------------------------------


def test_what_mends_a_movement_takes_over_what_it_was(pantry: Pantry) -> None:
    gift = pantry.receive(144, "A", donor="bakery", delivery="d1")
    pantry.later(hours=1)
    pantry.do("CorrectMovement", **STORE, movement=gift.revision, reason="typo", lines=[{"lot": "A", "quantity": 12}])
    box = pantry.issue(2, "A", recipient="box-1")
    pantry.later(hours=1)
    pantry.do("ReverseMovement", **STORE, movement=box.revision, reason="kept")
    rows = table(Movements(), pantry.events)
    assert cut(rows, "revision", "root", "flow", "donor", "recipient", "effective_at") == [
        (1, 1, "received", "bakery", None, MONDAY),
        (2, 1, "received", "bakery", None, MONDAY),
        (3, 3, "issued", None, "box-1", MONDAY + timedelta(hours=1)),
        (4, 3, "issued", None, "box-1", MONDAY + timedelta(hours=1)),
    ]
    assert cut(rows, "corrected_by", "reversed_by") == [(2, None), (None, None), (None, 4), (None, None)]
    lots = table(Movements(), pantry.events, "movement_lots")
    assert cut(lots, "change", "weight") == [(144, 72_000), (-132, -66_000), (-2, -1000), (2, 1000)]


def test_what_left_beyond_the_ledger_is_told_apart_from_what_the_ledger_had(pantry: Pantry) -> None:
    pantry.receive(5, "A")
    pantry.issue(7, already_left=True)
    lots = table(Movements(), pantry.events, "movement_lots")
    assert cut(lots, "revision", "lot", "change", "unrecorded", "weight") == [
        (1, "A", 5, 0, 2500), (2, None, 0, 2, -1000), (2, "A", -5, 0, -2500),
    ]  # fmt: skip


def test_a_reversal_whose_original_is_missing_still_folds(pantry: Pantry) -> None:
    slip = pantry.receive(4, "A")
    pantry.do("ReverseMovement", **STORE, movement=slip.revision, reason="other pantry's")
    (row,) = table(Movements(), [e for e in pantry.events if e is not slip])
    assert (row["root"], row["flow"], row["donor"]) == (1, "received", None)


@pytest.mark.parametrize(
    ("command", "fields", "flow", "reason"),
    [
        ("DisposeStock", {"reason": "spoiled", "lines": [{"quantity": 1}]}, "wasted", "spoiled"),
        ("AdjustStock", {"reason": "stolen", "lines": [{"lot": "A", "change": -1}]}, "wasted", "stolen"),
        ("AdjustStock", {"reason": "found", "lines": [{"lot": "A", "change": 1}]}, "adjusted", "found"),
        (
            "AdjustStock",
            {"reason": "counting_error", "lines": [{"lot": "A", "change": -1}]},
            "adjusted",
            "counting_error",
        ),
        ("ReturnToSupplier", {"supplier": "dairy", "lines": [{"quantity": 1}]}, "returned", None),
        ("DispatchTransfer", {"transfer": "t", "destination": "site", "lines": [{"quantity": 1}]}, "transferred", None),
        ("IssueStock", {"purpose": "meal", "lines": [{"quantity": 1}]}, "issued", None),
        ("ReceiveStock", {"source": "opening", "lines": [{"quantity": 1}]}, "opening", None),
        ("ReceiveStock", {"source": "repack", "lines": [{"quantity": 1}]}, "repacked", None),
        ("ReceiveStock", {"source": "return", "lines": [{"quantity": 1}]}, "received", None),
    ],
)
def test_every_movement_has_a_flow_and_a_reason(
    pantry: Pantry, command: str, fields: dict[str, Any], flow: str, reason: str | None
) -> None:
    pantry.receive(10, "A")
    assert pantry.do(command, **STORE, **fields) is not None
    row = table(Movements(), pantry.events)[-1]
    assert (row["flow"], row["reason"]) == (flow, reason)
    assert row["flow"] in {*FLOWS.values(), "opening"}


def test_repacked_goods_keep_every_lot_they_came_from(pantry: Pantry) -> None:
    pantry.receive(3, "A", date="2026-07-01")
    pantry.receive(9, "B", date="2026-08-01")
    pantry.do("RepackStock", **STORE, lines=[{"quantity": 5}], into=[{"item": "rice", "lot": "P", "quantity": 5}])
    parents = table(Movements(), pantry.events, "lot_parents")
    assert cut(parents, "lot_form", "parent", "parent_lot") == [("P", "rice", "A"), ("P", "rice", "B")]


# -- transfers ----------------------------------------------------------------------------------------------------


def test_a_transfer_is_on_its_way_until_it_is_received_whole_short_or_with_surplus(pantry: Pantry) -> None:
    pantry.receive(20, "A")
    pantry.do("DispatchTransfer", **STORE, transfer="t1", destination="site", lines=[{"quantity": 6}])
    (row,) = table(Transfers(), pantry.events)
    assert (row["destination"], row["quantity"], row["received_at"]) == ("site", 6, None)
    arrived = pantry.later(hours=3)
    pantry.do(
        "ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store", loss_reason="damaged",
        lines=[{"lot": "A", "quantity": 4}, {"lot": "Z", "quantity": 1}],
    )  # fmt: skip
    (row,) = table(Transfers(), pantry.events)
    assert (row["received_at"], row["lost"], row["surplus"], row["loss_reason"]) == (arrived, 2, 1, "damaged")
    lots = table(Transfers(), pantry.events, "transfer_lots")
    assert cut(lots, "lot", "quantity", "lost", "surplus") == [("A", 6, 2, 0), ("Z", 0, 0, 1)]


def test_a_receipt_without_its_dispatch_says_what_had_been_sent(pantry: Pantry) -> None:
    pantry.receive(20, "A")
    sent = pantry.do("DispatchTransfer", **STORE, transfer="t1", destination="site", lines=[{"quantity": 6}])
    pantry.do("ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store")
    (row,) = table(Transfers(), [e for e in pantry.events if e is not sent])
    assert (row["origin"], row["quantity"], row["lost"]) == ("store", 6, 0)


def test_a_dispatch_that_is_folded_late_does_not_put_goods_on_the_way_again(pantry: Pantry) -> None:
    pantry.receive(20, "A")
    sent = pantry.do("DispatchTransfer", **STORE, transfer="t1", destination="site", lines=[{"quantity": 6}])
    assert sent is not None
    pantry.later(hours=1)
    pantry.do("ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store")
    delayed = [e for e in pantry.events if e is not sent] + [sent]
    assert table(Transfers(), delayed) == table(Transfers(), pantry.events)
    assert table(Transfers(), delayed, "transfer_lots") == table(Transfers(), pantry.events, "transfer_lots")


# -- holds --------------------------------------------------------------------------------------------------------


def test_a_hold_begins_grows_and_ends(pantry: Pantry) -> None:
    pantry.receive(5, "A")
    pantry.receive(5, "B")
    pantry.do("RecallLot", item="rice", recall="rc", scope={"lots": ["A", "C"]}, reason="glass")
    pantry.do("HoldStock", **STORE, hold="rc", reason="recall")
    pantry.receive(2, "c")
    rows = rows_of(Holds(), pantry.events)
    assert sorted(key[3] for key in rows.all("hold_lots")) == ["A", "C"]
    (hold,) = table(Holds(), pantry.events)
    assert (hold["reason"], hold["ended_at"]) == ("recall", None)
    pantry.do("LiftRecall", item="rice", recall="rc", reason="withdrawn")
    ended = pantry.later(hours=1)
    pantry.do("ReleaseHold", **STORE, hold="rc")
    (hold,) = table(Holds(), pantry.events)
    (recall,) = table(Holds(), pantry.events, "recalls")
    assert hold["ended_at"] == ended
    assert (recall["end_reason"], recall["scope_forms"]) == ("withdrawn", ["A", "C"])


def test_a_quarantine_stands_until_it_is_released(pantry: Pantry) -> None:
    pantry.do("QuarantineLot", item="rice", quarantine="q1", lot="a-1", reason="smell")
    (row,) = table(Holds(), pantry.events, "quarantines")
    assert (row["lot_form"], row["ended_at"]) == ("A1", None)
    pantry.do("ReleaseLot", item="rice", quarantine="q1", reason="fine")
    (row,) = table(Holds(), pantry.events, "quarantines")
    assert (row["ended_at"], row["end_reason"]) == (pantry.now, "fine")


# -- review -------------------------------------------------------------------------------------------------------


def open_items(pantry: Pantry) -> list[Any]:
    return cut([row for row in table(Review(), pantry.events) if row["closed_at"] is None], "kind", "subject")


def count(pantry: Pantry, id: str, quantity: int, **record: Any) -> None:
    pantry.do("StartCount", count=id, location="store", items=["rice"])
    lines = [{"lot": "A", "quantity": quantity}]
    pantry.do("RecordCount", count=id, **STORE, lines=lines, actor="kim", **record)
    pantry.do("ApproveCount", count=id, **STORE)


def test_a_breach_waits_and_a_reversal_closes_it(pantry: Pantry) -> None:
    pantry.receive(5, "A", date="2026-05-01")
    given = pantry.issue(2, "A", already_left=True)
    assert open_items(pantry) == [("expired", "rice:store:2")]
    count(pantry, "c1", 3)
    assert open_items(pantry) == [("expired", "rice:store:2")]
    pantry.receive(5, "B")
    given = pantry.issue(1, "A", already_left=True)
    pantry.do("ReverseMovement", **STORE, movement=given.revision, reason="not handed out")
    assert open_items(pantry) == [("expired", "rice:store:2")]


def test_what_left_beyond_the_ledger_asks_for_a_count_of_that_moment_or_later(pantry: Pantry) -> None:
    pantry.receive(5, "A")
    yesterday = pantry.now
    pantry.later(days=1)
    pantry.issue(9, already_left=True)
    assert open_items(pantry) == [("beyond_ledger", "rice:store:2")]
    count(pantry, "c1", 5, occurred_at=yesterday + timedelta(hours=1))
    assert open_items(pantry) == [("beyond_ledger", "rice:store:2")]
    pantry.later(hours=1)
    count(pantry, "c2", 1)
    assert open_items(pantry) == []


def test_a_correction_to_what_the_ledger_had_closes_the_breach(pantry: Pantry) -> None:
    pantry.receive(5, "A")
    given = pantry.issue(50, already_left=True)
    pantry.do("CorrectMovement", **STORE, movement=given.revision, reason="typo", lines=[{"lot": "A", "quantity": 5}])
    (row,) = table(Review(), pantry.events)
    assert (row["quantity"], row["closed_by"]) == (45, "corrected")


def test_what_a_correction_broke_is_closed_with_the_movement_that_it_corrects(pantry: Pantry) -> None:
    pantry.do("RegisterItem", item="opiate", name="An opiate", unit="each", medicine=True, controlled=True)
    opiate = {"item": "opiate", "location": "store"}
    pantry.do("AdjustStock", **opiate, reason="found", lines=[{"lot": "A", "change": 10}])
    pantry.do("CorrectMovement", **opiate, movement=1, reason="typo", lines=[{"lot": "A", "quantity": 5}])
    assert open_items(pantry) == [("controlled", "opiate:store:1")]
    pantry.do("ReverseMovement", **opiate, movement=1, reason="it was sugar")
    assert open_items(pantry) == []


def test_an_approved_count_that_is_recorded_anew_waits_again_whatever_was_folded_first(pantry: Pantry) -> None:
    pantry.receive(5, "A")
    count(pantry, "c1", 5)
    approved = pantry.events[-1]
    pantry.later(hours=1)
    pantry.do("RecordCount", count="c1", **STORE, lines=[{"lot": "A", "quantity": 4}], actor="kim")
    assert open_items(pantry) == [("count_to_approve", "c1:rice")]
    delayed = [e for e in pantry.events if e is not approved] + [approved]
    assert table(Review(), delayed) == table(Review(), pantry.events)


def test_only_a_later_reading_within_the_limits_closes_a_temperature(pantry: Pantry) -> None:
    pantry.do("OpenLocation", location="cold", name="Cold", kind="store", storage="chilled", minimum=0, maximum=50)
    pantry.do("RecordTemperature", location="cold", temperature=91)
    pantry.do("RecordTemperature", location="cold", temperature=20, occurred_at=pantry.now - timedelta(hours=1))
    assert open_items(pantry) == [("temperature", "cold:2")]
    pantry.later(hours=1)
    pantry.do("RecordTemperature", location="cold", temperature=-5)
    assert open_items(pantry) == [("temperature", "cold:2"), ("temperature", "cold:4")]
    pantry.later(hours=1)
    pantry.do("RecordTemperature", location="cold", temperature=20)
    assert open_items(pantry) == []
    assert table(Review(), pantry.events, "awaiting") == []


def test_a_late_transfer_waits_until_its_item_arrives(pantry: Pantry) -> None:
    pantry.receive(5, "A")
    expected = pantry.now + timedelta(hours=1)
    lines = [{"quantity": 5}]
    pantry.do("DispatchTransfer", **STORE, transfer="t1", destination="site", lines=lines, expected_by=expected)
    pantry.do(
        "NoteDispatch", transfer="t1", item="rice", origin="store", destination="site", expected_by=expected,
        goods=[{"lot": "A", "quantity": 5}],
    )  # fmt: skip
    pantry.later(hours=2)
    pantry.do("NoteOverdue", transfer="t1")
    assert open_items(pantry) == [("transfer_overdue", "t1:rice")]
    pantry.do("ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store")
    assert open_items(pantry) == []


# -- all of them --------------------------------------------------------------------------------------------------


def test_no_two_read_models_show_a_table_of_the_same_name() -> None:
    names = [name for projection in PROJECTIONS.values() for name in relations(projection)]
    assert len(names) == len(set(names))


def test_every_read_model_says_what_it_answers_and_for_whom() -> None:
    for projection in PROJECTIONS.values():
        assert type(projection).__doc__


lots = st.one_of(st.none(), st.text(alphabet="aA1-. äUNKOWunkow", min_size=1, max_size=8).filter(str.strip))
refs = st.builds(LotRef, lot=lots, date=st.one_of(st.none(), st.dates()), owner=st.sampled_from((None, "gov")))


@settings(max_examples=200, deadline=None)
@given(refs, refs)
def test_goods_are_one_row_here_exactly_when_they_are_one_in_the_stock(one: LotRef, other: LotRef) -> None:
    assert (lot_key(one) == lot_key(other)) == (ref_key(one) == ref_key(other))
    assert lot_form("unknown") == lot_form(None) == ""
