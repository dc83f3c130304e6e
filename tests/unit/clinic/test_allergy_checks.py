"""What a medicine is compared with, which alerts come of it, and what the answer says was looked at."""

from __future__ import annotations

from typing import Any

import pytest

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    AssertNoKnownAllergy,
    Check,
    ClinicError,
    CodeSystem,
    Coding,
    DispensingRequested,
    MergePatients,
    NoteMerge,
    RecordAllergy,
    RefuteAllergy,
)
from tests.support.clinic import CLINIC, penicillin, rxnorm
from tests.support.dispensings import kinds, override
from tests.support.pharmacy import (
    SHELF,
    amoxicillin,
    amoxicillin_500,
    cephalexin,
    cephalexin_500,
    entry,
    given,
    ibuprofen_400,
    noted,
    order,
    prescribed,
    request,
    sam,
    signed,
)
from tests.support.sentences import erase, opened

STAFFED = (*CLINIC, sam, *SHELF, noted("keflex"), entry("keflex", cephalexin_500, cephalexin))
MEDICINES = {"amox": amoxicillin_500, "ibu": ibuprofen_400, "keflex": cephalexin_500}


def text(display: str) -> Coding:
    return Coding(system=CodeSystem.TEXT, display=display)


def atc(code: str) -> Coding:
    return Coding(system=CodeSystem.ATC, code=code, display=code)


def snomed(code: str, display: str) -> Coding:
    return Coding(system=CodeSystem.SNOMED, code=code, display=display)


def allergic(substance: Coding, patient: str = "ben", id: str = "x", category: str = "medication") -> RecordAllergy:
    content = Allergy(substance=substance, category=AllergyCategory(category))
    return RecordAllergy(patient=patient, allergy=id, content=content)


def checked(*history: Any, item: str = "amox", patient: str = "ben") -> Check:
    """What is found when a medicine is requested."""
    content = order(MEDICINES[item], dose=None)
    world = given(*STAFFED, *history, prescribed(patient=patient, content=content), signed(patient=patient))
    found: Check = world.when(request(patient=patient, item=item)).event.check
    return found


@pytest.mark.parametrize(
    ("substance", "item", "kind"),
    [
        (amoxicillin, "amox", "allergy"),
        (penicillin, "amox", "allergy"),
        (rxnorm("7984", "Penicillin V"), "amox", "allergy"),
        (rxnorm("7984", "Penicillin V"), "keflex", "allergy"),
        (rxnorm("1191", "Aspirin"), "ibu", "allergy"),
        (rxnorm("308192", "amoxicillin 500 MG Oral Tablet"), "amox", "allergy"),
        (amoxicillin_500, "amox", "allergy"),
        (text("PENICILLIN"), "amox", "allergy"),
        (text("penicillins (as a child)"), "amox", "allergy"),
        (text("PCN"), "amox", "allergy"),
        (text("Amoxycillin"), "amox", "allergy"),
        (text("NSAIDs"), "ibu", "allergy"),
        (atc("J01C"), "amox", "allergy"),
        (atc("J01CA04"), "amox", "allergy"),
        (atc("M01AE01"), "ibu", "allergy"),
        (rxnorm("1191", "Aspirin"), "amox", None),
        (atc("M01A"), "amox", None),
        (text("sulfa drugs"), "amox", None),
        (rxnorm("10831", "Sulfamethoxazole / Trimethoprim"), "amox", None),
        (text("the pink pill"), "amox", "allergy_not_comparable"),
        (rxnorm("99999999", "something new"), "amox", "allergy_not_comparable"),
        (snomed("91936005", "Allergy"), "amox", "allergy_not_comparable"),
        (atc("J"), "amox", "allergy_not_comparable"),
    ],
)
def test_a_medicine_is_compared_by_code_class_group_and_words(substance: Coding, item: str, kind: str | None) -> None:
    found = checked(allergic(substance), item=item)
    assert kinds(found) == ([] if kind is None else [kind])
    if kind is None:
        assert any("no match" in line for line in found.checked), found.checked


def test_that_nobody_asked_is_an_alert_and_that_somebody_asked_is_none() -> None:
    assert kinds(checked()) == ["allergy_status_unknown"]
    asked = checked(AssertNoKnownAllergy(patient="ben", category=AllergyCategory.MEDICATION))
    assert kinds(asked) == []
    assert any("somebody asked" in line for line in asked.checked)
    food = checked(AssertNoKnownAllergy(patient="ben", category=AllergyCategory.FOOD))
    assert kinds(food) == ["allergy_status_unknown"]


def test_no_alert_still_says_what_was_compared_and_from_which_table() -> None:
    found = checked(allergic(text("sulfa drugs")))
    assert any("ATC classes (J01CA)" in line for line in found.checked)
    assert any("by the ingredients table (RxNorm, ATC 2026-04-25)" in line for line in found.checked)


def test_an_ingredient_that_no_table_has_is_named_and_compared_by_its_code_and_words() -> None:
    zeldax, new = rxnorm("777777", "zeldaxine 5 MG"), rxnorm("777776", "zeldaxine")
    history = (
        *STAFFED, noted("zel"), entry("zel", zeldax, new, strength="5 mg"),
        allergic(text("Zeldaxine")), prescribed(content=order(zeldax, dose=None)), signed(),
    )  # fmt: skip
    found = given(*history).when(request(item="zel")).event.check
    assert kinds(found) == ["allergy"]
    assert "not in the ingredients table" in found.checked[0] and "zeldaxine" in found.checked[0]


