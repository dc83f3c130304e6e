"""What reading a delivery or a recall has to know of the catalogue: each item's base unit, and which GTIN is whose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.imports import gtin
from services.imports.plan import Planned, command_id


@dataclass
class Catalogue:
    """Items by id with their base unit, and by GTIN (their own and their packs'), compared as 14 digits.

    `packs` gives how many base units a pack with a GTIN of its own holds.
    """

    units: dict[str, str] = field(default_factory=dict)
    gtins: dict[str, str] = field(default_factory=dict)
    packs: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[Mapping[str, Any]]) -> Catalogue:
        """From the data of RegisterItem commands or rows of the catalogue with the same names."""
        catalogue = cls()
        for item in items:
            catalogue.add(item)
        return catalogue

    def add(self, item: Mapping[str, Any]) -> None:
        name = str(item["item"])
        self.units[name] = str(item["unit"])
        if item.get("gtin"):
            self.gtins[gtin.normal(str(item["gtin"]))] = name
        for pack in item.get("packs") or ():
            if pack.get("gtin"):
                number = gtin.normal(str(pack["gtin"]))
                self.gtins[number] = name
                self.packs[number] = int(pack["quantity"])

    def find(self, cell: str) -> tuple[str, int] | None:
        """The item that a cell names by its id or by a GTIN, and how many base units that is: a pack's GTIN names a
        whole pack. None when the catalogue has no such item."""
        if cell in self.units:
            return cell, 1
        number, _ = gtin.read(cell)
        item = self.gtins.get(gtin.normal(number)) if number else None
        return (item, self.packs.get(gtin.normal(number), 1)) if item and number else None


def register(line: int, data: dict[str, Any]) -> Planned:
    """The command for one item. Its id depends on all that is said of the item, and on nothing else."""
    content = "\x1f".join(f"{name}={data[name]!r}" for name in sorted(data))
    return Planned(line, "RegisterItem", data, command_id("item", content), f"item {data['item']}")
