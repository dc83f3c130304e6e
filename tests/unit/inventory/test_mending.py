"""Reversals and corrections."""

from __future__ import annotations

import pytest

from services.inventory.contract import (
    AdjustLine,
    AdjustReason,
    AdjustStock,
    ApproveCount,
    Breach,
    CorrectMovement,
    HoldReleased,
    InventoryError,
    LotQuantity,
    MovementCorrected,
    MovementKind,
    MovementReversed,
    Purpose,
    ReleaseHold,
    ReverseMovement,
    Source,
    StartCount,
    StockIssued,
)
from tests.support.sentences import Given
from tests.unit.inventory.pantry import (
    HERE,
    PANTRY,
    SOON,
    ago,
    aspirin,
    counted,
    found,
    given,
    goods,
    issue,
    main,
    opiate,
    pick,
    receive,
    received,
    reserve,
    rice,
    send,
)

E = InventoryError


def undo(movement: int) -> ReverseMovement:
    return ReverseMovement(**HERE, movement=movement, reason="Recorded twice")


def mend(movement: int, *lines: LotQuantity) -> CorrectMovement:
    return CorrectMovement(**HERE, movement=movement, reason="Misread", lines=lines)


def line(quantity: int, lot: str | None = "A", **more: object) -> LotQuantity:
    return LotQuantity(quantity=quantity, lot=lot, **more)  # type: ignore[arg-type]


@pytest.fixture
def day() -> Given:
    """Movement 1: ten of A came. Movement 2: four left. Movement 3: six more came. Movement 4: eight left."""
    return given(
        *PANTRY, received(10, "A", occurred_at=ago(hours=8)), issue(4, occurred_at=ago(hours=6)),
        received(6, "A", occurred_at=ago(hours=4)), issue(8, occurred_at=ago(hours=2)),
    )  # fmt: skip


def test_a_movement_is_undone_at_its_own_moment(day: Given) -> None:
    after = day.when(undo(2)).then(
        MovementReversed, movement=2, kind=MovementKind.STOCK_ISSUED, effective_at=ago(hours=6), on_hand=8,
        moves=[{"lot": "A", "change": 4, "on_hand": 8, "weight": 2000}],
    )  # fmt: skip
    after.when(undo(2)).then_nothing()
    after.when(mend(2, line(3))).then_rejected(E.ALREADY_REVERSED)


def test_a_reversal_that_a_later_movement_depends_on_names_it(day: Given) -> None:
    day.when(undo(1)).then_rejected(
        E.BREAKS_LATER_MOMENT, moment=ago(hours=6).isoformat(), balance=6, change=-10, movements=[2, 4], lot="A"
    )
    day.when(undo(3)).then_rejected(E.BREAKS_LATER_MOMENT, moment=ago(hours=2).isoformat(), balance=4, movements=[4])
    day.when(undo(4)).then_event().when(undo(3)).then(MovementReversed, on_hand=6)


def test_a_reversed_movement_is_no_longer_depended_on(day: Given) -> None:
    day.when(undo(2)).then_event().when(undo(1)).then_rejected(E.BREAKS_LATER_MOMENT, movements=[4])


def test_movements_of_one_moment_are_told_apart_by_their_revision() -> None:
    at = ago(hours=2)
    shelf = given(*PANTRY, received(10, "A", occurred_at=at), issue(4, occurred_at=at))
    shelf.when(undo(1)).then_rejected(E.BREAKS_LATER_MOMENT, balance=6, movements=[2])


def test_what_came_in_the_same_moment_but_afterwards_does_not_help() -> None:
    at = ago(hours=2)
    shelf = given(
        *PANTRY, received(10, "A", occurred_at=at), issue(10, occurred_at=at), received(10, "A", occurred_at=at)
    )
    shelf.when(undo(1)).then_rejected(E.BREAKS_LATER_MOMENT, balance=0, movements=[2])


def test_what_is_reserved_stays() -> None:
    shelf = given(*PANTRY, received(10, "A"), reserve(4))
    shelf.when(undo(1)).then_rejected(E.STOCK_RESERVED, reservations=["r1"], reserved=4, balance=0)


def test_what_left_beyond_the_ledger_is_undone_with_the_rest() -> None:
    shelf = given(*PANTRY, received(10, "A"), issue(12))
    shelf.when(undo(2)).then(
        MovementReversed, moves=[{"lot": "A", "change": 10}, {"lot": None, "change": 0, "unrecorded": -2}], on_hand=10
    )


def test_only_movements_are_undone(day: Given) -> None:
    day.when(undo(9)).then_rejected(E.UNKNOWN_MOVEMENT, revisions=4)
    given(*PANTRY, received(10), reserve(2)).when(undo(2)).then_rejected(E.UNKNOWN_MOVEMENT)
    given(*PANTRY, received(10), send(2)).when(undo(2)).then_rejected(
        E.NOT_REVERSIBLE, kind=MovementKind.TRANSFER_DISPATCHED
    )
    day.when(undo(4)).then_event().when(undo(5)).then_rejected(E.NOT_REVERSIBLE)
    given(rice).when(undo(1)).then_rejected(E.UNKNOWN_LOCATION)