@pytest.mark.parametrize(
    ("classes", "alert"), [((), True), ((atc("J"), atc("J01XX")), True), ((atc("J01DH"),), False)]
)  # fmt: skip
def test_a_medicine_of_which_nothing_is_known_is_not_compared_with_any_allergy(classes: Any, alert: bool) -> None:
    zeldax, new = rxnorm("777777", "zeldaxine 5 MG"), rxnorm("777776", "zeldaxine")
    for ingredients in ((new,), (amoxicillin, new)):
        history = (
            *STAFFED, noted("zel"), entry("zel", zeldax, *ingredients, strength="5 mg", classes=classes),
            allergic(text("sulfa drugs")), allergic(text("peanuts"), id="y", category="food"),
            prescribed(content=order(zeldax, dose=None)), signed(),
        )  # fmt: skip
        found = given(*history).when(request(item="zel")).event.check
        assert kinds(found) == ["allergy_not_comparable"] * alert


def test_food_and_air_alone_do_not_say_anything_of_medicines() -> None:
    mould = allergic(snomed("84489001", "Mold (organism)"), category="environment")
    assert kinds(checked(mould)) == ["allergy_status_unknown"]
    asked = AssertNoKnownAllergy(patient="ben", category=AllergyCategory.MEDICATION)
    assert kinds(checked(asked, mould)) == []


def test_a_refuted_allergy_counts_no_more() -> None:
    refuted = RefuteAllergy(patient="ben", allergy="x", reason="Challenged, and fine.")
    assert kinds(checked(allergic(amoxicillin), allergic(text("sulfa"), id="y"), refuted)) == []


def test_what_is_known_of_a_record_that_goes_on_as_this_one_counts() -> None:
    merge = (
        MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True),
    )  # fmt: skip
    found = checked(allergic(text("Motrin, or ibuprofen")), *merge, item="ibu", patient="ada")
    assert kinds(found) == ["allergy"]
    assert "allergy x of record ben" in found.alerts[0].detail


def test_what_another_record_says_stays_under_its_own_key() -> None:
    """The two may be parted again, and the check is kept in the one that it was made for."""
    merge = (
        MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True),
    )  # fmt: skip
    theirs = (
        allergic(text("Motrin, or ibuprofen")),
        allergic(text("sulfa drugs"), id="y"),
        allergic(text("blue pills"), id="z"),
    )
    there = given(
        *STAFFED, *theirs, *merge, prescribed(patient="ada", content=order(ibuprofen_400, dose=None)),
        signed(patient="ada"), request(patient="ada", item="ibu"),
    )  # fmt: skip
    answered = there.when(override("allergy", patient="ada"), actor="osei").then_event()
    for told in (there.state("dispensing", "d").check, answered.state("dispensing", "d").answered[0]):
        said = str(opened(told)).lower()
        assert "record ben" in said, said
        assert not any(word in said for word in ("motrin", "nsaid", "sulfa", "blue")), said


def test_an_answer_for_what_another_record_said_is_none_for_what_it_says_since() -> None:
    merge = (
        MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True),
    )  # fmt: skip
    answered = given(
        *STAFFED, *merge, prescribed(patient="ada", content=order(ibuprofen_400, dose=None)), signed(patient="ada"),
        allergic(text("ibuprofen")), request(patient="ada", item="ibu"), override("allergy", patient="ada"),
    )  # fmt: skip
    answered.when(override("allergy", patient="ada")).then_rejected(ClinicError.NO_SUCH_ALERT)
    now = answered.when(allergic(text("all NSAIDs"))).then_event()
    now.when(override("allergy", patient="ada")).then_event()


def test_an_allergy_whose_key_is_lost_cannot_be_compared() -> None:
    history = (
        *STAFFED, allergic(text("sulfa")), MergePatients(patient="ben", into="ada", reason="One person."),
        NoteMerge(patient="ada", other="ben", merged=True), prescribed(patient="ada", content=order(dose=None)),
        signed(patient="ada"),
    )  # fmt: skip
    world = given(*history)
    erase("patient/ben")
    found = world.when(request(patient="ada")).then(DispensingRequested)
    assert found.state("dispensing", "d").requested is not None
    event = world.when(request(patient="ada")).event
    assert sorted(kinds(event.check)) == ["allergy", "allergy_not_comparable"]


def test_very_many_allergies_are_counted_where_they_do_not_fit() -> None:
    found = checked(*(allergic(text(f"pill number {number}"), id=f"x{number}") for number in range(60)))
    assert len(found.alerts) == 40 and "21 more" in found.alerts[-1].detail


def test_words_that_are_another_substance_s_than_the_code_s_are_refused() -> None:
    for right in (
        penicillin,
        rxnorm("7980", "Penicilina G"),
        rxnorm("7980", "пенициллин"),
        rxnorm("161", "Paracetamol"),
    ):
        given(*STAFFED).when(allergic(right)).then_event()
    wrong = rxnorm("7980", "Peanut")
    refused = given(*STAFFED).when(allergic(wrong))
    refused.then_rejected(ClinicError.CODE_MISMATCH)
    assert "eanut" not in str(refused.refusal)
    given(*STAFFED).when(entry("amox", amoxicillin_500, rxnorm("5640", "amoxicillin"))).then_rejected(
        ClinicError.CODE_MISMATCH
    )
