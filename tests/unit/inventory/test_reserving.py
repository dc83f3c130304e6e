"""Reservations and holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from services.inventory.contract import (
    UNKNOWN,
    DateKind,
    ExpireReservation,
    Freeing,
    HoldReason,
    HoldReleased,
    InventoryError,
    LiftRecall,
    PickLine,
    Purpose,
    QuarantineLot,
    ReleaseHold,
    ReleaseLot,
    ReleaseReservation,
    ReservationExpired,
    ReservationReleased,
    SetApart,
    Source,
    StockHeld,
    StockIssued,
    StockReceived,
    StockRepacked,
    StockReserved,
)
from tests.unit.inventory.pantry import (
    HERE,
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
RELEASE = ReleaseReservation(**HERE, reservation="r1")
EXPIRE = ExpireReservation(**HERE, reservation="r1")
QUARANTINE = QuarantineLot(item="rice", quarantine="Q1", lot="A", reason="Weevils seen")


# -- reservations -----------------------------------------------------------------------------------------------------


def test_what_ends_first_is_set_aside_first() -> None:
    shelf = given(*PANTRY, receive(goods(5, "late", LATER), goods(5, "soon", SOON)))
    after = shelf.when(reserve(7, recipient="order-1")).then(
        StockReserved, reserved=[{"lot": "soon", "quantity": 5}, {"lot": "late", "quantity": 2}], short=0
    )
    assert [row.reserved for row in stock(after).rows.values()] == [2, 5]
    after.when(reserve(4, "r2")).then_rejected(E.INSUFFICIENT_STOCK, available=3, on_hand=10, reserved=7)
    after.when(reserve(3, "r2")).then(StockReserved, reserved=[{"lot": "late", "quantity": 3}])


def test_the_same_reservation_again_changes_nothing() -> None:
    reserved = given(*PANTRY, received(10), reserve(4))
    reserved.when(reserve(4)).then_nothing()
    reserved.when(reserve(5)).then_rejected(E.ALREADY_EXISTS)
    reserved.when(RELEASE).then_event().when(reserve(4)).then_rejected(E.RESERVATION_ENDED)


def test_a_part_is_set_aside_only_if_allowed() -> None:
    shelf = given(*PANTRY, received(3))
    shelf.when(reserve(4)).then_rejected(E.INSUFFICIENT_STOCK, quantity=4, available=3)
    shelf.when(reserve(4, allow_part=True)).then(StockReserved, reserved=[{"quantity": 3}], short=1)
    given(*PANTRY).when(reserve(4, allow_part=True)).then_rejected(E.INSUFFICIENT_STOCK, available=0)


def test_a_reservation_may_name_lot_and_owner() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A", SOON, owner="tefap"), goods(5, "B", LATER)))
    shelf.when(reserve(4, lot="b")).then(StockReserved, reserved=[{"lot": "B"}])
    shelf.when(reserve(6, owner="tefap")).then_rejected(E.INSUFFICIENT_STOCK, available=5)


def test_goods_may_be_asked_to_outlast_a_date() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A", SOON), goods(5, "B", LATER), goods(5, "C")))
    shelf.when(reserve(5, expires_after=SOON)).then(StockReserved, reserved=[{"lot": "B"}])
    shelf.when(reserve(6, expires_after=SOON)).then_rejected(E.INSUFFICIENT_STOCK, available=5)
    shelf.when(reserve(1, expires_after=LATER)).then_rejected(E.INSUFFICIENT_STOCK)


def test_what_may_not_be_given_out_is_not_set_aside() -> None:
    for step in (recall("A"), QUARANTINE, hold()):
        shelf = given(*PANTRY, received(5, "A"), step)
        shelf.when(reserve(1)).then_rejected(E.INSUFFICIENT_STOCK, available=0, on_hand=5)
    given(*PANTRY, received(5, "A"), recall("A")).when(reserve(1, lot="A")).then_rejected(E.LOT_RECALLED)
    given(*PANTRY, received(5, "A"), QUARANTINE).when(reserve(1, lot="A")).then_rejected(E.LOT_QUARANTINED)
    given(*PANTRY, received(5, "A"), hold()).when(reserve(1, lot="A")).then_rejected(E.LOT_HELD)
    stale = given(*PANTRY, received(5, "A", date(2026, 11, 19)))
    stale.when(reserve(1)).then_rejected(E.INSUFFICIENT_STOCK)
    stale.when(reserve(1, lot="A")).then_rejected(E.LOT_EXPIRED)
    cell = given(rice, cage, received(5, "A", location="cage"))
    cell.when(reserve(1, location="cage")).then_rejected(E.INSUFFICIENT_STOCK)


def test_medicine_is_reserved_for_the_clinic_alone() -> None:
    shelf = given(aspirin, main, received(5, "A", LATER, source=Source.PURCHASE))
    shelf.when(reserve(1)).then_rejected(E.MEDICINE_FOR_CLINIC_ONLY)
    shelf.when(reserve(1, purpose=Purpose.CLINIC)).then(StockReserved)
    given(opiate, main).when(reserve(1, purpose=Purpose.CLINIC)).then_rejected(E.CONTROLLED_SUBSTANCE)


def test_a_late_reservation_is_checked_against_every_later_moment() -> None:
    shelf = given(
        *PANTRY, received(10, "A", occurred_at=ago(hours=8)), issue(9, occurred_at=ago(hours=6)),
        received(9, "A", occurred_at=ago(hours=4)),
    )  # fmt: skip
    shelf.when(reserve(2)).then(StockReserved)
    late = reserve(2, occurred_at=ago(hours=7))
    shelf.when(late).then_rejected(E.INSUFFICIENT_STOCK, available=1, moment=ago(hours=6).isoformat())
    shelf.when(replace(late, quantity=1)).then(StockReserved, occurred_at=ago(hours=7))


def test_a_late_reservation_sets_nothing_aside_that_has_expired_since() -> None:
    days = ago(days=3)
    shelf = given(*PANTRY, received(5, "A", date(2026, 11, 18), occurred_at=ago(days=9)))
    shelf.when(reserve(1, occurred_at=days)).then_rejected(E.INSUFFICIENT_STOCK, available=0)
    shelf.when(reserve(1, lot="A", occurred_at=days)).then_rejected(E.LOT_EXPIRED)
    shelf.when(issue(1, occurred_at=days)).then(StockIssued, breaches=())


def test_a_reservation_is_released_once() -> None:
    reserved = given(*PANTRY, received(10, "A"), reserve(4))
    given(*PANTRY).when(RELEASE).then_rejected(E.UNKNOWN_RESERVATION)
    after = reserved.when(RELEASE).then(
        ReservationReleased, freed=[{"lot": "A", "quantity": 4, "reservation": "r1", "why": Freeing.RELEASED}]
    )
    after.when(RELEASE).then_nothing()
    after.when(EXPIRE).then_nothing()
    after.when(reserve(10, "r2")).then_event()


def test_a_reservation_counts_until_it_is_expired() -> None:
    due = NOW + timedelta(hours=2)
    reserved = given(*PANTRY, received(4), reserve(4, due_at=due))
    reserved.when(EXPIRE).then_rejected(E.NOT_YET_DUE, due_at=due.isoformat())
    reserved.when(reserve(1, "r2"), now=due + timedelta(days=1)).then_rejected(E.INSUFFICIENT_STOCK)
    after = reserved.when(EXPIRE, now=due).then(ReservationExpired, freed=[{"quantity": 4, "why": Freeing.EXPIRED}])
    after.when(EXPIRE, now=due).then_nothing()
    given(*PANTRY).when(EXPIRE).then_rejected(E.UNKNOWN_RESERVATION)


def test_a_reservation_without_an_end_does_not_expire() -> None:
    given(*PANTRY, received(4), reserve(4)).when(EXPIRE).then_rejected(E.NOT_YET_DUE, due_at=None)


def test_a_reservation_does_not_begin_over() -> None:
    given(*PANTRY, received(4)).when(reserve(4, due_at=NOW)).then_rejected(E.INVALID_RANGE)


# -- holds ------------------------------------------------------------------------------------------------------------


def test_one_lot_is_held_with_whatever_comes_of_it_later() -> None:
    after = given(*PANTRY, received(5, "A"), received(5, "B")).when(hold(lots=("a",)))
    after = after.then(StockHeld, held=[{"lot": "A"}], reason=HoldReason.DAMAGE)
    after = after.when(received(5, "A")).then_event()
    after.when(reserve(6)).then_rejected(E.INSUFFICIENT_STOCK, available=5)
    after.when(hold(lots=("A",))).then_nothing()
    after.when(hold(lots=("A",), reason=HoldReason.OTHER)).then_rejected(E.ALREADY_EXISTS)


def test_a_hold_of_another_reason_takes_no_id_of_a_review() -> None:
    shelf = given(aspirin, main, received(5, "A", LATER, source=Source.PURCHASE))
    shelf.when(hold("review-3", HoldReason.OTHER)).then_rejected(E.ALREADY_EXISTS, hold="review-3")
    shelf.when(hold("review-3", HoldReason.PHARMACIST_REVIEW)).then(StockHeld)
    shelf.when(recall("A", id="review-3")).then_rejected(E.ALREADY_EXISTS, id="review-3")
    shelf.when(replace(QUARANTINE, quarantine="review-3")).then_rejected(E.ALREADY_EXISTS, id="review-3")


def test_a_hold_of_another_reason_takes_no_id_of_a_recall_or_quarantine() -> None:
    shelf = given(*PANTRY, received(5, "A"), recall("A"), QUARANTINE)
    shelf.when(hold("R1", HoldReason.OTHER)).then_rejected(E.ALREADY_EXISTS, hold="R1")
    shelf.when(hold("Q1", HoldReason.OTHER)).then_rejected(E.ALREADY_EXISTS, hold="Q1")


def test_a_hold_that_was_before_the_recall_of_its_id_does_not_become_the_recalls() -> None:
    shelf = given(*PANTRY, received(5, "A"), hold("R1", HoldReason.OTHER), recall("A"))
    after = shelf.when(received(5, "A", SOON)).then(StockReceived, holds=())
    after.when(issue(pick(1, "A", date=SOON))).then_rejected(E.LOT_RECALLED)


def test_a_hold_without_lots_takes_all_that_is_there() -> None:
    after = (
        given(*PANTRY, received(5, "A"), received(5, None))
        .when(hold())
        .then(StockHeld, held=[{"lot": "A"}, {"lot": None}])
    )
    after.when(received(5, "C")).then_event().when(issue(5)).then_event()
    given(*PANTRY).when(hold()).then_nothing()


def test_a_hold_of_a_lot_that_is_not_here_is_refused() -> None:
    given(*PANTRY, received(5, "A")).when(hold(lots=("A", "Z"))).then_rejected(E.UNKNOWN_LOT, lots=["Z"])


def test_the_stock_of_unknown_lot_is_held_by_that_name() -> None:
    given(*PANTRY, received(5, None), received(5, "A")).when(hold(lots=("UNKNOWN",))).then(
        StockHeld, held=[{"lot": None}]
    )


def test_a_hold_names_the_reservations_that_stand_in_it() -> None:
    shelf = given(*PANTRY, received(5, "A"), received(5, "B"), reserve(2, "r1", lot="A"), reserve(2, "r2", lot="B"))
    shelf.when(hold(lots=("A",))).then(StockHeld, reservations=("r1",))


def test_a_hold_for_a_recall_takes_what_the_recall_covers_and_what_comes_to_it_later() -> None:
    shelf = given(*PANTRY, receive(goods(1, "A"), goods(1, "B"), goods(1)), recall("A"))
    held = shelf.when(hold("R1", HoldReason.RECALL)).then(StockHeld, held=[{"lot": "A"}, {"lot": None}])
    held.when(hold("R1", HoldReason.RECALL)).then_nothing()
    held.when(received(2, "A", SOON)).then_event().when(hold("R1", HoldReason.RECALL)).then_nothing()
    shelf.when(hold("R2", HoldReason.RECALL)).then_rejected(E.UNKNOWN_RECALL)
    given(*PANTRY, recall("A")).when(hold("R1", HoldReason.RECALL)).then_nothing()


def test_a_hold_for_a_quarantine_takes_its_lot() -> None:
    shelf = given(*PANTRY, receive(goods(1, "A"), goods(1, "B"), goods(1)), QUARANTINE)
    shelf.when(hold("Q1", HoldReason.QUARANTINE)).then(StockHeld, held=[{"lot": "A"}])
    shelf.when(hold("Q2", HoldReason.QUARANTINE)).then_rejected(E.UNKNOWN_HOLD)


def test_a_hold_is_released() -> None:
    held = given(*PANTRY, received(5, "A"), hold())
    held.when(ReleaseHold(**HERE, hold="h2")).then_rejected(E.UNKNOWN_HOLD)
    after = held.when(ReleaseHold(**HERE, hold="h1")).then(
        HoldReleased, freed_lots=[{"lot": "A"}], reason=HoldReason.DAMAGE
    )
    after.when(issue(5)).then_event()


def test_a_recall_holds_until_it_is_lifted() -> None:
    release = ReleaseHold(**HERE, hold="R1")
    held = given(*PANTRY, received(5, "A"), recall("A"), hold("R1", HoldReason.RECALL))
    held.when(release).then_rejected(E.STILL_RECALLED)
    lifted = held.when(LiftRecall(item="rice", recall="R1", reason="Another plant")).then_event()
    lifted.when(issue(1)).then_rejected(E.LOT_RECALLED)
    free = lifted.when(release).then(HoldReleased)
    free.when(release).then_nothing()
    free.when(issue(1)).then_event()


def test_a_quarantine_holds_until_its_lot_is_released() -> None:
    release = ReleaseHold(**HERE, hold="Q1")
    held = given(*PANTRY, received(5, "A"), QUARANTINE, hold("Q1", HoldReason.QUARANTINE))
    held.when(release).then_rejected(E.STILL_QUARANTINED)
    released = held.when(ReleaseLot(item="rice", quarantine="Q1", reason="Only dust")).then_event()
    free = released.when(release).then(HoldReleased)
    free.when(release).then_nothing()


def test_a_pharmacist_ends_the_review_of_medicine() -> None:
    shelf = given(aspirin, main, received(5, "A", LATER))
    release = ReleaseHold(**HERE, hold="review-1")
    shelf.when(reserve(1, purpose=Purpose.CLINIC)).then_rejected(E.INSUFFICIENT_STOCK)
    shelf.when(release).then_rejected(E.PHARMACIST_REQUIRED)
    free = shelf.when(release, mandate="pharmacist").then(HoldReleased)
    free.when(reserve(1, purpose=Purpose.CLINIC)).then_event()


# -- setting apart ----------------------------------------------------------------------------------------------------


def apart(*lines: PickLine, **more: Any) -> SetApart:
    return SetApart(**HERE, **{"lines": lines or (pick(2, "A"),), "apart": "U-b1", "hold": "unpacked-b1", **more})


def test_just_so_much_is_held_and_keeps_its_date() -> None:
    shelf = given(*PANTRY, received(10, "A", SOON), received(5, "B", LATER))
    held = shelf.when(apart(pick(2, "A"), pick(1, "B"))).then(
        StockRepacked, hold="unpacked-b1", on_hand=15,
        into=[
            {"item": "rice", "lot": "U-b1", "date": SOON, "date_kind": DateKind.USE_BY, "quantity": 2},
            {"item": "rice", "lot": "U-b1", "date": LATER, "date_kind": DateKind.USE_BY, "quantity": 1},
        ],
    )  # fmt: skip
    held.when(apart()).then_nothing()
    held.when(issue(pick(1, "U-b1", reason="x"))).then_rejected(E.LOT_HELD)
    held.when(issue(pick(8, "A", reason="x"))).then_event()
    looked_at = held.when(ReleaseHold(**HERE, hold="unpacked-b1")).then(HoldReleased, reason=HoldReason.INSPECTION)
    looked_at.when(issue(pick(2, "U-b1", date=SOON, reason="x"))).then_event()


def test_goods_of_unknown_lot_are_set_apart_too() -> None:
    shelf = given(*PANTRY, received(10, None), received(3, "A"))
    held = shelf.when(apart(pick(2, UNKNOWN))).then(
        StockRepacked, moves=[{"lot": None, "change": -2}, {"lot": "U-b1", "change": 2}]
    )
    held.when(issue(pick(8, UNKNOWN))).then_event()


def test_lots_are_held_whole_when_so_much_cannot_be_taken() -> None:
    shelf = given(*PANTRY, received(3, "A", SOON))
    whole = {"hold": "unpacked-b1", "lots": ("A",), "reason": HoldReason.INSPECTION, "apart": "U-b1"}
    shelf.when(reserve(2)).then_event().when(apart()).then(StockHeld, **whole, reservations=("r1",))
    shelf.when(hold(lots=("A",))).then_event().when(apart()).then(StockHeld, **whole)
    shelf.when(recall("A")).then_event().when(apart()).then(StockHeld, **whole)
    shelf.when(apart(pick(4, "A"))).then(StockHeld, **whole)
    expired = given(*PANTRY, received(3, "A", NOW.date() - timedelta(days=1)))
    expired.when(apart()).then(StockHeld, **whole)
    shelf.when(apart(pick(1, "C"))).then_rejected(E.UNKNOWN_LOT)
    shelf.when(apart(pick(1, "A"), pick(1, "a"))).then_rejected(E.DUPLICATE_LINE)
    shelf.when(apart(hold="review-1")).then_rejected(E.ALREADY_EXISTS)
