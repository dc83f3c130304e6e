"""Which resources an entry becomes, and of which entries a type of resource is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from services.fhir import (
    administration,
    allergy,
    appointment,
    condition,
    dispense,
    encounter,
    immunization,
    observation,
    patient,
    practitioner,
    prescription,
)
from services.fhir.entry import Entry, NotShown, Resource

_MADE: Final[Mapping[str, Callable[[Entry], Resource]]] = {
    "patient": patient.patient,
    "allergy": allergy.allergy,
    "no_known_allergy": allergy.allergy,
    "problem": condition.condition,
    "appointment": appointment.appointment,
    "encounter": encounter.encounter,
    "result": observation.result,
    "prescription": prescription.medication_request,
    "dispensing": dispense.medication_dispense,
    "administration": administration.medication_administration,
    "immunization": immunization.immunization,
    "practitioner": practitioner.practitioner,
}

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    patient.TYPE: ("patient",),
    allergy.TYPE: ("allergy", "no_known_allergy"),
    condition.TYPE: ("problem",),
    appointment.TYPE: ("appointment",),
    encounter.TYPE: ("encounter",),
    observation.TYPE: ("vitals", "result"),
    prescription.TYPE: ("prescription",),
    dispense.TYPE: ("dispensing",),
    administration.TYPE: ("administration",),
    immunization.TYPE: ("immunization",),
    practitioner.TYPE: ("practitioner",),
}
"""The types of resources that go out, and the kinds of entries that each is made of."""

TYPES: Final[Mapping[str, str]] = {kind: named for named, kinds in KINDS.items() for kind in kinds}


def resources(entry: Entry) -> list[Resource]:
    """The resources that an entry is; more than one of vital signs alone. Raises NotShown when it is none."""
    if entry.erased:
        raise NotShown("what was erased")
    if entry.kind == "vitals":
        return observation.vital_signs(entry)
    return [_MADE[entry.kind](entry)]
