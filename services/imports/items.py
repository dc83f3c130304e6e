"""Items from a CSV file of our own columns, as RegisterItem commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from services.imports import gtin
from services.imports.catalogue import register
from services.imports.cells import Unreadable, flag, slug, whole
from services.imports.documents import is_json
from services.imports.plan import Planned, Read, Refused
from services.imports.products import read_products
from services.imports.source import Columns, Row, rows
from shared.types import is_id

COLUMNS: Final = Columns(
    required=("name", "unit"),
    optional=(
        "item", "brand", "net_weight_g", "gtin", "pack_sizes", "category", "allergens", "storage",
        "best_before_extension_days", "medicine", "controlled", "infant_formula", "minimum", "unusual_above",
    ),
)  # fmt: skip
"""`pack_sizes` is like `case of 12 | pallet of 480 (GTIN)`; `allergens` like `milk | soybeans`, `none`, or empty or
`unknown` where they are not known; `net_weight_g` is the weight in g of one piece, or of 1,000 ml."""

_PACK = re.compile(r"(?P<name>\S[^()]{0,60}?)\s+of\s+(?P<quantity>\d+)(?:\s*\((?P<gtin>[\d -]+)\))?", re.ASCII)
_NOT_KNOWN: Final = frozenset({
    "", "?", "??", "???", "-", "--", "–", "—", "n/a", "n.a", "n/k", "na", "nk", "not available", "not known",
    "not stated", "not sure", "unclear", "unknown", "unbekannt", "nicht bekannt", "k.a", "keine angabe",
    "keine angaben", "inconnu", "inconnus", "inconnue", "inconnues", "desconocido", "desconocidos", "tbc", "tbd",
})  # fmt: skip
"""What people write where they do not know the allergens. Unlike `none`, none of it says that there are none."""
_UNITS: Final = ("each", "g", "ml")


def read_items(path: Path) -> Iterator[Read]:
    """The items of a CSV file, or of a JSON file in Open Food Facts' form; told apart by content."""
    return once(read_products(path) if is_json(path) else _from_csv(path))


def _from_csv(path: Path) -> Iterator[Read]:
    for row in rows(path, COLUMNS):
        if isinstance(row, Refused):
            yield row
            continue
        try:
            yield register(row.line, _facts(row))
        except Unreadable as error:
            yield Refused(row.line, str(error), row.cells["name"][:60])


def once(read: Iterator[Read]) -> Iterator[Read]:
    """Refuses a second, different line about the same item, and passes over one that says the same."""
    seen: dict[str, tuple[int, str]] = {}
    for one in read:
        if isinstance(one, Planned):
            line, said = seen.setdefault(one.data["item"], (one.line, one.id))
            if said != one.id:
                yield Refused(
                    one.line, f"item {one.data['item']} is already on line {line}, with other facts", one.what
                )
                continue
            if line != one.line:
                continue
        yield one


def item_id(given: str, number: str | None, name: str) -> str:
    """The id that a file gives an item; else one made of its GTIN, the same in every file; else of its name."""
    if given:
        if not is_id(given):
            raise Unreadable(f"the item '{given[:40]}' is not an id; use letters, digits, hyphens, at most 64")
        return given
    if number:
        return f"gtin-{gtin.normal(number)}"
    made = slug(name)
    if not made:
        raise Unreadable("no id can be made of this name; give the item an id or a GTIN")
    return made


def _facts(row: Row) -> dict[str, Any]:
    """The data of a RegisterItem; empty cells are left out, so that the contract's own defaults hold."""
    cells = row.cells
    name, unit = cells["name"], cells["unit"].lower()
    if not name:
        raise Unreadable("the name is empty")
    if unit not in _UNITS:
        raise Unreadable(f"the unit '{unit[:40]}' is not one of {', '.join(_UNITS)}")
    number = _gtin(cells.get("gtin", ""))
    data: dict[str, Any] = {"item": item_id(cells.get("item", ""), number, name), "name": name, "unit": unit}
    if number:
        data["gtin"] = number
    for column, field in (("brand", "brand"), ("category", "category")):
        if cells.get(column):
            data[field] = cells[column]
    if cells.get("storage"):
        data["storage"] = cells["storage"].lower()
    for column, field in (
        ("net_weight_g", "net_weight"), ("best_before_extension_days", "best_before_extension"),
        ("minimum", "minimum_level"), ("unusual_above", "unusual_above"),
    ):  # fmt: skip
        if cells.get(column):
            data[field] = _named(column, cells[column])
    for column in ("medicine", "controlled", "infant_formula"):
        if flag(cells.get(column, "")):
            data[column] = True
    if cells.get("pack_sizes"):
        data["packs"] = [_pack(part) for part in _parts(cells["pack_sizes"])]
    allergens = cells.get("allergens", "").lower()
    if " ".join(allergens.strip(" .()").split()) not in _NOT_KNOWN:
        data["allergens"] = [] if allergens == "none" else _parts(allergens)
    return data


def _named(column: str, text: str) -> int:
    try:
        return whole(text)
    except Unreadable as error:
        raise Unreadable(f"{column}: {error}") from None


def _gtin(text: str) -> str | None:
    if not text:
        return None
    number, reason = gtin.read(text)
    if number is None:
        hint = ""
        if re.search(r"\d[.,]?\d*e\+?\d+", text, re.IGNORECASE):
            hint = "; a spreadsheet has shortened it, format the column as text"
        raise Unreadable(f"the GTIN '{text[:40]}': {reason}{hint}")
    return number


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[|;]", text) if part.strip()]


def _pack(text: str) -> dict[str, Any]:
    found = _PACK.fullmatch(text)
    if found is None:
        raise Unreadable(f"the pack size '{text[:40]}' is not of the form 'case of 12'")
    pack: dict[str, Any] = {"name": text.partition("(")[0].strip(), "quantity": whole(found["quantity"])}
    if found["gtin"]:
        pack["gtin"] = _gtin(found["gtin"])
    return pack
