"""The data types that resources share: codes, measures, dates and moments, references. Each both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from services.clinic.contract import URIS, CodeSystem, Coding, Measure
from services.clinic.contract.codes import UNIT_PATTERN, fault
from services.fhir.entry import Entry, Resource
from services.fhir.ids import fhir_id
from services.fhir.reading import Node
from shared.types import FIRST_YEAR, LAST_YEAR, MAX_INTEGER

UCUM: Final = "http://unitsofmeasure.org"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"

_SYSTEMS: Final[Mapping[str, CodeSystem]] = {uri: system for system, uri in URIS.items()}
_DATE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)
_UNIT: Final = re.compile(UNIT_PATTERN)
_DECIMALS: Final = 6
_EXPONENT: Final = 30


def present(**elements: Any) -> Resource:
    """An element without what is not known: FHIR has no null and no empty list. A trailing `_` is for `class_`."""
    kept = {name.rstrip("_"): value for name, value in elements.items()}
    return {name: value for name, value in kept.items() if value is not None and value not in ((), [], {}, "")}


# -- codes ------------------------------------------------------------------------------------------------------------


def coded(system: str, code: str, display: str | None = None) -> Resource:
    """A concept of one of FHIR's own code systems."""
    return {"coding": [present(system=system, code=code, display=display)]}


def concept(coding: Coding | None) -> Resource | None:
    """A CodeableConcept; of what has no code the text alone."""
    if coding is None:
        return None
    if coding.system is CodeSystem.TEXT:
        return {"text": coding.display}
    return {
        "coding": [{"system": URIS[coding.system], "code": coding.code, "display": coding.display}],
        "text": coding.display,
    }


def read_concept(node: Node | None, prefer: Sequence[CodeSystem] = ()) -> Coding | None:
    """A code that the clinic speaks, else the words of it; None when there is neither.

    A code whose form is wrong, its check digit for example, is kept as the words that stand by it, with a note.
    """
    if node is None:
        return None
    found: list[tuple[Node, CodeSystem, str]] = []
    for each in node.nodes("coding"):
        system = _SYSTEMS.get(str(each._data.get("system")))
        code = each._data.get("code")
        if system is None or not isinstance(code, str):
            continue
        if wrong := fault(system, code):
            each.note("code", f"is kept as words: {_without(wrong, code)}")
            continue
        found.append((each, system, code))
    found.sort(key=lambda one: prefer.index(one[1]) if one[1] in prefer else len(prefer))
    text = node.text("text")
    if not found:
        return _words(node, text)
    chosen, system, code = found[0]
    chosen.skip("system", "code", "version", "userSelected")
    return Coding(system=system, code=code, display=chosen.text("display") or text or code)


def _words(node: Node, text: str | None) -> Coding | None:
    for each in node.nodes("coding"):
        if text is None and (text := each.text("display") or each.text("code")):
            break
    return None if text is None else Coding(system=CodeSystem.TEXT, display=text)


def _without(wrong: str, code: str) -> str:
    """What is wrong with a code, without the code: it may be of a diagnosis, and reports are kept."""
    return wrong.replace(code, "it", 1).partition("; ")[0]


def wording(node: Node | None, shown: Coding | None) -> str | None:
    """What a concept says in words beyond what is shown of it; they may say more than the code."""
    text = None if node is None else node.text("text")
    return None if shown is None or text is None or text == shown.display else text


def code_of(node: Node | None) -> str | None:
    """The code of a concept of FHIR's own systems, whichever it is: a status, a category."""
    if node is None:
        return None
    for each in node.nodes("coding"):
        if code := each.string("code"):
            each.skip("system", "display", "version", "userSelected")
            node.skip("text")
            return code
    return None


# -- measures ---------------------------------------------------------------------------------------------------------


def number(measure: Measure) -> Decimal:
    """366 with 1 decimal is exactly 36.6."""
    return Decimal(measure.value).scaleb(-measure.decimals)


def quantity(measure: Measure | None) -> Resource | None:
    if measure is None:
        return None
    return {"value": number(measure), "unit": measure.unit, "system": UCUM, "code": measure.unit}


def exactly(value: Decimal, unit: str) -> Measure | None:
    """A decimal as a measure, every digit kept; None when it has more decimals, or more digits, than are kept here."""
    exponent = int(value.as_tuple().exponent)
    if abs(exponent) > _EXPONENT or value.adjusted() > _EXPONENT:
        return None
    while exponent < -_DECIMALS and value == value.quantize(Decimal(1).scaleb(exponent + 1)):
        exponent += 1
    decimals = max(0, -exponent)
    whole = int(value.scaleb(decimals))
    if decimals > _DECIMALS or abs(whole) > MAX_INTEGER or Decimal(whole) != value.scaleb(decimals):
        return None
    return Measure(value=whole, decimals=decimals, unit=unit)


