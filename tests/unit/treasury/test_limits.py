"""Guarded accounts: never below zero on any day because of what was authorised; below it when that is a fact."""

from __future__ import annotations

from typing import Any

import pytest

from services.treasury.contract import (
    AccountKind,
    Breach,
    EntryPosted,
    HoldPlaced,
    PlaceHold,
    RegisterUnit,
    TreasuryError,
)
from tests.support.treasury import (
    CLUB,
    IN,
    TODAY,
    account,
    balances,
    came_in,
    entry,
    entry_of,
    given,
    hold,
    on,
    p,
    spent,
    state,
)

E = TreasuryError


def short(code: TreasuryError, balance: int, day: Any = TODAY, *, account: str = "bank", **more: Any) -> Breach:
    """A breach of the entry `out`."""
    return Breach(**{"entry": "out", "unit": "EUR", "limit": 0, **more}, code=code, account=account, date=day,
                  balance=balance)  # fmt: skip


def test_a_guarded_account_may_be_emptied_and_no_further() -> None:
    given(*CLUB, came_in(100)).when(spent(100)).then(EntryPosted, breaches=())
    given(*CLUB, came_in(100)).when(spent(101)).then_rejected(E.ACCOUNT_LIMIT, account="bank", balance=-1, limit=0)
    given(*CLUB).when(entry(5, "food", "owed")).then(EntryPosted)


def test_a_fact_is_recorded_with_what_it_broke() -> None:
    over = given(*CLUB, came_in(100)).when(spent(101, fact=True)).then(
        EntryPosted, breaches=(short(E.ACCOUNT_LIMIT, -1),)
    )  # fmt: skip
    assert balances(over)["bank/general"] == -1
    over.when(spent(1, "more")).then_rejected(E.ACCOUNT_LIMIT, balance=-2)
    over.when(came_in(1, "more")).then(EntryPosted, breaches=())
    over.when(spent(1, "out", fact=True)).then_rejected(E.ENTRY_EXISTS)


def test_a_fact_that_breaks_nothing_has_no_breach() -> None:
    given(*CLUB, came_in(100)).when(spent(100, fact=True)).then(EntryPosted, breaches=())


def test_what_makes_an_overdrawn_account_better_is_never_refused() -> None:
    over = given(*CLUB, spent(100, fact=True))
    over.when(came_in(10)).then(EntryPosted, breaches=())
    over.when(came_in(10, day=on(2, 1))).then(EntryPosted, breaches=())


def test_a_liability_grows_by_credits() -> None:
    lender = account("lender", AccountKind.LIABILITY, guarded=True)
    lent = given(*CLUB, lender).when(entry(100, "bank", "lender")).then(EntryPosted)
    lent.when(entry(100, "lender", "bank", "back")).then(EntryPosted)
    lent.when(entry(101, "lender", "cash", "back", fact=True)).then(
        EntryPosted,
        breaches=(
            Breach(code=E.ACCOUNT_LIMIT, entry="back", account="lender", unit="EUR", date=TODAY, balance=-1, limit=0),
            Breach(code=E.ACCOUNT_LIMIT, entry="back", account="cash", unit="EUR", date=TODAY, balance=-101, limit=0),
        ),
    )  # fmt: skip


def test_an_account_is_guarded_over_all_its_funds_together() -> None:
    both = given(*CLUB, came_in(60), came_in(40, "for-youth", fund="youth"))
    both.when(spent(70, fund="general")).then(EntryPosted)
    both.when(spent(101)).then_rejected(E.ACCOUNT_LIMIT, balance=-1)


def test_an_account_is_guarded_in_each_unit_apart() -> None:
    mixed = given(*CLUB, RegisterUnit(**IN, unit="USD"), came_in(100), entry(5, id="usd", unit="USD"))
    mixed.when(spent(6, unit="USD")).then_rejected(E.ACCOUNT_LIMIT, unit="USD", balance=-1)
    mixed.when(spent(5, unit="USD")).then(EntryPosted)


def test_only_what_an_entry_takes_in_all_counts() -> None:
    through = entry_of((p("bank", 100), p("food", 30)), (p("bank", 30), p("dues", 100)))
    given(*CLUB).when(through).then(EntryPosted)
    nothing = entry_of((p("bank", 30), p("food", 5)), (p("bank", 30), p("owed", 5)))
    given(*CLUB, spent(9, fact=True)).when(nothing).then(EntryPosted)


# -- late -------------------------------------------------------------------------------------------------------------

SPRING = (*CLUB, came_in(100, "a", on(3, 1)), spent(60, "b", on(5, 1)), came_in(60, "c", on(7, 1)))
"""100 from March on, 40 from May on, 100 from July on."""


def test_a_late_entry_is_refused_when_a_later_day_needs_what_it_takes() -> None:
    given(*SPRING).when(spent(40, day=on(4, 1))).then(EntryPosted, breaches=())
    given(*SPRING).when(spent(41, day=on(4, 1))).then_rejected(
        E.BREAKS_LATER_DAY, account="bank", date="2026-05-01", balance=-1, limit=0
    )
    given(*SPRING).when(spent(41, day=on(6, 30))).then_rejected(E.ACCOUNT_LIMIT, date="2026-06-30", balance=-1)
    given(*SPRING).when(spent(100, day=on(7, 1))).then(EntryPosted)


