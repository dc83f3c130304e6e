"""The first reading of the files: what is in them, so that references can be followed wherever they lead.

It keeps of every resource its id, where it stands and a digest: some 200 bytes. Of the resource itself nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.imports.fhir.source import Found, Place

Key = tuple[str, str]
"""Type and id of a resource, as the other system has them."""

NAMED: Final = frozenset({"Practitioner", "Organization", "Location"})
"""Types of which the names are kept, in what the named did."""

_URN: Final = "urn:uuid:"


@dataclass(frozen=True, slots=True)
class First:
    """Where a resource stands first, and a digest of what it says."""

    file: str
    place: Place
    digest: bytes


@dataclass
class Index:
    """What the files hold. `origin` is the name, or the address, of the system that they are from."""

    origin: str
    read: Counter[str] = field(default_factory=Counter)
    places: dict[Key, First] = field(default_factory=dict)
    urls: dict[str, Key] = field(default_factory=dict)
    identified: dict[str, Key | None] = field(default_factory=dict)
    """Patients by `system|value`; None of what two have."""
    names: dict[str, str] = field(default_factory=dict)
    medications: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)
    """Which files hold resources of a type."""

    def add(self, found: Found) -> None:
        resource = found.resource
        if resource is None:
            return
        type_ = str(resource["resourceType"])
        self.read[type_] += 1
        self.files.setdefault(type_, set()).add(found.file)
        key = key_of(found)
        if key is None:
            return
        self.places.setdefault(key, First(found.file, found.place, digest(resource)))
        if found.full_url is not None:
            self.urls.setdefault(found.full_url, key)
        if type_ == "Patient":
            for one in _identifiers(resource):
                self.identified[one] = key if self.identified.get(one, key) == key else None
        elif type_ in NAMED:
            self._name(key, resource)
        elif type_ == "Medication":
            self.medications[key] = resource

    def _name(self, key: Key, resource: Mapping[str, Any]) -> None:
        name = _name_of(resource.get("name"))
        if name is not None:
            self.names[f"{key[0]}/{key[1]}"] = name
            for one in _identifiers(resource):
                self.names[f"{key[0]}?identifier={one}"] = name

    # -- following references -----------------------------------------------------------------------------------------

    def resolve(self, reference: str) -> Key | None:
        """The resource in these files that a reference leads to; None when it leads to nowhere in them.

        An address of another server leads to nowhere, unless a Bundle says that it holds what stands there, or it is
        that of the system that the files are from: the same id in another server is somebody else.
        """
        if reference in self.urls:
            return self.urls[reference]
        target = reference.removeprefix(self.origin.rstrip("/") + "/") if "://" in self.origin else reference
        type_, _, rest = target.partition("/")
        key = (type_, rest.partition("/_history")[0])
        if "://" not in target and key in self.places:
            return key
        kind, _, query = target.partition("?identifier=")
        return self.identified.get(query) if query and kind == "Patient" else None

    def name(self, reference: str) -> str | None:
        """The name of a practitioner or a place that a reference leads to."""
        if (key := self.resolve(reference)) is not None:
            return self.names.get(f"{key[0]}/{key[1]}")
        return self.names.get(reference)

    def medication(self, reference: str) -> Mapping[str, Any] | None:
        key = self.resolve(reference)
        return None if key is None else self.medications.get(key)


def indexed(found: Iterable[Found], origin: str) -> Index:
    index = Index(origin)
    for one in found:
        index.add(one)
    return index


def key_of(found: Found) -> Key | None:
    """Type and id; of an entry without an id the UUID that its Bundle gives it. None of what has neither."""
    assert found.resource is not None
    type_, id_ = str(found.resource["resourceType"]), found.resource.get("id")
    if isinstance(id_, str) and id_:
        return type_, id_
    url = found.full_url or ""
    return (type_, url.removeprefix(_URN)) if url.startswith(_URN) and len(url) > len(_URN) else None


def digest(resource: Mapping[str, Any]) -> bytes:
    """The same for resources that say the same, in whichever order."""
    text = json.dumps(resource, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _identifiers(resource: Mapping[str, Any]) -> list[str]:
    found = resource.get("identifier")
    return [
        f"{one.get('system', '')}|{one['value']}" for one in (found if isinstance(found, list) else ())
        if isinstance(one, Mapping) and isinstance(one.get("value"), str)
    ]  # fmt: skip


def _name_of(name: Any) -> str | None:
    if isinstance(name, str):
        return name[:200].strip() or None
    first = name[0] if isinstance(name, list) and name else None
    if not isinstance(first, Mapping):
        return None
    if isinstance(first.get("text"), str):
        return str(first["text"])[:200].strip() or None
    parts = [part for key in ("prefix", "given") for part in _strings(first.get(key))]
    family = first.get("family")
    parts += [family] if isinstance(family, str) else []
    return " ".join(parts)[:200].strip() or None


def _strings(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
