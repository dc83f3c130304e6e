"""Who works at the clinic, and which medicines it has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.clinic.contract import (
    Coding,
    FormularyEntrySet,
    ItemNoted,
    Licence,
    LicenceChanged,
    PractitionerAdded,
    PractitionerRemoved,
)
from services.projections.clinic.base import ClinicProjection
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class ClinicDirectory(ClinicProjection):
    """`practitioners` has a row for each: the id they act under, their name (sealed), roles, and licence. Who does not
    work there any more has a row without roles, since `removed_at`: it says who it was that acted.

    `formulary` has a row for each item of inventory's that is a medicine or was described as one: what inventory calls
    it (`name`, `unit`), and which medicine it is: codes as {system, code, display}. Nothing in it is of a patient.
    """

    name = "clinic_directory"
    version = 2
    sums = False
    events = frozenset({PractitionerAdded, LicenceChanged, PractitionerRemoved, FormularyEntrySet, ItemNoted})
    tables = (
        Table(
            "practitioners",
            key=("practitioner",),
            columns={
                "practitioner": "text", "name": "text", "roles": "jsonb", "licence": "text", "number": "text",
                "valid_from": "date", "valid_until": "date", "identifiers": "jsonb", "added_at": "timestamptz",
                "changed_at": "timestamptz", "removed_at": "timestamptz",
            },
        ),
        Table(
            "formulary",
            key=("item",),
            columns={
                "item": "text", "name": "text", "unit": "text", "medicine": "boolean", "retired": "boolean",
                "medication": "jsonb", "ingredients": "jsonb", "classes": "jsonb", "strength": "text", "form": "text",
                "manufacturer": "text", "vaccine": "jsonb", "controlled": "boolean", "set_at": "timestamptz",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case LicenceChanged() | PractitionerRemoved() as data:
                yield "practitioners", (data.practitioner,)
            case FormularyEntrySet() | ItemNoted() as data:
                yield "formulary", (data.item,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case PractitionerAdded() | LicenceChanged():
                _practitioner(event, rows)
            case PractitionerRemoved() as data:
                if (row := rows.get("practitioners", (data.practitioner,))) is not None:
                    row |= _licence(None) | {
                        "roles": [], "changed_at": event.recorded_at, "removed_at": data.occurred_at,
                    }  # fmt: skip
            case data:
                key = (data.item,)
                row = rows.get("formulary", key) or rows.put("formulary", key, dict.fromkeys(_FORMULARY))
                if isinstance(data, ItemNoted):
                    row |= {
                        "name": data.name, "unit": data.unit, "medicine": data.medicine, "retired": data.retired,
                        "controlled": bool(row["controlled"]) or data.controlled,
                    }  # fmt: skip
                else:
                    row |= {
                        "medication": coding(data.medication), "ingredients": [*map(coding, data.ingredients)],
                        "classes": [*map(coding, data.classes)], "strength": data.strength, "form": data.form,
                        "manufacturer": data.manufacturer,
                        "vaccine": None if data.vaccine is None else coding(data.vaccine),
                        "controlled": bool(row["controlled"]) or data.controlled, "set_at": data.occurred_at,
                    }  # fmt: skip


_FORMULARY = tuple(column for column in ClinicDirectory.tables[1].columns if column != "item")


def coding(code: Coding) -> dict[str, Any]:
    """A code as a jsonb column holds it."""
    return {"system": str(code.system), "code": code.code, "display": code.display}


def _practitioner(event: Recorded, rows: Rows) -> None:
    data: PractitionerAdded | LicenceChanged = event.data
    key = (data.practitioner,)
    now = _licence(data.licence) | {"roles": [str(role) for role in data.roles], "changed_at": event.recorded_at}
    if isinstance(data, PractitionerAdded):
        rows.put(
            "practitioners", key,
            now | {"name": data.name, "identifiers": list(data.identifiers), "added_at": data.occurred_at,
                   "removed_at": None},
        )  # fmt: skip
    elif (row := rows.get("practitioners", key)) is not None:
        row |= now


def _licence(licence: Licence | None) -> dict[str, Any]:
    """The columns of a licence."""
    return {
        "licence": licence and licence.title, "number": licence and licence.number,
        "valid_from": licence and licence.valid_from, "valid_until": licence and licence.valid_until,
    }  # fmt: skip
