"""Transfers: off one shelf, in transit, onto another."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from services.inventory.contract import (
    AdjustReason,
    Breach,
    CloseLocation,
    DispatchNoted,
    HoldReason,
    InventoryError,
    LotQuantity,
    NoteDispatch,
    NoteOverdue,
    NoteReceipt,
    ReceiptNoted,
    ReceiveTransfer,
    RetireItem,
    Source,
    StorageClass,
    TransferDispatched,
    TransferOverdue,
    TransferReceived,
)
from tests.unit.inventory.pantry import (
    LATER,
    NOW,
    PANTRY,
    SOON,
    ago,
    aspirin,
    cage,
    found,
    given,
    goods,
    hold,
    main,
    opened,
    opiate,
    pick,
    recall,
    receive,
    received,
    reserve,
    rice,
    send,
    stock,
    van,
)

E = InventoryError
ARRIVE = ReceiveTransfer(item="rice", location="van", transfer="t1", origin="main")


def test_goods_in_transit_are_on_nobodys_shelf() -> None:
    shelf = given(*PANTRY, receive(goods(5, "A", SOON), goods(5, "B", LATER)))
    after = shelf.when(send(7, expected_by=NOW + timedelta(hours=4))).then(
        TransferDispatched, moves=[{"lot": "A", "change": -5}, {"lot": "B", "change": -2}],
        goods=[{"lot": "A", "date": SOON, "quantity": 5}, {"lot": "B", "quantity": 2}], on_hand=3, destination="van",
    )  # fmt: skip
    assert (stock(after).on_hand, stock(after, "van").on_hand) == (3, 0)
    after = after.when(ARRIVE).then(
        TransferReceived, moves=[{"lot": "A", "change": 5, "weight": 2500}, {"lot": "B", "change": 2}],
        lost=(), surplus=(),
        on_hand=7,
    )  # fmt: skip
    assert (stock(after).on_hand, stock(after, "van").on_hand) == (3, 7)


def test_a_transfer_is_dispatched_and_received_once() -> None:
    sent = given(*PANTRY, received(5, "A"), send(2))
    sent.when(send(2)).then_rejected(E.ALREADY_EXISTS)
    sent.when(ARRIVE).then_event().when(ARRIVE).then_rejected(E.ALREADY_RECEIVED, movement=1)


def test_a_short_receipt_is_a_loss_with_a_reason() -> None:
    sent = given(*PANTRY, received(5, "A"), send(5))
    short = replace(ARRIVE, lines=(found(3),))
    sent.when(short).then_rejected(E.REASON_REQUIRED, lost=2)
    sent.when(replace(short, loss_reason=AdjustReason.FOUND)).then_rejected(E.REASON_REQUIRED)
    sent.when(replace(short, loss_reason=AdjustReason.STOLEN)).then(
        TransferReceived, lost=[{"lot": "A", "quantity": 2}], moves=[{"change": 3}]
    )


def test_all_of_a_transfer_may_be_lost() -> None:
    sent = given(*PANTRY, received(5, "A"), send(5))
    sent.when(replace(ARRIVE, lines=(), loss_reason=AdjustReason.LOST)).then(
        TransferReceived, moves=(), lost=[{"quantity": 5}], on_hand=0
    )


def test_what_was_not_dispatched_but_came_is_surplus() -> None:
    sent = given(*PANTRY, received(5, "A", SOON), send(2))
    sent.when(replace(ARRIVE, lines=(found(3), found(1, "Z")))).then(
        TransferReceived, moves=[{"lot": "A", "date": SOON, "change": 3}, {"lot": "Z", "change": 1}],
        surplus=[{"lot": "A", "quantity": 1}, {"lot": "Z", "quantity": 1}], breaches=(Breach.SURPLUS,), lost=(),
    )  # fmt: skip


def test_what_left_beyond_the_ledger_is_in_transit_too() -> None:
    sent = (
        given(*PANTRY, received(2, "A"))
        .when(send(5))
        .then(TransferDispatched, goods=[{"lot": "A", "quantity": 2}, {"lot": None, "quantity": 3}])
    )
    sent.when(ARRIVE).then(TransferReceived, on_hand=5)


def test_a_transfer_arrives_where_and_after_it_was_sent() -> None:
    sent = given(*PANTRY, received(5, "A", occurred_at=ago(hours=3)), send(2, occurred_at=ago(hours=2)))
    sent.when(replace(ARRIVE, location="cage")).then_rejected(E.WRONG_LOCATION, destination="van")
    sent.when(replace(ARRIVE, transfer="t9")).then_rejected(E.UNKNOWN_TRANSFER)
    sent.when(replace(ARRIVE, occurred_at=ago(hours=3))).then_rejected(E.INVALID_RANGE)
    sent.when(replace(ARRIVE, lines=(found(1), found(1, "a")))).then_rejected(E.DUPLICATE_LINE)


def test_what_is_on_the_road_arrives_though_nothing_more_should_come() -> None:
    sent = given(*PANTRY, received(5, "A", occurred_at=ago(hours=3)), send(2, occurred_at=ago(hours=2)))
    closed = sent.when(CloseLocation(location="van")).then_event()
    closed.when(ARRIVE).then(TransferReceived, breaches=(Breach.LOCATION_CLOSED,), on_hand=2)
    retired = sent.when(RetireItem(item="rice")).then_event()
    retired.when(ARRIVE).then(TransferReceived, breaches=(Breach.ITEM_RETIRED,), on_hand=2)


def test_a_transfer_goes_elsewhere() -> None:
    shelf = given(*PANTRY, received(5, "A"))
    shelf.when(send(1, to="main")).then_rejected(E.SAME_LOCATION)
    shelf.when(send(1, to="moon")).then_rejected(E.UNKNOWN_LOCATION, location="moon")
    shelf.when(send(pick(1, "A"), pick(1, "a"))).then_rejected(E.DUPLICATE_LINE)
    closed = given(*PANTRY, received(5, "A"), CloseLocation(location="van"))
    closed.when(send(1)).then_rejected(E.LOCATION_CLOSED)
    closed.when(send(1, already_left=True)).then(TransferDispatched, breaches=(Breach.LOCATION_CLOSED,))


def test_what_may_not_be_given_out_goes_to_quarantine_alone() -> None:
    stale = date(2026, 11, 19)
    for step, code in ((hold(), E.LOT_HELD), (recall("A"), E.LOT_RECALLED)):
        shelf = given(*PANTRY, received(5, "A"), step)
        shelf.when(send(1)).then_rejected(code)
        shelf.when(send(1, to="cage")).then(TransferDispatched, breaches=())
    given(*PANTRY, received(5, "A", stale)).when(send(1)).then_rejected(E.LOT_EXPIRED)
    mixed = given(*PANTRY, receive(goods(5, "A", SOON), goods(5, "B", stale)))
    mixed.when(send(1, to="cage")).then(TransferDispatched, moves=[{"lot": "B"}])


def test_a_controlled_substance_goes_to_quarantine_alone() -> None:
    came = received(5, "A", source=Source.PURCHASE, occurred_at=ago(hours=2))
    shelf = given(opiate, main, van, cage).when(came).then_event()
    shelf.when(send(2)).then_rejected(E.CONTROLLED_SUBSTANCE)
    shelf.when(send(2, to="cage")).then(TransferDispatched, breaches=())
    sent = shelf.when(send(2, already_left=True)).then(TransferDispatched, breaches=(Breach.CONTROLLED,))
    sent.when(ARRIVE).then(TransferReceived, breaches=(Breach.CONTROLLED,), on_hand=2)


def test_reserved_goods_stay() -> None:
    shelf = given(*PANTRY, received(5, "A"), reserve(4))
    shelf.when(send(2)).then_rejected(E.STOCK_RESERVED)
    shelf.when(send(2, already_left=True)).then(TransferDispatched, breaches=(Breach.RESERVED_TAKEN,))


def test_goods_come_back_from_quarantine_and_medicine_by_a_pharmacist() -> None:
    kept = given(rice, main, cage, received(5, "A", location="cage"))
    kept.when(send(1, location="cage", to="main")).then(TransferDispatched, breaches=())
    pills = given(aspirin, main, cage, received(5, "A", LATER, location="cage", source=Source.PURCHASE))
    back = send(1, location="cage", to="main")
    pills.when(back).then_rejected(E.PHARMACIST_REQUIRED)
    pills.when(replace(back, already_left=True)).then(TransferDispatched, breaches=(Breach.QUARANTINED,))
    pills.when(back, mandate="pharmacist").then(TransferDispatched, breaches=())


def test_a_transfer_of_recalled_goods_is_held_where_it_arrives() -> None:
    sent = given(*PANTRY, received(5, "A"), send(5), recall("A"))
    sent.when(ARRIVE).then(TransferReceived, holds=[{"hold": "R1", "reason": HoldReason.RECALL}])


def test_a_warmer_destination_is_named() -> None:
    frozen = replace(rice, storage=StorageClass.FROZEN)
    sent = given(frozen, opened("main", storage=StorageClass.FROZEN), van, received(5, "A"), send(5))
    sent.when(ARRIVE).then(TransferReceived, breaches=(Breach.STORAGE_MISMATCH,))


# -- the memory of transfers ------------------------------------------------------------------------------------------

NOTED = NoteDispatch(
    transfer="t1", item="rice", origin="main", destination="van", goods=(LotQuantity(lot="A", quantity=5),),
    expected_by=NOW,
)  # fmt: skip


def test_a_transfer_is_noted_until_all_of_it_arrived() -> None:
    both = given().when(NOTED).then(DispatchNoted).when(replace(NOTED, item="beans")).then(DispatchNoted)
    both.when(NOTED).then_nothing()
    both.when(replace(NOTED, destination="cage")).then_rejected(E.ALREADY_EXISTS)
    one = both.when(NoteReceipt(transfer="t1", item="rice")).then(ReceiptNoted, complete=False)
    one.when(NoteReceipt(transfer="t1", item="rice")).then_nothing()
    one.when(NoteReceipt(transfer="t1", item="beans")).then(ReceiptNoted, complete=True)
    one.when(NoteReceipt(transfer="t1", item="oil")).then_rejected(E.UNKNOWN_TRANSFER)


def test_a_late_transfer_is_noted_once() -> None:
    late = NoteOverdue(transfer="t1")
    given().when(late).then_rejected(E.UNKNOWN_TRANSFER)
    given(NOTED).when(late, now=ago(hours=1)).then_rejected(E.NOT_YET_DUE)
    noted = given(NOTED).when(late).then(TransferOverdue, items=("rice",), due_at=NOW)
    noted.when(late).then_nothing()
    given(NOTED, NoteReceipt(transfer="t1", item="rice")).when(late).then_nothing()
