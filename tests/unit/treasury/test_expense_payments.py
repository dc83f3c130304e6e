"""What is approved is held, paid once by somebody else, and held again when the payment comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    ChangeParty,
    ClosePeriod,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    HoldPlaced,
    HoldVoided,
    PaymentFailed,
    PlaceHold,
    PostHold,
    RejectExpense,
    ReverseEntry,
    TreasuryError,
    VoidHold,
)
from shared.types import is_id
from tests.support.sentences import NOW, Given
from tests.unit.treasury.office import (
    BOOK,
    IN,
    OFFICE,
    TODAY,
    TOMORROW,
    approve,
    approved,
    book,
    came_back,
    change,
    entry,
    given,
    held,
    held_in_bank,
    hold_for,
    in_bank,
    line,
    paid,
    party,
    pay,
    posting,
    rule,
    submit,
    submitted,
)

E = TreasuryError
REJECT = RejectExpense(**IN, expense="x", reason="Not this year")
VOID = VoidHold(**IN, hold="x-1", reason="by hand")


def by_hand(world: Given, **more: Any) -> PlaceHold:
    """A hold that the treasurer places, for what was approved unless told otherwise."""
    return replace(hold_for(world), **{"hold": "mine", **more})


# -- held -------------------------------------------------------------------------------------------------------------


def test_what_is_approved_is_held_and_nothing_else_may_spend_it() -> None:
    world = held(line(70_000))
    assert held_in_bank(world) == 70_000
    world.when(entry("rent", "rent", "bank", 30_001)).then_rejected(E.ACCOUNT_LIMIT, held=70_000)
    world.when(entry("rent", "rent", "bank", 30_000)).then_event()


def test_a_hold_for_an_expense_is_just_what_was_approved() -> None:
    world = approved(line(3_000), line(2_000, fund="youth"))
    right = by_hand(world)
    for debits, credits in (  # noqa: A001
        ((posting("food", 2_999), right.debits[1]), (posting("bank", 2_999), right.credits[1])),
        ((posting("food", 5_000),), (posting("bank", 5_000),)),
        ((posting("rent", 3_000), right.debits[1]), right.credits),
        ((posting("food", 3_000),), (posting("bank", 3_000),)),
        ((*right.debits, posting("rent", 1)), (*right.credits, posting("bank", 1))),
        ((*right.debits, *right.debits), (*right.credits, *right.credits)),
        (right.debits, (posting("cash", 3_000), posting("bank", 2_000, "youth"))),
        (right.credits, right.debits),
    ):  # fmt: skip
        world.when(replace(right, debits=debits, credits=credits)).then_rejected(E.AMOUNTS_DIFFER, expense="x")
    world.when(replace(right, debits=right.debits[::-1], credits=right.credits[::-1])).then(HoldPlaced, expense="x")


def test_money_is_held_only_for_what_is_approved() -> None:
    final = approved()
    hold = by_hand(final)
    submitted().when(hold).then_rejected(E.NOT_APPROVED, approvals=0, needed=2)
    final.when(REJECT).then_event().when(hold).then_rejected(E.EXPENSE_REJECTED)
    final.when(change()).then_event().when(hold).then_rejected(E.NOT_APPROVED)
    paid().when(hold).then_rejected(E.EXPENSE_PAID, entry="pay")
    given(*OFFICE).when(hold).then_rejected(E.UNKNOWN_EXPENSE, expense="x")
    final.when(replace(hold, expense="y")).then_rejected(E.UNKNOWN_EXPENSE)
    final.when(replace(hold, book="moon")).then_rejected(E.UNKNOWN_BOOK)


def test_money_is_held_once_for_an_expense_and_without_an_end() -> None:
    world = held()
    world.when(hold_for(approved())).then_nothing()
    world.when(by_hand(approved())).then_rejected(E.HELD_FOR_EXPENSE, hold="x-1", expense="x")
    final = approved()
    final.when(by_hand(final, expires_at=TOMORROW)).then_rejected(E.INVALID_RANGE, expense="x")


def test_when_the_money_went_meanwhile_it_is_held_by_hand_later() -> None:
    final = approved(line(60_000))
    fact = entry("fee", "rent", "bank", 50_000, fact=True)
    poor = final.when(fact).then_event()
    poor.when(hold_for(final)).then_rejected(E.ACCOUNT_LIMIT, account="bank")
    poor.when(pay(), actor="dora").then_rejected(E.MONEY_NOT_HELD, expense="x")
    rich = poor.when(entry("gift-2", "bank", "gifts", 10_000)).then_event()
    rich.when(by_hand(final)).then_event().when(pay(), actor="dora").then(ExpensePaid, hold="mine")


def test_the_ids_of_holds_fit_for_the_longest_expense() -> None:
    longest, many = "x" * 48, 10**13
    assert is_id(f"{longest}-{many}") and is_id(f"{longest}-r{many}")
    world = held(expense=longest)
    assert list(book(world).holds) == [f"{longest}-1"]
    back = world.when(pay(expense=longest), actor="dora").then_event().when(came_back(expense=longest)).then_event()
    assert all(map(is_id, book(back).holds))


# -- the hold of an expense and others --------------------------------------------------------------------------------


def test_a_hold_for_an_expense_is_paid_with_pay_expense_alone() -> None:
    held().when(PostHold(**IN, hold="x-1", entry="e")).then_rejected(E.HELD_FOR_EXPENSE, expense="x")


def test_a_hold_for_what_is_approved_is_not_voided() -> None:
    held().when(VOID).then_rejected(E.HELD_FOR_EXPENSE, hold="x-1", expense="x")


@pytest.mark.parametrize("ending", [change(), change(line(1)), REJECT])
def test_a_hold_for_what_is_not_approved_any_more_is_voided(ending: Any) -> None:
    world = held().when(ending).then_event().when(VOID).then(HoldVoided, expense="x")
    assert held_in_bank(world) == 0
    world.when(VOID).then_nothing()


def test_a_hold_of_an_earlier_version_serves_the_next_when_it_is_the_same() -> None:
    """The step that was to free it came late: it is needed again, and is paid."""
    again = held().when(change()).then_event()
    for who in ("ben", "cleo"):
        again = again.when(approve(3 + 1), actor=who).then_event()
    again.when(VOID).then_rejected(E.HELD_FOR_EXPENSE)
    again.when(hold_for(again)).then_rejected(E.HELD_FOR_EXPENSE, hold="x-1")
    again.when(pay(4), actor="dora").then(ExpensePaid, hold="x-1", version=4)


def test_a_hold_of_an_earlier_version_that_differs_is_never_paid() -> None:
    other = held().when(change(line(4_999))).then_event()
    for who in ("ben", "cleo"):
        other = other.when(approve(4), actor=who).then_event()
    other.when(pay(4), actor="dora").then_rejected(E.MONEY_NOT_HELD)
    freed = other.when(VOID).then_event()
    freed.when(hold_for(other)).then_event().when(pay(4), actor="dora").then(ExpensePaid, hold="x-4")


def test_an_expense_never_pays_out_of_somebody_elses_hold() -> None:
    """The id that the process manager takes may be taken already."""
    taken = PlaceHold(**IN, hold="x-1", debits=(posting("food", 9_000),), credits=(posting("bank", 9_000),))
    final = approved().when(taken).then_event()
    final.when(hold_for(approved())).then_rejected(E.ALREADY_EXISTS, hold="x-1")
    final.when(pay(), actor="dora").then_rejected(E.MONEY_NOT_HELD)
    changed = final.when(by_hand(approved())).then_event().when(pay(), actor="dora").then(ExpensePaid, hold="mine")
    assert list(book(changed).holds) == ["x-1"]


# -- paid -------------------------------------------------------------------------------------------------------------


def test_a_payment_posts_the_hold() -> None:
    world = held(line(3_000), line(2_000, fund="youth")).when(pay(), actor="dora").then(
        ExpensePaid, payer="dora", hold="x-1", reference="SEPA 1", date=TODAY, version=1,
        debits=(posting("food", 3_000), posting("food", 2_000, "youth")),
        credits=(posting("bank", 3_000), posting("bank", 2_000, "youth")),
    )  # fmt: skip
    assert (in_bank(world), held_in_bank(world), book(world).holds) == (95_000, 0, {})


def test_a_payment_is_made_once() -> None:
    world = paid()
    world.when(pay(), actor="dora").then_nothing()
    world.when(pay(reference="SEPA 2"), actor="dora").then_rejected(E.ENTRY_EXISTS, entry="pay", field="reference")
    world.when(pay(entry="pay-2", reference="SEPA 2"), actor="dora").then_rejected(E.EXPENSE_PAID, entry="pay")


@pytest.mark.parametrize("reference", ["SEPA 1", "sepa 1", "SEPA  1 ", " Sepa 1"])
def test_a_reference_is_used_once_in_a_book(reference: str) -> None:
    world = paid().when(submit(expense="y")).then_event()
    for who in ("ben", "cleo"):
        world = world.when(approve(expense="y"), actor=who).then_event()
    world = world.when(hold_for(world, "y")).then_event()
    second = pay(expense="y", entry="pay-2", reference=reference)
    world.when(second, actor="dora").then_rejected(E.PAYMENT_REFERENCE_USED, entry="pay")
    back = world.when(came_back()).then_event()
    back.when(second, actor="dora").then_rejected(E.PAYMENT_REFERENCE_USED)
    back.when(pay(entry="pay-2", reference=reference), actor="dora").then_rejected(E.PAYMENT_REFERENCE_USED)
    world.when(replace(second, reference="SEPA 11"), actor="dora").then(ExpensePaid)


def test_only_what_is_approved_as_it_is_now_is_paid() -> None:
    held().when(pay(book="moon"), actor="dora").then_rejected(E.UNKNOWN_BOOK)
    held().when(pay(expense="y"), actor="dora").then_rejected(E.UNKNOWN_EXPENSE)
    held().when(pay(2), actor="dora").then_rejected(E.EXPENSE_CHANGED, version=1)
    submitted().when(pay(), actor="dora").then_rejected(E.NOT_APPROVED, approvals=0, needed=2)
    one = submitted().when(approve(), actor="ben").then_event()
    one.when(pay(), actor="dora").then_rejected(E.NOT_APPROVED, approvals=1)
    approved().when(pay(), actor="dora").then_rejected(E.MONEY_NOT_HELD)
    held().when(REJECT).then_event().when(pay(), actor="dora").then_rejected(E.EXPENSE_REJECTED)
    changed = held().when(change(line(1))).then(ExpenseChanged)
    changed.when(pay(), actor="dora").then_rejected(E.EXPENSE_CHANGED, version=4)
    changed.when(pay(4), actor="dora").then_rejected(E.NOT_APPROVED)


@pytest.mark.parametrize("who", ["sam", "ben", "cleo"])
def test_who_asked_or_approved_does_not_pay(who: str) -> None:
    held().when(pay(), actor=who).then_rejected(E.SECOND_PERSON_REQUIRED, actor=who)


@pytest.mark.parametrize("who", ["Sam", "BEN", " cleo "])
def test_who_asked_or_approved_does_not_pay_by_another_spelling(who: str) -> None:
    held().when(pay(), actor=who).then_rejected(E.SECOND_PERSON_REQUIRED)


def test_who_asked_for_an_earlier_version_does_not_pay() -> None:
    world = submitted().when(change(), actor="eve").then_event()
    for who in ("ben", "cleo"):
        world = world.when(approve(2), actor=who).then_event()
    world = world.when(hold_for(world)).then_event()
    for who in ("sam", "eve"):
        world.when(pay(2), actor=who).then_rejected(E.SECOND_PERSON_REQUIRED, actor=who)
    world.when(pay(2), actor="dora").then_event()


def test_nobody_pays_what_they_receive() -> None:
    held(payee="ada").when(pay(), actor="Ada").then_rejected(E.OWN_BENEFIT)
    later = held().when(ChangeParty(party="shop", name="Dora's shop", login="dora")).then_event()
    later.when(pay(), actor="dora").then_rejected(E.OWN_BENEFIT)
    later.when(pay(), actor="eve").then_event()


def test_a_payment_has_a_day_of_the_book() -> None:
    world = held()
    world.when(pay(date=TODAY + timedelta(days=1)), actor="dora").then_rejected(E.DATE_OUTSIDE_BOOK)
    world.when(pay(date=date(2025, 12, 31)), actor="dora").then_rejected(E.DATE_OUTSIDE_BOOK)
    closed = world.when(ClosePeriod(**IN, through=date(2026, 10, 31))).then_event()
    closed.when(pay(date=date(2026, 10, 31)), actor="dora").then_rejected(E.PERIOD_CLOSED)
    closed.when(pay(date=date(2026, 11, 19)), actor="dora").then_rejected(E.ACCOUNT_LIMIT, account="bank")
    closed.when(pay(date=TODAY), actor="dora").then(ExpensePaid, date=TODAY)


def test_a_payment_is_not_reversed() -> None:
    reverse = ReverseEntry(**IN, entry="r", reverses="pay", reason="x")
    paid().when(reverse).then_rejected(E.NOT_REVERSIBLE, expense="x")
    back = paid().when(came_back()).then_event()
    back.when(reverse).then_rejected(E.ALREADY_REVERSED)
    back.when(replace(reverse, reverses="back")).then_rejected(E.NOT_REVERSIBLE)


# -- and failed -------------------------------------------------------------------------------------------------------


def test_a_payment_that_came_back_is_held_again_and_not_paid_by_itself() -> None:
    world = paid().when(came_back()).then(
        PaymentFailed, reverses="pay", debits=(posting("bank", 5_000),), credits=(posting("food", 5_000),),
        held_debits=(posting("food", 5_000),), held_credits=(posting("bank", 5_000),),
    )  # fmt: skip
    assert (in_bank(world), held_in_bank(world)) == (100_000, 5_000)
    again = world.when(pay(entry="pay-2", reference="SEPA 2"), actor="dora").then(ExpensePaid)
    assert (in_bank(again), held_in_bank(again)) == (95_000, 0)
    twice = again.when(came_back("back-2")).then(PaymentFailed, reverses="pay-2")
    assert held_in_bank(twice) == 5_000


def test_a_payment_fails_once() -> None:
    world = paid().when(came_back()).then_event()
    world.when(came_back()).then_nothing()
    world.when(came_back("back-2")).then_rejected(E.NOT_PAID, expense="x")
    world.when(came_back(reason="Other")).then_rejected(E.ENTRY_EXISTS, field="reason")
    again = world.when(pay(entry="pay-2", reference="SEPA 2"), actor="dora").then_event()
    again.when(came_back()).then_nothing()
    again.when(pay(), actor="dora").then_rejected(E.ENTRY_EXISTS, reversed_by="back")
    again.when(pay(entry="pay-2", reference="SEPA 2"), actor="dora").then_nothing()


def test_only_a_payment_can_fail() -> None:
    held().when(came_back()).then_rejected(E.NOT_PAID)
    paid().when(came_back(expense="y")).then_rejected(E.NOT_PAID)
    paid().when(came_back(book="moon")).then_rejected(E.UNKNOWN_BOOK)
    paid().when(came_back(date=TODAY + timedelta(days=1))).then_rejected(E.DATE_OUTSIDE_BOOK)


@pytest.mark.parametrize("ending", [change(line(4_000)), REJECT])
def test_after_a_failed_payment_the_expense_may_be_changed_or_rejected(ending: Any) -> None:
    back = paid().when(came_back()).then_event()
    (hold,) = book(back).holds
    back.when(VoidHold(**IN, hold=hold, reason="x")).then_rejected(E.HELD_FOR_EXPENSE)
    ended = back.when(ending).then_event()
    ended.when(pay(entry="pay-2", reference="SEPA 2"), actor="dora").then_rejected(
        E.EXPENSE_REJECTED if ending is REJECT else E.EXPENSE_CHANGED
    )
    freed = ended.when(VoidHold(**IN, hold=hold, reason="x")).then(HoldVoided, expense="x")
    assert held_in_bank(freed) == 0


def test_the_money_of_a_failed_payment_is_held_even_when_the_account_is_short() -> None:
    world = paid(line(60_000)).when(entry("fee", "rent", "bank", 90_000, fact=True)).then_event()
    back = world.when(came_back()).then(PaymentFailed)
    assert (in_bank(back), held_in_bank(back)) == (10_000, 60_000)
    back.when(pay(entry="pay-2", reference="SEPA 2"), actor="dora").then_rejected(E.ACCOUNT_LIMIT)


# -- several reasons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "actor", "code"),
    [
        (pay(9, book="moon", entry="gift"), "ada", E.UNKNOWN_BOOK),
        (pay(9, entry="gift", expense="z"), "ada", E.ENTRY_EXISTS),
        (pay(9, entry="p", expense="z", date=date(2030, 1, 1)), "ada", E.UNKNOWN_EXPENSE),
        (pay(9, entry="p", date=date(2030, 1, 1)), "ada", E.DATE_OUTSIDE_BOOK),
        (pay(9, entry="p"), "ada", E.PAYMENT_REFERENCE_USED),
        (pay(9, entry="p", reference="S", expense="gone"), "ada", E.EXPENSE_CHANGED),
        (pay(1, entry="p", reference="S", expense="gone"), "ada", E.EXPENSE_REJECTED),
        (pay(1, entry="p", reference="S", expense="done"), "ada", E.EXPENSE_PAID),
        (pay(1, entry="p", reference="S"), "ada", E.SECOND_PERSON_REQUIRED),
        (pay(1, entry="p", reference="S", expense="own"), "ada", E.OWN_BENEFIT),
        (pay(1, entry="p", reference="S", expense="own"), "dora", E.NOT_APPROVED),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(command: Any, actor: str, code: TreasuryError) -> None:
    world = paid(expense="done", payee="ada", steps=(*BOOK, rule("two", 2), party("ada", "ada")))
    world = world.when(submit(payee="ada"), actor="ada").then_event()
    for expense in ("gone", "own"):
        world = world.when(submit(payee="ada", expense=expense)).then_event()
    world = world.when(replace(REJECT, expense="gone")).then(ExpenseRejected)
    world.when(command, actor=actor).then_rejected(code)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"occurred_at": TOMORROW, "book": "moon"}, E.OCCURRED_IN_FUTURE),
        ({"hold": "x-1", "expires_at": NOW}, E.ALREADY_EXISTS),
        ({"expires_at": TOMORROW}, E.HELD_FOR_EXPENSE),
        ({"expense": "y", "expires_at": TOMORROW, "debits": (posting("till", 1),)}, E.INVALID_RANGE),
        ({"expense": "y", "debits": (posting("till", 1),)}, E.UNKNOWN_ACCOUNT),
        ({"expense": "y", "debits": (posting("food", 1),)}, E.UNBALANCED),
        ({"expense": "y", "debits": (posting("food", 1),), "credits": (posting("bank", 1),)}, E.NOT_APPROVED),
    ],
)  # fmt: skip
def test_the_first_reason_against_a_hold_is_answered(changes: dict[str, Any], code: TreasuryError) -> None:
    world = held().when(submit(expense="y")).then_event()
    world.when(replace(by_hand(approved()), **changes)).then_rejected(code)
