"""A book kept on a running ledger, and what every screen about money then shows."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from services.commands import show_books, show_both, show_giving
from tests.integration.commands.conftest import Commons, Done

BOOK = "house"
ACCOUNTS = {
    "bank": {"kind": "asset"}, "stock": {"kind": "asset"}, "owed": {"kind": "asset"}, "net": {"kind": "net_assets"},
    "gifts": {"kind": "income"}, "dues": {"kind": "income"}, "released": {"kind": "income"},
    "food": {"kind": "expense", "function": "program"}, "rent": {"kind": "expense", "function": "management"},
    "letters": {"kind": "expense", "function": "fundraising"},
}  # fmt: skip


class House:
    """One book on the ledger; `last` is the last event of the treasury's that was recorded for it."""

    def __init__(self, commons: Commons) -> None:
        self.commons = commons
        self.last = 0

    def send(self, command: str, *, actor: str = "sam", **fields: Any) -> Any:
        """Send a command that must be taken, and give the answer."""
        done = self.commons(
            "send", "treasury", command, "--file", "-", "--json", "--as", actor, stdin=json.dumps(fields).encode()
        )
        assert done.code == 0, done
        self.last = max(self.last, done.json["sequence"] or 0)
        return done.json

    def post(
        self, entry: str, debit: str, credit: str, amount: int, date: str, *, fund: str = "general", **more: Any
    ) -> Any:
        return self.send(
            "PostEntry", book=BOOK, entry=entry, date=date, **more,
            debits=[{"account": debit, "amount": amount, "unit": "EUR", "fund": fund}],
            credits=[{"account": credit, "amount": amount, "unit": "EUR", "fund": fund}],
        )  # fmt: skip

    def show(self, *arguments: str) -> Done:
        done = self.commons("show", *arguments, "--at-least", f"TREASURY:{self.last}")
        assert done.code == 0, done
        return done

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.show(*arguments, "--json").json["rows"]
        return rows


def cut(rows: list[dict[str, Any]], *names: str) -> list[Any]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture(scope="module")
def house(commons: Commons) -> House:
    """A year of a small house: gifts, dues, a grant for the kitchen, bills, an expense, the bank's statement."""
    house = House(commons)
    house.send("OpenBook", book=BOOK, name="House", unit="EUR", starts="2026-01-01")
    for account, facts in ACCOUNTS.items():
        house.send("OpenAccount", book=BOOK, account=account, name=account.capitalize(), **facts)
    fund = {"book": BOOK, "net_assets": "net"}
    house.send("OpenFund", **fund, fund="general", name="General")
    house.send("OpenFund", **fund, fund="kitchen", name="Kitchen", restriction="purpose", pays_for=["food"])
    for party, name in (("p-1", "Amina Okafor"), ("p-2", "Bell Bakery")):
        house.send("RegisterParty", party=party, name=name)
    gift = {"book": BOOK, "amount": 100_000, "unit": "EUR", "into": "bank", "income": "gifts", "donor": "p-1"}
    house.send(
        "Pledge", pledge="pl-1", book=BOOK, donor="p-1", amount=50_000, unit="EUR", every="month", starts="2026-01-15"
    )
    house.send("RecordDonation", **gift, entry="g1", date="2026-01-10", pledge="pl-1")
    house.send("RecordDonation", **gift | {"amount": 60_000, "fund": "kitchen"}, entry="g2", date="2026-02-10")
    house.send(
        "RecordGiftInKind", book=BOOK, entry="k1", donor="p-2", what="40 loaves", amount=8_000, unit="EUR",
        into="stock", income="gifts", date="2026-02-11",
    )  # fmt: skip
    house.send("AcknowledgeDonation", book=BOOK, donation="g1", means="letter")
    dues = {"book": BOOK, "unit": "EUR", "receivable": "owed", "income": "dues", "amount": 3_000}
    house.send("AssessDues", **dues, entry="d1", member="p-1", period="2026", due_on="2026-03-31", date="2026-03-01")
    house.send("AssessDues", **dues, entry="d2", member="p-2", period="2026", due_on="2026-05-31", date="2026-03-01")
    house.send("ReceiveDues", book=BOOK, entry="r1", dues="d1", amount=1_000, into="bank", date="2026-04-02")
    house.post("b1", "food", "bank", 20_000, "2026-03-05", fund="kitchen", description="Flour")
    house.post("b2", "rent", "bank", 30_000, "2026-03-06", description="Rent", reference="R-3")
    house.post("b3", "letters", "bank", 1_500, "2026-03-07")
    house.post("b4", "rent", "bank", 30_000, "2026-03-06", reference="R-3")
    house.send("ReverseEntry", book=BOOK, entry="b4-back", reverses="b4", date="2026-03-08", reason="entered twice")
    house.send(
        "ReleaseRestriction", book=BOOK, entry="rel", from_fund="kitchen", amount=5_000, unit="EUR", account="bank",
        through="released", reason="meals served", date="2026-04-30",
    )  # fmt: skip
    house.send(
        "SetBudget", book=BOOK, budget="2026", starts="2026-01-01", ends="2026-12-31",
        lines=[{"account": "rent", "amount": 120_000, "unit": "EUR"}],
    )  # fmt: skip
    house.send("SetApprovalRule", book=BOOK, rule="all", unit="EUR", approvals=1)
    house.send(
        "SubmitExpense", expense="x-1", book=BOOK, payee="p-2", unit="EUR", pay_from="bank", description="Bread",
        lines=[{"account": "rent", "amount": 4_000}],
    )  # fmt: skip
    house.send(
        "PlaceHold", book=BOOK, hold="h-1", description="Deposit",
        debits=[{"account": "rent", "amount": 7_000, "unit": "EUR"}],
        credits=[{"account": "bank", "amount": 7_000, "unit": "EUR"}],
    )  # fmt: skip
    statement = {"book": BOOK, "account": "bank", "statement": "q1"}
    house.send(
        "StartStatement", **statement, unit="EUR", starts="2026-01-01", ends="2026-03-31", opening=0, closing=130_000,
        lines=2, digest="0" * 64,
    )  # fmt: skip
    house.send(
        "AddStatementLines", **statement, part=1,
        lines=[
            {"line": "L1", "date": "2026-01-10", "amount": 100_000, "payee": "Amina Okafor"},
            {"line": "L2", "date": "2026-03-06", "amount": 30_000},
        ],
    )  # fmt: skip
    house.send("ImportStatement", **statement)
    house.send("MatchLine", book=BOOK, account="bank", line="L1", entries=["g1"])
    return house


