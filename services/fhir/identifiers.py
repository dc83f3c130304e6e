"""Numbers that others know somebody by: `system|value` here, an Identifier in FHIR.

A system that is no URI, such as the name of another clinic's software, is told as the identifier's assigner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from services.fhir.entry import Resource
from services.fhir.reading import TEXT, Node

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_MOST: Final = 10


def identifiers(texts: Iterable[str]) -> list[Resource]:
    return [_identifier(text) for text in texts]


def _identifier(text: str) -> Resource:
    system, bar, value = text.rpartition("|")
    if not bar or not value:
        return {"value": text}
    if _URI.fullmatch(system):
        return {"system": system, "value": value}
    return {"value": value, "assigner": {"display": system}} if system else {"value": value}


def read_identifiers(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The first ten, each as one text; what does not fit is noted."""
    found: list[str] = []
    for node in nodes:
        if "extension" in node or len(found) == _MOST:
            continue
        value = node.text("value")
        node.skip("use", "type")
        assigner = node.node("assigner")
        system = node.text("system") or (assigner.text("display") if assigner else None)
        made = f"{system}|{value}" if system else value
        if made is None or value is None:
            continue
        if len(made) > TEXT or (system is None and "|" in value):
            node.note("value", "is left out: it is too long, or has a bar in it")
            continue
        if made not in found:
            found.append(made)
    return tuple(found)
