"""What is wrong with a resource is told in words: which element, and what R4 asks; never what stands there."""

from __future__ import annotations

from typing import Any

import pytest

from services.fhir.models import NotValid, check

MOMENT = "2026-11-20T09:30:00Z"
ORDER = {"resourceType": "MedicationRequest", "status": "active", "intent": "order",
         "subject": {"reference": "Patient/1"}, "medicationCodeableConcept": {"text": "x"}}  # fmt: skip


def wrong(resource: Any) -> str:
    with pytest.raises(NotValid) as caught:
        check(resource)
    return str(caught.value)


@pytest.mark.parametrize(
    ("element", "value", "words"),
    [
        ("name", "Ana", "Patient.name: not a list"),
        ("name", {"family": "Ana"}, "Patient.name: not a list"),
        ("name", ["Ana"], "Patient.name: not an element with parts of its own"),
        ("name", [None], "Patient.name: null is no part of a list"),
        ("name", [{"family": 555}], "Patient.name.family: not a text"),
        ("name", [{"given": "Ana"}], "Patient.name.given: not a list"),
        ("maritalStatus", [{}], "Patient.maritalStatus: not an element with parts of its own"),
        ("birthDate", "1987-13-45", "Patient.birthDate: no day that there is, written 1987-03-22"),
        ("birthDate", 1987, "Patient.birthDate: no day that there is, written 1987-03-22"),
        ("colour", "red", "Patient.colour: R4 has no such element"),
        ("co\nl" * 40, "red", "Patient." + ("co·l" * 40)[:60] + ": R4 has no such element"),
        ("active", "maybe", "Patient.active: neither true nor false"),
        ("gender", "femme", "Patient.gender: no code that R4 allows there"),
        ("id", "a b", "Patient.id: a text of another form than R4 asks for"),
        ("multipleBirthInteger", "twin", "Patient.multipleBirthInteger: no whole number"),
        ("telecom", [{"rank": 0}], "Patient.telecom.rank: a smaller number than R4 allows"),
        ("telecom", [{"rank": 1.5}], "Patient.telecom.rank: no whole number"),
        ("link", [{"type": "seealso"}], "Patient.link.other: missing"),
        ("contained", [{"resourceType": "Foo"}], "Patient holds a resource of a type that R4 does not have"),
        ("meta", {"versionId": 5}, "Patient.meta.versionId: not a text"),
        ("meta", {"lastUpdated": "x"}, "Patient.meta.lastUpdated: no moment that there is, written " + MOMENT),
        ("deceasedDateTime", "x", f"Patient.deceasedDateTime: no moment that there is, written {MOMENT}, nor a day"),
    ],
)  # fmt: skip
def test_an_element_is_named_with_what_r4_asks_of_it(element: str, value: Any, words: str) -> None:
    assert wrong({"resourceType": "Patient", element: value}) == words


def test_a_choice_names_its_elements() -> None:
    both = {"resourceType": "Patient", "deceasedBoolean": True, "deceasedDateTime": "2020"}
    assert wrong(both) == "Patient: R4 allows one of deceasedBoolean, deceasedDateTime"
    none = {name: value for name, value in ORDER.items() if name != "medicationCodeableConcept"}
    assert wrong(none) == "MedicationRequest: R4 asks for one of medicationCodeableConcept, medicationReference"


def test_several_faults_are_told_with_no_value_and_none_twice() -> None:
    said = wrong(ORDER | {"status": 5, "authoredOn": "yesterday", "note": [{"text": 1}, {"text": 2}]})
    assert said.count("MedicationRequest.note.text: not a text") == 1
    assert "MedicationRequest.status: not a text" in said and "yesterday" not in said
