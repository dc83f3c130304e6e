"""What follows from orders, boxes and visits, one case at a time, over both services' deciders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from services.distribution.box import Where
from services.distribution.contract import (
    BoxHandedOut,
    ClaimEntitlement,
    EntitlementClaimed,
    GoodsFreed,
    GoodsReserved,
    NoShowRecorded,
    OrderCancelled,
    ProcessStepRefused,
    ProcessStepResolved,
    Stage,
    VisitRecorded,
)
from services.distribution.processes import Fulfilling
from services.distribution.processes.names import is_visit, order_of, reservation_of
from services.inventory.contract import (
    IssueStock,
    MovementReversed,
    ReleaseReservation,
    ReserveStock,
    StockHeld,
    StockIssued,
    StockRepacked,
)
from services.inventory.shelf import Stock
from shared.errors import Rejected
from shared.event import Recorded
from shared.manager import Step
from tests.support.couriers import Town
from tests.support.sentences import opened

WEEK = "2026-W47"
YILMAZ = {"household": "yilmaz", "programme": "box", "period": WEEK}


class Friday(Town):
    """A hall with ten of rice (two lots) and four of milk, one box a week, and two households."""

    def __init__(self) -> None:
        super().__init__()
        self.inventory.do("OpenLocation", location="hall", name="Hall", kind="site")
        for item, cold in (("rice", "ambient"), ("milk", "chilled"), ("beans", "ambient")):
            self.inventory.do("RegisterItem", item=item, name=item, unit="each", storage=cold, allergens=[])
        for item, lot, quantity in (("rice", "A", 6), ("rice", "B", 4), ("milk", "M", 4)):
            lines = [{"lot": lot, "quantity": quantity}]
            self.inventory.do("ReceiveStock", item=item, location="hall", source="donation", lines=lines)
        self.do("OpenProgramme", programme="box", name="Boxes", kind="box")
        self.do("SetLimit", programme="box", times=1, every="week")
        for household in ("yilmaz", "okafor"):
            self.do("RegisterHousehold", household=household, size=2)
        at = {"starts_at": "2026-11-20T08:00:00Z", "ends_at": "2026-11-20T11:00:00Z"}
        self.do("ScheduleSession", session="s", programme="box", site="hall", name="S", **at)
        self.do("OpenSession", session="s")
        self.settle()

    def do(self, name: str, /, **fields: Any) -> Recorded | None:
        """A command to distribution, and a minute passes."""
        self.later(minutes=1)
        return self.distribution.do(name, **fields)

    def ordered(self, order: str = "o1", household: str = "yilmaz", **goods: int) -> None:
        lines = [{"item": item, "quantity": quantity} for item, quantity in (goods or {"rice": 8}).items()]
        self.do("PlaceOrder", order=order, household=household, session="s", lines=lines)
        self.do("ConfirmOrder", order=order)

    def boxed(self, box: str = "b1", order: str = "o1", **goods: int) -> None:
        self.ordered(order, **goods)
        self.settle()
        self.do("PackBox", box=box, order=order)
        self.settle()

    def stock(self, item: str = "rice") -> Stock:
        stock: Stock = self.inventory.state("stock", f"{item}:hall")
        return stock

    def claims(self, household: str = "yilmaz") -> set[str]:
        claims: set[str] = self.distribution.state("entitlement", f"{household}:box:{WEEK}").claims
        return claims

    def remembered(self) -> dict[str, Any]:
        """What the manager keeps in memory of orders, boxes and visits."""
        manager = self.couriers[0].managers[0]
        assert isinstance(manager, Fulfilling)
        kept = {"orders": manager._orders, "sent": manager._sent, "issuing": manager._issuing}
        return {name: dict(one) for name, one in kept.items() if one}

    def refused(self) -> list[ProcessStepRefused]:
        """Refused steps that wait for a person."""
        return [
            event
            for event in self.distribution.of(ProcessStepRefused)
            if not self.distribution.state("process", event.step).resolved
        ]


@pytest.fixture
def friday() -> Friday:
    return Friday()


def seen(manager: Fulfilling, events: Iterable[Recorded]) -> list[Step]:
    return [step for event in events if isinstance(event.data, manager.reads) for step in manager.react(event)]


def test_goods_leave_by_the_lots_that_were_packed(friday: Friday) -> None:
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    friday.settle()
    (issued,) = friday.inventory.of(StockIssued)
    assert [(move.lot, move.change) for move in issued.moves] == [("A", -6), ("B", -2)]
    assert (issued.recipient, issued.reservation, issued.breaches) == ("b1", "d-o1", ())
    assert friday.distribution.state("order", "o1").stage is Stage.COMPLETED
    assert friday.claims() == {"o1"}
    assert not friday.stock().reservations


def test_what_has_no_lot_leaves_from_what_has_none(friday: Friday) -> None:
    for lot in ({}, {"lot": "C"}):
        lines = [{"quantity": 2, **lot}]
        friday.inventory.do("ReceiveStock", item="beans", location="hall", source="donation", lines=lines)
    friday.boxed(beans=3)
    lines = [{"lot": "C", "quantity": 1}]
    friday.inventory.do("IssueStock", item="beans", location="hall", purpose="meal", lines=lines, already_left=True)
    friday.do("HandOutBox", box="b1")
    friday.settle()
    issued = friday.inventory.of(StockIssued)[-1]
    assert [(move.lot, move.change, move.unrecorded) for move in issued.moves] == [(None, -2, 0), ("C", -1, 0)]
    assert friday.stock("beans").on_hand == 0


def test_what_is_all_out_of_stock_is_left_out_and_nobody_need_look_into_it(friday: Friday) -> None:
    friday.boxed(rice=2, beans=3)
    assert {line.item for line in friday.distribution.state("box", "b1").packed.packed} == {"rice"}
    assert [event.code for event in friday.distribution.of(ProcessStepRefused)] == ["INSUFFICIENT_STOCK"]
    assert friday.refused() == []
    (resolved,) = friday.distribution.of(ProcessStepResolved)
    assert resolved.note == "Order o1 goes without beans."


def test_an_order_cancelled_before_its_goods_were_asked_for_asks_for_none(friday: Friday) -> None:
    friday.ordered()
    friday.read(friday.couriers[0])
    friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    assert friday.stock().revision == 2, "only what arrived"
    assert friday.claims() == set()


def test_what_was_set_aside_after_an_order_ended_is_freed(friday: Friday) -> None:
    """The request was on its way for long, and its sender did not wait for the answer."""
    friday.ordered()
    courier = friday.couriers[0]
    friday.read(courier)
    (target,) = [key for key in courier.queues if key[0] == "inventory"]
    friday.send(courier, target, "delayed")
    friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    friday.arrive_late(0)
    assert friday.stock().reservations
    friday.settle()
    assert not friday.stock().reservations
    assert friday.distribution.of(GoodsFreed)[-1].remaining == 0


def test_a_packed_box_keeps_its_goods_until_it_is_unpacked(friday: Friday) -> None:
    friday.boxed(rice=2, milk=2)
    friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    assert friday.stock().reservations.keys() == {"d-o1"}
    assert friday.claims() == set()
    friday.do("UnpackBox", box="b1", reason="Nobody came.")
    friday.settle()
    assert not friday.stock().reservations and not friday.stock("milk").reservations
    (held,) = friday.inventory.of(StockRepacked)
    assert (held.item, held.hold, [(one.lot, one.quantity) for one in held.into]) == (
        "milk", "unpacked-b1", [("U-b1", 2)]
    )  # fmt: skip


def test_of_what_was_unpacked_only_what_was_in_the_box_waits_and_the_rest_is_given_out(friday: Friday) -> None:
    friday.boxed(milk=2)
    friday.do("UnpackBox", box="b1", reason="Nobody came.")
    friday.settle()
    friday.ordered("o2", "okafor", milk=4)
    friday.settle()
    assert [(one.asked, one.short) for one in friday.distribution.of(GoodsReserved)[-1].goods] == [(4, 2)]
    friday.inventory.do("ReleaseHold", item="milk", location="hall", hold="unpacked-b1")
    friday.inventory.do(
        "ReserveStock", item="milk", location="hall", reservation="x", quantity=2, purpose="meal", lot="U-b1"
    )
    friday.settle()
    friday.inventory.do("RecallLot", item="milk", recall="r1", scope={"lots": ["M"]}, reason="Listeria.")
    friday.settle()
    assert friday.stock("milk").holds["r1"].keys == ["M", "UB1"]
    assert not friday.stock("milk").reservations


def test_the_lot_is_held_whole_when_others_took_what_was_in_the_box(friday: Friday) -> None:
    friday.boxed(milk=2)
    taken = {"purpose": "meal", "lines": [{"quantity": 3}], "already_left": True}
    friday.inventory.do("IssueStock", item="milk", location="hall", **taken)
    friday.settle()
    friday.do("UnpackBox", box="b1", reason="Nobody came.")
    friday.settle()
    (held,) = friday.inventory.of(StockHeld)
    assert (held.hold, [lot.lot for lot in held.held], held.lines[0].quantity) == ("unpacked-b1", ["M"], 2)
    assert friday.refused() == []


def test_an_unpacked_box_whose_lots_are_held_whole_leaves_by_its_lots(friday: Friday) -> None:
    friday.boxed(milk=2)
    friday.inventory.do("HoldStock", item="milk", location="hall", hold="h", reason="inspection", lots=["M"])
    friday.do("UnpackBox", box="b1", reason="The wrong label.")
    friday.settle()
    assert not friday.inventory.of(StockRepacked)
    friday.later(minutes=5)
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    (issued,) = friday.inventory.of(StockIssued)
    assert [(move.lot, move.change, move.unrecorded) for move in issued.moves] == [("M", -2, 0)]
    assert friday.stock("milk").on_hand == 2


def test_what_is_held_after_unpacking_is_not_packed_again(friday: Friday) -> None:
    friday.boxed(rice=2, milk=2)
    friday.do("UnpackBox", box="b1", reason="The bag tore.")
    friday.settle()
    assert friday.stock().reservations.keys() == {"d-o1"} and not friday.stock("milk").reservations
    friday.do("PackBox", box="b2", order="o1")
    assert {line.item for line in friday.distribution.state("box", "b2").packed.packed} == {"rice"}


def test_what_others_took_is_not_packed_and_its_reservation_does_not_stay(friday: Friday) -> None:
    friday.ordered(rice=8)
    friday.settle()
    taken = {"purpose": "meal", "lines": [{"quantity": 10}], "already_left": True}
    friday.inventory.do("IssueStock", item="rice", location="hall", **taken)
    friday.settle()
    with pytest.raises(Rejected, match="Nothing is set aside"):
        friday.do("PackBox", box="b1", order="o1")
    friday.do("PackBox", box="b1", order="o1", lines=[{"item": "rice", "quantity": 1}])
    friday.do("HandOutBox", box="b1")
    friday.settle()
    assert not friday.stock().reservations
    issued = friday.inventory.of(StockIssued)[-1]
    assert (issued.recipient, issued.moves[0].unrecorded) == ("b1", 1)


def test_a_recall_takes_an_orders_goods_away_before_they_are_packed(friday: Friday) -> None:
    friday.ordered(rice=8)
    friday.settle()
    friday.inventory.do("RecallLot", item="rice", recall="r1", scope={"lots": ["A"]}, reason="Glass.")
    friday.settle()
    with pytest.raises(Rejected, match="Nothing is set aside"):
        friday.do("PackBox", box="b1", order="o1")


def test_a_recall_reaches_a_box_before_it_is_handed_out(friday: Friday) -> None:
    friday.boxed(rice=8)
    friday.inventory.do("RecallLot", item="rice", recall="r1", scope={"lots": ["A"]}, reason="Glass.")
    friday.settle()
    with pytest.raises(Rejected, match=r"holds what is recalled: rice of lot A \(recall r1\)\. Unpack it"):
        friday.do("HandOutBox", box="b1")
    friday.do("UnpackBox", box="b1", reason="Recalled.")
    friday.settle()
    friday.do("PackBox", box="b2", order="o1", lines=[{"item": "rice", "quantity": 4, "lot": "B"}])
    friday.do("HandOutBox", box="b2")
    friday.settle()
    assert not friday.stock().reservations
    assert [row.on_hand for _, row in friday.stock().shelf()] == [6]


def test_orders_nobody_came_for_end_when_their_time_is_over(friday: Friday) -> None:
    friday.ordered()
    friday.ordered("o2", "okafor")
    friday.settle()
    friday.later(hours=4)
    friday.settle()
    assert not friday.distribution.of(NoShowRecorded)
    friday.later(hours=1)
    friday.settle()
    assert [event.order for event in friday.distribution.of(NoShowRecorded)] == ["o1", "o2"]
    assert friday.claims() == set() and not friday.stock().reservations


def test_closing_a_session_ends_its_orders(friday: Friday) -> None:
    friday.ordered()
    friday.settle()
    friday.do("CloseSession", session="s", end_orders=True)
    friday.settle()
    assert friday.distribution.state("order", "o1").stage is Stage.NO_SHOW
    assert not friday.distribution.state("session", "s").booked


def test_an_order_placed_while_its_session_closes_is_cancelled(friday: Friday) -> None:
    friday.ordered()
    friday.do("CloseSession", session="s")
    friday.settle()
    (cancelled,) = friday.distribution.of(OrderCancelled)
    assert "closed at" in (opened(cancelled.reason) or "")
    assert friday.refused() == []


@pytest.mark.parametrize("slot", [None, "2026-11-20T08:30:00Z"])
def test_of_two_orders_placed_at_once_for_the_last_place_one_is_cancelled_and_told_why(
    friday: Friday, slot: str | None
) -> None:
    room = {"capacity": 1} if slot is None else {"slot_minutes": 30, "slot_capacity": 1}
    at = {"starts_at": "2026-11-20T08:00:00Z", "ends_at": "2026-11-20T11:00:00Z"}
    friday.do("ScheduleSession", session="small", programme="box", site="hall", name="S", **at, **room)
    for order, household in (("o1", "yilmaz"), ("o2", "okafor")):  # before anything follows from the first
        lines = [{"item": "rice", "quantity": 2}]
        friday.do("PlaceOrder", order=order, household=household, session="small", lines=lines, slot=slot)
        friday.do("ConfirmOrder", order=order)
    friday.settle()
    assert friday.distribution.state("session", "small").booked.keys() == {"o1"}
    assert friday.distribution.state("order", "o1").stage is Stage.CONFIRMED
    (cancelled,) = friday.distribution.of(OrderCancelled)
    full = "has 1 orders, and takes no more." if slot is None else "is full. Choose another."
    why = opened(cancelled.reason) or ""
    assert cancelled.order == "o2" and why.startswith("It could not go on: ") and why.endswith(full)
    assert friday.claims("okafor") == set() and friday.stock().reservations.keys() == {"d-o1"}
    assert friday.refused() == []


def test_of_two_orders_confirmed_at_once_the_limit_lets_one_go_on(friday: Friday) -> None:
    friday.ordered("o1", rice=2)
    friday.ordered("o2", rice=2)
    friday.settle()
    assert friday.claims() == {"o1"}
    assert friday.distribution.state("order", "o2").stage is Stage.CANCELLED
    assert friday.stock().reservations.keys() == {"d-o1"}
    assert friday.refused() == []


def test_the_claim_of_an_order_names_who_asked_for_it(friday: Friday) -> None:
    friday.ordered()
    friday.settle()
    assert friday.distribution.of(EntitlementClaimed)[0].claimed_by == "sam"


def test_why_an_order_was_confirmed_stays_with_the_order(friday: Friday) -> None:
    """What is sealed is not copied into a command: it would be sealed again, or stand in clear where that leads."""
    friday.ordered("o1")
    friday.settle()
    friday.do("PlaceOrder", order="o2", household="yilmaz", session="s", lines=[{"item": "rice", "quantity": 1}])
    friday.do("ConfirmOrder", order="o2", override_reason="Their kitchen burned.")
    friday.settle()
    first, second = friday.distribution.of(EntitlementClaimed)
    assert first.override_reason is None
    assert opened(second.override_reason or "") == "As said when order o2 was confirmed."


def test_a_box_handed_out_after_a_no_show_counts_as_served(friday: Friday) -> None:
    friday.boxed()
    handed = friday.now.isoformat()
    friday.do("RecordNoShow", order="o1")
    friday.settle()
    friday.later(minutes=30)
    friday.do("HandOutBox", box="b1", occurred_at=handed)
    friday.settle()
    assert friday.claims() == {"box-b1"}
    (box,) = friday.distribution.of(BoxHandedOut)
    assert (box.breaches, box.claimed) == (("ORDER_ENDED",), False)
    assert friday.distribution.state("order", "o1").stage is Stage.COMPLETED
    assert not friday.stock().reservations
    with pytest.raises(Rejected, match="was served 1 of 1 times"):
        friday.do("RecordVisit", visit="v1", **YILMAZ, session="s", lines=[{"item": "rice", "quantity": 1}])


def test_a_box_handed_out_while_a_no_show_is_recorded_counts_by_a_claim_of_its_own(friday: Friday) -> None:
    """The order's own is given back, as of any no-show."""
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    friday.do("RecordNoShow", order="o1")
    friday.settle()
    assert friday.claims() == {"box-b1"}
    assert friday.distribution.state("order", "o1").stage is Stage.COMPLETED