def test_a_trial_balance_has_two_equal_totals_in_every_form(house: House) -> None:
    told = house.show("trial-balance", "--json").json
    assert cut(told["rows"], "account", "debit", "credit") == [
        ("bank", 109_500, None), ("owed", 5_000, None), ("stock", 8_000, None), ("dues", None, 6_000),
        ("gifts", None, 168_000), ("food", 20_000, None), ("letters", 1_500, None), ("rent", 30_000, None),
    ]  # fmt: skip
    assert cut(told["totals"], "debit", "credit", "unit") == [(174_000, 174_000, "EUR")]
    assert told["decimals"] == {"EUR": 2}
    table = house.show("trial-balance", "--by-fund").out
    for word in ("Trial balance by fund · House", "745.00", "350.00", "kitchen", "Total", "1,790.00"):
        assert word in table, table
    (bank, *_) = csv.DictReader(io.StringIO(house.show("trial-balance", "--csv").out))
    assert (bank["account"], bank["debit"], bank["credit"], bank["unit"]) == ("bank", "1095.00", "", "EUR")


def test_balances_are_as_of_when_things_happened_and_as_of_when_they_were_recorded(house: House) -> None:
    assert cut(house.rows("trial-balance", "--as-of", "2026-01-31"), "account", "debit", "credit") == [
        ("bank", 100_000, None), ("gifts", None, 100_000),
    ]  # fmt: skip
    assert house.rows("trial-balance", "--recorded", "2026-01-31") == []
    everything = house.rows("trial-balance")
    assert house.rows("trial-balance", "--recorded", "2198-01-01T00:00:00Z") == everything
    assert house.rows("trial-balance", "--recorded", "2198-01-01", "--by-fund") == house.rows(
        "trial-balance", "--by-fund"
    )


def test_an_account_s_statement_runs_on_from_what_was_brought_forward(house: House) -> None:
    rows = house.rows("account", "bank", "--from", "2026-03-06", "--to", "2026-03-08")
    assert cut(rows, "entry", "description", "debit", "credit", "balance") == [
        (None, "Brought forward", None, None, 140_000), ("b2", "Rent", None, 30_000, 110_000),
        ("b4", None, None, 30_000, 80_000), ("b3", None, None, 1_500, 78_500),
        ("b4-back", "entered twice", 30_000, None, 108_500),
    ]  # fmt: skip
    assert rows[2]["state"] == "reversed by b4-back"
    assert cut(house.rows("account", "gifts"), "balance")[-1] == (168_000,)
    wrong = house.commons("show", "account", "bnak")
    assert (wrong.code, "Near it: bank" in wrong.err) == (1, True)


