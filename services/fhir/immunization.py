"""Immunization: a vaccine that was given. https://hl7.org/fhir/R4/immunization.html"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from services.clinic.contract import CodeSystem, Immunization
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.reading import Node, NotTaken, Unusable
from services.fhir.values import (
    TERMINOLOGY,
    begun,
    code_of,
    coded,
    concept,
    day,
    instant,
    name_at,
    present,
    quantity,
    read_concept,
    read_day,
    read_moment,
    read_quantity,
    reference,
)

TYPE: Final = "Immunization"

_FUNCTION: Final = f"{TERMINOLOGY}/v2-0443"
_LOT: Final = re.compile(r"[^\x00-\x20\x7f-\xa0]([^\x00-\x1f\x7f-\x9f]{0,48}[^\x00-\x20\x7f-\xa0])?")


def immunization(entry: Entry) -> Resource:
    if not isinstance(entry.content, Immunization):
        raise NotShown("the vaccine")
    said: Immunization = entry.content
    imported = entry.clear.get("imported_from") is not None
    by = reference("Practitioner", entry.clear.get("given_by"), said.administered_by)
    return begun(entry, TYPE) | present(
        status="entered-in-error" if entry.clear.get("reversed") else "completed",
        vaccineCode=concept(said.vaccine),
        patient=reference("Patient", entry.patient),
        encounter=reference("Encounter", entry.encounter) if entry.encounter else None,
        occurrenceDateTime=instant(entry.occurred_at),
        primarySource=not imported,
        location={"display": said.place} if said.place else None,
        manufacturer={"display": said.manufacturer} if said.manufacturer else None,
        lotNumber=said.lot or entry.clear.get("lot"),
        expirationDate=day(said.expires),
        site=concept(said.site),
        route=concept(said.route),
        doseQuantity=quantity(said.dose),
        performer=[{"function": _giving(said.title), "actor": by}] if by else None,
        education=_sheet(said),
        protocolApplied=[{"doseNumberPositiveInt": said.dose_number}] if said.dose_number else None,
    )  # fmt: skip


def _giving(title: str | None) -> Resource:
    """Who gives it, and under which title: US law asks for it, and R4 has no other place for it."""
    return coded(_FUNCTION, "AP", "Administering Provider") | present(text=title)


def _sheet(said: Immunization) -> list[Resource]:
    made = present(
        documentType=said.sheet, publicationDate=day(said.sheet_edition), presentationDate=day(said.sheet_given_on)
    )
    if made and said.sheet is None:
        made["documentType"] = "Vaccine information sheet"  # R4 asks for a type or a reference (imm-1)
    return [made] if made else []


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vaccinated:
    """A vaccine as it was given elsewhere, and when."""

    content: Immunization
    at: datetime


def read_immunization(node: Node) -> Vaccinated:
    """A vaccine that was given. Raises NotTaken of one that was not."""
    status = node.string("status")
    if status == "entered-in-error":
        raise NotTaken("it was entered in error")
    if status != "completed":
        raise NotTaken(f"its status is {status}: it was not given")
    node.skip("primarySource", "identifier", "recorded")
    vaccine = read_concept(node.node("vaccineCode"), (CodeSystem.CVX,))
    if vaccine is None:
        raise Unusable("it does not say which vaccine")
    at = read_moment(node, "occurrenceDateTime")
    if at is None:
        raise Unusable("it does not say when, to the day at least (occurrenceDateTime)")
    maker, place = node.node("manufacturer"), node.node("location")
    by, title = _performer(node)
    sheet = node.first("education")
    return Vaccinated(
        Immunization(
            vaccine=vaccine, manufacturer=name_at(maker), lot=_lot(node), expires=read_day(node, "expirationDate")[0],
            dose=read_quantity(node.node("doseQuantity")), route=read_concept(node.node("route")),
            site=read_concept(node.node("site")), dose_number=_dose_number(node), administered_by=by, title=title,
            sheet=sheet.text("documentType") if sheet else None,
            sheet_edition=_on(sheet, "publicationDate"), sheet_given_on=_on(sheet, "presentationDate"),
            place=name_at(place),
        ),
        at,
    )  # fmt: skip


def _on(node: Node | None, name: str) -> date | None:
    when = None if node is None else read_day(node, name)
    return None if when is None else when[0]


def _lot(node: Node) -> str | None:
    lot = node.string("lotNumber")
    if lot is None or _LOT.fullmatch(lot.strip()):
        return None if lot is None else lot.strip()
    node.note("lotNumber", "is left out: it is no lot number that can be kept here")
    return None


def _performer(node: Node) -> tuple[str | None, str | None]:
    """Who gave it, with their title: the administering provider, else whoever is named first."""
    everyone = node.nodes("performer")
    giving = [each for each in everyone if "'AP'" in str(each._data.get("function"))]
    for each in [*giving, *everyone]:
        if name := name_at(each.node("actor")):
            function = each.node("function")
            code_of(function)
            return name, function.text("text") if function and each in giving else None
    return None, None


def _dose_number(node: Node) -> int | None:
    first = node.first("protocolApplied")
    found = first.number("doseNumberPositiveInt") if first else None
    if found is None:
        return None
    if not 1 <= found <= 20:
        node.note("protocolApplied", "has a dose number beyond 20: left out")
        return None
    return int(found)
