"""Questions about a book: which one is meant, which day it is there, and how its money is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.names import checked
from shared.clock import utc_now
from shared.errors import Invalid
from shared.readmodel import read

STREAM: Final = "TREASURY"

_LISTED: Final = 20

UNIT: Final = Column("unit", "Unit")
SIGN: Final = "CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END"
"""1 for an account `a` that grows by debits, -1 for one that grows by credits."""


class NoBook(Invalid):
    """There is no book yet."""


class WhichBook(Invalid):
    """There are several books, and none was named."""


@dataclass(frozen=True, slots=True)
class Book:
    """What screens need to know of a book; `decimals` are those of its units."""

    id: str
    name: str
    unit: str
    starts: date
    year_end: str
    closed_through: date | None
    decimals: Mapping[str, int]
    today: date

    def year_of(self, day: date) -> tuple[date, date]:
        """The first and the last day of the fiscal year that a day is in. A year that ends with February ends with its
        last day."""
        month, last = int(self.year_end[:2]), int(self.year_end[3:])
        ends = _day(day.year, month, last)
        if day > ends:
            ends = _day(day.year + 1, month, last)
        return _day(ends.year - 1, month, last) + timedelta(days=1), ends


def _day(year: int, month: int, day: int) -> date:
    following = date(year + month // 12, month % 12 + 1, 1)
    return min(following - timedelta(days=1), date(year, month, 1) + timedelta(days=day - 1))


async def find_book(
    pool: asyncpg.Pool, book: str | None, *, now: datetime | None = None, at_least: Position | None = None
) -> Book:
    """The book of that id, or the only one.

    Raises NoBook, WhichBook when it is not said, and Invalid when it is not known.
    """
    checked(book)
    reading = await read(
        pool, "chart",
        "SELECT b.*, (SELECT jsonb_object_agg(u.unit, u.scale) FROM units u WHERE u.book = b.book) AS decimals"
        " FROM books b ORDER BY b.book",
        at_least=at_least,
    )  # fmt: skip
    known = {record["book"]: record for record in reading.records}
    if not known:
        raise NoBook("There is no book yet. Begin one with `commons send treasury OpenBook`.")
    if book is None and len(known) > 1:
        raise WhichBook(f"There are {len(known)} books: say which with --book. They are: {_listed(known)}.")
    record = next(iter(known.values())) if book is None else known.get(book)
    if record is None:
        raise Invalid(f"There is no book {book!r}. There is: {_listed(get_close_matches(str(book), known) or known)}.")
    local = (now or utc_now()) + timedelta(minutes=record["utc_offset"])
    return Book(
        record["book"], record["name"], record["unit"], record["starts"], record["year_end"], record["closed_through"],
        record["decimals"], local.date(),
    )  # fmt: skip


def _listed(names: Iterable[str]) -> str:
    """The first names, and a sign that there are more."""
    listed = list(names)
    return ", ".join([*listed[:_LISTED], *["…"] * (len(listed) > _LISTED)])


async def known_in(pool: asyncpg.Pool, book: Book, what: str, given: str | None) -> None:
    """Raise Invalid when the book has no such account or fund, and say what comes near."""
    if checked(given) is None:
        return
    reading = await read(
        pool, "chart", f"SELECT {what} AS id, name FROM {what}s WHERE book = $1 ORDER BY 1", book.id  # noqa: S608
    )  # fmt: skip
    known = {record["id"]: record["name"] for record in reading.records}
    if given not in known:
        by_text = {id.lower(): id for id in known} | {name.lower(): id for id, name in known.items()}
        near = [by_text[text] for text in get_close_matches(str(given).lower(), by_text)]
        hint = (
            f" Near it: {_listed(dict.fromkeys(near))}." if near else f" There is: {_listed(known)}." if known else ""
        )
        raise Invalid(f"The book {book.id} has no {what} {given!r}.{hint}")


@dataclass(frozen=True, slots=True)
class BookQuestion(Question):
    """A query over the treasury's read models. Its first parameter is the book.

    `sums` are the columns that a row of totals sums up, one row for each unit.
    """

    stream: str = field(default=STREAM, init=False)
    sums: tuple[str, ...] = ()

    async def ask(
        self, pool: asyncpg.Pool, book: Book, *arguments: Any, about: str | None = None,
        at_least: Position | None = None,
    ) -> QueryResult:  # fmt: skip
        """Ask it of a book; `about` is what the title says beside the name. Raises as `rows` does."""
        found = await self.rows(pool, book.id, *arguments, at_least=at_least)
        title = " · ".join(part for part in (self.title, book.name, about) if part)
        totals = totals_of(found, self.sums) if self.sums else []
        return replace(found, title=title, decimals=book.decimals, totals=totals)


def totals_of(found: QueryResult, sums: Sequence[str], label: str = "Total") -> list[tuple[Any, ...]]:
    """A row for each unit in which the columns are summed up; the first column says what it is."""
    at = {column.name: place for place, column in enumerate(found.columns)}
    unit = at["unit"]
    rows = []
    for one in dict.fromkeys(row[unit] for row in found.rows):
        total: list[Any] = [None] * len(found.columns)
        total[0], total[unit] = label, one
        for name in sums:
            figures = [row[at[name]] for row in found.rows if row[unit] == one and row[at[name]] is not None]
            total[at[name]] = sum(figures) if figures else None
        rows.append(tuple(total))
    return rows


def totals_by(found: QueryResult, sums: Sequence[str]) -> list[tuple[Any, ...]]:
    """Totals of each group of rows that have the same first column."""
    totals: list[tuple[Any, ...]] = []
    for group in dict.fromkeys(row[0] for row in found.rows):
        part = replace(found, rows=[row for row in found.rows if row[0] == group])
        totals += totals_of(part, sums, f"Total: {group[0].lower()}{group[1:]}")
    return totals


def span(first: date | None, last: date | None) -> str | None:
    """A span of days, for a title."""
    if first and last:
        return f"{first} to {last}"
    return f"from {first}" if first else f"to {last}" if last else None
