"""Restricted funds: what they pay for, from when on, how much, and how a restriction is released."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.treasury.contract import (
    AccountKind,
    Breach,
    ClosePeriod,
    EntryPosted,
    Posting,
    ReleaseRestriction,
    Restriction,
    RestrictionReleased,
    TreasuryError,
)
from tests.support.treasury import (
    CLUB,
    IN,
    NEXT_YEAR,
    TODAY,
    account,
    balances,
    came_in,
    entry,
    entry_of,
    fund,
    given,
    hold,
    on,
    p,
    release,
    spent,
)

E = TreasuryError
RICH = (*CLUB, came_in(1000, "rich", on(2, 1)), came_in(100, "a", on(2, 1), fund="youth"))
"""1000 cents of the general fund, and 100 that are for youth."""


# -- purpose ----------------------------------------------------------------------------------------------------------


def test_a_restricted_fund_pays_for_its_purpose_alone() -> None:
    given(*RICH).when(spent(100, fund="youth")).then(EntryPosted)
    given(*RICH).when(spent(1, of="rent", fund="youth")).then_rejected(
        E.FUND_PURPOSE, fund="youth", account="rent", pays_for=["food"]
    )
    given(*RICH).when(spent(1, of="rent")).then(EntryPosted)
    given(*RICH).when(hold(1, of="rent", fund="youth")).then_rejected(E.FUND_PURPOSE)


@pytest.mark.parametrize("way", ["net", "gifts", "dues"])
def test_a_restricted_fund_is_not_emptied_through_income_or_net_assets(way: str) -> None:
    given(*RICH).when(spent(1, of=way, fund="youth")).then_rejected(E.FUND_PURPOSE, account=way)
    given(*RICH).when(spent(1, of=way)).then(EntryPosted)


def test_a_fund_that_names_no_expense_pays_for_any() -> None:
    old = fund("old", Restriction.TIME, available_from=on(1, 1))
    rich = given(*RICH, old, came_in(10, "b", fund="old"))
    rich.when(spent(10, of="rent", fund="old")).then(EntryPosted)


def test_one_posting_of_many_for_another_purpose_is_enough() -> None:
    mixed = entry_of((p("food", 5, "youth"), p("rent", 5, "youth")), (p("bank", 10, "youth"),), "mixed")
    given(*RICH).when(mixed).then_rejected(E.FUND_PURPOSE, account="rent")


def test_a_fact_for_another_purpose_is_recorded_and_named() -> None:
    mixed = entry_of(
        (p("food", 5, "youth"), p("rent", 7, "youth"), p("net", 1, "youth")), (p("bank", 13, "youth"),), "mixed"
    )
    breach = Breach(code=E.FUND_PURPOSE, entry="mixed", fund="youth", account="rent", unit="EUR", date=TODAY,
                    balance=7, limit=0)  # fmt: skip
    given(*RICH).when(replace(mixed, fact=True)).then(
        EntryPosted, breaches=(breach, replace(breach, account="net", balance=1))
    )
    given(*RICH).when(spent(1, fund="youth", fact=True)).then(EntryPosted, breaches=())


# -- how much ---------------------------------------------------------------------------------------------------------


def test_a_restricted_fund_is_not_spent_beyond_its_net_assets() -> None:
    given(*RICH).when(spent(101, fund="youth")).then_rejected(E.FUND_LIMIT, fund="youth", balance=-1, limit=0)
    given(*RICH).when(spent(101, fund="general")).then(EntryPosted)


def test_net_assets_are_over_all_that_the_fund_owns_and_owes() -> None:
    owing = given(*RICH, entry(30, "owed", "gifts", "promised", fund="youth"))
    owing.when(spent(130, fund="youth")).then(EntryPosted)
    bought = entry(60, "food", "loan", "on-credit", fund="youth")
    owing.when(bought).then(EntryPosted).when(spent(71, fund="youth")).then_rejected(E.FUND_LIMIT, balance=-1)
    moved = given(*RICH, entry(100, "cash", "bank", "moved", fund="youth"))
    moved.when(entry(100, "food", "cash", "out", fund="youth")).then(EntryPosted)


def test_an_advance_is_spent_before_the_grant_is_received() -> None:
    given(*RICH).when(spent(500, fund="grant")).then(EntryPosted)
    given(*RICH).when(spent(501, fund="grant")).then_rejected(E.FUND_LIMIT, balance=-501, limit=-500)
    ahead = given(*RICH, spent(500, "ahead", fund="grant"), came_in(300, "received", fund="grant"))
    ahead.when(spent(300, fund="grant")).then(EntryPosted)
    ahead.when(spent(301, fund="grant")).then_rejected(E.FUND_LIMIT, balance=-501)


def test_an_advance_is_in_the_books_own_currency() -> None:
    given(*RICH).when(entry(1, "food", "owed", "h", fund="grant", unit="HOURS")).then_rejected(
        E.FUND_LIMIT, unit="HOURS", balance=-1, limit=0
    )


def test_what_is_held_for_a_fund_cannot_be_spent_from_it() -> None:
    waiting = given(*RICH, hold(60, fund="youth"))
    waiting.when(spent(40, fund="youth")).then(EntryPosted)
    waiting.when(spent(41, fund="youth")).then_rejected(E.FUND_LIMIT, balance=-1, held=60)
    given(*RICH, hold(500, fund="grant")).when(hold(1, "h2", fund="grant")).then_rejected(E.FUND_LIMIT, limit=-500)


def test_a_fund_is_not_spent_on_a_past_day_on_which_it_had_nothing() -> None:
    given(*RICH).when(spent(1, day=on(1, 31), fund="youth")).then_rejected(E.ACCOUNT_LIMIT)
    early = given(*RICH, came_in(50, "early", on(1, 1)))
    early.when(spent(1, day=on(1, 31), fund="youth")).then_rejected(E.FUND_LIMIT, fund="youth", date="2026-01-31")
    late = given(*RICH, spent(100, "used", on(5, 1), fund="youth"))
    late.when(spent(1, day=on(3, 1), fund="youth")).then_rejected(E.BREAKS_LATER_DAY, fund="youth", date="2026-05-01")


def test_a_fact_names_every_limit_that_it_broke() -> None:
    over = given(*CLUB).when(spent(10, fund="youth", fact=True)).then_event()
    event = over.world.history[("book", "club")][-1]
    assert [(b.code, b.account, b.fund, b.balance) for b in event.breaches] == [
        (E.ACCOUNT_LIMIT, "bank", None, -10), (E.FUND_LIMIT, None, "youth", -10),
    ]  # fmt: skip


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_fund_is_not_spent_before_its_time() -> None:
    saved = given(*RICH, came_in(100, "b", on(3, 1), fund="later"))
    saved.when(spent(1, fund="later")).then_rejected(E.FUND_NOT_YET_AVAILABLE, fund="later", date="2026-12-01")
    december = on(12, 1)
    saved.when(spent(100, day=december, fund="later"), now=NEXT_YEAR).then(EntryPosted)
    saved.when(spent(100, day=on(11, 30), fund="later"), now=NEXT_YEAR).then_rejected(E.FUND_NOT_YET_AVAILABLE)
    saved.when(release(of="later"), now=NEXT_YEAR).then(RestrictionReleased)
    saved.when(release(of="later")).then_rejected(E.FUND_NOT_YET_AVAILABLE)


def test_a_fact_before_its_time_that_takes_too_much_breaks_both() -> None:
    over = given(*RICH).when(spent(10, fund="later", fact=True)).then_event()
    breaches = over.world.history[("book", "club")][-1].breaches
    assert [(b.code, b.balance) for b in breaches] == [(E.FUND_NOT_YET_AVAILABLE, 0), (E.FUND_LIMIT, -10)]


# -- released ---------------------------------------------------------------------------------------------------------


def test_a_release_moves_money_and_shows_in_both_funds() -> None:
    after = given(*RICH).when(release(60)).then(RestrictionReleased, date=TODAY)
    assert balances(after) == {
        "bank/general": 1060, "dues/general": -1000, "gifts/general": -60, "bank/youth": 40, "dues/youth": -100,
        "gifts/youth": 60,
    }  # fmt: skip
    after.when(release(60)).then_nothing()
    after.when(release(61)).then_rejected(E.ENTRY_EXISTS, field="amount")
    after.when(release(41, "more")).then_rejected(E.FUND_LIMIT, fund="youth")
    given(*RICH, spent(7, "meal", fund="general")).when(release(60, releases="meal")).then(RestrictionReleased)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (release(releases="moon"), E.UNKNOWN_ENTRY),
        (release(of="moon"), E.UNKNOWN_FUND),
        (release(to_fund="moon"), E.UNKNOWN_FUND),
        (release(to_fund="youth"), E.INVALID_RANGE),
        (release(of="general", to_fund="youth"), E.INVALID_RANGE),
        (release(account="moon"), E.UNKNOWN_ACCOUNT),
        (release(account="dues"), E.WRONG_ACCOUNT_KIND),
        (release(through="moon"), E.UNKNOWN_ACCOUNT),
        (release(through="bank"), E.WRONG_ACCOUNT_KIND),
        (release(unit="USD"), E.UNKNOWN_UNIT),
        (release(101), E.FUND_LIMIT),
        (release(date=on(12, 31)), E.DATE_OUTSIDE_BOOK),
        (release(date=on(1, 31)), E.PERIOD_CLOSED),
        (release(account="dues", through="moon"), E.UNKNOWN_ACCOUNT),
        (release(of="general", to_fund="general", date=on(12, 31)), E.DATE_OUTSIDE_BOOK),
    ],
)  # fmt: skip
def test_a_release_is_right_in_itself(command: ReleaseRestriction, code: TreasuryError) -> None:
    given(*RICH, ClosePeriod(**IN, through=on(1, 31))).when(command).then_rejected(code)


def test_a_release_needs_a_book() -> None:
    given().when(release()).then_rejected(E.UNKNOWN_BOOK)


def test_an_account_that_a_fund_is_not_for_may_be_paid_by_another_posting() -> None:
    side = account("stamps", AccountKind.EXPENSE)
    debits: tuple[Posting, ...] = (p("food", 5, "youth"), p("stamps", 7))
    both = entry_of(debits, (p("bank", 5, "youth"), p("bank", 7)), "both")
    given(*RICH, side).when(both).then(EntryPosted)
