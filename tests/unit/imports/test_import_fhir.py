"""FHIR resources become commands of the clinic; what is not taken is told with its reason, and the figures add up."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from services.clinic.contract import (
    AllergyCategory,
    AssertNoKnownAllergy,
    CodeSystem,
    Coding,
    EncounterKind,
    GiveImmunization,
    Measure,
    OpenEncounter,
    OrderStatus,
    Prescribe,
    ProblemStatus,
    RecordAllergy,
    RecordProblem,
    RecordResult,
    RegisterPatient,
    ResultCategory,
    Severity,
    Sex,
    clinic,
)
from services.fhir.mapping import resources
from services.fhir.models import check
from services.imports.fhir.report import Report
from services.imports.fhir.run import run
from shared.errors import CommandIdReused, Halted, Invalid, OutcomeUnknown, Rejected
from tests.support.charts import entry

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"


class Code(StrEnum):
    ALREADY_EXISTS = "ALREADY_EXISTS"


class Ledger:
    """Remembers command ids as the clinic does; `trouble` may raise before a command is kept."""

    def __init__(self, trouble: Callable[[Any], None] = lambda command: None) -> None:
        self.kept: dict[str, Any] = {}
        self.trouble = trouble

    async def send(self, name: str, data: Mapping[str, Any], id_: str) -> Literal["accepted", "unchanged"]:
        command = clinic.parse(name, json.dumps(data))
        await asyncio.sleep(0)
        self.trouble(command)
        if id_ in self.kept:
            if self.kept[id_] != command:
                raise Rejected(Code.ALREADY_EXISTS, "The same id with other content.")
            return "unchanged"
        self.kept[id_] = command
        return "accepted"

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.kept.values() if isinstance(one, kind)]


def written(folder: Path, *resources: Any, name: str = "file.ndjson") -> Path:
    file = folder / name
    lines = [one if isinstance(one, str) else json.dumps(one) for one in resources]
    file.write_text("\n".join(lines) + "\n")
    return file


async def imported(
    folder: Path, *resources: Any, ledger: Ledger | None = None, origin: str = "County", **options: Any
) -> tuple[Ledger, Report]:
    ledger = ledger or Ledger()
    report = await run([written(folder, *resources)], origin, ledger.send, **options)
    assert report.adds_up
    return ledger, report


def figures(report: Report) -> dict[str, tuple[int, ...]]:
    return {name: (c.read, c.taken, c.same, c.refused, c.left_out) for name, c in report.types.items()}


def patient(id_: str = "p1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": "Ruiz", "given": ["Ana"]}]} | more


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def status(kind: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{kind}", "code": code}]}


def allergy(id_: str = "a1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance",
        "id": id_,
        "patient": {"reference": "Patient/p1"},
        "category": ["medication"],
        "clinicalStatus": status("allergyintolerance-clinical", "active"),
        "code": concept(RXNORM, "7980", "Penicillin G"),
    } | more


def order(id_: str = "m1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": id_,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2020-05-01T10:00:00+02:00",
        "medicationCodeableConcept": concept(RXNORM, "314076", "lisinopril 10 MG Oral Tablet"),
    } | more


def encounter(id_: str = "e1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "subject": {"reference": "Patient/p1"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "period": {"start": "2020-05-01T10:00:00Z", "end": "2020-05-01T10:30:00Z"},
    } | more


def observation(id_: str = "o1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [status("observation-category", "vital-signs")],
        "subject": {"reference": "Patient/p1"},
        "code": concept(LOINC, "8310-5", "Body temperature"),
        "effectiveDateTime": "2020-05-01T10:00:00Z",
    } | more


def vaccine(id_: str = "i1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization",
        "id": id_,
        "status": "completed",
        "patient": {"reference": "Patient/p1"},
        "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", "62", "HPV, quadrivalent"),
        "occurrenceDateTime": "2014-08-19",
    } | more


def problem(id_: str = "c1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": id_,
        "subject": {"reference": "Patient/p1"},
        "clinicalStatus": status("condition-clinical", "active"),
        "code": concept(SNOMED, "46177005", "End-stage renal disease"),
    } | more


def quantity(value: Any, unit: str = "Cel", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit} | more


# -- what is taken ----------------------------------------------------------------------------------------------------


async def test_who_somebody_is_is_taken_with_the_number_that_they_have_elsewhere(tmp_path: Path) -> None:
    ledger, _ = await imported(
        tmp_path,
        patient(gender="female", birthDate="1980-05-01", identifier=[{"system": "http://x.example", "value": "7"}]),
    )
    (who,) = ledger.of(RegisterPatient)
    assert (who.content.family, who.content.given, who.content.sex) == ("Ruiz", ("Ana",), Sex.FEMALE)
    assert who.content.born == date(1980, 5, 1) and who.imported_from == "County"
    assert who.content.identifiers == ("County|p1", "http://x.example|7")


async def test_a_decimal_keeps_the_digits_it_was_written_with(tmp_path: Path) -> None:
    text = json.dumps(observation(valueQuantity=quantity(36.6))).replace("36.6", "36.60")
    ledger, _ = await imported(tmp_path, patient(), text)
    assert ledger.of(RecordResult)[0].content.measured == Measure(value=3660, decimals=2, unit="Cel")


async def test_an_import_says_of_each_what_it_was(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(),
        encounter(),
        observation(valueQuantity=quantity(36.6)),
        problem(onsetDateTime="2019-02-03"),
        allergy(type="intolerance", criticality="high"),
        order(status="stopped"),
        vaccine(encounter={"reference": "Encounter/e1"}),
    )
    assert report.ok and not report.unknown, report.as_text()
    me = ledger.of(RegisterPatient)[0].patient
    (met,) = ledger.of(OpenEncounter)
    assert (met.patient, met.kind, met.occurred_at, met.ended_at) == (
        me,
        EncounterKind.AMBULATORY,
        datetime(2020, 5, 1, 10, tzinfo=UTC),
        datetime(2020, 5, 1, 10, 30, tzinfo=UTC),
    )
    (found,) = ledger.of(RecordResult)
    assert found.content.measured == Measure(value=366, decimals=1, unit="Cel")
    (said,) = ledger.of(RecordProblem)
    assert (said.content.status, said.content.since) == (ProblemStatus.ACTIVE, date(2019, 2, 3))
    (not_borne,) = ledger.of(RecordAllergy)
    assert not_borne.content.substance == Coding(system=CodeSystem.RXNORM, code="7980", display="Penicillin G")
    assert not_borne.content.intolerance and not_borne.content.note == "Criticality: high."
    (ordered,) = ledger.of(Prescribe)
    assert (ordered.status, ordered.imported_from, ordered.content.directions) == (
        OrderStatus.STOPPED,
        "County",
        "Not stated.",
    )
    (given,) = ledger.of(GiveImmunization)
    assert given.encounter == met.encounter and given.occurred_at == datetime(2014, 8, 19, 12, tzinfo=UTC)
    assert ("Immunization.occurrenceDateTime", "has no time of day: taken as noon, UTC") in report.notes


async def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    everything = [patient(), encounter(), allergy(), order(), vaccine(), problem(), observation(valueString="calm")]
    ledger, first = await imported(tmp_path, *everything)
    before = dict(ledger.kept)
    _, second = await imported(tmp_path, *reversed(everything), ledger=ledger)
    assert (first.total.taken, second.total.taken, second.total.same) == (7, 0, 7) and second.ok
    assert ledger.kept == before


async def test_the_same_ids_from_another_system_are_other_people(tmp_path: Path) -> None:
    ledger, _ = await imported(tmp_path, patient(), order())
    _, report = await imported(tmp_path, patient(), order(), ledger=ledger, origin="Other Clinic")
    assert report.total.taken == 2
    assert (
        len({one.patient for one in ledger.of(RegisterPatient)})
        == len({one.prescription for one in ledger.of(Prescribe)})
        == 2
    )


async def test_no_id_here_says_who_it_is_elsewhere_and_no_command_id_says_anything(tmp_path: Path) -> None:
    uuid = "129c6ac7-8d06-89de-ad63-0204a93e76c3"
    ledger, _ = await imported(tmp_path, patient(uuid), encounter(uuid, subject={"reference": f"Patient/{uuid}"}))
    assert ledger.of(RegisterPatient)[0].patient != uuid
    assert ledger.of(OpenEncounter)[0].encounter == uuid
    before = set(ledger.kept)
    again, _ = await imported(tmp_path, patient(uuid, birthDate="1980-05-01", gender="male"))
    assert set(again.kept) < before


async def test_that_no_allergy_is_known_is_asserted_of_the_kinds_it_was_said_of(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(),
        allergy("n1", code=concept(SNOMED, "409137002", "No Known Drug Allergy")),
        patient("p2"),
        allergy("n2", patient={"reference": "Patient/p2"}, code=concept(SNOMED, "716186003", "No Known Allergy")),
        allergy("n3", code=concept(SNOMED, "716184000", "No Known Latex Allergy")),
    )
    assert figures(report)["AllergyIntolerance"] == (3, 2, 0, 0, 1)
    first, second = (one.patient for one in ledger.of(RegisterPatient))
    asserted = {(one.patient, one.category) for one in ledger.of(AssertNoKnownAllergy)}
    assert asserted == {(first, AllergyCategory.MEDICATION), *((second, each) for each in AllergyCategory)}


async def test_what_has_no_field_of_its_own_is_kept_in_words(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(),
        allergy(
            onsetDateTime="2004",
            verificationStatus=status("allergyintolerance-verification", "unconfirmed"),
            code=concept(SNOMED, "227037002", "Fish") | {"text": "Fresh fish. Tolerates canned fish"},
            reaction=[
                {"manifestation": [concept(SNOMED, "39579001", "Anaphylaxis")], "severity": "severe"},
                {
                    "manifestation": [concept(SNOMED, "64305001", "Urticaria")],
                    "severity": "mild",
                    "description": "After 15 min",
                },
            ],
        ),
    )
    said = ledger.of(RecordAllergy)[0].content
    assert (said.reaction.display, said.severity, said.since) == ("Anaphylaxis", Severity.SEVERE, None)
    assert said.note == ("Fresh fish. Tolerates canned fish. Since 2004. Also: Urticaria (mild); After 15 min.")
    assert not report.unknown


@pytest.mark.parametrize(
    ("verified", "clinical", "out"),
    [
        ("unconfirmed", "active", ("unconfirmed", "active")),
        ("confirmed", "resolved", ("confirmed", "resolved")),
        ("confirmed", "inactive", ("confirmed", "inactive")),
        ("presumed", "active", (None, "active")),  # which R4 has not
        (None, "active", (None, "active")),
        (None, None, (None, "active")),  # R4 asks for one (ait-1)
        ("vague", "vague", (None, "active")),
    ],
)
async def test_how_sure_an_allergy_is_and_whether_it_lasts_go_out_as_they_came_in(
    tmp_path: Path, verified: str | None, clinical: str | None, out: tuple[str | None, str]
) -> None:
    came = allergy()
    for name, kind, said in (
        ("verificationStatus", "allergyintolerance-verification", verified),
        ("clinicalStatus", "allergyintolerance-clinical", clinical),
    ):
        came.pop(name, None)
        came |= {name: status(kind, said)} if said else {}
    ledger, report = await imported(tmp_path, patient(), came)
    content = ledger.of(RecordAllergy)[0].content
    assert (content.verification, content.clinical_status) == (
        verified if verified != "vague" else None,
        clinical if clinical != "vague" else None,
    )
    for stands, expected in (("active", out), ("refuted", ("refuted", "inactive"))):
        (gone,) = resources(entry("allergy", "a1", content, status=stands))
        check(gone)
        codes = [gone.get(name, {"coding": [{}]})["coding"][0].get("code")
                 for name in ("verificationStatus", "clinicalStatus")]  # fmt: skip
        assert tuple(codes) == expected
    noted = {path for path, _ in report.notes}
    assert ("AllergyIntolerance.clinicalStatus" in noted) == (clinical in ("inactive", "resolved", "vague"))


async def test_that_no_allergy_is_known_is_not_taken_once_it_does_not_hold(tmp_path: Path) -> None:
    none = concept(SNOMED, "409137002", "No Known Drug Allergy")
    _, report = await imported(
        tmp_path,
        patient(),
        allergy("n1", code=none, clinicalStatus=status("allergyintolerance-clinical", "resolved")),
        allergy("n2", code=none, verificationStatus=status("allergyintolerance-verification", "unconfirmed")),
    )
    assert figures(report)["AllergyIntolerance"] == (2, 1, 0, 0, 1)
    assert [path for path, _ in report.notes] == ["AllergyIntolerance.verificationStatus"]


async def test_the_category_of_an_observation_is_kept_and_one_without_is_named(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(),
        observation("o1", valueString="x", category=[status("observation-category", "survey")]),
        observation("o2", valueString="y", category=None),
        observation("o3", valueString="z", category=[status("local", "sdoh")]),
    )
    assert {one.content.text: one.content.category for one in ledger.of(RecordResult)} == {
        "x": ResultCategory.SURVEY,
        "y": None,
        "z": None,
    }
    after = "taken as the one that its code is known for, else as a laboratory's"
    assert report.notes == {
        ("Observation.category", f"is missing: {after}"): 1,
        ("Observation.category", f"is none that is known here: {after}"): 1,
    }


async def test_both_pressures_of_an_observation_are_results(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(),
        observation(
            code=concept(LOINC, "85354-9", "Blood pressure"),
            component=[
                {"code": concept(LOINC, "8480-6", "Systolic"), "valueQuantity": quantity(120, "mm[Hg]")},
                {"code": concept(LOINC, "8462-4", "Diastolic"), "valueQuantity": quantity(80, "mm[Hg]")},
            ],
        ),
    )
    assert figures(report)["Observation"] == (1, 1, 0, 0, 0)
    results = ledger.of(RecordResult)
    assert {(one.content.code.code, one.content.measured.value) for one in results} == {("8480-6", 120), ("8462-4", 80)}
    assert len({one.result for one in results}) == 2


@pytest.mark.parametrize(
    ("code", "value", "unit", "refused"),
    [
        ("8310-5", 386, "Cel", True),
        ("8310-5", 48, "Cel", False),
        ("8310-5", 98.6, "[degF]", False),
        ("8310-5", 98.6, "Cel", True),
        ("8867-4", -1, "/min", True),
        ("29463-7", 7142, "kg", True),
        ("2339-0", 95, "mg/dL", False),
        ("2951-2", 386, "mmol/L", False),  # of what is no sign, nothing is known here
    ],
)
async def test_a_measure_that_no_living_body_has_is_refused_as_it_is_of_the_clinics_own(
    tmp_path: Path, code: str, value: Any, unit: str, refused: bool
) -> None:
    found = observation(code=concept(LOINC, code, "x"), valueQuantity=quantity(value, unit))
    for dry_run in (False, True):
        ledger, report = await imported(tmp_path, patient(), found, dry_run=dry_run)
        assert figures(report)["Observation"] == ((1, 0, 0, 1, 0) if refused else (1, 1, 0, 0, 0))
        assert not refused or "outside what a living body has" in report.refusals[0].reason
        assert not refused or not ledger.of(RecordResult)
        assert not report.notes


async def test_pressures_that_were_exchanged_are_refused_and_a_strange_unit_is_noted(tmp_path: Path) -> None:
    pressures = [
        {"code": concept(LOINC, code, code), "valueQuantity": quantity(value, "mm[Hg]")}
        for code, value in (("8480-6", 80), ("8462-4", 120))
    ]
    panel = observation("o1", code=concept(LOINC, "85354-9", "Blood pressure"), component=pressures)
    ledger, report = await imported(tmp_path, patient(), panel, observation("o2", valueQuantity=quantity(311, "K")))
    assert "exchanged" in report.refusals[0].reason and len(ledger.of(RecordResult)) == 1
    assert report.notes == {
        ("Observation.valueQuantity", "is in a unit that nobody measures this in here: taken, and not compared"): 1
    }


async def test_an_observation_that_is_refused_in_part_says_how_much_of_it_is_stored(tmp_path: Path) -> None:
    """Each part stands alone; none is held back by another."""

    def trouble(command: Any) -> None:
        if isinstance(command, RecordResult) and command.content.code.code == "8462-4":
            raise Rejected(Code.ALREADY_EXISTS, "No.")

    pressures = [
        {"code": concept(LOINC, code, code), "valueQuantity": quantity(value, "mm[Hg]")}
        for code, value in (("8480-6", 120), ("8462-4", 80), ("8478-0", 93))
    ]
    panel = observation(code=concept(LOINC, "85354-9", "Blood pressure"), component=pressures, method={"text": "x"})
    ledger, report = await imported(tmp_path, patient(), panel, ledger=Ledger(trouble))
    assert {one.content.code.code for one in ledger.of(RecordResult)} == {"8480-6", "8478-0"}
    assert figures(report)["Observation"] == (1, 0, 0, 1, 0)
    (refusal,) = report.refusals
    assert refusal.reason == f"2 of its 3 parts were taken; {Code.ALREADY_EXISTS}: No."
    assert report.unknown  # what was not understood of the parts that are stored


async def test_that_a_problem_is_kept_without_its_encounter_is_noted(tmp_path: Path) -> None:
    at = {"encounter": {"reference": "Encounter/e1", "display": "x"}}
    _, report = await imported(tmp_path, patient(), encounter(), problem(**at))
    sentence = "is left out: a problem outlasts the visit at which it was found"
    assert report.notes == {("Condition.encounter", sentence): 1} and not report.unknown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"valueQuantity": quantity(5, "mg/dL", comparator="<")}, "< 5 mg/dL"),
        ({"valueQuantity": {"value": 3, "unit": "cups", "system": "http://x.example", "code": "c"}}, "3 cups"),
        ({"valueString": "calm"}, "calm"),
        ({"valueBoolean": True}, "true"),
        ({"valueInteger": 4}, "4"),
        ({"valueQuantity": quantity(0.12345678)}, "0.12345678 Cel"),
    ],
)
async def test_a_value_that_is_no_measure_is_kept_in_words(tmp_path: Path, value: Any, text: str) -> None:
    ledger, _ = await imported(tmp_path, patient(), observation(**value))
    assert ledger.of(RecordResult)[0].content.measured is None
    assert ledger.of(RecordResult)[0].content.text == text


async def test_a_code_with_a_wrong_check_digit_is_kept_as_its_words(tmp_path: Path) -> None:
    ledger, report = await imported(tmp_path, patient(), problem(code=concept(SNOMED, "46177006", "Renal disease")))
    assert ledger.of(RecordProblem)[0].content.code == Coding(system=CodeSystem.TEXT, display="Renal disease")
    assert any("check digit" in why for _, why in report.notes)
    assert "46177006" not in report.as_text()


async def test_how_a_medicine_is_taken_is_told_in_words(tmp_path: Path) -> None:
    dosage = {
        "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
        "asNeededBoolean": True,
        "doseAndRate": [{"doseQuantity": {"value": 1}}],
        "additionalInstruction": [{"text": "With food"}],
    }
    more = {
        "dispenseRequest": {
            "quantity": {"value": 30},
            "numberOfRepeatsAllowed": 3,
            "expectedSupplyDuration": {"value": 30, "unit": "days", "code": "d", "system": "http://unitsofmeasure.org"},
        },
        "requester": {"display": "Dr Lee"},
        "reasonCode": [concept(SNOMED, "46177005", "End-stage renal disease")],
    }
    ledger, report = await imported(tmp_path, patient(), order(dosageInstruction=[dosage], **more))
    said = ledger.of(Prescribe)[0].content
    assert said.directions == "2 times each 1 day. With food." and said.as_needed
    assert (said.dose, said.quantity, said.repeats, said.days_supply) == (Measure(value=1, unit="1"), 30, 3, 30)
    assert (said.prescriber, said.reason.code) == ("Dr Lee", "46177005")
    assert not report.unknown


# -- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Patient/p1"},
        {"reference": "Patient/p1/_history/3"},
        {"reference": "https://fhir.example/r4/Patient/p1"},
        {"reference": "Patient?identifier=http://mrn.example|77"},
        {"identifier": {"system": "http://mrn.example", "value": "77"}},
    ],
)
async def test_a_patient_is_found_however_they_are_referred_to(tmp_path: Path, reference: Any) -> None:
    who = patient(identifier=[{"system": "http://mrn.example", "value": "77"}])
    ledger, report = await imported(tmp_path, order(subject=reference), who, origin="https://fhir.example/r4")
    assert report.ok, report.as_text()
    assert ledger.of(Prescribe)[0].patient == ledger.of(RegisterPatient)[0].patient


async def test_the_entries_of_a_bundle_are_found_by_the_addresses_it_gives_them(tmp_path: Path) -> None:
    who = patient()
    del who["id"]
    url = "urn:uuid:129c6ac7-8d06-49de-ad63-0204a93e76c3"
    entries = [
        {"fullUrl": url, "resource": who},
        {"fullUrl": "http://x.example/fhir/MedicationRequest/m1", "resource": order(subject={"reference": url})},
    ]
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    ledger = Ledger()
    report = await run([file], "x", ledger.send)
    assert report.ok and report.total.taken == 2, report.as_text()
    assert ledger.of(Prescribe)[0].patient == ledger.of(RegisterPatient)[0].patient


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ({"reference": "Patient/nobody"}, "nowhere"),
        ({"reference": "https://other.example/Patient/p1"}, "nowhere"),
        ({"reference": "urn:uuid:129c6ac7-8d06-49de-ad63-0204a93e76c3"}, "nowhere"),
        ({"reference": "#p"}, "contained"),
        ({"reference": "Patient?identifier=http://mrn.example|2"}, "nowhere"),
        ({"display": "Ana"}, "nowhere"),
        ({"reference": ""}, ""),
        (None, "subject"),
    ],
)
async def test_a_reference_to_nowhere_is_refused(tmp_path: Path, reference: Any, reason: str) -> None:
    made = order(contained=[{"resourceType": "Patient", "id": "p"}])
    made.pop("subject")
    if reference is not None:
        made["subject"] = reference
    twins = [patient(f"t{n}", identifier=[{"system": "http://mrn.example", "value": "2"}]) for n in range(2)]
    ledger, report = await imported(tmp_path, patient(), *twins, made)
    assert figures(report)["MedicationRequest"] == (1, 0, 0, 1, 0) and not ledger.of(Prescribe)
    assert reason in report.refusals[0].reason


async def test_what_is_of_a_group_is_left_out_and_an_encounter_nowhere_is_noted(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(),
        order("m1", subject={"reference": "Group/g"}),
        order("m2", encounter={"reference": "Encounter/x"}),
    )
    assert figures(report)["MedicationRequest"] == (2, 1, 0, 0, 1)
    assert ledger.of(Prescribe)[0].encounter is None
    assert any("no encounter" in why for _, why in report.notes)


async def test_an_encounter_is_there_before_what_refers_to_it_and_one_that_was_not_taken_is_not_referred_to(
    tmp_path: Path,
) -> None:
    sent: list[str] = []
    ledger = Ledger(lambda command: sent.append(type(command).__name__))
    at = {"encounter": {"reference": "Encounter/e1"}}
    nowhere = {"encounter": {"reference": "Encounter/e2"}}
    _, report = await imported(
        tmp_path,
        observation("o1", valueString="x", **at),
        observation("o2", valueString="y", **nowhere),
        encounter("e1"),
        encounter("e2", status="planned"),
        patient(),
        ledger=ledger,
    )
    assert sent == ["RegisterPatient", "OpenEncounter", "RecordResult", "RecordResult"]
    assert report.notes == {
        ("Observation.encounter.reference", "leads to an encounter that was not taken: left out"): 1
    }
    assert [one.encounter is None for one in sorted(ledger.of(RecordResult), key=lambda one: one.content.text)] == [
        False,
        True,
    ]


async def test_names_and_medicines_are_looked_up_where_a_reference_leads(tmp_path: Path) -> None:
    lee = {
        "resourceType": "Practitioner",
        "id": "d",
        "name": [{"prefix": ["Dr."], "given": ["Kim"], "family": "Lee"}],
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "1"}],
    }
    pill = {"resourceType": "Medication", "id": "pill", "code": concept(RXNORM, "723", "amoxicillin")}
    by_reference = order(
        "m2", medicationReference={"reference": "Medication/pill"}, requester={"reference": "Practitioner/d"}
    )
    inside = order(
        "m3",
        medicationReference={"reference": "#pill"},
        contained=[pill | {"code": concept(RXNORM, "1191", "Aspirin")}],
        requester={"reference": "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|1"},
    )
    for one in (by_reference, inside):
        del one["medicationCodeableConcept"]
    ledger, report = await imported(tmp_path, by_reference, inside, lee, pill, patient())
    assert {one.content.medication.display for one in ledger.of(Prescribe)} == {"amoxicillin", "Aspirin"}
    assert {one.content.prescriber for one in ledger.of(Prescribe)} == {"Dr. Kim Lee"}
    assert figures(report)["Practitioner"] == (1, 0, 0, 0, 1)


# -- what is not taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (order(status="entered-in-error"), "entered in error"),
        (allergy(verificationStatus=status("x", "entered-in-error")), "entered in error"),
        (allergy(verificationStatus=status("x", "refuted")), "refuted"),
        (problem(verificationStatus=status("x", "entered-in-error")), "entered in error"),
        (encounter(status="planned"), "planned"),
        (encounter(status="cancelled"), "cancelled"),
        (vaccine(status="not-done"), "not given"),
        (observation(status="registered", valueString="x"), "no result"),
        (observation(), "no value"),
        (observation(dataAbsentReason=status("data-absent-reason", "unknown")), "says why"),
        (order(intent="proposal"), "no order"),
        (order(status="draft"), "not ordered"),
        (order(doNotPerform=True), "not to be given"),
        (order(modifierExtension=[{"url": "http://x.example/not", "valueBoolean": True}]), "modifierExtension"),
        (
            order(dosageInstruction=[{"modifierExtension": [{"url": "http://x.example/not", "valueBoolean": True}]}]),
            "dosageInstruction.modifierExtension",
        ),
        (order(implicitRules="http://x.example/rules"), "implicitRules"),
        ({"resourceType": "Consent", "id": "x"}, "not taken"),
        ({"resourceType": "Made-up"}, "not taken"),
    ],
)
async def test_what_is_rightly_not_taken_is_counted_with_its_reason(tmp_path: Path, resource: Any, reason: str) -> None:
    ledger, report = await imported(tmp_path, patient(), resource)
    assert report.ok and report.total.left_out == 1 and len(ledger.kept) == 1, report.as_text()
    ((_, why),) = report.left_out
    assert reason in why


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (order(status=5), "status"),
        (order(status="going"), "status"),
        (order(medicationCodeableConcept="pills"), "medication"),
        (order(medicationCodeableConcept={"coding": [{"system": RXNORM}]}), "which medicine"),
        (order(colour="red"), "colour"),
        (order(authoredOn="yesterday"), "authoredOn"),
        (encounter(period={}), "period"),
        (encounter(period={"start": "2020"}), "to the day"),
        (encounter(period={"start": "2020-05-02T00:00:00Z", "end": "2020-05-01T00:00:00Z"}), "ends before"),
        (vaccine(occurrenceDateTime="2014-08"), "to the day"),
        (vaccine(vaccineCode={"coding": []}), "vaccine"),
        (allergy(code={"extension": [{"url": "http://x.example", "valueString": "x"}]}), "to what"),
        (order(id="a b"), "id"),
        (order(id="x" * 65), "id"),
        (order(id=None), "id"),
        (observation(valueQuantity={"value": "36.6 degrees"}), "valueQuantity"),
        (observation(valueString="x", effectiveDateTime=None), "when"),
        (observation(valueRange={"low": {"value": 1}}), "of a kind"),
        (allergy(category=["pets"]), "category"),
        (patient("p9", name="Ana"), "name"),
        (patient("p9", birthDate="1980-13-01"), "birthDate"),
        (patient("p9", gender="femme"), "gender"),
    ],
)
async def test_what_should_be_taken_and_cannot_be_is_refused_with_its_reason(
    tmp_path: Path, resource: Any, reason: str
) -> None:
    made = {name: value for name, value in resource.items() if value is not None}
    ledger, report = await imported(tmp_path, patient(), made)
    assert not report.ok and report.total.refused == 1 and len(ledger.kept) == 1, report.as_text()
    assert reason in report.refusals[0].reason
    assert not any(secret in report.refusals[0].reason for secret in ("pills", "pets", "femme", "degrees", "yesterday"))


@pytest.mark.parametrize("name", ["birthDate", "deceasedDateTime"])
async def test_nobody_is_born_or_dies_in_the_future(tmp_path: Path, name: str) -> None:
    today = {"today": date(2026, 11, 26)}
    ledger, report = await imported(tmp_path, patient(**{name: "2090-02-20"}), order(), **today)
    assert report.total.refused == 2 and not ledger.kept
    assert report.refusals[0].reason == f"Patient.{name} is in the future: correct it where it is from"
    for day, refused in (("2026-11-27", 0), ("2026-11-28", 1)):  # where it is the next day already
        _, report = await imported(tmp_path, patient(**{name: day}), dry_run=True, **today)
        assert report.total.refused == refused


async def test_the_same_id_with_other_content_says_that_it_may_be_of_another_system(tmp_path: Path) -> None:
    def reused(_: Any) -> None:
        raise CommandIdReused("Send a new command under an id of its own.", field="content")

    _, report = await imported(tmp_path, patient(), ledger=Ledger(reused))
    (why,) = report.refusals
    assert why.reason.startswith("COMMAND_ID_REUSED: another with this id came from County before")
    assert "--from" in why.reason and "Send a new command" not in why.reason


async def test_a_date_known_in_part_is_never_made_whole(tmp_path: Path) -> None:
    ledger, report = await imported(
        tmp_path,
        patient(birthDate="1970-05", deceasedDateTime="2001"),
        problem(
            onsetDateTime="2004", abatementDateTime="2005-03", clinicalStatus=status("condition-clinical", "resolved")
        ),
        order(authoredOn="2014"),
        vaccine(expirationDate="2015-01"),
    )
    who, said = ledger.of(RegisterPatient)[0].content, ledger.of(RecordProblem)[0].content
    assert (who.born, who.died) == (None, None)
    assert (said.since, said.ended, said.note) == (None, None, "Since 2004. Until 2005-03.")
    assert ledger.of(Prescribe)[0].occurred_at is None
    assert {"Patient.birthDate", "Patient.deceasedDateTime", "MedicationRequest.authoredOn"} <= {
        path for path, _ in report.notes
    }


async def test_one_id_with_two_contents_is_refused_and_with_one_is_the_same(tmp_path: Path) -> None:
    ledger, report = await imported(tmp_path, patient(), order(), order(), order(status="stopped"))
    assert figures(report)["MedicationRequest"] == (3, 1, 1, 1, 0)
    assert "line 2, has the same id" in report.refusals[0].reason and len(ledger.of(Prescribe)) == 1


async def test_what_is_not_understood_is_listed_by_path_and_number(tmp_path: Path) -> None:
    race = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": []}
    name = [{"family": "Ruiz", "prefix": ["Dr."]}, {"use": "maiden", "family": "Luna"}]
    _, report = await imported(
        tmp_path,
        patient("p1", extension=[{**race, "valueString": "x"}], name=name, _birthDate={"id": "x"}),
        patient(
            "p2",
            maritalStatus={"text": "single"},
            photo=[{"url": "x"}],
            telecom=[
                {"system": "phone", "value": "1"},
                {"system": "fax", "use": "work", "value": "2"},
                {"value": "3"},
            ],
        ),
    )
    del race["extension"]
    assert report.unknown == {
        "Patient.extension[us-core-race]": 1,
        "Patient.name[maiden]": 1,
        "Patient.name.prefix": 1,
        "Patient.telecom[fax work]": 1,
        "Patient.telecom[another]": 1,
        "Patient._birthDate": 1,
        "Patient.maritalStatus": 1,
        "Patient.photo": 1,
    }


async def test_a_line_that_is_no_resource_is_counted_too(tmp_path: Path) -> None:
    _, report = await imported(tmp_path, patient(), "{", '{"resourceType":"Patient","id":"x","id":"y"}')
    assert figures(report)["(unreadable)"] == (2, 0, 0, 2, 0) and report.total.read == 3


# -- sending ----------------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_about_a_patient_whom_the_ledger_refused(tmp_path: Path) -> None:
    ledger, _ = await imported(tmp_path, patient())
    _, report = await imported(
        tmp_path, order(), patient(name=[{"family": "Somebody", "given": ["Else"]}]), ledger=ledger
    )
    assert figures(report) == {"Patient": (1, 0, 0, 1, 0), "MedicationRequest": (1, 0, 0, 1, 0)}
    assert not ledger.of(Prescribe)


async def test_a_dry_run_sends_nothing_and_says_what_would_be_sent(tmp_path: Path) -> None:
    ledger, report = await imported(tmp_path, patient(), order(), order("bad", status="x"), dry_run=True)
    assert not ledger.kept and (report.total.taken, report.total.refused) == (2, 1)


async def test_an_import_that_stops_says_where_and_goes_on_when_run_again(tmp_path: Path) -> None:
    def halt(command: Any) -> None:
        if isinstance(command, Prescribe) and len(ledger.of(Prescribe)) >= 5:
            raise Halted("The service has stopped.")

    ledger = Ledger(halt)
    orders = [order(f"m{n}") for n in range(200)]
    _, report = await imported(tmp_path, patient(), *orders, ledger=ledger, concurrency=4)
    assert report.stopped is not None and report.total.waiting > 0 and not report.ok
    ledger.trouble = lambda _: None
    _, again = await imported(tmp_path, patient(), *orders, ledger=ledger)
    assert again.ok and again.total.same == 6 and again.total.taken == 195


async def test_a_command_whose_outcome_is_not_known_is_sent_again(tmp_path: Path) -> None:
    failed: list[Any] = []

    def once(command: Any) -> None:
        if not failed:
            failed.append(command)
            raise OutcomeUnknown("No answer.")

    _, report = await imported(tmp_path, patient(), ledger=Ledger(once))
    assert report.ok and report.total.taken == 1


async def test_of_a_bundle_that_breaks_off_nothing_is_sent_nor_of_the_files_beside_it(tmp_path: Path) -> None:
    whole = json.dumps({"resourceType": "Bundle", "entry": [{"resource": patient(f"p{n}")} for n in range(50)]})
    cut = tmp_path / "cut.json"
    cut.write_text(whole[:3000])
    ledger = Ledger()
    with pytest.raises(Invalid, match=r"cut.json breaks off: .* entries were read before that\. Nothing was sent\."):
        await run([written(tmp_path, patient("q1")), cut], "x", ledger.send)
    assert not ledger.kept


async def test_a_refusal_says_the_line_or_in_a_bundle_the_entry(tmp_path: Path) -> None:
    bad = order("bad", status="x")
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"resourceType": "Bundle", "entry": [{"resource": one} for one in (patient(), bad)]}))
    lines = written(tmp_path, patient("q1"), bad | {"id": "worse"}, bad | {"status": "y"})
    report = await run([bundle], "x", Ledger().send)
    (one,) = report.as_json()["refusals"]
    assert (one["line"], one["entry"]) == (None, 2)
    assert "  file         entry  resource" in report.as_text() and "line" not in report.as_text()
    report = await run([bundle, lines], "x", Ledger().send)
    assert [(one["line"], one["entry"]) for one in report.as_json()["refusals"]] == [(None, 2), (2, None), (3, None)]
    assert "line  entry  resource" in report.as_text()
    assert report.refusals[-1].reason == "bundle.json, entry 2, has the same id and says something else"


async def test_two_files_of_one_name_are_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    ledger = Ledger()
    with pytest.raises(Invalid, match="same name"):
        await run([written(tmp_path, patient()), written(tmp_path / "more", patient("p2"))], "x", ledger.send)
    with pytest.raises(Invalid):
        await run([written(tmp_path, patient()), tmp_path / "none.ndjson"], "x", ledger.send)
    assert not ledger.kept


async def test_progress_is_told_to_the_end_and_the_report_is_json(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    _, report = await imported(tmp_path, patient(), order(), "{", progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
    made = json.loads(json.dumps(report.as_json()))
    assert made["adds_up"] and made["total"]["read"] == 3 and made["types"]["Patient"]["taken"] == 1


# -- real exports, where they are at hand -----------------------------------------------------------------------------

_DATA = Path(os.environ.get("COMMONS_DATA") or Path(__file__).parents[4] / "shared" / "data")
_SYNTHEA = sorted((_DATA / "synthea").glob("*.ndjson"))
_HL7 = sorted((_DATA / "hl7-r4-examples").glob("*.json"))


@pytest.mark.skipif(not _SYNTHEA, reason="the synthetic patients are not at hand")
async def test_synthetic_patients_are_imported_whole_and_reconciled() -> None:
    ledger = Ledger()
    report = await run(_SYNTHEA, "Synthea", ledger.send)
    assert report.ok and report.adds_up, report.as_text()
    taken = {name: count.taken for name, count in report.types.items() if count.taken}
    assert taken == {
        "Patient": 13,
        "Encounter": 1215,
        "MedicationRequest": 1745,
        "Immunization": 161,
        "AllergyIntolerance": 11,
    }
    assert report.types["Organization"].left_out == report.types["Practitioner"].left_out == 43
    assert report.unknown["Patient.extension[us-core-race]"] == 13 and report.unknown["Encounter.hospitalization"] == 3
    assert not report.notes
    again = await run(_SYNTHEA, "Synthea", ledger.send)
    assert again.total.same == 3145 and again.total.taken == 0


@pytest.mark.skipif(not _HL7, reason="HL7's examples are not at hand")
async def test_hl7s_examples_are_read_with_their_patients(tmp_path: Path) -> None:
    ledger = Ledger()
    people = written(tmp_path, patient("example"), patient("mom"), name="people.ndjson")
    report = await run([people, *_HL7], "HL7", ledger.send)
    assert report.ok and report.adds_up, report.as_text()
    assert figures(report)["AllergyIntolerance"] == (6, 5, 0, 0, 1)  # that no latex allergy is known is no kind here
    assert len(ledger.of(RecordAllergy)) == 3 and len(ledger.of(AssertNoKnownAllergy)) == 5
