"""Units in which a dose makes sense, as UCUM writes them, and with which kinds of medicine.

Source: The Unified Code for Units of Measure, version 2.2 (Regenstrief Institute, 2024): mg, g, ug, ng, kg as prefixed
grams; mL and L; [iU], [USP'U], mmol, meq; curly braces are annotations, which stand for the unity (section 6). A unit
that is not here is refused for a dose: say it in one that is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Final

from services.clinic.contract import Measure
from services.clinic.terminology import plain


class Dimension(StrEnum):
    """What a unit of a dose measures."""

    MASS = "mass"
    VOLUME = "volume"
    COUNT = "count"
    ACTIVITY = "activity"
    SUBSTANCE = "substance"
    CHARGE = "charge"


@dataclass(frozen=True, slots=True)
class Unit:
    dimension: Dimension
    factor: Fraction
    """In g, mL, pieces, international units, mmol or meq."""


def _unit(dimension: Dimension, factor: Fraction | int = 1) -> Unit:
    return Unit(dimension, Fraction(factor))


UNITS: Final[Mapping[str, Unit]] = {
    "kg": _unit(Dimension.MASS, 1000), "g": _unit(Dimension.MASS), "mg": _unit(Dimension.MASS, Fraction(1, 1000)),
    "ug": _unit(Dimension.MASS, Fraction(1, 10**6)), "ng": _unit(Dimension.MASS, Fraction(1, 10**9)),
    "L": _unit(Dimension.VOLUME, 1000), "mL": _unit(Dimension.VOLUME),
    "[iU]": _unit(Dimension.ACTIVITY), "[USP'U]": _unit(Dimension.ACTIVITY),
    "mmol": _unit(Dimension.SUBSTANCE), "meq": _unit(Dimension.CHARGE),
    "1": _unit(Dimension.COUNT), "{tbl}": _unit(Dimension.COUNT), "{tablet}": _unit(Dimension.COUNT),
    "{capsule}": _unit(Dimension.COUNT), "{puff}": _unit(Dimension.COUNT), "{actuat}": _unit(Dimension.COUNT),
    "{spray}": _unit(Dimension.COUNT), "{drop}": _unit(Dimension.COUNT), "[drp]": _unit(Dimension.COUNT),
    "{patch}": _unit(Dimension.COUNT), "{suppository}": _unit(Dimension.COUNT), "{dose}": _unit(Dimension.COUNT),
    "{application}": _unit(Dimension.COUNT),
}  # fmt: skip
"""The units that a dose may be in."""

_SOLID: Final = ("tablet", "tablets", "tab", "capsule", "capsules", "suppository", "lozenge", "patch")
_FORMS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "{tbl}": ("tablet", "tablets", "tab"), "{tablet}": ("tablet", "tablets", "tab"),
    "{capsule}": ("capsule", "capsules"), "{puff}": ("inhaler", "inhalation", "aerosol", "inhalant"),
    "{patch}": ("patch",), "{suppository}": ("suppository",),
}  # fmt: skip
"""Units that count a form, and the words by which a medicine's form is one of those."""

TIMES: Final = 20
"""A dose of more than so many times a medicine's strength, or less than one such part, is in the wrong unit."""

_STRENGTH: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(mcg|[A-Za-z]+)\b", re.ASCII)
_WRITTEN: Final = {"mcg": "ug", "ml": "mL", "l": "L", "iu": "[iU]", "unt": "[iU]", "units": "[iU]", "unit": "[iU]"}


_IN_WORDS: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?\s*(?:mcg|mg|g|unt|iu))\b(?!\s*/)", re.ASCII | re.IGNORECASE)
"""A strength as RxNorm writes it in a medicine's words: 500 MG, and not 50 MG/ML, which is none of a piece."""


def in_words(words: str) -> tuple[str | None, str | None]:
    """Form and strength of a medicine as its words say them, for `fault`: of `amoxicillin 500 MG Oral Capsule` all of
    it, as the form is among them, and `500 MG`. None where they say no form that is looked for; and no strength, or
    that of several ingredients."""
    forms = {word for known in (*_FORMS_OF.values(), _SOLID) for word in known}
    strengths = _IN_WORDS.findall(words)
    return (
        words if any(plain(word) in plain(words) for word in forms) else None,
        strengths[0] if len(strengths) == 1 and "/" not in words else None,
    )


def fault(dose: Measure, *, form: str | None = None, strength: str | None = None) -> str | None:
    """What is wrong with a dose's unit, for a medicine of a form and a strength (`500 mg`), in words that name neither
    medicine nor patient; None when nothing is, as far as can be told."""
    unit = UNITS.get(dose.unit)
    if unit is None:
        return f"its unit is none of a dose; one of these is: {', '.join(UNITS)}"
    if dose.value <= 0:
        return "it is nothing, or less"
    words = plain(form or "")
    forms = _FORMS_OF.get(dose.unit)
    if form and forms is not None and not any(plain(word) in words for word in forms):
        return "its unit counts another form than the medicine's"
    if unit.dimension is Dimension.VOLUME and any(plain(word) in words for word in _SOLID):
        return "its unit is a volume, and the medicine is solid"
    found = _STRENGTH.match(strength or "")
    written = found and UNITS.get(_WRITTEN.get(found[2].casefold(), found[2].casefold()))
    if found and written and written.dimension is unit.dimension:
        one = Fraction(found[1]) * written.factor
        ratio = Fraction(dose.value, 10**dose.decimals) * unit.factor / one if one else Fraction(1)
        if not Fraction(1, TIMES) <= ratio <= TIMES:
            far = f"more than {TIMES} times" if ratio > 1 else f"less than a {TIMES}th of"
            return f"it is {far} the medicine's strength; look whether its unit is right"
    return None
