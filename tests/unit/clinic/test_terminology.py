"""The shipped tables hold together."""

from __future__ import annotations

import pytest

from services.clinic.contract import CodeSystem, Coding
from services.clinic.contract.codes import fault
from services.clinic.terminology import controlled, ingredients, units, vaccines
from tests.support.clinic import measured, rxnorm


def test_every_code_is_of_its_system_s_form_and_used_once() -> None:
    codes = [one.rxnorm for one in ingredients.INGREDIENTS if one.rxnorm]
    assert len(codes) == len(set(codes)) >= 60
    for one in ingredients.INGREDIENTS:
        assert not one.rxnorm or fault(CodeSystem.RXNORM, one.rxnorm) is None
        assert all(fault(CodeSystem.ATC, code) is None for code in one.classes)
    assert all(fault(CodeSystem.RXNORM, code) is None for code in controlled.CODES)
    assert all(fault(CodeSystem.SNOMED, code) is None for code in vaccines.SUBSTANCES)
    assert all(fault(CodeSystem.CVX, code) is None for code in vaccines.COMPONENTS)


def test_the_tables_agree_on_what_they_both_name() -> None:
    names = {one.strip() for some in controlled.SCHEDULES.values() for one in some.split(",")}
    assert set(controlled.CODES.values()) <= names
    for code, name in controlled.CODES.items():
        row = ingredients.BY_CODE.get(code)
        assert row is None or row.name == name
    for one in vaccines.COMPONENTS.values():
        assert set(one) <= vaccines.WORDS.keys()


def test_a_name_is_found_as_a_whole_word() -> None:
    assert [one.name for one in ingredients.named_in("Amoxicillin 250 MG / Clavulanate 125 MG")] == ["amoxicillin"]
    assert ingredients.named_in("amoxicillinoid, asap") == ()


def test_what_is_controlled_is_so_under_any_code_system() -> None:
    assert controlled.is_controlled([rxnorm("4337", "x")])
    assert controlled.is_controlled([Coding(system=CodeSystem.ATC, code="N02AB03", display="fentanyl")])
    assert not controlled.is_controlled([rxnorm("723", "amoxicillin")])


@pytest.mark.parametrize(
    ("value", "decimals", "unit", "form", "strength", "right"),
    [
        (500, 0, "mg", "capsule", "500 mg", True),
        (5, 1, "g", "capsule", "500 mg", True),
        (500, 0, "g", "capsule", "500 mg", False),
        (500, 0, "ug", "capsule", "500 mg", False),
        (1000, 0, "mg", None, None, True),
        (5, 0, "mL", "oral suspension", "250 mg/5 mL", True),
        (5, 0, "mL", "tablet", None, False),
        (1, 0, "{tbl}", "Oral Tablet", None, True),
        (1, 0, "{tbl}", "capsule", None, False),
        (2, 0, "{puff}", "metered inhaler", "90 mcg", True),
        (90, 0, "ug", "inhaler", "90 mcg", True),
        (10, 0, "[iU]", None, "100 unt/mL", True),
        (0, 0, "mg", None, None, False),
        (-1, 0, "mg", None, None, False),
        (1, 0, "mm[Hg]", None, None, False),
        (1, 0, "MG", None, None, False),
        (7, 0, "mg", None, "0 mg", True),
    ],
)
def test_a_dose_is_in_a_unit_that_makes_sense(
    value: int, decimals: int, unit: str, form: str | None, strength: str | None, right: bool
) -> None:
    wrong = units.fault(measured(value, decimals, unit), form=form, strength=strength)
    assert (wrong is None) is right, wrong


@pytest.mark.parametrize(
    ("words", "form", "strength"),
    [
        ("amoxicillin 500 MG Oral Capsule", True, "500 MG"),
        ("levothyroxine 0.05 MG Oral Tablet", True, "0.05 MG"),
        ("vitamin D 400 UNT Oral Tablet", True, "400 UNT"),
        ("amoxicillin 50 MG/ML Oral Suspension", False, None),
        ("sulfamethoxazole 800 MG / trimethoprim 160 MG Oral Tablet", True, None),
        ("Amoxicillin", False, None),
        ("120 ACTUAT fluticasone 0.044 MG/ACTUAT Metered Dose Inhaler", True, None),
    ],
)
def test_a_medicine_s_words_say_its_form_and_strength(words: str, form: bool, strength: str | None) -> None:
    assert units.in_words(words) == (words if form else None, strength)


def test_latex_may_be_in_any_vaccine() -> None:
    assert vaccines.components("999") == ("latex",)
    assert "gelatin" in vaccines.components("3") and "gelatin" in vaccines.components("03")
