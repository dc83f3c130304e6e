"""When several refusals hold, the first in the order of InventoryError is the one that is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.inventory.contract import (
    AdjustLine,
    AdjustReason,
    AdjustStock,
    ApproveCount,
    CountedLot,
    DateKind,
    HoldReason,
    InventoryError,
    QuarantineLot,
    ReceiveTransfer,
    ReleaseReservation,
    ReverseMovement,
    StartCount,
)
from tests.unit.inventory.pantry import (
    HERE,
    NOW,
    PANTRY,
    SOON,
    ago,
    aspirin,
    counted,
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
    send,
)

E = InventoryError
TOMORROW = NOW + timedelta(days=1)
TWICE = (pick(1, "A"), pick(1, "a"))
STALE = date(2026, 11, 1)
SHELF = (*PANTRY, received(5, "A", SOON), received(5, "B", STALE), received(5, "C"))


@pytest.mark.parametrize(
    ("steps", "command", "code"),
    [
        ((), issue(*TWICE, occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        ((), issue(*TWICE, reservation="r9"), E.UNKNOWN_ITEM),
        ((rice,), issue(*TWICE, reservation="r9"), E.UNKNOWN_LOCATION),
        ((opiate, main), issue(*TWICE, reservation="r9"), E.UNKNOWN_RESERVATION),
        ((opiate, main), issue(*TWICE), E.DUPLICATE_LINE),
        ((opiate, main), issue(1), E.CONTROLLED_SUBSTANCE),
        ((aspirin, main, received(5, "A", STALE)), issue(1), E.MEDICINE_FOR_CLINIC_ONLY),
        ((*SHELF, reserve(2, "r1", lot="C"), recall("B")), issue(pick(4, "C"), pick(1, "B")), E.LOT_RECALLED),
        ((*SHELF, hold(lots=("A",)), QuarantineLot(item="rice", quarantine="Q", lot="B", reason="x")),
         issue(pick(1, "A"), pick(1, "B")), E.LOT_QUARANTINED),
        ((*SHELF, hold(lots=("A",))), issue(pick(1, "B"), pick(1, "A")), E.LOT_HELD),
        ((*SHELF,), issue(pick(1, "C"), pick(1, "B")), E.LOT_EXPIRED),
        ((*SHELF, reserve(5, "r1", lot="C")), issue(pick(1, "C"), pick(1, "B")), E.LOT_EXPIRED),
        ((*SHELF, reserve(3, "r1", lot="C")), issue(pick(4, "C")), E.LOT_OUT_OF_ORDER),
        ((*SHELF, reserve(2), ReleaseReservation(**HERE, reservation="r1")), reserve(99, due_at=ago(hours=1)),
         E.RESERVATION_ENDED),
        (PANTRY, reserve(1, due_at=ago(hours=1)), E.INVALID_RANGE),
        (SHELF, send(*TWICE, to="main"), E.SAME_LOCATION),
        (SHELF, send(*TWICE, to="moon"), E.UNKNOWN_LOCATION),
        (SHELF, AdjustStock(**HERE, reason=AdjustReason.LOST, lines=(AdjustLine(lot="A", change=99),) * 2),
         E.DUPLICATE_LINE),
        ((replace(opiate, unusual_above=1), main), received(5), E.CONTROLLED_SUBSTANCE),
        ((replace(rice, unusual_above=1), main), receive(goods(5, "A"), goods(5, "a")), E.DUPLICATE_LINE),
        ((rice, main), receive(goods(1), replace(goods(1), date_kind=DateKind.EXPIRY), goods(1)), E.INCOMPLETE_LINE),
        (SHELF, ReceiveTransfer(**HERE, origin="van", transfer="t1", lines=(CountedLot(quantity=1),) * 2),
         E.UNKNOWN_TRANSFER),
        ((*SHELF, hold("R1")), hold("R1", HoldReason.RECALL), E.UNKNOWN_RECALL),
        ((*SHELF, StartCount(count="c1", location="van")), counted(*(CountedLot(quantity=1),) * 2), E.WRONG_LOCATION),
        (PANTRY, ApproveCount(**HERE, count="c1", occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        ((*PANTRY, received(5, "A"), reserve(2), issue(pick(1, "A"))), ReverseMovement(**HERE, movement=1, reason="x"),
         E.BREAKS_LATER_MOMENT),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(steps: tuple[Any, ...], command: Any, code: InventoryError) -> None:
    given(*steps).when(command).then_rejected(code)


def test_codes_are_their_own_names() -> None:
    assert all(code.name == code.value for code in InventoryError)
