"""What a search on the read models keeps of the entries that it compares."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.fhir.charts import Query
from services.fhir.entry import Dispensed
from services.fhir.ledger_charts import _clear, _kept
from services.fhir.search import read_search
from tests.support.charts import AT, entry


def asked(type_: str, **fields: str) -> Query:
    return read_search(type_, list(fields.items()), "https://clinic.example/fhir").query


def test_what_cannot_be_written_as_r4_is_kept_to_be_counted_as_not_shown() -> None:
    """A dispensing of an order that is not there has content, and is no resource all the same."""
    unknown = entry("dispensing", "d-1", Dispensed(), prescription="elsewhere", item="amox", status="dispensed")
    nobody = entry("patient", "p-1")
    assert _kept([unknown], asked("MedicationDispense", patient="p-1", status="completed")) == [unknown]
    assert _kept([nobody], asked("Patient", _id="p-1")) == [nobody]


def test_a_signed_order_is_completed_at_the_end_of_its_validity() -> None:
    facts = {"signed_at": AT.isoformat(), "valid_days": 30}
    row: dict[str, Any] = {"kind": "prescription", "status": "signed", "facts": facts, "dispensed": None}
    assert [_clear(row, AT + timedelta(days=days))["status"] for days in (0, 29, 30)] == [
        "active", "active", "completed",
    ]  # fmt: skip
    assert _clear(row, AT)["valid_until"] == AT + timedelta(days=30)
    assert _clear(row | {"status": "stopped"}, AT + timedelta(days=30))["status"] == "stopped"
