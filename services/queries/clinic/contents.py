"""What is sealed of patients, in words for people: one function a value of the clinic's contract.

in_words(Allergy)("{…}") == "penicillin G (RxNorm 7980), severe"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from services.clinic.contract import (
    Alert,
    Allergy,
    AllergyStatus,
    Check,
    CodeSystem,
    Coding,
    Consent,
    Contact,
    Demographics,
    Disclosure,
    Fill,
    Given,
    Handed,
    Immunization,
    Measure,
    Order,
    Override,
    Problem,
    ProblemStatus,
    Referral,
    ReportedMedication,
    Result,
    Severity,
    Sex,
    Verification,
    Visit,
    Vital,
)
from shared.errors import Corrupt
from shared.heldvalue import read
from shared.keyreader import Closed

HOLDS: Final[Mapping[str, Any]] = {
    "patient": Demographics, "allergy": Allergy, "problem": Problem, "result": Result, "consent": Consent,
    "reported_medication": ReportedMedication, "encounter": Visit, "vitals": tuple[Vital, ...], "note": str,
    "prescription": Order, "dispensing": Handed, "administration": Given, "immunization": Immunization,
    "referral": Referral, "appointment": str,
}  # fmt: skip
"""What the `content` of a chart's entry holds, by its kind; `str` is a text. `patient` is the content of `patients`."""

_SYSTEMS: Final[Mapping[CodeSystem, str]] = {
    CodeSystem.RXNORM: "RxNorm", CodeSystem.SNOMED: "SNOMED CT", CodeSystem.ICD10: "ICD-10",
    CodeSystem.ICD10CM: "ICD-10-CM", CodeSystem.LOINC: "LOINC", CodeSystem.CVX: "CVX", CodeSystem.ATC: "ATC",
}  # fmt: skip
_UNITS: Final[Mapping[str, str]] = {
    "1": "", "Cel": "°C", "[degF]": "°F", "mm[Hg]": "mmHg", "[lb_av]": "lb", "[in_i]": "in", "{score}": "",
    "/min": "a minute", "{beats}/min": "a minute",
}  # fmt: skip
"""Units of UCUM that people write otherwise."""


def opened(kind: str, text: str | Closed | None) -> Any:
    """The value in an opened `content`, None where there is none or it stays closed. Raises Corrupt."""
    if text is None or isinstance(text, Closed):
        return None
    holds = HOLDS[kind]
    return text if holds is str else read(text, holds)


def in_words(holds: Any) -> Callable[[str], str]:
    """What says an opened text in words, of a column that holds this value."""

    def say(text: str) -> str:
        try:
            return words(read(text, holds))
        except Corrupt:
            return str(Closed.CHANGED)

    return say


_WORDS: Final[dict[type, Callable[[Any], str]]] = {}
"""What says a value in words, by its class."""

Says = TypeVar("Says", bound=Callable[..., str])


def words(value: Any) -> str:
    """A value in words; a text is its own."""
    return _WORDS.get(type(value), str)(value)


def _of(cls: type) -> Callable[[Says], Says]:
    """Says the values of exactly this class; a plain table, since a chart asks it a thousand times."""

    def register(say: Says) -> Says:
        _WORDS[cls] = say
        return say

    return register


def _listed(*parts: object, by: str = ", ") -> str:
    """Those of the parts that say something."""
    return by.join([part if type(part) is str else str(part) for part in parts if part])


@_of(tuple)
def several(values: tuple[Any, ...]) -> str:
    return _listed(*map(words, values), by="; ")


@_of(Coding)
def coding(value: Coding) -> str:
    """penicillin G (RxNorm 7980)"""
    return (
        value.display if value.system is CodeSystem.TEXT else f"{value.display} ({_SYSTEMS[value.system]} {value.code})"
    )


@_of(Measure)
def measure(value: Measure) -> str:
    """36.6 °C"""
    sign, digits = "-" * (value.value < 0), str(abs(value.value)).rjust(value.decimals + 1, "0")
    number = sign + (f"{digits[: -value.decimals]}.{digits[-value.decimals :]}" if value.decimals else digits)
    return f"{number} {_UNITS.get(value.unit, value.unit)}".strip()


def _codes(codes: Iterable[Coding]) -> str:
    return ", ".join(map(coding, codes))


def name(who: Demographics) -> str:
    """Ada Byron"""
    return " ".join([*who.given, who.family or ""]).strip() or "(no name)"


def name_in(text: str) -> str:
    """The name of a patient, of an opened text."""
    try:
        return name(read(text, Demographics))
    except Corrupt:
        return str(Closed.CHANGED)


def contact_in(text: str) -> str:
    """How to reach a patient, of an opened text."""
    try:
        who = read(text, Demographics)
    except Corrupt:
        return str(Closed.CHANGED)
    return "" if who.contact is None else words(who.contact)


@_of(Demographics)
def identity(who: Demographics) -> str:
    """Who somebody is, without how to reach them."""
    return _listed(
        name(who), who.born and f"born {who.born}", who.died and f"died {who.died}",
        None if who.sex is Sex.UNKNOWN else str(who.sex), *who.identifiers,
    )  # fmt: skip


@_of(Contact)
def contact(value: Contact) -> str:
    street = _listed(value.street, _listed(value.postal_code, value.city, by=" "), value.state, value.country)
    guardian = _listed(value.guardian, value.guardian_phone, by=" ")
    return _listed(
        value.phone, value.email, street, value.language and f"language: {value.language}",
        guardian and f"guardian {guardian}", by="; ",
    )  # fmt: skip


