"""Barcodes on the command line: which item a scan means, and what it says of lot, date and quantity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.commands.contracts import Field, Kind
from services.gs1 import Scan, is_gtin, is_scan, read_scan
from shared.errors import Invalid
from shared.readmodel import read


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scan together with the item that the catalogue has under its number.

    `each` is how many base units one of what was scanned holds: 12 for a case of 12.
    """

    scan: Scan
    item: str | None
    unit: str | None = None
    each: int = 1

    @property
    def quantity(self) -> int | None:
        """How much the barcode says there is, in the item's base unit; None when it does not say."""
        if self.scan.count is not None:
            return self.scan.count * self.each
        return {"g": self.scan.weight, "ml": self.scan.volume}.get(self.unit or "")


async def look_up(pool: asyncpg.Pool, text: str) -> Scanned:
    """Read a scan and find its item. Raises Invalid when it cannot be read, or no item or several bear its number."""
    scan = read_scan(text)
    if scan.gtin is None:
        return Scanned(scan, None)
    reading = await read(
        pool,
        "catalogue",
        "SELECT b.item, b.quantity, i.unit, i.name FROM barcodes b JOIN items i USING (item)"
        " WHERE b.gtin = $1 ORDER BY b.item",
        scan.gtin,
    )
    found = reading.records
    if not found:
        raise Invalid(
            f"No item of the catalogue has the number {scan.gtin}. Register it (`commons send inventory RegisterItem "
            f"--gtin {scan.gtin.lstrip('0')} …`), or name the item with --item.",
            gtin=scan.gtin,
        )
    if len(found) > 1:
        items = ", ".join(f"{row['item']} ({row['name']})" for row in found)
        raise Invalid(
            f"Several items have the number {scan.gtin}: {items}. Name the one that is meant with --item.",
            gtin=scan.gtin,
        )
    row = found[0]
    return Scanned(scan, row["item"], row["unit"], row["quantity"])


async def item_id(pool: asyncpg.Pool, text: str | None) -> str | None:
    """An item's id from an id or a scan, for options that ask for an item."""
    if text is None or not (is_scan(text) or is_gtin(text)):
        return text
    try:
        found = await look_up(pool, text)
    except Invalid:
        if not is_scan(text):  # a number that no item has as its barcode may still be an item's own id
            return text
        raise
    if found.item is None:
        raise Invalid(
            "The scan does not say which item it is: it has no GTIN (01). Scan the other one, or type the item."
        )
    return found.item


async def lot_and_item(pool: asyncpg.Pool, text: str) -> tuple[str, str | None]:
    """A lot, and its item if a scan says it, for options that ask for a lot."""
    if not is_scan(text):
        return text, None
    found = await look_up(pool, text)
    if found.scan.lot is None:
        raise Invalid("The scan does not say which lot it is: it has no lot (10). Scan the other one, or type the lot.")
    return found.scan.lot, found.item


def fill(data: dict[str, Any], found: Scanned, fields: Sequence[Field]) -> None:
    """Put what a scan says into a command's data, where the command has a place for it and nothing stands there yet.

    Raises Invalid when the data names another item than the barcode.
    """
    if found.item is not None and any(f.name == "item" for f in fields):
        given = data.setdefault("item", found.item)
        if given != found.item:
            raise Invalid(
                f"The barcode is that of {found.item}, but the item was given as {given}. Scan the other package, or "
                "leave the item out.",
                item=given, scanned=found.item,
            )  # fmt: skip
    said = {
        "lot": found.scan.lot,
        "date": found.scan.date and found.scan.date.isoformat(),
        "date_kind": found.scan.date_kind,
        "quantity": found.quantity,
    }
    said = {name: value for name, value in said.items() if value is not None}
    lines = next((f for f in fields if f.name == "lines" and f.kind is Kind.RECORDS), None)
    if lines is None:
        for name in ("lot", "quantity"):
            if name in said and any(f.name == name for f in fields):
                data.setdefault(name, said[name])
        return
    known = {f.name for f in lines.fields}
    line = {name: value for name, value in said.items() if name in known}
    there = data.get("lines")
    if there is None:
        data["lines"] = [line]
    elif isinstance(there, list) and len(there) == 1 and isinstance(there[0], dict):
        data["lines"] = [line | there[0]]
    else:
        raise Invalid("A scan is one lot, and there are several lines. Give the lots with the lines, without --scan.")