def read_quantity(node: Node | None) -> Measure | None:
    """A Quantity whose unit is, or can be written as, a UCUM code; None when it cannot: `amount` then says it in words.

    A comparator (< 5) changes what the value means, so such a quantity is no measure.
    """
    if node is None or "comparator" in node:
        return None
    value = node._data.get("value")
    if value is None or isinstance(value, bool | str):
        return None
    unit = unit_of(node)
    made = None if unit is None or (read := node.number("value")) is None else exactly(read, unit)
    if made is not None:
        node.skip("unit", "system", "code", "value")
    return made


def unit_of(node: Node) -> str | None:
    """The UCUM code; `1` of a plain number. Another system's code is none."""
    code, system, unit = (node._data.get(name) for name in ("code", "system", "unit"))
    if code is None and unit is None:
        return "1"
    if isinstance(code, str) and system in (UCUM, None) and _UNIT.fullmatch(code):
        return code
    return None


def amount(node: Node | None) -> str | None:
    """A Quantity in words: `< 5 mg/dL`."""
    if node is None:
        return None
    value = node.number("value")
    parts = (
        node.string("comparator"),
        None if value is None else _plain(value),
        node.text("unit") or node.text("code"),
    )
    node.skip("system", "code")
    return None if value is None else " ".join(part for part in parts if part)


def _plain(value: Decimal) -> str:
    return format(value, "f") if abs(int(value.as_tuple().exponent)) <= _EXPONENT else str(value)


# -- dates and moments ------------------------------------------------------------------------------------------------


def instant(moment: datetime | str | None) -> str | None:
    """A moment in UTC, without fractions when there are none."""
    if moment is None:
        return None
    made = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return made.astimezone(UTC).isoformat().replace("+00:00", "Z")


def day(value: date | str | None) -> str | None:
    return None if value is None else str(value)[:10]


@dataclass(frozen=True, slots=True)
class When:
    """A FHIR date or dateTime as far as it goes: `moment`, or the whole `day`, or `text` alone (2004, 2004-05)."""

    text: str
    day: date | None = None
    moment: datetime | None = None


def read_when(node: Node, name: str) -> When | None:
    """None when it is missing or no date of these centuries, which is noted."""
    text = node.string(name)
    if text is None:
        return None
    try:
        made = _when(text)
    except (ValueError, OverflowError):
        made = None
    if made is None or not FIRST_YEAR < int(text[:4]) < LAST_YEAR:
        node.note(name, f"is left out: it is no date from {FIRST_YEAR + 1} to {LAST_YEAR - 1}")
        return None
    return made


def _when(text: str) -> When | None:
    if _DATE.fullmatch(text):
        if len(text) == 7:
            date(int(text[:4]), int(text[5:]), 1)
        return When(text, date.fromisoformat(text) if len(text) == 10 else None)
    if "T" not in text:
        return None
    read = datetime.fromisoformat(text)
    return None if read.tzinfo is None else When(text, read.date(), read.astimezone(UTC))


def read_day(node: Node, name: str) -> tuple[date | None, str | None]:
    """A whole date, or else the text of one that is known in part."""
    when = read_when(node, name)
    return (None, None) if when is None else (when.day, None if when.day else when.text)


def read_moment(node: Node, name: str) -> datetime | None:
    """A moment. A day without a time is taken as its noon in UTC, and noted; None of a month or a year alone."""
    when = read_when(node, name)
    if when is None or when.moment is not None:
        return None if when is None else when.moment
    if when.day is None:
        return None
    node.note(name, "has no time of day: taken as noon, UTC")
    return datetime.combine(when.day, time(12), UTC)


# -- references -------------------------------------------------------------------------------------------------------


def reference(to: str, id: str | None, display: str | None = None) -> Resource | None:
    made = present(reference=None if id is None else f"{to}/{fhir_id(id)}", display=display)
    return made or None


def name_at(node: Node | None) -> str | None:
    """The name of whom or what a reference means: as it stands, else as the resource that it leads to says."""
    if node is None:
        return None
    shown = node.text("display")
    target = node.string("reference")
    node.skip("type", "identifier")
    if shown is None and target is not None:
        shown = node.reading.named(target)
        if shown is None:
            node.note("reference", "leads to nobody that is named in these files")
    return shown


# -- whole resources --------------------------------------------------------------------------------------------------


def begun(entry: Entry, named: str, id: str | None = None) -> Resource:
    """A resource with its id, and when and how often what it says was recorded."""
    changed = instant(entry.changed_at or entry.recorded_at)
    meta = present(versionId=str(entry.revision) if entry.revision else None, lastUpdated=changed)
    return {"resourceType": named, "id": id or fhir_id(entry.id), "meta": meta}
