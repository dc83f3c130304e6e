"""What may be ordered, who stands for it, and how much of it may be given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    AllotSupply,
    ClinicError,
    CodeSystem,
    Coding,
    MedicationPrescribed,
    MergePatients,
    NoteMerge,
    OrderStatus,
    PrescriptionSigned,
    PrescriptionStopped,
    ReturnSupply,
    StopPrescription,
    SupplyAllotted,
    SupplyReturned,
)
from tests.support.clinic import CLINIC, measured, rxnorm, visit
from tests.support.pharmacy import PHARMACY, allot, given, order, prescribed, sam, signed
from tests.support.sentences import NOW, erase

E = ClinicError
STAFFED = (*CLINIC, sam)


def test_a_clinician_and_a_trainee_order_and_nobody_else() -> None:
    for actor in ("osei", "tam"):
        given(*STAFFED).when(prescribed(), actor=actor).then(MedicationPrescribed, patient="ben")
    for actor in ("lind", "rui"):
        given(*STAFFED).when(prescribed(), actor=actor).then_rejected(E.WRONG_ROLE)
    given(*STAFFED).when(prescribed(), actor="nobody").then_rejected(E.UNKNOWN_PRACTITIONER)


def test_an_order_is_of_an_encounter_of_its_patient_s_or_of_none() -> None:
    of = {"encounter": "e-1", "patient": "ada"}
    given(*STAFFED).when(prescribed(**of)).then_rejected(E.UNKNOWN_ENCOUNTER)
    there = given(*STAFFED, visit)
    there.when(prescribed(**of)).then(MedicationPrescribed, encounter="e-1")
    there.when(prescribed(encounter="e-1")).then_rejected(E.WRONG_PATIENT)
    given(*STAFFED).when(prescribed(**of, imported_from="County")).then(MedicationPrescribed, encounter="e-1")
    merged = (
        MergePatients(patient="ada", into="ben", reason="One."),
        NoteMerge(patient="ben", other="ada", merged=True),
    )
    one = given(*STAFFED, visit, *merged)
    one.when(prescribed(encounter="e-1")).then(MedicationPrescribed)


def test_an_order_is_placed_once_and_says_the_same_when_it_is_repeated() -> None:
    placed = given(*STAFFED, prescribed())
    placed.when(prescribed()).then_nothing()
    placed.when(prescribed(content=order(quantity=5))).then_rejected(E.ALREADY_EXISTS)


@pytest.mark.parametrize(
    "medication",
    [
        rxnorm("7804", "something"),
        rxnorm("1049621", "oxycodone hydrochloride 5 MG Oral Tablet"),
        Coding(system=CodeSystem.TEXT, display="Xanax, for the nights"),
        Coding(system=CodeSystem.TEXT, display="TRAMADOL 50"),
        Coding(system=CodeSystem.TEXT, display="sodium   oxybate"),
    ],
)
def test_controlled_substances_are_refused_by_code_and_by_words_and_not_named(medication: Coding) -> None:
    refused = given(*STAFFED).when(prescribed(content=order(medication, dose=None)))
    refused.then_rejected(E.CONTROLLED_SUBSTANCE, prescription="rx")
    assert refused.refusal is not None and medication.display not in str(refused.refusal.problem())


def test_what_only_sounds_like_one_is_not() -> None:
    for display in ("naloxone 4 MG Nasal Spray", "loperamide", "apomorphine"):
        one = Coding(system=CodeSystem.TEXT, display=display)
        given(*STAFFED).when(prescribed(content=order(one, dose=None))).then_event()


@pytest.mark.parametrize("unit", ["mmol/L", "Cel", "kilo"])
def test_a_dose_is_in_a_unit_of_doses(unit: str) -> None:
    wrong = order(dose=measured(500, 0, unit))
    given(*STAFFED).when(prescribed(content=wrong)).then_rejected(E.WRONG_UNIT)


@pytest.mark.parametrize(
    ("value", "unit", "right"),
    [
        (500, "mg", True),
        (1, "{capsule}", True),
        (500, "g", False),
        (500, "ug", False),
        (5, "mL", False),
        (1, "{tbl}", False),
    ],
)
def test_a_dose_fits_what_the_words_of_the_medicine_say(value: int, unit: str, right: bool) -> None:
    ordered = given(*STAFFED).when(prescribed(content=order(dose=measured(value, 0, unit))), actor="osei")
    if right:
        ordered.then(MedicationPrescribed)
    else:
        ordered.then_rejected(E.WRONG_UNIT)


def test_an_imported_order_is_recorded_by_any_of_the_staff_and_is_never_signed_nor_given() -> None:
    imported = prescribed(content=order(rxnorm("861467", "Meperidine Hydrochloride 50 MG Oral Tablet")))
    elsewhere = prescribed(content=imported.content, imported_from="synthea")
    given(*STAFFED).when(elsewhere, actor="import").then_rejected(E.UNKNOWN_PRACTITIONER)
    there = given(*STAFFED).when(elsewhere, actor="ines").then(MedicationPrescribed)
    there.when(signed(), actor="osei").then_rejected(E.IMPORTED_ORDER)
    there.when(allot()).then_rejected(E.IMPORTED_ORDER)


def test_how_an_order_stood_elsewhere_is_said_of_imported_orders_alone() -> None:
    for status in (OrderStatus.STOPPED, OrderStatus.COMPLETED):
        given(*STAFFED).when(prescribed(status=status)).then_rejected(E.PRESCRIPTION_STOPPED)
        given(*STAFFED).when(prescribed(status=status, imported_from="synthea")).then_event()


def test_a_trainee_s_order_is_signed_by_a_licensed_clinician_once() -> None:
    placed = given(*STAFFED).when(prescribed(), actor="tam").then(MedicationPrescribed)
    for actor, code in (("tam", E.WRONG_ROLE), ("lind", E.WRONG_ROLE)):
        placed.when(signed(), actor=actor).then_rejected(code)
    placed.when(signed(patient="ada"), actor="osei").then_rejected(E.WRONG_PATIENT)
    done = placed.when(signed(), actor="osei").then(PrescriptionSigned, signed_by="osei", valid_days=365)
    done.when(signed(), actor="osei").then_nothing()
    done.when(signed(), actor="sam").then_rejected(E.PRESCRIPTION_SIGNED)


def test_a_stopped_order_is_not_signed() -> None:
    stop = StopPrescription(prescription="rx", patient="ben", reason="He is better.")
    stopped = given(*STAFFED, prescribed()).when(stop).then(PrescriptionStopped)
    stopped.when(stop).then_nothing()
    stopped.when(signed()).then_rejected(E.PRESCRIPTION_STOPPED)
    given(*STAFFED, prescribed()).when(stop, actor="rui").then_rejected(E.WRONG_ROLE)


def test_no_more_is_allotted_than_was_ordered_repeats_included() -> None:
    twice = given(*STAFFED, prescribed(content=order(repeats=1)), signed(), allot("d1"))
    twice.when(allot("d1")).then_nothing()
    full = twice.when(allot("d2")).then(SupplyAllotted, allotted=42, over=False)
    full.when(allot("d3", 1)).then_rejected(E.BEYOND_ORDER, dispensing="d3")
    back = full.when(ReturnSupply(prescription="rx", patient="ben", dispensing="d1")).then(SupplyReturned)
    back.when(ReturnSupply(prescription="rx", patient="ben", dispensing="d1")).then_nothing()
    back.when(allot("d3")).then(SupplyAllotted, allotted=42, over=False)
    back.when(allot("d1")).then_rejected(E.DISPENSING_OVER)
    back.when(allot("d1", fact=True)).then(SupplyAllotted, over=False)


def test_that_somebody_answers_for_more_is_looked_up_and_not_believed() -> None:
    given(*PHARMACY, allot()).when(allot("d2", 1, overridden=True)).then_rejected(E.BEYOND_ORDER)


def test_a_refusal_does_not_say_how_much_was_ordered() -> None:
    refused = given(*PHARMACY).when(allot(quantity=22)).refusal
    assert refused is not None and "21" not in str(refused.problem())


def test_a_fact_is_counted_whatever_the_order_says() -> None:
    given(*PHARMACY, allot()).when(allot("d2", fact=True)).then(SupplyAllotted, allotted=42, over=True)
    given(*STAFFED, prescribed()).when(allot(fact=True)).then(SupplyAllotted, over=False)


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        ((prescribed(),), allot(), E.PRESCRIPTION_NOT_SIGNED),
        ((prescribed(content=order(quantity=None)), signed()), allot(), E.BEYOND_ORDER),
        ((), allot(), E.UNKNOWN_PRESCRIPTION),
        ((prescribed(), signed()), allot(patient="ada"), E.WRONG_PATIENT),
    ],
)
def test_nothing_is_allotted_of_an_order_that_does_not_allow_it(history: Any, command: AllotSupply, code: E) -> None:
    given(*STAFFED, *history).when(command).then_rejected(code)


def test_an_order_expires() -> None:
    short = given(*STAFFED, prescribed(), signed(valid_days=30))
    short.when(allot(), now=NOW + timedelta(days=29)).then_event()
    short.when(allot(), now=NOW + timedelta(days=31)).then_rejected(E.PRESCRIPTION_EXPIRED)


def test_an_order_that_cannot_be_read_is_not_filled_but_what_was_given_of_it_counts() -> None:
    lost = given(*PHARMACY)
    erase("patient/ben")
    lost.when(allot()).then_rejected(E.CANNOT_BE_READ)
    lost.when(allot(fact=True)).then(SupplyAllotted, over=True)


def test_an_order_in_a_record_that_goes_on_as_another_is_theirs() -> None:
    merged = given(
        *PHARMACY, MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True),
    )  # fmt: skip
    merged.when(allot(patient="ada")).then(SupplyAllotted, patient="ada")
    merged.when(prescribed("rx2")).then_rejected(E.PATIENT_MERGED)
