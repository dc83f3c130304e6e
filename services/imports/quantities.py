"""The net content printed on a package: `500 g`, `6 x 33 cl`, `1,5 kg`, as far as it can be read in one way."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_UNITS: Final[dict[str, tuple[str, Fraction]]] = {
    "mg": ("g", Fraction(1, 1000)), "g": ("g", Fraction(1)), "gr": ("g", Fraction(1)), "gram": ("g", Fraction(1)),
    "grams": ("g", Fraction(1)), "kg": ("g", Fraction(1000)), "kilo": ("g", Fraction(1000)),
    "ml": ("ml", Fraction(1)), "cl": ("ml", Fraction(10)), "dl": ("ml", Fraction(100)), "l": ("ml", Fraction(1000)),
    "liter": ("ml", Fraction(1000)), "litre": ("ml", Fraction(1000)), "liters": ("ml", Fraction(1000)),
    "litres": ("ml", Fraction(1000)),
}  # fmt: skip

_CONTENT = re.compile(
    r"(?:(?P<count>\d{1,4})\s{0,3}[x×*]\s{0,3})?(?P<number>\d{1,7}(?:[.,]\d{1,4})?)\s{0,3}(?P<unit>[a-z]{1,6})\.?"
    r"(?:\s{0,3}[e℮])?",
    re.ASCII | re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """How much a package holds, in whole g or ml."""

    amount: int
    unit: str


def read_content(text: str) -> Content | str:
    """The net content, or why it is left unread. A multipack is read as the whole of it."""
    plain = " ".join(unicodedata.normalize("NFKC", text[:100]).replace("℮", "e").split())
    found = _CONTENT.fullmatch(plain)
    if found is None:
        return "is not a number with a unit of weight or volume"
    known = _UNITS.get(found["unit"].lower())
    if known is None:
        return f"has the unit '{found['unit']}', which is no whole number of g or ml"
    whole, mark, rest = _split(found["number"])
    if mark and len(rest) == 3 and whole.strip("0"):
        return f"has a '{mark}' that may separate thousands or decimals"
    unit, factor = known
    amount = Fraction(f"{whole}.{rest or 0}") * factor * int(found["count"] or 1)
    if amount.denominator != 1 or amount < 1:
        return f"is no whole number of {unit}"
    return Content(int(amount), unit)


def _split(number: str) -> tuple[str, str, str]:
    mark = "," if "," in number else "." if "." in number else ""
    whole, _, rest = number.partition(mark) if mark else (number, "", "")
    return whole, mark, rest