def test_144_typed_for_12() -> None:
    shelf = given(*PANTRY, received(144, "A", SOON), issue(2))
    after = shelf.when(mend(1, line(12))).then(
        MovementCorrected, movement=1, kind=MovementKind.STOCK_RECEIVED, on_hand=10,
        moves=[{"lot": "A", "date": SOON, "change": -132, "on_hand": 10}], was=[{"lot": "A", "change": 144}],
    )  # fmt: skip
    after.when(mend(1, line(12))).then_nothing()
    after = after.when(mend(1, line(14))).then(MovementCorrected, moves=[{"change": 2}], was=[{"change": 12}])
    after.when(undo(1)).then_rejected(E.BREAKS_LATER_MOMENT)
    after.when(undo(2)).then_event().when(undo(1)).then(MovementReversed, moves=[{"change": -14}], on_hand=0)


def test_a_correction_may_move_goods_to_another_lot() -> None:
    given(*PANTRY, received(10, "A")).when(mend(1, line(10, "B"))).then(
        MovementCorrected, moves=[{"lot": "A", "change": -10}, {"lot": "B", "change": 10}], on_hand=10
    )


def test_a_correction_lets_no_medicine_out_of_review() -> None:
    shelf = given(aspirin, main, received(10, "A"))
    for lines in ((line(10, "B"),), (line(4), line(6, "B")), (line(10), line(5, "B"))):
        shelf.when(mend(1, *lines)).then_rejected(E.LOT_HELD, movement=1, holds=["review-1"])
    shelf.when(mend(1, line(9))).then(MovementCorrected, on_hand=9)
    shelf.when(undo(1)).then_event().when(received(10, "B")).then_event().when(mend(3, line(9, "B"))).then_event()
    seen = shelf.when(ReleaseHold(**HERE, hold="review-1"), mandate="pharmacist").then(HoldReleased)
    seen.when(mend(1, line(10, "B"))).then(MovementCorrected)


def test_a_correction_of_a_controlled_substance_is_named() -> None:
    shelf = given(opiate, main).when(received(10, "A", source=Source.PURCHASE, occurred_at=ago(hours=2))).then_event()
    shelf.when(mend(1, line(9))).then(MovementCorrected, breaches=(Breach.CONTROLLED,))
    gone = shelf.when(issue(2, purpose=Purpose.CLINIC, already_left=True)).then_event()
    gone.when(mend(2, line(3))).then(MovementCorrected, breaches=(Breach.CONTROLLED,))


def test_a_correction_that_a_later_movement_depends_on_names_it(day: Given) -> None:
    day.when(mend(1, line(7))).then(MovementCorrected, on_hand=1)
    day.when(mend(1, line(5))).then_rejected(
        E.BREAKS_LATER_MOMENT, moment=ago(hours=2).isoformat(), balance=4, change=-5, movements=[2, 4]
    )


def test_an_issue_is_corrected_down_and_up(day: Given) -> None:
    day.when(mend(2, line(1))).then(MovementCorrected, moves=[{"change": 3}], on_hand=7, was=[{"change": -4}])
    day.when(mend(2, line(8))).then(MovementCorrected, moves=[{"change": -4}], on_hand=0)
    day.when(mend(2, line(9))).then_rejected(E.BREAKS_LATER_MOMENT)
    day.when(mend(2, line(1, "Z"))).then_rejected(E.BREAKS_LATER_MOMENT, balance=0, lot=None)


def test_a_correction_of_what_left_beyond_the_ledger_states_all_of_it() -> None:
    shelf = given(*PANTRY, received(10, "A"), issue(144))
    shelf.when(mend(2, line(9))).then(MovementCorrected, on_hand=1)


def test_a_correction_keeps_to_one_direction_and_one_line_a_lot() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A"), goods(5, "B")))
    shelf.when(mend(1, line(1), line(2, "a"))).then_rejected(E.DUPLICATE_LINE)
    shelf.when(mend(1, line(1, date=SOON))).then_rejected(E.INCOMPLETE_LINE)
    both = AdjustStock(
        **HERE,
        reason=AdjustReason.COUNTING_ERROR,
        lines=(AdjustLine(lot="A", change=2), AdjustLine(lot="B", change=-2)),
    )
    mixed = shelf.when(both).then_event()
    mixed.when(mend(2, line(1))).then_rejected(E.NOT_REVERSIBLE)
    mixed.when(undo(2)).then(MovementReversed, moves=[{"lot": "A", "change": -2}, {"lot": "B", "change": 2}])


def test_a_late_fact_never_takes_away_what_a_later_one_stood_on(day: Given) -> None:
    day.when(issue(pick(9, "A"), occurred_at=ago(hours=7))).then(
        StockIssued,
        moves=[{"lot": "A", "change": -4}, {"lot": None, "unrecorded": 5}],
        breaches=(Breach.BEYOND_LEDGER,),
    )


def test_a_count_at_the_very_moment_of_a_movement_came_after_it() -> None:
    """Ties go by revision, and what mends the movement stands where that does: before the count."""
    shelf = given(
        *PANTRY, received(10, "A"), StartCount(count="c1", location="main"), counted(found(7)),
    )  # fmt: skip
    shelf = shelf.when(ApproveCount(**HERE, count="c1"), now=ago(hours=1), actor="kim").then_event()
    mended = shelf.when(undo(1)).then(MovementReversed, absorbed_by="c1", on_hand=7)
    assert mended.state("stock", "rice:main").on_hand == 7
    shelf.when(mend(1, line(12))).then(MovementCorrected, absorbed_by="c1", on_hand=7)