def test_a_box_handed_out_before_its_claim_was_made_is_claimed_once(friday: Friday) -> None:
    friday.ordered()
    friday.do("PackBox", box="b1", order="o1", lines=[{"item": "rice", "quantity": 1}])
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert friday.claims() == {"o1"}


def test_a_second_box_of_an_order_counts_and_is_looked_into(friday: Friday) -> None:
    friday.ordered()
    friday.settle()
    friday.do("PackBox", box="b1", order="o1")
    friday.do("PackBox", box="b2", order="o1")  # another packer, before the first was noted
    friday.do("HandOutBox", box="b1")
    friday.do("HandOutBox", box="b2")
    friday.settle()
    assert friday.claims() == {"o1", "box-b2"}
    assert {event.code for event in friday.refused()} == {"ALREADY_PACKED"}
    assert [event.recipient for event in friday.inventory.of(StockIssued)] == ["b1", "b2"]
    assert not friday.stock().reservations


@pytest.mark.parametrize("ended", [True, False])
def test_an_unpacked_box_that_was_handed_out_leaves_the_shelf_by_its_lots(friday: Friday, ended: bool) -> None:
    """Its chilled goods are held by then, and leave all the same."""
    friday.boxed(rice=2, milk=2)
    friday.do("UnpackBox", box="b1", reason="The wrong label.")
    if ended:
        friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert {(event.item, event.recipient, event.reservation) for event in friday.inventory.of(StockIssued)} == {
        ("rice", "b1", None), ("milk", "b1", None)
    }  # fmt: skip
    assert (friday.stock().on_hand, friday.stock("milk").on_hand) == (8, 2)
    assert not friday.stock().reservations and not friday.stock("milk").reservations
    assert friday.claims() == ({"box-b1"} if ended else {"o1"})
    assert friday.distribution.state("order", "o1").stage is Stage.COMPLETED
    assert friday.refused() == []


