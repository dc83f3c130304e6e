"""From a resource to the commands that it asks for, or to the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from services.clinic.contract import clinic
from services.fhir import allergy, condition, encounter, immunization, observation, patient, prescription
from services.fhir.ids import FHIR_ID
from services.fhir.models import MODELLED, NotValid, check
from services.fhir.reading import TEXT, Node, NotTaken, Reading, Unusable
from services.fhir.values import read_moment
from services.imports.fhir.ids import id_here, part_here
from services.imports.fhir.index import Index, Key, digest, key_of
from services.imports.fhir.source import Found
from services.imports.plan import Planned, command_id
from shared.errors import Invalid

_KEPT_AS_NAMES: Final = "nobody and no place of another system is added here: their names stay in what they did"
_NOT_TAKEN: Final[Mapping[str, str]] = {
    "Practitioner": _KEPT_AS_NAMES, "Organization": _KEPT_AS_NAMES, "Location": _KEPT_AS_NAMES,
    "Medication": "it is read where an order refers to it",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What one resource asks for. `same` is set when another line says the same; then it asks for nothing.

    `patient` is the key of whose it is. `left_out` and `refused` are why there are no commands.
    """

    found: Found
    type: str
    id: str
    patient: Key | None = None
    commands: tuple[Planned, ...] = ()
    same: bool = False
    left_out: str | None = None
    refused: str | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class Planner:
    """Plans the resources of one import, each by itself. `known` are the patients and encounters taken by then.

    `today` is the day by UTC; somewhere it is the next day already.
    """

    def __init__(self, index: Index, known: Set[Key], today: date) -> None:
        self._index = index
        self._known = known
        self._origin = index.origin
        self._latest = today + timedelta(days=1)
        self._makers: Mapping[str, Callable[[Node, _About], list[Planned]]] = {
            patient.TYPE: self._patient, allergy.TYPE: self._allergy, condition.TYPE: self._condition,
            encounter.TYPE: self._encounter, observation.TYPE: self._observation,
            prescription.TYPE: self._prescription, immunization.TYPE: self._immunization,
        }  # fmt: skip

    def plan(self, found: Found) -> Plan:
        """The plan of one resource; `found` holds one."""
        resource = found.resource
        assert resource is not None
        type_ = str(resource["resourceType"])
        key = key_of(found)
        plan = Plan(found, type_, "" if key is None else key[1])
        if type_ not in self._makers:
            return replace(plan, left_out=_NOT_TAKEN.get(type_, "this type of resource is not taken"))
        try:
            return self._planned(plan, key, resource)
        except NotTaken as reason:
            return replace(plan, left_out=str(reason))
        except (Unusable, NotValid) as reason:
            return replace(plan, refused=str(reason))

    def _planned(self, plan: Plan, key: Key | None, resource: dict[str, Any]) -> Plan:
        if key is None:
            raise Unusable("it has no id: imported again, it could not be told from another")
        if FHIR_ID.fullmatch(key[1]) is None:
            raise Unusable("its id is none: 1 to 64 letters, digits, hyphens and points")
        first = self._index.places[key]
        if (first.file, first.place) != (plan.found.file, plan.found.place):
            if first.digest == digest(resource):
                return replace(plan, same=True)
            raise Unusable(f"{first.file}, {first.place}, has the same id and says something else")
        if (where := _modified(resource)) is not None:
            raise NotTaken(f"{where} changes what it means, and is not understood")
        if plan.type in MODELLED:
            check(resource)
        reading = Reading(named=self._named, medication=_Medications(self._index, resource).find)
        node = Node.of(resource, reading)
        about = self._about(plan.type, key, node)
        commands = tuple(self._makers[plan.type](node, about))
        for command in commands:
            try:
                clinic.parse(command.command, command.data)
            except Invalid as error:
                raise Unusable(_without_values(error)) from None
        return replace(plan, patient=about.patient, commands=commands, notes=reading.notes, unknown=list(node.unread()))

    def _named(self, reference: str) -> str | None:
        return self._index.name(reference)

    # -- whose it is --------------------------------------------------------------------------------------------------

    def _about(self, type_: str, key: Key, node: Node) -> _About:
        id_ = id_here(self._origin, type_, key[1])
        if type_ == "Patient":
            return _About(key, id_, id_, key[1])
        name = "patient" if type_ in ("AllergyIntolerance", "Immunization") else "subject"
        subject = node.node(name)
        if subject is None:
            raise Unusable(f"it does not say whose it is ({name})")
        subject.skip("display", "type")
        target = self._target(subject)
        if target is None:
            raise Unusable(f"its {name} leads to nowhere in these files: name the file with the patient too")
        if target[0] != "Patient":
            raise NotTaken(f"its {name} is a {target[0][:40]}, not a patient")
        return _About(target, id_here(self._origin, *target), id_, key[1])

    def _target(self, node: Node) -> Key | None:
        reference = node.string("reference")
        if reference is not None:
            if reference.startswith("#"):
                raise Unusable("whose it is stands inside it (contained), which says nothing of who that is elsewhere")
            return self._index.resolve(reference) or _named_type(reference)
        identifier = node.node("identifier")
        if identifier is None:
            return None
        identifier.skip("use", "type")
        return self._index.identified.get(f"{identifier.string('system') or ''}|{identifier.string('value')}")

    def _encounter_of(self, node: Node) -> str | None:
        found = node.node("encounter")
        reference = found.string("reference") if found else None
        if found is None or reference is None:
            return None
        found.skip("display", "type")
        key = self._index.resolve(reference)
        if key is None or key[0] != "Encounter":
            found.note("reference", "leads to no encounter in these files: left out")
            return None
        if key not in self._known:
            found.note("reference", "leads to an encounter that was not taken: left out")
            return None
        return id_here(self._origin, *key)

    # -- what it asks for ---------------------------------------------------------------------------------------------

    def _patient(self, node: Node, about: _About) -> list[Planned]:
        who = patient.read_patient(node)
        for name, day in (("birthDate", who.born), ("deceasedDateTime", who.died)):
            if day is not None and day > self._latest:
                raise Unusable(f"Patient.{name} is in the future: correct it where it is from")
        theirs = f"{self._origin}|{about.theirs}"
        others = tuple(one for one in who.identifiers if one != theirs)
        who = replace(who, identifiers=(theirs, *others)[:10])
        return [self._command("RegisterPatient", about, patient=about.id, content=who, imported_from=self._origin)]

    def _allergy(self, node: Node, about: _About) -> list[Planned]:
        at = read_moment(node, "recordedDate")
        none = allergy.none_known(node)
        if none is not None:
            return [
                self._command(
                    "AssertNoKnownAllergy", about, part=category, patient=about.patient_id, category=category,
                    occurred_at=at,
                )
                for category in none
            ]  # fmt: skip
        said = allergy.read_allergy(node)
        return [
            self._command(
                "RecordAllergy", about, patient=about.patient_id, allergy=about.id, content=said, occurred_at=at
            )
        ]

    def _condition(self, node: Node, about: _About) -> list[Planned]:
        at = read_moment(node, "recordedDate")
        if "encounter" in node:
            node.skip("encounter")
            node.note("encounter", "is left out: a problem outlasts the visit at which it was found")
        said = condition.read_condition(node)
        return [
            self._command(
                "RecordProblem", about, patient=about.patient_id, problem=about.id, content=said, occurred_at=at
            )
        ]

    def _encounter(self, node: Node, about: _About) -> list[Planned]:
        met = encounter.read_encounter(node)
        return [
            self._command(
                "OpenEncounter", about, encounter=about.id, patient=about.patient_id, kind=met.kind, content=met.visit,
                imported_from=self._origin, ended_at=met.ended, occurred_at=met.began,
            )
        ]  # fmt: skip

    def _observation(self, node: Node, about: _About) -> list[Planned]:
        at = self._encounter_of(node)
        return [
            self._command(
                "RecordResult", about, part=one.part, patient=about.patient_id, result=part_here(about.id, one.part),
                content=one.content, encounter=at, occurred_at=one.content.found_at,
            )
            for one in observation.read_observation(node)
        ]  # fmt: skip

    def _prescription(self, node: Node, about: _About) -> list[Planned]:
        at = self._encounter_of(node)
        ordered = prescription.read_medication_request(node)
        return [
            self._command(
                "Prescribe", about, prescription=about.id, patient=about.patient_id, encounter=at,
                content=ordered.order, imported_from=self._origin, status=ordered.status, occurred_at=ordered.at,
            )
        ]  # fmt: skip

    def _immunization(self, node: Node, about: _About) -> list[Planned]:
        at = self._encounter_of(node)
        given = immunization.read_immunization(node)
        return [
            self._command(
                "GiveImmunization", about, administration=about.id, patient=about.patient_id, encounter=at,
                content=given.content, imported_from=self._origin, occurred_at=given.at,
            )
        ]  # fmt: skip

    def _command(self, name: str, about: _About, *, part: str = "", **fields: Any) -> Planned:
        data = {field: _plain(value) for field, value in fields.items() if value is not None}
        kind = f"fhir-{clinic.command_named(name).subject_token}"
        return Planned(0, name, data, command_id(kind, self._origin, about.theirs, about.id, part), about.theirs)


