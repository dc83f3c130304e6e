"""Expenses: submitted, changed, rejected, and the documents that belong to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from services.treasury.contract import (
    AccountKind,
    AttachDocument,
    CloseAccount,
    CloseFund,
    DocumentAttached,
    ExpenseChanged,
    ExpenseKind,
    ExpenseRejected,
    ExpenseSubmitted,
    OpenBook,
    OpenFund,
    RegisterUnit,
    RejectExpense,
    TreasuryError,
)
from services.treasury.expense_state import Stage
from shared.decider import Ref
from shared.sealing import is_sealed
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
    given,
    held,
    line,
    paid,
    party,
    rule,
    submit,
    submitted,
)

E = TreasuryError
REJECT = RejectExpense(**IN, expense="x", reason="Not this year")
ATTACH = AttachDocument(expense="x", payee="shop", document="d" * 64)


# -- submitted --------------------------------------------------------------------------------------------------------


def test_an_expense_waits_for_as_many_approvals_as_the_rule_says() -> None:
    asked = submitted(line(3_000), line(2_000, fund="youth"), documents=("c" * 64,))
    state = expense(asked)
    assert (state.stage, state.version, state.needed, state.total) == (Stage.REQUESTED, 1, 2, 5_000)
    assert state.documents == {"c" * 64}


def test_what_it_is_for_is_sealed_and_whom_it_pays_is_known_by_a_hash() -> None:
    for payee, known in (("ada", True), ("shop", False)):
        asked = submitted(payee=payee)
        event = asked.world.history[Ref("expense", "x")][-1]
        assert is_sealed(event.description) and "Ada" not in event.description
        assert (event.payee_index is not None) is known


def test_an_expense_is_submitted_once() -> None:
    submitted().when(submit()).then_rejected(E.ALREADY_EXISTS, expense="x")
    submitted().when(submit(), actor="ben").then_rejected(E.ALREADY_EXISTS)
    submitted().when(submit(expense="y")).then(ExpenseSubmitted)


def test_a_grant_to_a_member_is_an_expense_too() -> None:
    given(*OFFICE).when(submit(payee="ada", kind=ExpenseKind.GRANT)).then(ExpenseSubmitted, kind=ExpenseKind.GRANT)


def test_what_could_never_be_paid_is_refused_at_once() -> None:
    office = given(*OFFICE)
    office.when(submit(book="moon")).then_rejected(E.UNKNOWN_BOOK)
    office.when(submit(payee="nobody")).then_rejected(E.UNKNOWN_PARTY, party="nobody")
    office.when(submit(occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)
    office.when(submit(pay_from="till")).then_rejected(E.UNKNOWN_ACCOUNT, account="till")
    office.when(submit(line(account="till"))).then_rejected(E.UNKNOWN_ACCOUNT, account="till")
    office.when(submit(pay_from="owed")).then_rejected(E.WRONG_ACCOUNT_KIND, account="owed")
    for wrong in ("gifts", "net"):
        office.when(submit(line(account=wrong))).then_rejected(E.WRONG_ACCOUNT_KIND, account=wrong)
    office.when(submit(line(fund="mars"))).then_rejected(E.UNKNOWN_FUND, fund="mars")
    office.when(submit(unit="XTS")).then_rejected(E.UNKNOWN_UNIT, unit="XTS")
    office.when(submit(line(account="rent", fund="youth"))).then_rejected(E.FUND_PURPOSE, pays_for=["food"])
    office.when(submit(line(2**53 - 1), line(2**53 - 1, "rent"))).then_rejected(E.OUT_OF_RANGE)


def test_a_line_is_not_charged_to_the_account_that_pays_it() -> None:
    """Money would leave, and the books would show nothing."""
    given(*OFFICE).when(submit(line(account="bank"))).then_rejected(E.WRONG_ACCOUNT_KIND, account="bank")
    given(*OFFICE).when(submit(line(account="cash"))).then(ExpenseSubmitted)
    given(*OFFICE).when(submit(line(account="owed"))).then(ExpenseSubmitted)


def test_closed_accounts_and_funds_take_no_expense() -> None:
    closed = CloseAccount(**IN, account="rent")
    given(*OFFICE, closed).when(submit(line(account="rent"))).then_rejected(E.ACCOUNT_CLOSED, account="rent")
    spare = OpenFund(**IN, fund="spare", name="Spare", net_assets="net")
    shut = given(*OFFICE, spare, CloseFund(**IN, fund="spare"))
    shut.when(submit(line(fund="spare"))).then_rejected(E.FUND_CLOSED, fund="spare")


def test_without_a_rule_nobody_could_approve() -> None:
    parties = (party("shop"), party("ada", "ada"))
    given(*BOOK, *parties).when(submit()).then_rejected(E.NO_APPROVAL_RULE, fund="general", amount=5_000)
    large = given(*BOOK, *parties, rule("large", from_amount=10_000))
    large.when(submit()).then_rejected(E.NO_APPROVAL_RULE)
    large.when(submit(line(6_000), line(4_000))).then(ExpenseSubmitted, needed=1)
    of_youth = given(*BOOK, *parties, rule("youth", fund="youth"))
    of_youth.when(submit(line(), line(fund="youth"))).then_rejected(E.NO_APPROVAL_RULE, fund="general")


def test_the_whole_is_a_figure_that_every_reader_reads_exactly() -> None:
    """Even where the account would stay within it, as there is money in it."""
    most = 2**53 - 1
    office = given(*OFFICE, entry("cash", "cash", "gifts", 10))
    office.when(submit(line(most), line(1, "rent"), pay_from="cash")).then_rejected(E.OUT_OF_RANGE)
    office.when(submit(line(most - 1), line(1, "rent"), pay_from="cash")).then(ExpenseSubmitted)


# -- changed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [change(line(5_001)), change(payee="ada"), change(line(account="rent")), change(line(fund="youth")),
     change(pay_from="cash"), change(kind=ExpenseKind.GRANT), change()],
    ids=["amount", "payee", "account", "fund", "paid from", "kind", "words"],
)  # fmt: skip
def test_a_change_voids_the_approvals(other: object) -> None:
    one = submitted().when(approve(), actor="ben").then_event()
    changed = one.when(other).then(ExpenseChanged, hold=None, submitter="sam")
    state = expense(changed)
    assert (state.version, state.approvers, state.stage) == (3, {}, Stage.REQUESTED)
    changed.when(approve(1), actor="cleo").then_rejected(E.EXPENSE_CHANGED, version=3)
    changed.when(approve(3), actor="ben").then_event()


def test_a_change_names_what_was_held() -> None:
    changed = held().when(change(line(1))).then(ExpenseChanged, hold="x-1", needed=2)
    assert expense(changed).hold is None


def test_a_change_is_examined_as_a_submission_is() -> None:
    asked = submitted()
    asked.when(change(book="moon")).then_rejected(E.UNKNOWN_BOOK)
    asked.when(change(payee="nobody")).then_rejected(E.UNKNOWN_PARTY)
    asked.when(change(expense="y")).then_rejected(E.UNKNOWN_EXPENSE, expense="y")
    asked.when(change(occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)
    asked.when(change(line(account="bank"))).then_rejected(E.WRONG_ACCOUNT_KIND)
    asked.when(change(line(account="rent", fund="youth"))).then_rejected(E.FUND_PURPOSE)
    other = OpenBook(book="choir", name="The choir", unit="EUR", starts=date(2026, 1, 1))
    submitted(steps=(*OFFICE, other)).when(change(book="choir")).then_rejected(E.UNKNOWN_EXPENSE)


def test_what_is_paid_is_not_changed_or_rejected() -> None:
    paid().when(change(line(1))).then_rejected(E.EXPENSE_PAID, expense="x", entry="pay")
    paid().when(REJECT).then_rejected(E.EXPENSE_PAID, entry="pay")


def test_a_rejected_expense_may_be_put_again() -> None:
    rejected = submitted().when(REJECT).then_event()
    again = rejected.when(change()).then(ExpenseChanged)
    assert expense(again).stage is Stage.REQUESTED
    again.when(approve(3), actor="ben").then_event()


# -- rejected ---------------------------------------------------------------------------------------------------------


def test_an_expense_is_rejected_once_before_or_after_its_approval() -> None:
    for world, hold in ((submitted(), None), (approved(), "x-1"), (held(), "x-1")):
        rejected = world.when(REJECT, actor="ben").then(ExpenseRejected, hold=hold)
        assert (expense(rejected).stage, expense(rejected).hold) == (Stage.REJECTED, None)
        rejected.when(REJECT).then_nothing()
        rejected.when(approve(), actor="eve").then_rejected(E.EXPENSE_REJECTED, expense="x")
        rejected.when(approve(), actor="ben").then_rejected(E.EXPENSE_REJECTED)
        rejected.when(submit()).then_rejected(E.ALREADY_EXISTS)


def test_only_a_known_expense_is_rejected() -> None:
    submitted().when(replace(REJECT, book="moon")).then_rejected(E.UNKNOWN_BOOK)
    submitted().when(replace(REJECT, expense="y")).then_rejected(E.UNKNOWN_EXPENSE)
    submitted().when(replace(REJECT, occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)


# -- documents --------------------------------------------------------------------------------------------------------


def test_a_document_is_attached_once_by_its_hash() -> None:
    attached = submitted().when(ATTACH).then(DocumentAttached, title=None)
    assert expense(attached).documents == {"d" * 64}
    attached.when(ATTACH).then_nothing()
    attached.when(approve(), actor="ben").then_event()
    with_it = submitted(documents=("d" * 64,))
    with_it.when(ATTACH).then_nothing()


def test_a_title_is_sealed_and_may_come_later() -> None:
    attached = submitted().when(ATTACH).then_event()
    titled = attached.when(replace(ATTACH, title="Bill of Ada")).then(DocumentAttached)
    assert is_sealed(titled.world.history[Ref("expense", "x")][-1].title)


def test_a_receipt_may_come_after_the_payment() -> None:
    paid().when(ATTACH).then(DocumentAttached)


def test_a_document_belongs_to_an_expense_and_its_payee() -> None:
    given(*OFFICE).when(ATTACH).then_rejected(E.UNKNOWN_EXPENSE)
    submitted().when(replace(ATTACH, payee="ada")).then_rejected(E.UNKNOWN_EXPENSE)
    submitted().when(replace(ATTACH, occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)


# -- several reasons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (submit(book="moon", payee="nobody", occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        (submit(book="moon", payee="nobody"), E.UNKNOWN_BOOK),
        (submit(payee="nobody", pay_from="till"), E.UNKNOWN_PARTY),
        (submit(pay_from="till"), E.ALREADY_EXISTS),
        (submit(line(account="till"), expense="y", pay_from="owed"), E.UNKNOWN_ACCOUNT),
        (submit(line(account="shut", fund="mars"), expense="y", pay_from="owed"), E.ACCOUNT_CLOSED),
        (submit(line(fund="mars"), expense="y", pay_from="owed", unit="XTS"), E.WRONG_ACCOUNT_KIND),
        (submit(line(fund="mars"), expense="y", unit="XTS"), E.UNKNOWN_FUND),
        (submit(line(account="rent", fund="youth"), expense="y", unit="HOURS"), E.UNKNOWN_UNIT),
        (submit(line(2**53 - 1, "rent", "youth"), line(), expense="y", unit="USD"), E.NO_APPROVAL_RULE),
        (submit(line(2**53 - 1, "rent", "youth"), line(1, fund="youth"), expense="y"), E.OUT_OF_RANGE),
        (change(payee="nobody", expense="y"), E.UNKNOWN_PARTY),
        (change(pay_from="till", expense="y"), E.UNKNOWN_EXPENSE),
        (change(line(account="rent", fund="youth"), expense="done"), E.EXPENSE_PAID),
        (change(line(fund="mars"), expense="done"), E.UNKNOWN_FUND),
        (replace(REJECT, expense="done", book="moon"), E.UNKNOWN_BOOK),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(command: object, code: TreasuryError) -> None:
    shut = (account("shut", AccountKind.EXPENSE), CloseAccount(**IN, account="shut"))
    done = paid(steps=(*OFFICE, *shut, RegisterUnit(**IN, unit="USD")), expense="done")
    done.when(submit()).then_event().when(command).then_rejected(code)
