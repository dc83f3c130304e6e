"""Items from product data in the form of Open Food Facts, as RegisterItem commands.

A packaged product is counted: its unit is each, and its net weight is what the package says in g or kg. A volume is not
turned into a weight; the net weight then stays unknown. Traces ("may contain") count as allergens, because the ledger's
allergens are there to warn. An empty list of allergens means none only when the ingredients are known.
https://openfoodfacts.github.io/openfoodfacts-server/api/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from services.imports import gtin
from services.imports.catalogue import register
from services.imports.documents import documents
from services.imports.plan import ForAPerson, Read, Refused, shown
from services.imports.quantities import Content, read_content
from shared.errors import Invalid

MAX_ALLERGENS: Final = 40
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_FROZEN: Final = frozenset({"en:frozen-foods", "en:ice-creams-and-sorbets"})
_CHILLED: Final = frozenset({"en:refrigerated-foods", "en:fresh-foods", "en:refrigerated-meals"})
_FORMULA: Final = frozenset({"en:infant-formulas", "en:baby-milks", "en:infant-milks", "en:follow-on-formulas"})


def read_products(path: Path) -> Iterator[Read]:
    """The products of a file: one product's answer, a search's answer, a list, or a dump of one product a line.

    Raises Invalid when the file as a whole is not of a form that is read.
    """
    for document in documents(path):
        if isinstance(document, Refused):
            yield document
            continue
        for place, product in enumerate(_products(path, document.value)):
            yield from _item(document.line + place, product)


def _products(path: Path, value: Any) -> list[Any]:
    """The products in one JSON value; a search's answer is numbered from 1 by their place in it."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        if isinstance(value.get("products"), list):
            return list(value["products"])
        if isinstance(value.get("product"), dict):
            return [{"code": value.get("code"), **value["product"]}]
        if value.get("status") == 0:
            said = shown(str(value.get("status_verbose") or "product not found"))
            raise Invalid(f"{path.name} is an answer without a product: {said}", file=path.name)
    return [value]


def _item(line: int, product: Any) -> Iterator[Read]:
    if not isinstance(product, dict):
        yield Refused(line, "is not a product: a JSON object is expected", shown(str(product), 60))
        return
    code = str(product.get("code") or "").strip()
    name = _text(product, "product_name") or _text(product, "product_name_en") or _text(product, "generic_name")
    number, reason = gtin.read(code) if code else (None, "is missing")
    if number is None:
        yield Refused(line, f"the code '{shown(code, 40)}' {reason}" if code else "has no code", shown(name, 60))
        return
    if not name:
        yield Refused(line, f"product {number} has no name", number)
        return
    item = f"gtin-{gtin.normal(number)}"
    data: dict[str, Any] = {"item": item, "name": shown(name, 200), "unit": "each", "gtin": number}
    unknown = _fill(data, product)
    yield register(line, data)
    if unknown:
        yield ForAPerson(line, item, "left unknown: " + "; ".join(unknown), shown(name))


def _fill(data: dict[str, Any], product: Mapping[str, Any]) -> list[str]:
    """Adds what the product says, and lists what it does not."""
    unknown = []
    if brand := _text(product, "brands").split(",")[0].strip():
        data["brand"] = shown(brand, 200)
    tags = frozenset(_tags(product, "categories_tags"))
    if category := _category(product):
        data["category"] = category
    content = read_content(quantity) if (quantity := _text(product, "quantity")) else "is not given"
    if isinstance(content, Content) and content.unit == "g":
        data["net_weight"] = content.amount
    else:
        why = content if isinstance(content, str) else "is a volume"
        unknown.append(f"net weight (the quantity {repr(shown(quantity, 30)) + ' ' if quantity else ''}{why})")
    allergens, why = _allergens(product)
    if allergens is None:
        unknown.append(f"allergens ({why})")
    else:
        data["allergens"] = allergens
    if tags & _FORMULA:
        data["infant_formula"] = True
    if tags & _FROZEN:
        data["storage"] = "frozen"
    elif tags & _CHILLED:
        data["storage"] = "chilled"
    else:
        unknown.append("storage (taken as ambient)")
    return unknown


def _allergens(product: Mapping[str, Any]) -> tuple[list[str] | None, str]:
    """Allergens and traces by their English names; None and the reason when they are not known."""
    if not _tags(product, "allergens_tags") and not _text(product, "ingredients_text"):
        return None, "neither allergens nor ingredients are given"
    labels = []
    for tag in [*_tags(product, "allergens_tags"), *_tags(product, "traces_tags")]:
        language, _, label = tag.rpartition(":")
        if language not in ("", "en") or not _LABEL.fullmatch(label):
            return None, f"'{shown(tag, 40)}' is not one of the known names"
        labels.append(label)
    if len(set(labels)) > MAX_ALLERGENS:
        return None, f"{len(set(labels))} are named"
    return sorted(set(labels) - {"none"}), ""


def _category(product: Mapping[str, Any]) -> str:
    """The most particular English category: en:smoked-salmons -> smoked salmons."""
    english = [tag.removeprefix("en:") for tag in _tags(product, "categories_tags") if tag.startswith("en:")]
    return shown(english[-1].replace("-", " "), 200) if english else ""


def _text(product: Mapping[str, Any], name: str) -> str:
    value = product.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _tags(product: Mapping[str, Any], name: str) -> list[str]:
    value = product.get(name)
    return [tag.strip().lower() for tag in value if isinstance(tag, str)] if isinstance(value, list) else []
