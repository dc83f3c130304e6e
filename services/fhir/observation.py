"""Observation: vital signs and results. https://hl7.org/fhir/R4/observation.html

Vital signs are recorded together and go out one by one, as FHIR's and US Core's vital signs profiles ask: a LOINC code,
a UCUM unit, the category vital-signs; systolic and diastolic pressure are the two components of one blood pressure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from services.clinic.contract import CodeSystem, Coding, Result, ResultCategory, Vital
from services.clinic.contract.signs import DIASTOLIC, SYSTOLIC, units_of
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.ids import part_id
from services.fhir.reading import NOTE, TEXT, Node, NotTaken, Unusable, member
from services.fhir.values import (
    TERMINOLOGY,
    amount,
    begun,
    code_of,
    coded,
    concept,
    instant,
    number,
    present,
    quantity,
    read_concept,
    read_moment,
    read_quantity,
    reference,
)

TYPE: Final = "Observation"

CATEGORY: Final = f"{TERMINOLOGY}/observation-category"
PRESSURE: Final = Coding(
    system=CodeSystem.LOINC, code="85354-9", display="Blood pressure panel with all children optional"
)
PANEL: Final = "bp"
_VITAL_CODES: Final = frozenset({
    "8310-5", "8867-4", "9279-1", "29463-7", "8302-2", "59408-5", "2708-6", "39156-5", "9843-4", "8287-5", "8289-1",
    "59576-9", "77606-2", SYSTOLIC, DIASTOLIC,
})  # fmt: skip
_SOCIAL_CODES: Final = frozenset({"72166-2", "11367-0", "11331-6"})
"""Tobacco smoking status, history of tobacco use and of alcohol use."""

_CATEGORIES: Final = {category: category.replace("-", " ").title() for category in ResultCategory}
_NO_RESULT: Final = frozenset({"registered", "cancelled", "unknown"})
_OTHERS: Final = ("Boolean", "Integer", "DateTime", "Time", "Ratio", "Range", "Period", "SampledData")


def vital_signs(entry: Entry) -> list[Resource]:
    """One resource a vital sign of a set, and one of both pressures."""
    if not isinstance(entry.content, tuple) or not all(isinstance(one, Vital) for one in entry.content):
        raise NotShown("the vital signs")
    vitals: tuple[Vital, ...] = entry.content
    pressures = _pressures(vitals)
    made = [_panel(entry, pressures)] if pressures else []
    for index, vital in enumerate(vitals):
        if vital not in pressures:
            made.append(_sign(entry, part_id(str(index), entry.id), vital))
    return made


def _pressures(vitals: Iterable[Vital]) -> list[Vital]:
    """The systolic and the diastolic pressure, when each was measured once; else none, and each stands alone."""
    found = [[vital for vital in vitals if vital.code.code == code] for code in (SYSTOLIC, DIASTOLIC)]
    return [each[0] for each in found] if all(len(each) == 1 for each in found) else []


def _sign(entry: Entry, id: str, vital: Vital) -> Resource:
    return _begun(entry, id, vital.code, ResultCategory.VITAL_SIGNS) | {"valueQuantity": quantity(vital.measured)}


def _panel(entry: Entry, pressures: list[Vital]) -> Resource:
    components = [{"code": concept(one.code), "valueQuantity": quantity(one.measured)} for one in pressures]
    made = _begun(entry, part_id(PANEL, entry.id), PRESSURE, ResultCategory.VITAL_SIGNS)
    return made | {"component": components}


def result(entry: Entry) -> Resource:
    if not isinstance(entry.content, Result):
        raise NotShown("the result")
    said: Result = entry.content
    made = _begun(entry, None, said.code, said.category or _category_of(said.code), said.found_at)
    value = {"valueQuantity": quantity(said.measured)} if said.measured else (
        {"valueCodeableConcept": concept(said.coded)} if said.coded else present(valueString=said.text))  # fmt: skip
    more = said.text if (said.measured or said.coded) else None
    return made | value | present(
        dataAbsentReason=None if value else coded(f"{TERMINOLOGY}/data-absent-reason", "unknown"),
        note=[{"text": more}] if more else None,
        referenceRange=[{"text": said.reference}] if said.reference else None,
    )  # fmt: skip


def _category_of(code: Coding) -> ResultCategory:
    """The category that a code is known for; else a laboratory's, among which nothing must be missed."""
    if code.code in _VITAL_CODES:
        return ResultCategory.VITAL_SIGNS
    return ResultCategory.SOCIAL_HISTORY if code.code in _SOCIAL_CODES else ResultCategory.LABORATORY


