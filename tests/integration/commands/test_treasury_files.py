"""A treasury from its files, on a running ledger: chart, journal, Open Collective, statement; and out again."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from services.demo import samples
from tests.integration.commands.conftest import Commons, Done
from tests.support import accounting

SAMPLES = Path(samples.__file__).parent / "samples"
BOOK = ("--book", "weaver")
NAMES = ("Noor Vandermeer", "Petra Osei-Holm", "Tomasz Okonjo", "Riverside Community Foundation")


def read_in(commons: Commons, *arguments: str) -> Done:
    return commons("import", *arguments, *BOOK, "--json")


def wait(commons: Commons, query: str) -> None:
    """Until a read model of the treasury answers with a row."""

    async def there() -> None:
        connection = await asyncpg.connect(commons.described["database_url"])
        try:
            async with asyncio.timeout(20):
                while await connection.fetchrow(query) is None:
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    asyncio.run(there())


@pytest.fixture(scope="module")
def treasury(commons: Commons) -> Commons:
    """The book of the samples: its chart, its journal, and what Open Collective lists."""
    opened = read_in(
        commons, "accounts", str(SAMPLES / "chart.csv"), "--open", "Weaver Street House", "--starts", "2025-12-21"
    )
    assert (opened.code, opened.json["refused"]) == (0, 0), opened
    journal = read_in(commons, "entries", str(SAMPLES / "entries.csv"))
    assert (journal.code, journal.json["new"]) == (0, 15), journal
    collective = read_in(
        commons, "entries", str(SAMPLES / "opencollective.csv"), "--accounts-map",
        str(SAMPLES / "opencollective-accounts.csv"),
    )  # fmt: skip
    assert (collective.code, collective.json["new"]) == (0, 20), collective
    return commons


def test_the_same_files_again_change_nothing(treasury: Commons) -> None:
    before = treasury("status", "--json").json["streams"]
    for file in ("entries.csv", "opencollective.csv"):
        options = ("--accounts-map", str(SAMPLES / "opencollective-accounts.csv")) if file[0] == "o" else ()
        done = read_in(treasury, "entries", str(SAMPLES / file), *options)
        assert (done.code, done.json["new"], done.json["refused"]) == (0, 0, 0), done
    chart = read_in(treasury, "accounts", str(SAMPLES / "chart.csv"))
    assert (chart.code, chart.json["new"], chart.json["unchanged"] > 40) == (0, 0, True), chart
    assert treasury("status", "--json").json["streams"] == before


def test_a_statement_comes_in_once_and_another_that_overlaps_brings_only_what_is_new(
    treasury: Commons, tmp_path: Path
) -> None:
    first = read_in(treasury, "statement", str(SAMPLES / "statement.ofx"), "--account", "bank")
    assert first.code == 0 and first.json["counts"].startswith("24 lines new, 0 known; opening 2,751.50"), first
    again = read_in(treasury, "statement", str(SAMPLES / "statement.ofx"), "--account", "bank")
    assert again.code == 0 and "was imported before, and nothing changed" in " ".join(again.json["notes"]), again
    whole = (SAMPLES / "statement.ofx").read_text()
    later = tmp_path / "later.ofx"
    more = "<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20260122<TRNAMT>12.00<FITID>CU-4125<NAME>A. Member</STMTTRN>\n"
    later.write_text(
        whole.replace("</BANKTRANLIST>", f"{more}</BANKTRANLIST>")
        .replace("6785.97", "6797.97")
        .replace("20260121235959", "20260122235959")
    )
    overlapping = read_in(treasury, "statement", str(later), "--account", "bank")
    assert overlapping.code == 0 and overlapping.json["counts"].startswith("1 line new, 24 known;"), overlapping
    wrong = tmp_path / "wrong.ofx"
    wrong.write_text(whole.replace("<FITID>CU-4105", "<FITID>CU-4105b"))
    refused = read_in(treasury, "statement", str(wrong), "--account", "bank", "--opening", "2751.51")
    assert refused.code == 1 and "it does not add up" in refused.json["refusals"][0]["reason"], refused


def test_the_books_go_out_and_the_tools_arrive_at_the_trial_balance(treasury: Commons, tmp_path: Path) -> None:
    made: dict[str, str] = {}
    for form, ending in (("beancount", "beancount"), ("hledger", "journal"), ("csv", "csv")):
        path = tmp_path / f"books.{ending}"
        done = treasury("export", form, *BOOK, "--output", str(path))
        assert done.code == 0 and "35 entries of weaver" in done.out, done
        made[form] = path.read_text()
        again = treasury("export", form, *BOOK)
        assert again.out == made[form]
        assert not any(name in made[form] for name in NAMES)
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(io.StringIO(made["csv"])):
        expected[row["account"]] += Decimal(row["debit"] or 0) - Decimal(row["credit"] or 0)

    async def trial_balance() -> dict[str, Decimal]:
        connection = await asyncpg.connect(treasury.described["database_url"])
        try:
            rows = await connection.fetch(
                "SELECT account, sum(amount) AS total FROM read.postings WHERE book = 'weaver' GROUP BY account"
            )
        finally:
            await connection.close()
        return {row["account"]: Decimal(int(row["total"])).scaleb(-2) for row in rows}

    wait(treasury, "SELECT 1 FROM read.entries WHERE book = 'weaver' AND entry = 'oc-2026-01-13-60718a9c'")
    figures = asyncio.run(trial_balance())
    assert figures == dict(expected) and sum(figures.values()) == 0
    named = {f"{account}": amount for account, amount in figures.items() if amount}
    beancount, journal = tmp_path / "books.beancount", tmp_path / "books.journal"
    accounting.beancount_checks(beancount)
    assert _by_id(accounting.beancount_balances(beancount)) == named
    if accounting.HLEDGER is not None:
        accounting.hledger_checks(journal)
        assert _by_id(accounting.hledger_balances(journal)) == named


def _by_id(balances: accounting.Balances) -> dict[str, Decimal]:
    """By the ids of the sample chart, whose names in the tools are the ids with a capital letter."""
    return {name.partition(":")[2].lower(): amount for (name, _), amount in balances.items()}


def test_a_part_of_the_books_begins_with_the_balances_before_it(treasury: Commons, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.beancount", tmp_path / "part.beancount"
    assert treasury("export", "beancount", *BOOK, "--output", str(whole)).code == 0
    assert treasury("export", "beancount", *BOOK, "--from", "2026-01-01", "--output", str(part)).code == 0
    accounting.beancount_checks(part)
    assert accounting.beancount_balances(part) == accounting.beancount_balances(whole)
    assert "Balances brought forward" in part.read_text() and "2025-12-23 *" not in part.read_text()


def test_names_go_out_when_they_are_asked_for_and_stand_in_no_stored_byte(treasury: Commons) -> None:
    named = treasury("export", "hledger", *BOOK, "--with-names")
    assert named.code == 0 and "Petra Osei-Holm | Contribution on Open Collective" in named.out
    stored = {path: path.read_bytes() for path in treasury.data.rglob("*") if path.is_file()}
    assert any(b"oc-2026-01-10-1a2c6355" in content for content in stored.values())
    for path, content in stored.items():
        assert not [name for name in NAMES if name.encode() in content], path


def test_a_journal_with_faults_posts_the_rest_and_names_the_lines(treasury: Commons, tmp_path: Path) -> None:
    path = tmp_path / "faulty.csv"
    path.write_text(
        "entry,date,account,debit,credit\n"
        "f-1,2026-02-01,bank,5.00,\nf-1,,donations,,5.00\n"
        "f-2,2026-02-01,bank,5.00,\nf-2,,nowhere,,5.00\n"
        "f-3,2026-02-01,bank,5.00,\nf-3,,donations,,4.00\n"
        "f-4,2020-02-01,bank,5.00,\nf-4,,donations,,5.00\n"
    )
    checked = read_in(treasury, "entries", str(path), "--dry-run")
    assert (checked.code, checked.json["valid"], checked.json["refused"]) == (1, 3, 1), checked
    path_again = read_in(treasury, "entries", str(path))
    told = [(one["line"], one["reason"].partition(":")[0]) for one in path_again.json["refusals"]]
    assert told == [
        (4, "UNKNOWN_ACCOUNT"), (6, "does not balance"), (8, "DATE_OUTSIDE_BOOK"),
    ], path_again  # fmt: skip
    assert path_again.json["refusals"][0]["reason"].startswith("UNKNOWN_ACCOUNT: account nowhere is not in the chart")
    assert path_again.json["new"] == 1
    far = tmp_path / "far.csv"
    far.write_text(
        "entry,date,account,fund,debit,credit\n"
        "g-1,2026-02-01,office,general,900000.00,\ng-1,,bank,general,,900000.00\n"
        "g-2,2026-02-01,office,youth-kitchen,5.00,\ng-2,,bank,youth-kitchen,,5.00\n"
    )
    told = [one["reason"] for one in read_in(treasury, "entries", str(far)).json["refusals"]]
    assert told[0].startswith("ACCOUNT_LIMIT: it takes 900000.00 EUR from account bank, and the account would go"), told
    assert told[1].startswith("FUND_PURPOSE: fund youth-kitchen pays for food, kitchen") and "not for office" in told[1]


def test_a_statement_that_counts_takes_no_payees_later(treasury: Commons, tmp_path: Path) -> None:
    path = tmp_path / "cash.csv"
    path.write_text("date,amount,who,balance\n2026-02-01,5.00,Noor,5.00\n2026-02-02,0.00,,5.00\n")
    first = read_in(treasury, "statement", str(path), "--account", "cash")
    assert first.json["counts"] == "1 line new, 0 known; opening 0.00, closing 5.00 EUR", first
    assert "Columns that were not read: who. --map reads them." in first.json["notes"]
    again = read_in(treasury, "statement", str(path), "--account", "cash", "--map", "payee=who")
    assert again.code == 1 and "payees and texts cannot be added to it later" in again.json["refusals"][0]["reason"]
