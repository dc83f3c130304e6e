"""Ids here and in FHIR: ours have an underscore, which theirs lack; theirs have a point, which ours lack."""

from __future__ import annotations

import re
from typing import Final

from services.fhir.entry import NotShown
from shared.types import is_id

FHIR_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
"""https://hl7.org/fhir/R4/datatypes.html#id"""

_PART: Final = re.compile(r"-([0-9]{1,2}|bp)-(.+)")


def fhir_id(id: str) -> str:
    return id.replace("_", ".")


def our_id(id: str) -> str | None:
    """The id here that a FHIR id stands for; None when there can be no such."""
    ours = id.replace(".", "_")
    return ours if "_" not in id and is_id(ours) else None


def part_id(part: str, id: str) -> str:
    """The id of one of several resources made of one entry. None of ours begins with a hyphen."""
    made = f"-{part}-{fhir_id(id)}"
    if FHIR_ID.fullmatch(made) is None:
        raise NotShown("its id is too long for the ids of its parts")
    return made


def of_part(id: str) -> tuple[str, str] | None:
    """The part, and the id of the entry that it is of; None of what is no part."""
    found = _PART.fullmatch(id)
    ours = our_id(found[2]) if found else None
    return None if found is None or ours is None else (found[1], ours)