@dataclass(frozen=True, slots=True)
class _About:
    """Whose a resource is, and what its id is here; `theirs` is its id elsewhere."""

    patient: Key
    patient_id: str
    id: str
    theirs: str


class _Medications:
    """Where an order's medicine is described: inside the order, or beside it in the files."""

    def __init__(self, index: Index, resource: Mapping[str, Any]) -> None:
        self._index = index
        found = resource.get("contained")
        self._contained = {
            f"#{one.get('id')}": one for one in (found if isinstance(found, list) else ())
            if isinstance(one, Mapping) and one.get("resourceType") == "Medication"
        }  # fmt: skip

    def find(self, reference: str) -> Mapping[str, Any] | None:
        return self._contained.get(reference) or self._index.medication(reference)


def _plain(value: Any) -> Any:
    """A value of the contract as JSON has it, without what is not known."""
    return _known(msgspec.to_builtins(value))


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items() if one is not None}
    return [_known(one) for one in value] if isinstance(value, list | tuple) else value


def _named_type(reference: str) -> Key | None:
    """A Group or a Device is no patient, wherever it is."""
    type_, _, id_ = reference.partition("/")
    return (type_, id_) if type_ in ("Group", "Device", "Location", "Practitioner") else None


def _modified(value: Any, path: str = "") -> str | None:
    """Where something stands that changes the meaning of what is around it, and must not be passed over."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name in ("modifierExtension", "implicitRules"):
                return f"{path}{name}"
            if found := _modified(one, f"{path}{name}."):
                return found
    elif isinstance(value, list):
        for one in value:
            if found := _modified(one, path):
                return found
    return None


def _without_values(error: Invalid) -> str:
    """What does not fit, without what stands there: a report is kept, and what it is about is personal."""
    lines = error.facts.get("errors") or [error.detail]
    return "; ".join(str(line).partition(" (given ")[0] for line in lines)[: 2 * TEXT]
