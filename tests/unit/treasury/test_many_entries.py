"""Many entries in one request: each is posted, or not, for itself; chains stand or fall together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    ClosePeriod,
    EntriesPosted,
    Entry,
    EntryResult,
    NotPosted,
    TreasuryError,
)
from shared.types import MAX_INTEGER
from tests.support.sentences import Outcome
from tests.support.treasury import (
    CLUB,
    IN,
    TODAY,
    balances,
    came_in,
    entry,
    given,
    hold,
    line,
    on,
    p,
    post,
    post_hold,
    release,
)

E = TreasuryError
R = EntryResult
RICH = (*CLUB, came_in(100, "in", on(2, 1)))


def out(amount: int, id: str, **more: Any) -> Entry:
    """One of many, spent from the bank account, where there are 100."""
    return line(amount, "food", "bank", id, **more)


def results(outcome: Outcome) -> list[str]:
    """What became of each entry: posted, already_posted, differs:FIELD or a code."""
    assert outcome.refusal is None
    (command,) = [outcome.event]
    said = ["posted"] * len(command.entries)
    for one in command.not_posted:
        said[one.at] = f"differs:{one.field}" if one.result is R.DIFFERS else one.code or one.result
        assert (one.result is R.REFUSED) == (one.code is not None)
        assert (one.result is R.DIFFERS) == (one.field is not None)
    assert [one.at for one in command.not_posted] == sorted({one.at for one in command.not_posted})
    return [str(one) for one in said]


def test_entries_are_posted_one_after_another() -> None:
    posted = given(*RICH).when(post(line(50, id="a"), out(150, "b"))).then(EntriesPosted, not_posted=(), breaches=())
    assert balances(posted) == {"dues/general": -150, "food/general": 150}


def test_a_refused_entry_drags_nobody_down() -> None:
    asked = given(*RICH).when(post(out(101, "a"), out(60, "b"), out(60, "c"), line(20, id="d"), out(60, "e")))
    assert results(asked) == ["ACCOUNT_LIMIT", "posted", "ACCOUNT_LIMIT", "posted", "posted"]
    assert balances(asked.then_event()) == {"dues/general": -120, "food/general": 120}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (line(debit="moon"), E.UNKNOWN_ACCOUNT),
        (line(fund="moon"), E.UNKNOWN_FUND),
        (line(unit="USD"), E.UNKNOWN_UNIT),
        (replace(line(5), credits=(p("dues", 4),)), E.UNBALANCED),
        (line(5, "bank", "bank"), E.NOTHING_MOVES),
        (line(MAX_INTEGER), E.OUT_OF_RANGE),
        (line(MAX_INTEGER, fact=True), E.OUT_OF_RANGE),
        (line(day=on(12, 31, 2025)), E.DATE_OUTSIDE_BOOK),
        (line(day=TODAY + timedelta(days=1)), E.DATE_OUTSIDE_BOOK),
        (line(day=on(1, 31)), E.PERIOD_CLOSED),
        (line(1, "rent", "bank", fund="youth"), E.FUND_PURPOSE),
        (line(1, "food", "bank", fund="later"), E.FUND_NOT_YET_AVAILABLE),
        (line(1, "food", "bank", fund="youth"), E.FUND_LIMIT),
        (line(61, "food", "bank", day=on(3, 1)), E.BREAKS_LATER_DAY),
        (line(61, "food", "bank"), E.ACCOUNT_LIMIT),
        (line(1, debit="moon", unit="USD", day=on(1, 31)), E.PERIOD_CLOSED),
    ],
)  # fmt: skip
def test_a_refused_entry_has_the_code_that_it_would_have_alone(wrong: Entry, code: TreasuryError) -> None:
    steps = (*RICH, ClosePeriod(**IN, through=on(1, 31)), entry(40, "food", "bank", "used", on(4, 1)))
    asked = given(*steps).when(post(line(1, id="before"), wrong, line(1, id="after")))
    limited = code in (E.ACCOUNT_LIMIT, E.BREAKS_LATER_DAY)
    expected = ["posted", "posted" if limited and wrong.date == TODAY else str(code), "posted"]
    assert results(asked) == expected
    assert results(given(*steps).when(post(wrong))) == [str(code)]


def test_amounts_of_a_request_add_up_towards_what_can_be_read_exactly() -> None:
    half = MAX_INTEGER // 2 + 1
    asked = given(*CLUB).when(
        post(line(half, id="a"), line(half, id="b"), line(half, "cash", "gifts", "c"), line(half, "bank", "loan", "d"))
    )
    assert results(asked) == ["posted", "OUT_OF_RANGE", "posted", "OUT_OF_RANGE"]
    third = MAX_INTEGER // 3 + 1
    thirds = given(*CLUB).when(post(line(third, id="a"), line(third, id="b"), line(third, id="c"), line(1, id="d")))
    assert results(thirds) == ["posted", "posted", "OUT_OF_RANGE", "posted"]
    back = given(*CLUB).when(post(line(half, id="a"), line(half, "dues", "bank", id="b"), line(half, id="c")))
    assert results(back) == ["posted", "posted", "posted"]


# -- once -------------------------------------------------------------------------------------------------------------


def test_a_request_again_changes_nothing() -> None:
    command = post(line(5, id="a"), line(6, id="b"))
    posted = given(*CLUB).when(command).then(EntriesPosted)
    posted.when(command).then_nothing()
    posted.when(post(line(6, id="b"))).then_nothing()
    more = posted.when(post(line(5, id="a"), line(7, id="c")))
    assert results(more) == ["already_posted", "posted"]
    assert balances(more.then_event())["bank/general"] == 18


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"date": on(3, 1)}, "date"),
        ({"debits": (p("cash", 5),)}, "debits"),
        ({"credits": (p("gifts", 5),)}, "credits"),
        ({"description": "Dues"}, "description"),
        ({"party": "ada"}, "party"),
        ({"fact": True}, "fact"),
    ],
)  # fmt: skip
def test_an_entry_that_differs_from_the_posted_one_names_the_field(change: dict[str, Any], field: str) -> None:
    other = replace(line(5, id="a"), **change)
    earlier = given(*CLUB, post(line(5, id="a"))).when(post(other, line(1, id="b")))
    assert results(earlier) == [f"differs:{field}", "posted"]
    within = given(*CLUB).when(post(line(5, id="a"), other))
    assert results(within) == ["posted", f"differs:{field}"]
    assert results(given(*CLUB, entry(5, id="a", day=TODAY)).when(post(other))) == [f"differs:{field}"]


def test_an_entry_that_another_command_posted_is_known() -> None:
    alone = entry(5, id="a", day=TODAY, reference="R", document="0" * 64)
    given(*CLUB, alone).when(post(line(5, id="a"))).then_nothing()
    other_kind = given(*RICH, came_in(9, "y", fund="youth"), release(5, "a"), hold(5), post_hold(entry="b"))
    assert results(other_kind.when(post(line(5, id="a"), out(5, "b")))) == ["differs:type", "differs:type"]


def test_a_duplicate_within_a_request_is_posted_once() -> None:
    asked = given(*CLUB).when(post(line(5, id="a"), line(5, id="a"), line(6, id="a")))
    assert results(asked) == ["posted", "already_posted", "differs:debits"]
    assert balances(asked.then_event())["bank/general"] == 5


def test_an_entry_that_was_refused_may_be_tried_again() -> None:
    poor = given(*CLUB).when(post(out(5, "a"), line(5, id="b"))).then(EntriesPosted)
    again = poor.when(post(out(5, "a")))
    assert results(again) == ["posted"]
    twice = given(*CLUB).when(post(out(5, "a"), line(5, id="b"), out(5, "a")))
    assert results(twice) == ["ACCOUNT_LIMIT", "posted", "posted"]


def test_a_request_of_nothing_but_refusals_is_recorded() -> None:
    asked = given(*CLUB).when(post(out(5, "a")))
    assert asked.then(EntriesPosted, not_posted=(NotPosted(at=0, result=R.REFUSED, code=E.ACCOUNT_LIMIT),))


# -- linked -----------------------------------------------------------------------------------------------------------


def chain(*entries: Entry) -> tuple[Entry, ...]:
    return (*(replace(one, linked=True) for one in entries[:-1]), entries[-1])


def test_a_chain_stands_together() -> None:
    asked = given(*RICH).when(post(*chain(out(60, "a"), line(50, id="b"), out(90, "c")), out(1, "d")))
    assert results(asked) == ["posted", "posted", "posted", "ACCOUNT_LIMIT"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_chain_falls_together_and_drags_nobody_down(at: int) -> None:
    links = [line(10, id="a"), line(20, id="b"), line(30, id="c")]
    links[at] = replace(links[at], debits=(p("moon", 10),))
    asked = given(*RICH).when(post(out(90, "before"), *chain(*links), out(10, "after"), out(1, "more")))
    fallen = ["LINKED_ENTRY_REFUSED"] * 3
    fallen[at] = "UNKNOWN_ACCOUNT"
    assert results(asked) == ["posted", *fallen, "posted", "ACCOUNT_LIMIT"]
    assert balances(asked.then_event()) == {"food/general": 100, "dues/general": -100}


def test_two_chains_side_by_side_are_two() -> None:
    asked = given(*RICH).when(post(*chain(out(60, "a"), out(60, "b")), *chain(out(60, "c"), out(40, "d"))))
    assert results(asked) == ["LINKED_ENTRY_REFUSED", "ACCOUNT_LIMIT", "posted", "posted"]


def test_what_a_chain_had_posted_before_stands_whether_the_chain_does_or_not() -> None:
    before = given(*RICH, post(line(5, id="a")))
    good = before.when(post(*chain(line(5, id="a"), line(6, id="b"))))
    assert results(good) == ["already_posted", "posted"]
    bad = before.when(post(*chain(line(5, id="a"), out(500, "b"), line(6, id="c"))))
    assert results(bad) == ["already_posted", "ACCOUNT_LIMIT", "LINKED_ENTRY_REFUSED"]
    other = before.when(post(*chain(line(6, id="a"), line(6, id="b"))))
    assert results(other) == ["differs:debits", "LINKED_ENTRY_REFUSED"]


def test_a_duplicate_within_a_chain_falls_with_it() -> None:
    good = given(*RICH).when(post(*chain(line(5, id="a"), line(5, id="a"))))
    assert results(good) == ["posted", "already_posted"]
    bad = given(*RICH).when(post(*chain(line(5, id="a"), line(5, id="a"), out(500, "b")), line(5, id="a")))
    assert results(bad) == ["LINKED_ENTRY_REFUSED", "LINKED_ENTRY_REFUSED", "ACCOUNT_LIMIT", "posted"]


def test_the_facts_of_a_chain_that_fell_break_nothing() -> None:
    asked = given(*RICH).when(post(*chain(out(500, "a", fact=True), line(debit="moon", id="b")), out(100, "c")))
    assert results(asked) == ["LINKED_ENTRY_REFUSED", "UNKNOWN_ACCOUNT", "posted"]
    assert asked.event.breaches == ()


# -- facts ------------------------------------------------------------------------------------------------------------


def test_facts_among_many_are_recorded_with_what_they_broke() -> None:
    asked = given(*RICH).when(post(out(150, "a", fact=True), out(1, "b"), out(10, "c", fact=True), line(9, id="d")))
    assert results(asked) == ["posted", "ACCOUNT_LIMIT", "posted", "posted"]
    assert [(b.entry, b.code, b.balance) for b in asked.event.breaches] == [
        ("a", E.ACCOUNT_LIMIT, -50), ("c", E.ACCOUNT_LIMIT, -60),
    ]  # fmt: skip


def test_what_is_held_is_left_alone_by_many() -> None:
    waiting = given(*RICH, hold(60)).when(post(out(40, "a"), out(1, "b")))
    assert results(waiting) == ["posted", "ACCOUNT_LIMIT"]


def test_many_late_entries_look_at_the_days_behind_them_and_at_each_other() -> None:
    asked = given(*RICH, entry(80, "food", "bank", "used", on(5, 1))).when(
        post(out(20, "a", day=on(3, 1)), out(1, "b", day=on(4, 1)), line(30, id="c", day=on(4, 1)),
             out(30, "d", day=on(4, 1)), out(1, "e", day=on(2, 1)))
    )  # fmt: skip
    assert results(asked) == ["posted", "BREAKS_LATER_DAY", "posted", "posted", "BREAKS_LATER_DAY"]


def test_many_entries_are_dated_on_any_open_day() -> None:
    closed = given(*CLUB, ClosePeriod(**IN, through=on(1, 31)))
    first, last = line(5, id="a", day=on(2, 1)), line(5, id="b", day=TODAY)
    assert results(closed.when(post(first, last))) == ["posted", "posted"]


def test_many_entries_need_a_book() -> None:
    given().when(post(line(5))).then_rejected(E.UNKNOWN_BOOK)
