"""What patients were given, and out of which lots: what stock was used, and whom a recall reaches.

It reads two streams. Inventory says what is recalled, and which lots were repacked into which; the clinic says what was
dispensed, administered and injected. Each table is written by the events of one stream alone, and a row by those of one
aggregate, so it makes no difference how the streams interleave; services/queries/clinic/goods.py puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from services.clinic.contract import (
    AdministrationReversed,
    DispensingRefused,
    DispensingRequested,
    DispensingUnpicked,
    DispensingVerified,
    ImmunizationGiven,
    LotLine,
    MedicationAdministered,
    MedicationDispensed,
    MedicineReturned,
    clinic,
)
from services.inventory.contract import (
    LotRecalled,
    RecallLifted,
    StockReceived,
    StockRepacked,
    inventory,
    lot_form,
)
from services.projections.clinic.base import ClinicProjection
from services.projections.movements import parents
from shared.contract import Contract
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table


class ClinicGiven(ClinicProjection):
    """`clinic_given` has a row for each dispensing, each medicine administered and each vaccine given: `kind`
    dispensing, administration or immunization; `state` requested, verified (its lots are in the bag), given, reversed
    (it was not so), or put_back (refused, or never collected). `quantity` is in the item's base unit; `returned` came
    back and was destroyed. What was given elsewhere (`imported_from`) used no stock. `clinic_given_lots` are the lots
    of it, with their dates where those are clear; an empty `lot_form` is stock of unknown lot. `lot_keys` are the keys
    of them that stand.

    `clinic_recalls` and `clinic_made_from` are inventory's recalls, lifted ones too, and what goods were made from.
    """

    name = "clinic_given"
    version = 1
    contracts: ClassVar[Mapping[str, Contract]] = {"INVENTORY": inventory, "CLINIC": clinic}
    events = frozenset({LotRecalled, RecallLifted, StockReceived, StockRepacked}) | {
        DispensingRequested, DispensingVerified, MedicationDispensed, MedicineReturned, DispensingRefused,
        DispensingUnpicked, MedicationAdministered, ImmunizationGiven, AdministrationReversed,
    }  # fmt: skip
    tables = (
        Table(
            "clinic_recalls",
            key=("item", "recall"),
            columns={
                "item": "text", "recall": "text", "scope_forms": "jsonb", "first_date": "date", "last_date": "date",
                "reason": "text", "begun_at": "timestamptz", "ended_at": "timestamptz",
            },
            indexes=("recall",),
        ),
        Table(
            "clinic_made_from",
            key=("item", "lot_form", "parent", "parent_form"),
            columns={"item": "text", "lot_form": "text", "parent": "text", "parent_form": "text"},
            indexes=("parent, parent_form",),
            append=True,
        ),
        Table(
            "clinic_given",
            key=("kind", "id"),
            columns={
                "kind": "text", "id": "text", "patient": "text", "item": "text", "location": "text",
                "quantity": "bigint", "returned": "bigint", "state": "text", "occurred_at": "timestamptz",
                "given_by": "text", "imported_from": "text", "lot_keys": "jsonb",
            },
            indexes=("occurred_at", "patient"),
        ),
        Table(
            "clinic_given_lots",
            key=("kind", "id", "lot_key"),
            columns={
                "kind": "text", "id": "text", "lot_key": "text", "item": "text", "lot": "text", "lot_form": "text",
                "date": "date", "owner": "text", "manufacturer": "text", "quantity": "bigint",
            },
            indexes=("item, lot_form", "item, date"),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case RecallLifted() as data:
                yield "clinic_recalls", (data.item, data.recall)
            case (
                DispensingVerified() | MedicationDispensed() | MedicineReturned() | DispensingRefused()
                | DispensingUnpicked()
            ) as data:  # fmt: skip
                yield "clinic_given", ("dispensing", data.dispensing)
            case AdministrationReversed() as data:
                for kind in ("administration", "immunization"):
                    yield "clinic_given", (kind, data.administration)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case LotRecalled() as data:
                forms = sorted({lot_form(lot) for lot in data.scope.lots})
                rows.put(
                    "clinic_recalls",
                    (data.item, data.recall),
                    {
                        "scope_forms": forms, "first_date": data.scope.first_date, "last_date": data.scope.last_date,
                        "reason": data.reason, "begun_at": data.occurred_at, "ended_at": None,
                    },
                )  # fmt: skip
            case RecallLifted() as data:
                if (row := rows.get("clinic_recalls", (data.item, data.recall))) is not None:
                    row["ended_at"] = data.occurred_at
            case StockReceived() | StockRepacked() as data:
                for made, parent, parent_lot in parents(data):
                    key = (data.item, lot_form(made.lot), parent, lot_form(parent_lot.lot))
                    rows.put("clinic_made_from", key, {})
            case DispensingRequested() as data:
                _begin(event, rows, ("dispensing", data.dispensing), "requested", ())
            case MedicationAdministered() | ImmunizationGiven() as data:
                kind = "administration" if isinstance(data, MedicationAdministered) else "immunization"
                expires = data.expires if isinstance(data, MedicationAdministered) else None
                line = data.quantity and LotLine(lot=data.lot or "UNKNOWN", quantity=data.quantity, date=expires)
                _begin(event, rows, (kind, data.administration), "given", (line,) if line else ())
            case AdministrationReversed() as data:
                for kind in ("administration", "immunization"):
                    if (row := rows.get("clinic_given", (kind, data.administration))) is not None:
                        row["state"] = "reversed"
            case _:
                _dispensed(event, rows)


def _begin(event: Recorded, rows: Rows, key: Key, state: str, lots: Iterable[LotLine]) -> None:
    data: Any = event.data
    row = rows.put(
        "clinic_given",
        key,
        {
            "patient": data.patient, "item": data.item, "location": data.location, "quantity": data.quantity,
            "returned": 0, "state": state, "occurred_at": data.occurred_at, "given_by": event.envelope.authid,
            "imported_from": getattr(data, "imported_from", None), "lot_keys": [],
        },
    )  # fmt: skip
    _lots(rows, key, row, lots)


def _dispensed(event: Recorded, rows: Rows) -> None:
    data: Any = event.data
    key = ("dispensing", data.dispensing)
    row = rows.get("clinic_given", key)
    if row is None and isinstance(data, MedicationDispensed):  # nobody had requested it
        _begin(event, rows, key, "given", ())
        row = rows.get("clinic_given", key)
    if row is None:
        return
    match data:
        case DispensingVerified():
            row["state"] = "verified"
            _lots(rows, key, row, data.lots)
        case MedicationDispensed():
            row |= {
                "state": "given", "item": data.item, "location": data.location, "quantity": data.quantity,
                "occurred_at": data.occurred_at, "given_by": event.envelope.authid,
            }  # fmt: skip
            _lots(rows, key, row, data.lots or (LotLine(lot="UNKNOWN", quantity=data.quantity),))
        case MedicineReturned():
            row["returned"] = data.returned
        case DispensingRefused() | DispensingUnpicked():
            row["state"] = "put_back"


def _lots(rows: Rows, key: Key, row: Row, lots: Iterable[LotLine]) -> None:
    """Put these lots in the place of those there were."""
    found: dict[str, Row] = {}
    for line in lots:
        form = lot_form(line.lot)
        known = found.setdefault(
            f"{form}|{line.date or ''}|{line.owner or ''}",
            {
                "item": row["item"], "lot": line.lot if form else None, "lot_form": form, "date": line.date,
                "owner": line.owner, "manufacturer": line.manufacturer, "quantity": 0,
            },
        )  # fmt: skip
        known["quantity"] += line.quantity
    for lot_key in row["lot_keys"]:
        if lot_key not in found:
            rows.delete("clinic_given_lots", (*key, lot_key))
    for lot_key, lot in found.items():
        rows.put("clinic_given_lots", (*key, lot_key), lot)
    row["lot_keys"] = sorted(found)
