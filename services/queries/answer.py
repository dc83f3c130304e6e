"""A question to the read models, and the answer: columns, rows, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from shared.readmodel import Reading, read

Kind = Literal[
    "text", "quantity", "weight", "number", "temperature", "money", "date", "moment", "flag", "code", "sealed"
]
"""What a column holds. A quantity is in the unit that the row's `unit` says, money in the minor unit of the row's
`unit`, a weight in g, a temperature in tenths of a degree Celsius; a moment is in UTC. A code
is a word for programs, as limit_reached; people read it with blanks. A sealed text is personal, and
opens under its owner's key; where nobody is named, such a column may hold a text in clear."""

Position = tuple[str, int]
"""A stream and a sequence in it, as the answer to a command gives them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name for programs, its title for people, and what it holds.

    `rank` is how much a person needs it: 1 is what a screen is looked at for, 4 what is seldom asked. Where there is
    no room for all, the highest go first.

    A sealed column whose texts hold a value has `words`, which says an opened one in words. A column of a patient's
    record, sealed or clear, names the `part` (services/queries/clinic/roles.py), which decides to whom it is shown.
    """

    name: str
    title: str
    kind: Kind = "text"
    rank: int = 2
    words: Callable[[str], str] | None = field(default=None, compare=False)
    part: str | None = None

    @property
    def right(self) -> bool:
        """Whether it is a figure, and stands at the right."""
        return self.kind in ("quantity", "weight", "number", "temperature", "money")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answer to a question.

    `as_of` is the last event that the rows stand for. When `incomplete`, `reason` says what they leave out. `message`
    says in a sentence why there are no rows, or what else there is to know; `near` are names that come near one that is
    not known. `totals` are rows that sum up others; `decimals` says of each unit of money how many its minor unit has.
    """

    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    as_of: Position
    incomplete: bool = False
    reason: str | None = None
    message: str | None = None
    near: tuple[str, ...] = ()
    totals: list[tuple[Any, ...]] = field(default_factory=list)
    decimals: Mapping[str, int] = field(default_factory=dict)

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings, by the columns' names."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def record(self, row: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip((column.name for column in self.columns), row, strict=True))


@dataclass(frozen=True, slots=True)
class Question:
    """A query over read models, of which one at least reads `stream`. `empty` is said when there are no rows."""

    stream: str
    title: str
    models: tuple[str, ...]
    columns: tuple[Column, ...]
    sql: str
    empty: str

    async def rows(self, pool: asyncpg.Pool, *arguments: Any, at_least: Position | None = None) -> QueryResult:
        """Ask it. With `at_least` it waits until the rows stand for that event.

        Raises shared.readmodel.Behind when that takes too long, and Invalid for a stream that is not read.
        """
        return self._answer(await read(pool, self.models, self.sql, *arguments, at_least=at_least))

    def _rows_of(self, records: Sequence[asyncpg.Record]) -> list[tuple[Any, ...]]:
        if not records:
            return []
        names = [column.name for column in self.columns]
        if [*records[0].keys()][: len(names)] == names:  # a chart has a thousand rows: they are cut, not picked
            return [record[: len(names)] for record in records]
        return [tuple([record[name] for name in names]) for record in records]

    def _answer(self, reading: Reading) -> QueryResult:
        rows = self._rows_of(reading.records)
        checkpoints = reading.checkpoints.values()
        positions = [position[self.stream] for position in checkpoints if self.stream in position]
        reason = None
        if reading.incomplete:
            reason = (
                f"{reading.parked} event(s) could not be folded and are set aside, so figures may be wrong. "
                "See `commons projections parked`."
            )
        return QueryResult(
            title=self.title, columns=self.columns, rows=rows, as_of=(self.stream, min(positions)),
            incomplete=reading.incomplete, reason=reason, message=None if rows else self.empty,
        )  # fmt: skip
