"""Whom and what a file's resources are here: ids made of the other system's ids, the same at every import.

A FHIR id is unique in one server and no further, so an id here is made of the name of where a file is from (`--from`),
the type and the id. A UUID is unique as it is, and stays what it is; but of a patient never: a person has another id in
every system, and what leads from one to the other is sealed in their record. All ids of commands are made of these ids
alone, and of nothing that a resource says: an id stands in clear.
"""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid5

from services.imports.plan import NAMESPACE

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def id_here(origin: str, type_: str, id_: str) -> str:
    """The id here of another system's resource."""
    if type_ != "Patient" and _UUID.fullmatch(id_):
        return id_
    return str(uuid5(NAMESPACE, f"fhir\x1f{origin}\x1f{type_}\x1f{id_}"))


def part_here(id_: str, part: str) -> str:
    """The id of one of several things that one resource says."""
    return id_ if not part else str(uuid5(NAMESPACE, f"fhir-part\x1f{id_}\x1f{part}"))
