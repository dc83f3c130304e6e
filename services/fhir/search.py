"""The searches that are answered: US Core's mandatory parameters, and what each compares.

https://hl7.org/fhir/us/core/STU6.1/CapabilityStatement-us-core-server.html
A chart is searched by patient. A search that would go through everybody's is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final
from urllib.parse import quote, urlencode

from services.fhir.charts import Query
from services.fhir.criteria import (
    BadSearch,
    Criterion,
    Finder,
    Kind,
    codes,
    criterion,
    dates,
    identifiers,
    matches,
    names,
    parts,
)
from services.fhir.entry import Resource
from services.fhir.ids import of_part, our_id
from services.fhir.mapping import KINDS
from services.fhir.values import TERMINOLOGY

COUNT: Final = 50
MOST: Final = 100
"""Resources on a page: as many as are wanted if nobody says, and at most."""

PLACES: Final = 50
"""Combinations of values that one search for patients may ask for; each is a search of its own."""

_FHIR: Final = "http://hl7.org/fhir"
_PAGE: Final = "_page"
_CONTROLS: Final = frozenset({"_count", "_format", "_pretty", _PAGE})
"""What says how to answer, and not what is searched."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter: its type, and where it looks in a resource."""

    kind: Kind
    find: Finder
    about: str


def _token(about: str, find: Finder) -> Parameter:
    return Parameter(Kind.TOKEN, find, about)


def _at(name: str) -> Finder:
    return lambda resource: codes(resource.get(name))


def _bare(name: str, system: str) -> Finder:
    """Codes that stand alone, of the one system that R4 binds them to: asked for with it, or without any."""

    def find(resource: Resource) -> Iterable[Any]:
        code = resource.get(name)
        return () if code is None else ((system, code), (None, code))

    return find


def _status(system: str) -> Parameter:
    return _token("Its status.", _bare("status", system))


def _dated(*elements: str) -> Parameter:
    def find(resource: Resource) -> Iterable[Any]:
        return [each for name in elements for each in dates(resource.get(name))]

    return Parameter(Kind.DATE, find, "When it was.")


def _string(about: str, find: Finder) -> Parameter:
    return Parameter(Kind.STRING, find, about)


def _named(key: str) -> Finder:
    def find(resource: Resource) -> Iterable[str]:
        for one in resource.get("name") or ():
            found = one.get(key)
            yield from [found] if isinstance(found, str) else found or ()

    return find


_ID: Final = _token("The resource's id.", lambda resource: [(None, resource["id"])])
_PATIENT: Final = Parameter(Kind.REFERENCE, lambda _: (), "Whose it is.")
_IDENTIFIER: Final = _token("A number that others know somebody by.", identifiers)
_NAME: Final = _string("How a word of the name begins.", names)
_CLINICAL: Final = _token("Whether it stands.", _at("clinicalStatus"))
_CATEGORY: Final = _token("Its category.", _at("category"))
_CODE: Final = _token(
    "What it is.",
    lambda r: [*codes(r.get("code")), *(c for one in r.get("component") or () for c in codes(one["code"]))],
)

PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "Patient": {
        "_id": _ID, "identifier": _IDENTIFIER, "name": _NAME, "family": _string("The family name.", _named("family")),
        "given": _string("A given name.", _named("given")), "birthdate": _dated("birthDate"),
        "gender": _token("Administrative gender.", _bare("gender", f"{_FHIR}/administrative-gender")),
    },
    "AllergyIntolerance": {"_id": _ID, "patient": _PATIENT, "clinical-status": _CLINICAL},
    "Condition": {
        "_id": _ID, "patient": _PATIENT, "category": _CATEGORY, "clinical-status": _CLINICAL, "code": _CODE,
        "onset-date": _dated("onsetDateTime"),
    },
    "Appointment": {
        "_id": _ID, "patient": _PATIENT, "status": _status(f"{_FHIR}/appointmentstatus"), "date": _dated("start"),
    },
    "Encounter": {
        "_id": _ID, "patient": _PATIENT, "date": _dated("period"), "status": _status(f"{_FHIR}/encounter-status"),
        "class": _token("How patient and clinic met.", _at("class")), "type": _token("Kind of visit.", _at("type")),
    },
    "Observation": {
        "_id": _ID, "patient": _PATIENT, "category": _CATEGORY, "code": _CODE, "date": _dated("effectiveDateTime"),
        "status": _status(f"{_FHIR}/observation-status"),
    },
    "MedicationRequest": {
        "_id": _ID, "patient": _PATIENT,
        "intent": _token("That it is an order.", _bare("intent", f"{_FHIR}/CodeSystem/medicationrequest-intent")),
        "status": _status(f"{_FHIR}/CodeSystem/medicationrequest-status"), "authoredon": _dated("authoredOn"),
    },
    "MedicationDispense": {
        "_id": _ID, "patient": _PATIENT, "status": _status(f"{TERMINOLOGY}/medicationdispense-status"),
    },
    "MedicationAdministration": {
        "_id": _ID, "patient": _PATIENT, "status": _status(f"{TERMINOLOGY}/medication-admin-status"),
    },
    "Immunization": {
        "_id": _ID, "patient": _PATIENT, "status": _status(f"{_FHIR}/event-status"),
        "date": _dated("occurrenceDateTime"),
    },
    "Practitioner": {"_id": _ID, "identifier": _IDENTIFIER, "name": _NAME},
}  # fmt: skip
"""By type of resource, the parameters that it is searched by."""