def test_what_is_packed_instead_of_an_unpacked_box_keeps_its_goods_until_it_is_unpacked(friday: Friday) -> None:
    friday.boxed(rice=2)
    friday.do("UnpackBox", box="b1", reason="The wrong label.")
    friday.settle()
    friday.do("PackBox", box="b2", order="o1")
    friday.settle()
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    (issued,) = friday.inventory.of(StockIssued)
    assert (issued.recipient, issued.reservation) == ("b1", None)
    assert friday.stock().reservations.keys() == {"d-o1"}
    with pytest.raises(Rejected, match="was handed out"):
        friday.do("HandOutBox", box="b2")
    friday.do("UnpackBox", box="b2", reason="The household has it.")
    friday.settle()
    assert not friday.stock().reservations and friday.stock().on_hand == 8
    assert friday.refused() == []


# -- the wrong box was scanned ----------------------------------------------------------------------------------------

WRONG = {"reason": "The wrong box was scanned."}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_hand_out_that_was_a_mistake_brings_the_goods_and_the_order_back(
    friday: Friday, known: bool, listed: bool
) -> None:  # fmt: skip
    """Whether or not inventory's answers had come by then, and whether or not the goods had been set aside."""
    friday.ordered()
    friday.settle()
    lines = [{"item": "rice", "quantity": 3, "lot": "A"}, {"item": "milk", "quantity": 1}] if listed else []
    friday.do("PackBox", box="b1", order="o1", lines=lines)
    friday.do("HandOutBox", box="b1")
    if known:
        friday.settle()
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert (friday.stock().on_hand, friday.stock("milk").on_hand) == (10, 4)
    assert not friday.stock().reservations
    order = friday.distribution.state("order", "o1")
    assert (order.stage, order.box, friday.claims()) == (Stage.CONFIRMED, None, {"o1"})
    assert "o1" in friday.distribution.state("session", "s").booked
    assert friday.refused() == []

    friday.do("HandOutBox", box="b1")
    friday.settle()
    last = friday.inventory.of(StockIssued)[-1]
    assert (last.recipient, last.reservation, last.reference, last.breaches) == ("b1", None, "d2-o1", ())
    assert friday.stock().on_hand == (7 if listed else 2)
    assert friday.distribution.state("order", "o1").stage is Stage.COMPLETED
    assert friday.claims() == {"o1"}
    assert friday.remembered() == {} and friday.refused() == []


