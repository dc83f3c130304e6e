"""From a request to goods that left: what follows from each event, here and in inventory, and what is told to whom."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.clinic.contract import ClinicError, ProcessStepRefused
from services.clinic.dispensing import Stage
from services.clinic.processes import Dispensing
from services.clinic.processes.names import reservation_of
from services.inventory.contract import StockIssued, StockReserved
from shared.errors import Rejected
from tests.support.following import ids, replay
from tests.support.infirmary import MARKERS, PATIENTS, PENICILLIN, PLACE, Infirmary

ADA, BEN = PATIENTS


@pytest.fixture
def ward() -> Infirmary:
    ward = Infirmary().furnish()
    ward.stock("amox", 100, "A")
    ward.stock("ibu", 100, "A")
    ward.settle()
    return ward


def requested(ward: Infirmary, id: str = "d", patient: str = BEN, quantity: int = 20) -> None:
    ward.order(f"rx-{id}", patient, quantity=quantity)
    ward.request(id, patient, f"rx-{id}", quantity=quantity)
    ward.settle()


def alerts_open(ward: Infirmary, id: str = "d", patient: str = BEN) -> bool:
    try:
        ward.verify(id, patient)
    except Rejected as refused:
        return refused.code == ClinicError.ALERT_OPEN
    return False


def test_a_request_claims_order_and_fill_and_sets_goods_aside_that_outlast_it(ward: Infirmary) -> None:
    requested(ward)
    assert ward.clinic.state("prescription", "rx-d").allotted == {"d": 20}
    assert "d" in ward.clinic.state("medication", BEN).fills
    assert ward.reserved() == {"c-d": {"A": 20}}
    (made,) = ward.inventory.of(StockReserved)
    assert (made.purpose, made.recipient, str(made.expires_after)) == ("clinic", "d", "2026-11-26")
    ward.verify("d", BEN)
    ward.hand_over("d", BEN)
    ward.settle()
    (issued,) = ward.inventory.of(StockIssued)
    assert (issued.recipient, issued.reservation, issued.already_left) == ("d", "c-d", True)
    assert ward.on_hand() == 80 and ward.reserved() == {}
    assert ward.dispensing("d").movements and not ward.unresolved()


@pytest.mark.parametrize("how", ["RefuseDispensing", "UnpickDispensing"])
@pytest.mark.parametrize("settled", [True, False])
def test_what_comes_to_nothing_gives_all_back(ward: Infirmary, how: str, settled: bool) -> None:
    ward.order("rx-d", BEN)
    ward.request("d", BEN, "rx-d")
    if settled:
        ward.settle()
    ward.end(how, "d", BEN)
    ward.settle()
    assert ward.reserved() == {} and not ward.unresolved()
    assert not ward.clinic.state("prescription", "rx-d").allotted
    assert not ward.clinic.state("medication", BEN).fills


def test_what_nobody_fetches_goes_back_after_a_fortnight(ward: Infirmary) -> None:
    requested(ward)
    ward.verify("d", BEN)
    ward.later(days=13)
    ward.settle()
    assert ward.dispensing("d").stage is Stage.VERIFIED
    ward.later(days=1)
    ward.settle()
    assert ward.dispensing("d").stage is Stage.UNPICKED and ward.reserved() == {}


def test_a_stopped_order_is_given_to_nobody(ward: Infirmary) -> None:
    requested(ward)
    ward.clinic.do("StopPrescription", prescription="rx-d", patient=BEN, reason="zyreason")
    ward.settle()
    assert ward.dispensing("d").stage is Stage.REFUSED and ward.reserved() == {}


def test_more_than_was_ordered_waits_for_somebody_to_answer_for_it(ward: Infirmary) -> None:
    ward.order("rx-d", BEN, quantity=10)
    ward.request("d", BEN, "rx-d", quantity=20)
    ward.settle()
    assert alerts_open(ward) and not ward.unresolved()
    ward.override("d", BEN, "beyond_order")
    ward.settle()
    assert ward.clinic.state("prescription", "rx-d").allotted == {"d": 20}
    ward.verify("d", BEN)


def test_a_duplicate_waits_for_somebody_to_answer_for_it(ward: Infirmary) -> None:
    requested(ward, "d1")
    requested(ward, "d2")
    assert alerts_open(ward, "d2") and not ward.unresolved()
    ward.override("d2", BEN, "duplicate")
    ward.settle()
    assert ward.clinic.state("medication", BEN).fills.keys() == {"d1", "d2"}
    ward.verify("d2", BEN)


def test_to_answer_for_one_alert_is_not_to_answer_for_another(ward: Infirmary) -> None:
    requested(ward, "d1")
    ward.order("rx-d2", BEN, quantity=10)
    ward.request("d2", BEN, "rx-d2")
    ward.settle()
    ward.override("d2", BEN, "duplicate")
    ward.settle()
    assert ward.clinic.state("prescription", "rx-d2").allotted == {}
    assert alerts_open(ward, "d2")


def test_without_goods_that_last_it_waits_and_says_so(ward: Infirmary) -> None:
    requested(ward, quantity=101)
    state = ward.dispensing("d")
    assert (state.stage, state.asked, state.short, state.lots) == (Stage.REQUESTED, 101, 1, ())
    assert not ward.unresolved() and ward.reserved() == {}
    with pytest.raises(Rejected, match="has nothing set aside: 1 is short of goods that last"):
        ward.verify("d", BEN)


def test_goods_that_are_set_aside_after_all_count_for_more_than_that_there_were_too_few(ward: Infirmary) -> None:
    requested(ward, quantity=101)
    ward.stock("amox", 1, "B")
    ward.inventory.do("ReserveStock", item="amox", location=PLACE, reservation=reservation_of("d"), quantity=101,
                      purpose="clinic", recipient="d")  # fmt: skip
    ward.settle()
    state = ward.dispensing("d")
    assert (state.short, sum(line.quantity for line in state.lots)) == (0, 101)
    ward.verify("d", BEN)


def test_goods_from_somewhere_unknown_are_for_a_person_to_look_into(ward: Infirmary) -> None:
    ward.order("rx-d", BEN)
    ward.clinic.do(
        "RequestDispensing", dispensing="d", patient=BEN, prescription="rx-d", item="amox", location="nowhere",
        quantity=20, days_supply=7,
    )  # fmt: skip
    ward.settle()
    assert [one.command for one in ward.unresolved()] == ["ReserveStock"]
    assert ward.dispensing("d").short == 20


def test_a_recall_takes_what_was_set_aside_and_the_hand_over_is_stopped(ward: Infirmary) -> None:
    requested(ward)
    ward.verify("d", BEN)
    ward.inventory.do("RecallLot", item="amox", recall="r", scope={"lots": ["A"]}, reason="Glass.")
    ward.settle()
    assert ward.reserved() == {} and ward.dispensing("d").lots == ()
    with pytest.raises(Rejected) as refused:
        ward.hand_over("d", BEN)
    assert refused.value.code == ClinicError.RECALLED
    event = ward.hand_over("d", BEN, fact=True).data
    assert event.breaches == (ClinicError.RECALLED, ClinicError.NOT_RESERVED)
    ward.settle()
    assert ward.on_hand() == 80


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("QuarantineLot", {"quarantine": "q", "lot": "A", "reason": "Found open."}),
        ("HoldStock", {"location": PLACE, "hold": "h", "reason": "damage", "lots": ["A"]}),
    ],
)
def test_what_is_held_or_in_quarantine_is_no_longer_set_aside_and_not_handed_over(
    ward: Infirmary, name: str, how: dict[str, Any]
) -> None:
    requested(ward)
    ward.verify("d", BEN)
    ward.inventory.do(name, item="amox", **how)
    ward.settle()
    assert ward.reserved() == {} and ward.dispensing("d").lots == ()
    with pytest.raises(Rejected) as refused:
        ward.hand_over("d", BEN)
    assert refused.value.code == ClinicError.NOT_RESERVED
    event = ward.hand_over("d", BEN, fact=True).data
    assert event.breaches == (ClinicError.NOT_RESERVED,)
    ward.settle()
    assert ward.on_hand() == 80 and not ward.unresolved()


def test_what_was_handed_over_after_it_was_refused_counts_and_leaves_stock(ward: Infirmary) -> None:
    requested(ward)
    ward.end("RefuseDispensing", "d", BEN)
    ward.settle()
    ward.hand_over("d", BEN, fact=True, lines=[{"lot": "A", "quantity": 20, "date": "2027-06-30"}])
    ward.settle()
    assert ward.on_hand() == 80 and ward.reserved() == {}
    assert ward.clinic.state("prescription", "rx-d").allotted == {"d": 20}
    assert "d" in ward.clinic.state("medication", BEN).fills
    assert ward.dispensing("d").movements and not ward.unresolved()


def unrequested(ward: Infirmary, prescription: str | None, item: str = "amox") -> None:
    what = {"item": item, "location": PLACE, "days_supply": 7, "prescription": prescription}
    lines = [{"lot": "A", "quantity": 20, "date": "2027-06-30"}]
    ward.hand_over("d", BEN, fact=True, lines=lines, unrequested=what)
    ward.settle()


def test_what_was_handed_over_and_never_requested_counts_and_leaves_stock(ward: Infirmary) -> None:
    ward.order("rx-d", BEN)
    unrequested(ward, "rx-d")
    assert ward.on_hand() == 80 and ward.dispensing("d").movements
    assert ward.clinic.state("prescription", "rx-d").allotted == {"d": 20}
    assert "d" in ward.clinic.state("medication", BEN).fills
    assert ward.dispensing("d").review and not ward.unresolved()


def test_what_was_handed_over_on_no_order_leaves_stock_and_counts_as_a_fill(ward: Infirmary) -> None:
    unrequested(ward, None)
    assert ward.on_hand() == 80 and "d" in ward.clinic.state("medication", BEN).fills and not ward.unresolved()


def test_what_was_handed_over_of_what_nobody_knows_waits_for_somebody(ward: Infirmary) -> None:
    unrequested(ward, "paper", item="unheard-of")
    assert ward.dispensing("d").review
    assert [one.command for one in ward.unresolved()] == ["IssueStock"]


def test_a_hand_over_that_is_reported_late_leaves_stock_when_it_happened(ward: Infirmary) -> None:
    requested(ward)
    ward.verify("d", BEN)
    at = ward.now.isoformat()
    ward.later(minutes=30)
    ward.hand_over("d", BEN, occurred_at=at)
    ward.settle()
    assert ward.on_hand() == 80 and not ward.unresolved()


def test_an_allergy_recorded_since_is_shown_on_what_is_open(ward: Infirmary) -> None:
    requested(ward)
    content = {"substance": PENICILLIN, "category": "medication"}
    ward.clinic.do("RecordAllergy", patient=BEN, allergy="x", content=content)
    ward.settle()
    assert any(event.envelope.type.endswith("dispensing-rechecked.v1") for event in ward.clinic.events)
    assert alerts_open(ward)


def test_what_is_administered_leaves_stock_and_comes_back_when_it_was_a_mistake(ward: Infirmary) -> None:
    ward.administer("g", BEN)
    ward.settle()
    (issued,) = ward.inventory.of(StockIssued)
    assert issued.recipient == "a-g" and ward.on_hand() == 99
    undo = {"administration": "g", "patient": BEN, "reason": "zyreason"}
    ward.clinic.do("ReverseAdministration", **undo)
    ward.settle()
    assert ward.on_hand() == 100 and not ward.unresolved()


def test_a_reversal_before_its_goods_were_known_to_have_left_takes_them_back_too(ward: Infirmary) -> None:
    ward.administer("g", BEN)
    ward.clinic.do("ReverseAdministration", administration="g", patient=BEN, reason="zyreason")
    ward.settle()
    assert ward.on_hand() == 100 and not ward.unresolved()


def test_merged_records_are_noted_in_the_one_that_goes_on(ward: Infirmary) -> None:
    ward.clinic.do("MergePatients", patient=BEN, into=ADA, reason="zyreason")
    ward.settle()
    assert ward.clinic.state("patient", ADA).merged == [BEN]
    ward.clinic.do("UnmergePatients", patient=BEN, into=ADA, reason="zyreason")
    ward.settle()
    assert ward.clinic.state("patient", ADA).merged == []


def test_inventory_is_told_nothing_of_patients_and_no_refusal_says_anything_clinical(ward: Infirmary) -> None:
    everything(ward)
    for event in ward.inventory.events:
        assert not any(marker in event.raw.lower() for marker in MARKERS), event.raw
    refused = [msgspec.json.encode(one).lower() for one in ward.clinic.of(ProcessStepRefused)]
    assert refused
    for raw in refused:  # they stay in the clinic, and name the aggregate, which is a patient's
        assert not any(marker in raw for marker in MARKERS[1:]), raw
    manager = Dispensing()
    for step in replay(manager, ward.clinic.events):
        if step.contract is ward.inventory.contract:
            raw = msgspec.json.encode(step.command).lower()
            assert not any(marker in raw for marker in MARKERS), raw


def everything(ward: Infirmary) -> None:
    """One of each, with refused steps among them."""
    requested(ward, "d1")
    requested(ward, "d2")
    requested(ward, "d3", ADA, quantity=99)
    ward.administer("g", ADA)
    ward.clinic.do("ReverseAdministration", administration="g", patient=ADA, reason="zyreason")
    ward.verify("d1", BEN)
    ward.hand_over("d1", BEN)
    ward.end("RefuseDispensing", "d2", BEN)
    ward.clinic.do("MergePatients", patient=BEN, into=ADA, reason="zyreason")
    ward.clinic.do("StopPrescription", prescription="rx-d3", patient=ADA, reason="zyreason")
    ward.settle()


def test_a_restart_gives_the_same_steps_again(ward: Infirmary) -> None:
    everything(ward)
    one, other = Dispensing(), Dispensing()
    assert ids(one, replay(one, ward.clinic.events)) == ids(other, replay(other, ward.clinic.events))


def test_what_is_settled_is_forgotten(ward: Infirmary) -> None:
    everything(ward)
    manager: Any = ward.couriers[0].managers[0]
    assert isinstance(manager, Dispensing)
    kept = (manager._open, manager._sent, manager._issuing, manager._drawing, manager._reversed)
    assert [len(one) for one in kept] == [0, 0, 0, 0, 0], kept


def test_only_medicines_of_the_catalogue_are_noted(ward: Infirmary) -> None:
    ward.inventory.do("RegisterItem", item="rice", name="rice", unit="g")
    ward.inventory.do("RecallLot", item="amox", recall="r", scope={"lots": ["Z"]}, reason="Glass.")
    ward.inventory.do("LiftRecall", item="amox", recall="r", reason="Withdrawn.")
    ward.inventory.do("RetireItem", item="ibu")
    ward.settle()
    assert ward.clinic.state("formulary", "rice").noted is None
    assert ward.clinic.state("formulary", "ibu").noted.retired
    assert not ward.clinic.state("formulary", "amox").recalls["r"].standing


def test_goods_given_out_by_hand_for_the_clinic_are_nobody_s_dispensing(ward: Infirmary) -> None:
    line = [{"quantity": 1}]
    for more in ({}, {"recipient": "ward-round"}, {"recipient": "a-unknown"}):
        ward.inventory.do("IssueStock", item="amox", location="cupboard", purpose="clinic", lines=line, **more)
    ward.settle()
    assert not ward.unresolved()


def test_goods_set_aside_for_what_is_long_over_are_freed_again(ward: Infirmary) -> None:
    ward.order("rx-d", BEN, quantity=500)
    ward.request("d", BEN, "rx-d", quantity=500)
    courier = ward.couriers[0]
    ward.read(courier)
    (target,) = [key for key in courier.queues if key[0] == "inventory"]
    ward.send(courier, target, "delayed")
    ward.settle()
    ward.end("RefuseDispensing", "d", BEN)
    ward.settle()
    ward.stock("amox", 500, "A")
    ward.arrive_late(0)
    assert ward.reserved() == {"c-d": {"A": 500}}
    ward.settle()
    assert ward.reserved() == {} and not ward.unresolved()


def test_what_is_sent_again_after_a_restart_does_not_undo_a_later_fact(ward: Infirmary) -> None:
    ward.order("rx-d", BEN)
    ward.request("d", BEN, "rx-d")
    ward.clinic.do("StopPrescription", prescription="rx-d", patient=BEN, reason="zyreason")
    ward.settle()
    ward.hand_over("d", BEN, fact=True)
    ward.settle()
    for courier in ward.couriers:
        ward.restart(courier)
    ward.settle()
    assert ward.clinic.state("prescription", "rx-d").allotted == {"d": 20}
    assert "d" in ward.clinic.state("medication", BEN).fills
