"""What goes out comes back: every value of a chart is a valid resource, and read again it is the same value."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AllergyStatus,
    CodeSystem,
    Coding,
    Contact,
    Demographics,
    EncounterKind,
    Immunization,
    Measure,
    Order,
    OrderStatus,
    Problem,
    ProblemStatus,
    Result,
    ResultCategory,
    Severity,
    Sex,
    Verification,
    Visit,
    Vital,
)
from services.fhir.allergy import allergy, none_known, read_allergy
from services.fhir.condition import condition, read_condition
from services.fhir.encounter import encounter, read_encounter
from services.fhir.entry import Entry
from services.fhir.ids import fhir_id, of_part, our_id, part_id
from services.fhir.immunization import immunization, read_immunization
from services.fhir.mapping import resources
from services.fhir.models import NotValid, check, encoded, load
from services.fhir.observation import read_observation, result
from services.fhir.patient import patient, read_patient
from services.fhir.prescription import medication_request, read_medication_request
from services.fhir.reading import Node, Reading
from services.fhir.values import concept, exactly, number, read_concept
from tests.support.charts import AT, charts, entry

load()  # half a second that is not the first example's

CODES = (
    ("rxnorm", "7980"),
    ("snomed", "91936005"),
    ("icd10", "E11.9"),
    ("icd10cm", "S52.521A"),
    ("loinc", "8480-6"),
    ("loinc", "8462-4"),
    ("cvx", "141"),
    ("atc", "J01CA04"),
)

WORDS = (
    "a",
    "Ana",
    "7",
    "O'Brien-Łęcka",
    "中文",
    "é",
    "x" * 60,
    "(none)",
    "a;b, c/d",
    "Ruiz.",
    "12:30",
    "<b>",
    '"',
    "\\",
    "&",
    "#x",
)
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
notes = st.lists(words, min_size=1, max_size=3).map(" ".join)
days = st.dates(date(1901, 1, 1), date(2197, 12, 31))
_EARLIEST, _LATEST = datetime(1902, 1, 1), datetime(2197, 12, 31)  # noqa: DTZ001  # Hypothesis adds UTC
moments = st.datetimes(_EARLIEST, _LATEST, timezones=st.just(UTC))
texts = words.map(lambda text: Coding(system=CodeSystem.TEXT, display=text))
codings = st.one_of(
    texts,
    st.tuples(st.sampled_from(CODES), words).map(
        lambda c: Coding(system=CodeSystem(c[0][0]), code=c[0][1], display=c[1])
    ),
)
measures = st.builds(
    Measure,
    value=st.integers(-(2**53) + 1, 2**53 - 1),
    decimals=st.integers(0, 6),
    unit=st.sampled_from(["Cel", "mg/dL", "1", "%", "10*3/uL", "{capsule}", "[in_i]"]),
)
identifiers = st.lists(
    st.one_of(
        words,
        st.tuples(st.sampled_from(["http://a.example/mrn", "urn:oid:1.2.3", "County Hospital"]), words).map("|".join),
    ),
    max_size=3,
    unique=True,
).map(tuple)


def optional(strategy: Any) -> Any:
    return st.none() | strategy


contacts = st.builds(
    Contact,
    phone=optional(words),
    email=optional(words),
    street=optional(words),
    city=optional(words),
    state=optional(words),
    postal_code=optional(words),
    country=optional(words),
    language=optional(st.sampled_from(["tr", "es-MX", "zh-Hant-TW"])),
    guardian=optional(words),
    guardian_phone=optional(words),
).filter(lambda contact: contact != Contact())
people = st.builds(
    Demographics,
    family=optional(words),
    given=st.lists(words, max_size=5).map(tuple),
    born=optional(days),
    died=optional(days),
    sex=st.sampled_from(Sex),
    contact=optional(contacts),
    identifiers=identifiers,
)


def read_back(resource: dict[str, Any]) -> Node:
    """A resource as whoever got it reads it: through its bytes."""
    return Node.of(json.loads(encoded(resource), parse_float=Decimal))


def sent(kind: str, content: Any, /, **clear: Any) -> Entry:
    return entry(kind, "x_1", content, **clear)


@given(people)
def test_a_patient_comes_back(who: Demographics) -> None:
    node = read_back(patient(sent("patient", who)))
    assert read_patient(node) == who
    assert list(node.unread()) == []


@given(
    st.builds(
        Allergy,
        substance=codings,
        category=st.sampled_from(AllergyCategory),
        intolerance=st.booleans(),
        since=optional(days),
        note=optional(notes),
        verification=st.sampled_from([None, Verification.UNCONFIRMED, Verification.CONFIRMED]),
        clinical_status=st.sampled_from(AllergyStatus),
    ),
    optional(codings),
    st.sampled_from([None, *Severity]),
)
def test_an_allergy_comes_back(said: Allergy, reaction: Coding | None, severity: Severity | None) -> None:
    whole = replace(said, reaction=reaction, severity=None if reaction is None else severity)
    node = read_back(allergy(sent("allergy", whole, status="active")))
    assert none_known(node) is None
    assert read_allergy(node) == whole


@pytest.mark.parametrize("category", AllergyCategory)
def test_that_none_is_known_comes_back_for_the_kind_it_was_asked_of(category: AllergyCategory) -> None:
    node = read_back(allergy(sent("no_known_allergy", None, category=category.value)))
    assert none_known(node) == (category,)


@given(
    st.builds(
        Problem,
        code=codings,
        status=st.sampled_from([ProblemStatus.RESOLVED, ProblemStatus.REMISSION]),
        since=optional(days),
        ended=optional(days),
        note=optional(notes),
    )
    | st.builds(
        Problem,
        code=codings,
        status=st.sampled_from([ProblemStatus.ACTIVE, ProblemStatus.REFUTED]),
        since=optional(days),
        note=optional(notes),
    )
)
def test_a_problem_comes_back(said: Problem) -> None:
    assert read_condition(read_back(condition(sent("problem", said)))) == said


@given(
    st.builds(
        Visit,
        kinds=st.lists(codings, max_size=5).map(tuple),
        reasons=st.lists(codings, max_size=10).map(tuple),
        place=optional(words),
        clinician=optional(words),
    ),
    st.sampled_from(EncounterKind),
    moments,
    moments,
)
def test_an_encounter_comes_back(visit: Visit, kind: EncounterKind, one: datetime, other: datetime) -> None:
    began, ended = sorted((one, other))
    made = Entry(
        kind="encounter",
        id="e-1",
        patient="p-1",
        content=visit,
        occurred_at=began,
        recorded_at=AT,
        clear={"kind": kind.value, "ended_at": ended.isoformat(), "imported_from": "x"},
    )
    met = read_encounter(read_back(encounter(made)))
    assert (met.kind, met.visit, met.began, met.ended) == (kind, visit, began, ended)


values = (
    st.builds(lambda m, t: {"measured": m, "text": t}, measures, optional(notes))
    | st.builds(lambda c, t: {"coded": c, "text": t}, codings, optional(notes))
    | st.builds(lambda t: {"text": t}, notes)
)


@given(codings, values, moments, optional(words), st.sampled_from(ResultCategory))
def test_a_result_comes_back(
    code: Coding, value: dict[str, Any], at: datetime, reference: str | None, category: ResultCategory
) -> None:
    said = Result(code=code, found_at=at, reference=reference, category=category, **value)
    (found,) = read_observation(read_back(result(sent("result", said))))
    assert found.content == said


def test_a_result_is_of_the_category_that_was_said_or_that_its_code_is_known_for() -> None:
    def shown(code: str, category: ResultCategory | None = None) -> str:
        said = Coding(system=CodeSystem.LOINC, code=code, display="x")
        made = result(sent("result", Result(code=said, found_at=AT, text="x", category=category)))
        return str(made["category"][0]["coding"][0]["code"])

    assert shown("72166-2") == "social-history"  # tobacco smoking status
    assert shown("8310-5") == "vital-signs"  # body temperature
    assert shown("4548-4") == "laboratory"  # haemoglobin A1c
    assert shown("4548-4", ResultCategory.SURVEY) == "survey"


def test_icd_10_is_not_the_clinical_modification_of_the_united_states() -> None:
    for uri, system in (
        ("http://hl7.org/fhir/sid/icd-10", CodeSystem.ICD10),
        ("http://hl7.org/fhir/sid/icd-10-cm", CodeSystem.ICD10CM),
    ):
        given = {"coding": [{"system": uri, "code": "E11.9", "display": "Type 2 diabetes"}], "text": "Type 2 diabetes"}
        found = read_concept(Node({"resourceType": "x"} | given, "x", Reading()))
        assert found is not None and found.system is system
        assert concept(found) == given


def test_an_order_is_completed_once_it_was_wholly_handed_out() -> None:
    order = Order(
        medication=Coding(system=CodeSystem.RXNORM, code="308182", display="x"), directions="x", quantity=21, repeats=1
    )
    until = datetime(2027, 11, 20, tzinfo=UTC)

    def shown(dispensed: int, order: Order = order, status: str = "active") -> dict[str, Any]:
        signed = {"signed_by": "dr-lee", "signed_at": AT.isoformat(), "valid_until": until}
        return medication_request(entry("prescription", "m-1", order, status=status, dispensed=dispensed, **signed))

    assert [shown(n)["status"] for n in (0, 21, 42, 63)] == ["active", "active", "completed", "completed"]
    assert shown(42, replace(order, quantity=None))["status"] == "active"
    assert shown(42, status="stopped")["status"] == "stopped"
    period = shown(0)["dispenseRequest"]["validityPeriod"]
    assert period == {"start": "2026-11-20T18:30:00Z", "end": "2027-11-20T00:00:00Z"}
    check(shown(0))


@given(
    st.builds(
        Order,
        medication=codings,
        dose=optional(measures),
        route=optional(codings),
        directions=notes,
        as_needed=st.booleans(),
        quantity=optional(st.integers(1, 2**53 - 1)),
        days_supply=optional(st.integers(1, 366)),
        repeats=st.integers(0, 12),
        reason=optional(codings),
        prescriber=words,
    ),
    st.sampled_from(OrderStatus),
    moments,
)
def test_an_imported_order_comes_back(order: Order, status: OrderStatus, at: datetime) -> None:
    made = Entry(
        kind="prescription",
        id="m-1",
        patient="p-1",
        content=order,
        occurred_at=at,
        recorded_at=AT,
        clear={"status": status.value, "imported_from": "x"},
    )
    ordered = read_medication_request(read_back(medication_request(made)))
    assert (ordered.order, ordered.status, ordered.at) == (order, status, at)


@given(
    st.builds(
        Immunization,
        vaccine=codings,
        manufacturer=optional(words),
        lot=optional(st.sampled_from(["A1", "L-77/b"])),
        expires=optional(days),
        dose=optional(measures),
        route=optional(codings),
        site=optional(codings),
        dose_number=optional(st.integers(1, 20)),
        place=optional(words),
        sheet=words,
        sheet_edition=optional(days),
        sheet_given_on=optional(days),
        administered_by=words,
        title=optional(words),
    ),
    moments,
)
def test_an_immunization_comes_back(said: Immunization, at: datetime) -> None:
    made = Entry(kind="immunization", id="i", patient="p-1", content=said, occurred_at=at, recorded_at=AT)
    found = read_immunization(read_back(immunization(made)))
    assert (found.content, found.at) == (said, at)


@given(st.lists(st.builds(Vital, code=codings, measured=measures), min_size=1, max_size=20).map(tuple))
def test_vital_signs_are_each_valid_and_none_is_lost(vitals: tuple[Vital, ...]) -> None:
    made = resources(entry("vitals", "v_1", vitals))
    found = [one.content for each in made for one in read_observation(read_back(each))]
    assert sorted(map(str, [(one.code, one.measured) for one in found])) == sorted(
        map(str, [(vital.code, vital.measured) for vital in vitals])
    )
    assert len({one["id"] for one in made}) == len(made)
    assert all(of_part(one["id"]) is not None and of_part(one["id"])[1] == "v_1" for one in made)  # type: ignore[index]


def test_one_of_everything_is_valid() -> None:
    for one in charts():
        for resource in resources(one):
            check(json.loads(encoded(resource)))


# -- the parts --------------------------------------------------------------------------------------------------------


@given(measures)
def test_a_measure_is_written_digit_by_digit_and_read_again(measure: Measure) -> None:
    written = json.loads(encoded(_observed(measure)), parse_float=str, parse_int=str)["valueQuantity"]["value"]
    assert written == str(number(measure))
    assert exactly(Decimal(written), measure.unit) == measure


def _observed(measure: Measure) -> dict[str, Any]:
    code = Coding(system=CodeSystem.LOINC, code="8310-5", display="Body temperature")
    return result(sent("result", Result(code=code, measured=measure, found_at=AT)))


@pytest.mark.parametrize(
    ("text", "value", "decimals"),
    [
        ("36.6", 366, 1),
        ("36.60", 3660, 2),
        ("1.0", 10, 1),
        ("0", 0, 0),
        ("-0.5", -5, 1),
        ("1E+3", 1000, 0),
        ("1.50000000", 1500000, 6),
        ("9007199254740991", 2**53 - 1, 0),
    ],
)
def test_a_decimal_keeps_its_digits(text: str, value: int, decimals: int) -> None:
    assert exactly(Decimal(text), "1") == Measure(value=value, decimals=decimals, unit="1")


@pytest.mark.parametrize("text", ["0.1234567", "9007199254740992", "1E+400", "1E-400", "1E+999999", "0E+40"])
def test_a_decimal_that_cannot_be_kept_whole_is_no_measure(text: str) -> None:
    assert exactly(Decimal(text), "1") is None


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", fullmatch=True), st.sampled_from(["bp", "0", "19"]))
def test_an_id_goes_out_and_comes_back(id_: str, part: str) -> None:
    assert our_id(fhir_id(id_)) == id_
    assert of_part(part_id(part, id_)) == (part, id_)
    assert of_part(fhir_id(id_)) is None and our_id(part_id(part, id_)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"gender": "femme"},
        {"gender": 5},
        {"birthDate": "1980-02-30"},
        {"birthDate": "5 May"},
        {"colour": "red"},
        {"name": {"family": "x"}},
        {"active": "yes please"},
        {"telecom": [{"system": "pigeon"}]},
        {"contact": [[]]},
    ],
)
def test_what_is_no_r4_is_found_and_told_without_its_value(wrong: dict[str, Any]) -> None:
    with pytest.raises(NotValid) as error:
        check({"resourceType": "Patient", "id": "p-1"} | wrong)
    assert next(iter(wrong)) in str(error.value)
    assert not any(secret in str(error.value) for secret in ("femme", "May", "red", "pigeon"))
