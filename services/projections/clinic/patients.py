"""Who is a patient; what says who they are stays sealed."""

from __future__ import annotations

from collections.abc import Iterable

from services.clinic.contract import ContactChanged, PatientRegistered, PatientsMerged, PatientsUnmerged
from services.projections.clinic.base import ClinicProjection
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class ClinicPatients(ClinicProjection):
    """`patients` has a row for each that was registered. `content` is sealed (Demographics). `merged_into` is the
    patient as whom this record goes on; `changed_at` is when the row last changed. Consents are in the chart.
    """

    name = "clinic_patients"
    version = 1
    sums = False
    events = frozenset({PatientRegistered, ContactChanged, PatientsMerged, PatientsUnmerged})
    tables = (
        Table(
            "patients",
            key=("patient",),
            columns={
                "patient": "text", "content": "text", "imported_from": "text", "merged_into": "text",
                "registered_at": "timestamptz", "changed_at": "timestamptz",
            },
            indexes=("merged_into", "changed_at"),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if not isinstance(event.data, PatientRegistered):
            yield "patients", (event.data.patient,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        key = (event.data.patient,)
        if isinstance(event.data, PatientRegistered):
            rows.put(
                "patients",
                key,
                {
                    "content": event.data.content, "imported_from": event.data.imported_from, "merged_into": None,
                    "registered_at": event.data.occurred_at, "changed_at": event.recorded_at,
                },
            )  # fmt: skip
            return
        row = rows.get("patients", key)
        if row is None:
            return
        row["changed_at"] = event.recorded_at
        match event.data:
            case ContactChanged() as data:
                row["content"] = data.content
            case PatientsMerged() as data:
                row["merged_into"] = data.into
            case PatientsUnmerged():
                row["merged_into"] = None
