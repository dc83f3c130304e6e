"""What an item or a location is: names, units, dates and levels, for every screen, and the item behind a barcode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.inventory.contract import (
    ItemChanged,
    ItemFacts,
    ItemRegistered,
    ItemRetired,
    LocationClosed,
    LocationOpened,
)
from services.projections.base import InventoryProjection
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table


class Catalogue(InventoryProjection):
    """Items, the barcodes of items and their packs, and locations, as they are now.

    A barcode is kept with 14 digits, as GS1 stores them: shorter ones with zeros in front. One that two items bear
    stands there twice.
    """

    name = "catalogue"
    version = 1
    events = frozenset({ItemRegistered, ItemChanged, ItemRetired, LocationOpened, LocationClosed})
    tables = (
        Table(
            "items",
            key=("item",),
            columns={
                "item": "text", "name": "text", "unit": "text", "net_weight": "bigint", "gtin": "text",
                "packs": "jsonb", "brand": "text", "category": "text", "allergens": "jsonb", "storage": "text",
                "best_before_extension": "integer", "medicine": "boolean", "controlled": "boolean",
                "infant_formula": "boolean", "minimum_level": "bigint", "unusual_above": "bigint",
                "registered_at": "timestamptz", "retired_at": "timestamptz",
            },
        ),
        Table(
            "barcodes",
            key=("gtin", "item"),
            columns={"gtin": "text", "item": "text", "pack": "text", "quantity": "bigint"},
        ),
        Table(
            "locations",
            key=("location",),
            columns={
                "location": "text", "name": "text", "kind": "text", "storage": "text", "minimum": "integer",
                "maximum": "integer", "utc_offset": "integer", "self_approval": "integer", "opened_at": "timestamptz",
                "closed_at": "timestamptz", "items_at_closing": "jsonb",
            },
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if event.category == "item":
            yield "items", (event.aggregate_id,)
        else:
            yield "locations", (event.aggregate_id,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case ItemRegistered() | ItemChanged() as data:
                before = rows.get("items", (data.item,))
                for gtin in _barcodes(before) if before else ():
                    rows.delete("barcodes", (gtin, data.item))
                row = rows.put("items", (data.item,), _item(data))
                row["registered_at"] = before["registered_at"] if before else data.occurred_at
                row["retired_at"] = None
                for gtin, (pack, quantity) in _barcodes(row).items():
                    rows.put("barcodes", (gtin, data.item), {"pack": pack, "quantity": quantity})
            case ItemRetired() as data:
                if (row_or_none := rows.get("items", (data.item,))) is not None:
                    row_or_none["retired_at"] = data.occurred_at
            case LocationOpened() as data:
                rows.put(
                    "locations",
                    (data.location,),
                    {
                        "name": data.name, "kind": str(data.kind), "storage": str(data.storage),
                        "minimum": data.minimum, "maximum": data.maximum, "utc_offset": data.utc_offset,
                        "self_approval": data.self_approval, "opened_at": data.occurred_at, "closed_at": None,
                        "items_at_closing": None,
                    },
                )  # fmt: skip
            case LocationClosed() as data:
                if (row_or_none := rows.get("locations", (data.location,))) is not None:
                    row_or_none["closed_at"] = data.occurred_at
                    row_or_none["items_at_closing"] = list(data.items)


def _item(facts: ItemFacts) -> Row:
    return {
        "name": facts.name, "unit": str(facts.unit), "net_weight": facts.net_weight, "gtin": facts.gtin,
        "packs": [{"name": pack.name, "quantity": pack.quantity, "gtin": pack.gtin} for pack in facts.packs],
        "brand": facts.brand, "category": facts.category,
        "allergens": None if facts.allergens is None else list(facts.allergens), "storage": str(facts.storage),
        "best_before_extension": facts.best_before_extension, "medicine": facts.medicine,
        "controlled": facts.controlled, "infant_formula": facts.infant_formula,
        "minimum_level": facts.minimum_level, "unusual_above": facts.unusual_above,
    }  # fmt: skip


def _barcodes(item: dict[str, Any]) -> dict[str, tuple[str | None, int]]:
    """The barcodes of an item's row: of the item itself (one unit), and of its packs."""
    found: dict[str, tuple[str | None, int]] = {}
    for pack in item["packs"]:
        if pack["gtin"]:
            found[pack["gtin"].zfill(14)] = (pack["name"], pack["quantity"])
    if item["gtin"]:
        found[item["gtin"].zfill(14)] = (None, 1)
    return found
