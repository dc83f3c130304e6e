"""CapabilityStatement: what this API answers. https://hl7.org/fhir/R4/capabilitystatement.html"""

from __future__ import annotations

from typing import Any, Final

from services.fhir.entry import Resource
from services.fhir.search import PARAMETERS

FHIR_VERSION: Final = "4.0.1"
_DATE: Final = "2026-11-26"
"""When what is declared here last changed."""


def capability_statement(base: str, version: str) -> Resource:
    """What can be read and searched, as it is; the only resource that anybody may read."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _DATE,
        "kind": "instance",
        "software": {"name": "Commons Ledger", "version": version},
        "implementation": {"description": "A clinic's charts, for reading", "url": base},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "Who reads stands in X-Commons-Actor, which a trusted proxy sets; what for in "
                    "X-Commons-Purpose. Every read is recorded in the patient's account of accesses."
                },
                "resource": [_resource(name) for name in PARAMETERS],
            }
        ],
    }


def _resource(name: str) -> dict[str, Any]:
    return {
        "type": name,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "versioned" if name != "Practitioner" else "no-version",
        "searchParam": [
            {"name": key, "type": parameter.kind.value, "documentation": parameter.about}
            for key, parameter in PARAMETERS[name].items()
        ],
    }
