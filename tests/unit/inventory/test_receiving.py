"""Receipts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from services.inventory.contract import (
    MAX_LINES,
    MAX_MOVES,
    Breach,
    CloseLocation,
    DateKind,
    HoldReason,
    InventoryError,
    MadeFrom,
    QuarantineLot,
    RetireItem,
    Source,
    StockHeld,
    StockReceived,
    StorageClass,
)
from shared.types import MAX_INTEGER
from tests.unit.inventory.pantry import (
    LATER,
    NOW,
    PANTRY,
    SOON,
    ago,
    aspirin,
    given,
    goods,
    hold,
    issue,
    main,
    opened,
    opiate,
    recall,
    receive,
    received,
    reserve,
    rice,
    stock,
)

E = InventoryError


def test_goods_arrive_with_what_is_known_of_them() -> None:
    line = goods(12, "L-1", SOON, DateKind.BEST_BEFORE, owner="usda-tefap")
    move = {"lot": "L-1", "date": SOON, "date_kind": DateKind.BEST_BEFORE, "owner": "usda-tefap", "change": 12}
    after = given(*PANTRY).when(receive(line, donor="d1", delivery="v1"))
    after = after.then(
        StockReceived, lines=[line], moves=[{**move, "on_hand": 12, "weight": 6000, "unrecorded": 0}],
        on_hand=12, donor="d1", delivery="v1", occurred_at=NOW, effective_at=NOW, holds=(), breaches=(),
    )  # fmt: skip
    assert stock(after).on_hand == 12


def test_no_lot_and_no_date_are_recorded_as_unknown() -> None:
    given(*PANTRY).when(receive(goods(3), goods(4, "unknown", SOON))).then(
        StockReceived, moves=[{"lot": None, "date": None, "change": 3}, {"lot": None, "date": SOON, "change": 4}]
    )


def test_spellings_of_one_lot_number_are_one_lot() -> None:
    after = given(*PANTRY, received(3, "l 12-34a")).when(received(4, "L1234A"))
    after.then(StockReceived, moves=[{"lot": "l 12-34a", "change": 4, "on_hand": 7}])


def test_goods_of_different_owners_stay_apart() -> None:
    after = given(*PANTRY, received(3, "A", owner="tefap")).when(received(4, "A"))
    after.then(StockReceived, moves=[{"owner": None, "on_hand": 4}], on_hand=7)


def test_repacked_goods_keep_the_lots_they_came_from() -> None:
    line = goods(3, "R", made_from=(MadeFrom(item="sack", lot="A"), MadeFrom(item="sack")))
    given(*PANTRY).when(receive(line, source=Source.REPACK)).then(StockReceived, lines=[line])


def test_what_is_not_known_is_refused_in_order() -> None:
    given().when(received()).then_rejected(E.UNKNOWN_ITEM)
    given(rice).when(received()).then_rejected(E.UNKNOWN_LOCATION)


def test_a_retired_item_and_a_closed_location_take_nothing_more() -> None:
    retired = given(*PANTRY, RetireItem(item="rice", occurred_at=ago(hours=2)))
    retired.when(received()).then_rejected(E.ITEM_RETIRED)
    retired.when(received(occurred_at=ago(hours=3))).then_event()
    closed = given(*PANTRY, CloseLocation(location="main", occurred_at=ago(hours=2)))
    closed.when(received()).then_rejected(E.LOCATION_CLOSED)
    closed.when(received(occurred_at=ago(hours=3))).then_event()


def test_what_was_taken_in_some_time_ago_is_recorded_and_named() -> None:
    late = received(occurred_at=ago(hours=1))
    retired = given(*PANTRY, RetireItem(item="rice", occurred_at=ago(hours=2)))
    retired.when(late).then(StockReceived, breaches=(Breach.ITEM_RETIRED,), on_hand=10)
    closed = given(*PANTRY, CloseLocation(location="main", occurred_at=ago(hours=2)))
    closed.when(late).then(StockReceived, breaches=(Breach.LOCATION_CLOSED,), on_hand=10)
    given(opiate, main).when(late).then(StockReceived, breaches=(Breach.CONTROLLED,), on_hand=10)


def test_a_date_needs_its_kind() -> None:
    given(*PANTRY).when(receive(replace(goods(), date=SOON))).then_rejected(E.INCOMPLETE_LINE, line=1)
    given(*PANTRY).when(receive(goods(), replace(goods(), date_kind=DateKind.EXPIRY))).then_rejected(
        E.INCOMPLETE_LINE, line=2
    )


def test_one_lot_stands_in_one_line() -> None:
    given(*PANTRY).when(receive(goods(1, "A"), goods(2, "a"))).then_rejected(E.DUPLICATE_LINE, line=2)
    given(*PANTRY).when(receive(goods(1), goods(2, "UNKNOWN"))).then_rejected(E.DUPLICATE_LINE, line=2)
    given(*PANTRY).when(receive(goods(1, "A", SOON), goods(2, "A", LATER))).then_event()


def test_controlled_substances_are_refused() -> None:
    given(opiate, main).when(received()).then_rejected(E.CONTROLLED_SUBSTANCE)


def test_an_unusual_quantity_is_confirmed() -> None:
    counted = given(replace(rice, unusual_above=100), main)
    counted.when(receive(goods(60, "A"), goods(41, "B"))).then_rejected(E.UNUSUAL_QUANTITY, quantity=101)
    counted.when(received(101, confirm_unusual=True)).then_event()
    counted.when(received(100)).then_event()


def test_no_figure_passes_what_a_consumer_reads_exactly() -> None:
    most = given(*PANTRY, received(MAX_INTEGER))
    most.when(received(1)).then_rejected(E.OUT_OF_RANGE)
    most.when(received(1, "B")).then_rejected(E.OUT_OF_RANGE)


def test_a_weight_too_great_to_say_is_left_out() -> None:
    given(*PANTRY).when(received(MAX_INTEGER)).then(StockReceived, moves=[{"weight": None}])


def test_a_recalled_lot_is_held_on_arrival() -> None:
    recalled = given(*PANTRY, recall("A", "B"))
    after = recalled.when(receive(goods(1, "a"), goods(2, "C"), goods(3)))
    after = after.then(
        StockReceived, holds=[{"hold": "R1", "reason": HoldReason.RECALL, "lots": [{"lot": "a"}, {"lot": None}]}]
    )
    after.when(receive(goods(5, "A"))).then(StockReceived, holds=())


def test_a_recall_by_dates_takes_goods_of_unknown_lot_only_if_their_date_may_be_within() -> None:
    recalled = given(*PANTRY, recall(first=date(2026, 11, 1), last=date(2026, 12, 31)))
    lines = [goods(1, None, SOON), goods(2, None, LATER), goods(3), goods(4, "A"), goods(5, "B", LATER)]
    recalled.when(receive(*lines)).then(
        StockReceived, holds=[{"lots": [{"lot": None, "date": SOON}, {"lot": None, "date": None}, {"lot": "A"}]}]
    )


def test_a_recall_of_everything_holds_everything() -> None:
    given(*PANTRY, recall()).when(receive(goods(1, "A", SOON), goods(2))).then(
        StockReceived, holds=[{"lots": [{"lot": "A"}, {"lot": None}]}]
    )


def test_a_quarantined_lot_is_held_on_arrival() -> None:
    quarantine = QuarantineLot(item="rice", quarantine="Q1", lot="A", reason="Weevils seen")
    given(*PANTRY, quarantine).when(receive(goods(1, "A"), goods(2))).then(
        StockReceived, holds=[{"hold": "Q1", "reason": HoldReason.QUARANTINE, "lots": [{"lot": "A"}]}]
    )


def test_donated_medicine_waits_for_a_pharmacist() -> None:
    after = given(aspirin, main).when(received(3, "A", LATER))
    after = after.then(
        StockReceived, medicine=True, holds=[{"hold": "review-1", "reason": HoldReason.PHARMACIST_REVIEW}]
    )
    after = after.when(received(3, "A", LATER)).then(StockReceived, holds=())
    after.when(received(3, "B", LATER)).then(StockReceived, holds=[{"hold": "review-3"}])
    given(aspirin, main).when(received(source=Source.PURCHASE)).then(StockReceived, holds=())


def test_what_should_be_colder_is_recorded_and_named() -> None:
    milk = replace(rice, storage=StorageClass.CHILLED)
    given(milk, main).when(received()).then(StockReceived, breaches=(Breach.STORAGE_MISMATCH,))
    given(milk, opened("main", storage=StorageClass.FROZEN)).when(received()).then(StockReceived, breaches=())


def test_a_second_date_of_one_lot_is_recorded_and_named() -> None:
    given(*PANTRY, received(1, "A", SOON)).when(received(1, "A", LATER)).then(
        StockReceived, breaches=(Breach.DATE_CONFLICT,)
    )


def test_the_longest_receipt_fits_an_event() -> None:
    lines = [goods(1, f"{n:05}".rjust(50, "L"), LATER, owner="o" * 64) for n in range(MAX_LINES)]
    given(*PANTRY).when(receive(*lines)).then(StockReceived, on_hand=MAX_LINES)


def test_more_lots_than_an_event_holds_are_refused() -> None:
    shelf = given(*PANTRY, *(receive(*(goods(1, f"{m}-{n}") for n in range(MAX_LINES))) for m in range(3)))
    shelf.when(issue(MAX_MOVES)).then_event()
    shelf.when(issue(MAX_MOVES + 1)).then_rejected(E.TOO_MANY_LOTS, lots=MAX_MOVES + 1)
    shelf.when(reserve(MAX_MOVES + 1)).then_rejected(E.TOO_MANY_LOTS)


def test_more_lots_than_an_event_holds_are_held_some_at_a_time() -> None:
    shelf = given(*PANTRY, *(receive(*(goods(1, f"{m}-{n}") for n in range(67))) for m in range(3)))
    some = shelf.when(hold()).then(StockHeld)
    assert len(some.state("stock", "rice:main").holds["h1"].keys) == MAX_MOVES
    every = some.when(hold()).then(StockHeld, held=[{}])
    every.when(hold()).then_nothing()
    every.when(issue(1)).then_rejected(E.LOT_HELD)


def test_a_hold_of_one_lot_leaves_the_others() -> None:
    after = given(*PANTRY, received(1, "A"), received(2, "B"), hold(lots=("A",)))
    assert [row.holds for row in stock(after).rows.values()] == [["h1"], []]
