"""What a GS1 barcode says: the item's number, the lot, the dates and the quantity, from a scanner or a keyboard.

Reads element strings as a scanner gives them (with or without the symbology's identifier, fields parted by the group
separator), the same as printed under the bars, `(01)04006381333931(10)A7(17)270131`, digital links, and plain EAN, UPC
and GTIN numbers. GS1 General Specifications: https://ref.gs1.org/standards/genspecs/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from biip.gs1_element_strings import GS1ElementString

from services.inventory.contract import gtin_is_valid
from shared.errors import Invalid

MAX_LENGTH: Final = 500
"""Characters of a scan; a GS1 symbol holds far fewer."""

SEPARATOR: Final = "\x1d"
_LINKS: Final = ("http://", "https://")
_GTIN_LENGTHS: Final = (8, 12, 13, 14)
_PRINTED: Final = re.compile(r"(?:\(\d{2,4}\)[^()]+)+")
_FIELDS: Final = {"10": "lot", "15": "best-before date", "16": "sell-by date", "17": "expiry date"}


@dataclass(frozen=True, slots=True)
class Scan:
    """What was read of one barcode; what it does not say is None.

    `gtin` has 14 digits. `count` is a number of pieces (AI 30, 37). `weight` is in g (AI 310n), `volume` in
    ml (AI 315n).
    """

    gtin: str | None = None
    lot: str | None = None
    expiry: date | None = None
    best_before: date | None = None
    sell_by: date | None = None
    count: int | None = None
    weight: int | None = None
    volume: int | None = None

    @property
    def date(self) -> date | None:
        """The date that the ledger keeps: the expiry or use-by date (AI 17), else the best-before date (AI 15)."""
        return self.expiry or self.best_before

    @property
    def date_kind(self) -> str | None:
        """What `date` means, in the ledger's words."""
        return "expiry" if self.expiry else "best_before" if self.best_before else None


def is_scan(text: str) -> bool:
    """Whether a text is written as only a scan is, so that it cannot be an id or a lot typed by hand."""
    return text.startswith(("(", "]", *_LINKS)) or SEPARATOR in text


def is_gtin(text: str) -> bool:
    """Whether a text is a bare GTIN, EAN or UPC with the right check digit; it may still be an id of digits."""
    return len(text) in _GTIN_LENGTHS and text.isascii() and text.isdigit() and gtin_is_valid(text)


def read_scan(text: str) -> Scan:
    """Read a barcode. Raises Invalid, saying which part cannot be read and what to do."""
    given = text.strip()
    if not given or len(given) > MAX_LENGTH:
        raise Invalid(f"A scan has 1 to {MAX_LENGTH} characters; this one has {len(given):,}. Scan the barcode again.")
    if any(not c.isprintable() and c != SEPARATOR for c in given):
        raise _unreadable(given, "it has control characters")
    import biip  # takes long to import, and most commands scan nothing

    try:
        elements = _elements(given)
    except biip.ParseError as error:
        raise _unreadable(given, _reason(given, str(error))) from error
    except ValueError as error:
        raise _unreadable(given, str(error)) from error
    return _scan(given, elements)


def _elements(given: str) -> list[GS1ElementString]:
    """The element strings of a scan of any form."""
    import biip
    from biip.gs1_messages import GS1Message

    if given.startswith("("):
        if not _PRINTED.fullmatch(given):
            raise ValueError("a part of it is empty, or a parenthesis is missing")
        return list(GS1Message.parse_hri(given).element_strings)
    if given.isascii() and given.isdigit() and len(given) in _GTIN_LENGTHS:
        return list(GS1Message.parse(f"01{given.zfill(14)}").element_strings)
    if given.startswith("]") and len(given) <= 3:  # "]C1" says what kind of barcode follows, and biip counts on it
        raise ValueError("nothing follows its symbology identifier")
    found = biip.parse(given)
    if found.gs1_message is not None:
        return list(found.gs1_message.element_strings)
    if found.gs1_digital_link_uri is not None:
        return list(found.gs1_digital_link_uri.element_strings)
    if found.gtin is not None:
        return list(GS1Message.parse(f"01{found.gtin.as_gtin_14()}").element_strings)
    raise biip.ParseError(
        found.gs1_digital_link_uri_error or found.gs1_message_error or found.gtin_error or "it is no GS1 barcode"
    )


