"""Counts: recorded at their moment, approved by somebody else, and what comes late afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.inventory.contract import (
    ApproveCount,
    Breach,
    CountApproved,
    CountRecorded,
    CountStarted,
    Freeing,
    InventoryError,
    MovementReversed,
    ReverseMovement,
    Source,
    StartCount,
    StockIssued,
    StockReceived,
)
from services.inventory.timeline import microseconds
from tests.support.sentences import Given
from tests.unit.inventory.pantry import (
    HERE,
    LATER,
    NOW,
    PANTRY,
    SOON,
    ago,
    aspirin,
    counted,
    found,
    given,
    goods,
    hold,
    issue,
    main,
    opened,
    pick,
    recall,
    receive,
    received,
    reserve,
    rice,
    stock,
)

E = InventoryError
START = StartCount(count="c1", location="main")
APPROVE = ApproveCount(**HERE, count="c1")


def test_a_count_is_started_once_at_a_known_location() -> None:
    given().when(START).then_rejected(E.UNKNOWN_LOCATION)
    started = given(main).when(START).then(CountStarted)
    started.when(START).then_nothing()
    started.when(replace(START, items=("rice",))).then_rejected(E.ALREADY_EXISTS)
    given(main).when(replace(START, items=("rice", "rice"))).then_rejected(E.DUPLICATE_LINE)


def test_what_was_found_is_compared_with_the_ledger_at_that_moment() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A", SOON), goods(5), occurred_at=ago(hours=3)), START)
    shelf = shelf.when(issue(pick(2, "A"), occurred_at=ago(hours=1))).then_event()
    shelf.when(counted(found(4), occurred_at=ago(hours=2)), actor="kim").then(
        CountRecorded, counted_by="kim", occurred_at=ago(hours=2),
        variances=[
            {"lot": "A", "date": SOON, "expected": 5, "variance": -1},
            {"lot": None, "expected": 5, "variance": -5},
        ],
    )  # fmt: skip


def test_a_count_is_of_its_own_location_and_items() -> None:
    given(*PANTRY).when(counted()).then_rejected(E.UNKNOWN_COUNT)
    started = given(*PANTRY, replace(START, items=("beans",)))
    started.when(counted()).then_rejected(E.NOT_IN_COUNT)
    started.when(counted(location="van")).then_rejected(E.WRONG_LOCATION, location="main")
    started.when(counted(item="oil")).then_rejected(E.UNKNOWN_ITEM)
    given(*PANTRY, START).when(counted(found(1), found(2, "a"))).then_rejected(E.DUPLICATE_LINE)
    given(*PANTRY, START).when(counted(found(1, date=SOON))).then_rejected(E.INCOMPLETE_LINE)


def test_the_same_record_again_changes_nothing_and_a_recount_replaces_it() -> None:
    record = counted(found(4), occurred_at=ago(minutes=1))
    once = given(*PANTRY, received(5), START).when(record).then(CountRecorded)
    once.when(record).then_nothing()
    again = once.when(counted(found(5))).then(CountRecorded)
    again.when(APPROVE, actor="kim").then(CountApproved, record=3, moves=())


def test_approval_asserts_the_balance_at_the_moment_of_counting() -> None:
    shelf = given(*PANTRY, received(10, "A", occurred_at=ago(hours=5)), START)
    shelf = shelf.when(counted(found(7), occurred_at=ago(hours=2))).then_event()
    shelf = shelf.when(issue(2, occurred_at=ago(hours=1))).then_event()
    after = shelf.when(APPROVE, actor="kim").then(
        CountApproved, moves=[{"lot": "A", "change": -3, "on_hand": 5}], on_hand=5, effective_at=ago(hours=2),
        occurred_at=NOW, counted_by="sam", approved_by="kim", counted=[{"lot": "A", "quantity": 7}],
    )  # fmt: skip
    row = stock(after).rows["A"]
    assert row.timeline.balance_at(microseconds(ago(hours=2))) == 7
    after.when(APPROVE, actor="kim").then_nothing()


def test_a_lot_that_was_not_listed_was_not_there() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A"), goods(5, "B")), START, counted(found(5), occurred_at=NOW))
    shelf.when(APPROVE, actor="kim").then(CountApproved, moves=[{"lot": "B", "change": -5}], on_hand=5)


def test_a_lot_that_the_ledger_did_not_have_is_there_now() -> None:
    shelf = given(*PANTRY, START, counted(found(5, "N"), occurred_at=NOW))
    shelf.when(APPROVE, actor="kim").then(CountApproved, moves=[{"lot": "N", "change": 5}], on_hand=5)


def test_whoever_counted_approves_only_small_variances() -> None:
    ten = opened("main", self_approval=10)
    shelf = given(rice, ten, received(100, "A"), START)
    small = shelf.when(counted(found(90))).then_event()
    small.when(APPROVE).then(CountApproved, approved_by="sam")
    large = shelf.when(counted(found(89))).then_event()
    large.when(APPROVE).then_rejected(E.SECOND_PERSON_REQUIRED, variance=11, expected=100)
    large.when(APPROVE, actor="kim").then(CountApproved)
    given(*PANTRY, received(100), START, counted(found(99))).when(APPROVE).then_rejected(E.SECOND_PERSON_REQUIRED)
    given(*PANTRY, received(100), START, counted(found(100))).when(APPROVE).then(CountApproved, moves=())


def test_a_variance_up_and_down_is_no_smaller_for_adding_up_to_nothing() -> None:
    shelf = given(rice, opened("main", self_approval=10), receive(goods(50, "A"), goods(50, "B")), START)
    shelf = shelf.when(counted(found(40, "A"), found(60, "B"))).then_event()
    shelf.when(APPROVE).then_rejected(E.SECOND_PERSON_REQUIRED, variance=20)


def test_the_count_of_a_medicine_is_never_self_approved() -> None:
    pills = given(aspirin, opened("main", self_approval=100), received(5, "A", LATER, source=Source.PURCHASE), START)
    pills = pills.when(counted(found(5))).then_event()
    pills.when(APPROVE).then_rejected(E.SECOND_PERSON_REQUIRED)
    pills.when(APPROVE, actor="kim").then(CountApproved, medicine=True)


def test_approval_that_a_later_movement_contradicts_is_refused_with_moment_and_figure() -> None:
    shelf = given(*PANTRY, received(10, "A", occurred_at=ago(hours=5)), START)
    shelf = shelf.when(counted(found(5), occurred_at=ago(hours=3))).then_event()
    shelf = shelf.when(issue(8, occurred_at=ago(hours=2))).then_event()
    shelf.when(APPROVE, actor="kim").then_rejected(
        E.BREAKS_LATER_MOMENT, moment=ago(hours=2).isoformat(), balance=2, change=-5, movements=[2]
    )


def test_what_was_found_missing_is_no_longer_reserved() -> None:
    shelf = given(*PANTRY, received(10, "A"), reserve(8), START, counted(found(5), occurred_at=NOW))
    shelf.when(APPROVE, actor="kim").then(
        CountApproved, freed=[{"reservation": "r1", "quantity": 3, "why": Freeing.TAKEN}],
        breaches=(Breach.RESERVED_TAKEN,),
    )  # fmt: skip


def test_approval_needs_a_record() -> None:
    given(*PANTRY).when(APPROVE).then_rejected(E.UNKNOWN_COUNT)
    given(*PANTRY, START).when(APPROVE).then_rejected(E.NOT_IN_COUNT)
    given(*PANTRY, StartCount(count="c1", location="van")).when(APPROVE).then_rejected(E.WRONG_LOCATION)


@pytest.fixture
def approved() -> Given:
    """Ten came five hours ago and seven were counted two hours ago."""
    shelf = given(*PANTRY, received(10, "A", occurred_at=ago(hours=5)), START)
    shelf = shelf.when(counted(found(7), occurred_at=ago(hours=2))).then_event()
    return shelf.when(APPROVE, actor="kim").then_event()


def test_an_older_count_is_not_approved_over_a_newer(approved: Given) -> None:
    approved = approved.when(replace(START, count="c2")).then_event()
    old = counted(found(9), id="c2", occurred_at=ago(hours=3))
    approved.when(old).then_rejected(E.COUNT_SUPERSEDED, count="c1")
    recount = approved.when(counted(found(9), occurred_at=ago(hours=3))).then_event()
    recount.when(APPROVE, actor="kim").then_rejected(E.COUNT_SUPERSEDED)


def test_a_late_movement_before_the_count_changes_its_variance_and_no_figure_after(approved: Given) -> None:
    late = approved.when(issue(2, occurred_at=ago(hours=3))).then(
        StockIssued, absorbed_by="c1", moves=[{"lot": None, "change": -2, "unrecorded": 0, "on_hand": 0}], on_hand=7,
        breaches=(),
    )  # fmt: skip
    late = late.when(issue(pick(2, "A"), occurred_at=ago(hours=3))).then(
        StockIssued, absorbed_by="c1", moves=[{"lot": "A", "change": -2, "on_hand": 7}], on_hand=7
    )
    late = late.when(received(5, "B", occurred_at=ago(hours=4))).then(
        StockReceived, absorbed_by="c1", moves=[{"lot": "B", "change": 5, "on_hand": 0}], on_hand=7
    )
    assert (stock(late).on_hand, stock(late).present) == (7, ["A"])


def test_a_late_movement_before_the_count_names_what_it_broke(approved: Given) -> None:
    gone = issue(pick(2, "A"), occurred_at=ago(hours=3))
    for step, breach in ((recall("A"), Breach.RECALLED), (hold(lots=("A",)), Breach.HELD)):
        approved.when(step).then_event().when(gone).then(StockIssued, absorbed_by="c1", breaches=(breach,))
    unknown = approved.when(recall("Z")).then_event()
    unknown.when(gone).then(StockIssued, absorbed_by="c1", breaches=())
    unknown.when(issue(pick(2, "Z"), occurred_at=ago(hours=3))).then(StockIssued, breaches=(Breach.RECALLED,))
    stale = issue(pick(2, "A", date=date(2026, 11, 19)), occurred_at=ago(hours=3))
    approved.when(stale).then(StockIssued, absorbed_by="c1", breaches=(Breach.EXPIRED,))


def test_a_movement_after_the_count_moves_the_figure(approved: Given) -> None:
    approved.when(issue(2, occurred_at=ago(hours=1))).then(StockIssued, absorbed_by=None, on_hand=5)


def test_a_late_issue_against_a_reservation_ends_it_all_the_same(approved: Given) -> None:
    reserved = approved.when(reserve(3)).then_event()
    after = reserved.when(issue(reservation="r1", occurred_at=ago(hours=3))).then(
        StockIssued, absorbed_by="c1", freed=[{"quantity": 3, "why": Freeing.USED}], on_hand=7
    )
    assert stock(after).rows["A"].reserved == 0


def test_what_came_before_the_count_can_still_be_reversed_without_moving_the_figure(approved: Given) -> None:
    after = approved.when(ReverseMovement(**HERE, movement=1, reason="Another pantry's delivery")).then(
        MovementReversed, absorbed_by="c1", moves=[{"lot": "A", "change": -10, "on_hand": 7}], on_hand=7
    )
    assert stock(after).on_hand == 7


def test_what_is_mended_stands_where_it_stood_also_in_the_very_moment_of_the_count() -> None:
    at = ago(hours=2)
    shelf = given(*PANTRY, received(10, "A", occurred_at=at), START)
    shelf = shelf.when(counted(found(7), occurred_at=at)).then_event()
    shelf = shelf.when(APPROVE, actor="kim").then(CountApproved, on_hand=7)
    after = shelf.when(ReverseMovement(**HERE, movement=1, reason="Another pantry's delivery")).then(
        MovementReversed, absorbed_by="c1", on_hand=7
    )
    assert stock(after).on_hand == 7


def test_what_came_before_the_count_but_one_cannot(approved: Given) -> None:
    second = approved.when(replace(START, count="c2")).then_event()
    second = second.when(counted(found(7), id="c2", occurred_at=ago(hours=1))).then_event()
    second = second.when(replace(APPROVE, count="c2"), actor="kim").then(CountApproved, moves=())
    second.when(ReverseMovement(**HERE, movement=1, reason="x")).then_rejected(E.UNKNOWN_MOVEMENT)


def test_counts_and_what_is_empty_let_go_of_the_past() -> None:
    shelf = given(*PANTRY)
    for day in range(5, 0, -1):
        at = NOW - timedelta(days=day)
        shelf = shelf.when(received(3, f"L{day}", occurred_at=at)).then_event()
        shelf = shelf.when(issue(3, occurred_at=at + timedelta(hours=1))).then_event()
        shelf = shelf.when(replace(START, count=f"c{day}")).then_event()
        shelf = shelf.when(counted(id=f"c{day}", occurred_at=at + timedelta(hours=2))).then_event()
        shelf = shelf.when(replace(APPROVE, count=f"c{day}"), actor="kim").then_event()
    assert list(stock(shelf).rows) == ["L1"]