def test_an_order_that_was_handed_out_before_its_goods_were_set_aside_is_packed_again_by_list(friday: Friday) -> None:
    """They were not asked for any more, and are not asked for anew: nothing is waited for."""
    friday.ordered(rice=3, milk=1)
    friday.do("PackBox", box="b1", order="o1", lines=[{"item": "rice", "quantity": 3}])
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.do("UnpackBox", box="b1", reason="The bag tore.")
    friday.settle()
    assert friday.distribution.state("order", "o1").stage is Stage.CONFIRMED
    with pytest.raises(Rejected, match=r"Nothing is set aside for order o1: .* List what you pack"):
        friday.do("PackBox", box="b2", order="o1")
    friday.do("PackBox", box="b2", order="o1", lines=[{"item": "rice", "quantity": 3, "lot": "A"}])
    friday.do("HandOutBox", box="b2")
    friday.settle()
    assert friday.stock().on_hand == 7 and friday.claims() == {"o1"} and friday.refused() == []


def test_a_box_that_nobody_comes_for_after_all_waits_until_it_is_unpacked(friday: Friday) -> None:
    friday.boxed(milk=2)
    friday.do("HandOutBox", box="b1")
    friday.settle()
    friday.later(hours=6)
    friday.settle()
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert friday.distribution.state("order", "o1").stage is Stage.NO_SHOW
    assert friday.claims() == set() and not friday.distribution.state("session", "s").booked
    friday.do("UnpackBox", box="b1", reason="Nobody came.")
    friday.settle()
    assert [one.lot for one in friday.inventory.of(StockRepacked)[-1].into] == ["U-b1"]
    assert friday.stock("milk").on_hand == 4
    assert friday.remembered() == {}


