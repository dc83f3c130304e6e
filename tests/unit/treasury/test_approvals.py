"""Approvals: by how many, by whom, under which mandate; never by who asks for the money or receives it."""

from __future__ import annotations

from typing import Any

import pytest

from services.treasury.contract import (
    AccountKind,
    ChangeParty,
    CloseAccount,
    ExpenseApproved,
    PartyChanged,
    SetApprovalRule,
    TreasuryError,
)
from services.treasury.expense_state import Stage
from tests.support.sentences import Given
from tests.unit.treasury.office import (
    BOOK,
    IN,
    OFFICE,
    TOMORROW,
    account,
    approve,
    approved,
    change,
    entry,
    expense,
    held,
    line,
    paid,
    party,
    posting,
    rule,
    submit,
    submitted,
)

E = TreasuryError


def by(world: Given, actor: str, mandate: str | None = None, **fields: Any) -> Given:
    """Somebody approves."""
    version = expense(world).version
    return world.when(approve(version), actor=actor, mandate=mandate).then(
        ExpenseApproved, approver=actor, mandate=mandate, **fields
    )


def ruled(*rules: SetApprovalRule, **more: Any) -> Given:
    """An expense in a book with these rules alone."""
    return submitted(*more.pop("lines", ()), steps=(*BOOK, *rules, party("shop"), party("ada", "ada")), **more)


# -- how many ---------------------------------------------------------------------------------------------------------


def test_the_last_approval_is_final_and_says_what_is_to_be_held() -> None:
    one = by(submitted(line(3_000), line(2_000, fund="youth")), "ben", final=False, hold=None, debits=(), needed=2)
    assert expense(one).stage is Stage.REQUESTED
    two = by(
        one, "cleo", final=True, hold="x-1", approvers=("ben", "cleo"), rules=("two",),
        debits=(posting("food", 3_000), posting("food", 2_000, "youth")),
        credits=(posting("bank", 3_000), posting("bank", 2_000, "youth")),
    )  # fmt: skip
    assert expense(two).stage is Stage.APPROVED


def test_an_approval_counts_once() -> None:
    one = by(submitted(), "ben")
    one.when(approve(), actor="ben").then_nothing()
    approved().when(approve(), actor="ben").then_nothing()
    paid().when(approve(), actor="ben").then_nothing()


def test_nobody_approves_what_has_all_its_approvals() -> None:
    approved().when(approve(), actor="eve").then_rejected(E.ALREADY_APPROVED)
    held().when(approve(), actor="eve").then_rejected(E.ALREADY_APPROVED)
    paid().when(approve(), actor="eve").then_rejected(E.EXPENSE_PAID, entry="pay")


def test_an_approval_is_of_the_version_that_was_looked_at() -> None:
    asked = submitted()
    for version in (2, 7):
        asked.when(approve(version), actor="ben").then_rejected(E.EXPENSE_CHANGED, version=1)
    one = by(by(asked, "ben"), "cleo").when(change(line(4_999))).then_event()
    one.when(approve(1), actor="ben").then_rejected(E.EXPENSE_CHANGED, version=4)


def test_only_a_known_expense_is_approved() -> None:
    submitted().when(approve(book="moon"), actor="ben").then_rejected(E.UNKNOWN_BOOK)
    submitted().when(approve(expense="y"), actor="ben").then_rejected(E.UNKNOWN_EXPENSE)
    submitted().when(approve(occurred_at=TOMORROW), actor="ben").then_rejected(E.OCCURRED_IN_FUTURE)


def test_the_final_approval_needs_the_money_and_an_earlier_one_does_not() -> None:
    spent = entry("spent", "rent", "bank", 78_000)
    asked = submitted(line(2_001)).when(spent).then_event()
    one = by(asked, "ben")
    poor = one.when(entry("more", "rent", "bank", 20_000)).then_event()
    poor.when(approve(), actor="cleo").then_rejected(E.ACCOUNT_LIMIT, account="bank")
    rich = poor.when(entry("gift-2", "bank", "gifts", 10_000)).then_event()
    by(rich, "cleo", final=True)


def test_a_restricted_fund_approves_no_more_than_it_has() -> None:
    one = by(submitted(line(20_001, fund="youth")), "ben")
    one.when(approve(), actor="cleo").then_rejected(E.FUND_LIMIT, fund="youth")


def test_what_cannot_be_paid_any_more_is_not_approved() -> None:
    own = (*OFFICE, account("stamps", AccountKind.EXPENSE))
    asked = submitted(line(account="stamps"), steps=own).when(CloseAccount(**IN, account="stamps")).then_event()
    asked.when(approve(), actor="ben").then_rejected(E.ACCOUNT_CLOSED, account="stamps")


# -- which rule -------------------------------------------------------------------------------------------------------