def test_funds_say_what_may_still_be_spent(house: House) -> None:
    rows = house.rows("funds")
    assert cut(rows, "fund", "net_assets", "held", "available") == [
        ("general", 87_500, 7_000, 80_500), ("kitchen", 35_000, None, 35_000),
    ]  # fmt: skip
    assert cut(house.rows("funds", "--as-of", "2026-03-31"), "fund", "held") == [("general", None), ("kitchen", None)]
    assert cut(house.rows("funds", "--as-of", "2197-03-31"), "fund", "held") == [("general", 7_000), ("kitchen", None)]
    assert "equipment and goods too" in house.show("funds").out


def test_activities_show_what_was_restricted_what_was_released_and_the_change(house: House) -> None:
    told = house.show("activities", "--from", "2026-01-01", "--to", "2026-12-31", "--json").json
    assert cut(told["rows"], "section", "account", "without", "with", "total") == [
        ("Revenue and support", "dues", 6_000, None, 6_000),
        ("Revenue and support", "gifts", 108_000, 60_000, 168_000),
        ("Net assets released from restrictions", None, 5_000, -5_000, None),
        ("Net assets released from restrictions", None, 20_000, -20_000, None),
        ("Expenses", "food", 20_000, None, 20_000), ("Expenses", "letters", 1_500, None, 1_500),
        ("Expenses", "rent", 30_000, None, 30_000),
    ]  # fmt: skip
    assert cut(told["totals"], "section", "without", "with", "total")[-1] == (
        "Change in net assets", 87_500, 35_000, 122_500,
    )  # fmt: skip


def test_expenses_stand_under_what_they_serve_and_against_what_was_planned(house: House) -> None:
    told = house.show("functional", "--to", "2026-12-31", "--json").json
    assert cut(told["totals"], "program", "management", "fundraising", "total") == [(20_000, 30_000, 1_500, 51_500)]
    (rent,) = [row for row in house.rows("budget", "2026", "--as-of", "2026-12-31") if row["account"] == "rent"]
    assert cut([rent], "planned", "actual", "held", "left", "used") == [(120_000, 30_000, 7_000, 83_000, 25)]


def test_expenses_say_who_waits_for_what(house: House) -> None:
    (row,) = house.rows("expenses")
    assert (row["expense"], row["state"], row["amount"], row["waits_for"]) == (
        "x-1",
        "requested",
        4_000,
        "1 approval",
    )
    assert (row["payee_name"], row["description"], row["submitter"]) == ("Bell Bakery", "Bread", "sam")


def test_dues_age_and_gifts_wait_for_their_acknowledgement(house: House) -> None:
    rows = house.rows("dues", "--as-of", "2026-05-15")
    assert cut(rows, "member_name", "received", "not_due", "days_60", "remaining") == [
        ("Amina Okafor", 1_000, None, 2_000, 2_000), ("Bell Bakery", None, 3_000, None, 3_000),
    ]  # fmt: skip
    assert cut(house.rows("acknowledgements"), "entry", "kind", "donor_name") == [
        ("g2", "money", "Amina Okafor"), ("k1", "in kind", "Bell Bakery"),
    ]  # fmt: skip
    assert cut(house.rows("donations"), "entry", "amount", "means") == [("g2", 60_000, None), ("g1", 100_000, "letter")]
    assert cut(house.rows("in-kind"), "entry", "what", "amount") == [("k1", "40 loaves", 8_000)]
    assert cut(house.rows("pledges", "--as-of", "2026-03-20"), "due", "received", "outstanding") == [
        (150_000, 100_000, 50_000)
    ]
    assert cut(house.rows("pledges", "--as-of", "2026-01-09"), "received", "last_on") == [(0, None)]
    assert cut(house.rows("parties"), "party", "name") == [("p-1", "Amina Okafor"), ("p-2", "Bell Bakery")]


def test_what_bank_and_book_do_not_both_know_is_listed_but_for_what_cancels_out(house: House) -> None:
    told = house.show("unreconciled", "--json").json
    assert cut(told["totals"], "side", "amount") == [("Total: the book", 9_500), ("Total: the bank", 30_000)]
    assert "on 2026-03-31 the bank's closing balance is 1,300.00 EUR, the book's 1,085.00 EUR" in told["message"]
    assert "They differ by 215.00 EUR, and what is not matched explains all of it." in told["message"]
    assert cut(house.rows("statements"), "statement", "closing", "lines", "matched") == [("q1", 130_000, 2, 1)]
    rows = told["rows"]
    assert ("the bank", "L2", 30_000) in cut(rows, "side", "line", "amount")
    in_book = [row["line"] for row in rows if row["side"] == "the book"]
    assert in_book == ["g2", "b1", "b2", "b3", "r1"]  # not b4 and its reversal; nor the release, which moves nothing


