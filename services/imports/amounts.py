"""Amounts of money as people and banks write them, turned into whole minor units: exact, never guessed, never a float.

`1.234,56` is one thing in Germany and nonsense in England, and `1,234` is a different amount in each. With a locale an
amount is read as that locale writes it, or refused. Without one it is read only if it can be read in one way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from services.imports.cells import Unreadable
from services.treasury.units import as_decimal
from shared.types import MAX_INTEGER

_SPACES: Final = frozenset(" \u00a0\u202f\u2009")
_APOSTROPHES: Final = frozenset("'\u2019")
_MINUS: Final = str.maketrans(dict.fromkeys("\u2212\u2012\u2013", "-"))
_DIGITS: Final = re.compile(r"[0-9]*")
_LONGEST: Final = 60
_PLAIN: Final = re.compile(r"(-?)([0-9]{1,9})(?:\.([0-9]{1,2}))?")
"""What most files are full of, in one look: no other notation reads it differently."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How numbers are written: the decimal mark, the marks that may part groups, and how many digits groups have."""

    decimal: str
    marks: frozenset[str]
    last: int = 3
    others: int = 3
    locale: str = ""

    def read(self, text: str) -> tuple[str, str] | None:
        """The digits before and behind the decimal mark; None when the text is not written so."""
        whole, point, fraction = text.partition(self.decimal)
        if point and not fraction:
            return None
        used = {c for c in whole if c in self.marks}
        if len(used) > 1:
            return None
        for mark in used:
            first, *rest = whole.split(mark)
            sizes = [self.others] * (len(rest) - 1) + [self.last]
            if not 1 <= len(first) <= self.others or first.startswith("0") or [len(part) for part in rest] != sizes:
                return None
            whole = first + "".join(rest)
        if not (whole or fraction) or not _DIGITS.fullmatch(whole + fraction):
            return None
        return whole or "0", fraction


_ANY: Final = tuple(
    Notation(decimal, marks)
    for decimal in ".,"
    for marks in ({"." if decimal == "," else ","}, _SPACES, _APOSTROPHES)
    for marks in (frozenset(marks),)
)
"""The notations that an amount without a locale is tried in."""


