"""Entries come from journals of two forms and from Open Collective: each whole or not at all, and once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.demo import samples
from services.exports import journal_csv
from services.imports.books import Units
from services.imports.entries import EntryRead, PlannedEntry, read_entries
from services.imports.entries_run import Results, import_entries
from services.imports.opencollective import AccountsMap, is_opencollective, read_opencollective
from services.imports.plan import Planned, Refused
from services.imports.report import Report
from services.treasury.contract import AccountKind, TreasuryError, treasury
from shared.errors import Halted, Invalid, Rejected
from tests.support import accounting

SAMPLES = Path(samples.__file__).parent / "samples"
UNITS = Units("house", "EUR", {"EUR": 2, "JPY": 0, "HOURS": 2})
HEAD = "entry,date,account,fund,debit,credit,description\n"


def read(tmp_path: Path, text: str, **options: Any) -> list[EntryRead]:
    path = tmp_path / "journal.csv"
    path.write_text(text, encoding="utf-8")
    return list(read_entries(path, UNITS, **options))


def refusals(read: list[EntryRead]) -> list[tuple[int, str]]:
    return [(one.line, one.reason) for one in read if isinstance(one, Refused)]


def posted(read: list[EntryRead]) -> list[dict[str, Any]]:
    return [one.data for one in read if isinstance(one, PlannedEntry)]


class Ledger:
    """Posts entries by their ids, as the treasury does; `trouble` may raise before a request is taken."""

    def __init__(self, trouble: Callable[[int], None] = lambda number: None) -> None:
        self.entries: dict[str, Mapping[str, Any]] = {}
        self.requests: dict[str, list[dict[str, str]]] = {}
        self.parties: dict[str, Mapping[str, Any]] = {}
        self.trouble = trouble

    async def post(self, data: Mapping[str, Any], id_: str) -> Results:
        treasury.parse("PostEntries", data)
        if id_ in self.requests:
            return Results(self.requests[id_], repeated=True)
        self.trouble(len(self.requests))
        self.requests[id_] = [self._one(entry) for entry in data["entries"]]
        return Results(self.requests[id_])

    def _one(self, entry: Mapping[str, Any]) -> dict[str, str]:
        if any(p["account"] == "nowhere" for p in entry["debits"]):
            return {"result": "refused", "code": "UNKNOWN_ACCOUNT"}
        before = self.entries.setdefault(entry["entry"], entry)
        if before is entry:
            return {"result": "posted"}
        same = before == entry
        return {"result": "already_posted"} if same else {"result": "differs", "field": "debits"}

    async def register(self, data: Mapping[str, Any], id_: str) -> bool:
        treasury.parse("RegisterParty", data)
        if self.parties.get(data["party"], data) != data:
            raise Rejected(TreasuryError.ALREADY_EXISTS, "registered already")
        return self.parties.setdefault(data["party"], data) is data


async def imported(read: list[EntryRead], ledger: Ledger, **options: Any) -> Report:
    return await import_entries(Path("j.csv"), lambda: iter(read), "house", ledger.post, ledger.register, **options)


# -- reading ----------------------------------------------------------------------------------------------------------


def test_the_sample_brings_balances_forward_and_every_entry_fits_the_contract() -> None:
    got = list(read_entries(SAMPLES / "entries.csv", UNITS))
    assert not refusals(got) and len(got) == 15
    entries = treasury.parse("PostEntries", {"book": "house", "entries": posted(got)}).entries
    bank = sum(p.amount for e in entries[:2] for p in e.debits if p.account == "bank")
    assert bank == 275150
    assert all(sum(p.amount for p in e.debits) == sum(p.amount for p in e.credits) for e in entries)


def test_rows_of_an_entry_become_one_and_say_its_day_once(tmp_path: Path) -> None:
    text = HEAD + "e-1,05.01.2026,bank,,12.50,,Dues\ne-1,,dues,,,10.00,\n,,dues,,,2.50,Dues\n"
    assert posted(read(tmp_path, text)) == [
        {
            "entry": "e-1", "date": "2026-01-05", "description": "Dues",
            "debits": [{"account": "bank", "amount": 1250, "unit": "EUR", "fund": "general"}],
            "credits": [
                {"account": "dues", "amount": 1000, "unit": "EUR", "fund": "general"},
                {"account": "dues", "amount": 250, "unit": "EUR", "fund": "general"},
            ],
        }
    ]  # fmt: skip


def test_a_row_may_be_a_whole_transfer_whose_id_is_made_of_what_it_says(tmp_path: Path) -> None:
    head = "date;debit_account;credit_account;amount;unit;description\n"
    rows = ["2026-01-05;bank;dues;12,50;;Dues\n", "2026-01-06;hours;given;1,25;HOURS;Cooking\n"]
    one, two = posted(read(tmp_path, head + "".join(rows)))
    again = posted(read(tmp_path, head + "".join(reversed(rows))))
    assert [one, two] == again[::-1]
    assert two["debits"] == [{"account": "hours", "amount": 125, "unit": "HOURS", "fund": "general"}]
    assert re.fullmatch(r"row-[0-9a-f-]{36}", one["entry"])


@pytest.mark.parametrize(
    ("rows", "line", "said"),
    [
        (
            "e-1,2026-01-05,bank,,12.50,,\ne-1,,dues,,,12.00,\n",
            2,
            "in fund general the debits are 0.50 EUR more than the credits",
        ),
        ("e-1,2026-01-05,bank,youth,1,,\ne-1,,dues,,,1,\n", 2, "in fund youth the debits are 1.00 EUR more"),
        ("e-1,2026-01-05,bank,,1,,\ne-1,,dues,,,one,\n", 3, "is not an amount"),
        ("e-1,2026-01-05,bank,,1,1,\n", 2, "has a debit and a credit"),
        ("e-1,2026-01-05,bank,,,,\n", 2, "has neither debit nor credit"),
        ("e-1,2026-01-05,bank,,0,,\n", 2, "is not above zero"),
        ("e-1,2026-01-05,bank,,-5,,\n", 2, "is not above zero; what is taken away is on the other side"),
        ("e-1,2026-01-05,bank,,1.234,,\n", 2, "two ways"),
        ("e-1,2026-01-05,bank,,1.5555,,\n", 2, "4 decimals, and EUR has 2"),
        ("e-1,01/05/2026,bank,,1,,\ne-1,,dues,,,1,\n", 2, "is not a date such as 2026-11-20"),
        ("e-1,2026-01-05,bank,,1,,\ne-1,2026-01-06,dues,,,1,\n", 3, "the date differs from that on line 2"),
        ("e 1,2026-01-05,bank,,1,,\ne 1,,dues,,,1,\n", 2, "the entry 'e 1' is not an id"),
        (",2026-01-05,bank,,1,,\n", 2, "the entry is empty"),
        ("e-1,2026-01-05,the bank,,1,,\n", 2, "the account 'the bank' is not an id"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused_with_its_line_and_the_others_are_not(
    tmp_path: Path, rows: str, line: int, said: str
) -> None:
    got = read(tmp_path, HEAD + rows + "ok,2026-01-05,bank,,1,,\nok,,dues,,,1,\n")
    assert [at for at, _ in refusals(got)] == [line] and said in refusals(got)[0][1], refusals(got)
    assert [one["entry"] for one in posted(got)] == ["ok"]


def test_an_entry_whose_rows_are_apart_or_beside_a_torn_one_is_held_back(tmp_path: Path) -> None:
    pair = "{0},2026-01-05,bank,,1,,\n{0},,dues,,,1,\n"
    apart = read(tmp_path, HEAD + pair.format("a") + pair.format("b") + pair.format("a"))
    assert [one["entry"] for one in posted(apart)] == ["b"]
    assert all("do not stand together (again on line 6)" in reason for _, reason in refusals(apart))
    torn = read(tmp_path, HEAD + pair.format("a") + "a,,bank\n" + pair.format("b") + pair.format("c"))
    assert [one["entry"] for one in posted(torn)] == ["c"]
    assert [at for at, _ in refusals(torn)] == [4, 2, 5]


def test_a_journal_in_two_ways_of_writing_amounts_is_refused_as_a_whole(tmp_path: Path) -> None:
    text = HEAD.replace(",", ";") + "a;2026-01-05;bank;;1.234,56;;\na;;dues;;;1,234.56;\n"
    with pytest.raises(Invalid, match=r"'1\.234,56', and on line 3 '1,234\.56'"):
        read(tmp_path, text)
    assert "as de writes it" in refusals(read(tmp_path, text, locale="de"))[0][1]


@given(st.lists(st.tuples(st.integers(1, 10**9), st.sampled_from(["EUR", "JPY", "HOURS"])), min_size=1, max_size=5))
def test_what_an_export_writes_is_read_back_as_the_same_entries(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[tuple[int, str]]
) -> None:
    made = accounting.book({"bank": AccountKind.ASSET, "dues": AccountKind.INCOME}, dict(UNITS.scales))
    text = '=1+1 "x"'
    entries = [
        accounting.booked(f"e-{n}", ("bank", "youth", unit, amount), ("dues", "youth", unit, -amount), description=text)
        for n, (amount, unit) in enumerate(amounts)
    ]
    path = tmp_path_factory.mktemp("back") / "books.csv"
    path.write_text(accounting.written(journal_csv, made, entries))
    got = posted(list(read_entries(path, UNITS, locale="en")))
    assert [(one["entry"], one["debits"][0]["amount"], one["description"]) for one in got] == [
        (f"e-{n}", amount, text) for n, (amount, _) in enumerate(amounts)
    ]


# -- sending ----------------------------------------------------------------------------------------------------------


def planned(number: int, account: str = "bank", amount: int = 5) -> PlannedEntry:
    posting = {"amount": amount, "unit": "EUR", "fund": "general"}
    data = {"entry": f"e-{number}", "date": "2026-01-05", "debits": [posting | {"account": account}],
            "credits": [posting | {"account": "dues"}]}  # fmt: skip
    return PlannedEntry(number + 1, data, f"entry e-{number}")


async def test_entries_go_out_in_requests_and_the_same_file_again_changes_nothing() -> None:
    ledger, seen = Ledger(), []
    entries: list[EntryRead] = [planned(n) for n in range(25)]
    report = await imported(entries, ledger, per_request=10, progress=lambda done, total: seen.append((done, total)))
    assert (report.new, report.unchanged, report.refused) == (25, 0, 0)
    assert seen == [(10, 25), (20, 25), (25, 25)]
    again = await imported(entries, ledger, per_request=10)
    assert (again.new, again.unchanged, len(ledger.requests)) == (0, 25, 3)


async def test_a_corrected_file_posts_what_was_not_and_names_what_differs() -> None:
    ledger = Ledger()
    await imported([planned(1), planned(2)], ledger)
    report = await imported([planned(1), planned(2, amount=6), planned(3)], ledger)
    assert (report.new, report.unchanged) == (1, 1)
    assert report.refusals == [Refused(3, "another entry was posted under this id: its debits differs", "entry e-2")]


async def test_a_refusal_says_in_words_what_to_do_and_the_rest_is_posted() -> None:
    report = await imported([planned(1, "nowhere"), planned(2)], Ledger())
    assert (report.new, report.refused) == (1, 1)
    assert report.refusals[0].reason.startswith("UNKNOWN_ACCOUNT: one of the accounts ")


async def test_an_id_twice_in_a_file_is_refused_before_anything_is_sent() -> None:
    report = await imported([planned(1), replace(planned(1, amount=6), line=9)], Ledger())
    assert (report.refusals[0].line, report.new) == (9, 1)
    assert report.refusals[0].reason.startswith("line 2 has the same id")


async def test_an_import_that_is_cut_off_goes_on_when_it_is_run_again() -> None:
    def down(number: int) -> None:
        if number >= 1:
            raise Halted("the stream ends too early.")

    ledger = Ledger(down)
    entries: list[EntryRead] = [planned(n) for n in range(25)]
    report = await imported(entries, ledger, per_request=10)
    assert report.stopped == "lines 11 to 20: the stream ends too early."
    ledger.trouble = lambda number: None
    report = await imported(entries, ledger, per_request=10)
    assert (report.new, report.unchanged, len(ledger.entries)) == (15, 10, 25)


async def test_a_dry_run_sends_nothing_and_what_the_contract_refuses_is_a_line() -> None:
    ledger = Ledger()
    report = await imported([planned(1), planned(2, amount=2**53)], ledger, dry_run=True)
    assert (report.valid, report.refused, ledger.requests) == (1, 1, {})


# -- Open Collective --------------------------------------------------------------------------------------------------


OC = (
    "datetime,shortId,type,kind,amount,paymentProcessorFee,hostFee,netAmount,currency,oppositeAccountSlug,"
    "oppositeAccountName,expenseTags\n"
)


def collective(tmp_path: Path, rows: str, head: str = OC, accounts: AccountsMap | None = None) -> list[EntryRead]:
    path = tmp_path / "oc.csv"
    path.write_text(head + rows, encoding="utf-8")
    assert is_opencollective(path)
    return list(read_opencollective(path, UNITS, accounts or AccountsMap()))


async def test_the_sample_of_open_collective_ends_at_its_balance_and_names_nobody() -> None:
    path = SAMPLES / "opencollective.csv"
    assert is_opencollective(path) and not is_opencollective(SAMPLES / "entries.csv")
    accounts = AccountsMap.read(SAMPLES / "opencollective-accounts.csv")
    got = list(read_opencollective(path, UNITS, accounts))
    assert not refusals(got) and len(posted(got)) == 20
    sides = [(1, "debits"), (-1, "credits")]
    balance = sum(
        sign * p["amount"]
        for e in posted(got)
        for sign, side in sides
        for p in e[side]
        if p["account"] == "open-collective"
    )
    assert balance == 47543
    ledger = Ledger()
    report = await imported(got, ledger)
    assert (report.new, len(ledger.parties), report.ok) == (20, 6, True)
    assert (await imported(got, ledger)).unchanged == 20
    names = {str(party["name"]) for party in ledger.parties.values()}
    assert "Noor Vandermeer" in names
    said = str(posted(got)) + str(list(ledger.requests))
    assert not any(name in said for name in names) and "vandermeer" not in said.lower()
    chart = (SAMPLES / "chart.csv").read_text()
    used = {p["account"] for e in posted(got) for side in ("debits", "credits") for p in e[side]}
    assert all(f"\n{account}," in chart for account in used)


def test_fees_in_the_row_are_posted_with_it_and_a_refund_turns_it_round(tmp_path: Path) -> None:
    got = posted(
        collective(
            tmp_path,
            "2026-01-05T10:00:00,0a1b2c3d,CREDIT,CONTRIBUTION,100,-3.2,-5,91.8,EUR,jo,Jo,\n"
            "2026-01-06T10:00:00,0a1b2c3e,DEBIT,CONTRIBUTION,-100,3.2,5,-91.8,EUR,jo,Jo,\n",
        )
    )
    assert [(p["account"], p["amount"]) for p in got[0]["debits"]] == [
        ("open-collective", 9180), ("payment-fees", 320), ("host-fees", 500)
    ]  # fmt: skip
    assert got[0]["credits"] == [{"account": "donations", "amount": 10000, "unit": "EUR", "fund": "general"}]
    assert got[1]["debits"] == got[0]["credits"] and got[1]["credits"] == got[0]["debits"]
    assert got[0]["fact"] and got[0]["description"] == "Contribution on Open Collective"


def test_the_dashboard_s_names_of_columns_are_known_too(tmp_path: Path) -> None:
    head = "Date & Time,Short Transaction ID,Credit/Debit,Kind,Amount Single Column,Currency,Opposite Account Handle\n"
    got = posted(collective(tmp_path, "2026-01-05T10:00:00,0a1b2c3d,CREDIT,CONTRIBUTION,12.5,EUR,jo\n", head))
    assert got[0]["entry"] == "oc-2026-01-05-0a1b2c3d" and got[0]["debits"][0]["amount"] == 1250


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2026-01-05T10:00:00,0a1b2c3d,CREDIT,CONTRIBUTION,100,-3.2,-5,91.7,EUR,jo,Jo,", "does not add up"),
        ("2026-01-05T10:00:00,0a1b2c3d,DEBIT,CONTRIBUTION,100,0,0,100,EUR,jo,Jo,", "a credit is above zero"),
        ("2026-01-05T10:00:00,0a1b2c3d,CREDIT,BALANCE_TRANSFER,1,0,0,1,EUR,jo,Jo,", "give one with --accounts-map"),
        ("2026-01-05T10:00:00,0a1b2c3d,CREDIT,CONTRIBUTION,1,0,0,1,USD,jo,Jo,", "is not a unit of this book"),
        ("2026-01-05T10:00:00,,CREDIT,CONTRIBUTION,1,0,0,1,EUR,jo,Jo,", "has no id"),
        ("yesterday,0a1b2c3d,CREDIT,CONTRIBUTION,1,0,0,1,EUR,jo,Jo,", "is not a date"),
        ('2026-01-05T10:00:00,0a1b2c3d,CREDIT,CONTRIBUTION,,,,"1.234,56",EUR,jo,Jo,', "not an amount as en writes it"),
    ],
)  # fmt: skip
def test_a_transaction_that_cannot_be_posted_says_why(tmp_path: Path, row: str, said: str) -> None:
    got = collective(tmp_path, row + "\n")
    assert [at for at, _ in refusals(got)] == [2] and said in refusals(got)[0][1]
    assert not any(isinstance(one, Planned) for one in got)


def test_the_more_particular_line_of_a_map_counts(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text("kind,match,account,fund\nExpense,,office,general\nEXPENSE,Food,food,youth\n")
    accounts = AccountsMap.read(path)
    row = "2026-01-05T10:00:00,0a1b2c3{},DEBIT,EXPENSE,-10,0,0,-10,EUR,jo,Jo,{}\n"
    got = posted(collective(tmp_path, row.format(1, '"party, food"') + row.format(2, ""), accounts=accounts))
    assert [(e["debits"][0]["account"], e["debits"][0]["fund"]) for e in got] == [
        ("food", "youth"),
        ("office", "general"),
    ]
    path.write_text("kind,match,account\nEXPENSE,,the office\n")
    with pytest.raises(Invalid, match=r"map\.csv, line 2"):
        AccountsMap.read(path)


async def test_a_party_with_another_name_than_before_waits_for_a_person(tmp_path: Path) -> None:
    ledger = Ledger()
    row = "2026-01-05T10:00:00,0a1b2c3d,CREDIT,CONTRIBUTION,1,0,0,1,EUR,jo,{},\n"
    await imported(collective(tmp_path, row.format("Jo")), ledger)
    report = await imported(collective(tmp_path, row.format("Jo Marlow")), ledger)
    assert report.ok and "ChangeParty" in report.questions[0].reason


@given(data=st.binary(max_size=200), head=st.sampled_from([b"", HEAD.encode(), OC.encode()]))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_a_clear_refusal(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(head + data)
    for reader in (lambda: read_entries(path, UNITS), lambda: read_opencollective(path, UNITS, AccountsMap())):
        with contextlib.suppress(Invalid):
            list(reader())
