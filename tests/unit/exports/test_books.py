"""Books go out to beancount, hledger and CSV; the tools accept them, and arrive at the same figures to the unit."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from beancount import loader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.exports import beancount, hledger, journal_csv
from services.exports.account_names import AccountNames
from services.exports.book import Book, Booked, Change, Survey
from services.treasury.contract import AccountKind
from tests.support import accounting
from tests.support.accounting import Balances, booked, written

KINDS = {"bank": AccountKind.ASSET, "owed": AccountKind.LIABILITY, "net": AccountKind.NET_ASSETS,
         "dues": AccountKind.INCOME, "rent": AccountKind.EXPENSE}  # fmt: skip
UNITS = {"EUR": 2, "JPY": 0, "KWD": 3, "HOURS": 2, "H2O": 4}

needs_hledger = pytest.mark.skipif(accounting.HLEDGER is None, reason="hledger is not installed")

Balance = Callable[[Path], Balances]


def story() -> tuple[Book, list[Booked]]:
    made = accounting.book(KINDS, UNITS, name='The "House" \\ of; all, | people', bank="Bank; fund:youth, 5 % \\n")
    entries = [
        booked("e-1", ("bank", "general", "EUR", 243150), ("net", "general", "EUR", -243150),
               description="Brought forward", actor='noor; "x"'),
        booked("e-2", ("bank", "youth", "EUR", 500000), ("dues", "youth", "EUR", -500000),
               description='A "grant"; fund:general', party="p-1", reference="GR, 7 ) ; x"),
        booked("e-3", ("rent", "youth", "EUR", 12), ("rent", "general", "EUR", 30), ("bank", "youth", "EUR", -12),
               ("bank", "general", "EUR", -30), description="(not a code) * ! = 2026-01-01"),
        booked("e-4", ("bank", "general", "JPY", 1000), ("dues", "general", "JPY", -1000),
               description="ünï\u2028cödé \U0001f957"),
        booked("e-5", ("bank", "general", "KWD", 1234), ("dues", "general", "KWD", -1234)),
        booked("e-6", ("bank", "general", "H2O", 12345), ("owed", "general", "H2O", -12345), description="=1+1"),
        booked("e-7", ("rent", "general", "HOURS", 2**53 - 1), ("dues", "general", "HOURS", 1 - 2**53), reverses="e-6"),
    ]  # fmt: skip
    return made, entries


def test_beancount_accepts_a_book_and_arrives_at_its_figures(tmp_path: Path) -> None:
    made, entries = story()
    path = tmp_path / "house.beancount"
    path.write_text(written(beancount, made, entries))
    accounting.beancount_checks(path)
    assert 'recorded_by: "noor; \\"x\\""' in path.read_text()
    assert accounting.beancount_balances(path) == accounting.sums(made, entries)
    for fund in ("general", "youth"):
        assert accounting.beancount_balances(path, f"meta('fund') = '{fund}'") == accounting.sums(made, entries, fund)


@needs_hledger
def test_hledger_accepts_a_book_and_arrives_at_its_figures(tmp_path: Path) -> None:
    made, entries = story()
    path = tmp_path / "house.journal"
    path.write_text(written(hledger, made, entries))
    accounting.hledger_checks(path)
    assert "recorded_by:noor" in path.read_text()
    assert accounting.hledger_balances(path) == accounting.sums(made, entries)
    for fund in ("general", "youth"):
        assert accounting.hledger_balances(path, f"tag:fund=^{fund}$") == accounting.sums(made, entries, fund)


def test_csv_has_a_row_for_each_posting_and_no_formula(tmp_path: Path) -> None:
    made, entries = story()
    rows = list(csv.DictReader(io.StringIO(written(journal_csv, made, entries))))
    assert len(rows) == sum(len(entry.changes) for entry in entries)
    assert rows[0] == {
        "entry": "e-1", "date": "2026-02-03", "account": "bank", "account_name": "Bank; fund:youth, 5 % \\n",
        "kind": "asset", "fund": "general", "unit": "EUR", "debit": "2431.50", "credit": "",
        "description": "Brought forward", "party": "", "party_name": "", "reference": "", "reverses": "",
        "recorded_by": 'noor; "x"', "recorded_at": "2026-11-25T09:30:00+00:00",
        "recorded_as": "Entry posted",
    }  # fmt: skip
    assert next(row for row in rows if row["entry"] == "e-6")["description"] == "'=1+1"


@pytest.mark.parametrize("writer", [beancount, hledger, journal_csv])
def test_who_a_party_is_stands_in_it_only_when_asked_for(writer: object) -> None:
    made, entries = story()
    assert "Ada Quill" not in written(writer, made, entries)  # type: ignore[arg-type]
    assert "Ada Quill" in written(writer, made, entries, {"p-1": "Ada Quill"})  # type: ignore[arg-type]


def test_two_accounts_whose_ids_want_one_name_get_two_that_stay() -> None:
    names = AccountNames()
    for id_ in ("bank", "Bank", "b_a", "b-a", "Bank-2", "bank"):
        names.add(id_, AccountKind.ASSET)
    assert [names[id_] for id_ in ("bank", "Bank", "b_a", "b-a", "Bank-2")] == [
        "Assets:Bank", "Assets:Bank-2", "Assets:B-a", "Assets:B-a-2", "Assets:Bank-2-2",
    ]  # fmt: skip


def test_balances_before_a_day_come_as_one_entry_that_balances() -> None:
    made, entries = story()
    survey = Survey(None, date(2026, 3, 1))
    for entry in entries:
        for change in entry.changes:
            survey.before["house", change.account, change.fund, change.unit] += change.amount
    survey.before["other", "bank", "general", "EUR"] += 5
    forward = survey.brought_forward(made)
    assert forward is not None and forward.date == date(2026, 3, 1)
    assert accounting.sums(made, [forward]) == accounting.sums(made, entries)
    assert Survey(None, date(2026, 3, 1)).brought_forward(made) is None


# -- any book ---------------------------------------------------------------------------------------------------------

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,11}", fullmatch=True)
AWKWARD = list(";:|,()*!=\"'\\#@{}[]^%&~<> \u2028\u00a0")
TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from(AWKWARD), max_size=40)


@st.composite
def any_book(draw: st.DrawFn) -> tuple[Book, list[Booked]]:
    ids = draw(st.lists(IDS, min_size=2, max_size=8, unique=True))
    kinds = {id_: draw(st.sampled_from(AccountKind)) for id_ in ids}
    made = accounting.book(kinds, UNITS, name=draw(TEXTS.filter(str.strip)), **{id_: draw(TEXTS) or id_ for id_ in ids})
    entries = []
    for number in range(draw(st.integers(1, 6))):
        changes: list[Change] = []
        for _ in range(draw(st.integers(1, 3))):
            unit, fund = draw(st.sampled_from(list(UNITS))), draw(st.sampled_from(["general", "youth"]))
            amount = draw(st.integers(1, 2**53 - 1) | st.integers(1, 200))
            changes += [Change(draw(st.sampled_from(ids)), fund, unit, sign * amount) for sign in (1, -1)]
        said = {name: " ".join(draw(TEXTS).split()) for name in ("description", "reference")}
        entries.append(
            booked(f"{draw(IDS)}-{number}", *changes, day=draw(st.dates(date(2026, 1, 1), date(2199, 1, 1))), **said)
        )
    return made, entries


@given(any_book())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_beancount_accepts_any_book_however_awkward_its_names(given_: tuple[Book, list[Booked]]) -> None:
    made, entries = given_
    found, errors, _ = loader.load_string(written(beancount, made, entries))
    assert not errors, errors
    transactions = [one for one in found if type(one).__name__ == "Transaction"]
    assert len(transactions) == len(entries)
    by_id = {one.meta["entry"]: one for one in transactions}
    for entry in entries:
        assert by_id[entry.entry].narration == (entry.description or entry.kind)
        assert sorted(
            (
                one.account,
                one.units.currency,
                one.meta["fund"],
                int(one.units.number.scaleb(made.decimals[one.units.currency])),
            )
            for one in by_id[entry.entry].postings
        ) == sorted((made.names[change.account], change.unit, change.fund, change.amount) for change in entry.changes)


@needs_hledger
@given(any_book())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_hledger_accepts_any_book_however_awkward_its_names(
    tmp_path_factory: pytest.TempPathFactory, given_: tuple[Book, list[Booked]]
) -> None:
    made, entries = given_
    path = tmp_path_factory.mktemp("any") / "any.journal"
    path.write_text(written(hledger, made, entries), encoding="utf-8")
    accounting.hledger_checks(path)
    assert accounting.hledger_balances(path) == accounting.sums(made, entries)
    assert accounting.hledger_balances(path, "tag:fund=^youth$") == accounting.sums(made, entries, "youth")
