"""Rows in memory, and folds as pure functions."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.comparison import difference, digest
from shared.event import Recorded, decode
from shared.folding import is_data_error, is_outage, passed_over
from shared.projection import NotLoaded, Projection, Rows, Table, Unfoldable, fold
from shared.tables import layout
from tests.support.till import POISON, CoinsMoved, JarBroken, Jars, Sold, Takings, envelope, shop, till

JARS = Jars.tables
PAIR = Table("pair", key=("a", "b"), columns={"a": "text", "b": "bigint", "c": "jsonb", "d": "timestamptz"})


def recorded(events: Iterable[Any], *, stream: str = "TILL") -> list[Recorded]:
    made = []
    for sequence, event in enumerate(events, 1):
        subject, raw = envelope(event, sequence)
        contract = shop if isinstance(event, Sold) else till
        made.append(decode(raw, stream=stream, sequence=sequence, subject=subject, contract=contract))
    return made


def folded(projection: Projection, events: Iterable[Recorded]) -> dict[str, dict[Any, Any]]:
    rows = Rows(projection.tables, whole=True)
    fold(projection, list(events), rows)
    return {table.name: rows.all(table.name) for table in projection.tables}


jar = st.sampled_from(["a", "b", "c"])
moved = st.builds(CoinsMoved, jar=jar, coins=st.integers(-5, 12), note=st.sampled_from(["", "x"]))
broken = st.builds(JarBroken, jar=jar)
sold = st.builds(Sold, jar=jar, coins=st.integers(1, 9))


@given(st.lists(st.one_of(moved, broken)), st.data())
def test_batches_of_any_size_through_a_database_give_the_same_rows(events: list[Any], data: st.DataObject) -> None:
    """With a cache of any size, rows dropped, and rows loaded again: as one fold in memory."""
    projection, stored = Jars(), {table.name: {} for table in JARS}
    rows = Rows(JARS)
    rest = recorded(events)
    while rest:
        size = data.draw(st.integers(1, 4))
        batch, rest = rest[:size], rest[size:]
        if data.draw(st.booleans()):  # a fold that came to nothing leaves no trace
            _load(rows, projection, batch, stored)
            fold(projection, batch, rows)
            rows.discard()
        _load(rows, projection, batch, stored)
        fold(projection, batch, rows)
        for table, puts, gone in rows.changes():
            stored[table.name].update(copy.deepcopy(dict(puts)))
            for key in gone:
                stored[table.name].pop(key, None)
        rows.settle(data.draw(st.integers(0, 5)))
    assert stored == folded(projection, recorded(events))


def _load(rows: Rows, projection: Projection, batch: list[Recorded], stored: dict[str, Any]) -> None:
    for table, keys in rows.missing(t for event in batch for t in projection.touches(event)).items():
        rows.loaded(table, keys, copy.deepcopy({key: stored[table][key] for key in keys if key in stored[table]}))


@given(st.lists(moved), st.lists(sold), st.randoms(use_true_random=False))
def test_handlers_of_two_streams_commute(moves: list[Any], sales: list[Any], chance: Any) -> None:
    """Whatever the interleaving of the streams, each in its own order, the rows are the same."""
    one, other = recorded(moves, stream="TILL"), recorded(sales, stream="SHOP")
    turns = [0] * len(one) + [1] * len(other)
    chance.shuffle(turns)
    streams = (iter(one), iter(other))
    assert folded(Takings(), [next(streams[turn]) for turn in turns]) == folded(Takings(), one + other)


def test_a_row_that_is_not_here_has_to_be_loaded() -> None:
    rows = Rows(JARS)
    with pytest.raises(NotLoaded) as missing:
        rows.get("jar", ("a",))
    assert (missing.value.table, missing.value.key) == ("jar", ("a",))
    assert rows.missing([("jar", ("a",)), ("jar", ("a",)), ("movement", (1,))]) == {"jar": [("a",)]}
    rows.loaded("jar", [("a",)], {})
    assert rows.get("jar", ("a",)) is None
    assert Rows(JARS, whole=True).get("jar", ("a",)) is None


def test_only_what_was_asked_for_or_put_is_written() -> None:
    rows = Rows(JARS)
    rows.loaded("jar", [("a",), ("b",)], {("a",): {"coins": 1}, ("b",): {"coins": 2}})
    assert list(rows.changes()) == []
    row = rows.get("jar", ("a",))
    assert row is not None
    row["coins"] = 5
    rows.delete("jar", ("c",))
    ((table, puts, gone),) = rows.changes()
    assert (table.name, puts, gone) == ("jar", [(("a",), {"coins": 5})], [("c",)])
    rows.settle(10)
    assert list(rows.changes()) == []
    assert rows.get("jar", ("c",)) is None


def test_rows_of_an_append_table_are_only_put() -> None:
    rows = Rows(JARS, whole=True)
    rows.put("movement", (1,), {"jar": "a"})
    assert rows.all("movement") == {(1,): {"jar": "a"}}
    rows.settle(10)
    with pytest.raises(TypeError, match="only ever put"):
        rows.get("movement", (1,))


def test_the_event_that_does_not_fold_is_named() -> None:
    events = recorded([CoinsMoved(jar="a", coins=1), CoinsMoved(jar="a", coins=POISON), CoinsMoved(jar="a", coins=1)])
    with pytest.raises(Unfoldable) as failure:
        fold(Jars(), events, Rows(JARS, whole=True))
    assert failure.value.index == 1
    assert isinstance(failure.value.cause, ZeroDivisionError)


def test_events_that_nobody_asked_for_are_passed_over_and_unknown_ones_are_not() -> None:
    assert passed_over(Takings(), "TILL") == {"commons.till.jar-broken.v1"}
    assert passed_over(Jars(), "TILL") == frozenset()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Table("Jar", key=("a",), columns={"a": "text"}), "'Jar' is no name"),
        (lambda: Table("jar; drop", key=("a",), columns={"a": "text"}), "is no name"),
        (lambda: Table("jar", key=("a",), columns={"a b": "text"}), "'a b' is no name"),
        (lambda: Table("jar", key=("b",), columns={"a": "text"}), "a key made of its own columns"),
        (lambda: Table("jar", key=(), columns={"a": "text"}), "a key made of its own columns"),
        (lambda: Table("jar", key=("a",), columns={"a": "real"}), "Column a of table jar cannot be real"),
        (lambda: Table("jar", key=("a",), columns={"a": "jsonb"}), "cannot be jsonb"),
        (lambda: type("X", (Projection,), {"name": "x", "tables": ()}), "x needs tables"),
        (lambda: type("X", (Projection,), {"name": "x", "tables": (PAIR, PAIR)}), "each with a name of its own"),
        (lambda: type("X", (Projection,), {"name": "x-y", "tables": (PAIR,)}), "'x-y' is no name"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        wrong()


def test_the_layout_is_the_tables_and_nothing_else() -> None:
    class Same(Jars):
        name = "same"
        version = 7

    class Other(Jars):
        name = "other"
        views: ClassVar = {}

    assert layout(Same()) == layout(Jars())
    assert layout(Other()) != layout(Jars())


def test_differences_are_named_and_digests_agree() -> None:
    one = {("a", 1): {"c": {"x": (1, 2), "w": None}, "d": None}, ("a", 2): {"c": None}}
    same = {("a", 2): {"c": None, "d": None}, ("a", 1): {"c": {"w": None, "x": [1, 2]}, "d": None}}
    assert difference(PAIR, one, same) is None
    assert digest(PAIR, one) == digest(PAIR, same)
    other = {**same, ("a", 1): {"c": {"w": None, "x": [1, 3]}, "d": None}}
    assert difference(PAIR, one, other) == (
        "pair: in the row a=a, b=1, c is {'w': None, 'x': [1, 3]} and should be {'w': None, 'x': [1, 2]}"
    )
    assert digest(PAIR, one) != digest(PAIR, other)
    assert difference(PAIR, {}, same) == "pair: the row a=a, b=1 is there, and should not be"


OUTAGES = (
    ConnectionResetError(), TimeoutError(), asyncpg.CannotConnectNowError(), asyncpg.AdminShutdownError(),
    asyncpg.DiskFullError(), asyncpg.DeadlockDetectedError(), asyncpg.InterfaceError("closed"),
)  # fmt: skip
DATA_ERRORS = (
    asyncpg.NumericValueOutOfRangeError(), asyncpg.NotNullViolationError(), asyncpg.UniqueViolationError(),
    asyncpg.CharacterNotInRepertoireError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"),
)  # fmt: skip
MISTAKES = (asyncpg.UndefinedColumnError(), asyncpg.SyntaxOrAccessError(), KeyError("x"))


@pytest.mark.parametrize("error", [*OUTAGES, *DATA_ERRORS, *MISTAKES], ids=repr)
def test_outages_are_waited_out_and_data_errors_park(error: Exception) -> None:
    """And anything else is a mistake of ours, which stops the projection."""
    assert is_outage(error) is (error in OUTAGES)
    assert is_data_error(error) is (error in DATA_ERRORS)
