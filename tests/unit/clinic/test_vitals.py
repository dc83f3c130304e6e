"""Vital signs: the unit of each, what no living body has, what is confirmed; and nothing of it in a refusal."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from services.clinic.contract import ClinicError, CodeSystem, Coding, Vital, VitalsRecorded
from services.clinic.contract.codes import fault
from services.clinic.contract.signs import SIGNS, Limits
from tests.support.clinic import CLINIC, given, loinc, measured, pressure, pulse, reading, visit, vital
from tests.support.sentences import Outcome

E = ClinicError
EACH = [(code, unit, limits) for code, units in SIGNS.items() for unit, limits in units.items()]


def measure(*vitals: Vital, confirmed: bool = False) -> Outcome:
    return given(*CLINIC, visit).when(reading(*vitals, confirm_unusual=confirmed), actor="tam")


def test_the_usual_is_recorded() -> None:
    measure(
        pulse, *pressure, vital("8310-5", 366, "Cel", 1), vital("59408-5", 98, "%"), vital("29463-7", 7142, "kg", 2),
        vital("8302-2", 168, "m", 2), vital("39156-5", 253, "kg/m2", 1), vital("72514-3", 3, "{score}"),
        vital("2339-0", 95, "mg/dL"), vital("15074-8", 53, "mmol/L", 1), vital("9279-1", 14, "/min"),
    ).then(VitalsRecorded, confirm_unusual=False)  # fmt: skip


@pytest.mark.parametrize(("code", "unit", "limits"), EACH)
def test_each_sign_has_limits_in_each_unit_and_a_code_that_is_one(code: str, unit: str, limits: Limits) -> None:
    assert fault(CodeSystem.LOINC, code) is None
    assert limits.lowest <= limits.low < limits.high <= limits.highest
    for number in (limits.low, limits.high):
        measure(vital(code, number, unit, limits.decimals)).then_event()
    for number in (limits.lowest, limits.highest):
        measure(vital(code, number, unit, limits.decimals), confirmed=True).then_event()
    for number in (limits.lowest - 1, limits.highest + 1):
        beyond = measure(vital(code, number, unit, limits.decimals), confirmed=True)
        beyond.then_rejected(E.IMPLAUSIBLE, place=1)
    for number in {limits.low - 1, limits.high + 1}:
        if limits.lowest <= number <= limits.highest:
            unusual = measure(vital(code, number, unit, limits.decimals))
            unusual.then_rejected(E.UNUSUAL, place=1)


@pytest.mark.parametrize(
    ("code", "one", "two", "factor", "offset"),
    [
        ("29463-7", "kg", "g", 1000, 0),
        ("29463-7", "[lb_av]", "g", Fraction(45359237, 100_000), 0),
        ("8302-2", "m", "cm", 100, 0),
        ("8302-2", "[in_i]", "cm", Fraction(254, 100), 0),
        ("9843-4", "[in_i]", "cm", Fraction(254, 100), 0),
        ("8310-5", "[degF]", "Cel", Fraction(5, 9), Fraction(-160, 9)),
    ],
)
def test_the_limits_of_one_sign_are_the_same_in_each_unit(
    code: str, one: str, two: str, factor: Fraction, offset: Fraction
) -> None:
    """To within a tenth of the unit that they are written in."""
    first, second = SIGNS[code][one], SIGNS[code][two]
    for name in ("lowest", "low", "high", "highest"):
        here = Fraction(getattr(first, name), 10**first.decimals)
        there = Fraction(getattr(second, name), 10**second.decimals)
        assert abs(here * factor + offset - there) <= Fraction(factor, 10**first.decimals), name


@pytest.mark.parametrize(
    ("code", "unit"),
    [("8310-5", "K"), ("8310-5", "1"), ("8480-6", "kPa"), ("29463-7", "cm"), ("2339-0", "mmol/L"), ("8867-4", "%")],
)
def test_a_sign_is_measured_in_its_units_which_are_named(code: str, unit: str) -> None:
    wrong = measure(pulse if code != "8867-4" else pressure[0], vital(code, 50, unit), confirmed=True)
    wrong.then_rejected(E.WRONG_UNIT, place=2, units=list(SIGNS[code]))
    assert wrong.refusal is not None and all(one in wrong.refusal.detail for one in SIGNS[code])


def test_pain_is_a_whole_number() -> None:
    measure(vital("72514-3", 35, "{score}", 1)).then_rejected(E.IMPLAUSIBLE)
    measure(vital("72514-3", 30, "{score}", 1)).then_event()
    measure(vital("72514-3", -1, "{score}")).then_rejected(E.IMPLAUSIBLE)


def test_the_systolic_is_above_the_diastolic() -> None:
    upper, lower = pressure
    for value, decimals in ((82, 0), (820, 1), (81, 0)):
        same = vital("8480-6", value, "mm[Hg]", decimals)
        measure(lower, same, confirmed=True).then_rejected(E.IMPLAUSIBLE, places=[2, 1])
    measure(vital("8480-6", 821, "mm[Hg]", 1), lower).then_event()
    measure(upper).then_event()
    measure(lower).then_event()


def test_one_reading_measures_a_sign_once() -> None:
    measure(pulse, pressure[0], vital("8867-4", 80, "/min")).then_rejected(E.DUPLICATE_LINE, places=[1, 3])
    said = Vital(code=Coding(system=CodeSystem.TEXT, display="gait speed"), measured=measured(11, 1, "m/s"))
    other = Vital(code=Coding(system=CodeSystem.TEXT, display="grip"), measured=measured(30, 0, "kg"))
    measure(said, said).then_rejected(E.DUPLICATE_LINE)
    measure(said, other).then_event()


def test_what_is_not_in_the_table_is_taken_as_it_is() -> None:
    for code in ("8287-5", "6299-2"):
        assert code not in SIGNS
        measure(vital(code, 10**15, "furlongs")).then_event()
    same_digits = Vital(code=Coding(system=CodeSystem.TEXT, display="8867-4"), measured=measured(-5, 0, "K"))
    measure(same_digits).then_event()


def test_the_first_that_is_wrong_of_all_is_answered() -> None:
    unusual, beyond = vital("8867-4", 230, "/min"), vital("9279-1", 900, "/min")
    measure(unusual, beyond).then_rejected(E.IMPLAUSIBLE, place=2)
    measure(unusual, beyond, vital("8310-5", 310, "K")).then_rejected(E.WRONG_UNIT, place=3)


@generated(st.integers(-(10**12), 10**12), st.integers(0, 6))
def test_a_number_is_weighed_exactly_however_many_decimals_it_has(value: int, decimals: int) -> None:
    limits = Limits(100, 350, 415, 480, 1)
    exact = Fraction(value, 10**decimals)
    assert limits.possible(measured(value, decimals, "Cel")) == (10 <= exact <= 48)
    assert limits.usual(measured(value, decimals, "Cel")) == (35 <= exact <= Fraction(415, 10))


def test_a_refusal_says_neither_the_sign_nor_the_value() -> None:
    for refused in (
        measure(pulse, vital("8310-5", 7321, "Cel", 1)), measure(pulse, vital("8310-5", 7321, "K")),
        measure(pulse, vital("8310-5", 421, "Cel", 1)),
    ):  # fmt: skip
        assert refused.refusal is not None
        told = f"{refused.refusal.detail} {refused.refusal.facts}"
        assert not any(word in told for word in ("7321", "732.1", "421", "42.1", "8310-5", "a vital sign"))


def test_words_of_another_sign_than_the_code_s_are_refused() -> None:
    def said(display: str) -> Vital:
        return replace(vital("8310-5", 385, "Cel", 1), code=loinc("8310-5", display))

    for display in ("Body temperature", "Körpertemperatur", "Fieber"):
        measure(said(display)).then_event()
    measure(said("Body weight")).then_rejected(E.CODE_MISMATCH, place=1)
