"""What the warnings about goods say, in words: they come sealed, so this is done to an answer once it is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from services.distribution.contract import Warned, warnings_in, warnings_unseen
from services.queries.answer import QueryResult

OF_GOODS: Final = "goods_warnings"
"""The column of a check-in that holds the warnings about an order's goods, as they were sealed."""


def check_in_told(found: QueryResult) -> QueryResult:
    """A check-in whose `warnings` end with those about the order's goods, which have no column of their own then."""
    names = [column.name for column in found.columns]
    look, goods = names.index("warnings"), names.index(OF_GOODS)

    def row(values: tuple[Any, ...]) -> tuple[Any, ...]:
        warned = _warned(values[goods])
        said = warned if isinstance(warned, str) else ", ".join(f"{one.item} {_words(one)}" for one in warned)
        told = "; ".join(filter(None, [values[look], said])) or None
        return tuple(told if n == look else value for n, value in enumerate(values) if n != goods)

    columns = tuple(column for column in found.columns if column.name != OF_GOODS)
    return replace(found, columns=columns, rows=[row(values) for values in found.rows])


def packing_told(found: QueryResult) -> QueryResult:
    """A packing sheet whose `warning` is, in each row, the one about its item."""
    names = [column.name for column in found.columns]
    look, item = names.index("warning"), names.index("item")

    def row(values: tuple[Any, ...]) -> tuple[Any, ...]:
        warned = _warned(values[look])
        own = warned if isinstance(warned, str) else next((_words(w) for w in warned if w.item == values[item]), None)
        return (*values[:look], own, *values[look + 1 :])

    return replace(found, rows=[row(values) for values in found.rows])


def review_told(found: QueryResult) -> QueryResult:
    """A review without what turns out to warn of nothing that nobody has seen, or that nobody can read any more; in the
    `detail` of what does warn, the warnings. What is not opened stays."""
    names = [column.name for column in found.columns]
    kind, detail = names.index("kind"), names.index("detail")

    def rows() -> Iterator[tuple[Any, ...]]:
        for values in found.rows:
            text = values[detail]
            if values[kind] != "look_at_warnings" or text is None:
                yield values
                continue
            warned = _warned(text)
            if isinstance(warned, str):
                if warned != "(erased)":
                    yield values
            elif warnings_unseen(text):
                said = ", ".join(f"{one.item} {_words(one)}" for one in warned)
                yield (*values[:detail], said, *values[detail + 1 :])

    return replace(found, rows=list(rows()))


def _warned(text: str | None) -> tuple[Warned, ...] | str:
    """The warnings in a text; what was not opened stays as it is, and says why."""
    try:
        return () if text is None else warnings_in(text)
    except ValueError:
        return text or ""


def _words(warned: Warned) -> str:
    return str(warned.warning).replace("_", " ")