_NARROWS: Final = frozenset({"_id", "patient", "identifier", "name", "family", "given"})

finders: Final[Mapping[str, Mapping[str, Finder]]] = {
    type_: {name: parameter.find for name, parameter in found.items()} for type_, found in PARAMETERS.items()
}


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it was understood: the query, the parameters that were used, and the names of those that were not."""

    query: Query
    used: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]

    def keeps(self, resource: Resource) -> bool:
        return matches(resource, self.query.criteria, finders[self.query.type])

    def url(self, base: str, after: str | None = None) -> str:
        """The search's own address, or that of its next page."""
        pairs = [*self.used, *([(_PAGE, self._mark(after))] if after is not None else [])]
        return f"{base}/{self.query.type}" + (f"?{urlencode(pairs, quote_via=quote)}" if pairs else "")

    def _mark(self, after: str) -> str:
        text = json.dumps([_digest(self.query.type, self.used), after], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_search(type_: str, given: Sequence[tuple[str, str]], base: str) -> Search:
    """A search as it is asked for. Raises BadSearch with a sentence for who asks."""
    known = PARAMETERS[type_]
    used: list[tuple[str, str]] = []
    ignored: list[str] = []
    found: list[Criterion] = []
    ids: frozenset[str] | None = None
    patients: frozenset[str] | None = None
    count, page = COUNT, None
    for name, text in given:
        plain, colon, modifier = name.partition(":")
        if colon and plain in known:
            raise BadSearch(f"{plain} is asked with :{modifier[:40]}; no modifier is known here.")
        if name in _CONTROLS:
            count = _counted(text) if name == "_count" else count
            page = text if name == _PAGE else page
            if name == "_count":
                used.append((name, str(count)))
        elif name not in known or not text:
            ignored.append(name[:60])
        else:
            used.append((name, text))
            if name == "patient":
                patients = _both(patients, _patients(text, base))
            elif name == "_id":
                ids = _both(ids, _ids(type_, text))
                found.append(criterion(name, Kind.TOKEN, text))
            else:
                found.append(criterion(name, known[name].kind, text))
    if not _NARROWS & {name for name, _ in used}:
        raise BadSearch(f"Say of whom: {type_} is searched by {' or '.join(sorted(_NARROWS & set(known)))}.")
    if type_ == "Patient":
        _check_places(found)
    query = Query(
        type=type_, kinds=KINDS[type_], ids=ids, patients=patients, criteria=tuple(found), count=count,
        after=None if page is None else _after(type_, used, page),
    )  # fmt: skip
    return Search(query, tuple(used), tuple(dict.fromkeys(ignored)))


def _check_places(asked: Sequence[Criterion]) -> None:
    """Raises BadSearch for a search for patients that cannot be answered as a whole: it would find too few."""
    if any(value.code is None for one in asked if one.name == "identifier" for value in one.values):
        raise BadSearch("identifier asks for a system without a number. Give both: system|number.")
    places = prod(len(one.values) for one in asked if one.name not in ("_id", "gender"))
    if places > PLACES:
        raise BadSearch(f"Its values make {places:,} combinations, and at most {PLACES} are searched. Ask for fewer.")


def _counted(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) == 0:
        raise BadSearch(f"_count is a whole number from 1; more than {MOST} are given as {MOST}.")
    return min(int(text), MOST)


def _both(before: frozenset[str] | None, now: frozenset[str]) -> frozenset[str]:
    return now if before is None else before & now


def _patients(text: str, base: str) -> frozenset[str]:
    found = set()
    for one in parts("patient", text):
        target = one.removeprefix(f"{base}/").removeprefix("Patient/")
        ours = our_id(target)
        if "/" in target or ours is None:
            raise BadSearch("patient is an id, Patient/<id>, or the address of a patient here.")
        found.add(ours)
    return frozenset(found)


def _ids(type_: str, text: str) -> frozenset[str]:
    """Ids of entries; what can be no id here is found nowhere."""
    found: set[str] = set()
    for one in parts("_id", text):
        part = of_part(one) if type_ == "Observation" else None
        ours = part[1] if part else our_id(one)
        found |= {ours} if ours is not None else set()
    return frozenset(found)


def _digest(type_: str, used: Sequence[tuple[str, str]]) -> str:
    return hashlib.blake2b(json.dumps([type_, *used]).encode(), digest_size=9).hexdigest()


def _after(type_: str, used: Sequence[tuple[str, str]], page: str) -> str:
    """Where a page begins. A mark of another search, or one that somebody made up, is refused."""
    try:
        made: Any = json.loads(base64.b64decode(page + "=" * (-len(page) % 4), altchars=b"-_", validate=True))
        digest, after = made
    except (ValueError, TypeError, RecursionError):
        digest, after = None, None
    if digest != _digest(type_, used) or not isinstance(after, str):
        raise BadSearch("_page does not belong to this search. Follow the next link as it stands.")
    return after
