"""Dates as banks write them: 2026-11-20, 20.11.2026, 20.11.26, 11/20/2026.

A column of dates is read in one way, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from services.imports.cells import Unreadable
from shared.types import FIRST_YEAR, LAST_YEAR

Order = str
"""`ymd`, `dmy` or `mdy`: which of the three numbers of a date is which."""

FORMS: Final = {
    "yyyy-mm-dd": "ymd", "yyyymmdd": "ymd", "dd.mm.yyyy": "dmy", "dd/mm/yyyy": "dmy", "dd-mm-yyyy": "dmy",
    "dd.mm.yy": "dmy", "dd/mm/yy": "dmy", "mm/dd/yyyy": "mdy", "mm/dd/yy": "mdy", "mm-dd-yyyy": "mdy",
}  # fmt: skip
"""What --date-format takes."""

_DATE: Final = re.compile(r"(\d{4}|\d{1,2})([-./])(\d{1,2})\2(\d{4}|\d{1,2})(?:[T ].{0,30})?", re.ASCII)
_COMPACT: Final = re.compile(r"(\d{4})(\d\d)(\d\d)", re.ASCII)


def order_of(form: str) -> Order:
    """The order that a form such as `dd.mm.yyyy` means. Raises Unreadable for one that is not known."""
    found = FORMS.get(form.lower())
    if found is None:
        raise Unreadable(f"'{form[:40]}' is no date format that is known; use one of {', '.join(FORMS)}")
    return found


def locale_order(locale: str) -> Order:
    """The order in which a locale writes its short dates."""
    from babel import Locale

    pattern = Locale.parse(locale.replace("-", "_")).date_formats["short"].pattern.lower()
    return "".join(sorted("dmy", key=pattern.index))


def column_order(texts: Iterable[str]) -> Order:
    """The one order in which all dates of a column can be read. Raises Unreadable when there is none, or several.

    Dates with points have the day first wherever they are written so; with slashes, both are common.
    """
    possible = {"ymd", "dmy", "mdy"}
    last = ""
    for text in texts:
        here = {order for order in possible if _fits(text, order)}
        if not here:
            reason = (
                "no date"
                if not possible - here or not last
                else f"no date in the order of those before it, such as {last}"
            )
            raise Unreadable(f"'{text[:40]}' is {reason}; say how dates are written with --date-format")
        possible, last = here, text
        if possible == {"dmy", "mdy"} and "." in text:
            possible = {"dmy"}
    if len(possible) > 1:
        raise Unreadable(
            f"'{last[:40]}' and all the other dates can be read with the day or the month first; say which with "
            "--date-format dd/mm/yyyy or --date-format mm/dd/yyyy"
        )
    return possible.pop()


def _fits(text: str, order: Order) -> bool:
    try:
        read_day(text, order)
    except Unreadable:
        return False
    return True


def read_day(text: str, order: Order) -> date:
    """A date in a known order; two digits of a year are of this century. Raises Unreadable."""
    found = _DATE.fullmatch(text.strip())
    parts = (found[1], found[3], found[4]) if found else None
    if parts is None and order == "ymd" and (compact := _COMPACT.fullmatch(text.strip())):
        parts = (compact[1], compact[2], compact[3])
    if parts is not None:
        by = dict(zip(order, parts, strict=True))
        if len(by["y"]) in (2, 4) and len(by["d"]) <= 2 and len(by["m"]) <= 2 and (order != "ymd" or len(by["y"]) == 4):
            try:
                made = date(int(by["y"]) + (2000 if len(by["y"]) == 2 else 0), int(by["m"]), int(by["d"]))
            except ValueError:
                made = None
            if made is not None and FIRST_YEAR <= made.year <= LAST_YEAR:
                return made
    raise Unreadable(f"'{text[:40]}' is not a date in the order {order}")
