"""One entry: what form it has, when it may be dated, and that it is posted once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    ClosePeriod,
    EntryPosted,
    PostEntry,
    RegisterUnit,
    TreasuryError,
)
from shared.types import MAX_INTEGER
from tests.support.sentences import NOW
from tests.support.treasury import (
    CLUB,
    IN,
    TODAY,
    balances,
    book,
    came_in,
    entry,
    entry_of,
    given,
    line,
    on,
    p,
    post,
    state,
)

E = TreasuryError
MOST = MAX_INTEGER


def test_an_entry_changes_two_balances() -> None:
    after = given(*CLUB).when(entry(100)).then(EntryPosted, date=TODAY, breaches=())
    assert balances(after) == {"bank/general": 100, "dues/general": -100}


def test_an_entry_may_have_many_postings_over_funds_and_units() -> None:
    debits = (p("bank", 70), p("cash", 30), p("bank", 5, "youth"), p("owed", 15, unit="HOURS"))
    credits = (p("dues", 60), p("gifts", 40), p("gifts", 5, "youth"), p("dues", 15, unit="HOURS"))  # noqa: A001
    after = given(*CLUB).when(entry_of(debits, credits)).then(EntryPosted)
    assert balances(after) == {
        "bank/general": 70, "cash/general": 30, "dues/general": -60, "gifts/general": -40, "bank/youth": 5,
        "gifts/youth": -5, "owed/general/HOURS": 15, "dues/general/HOURS": -15,
    }  # fmt: skip


def test_an_account_on_both_sides_of_an_entry_keeps_the_difference() -> None:
    after = given(*CLUB).when(entry_of((p("bank", 100),), (p("bank", 30), p("dues", 70)))).then(EntryPosted)
    assert balances(after) == {"bank/general": 70, "dues/general": -70}


@pytest.mark.parametrize(
    ("command", "code", "facts"),
    [
        (entry(debit="moon"), E.UNKNOWN_ACCOUNT, {"account": "moon"}),
        (entry(credit="moon"), E.UNKNOWN_ACCOUNT, {"account": "moon"}),
        (entry(fund="moon"), E.UNKNOWN_FUND, {"fund": "moon"}),
        (entry(unit="USD"), E.UNKNOWN_UNIT, {"unit": "USD"}),
        (entry_of((p("bank", 100),), (p("dues", 99),)), E.UNBALANCED, {"debits": 100, "credits": 99}),
        (entry_of((p("bank", 100),), (p("dues", 100, unit="HOURS"),)), E.UNBALANCED, {"unit": "EUR", "credits": 0}),
        (entry_of((p("bank", 100),), (p("dues", 100, "youth"),)), E.UNBALANCED, {"fund": "general"}),
        (entry_of((p("bank", 50), p("bank", 50)), (p("dues", 99),)), E.UNBALANCED, {"debits": 100}),
        (entry_of((p("bank", 50), p("bank", 50, "youth")), (p("dues", 100),)), E.UNBALANCED, {"fund": "general"}),
        (entry_of((p("bank", 1), p("owed", 1, unit="HOURS")), (p("dues", 2),)), E.UNBALANCED, {"unit": "EUR"}),
        (entry_of((p("food", 5),), (p("food", 5),)), E.NOTHING_MOVES, {"accounts": ["food"]}),
        (entry_of((p("food", 5),), (p("food", 5),), fact=True), E.NOTHING_MOVES, {}),
        (entry_of((p("food", 5), p("bank", 3)), (p("bank", 3), p("food", 5))), E.NOTHING_MOVES,
         {"accounts": ["bank", "food"]}),
        (entry_of((p("food", 2), p("food", 3)), (p("food", 5),)), E.NOTHING_MOVES, {}),
        (entry_of((p("food", 5),), (p("food", 5, "youth"),)), E.UNBALANCED, {}),
    ],
)  # fmt: skip
def test_an_entry_has_its_form(command: PostEntry, code: TreasuryError, facts: dict[str, Any]) -> None:
    given(*CLUB).when(command).then_rejected(code, **facts)
    given(*CLUB).when(replace(command, fact=True)).then_rejected(code, **facts)


def test_a_balance_stays_within_what_every_reader_reads_exactly() -> None:
    full = given(*CLUB).when(came_in(MOST)).then(EntryPosted)
    full.when(came_in(1, "more")).then_rejected(E.OUT_OF_RANGE)
    full.when(came_in(1, "more", fact=True)).then_rejected(E.OUT_OF_RANGE)
    full.when(came_in(1, "more", on(1, 1))).then_rejected(E.OUT_OF_RANGE)
    emptied = full.when(entry(MOST, "food", "bank", "out")).then(EntryPosted)
    emptied.when(entry(MOST, "cash", "gifts", "more")).then(EntryPosted)
    emptied.when(entry(1, "cash", "dues", "more")).then_rejected(E.OUT_OF_RANGE)


def test_a_balance_of_a_past_day_stays_within_it_too() -> None:
    gone = given(*CLUB, entry(MOST, "owed", "loan", "a", on(3, 1)), entry(MOST, "loan", "owed", "b", on(4, 1)))
    assert balances(gone) == {}
    gone.when(entry(1, "owed", "gifts", "c", on(2, 1))).then_rejected(E.OUT_OF_RANGE)
    gone.when(entry(1, "gifts", "owed", "c", on(2, 1))).then(EntryPosted)
    gone.when(entry(1, "owed", "loan", "c", on(2, 1), fund="grant")).then(EntryPosted)
    gone.when(entry(1, "food", "loan", "c", on(2, 1))).then_rejected(E.OUT_OF_RANGE)
    gone.when(entry(1, "loan", "cash", "c", on(2, 1), fact=True)).then(EntryPosted)


def test_postings_that_are_too_large_together_are_so_on_every_side() -> None:
    half = MOST // 2 + 1
    twice = entry_of((p("bank", half), p("bank", half)), (p("dues", half), p("dues", half)))
    given(*CLUB).when(twice).then_rejected(E.OUT_OF_RANGE)
    apart = entry_of((p("bank", half), p("cash", half)), (p("dues", half), p("gifts", half)))
    given(*CLUB).when(apart).then(EntryPosted)
    there_and_back = entry_of((p("bank", half), p("bank", half)), (p("bank", half), p("dues", half)))
    given(*CLUB).when(there_and_back).then(EntryPosted)


# -- once -------------------------------------------------------------------------------------------------------------


def test_the_same_entry_again_changes_nothing() -> None:
    command = entry(100, day=on(3, 1), description="Dues", party="ada", reference="R1", document="0" * 64)
    given(*CLUB, command).when(command).then_nothing()
    given(*CLUB, replace(command, date=None)).when(replace(command, date=None)).then_nothing()
    given(*CLUB, entry(100)).when(entry(100), now=NOW + timedelta(days=400)).then_nothing()


@pytest.mark.parametrize(
    "change",
    [{"date": on(3, 2)}, {"debits": (p("cash", 100),)}, {"credits": (p("gifts", 100),)}, {"description": "Gift"},
     {"party": "bo"}, {"reference": "R2"}, {"document": "1" * 64}, {"fact": True}],
)  # fmt: skip
def test_another_entry_under_its_id_is_refused_and_says_in_what_it_differs(change: dict[str, Any]) -> None:
    command = entry(100, day=on(3, 1), description="Dues", party="ada", reference="R1", document="0" * 64)
    given(*CLUB, command).when(replace(command, **change)).then_rejected(E.ENTRY_EXISTS, field=next(iter(change)))


def test_an_entry_that_a_request_with_many_posted_is_the_same_entry() -> None:
    many = given(*CLUB, post(line(100, id="e1", day=on(3, 1), description="Dues")))
    same = entry(100, day=on(3, 1), description="Dues")
    many.when(same).then_nothing()
    many.when(replace(same, date=None)).then_nothing()
    for change in ({"date": on(3, 2)}, {"description": None}, {"reference": "R"}, {"document": "0" * 64},
                   {"debits": (p("cash", 100),)}, {"fact": True}):  # fmt: skip
        many.when(replace(same, **change)).then_rejected(E.ENTRY_EXISTS, field=next(iter(change)))


def test_an_id_is_used_once_whatever_posted_it() -> None:
    given(*CLUB, came_in(9, "x")).when(entry(9, "food", "bank", "x")).then_rejected(E.ENTRY_EXISTS, field="debits")


# -- days -------------------------------------------------------------------------------------------------------------


def test_an_entry_is_dated_between_the_books_first_day_and_today() -> None:
    given(*CLUB).when(came_in(day=on(1, 1))).then(EntryPosted)
    given(*CLUB).when(came_in(day=on(12, 31, 2025))).then_rejected(E.DATE_OUTSIDE_BOOK, starts="2026-01-01")
    given(*CLUB).when(came_in(day=TODAY)).then(EntryPosted)
    given(*CLUB).when(came_in(day=TODAY + timedelta(days=1))).then_rejected(E.DATE_OUTSIDE_BOOK, today=str(TODAY))
    given(*CLUB).when(came_in(day=on(12, 31, 2025), fact=True)).then_rejected(E.DATE_OUTSIDE_BOOK)


@pytest.mark.parametrize(
    ("offset", "now", "today"),
    [
        (0, datetime(2026, 11, 20, 23, 59, tzinfo=UTC), on(11, 20)),
        (60, datetime(2026, 11, 20, 22, 59, tzinfo=UTC), on(11, 20)),
        (60, datetime(2026, 11, 20, 23, 0, tzinfo=UTC), on(11, 21)),
        (-300, datetime(2026, 11, 20, 4, 59, tzinfo=UTC), on(11, 19)),
        (840, datetime(2026, 11, 20, 10, 0, tzinfo=UTC), on(11, 21)),
    ],
)  # fmt: skip
def test_today_is_the_day_at_the_books_place(offset: int, now: datetime, today: date) -> None:
    there = given(replace(book, utc_offset=offset), *CLUB[1:])
    there.when(came_in(), now=now).then(EntryPosted, date=today)
    there.when(came_in(day=today + timedelta(days=1)), now=now).then_rejected(E.DATE_OUTSIDE_BOOK, today=str(today))


def test_nothing_is_posted_to_a_closed_day() -> None:
    closed = given(*CLUB, ClosePeriod(**IN, through=on(6, 30)))
    closed.when(came_in(day=on(6, 30))).then_rejected(E.PERIOD_CLOSED, closed_through="2026-06-30")
    closed.when(came_in(day=on(6, 30), fact=True)).then_rejected(E.PERIOD_CLOSED)
    closed.when(came_in(day=on(7, 1))).then(EntryPosted)
    closed.when(came_in(day=on(12, 31, 2025))).then_rejected(E.DATE_OUTSIDE_BOOK)


def test_balances_are_kept_for_each_day_that_an_entry_came_late() -> None:
    after = given(*CLUB, came_in(100, "a", on(3, 1)), came_in(10, "c", on(5, 1)), came_in(1, "b", on(4, 1)))
    assert [balances(after, day).get("bank/general") for day in (on(2, 28), on(3, 1), on(4, 1), on(4, 30), TODAY)] == [
        None, 100, 101, 101, 111,
    ]  # fmt: skip


def test_a_unit_that_is_registered_may_be_posted() -> None:
    given(*CLUB, RegisterUnit(**IN, unit="USD")).when(entry(unit="USD")).then(EntryPosted)


def test_a_book_that_was_never_opened_takes_no_entry() -> None:
    refused = given().when(entry(debit="moon", day=on(1, 1, 2030))).then_rejected(E.UNKNOWN_BOOK, book="club")
    assert state(refused).revision == 0
