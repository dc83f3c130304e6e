"""Lines and guards give the same answers as a plain list of amounts, whatever the order in which those come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.treasury.lines import Guard, Line

amounts = st.lists(st.tuples(st.integers(1, 9), st.integers(-20, 20).filter(bool)), max_size=30)
"""Days, and what was posted to them, in the order of recording."""


@given(amounts)
def test_a_line_keeps_the_balance_of_each_day(posted: list[tuple[int, int]]) -> None:
    line = Line()
    for at, (day, amount) in enumerate(posted, 1):
        line.add(day, amount)
        so_far = posted[:at]
        assert line.balance == sum(amount for _, amount in so_far)
        for until in range(11):
            assert line.at_end_of(until) == sum(amount for when, amount in so_far if when <= until)
        assert line.days == sorted({day for day, _ in so_far})
        assert line.peak >= max(map(abs, line.ends))
    assert line.copy() == line
    if posted:
        line.copy().add(1, 5)
        assert line.balance == sum(amount for _, amount in posted), "a copy is apart"


def test_a_line_that_is_posted_in_order_has_the_peak_that_it_had() -> None:
    line = Line()
    for day, amount in ((1, 5), (2, -12), (3, 4)):
        line.add(day, amount)
    assert line.peak == 7


@given(amounts, st.integers(0, 10), st.integers(-40, 40))
def test_a_guard_finds_the_first_day_that_is_too_low(posted: list[tuple[int, int]], day: int, least: int) -> None:
    guard = Guard()
    for when, amount in posted:
        guard.add(when, amount)
    running = sum(amount for when, amount in posted if when <= day)
    expected = (day, running) if running < least else None
    lows: dict[int, int] = {}
    for when, amount in sorted((one for one in posted if one[0] > day), key=lambda one: one[0]):
        running += amount
        lows[when] = min(lows.get(when, running), running)
    for when, low in lows.items():
        if expected is None and low < least:
            expected = (when, low)
    assert guard.first_below(least, day) == expected
    assert guard.balance == sum(amount for _, amount in posted)


@given(amounts)
def test_a_copy_of_a_guard_is_apart(posted: list[tuple[int, int]]) -> None:
    guard, same = Guard(), Guard()
    for when, amount in posted:
        guard.add(when, amount)
        same.add(when, amount)
    copied = guard.copy()
    copied.add(1, -500)
    copied.held += 3
    assert guard == same
