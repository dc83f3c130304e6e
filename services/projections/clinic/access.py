"""Who read whose chart, and to whom something of it was given: two accounts."""

from __future__ import annotations

from collections.abc import Iterable

from services.clinic.contract import AccessReviewed, ChartAccessed, DisclosureReviewed, RecordDisclosed
from services.projections.clinic.base import ClinicProjection
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class ClinicAccess(ClinicProjection):
    """`access_log` has a row for each time that somebody read a chart: who, in which role, for which purpose, and which
    parts. `disclosures` is what was given to others. Sealed are `reason`, `review_note`, and the disclosures' content.

    A broken glass, or a disclosure with breaches, is open for review while `reviewed_at` is null.
    """

    name = "clinic_access"
    version = 1
    events = frozenset({ChartAccessed, AccessReviewed, RecordDisclosed, DisclosureReviewed})
    tables = (
        Table(
            "access_log",
            key=("patient", "access"),
            columns={
                "patient": "text", "access": "text", "reader": "text", "role": "text", "purpose": "text",
                "parts": "jsonb", "break_glass": "boolean", "reason": "text", "occurred_at": "timestamptz",
                "recorded_at": "timestamptz", "reviewed_at": "timestamptz", "reviewed_by": "text",
                "review_note": "text",
            },
            indexes=("patient, occurred_at", "reader, occurred_at", "break_glass, reviewed_at"),
        ),
        Table(
            "disclosures",
            key=("patient", "disclosure"),
            columns={
                "patient": "text", "disclosure": "text", "purpose": "text", "content": "text", "consent": "text",
                "breaches": "jsonb", "disclosed_by": "text", "occurred_at": "timestamptz",
                "recorded_at": "timestamptz", "reviewed_at": "timestamptz", "reviewed_by": "text",
                "review_note": "text",
            },
            indexes=("patient, occurred_at",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if isinstance(event.data, AccessReviewed):
            yield "access_log", (event.data.patient, event.data.access)
        elif isinstance(event.data, DisclosureReviewed):
            yield "disclosures", (event.data.patient, event.data.disclosure)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case ChartAccessed() as data:
                rows.put(
                    "access_log",
                    (data.patient, data.access),
                    {
                        "reader": data.reader, "role": None if data.role is None else str(data.role),
                        "purpose": str(data.purpose), "parts": list(data.parts), "break_glass": data.break_glass,
                        "reason": data.reason, "occurred_at": data.occurred_at, "recorded_at": event.recorded_at,
                        "reviewed_at": None, "reviewed_by": None, "review_note": None,
                    },
                )  # fmt: skip
            case AccessReviewed() as data:
                if (row := rows.get("access_log", (data.patient, data.access))) is not None:
                    row |= {
                        "reviewed_at": data.occurred_at, "reviewed_by": event.envelope.authid,
                        "review_note": data.note,
                    }  # fmt: skip
            case RecordDisclosed() as data:
                rows.put(
                    "disclosures",
                    (data.patient, data.disclosure),
                    {
                        "purpose": str(data.purpose), "content": data.content, "consent": data.consent,
                        "breaches": [str(breach) for breach in data.breaches], "disclosed_by": data.recorded_by,
                        "occurred_at": data.occurred_at, "recorded_at": event.recorded_at, "reviewed_at": None,
                        "reviewed_by": None, "review_note": None,
                    },
                )  # fmt: skip
            case DisclosureReviewed() as data:
                if (row := rows.get("disclosures", (data.patient, data.disclosure))) is not None:
                    row |= {
                        "reviewed_at": data.occurred_at, "reviewed_by": event.envelope.authid,
                        "review_note": data.note,
                    }  # fmt: skip
