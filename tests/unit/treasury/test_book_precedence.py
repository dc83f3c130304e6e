"""When several refusals hold, the first in the order of TreasuryError is the one that is answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    CloseAccount,
    CloseFund,
    ClosePeriod,
    ExpireHold,
    PlaceHold,
    PostHold,
    Restriction,
    TreasuryError,
)
from shared.types import MAX_INTEGER
from tests.support.sentences import NOW
from tests.support.treasury import (
    CHART,
    CLUB,
    IN,
    NEXT_YEAR,
    TODAY,
    account,
    ada,
    assess,
    bank,
    book,
    came_in,
    close_year,
    donation,
    entry_of,
    food,
    fund,
    general,
    given,
    hold,
    hours,
    line,
    net,
    on,
    p,
    post,
    post_hold,
    release,
    reverse,
    spent,
    void,
)

E = TreasuryError
TOMORROW = NOW + timedelta(days=1)
NEVER = date(2030, 1, 1)
CLOSED = ClosePeriod(**IN, through=on(1, 31))
GONE = (*CLUB, CloseAccount(**IN, account="cash"), CloseFund(**IN, fund="grant"), came_in(100, "in", on(2, 1)), CLOSED)
WRONG = entry_of((p("cash", 2, "grant"), p("moon", 1)), (p("dues", MAX_INTEGER, "moon", "USD"),), "e", NEVER)
"""Nothing of it is right."""


@pytest.mark.parametrize(
    ("steps", "command", "code"),
    [
        # an entry
        ((), WRONG, E.UNKNOWN_BOOK),
        (GONE, replace(WRONG, entry="in"), E.ENTRY_EXISTS),
        (GONE, WRONG, E.DATE_OUTSIDE_BOOK),
        (GONE, replace(WRONG, date=on(1, 31)), E.PERIOD_CLOSED),
        (GONE, replace(WRONG, date=None), E.UNKNOWN_ACCOUNT),
        (GONE, entry_of((p("cash", 2, "moon"),), (p("dues", 1, unit="USD"),)), E.ACCOUNT_CLOSED),
        (GONE, entry_of((p("bank", 2, "grant"), p("food", 2, "moon")), (p("dues", 1, unit="USD"),)), E.UNKNOWN_FUND),
        (GONE, entry_of((p("bank", 2, "grant"),), (p("dues", 1, unit="USD"),)), E.FUND_CLOSED),
        (GONE, entry_of((p("bank", MAX_INTEGER),), (p("dues", 1, unit="USD"),)), E.UNKNOWN_UNIT),
        (GONE, entry_of((p("bank", MAX_INTEGER),), (p("moon", 1),)), E.UNKNOWN_ACCOUNT),
        (GONE, entry_of((p("bank", MAX_INTEGER),), (p("dues", 1),)), E.UNBALANCED),
        (GONE, entry_of((p("rent", MAX_INTEGER, "youth"), p("rent", 9, "youth")),
                        (p("bank", MAX_INTEGER, "youth"), p("bank", 9, "youth"))), E.OUT_OF_RANGE),
        (GONE, spent(999, day=on(2, 1), of="rent", fund="later"), E.FUND_NOT_YET_AVAILABLE),
        (GONE, spent(999, of="rent", fund="youth"), E.FUND_PURPOSE),
        (GONE, spent(999, fund="youth"), E.ACCOUNT_LIMIT),
        ((*GONE, spent(90, "used", on(4, 1))), spent(50, day=on(3, 1), fund="youth"), E.BREAKS_LATER_DAY),
        # the same, one of many
        (GONE, replace(post(line(1)), entries=(line(1, "cash", "moon", day=NEVER),)), None),
        # holds
        (GONE, replace(hold(999), occurred_at=TOMORROW, expires_at=NOW), E.OCCURRED_IN_FUTURE),
        ((*GONE, hold(5)), replace(hold(999, of="moon"), expires_at=NOW), E.ALREADY_EXISTS),
        (GONE, hold(999, of="moon", expires_at=NOW), E.INVALID_RANGE),
        (GONE, hold(999, of="rent", fund="youth"), E.FUND_PURPOSE),
        (GONE, replace(post_hold(date=NEVER), entry="in"), E.ENTRY_EXISTS),
        (GONE, post_hold(date=NEVER), E.UNKNOWN_HOLD),
        ((*GONE, hold(5), void()), post_hold(part=99, date=NEVER), E.HOLD_ENDED),
        ((*GONE, hold(5)), post_hold(part=99, date=NEVER), E.BEYOND_HOLD),
        ((*GONE, hold(5)), PostHold(**IN, hold="h1", entry="x", date=NEVER, part_debits=(p("food", 5),)),
         E.DATE_OUTSIDE_BOOK),
        ((), replace(void(), occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        ((*GONE, hold(5), void()), replace(void(), occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        ((*GONE, hold(5), void()), ExpireHold(**IN, hold="h1"), E.HOLD_ENDED),
        # reversals and releases
        (GONE, replace(reverse("moon", day=NEVER), entry="in"), E.ENTRY_EXISTS),
        (GONE, reverse("moon", day=NEVER), E.UNKNOWN_ENTRY),
        ((*GONE, reverse("in", "un")), reverse("in", "more", day=NEVER), E.ALREADY_REVERSED),
        ((*GONE, ada, assess()), reverse("asked", day=NEVER), E.NOT_REVERSIBLE),
        (GONE, release(of="general", releases="moon", date=NEVER), E.UNKNOWN_ENTRY),
        (GONE, release(of="general", to_fund="general", account="moon", date=NEVER), E.DATE_OUTSIDE_BOOK),
        (GONE, release(of="general", account="moon"), E.INVALID_RANGE),
        (GONE, release(account="dues", through="cash"), E.ACCOUNT_CLOSED),
        (GONE, release(of="moon", account="dues"), E.WRONG_ACCOUNT_KIND),
        (GONE, release(of="grant", to_fund="moon"), E.UNKNOWN_FUND),
        # gifts and dues
        (GONE, replace(donation(donor="moon", date=NEVER), entry="in"), E.ENTRY_EXISTS),
        (GONE, donation(donor="moon", pledge="moon", date=NEVER), E.UNKNOWN_PARTY),
        (GONE, donation(pledge="moon", date=NEVER), E.UNKNOWN_PLEDGE),
        (GONE, donation(into="cash", income="moon", date=NEVER), E.DATE_OUTSIDE_BOOK),
        (GONE, donation(into="cash", income="moon"), E.UNKNOWN_ACCOUNT),
        (GONE, donation(into="cash", income="bank"), E.ACCOUNT_CLOSED),
        (GONE, donation(into="dues", fund="moon"), E.WRONG_ACCOUNT_KIND),
        (GONE, donation(MAX_INTEGER, fund="moon", unit="USD"), E.UNKNOWN_FUND),
        ((*GONE, ada, assess()), assess(id="x", receivable="moon", date=NEVER), E.ALREADY_ASSESSED),
        # the chart
        (CHART, replace(book, unit="XXX", starts=NEVER), E.ALREADY_EXISTS),
        ((), replace(book, unit="XXX", starts=NEVER), E.DATE_OUTSIDE_BOOK),
        ((), replace(book, unit="XXX", starts=NEVER, occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        ((), replace(bank, occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        ((book, food), replace(food, kind=bank.kind), E.ALREADY_EXISTS),
        ((*CHART, general), fund("general", Restriction.PURPOSE, net_assets="moon"), E.ALREADY_EXISTS),
        (CHART, fund("x", Restriction.PURPOSE, net_assets="moon"), E.INVALID_RANGE),
        (CHART, fund("x", Restriction.PURPOSE, net_assets="bank", pays_for=("moon",)), E.UNKNOWN_ACCOUNT),
        ((*CHART, CloseAccount(**IN, account="cash")),
         fund("x", Restriction.PURPOSE, net_assets="bank", pays_for=("cash",)), E.ACCOUNT_CLOSED),
        (CLUB, replace(hours, unit="EUR", decimals=3), E.ALREADY_EXISTS),
        # periods and years
        ((*CLUB, ClosePeriod(**IN, through=TODAY - timedelta(days=1))), close_year(2027, "x"), E.PERIOD_OPEN),
        (CLUB, replace(close_year(2025), through=on(6, 30, 2025)), E.DATE_OUTSIDE_BOOK),
        (GONE, replace(close_year(2025), entry="in"), E.ENTRY_EXISTS),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(steps: tuple[Any, ...], command: Any, code: TreasuryError | None) -> None:
    asked = given(*steps).when(command)
    if code is None:
        assert [one.code for one in asked.event.not_posted] == [E.DATE_OUTSIDE_BOOK]
    else:
        asked.then_rejected(code)


def test_a_day_in_a_closed_year_is_refused_as_closed_before_it_is_no_end_of_a_year() -> None:
    over = given(*CLUB).when(ClosePeriod(**IN, through=on(12, 31)), now=NEXT_YEAR).then_event()
    closed = over.when(close_year(), now=NEXT_YEAR).then_event()
    closed.when(replace(close_year(id="x"), through=on(6, 30)), now=NEXT_YEAR).then_rejected(E.YEAR_CLOSED)


def test_a_hold_of_several_wrong_things_is_refused_for_the_first() -> None:
    other = account("other", net.kind)
    wrong = PlaceHold(**IN, hold="h", debits=(p("rent", 2, "youth"),), credits=(p("bank", 1, "youth"),))
    given(*CLUB, other).when(wrong).then_rejected(E.UNBALANCED)


def test_codes_are_their_own_names() -> None:
    assert all(code.name == code.value for code in TreasuryError)