@cache
def notation(locale: str) -> Notation:
    """The notation of a locale such as `de`, `en_GB` or `fr-CH`. Raises Unreadable for one that is not known."""
    from babel import Locale, UnknownLocaleError  # takes long to import, and most commands read no amounts
    from babel.numbers import get_decimal_symbol, get_group_symbol

    try:
        found = Locale.parse(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        raise Unreadable(
            f"'{locale[:40]}' is not a locale that is known; write one such as de, en_GB or fr_CH"
        ) from None
    decimal = get_decimal_symbol(found, numbering_system="latn")
    group = get_group_symbol(found, numbering_system="latn")
    alike = next((marks for marks in (_SPACES, _APOSTROPHES) if group in marks), frozenset(group))
    last, others = found.decimal_formats[None].grouping
    return Notation(decimal, frozenset(alike), last, others, locale)


def minor_units(text: str, decimals: int, *, unit: str = "", locale: str | None = None) -> int:
    """A signed amount in minor units of a unit with so many decimals; the unit's code or symbol may stand beside it.

    Raises Unreadable when the text is no amount, is not as the locale writes it, could be read in several ways, has
    more decimals than the unit, or is too large.
    """
    given = text.strip()
    if locale is None and (plain := _PLAIN.fullmatch(given)) and len(plain[3] or "") <= decimals:
        return int(plain[1] + plain[2] + (plain[3] or "").ljust(decimals, "0"))
    sign, body = _signed(given, unit)
    if len(given) > _LONGEST or not body:
        raise Unreadable(f"'{given[:40]}' is not an amount such as 1234.50")
    readings = {found for each in (_ANY if locale is None else (notation(locale),)) if (found := each.read(body))}
    if len(readings) > 1:
        raise Unreadable(_ambiguous(given, decimals))
    if not readings:
        raise Unreadable(_not_one(given, decimals, locale))
    whole, fraction = readings.pop()
    if len(fraction) > decimals:
        of = unit or "the unit"
        raise Unreadable(f"'{given}' has {len(fraction)} decimals, and {of} has {decimals or 'none'}")
    minor = int(whole + fraction.ljust(decimals, "0"))
    if minor > MAX_INTEGER:
        raise Unreadable(f"'{given}' is larger than {as_decimal(MAX_INTEGER, decimals)}")
    return sign * minor


def decimal_marks(text: str, unit: str = "") -> frozenset[str]:
    """The marks that may be the decimal mark in an amount that was written somewhere; those of a whole column agree."""
    if (plain := _PLAIN.fullmatch(text)) is not None:
        return frozenset("." if plain[3] else ".,")
    _, body = _signed(text.strip(), unit)
    return frozenset(each.decimal for each in _ANY if each.read(body))


class OneNotation:
    """Watches over a file whose amounts are read without a locale: all of them must be written in one way.

    With `1.234,56` on one line and `12.50` on another, each can be read for itself, and one of the two is misread.
    """

    def __init__(self) -> None:
        self._marks: frozenset[str] = frozenset(".,")
        self._last = ""

    def take(self, text: str, line: int, unit: str = "") -> None:
        """Look at the next amount. Raises Unreadable when no one way of writing fits it and those before."""
        here = decimal_marks(text, unit) if text else frozenset()
        if not here:
            return  # no amount in any notation: its line is refused for that
        if not self._marks & here:
            raise Unreadable(
                f"its amounts are not all written in one way ('{self._last}', and on line {line} '{text[:30]}'); "
                "say which is right with --locale"
            )
        if len(self._marks) > 1 and len(here) == 1:
            self._last = text[:30]
        self._marks &= here


def _signed(text: str, unit: str) -> tuple[int, str]:
    """The sign and the bare number of `-12.50`, `12.50 €`, `-€12.50`, `(12.50)`."""
    sign, rest = _sign(_bare(text.translate(_MINUS), unit))
    return sign, _bare(rest, unit)


def _sign(text: str) -> tuple[int, str]:
    """The sign in front, behind, or as an accountant's parentheses."""
    if text.startswith("(") and text.endswith(")"):
        return -1, text[1:-1].strip()
    if text.endswith("-") and not text.startswith(("-", "+")):
        return -1, text[:-1].strip()
    if text.startswith(("-", "+")):
        return (-1 if text[0] == "-" else 1), text[1:].strip()
    return 1, text


def _bare(text: str, unit: str) -> str:
    """The amount without the code or the symbol of its unit at either end. Another currency's stays, and is refused."""
    for name in (unit, _symbol(unit)) if unit else ():
        for part in (text.removeprefix(name), text.removesuffix(name)):
            if part != text:
                return part.strip()
    return text


@cache
def _symbol(unit: str) -> str:
    from babel.numbers import get_currency_symbol

    return get_currency_symbol(unit, locale="en")


def _ambiguous(given: str, decimals: int) -> str:
    return (
        f"'{given}' can be read in two ways, the mark in it being a decimal mark or between thousands; say how amounts "
        f"are written with --locale, or write {'1234' if decimals == 0 else as_decimal(123450, decimals)}"
    )


def _not_one(given: str, decimals: int, locale: str | None) -> str:
    if locale is None:
        return f"'{given[:40]}' is not an amount such as {as_decimal(123450, decimals)}"
    return f"'{given[:40]}' is not an amount as {locale} writes it, such as {_example(notation(locale), decimals)}"


def _example(written: Notation, decimals: int) -> str:
    group = "'" if written.marks & _APOSTROPHES else " " if written.marks & _SPACES else min(written.marks)
    return f"1{group}234" + (written.decimal + "5".ljust(decimals, "0") if decimals else "")
