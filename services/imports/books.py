"""What reading a file about money has to know of the book: its own unit, and the decimals of each of its units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.treasury.units import decimals_of
from shared.errors import Invalid


@dataclass(frozen=True, slots=True)
class Units:
    """The units of one book. `own` is its currency."""

    book: str
    own: str
    scales: Mapping[str, int]

    @classmethod
    def of_currency(cls, book: str, unit: str) -> Units:
        """Those of a book that is only being opened. Raises Invalid when the unit is no currency of ISO 4217."""
        decimals = decimals_of(unit)
        if decimals is None:
            raise Invalid(
                f"{unit[:20]} is no ISO 4217 currency with a minor unit; a book's own unit is one, such as EUR."
            )
        return cls(book, unit, {unit: decimals})

    def decimals(self, unit: str) -> int | None:
        """The decimals of a unit that may be posted in this book; None for any other."""
        return self.scales.get(unit)


async def units_of(pool: asyncpg.Pool, book: str | None) -> Units:
    """The units of a book as the read model has them; of the only one when none is named. Raises Invalid without."""
    books: Iterable[Any] = await pool.fetch("SELECT book, unit FROM read.books ORDER BY book")
    known = {row["book"]: row["unit"] for row in books}
    if book is None:
        if not known:
            raise Invalid("There is no book yet; open one with commons import accounts FILE --book ID --open NAME.")
        if len(known) > 1:
            raise Invalid(f"There are {len(known)} books ({', '.join(sorted(known)[:10])}); say which with --book.")
        book = next(iter(known))
    if book not in known:
        raise Invalid(f"There is no book {book[:64]}; commons import accounts with --open NAME begins one.")
    rows = await pool.fetch("SELECT unit, scale FROM read.units WHERE book = $1", book)
    return Units(book, known[book], {row["unit"]: row["scale"] for row in rows})
