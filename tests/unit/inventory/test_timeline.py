"""The timeline gives the same answers as a plain list of movements, whatever the order in which they come."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory import timeline
from services.inventory.timeline import Timeline, microseconds, moment_of


class Plain:
    """The same in the plainest way: a list, sorted, added up each time."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, int]] = []
        self.floor: tuple[int, int] | None = None
        self.settled = 0

    def balances_from(self, moment: int) -> list[tuple[int, int]]:
        start = (moment, 2**62)
        if self.floor is not None and start < self.floor:
            start = self.floor
        figure = self.settled
        lowest = []
        for at, revision, change in sorted(self.entries):
            if self.floor is not None and (at, revision) < self.floor:
                continue
            if (at, revision) > start:
                lowest.append((at, figure + change))
            figure += change
        before = figure - sum(c for at, r, c in self.entries if (at, r) > start)
        return [(max(moment, start[0]), before), *lowest]

    def settle(self, moment: int, revision: int, counted: int) -> None:
        self.settled = counted
        self.floor = (moment, revision)


moments = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("move"), moments, st.integers(-20, 20).filter(bool)),
        st.tuples(st.just("count"), moments, st.integers(0, 30)),
    ),
    max_size=60,
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four, so that short histories split, append and let go."""
    monkeypatch.setattr(timeline, "BLOCK", 4)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_it_agrees_with_a_plain_list(history: list[tuple[str, int, int]]) -> None:
    line, plain = Timeline(), Plain()
    for revision, (what, moment, figure) in enumerate(history, start=1):
        if what == "move":
            line.enter(moment, revision, 1, figure)
            plain.entries.append((moment, revision, figure))
        elif plain.floor is None or (moment, revision) > plain.floor:
            line.settle(moment, revision, 8, figure - line.balance_at(moment))
            plain.settle(moment, revision, figure)
        for at in range(-1, 14):
            expected = plain.balances_from(at)
            assert line.minimum_from(at) == min(b for _, b in expected)
            for quantity in (0, 5):
                below = next(((m, b) for m, b in expected if b < quantity), None)
                assert line.first_below(at, quantity) == below
        assert line.balance == plain.balances_from(99)[-1][1]
        assert [c for c in line.check() if "falls" not in c] == []


@settings(max_examples=50, deadline=None)
@given(steps)
def test_it_survives_a_snapshot(history: list[tuple[str, int, int]]) -> None:
    line = Timeline()
    for revision, (_, moment, figure) in enumerate(history, start=1):
        line.enter(moment, revision, 3, figure)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(line), type=Timeline) == line


def test_what_an_event_did_is_found_again_by_its_revision() -> None:
    line = Timeline()
    for revision in range(1, 40):
        line.enter(100 - revision, revision, revision % 3, revision)
    assert [(e.moment, e.kind, e.change) for e in line.entries_of(17)] == [(83, 2, 17)]
    assert line.entries_of(40) == []


def test_movements_out_after_a_moment_depend_on_it() -> None:
    line = Timeline()
    for revision, (moment, change) in enumerate([(1, 10), (2, -1), (3, -2), (4, 5), (5, -3)], start=1):
        line.enter(moment, revision, 0, change)
    assert line.outgoing_after(2, 2, limit=9) == [3, 5]
    assert line.outgoing_after(0, 9, limit=2) == [2, 3]


def test_a_count_settles_what_came_before_it() -> None:
    line = Timeline()
    line.enter(1, 1, 0, 10)
    line.enter(3, 2, 0, -4)
    line.settle(2, 3, 8, -3)  # three were missing at moment 2
    assert (line.balance, line.balance_at(2), line.minimum_from(0)) == (3, 7, 3)
    line.enter(1, 4, 0, -2)  # two of the three are explained later
    assert (line.balance, line.balance_at(2), line.balance_at(1)) == (3, 7, 8)
    assert [entry.change for entry in line.entries_of(3)] == [-1]


def test_a_movement_is_amended_where_it_stands() -> None:
    line = Timeline()
    for revision, change in enumerate((10, -8, 6), start=1):
        line.enter(1, revision, 0, change)
    line.amend(1, 2, 0, 8)
    assert (line.balance, line.first_below(1, 10, revision=1), line.entries_of(2)[0].change) == (16, None, 0)
    line.settle(5, 4, 8, 0)
    line.amend(1, 1, 0, -3)
    assert (line.balance, line.balance_at(1)) == (16, 13)


def test_blocks_before_the_last_count_but_one_are_let_go() -> None:
    line = Timeline()
    for revision in range(1, 101):
        line.enter(revision, revision, 0, 1)
    line.settle(100, 101, 8, 0)
    assert line.entries_of(3)
    line.settle(101, 102, 8, 0)
    assert not line.entries_of(3)
    assert len(line.blocks) <= 2
    assert line.balance == 100


def test_moments_are_exact_to_the_microsecond() -> None:
    for moment in (
        datetime(1901, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 11, 20, 9, 30, 0, 123457, tzinfo=UTC),
        datetime(2198, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ):
        assert moment_of(microseconds(moment)) == moment


@pytest.mark.parametrize("moments", [(10, 20), (10, 10)])
def test_movements_that_changed_places_are_found(moments: tuple[int, int]) -> None:
    """Of two moments, and of one moment, where the revisions tell their order."""
    line = Timeline()
    for revision, moment in enumerate(moments, 1):
        line.enter(moment, revision, 1, 5)
    assert line.check() == []
    block = line.blocks[0]
    first = bytes(block[:24])
    block[:24], block[24:] = block[24:], first
    assert "the movements are out of order" in line.check()