def _begun(
    entry: Entry, id: str | None, code: Coding, category: ResultCategory, found_at: datetime | None = None
) -> Resource:  # fmt: skip
    return begun(entry, TYPE, id) | present(
        # what another stands for is still told, as what it was: a mistake
        status="entered-in-error" if entry.clear.get("corrected_by") else "final",
        category=[coded(CATEGORY, category.value, _CATEGORIES[category])],
        code=concept(code),
        subject=reference("Patient", entry.patient),
        encounter=reference("Encounter", entry.encounter) if entry.encounter else None,
        effectiveDateTime=instant(found_at or entry.occurred_at),
        issued=instant(entry.recorded_at),
    )


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """One result of an observation. `part` tells the results of one observation apart: its place among components."""

    part: str
    content: Result


def read_observation(node: Node) -> list[Found]:
    """The results of an observation: its own value, and each component's."""
    status = node.string("status")
    if status == "entered-in-error":
        raise NotTaken("it was entered in error")
    if status in _NO_RESULT:
        raise NotTaken(f"its status is {status}: there is no result")
    if status == "preliminary":
        node.note("status", "is preliminary: taken as it is")
    node.skip("identifier", "issued")
    found_at, category = _found_at(node), _category(node)
    code = read_concept(node.node("code"), (CodeSystem.LOINC,))
    found = [Found("", own)] if code and (own := _result(node, code, found_at)) else []
    for place, component in enumerate(node.nodes("component")):
        of = read_concept(component.node("code"), (CodeSystem.LOINC,))
        one = _result(component, of, found_at) if of else None
        if one is not None:
            found.append(Found(str(place), one))
    if not found:
        absent = "dataAbsentReason" in node or any("dataAbsentReason" in one for one in node.nodes("component"))
        raise NotTaken("it has no value" + (", and says why" if absent else ""))
    _plausible(node, [one.content for one in found])
    return [replace(one, content=replace(one.content, category=category)) for one in found]


def _plausible(node: Node, results: list[Result]) -> None:
    """Raises Unusable for a measure that the clinic would refuse of its own: one that no living body has."""
    pressures: dict[str, Decimal] = {}
    for one in results:
        units = units_of(one.code)
        if one.measured is None or units is None:
            continue
        limits = units.get(one.measured.unit)
        if limits is None:
            node.note("valueQuantity", "is in a unit that nobody measures this in here: taken, and not compared")
        elif not limits.possible(one.measured):
            raise Unusable(
                f"its value is outside what a living body has, {limits.told(usual=False)} in {one.measured.unit}: "
                "look for a slip in the number or its unit"
            )
        if one.code.code in (SYSTOLIC, DIASTOLIC):
            pressures[one.code.code] = number(one.measured)
    if len(pressures) == 2 and pressures[SYSTOLIC] <= pressures[DIASTOLIC]:
        raise Unusable("its systolic pressure is not above its diastolic one: look whether they were exchanged")


def _category(node: Node) -> ResultCategory | None:
    said = [code for each in node.nodes("category") if (code := code_of(each))]
    known = [category for code in said if (category := member(ResultCategory, code))]
    if not known:
        why = "is none that is known here" if said else "is missing"
        node.note("category", f"{why}: taken as the one that its code is known for, else as a laboratory's")
    elif len(said) > 1:
        node.note("category", "has several: the first that is known here is taken")
    return known[0] if known else None


def _found_at(node: Node) -> datetime:
    found = read_moment(node, "effectiveDateTime") or read_moment(node, "effectiveInstant")
    period = node.node("effectivePeriod")
    if found is None and period is not None:
        found = read_moment(period, "start") or read_moment(period, "end")
    if found is None:
        raise Unusable("it does not say when, to the day at least (effectiveDateTime)")
    return found


def _result(node: Node, code: Coding, found_at: datetime) -> Result | None:
    made = Result(code=code, found_at=found_at, reference=_reference(node))
    notes = "\n".join(text for each in node.nodes("note") if (text := each.string("text")))
    made = replace(made, text=notes[:NOTE] or None)
    given = node.node("valueQuantity")
    measured = read_quantity(given)
    if measured is not None:
        return replace(made, measured=measured)
    if (text := amount(given)) is not None:
        if "comparator" not in (given or node):
            node.note("valueQuantity", "is kept as words: its unit is no UCUM code, or it has too many digits")
        return _in_words(made, text)
    if (answer := read_concept(node.node("valueCodeableConcept"))) is not None:
        return replace(made, coded=answer)
    if (text := node.string("valueString")) is not None:
        return _in_words(made, text)
    if (value := node.raw("valueBoolean")) is not None or (value := node.raw("valueInteger")) is not None:
        return _in_words(made, str(value).lower())
    if any(f"value{kind}" in node for kind in _OTHERS):
        raise Unusable("its value is of a kind that cannot be kept here")
    return None


def _in_words(made: Result, text: str) -> Result:
    return replace(made, text="\n".join(part for part in (text, made.text) if part)[:NOTE])


def _reference(node: Node) -> str | None:
    first = node.first("referenceRange")
    if first is None:
        return None
    low, high = amount(first.node("low")), amount(first.node("high"))
    between = f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}" if high else None
    return (first.text("text") or between or "")[:TEXT] or None