def test_closing_the_session_sees_a_box_that_came_back(friday: Friday) -> None:
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    friday.settle()
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    with pytest.raises(Rejected, match="1 orders of session s are still open"):
        friday.do("CloseSession", session="s")


def test_a_claim_that_was_made_for_the_box_is_given_back_and_made_anew(friday: Friday) -> None:
    """Its order had ended as a no-show, which it is again."""
    friday.boxed()
    friday.do("RecordNoShow", order="o1")
    friday.settle()
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert friday.claims() == {"box-b1"}
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert friday.claims() == set()
    assert friday.distribution.state("order", "o1").stage is Stage.NO_SHOW
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert friday.claims() == {"box2-b1"}
    assert friday.distribution.state("order", "o1").stage is Stage.COMPLETED
    assert friday.refused() == []


def test_a_no_show_that_was_recorded_while_the_box_went_out_counts_once_the_box_is_back(friday: Friday) -> None:
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    friday.do("RecordNoShow", order="o1")
    friday.settle()
    assert friday.claims() == {"box-b1"}
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert friday.claims() == set()
    assert friday.distribution.state("order", "o1").stage is Stage.NO_SHOW


def test_a_box_of_a_cancelled_order_that_came_back_and_went_out_after_all_counts_by_one_claim(friday: Friday) -> None:
    """It went out again before the fulfilment process, which had forgotten the order, had come to its reversal."""
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    friday.do("CancelOrder", order="o1", reason="Not wanted.")
    friday.settle()
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert friday.claims() == {"box2-b1"}


