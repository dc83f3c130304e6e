"""Transfers are followed from door to door, reservations end in time, and repacked goods are taken in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.inventory.contract import (
    DispatchNoted,
    MadeFrom,
    NoteOverdue,
    ReceiptLine,
    ReceiptNoted,
    ReceiveStock,
    ReservationExpired,
    Source,
    TransferOverdue,
)
from services.inventory.processes import Repacking, Reservations, Transfers
from shared.errors import Rejected
from tests.support.following import Follower
from tests.support.pantry import Pantry


@pytest.fixture
def pantry() -> Pantry:
    pantry = Pantry().furnish()
    pantry.receive(40, "A")
    pantry.receive(12000, "M", item="milk")
    return pantry


def dispatch(pantry: Pantry, item: str, transfer: str = "t-1", hours: int | None = None) -> None:
    due = None if hours is None else pantry.now + timedelta(hours=hours)
    pantry.do(
        "DispatchTransfer", item=item, location="store", transfer=transfer, destination="site",
        lines=[{"quantity": 10}], expected_by=due,
    )  # fmt: skip


def receive(pantry: Pantry, item: str, transfer: str = "t-1", **more: object) -> None:
    pantry.do("ReceiveTransfer", item=item, location="site", transfer=transfer, origin="store", **more)


def test_dispatch_and_receipt_of_each_item_are_noted(pantry: Pantry) -> None:
    transfers = Follower(pantry, Transfers())
    dispatch(pantry, "rice")
    dispatch(pantry, "milk")
    receive(pantry, "rice", lines=[{"lot": "A", "quantity": 8}], loss_reason="damaged")
    receive(pantry, "milk")
    made = [event.data for event in transfers.settle()]
    assert [(type(e), e.item) for e in made] == [
        (DispatchNoted, "rice"), (DispatchNoted, "milk"), (ReceiptNoted, "rice"), (ReceiptNoted, "milk"),
    ]  # fmt: skip
    assert [(line.lot, line.quantity) for line in made[2].lost] == [("A", 2)]
    assert [e.complete for e in made[2:]] == [False, True]
    assert {e.occurred_at for e in made} == {pantry.now}


def test_a_late_transfer_is_noted_once(pantry: Pantry) -> None:
    transfers = Follower(pantry, Transfers())
    dispatch(pantry, "rice", hours=4)
    dispatch(pantry, "milk", hours=5)
    transfers.settle()
    assert transfers.wait(hours=3) == []
    (late,) = transfers.wait(hours=1)
    assert late.command == NoteOverdue(transfer="t-1")
    (noted,) = transfers.carry_out([late])
    assert isinstance(noted.data, TransferOverdue)
    assert noted.data.items == ("rice",)
    assert transfers.wait(hours=24) == []


def test_goods_that_arrived_are_not_late(pantry: Pantry) -> None:
    transfers = Follower(pantry, Transfers())
    dispatch(pantry, "rice", hours=4)
    dispatch(pantry, "milk", hours=6)
    transfers.settle()
    (late,) = transfers.wait(hours=4)
    receive(pantry, "rice")
    receive(pantry, "milk")
    transfers.settle()
    assert transfers.manager.moot(late)
    assert transfers.wait(hours=24) == []


def reserve(pantry: Pantry, reservation: str, hours: int | None) -> None:
    due = None if hours is None else pantry.now + timedelta(hours=hours)
    pantry.do(
        "ReserveStock", item="rice", location="store", reservation=reservation, quantity=5, purpose="household",
        due_at=due,
    )  # fmt: skip


def test_a_reservation_ends_when_it_is_due(pantry: Pantry) -> None:
    clock = Follower(pantry, Reservations())
    reserve(pantry, "r1", 2)
    reserve(pantry, "r2", 1)
    reserve(pantry, "r3", None)
    assert clock.wait(minutes=59) == []
    for reservation in ("r2", "r1"):
        (expired,) = clock.carry_out(clock.wait(hours=1))
        assert isinstance(expired.data, ReservationExpired)
        assert expired.data.reservation == reservation
    assert clock.wait(days=400) == []


def test_a_reservation_that_ended_otherwise_is_left_alone(pantry: Pantry) -> None:
    clock = Follower(pantry, Reservations())
    for number in range(1, 5):
        reserve(pantry, f"r{number}", 2)
    (late,) = (step for step in clock.wait(hours=3) if step.command.reservation == "r4")
    clock = Follower(pantry, Reservations())
    pantry.later(hours=-3)
    pantry.do("ReleaseReservation", item="rice", location="store", reservation="r1")
    pantry.do("IssueStock", item="rice", location="store", purpose="household", reservation="r2")
    pantry.do(
        "IssueStock", item="rice", location="store", purpose="household", reservation="r3", lines=[{"quantity": 1}],
        keep_rest=True,
    )  # fmt: skip
    assert [step.command.reservation for step in clock.wait(hours=3)] == ["r3", "r4"]
    assert not clock.manager.moot(late)
    pantry.do("ReleaseReservation", item="rice", location="store", reservation="r4")
    clock.catch_up()
    assert clock.manager.moot(late)


def test_what_repacking_made_of_other_items_is_taken_in(pantry: Pantry) -> None:
    repacking = Follower(pantry, Repacking())
    pantry.do("RegisterItem", item="parcel", name="Parcel", unit="each", unusual_above=2)
    pantry.receive(5, "B")
    pantry.later(hours=5)
    earlier = pantry.now - timedelta(hours=2)
    into = [{"item": "parcel", "lot": "P1", "quantity": 9}, {"item": "rice", "lot": "A2", "quantity": 2}]
    repacked = pantry.do(
        "RepackStock", item="rice", location="store", lines=[{"quantity": 12, "lot": "A"}, {"quantity": 8, "lot": "B"}],
        into=into, occurred_at=earlier, already_left=True,
    )  # fmt: skip
    assert repacked is not None
    (step,) = repacking.catch_up()
    sources = tuple(MadeFrom(item="rice", lot=lot) for lot in ("A", "B", None))  # 3 of B were not on the ledger
    assert step.command == ReceiveStock(
        item="parcel", location="store", occurred_at=earlier, source=Source.REPACK, confirm_unusual=True,
        lines=(ReceiptLine(lot="P1", quantity=9, made_from=sources),),
    )  # fmt: skip
    repacking.carry_out([step])
    assert pantry.state("stock", "parcel:store").on_hand == 9


def test_lots_that_were_named_are_named_again_though_the_ledger_had_none(pantry: Pantry) -> None:
    repacking = Follower(pantry, Repacking())
    pantry.do("RegisterItem", item="parcel", name="Parcel", unit="each")
    lines, into = [{"quantity": 2, "lot": "Z"}], [{"item": "parcel", "quantity": 1}]
    pantry.do("RepackStock", item="rice", location="site", lines=lines, into=into, already_left=True)
    (step,) = repacking.catch_up()
    assert MadeFrom(item="rice", lot="Z") in step.command.lines[0].made_from


def test_more_lots_than_a_line_may_name_are_counted(pantry: Pantry) -> None:
    repacking = Follower(pantry, Repacking())
    for number in range(25):
        pantry.receive(1, f"L{number:02}", item="ibuprofen", source="purchase")
    pantry.do("RegisterItem", item="kit", name="First-aid kit", unit="each", medicine=True)
    lines, into = [{"quantity": 25}], [{"item": "kit", "quantity": 25}]
    repacked = pantry.do("RepackStock", item="ibuprofen", location="store", lines=lines, into=into, already_left=True)
    assert repacked is not None
    (step,) = repacking.catch_up()
    assert len(step.command.lines[0].made_from) == 20
    assert step.command.note == f"Made from 25 lots; the event {repacked.id} names them all."
    assert repacking.carry_out([step])


def test_a_step_nobody_refused_cannot_be_resolved(pantry: Pantry) -> None:
    with pytest.raises(Rejected, match="No step"):
        pantry.do("ResolveStep", step="s-1", note="Done by hand.")
    refusal = {
        "step": "s-1", "manager": "repacking", "cause": "e-1", "service": "inventory", "command": "ReceiveStock",
        "target": "stock/kit:store", "code": "LOCATION_CLOSED", "detail": "The location is closed.",
    }  # fmt: skip
    assert pantry.do("NoteRefusal", **refusal)
    assert pantry.do("NoteRefusal", **refusal) is None
    assert pantry.do("ResolveStep", step="s-1", note="Received by hand.")
    assert pantry.do("ResolveStep", step="s-1", note="Received by hand.") is None
