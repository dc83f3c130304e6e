"""What somebody has to look at in the clinic: facts that broke a rule, disclosures without consent, refused steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from services.clinic.contract import (
    AdministrationResolved,
    AdministrationReversed,
    ClinicError,
    DisclosureReviewed,
    DispensingResolved,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
    MedicineReturned,
    ProcessStepRefused,
    ProcessStepResolved,
    RecordDisclosed,
)
from services.projections.clinic.base import ClinicProjection
from shared.event import Recorded
from shared.projection import Key, Rows, Table

BREACHES: Final = tuple(ClinicError)
"""The rules that a fact may break: what kinds of items are called, in small letters. An event that closes an item does
not say again what was broken, so it closes all of them."""

_ITEMS: Final = "clinic_review_items"


class ClinicReview(ClinicProjection):
    """A row for each item to review; open while `closed_at` is null. `subject` is where to look: `dispensing:<id>`,
    `administration:<id>`, `disclosure:<patient>:<id>`, or a step's id. `closed_by` is reversed or resolved.

    Sealed are `reason`, an override's, and `found`, what somebody found; of a refused step `detail` and `note` are
    clear, as they say nothing of a patient but ids. Broken glass is in `access_log`, and listed beside these.
    """

    name = "clinic_review"
    version = 1
    events = frozenset({MedicationDispensed, MedicineReturned, DispensingResolved, MedicationAdministered,
                        ImmunizationGiven, AdministrationReversed, AdministrationResolved, RecordDisclosed,
                        DisclosureReviewed, ProcessStepRefused, ProcessStepResolved})  # fmt: skip
    tables = (
        Table(
            _ITEMS,
            key=("kind", "subject"),
            columns={
                "kind": "text", "subject": "text", "patient": "text", "occurred_at": "timestamptz",
                "recorded_at": "timestamptz", "detail": "text", "reason": "text", "actor": "text",
                "closed_at": "timestamptz", "closed_by": "text", "note": "text", "found": "text",
            },
            indexes=("closed_at, occurred_at",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case (
                DispensingResolved() | AdministrationReversed() | AdministrationResolved() | DisclosureReviewed()
            ) as data:  # fmt: skip
                for breach in BREACHES:
                    yield _ITEMS, (_kind(breach), _subject(data))
            case ProcessStepResolved() as data:
                yield _ITEMS, ("step_refused", data.step)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case (
                MedicationDispensed() | MedicineReturned() | MedicationAdministered() | ImmunizationGiven()
                | RecordDisclosed()
            ) as data:  # fmt: skip
                for breach in data.breaches:
                    _open(rows, (_kind(breach), _subject(data)), event, reason=getattr(data, "override_reason", None))
            case DispensingResolved() | AdministrationResolved() | DisclosureReviewed() as data:
                for breach in BREACHES:
                    _close(rows, (_kind(breach), _subject(data)), event, "resolved", found=data.note)
            case AdministrationReversed() as data:
                for breach in BREACHES:
                    _close(rows, (_kind(breach), _subject(data)), event, "reversed", found=data.reason)
            case ProcessStepRefused() as data:
                said = f"{data.manager}: {data.command} to {data.target}: {data.code}. {data.detail}"
                _open(rows, ("step_refused", data.step), event, detail=said)
            case ProcessStepResolved() as data:
                _close(rows, ("step_refused", data.step), event, "resolved", note=data.note)


def _kind(breach: ClinicError) -> str:
    return str(breach).lower()


def _subject(data: Any) -> str:
    if isinstance(data, RecordDisclosed | DisclosureReviewed):
        return f"disclosure:{data.patient}:{data.disclosure}"
    if isinstance(data, MedicationDispensed | MedicineReturned | DispensingResolved):
        return f"dispensing:{data.dispensing}"
    return f"administration:{data.administration}"


def _open(rows: Rows, key: Key, event: Recorded, *, detail: str | None = None, reason: str | None = None) -> None:
    data: Any = event.data
    rows.put(
        _ITEMS,
        key,
        {
            "patient": getattr(data, "patient", None), "occurred_at": data.occurred_at,
            "recorded_at": event.recorded_at, "detail": detail, "reason": reason, "actor": event.envelope.authid,
            "closed_at": None, "closed_by": None, "note": None, "found": None,
        },
    )  # fmt: skip


def _close(
    rows: Rows, key: Key, event: Recorded, how: str, *, note: str | None = None, found: str | None = None
) -> None:  # fmt: skip
    row = rows.get(_ITEMS, key)
    if row is not None and row["closed_at"] is None:
        row |= {"closed_at": event.recorded_at, "closed_by": how, "note": note, "found": found}