def test_a_late_entry_lacks_the_money_on_its_own_day_before_any_later_one() -> None:
    given(*SPRING).when(spent(1, day=on(2, 28))).then_rejected(E.ACCOUNT_LIMIT, date="2026-02-28", balance=-1)
    given(*SPRING).when(spent(101, day=on(4, 1))).then_rejected(E.ACCOUNT_LIMIT, date="2026-04-01", balance=-1)


def test_the_first_day_that_a_late_fact_breaks_is_named_though_a_later_one_is_worse() -> None:
    lower = (*SPRING[:-1], spent(30, "c", on(6, 1)))
    after = given(*lower).when(spent(50, day=on(4, 1), fact=True)).then(
        EntryPosted, breaches=(short(E.BREAKS_LATER_DAY, -10, on(5, 1)),)
    )  # fmt: skip
    assert balances(after, on(6, 1))["bank/general"] == -40


def test_a_day_is_as_low_as_it_ever_stood_between_its_entries() -> None:
    busy = (*CLUB, came_in(100, "a", on(3, 1)), spent(90, "b", on(5, 1)), came_in(90, "c", on(5, 1)))
    given(*busy).when(spent(11, day=on(4, 1))).then_rejected(E.BREAKS_LATER_DAY, date="2026-05-01", balance=-1)
    given(*busy).when(spent(100, day=on(5, 1))).then(EntryPosted)


def test_a_late_entry_comes_after_what_its_day_had_already() -> None:
    busy = (*CLUB, spent(50, "a", on(5, 1), fact=True), came_in(80, "b", on(5, 1)), came_in(1, "c", on(6, 1)))
    given(*busy).when(spent(30, day=on(5, 1))).then(EntryPosted)
    given(*busy).when(spent(31, day=on(5, 1))).then_rejected(E.ACCOUNT_LIMIT, date="2026-05-01", balance=-1)


def test_a_late_entry_shifts_the_days_behind_it() -> None:
    shifted = given(*SPRING, spent(40, "late", on(4, 1)))
    shifted.when(spent(1, day=on(3, 15))).then_rejected(E.BREAKS_LATER_DAY, date="2026-05-01", balance=-1)
    shifted.when(spent(60, day=TODAY)).then(EntryPosted)
    shifted.when(spent(61, day=TODAY)).then_rejected(E.ACCOUNT_LIMIT)


def test_a_late_gain_lets_a_later_day_pay() -> None:
    given(*SPRING, came_in(10, "late", on(4, 1))).when(spent(50, day=on(4, 2))).then(EntryPosted)


# -- held -------------------------------------------------------------------------------------------------------------


def test_what_is_held_cannot_be_spent() -> None:
    waiting = given(*CLUB, came_in(100), hold(60))
    waiting.when(spent(40)).then(EntryPosted)
    waiting.when(spent(41)).then_rejected(E.ACCOUNT_LIMIT, balance=-1, held=60)
    waiting.when(spent(101)).then_rejected(E.ACCOUNT_LIMIT, balance=-61, held=60)
    waiting.when(spent(41, fact=True)).then(EntryPosted, breaches=(short(E.ACCOUNT_LIMIT, -1),))
    waiting.when(hold(40, "h2")).then(HoldPlaced)
    waiting.when(hold(41, "h2")).then_rejected(E.ACCOUNT_LIMIT, balance=-1, held=60)


def test_a_hold_is_of_the_present_and_no_past_day_counts_it() -> None:
    waiting = given(*CLUB, came_in(50, "a", on(3, 1)), came_in(50, "b", on(7, 1)), hold(60))
    waiting.when(spent(40, day=on(4, 1))).then(EntryPosted)
    waiting.when(spent(41, day=on(4, 1))).then_rejected(E.ACCOUNT_LIMIT, date="2026-07-01", balance=-1, held=60)
    waiting.when(spent(51, day=on(4, 1))).then_rejected(E.ACCOUNT_LIMIT, date="2026-04-01", balance=-1)


def test_a_hold_takes_only_what_it_takes() -> None:
    coming = PlaceHold(**IN, hold="h", debits=(p("bank", 50),), credits=(p("dues", 50),))
    waiting = given(*CLUB, came_in(10)).when(coming).then(HoldPlaced)
    assert state(waiting).guards["account", "bank", "EUR"].held == 0
    waiting.when(spent(11)).then_rejected(E.ACCOUNT_LIMIT)


@pytest.mark.parametrize("kind", [AccountKind.INCOME, AccountKind.EXPENSE, AccountKind.NET_ASSETS])
def test_any_account_may_be_guarded(kind: AccountKind) -> None:
    debit, credit = ("own", "owed") if kind is AccountKind.EXPENSE else ("owed", "own")
    grown = given(*CLUB, account("own", kind, guarded=True), entry(10, debit, credit))
    grown.when(entry(11, credit, debit, "back")).then_rejected(E.ACCOUNT_LIMIT, account="own", balance=-1)
    grown.when(entry(10, credit, debit, "back")).then(EntryPosted)
