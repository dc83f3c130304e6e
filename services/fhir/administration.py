"""MedicationAdministration: a medicine that was given. https://hl7.org/fhir/R4/medicationadministration.html"""

from __future__ import annotations

from typing import Final

from services.clinic.contract import Given
from services.fhir.entry import Entry, NotShown, Resource
from services.fhir.values import begun, concept, instant, present, quantity, reference

TYPE: Final = "MedicationAdministration"


def medication_administration(entry: Entry) -> Resource:
    if not isinstance(entry.content, Given):
        raise NotShown("the medicine")
    said: Given = entry.content
    given_by = reference("Practitioner", entry.clear.get("given_by"))
    lot = entry.clear.get("lot")
    return begun(entry, TYPE) | present(
        status="entered-in-error" if entry.clear.get("reversed") else "completed",
        medicationCodeableConcept=concept(said.medication),
        subject=reference("Patient", entry.patient),
        context=reference("Encounter", entry.encounter) if entry.encounter else None,
        effectiveDateTime=instant(entry.occurred_at),
        performer=[{"actor": given_by}] if given_by else None,
        note=[{"text": text} for text in (said.note, f"Lot: {lot}" if lot else None) if text],
        dosage=present(site=concept(said.site), route=concept(said.route), dose=quantity(said.dose)),
    )
