"""Quarantine and recall."""

from __future__ import annotations

from datetime import date

import pytest

from services.inventory.contract import (
    InventoryError,
    LiftRecall,
    LotQuarantined,
    LotRecalled,
    LotReleased,
    QuarantineLot,
    RecallLifted,
    RecallScope,
    ReleaseLot,
)
from tests.unit.inventory.pantry import given, recall, rice

E = InventoryError
QUARANTINE = QuarantineLot(item="rice", quarantine="Q1", lot="A", reason="Weevils seen")
RELEASE = ReleaseLot(item="rice", quarantine="Q1", reason="Only dust")
LIFT = LiftRecall(item="rice", recall="R1", reason="Withdrawn")


def test_a_lot_is_quarantined_and_released_once() -> None:
    given().when(QUARANTINE).then_rejected(E.UNKNOWN_ITEM)
    given(rice).when(RELEASE).then_rejected(E.UNKNOWN_HOLD)
    open_ = given(rice).when(QUARANTINE).then(LotQuarantined, lot="A")
    open_.when(QUARANTINE).then_nothing()
    open_.when(QuarantineLot(item="rice", quarantine="Q1", lot="B", reason="x")).then_rejected(E.ALREADY_EXISTS)
    over = open_.when(RELEASE).then(LotReleased, lot="A")
    over.when(RELEASE).then_nothing()
    over.when(QUARANTINE).then_rejected(E.ALREADY_EXISTS)


def test_a_recall_is_opened_and_lifted_once() -> None:
    given().when(recall("A")).then_rejected(E.UNKNOWN_ITEM)
    given(rice).when(LIFT).then_rejected(E.UNKNOWN_RECALL)
    open_ = given(rice).when(recall("A", "B", notice="F-0420-2026")).then(LotRecalled, scope={"lots": ("A", "B")})
    open_.when(recall("A", "B")).then_nothing()
    open_.when(recall("A")).then_rejected(E.ALREADY_EXISTS)
    over = open_.when(LIFT).then(RecallLifted, scope={"lots": ("A", "B")})
    over.when(LIFT).then_nothing()
    over.when(recall("A")).then_rejected(E.ALREADY_EXISTS)


def test_an_id_names_a_quarantine_or_a_recall_never_both() -> None:
    given(rice, recall("A", id="X")).when(
        QuarantineLot(item="rice", quarantine="X", lot="A", reason="x")
    ).then_rejected(E.ALREADY_EXISTS, id="X")


def test_the_dates_of_a_recall_are_in_order() -> None:
    given(rice).when(recall(first=date(2026, 2, 1), last=date(2026, 1, 1))).then_rejected(E.INVALID_RANGE)


JANUARY = RecallScope(first_date=date(2026, 1, 1), last_date=date(2026, 1, 31))
LOT_A = RecallScope(lots=("A-1",))
EITHER = RecallScope(lots=("A-1",), first_date=date(2026, 1, 1), last_date=date(2026, 1, 31))


@pytest.mark.parametrize(
    ("scope", "lot", "day", "covered"),
    [
        (RecallScope(), "Z", None, True),
        (LOT_A, "a1", None, True),
        (LOT_A, "B", None, False),
        (LOT_A, None, None, True),
        (LOT_A, None, 15, True),
        (LOT_A, "UNKNOWN", 15, True),
        (JANUARY, "Z", 1, True),
        (JANUARY, "Z", 31, True),
        (JANUARY, "Z", 32, False),
        (JANUARY, None, 32, False),
        (JANUARY, None, None, True),
        (JANUARY, "Z", None, True),
        (EITHER, "A-1", 32, True),
        (EITHER, "Z", 15, True),
        (EITHER, "Z", 32, False),
        (EITHER, None, 32, True),
    ],
)
def test_what_a_recall_covers(scope: RecallScope, lot: str | None, day: int | None, covered: bool) -> None:
    dated = None if day is None else date(2026, 1, day) if day < 32 else date(2026, 2, 1)
    assert scope.covers(lot, dated) is covered
