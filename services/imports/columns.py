"""Which column of a file says what: found by the names that people usually give it, or mapped by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.imports.cells import Unreadable
from services.imports.plan import shown

Usual = Mapping[str, tuple[str, ...]]
"""For each thing that a row says, the columns that it usually stands in; the first that a file has is taken."""

EXAMPLE: Final = "date=Buchungstag,amount=Betrag"


def column_map(given: Sequence[str], usual: Usual, example: str = EXAMPLE) -> dict[str, str]:
    """`date=Buchungstag,amount=Betrag` as a mapping. Raises Unreadable for what no row says."""
    found: dict[str, str] = {}
    for part in given:
        for pair in re.split(rf",(?=(?:{'|'.join(usual)})=)", part):
            name, equals, column = pair.partition("=")
            if name.strip() not in usual or not equals or not column.strip():
                raise Unreadable(
                    f"--map takes pairs such as {example}; '{shown(pair, 60)}' is none. It knows {', '.join(usual)}"
                )
            found[name.strip()] = column.strip()
    return found


def columns_in(names: Iterable[str], usual: Usual, mapped: Mapping[str, str]) -> dict[str, str]:
    """For each thing that a file says, the name of its column; both as the file writes them, in lower case."""
    there = set(names)
    found = {}
    for said, known in usual.items():
        hand = mapped.get(said)
        for name in (re.sub(r"\s*/\s*", "/", hand.lower()), hand.lower()) if hand else known:
            if name in there:
                found[said] = name
                break
    return found
