"""What a book is made of: opening it, its accounts, funds and units, and closing them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    AccountClosed,
    AccountKind,
    AccountOpened,
    BookOpened,
    CloseAccount,
    CloseFund,
    EntryPosted,
    Function,
    FundClosed,
    FundOpened,
    OpenAccount,
    OpenBook,
    OpenFund,
    RegisterUnit,
    Restriction,
    TreasuryError,
    UnitRegistered,
)
from tests.support.sentences import NOW
from tests.support.treasury import (
    CHART,
    CLUB,
    IN,
    TODAY,
    account,
    bank,
    book,
    came_in,
    food,
    fund,
    general,
    given,
    hold,
    hours,
    net,
    on,
    spent,
    state,
    youth,
)

E = TreasuryError


def test_a_book_opens_in_a_currency_of_the_standard() -> None:
    opened = given().when(book).then(BookOpened, unit="EUR", decimals=2, starts=on(1, 1), year_end="12-31")
    opened.when(book).then_nothing()
    given().when(replace(book, unit="JPY")).then(BookOpened, decimals=0)
    given().when(replace(book, unit="HOURS")).then_rejected(E.UNKNOWN_UNIT, unit="HOURS")
    given().when(replace(book, unit="XAU")).then_rejected(E.UNKNOWN_UNIT)


@pytest.mark.parametrize(
    "change", [{"name": "Us"}, {"unit": "USD"}, {"starts": on(1, 2)}, {"utc_offset": 60}, {"year_end": "06-30"}]
)  # fmt: skip
def test_a_book_is_opened_once(change: dict[str, Any]) -> None:
    given(book).when(replace(book, **change)).then_rejected(E.ALREADY_EXISTS, field=next(iter(change)))


def test_a_book_does_not_begin_in_the_future_of_its_own_place() -> None:
    tomorrow = TODAY + timedelta(days=1)
    given().when(replace(book, starts=TODAY)).then(BookOpened)
    given().when(replace(book, starts=tomorrow)).then_rejected(E.DATE_OUTSIDE_BOOK, today=str(TODAY))
    given().when(replace(book, starts=tomorrow, utc_offset=14 * 60)).then_rejected(E.DATE_OUTSIDE_BOOK)
    given().when(replace(book, starts=tomorrow, utc_offset=14 * 60), now=NOW + timedelta(hours=1)).then(BookOpened)


@pytest.mark.parametrize("command", [bank, general, hours, CloseAccount(**IN, account="bank"),
                                     CloseFund(**IN, fund="general")])  # fmt: skip
def test_nothing_is_put_into_a_book_that_is_not_open(command: Any) -> None:
    given().when(command).then_rejected(E.UNKNOWN_BOOK, book="club")


@pytest.mark.parametrize("command", [book, bank, general, hours, CloseAccount(**IN, account="bank"),
                                     CloseFund(**IN, fund="general")])  # fmt: skip
def test_what_happened_is_not_in_the_future(command: Any) -> None:
    given().when(replace(command, occurred_at=NOW + timedelta(minutes=6))).then_rejected(E.OCCURRED_IN_FUTURE)


def test_two_clocks_may_differ_by_some_minutes() -> None:
    moment = NOW + timedelta(minutes=5)
    given().when(replace(book, occurred_at=moment)).then(BookOpened, occurred_at=moment)
    given().when(book).then(BookOpened, occurred_at=NOW)


# -- accounts ---------------------------------------------------------------------------------------------------------


def test_an_account_opens_once() -> None:
    opened = given(book).when(bank).then(AccountOpened, kind=AccountKind.ASSET, guarded=True)
    opened.when(bank).then_nothing()
    opened.when(bank, now=NOW + timedelta(days=1)).then_nothing()
    opened.when(replace(bank, occurred_at=NOW)).then_nothing()
    opened.when(replace(bank, guarded=False)).then_rejected(E.ALREADY_EXISTS, account="bank", field="guarded")
    opened.when(replace(bank, kind=AccountKind.LIABILITY)).then_rejected(E.ALREADY_EXISTS, field="kind")
    opened.when(replace(bank, name="Savings")).then_rejected(E.ALREADY_EXISTS, field="name")
    spending = given(book, food)
    spending.when(replace(food, function=Function.FUNDRAISING)).then_rejected(E.ALREADY_EXISTS, field="function")


@pytest.mark.parametrize("kind", AccountKind)
def test_expense_accounts_and_no_others_say_what_they_serve(kind: AccountKind) -> None:
    with_function = OpenAccount(**IN, account="x", name="X", kind=kind, function=Function.FUNDRAISING)
    without = replace(with_function, function=None)
    right, wrong = (with_function, without) if kind is AccountKind.EXPENSE else (without, with_function)
    given(book).when(right).then(AccountOpened, function=right.function)
    given(book).when(wrong).then_rejected(E.WRONG_ACCOUNT_KIND, kind=kind)


def test_an_account_with_a_balance_or_a_hold_stays_open() -> None:
    close = CloseAccount(**IN, account="bank")
    given(*CLUB).when(CloseAccount(**IN, account="moon")).then_rejected(E.UNKNOWN_ACCOUNT, account="moon")
    given(*CLUB, came_in(5)).when(close).then_rejected(E.ACCOUNT_IN_USE, balance=5, unit="EUR")
    given(*CLUB, came_in(5)).when(CloseAccount(**IN, account="dues")).then_rejected(E.ACCOUNT_IN_USE, balance=-5)
    given(*CLUB, came_in(5), hold(5)).when(CloseAccount(**IN, account="food")).then_rejected(
        E.ACCOUNT_IN_USE, hold="h1"
    )
    given(*CLUB).when(CloseAccount(**IN, account="net")).then_rejected(E.ACCOUNT_IN_USE)
    closed = given(*CLUB, came_in(5), spent(5)).when(close).then(AccountClosed)
    closed.when(close).then_nothing()
    closed.when(came_in(id="more")).then_rejected(E.ACCOUNT_CLOSED, account="bank")


def test_a_closed_account_is_opened_again_as_it_was() -> None:
    closed = given(*CLUB, CloseAccount(**IN, account="cash"))
    closed.when(account("cash", AccountKind.ASSET)).then_rejected(E.ALREADY_EXISTS)
    reopened = closed.when(account("cash", AccountKind.ASSET, guarded=True)).then(AccountOpened)
    reopened.when(came_in()).then(EntryPosted)
    assert not state(reopened).accounts["cash"].closed


# -- funds ------------------------------------------------------------------------------------------------------------


def test_a_fund_opens_once() -> None:
    opened = given(*CHART).when(youth).then(FundOpened, restriction=Restriction.PURPOSE, pays_for=("food",))
    opened.when(youth).then_nothing()


@pytest.mark.parametrize(
    "change",
    [{"restriction": Restriction.NONE, "pays_for": ()}, {"name": "Old"}, {"purpose": "Camps"},
     {"pays_for": ("food", "rent")}, {"available_from": on(2, 1)}, {"advance": 1}, {"net_assets": "other"}],
)  # fmt: skip
def test_another_fund_needs_another_id(change: dict[str, Any]) -> None:
    other = account("other", AccountKind.NET_ASSETS)
    given(*CHART, other, youth).when(replace(youth, **change)).then_rejected(
        E.ALREADY_EXISTS, fund="youth", field=next(iter(change))
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (fund("x", net_assets="moon"), E.UNKNOWN_ACCOUNT),
        (fund("x", net_assets="bank"), E.WRONG_ACCOUNT_KIND),
        (fund("x", Restriction.PURPOSE, pays_for=("food", "moon")), E.UNKNOWN_ACCOUNT),
        (fund("x", Restriction.PURPOSE, pays_for=("bank",)), E.WRONG_ACCOUNT_KIND),
        (fund("x", Restriction.PURPOSE), E.INVALID_RANGE),
        (fund("x", Restriction.TIME), E.INVALID_RANGE),
        (fund("x", pays_for=("food",)), E.INVALID_RANGE),
        (fund("x", available_from=on(12, 1)), E.INVALID_RANGE),
        (fund("x", advance=1), E.INVALID_RANGE),
    ],
)  # fmt: skip
def test_a_fund_says_what_its_restriction_needs_and_no_more(command: OpenFund, code: TreasuryError) -> None:
    given(*CHART).when(command).then_rejected(code)


def test_a_fund_does_not_close_its_years_into_a_closed_account() -> None:
    gone = CloseAccount(**IN, account="net")
    given(*CHART, gone).when(general).then_rejected(E.ACCOUNT_CLOSED, account="net")


def test_a_fund_with_a_balance_or_a_hold_stays_open() -> None:
    close = CloseFund(**IN, fund="youth")
    given(*CLUB).when(CloseFund(**IN, fund="moon")).then_rejected(E.UNKNOWN_FUND, fund="moon")
    given(*CLUB, came_in(5, fund="youth")).when(close).then_rejected(E.FUND_IN_USE, balance=5)
    waiting = given(*CLUB, came_in(5), hold(5, fund="grant"))
    waiting.when(CloseFund(**IN, fund="grant")).then_rejected(E.FUND_IN_USE, hold="h1")
    closed = given(*CLUB).when(close).then(FundClosed)
    closed.when(close).then_nothing()
    closed.when(came_in(fund="youth")).then_rejected(E.FUND_CLOSED, fund="youth")
    closed.when(replace(youth, advance=9)).then_rejected(E.ALREADY_EXISTS)
    closed.when(youth).then(FundOpened).when(came_in(fund="youth")).then(EntryPosted)


def test_an_account_into_which_a_closed_fund_closed_its_years_is_free() -> None:
    gone = given(*CHART, general, CloseFund(**IN, fund="general"))
    gone.when(CloseAccount(**IN, account=net.account)).then(AccountClosed)


# -- units ------------------------------------------------------------------------------------------------------------


def test_currencies_have_the_decimals_of_the_standard_and_other_units_their_own() -> None:
    given(book).when(RegisterUnit(**IN, unit="KWD")).then(UnitRegistered, scale=3, decimals=None)
    given(book).when(RegisterUnit(**IN, unit="KWD", decimals=3)).then(UnitRegistered, scale=3)
    given(book).when(RegisterUnit(**IN, unit="KWD", decimals=2)).then_rejected(E.WRONG_DECIMALS, decimals=3)
    given(book).when(RegisterUnit(**IN, unit="HOURS")).then_rejected(E.WRONG_DECIMALS)
    given(book).when(RegisterUnit(**IN, unit="HOURS", decimals=0)).then(UnitRegistered, scale=0)


def test_a_unit_is_registered_once() -> None:
    given(book).when(RegisterUnit(**IN, unit="EUR")).then_nothing()
    given(book, hours).when(hours).then_nothing()
    given(book, hours).when(replace(hours, decimals=None)).then_nothing()
    given(book, hours).when(replace(hours, decimals=2)).then_rejected(E.ALREADY_EXISTS, unit="HOURS")


def test_a_book_in_another_currency_keeps_its_own() -> None:
    dollars = OpenBook(**{**IN, "book": "other"}, name="Other", unit="USD", starts=on(1, 1))
    given(book).when(dollars).then(BookOpened, unit="USD")
