"""Who the donors are, sealed as it is in the events, so that an erased donor is erased here too."""

from __future__ import annotations

from collections.abc import Iterable

from services.inventory.contract import DonorChanged, DonorRegistered
from services.projections.base import InventoryProjection
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Donors(InventoryProjection):
    """Donors as they are now. Names, contacts, addresses and notes are sealed; only the kind is in clear."""

    name = "donors"
    version = 1
    sums = False
    events = frozenset({DonorRegistered, DonorChanged})
    tables = (
        Table(
            "donors",
            key=("donor",),
            columns={
                "donor": "text", "name": "text", "kind": "text", "contact": "text", "address": "text", "note": "text",
                "registered_at": "timestamptz",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        yield "donors", (event.aggregate_id,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case DonorRegistered() | DonorChanged() as data:
                before = rows.get("donors", (data.donor,))
                row = rows.put(
                    "donors", (data.donor,),
                    {
                        "name": data.name, "kind": data.kind, "contact": data.contact, "address": data.address,
                        "note": data.note,
                    },
                )  # fmt: skip
                row["registered_at"] = before["registered_at"] if before else data.occurred_at
