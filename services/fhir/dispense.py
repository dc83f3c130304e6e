"""MedicationDispense: what was given out. https://hl7.org/fhir/R4/medicationdispense.html

It goes out alone: what others dispensed is known here as an imported order or as what a patient says they take.
"""

from __future__ import annotations

from typing import Final

from services.fhir.entry import Dispensed, Entry, NotShown, Resource
from services.fhir.prescription import days, dosage
from services.fhir.values import begun, concept, instant, present, reference

TYPE: Final = "MedicationDispense"

_STATUS: Final = {
    "requested": "preparation", "verified": "in-progress", "dispensed": "completed", "refused": "declined",
    "unpicked": "cancelled", "returned": "completed",
}  # fmt: skip


def medication_dispense(entry: Entry) -> Resource:
    """Which medicine it is the order says: who is not shown that is not shown the dispensing."""
    said = entry.content
    if not isinstance(said, Dispensed) or said.order is None:
        raise NotShown("the medicine")
    status = _STATUS[entry.clear.get("status", "requested")]
    lots = ", ".join(str(line["lot"]) for line in entry.clear.get("lots") or ())
    verified = reference("Practitioner", entry.clear.get("verified_by"))
    receiver = said.handed
    return begun(entry, TYPE) | present(
        status=status,
        medicationCodeableConcept=concept(said.order.medication),
        subject=reference("Patient", entry.patient),
        context=reference("Encounter", entry.encounter) if entry.encounter else None,
        performer=[{"actor": verified}] if verified else None,
        authorizingPrescription=[reference("MedicationRequest", entry.clear["prescription"])],
        quantity=present(value=entry.clear.get("quantity"), unit=entry.clear.get("unit")),
        daysSupply=days(entry.clear.get("days_supply")),
        whenHandedOver=instant(entry.clear.get("dispensed_at") or entry.occurred_at) if status == "completed" else None,
        receiver=[{"display": receiver.recipient}] if receiver else None,
        dosageInstruction=[dosage(said.order)],
        note=[{"text": f"Lot: {lots}"}] if lots else None,  # R4 has a lot for it in a Medication alone
    )
