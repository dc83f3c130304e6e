"""The shelf's figures after everything that can happen to a shelf."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from services.projections.stock_on_hand import StockOnHand
from shared.projection import Rows, Unfoldable, fold
from tests.support.pantry import Pantry, rows_of, table


@pytest.fixture
def pantry() -> Pantry:
    return Pantry().furnish()


def figures(pantry: Pantry, item: str = "rice", location: str = "store") -> dict[str, tuple[int, int, int, int]]:
    """On hand, reserved, held and available, by lot key."""
    return {
        row["lot_key"]: (row["on_hand"], row["reserved"], row["held"], row["available"])
        for row in table(StockOnHand(), pantry.events)
        if (row["item"], row["location"]) == (item, location)
    }


def test_receipts_and_issues_add_up_by_lot(pantry: Pantry) -> None:
    pantry.receive(10, "A", date="2026-09-01")
    pantry.receive(5, "B", date="2026-08-01")
    pantry.receive(3)
    pantry.issue(6)
    assert figures(pantry) == {"A|2026-09-01|use_by|": (9, 0, 0, 9), "": (3, 0, 0, 3)}


def test_what_stands_on_another_aggregate_does_not_count(pantry: Pantry) -> None:
    """It is parked: verify folds it there, and the shelf would say what no stock holds."""
    pantry.receive(10, "A")
    event = pantry.events[-1]
    strange = replace(event, envelope=structs.replace(event.envelope, subject="donor/d-1"))
    with pytest.raises(Unfoldable, match="its data is of 'stock/rice:store'"):
        fold(StockOnHand(), [strange], Rows(StockOnHand.tables, whole=True))


def test_spellings_of_one_lot_are_one_row_that_keeps_the_first_spelling(pantry: Pantry) -> None:
    pantry.receive(10, "l 12-34a")
    pantry.receive(5, "L1234A")
    (row,) = table(StockOnHand(), pantry.events)
    assert (row["lot"], row["lot_form"], row["on_hand"]) == ("l 12-34a", "L1234A", 15)


def test_a_lot_written_as_unknown_is_no_lot(pantry: Pantry) -> None:
    pantry.receive(10, "UNKNOWN")
    (row,) = table(StockOnHand(), pantry.events)
    assert (row["lot"], row["lot_key"]) == (None, "")


def test_goods_of_two_owners_stand_apart(pantry: Pantry) -> None:
    pantry.receive(10, "A", owner="government")
    pantry.receive(4, "A")
    assert {row["owner"]: row["on_hand"] for row in table(StockOnHand(), pantry.events)} == {"government": 10, None: 4}


def test_what_is_reserved_is_on_hand_and_not_available_until_used_released_or_expired(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    for reservation, quantity in (("r1", 4), ("r2", 3), ("r3", 2)):
        pantry.do(
            "ReserveStock", item="rice", location="store", reservation=reservation, quantity=quantity,
            purpose="household", due_at=pantry.now + timedelta(hours=1),
        )  # fmt: skip
    assert figures(pantry) == {"A": (10, 9, 0, 1)}
    pantry.do("IssueStock", item="rice", location="store", purpose="household", reservation="r1")
    assert figures(pantry) == {"A": (6, 5, 0, 1)}
    pantry.do("ReleaseReservation", item="rice", location="store", reservation="r2")
    assert figures(pantry) == {"A": (6, 2, 0, 4)}
    pantry.later(hours=2)
    pantry.do("ExpireReservation", item="rice", location="store", reservation="r3")
    assert figures(pantry) == {"A": (6, 0, 0, 6)}


def test_a_fact_that_takes_what_is_reserved_lowers_the_reservation(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.do("ReserveStock", item="rice", location="store", reservation="r1", quantity=8, purpose="household")
    pantry.issue(5, already_left=True)
    assert figures(pantry) == {"A": (5, 5, 0, 0)}


def test_a_held_lot_is_held_whole_and_so_is_what_arrives_of_it(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.receive(7, "B")
    pantry.do("HoldStock", item="rice", location="store", hold="h1", reason="damage", lots=["A"])
    pantry.receive(5, "A")
    assert figures(pantry) == {"A": (15, 0, 15, 0), "B": (7, 0, 0, 7)}
    pantry.do("HoldStock", item="rice", location="store", hold="h2", reason="inspection")
    pantry.do("ReleaseHold", item="rice", location="store", hold="h1")
    assert figures(pantry) == {"A": (15, 0, 15, 0), "B": (7, 0, 7, 0)}
    pantry.do("ReleaseHold", item="rice", location="store", hold="h2")
    assert figures(pantry) == {"A": (15, 0, 0, 15), "B": (7, 0, 0, 7)}


def test_goods_of_a_recalled_lot_are_held_on_arrival(pantry: Pantry) -> None:
    pantry.do("RecallLot", item="rice", recall="rc1", scope={"lots": ["A"]}, reason="salmonella")
    pantry.receive(10, "A")
    (row,) = table(StockOnHand(), pantry.events)
    assert (row["held"], row["holds"]) == (10, ["rc1"])


def test_an_emptied_lot_goes_unless_a_hold_waits_for_more_of_it(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.receive(10, "B")
    pantry.do("HoldStock", item="rice", location="store", hold="h1", reason="damage", lots=["A"])
    for lot in ("A", "B"):
        pantry.do("DisposeStock", item="rice", location="store", reason="damaged", lines=[{"quantity": 10, "lot": lot}])
    assert figures(pantry) == {"A": (0, 0, 0, 0)}


def test_what_left_beyond_the_ledger_leaves_nothing_below_zero(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.issue(12, already_left=True)
    assert figures(pantry) == {}


def test_reversal_and_correction_give_the_figure_that_should_have_been(pantry: Pantry) -> None:
    first = pantry.receive(144, "A")
    wrong = pantry.receive(7, "B")
    pantry.issue(2, "A")
    pantry.do(
        "CorrectMovement", item="rice", location="store", movement=first.revision, reason="typed wrongly",
        lines=[{"lot": "A", "quantity": 12}],
    )  # fmt: skip
    pantry.do("ReverseMovement", item="rice", location="store", movement=wrong.revision, reason="other pantry's")
    assert figures(pantry) == {"A": (10, 0, 0, 10)}


def test_a_late_movement_before_an_approved_count_changes_no_figure(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    morning = pantry.now
    pantry.later(days=1)
    _count(pantry, "rice", "store", [{"lot": "A", "quantity": 9}])
    assert figures(pantry) == {"A": (9, 0, 0, 9)}
    pantry.later(days=1)
    pantry.issue(1, "A", occurred_at=morning + timedelta(hours=1))
    assert figures(pantry) == {"A": (9, 0, 0, 9)}


def test_a_transfer_leaves_one_shelf_and_reaches_the_other_less_what_was_lost(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.do(
        "DispatchTransfer", item="rice", location="store", transfer="t1", destination="site",
        lines=[{"quantity": 6, "lot": "A"}],
    )  # fmt: skip
    assert figures(pantry) == {"A": (4, 0, 0, 4)}
    assert figures(pantry, location="site") == {}
    pantry.later(hours=1)
    pantry.do(
        "ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store", loss_reason="damaged",
        lines=[{"lot": "A", "quantity": 5}],
    )  # fmt: skip
    assert figures(pantry, location="site") == {"A": (5, 0, 0, 5)}


def test_repacked_goods_take_the_place_of_those_they_came_from(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.do(
        "RepackStock", item="rice", location="store", lines=[{"quantity": 4, "lot": "A"}],
        into=[{"item": "rice", "lot": "P1", "quantity": 4}],
    )  # fmt: skip
    assert figures(pantry) == {"A": (6, 0, 0, 6), "P1": (4, 0, 0, 4)}


def test_the_rows_do_not_depend_on_where_the_fold_was_interrupted(pantry: Pantry) -> None:
    pantry.receive(10, "A")
    pantry.do("HoldStock", item="rice", location="store", hold="h1", reason="damage")
    pantry.issue(3, already_left=True)
    whole = rows_of(StockOnHand(), pantry.events).all("stock_on_hand")
    rows = rows_of(StockOnHand(), pantry.events[:-2])
    for event in pantry.events[-2:]:
        StockOnHand().apply(event, rows)
    assert rows.all("stock_on_hand") == whole


def _count(pantry: Pantry, item: str, location: str, lines: list[dict[str, Any]], count: str = "c1") -> None:
    pantry.do("StartCount", count=count, location=location, items=[item])
    pantry.do("RecordCount", count=count, location=location, item=item, lines=lines, actor="kim")
    pantry.later(minutes=10)
    pantry.do("ApproveCount", count=count, location=location, item=item, actor="sam")
