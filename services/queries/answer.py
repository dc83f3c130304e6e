"""A question to the read models, and the answer: columns, rows, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import asyncpg

from services.queries.names import Names, find_names, near_lots
from shared.readmodel import Reading, read

STREAM: Final = "INVENTORY"

Kind = Literal["text", "quantity", "weight", "number", "temperature", "date", "moment", "flag", "sealed"]
"""What a column holds. A quantity is in the unit that the row's `unit` says, a weight in g, a temperature in tenths of
a degree Celsius; a moment is in UTC. A sealed text is personal, and opens under its owner's key."""

Position = tuple[str, int]
"""A stream and a sequence in it, as the answer to a command gives them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name for programs, its title for people, and what it holds."""

    name: str
    title: str
    kind: Kind = "text"

    @property
    def right(self) -> bool:
        """Whether it is a figure, and stands at the right."""
        return self.kind in ("quantity", "weight", "number", "temperature")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to a question.

    `as_of` is the last event that the rows stand for. When `incomplete`, `reason` says what they leave out. `message`
    says in a sentence why there are no rows, or what else there is to know; `near` are names that come near one that is
    not known.
    """

    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    as_of: Position
    incomplete: bool = False
    reason: str | None = None
    message: str | None = None
    near: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings, by the columns' names."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Question:
    """A query over read models. Its first two parameters are an item and a location, each null for all.

    `empty` is said when there are no rows.
    """

    title: str
    models: tuple[str, ...]
    columns: tuple[Column, ...]
    sql: str
    empty: str

    async def ask(
        self, pool: asyncpg.Pool, item: str | None, location: str | None, *arguments: Any, lot: str | None = None,
        at_least: Position | None = None,
    ) -> QueryResult:  # fmt: skip
        """Ask it, of an item (id, barcode or name) and a location, or of all.

        `lot` only explains an empty answer. With `at_least` it waits until the rows stand for that event. Raises
        shared.readmodel.Behind when that takes too long, and Invalid for a stream that is not read.
        """
        names = await find_names(pool, item, location, at_least)
        if names.unknown is not None:
            return self._unknown(names)
        reading = await read(pool, self.models, self.sql, names.item, names.location, *arguments, at_least=at_least)
        found = self._answer(reading)
        if found.rows or lot is None:
            return found
        near = await near_lots(pool, lot, names.item)
        return replace(found, near=near, message=f"{self.empty} {_hint(near)}".strip())

    def _answer(self, reading: Reading) -> QueryResult:
        names = [column.name for column in self.columns]
        rows = [tuple(record[name] for name in names) for record in reading.records]
        positions = [position[STREAM] for position in reading.checkpoints.values()]
        reason = None
        if reading.incomplete:
            reason = (
                f"{reading.parked} event(s) could not be folded and are set aside, so figures may be wrong. "
                "See `commons projections parked`."
            )
        return QueryResult(
            title=self.title, columns=self.columns, rows=rows, as_of=(STREAM, min(positions)),
            incomplete=reading.incomplete, reason=reason, message=None if rows else self.empty,
        )  # fmt: skip

    def _unknown(self, names: Names) -> QueryResult:
        return QueryResult(
            title=self.title, columns=self.columns, rows=[], as_of=(STREAM, names.sequence), near=names.near,
            message=f"{names.unknown} {_hint(names.near)}".strip(),
        )  # fmt: skip


def _hint(near: Sequence[str]) -> str:
    return f"Near it: {', '.join(near)}." if near else ""
