"""Lots and dates out of the free text of a recall notice, as far as they can honestly be read.

A text is cut into clauses (at semicolons, line breaks and list numbers such as `2)`), and each clause is walked from
left to right. A word such as LOT or BEST BY says what the following codes or dates are. Whatever is not understood is
kept with its reason, for a person; a clause with a word that turns its meaning (except, before, higher …) is left to a
person as a whole. Nothing is completed, counted on or corrected: what comes out stands literally in the text.

Every pattern is bounded, and every step moves forward, so the time is proportional to the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.imports import dates
from services.imports.clause import Clause
from services.imports.notice import Codes, Unread
from services.imports.notice_words import MARKER, MARKER_JOIN, Label
from services.imports.plan import shown

MAX_TEXT: Final = 200_000
"""Characters of one field; a longer one is left to a person unread."""


def read_codes(text: str, order: dates.Order, products: frozenset[str]) -> Codes:
    """What a notice's text about codes says.

    `order` is what the notice shows about its dates; `products` are the list numbers of its description, or nothing
    when they cannot be followed. Never raises, whatever the text.
    """
    codes = Codes()
    if len(text) > MAX_TEXT:
        codes.unread.append(Unread(shown(text), f"is longer than {MAX_TEXT:,} characters"))
        return codes
    clauses = list(_clauses(text))
    numbered = [number for clause in clauses if clause.opens for number in clause.products]
    followed = set(numbered) <= products and len(set(numbered)) == len(numbered)
    if len(set(numbered)) > 1 and not followed:
        codes.unread.append(
            Unread(shown(text), "its list numbers do not fit the list of products; every code is taken for all of them")
        )
    carried: tuple[Label, bool] | None = None
    for clause in clauses:
        reader = Clause(clause.text, order, clause.products if followed else (), carried, codes)
        carried = reader.read()
    return codes


# -- clauses ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cut:
    text: str
    products: tuple[str, ...]
    opens: bool


def _clauses(text: str) -> Iterator[_Cut]:
    """The clauses of a text, each with the list numbers it stands under."""
    products: tuple[str, ...] = ()
    for part in re.split(r"[;\n\r]+|(?<=[a-z\d)])\.\s+(?=[A-Z(])", text):
        place, opens = 0, False
        while place < len(part):
            group = _markers(part, place)
            if group is None:
                yield _Cut(part[place:], products, opens)
                break
            begin, end, numbers = group
            if part[place:begin].strip():
                yield _Cut(part[place:begin], products, opens)
            products, opens, place = numbers, True, end


def _markers(text: str, start: int) -> tuple[int, int, tuple[str, ...]] | None:
    """The next run of list numbers, `1)`, `1) and 2)` or `1) - 10)`: where it begins and ends, and the numbers."""
    found = MARKER.search(text, start)
    if found is None:
        return None
    begin, end, numbers = found.start(), found.end(), [found[1].lower()]
    while (join := MARKER_JOIN.match(text, end)) and (found := MARKER.match(text, join.end())):
        number = found[1].lower()
        if (join[1] or "").lower() in ("to", "through", "thru", "-") and number.isdigit() and numbers[-1].isdigit():
            numbers.extend(str(n) for n in range(int(numbers[-1]) + 1, int(number)))
        numbers.append(number)
        end = found.end()
    return begin, end, tuple(numbers)
