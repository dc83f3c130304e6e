"""Do the rows of a read model follow from the stream? A fresh fold of it, in memory, beside what PostgreSQL holds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from shared.errors import Corrupt, Invalid
from shared.event import decode
from shared.folding import passed_over
from shared.generations import Generation, live_generation
from shared.projection import Key, Projection, Row, Rows, Table, Unfoldable, fold
from shared.tables import Connection, read_rows
from shared.wire import StreamReader

_SLICE: Final = 500
_canonical: Final = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Compared:
    """One table: how many rows it should have, their digest, and the first row that differs, in a sentence, if any."""

    table: str
    rows: int
    digest: str
    difference: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One read model at one moment: what it was folded to, what is set aside, and its tables."""

    generation: Generation
    positions: Mapping[str, int]
    parked: int
    tables: tuple[Compared, ...]

    @property
    def same(self) -> bool:
        return all(table.difference is None for table in self.tables)


async def compare(connection: Connection, projection: Projection, nats_url: str) -> Comparison:
    """Fold the streams afresh to a read model's checkpoints, and compare row by row.

    Rows, checkpoints and parked events are those of one snapshot. What is parked, waiting or skipped is left out on
    both sides, and counted. Raises Invalid when the read model is not live at the code's version, and Corrupt when an
    event that it claims to have folded does not fold.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        live = await live_generation(connection, projection.name)
        if live is None or live.version != projection.version:
            raise Invalid(
                f"{projection.name} is not live at version {projection.version}: there is nothing to compare."
            )
        where = (live.projection, live.number)
        checkpoints = await connection.fetch(
            "SELECT stream, sequence FROM commons.checkpoint WHERE projection = $1 AND generation = $2", *where
        )
        positions: dict[str, int] = {record["stream"]: record["sequence"] for record in checkpoints}
        left_out = {
            (stream, sequence)
            for stream, sequence in await connection.fetch(
                "SELECT stream, sequence FROM commons.parked WHERE projection = $1 AND generation = $2"
                " AND status <> 'retried'", *where
            )
        }  # fmt: skip
        stored = {table.name: await read_rows(connection, live.schema, table) for table in projection.tables}
    fresh = await fold_to(projection, nats_url, positions, left_out=left_out)
    tables = tuple(
        Compared(table.name, len(rows), digest(table, rows), difference(table, rows, stored[table.name]))
        for table in projection.tables
        for rows in [fresh.all(table.name)]
    )
    return Comparison(live, positions, len(left_out), tables)


async def fold_to(
    projection: Projection, nats_url: str, positions: Mapping[str, int],
    *, left_out: AbstractSet[tuple[str, int]] = frozenset(),
) -> Rows:  # fmt: skip
    """The rows that follow from the first event of each stream up to a position, in memory.

    `left_out` are events, by stream and sequence, that are passed over. Raises Corrupt, naming the event, when one does
    not fold.
    """
    rows = Rows(projection.tables, whole=True)
    for stream, position in positions.items():
        contract, unwanted = projection.contracts[stream], passed_over(projection, stream)
        async with StreamReader(nats_url, stream, name=f"fold-{projection.name}") as reader:
            if reader.last_sequence < position:
                raise Corrupt(
                    f"{projection.name} has folded {stream} up to {position:,}, but the stream ends at "
                    f"{reader.last_sequence:,}: its tail is lost. Stop the services, keep the server's folder as it "
                    "is, and restore the stream from a backup.",
                    stream=stream, sequence=reader.last_sequence, expected=position,
                )  # fmt: skip
            async for messages in reader.batches(until=position):
                for start in range(0, len(messages), _SLICE):
                    part = [
                        decode(m.payload, stream=stream, sequence=m.sequence, subject=m.subject, contract=contract)
                        for m in messages[start : start + _SLICE]
                        if not left_out or (stream, m.sequence) not in left_out
                    ]
                    events = [event for event in part if event.envelope.type not in unwanted]
                    try:
                        fold(projection, events, rows)
                    except Unfoldable as failure:
                        event = events[failure.index]
                        raise Corrupt(
                            f"{projection.name} cannot fold event {event.sequence:,} of {stream} ({event.subject}), "
                            f"though it is not parked: {type(failure.cause).__name__}: {failure.cause}",
                            stream=stream, sequence=event.sequence, subject=event.subject,
                        ) from failure  # fmt: skip
                    await asyncio.sleep(0)
    return rows


def digest(table: Table, rows: Mapping[Key, Row]) -> str:
    """SHA-256 over the rows in the order of their keys, each as JSON, in hex: equal for equal tables."""
    total = hashlib.sha256()
    for key in sorted(rows):
        total.update(_canonical([key, _values(table, rows[key])]))
    return total.hexdigest()


def difference(table: Table, fresh: Mapping[Key, Row], stored: Mapping[Key, Row]) -> str | None:
    """The first row, by key, in which a table differs from what it should be, in a sentence; None if none does."""
    for key in sorted(fresh.keys() | stored.keys()):
        where = ", ".join(f"{column}={value}" for column, value in zip(table.key, key, strict=True))
        if key not in stored:
            return f"{table.name}: the row {where} is missing"
        if key not in fresh:
            return f"{table.name}: the row {where} is there, and should not be"
        columns = zip(table.values, _values(table, fresh[key]), _values(table, stored[key]), strict=True)
        for column, should, found in columns:
            if should != found:
                return f"{table.name}: in the row {where}, {column} is {found!r} and should be {should!r}"
    return None


@dataclass(frozen=True, slots=True)
class Beside:
    """One table as it should be and as it is stored: rows and digests of both, and how many rows differ.

    `missing` rows are not stored, `extra` ones are and should not be, `changed` ones have other values. `difference`
    is the first of them by key, in a sentence.
    """

    table: str
    rows: int
    digest: str
    stored_rows: int
    stored_digest: str
    missing: int
    extra: int
    changed: int
    difference: str | None


class _Side:
    """The rows of a table, taken one by one in the order of their keys, counted and hashed."""

    def __init__(self, table: Table, source: AsyncIterator[Sequence[tuple[Key, Row]]]) -> None:
        self._table, self._source = table, source
        self._batch: Iterator[tuple[Key, Row]] = iter(())
        self._digest = hashlib.sha256()
        self.count = 0
        self.key: Key | None = None
        self.row: Row = {}
        self.raw = b""

    async def advance(self) -> None:
        """Go to the next row; after the last one there is no key."""
        following = next(self._batch, None)
        while following is None:
            batch = await anext(self._source, None)
            if batch is None:
                self.key = None
                return
            self._batch = iter(batch)
            following = next(self._batch, None)
        self.key, self.row = following
        self.raw = _canonical([self.key, _values(self._table, self.row)])
        self._digest.update(self.raw)
        self.count += 1

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


async def compare_sorted(
    table: Table, fresh: AsyncIterator[Sequence[tuple[Key, Row]]], stored: AsyncIterator[Sequence[tuple[Key, Row]]]
) -> Beside:
    """Compare two tables whose rows come in the order of their keys, as `rows_in_order` gives them.

    The digests are those of `digest`, and no more than a few thousand rows are in memory.
    """
    left, right = _Side(table, fresh), _Side(table, stored)
    await left.advance()
    await right.advance()
    missing = extra = changed = 0
    first: str | None = None
    while left.key is not None or right.key is not None:
        here = left.key is not None and (right.key is None or left.key <= right.key)
        there = right.key is not None and (left.key is None or right.key <= left.key)
        if not (here and there) or left.raw != right.raw:
            missing, extra, changed = missing + (not there), extra + (not here), changed + (here and there)
            if first is None:
                fresh_row = {left.key: left.row} if here and left.key is not None else {}
                stored_row = {right.key: right.row} if there and right.key is not None else {}
                first = difference(table, fresh_row, stored_row)
        if here:
            await left.advance()
        if there:
            await right.advance()
    return Beside(table.name, left.count, left.digest, right.count, right.digest, missing, extra, changed, first)


def _values(table: Table, row: Row) -> Iterable[Any]:
    """The values outside the key in one form, whether they came from a fold or from the database."""
    values = []
    for column in table.values:
        value = row.get(column)
        if isinstance(value, datetime):
            value = value.astimezone(UTC)
        elif table.columns[column] == "jsonb":
            value = msgspec.json.decode(_canonical(value))
        values.append(value)
    return values
