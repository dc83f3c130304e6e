"""A projection: how the events of one or more streams become the rows of a read model, as a pure function.

    class StockOnHand(Projection):
        name = "stock_on_hand"
        version = 1
        contracts = {"INVENTORY": inventory}
        tables = (Table("stock", key=("item", "location"),
                        columns={"item": "text", "location": "text", "on_hand": "bigint"}),)

        def touches(self, event):
            yield "stock", (event.data.item, event.data.location)

        def apply(self, event, rows):
            key = (event.data.item, event.data.location)
            row = rows.get("stock", key) or rows.put("stock", key, {"on_hand": 0})
            row["on_hand"] += event.data.quantity

The same code serves the live read model, a rebuild beside it, and verification. It knows no database: what it asks of
`rows` was loaded before, and what it changes is written afterwards, in one transaction with the position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from shared.contract import Contract
from shared.event import Recorded

Key = tuple[Any, ...]
Row = dict[str, Any]

TYPES: Final = ("text", "bigint", "integer", "boolean", "date", "timestamptz", "bytea", "jsonb")
"""PostgreSQL types that a column may have. There is no float: figures are integers (rule 5 of the architecture)."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Table:
    """One table of a read model. `columns` are all its columns, the key's too, each with its PostgreSQL type.

    A row, in `Rows`, holds the columns outside the key; a column left out is null. Values of `jsonb` columns are what
    JSON can hold, and are replaced or changed in place as Python values. An `append` table is only ever put to: its
    rows are written once and need not be loaded (a bin card, a log). `indexes` are lists of columns.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    indexes: tuple[str, ...] = ()
    append: bool = False
    values: tuple[str, ...] = field(init=False)
    bytes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        for name in (self.name, *self.columns):
            if not _NAME.fullmatch(name):
                raise TypeError(f"{name!r} is no name for a table or a column: use lower case, digits and underscores.")
        if not self.key or not set(self.key) <= set(self.columns):
            raise TypeError(f"Table {self.name} needs a key made of its own columns.")
        for column, kind in self.columns.items():
            if kind not in TYPES or (kind == "jsonb" and column in self.key):
                raise TypeError(f"Column {column} of table {self.name} cannot be {kind}.")
        object.__setattr__(self, "values", tuple(c for c in self.columns if c not in self.key))
        object.__setattr__(self, "bytes", tuple(c for c, kind in self.columns.items() if kind == "bytea"))


class NotLoaded(LookupError):
    """`apply` asked for a row that `touches` had not named. Not an error: it is loaded, and the event folded again."""

    def __init__(self, table: str, key: Key) -> None:
        super().__init__(table, key)
        self.table = table
        self.key = key


class _Held:
    """The rows of one table that are in memory; None stands for a row that is known not to exist."""

    __slots__ = ("changed", "rows", "table", "whole")

    def __init__(self, table: Table, whole: bool) -> None:
        self.table = table
        self.rows: dict[Key, Row | None] = {}
        self.changed: set[Key] = set()
        self.whole = whole  # nothing exists but what is here


class Rows:
    """The rows that a projection reads and changes, in memory, between the stream and the database.

    With `whole`, what is not here does not exist: a fold from the first event needs nothing loaded.
    """

    def __init__(self, tables: Iterable[Table], *, whole: bool = False) -> None:
        self._held = {table.name: _Held(table, whole) for table in tables}

    # -- for projections ------------------------------------------------------------------------------------------

    def get(self, table: str, key: Key) -> Row | None:
        """The row, to be changed in place, or None if there is none."""
        held = self._held[table]
        try:
            row = held.rows[key]
        except KeyError:
            if held.table.append:
                raise TypeError(f"Rows of {table} are only ever put: it is an append table.") from None
            if held.whole:
                return None
            raise NotLoaded(table, key) from None
        if row is not None:
            held.changed.add(key)
        return row

    def put(self, table: str, key: Key, row: Row) -> Row:
        """Insert the row, or put it in the place of the one there was; returns it."""
        held = self._held[table]
        held.rows[key] = row
        held.changed.add(key)
        return row

    def delete(self, table: str, key: Key) -> None:
        """Remove the row; it need not exist."""
        held = self._held[table]
        held.rows[key] = None
        held.changed.add(key)

    # -- for whoever loads and writes -----------------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        return all(held.whole for held in self._held.values() if not held.table.append)

    def missing(self, wanted: Iterable[tuple[str, Key]]) -> dict[str, list[Key]]:
        """Which of these rows have to be loaded, by table."""
        found: dict[str, dict[Key, None]] = {}
        for table, key in wanted:
            held = self._held[table]
            if key not in held.rows and not held.whole and not held.table.append:
                found.setdefault(table, {})[key] = None
        return {table: list(keys) for table, keys in found.items()}

    def loaded(self, table: str, asked: Iterable[Key], found: Mapping[Key, Row]) -> None:
        """Take in what the database had of the rows that were asked for."""
        rows = self._held[table].rows
        for key in asked:
            rows[key] = found.get(key)

    def changes(self) -> Iterator[tuple[Table, list[tuple[Key, Row]], list[Key]]]:
        """For each table that changed: the rows to put, and the keys to delete."""
        for held in self._held.values():
            if held.changed:
                rows = held.rows
                puts = [(key, row) for key in held.changed if (row := rows[key]) is not None]
                yield held.table, puts, [key for key in held.changed if rows[key] is None]

    def changed(self) -> int:
        return sum(len(held.changed) for held in self._held.values())

    def settle(self, limit: int) -> None:
        """The changes are in the database. Beyond `limit` rows nothing is kept."""
        for held in self._held.values():
            held.changed.clear()
            if held.table.append:
                held.rows.clear()
        if sum(len(held.rows) for held in self._held.values()) > limit:
            self.forget()

    def discard(self) -> None:
        """Drop what changed since the last `settle`, whole or half; it is loaded again when asked for."""
        for held in self._held.values():
            for key in held.changed:
                held.rows.pop(key, None)
            held.changed.clear()
            held.whole = False

    def forget(self) -> None:
        """Drop every row, because they are too many or because somebody else changed the database."""
        for held in self._held.values():
            held.rows.clear()
            held.changed.clear()
            held.whole = False

    def all(self, table: str) -> dict[Key, Row]:
        """Every row of a table, by key; meant for a fold from the first event."""
        return {key: row for key, row in self._held[table].rows.items() if row is not None}


class Projection:
    """What every read model declares; see the top of this module for one.

    `version` is raised with every change of what the tables hold. `contracts` names the streams it reads, each with the
    contract of its events. `events` limits it to some of their classes; None is all of them. A projection that `sums`
    over aggregates is incomplete while one of its events is parked. `views` are further queries over its tables,
    shown as relations beside them.

    `schema` is where its tables and views are shown to people. What must sit apart names a `role`: the PostgreSQL role
    that owns its tables and views, and as which they are folded, so that no other may read them.

    Handlers must not depend on how the streams interleave: each stream has a checkpoint of its own, so handlers of
    different streams must commute.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    contracts: ClassVar[Mapping[str, Contract]]
    tables: ClassVar[Sequence[Table]]
    events: ClassVar[frozenset[type] | None] = None
    sums: ClassVar[bool] = False
    views: ClassVar[Mapping[str, str]] = {}
    schema: ClassVar[str] = "read"
    role: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" not in vars(cls):
            return  # a base class of several projections
        for name in (cls.name, *cls.views, cls.schema, *([] if cls.role is None else [cls.role])):
            if not _NAME.fullmatch(name):
                raise TypeError(f"{name!r} is no name for a projection, a view, a schema or a role.")
        names = [table.name for table in cls.tables] + list(cls.views)
        if not cls.tables or len(set(names)) != len(names):
            raise TypeError(f"Projection {cls.name} needs tables and views, each with a name of its own.")

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(self.contracts)

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        """The rows that `apply` will ask for: table and key. They are loaded together, before it is called."""
        return ()

    def apply(self, event: Recorded, rows: Rows) -> None:
        """Fold one event into the rows. Whatever it raises parks the event."""
        raise NotImplementedError


class Unfoldable(Exception):
    """One event of a batch could not be folded; those before it were."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(index, cause)
        self.index = index
        self.cause = cause


def fold(projection: Projection, events: Sequence[Recorded], rows: Rows) -> None:
    """Apply events in order. Raises Unfoldable at the first that cannot be; the rows are then half changed."""
    apply = projection.apply
    done = 0
    try:
        for event in events:
            apply(event, rows)
            done += 1
    except Exception as error:  # the door: any error of a projection's code is a fold error, and parks its event
        raise Unfoldable(done, error) from error
