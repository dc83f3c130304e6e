"""Budgets and approval rules: what is planned, and who approves what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.treasury.contract import (
    ApprovalRuleSet,
    BudgetLine,
    BudgetSet,
    CloseAccount,
    SetApprovalRule,
    SetBudget,
    TreasuryError,
)
from tests.support.sentences import NOW
from tests.support.treasury import CLUB, IN, given, on, state

E = TreasuryError


def plan(account: str = "food", amount: int = 100, unit: str = "EUR", fund: str = "general") -> BudgetLine:
    return BudgetLine(account=account, amount=amount, unit=unit, fund=fund)


def budget(*lines: BudgetLine, **more: Any) -> SetBudget:
    fields = {"starts": on(1, 1, 2027), "ends": on(12, 31, 2027), **more}
    return SetBudget(**IN, budget="year", lines=lines or (plan(),), **fields)


def rule(approvals: int = 2, **more: Any) -> SetApprovalRule:
    return SetApprovalRule(**{**IN, "unit": "EUR", **more}, rule="two", approvals=approvals)


def test_a_budget_plans_income_and_expenses_and_replaces_the_one_before() -> None:
    planned = given(*CLUB).when(budget(plan(), plan("dues"), plan(fund="youth"))).then(BudgetSet)
    planned.when(budget(plan(), plan("dues"), plan(fund="youth"))).then_nothing()
    planned.when(budget(plan(), plan("dues"), plan(fund="youth")), now=NOW + timedelta(days=1)).then_nothing()
    changed = planned.when(budget(plan(amount=200))).then(BudgetSet)
    assert state(changed).budgets["year"].lines == (plan(amount=200),)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (budget(ends=on(12, 31)), E.INVALID_RANGE),
        (budget(plan("bank")), E.WRONG_ACCOUNT_KIND),
        (budget(plan("moon")), E.UNKNOWN_ACCOUNT),
        (budget(plan(fund="moon")), E.UNKNOWN_FUND),
        (budget(plan(unit="USD")), E.UNKNOWN_UNIT),
        (budget(plan(), plan(amount=7)), E.DUPLICATE_LINE),
        (budget(plan("bank"), plan("moon")), E.UNKNOWN_ACCOUNT),
        (budget(plan(fund="moon"), plan("bank")), E.WRONG_ACCOUNT_KIND),
        (budget(plan(unit="USD"), plan(fund="moon")), E.UNKNOWN_FUND),
        (budget(plan(unit="USD"), plan(unit="USD")), E.UNKNOWN_UNIT),
        (budget(plan("moon"), ends=on(12, 31)), E.INVALID_RANGE),
        (budget(occurred_at=NOW + timedelta(hours=1), ends=on(12, 31)), E.OCCURRED_IN_FUTURE),
        (budget(plan("cash")), E.ACCOUNT_CLOSED),
    ],
)  # fmt: skip
def test_a_budget_is_right_in_itself(command: SetBudget, code: TreasuryError) -> None:
    given(*CLUB, CloseAccount(**IN, account="cash")).when(command).then_rejected(code)


def test_a_budget_of_one_day_is_one() -> None:
    given(*CLUB).when(budget(starts=on(1, 1, 2027), ends=on(1, 1, 2027))).then(BudgetSet)


def test_a_budget_and_a_rule_need_a_book() -> None:
    given().when(budget()).then_rejected(E.UNKNOWN_BOOK)
    given().when(rule()).then_rejected(E.UNKNOWN_BOOK)


def test_a_rule_is_set_changed_and_ended() -> None:
    ruled = given(*CLUB).when(rule()).then(ApprovalRuleSet, approvals=2)
    ruled.when(rule()).then_nothing()
    assert state(ruled.when(rule(3)).then(ApprovalRuleSet)).rules["two"].approvals == 3
    ended = ruled.when(rule(0)).then(ApprovalRuleSet)
    assert state(ended).rules == {}
    ended.when(rule(0)).then_nothing()
    ended.when(rule()).then(ApprovalRuleSet)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (rule(fund="moon"), E.UNKNOWN_FUND),
        (rule(unit="USD"), E.UNKNOWN_UNIT),
        (rule(unit="USD", fund="moon"), E.UNKNOWN_FUND),
        (rule(people=("ada",)), E.INVALID_RANGE),
        (rule(people=("ada", "ada")), E.INVALID_RANGE),
        (rule(people=("ada",), fund="moon"), E.INVALID_RANGE),
        (rule(people=("ada",), occurred_at=NOW + timedelta(hours=1)), E.OCCURRED_IN_FUTURE),
    ],
)  # fmt: skip
def test_a_rule_can_be_met(command: SetApprovalRule, code: TreasuryError) -> None:
    given(*CLUB).when(command).then_rejected(code)


def test_a_role_or_a_body_may_stand_in_for_people() -> None:
    given(*CLUB).when(rule(people=("ada", "bo"))).then(ApprovalRuleSet)
    given(*CLUB).when(rule(people=("ada",), roles=("treasurer",))).then(ApprovalRuleSet)
    given(*CLUB).when(rule(people=("ada",), bodies=("board",))).then(ApprovalRuleSet)
    given(*CLUB).when(rule(bodies=("board",), fund="youth", from_amount=500)).then(ApprovalRuleSet, fund="youth")


def test_a_rule_that_says_something_else_is_another() -> None:
    ruled = given(*CLUB, rule(people=("ada", "bo")))
    for other in ({"from_amount": 5}, {"fund": "youth"}, {"people": ("ada", "cy")}, {"roles": ("chair",)}):
        ruled.when(replace(rule(people=("ada", "bo")), **other)).then(ApprovalRuleSet)
