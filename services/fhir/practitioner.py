"""Practitioner: who works at the clinic, or did (`active` is false then). https://hl7.org/fhir/R4/practitioner.html

It goes out alone: who is named in somebody else's files does not work here, and stays a name in what they did.
"""

from __future__ import annotations

from typing import Any, Final

from services.fhir.entry import Entry, Resource
from services.fhir.identifiers import identifiers
from services.fhir.ids import fhir_id
from services.fhir.values import begun, day, present

TYPE: Final = "Practitioner"


def practitioner(entry: Entry) -> Resource:
    """Somebody who was erased, or whose name is not shown, is still who acted: their id alone goes out."""
    licence: dict[str, Any] = entry.clear.get("licence") or {}
    period = present(start=day(licence.get("valid_from")), end=day(licence.get("valid_until")))
    number = licence.get("number")
    return begun(entry, TYPE) | present(
        identifier=[{"value": fhir_id(entry.id)}, *identifiers(entry.clear.get("identifiers") or ())],
        active=entry.clear.get("active"), name=[{"text": entry.content}] if entry.content else None,
        qualification=[
            present(identifier=[{"value": number}] if number else None, code={"text": licence["title"]}, period=period)
        ] if licence else None,
    )  # fmt: skip