@pytest.mark.parametrize("wrong", ["b1", "b2"])
def test_of_two_boxes_of_an_order_either_may_be_the_one_that_is_here_still(friday: Friday, wrong: str) -> None:
    friday.ordered(rice=3)
    friday.settle()
    for box in ("b1", "b2"):
        friday.do("PackBox", box=box, order="o1")
    for box in ("b1", "b2"):
        friday.do("HandOutBox", box=box)
    friday.settle()
    assert friday.claims() == {"o1", "box-b2"}
    friday.do("ReverseHandOut", box=wrong, **WRONG)
    friday.settle()
    order = friday.distribution.state("order", "o1")
    assert (order.stage, order.box) == (Stage.COMPLETED, "b2" if wrong == "b1" else "b1")
    assert friday.claims() == {"o1"}
    assert friday.stock().on_hand == 7
    friday.do("UnpackBox", box=wrong, reason="One is enough.")
    friday.settle()
    assert friday.remembered() == {}


@pytest.mark.parametrize("wrong", ["b1", "b2"])
def test_of_two_boxes_of_a_forgotten_order_either_may_be_the_one_that_is_here_still(friday: Friday, wrong: str) -> None:
    """The second left when the order was handed out long ago."""
    friday.boxed(rice=3)
    friday.do("UnpackBox", box="b1", reason="The bag tore.")
    friday.settle()
    friday.do("PackBox", box="b2", order="o1")
    friday.do("HandOutBox", box="b2")
    friday.settle()
    assert friday.remembered() == {}
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert friday.claims() == {"o1", "box-b1"}
    friday.do("ReverseHandOut", box=wrong, **WRONG)
    friday.settle()
    assert friday.claims() == {"o1"}
    assert friday.distribution.state("order", "o1").box == ("b1" if wrong == "b2" else "b2")
    if wrong == "b2":
        friday.do("UnpackBox", box="b2", reason="One is enough.")
        friday.settle()
    assert friday.remembered() == {}
    other = "b1" if wrong == "b2" else "b2"
    friday.do("ReverseHandOut", box=other, **WRONG)
    friday.settle()
    assert friday.claims() == {"o1"}
    assert friday.distribution.state("order", "o1").stage is Stage.CONFIRMED
    friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    assert friday.claims() == set()


def both_out(friday: Friday) -> None:
    """Two boxes of one order are out: the second was unpacked when the order was handed out in the first."""
    friday.boxed(rice=3)
    friday.do("UnpackBox", box="b1", reason="The bag tore.")
    friday.settle()
    friday.do("PackBox", box="b2", order="o1")
    friday.do("HandOutBox", box="b2")
    friday.settle()
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()


def test_of_two_boxes_that_both_came_back_one_that_goes_out_at_once_counts_by_one_claim(friday: Friday) -> None:
    """It was handed out again before the fulfilment process had come to the reversals: its order, confirmed as before,
    counts by its own claim, and nothing beside it."""
    both_out(friday)
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.do("ReverseHandOut", box="b2", **WRONG)
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert friday.distribution.state("order", "o1").box == "b1"
    assert friday.claims() == {"o1"}
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert friday.distribution.state("order", "o1").stage is Stage.CONFIRMED
    assert friday.claims() == {"o1"}
    friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    assert friday.claims() == set() and friday.refused() == []


def test_of_two_boxes_that_are_out_again_each_counts_by_one_claim(friday: Friday) -> None:
    both_out(friday)
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.do("ReverseHandOut", box="b2", **WRONG)
    friday.do("HandOutBox", box="b1", fact=True)
    friday.do("HandOutBox", box="b2", fact=True)
    friday.settle()
    assert friday.claims() == {"o1", "box2-b2"}


def test_nothing_counts_of_an_order_that_ended_when_both_of_its_boxes_are_back(friday: Friday) -> None:
    """The one that its order's hand-out was forgotten with came back last."""
    both_out(friday)
    for box in ("b1", "b2"):
        friday.do("ReverseHandOut", box=box, **WRONG)
        friday.settle()
    assert friday.claims() == {"o1"}
    friday.do("RecordNoShow", order="o1")
    friday.settle()
    assert friday.claims() == set()
    for box in ("b1", "b2"):
        friday.do("HandOutBox", box=box, fact=True)
    friday.do("ReverseHandOut", box="b2", **WRONG)
    friday.settle()
    assert friday.claims() == {"box2-b1"}
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert friday.distribution.state("order", "o1").stage is Stage.NO_SHOW
    assert friday.claims() == set() and friday.refused() == []


