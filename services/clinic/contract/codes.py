"""Code systems that the clinic speaks, and the form that their codes have, check digits included.

The shape alone is checked here: whether a code exists is for the terminology's publisher to say.

| system | published by | form |
| --- | --- | --- |
| rxnorm | US National Library of Medicine | a number (RXCUI) |
| snomed | SNOMED International | 6 to 18 digits, the last a Verhoeff check digit |
| icd10 | WHO | a letter, two digits, and up to two more after a point |
| icd10cm | US CDC (ICD-10-CM) | a letter, two characters, and up to four more after a point |
| loinc | Regenstrief Institute | up to 7 digits, a hyphen, a mod 10 check digit |
| cvx | US CDC | up to 3 digits |
| atc | WHO Collaborating Centre for Drug Statistics Methodology | A, A10, A10B, A10BA, A10BA02 |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from shared.types import shaped

CODE_PATTERN: Final = shaped(r"^[A-Za-z0-9.-]{0,32}$", "a code is at most 32 letters, digits, points and hyphens")
UNIT_PATTERN: Final = shaped(r"^[!-~]{1,40}$", "a unit is written as UCUM writes it, such as mg or mm[Hg]")
"""Visible ASCII, which is what UCUM's case-sensitive codes are written in."""


class CodeSystem(StrEnum):
    """A published terminology."""

    RXNORM = "rxnorm"
    SNOMED = "snomed"
    ICD10 = "icd10"
    ICD10CM = "icd10cm"
    LOINC = "loinc"
    CVX = "cvx"
    ATC = "atc"
    TEXT = "text"


URIS: Final[Mapping[CodeSystem, str]] = {
    CodeSystem.RXNORM: "http://www.nlm.nih.gov/research/umls/rxnorm",
    CodeSystem.SNOMED: "http://snomed.info/sct",
    CodeSystem.ICD10: "http://hl7.org/fhir/sid/icd-10",
    CodeSystem.ICD10CM: "http://hl7.org/fhir/sid/icd-10-cm",
    CodeSystem.LOINC: "http://loinc.org",
    CodeSystem.CVX: "http://hl7.org/fhir/sid/cvx",
    CodeSystem.ATC: "http://www.whocc.no/atc",
}
"""The systems' URIs, by which FHIR R4 names them (https://hl7.org/fhir/R4/terminologies-systems.html)."""

_VERHOEFF_PRODUCT: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
"""Multiplication in the dihedral group of order ten (J. Verhoeff, "Error Detecting Decimal Codes", 1969)."""

_VERHOEFF_PERMUTATION: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def fault(system: CodeSystem, code: str) -> str | None:
    """What is wrong with a code of a system, in a sentence; None when its form is right."""
    if system is CodeSystem.TEXT:
        return "a text has no code: leave it out" if code else None
    form, check, example = _FORMS[system]
    if form.fullmatch(code) is None:
        return f"{code or 'nothing'} is no code of {system}: one looks like {example}"
    if check is not None and not check(code):
        return f"{code} is no code of {system}: its check digit is wrong; look for a typing mistake"
    return None


def _verhoeff(code: str) -> bool:
    """Whether the last digit is the check digit of those before it (SNOMED CT Release File Specifications, 6.5)."""
    check = 0
    for position, digit in enumerate(reversed(code)):
        turned = int(digit)
        for _ in range(position % 8):
            turned = _VERHOEFF_PERMUTATION[turned]
        check = _VERHOEFF_PRODUCT[check][turned]
    return check == 0


def _loinc(code: str) -> bool:
    """Whether the digit behind the hyphen is the Luhn check digit of those before it (LOINC Users' Guide)."""
    digits, _, last = code.partition("-")
    total = 0
    for position, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if position % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return (10 - total % 10) % 10 == int(last)


_FORMS: Final[Mapping[CodeSystem, tuple[re.Pattern[str], Callable[[str], bool] | None, str]]] = {
    CodeSystem.RXNORM: (re.compile(r"[1-9]\d{0,8}"), None, "723"),
    CodeSystem.SNOMED: (re.compile(r"[1-9]\d{5,17}"), _verhoeff, "91936005"),
    CodeSystem.ICD10: (re.compile(r"[A-Z]\d\d(\.\d{1,2})?"), None, "E11.9"),
    CodeSystem.ICD10CM: (re.compile(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?"), None, "S52.521A"),
    CodeSystem.LOINC: (re.compile(r"\d{1,7}-\d"), _loinc, "8480-6"),
    CodeSystem.CVX: (re.compile(r"\d{1,3}"), None, "141"),
    CodeSystem.ATC: (re.compile(r"[A-Z](\d\d([A-Z]([A-Z](\d\d)?)?)?)?"), None, "J01CA04"),
}
