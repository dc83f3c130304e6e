"""What the clinic's read models have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Final

from services.clinic.contract import LotLine, clinic
from services.inventory.contract import lot_form
from shared.contract import Contract
from shared.projection import Projection

ROLE: Final = "commons_clinic"
"""The PostgreSQL role that owns what is clinical, and alone may read it (migrations/0003_clinic.sql)."""

SCHEMA: Final = "clinic"
"""Where the views of the clinic's read models are, and the tables of its search."""


class ClinicProjection(Projection):
    """A read model of the stream CLINIC; its name begins with `clinic_`, by which the database knows whose it is.

    What is said of a patient stays sealed. A row, or a column that several aggregates speak of, never depends on which
    of them was folded first: an event that was parked comes late.
    """

    contracts: ClassVar[Mapping[str, Contract]] = {"CLINIC": clinic}
    sums = True
    schema = SCHEMA
    role = ROLE


def events_of(*categories: str) -> frozenset[type]:
    """The events of whole categories of aggregates."""
    return frozenset(spec.cls for spec in clinic.events.values() if spec.category in categories)


def lots_as_json(lots: Iterable[LotLine]) -> list[dict[str, Any]]:
    """Lots as a jsonb column holds them."""
    return [
        {
            "lot": line.lot, "form": lot_form(line.lot), "quantity": line.quantity, "date": iso(line.date),
            "owner": line.owner, "manufacturer": line.manufacturer,
        }
        for line in lots
    ]  # fmt: skip


def iso(moment: datetime | date | None) -> str | None:
    """A moment or a day as a jsonb column holds it."""
    return None if moment is None else moment.isoformat()