def test_the_highest_amount_that_is_reached_counts() -> None:
    rules = (rule("small"), rule("large", 2, from_amount=5_000), rule("huge", 3, from_amount=50_000))
    by(ruled(*rules, lines=(line(4_999),)), "ben", final=True, rules=("small",))
    by(ruled(*rules, lines=(line(2_500), line(2_500))), "ben", final=False, rules=("large",), needed=2)


def test_a_rule_for_the_fund_counts_before_one_for_all() -> None:
    rules = (rule("all", 3), rule("youth", 1, fund="youth"))
    by(ruled(*rules, lines=(line(fund="youth"),)), "ben", final=True, rules=("youth",))
    by(ruled(*rules), "ben", final=False, rules=("all",))
    higher = (rule("all", 3, from_amount=5_000), rule("youth", 1, fund="youth"))
    by(ruled(*higher, lines=(line(fund="youth"),)), "ben", final=True, rules=("youth",))


def test_an_expense_of_two_funds_meets_the_rules_of_both() -> None:
    rules = (rule("all", people=("ben", "cleo")), rule("youth", fund="youth", people=("dora", "cleo")))
    asked = ruled(*rules, lines=(line(), line(fund="youth")))
    one = by(asked, "ben", final=False, rules=("all", "youth"))
    one.when(approve(), actor="eve").then_rejected(E.NOT_AN_APPROVER, rules=["all", "youth"])
    by(one, "dora", final=True)
    by(asked, "cleo", final=True)


def test_two_approvals_under_one_rule_do_not_meet_the_other() -> None:
    rules = (rule("all", people=("ben", "cleo")), rule("youth", fund="youth", people=("dora",)))
    both = by(by(ruled(*rules, lines=(line(), line(fund="youth"))), "ben"), "cleo", final=False)
    by(both, "dora", final=True)


@pytest.mark.parametrize(
    ("fields", "actor", "mandate", "may"),
    [
        ({"people": ("ben",)}, "ben", None, True),
        ({"people": ("ben",)}, "cleo", None, False),
        ({"people": ("ben",)}, "cleo", "ben", False),
        ({"roles": ("treasurer",)}, "cleo", "treasurer", True),
        ({"roles": ("treasurer",)}, "cleo", None, False),
        ({"roles": ("treasurer",)}, "treasurer", None, False),
        ({"roles": ("treasurer",)}, "cleo", "treasurer/7", False),
        ({"bodies": ("council",)}, "cleo", "council/2026-7", True),
        ({"bodies": ("council",)}, "cleo", "council/", False),
        ({"bodies": ("council",)}, "cleo", "council", False),
        ({"bodies": ("council",)}, "cleo", "councils/7", False),
        ({"bodies": ("council",)}, "cleo", "board/council", False),
        ({"people": ("ben",), "roles": ("treasurer",), "bodies": ("council",)}, "eve", "treasurer", True),
    ],
)  # fmt: skip
def test_who_may_approve(fields: dict[str, Any], actor: str, mandate: str | None, may: bool) -> None:
    asked = ruled(rule("who", **fields))
    if may:
        by(asked, actor, mandate, final=True)
    else:
        asked.when(approve(), actor=actor, mandate=mandate).then_rejected(E.NOT_AN_APPROVER, rules=["who"])


def test_one_person_under_two_mandates_counts_once_for_a_rule() -> None:
    asked = ruled(rule("chairs", 2, roles=("chair", "treasurer")))
    one = by(asked, "ben", "chair", final=False)
    one.when(approve(), actor="ben", mandate="treasurer").then_nothing()
    by(one, "cleo", "treasurer", final=True)


def test_one_person_under_two_mandates_counts_for_a_rule_each() -> None:
    rules = (rule("all", roles=("chair",)), rule("youth", fund="youth", roles=("leader",)))
    one = by(ruled(*rules, lines=(line(), line(fund="youth"))), "ben", "chair", final=False)
    one.when(approve(), actor="ben", mandate="guest").then_rejected(E.NOT_AN_APPROVER)
    two = by(one, "ben", "leader", final=True, approvers=("ben",))
    two.when(approve(), actor="ben", mandate="chair").then_nothing()


# -- rules that change ------------------------------------------------------------------------------------------------


def test_the_rules_of_the_moment_count() -> None:
    stricter = by(submitted(), "ben").when(rule("two", 3)).then_event()
    two = by(stricter, "cleo", final=False, needed=3)
    by(two, "dora", final=True)


def test_who_approved_before_a_rule_was_eased_says_so_again() -> None:
    eased = by(submitted(), "ben").when(rule("two", 1)).then_event()
    assert expense(eased).stage is Stage.REQUESTED
    final = by(eased, "ben", final=True, approvers=("ben",), needed=1)
    assert expense(final).stage is Stage.APPROVED