@_of(Allergy)
def allergy(value: Allergy) -> str:
    """penicillin G (RxNorm 7980), severe: hives; since 2001-05-01; unconfirmed"""
    said = _listed(coding(value.substance), "intolerance" if value.intolerance else None,
                   value.severity and str(Severity(value.severity)))  # fmt: skip
    reaction = f"{said}: {coding(value.reaction)}" if value.reaction else said
    sure = None if value.verification is Verification.CONFIRMED else value.verification
    lasts = None if value.clinical_status is AllergyStatus.ACTIVE else value.clinical_status
    return _listed(
        reaction, value.since and f"since {value.since}", sure and str(sure), lasts and f"said to be {lasts}",
        value.note, by="; ",
    )  # fmt: skip


@_of(Problem)
def problem(value: Problem) -> str:
    status = None if value.status is ProblemStatus.ACTIVE else str(value.status)
    said = _listed(coding(value.code), status)
    return _listed(said, value.since and f"since {value.since}", value.ended and f"ended {value.ended}", value.note,
                   by="; ")  # fmt: skip


@_of(Result)
def result(value: Result) -> str:
    found = _listed(
        value.measured and measure(value.measured), value.coded and coding(value.coded), value.text
    )  # fmt: skip
    usual = value.reference and f"usual {value.reference}"
    return _listed(f"{coding(value.code)}: {found or 'nothing said'}", usual, f"of {value.found_at.date()}", by="; ")


@_of(Vital)
def vital(value: Vital) -> str:
    return f"{value.code.display} {measure(value.measured)}"


@_of(Consent)
def consent(value: Consent) -> str:
    return _listed(f"{value.purpose}: {value.scope}", value.with_whom and f"with {value.with_whom}",
                   value.until and f"until {value.until}")  # fmt: skip


@_of(Visit)
def visit(value: Visit) -> str:
    return _listed(_codes(value.reasons), _codes(value.kinds), value.place and f"at {value.place}", value.clinician,
                   by="; ")  # fmt: skip


@_of(Order)
def order(value: Order) -> str:
    """amoxicillin 250 mg capsule (RxNorm 308182): Three times a day; 21 for 7 days"""
    said = _listed(
        coding(value.medication), value.dose and measure(value.dose), value.route and value.route.display
    )  # fmt: skip
    much = None if value.quantity is None else f"{value.quantity:,}"
    days = value.days_supply and f"for {value.days_supply} days"
    again = value.repeats and f"{value.repeats} repeats"
    needed = "as needed" if value.as_needed else None
    return _listed(f"{said}: {value.directions}", needed, _listed(much, days or None, again or None, by=" "),
                   value.reason and f"for {coding(value.reason)}", value.prescriber, by="; ")  # fmt: skip


@_of(ReportedMedication)
def reported(value: ReportedMedication) -> str:
    said = coding(value.medication) + (f": {value.directions}" if value.directions else "")
    return _listed(said, value.since and f"since {value.since}", value.until and f"until {value.until}", value.source,
                   by="; ")  # fmt: skip


@_of(Fill)
def fill(value: Fill) -> str:
    return f"{coding(value.medication)} on {value.on} for {value.days_supply} days"


@_of(Given)
def given(value: Given) -> str:
    route, site = value.route and value.route.display, value.site and value.site.display
    return _listed(f"{coding(value.medication)} {measure(value.dose)}", route, site, value.note)


@_of(Immunization)
def immunization(value: Immunization) -> str:
    said = _listed(
        coding(value.vaccine), value.dose_number and f"dose {value.dose_number}", value.dose and measure(value.dose),
        value.route and value.route.display, value.site and value.site.display,
    )  # fmt: skip
    lot = _listed(value.manufacturer, value.lot and f"lot {value.lot}", value.expires and f"expires {value.expires}")
    by = _listed(value.administered_by, value.title)
    sheet = _listed(value.sheet, value.sheet_edition and f"of {value.sheet_edition}",
                    value.sheet_given_on and f"handed over {value.sheet_given_on}", by=" ")  # fmt: skip
    return _listed(said, lot, by and f"by {by}", sheet and f"sheet {sheet}", value.place, by="; ")


@_of(Handed)
def handed(value: Handed) -> str:
    return f"to {_listed(value.recipient, value.relationship and f'({value.relationship})', by=' ')}"


@_of(Alert)
def alert(value: Alert) -> str:
    return f"{str(value.kind).replace('_', ' ')}: {value.detail}"


@_of(Override)
def override(value: Override) -> str:
    return f"{str(value.alert).replace('_', ' ')}: {value.reason}"


@_of(Check)
def check(value: Check) -> str:
    alerts = _listed(*map(alert, value.alerts), by="; ")
    return f"{alerts or 'no alert'}. Checked: {_listed(*value.checked, by='; ') or 'nothing'}."


@_of(Referral)
def referral(value: Referral) -> str:
    return _listed(f"to {value.to}", value.reason and coding(value.reason), "urgent" if value.urgent else None,
                   value.note, by="; ")  # fmt: skip


@_of(Disclosure)
def disclosure(value: Disclosure) -> str:
    return _listed(f"{value.what} to {value.to}", value.ground, by="; ")
