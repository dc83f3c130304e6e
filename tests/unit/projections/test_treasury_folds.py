"""What each of the treasury's read models keeps of the events."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.projections.registry import TREASURY
from services.projections.treasury.base import KINDS, posting_events
from services.projections.treasury.chart import Chart
from services.projections.treasury.expenses import Expenses
from services.projections.treasury.giving import Giving
from services.projections.treasury.holds import MoneyHeld
from services.projections.treasury.journal import GeneralJournal
from services.projections.treasury.review import TreasuryReview
from services.projections.treasury.statements import BankStatements
from services.projections.treasury.trial_balance import TrialBalance
from services.treasury import contract as c
from shared.tables import relations
from tests.support.books import BOOK, Books, posting
from tests.support.pantry import table

MAY = date(2026, 5, 31)


@pytest.fixture
def books() -> Books:
    return Books().furnish()


def cut(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    found = [tuple(row[name] for name in names) for row in rows]
    return [row[0] for row in found] if len(names) == 1 else found


def moved(amount: int, debit: str, credit: str, fund: str = "general") -> dict[str, Any]:
    """The postings of an entry that moves an amount, and where and when it stands."""
    return {"book": BOOK, "debits": (posting(debit, amount, fund),), "credits": (posting(credit, amount, fund),)}


# -- chart --------------------------------------------------------------------------------------------------------


def test_a_chart_is_what_was_last_said_of_it(books: Books) -> None:
    books.later(days=1)
    books.record(c.AccountClosed(book=BOOK, account="cash", occurred_at=books.now))
    books.record(c.UnitRegistered(book=BOOK, unit="HOURS", name="Hours", decimals=2, scale=2, occurred_at=books.now))
    rows = {row["account"]: row for row in table(Chart(), books.events, "accounts")}
    assert (rows["food"]["kind"], rows["food"]["function"], rows["food"]["closed_at"]) == ("expense", "program", None)
    assert rows["cash"]["closed_at"] == books.now
    assert cut(table(Chart(), books.events, "units"), "unit", "scale") == [("EUR", 2), ("HOURS", 2)]
    assert cut(table(Chart(), books.events, "funds"), "fund", "restriction") == [
        ("general", "none"), ("kitchen", "purpose"),
    ]  # fmt: skip


def test_a_closed_period_and_year_can_be_opened_again(books: Books) -> None:
    books.record(c.PeriodClosed(book=BOOK, through=MAY, occurred_at=books.now))
    assert cut(table(Chart(), books.events), "closed_through") == [MAY]
    year = c.YearClosed(
        **moved(5, "gifts", "net"), entry="y", date=MAY, through=MAY, starts=date(2026, 1, 1), occurred_at=books.now
    )
    closing = books.record(year)
    books.reverse(closing, "y-1")
    books.record(c.PeriodReopened(book=BOOK, since=MAY, reason="late bill", occurred_at=books.now))
    assert cut(table(Chart(), books.events), "closed_through") == [None]
    assert cut(table(Chart(), books.events, "years_closed"), "entry", "reversed_by") == [("y", "y-1")]


def test_a_rule_that_needs_no_approval_any_more_is_gone_and_a_budget_is_replaced_whole(books: Books) -> None:
    for approvals in (2, 0):
        rule = c.ApprovalRuleSet(
            book=BOOK, rule="big", unit="EUR", from_amount=50_000, approvals=approvals, roles=("treasurer",),
            occurred_at=books.now,
        )  # fmt: skip
        books.record(rule)
        assert len(table(Chart(), books.events, "approval_rules")) == (1 if approvals else 0)
    for amount in (100, 200):
        line = c.BudgetLine(account="food", amount=amount, unit="EUR")
        books.record(
            c.BudgetSet(book=BOOK, budget="2026", starts=MAY, ends=MAY, lines=(line,), occurred_at=books.now)
        )  # fmt: skip
    (budget,) = table(Chart(), books.events, "budgets")
    assert budget["lines"] == [{"account": "food", "fund": "general", "unit": "EUR", "amount": 200}]


# -- trial balance and journal ------------------------------------------------------------------------------------


def test_figures_stand_on_the_day_on_which_they_happened_and_what_was_not_posted_counts_nowhere(books: Books) -> None:
    books.post("a", "bank", "gifts", 500, day=MAY)
    entries = [
        c.Entry(entry=f"b{n}", date=MAY, debits=(posting("food", n),), credits=(posting("bank", n),))
        for n in (10, 20, 40)
    ]
    refused = c.NotPosted(at=1, result=c.EntryResult.REFUSED, code=c.TreasuryError.ACCOUNT_LIMIT)
    books.post_many(*entries, not_posted=(refused,))
    rows = table(TrialBalance(), books.events)
    assert cut(rows, "account", "date", "debit", "credit") == [
        ("bank", MAY, 500, 50), ("food", MAY, 50, 0), ("gifts", MAY, 0, 500),
    ]  # fmt: skip
    assert cut(table(GeneralJournal(), books.events, "postings"), "entry", "number", "account", "amount") == [
        ("a", 0, "bank", 500), ("a", 1, "gifts", -500), ("b10", 0, "food", 10), ("b10", 1, "bank", -10),
        ("b40", 2, "food", 40), ("b40", 3, "bank", -40),
    ]  # fmt: skip


def test_releases_and_closing_entries_are_kept_apart_and_so_is_what_takes_them_back(books: Books) -> None:
    release = c.RestrictionReleased(
        book=BOOK, entry="r", date=MAY, from_fund="kitchen", to_fund="general", amount=7, unit="EUR", account="bank",
        through="released", reason="meals served",
        debits=(posting("bank", 7), posting("released", 7, "kitchen")),
        credits=(posting("released", 7), posting("bank", 7, "kitchen")),
    )  # fmt: skip
    stored = books.record(release)
    year = c.YearClosed(
        **moved(5, "gifts", "net"), entry="y", date=MAY, through=MAY, starts=date(2026, 1, 1), occurred_at=books.now
    )
    closing = books.record(year)
    books.reverse(stored, "r-1")
    books.reverse(books.reverse(closing, "y-1"), "y-2")
    rows = table(TrialBalance(), books.events)
    assert {(row["part"], row["account"]) for row in rows} == {
        ("release", "bank"), ("release", "released"), ("closing", "gifts"), ("closing", "net"),
    }  # fmt: skip
    assert sum(row["debit"] - row["credit"] for row in rows if row["account"] == "net") == -5


def test_an_entry_says_what_it_was_and_what_took_it_back(books: Books) -> None:
    gift = c.DonationRecorded(
        **moved(900, "bank", "gifts"), entry="g", date=MAY, donor="p-1", amount=900, unit="EUR", into="bank",
        income="gifts", reference="TX9",
    )  # fmt: skip
    stored = books.record(gift, actor="amina")
    books.later(days=3)
    books.reverse(stored, "g-1")
    rows = table(GeneralJournal(), books.events, "entries")
    assert cut(rows, "entry", "kind", "party", "reference", "amount", "actor", "reverses", "reversed_by", "date") == [
        ("g", "donation", "p-1", "TX9", 900, "amina", None, "g-1", MAY),
        ("g-1", "reversal", None, None, 900, "sam", "g", None, books.today),
    ]  # fmt: skip


def test_every_event_that_posts_has_a_name_for_its_entries() -> None:
    assert set(KINDS) == posting_events()


# -- holds and expenses -------------------------------------------------------------------------------------------

DEBITS, CREDITS = (posting("food", 400),), (posting("bank", 400),)


def hold(books: Books, name: str, **more: Any) -> None:
    books.record(
        c.HoldPlaced(book=BOOK, hold=name, debits=DEBITS, credits=CREDITS, occurred_at=books.now, **more)
    )  # fmt: skip


def test_a_hold_says_how_it_ended_and_open_ones_what_they_keep(books: Books) -> None:
    for name in ("voided", "expired", "posted", "open"):
        hold(books, name)
    books.record(c.HoldVoided(book=BOOK, hold="voided", reason="not needed", occurred_at=books.now))
    books.record(c.HoldExpired(book=BOOK, hold="expired", occurred_at=books.now))
    books.record(c.HoldPosted(**moved(300, "food", "bank"), entry="e", date=MAY, hold="posted"))
    rows = {row["hold"]: row for row in table(MoneyHeld(), books.events)}
    assert {name: row["ended"] or "open" for name, row in rows.items()} == {name: name for name in rows}
    assert rows["posted"]["entry"] == "e"
    assert rows["open"]["lines"] == [
        {"account": "food", "fund": "general", "unit": "EUR", "amount": 400},
        {"account": "bank", "fund": "general", "unit": "EUR", "amount": -400},
    ]


ASKED: dict[str, Any] = {
    "expense": "x", "book": BOOK, "payee": "p-2", "unit": "EUR", "pay_from": "bank", "description": "sealed",
    "lines": (c.ExpenseLine(account="food", amount=300), c.ExpenseLine(account="food", amount=100)), "needed": 1,
}  # fmt: skip


def approve(books: Books, version: int, number: str) -> None:
    books.record(
        c.ExpenseApproved(
            expense="x", version=version, approver="kim", approvers=("kim",), needed=1, rules=("r",),
            final=True, book=BOOK, hold=f"x-{number}", debits=DEBITS, credits=CREDITS, occurred_at=books.now,
        ), "x",
    )  # fmt: skip


def test_an_expense_is_followed_through_approval_hold_payment_and_its_failure(books: Books) -> None:
    books.record(c.ExpenseSubmitted(**ASKED, submitter="sam", occurred_at=books.now), "x")
    approve(books, 1, "1")
    hold(books, "x-1", expense="x")
    changed = c.ExpenseChanged(**ASKED | {"needed": 2}, submitter="ann", hold="x-1", occurred_at=books.now)
    books.record(changed, "x")
    (row,) = table(Expenses(), books.events)
    assert (row["amount"], row["approvers"], row["needed"], row["version"], row["hold"]) == (400, [], 2, 3, None)
    approve(books, 3, "3")
    books.record(c.HoldVoided(book=BOOK, hold="x-1", reason="changed", expense="x", occurred_at=books.now))
    hold(books, "x-3", expense="x")
    (payment,) = table(Expenses(), books.events, "expense_payments")
    assert payment["hold"] == "x-3"
    paid = c.ExpensePaid(
        **moved(400, "food", "bank"), entry="pay", date=MAY, expense="x", version=3, hold="x-3",
        payer="lee", reference="SEPA-1",
    )  # fmt: skip
    books.record(paid)
    (payment,) = table(Expenses(), books.events, "expense_payments")
    assert (payment["entry"], payment["hold"], payment["payer"], payment["reference"]) == ("pay", None, "lee", "SEPA-1")
    back = c.PaymentFailed(
        **moved(400, "bank", "food"), entry="back", date=MAY, expense="x", reverses="pay", hold="x-3-1",
        held_debits=DEBITS, held_credits=CREDITS, reason="account closed",
    )  # fmt: skip
    books.record(back)
    (payment,) = table(Expenses(), books.events, "expense_payments")
    assert (payment["entry"], payment["hold"], payment["failure"]) == (None, "x-3-1", "account closed")
    assert cut(table(MoneyHeld(), books.events), "hold", "ended") == [
        ("x-1", "voided"), ("x-3", "paid"), ("x-3-1", None),
    ]  # fmt: skip
    assert cut(table(TreasuryReview(), books.events), "kind", "entry", "closed_by") == [("payment_failed", "pay", None)]
    books.record(c.HoldVoided(book=BOOK, hold="x-3-1", reason="given up", expense="x", occurred_at=books.now))
    assert cut(table(TreasuryReview(), books.events), "closed_by") == ["voided"]


# -- statements ---------------------------------------------------------------------------------------------------


def start(books: Books, statement: str, lines: int) -> None:
    books.record(
        c.StatementStarted(
            book=BOOK, account="bank", statement=statement, unit="EUR", starts=MAY, ends=MAY, opening=0, closing=5,
            lines=lines, digest="0" * 64, occurred_at=books.now,
        ), f"{BOOK}:bank",
    )  # fmt: skip


def add(books: Books, statement: str, *lines: str) -> None:
    books.record(
        c.StatementLinesAdded(
            book=BOOK, account="bank", statement=statement, part=1, occurred_at=books.now,
            lines=tuple(c.StatementLine(line=line, date=MAY, amount=5, payee="sealed") for line in lines),
        ), f"{BOOK}:bank",
    )  # fmt: skip


def test_a_statement_that_was_started_again_leaves_nothing_of_its_first_start_to_see(books: Books) -> None:
    start(books, "may", 2)
    add(books, "may", "l1", "l2")
    start(books, "may", 1)
    add(books, "may", "l1")
    done = c.StatementImported(
        book=BOOK, account="bank", statement="may", starts=MAY, ends=MAY, closing=5, unit="EUR", new=1, known=0,
        occurred_at=books.now,
    )  # fmt: skip
    books.record(done, f"{BOOK}:bank")
    (statement,) = table(BankStatements(), books.events)
    lines = table(BankStatements(), books.events, "statement_lines")
    assert [row["line"] for row in lines if row["started"] == statement["started"]] == ["l1"]
    assert (statement["imported_at"], statement["new"]) == (books.now, 1)


def test_a_line_is_matched_until_the_match_is_taken_back(books: Books) -> None:
    at = {"book": BOOK, "account": "bank", "line": "l1", "entries": ("a", "b"), "occurred_at": books.now}
    books.record(c.LineMatched(**at, amount=5), f"{BOOK}:bank")
    assert cut(table(BankStatements(), books.events, "bank_matches"), "line", "entry") == [("l1", "a"), ("l1", "b")]
    books.record(c.LineUnmatched(**at, reason="another's"), f"{BOOK}:bank")
    assert table(BankStatements(), books.events, "bank_matches") == []


# -- giving -------------------------------------------------------------------------------------------------------


def test_gifts_wait_for_their_acknowledgement_and_are_none_once_reversed(books: Books) -> None:
    gift = c.GiftInKindRecorded(
        **moved(900, "food", "gifts"), entry="g", date=MAY, donor="p-1", what="40 kg of rice", amount=900, unit="EUR",
        into="food", income="gifts", delivery="d-7",
    )  # fmt: skip
    stored = books.record(gift)
    books.record(c.DonationAcknowledged(book=BOOK, donation="g", means="letter", occurred_at=books.now))
    books.reverse(stored, "g-1")
    rows = table(Giving(), books.events, "gifts")
    assert cut(rows, "kind", "what", "means", "acknowledged_at", "reversed_by", "delivery") == [
        ("in kind", "40 kg of rice", "letter", books.now, "g-1", "d-7")
    ]


def test_what_remains_of_dues_counts_payments_waivers_and_what_took_them_back(books: Books) -> None:
    asked = c.DuesAssessed(
        **moved(600, "receivable", "dues"), entry="d", date=MAY, member="p-1", period="2026", amount=600, unit="EUR",
        receivable="receivable", income="dues", due_on=MAY,
    )  # fmt: skip
    books.record(asked)
    paid = c.DuesReceived(
        **moved(200, "bank", "receivable"), entry="d1", date=MAY, dues="d", member="p-1", amount=200, into="bank",
        income="dues", period="2026", assessed=600, remaining=400,
    )  # fmt: skip
    stored = books.record(paid)
    waived = c.DuesWaived(
        **moved(100, "dues", "receivable"), entry="d2", date=MAY, dues="d", member="p-1", waived=100, reason="hardship",
        income="dues", period="2026", assessed=600, remaining=300,
    )  # fmt: skip
    books.record(waived)
    books.reverse(stored, "d3")
    rows = table(Giving(), books.events, "dues_payments")
    assert cut(rows, "entry", "kind", "amount") == [
        ("d1", "received", 200),
        ("d2", "waived", 100),
        ("d3", "received", -200),
    ]


def test_a_pledge_ends_and_a_party_is_what_was_last_said(books: Books) -> None:
    pledge = c.PledgeMade(
        pledge="pl", book=BOOK, donor="p-1", amount=10, unit="EUR", every=c.Every.MONTH, starts=MAY,
        occurred_at=books.now,
    )  # fmt: skip
    books.record(pledge, "pl")
    books.record(c.PartyRegistered(party="p-1", name="sealed:1", occurred_at=books.now), "p-1")
    registered = books.now
    books.later(days=1)
    books.record(c.PledgeEnded(pledge="pl", reason="moved away", occurred_at=books.now), "pl")
    books.record(c.PartyChanged(party="p-1", name="sealed:2", occurred_at=books.now), "p-1")
    assert cut(table(Giving(), books.events, "pledges"), "every", "ended_at") == [("month", books.now)]
    assert cut(table(Giving(), books.events, "parties"), "name", "registered_at", "changed_at") == [
        ("sealed:2", registered, books.now)
    ]


# -- review -------------------------------------------------------------------------------------------------------


def breach(entry: str, code: c.TreasuryError, **where: str) -> c.Breach:
    return c.Breach(code=code, entry=entry, unit="EUR", date=MAY, balance=-5, limit=0, **where)


def test_what_a_fact_broke_waits_until_the_entry_is_taken_back(books: Books) -> None:
    fee = books.post(
        "fee", "rent", "bank", 5, fact=True,
        breaches=(
            breach("fee", c.TreasuryError.ACCOUNT_LIMIT, account="bank"),
            breach("fee", c.TreasuryError.FUND_LIMIT, fund="kitchen"),
        ),
    )  # fmt: skip
    one = c.Entry(entry="i1", date=MAY, debits=DEBITS, credits=CREDITS, fact=True)
    books.post_many(one, breaches=(breach("i1", c.TreasuryError.ACCOUNT_LIMIT, account="bank"),))
    assert cut(table(TreasuryReview(), books.events), "kind", "entry", "figure", "lowest", "closed_by") == [
        ("account_limit", "fee", -5, 0, None), ("account_limit", "i1", -5, 0, None), ("fund_limit", "fee", -5, 0, None),
    ]  # fmt: skip
    books.reverse(fee, "fee-1")
    assert cut(table(TreasuryReview(), books.events), "entry", "closed_by") == [
        ("fee", "reversed"), ("i1", None), ("fee", "reversed"),
    ]  # fmt: skip


def test_what_a_fact_broke_waits_until_somebody_lets_the_entry_stand(books: Books) -> None:
    books.post("fee", "rent", "bank", 5, fact=True, breaches=(breach("fee", c.TreasuryError.BREAKS_LATER_DAY),))
    books.record(c.ReviewResolved(book=BOOK, entry="other", note="fine", occurred_at=books.now))
    assert cut(table(TreasuryReview(), books.events), "entry", "closed_by") == [("fee", None)]
    books.record(c.ReviewResolved(book=BOOK, entry="fee", note="the bank was late", occurred_at=books.now))
    assert cut(table(TreasuryReview(), books.events), "entry", "closed_by", "detail") == [
        ("fee", "resolved", "the bank was late")
    ]
    assert cut(table(TreasuryReview(), books.events, "let_stand"), "entry", "note", "actor") == [
        ("fee", "the bank was late", books.events[-1].envelope.authid),
        ("other", "fine", books.events[-1].envelope.authid),
    ]


def test_a_refused_step_waits_until_somebody_has_seen_to_it(books: Books) -> None:
    refused = c.ProcessStepRefused(
        step="s-1", manager="money", cause="e-1", service="treasury", command="PlaceHold", target="book/pantry",
        code="FUND_LIMIT", detail="not enough", occurred_at=books.now,
    )  # fmt: skip
    books.record(refused, "s-1")
    (row,) = table(TreasuryReview(), books.events)
    assert row["detail"] == "money: PlaceHold to book/pantry: FUND_LIMIT. not enough"
    books.record(c.ProcessStepResolved(step="s-1", note="held by hand", occurred_at=books.now), "s-1")
    assert cut(table(TreasuryReview(), books.events), "closed_by") == ["resolved"]


# -- all of them --------------------------------------------------------------------------------------------------


def test_no_two_read_models_show_a_table_of_the_same_name_and_each_says_what_it_is_for() -> None:
    names = [name for projection in TREASURY for name in relations(projection)]
    assert len(names) == len(set(names))
    assert all(type(projection).__doc__ for projection in TREASURY)
