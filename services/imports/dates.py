"""Calendar dates out of printed text, taken only when they can be read in one way.

Which of day and month comes first is not assumed: a date in digits such as 5/6/2011 is read when the same notice has
another one that can be read in one way only (5/25/2011), and otherwise left to a person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)(?![a-z])\.?"
)
_MONTH_GLUED = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_TH = r"(?:st|nd|rd|th)?"
_END = r"(?![\w+]|/\w|-(?!\d{1,2}[/.]\d)\w)"  # 1/2/2026-1/9/2026 is a range; 1/2/2026-A is no date


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


_YEAR_FIRST = _form(rf"(?P<y>\d{{4}})([-/.])(?P<m>\d{{1,2}})\2(?P<d>\d{{1,2}}){_END}")
_NAMED = (
    _form(rf"(?P<d>\d{{1,2}}){_TH}[ .-]{{0,2}}(?P<n>{_MONTH})[ .,-]{{0,3}}(?P<y>\d{{4}}){_END}"),
    _form(rf"(?P<d>\d{{1,2}})(?P<n>{_MONTH_GLUED})(?P<y>\d{{4}}){_END}"),
    _form(rf"(?P<n>{_MONTH})[ .-]{{0,2}}(?P<d>\d{{1,2}}){_TH}[ .,-]{{1,3}}(?P<y>\d{{4}}){_END}"),
    _form(rf"(?P<n>{_MONTH_GLUED})(?P<d>\d{{2}})(?P<y>\d{{4}}){_END}"),
    _form(rf"(?P<y>\d{{4}})[ .-]{{0,2}}(?P<n>{_MONTH})[ .-]{{0,2}}(?P<d>\d{{1,2}}){_END}"),
    _form(rf"(?P<y>\d{{4}})(?P<n>{_MONTH_GLUED})(?P<d>\d{{2}}){_END}"),
)
_DIGITS = _form(rf"(?P<a>\d{{1,2}})(?P<s>[-/.])(?P<b>\d{{1,2}})(?P=s)(?P<y>\d{{4}}|\d{{2}}){_END}")
_UNSURE = (
    (_form(rf"\d{{1,2}}{_TH}[ .-]{{0,2}}{_MONTH}[ .,-]{{0,3}}'?\d{{2}}{_END}"), "its year has two digits"),
    (_form(rf"\d{{1,2}}{_MONTH_GLUED}\d{{2}}{_END}"), "its year has two digits"),
    (_form(rf"{_MONTH}[ .-]{{0,2}}\d{{1,2}}{_TH}[ .,-]{{1,3}}'?\d{{2}}{_END}"), "its year has two digits"),
    (_form(rf"{_MONTH}[ .,-]{{0,3}}\d{{4}}{_END}"), "a month without a day"),
    (_form(rf"{_MONTH_GLUED}\d{{4}}{_END}"), "a month without a day"),
    (_form(rf"{_MONTH}[ .-]{{0,2}}\d{{1,2}}{_TH}{_END}"), "a date without a year"),
    (_form(rf"\d{{1,2}}{_TH}[ .-]{{0,2}}{_MONTH}"), "a date without a year"),
    (_form(rf"\d{{4}}[-/.]\d{{1,2}}{_END}"), "a month without a day"),
    (_form(rf"\d{{1,2}}[-/.]\d{{4}}{_END}"), "a month without a day"),
    (_form(rf"\d{{1,2}}[/.]\d{{1,2}}{_END}"), "it may be a day and a month, or a month and a year"),
    (_form(rf"(?:\d{{8}}|\d{{6}}){_END}"), "a date without separators can be read in several ways"),
)


class Order(Enum):
    """What the dates of one text show about their order."""

    MONTH_FIRST = "month first"
    DAY_FIRST = "day first"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DateReading:
    """What stands at a place of a text: a date, or something like one and the reason why it is not read."""

    end: int
    day: date | None
    reason: str


def order_of(text: str) -> Order:
    """The order that the dates in digits of one text are written in, if one of them shows it and none contradicts."""
    shown = set()
    for found in _DIGITS.finditer(text):
        first, second = int(found["a"]), int(found["b"])
        if first <= 12 < second <= 31:
            shown.add(Order.MONTH_FIRST)
        elif second <= 12 < first <= 31 and len(found["y"]) == 4:
            shown.add(Order.DAY_FIRST)
    return shown.pop() if len(shown) == 1 else Order.UNKNOWN


def at(text: str, start: int, order: Order) -> DateReading | None:
    """The date, or what looks like one, at a place of a text."""
    if not (text[start : start + 1].isascii() and text[start : start + 1].isalnum()):
        return None
    found = _YEAR_FIRST.match(text, start)
    if found:
        return _made(found.end(), int(found["y"]), int(found["m"]), int(found["d"]))
    for form in _NAMED:
        if found := form.match(text, start):
            month = _NAMES.index(found["n"][:3].lower()) + 1
            return _made(found.end(), int(found["y"]), month, int(found["d"]))
    if found := _DIGITS.match(text, start):
        return _in_digits(found, order)
    for form, reason in _UNSURE:
        if found := form.match(text, start):
            return DateReading(found.end(), None, reason)
    return None


def _in_digits(found: re.Match[str], order: Order) -> DateReading:
    first, second, year = int(found["a"]), int(found["b"]), int(found["y"])
    if len(found["y"]) == 2:
        if year > 60:
            return DateReading(found.end(), None, "the century of its year is not certain")
        year += 2000
        if first > 12:
            return DateReading(found.end(), None, "it is not certain which part is the year")
    if first == second or first <= 12 < second:
        return _made(found.end(), year, first, second)
    if second <= 12 < first:
        return _made(found.end(), year, second, first)
    if order is Order.UNKNOWN:
        return DateReading(found.end(), None, "it is not certain which part is the day and which the month")
    month, day = (first, second) if order is Order.MONTH_FIRST else (second, first)
    return _made(found.end(), year, month, day)


def _made(end: int, year: int, month: int, day: int) -> DateReading:
    try:
        made = date(year, month, day)
    except ValueError:
        return DateReading(end, None, "there is no such day")
    if not 1950 <= year <= 2150:
        return DateReading(end, None, "its year is not one of a package")
    return DateReading(end, made, "")