def test_an_approval_of_who_is_no_approver_any_more_does_not_count() -> None:
    one = by(submitted(), "ben")
    council = one.when(rule("two", 1, roles=("council",))).then_event()
    council.when(approve(), actor="ben").then_rejected(E.NOT_AN_APPROVER)
    by(council, "ben", "council", final=True)


def test_what_is_approved_stays_so_under_a_stricter_rule() -> None:
    strict = held().when(rule("two", 5)).then_event()
    strict.when(approve(), actor="eve").then_rejected(E.ALREADY_APPROVED)


def test_without_its_rule_an_expense_waits() -> None:
    lost = by(submitted(), "ben").when(rule("two", 0)).then_event()
    lost.when(approve(), actor="cleo").then_rejected(E.NO_APPROVAL_RULE)


# -- never in two roles -----------------------------------------------------------------------------------------------


def test_nobody_approves_what_they_asked_for() -> None:
    submitted().when(approve()).then_rejected(E.SECOND_PERSON_REQUIRED, actor="sam")


def test_who_changed_it_and_who_asked_before_both_asked_for_it() -> None:
    changed = submitted().when(change(line(4_000)), actor="ben").then_event()
    for who in ("sam", "ben"):
        changed.when(approve(2), actor=who).then_rejected(E.SECOND_PERSON_REQUIRED, actor=who)
    by(by(changed, "cleo"), "dora", final=True)


def test_who_approved_an_earlier_version_may_approve_the_next() -> None:
    again = by(submitted(), "ben").when(change()).then_event()
    by(by(again, "ben", final=False), "cleo", final=True)


@pytest.mark.parametrize("login", ["ada", "ADA", " Ada "])
def test_nobody_approves_what_they_receive(login: str) -> None:
    asked = submitted(payee="ada", steps=(*BOOK, rule("two", 2), party("ada", login)))
    asked.when(approve(), actor="ada").then_rejected(E.OWN_BENEFIT, expense="x")
    by(asked, "adam")


def login(world: Given, id: str, login: str | None) -> Given:
    return world.when(ChangeParty(party=id, name="Ada Lovelace", login=login)).then(PartyChanged)


def test_a_login_that_became_known_later_counts() -> None:
    login(submitted(), "shop", "eve").when(approve(), actor="eve").then_rejected(E.OWN_BENEFIT)


def test_a_login_that_was_taken_away_counts_still() -> None:
    for later in (None, "ada2"):
        asked = login(submitted(payee="ada"), "ada", later)
        asked.when(approve(), actor="ada").then_rejected(E.OWN_BENEFIT)
        by(asked, "ben")


# -- several reasons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "actor", "code"),
    [
        (approve(book="moon", occurred_at=TOMORROW), "ada", E.OCCURRED_IN_FUTURE),
        (approve(9, book="moon", expense="y"), "ada", E.UNKNOWN_BOOK),
        (approve(9, expense="y"), "ada", E.UNKNOWN_EXPENSE),
        (approve(9, expense="shut"), "ada", E.ACCOUNT_CLOSED),
        (approve(9, expense="done"), "ada", E.EXPENSE_CHANGED),
        (approve(9), "ada", E.EXPENSE_CHANGED),
        (approve(expense="done"), "ada", E.EXPENSE_PAID),
        (approve(), "ada", E.NO_APPROVAL_RULE),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(command: Any, actor: str, code: TreasuryError) -> None:
    world = paid(steps=(*OFFICE, account("stamps", AccountKind.EXPENSE)), expense="done")
    world = world.when(submit(line(account="stamps"), expense="shut", payee="ada")).then_event()
    world = world.when(CloseAccount(**IN, account="stamps")).then_event()
    world = world.when(submit(payee="ada"), actor="ada").then_event().when(rule("two", 0)).then_event()
    world.when(command, actor=actor).then_rejected(code)


def test_who_may_not_comes_before_who_asks_and_who_receives() -> None:
    steps = (*BOOK, rule("two", people=("ben",)), party("ada", "ada"))
    asked = submitted(payee="ada", steps=steps)
    asked.when(approve(), actor="ada").then_rejected(E.NOT_AN_APPROVER)
    own = submitted(payee="ada", steps=(*BOOK, rule("two", 2), party("ada", "sam")))
    own.when(approve()).then_rejected(E.SECOND_PERSON_REQUIRED)
    ready = approved(payee="ada")
    ready.when(approve(), actor="ada").then_rejected(E.OWN_BENEFIT)


# -- who is another person --------------------------------------------------------------------------------------------


def test_nobody_is_a_second_person_by_another_spelling() -> None:
    for who in ("Sam", "SAM ", " sam"):
        submitted().when(approve(), actor=who).then_rejected(E.SECOND_PERSON_REQUIRED)
    one = by(submitted(), "ben", final=False)
    one.when(approve(), actor="Ben").then_nothing()
    assert list(expense(one).approvers) == ["ben"]
    named = ruled(rule("all", approvals=1, people=("Ben",)))
    by(named, "ben", final=True)
