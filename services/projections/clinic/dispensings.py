"""Medicines on their way to patients: how far each dispensing has come, and what inventory answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from services.clinic.contract import (
    AlertNoted,
    AlertOverridden,
    DispensingRechecked,
    DispensingRefused,
    DispensingRequested,
    DispensingUnpicked,
    DispensingVerified,
    GoodsFreed,
    GoodsIssued,
    GoodsSetAside,
    ImmunizationGiven,
    MedicationAdministered,
    MedicationDispensed,
    StockDrawn,
)
from services.projections.clinic.base import ClinicProjection, lots_as_json
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class ClinicDispensings(ClinicProjection):
    """`dispensings` has a row for each: requested, verified, dispensed, refused, unpicked. Of its goods `asked` were
    asked for, of which `short` were not there, and `remaining` are set aside, out of `lots`; `issued` left inventory,
    `unrecorded` of it beyond its ledger. Quantities are in the item's base unit. It is unpicked after `due_at`. What
    was handed over although nobody had requested it has no `requested_at`.

    Alerts are sealed: those of `check_content`, what stood when it was last checked, and of `alerts`, less those of
    `answered`, are open; only who may read them can say which (services/queries/clinic/dispensing.py).

    `clinic_draws` has a row for each administration from stock; `drawn_at` is null until inventory gave it out.
    """

    name = "clinic_dispensings"
    version = 1
    events = frozenset({DispensingRequested, DispensingRechecked, AlertNoted, AlertOverridden, GoodsSetAside,
                        GoodsFreed, GoodsIssued, DispensingVerified, MedicationDispensed, DispensingRefused,
                        DispensingUnpicked, MedicationAdministered, ImmunizationGiven, StockDrawn})  # fmt: skip
    tables = (
        Table(
            "dispensings",
            key=("dispensing",),
            columns={
                "dispensing": "text", "patient": "text", "prescription": "text", "item": "text", "location": "text",
                "quantity": "bigint", "days_supply": "integer", "prescriber": "text", "state": "text",
                "check_content": "text", "alerts": "jsonb", "answered": "jsonb", "asked": "bigint", "short": "bigint",
                "remaining": "bigint", "lots": "jsonb", "answered_at": "timestamptz", "freed_at": "timestamptz",
                "issued": "bigint", "unrecorded": "bigint", "requested_at": "timestamptz", "requested_by": "text",
                "due_at": "timestamptz", "expires_after": "date", "verified_at": "timestamptz", "verified_by": "text",
                "ended_at": "timestamptz", "recorded_at": "timestamptz",
            },
            indexes=("state", "patient"),
        ),
        Table(
            "clinic_draws",
            key=("administration",),
            columns={
                "administration": "text", "patient": "text", "item": "text", "location": "text", "quantity": "bigint",
                "given_at": "timestamptz", "recorded_at": "timestamptz", "drawn_at": "timestamptz",
            },
            indexes=("drawn_at",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case DispensingRequested() | MedicationAdministered() | ImmunizationGiven():
                pass
            case StockDrawn() as data:
                yield "clinic_draws", (data.administration,)
            case data:
                yield "dispensings", (data.dispensing,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case DispensingRequested() as data:
                _begin(
                    event, rows, prescriber=data.prescriber, requested_at=data.occurred_at,
                    requested_by=event.envelope.authid, due_at=data.due_at, expires_after=data.expires_after,
                )  # fmt: skip
            case MedicationAdministered() | ImmunizationGiven() as data:
                if data.item is not None and getattr(data, "imported_from", None) is None:
                    drawn = {
                        "patient": data.patient, "item": data.item, "location": data.location,
                        "quantity": data.quantity, "given_at": data.occurred_at, "recorded_at": event.recorded_at,
                        "drawn_at": None,
                    }  # fmt: skip
                    rows.put("clinic_draws", (data.administration,), drawn)
            case StockDrawn() as data:
                if (row := rows.get("clinic_draws", (data.administration,))) is not None:
                    row["drawn_at"] = data.occurred_at
            case _:
                _step(event, rows)


def _begin(event: Recorded, rows: Rows, **requested: Any) -> None:
    """A row; `requested` is what is known of one that somebody requested."""
    data: Any = event.data
    rows.put(
        "dispensings",
        (data.dispensing,),
        {
            "patient": data.patient, "prescription": data.prescription, "item": data.item, "location": data.location,
            "quantity": data.quantity, "days_supply": data.days_supply, "prescriber": None, "state": "requested",
            "check_content": data.check, "alerts": [], "answered": [], "asked": None, "short": None, "remaining": 0,
            "lots": [], "answered_at": None, "freed_at": None, "issued": 0, "unrecorded": 0, "requested_at": None,
            "requested_by": None, "due_at": None, "expires_after": None, "verified_at": None, "verified_by": None,
            "ended_at": None, "recorded_at": event.recorded_at, **requested,
        },
    )  # fmt: skip


def _step(event: Recorded, rows: Rows) -> None:
    if isinstance(event.data, MedicationDispensed) and rows.get("dispensings", (event.data.dispensing,)) is None:
        _begin(event, rows)
    row = rows.get("dispensings", (event.data.dispensing,))
    if row is None:
        return
    row["recorded_at"] = event.recorded_at
    match event.data:
        case DispensingRechecked() as data:
            row["check_content"] = data.check
        case AlertNoted() as data:
            row["alerts"] = [*row["alerts"], data.content]
        case AlertOverridden() as data:
            row["answered"] = [*row["answered"], data.answered]
        case GoodsSetAside() as data:
            row |= {
                "item": data.item, "location": data.location, "asked": data.asked, "short": data.short,
                "remaining": sum(line.quantity for line in data.lots),
                "lots": lots_as_json(data.lots), "answered_at": data.occurred_at,
            }  # fmt: skip
        case GoodsFreed() as data:
            row |= {
                "lots": _without(row["lots"], lots_as_json(data.lots)), "remaining": data.remaining,
                "freed_at": data.occurred_at,
            }  # fmt: skip
        case GoodsIssued() as data:
            row["issued"] += data.quantity
            row["unrecorded"] += data.unrecorded
            row["remaining"] = max(0, row["remaining"] - data.quantity)
        case DispensingVerified() as data:
            row |= {
                "state": "verified", "verified_at": data.occurred_at, "verified_by": event.envelope.authid,
            }  # fmt: skip
        case MedicationDispensed() as data:
            row |= {
                "state": "dispensed", "ended_at": data.occurred_at, "item": data.item, "location": data.location,
                "quantity": data.quantity, "days_supply": data.days_supply,
            }  # fmt: skip
        case DispensingRefused() | DispensingUnpicked() as data:
            state = "refused" if isinstance(data, DispensingRefused) else "unpicked"
            row |= {"state": state, "ended_at": data.occurred_at}


def _without(lots: list[dict[str, Any]], taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is left of lots, one of which may be in several lines, once others are taken from them."""
    gone: Counter[tuple[Any, ...]] = Counter()
    for line in taken:
        gone[_of(line)] += line["quantity"]
    left = []
    for line in lots:
        used = min(line["quantity"], gone[_of(line)])
        gone[_of(line)] -= used
        if line["quantity"] > used:
            left.append(line | {"quantity": line["quantity"] - used})
    return left


def _of(line: dict[str, Any]) -> tuple[Any, ...]:
    return line["form"], line["date"], line["owner"]
