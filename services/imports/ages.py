"""Ages, years and days of birth, and the names of age groups, as the three age bands that reports ask for.

Nothing finer than the band leaves this file, and no error repeats what stood in the cell.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from services.distribution.contract import AgeBand
from services.imports import days
from services.imports.cells import Unreadable

_ADULT: Final = 18
_SENIOR: Final = 60
_OLDEST: Final = 125

_AGE: Final = re.compile(r"(\d{1,3})\s*(y|yrs?|years?|jahre?|ans?|años)?(?:\s+old)?", re.IGNORECASE)
_MONTHS: Final = re.compile(r"\d{1,3}\s*(m|mo|mths?|months?|weeks?|days?|monate?|mois|meses)(?:\s+old)?", re.IGNORECASE)
_RANGE: Final = re.compile(r"(\d{1,3})\s*(?:-|–|to|bis|à)\s*(\d{1,3})", re.IGNORECASE)
_ABOVE: Final = re.compile(r"(\d{1,3})\s*\+|(?:over|above|über)\s+(\d{1,3})", re.IGNORECASE)
_BELOW: Final = re.compile(r"(?:under|below|unter|<)\s*(\d{1,3})", re.IGNORECASE)

_NAMED: Final = {
    AgeBand.CHILD: ("child", "children", "minor", "baby", "infant", "toddler", "teen", "teenager", "youth", "kind"),
    AgeBand.ADULT: ("adult", "adults", "erwachsen", "erwachsene", "adulte"),
    AgeBand.SENIOR: ("senior", "seniors", "elder", "elderly", "older adult", "pensioner"),
    AgeBand.UNKNOWN: ("", "unknown", "not known", "n/a", "-", "?"),
}
_BANDS: Final = {name: band for band, names in _NAMED.items() for name in names}


def of_years(years: int) -> AgeBand:
    """The band of an age in whole years. Raises Unreadable for one that nobody has."""
    if not 0 <= years <= _OLDEST:
        raise Unreadable(f"an age is 0 to {_OLDEST} years")
    return AgeBand.CHILD if years < _ADULT else AgeBand.ADULT if years < _SENIOR else AgeBand.SENIOR


def band_of_age(text: str) -> AgeBand:
    """The band of an age: `34`, `7 years`, `10 months`, or the name of a group. Raises Unreadable."""
    if found := _AGE.fullmatch(text.strip()):
        return of_years(int(found[1]))
    if _MONTHS.fullmatch(text.strip()):
        return AgeBand.CHILD
    return band_of(text)


def born_in(text: str, order: days.Order, on: date) -> AgeBand:
    """The band, on a day, of somebody born in a year or on a day; of a year, the age that they reach in this one.

    Raises Unreadable, which does not say when somebody was born.
    """
    if re.fullmatch(r"\d{4}", text, re.ASCII):
        years = on.year - int(text)
    else:
        try:
            born = days.read_day(text, order)
        except Unreadable:
            raise Unreadable("the birth is neither a year nor a date in the order of the others") from None
        years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
        if born > on:
            years = -1
    if not 0 <= years <= _OLDEST:
        raise Unreadable(f"the birth lies after {on}, or more than {_OLDEST} years before it")
    return of_years(years)


def band_of(text: str) -> AgeBand:
    """The band that a group's name means: `child`, `18-59`, `60+`, `under 18`. Raises Unreadable for one across two."""
    plain = " ".join(text.lower().split())
    if plain in _BANDS:
        return _BANDS[plain]
    if found := _RANGE.fullmatch(plain):
        lowest, highest = of_years(int(found[1])), of_years(int(found[2]))
    elif found := _ABOVE.fullmatch(plain):
        lowest, highest = of_years(int(found[1] or found[2])), AgeBand.SENIOR
    elif found := _BELOW.fullmatch(plain):
        lowest, highest = AgeBand.CHILD, of_years(max(int(found[1]) - 1, 0))
    else:
        raise Unreadable("the age is not one such as 34, 7 years, child, 18-59 or 60+")
    if lowest is not highest:
        raise Unreadable(
            f"the age group lies in two of the bands under {_ADULT}, {_ADULT} to {_SENIOR - 1}, {_SENIOR} and over; "
            "give ages or years of birth, or leave it empty"
        )
    return lowest
