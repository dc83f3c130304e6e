"""A bank statement comes in whole or not at all, from OFX or any bank's CSV, once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from services.demo import samples
from services.imports.cells import Unreadable
from services.imports.columns import column_map
from services.imports.report import Report
from services.imports.statement import BankLine, BankStatement, commands, complete, line_ids
from services.imports.statement_csv import USUAL, Layout, read_csv_statement
from services.imports.statement_ofx import read_ofx_statement
from services.imports.statement_run import Answered, import_statement
from services.treasury.contract import StatementLinesAdded, TreasuryError, treasury
from services.treasury.units import decimals_of
from shared.contract import fields_of
from shared.cutting import ENVELOPE_BYTES
from shared.errors import Halted, Invalid, Rejected
from shared.event import MAX_EVENT_BYTES, event_id
from shared.sealing import seal

SAMPLES = Path(samples.__file__).parent / "samples"
FILE = Path("bank.ofx")


def ofx(
    lines: str = "", *, balance: str = "<LEDGERBAL><BALAMT>112.50<DTASOF>20261130</LEDGERBAL>", unit: str = "EUR"
) -> bytes:
    return (
        f"OFXHEADER:100\n\n<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>{unit}<BANKACCTFROM><ACCTID>DE123</BANKACCTFROM>"
        f"<BANKTRANLIST><DTSTART>20261101<DTEND>20261130{lines}</BANKTRANLIST>{balance}"
        "</STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>"
    ).encode()


def line(id_: str = "1", amount: str = "12.50", day: str = "20261105", more: str = "") -> str:
    return f"<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>{day}<TRNAMT>{amount}<FITID>{id_}<NAME>A. Member{more}</STMTTRN>"


def from_ofx(data: bytes, number: str | None = None) -> BankStatement:
    return read_ofx_statement(FILE, data, decimals_of, number)


def faults(data: bytes, opening: int | None = None, closing: int | None = None) -> str:
    return " | ".join(one.reason for one in complete(from_ofx(data), opening, closing))


def from_csv(text: str | bytes, **layout: Any) -> BankStatement:
    data = text.encode() if isinstance(text, str) else text
    return read_csv_statement(Path("bank.csv"), data, decimals_of, "EUR", Layout(**layout))


class Bank:
    """Answers as the ledger does: remembers command ids, and refuses what `refuse` says."""

    def __init__(self, refuse: Callable[[str, str], Exception | None] = lambda name, id_: None) -> None:
        self.kept: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.refuse = refuse
        self.sent: list[str] = []

    async def send(self, name: str, data: Mapping[str, Any], id_: str) -> Answered:
        treasury.parse(name, data)
        self.sent.append(name)
        if id_ in self.kept:
            return Answered(False, {"data": {"new": 1, "known": 0}})
        if (error := self.refuse(name, id_)) is not None:
            raise error
        self.kept[id_] = (name, data)
        return Answered(True, {"data": {"new": 20, "known": 4, "gap": -150}})


async def imported(statement: BankStatement, bank: Bank, **options: Any) -> Report:
    return await import_statement(
        FILE, statement, complete(statement, None, None), "house", "bank", bank.send, **options
    )


# -- OFX --------------------------------------------------------------------------------------------------------------


def test_the_sample_says_the_same_as_ofx_and_as_a_german_bank_s_csv() -> None:
    one = from_ofx((SAMPLES / "statement.ofx").read_bytes())
    two = from_csv((SAMPLES / "statement.csv").read_bytes())
    assert complete(one, None, None) == [] == complete(two, None, None)
    for statement in (one, two):
        assert (statement.opening, statement.closing, len(statement.lines)) == (275150, 678597, 24)
    assert [(a.date, a.amount, a.payee, a.memo) for a in one.lines] == [
        (b.date, b.amount, b.payee, b.memo) for b in two.lines
    ]


def test_the_opening_balance_is_the_closing_one_less_the_lines() -> None:
    statement = from_ofx(ofx(line() + line("2", "-2,50")))
    assert complete(statement, None, None) == []
    assert (statement.opening, statement.closing) == (10250, 11250)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (line(day="20261201"), "is of 2026-12-01, outside the statement's days 2026-11-01 to 2026-11-30"),
        (line(day="20261301"), "is no date as OFX writes it"),
        (line(amount="1.234,56"), "is '1.234,56', which is no amount as OFX writes it"),
        (line(amount="1,234"), "is '1,234', with more decimals than its currency has (2)"),
        (line(amount="12.505"), "more decimals"),
        (line(amount="1e5"), "no amount"),
        (line(amount=""), "no amount"),
        (line() + line("1", "13.00"), "has the id 1 of line 1, with another content"),
        (line() + line(), "has the id 1 of line 1, with the same content"),
        (line(more="<CURRENCY><CURRATE>1<CURSYM>USD</CURRENCY>"), "is in USD, the statement in EUR"),
    ],
)
def test_a_line_that_cannot_be_right_refuses_the_statement(lines: str, said: str) -> None:
    assert said in faults(ofx(lines))


def test_balances_that_do_not_fit_the_lines_are_refused_with_the_figures() -> None:
    assert "the opening balance 100.00 and the lines, 12.50, give 112.50 EUR, not the closing balance 112.51" in faults(
        ofx(line()), opening=10000, closing=11251
    )
    assert faults(ofx(line()), opening=10000) == ""


def test_a_statement_without_any_balance_asks_for_one() -> None:
    assert "give --closing" in faults(ofx(line(), balance=""))
    assert faults(ofx(line(), balance=""), closing=500) == ""


def test_an_amount_of_nothing_is_a_note_of_the_bank_s_and_no_line() -> None:
    assert len(from_ofx(ofx(line(amount="0.00") + line("2"))).lines) == 1


def test_a_currency_that_is_not_known_refuses_the_file() -> None:
    with pytest.raises(Invalid, match="its currency is 'DOUBLOON'"):
        from_ofx(ofx(unit="DOUBLOON"))


def test_of_several_accounts_in_a_file_one_must_be_named() -> None:
    both = (
        ofx(line())
        .replace(b"</BANKMSGSRSV1>", ofx(line()).partition(b"<BANKMSGSRSV1>")[2].replace(b"DE123", b"DE999"))
        .replace(b"</OFX></OFX>", b"</OFX>")
    )
    with pytest.raises(Invalid, match=r"2 statements \(of accounts ending in E123, E999\); say which with --number"):
        from_ofx(both)
    assert from_ofx(both, "DE999").known_as == "DE999"
    with pytest.raises(Invalid, match="no statement of account DE1"):
        from_ofx(both, "DE1")


def test_ids_that_the_ledger_cannot_hold_are_made_anew_and_always_the_same() -> None:
    statement = from_ofx(ofx(line("Ä 1/€") + line("2026*11")))
    ids = line_ids(statement.lines)
    assert ids == line_ids(statement.lines) and len(set(ids)) == 2
    for planned in commands(statement, "house", "bank"):
        if planned.command == "AddStatementLines":
            treasury.parse(planned.command, planned.data)


# -- CSV --------------------------------------------------------------------------------------------------------------


PLAIN = "date,amount,payee\n2026-11-05,12.50,A\n2026-11-06,-2.50,B\n"


def test_columns_are_found_by_their_usual_names_or_mapped() -> None:
    statement = from_csv(PLAIN)
    assert [(one.amount, one.payee) for one in statement.lines] == [(1250, "A"), (-250, "B")]
    mapped = from_csv(
        "Wann;Wieviel;Wer\n5.11.2026;1.212,50;A\n",
        columns=column_map(["date=Wann,amount=Wieviel", "payee=Wer"], USUAL),
        locale="de",
    )
    assert [(one.amount, one.payee) for one in mapped.lines] == [(121250, "A")]


@pytest.mark.parametrize(
    ("heads", "read"),
    [
        ("Buchung;Auftraggeber/Empfänger;Buchungstext;Betrag", ("A", "B")),
        ("Buchungstag;Auftraggeber/Zahlungsempfänger;Verwendungszweck;Umsatz", ("A", "B")),
        ("Buchungstag;Beguenstigter/Zahlungspflichtiger;Verwendungszweck;Betrag", ("A", "B")),
        ("Buchungstag;Name Zahlungsbeteiligter;Verwendungszweck;Betrag", ("A", "B")),
        ("Wertstellung;Begünstigter / Auftraggeber;Verwendungszweck;Betrag in EUR", ("A", "B")),
        ("Buchungsdatum;Zahlungsempfänger;Buchungstext;Umsatz in EUR", ("A", "B")),
    ],
)
def test_the_heads_of_german_banks_are_known(heads: str, read: tuple[str, str]) -> None:
    statement = from_csv(f"{heads}\n05.11.2026;A;B;2,50\n")
    assert [(one.payee, one.memo) for one in statement.lines] == [read] and not statement.unread
    by_hand = from_csv(f"{heads}\n05.11.2026;A;B;2,50\n", columns={"payee": heads.split(";")[1]})
    assert [one.payee for one in by_hand.lines] == ["A"]


@pytest.mark.parametrize("heads", ["date,amount", "date,amount,balance"])
def test_a_line_that_cannot_be_read_is_all_that_is_said(heads: str) -> None:
    end = ",100" if "balance" in heads else ""
    statement = from_csv(f"{heads}\n2026-11-05,1{end}\n2026-11-06,x{end}\n2026-11-07,3{end}\n")
    assert [one.line for one in complete(statement, None, None)] == [3]


def test_debits_and_credits_in_two_columns_are_one_amount() -> None:
    statement = from_csv("Booking date,Description,Paid out,Paid in\n2026-11-05,x,2.50,\n2026-11-06,y,,12.50\n")
    assert [one.amount for one in statement.lines] == [-250, 1250]
    both = from_csv("Booking date,Paid out,Paid in\n2026-11-05,2.50,1.00\n2026-11-06,,\n")
    assert [one.line for one in both.faults] == [2, 3] and "on both sides, or on neither" in both.faults[0].reason


def test_lines_of_the_bank_s_own_above_the_header_and_other_encodings_are_no_hindrance() -> None:
    text = 'Konto;DE12\nStand;1.000,00\n\n"Buchungstag";"Betrag";"Empfänger";\n"05.11.2026";"-2,50";"Bäckerei";\n'
    for codec in ("utf-8", "utf-8-sig", "cp1252"):
        assert from_csv(text.encode(codec)).lines[0].payee == "Bäckerei"


def test_a_running_balance_gives_both_balances_and_shows_a_line_that_is_missing() -> None:
    head = "date,amount,balance\n"
    rows = ["2026-11-05,12.50,112.50\n", "2026-11-06,-2.50,110.00\n", "2026-11-07,5.00,115.00\n"]
    for order in (rows, rows[::-1]):
        statement = from_csv(head + "".join(order))
        assert (statement.opening, statement.closing, statement.lines[0].amount) == (10000, 11500, 1250)
    torn = from_csv(head + rows[0] + rows[2])
    assert (
        "the balance 115.00 does not follow from the one before it, 112.50, and the amount 5.00"
        in torn.faults[0].reason
    )


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        ("date,amount\n2026-11-05,\"1.234,56\"\n", {"locale": "en"}, "not an amount as en writes it"),
        ("date,amount\n2026-11-05,\"1,234\"\n", {}, "two ways"),
        ("date,amount\n2026-11-05,12.505\n", {"locale": "en"}, "3 decimals"),
        ("date,amount\n,12.50\n2026-11-05,1\n", {}, "has no date"),
        ("date,amount\n2026-11-05,12.50\n2026-11-06\n", {}, "has 1 cells, fewer than the header"),
    ],
)  # fmt: skip
def test_a_line_of_a_csv_that_cannot_be_read_refuses_the_statement(
    text: str, layout: dict[str, Any], said: str
) -> None:
    statement = from_csv(text, **layout)
    refused = complete(statement, 0, None)
    assert any(said in one.reason for one in refused), refused


@pytest.mark.parametrize(
    ("text", "layout", "said"),
    [
        ('date,amount\n2026-11-05,"1.234,56"\n2026-11-06,12.50\n', {}, "not all written in one way"),
        ("date,amount,currency\n2026-11-05,1,EUR\n2026-11-06,1,USD\n", {}, "lines in EUR, USD"),
        ("date,amount\n05/11/2026,1\n", {}, "day or the month first"),
        ("when,how much\n2026-11-05,1\n", {}, "no header with a date and an amount"),
        (PLAIN, {"columns": {"memo": "Zweck"}}, "no column 'Zweck'"),
        (PLAIN, {"locale": "xx_YY"}, "not a locale"),
        (PLAIN, {"date_format": "d/m"}, "no date format that is known"),
        (PLAIN, {"encoding": "klingon"}, "not known"),
        ("date,amount\n", {}, "it has no lines"),
    ],
)
def test_a_csv_that_cannot_be_read_as_a_whole_is_refused(text: str, layout: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        from_csv(text, **layout)


def test_a_locale_settles_what_is_ambiguous() -> None:
    statement = from_csv('date,amount\n05/11/2026,"1,234"\n', locale="en_GB")
    assert (statement.lines[0].amount, statement.lines[0].date.month) == (123400, 11)


def test_a_map_of_columns_that_no_line_says_is_refused() -> None:
    with pytest.raises(Unreadable, match="colour=Blau"):
        column_map(["date=Tag,colour=Blau", "colour=Blau"], USUAL)


def test_overlapping_statements_give_the_same_line_the_same_id_and_twins_two() -> None:
    november = from_csv("date,amount,payee\n2026-11-05,12.00,A\n2026-11-05,12.00,A\n2026-11-06,1,B\n")
    later = from_csv("date,amount,payee\n2026-11-05,12.00,A\n2026-11-05,12.00,A\n2026-12-01,1,B\n")
    first, second = line_ids(november.lines), line_ids(later.lines)
    assert first == ["2026-11-05:1200:1", "2026-11-05:1200:2", "2026-11-06:100:1"]
    assert first[:2] == second[:2] and len(set(first)) == 3 and first[2] != second[2]


@given(data=st.binary(max_size=200), head=st.sampled_from([b"", b"date,amount\n", b"date;amount;balance\n2026-11-05;"]))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise_anything_but_a_clear_refusal(data: bytes, head: bytes) -> None:
    with contextlib.suppress(Invalid):
        complete(from_csv(head + data), None, None)


# -- sending ----------------------------------------------------------------------------------------------------------


async def test_a_statement_is_sent_in_order_and_the_second_time_changes_nothing() -> None:
    bank = Bank()
    report = await imported(from_ofx(ofx(line())), bank)
    assert bank.sent == ["StartStatement", "AddStatementLines", "ImportStatement"]
    assert (report.new, report.unchanged, report.ok) == (20, 4, True)
    assert report.as_text().startswith("bank.ofx: 20 lines new, 4 known; opening 100.00, closing 112.50 EUR\n")
    assert report.notes == [
        "The statement is of 2026-11-01 to 2026-11-30.",
        "Lines that an earlier statement brought were not taken again.",
        "Its opening balance differs by -1.50 EUR from the closing balance before it.",
    ]
    again = await imported(from_ofx(ofx(line())), bank)
    assert (again.new, again.unchanged) == (0, 1)
    assert again.as_text().startswith("bank.ofx: 0 lines new, 1 known;")
    assert "This statement was imported before, and nothing changed." in again.notes


async def test_a_faulty_statement_sends_nothing_at_all() -> None:
    bank = Bank()
    report = await imported(from_ofx(ofx(line() + line("2", "x"))), bank)
    assert (bank.sent, report.ok, report.notes) == ([], False, ["Nothing of this statement was imported."])


async def test_a_dry_run_sends_nothing() -> None:
    bank = Bank()
    report = await imported(from_ofx(ofx(line())), bank, dry_run=True)
    assert (bank.sent, report.valid, report.ok) == ([], 1, True)
    assert "1 line valid (nothing was sent); opening 100.00, closing 112.50 EUR" in report.as_text()


async def test_after_a_refusal_nothing_more_is_sent() -> None:
    wrong = Rejected(TreasuryError.UNKNOWN_ACCOUNT, "There is no account bank.")
    bank = Bank(lambda name, _: wrong if name == "AddStatementLines" else None)
    report = await imported(from_ofx(ofx(line())), bank)
    assert bank.sent == ["StartStatement", "AddStatementLines"]
    assert report.refusals[0].reason == "UNKNOWN_ACCOUNT: There is no account bank."
    assert "has no effect" in report.notes[0]


async def test_a_statement_that_was_given_up_for_another_is_begun_anew() -> None:
    bank = Bank(lambda name, _: Halted("down") if name == "AddStatementLines" else None)
    report = await imported(from_ofx(ofx(line())), bank)
    assert report.stopped is not None
    gone = Rejected(TreasuryError.UNKNOWN_STATEMENT, "No such statement is being read.")
    started = set(bank.kept)
    bank.refuse = lambda name, _: gone if name == "AddStatementLines" and len(bank.kept) == len(started) else None
    report = await imported(from_ofx(ofx(line())), bank)
    assert (report.ok, len(bank.kept)) == (True, 4)


async def test_columns_that_were_not_read_and_lines_about_no_money_are_named() -> None:
    text = "date;amount;colour;note;balance\n2026-11-05;12.50;red;;112.50\n2026-11-06;0.00;blue;;112.50\n"
    report = await imported(from_csv(text), Bank(), dry_run=True)
    assert report.valid == 1 and report.notes[1:] == [
        "Columns that were not read: colour, note. --map reads them.",
        "Line 3 is of 0.00 EUR, and was left out.",
    ]
    ofx_report = await imported(from_ofx(ofx(line() + line("2", "0.00"))), Bank())
    assert "Line 2 is of 0.00 EUR, and was left out." in ofx_report.notes


class Ledger(Bank):
    """A bank whose ledger has a statement: what was sent under a command id is refused with other content."""

    async def send(self, name: str, data: Mapping[str, Any], id_: str) -> Answered:
        if id_ in self.kept and self.kept[id_][1] != data:
            raise Rejected("COMMAND_ID_REUSED", "Another command was recorded under this id.")  # type: ignore[arg-type]
        done = {each["statement"] for name_, each in self.kept.values() if name_ == "ImportStatement"}
        digests = {each["digest"]: each["statement"] for _, each in self.kept.values() if "digest" in each}
        if id_ not in self.kept and name == "StartStatement" and digests.get(data["digest"]) in done:
            return Answered(False, {})
        if id_ not in self.kept and data["statement"] in done:
            return Answered(False, {})
        if name != "StartStatement" and data["statement"] not in digests.values():
            raise Rejected(TreasuryError.UNKNOWN_STATEMENT, "It is not being read.")
        return await super().send(name, data, id_)


HEADED = "date,amount,who,balance,valuta\n2026-11-05,12.50,Ada,112.50,2026-11-07\n"


@pytest.mark.parametrize("columns", [{"payee": "who"}, {"date": "valuta"}, {"date": "valuta", "payee": "who"}])
async def test_a_statement_that_counts_takes_no_payees_later_and_says_so(columns: dict[str, str]) -> None:
    bank = Ledger()
    first = await imported(from_csv(HEADED), bank)
    kept = dict(bank.kept)
    assert first.ok and "Columns that were not read: who, valuta. --map reads them." in first.notes
    again = await imported(from_csv(HEADED, columns=columns), bank)
    assert (again.refused, bank.kept) == (1, kept)
    assert "this file was imported before, read in another way" in again.refusals[0].reason
    assert "payees and texts cannot be added to it later" in again.refusals[0].reason
    assert not any("Nothing of this statement counts" in note for note in again.notes)
    same = await imported(from_csv(HEADED), bank)
    assert same.ok and "This statement was imported before, and nothing changed." in same.notes


async def test_a_statement_that_broke_off_may_be_read_in_another_way() -> None:
    bank = Ledger(lambda name, _: Halted("down") if name == "ImportStatement" else None)
    assert (await imported(from_csv(HEADED), bank)).stopped is not None
    bank.refuse = lambda name, id_: None
    for wanted in (True, False):
        report = await imported(from_csv(HEADED, columns={"payee": "who"}), bank)
        assert report.ok and ("nothing changed" not in " ".join(report.notes)) is wanted, report


def stored(data: Mapping[str, Any], key: AESGCM = AESGCM(bytes(32))) -> int:  # noqa: B008
    """The bytes of what an AddStatementLines leads to, its texts sealed, without the envelope."""
    command = treasury.parse("AddStatementLines", dict(data))
    event = StatementLinesAdded(**(dict(fields_of(command)) | {"occurred_at": datetime(2026, 12, 1, tzinfo=UTC)}))
    id_ = event_id("ledger.treasury.statement.house:bank", "1")
    fields = treasury.sealed_of(event)
    assert fields is not None
    sealed = fields.replace(
        event, lambda mark, field, text: seal(key, 10**9 - 1, str(mark.owner(event)), id_, field, text)
    )
    return len(msgspec.json.encode(sealed))


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2000), st.sampled_from("aß€𝄞")), min_size=1, max_size=300)
)
@settings(max_examples=30, deadline=None)
def test_every_part_fits_an_event_once_its_texts_are_sealed(said: list[tuple[int, int, str]]) -> None:
    lines = [
        BankLine(n, date(2026, 11, 1), -(10**15) - n, None, letter * short, letter * long, letter * short)
        for n, (short, long, letter) in enumerate(said, 1)
    ]
    statement = BankStatement("EUR", 2, date(2026, 11, 1), date(2026, 11, 30), lines, "f" * 64, 0, 0)
    parts = [
        planned.data for planned in commands(statement, "b" * 64, "a" * 64) if planned.command == "AddStatementLines"
    ]
    assert [line["line"] for part in parts for line in part["lines"]] == line_ids(lines)
    assert [part["part"] for part in parts] == list(range(1, len(parts) + 1))
    for part in parts:
        assert stored(part) <= MAX_EVENT_BYTES - ENVELOPE_BYTES


def test_a_bank_that_writes_long_texts_is_read_in_more_parts() -> None:
    """The usual lines of a SEPA statement: a payee, 140 letters of memo, a reference of 35."""
    lines = [
        BankLine(
            n, date(2026, 11, 5), 100 + n, f"2026-11-05-{n:08}", "Stadtwerke Musterhausen GmbH", "m" * 140, "r" * 35
        )
        for n in range(1, 101)
    ]
    statement = BankStatement("EUR", 2, date(2026, 11, 1), date(2026, 11, 30), lines, "f" * 64, 0, 0)
    parts = [planned.data for planned in commands(statement, "house", "bank") if planned.command == "AddStatementLines"]
    assert [len(part["lines"]) for part in parts] == [64, 36]
