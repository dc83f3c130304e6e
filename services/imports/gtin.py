"""Global Trade Item Numbers: the digits under a barcode, taken only when their check digit is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

LENGTHS: Final = (8, 12, 13, 14)

# How the digits of a barcode are grouped in print. A run of other groups is not taken apart by guesswork.
_SHAPES: Final = frozenset(
    [
        *[(8,), (4, 4), (12,), (1, 5, 5, 1), (1, 10, 1), (1, 11), (6, 6), (6, 5, 1), (1, 5, 6)],
        *[(13,), (1, 6, 6), (1, 12), (1, 10, 2), (14,), (1, 2, 5, 5, 1)],
        *[(1, 4, 4, 2, 1), (1, 5, 3, 2, 1), (1, 5, 4, 1, 1)],  # a drug's: 3, its national drug code, the check digit
    ]
)

_RUN = re.compile(r"\d(?:[ -]{0,2}\d){0,29}", re.ASCII)
_GROUP = re.compile(r"\d+", re.ASCII)
_PRINTED = re.compile(r"(?<![\w-])\d[ -]\d{5}[ -]\d{5}[ -]\d(?![\w-])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reading:
    """A run of digits that stands where a GTIN would: the number, or why it is none; and where the run ends."""

    text: str
    gtin: str | None
    reason: str
    end: int


def check_digit_holds(digits: str) -> bool:
    """The GS1 check digit (General Specifications 7.9.1): weights 3 and 1 alternate from the right."""
    weighed = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return weighed % 10 == 0


def fault(digits: str) -> str:
    """Why these digits are no GTIN; empty when they are one."""
    if len(digits) not in LENGTHS:
        if len(digits) in (10, 11):
            return f"has {len(digits)} digits; a UPC has 12, and the missing ones are not guessed"
        return f"has {len(digits)} digits; a GTIN has 8, 12, 13 or 14"
    if not check_digit_holds(digits):
        return "its check digit is wrong"
    return "" if digits.strip("0") else "it is all zeros"


def normal(digits: str) -> str:
    """The form in which two GTINs are compared: 14 digits, zeros in front."""
    return digits.zfill(14)


def read(text: str) -> tuple[str | None, str]:
    """The digits of a GTIN typed into a cell, blanks and hyphens left out; else None and the reason."""
    digits = re.sub(r"[ -]", "", text)
    if not (digits.isascii() and digits.isdigit()):
        return None, "a GTIN is made of digits"
    reason = fault(digits)
    return (None, reason) if reason else (digits, "")


def at(text: str, start: int) -> Reading | None:
    """The GTIN that a free text has at `start`, right after a word such as UPC."""
    run = _RUN.match(text, start)
    if run is None:
        return None
    groups = [found.span() for found in _GROUP.finditer(text, run.start(), run.end())]
    for count in range(len(groups), 0, -1):
        end = groups[count - 1][1]
        glued = text[end : end + 2].lstrip("-")[:1].isalnum() or (end < run.end() and text[end] == "-")
        shape = tuple(stop - begin for begin, stop in groups[:count])
        if shape in _SHAPES and not glued:
            written = text[run.start() : end]
            gtin, reason = read(written)
            return Reading(written, gtin, reason, end)
    written = run.group()
    digits = re.sub(r"[ -]", "", written)
    return Reading(written, None, fault(digits) or "the digits are grouped in a way that is not read", run.end())


def printed(text: str) -> Iterator[tuple[int, str]]:
    """Numbers grouped as under a UPC barcode (0 21985 20005 6) whose check digit is right, with their places."""
    for found in _PRINTED.finditer(text):
        gtin, _ = read(found.group())
        if gtin is not None:
            yield found.start(), gtin