def test_an_unpacked_box_takes_what_was_set_apart_with_it_and_brings_it_back_unpacked(friday: Friday) -> None:
    friday.boxed(rice=2, milk=2)
    friday.do("UnpackBox", box="b1", reason="The wrong label.")
    friday.do("HandOutBox", box="b1", fact=True)
    friday.settle()
    assert {(move.lot, move.change) for event in friday.inventory.of(StockIssued) for move in event.moves} == {
        ("A", -2), ("U-b1", -2)
    }  # fmt: skip
    friday.do("ReverseHandOut", box="b1", **WRONG)
    friday.settle()
    assert (friday.stock().on_hand, friday.stock("milk").on_hand) == (10, 4)
    assert friday.distribution.state("box", "b1").where is Where.UNPACKED
    assert friday.distribution.state("order", "o1").stage is Stage.CONFIRMED
    friday.later(hours=6)
    friday.settle()
    assert friday.claims() == set() and friday.remembered() == {} and friday.refused() == []


def test_what_was_set_apart_and_let_go_is_recalled_with_what_it_came_from(friday: Friday) -> None:
    friday.boxed(milk=2)
    friday.do("UnpackBox", box="b1", reason="The bag tore.")
    friday.settle()
    friday.inventory.do("ReleaseHold", item="milk", location="hall", hold="unpacked-b1")
    friday.do("PackBox", box="b2", order="o1", lines=[{"item": "milk", "quantity": 2, "lot": "U-b1"}])
    friday.inventory.do("RecallLot", item="milk", recall="r1", scope={"lots": ["M"]}, reason="Listeria.")
    friday.settle()
    with pytest.raises(Rejected, match=r"holds what is recalled: milk of lot U-b1 \(recall r1\)"):
        friday.do("HandOutBox", box="b2")


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_nothing_is_remembered_of_what_is_over_and_a_restart_remembers_no_more(friday: Friday) -> None:
    friday.boxed(rice=2)
    friday.do("HandOutBox", box="b1")
    friday.ordered("o2", "okafor", rice=2)
    visited(friday, override_reason="Twins.")
    friday.settle()
    assert friday.remembered()["orders"].keys() == {"o2"}
    friday.do("CancelOrder", order="o2", reason="Ill.")
    friday.do("ReverseVisit", visit="v1", **YILMAZ, reason="The wrong card.")
    friday.settle()
    assert friday.remembered() == {}
    before = len(friday.inventory.events), len(friday.distribution.events)
    friday.restart(friday.couriers[0])
    friday.settle()
    assert friday.remembered() == {}
    assert before == (len(friday.inventory.events), len(friday.distribution.events))


def test_goods_set_aside_for_an_order_that_is_forgotten_are_freed(friday: Friday) -> None:
    """A copy of the request arrives long after its order was cancelled, and after a restart of its sender."""
    friday.ordered()
    courier = friday.couriers[0]
    friday.read(courier)
    (target,) = [key for key in courier.queues if key[0] == "inventory"]
    friday.send(courier, target, "delayed")
    friday.do("CancelOrder", order="o1", reason="Ill.")
    friday.settle()
    friday.restart(courier)
    friday.settle()
    assert friday.remembered() == {}
    friday.arrive_late(0)
    assert friday.stock().reservations
    friday.settle()
    assert not friday.stock().reservations
    assert friday.distribution.of(GoodsFreed)[-1].remaining == 0
    assert friday.remembered() == {}


def test_a_step_that_led_to_a_forgotten_order_and_was_refused_leads_to_nothing(friday: Friday) -> None:
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    friday.settle()
    manager = friday.couriers[0].managers[0]
    step = next(
        step for step in seen(Fulfilling(), friday.distribution.events) if isinstance(step.command, ReserveStock)
    )
    fields = {"cause": step.cause.id, "service": "inventory", "command": "ReserveStock", "target": step.target}
    refusal = friday.do(
        "NoteRefusal", step=step.id(manager.name), manager=manager.name, **fields, code="UNKNOWN_ITEM", detail="x"
    )
    assert refusal is not None
    assert manager.moot(step), "it is not sent again"
    friday.settle()
    assert friday.refused() == [] and friday.remembered() == {}
    assert len(friday.inventory.of(StockIssued)) == 1


def test_a_merge_is_noted_where_it_counts(friday: Friday) -> None:
    friday.do("MergeHouseholds", household="yilmaz", into="okafor", reason="Twice.")
    friday.settle()
    assert friday.distribution.state("household", "okafor").merged == ["yilmaz"]
    friday.do("UnmergeHouseholds", household="yilmaz", into="okafor", reason="Cousins.")
    friday.settle()
    assert friday.distribution.state("household", "okafor").merged == []


# -- visits -----------------------------------------------------------------------------------------------------------


def visited(friday: Friday, **more: Any) -> None:
    lines = [{"item": "rice", "quantity": 1}, {"item": "milk", "quantity": 1}]
    friday.do("RecordVisit", visit="v1", **YILMAZ, session="s", lines=lines, **more)


