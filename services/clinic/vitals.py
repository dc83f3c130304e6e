"""Refusing vital signs that no living body has, and those that are unusual and that nobody confirmed.

The limits, and where they are from, are in contract/signs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.clinic.contract import ClinicError, CodeSystem, Coding, Vital
from services.clinic.contract.signs import DIASTOLIC, SYSTOLIC, units_of
from services.clinic.refusals import rejected

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    SYSTOLIC: ("systolic",), DIASTOLIC: ("diastolic",), "8867-4": ("heart", "pulse"), "9279-1": ("respirat", "breath"),
    "8310-5": ("temperature",), "2708-6": ("oxygen", "saturation", "spo2"),
    "59408-5": ("oxygen", "saturation", "spo2"), "29463-7": ("weight",), "8302-2": ("height", "length", "stature"),
    "39156-5": ("mass index", "bmi"), "9843-4": ("head", "circumference"), "72514-3": ("pain",),
    "2339-0": ("glucose", "sugar"), "15074-8": ("glucose", "sugar"),
}  # fmt: skip
"""What each sign is called in English. Words that are none of these, as in other languages, are taken as they are."""


def _contradicts(sign: Coding) -> bool:
    """Whether the words of a sign are those of another, and none of its own."""
    words = sign.display.casefold()
    other = any(one in words for theirs in _WORDS.values() for one in theirs)
    return other and not any(one in words for one in _WORDS[sign.code])


def plausible(vitals: tuple[Vital, ...], *, confirmed: bool) -> None:
    """Refuse a reading that measures something twice, under the words of another sign, in a wrong unit, or as no living
    body has it; and what is unusual, unless it is confirmed.

    A refusal says which of the vital signs it is by its place (the first is 1) and what the limits are, and neither the
    sign nor the value: refusals are logged.
    """
    seen: dict[tuple[str, ...], int] = {}
    for place, vital in enumerate(vitals, 1):
        code = (vital.code.system, vital.code.code or vital.code.display)
        if code in seen:
            raise rejected(
                ClinicError.DUPLICATE_LINE,
                f"Vital signs {seen[code]} and {place} are the same one. Record one of them as another reading.",
                places=[seen[code], place],
            )  # fmt: skip
        seen[code] = place
    known = [
        (place, vital.measured, units)
        for place, vital in enumerate(vitals, 1) if (units := units_of(vital.code)) is not None
    ]  # fmt: skip
    for place, _, _ in known:
        if _contradicts(vitals[place - 1].code):
            raise rejected(
                ClinicError.CODE_MISMATCH,
                f"Vital sign {place} has the code of one sign and the words of another. Look which was measured.",
                place=place,
            )  # fmt: skip
    for place, measured, units in known:
        if measured.unit not in units:
            raise rejected(
                ClinicError.WRONG_UNIT,
                f"Vital sign {place} is not measured in the unit that it has. Give it in {' or '.join(units)}, as UCUM "
                "writes it.",
                place=place, units=list(units),
            )  # fmt: skip
    for place, measured, units in known:
        limits = units[measured.unit]
        if not limits.possible(measured):
            raise rejected(
                ClinicError.IMPLAUSIBLE,
                f"Vital sign {place} is outside what a living body has: {limits.told(usual=False)} in "
                f"{measured.unit}. Measure again, or look for a slip in the number or its unit.",
                place=place,
            )  # fmt: skip
    _above(vitals)
    if confirmed:
        return
    for place, measured, units in known:
        limits = units[measured.unit]
        if not limits.usual(measured):
            raise rejected(
                ClinicError.UNUSUAL,
                f"Vital sign {place} is outside the usual {limits.told(usual=True)} in {measured.unit}. Look again, "
                "and if it is so, send it with confirm_unusual.",
                place=place,
            )  # fmt: skip


def _above(vitals: tuple[Vital, ...]) -> None:
    """Refuse a pulse that beats downwards."""
    pressures = {
        vital.code.code: (place, vital.measured)
        for place, vital in enumerate(vitals, 1)
        if vital.code.system is CodeSystem.LOINC and vital.code.code in (SYSTOLIC, DIASTOLIC)
    }
    if len(pressures) < 2:
        return
    (upper, systolic), (lower, diastolic) = pressures[SYSTOLIC], pressures[DIASTOLIC]
    if systolic.value * 10**diastolic.decimals <= diastolic.value * 10**systolic.decimals:
        raise rejected(
            ClinicError.IMPLAUSIBLE,
            f"Vital sign {upper} must be above vital sign {lower}. Look whether they were exchanged.",
            places=[upper, lower],
        )  # fmt: skip
