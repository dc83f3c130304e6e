"""Whatever becomes of messages and processes: in the end stock, claims and dispensings agree, and nothing waits on.

A clinic's weeks at random: orders, dispensings, medicines given, allergies, recalls and counts, while the steps of
dispensing are lost, repeated, delayed and sent in any order, and the processes that send them are killed at any moment.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.clinic.contract import (
    AdministrationReversed,
    ClinicError,
    DispensingRequested,
    MedicationAdministered,
    MedicationDispensed,
    MedicationPrescribed,
    ProcessStepRefused,
)
from services.clinic.dispensing import Stage
from services.clinic.processes import Dispensing
from services.clinic.recalled import covers
from services.inventory.contract import LotQuarantined, MovementReversed, StockIssued
from shared.errors import Rejected
from tests.support.infirmary import MARKERS, PATIENTS, PENICILLIN, PLACE, Infirmary
from tests.support.sentences import opened

E = ClinicError
ITEMS = ("amox", "ibu")
FATES = ("answered", "answered", "answered", "answer lost", "lost", "delayed")
numbers = st.integers(0, 40)
mostly = st.sampled_from((True, True, True, False))
whom = st.sampled_from(PATIENTS)
what = st.sampled_from(ITEMS)
DAYS = {"A": "2027-06-30", "B": "2026-12-01", "C": None}
lots = st.sampled_from(tuple(DAYS))


class Medicines(RuleBasedStateMachine):
    """Two services, their managers, and people who do as they please."""

    @initialize(settled=st.booleans(), stock=st.sampled_from((0, 30, 60, 200, 200)))
    def open(self, settled: bool, stock: int) -> None:
        self.ward = Infirmary().furnish()
        self.last = 0
        self.allergic: dict[str, set[str]] = {}
        """Of each patient, the allergies to penicillins that stand."""
        self.answered: dict[str, set[str]] = {}
        """Of each dispensing, the allergies that stood when somebody answered for them."""
        if stock:
            self.ward.stock("amox", stock, "A")
            self.ward.stock("ibu", 60, "A")
        for patient in PATIENTS:
            self.order(patient, "amox", 20, 1, False)
            self.request(0 if patient == PATIENTS[0] else 1, 20)
        if settled:
            self.ward.settle()

    def attempt(self, name: str, service: str = "clinic", **fields: Any) -> Any:
        """What a person does; it may be refused. Its event, or None."""
        self.ward.later(minutes=1)
        with suppress(Rejected):
            return self.ward.services[service].do(name, **{k: v for k, v in fields.items() if v is not None})
        return None

    def new(self, kind: str) -> str:
        self.last += 1
        return f"{kind}{self.last}"

    def pick(self, number: int) -> DispensingRequested | None:
        """A dispensing that is open, if there is one and the number is small; else any."""
        there = self.ward.clinic.of(DispensingRequested)
        lively = [one for one in there if not self.ward.dispensing(one.dispensing).over]
        found = lively if lively and number < 30 else there
        return found[number % len(found)] if found else None

    # -- at the desk --------------------------------------------------------------------------------------------------

    @rule(patient=whom, item=what, quantity=st.integers(5, 30), repeats=st.integers(0, 2), stop=st.booleans())
    def order(self, patient: str, item: str, quantity: int, repeats: int, stop: bool) -> None:
        id = self.new("rx")
        with suppress(Rejected):
            self.ward.order(id, patient, item, quantity, repeats=repeats)
        if stop and self.last % 3 == 0:
            self.attempt("StopPrescription", prescription=id, patient=patient, reason="zyreason")

    @rule(number=numbers)
    def stop(self, number: int) -> None:
        orders = self.ward.clinic.of(MedicationPrescribed)
        one = orders[number % len(orders)]
        self.attempt("StopPrescription", prescription=one.prescription, patient=one.patient, reason="zyreason")

    @rule(number=numbers, quantity=st.sampled_from((5, 20, 20, 35)))
    def request(self, number: int, quantity: int) -> None:
        orders = self.ward.clinic.of(MedicationPrescribed)
        if orders:
            one = orders[-1 - number % len(orders)]
            ibuprofen = one.prescription in self.of_ibuprofen()
            patient = self.ward.clinic.state("patient", one.patient).merged_into or one.patient
            self.attempt(
                "RequestDispensing", dispensing=self.new("d"), patient=patient, prescription=one.prescription,
                item="ibu" if ibuprofen else "amox", location=PLACE, quantity=quantity, days_supply=7,
            )  # fmt: skip

    def of_ibuprofen(self) -> set[str]:
        """The orders of ibuprofen; what an order is of is sealed."""
        orders = self.ward.clinic.of(MedicationPrescribed)
        return {one.prescription for one in orders if "Zyibuprofen" in (opened(one.content) or "")}

    @rule(patient=whom, item=what, answer=mostly, give=mostly, lot=st.none() | lots)
    def as_it_should_be(self, patient: str, item: str, answer: bool, give: bool, lot: str | None) -> None:
        """Order, request, answer for what stands, verify, and perhaps hand over: what chance alone seldom comes to."""
        rx, id = self.new("rx"), self.new("d")
        of = {"dispensing": id, "patient": patient}
        with suppress(Rejected):
            self.ward.stock(item, 25, lot or "A", DAYS[lot or "A"])
            self.ward.order(rx, patient, item, 20)
            self.ward.request(id, patient, rx, item, 20)
        self.ward.settle()
        for kind in ("allergy", "duplicate", "beyond_order") if answer else ():
            self.answer(of, kind)
        self.ward.settle()
        self.attempt("VerifyDispensing", **of)
        if give and self.ward.dispensing(id).requested is not None:
            self.give(self.ward.dispensing(id).requested, {"fact": False}, True)

    @rule(number=numbers, ready=mostly, then=st.booleans())
    def verify(self, number: int, ready: bool, then: bool) -> None:
        one = self.pick(number)
        if one is None:
            return
        if ready:
            self.ward.settle()
        self.attempt("VerifyDispensing", dispensing=one.dispensing, patient=one.patient)
        if then:
            self.hand_over(number, False, None, None, True)

    @rule(number=numbers, fact=st.booleans(), ago=st.sampled_from((None, None, 3, 90)), lot=st.none() | lots,
          labelled=mostly)  # fmt: skip
    def hand_over(self, number: int, fact: bool, ago: int | None, lot: str | None, labelled: bool) -> None:
        one = self.pick(number)
        if one is None:
            return
        day = {"date": DAYS[lot]} if lot and DAYS[lot] else {}
        at = None if ago is None else (self.ward.now - timedelta(minutes=ago)).isoformat()
        lines = [{"lot": lot, "quantity": one.quantity, **day}] if lot else None
        self.give(one, {"fact": fact, "occurred_at": at, "lines": lines}, labelled)

    def give(self, one: DispensingRequested, said: dict[str, Any], labelled: bool) -> None:
        verified = self.ward.dispensing(one.dispensing).stage is Stage.VERIFIED
        event = self.attempt(
            "Dispense", dispensing=one.dispensing, patient=one.patient, content={"recipient": one.patient},
            label_printed=labelled, **said,
        )  # fmt: skip
        if event is not None:
            self.rightly(event.data, verified, labelled)

    @rule(patient=whom, item=what, lot=lots, quantity=st.integers(1, 30), number=st.none() | numbers)
    def unrequested(self, patient: str, item: str, lot: str, quantity: int, number: int | None) -> None:
        """Handed over although nobody requested it, on any order, or on none."""
        orders, day = self.ward.clinic.of(MedicationPrescribed), {"date": DAYS[lot]} if DAYS[lot] else {}
        rx = orders[number % len(orders)].prescription if orders and number is not None else None
        event = self.attempt(
            "Dispense", dispensing=self.new("u"), patient=patient, content={"recipient": patient}, label_printed=True,
            fact=True, lines=[{"lot": lot, "quantity": quantity, **day}],
            unrequested={"item": item, "location": PLACE, "days_supply": 7, "prescription": rx},
        )  # fmt: skip
        assert event is not None, "it has happened, and was not recorded"
        assert E.UNKNOWN_DISPENSING in event.data.breaches
        self.rightly(event.data, False, True)

    def rightly(self, handed: MedicationDispensed, verified: bool, labelled: bool) -> None:
        """Nothing is handed over with an unanswered alert, unlabelled, unverified or from a lot that was recalled by
        then, but as a fact that says so."""
        broken = set(handed.breaches)
        assert (E.NOT_VERIFIED in broken) or verified
        assert (E.NOT_LABELLED in broken) is not labelled
        if handed.item == "amox":
            standing = set().union(*(self.allergic.get(who, set()) for who in self.everyone(handed.patient)))
            if standing - self.answered.get(handed.dispensing, set()):
                assert E.ALERT_OPEN in broken
        recalls = self.ward.clinic.state("formulary", handed.item).recalls.values()
        hit = any(
            recall.standing and recall.occurred_at <= handed.occurred_at and covers(recall.scope, line.lot, line.date)
            for recall in recalls
            for line in handed.lots
        )
        assert E.RECALLED in broken or not hit
        assert not broken or handed.fact or handed.occurred_at < self.ward.now - timedelta(minutes=5)

    def everyone(self, patient: str) -> set[str]:
        state = self.ward.clinic.state("patient", patient)
        root = state.merged_into or patient
        return {root, *self.ward.clinic.state("patient", root).merged}

    @rule(number=numbers, how=st.sampled_from(("RefuseDispensing", "UnpickDispensing")))
    def end(self, number: int, how: str) -> None:
        one = self.pick(number)
        if one is not None:
            self.attempt(how, dispensing=one.dispensing, patient=one.patient, reason="zyreason")

    @rule(number=numbers, kind=st.sampled_from(("duplicate", "beyond_order", "allergy", "allergy_not_comparable")))
    def override(self, number: int, kind: str) -> None:
        one = self.pick(number)
        if one is not None:
            self.answer({"dispensing": one.dispensing, "patient": one.patient}, kind)

    def answer(self, of: dict[str, str], kind: str) -> None:
        event = self.attempt("OverrideAlert", **of, content={"alert": kind, "reason": "zyreason"})
        if event is not None and kind == "allergy":
            id, everyone = of["dispensing"], self.everyone(of["patient"])
            standing = set().union(*(self.allergic.get(who, set()) for who in everyone))
            self.answered[id] = self.answered.get(id, set()) | standing

    @rule(patient=whom, refuted=st.booleans())
    def allergy(self, patient: str, refuted: bool) -> None:
        if refuted:
            for id in list(self.allergic.get(patient, ())):
                if self.attempt("RefuteAllergy", patient=patient, allergy=id, reason="zyreason") is not None:
                    self.allergic[patient].discard(id)
            return
        id = self.new("x")
        content = {"substance": PENICILLIN, "category": "medication"}
        if self.attempt("RecordAllergy", patient=patient, allergy=id, content=content) is not None:
            self.allergic.setdefault(patient, set()).add(id)

    @rule(undo=st.booleans())
    def merge(self, undo: bool) -> None:
        name = "UnmergePatients" if undo else "MergePatients"
        self.attempt(name, patient=PATIENTS[1], into=PATIENTS[0], reason="zyreason")

    @rule(patient=whom, item=what, lot=lots, fact=st.booleans(), reason=st.booleans(), undo=st.booleans())
    def administer(self, patient: str, item: str, lot: str, fact: bool, reason: bool, undo: bool) -> None:
        id = self.new("g")
        with suppress(Rejected):
            self.ward.administer(id, patient, item, lot, fact=fact, override_reason="zyreason" if reason else None)
        if undo:
            self.attempt("ReverseAdministration", administration=id, patient=patient, reason="zyreason")

    @rule(number=numbers)
    def reverse(self, number: int) -> None:
        given = self.ward.clinic.of(MedicationAdministered)
        if given:
            one = given[number % len(given)]
            self.attempt(
                "ReverseAdministration", administration=one.administration, patient=one.patient, reason="zyreason"
            )

    @rule(days=st.sampled_from((0, 0, 0, 1, 8, 14)), minutes=st.integers(1, 60))
    def time_passes(self, days: int, minutes: int) -> None:
        self.ward.later(days=days, minutes=minutes)

    # -- at the shelf -------------------------------------------------------------------------------------------------

    @rule(item=what, quantity=st.integers(1, 40), lot=lots,
          kind=st.sampled_from(("arrives", "arrives", "leaves", "recalled", "lifted", "quarantined", "released",
                                "counted")))  # fmt: skip
    def at_the_shelf(self, item: str, quantity: int, lot: str, kind: str) -> None:
        here = {"item": item, "location": PLACE}
        match kind:
            case "arrives":
                self.ward.later(minutes=1)
                with suppress(Rejected):
                    self.ward.stock(item, quantity, lot, DAYS[lot])
            case "leaves":
                gone = {"purpose": "clinic", "lines": [{"quantity": quantity}], "already_left": True}
                self.attempt("IssueStock", "inventory", **here, **gone)
            case "recalled":
                recall = {"item": item, "recall": f"r-{lot}", "scope": {"lots": [lot]}, "reason": "Glass."}
                self.attempt("RecallLot", "inventory", **recall)
            case "quarantined":
                quarantine = {"item": item, "quarantine": self.new("q"), "lot": lot, "reason": "Found open."}
                self.attempt("QuarantineLot", "inventory", **quarantine)
            case "released":
                open_ones = [one for one in self.ward.inventory.of(LotQuarantined) if one.item == item]
                if open_ones:
                    freed = {"item": item, "quarantine": open_ones[-1].quarantine, "reason": "All well."}
                    self.attempt("ReleaseLot", "inventory", **freed)
            case "lifted":
                self.attempt("LiftRecall", "inventory", item=item, recall=f"r-{lot}", reason="Withdrawn.")
            case _:
                count = self.new("c")
                self.attempt("StartCount", "inventory", count=count, location=PLACE, items=[item])
                line = {"quantity": quantity, "lot": lot}
                self.attempt("RecordCount", "inventory", **here, count=count, lines=[line])
                with suppress(Rejected):
                    self.ward.inventory.do("ApproveCount", actor="ben", **here, count=count)

    # -- between them -------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 2), events=st.integers(1, 30))
    def read(self, which: int, events: int) -> None:
        self.ward.read(self.ward.couriers[which], events)

    @rule(which=st.integers(0, 2), number=numbers, times=st.integers(1, 12), fate=st.sampled_from(FATES))
    def send(self, which: int, number: int, times: int, fate: str) -> None:
        courier = self.ward.couriers[which]
        for _ in range(times):
            targets = list(courier.queues)
            if targets:
                self.ward.send(courier, targets[number % len(targets)], fate)

    @precondition(lambda self: self.ward.late)
    @rule(number=numbers)
    def arrive_late(self, number: int) -> None:
        self.ward.arrive_late(number)

    @rule(which=st.integers(0, 2))
    def kill(self, which: int) -> None:
        self.ward.restart(self.ward.couriers[which])

    @rule()
    def settle(self) -> None:
        self.ward.settle()
        agrees(self.ward)

    def teardown(self) -> None:
        if hasattr(self, "ward"):
            self.ward.settle()
            while self.ward.late:
                self.ward.arrive_late(0)
            for courier in self.ward.couriers:
                self.ward.restart(courier)
            self.ward.settle()
            agrees(self.ward)
            self.ward.later(days=15)
            self.ward.settle()
            agrees(self.ward)
            assert not self.ward.reserved(), "something is reserved for ever"


# -- what must be so in the end ---------------------------------------------------------------------------------------


def agrees(ward: Infirmary) -> None:
    """Nothing is on its way any more: the two services say the same."""
    reserved = ward.reserved()
    dispensings = {one.dispensing: one for one in ward.clinic.of(DispensingRequested)}
    assert set(reserved) <= {f"c-{id}" for id, _ in dispensings.items() if not ward.dispensing(id).over}
    for id, requested in dispensings.items():
        state = ward.dispensing(id)
        known = {lot.lot: lot.quantity for lot in state.lots}
        assert known == reserved.get(f"c-{id}", {}), id
        allotted = ward.clinic.state("prescription", requested.prescription).allotted.get(id)
        claimed = id in ward.clinic.state("medication", requested.patient).fills
        if state.stage in (Stage.REFUSED, Stage.UNPICKED):
            assert allotted is None and not claimed, id
        if state.stage is Stage.VERIFIED:
            assert allotted == requested.quantity and claimed, id
        if state.stage is Stage.DISPENSED:
            assert allotted == state.quantity and claimed, id
    for handed in ward.clinic.of(MedicationDispensed):
        if handed.unrequested is not None:
            assert handed.dispensing in ward.clinic.state("medication", handed.patient).fills
            if handed.prescription is not None:
                allotted = ward.clinic.state("prescription", handed.prescription).allotted
                assert allotted[handed.dispensing] == handed.quantity
    what_left_is_what_was_given(ward)
    nothing_leaks(ward)
    memory_is_bounded(ward, dispensings)
    assert {one.code for one in ward.unresolved()} <= mendable(ward.unresolved()), ward.unresolved()


def what_left_is_what_was_given(ward: Infirmary) -> None:
    """Of each dispensing and administration exactly its goods left, once; of what was taken back none."""
    issued: Counter[str] = Counter()
    undone = {(one.item, one.location, one.movement) for one in ward.inventory.of(MovementReversed)}
    for event in ward.inventory.events:
        one = event.data
        if isinstance(one, StockIssued) and one.recipient and (one.item, one.location, event.revision) not in undone:
            issued[one.recipient] += sum(move.unrecorded - move.change for move in one.moves)
    given: Counter[str] = Counter()
    for handed in ward.clinic.of(MedicationDispensed):
        given[handed.dispensing] += handed.quantity
    back = {one.administration for one in ward.clinic.of(AdministrationReversed)}
    for one in ward.clinic.of(MedicationAdministered):
        given[f"a-{one.administration}"] += one.quantity * (one.administration not in back)
    refused = {one.target for one in ward.clinic.of(ProcessStepRefused) if one.command == "ReverseMovement"}
    for who in given | issued:
        assert issued[who] == given[who] or refused, (who, issued[who], given[who])


def nothing_leaks(ward: Infirmary) -> None:
    for event in ward.inventory.events:
        assert not any(marker in event.raw.lower() for marker in MARKERS), event.raw
    for refused in ward.clinic.of(ProcessStepRefused):
        told = refused.detail.lower().encode()
        assert not any(marker in told for marker in MARKERS[1:]), told


def memory_is_bounded(ward: Infirmary, dispensings: dict[str, Any]) -> None:
    """What is over is forgotten."""
    manager = ward.couriers[0].managers[0]
    assert isinstance(manager, Dispensing)
    assert all(not ward.dispensing(id).over for id in manager._open), manager._open.keys()
    assert not manager._drawing and not manager._reversed
    assert manager._issuing.keys() <= {one.about for one in manager._sent.values()}


def mendable(refused: list[Any]) -> set[str]:
    """Codes of refusals by inventory that say why its books, as they are, need a person."""
    codes = ("BREAKS_LATER_MOMENT", "UNKNOWN_MOVEMENT")
    return {one.code for one in refused if one.command == "ReverseMovement" and one.code in codes}


Medicines.TestCase.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMedicines = Medicines.TestCase