@pytest.mark.parametrize("known", [True, False])
def test_a_reversed_visit_brings_its_goods_back_whenever_it_is_reversed(friday: Friday, known: bool) -> None:
    visited(friday)
    if known:
        friday.settle()
    friday.do("ReverseVisit", visit="v1", **YILMAZ, reason="The wrong card,\nI think.")
    friday.settle()
    back = friday.inventory.of(MovementReversed)
    assert {(event.item, event.reason) for event in back} == {
        (item, "It did not leave after all.") for item in ("rice", "milk")
    }
    assert friday.remembered() == {}
    assert (friday.stock().on_hand, friday.stock("milk").on_hand) == (10, 4)


def test_what_was_given_offline_leaves_at_its_moment(friday: Friday) -> None:
    friday.later(hours=1)
    visited(friday, occurred_at="2026-11-20T08:20:00Z")
    friday.settle()
    assert {event.effective_at.minute for event in friday.inventory.of(StockIssued)} == {20}


def test_an_issue_that_is_refused_where_it_happened_is_issued_as_of_now_by_the_same_lots(friday: Friday) -> None:
    friday.boxed()
    friday.do("HandOutBox", box="b1")
    manager = Fulfilling()
    (step,) = [step for step in seen(manager, friday.distribution.events) if isinstance(step.command, IssueStock)]
    fields = {"cause": step.cause.id, "service": "inventory", "command": "IssueStock", "target": step.target}
    refusal = friday.do(
        "NoteRefusal", step=step.id(manager.name), manager=manager.name, **fields, code="BREAKS_LATER_MOMENT",
        detail="x",
    )  # fmt: skip
    assert refusal is not None
    release, again, resolve = manager.react(refusal)
    assert isinstance(release.command, ReleaseReservation) and release.command.reservation == "d-o1"
    assert (again.command.occurred_at, again.command.reservation) == (None, None)
    assert [(line.lot, line.quantity) for line in again.command.lines] == [("A", 6), ("B", 2)]
    assert again.command.already_left and again.command.recipient == "b1"
    assert order_of(again.command.reference) == "o1", "else it would be noted for nobody"
    assert resolve.command.note == "It is issued as of now."
    assert again.id(manager.name) != step.id(manager.name)
    assert list(manager.react(refusal)) == [], "it is not tried a third time"


def test_the_refusal_of_what_led_to_an_order_that_is_over_needs_nobody(friday: Friday) -> None:
    friday.ordered()
    friday.do("CancelOrder", order="o1", reason="Ill.")
    manager = Fulfilling()
    steps = seen(manager, friday.distribution.events)
    (claim,) = [step for step in steps if isinstance(step.command, ClaimEntitlement)]
    fields = {"cause": claim.cause.id, "service": "distribution", "command": "ClaimEntitlement", "target": claim.target}
    refusal = friday.do(
        "NoteRefusal", step=claim.id(manager.name), manager=manager.name, **fields, code="LIMIT_REACHED", detail="x"
    )
    assert refusal is not None
    (resolve,) = manager.react(refusal)
    assert resolve.command.note == "The order was over by then."


def test_a_refused_step_of_another_manager_is_left_to_a_person(friday: Friday) -> None:
    fields = {"cause": "e", "service": "inventory", "command": "ReserveStock", "target": "stock/x:y"}
    refusal = friday.do("NoteRefusal", step="st", manager="supply", **fields, code="INSUFFICIENT_STOCK", detail="x")
    assert refusal is not None
    assert list(Fulfilling().react(refusal)) == []


def test_a_site_that_inventory_does_not_know_waits_for_a_person_and_holds_nothing_up(friday: Friday) -> None:
    at = {"starts_at": "2026-11-20T08:00:00Z", "ends_at": "2026-11-20T11:00:00Z"}
    friday.do("ScheduleSession", session="lost", programme="box", site="nowhere", name="S", **at)
    friday.do("OpenSession", session="lost")
    lines = [{"item": "rice", "quantity": 1}]
    friday.do("PlaceOrder", order="o9", household="okafor", session="lost", lines=lines)
    friday.do("ConfirmOrder", order="o9")
    friday.do("RecordVisit", visit="v9", **YILMAZ, session="lost", lines=lines)
    friday.settle()
    assert {(event.command, event.code) for event in friday.refused()} == {
        ("ReserveStock", "UNKNOWN_LOCATION"), ("IssueStock", "UNKNOWN_LOCATION")
    }  # fmt: skip
    assert len(friday.distribution.of(VisitRecorded)) == 1


# -- names ------------------------------------------------------------------------------------------------------------


def test_reservations_and_recipients_of_others_are_nobodys_here() -> None:
    assert order_of(reservation_of("o" * 48)) == "o" * 48
    for other in (None, "", "d-", "d--x", "r-1", "o1", "d-" + "x" * 49):
        assert order_of(other) is None
    assert is_visit("v-" + "x" * 46)
    assert not any(map(is_visit, (None, "", "v-", "v-" + "x" * 47, "b1")))
