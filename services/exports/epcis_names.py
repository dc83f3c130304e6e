"""What things are called in EPCIS: URIs of goods, places, parties and papers, and the master data that describes them.

Goods are named as GS1 Digital Links where they can be (GS1 Digital Link: URI Syntax, canonical form; CBV 2.0 section
8.2), and otherwise, like everything else of a chapter, by a URN of the ledger's own:

    https://id.gs1.org/01/04006381333931/10/L-1234           item with a GTIN, lot as GS1 allows it
    urn:commons:local:inventory:item:rice:lot:L%201234       any other
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from services.inventory.contract import BaseUnit, DateKind, ItemFacts, LocationOpened, LotRef, lot_form

EXTENSION: Final = "urn:commons:epcis:"
"""The namespace of members that EPCIS has no word for, under the prefix `commons`."""

UOM: Final = {BaseUnit.GRAM: "GRM", BaseUnit.MILLILITRE: "MLT"}
"""UN/CEFACT Recommendation 20. Pieces have none: a quantity without a unit of measure is a count of them."""

_DATES: Final = {
    DateKind.EXPIRY: "cbvmda:itemExpirationDate",
    DateKind.USE_BY: "cbvmda:itemExpirationDate",
    DateKind.BEST_BEFORE: "cbvmda:bestBeforeDate",
}
# AI (10): up to 20 characters of the set 82 (GS1 General Specifications, figure 7.11-1).
_GS1_LOT: Final = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]{1,20}")
_EPC_CLASS: Final = "urn:epcglobal:epcis:vtype:EPCClass"
_PLACE: Final = "urn:epcglobal:epcis:vtype:BusinessLocation"


class Names:
    """Names of one chapter's things, as the catalogue stood at each event; feed it the events in stream order.

    A lot keeps the spelling under which it first came: "l 12-34" and "L1234" are one lot of the ledger and one class
    here. So its memory grows with the number of lots, by some 150 bytes for each.
    """

    def __init__(self, chapter: str) -> None:
        self.chapter = chapter
        self._root = f"urn:commons:{quote(chapter, safe='')}:inventory"
        self._gtins: dict[str, str] = {}
        self._units: dict[str, BaseUnit] = {}
        self._lots: dict[tuple[str, str], str] = {}
        self._offsets: dict[str, int] = {}
        self._described: dict[str, dict[str, dict[str, Any]]] = {_EPC_CLASS: {}, _PLACE: {}}

    # -- what the catalogue says --------------------------------------------------------------------------------------

    def item_is(self, item: str, facts: ItemFacts) -> None:
        """From now on an item has these facts."""
        self._units[item] = facts.unit
        if facts.gtin is None:
            self._gtins.pop(item, None)
        else:
            self._gtins[item] = facts.gtin.zfill(14)
        attributes = {"cbvmda:descriptionShort": facts.name, "cbvmda:brandName": facts.brand}
        self._describe(_EPC_CLASS, self.goods(item, None), attributes)

    def location_is(self, opened: LocationOpened) -> None:
        """From now on a location has these facts."""
        self._offsets[opened.location] = opened.utc_offset
        self._describe(_PLACE, self.place(opened.location), {"cbvmda:name": opened.name})

    def vocabularies(self) -> list[dict[str, Any]]:
        """Everything described so far, as an EPCIS header's vocabularyList."""
        return [
            {"type": type_, "vocabularyElementList": list(elements.values())}
            for type_, elements in self._described.items()
            if elements
        ]

    def _describe(self, type_: str, uri: str, attributes: dict[str, str | None]) -> None:
        said = [{"id": name, "attribute": value} for name, value in attributes.items() if value]
        self._described[type_][uri] = {"id": uri, "attributes": said}

    # -- names --------------------------------------------------------------------------------------------------------

    def goods(self, item: str, lot: str | None) -> str:
        """The class of an item's lot, or of its stock of unknown lot."""
        gtin, form = self._gtins.get(item), lot_form(lot)
        if not form or lot is None:
            return f"https://id.gs1.org/01/{gtin}" if gtin else f"{self._root}:item:{quote(item, safe='')}"
        spelling = self._lots.setdefault((item, form), lot)
        if gtin and _GS1_LOT.fullmatch(spelling):
            return f"https://id.gs1.org/01/{gtin}/10/{quote(spelling, safe='')}"
        return f"{self._root}:item:{quote(item, safe='')}:lot:{quote(spelling, safe='')}"

    def place(self, location: str) -> str:
        return f"{self._root}:location:{quote(location, safe='')}"

    def thing(self, kind: str, id: str) -> str:
        """Anything else that the ledger knows by an id or a text: a donor, a delivery, a transfer, a sensor."""
        return f"{self._root}:{kind}:{quote(id, safe='')}"

    def offset(self, location: str) -> str:
        """A location's clock, `+05:30`; UTC when it is not known."""
        minutes = self._offsets.get(location, 0)
        hours, rest = divmod(abs(minutes), 60)
        return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"

    # -- quantities ---------------------------------------------------------------------------------------------------

    def quantities(self, item: str, goods: Iterable[tuple[LotRef, int]]) -> list[dict[str, Any]]:
        """Quantities of an item as a quantityList: one element for each class, none of nothing."""
        sums: dict[str, int] = {}
        for ref, quantity in goods:
            if quantity:
                name = self.goods(item, ref.lot)
                sums[name] = sums.get(name, 0) + quantity
        uom = UOM.get(self._units.get(item, BaseUnit.EACH))
        unit = {} if uom is None else {"uom": uom}
        return [{"epcClass": name, "quantity": quantity, **unit} for name, quantity in sums.items() if quantity]

    def lot_facts(self, goods: Iterable[tuple[str, LotRef]]) -> dict[str, Any]:
        """What is known of lots, as an ilmd; the standard's attributes speak of all goods of an event alike, so lots
        that differ are listed under `commons:lots`. Empty when nothing is known."""
        found: list[dict[str, str]] = []
        for item, ref in goods:
            lot = {"epcClass": self.goods(item, ref.lot), **self._facts(item, ref)}
            if lot not in found:
                found.append(lot)
        if len(found) == 1:
            return {name: value for name, value in found[0].items() if name != "epcClass"}
        return {"commons:lots": found} if any(len(lot) > 1 for lot in found) else {}

    def _facts(self, item: str, ref: LotRef) -> dict[str, str]:
        facts = {}
        form = lot_form(ref.lot)
        if form:
            facts["cbvmda:lotNumber"] = self._lots[item, form]
        if ref.date is not None and ref.date_kind is not None:
            facts[_DATES[ref.date_kind]] = ref.date.isoformat()
            if ref.date_kind is DateKind.USE_BY:
                facts["commons:dateKind"] = ref.date_kind.value
        if ref.owner is not None:
            facts["commons:owner"] = ref.owner
        return facts
