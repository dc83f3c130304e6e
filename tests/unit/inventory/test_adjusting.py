"""Adjustments, disposals, returns and repacking."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.inventory.contract import (
    AdjustLine,
    AdjustReason,
    AdjustStock,
    BaseUnit,
    Breach,
    CloseLocation,
    DateKind,
    DisposeStock,
    Freeing,
    InventoryError,
    PickLine,
    RegisterItem,
    RepackLine,
    RepackStock,
    RetireItem,
    ReturnToSupplier,
    StockAdjusted,
    StockDisposed,
    StockRepacked,
    StockReturned,
)
from tests.unit.inventory.pantry import (
    HERE,
    LATER,
    NOW,
    PANTRY,
    SOON,
    ago,
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
)

E = InventoryError
R = AdjustReason


def adjust(reason: R, *lines: AdjustLine, **more: Any) -> AdjustStock:
    return AdjustStock(**{**HERE, **more}, reason=reason, lines=lines)


def by(change: int, lot: str | None = "A", **more: Any) -> AdjustLine:
    return AdjustLine(change=change, lot=lot, **more)


def dispose(*lines: PickLine, reason: R = R.SPOILED) -> DisposeStock:
    return DisposeStock(**HERE, reason=reason, lines=lines, method="Compost")


def test_found_adds_and_damage_takes_away() -> None:
    shelf = given(*PANTRY, received(5, "A", SOON))
    shelf.when(adjust(R.FOUND, by(2))).then(StockAdjusted, moves=[{"lot": "A", "date": SOON, "change": 2}], on_hand=7)
    shelf.when(adjust(R.FOUND, by(2, None))).then(StockAdjusted, moves=[{"lot": None, "change": 2}])
    shelf.when(adjust(R.DAMAGED, by(-2))).then(StockAdjusted, moves=[{"lot": "A", "change": -2, "weight": -1000}])
    shelf.when(adjust(R.DAMAGED, by(-2, None))).then(StockAdjusted, moves=[{"lot": "A", "change": -2}])


@pytest.mark.parametrize(
    ("reason", "change"), [(R.FOUND, -1), (R.LOST, 1), (R.COUNTING_ERROR, 0), (R.SPOILED, 1), (R.FOUND, 0)]
)
def test_a_reason_has_its_sign(reason: R, change: int) -> None:
    given(*PANTRY, received(5)).when(adjust(reason, by(change))).then_rejected(E.WRONG_SIGN, line=1)


def test_a_counting_error_goes_both_ways() -> None:
    given(*PANTRY, received(5, "A"), received(5, "B")).when(adjust(R.COUNTING_ERROR, by(1), by(-1, "B"))).then(
        StockAdjusted, on_hand=10
    )


def test_what_is_read_off_the_ledger_cannot_exceed_it() -> None:
    shelf = given(*PANTRY, received(5, "A", occurred_at=ago(hours=4)), issue(4, occurred_at=ago(hours=2)))
    for reason in (R.LOST, R.STOLEN, R.COUNTING_ERROR):
        shelf.when(adjust(reason, by(-2))).then_rejected(E.INSUFFICIENT_STOCK, balance=1, moment=NOW.isoformat())
    shelf.when(adjust(R.LOST, by(-2), occurred_at=ago(hours=3))).then_rejected(
        E.INSUFFICIENT_STOCK, balance=1, moment=ago(hours=2).isoformat()
    )
    shelf.when(adjust(R.SPOILED, by(-2))).then(
        StockAdjusted,
        moves=[{"lot": "A", "change": -1}, {"lot": None, "unrecorded": 1}],
        breaches=(Breach.BEYOND_LEDGER,),
    )


def test_an_adjustment_names_each_lot_once() -> None:
    given(*PANTRY, received(5)).when(adjust(R.LOST, by(-1), by(-1, "a"))).then_rejected(E.DUPLICATE_LINE)
    given(*PANTRY, received(5)).when(adjust(R.FOUND, by(1, date=SOON))).then_rejected(E.INCOMPLETE_LINE)


def test_what_may_not_be_given_out_is_disposed_of_first() -> None:
    shelf = given(
        *PANTRY, receive(goods(5, "good", SOON), goods(5, "stale", date(2026, 11, 1)), goods(5, "held", LATER))
    )
    shelf = shelf.when(hold(lots=("held",))).then_event()
    shelf.when(dispose(pick(7))).then(
        StockDisposed,
        moves=[{"lot": "stale", "change": -5}, {"lot": "held", "change": -2}],
        breaches=(),
        method="Compost",
    )


def test_disposal_needs_a_reason_of_its_own() -> None:
    for reason in (R.FOUND, R.COUNTING_ERROR):
        given(*PANTRY, received(5)).when(dispose(pick(1), reason=reason)).then_rejected(E.REASON_REQUIRED)
    given(*PANTRY, received(5)).when(dispose(pick(1), pick(1))).then_rejected(E.DUPLICATE_LINE)


def test_disposal_beyond_the_ledger_and_of_reserved_goods_is_recorded() -> None:
    given(*PANTRY, received(5, "A"), reserve(5)).when(dispose(pick(6))).then(
        StockDisposed, breaches=(Breach.BEYOND_LEDGER, Breach.RESERVED_TAKEN),
        freed=[{"reservation": "r1", "quantity": 5, "why": Freeing.TAKEN}], on_hand=0,
    )  # fmt: skip


def test_recalled_goods_go_back() -> None:
    back = ReturnToSupplier(**HERE, supplier="s1", reason=R.RECALLED, lines=(pick(5, "A"),), reference="CN-12")
    given(*PANTRY, received(5, "A"), recall("A")).when(back).then(
        StockReturned, moves=[{"lot": "A", "change": -5}], breaches=(), reference="CN-12"
    )


def test_controlled_substances_can_be_given_up() -> None:
    given(rice, main, received(5)).when(dispose(pick(5))).then_event()
    given(opiate, main).when(dispose(pick(5))).then(StockDisposed, breaches=(Breach.BEYOND_LEDGER,))


def test_a_controlled_substance_that_is_found_is_named() -> None:
    find = AdjustStock(**HERE, reason=R.FOUND, lines=(AdjustLine(lot="A", change=3),))
    found = given(opiate, main).when(find).then(StockAdjusted, breaches=(Breach.CONTROLLED,), on_hand=3)
    lose = AdjustStock(**HERE, reason=R.LOST, lines=(AdjustLine(lot="A", change=-1),))
    found.when(lose).then(StockAdjusted, breaches=(), on_hand=2)


# -- repacking --------------------------------------------------------------------------------------------------------

bags = RegisterItem(item="bags", name="Rice, 100 g", unit=BaseUnit.EACH)


def repack(*lines: PickLine, into: tuple[RepackLine, ...], **more: Any) -> RepackStock:
    return RepackStock(**HERE, lines=lines, into=into, **more)


def made(quantity: int, item: str = "bags", lot: str | None = None, **more: Any) -> RepackLine:
    return RepackLine(quantity=quantity, item=item, lot=lot, **more)


def test_repacking_takes_the_goods_and_says_what_they_became() -> None:
    into = (made(9, lot="R1", date=SOON, date_kind=DateKind.BEST_BEFORE),)
    given(*PANTRY, bags, received(5, "A", SOON)).when(repack(pick(2), into=into)).then(
        StockRepacked, moves=[{"lot": "A", "change": -2}], into=into, on_hand=3
    )


def test_what_becomes_the_same_item_is_on_the_shelf_at_once() -> None:
    shelf = given(*PANTRY, bags, received(5, "A"), received(5, "B"))
    shelf.when(repack(pick(2, "A"), pick(1, "B"), into=(made(1, "rice", "A"), made(1, "rice", "M")))).then(
        StockRepacked, moves=[{"lot": "A", "change": -1}, {"lot": "B", "change": -1}, {"lot": "M", "change": 1}]
    )


def test_repacking_goes_into_items_that_are_taken_in() -> None:
    shelf = given(*PANTRY, received(5, "A"))
    shelf.when(repack(pick(1), into=(made(1),))).then_rejected(E.UNKNOWN_ITEM, item="bags")
    retired = given(*PANTRY, bags, received(5), RetireItem(item="bags"))
    retired.when(repack(pick(1), into=(made(1),))).then_rejected(E.ITEM_RETIRED)
    controlled = given(*PANTRY, replace(opiate, item="bags"), received(5))
    controlled.when(repack(pick(1), into=(made(1),))).then_rejected(E.CONTROLLED_SUBSTANCE)
    closed = given(*PANTRY, bags, received(5), CloseLocation(location="main"))
    closed.when(repack(pick(1), into=(made(1),))).then_rejected(E.LOCATION_CLOSED)
    shelf = given(*PANTRY, bags, received(5))
    shelf.when(repack(pick(1), into=(made(1), made(2)))).then_rejected(E.DUPLICATE_LINE)
    shelf.when(repack(pick(1), into=(made(1, date=SOON),))).then_rejected(E.INCOMPLETE_LINE)


def test_what_was_repacked_some_time_ago_is_recorded_and_what_it_broke_named() -> None:
    before, after = (repack(pick(1, "A"), into=(made(1),), occurred_at=ago(hours=h)) for h in (4, 2))
    full = (*PANTRY, bags, received(5, "A", occurred_at=ago(hours=5)))
    retired = given(*full, RetireItem(item="bags", occurred_at=ago(hours=3)))
    retired.when(before).then(StockRepacked, breaches=())
    retired.when(after).then(StockRepacked, breaches=(Breach.ITEM_RETIRED,))
    closed = given(*full, CloseLocation(location="main", occurred_at=ago(hours=3)))
    closed.when(before).then(StockRepacked, breaches=())
    closed.when(after).then(StockRepacked, breaches=(Breach.LOCATION_CLOSED,))
    controlled = given(*PANTRY, replace(opiate, item="bags"), received(5, "A", occurred_at=ago(hours=5)))
    controlled.when(after).then(StockRepacked, breaches=(Breach.CONTROLLED,))


def test_what_may_not_be_given_out_is_not_repacked() -> None:
    shelf = given(*PANTRY, bags, received(5, "A"), recall("A"))
    shelf.when(repack(pick(1), into=(made(1),))).then_rejected(E.LOT_RECALLED)
    shelf.when(repack(pick(1), into=(made(1),), already_left=True)).then(StockRepacked, breaches=(Breach.RECALLED,))