def test_entries_are_shown_with_their_postings(house: House) -> None:
    rows = house.rows("entries", "rel")
    assert cut(rows, "kind", "account", "fund", "debit", "credit") == [
        ("release", "released", "kitchen", 5_000, None), ("release", "bank", "general", 5_000, None),
        ("release", "bank", "kitchen", None, 5_000), ("release", "released", "general", None, 5_000),
    ]  # fmt: skip
    assert {row["entry"] for row in house.rows("entries", "--account", "letters")} == {"b3"}


@pytest.mark.parametrize("name", [*show_books.COMMANDS, *show_giving.COMMANDS, *show_both.COMMANDS])
def test_every_screen_is_a_table_json_and_csv(house: House, name: str) -> None:
    more = {"account": ["bank"]}.get(name, ["--of", "money"] if name in show_both.COMMANDS else [])
    assert "as of TREASURY" in house.show(name, *more).out
    told = house.show(name, *more, "--json").json
    table = list(csv.reader(io.StringIO(house.show(name, *more, "--csv").out)))
    assert len(table) - 1 == len(told["rows"])
    for row in told["rows"]:
        assert list(row) == table[0]
        assert not any(isinstance(value, float) for value in row.values())


def test_holds_and_reviews_of_both_services_are_one_answer(house: House) -> None:
    told = house.show("holds", "--json").json
    assert set(told) == {"stock", "money"}
    assert cut(told["money"]["rows"], "hold", "amount", "debited", "credited") == [("h-1", 7_000, "rent", "bank")]
    both = house.show("holds").out
    assert both.startswith("Stock\n") and "\nMoney\n" in both
    assert "as of INVENTORY" in both
    assert "Money held" in both
    reviewed = house.rows("review", "--of", "money")
    assert [row for row in reviewed if row["kind"] == "possible_duplicate"] == []  # one of the two was reversed
    assert house.commons("show", "review", "--csv").code == 2
    assert house.show("review", "--of", "stock", "--csv").out.startswith("kind,item")


def test_what_a_fact_broke_waits_until_it_is_made_good(house: House) -> None:
    house.send("OpenAccount", book=BOOK, account="till", name="Till", kind="asset", guarded=True)
    house.post("fee", "rent", "till", 250, "2026-06-01", fact=True)
    (row,) = [row for row in house.rows("review", "--book", BOOK) if row["kind"] == "account_limit"]
    assert (row["entry"], row["account"], row["figure"], row["lowest"]) == ("fee", "till", -250, 0)
    house.post("fill", "till", "bank", 250, "2026-06-02")
    assert [row for row in house.rows("review", "--book", BOOK) if row["kind"] == "account_limit"] == []
    (row,) = [row for row in house.rows("review", "--book", BOOK, "--all") if row["kind"] == "account_limit"]
    assert row["closed_by"] == "made good"
    house.send("ReverseEntry", book=BOOK, entry="fill-1", reverses="fill", date="2026-06-03", reason="test", fact=True)
    house.send("ReverseEntry", book=BOOK, entry="fee-1", reverses="fee", date="2026-06-03", reason="test")
    (row,) = [row for row in house.rows("review", "--of", "money", "--all") if row["entry"] == "fee"]
    assert row["closed_by"] == "reversed"


def test_the_read_models_of_money_are_those_of_a_fresh_fold(house: House) -> None:
    done = house.commons("verify")
    assert (done.code, "The ledger is whole" in done.out) == (0, True), done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("trial-balance", "--as-of", "yesterday"), ("trial-balance", "--recorded", "2026-11-20T09:30"),
        ("account", "bank", "--from", "2026-02-30"), ("funds", "--csv", "--json"), ("account",),
        ("account", "bank", "--limit", "0"), ("expenses", "--state", "lost"), ("holds", "--of", "time"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_command_line_is_said(house: House, arguments: tuple[str, ...]) -> None:
    assert house.commons("show", *arguments).code == 2


def test_what_the_book_does_not_have_is_said(house: House) -> None:
    for arguments, said in (
        (("trial-balance", "--book", "hose"), "There is: house"),
        (("unreconciled", "--account", "x"), "no account 'x'"),
        (("account", "bank", "--fund", "kitchn"), "Near it: kitchen"),
        (("activities", "--from", "2026-03-01", "--to", "2026-01-01"), "is after"),
    ):  # fmt: skip
        done = house.commons("show", *arguments)
        assert (done.code, said in done.err) == (1, True), done


def test_with_two_books_and_none_named_what_is_not_of_money_is_shown(house: House) -> None:
    house.send("OpenBook", book="shop", name="Shop", unit="EUR", starts="2026-01-01")
    done = house.commons("show", "review")
    assert (done.code, done.out.startswith("Stock\n"), "Distribution\n" in done.out) == (0, True, True), done
    assert "Of money nothing is shown. There are 2 books: say which with --book" in done.err
    assert house.commons("show", "review", "--of", "money").code == 1
    assert "Money" not in done.out
