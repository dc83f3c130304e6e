"""OperationOutcome: what is wrong, in FHIR's form. https://hl7.org/fhir/R4/operationoutcome.html"""

from __future__ import annotations

from typing import Literal

from services.fhir.entry import Resource

Severity = Literal["error", "warning", "information"]


def outcome(code: str, text: str, severity: Severity = "error") -> Resource:
    """One issue; `code` is of FHIR's IssueType: not-found, deleted, login, forbidden, invalid, not-supported …"""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": text}],
    }
