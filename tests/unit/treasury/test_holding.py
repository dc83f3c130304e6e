"""Holds: money set aside, then posted in whole or in part, voided, or expired."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    ClosePeriod,
    ExpireHold,
    HoldExpired,
    HoldPlaced,
    HoldPosted,
    HoldVoided,
    PlaceHold,
    PostHold,
    TreasuryError,
    VoidHold,
)
from tests.support.sentences import NOW
from tests.support.treasury import (
    CLUB,
    IN,
    TODAY,
    ago,
    balances,
    came_in,
    given,
    held,
    hold,
    on,
    p,
    post_hold,
    spent,
    state,
    void,
)

E = TreasuryError
RICH = (*CLUB, came_in(100, "in", on(2, 1)))
WAITING = (*RICH, hold(60))
SOON = NOW + timedelta(hours=1)
expire = ExpireHold(**IN, hold="h1")


def test_a_hold_sets_money_aside_and_posts_nothing() -> None:
    waiting = given(*RICH).when(hold(60)).then(HoldPlaced, occurred_at=NOW)
    assert held(waiting) == {"account bank": 60}
    assert balances(waiting) == balances(given(*RICH))


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (hold(101), E.ACCOUNT_LIMIT),
        (hold(1, of="moon"), E.UNKNOWN_ACCOUNT),
        (hold(1, fund="moon"), E.UNKNOWN_FUND),
        (hold(1, of="rent", fund="youth"), E.FUND_PURPOSE),
        (hold(1, fund="youth"), E.FUND_LIMIT),
        (hold(1, fund="later"), E.FUND_NOT_YET_AVAILABLE),
        (PlaceHold(**IN, hold="h", debits=(p("food", 2),), credits=(p("bank", 1),)), E.UNBALANCED),
        (hold(1, expires_at=NOW), E.INVALID_RANGE),
        (hold(1, occurred_at=NOW + timedelta(hours=1)), E.OCCURRED_IN_FUTURE),
    ],
)  # fmt: skip
def test_what_may_not_be_spent_may_not_be_held(command: PlaceHold, code: TreasuryError) -> None:
    given(*RICH).when(command).then_rejected(code)


def test_a_hold_is_placed_once() -> None:
    command = hold(60, expires_at=SOON)
    given(*RICH, command).when(command).then_nothing()
    for change in ({"debits": (p("rent", 60),)}, {"credits": (p("cash", 60),)}, {"expires_at": None}):
        given(*RICH, command).when(replace(command, **change)).then_rejected(E.ALREADY_EXISTS, hold="h1")
    for end in (void(), post_hold()):
        given(*WAITING, end).when(hold(60)).then_rejected(E.ALREADY_EXISTS)


# -- posted -----------------------------------------------------------------------------------------------------------


def test_a_hold_is_posted_as_it_was_placed() -> None:
    paid = given(*WAITING).when(post_hold()).then(HoldPosted, date=TODAY, debits=(p("food", 60),))
    assert balances(paid) == {"bank/general": 40, "dues/general": -100, "food/general": 60}
    assert held(paid) == {}
    paid.when(post_hold()).then_nothing()
    paid.when(post_hold(date=on(3, 1))).then_rejected(E.ENTRY_EXISTS, field="date")
    paid.when(post_hold(reference="R")).then_rejected(E.ENTRY_EXISTS, field="reference")
    paid.when(post_hold(entry="again")).then_rejected(E.HOLD_ENDED, ended="HoldPosted")


def test_a_part_is_posted_and_the_rest_is_free() -> None:
    paid = given(*WAITING).when(post_hold(part=45)).then(HoldPosted, debits=(p("food", 45),))
    assert held(paid) == {}
    assert balances(paid)["bank/general"] == 55
    paid.when(spent(55)).then_event()
    paid.when(post_hold(part=45)).then_nothing()
    paid.when(post_hold(part=44)).then_rejected(E.ENTRY_EXISTS, field="part_debits")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"part_debits": (p("food", 61),), "part_credits": (p("bank", 61),)}, E.BEYOND_HOLD),
        ({"part_debits": (p("food", 40), p("food", 21)), "part_credits": (p("bank", 60),)}, E.BEYOND_HOLD),
        ({"part_debits": (p("rent", 10),), "part_credits": (p("bank", 10),)}, E.BEYOND_HOLD),
        ({"part_debits": (p("food", 10),), "part_credits": (p("cash", 10),)}, E.BEYOND_HOLD),
        ({"part_debits": (p("food", 10, "youth"),), "part_credits": (p("bank", 10, "youth"),)}, E.BEYOND_HOLD),
        ({"part_debits": (p("food", 10, unit="HOURS"),), "part_credits": (p("bank", 10),)}, E.BEYOND_HOLD),
        ({"part_debits": (p("food", 10),), "part_credits": (p("bank", 9),)}, E.UNBALANCED),
        ({"part_debits": (p("food", 10),)}, E.UNBALANCED),
        ({"part_credits": (p("bank", 10),)}, E.UNBALANCED),
    ],
)  # fmt: skip
def test_a_part_is_within_what_is_held(parts: dict[str, Any], code: TreasuryError) -> None:
    given(*WAITING).when(PostHold(**IN, hold="h1", entry="paid", **parts)).then_rejected(code)


def test_a_part_may_be_spread_as_the_hold_was() -> None:
    wide = PlaceHold(**IN, hold="h1", debits=(p("food", 30), p("food", 30)), credits=(p("bank", 60),))
    part = PostHold(**IN, hold="h1", entry="paid", part_debits=(p("food", 60),), part_credits=(p("bank", 60),))
    given(*RICH, wide).when(part).then(HoldPosted)


def test_a_hold_is_posted_on_a_day_that_takes_entries() -> None:
    closed = given(*WAITING, ClosePeriod(**IN, through=on(6, 30)))
    closed.when(post_hold(date=on(6, 30))).then_rejected(E.PERIOD_CLOSED)
    closed.when(post_hold(date=on(7, 1))).then(HoldPosted, date=on(7, 1))
    closed.when(post_hold(date=on(12, 31))).then_rejected(E.DATE_OUTSIDE_BOOK)


def test_a_hold_is_posted_late_only_if_the_money_was_there() -> None:
    given(*WAITING).when(post_hold(date=on(1, 31))).then_rejected(E.ACCOUNT_LIMIT, date="2026-01-31")
    given(*WAITING).when(post_hold(date=on(2, 1))).then(HoldPosted)


def test_what_others_hold_is_left_to_them_when_a_hold_is_posted() -> None:
    two = given(*WAITING, hold(40, "h2"), spent(10, fact=True))
    two.when(post_hold()).then_rejected(E.ACCOUNT_LIMIT, balance=-10, held=40)
    two.when(post_hold(part=50)).then(HoldPosted)


def test_a_hold_for_an_expense_is_posted_by_paying_that() -> None:
    for_expense = HoldPlaced(
        **IN, hold="h1", debits=(p("food", 60),), credits=(p("bank", 60),), expense="x", occurred_at=ago(hours=1)
    )
    given(*RICH, for_expense).when(post_hold()).then_rejected(E.HELD_FOR_EXPENSE, expense="x")
    given(*RICH, for_expense).when(post_hold(part=61)).then_rejected(E.HELD_FOR_EXPENSE)


# -- ended ------------------------------------------------------------------------------------------------------------


def test_a_void_restores_what_was() -> None:
    voided = given(*WAITING).when(void()).then(HoldVoided, expense=None)
    before = given(*RICH)
    assert (balances(voided), held(voided)) == (balances(before), held(before))
    voided.when(void()).then_nothing()
    voided.when(spent(100)).then_event()
    voided.when(expire).then_rejected(E.HOLD_ENDED, ended="HoldVoided")
    voided.when(post_hold()).then_rejected(E.HOLD_ENDED)


def test_a_hold_expires_when_its_time_is_over_and_not_before() -> None:
    waiting = given(*RICH, hold(60, expires_at=SOON))
    assert held(waiting) == {"account bank": 60}
    waiting.when(expire).then_rejected(E.NOT_YET_DUE)
    waiting.when(expire, now=SOON - timedelta(microseconds=1)).then_rejected(E.NOT_YET_DUE)
    waiting.when(spent(41), now=SOON + timedelta(days=9)).then_rejected(E.ACCOUNT_LIMIT)
    over = waiting.when(expire, now=SOON).then(HoldExpired, occurred_at=SOON)
    assert held(over) == {}
    over.when(expire, now=SOON).then_nothing()
    over.when(void()).then_rejected(E.HOLD_ENDED, ended="HoldExpired")


def test_a_hold_without_an_end_does_not_expire() -> None:
    given(*WAITING).when(expire).then_rejected(E.NOT_YET_DUE)


def test_a_hold_may_be_posted_after_its_time_until_it_expires() -> None:
    waiting = given(*RICH, hold(60, expires_at=SOON))
    waiting.when(post_hold(), now=SOON + timedelta(days=1)).then(HoldPosted)


@pytest.mark.parametrize("command", [post_hold(), void(), expire])
def test_a_hold_that_never_was_cannot_end(command: Any) -> None:
    given(*RICH).when(command).then_rejected(E.UNKNOWN_HOLD, hold="h1")
    given().when(command).then_rejected(E.UNKNOWN_BOOK)


@pytest.mark.parametrize("command", [hold(), void(), expire])
def test_a_hold_changes_at_a_moment_that_has_come(command: Any) -> None:
    given(*WAITING).when(replace(command, occurred_at=NOW + timedelta(days=1))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_a_hold_ends_when_it_says_that_it_did() -> None:
    moment = ago(hours=2)
    given(*WAITING).when(VoidHold(**IN, hold="h1", reason="x", occurred_at=moment)).then(HoldVoided, occurred_at=moment)


def test_holds_of_one_account_add_up() -> None:
    three = given(*RICH, hold(10, "a"), hold(20, "b"), hold(30, "c"))
    assert held(three) == {"account bank": 60}
    two = three.when(void("b")).then(HoldVoided)
    assert held(two) == {"account bank": 40}
    assert sorted(state(two).holds) == ["a", "c"]
