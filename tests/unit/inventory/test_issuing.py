"""Issues, first-expired-first-out: what may leave, and what is recorded when it has left already."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.inventory.contract import (
    BaseUnit,
    Breach,
    DateKind,
    Freeing,
    HoldReason,
    InventoryError,
    ItemFacts,
    LotRef,
    Purpose,
    QuarantineLot,
    ReleaseReservation,
    Source,
    StockIssued,
)
from services.inventory.rules import usable_until
from tests.unit.inventory.pantry import (
    LATER,
    NOW,
    PANTRY,
    SOON,
    ago,
    aspirin,
    cage,
    given,
    goods,
    hold,
    issue,
    main,
    opened,
    opiate,
    pick,
    recall,
    receive,
    received,
    reserve,
    rice,
    stock,
)

E = InventoryError
YESTERDAY = date(2026, 11, 19)


def test_what_ends_first_leaves_first() -> None:
    shelf = given(*PANTRY, receive(goods(5, "late", LATER), goods(5, "none"), goods(5, "soon", SOON)))
    after = shelf.when(issue(12, recipient="box-7"))
    after.then(
        StockIssued, recipient="box-7", on_hand=3,
        moves=[
            {"lot": "soon", "change": -5, "on_hand": 0, "weight": -2500},
            {"lot": "late", "change": -5, "on_hand": 0},
            {"lot": "none", "change": -2, "on_hand": 3},
        ],
    )  # fmt: skip


def test_goods_without_a_date_leave_in_the_order_in_which_they_were_recorded() -> None:
    given(*PANTRY, received(2, "B"), received(2, "A")).when(issue(1)).then(StockIssued, moves=[{"lot": "B"}])


def test_what_leaves_beyond_the_ledger_is_recorded() -> None:
    after = given(*PANTRY, received(10, "A")).when(issue(12)).then(
        StockIssued,
        moves=[{"lot": "A", "change": -10, "on_hand": 0}, {"lot": None, "change": 0, "unrecorded": 2, "weight": -1000}],
        breaches=(Breach.BEYOND_LEDGER,), short_at=NOW, on_hand=0,
    )  # fmt: skip
    after.when(issue(1)).then(StockIssued, moves=[{"lot": None, "change": 0, "unrecorded": 1}])


def test_a_lot_that_was_never_here_is_recorded_as_unknown() -> None:
    given(*PANTRY, received(10, "A")).when(issue(pick(2, "Z"))).then(
        StockIssued, lines=[{"lot": "Z"}], moves=[{"lot": None, "unrecorded": 2}], on_hand=10
    )


def test_a_line_may_name_lot_date_owner_or_the_unknown_lot() -> None:
    shelf = given(
        *PANTRY, receive(goods(5, "A", LATER), goods(5, "A", LATER, owner="tefap"), goods(5, "B", LATER), goods(5))
    )
    shelf.when(issue(pick(1, "a", owner="tefap"))).then(StockIssued, moves=[{"lot": "A", "owner": "tefap"}])
    shelf.when(issue(pick(1, date=LATER))).then(StockIssued, moves=[{"lot": "A", "owner": None}])
    shelf.when(issue(pick(1, "unknown", reason="No label"))).then(StockIssued, moves=[{"lot": None, "change": -1}])


def test_a_lot_out_of_order_needs_a_reason() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A", SOON), goods(5, "B", LATER)))
    shelf.when(issue(pick(1, "B"))).then_rejected(E.LOT_OUT_OF_ORDER, first="A", lot="B")
    shelf.when(issue(pick(1, "B"), already_left=True)).then(StockIssued, breaches=(Breach.OUT_OF_ORDER,))
    shelf.when(issue(pick(1, "B", reason="A is at the back"))).then(StockIssued, breaches=())
    shelf.when(issue(pick(1, "B"), pick(5, "A"))).then(StockIssued, breaches=())


def test_goods_past_their_date_are_not_given_out() -> None:
    for kind in ("expiry", "use_by", "best_before"):
        shelf = given(*PANTRY, received(5, "A", YESTERDAY, kind=kind))
        shelf.when(issue(1)).then_rejected(E.LOT_EXPIRED, lot="A")
        shelf.when(issue(1, already_left=True)).then(StockIssued, breaches=(Breach.EXPIRED,), moves=[{"change": -1}])
    given(*PANTRY, received(5, "A", NOW.date())).when(issue(1)).then_event()


def test_a_best_before_date_is_extended_by_the_items_own_extension() -> None:
    crackers = replace(rice, best_before_extension=1)
    given(crackers, main, received(5, "A", YESTERDAY, kind="best_before")).when(issue(1)).then_event()
    given(crackers, main, received(5, "A", YESTERDAY, kind="use_by")).when(issue(1)).then_rejected(E.LOT_EXPIRED)
    older = received(5, "A", YESTERDAY - timedelta(days=1), kind="best_before")
    given(crackers, main, older).when(issue(1)).then_rejected(E.LOT_EXPIRED)


def test_whatever_an_item_says_medicine_and_infant_formula_are_not_extended() -> None:
    ref = LotRef(date=SOON, date_kind=DateKind.BEST_BEFORE)
    facts = ItemFacts(name="Any", unit=BaseUnit.EACH, best_before_extension=30)
    assert usable_until(ref, facts) == SOON + timedelta(days=30)
    assert usable_until(ref, replace(facts, medicine=True)) == SOON
    assert usable_until(ref, replace(facts, infant_formula=True)) == SOON


def test_a_date_ends_by_the_clock_of_the_location() -> None:
    evening = NOW.replace(day=21, hour=2)  # 21:00 on the 20th, five hours west
    west = given(rice, opened("main", utc_offset=-300), received(5, "A", date(2026, 11, 20)))
    west.when(issue(1), now=evening).then_event()
    given(*PANTRY, received(5, "A", date(2026, 11, 20))).when(issue(1), now=evening).then_rejected(E.LOT_EXPIRED)


def test_a_late_issue_is_judged_by_its_own_day() -> None:
    shelf = given(*PANTRY, received(5, "A", YESTERDAY, occurred_at=ago(days=3)))
    shelf.when(issue(1, occurred_at=ago(days=1))).then(StockIssued, breaches=())


def test_recalled_and_quarantined_and_held_goods_are_not_given_out() -> None:
    quarantine = QuarantineLot(item="rice", quarantine="Q1", lot="A", reason="Weevils seen")
    for step, code, breach in (
        (recall("A"), E.LOT_RECALLED, Breach.RECALLED),
        (quarantine, E.LOT_QUARANTINED, Breach.QUARANTINED),
        (hold(lots=("A",)), E.LOT_HELD, Breach.HELD),
    ):
        shelf = given(*PANTRY, received(5, "A"), step)
        shelf.when(issue(1)).then_rejected(code, lot="A")
        shelf.when(issue(1, already_left=True)).then(StockIssued, breaches=(breach,))
        shelf.when(issue(1, occurred_at=ago(minutes=6))).then(StockIssued, breaches=(breach,))


def test_a_held_lot_is_named_by_the_gravest_reason() -> None:
    shelf = given(*PANTRY, received(5, "A"), recall("A"), hold("R1", HoldReason.RECALL), hold())
    shelf.when(issue(1)).then_rejected(E.LOT_RECALLED, recalls=["R1"], holds=["R1", "h1"])


def test_nothing_is_given_out_of_a_quarantine() -> None:
    cell = given(rice, cage, received(5, "A", location="cage"))
    cell.when(issue(1, location="cage")).then_rejected(E.LOT_QUARANTINED)


def test_what_may_not_leave_is_passed_over_while_there_is_other() -> None:
    shelf = given(*PANTRY, receive(goods(5, "old", YESTERDAY), goods(5, "new", LATER)))
    shelf.when(issue(5)).then(StockIssued, moves=[{"lot": "new"}])
    shelf.when(issue(6)).then_rejected(E.LOT_EXPIRED, lot="old")


def test_what_is_reserved_for_another_is_not_taken() -> None:
    shelf = given(*PANTRY, received(10, "A"), reserve(8))
    shelf.when(issue(2)).then(StockIssued, freed=())
    shelf.when(issue(3)).then_rejected(E.STOCK_RESERVED, free=2)
    after = shelf.when(issue(5, already_left=True)).then(
        StockIssued, breaches=(Breach.RESERVED_TAKEN,),
        freed=[{"reservation": "r1", "lot": "A", "quantity": 3, "why": Freeing.TAKEN}],
    )  # fmt: skip
    assert stock(after).reservations["r1"].lots == {"A": 5}


def test_the_newest_reservation_gives_way_first() -> None:
    shelf = given(*PANTRY, received(10, "A"), reserve(4, "r1"), reserve(4, "r2"))
    shelf.when(issue(7, already_left=True)).then(
        StockIssued, freed=[{"reservation": "r2", "quantity": 4}, {"reservation": "r1", "quantity": 1}]
    )


def test_a_reservation_is_issued_whole() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A", SOON), goods(5, "B", LATER)), reserve(7))
    after = shelf.when(issue(reservation="r1")).then(
        StockIssued, moves=[{"lot": "A", "change": -5}, {"lot": "B", "change": -2}],
        freed=[{"lot": "A", "why": Freeing.USED}, {"lot": "B", "why": Freeing.USED}],
    )  # fmt: skip
    assert stock(after).reservations == {}
    after.when(issue(reservation="r1")).then_rejected(E.RESERVATION_ENDED)


def test_the_rest_of_a_reservation_is_released_or_kept() -> None:
    shelf = given(*PANTRY, received(10, "A"), reserve(7))
    gone = shelf.when(issue(3, reservation="r1")).then(
        StockIssued, freed=[{"quantity": 3, "why": Freeing.USED}, {"quantity": 4, "why": Freeing.RELEASED}]
    )
    assert stock(gone).reservations == {}
    kept = (
        given(*PANTRY, received(10, "A"), reserve(7)).when(issue(3, reservation="r1", keep_rest=True)).then(StockIssued)
    )
    assert stock(kept).reservations["r1"].lots == {"A": 4}
    kept = kept.when(issue(4, reservation="r1", keep_rest=True)).then(StockIssued)
    assert stock(kept).reservations == {}


def test_more_than_was_reserved_comes_from_what_is_free() -> None:
    given(*PANTRY, received(10, "A"), reserve(3)).when(issue(5, reservation="r1")).then(
        StockIssued, moves=[{"change": -5}], freed=[{"quantity": 3, "why": Freeing.USED}], breaches=()
    )


def test_a_reservation_that_ended_is_named_when_the_goods_have_left() -> None:
    ended = given(
        *PANTRY, received(10, "A"), reserve(3), ReleaseReservation(item="rice", location="main", reservation="r1")
    )
    ended.when(issue(3, reservation="r1")).then_rejected(E.RESERVATION_ENDED)
    ended.when(issue(reservation="r1", already_left=True)).then_rejected(E.RESERVATION_ENDED)
    ended.when(issue(3, reservation="r1", already_left=True)).then(StockIssued, breaches=(Breach.RESERVATION_ENDED,))
    ended.when(issue(3, reservation="r9")).then_rejected(E.UNKNOWN_RESERVATION)


def test_reserved_goods_that_were_recalled_since_do_not_leave() -> None:
    shelf = given(*PANTRY, received(10, "A"), reserve(3), recall("A"))
    shelf.when(issue(reservation="r1")).then_rejected(E.LOT_RECALLED)
    shelf.when(issue(3, reservation="r1")).then_rejected(E.LOT_RECALLED)
    shelf.when(issue(reservation="r1", already_left=True)).then(StockIssued, breaches=(Breach.RECALLED,))


def test_medicine_leaves_for_the_clinic_alone() -> None:
    shelf = given(aspirin, main, received(5, "A", LATER, source=Source.PURCHASE))
    shelf.when(issue(1)).then_rejected(E.MEDICINE_FOR_CLINIC_ONLY)
    shelf.when(issue(1, already_left=True)).then(StockIssued, breaches=(Breach.NOT_FOR_CLINIC,), medicine=True)
    shelf.when(issue(1, purpose=Purpose.CLINIC)).then(StockIssued, breaches=())


def test_controlled_substances_are_refused_or_named() -> None:
    given(opiate, main).when(issue(1, purpose=Purpose.CLINIC)).then_rejected(E.CONTROLLED_SUBSTANCE)
    given(opiate, main).when(issue(1, purpose=Purpose.CLINIC, already_left=True)).then(
        StockIssued, breaches=(Breach.BEYOND_LEDGER, Breach.CONTROLLED)
    )


def test_an_issue_says_what_leaves() -> None:
    given(*PANTRY).when(issue()).then_rejected(E.INCOMPLETE_LINE)
    given(*PANTRY).when(issue(pick(1, "A"), pick(2, "a"))).then_rejected(E.DUPLICATE_LINE, line=2)
    given(*PANTRY).when(issue(1, 2)).then_rejected(E.DUPLICATE_LINE, line=2)


def test_unknown_item_and_location() -> None:
    given().when(issue(1)).then_rejected(E.UNKNOWN_ITEM)
    given(rice).when(issue(1)).then_rejected(E.UNKNOWN_LOCATION)


# -- late facts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def monday() -> list[object]:
    """Ten came at eight hours ago, eight left four hours ago."""
    return [*PANTRY, received(10, "A", occurred_at=ago(hours=8)), issue(8, occurred_at=ago(hours=4))]


def test_a_late_issue_takes_only_what_was_there_ever_since(monday: list[object]) -> None:
    given(*monday).when(issue(5, occurred_at=ago(hours=6))).then(
        StockIssued, moves=[{"lot": "A", "change": -2, "on_hand": 0}, {"lot": None, "unrecorded": 3}],
        effective_at=ago(hours=6), short_at=ago(hours=4), breaches=(Breach.BEYOND_LEDGER,), on_hand=0,
    )  # fmt: skip


def test_an_issue_before_anything_came_is_beyond_the_ledger(monday: list[object]) -> None:
    given(*monday).when(issue(1, occurred_at=ago(hours=9))).then(
        StockIssued, moves=[{"lot": None, "unrecorded": 1}], short_at=ago(hours=9), on_hand=2
    )


def test_a_late_receipt_raises_every_figure_since(monday: list[object]) -> None:
    after = given(*monday).when(received(5, "A", occurred_at=ago(hours=7))).then_event()
    after.when(issue(7, occurred_at=ago(hours=6))).then(StockIssued, moves=[{"change": -7}], breaches=())


def test_a_late_issue_may_take_what_is_reserved_now(monday: list[object]) -> None:
    given(*monday, reserve(2)).when(issue(1, occurred_at=ago(hours=5))).then(
        StockIssued, breaches=(Breach.RESERVED_TAKEN,), freed=[{"reservation": "r1", "quantity": 1}]
    )
