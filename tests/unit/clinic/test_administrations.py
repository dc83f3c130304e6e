"""What is given at the clinic: compared with allergies, drawn from stock, and taken back when it was a mistake."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.clinic.contract import (
    AdministerMedication,
    AdministrationResolved,
    AdministrationReversed,
    Allergy,
    AllergyCategory,
    ClinicError,
    CodeSystem,
    Coding,
    GiveImmunization,
    Given,
    Immunization,
    ImmunizationGiven,
    MedicationAdministered,
    NoteDrawn,
    NoteRecall,
    RecordAllergy,
    ResolveAdministration,
    ReverseAdministration,
    StockDrawn,
)
from services.inventory.contract import RecallScope
from tests.support.clinic import measured, visit
from tests.support.dispensings import kinds
from tests.support.pharmacy import PHARMACY, amoxicillin_500, entry, given, ibuprofen_400, noted
from tests.support.sentences import NOW

E = ClinicError
flu = Coding(system=CodeSystem.CVX, code="140", display="Influenza, seasonal, injectable, preservative free")
mmr = Coding(system=CodeSystem.CVX, code="03", display="MMR")
WARD = (
    *PHARMACY, noted("flu"), entry("flu", flu, flu, vaccine=flu, form="suspension", strength=None),
)  # fmt: skip


def given_now(id: str = "g", patient: str = "ben", content: Given | None = None, **more: Any) -> AdministerMedication:
    what = content or Given(medication=amoxicillin_500, dose=measured(500, 0, "mg"))
    facts = {"item": "amox", "location": "cupboard", "quantity": 1, "lot": "L1", "content": what, **more}
    return AdministerMedication(administration=id, patient=patient, **facts)


def vaccinated(id: str = "v", patient: str = "ben", content: Immunization | None = None, **more: Any) -> Any:
    what = content or Immunization(vaccine=flu, dose=measured(5, 1, "mL"))
    facts = {"item": "flu", "location": "cupboard", "quantity": 1, "lot": "F1", **more}
    return GiveImmunization(administration=id, patient=patient, content=what, **facts)


def recalled(item: str, lot: str) -> NoteRecall:
    return NoteRecall(item=item, recall="r", revision=1, scope=RecallScope(lots=(lot,)), reason="x", standing=True)


def allergic(display: str, code: str = "", patient: str = "ben", category: str = "food") -> RecordAllergy:
    system = CodeSystem.SNOMED if code else CodeSystem.TEXT
    substance = Coding(system=system, code=code, display=display)
    content = Allergy(substance=substance, category=AllergyCategory(category))
    return RecordAllergy(patient=patient, allergy="egg", content=content)


def test_a_medicine_is_given_from_stock_and_what_was_checked_is_said() -> None:
    done = given(*WARD).when(given_now(), actor="tam").then(MedicationAdministered, breaches=(), lot="L1")
    assert kinds(done.state("administration", "g").given.check) == []
    done.when(given_now()).then_nothing()
    done.when(given_now(quantity=2)).then_rejected(E.ALREADY_EXISTS)
    given(*WARD).when(given_now(), actor="rui").then_rejected(E.WRONG_ROLE)


def test_an_allergy_stops_it_unless_somebody_licensed_gives_a_reason() -> None:
    given(*WARD).when(given_now(patient="ada"), actor="osei").then_rejected(E.ALERT_OPEN)
    reason = given_now(patient="ada", override_reason="No other is left.")
    given(*WARD).when(reason, actor="tam").then_rejected(E.WRONG_ROLE)
    given(*WARD).when(reason, actor="osei").then(MedicationAdministered, breaches=())
    fact = given(*WARD).when(given_now(patient="ada", fact=True), actor="osei")
    fact.then(MedicationAdministered, breaches=(E.ALERT_OPEN,))


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        ((), given_now(content=Given(medication=ibuprofen_400, dose=measured(400, 0, "mg"))), E.WRONG_MEDICINE),
        ((), given_now(content=Given(medication=amoxicillin_500, dose=measured(500, 0, "g"))), E.WRONG_UNIT),
        ((), given_now(content=Given(medication=amoxicillin_500, dose=measured(500, 0, "mm[Hg]"))), E.WRONG_UNIT),
        ((), given_now(content=Given(medication=amoxicillin_500, dose=measured(1, 0, "{tbl}"))), E.WRONG_UNIT),
        ((), given_now(expires=date(2026, 11, 19)), E.EXPIRED),
        ((recalled("amox", "L1"),), given_now(), E.RECALLED),
        ((), given_now(item="nothing"), E.UNKNOWN_ITEM),
        ((noted("amox", revision=2, retired=True),), given_now(), E.NOT_ON_FORMULARY),
        ((), vaccinated(content=Immunization(vaccine=mmr)), E.WRONG_MEDICINE),
        ((), vaccinated(content=Immunization(vaccine=flu, expires=date(2026, 11, 19))), E.EXPIRED),
        ((recalled("flu", "F1"),), vaccinated(), E.RECALLED),
    ],
)  # fmt: skip
def test_what_may_not_be_given_is_refused_and_recorded_if_it_was(history: Any, command: Any, code: E) -> None:
    there = given(*WARD, *history)
    there.when(command).then_rejected(code)
    late = type(command)(**{name: getattr(command, name) for name in command.__slots__} | {"fact": True})
    event = there.when(late).event
    assert code in event.breaches


@pytest.mark.parametrize(
    ("history", "encounter", "code"), [((), "e-2", E.UNKNOWN_ENCOUNTER), ((visit,), "e-1", E.WRONG_PATIENT)]
)
def test_what_is_given_is_given_in_an_encounter_of_the_patient_s(history: Any, encounter: str, code: E) -> None:
    for give in (given_now, vaccinated):
        there = given(*WARD, *history)
        there.when(give(encounter=encounter)).then_rejected(code)
        assert there.when(give(encounter=encounter, fact=True)).event.breaches == (code,)


def test_what_is_reported_late_is_a_fact() -> None:
    late = given_now(occurred_at=NOW - timedelta(hours=2), expires=date(2026, 11, 1))
    given(*WARD, now=NOW - timedelta(hours=3)).when(late).then(MedicationAdministered, breaches=(E.EXPIRED,))


def test_a_vaccine_is_compared_with_what_is_in_it_beside_the_antigen() -> None:
    given(*WARD).when(vaccinated(), actor="osei").then(ImmunizationGiven, breaches=())
    for allergy in (
        allergic("Eggs (edible) (substance)", "102263004"), allergic("eggs"), allergic("latex gloves"),
        allergic("Latex (substance)", "111088007", category="environment"),
    ):  # fmt: skip
        given(*WARD, allergy).when(vaccinated()).then_rejected(E.ALERT_OPEN)
    given(*WARD, allergic("neomycin", category="medication")).when(vaccinated()).then(ImmunizationGiven)


def test_a_vaccine_given_elsewhere_is_recorded_by_any_of_the_staff_and_draws_on_nothing() -> None:
    imported = GiveImmunization(
        administration="v", patient="ben", content=Immunization(vaccine=flu), imported_from="synthea"
    )
    given(*WARD).when(imported, actor="import").then_rejected(E.UNKNOWN_PRACTITIONER)
    there = given(*WARD).when(imported, actor="rui").then(ImmunizationGiven, check=None)
    there.when(imported, actor="ines").then_nothing()
    undone = there.when(ReverseAdministration(administration="v", patient="ben", reason="Twice."))
    undone.then(AdministrationReversed, item=None, movements=())


def test_a_vaccine_is_from_some_stock_or_from_elsewhere() -> None:
    given(*WARD).when(vaccinated(item=None)).then_rejected(E.UNKNOWN_ITEM)
    two = Immunization(vaccine=flu, lot="F2")
    given(*WARD).when(vaccinated(content=two)).then_rejected(E.WRONG_MEDICINE)
    given(*WARD).when(vaccinated(content=Immunization(vaccine=flu, lot="f-1"))).then(ImmunizationGiven)


def test_a_reversal_names_the_movements_that_are_known() -> None:
    undo = ReverseAdministration(administration="g", patient="ben", reason="Not given after all.")
    given(*WARD, given_now()).when(undo).then(AdministrationReversed, item="amox", location="cupboard", movements=())
    drawn = given(*WARD, given_now()).when(NoteDrawn(administration="g", movement=4)).then(StockDrawn)
    drawn.when(NoteDrawn(administration="g", movement=4)).then_nothing()
    undone = drawn.when(undo).then(AdministrationReversed, movements=(4,))
    undone.when(undo).then_nothing()
    undone.when(NoteDrawn(administration="g", movement=9)).then(StockDrawn)
    drawn.when(undo, actor="rui").then_rejected(E.WRONG_ROLE)
    given(*WARD).when(undo).then_rejected(E.UNKNOWN_GIVING)


def test_a_broken_rule_waits_for_somebody_until_it_is_looked_into_or_taken_back() -> None:
    resolve = ResolveAdministration(administration="g", patient="ben", note="Looked into.")
    broke = given(*WARD, recalled("amox", "L1"), given_now(fact=True))
    broke.when(resolve).then(AdministrationResolved).when(resolve).then_nothing()
    broke.erased("patient/ben").when(resolve).then(AdministrationResolved)
    undone = broke.when(ReverseAdministration(administration="g", patient="ben", reason="x")).then_event()
    undone.when(resolve).then_nothing()
    given(*WARD, given_now()).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
