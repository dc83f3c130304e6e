"""Whether a resource is valid R4, and its bytes.

`fhir.resources` models R4B, which for every resource here is R4 unchanged (4.3 changed other resources). It takes half
a second and 25 MB to import, so that is done when the first resource is checked and not before. It checks names,
types, cardinalities and the forms of dates and ids; not codes of required bindings, which are checked here from the
values that its models list.

Its own serialiser writes decimals through a float: 36.60 becomes 36.6, and long ones change. So what is sent is written
from the mapping that was checked, with each Decimal digit by digit.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from services.fhir.entry import Resource
from services.fhir.faults import fault

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_MOST: Final = 5

MODELLED: Final = frozenset({
    "AllergyIntolerance", "Appointment", "Bundle", "CapabilityStatement", "Condition", "Encounter", "Immunization",
    "MedicationAdministration", "MedicationDispense", "MedicationRequest", "Observation", "OperationOutcome", "Patient",
    "Practitioner",
})  # fmt: skip


_NO_CODES: Final = frozenset({("CapabilityStatement", "format")})
"""Where the models list words that are no closed list of codes."""


class NotValid(ValueError):
    """A resource is not R4; the text says where, and never what stands there."""


def load() -> None:
    """Import the models now rather than at the first resource."""
    for named in sorted(MODELLED):
        _model(named)


def encoded(resource: Resource) -> bytes:
    """The JSON of a resource that is valid. Raises NotValid."""
    check(resource)
    return _encode(resource)


def check(resource: Mapping[str, Any]) -> None:
    """Raises NotValid when a resource is not R4."""
    from pydantic import ValidationError

    named = str(resource.get("resourceType"))
    if named not in MODELLED:
        raise NotValid(f"{named[:40]} is no type of resource that is known here")
    try:
        made = _model(named).model_validate(resource)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:_MOST]
        raise NotValid("; ".join(dict.fromkeys(fault(named, item) for item in found))) from None
    except LookupError:
        raise NotValid(f"{named} holds a resource of a type that R4 does not have") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        raise NotValid(f"{named} has an element that cannot be read as R4 has it") from None
    if wrong := list(_not_bound(made, named)):
        raise NotValid("; ".join(wrong[:_MOST]))


@cache
def _model(named: str) -> Any:
    return getattr(importlib.import_module(f"fhir.resources.R4B.{named.lower()}"), named)


def _not_bound(model: Any, path: str) -> Iterator[str]:
    """The elements whose code is not one that R4 allows there."""
    for name, (alias, allowed) in _fields(model.__class__).items():
        value = getattr(model, name, None)
        if value is None:
            continue
        for one in value if isinstance(value, list) else (value,):
            if hasattr(one, "model_fields_set"):
                yield from _not_bound(one, f"{path}.{alias}")
            elif allowed is not None and one is not None and one not in allowed:
                yield f"{path}.{alias}: no code that R4 allows there"


@cache
def _fields(model: type[Any]) -> dict[str, tuple[str, frozenset[str] | None]]:
    found = {}
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        allowed = None if (model.__name__, name) in _NO_CODES else extra.get("enum_values")
        found[name] = (info.alias or name, frozenset(allowed) if isinstance(allowed, list) else None)
    return found
