"""What stands in one cell: whole numbers, yes and no, dates, moments. Each returns a value or raises Unreadable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

from shared.types import MAX_INTEGER

_WHOLE = re.compile(r"\d{1,40}", re.ASCII)
_DECIMAL = re.compile(r"(\d{1,13})\.(\d{1,3})", re.ASCII)
_PACK = re.compile(r"(?:(\d{1,9})\s{0,3}[x×]?\s{1,3})?([^\W\d][^\d]{0,40}?)s?\s{1,3}of\s{1,3}(\d{1,9})", re.IGNORECASE)
_YES: Final = frozenset({"yes", "y", "true", "1"})
_NO: Final = frozenset({"no", "n", "false", "0", ""})

UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "each": ("each", 1), "g": ("g", 1), "kg": ("g", 1000), "ml": ("ml", 1), "l": ("ml", 1000),
}  # fmt: skip
"""Units of a quantity: the base unit each counts in, and how many of it one is."""


class Unreadable(ValueError):
    """A cell does not hold what its column asks for; the text says why and what to write."""


def whole(text: str) -> int:
    """A whole number without sign or separators."""
    if not _WHOLE.fullmatch(text):
        raise Unreadable(_number_fault(text))
    if int(text) > MAX_INTEGER:
        raise Unreadable(f"'{text[:40]}' is more than {MAX_INTEGER:,}")
    return int(text)


def _number_fault(text: str) -> str:
    if re.fullmatch(r"-\d+", text):
        return f"'{text}' is negative; a quantity is 1 or more, and a mistake is reversed in the ledger"
    if re.fullmatch(r"\d[\d.,' \u00a0\u202f]{0,38}\d", text, re.ASCII):
        return f"'{text}' has a separator that can be read in several ways; write a whole number such as 1234"
    return f"'{text[:40]}' is not a whole number such as 1234"


def flag(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise Unreadable(f"'{text[:40]}' is neither yes nor no")


def day(text: str) -> str:
    """A date as 2026-11-20, in that form."""
    try:
        if len(text) == 10 and text[4] == text[7] == "-":
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise Unreadable(f"'{text[:40]}' is not a date such as 2026-11-20")


def moment(text: str) -> str:
    """A moment with its offset from UTC, such as 2026-11-20T09:30:00Z, in UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or "-" not in text[:5] or len(text) < 16:
        raise Unreadable(f"'{text[:40]}' is not a moment such as 2026-11-20T09:30:00Z")
    if read.tzinfo is None:
        raise Unreadable(f"'{text[:40]}' lacks its offset from UTC; add Z, or for example +01:00")
    try:
        return read.astimezone(UTC).isoformat()
    except OverflowError:
        raise Unreadable(f"'{text[:40]}' is too near the end of the calendar") from None


def amount(quantity: str, unit: str) -> tuple[int, str | None]:
    """A quantity in base units and the base unit it counts in, None when the cells do not say.

    Read are `12` with no unit, `2.5` with `kg`, `2` with `case of 12`, and `2 cases of 12` in one cell. A point is the
    decimal mark of kg and l, with at most three digits behind it.
    """
    if pack := _PACK.fullmatch(quantity):
        if unit and unit.lower() != "each":
            raise Unreadable(f"'{quantity[:40]}' already says its pack; leave the unit empty")
        return _checked(int(pack[1] or 1) * int(pack[3])), "each"
    if pack := _PACK.fullmatch(unit):
        return _checked(whole(quantity) * int(pack[1] or 1) * int(pack[3])), "each"
    if not unit:
        return _checked(whole(quantity)), None
    known = UNITS.get(unit.lower())
    if known is None:
        raise Unreadable(f"the unit '{unit[:40]}' is not known; use {', '.join(UNITS)} or a pack such as 'case of 12'")
    base, factor = known
    if factor == 1000 and (decimal := _DECIMAL.fullmatch(quantity)):
        return _checked(int(decimal[1]) * factor + int(decimal[2].ljust(3, "0"))), base
    return _checked(whole(quantity) * factor), base


def _checked(quantity: int) -> int:
    if not 1 <= quantity <= MAX_INTEGER:
        raise Unreadable("the quantity is 0" if quantity == 0 else f"the quantity is more than {MAX_INTEGER:,}")
    return quantity


def slug(name: str, limit: int = 64) -> str:
    """An id made of a name: `Crème fraîche 30%` -> `creme-fraiche-30`; empty when nothing of it can be used."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].rstrip("-")
