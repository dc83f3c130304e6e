"""Periods that close and open again, and years whose income and expenses go to net assets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.treasury.contract import (
    AccountKind,
    ClosePeriod,
    CloseYear,
    EntryPosted,
    EntryReversed,
    PeriodClosed,
    PeriodReopened,
    ReopenPeriod,
    TreasuryError,
    YearClosed,
)
from shared.cutting import ENVELOPE_BYTES
from shared.event import MAX_EVENT_BYTES
from tests.support.sentences import NOW
from tests.support.treasury import (
    CHART,
    CLUB,
    IN,
    NEXT_YEAR,
    TODAY,
    account,
    balances,
    book,
    came_in,
    close_year,
    entry,
    entry_of,
    fund,
    general,
    given,
    on,
    p,
    reverse,
    spent,
    state,
)

E = TreasuryError
YESTERDAY = TODAY - timedelta(days=1)


def close(through: date, **more: Any) -> ClosePeriod:
    return ClosePeriod(**IN, through=through, **more)


def reopen(since: date, **more: Any) -> ReopenPeriod:
    return ReopenPeriod(**IN, since=since, reason="A bill was found", **more)


# -- periods ----------------------------------------------------------------------------------------------------------


def test_a_period_closes_up_to_yesterday() -> None:
    given(*CLUB).when(close(YESTERDAY)).then(PeriodClosed, before=None)
    given(*CLUB).when(close(TODAY)).then_rejected(E.DATE_OUTSIDE_BOOK, today=str(TODAY))
    given(*CLUB).when(close(on(12, 31, 2025))).then_nothing()
    given(*CLUB).when(close(on(12, 30, 2025))).then_rejected(E.DATE_OUTSIDE_BOOK, starts="2026-01-01")


def test_a_period_closes_once_and_only_further() -> None:
    closed = given(*CLUB).when(close(on(3, 31))).then(PeriodClosed)
    closed.when(close(on(3, 31))).then_nothing()
    closed.when(close(on(3, 30))).then_rejected(E.PERIOD_CLOSED, closed_through="2026-03-31")
    closed.when(close(on(4, 30))).then(PeriodClosed, before=on(3, 31))


def test_closed_days_open_again_from_one_on() -> None:
    closed = given(*CLUB, close(on(6, 30)))
    closed.when(reopen(on(7, 1))).then_nothing()
    closed.when(reopen(on(12, 31, 2025))).then_rejected(E.DATE_OUTSIDE_BOOK)
    opened = closed.when(reopen(on(4, 1))).then(PeriodReopened, closed_through=on(3, 31))
    opened.when(reopen(on(4, 1))).then_nothing()
    opened.when(came_in(day=on(4, 1))).then(EntryPosted)
    opened.when(came_in(day=on(3, 31))).then_rejected(E.PERIOD_CLOSED)
    closed.when(reopen(on(1, 1))).then(PeriodReopened, closed_through=None).when(came_in(day=on(1, 1))).then(
        EntryPosted
    )


@pytest.mark.parametrize("command", [close(on(3, 31)), reopen(on(3, 1)), close_year()])
def test_periods_and_years_are_of_an_open_book_and_of_the_past(command: Any) -> None:
    given().when(command).then_rejected(E.UNKNOWN_BOOK)
    given(*CLUB).when(replace(command, occurred_at=NOW + timedelta(days=1))).then_rejected(E.OCCURRED_IN_FUTURE)


# -- years ------------------------------------------------------------------------------------------------------------

YEAR = (
    *CLUB, came_in(1000, "a", on(2, 1)), spent(300, "b", on(3, 1)), spent(50, "c", on(4, 1), of="rent"),
    came_in(200, "d", on(5, 1), fund="youth"), spent(150, "e", on(6, 1), fund="youth"),
    entry(30, "owed", "gifts", "f", on(7, 1), unit="HOURS"),
)  # fmt: skip
OVER = given(*YEAR).when(close(on(12, 31)), now=NEXT_YEAR).then(PeriodClosed)
"""A year of which every day is closed."""


def test_a_closing_entry_takes_every_income_and_expense_to_zero() -> None:
    after = OVER.when(close_year(), now=NEXT_YEAR).then(
        YearClosed,
        date=on(12, 31), starts=on(1, 1), breaches=(),
        debits=(p("dues", 1000), p("dues", 200, "youth"), p("gifts", 30, unit="HOURS")),
        credits=(p("food", 300), p("food", 150, "youth"), p("rent", 50), p("net", 650), p("net", 30, unit="HOURS"),
                 p("net", 50, "youth")),
    )  # fmt: skip
    assert balances(after) == {
        "bank/general": 650, "bank/youth": 50, "net/general": -650, "net/youth": -50, "owed/general/HOURS": 30,
        "net/general/HOURS": -30,
    }  # fmt: skip


def test_a_loss_lessens_net_assets() -> None:
    poor = given(*CLUB, came_in(10, "a", on(2, 1)), entry(25, "food", "loan", "b", on(3, 1)))
    lost = poor.when(close(on(12, 31)), now=NEXT_YEAR).then_event().when(close_year(), now=NEXT_YEAR)
    lost.then(YearClosed, debits=(p("dues", 10), p("net", 15)), credits=(p("food", 25),))


def test_what_came_in_equals_what_was_spent_and_net_assets_stay() -> None:
    even = given(*CLUB, came_in(10, "a", on(2, 1)), spent(10, "b", on(3, 1)))
    done = even.when(close(on(12, 31)), now=NEXT_YEAR).then_event().when(close_year(), now=NEXT_YEAR)
    done.then(YearClosed, debits=(p("dues", 10),), credits=(p("food", 10),))


def test_a_year_in_which_nothing_happened_is_closed_by_an_empty_entry() -> None:
    quiet = given(*CLUB).when(close(on(12, 31)), now=NEXT_YEAR).then_event()
    quiet.when(close_year(), now=NEXT_YEAR).then(YearClosed, debits=(), credits=())


def test_a_year_of_very_many_lines_is_closed_by_several_entries_and_each_fits_an_event() -> None:
    long = "x" * 40
    accounts = [f"{long}-{n}" for n in range(30)]
    funds = [f"{long}-f{n}" for n in range(12)]
    many = given(
        *CHART, *(account(id, AccountKind.EXPENSE) for id in accounts), *(fund(id) for id in funds),
        *(
            entry_of(tuple(p(a, 1, f) for a in accounts), (p("loan", len(accounts), f),), f"e-{n}", on(2, 1))
            for n, f in enumerate(funds)
        ),
        close(on(12, 31)), now=NEXT_YEAR,
    )  # fmt: skip
    outcome = many.when(close_year(), now=NEXT_YEAR)
    first, event = outcome.then(YearClosed), outcome.event
    assert 0 < event.left < 360
    assert len(event.credits) == 360 - event.left
    assert len(msgspec.json.encode(event)) <= MAX_EVENT_BYTES - ENVELOPE_BYTES - 8_000  # a reason of 2,000 letters
    after = datetime(2028, 3, 1, 12, tzinfo=UTC)
    both = first.when(close(on(12, 31, 2027)), now=after).then(PeriodClosed)
    both.when(close_year(2027), now=after).then_rejected(E.INVALID_RANGE, ends="2026-12-31")
    first.when(close_year(), now=NEXT_YEAR).then_nothing()
    second = first.when(close_year(id="rest"), now=NEXT_YEAR).then(YearClosed, left=0, starts=on(1, 1))
    second.when(close_year(id="more"), now=NEXT_YEAR).then_rejected(E.YEAR_CLOSED, entry="rest")
    second.when(reopen(on(12, 1)), now=NEXT_YEAR).then_rejected(E.YEAR_CLOSED, entry="rest")
    assert balances(second) == {
        **{f"loan/{f}": -30 for f in funds}, **{f"net/{f}": 30 for f in funds},
    }  # fmt: skip
    second.when(reverse("close-2026", "no"), now=NEXT_YEAR).then_rejected(E.NOT_REVERSIBLE, later="rest")
    back = second.when(reverse("rest", "un-rest"), now=NEXT_YEAR).then(EntryReversed)
    back.when(close_year(id="again"), now=NEXT_YEAR).then(YearClosed, left=0)
    back.when(reverse("close-2026", "un-close"), now=NEXT_YEAR).then(EntryReversed)


def test_later_months_are_open_all_along() -> None:
    going_on = OVER.when(came_in(70, "new", on(1, 15, 2027)), now=NEXT_YEAR).then(EntryPosted)
    closed = going_on.when(close_year(), now=NEXT_YEAR).then(YearClosed, debits=(
        p("dues", 1000), p("dues", 200, "youth"), p("gifts", 30, unit="HOURS"),
    ))  # fmt: skip
    assert balances(closed)["dues/general"] == -70
    assert "dues/general" not in balances(closed, on(12, 31))
    closed.when(spent(1, "more", on(1, 1, 2027)), now=NEXT_YEAR).then(EntryPosted)
    closed.when(spent(1, "more", on(12, 31)), now=NEXT_YEAR).then_rejected(E.PERIOD_CLOSED)


def test_a_year_closes_once_after_its_days() -> None:
    given(*YEAR).when(close_year(), now=NEXT_YEAR).then_rejected(E.PERIOD_OPEN)
    given(*YEAR).when(close(on(12, 30)), now=NEXT_YEAR).then_event().when(close_year(), now=NEXT_YEAR).then_rejected(
        E.PERIOD_OPEN
    )
    closed = OVER.when(close_year(), now=NEXT_YEAR).then(YearClosed)
    closed.when(close_year(), now=NEXT_YEAR).then_nothing()
    closed.when(close_year(id="again"), now=NEXT_YEAR).then_rejected(E.YEAR_CLOSED, entry="close-2026")
    OVER.when(close_year(id="a"), now=NEXT_YEAR).then_rejected(E.ENTRY_EXISTS, field="type")


@pytest.mark.parametrize("day", [on(12, 30), on(6, 30), on(1, 31), on(11, 30)])
def test_a_year_ends_on_its_last_day_alone(day: date) -> None:
    OVER.when(CloseYear(**IN, entry="x", through=day), now=NEXT_YEAR).then_rejected(E.INVALID_RANGE, ends="2026-12-31")


def test_no_year_before_the_book_is_closed() -> None:
    OVER.when(close_year(2025), now=NEXT_YEAR).then_rejected(E.DATE_OUTSIDE_BOOK, starts="2026-01-01")
    given(*CLUB).when(close_year(2025)).then_rejected(E.DATE_OUTSIDE_BOOK)


MUCH_LATER = datetime(2029, 3, 1, 12, tzinfo=UTC)


def test_years_are_closed_one_after_another() -> None:
    going_on = OVER.when(came_in(70, "new", on(1, 15, 2027)), now=NEXT_YEAR).then(EntryPosted)
    two = going_on.when(close(on(12, 31, 2027)), now=MUCH_LATER).then(PeriodClosed)
    two.when(close_year(2027), now=MUCH_LATER).then_rejected(E.INVALID_RANGE, ends="2026-12-31")
    first = two.when(close_year(2026), now=MUCH_LATER).then(YearClosed)
    second = first.when(close_year(2027), now=MUCH_LATER).then(
        YearClosed, starts=on(1, 1, 2027), debits=(p("dues", 70),), credits=(p("net", 70),)
    )
    assert balances(second)["net/general"] == -720
    assert [entry for _, entry in state(second).years] == ["close-2026", "close-2027"]
    second.when(reverse("close-2026"), now=MUCH_LATER).then_rejected(E.NOT_REVERSIBLE, later="close-2027")


@pytest.mark.parametrize(
    ("year_end", "starts", "ends"),
    [
        ("02-29", on(1, 1, 2027), on(2, 28, 2027)),
        ("02-29", on(3, 1, 2027), on(2, 29, 2028)),
        ("02-29", on(2, 29, 2028), on(2, 29, 2028)),
        ("02-28", on(3, 1, 2027), on(2, 28, 2028)),
        ("02-31", on(3, 1, 2027), on(2, 29, 2028)),
        ("06-30", on(7, 1, 2027), on(6, 30, 2028)),
        ("06-30", on(6, 30, 2028), on(6, 30, 2028)),
        ("04-31", on(1, 1, 2027), on(4, 30, 2027)),
    ],
)
def test_a_fiscal_year_ends_where_the_book_says(year_end: str, starts: date, ends: date) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    closed = given(replace(book, starts=starts, year_end=year_end), *CHART[1:], general, close(ends), now=now)
    for wrong in (-1, 1):
        day = ends + timedelta(days=wrong)
        asked = closed.when(CloseYear(**IN, entry="x", through=day), now=now)
        assert asked.refusal is not None
    closed.when(CloseYear(**IN, entry="x", through=ends), now=now).then(YearClosed, starts=starts, date=ends)


def test_a_limit_is_never_in_the_way_of_a_closing_entry() -> None:
    own = account("own", AccountKind.NET_ASSETS, guarded=True)
    poor = given(*CHART, own, fund("general", net_assets="own"), entry(25, "food", "loan", "b", on(3, 1)))
    lost = poor.when(close(on(12, 31)), now=NEXT_YEAR).then_event().when(close_year(), now=NEXT_YEAR).then(YearClosed)
    (breach,) = lost.world.history[("book", "club")][-1].breaches
    assert (breach.code, breach.account, breach.balance, breach.date) == (E.ACCOUNT_LIMIT, "own", -25, on(12, 31))


# -- opened again -----------------------------------------------------------------------------------------------------


def test_a_closed_year_is_mended_by_reversing_its_closing_entry() -> None:
    closed = OVER.when(close_year(), now=NEXT_YEAR).then(YearClosed)
    closed.when(reopen(on(12, 1)), now=NEXT_YEAR).then_rejected(E.YEAR_CLOSED, entry="close-2026")
    closed.when(reopen(on(12, 31)), now=NEXT_YEAR).then_rejected(E.YEAR_CLOSED)
    closed.when(reopen(on(1, 1, 2027)), now=NEXT_YEAR).then_nothing()
    closed.when(reverse("close-2026", day=on(1, 1, 2027)), now=NEXT_YEAR).then_rejected(E.DATE_OUTSIDE_BOOK)
    undone = closed.when(reverse("close-2026"), now=NEXT_YEAR).then(EntryReversed, date=on(12, 31), closing=True)
    assert balances(undone) == balances(OVER)
    assert balances(undone, on(12, 31)) == balances(OVER, on(12, 31))
    undone.when(came_in(1, "late", on(12, 1)), now=NEXT_YEAR).then_rejected(E.PERIOD_CLOSED)
    mended = (
        undone.when(reopen(on(12, 1)), now=NEXT_YEAR).then(PeriodReopened)
        .when(came_in(5, "late", on(12, 1)), now=NEXT_YEAR).then(EntryPosted)
        .when(close(on(12, 31)), now=NEXT_YEAR).then(PeriodClosed)
        .when(close_year(id="second"), now=NEXT_YEAR).then(YearClosed)
    )  # fmt: skip
    assert balances(mended)["net/general"] == -655
    mended.when(reverse("close-2026"), now=NEXT_YEAR).then_nothing()
    mended.when(reverse("close-2026", "other"), now=NEXT_YEAR).then_rejected(E.ALREADY_REVERSED)
    mended.when(close_year(), now=NEXT_YEAR).then_rejected(E.ENTRY_EXISTS, reversed_by="un-close-2026")


def test_the_reversal_of_a_closing_entry_is_not_reversed() -> None:
    closed = OVER.when(close_year(), now=NEXT_YEAR).then(YearClosed)
    undone = closed.when(reverse("close-2026", "undone"), now=NEXT_YEAR).then(EntryReversed)
    undone.when(reverse("undone"), now=NEXT_YEAR).then_rejected(E.NOT_REVERSIBLE)
