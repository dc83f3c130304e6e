"""Encounter: one visit of a patient. https://hl7.org/fhir/R4/encounter.html"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.clinic.contract import EncounterKind, Visit
from services.fhir.entry import Entry, Resource
from services.fhir.reading import Node, NotTaken, Unusable
from services.fhir.values import (
    TERMINOLOGY,
    begun,
    coded,
    concept,
    instant,
    name_at,
    present,
    read_concept,
    read_moment,
    reference,
)

TYPE: Final = "Encounter"

_CLASS: Final = {
    EncounterKind.AMBULATORY: ("AMB", "ambulatory"), EncounterKind.VIRTUAL: ("VR", "virtual"),
    EncounterKind.HOME: ("HH", "home health"), EncounterKind.EMERGENCY: ("EMER", "emergency"),
    EncounterKind.INPATIENT: ("IMP", "inpatient encounter"),
}  # fmt: skip
_KINDS: Final = {code: kind for kind, (code, _) in _CLASS.items()} | {
    "ACUTE": EncounterKind.INPATIENT, "NONAC": EncounterKind.INPATIENT, "OBSENC": EncounterKind.INPATIENT,
    "SS": EncounterKind.AMBULATORY,
}  # fmt: skip
_PART: Final = f"{TERMINOLOGY}/v3-ParticipationType"
_NOT_YET: Final = frozenset({"planned", "arrived", "triaged", "in-progress", "onleave"})


def encounter(entry: Entry) -> Resource:
    """Who is not shown why a patient came is still shown that they did."""
    visit = entry.content if isinstance(entry.content, Visit) else Visit()
    code, display = _CLASS[EncounterKind(entry.clear.get("kind", EncounterKind.AMBULATORY))]
    ended = entry.clear.get("ended_at")
    over = ended is not None or entry.clear.get("imported_from") is not None
    clinician = reference("Practitioner", entry.clear.get("clinician"), visit.clinician)
    appointment = entry.clear.get("appointment")
    return begun(entry, TYPE) | present(
        status="finished" if over else "in-progress",
        class_={"system": f"{TERMINOLOGY}/v3-ActCode", "code": code, "display": display},
        type=[concept(kind) for kind in visit.kinds],
        subject=reference("Patient", entry.patient),
        appointment=[reference("Appointment", appointment)] if appointment else None,
        participant=[
            {"type": [coded(_PART, "PPRF", "primary performer")], "individual": clinician}
        ] if clinician else None,
        period=present(start=instant(entry.occurred_at), end=instant(ended)),
        reasonCode=[concept(reason) for reason in visit.reasons],
        location=[{"location": {"display": visit.place}}] if visit.place else None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Met:
    """An encounter as it was elsewhere."""

    kind: EncounterKind
    visit: Visit
    began: datetime
    ended: datetime | None


def read_encounter(node: Node) -> Met:
    """An encounter that is over. Raises NotTaken of one that did not take place, or not yet as a whole."""
    status = node.string("status")
    if status == "entered-in-error":
        raise NotTaken("it was entered in error")
    if status in _NOT_YET or status == "cancelled":
        raise NotTaken(f"it is {status}: only an encounter that is over is taken")
    if status != "finished":
        node.note("status", "is not finished: taken as over")
    period = node.node("period")
    began = read_moment(period, "start") if period else None
    if began is None:
        raise Unusable("it does not say when, to the day at least (period.start)")
    ended = read_moment(period, "end") if period else None
    if ended is not None and ended < began:
        raise Unusable("its period ends before it begins")
    return Met(_kind(node), _visit(node), began, ended)


def _kind(node: Node) -> EncounterKind:
    found = node.node("class")
    code = found.string("code") if found else None
    if found is not None:
        found.skip("system", "display", "version")
    if code not in _KINDS:
        node.note("class", "is of no kind that is known here: taken as ambulatory")
        return EncounterKind.AMBULATORY
    if code in ("ACUTE", "NONAC", "OBSENC", "SS"):
        node.note("class", f"{code} is taken as {_KINDS[code]}")
    return _KINDS[code]


def _visit(node: Node) -> Visit:
    node.skip("identifier")
    kinds = [found for each in node.nodes("type") if (found := read_concept(each))]
    reasons = [found for each in node.nodes("reasonCode") if (found := read_concept(each))]
    for name, several, most in (("type", kinds, 5), ("reasonCode", reasons, 10)):
        if len(several) > most:
            node.note(name, f"has more than {most}: the first are taken")
    return Visit(kinds=tuple(kinds[:5]), reasons=tuple(reasons[:10]), place=_place(node), clinician=_clinician(node))


def _place(node: Node) -> str | None:
    first = node.first("location")
    place = name_at(first.node("location")) if first else None
    provider = node.node("serviceProvider")
    if provider is not None:
        shown = name_at(provider)
        return place or shown
    return place


def _clinician(node: Node) -> str | None:
    """The primary performer, else whoever is named first."""
    everyone = node.nodes("participant")
    primary = [each for each in everyone if "PPRF" in str(each._data.get("type"))]
    for each in [*primary, *everyone]:
        if name := name_at(each.node("individual")):
            each.skip("type", "period")
            return name
    return None