def _scan(given: str, elements: Iterable[GS1ElementString]) -> Scan:
    by_ai: dict[str, GS1ElementString] = {}
    for element in elements:
        ai = element.ai.ai
        earlier = by_ai.setdefault(ai, element)
        if earlier.value != element.value:
            raise _unreadable(given, f"it says ({ai}) twice, once {earlier.value} and once {element.value}")
        if ai in ("01", "02") and element.gtin is None:
            raise _unreadable(given, f"the last digit of the item's number {element.value} is not its check digit")
    item = by_ai.get("01") or by_ai.get("02")
    if item is None and "00" in by_ai:
        raise _unreadable(given, "it is the number of a pallet or parcel (00), and does not say which item is in it")
    lot = by_ai.get("10")
    return Scan(
        gtin=item.value if item else None,
        lot=lot.value if lot else None,
        expiry=_date(by_ai, "17"), best_before=_date(by_ai, "15"), sell_by=_date(by_ai, "16"),
        count=_count(given, by_ai),
        weight=_measure(given, by_ai, "310"), volume=_measure(given, by_ai, "315"),
    )  # fmt: skip


def _date(by_ai: dict[str, GS1ElementString], ai: str) -> date | None:
    return by_ai[ai].date if ai in by_ai else None


def _count(given: str, by_ai: dict[str, GS1ElementString]) -> int | None:
    found = by_ai.get("37") or by_ai.get("30")
    if found is None:
        return None
    if int(found.value) == 0:
        raise _unreadable(given, f"its count ({found.ai.ai}) is zero")
    return int(found.value)


def _measure(given: str, by_ai: dict[str, GS1ElementString], kind: str) -> int | None:
    """A measure in kilograms or litres, in thousandths of them."""
    found = next((element for ai, element in by_ai.items() if ai.startswith(kind)), None)
    if found is None or found.decimal is None:
        return None
    thousandths = found.decimal * 1000
    if thousandths != thousandths.to_integral_value() or thousandths == Decimal(0):
        raise _unreadable(given, f"its measure ({found.ai.ai}) {found.decimal} is not a whole number of g or ml")
    return int(thousandths)


def _unreadable(given: str, reason: str) -> Invalid:
    shown = "".join(c if c.isprintable() else "␝" for c in given[:80])
    return Invalid(
        f"The scan {shown!r} cannot be read: {reason.rstrip('.')}. Scan it again, or type the item and the lot."
    )


def _reason(given: str, said: str) -> str:
    """The library's complaint in words for whoever holds the scanner."""
    for ai, what in _FIELDS.items():
        if f"AI ({ai})" in said or f"AI {ai} " in said:
            return f"its {what} ({ai}) is not as GS1 writes it" + ("" if ai == "10" else ", YYMMDD")
    if not given.startswith(("(", "]", *_LINKS)) and not given[:2].isdigit():
        return "it is not a GS1 barcode"
    if "Unknown GS1 Application Identifier" in said or "Failed to get GS1 Application Identifier" in said:
        return "it has a part that GS1 does not know; a parenthesis or a digit may be missing"
    if "check digit" in said:
        return "its last digit is not the check digit of the item's number"
    if given.startswith(_LINKS):
        return "the link is not a GS1 digital link, such as https://id.gs1.org/01/04006381333931/10/A7"
    if "pattern" in said:
        return "one of its parts has a wrong length or wrong characters"
    return "it is not a GS1 barcode"
