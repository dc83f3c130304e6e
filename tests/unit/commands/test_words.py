"""The words that people meet in the operator's command: of fields, of flags, of what a command is for."""

from __future__ import annotations

import pytest

from services.cli import Commons
from services.commands.contracts import CONTRACTS, Field, fields_of_command
from services.commands.flags import flags, line_flags
from services.queries.treasury.book import _listed

TREASURY = CONTRACTS["treasury"].commands


def words(name: str) -> dict[str, str]:
    found: dict[str, str] = {}

    def take(fields: tuple[Field, ...]) -> None:
        for field in fields:
            found.setdefault(field.name, field.doc)
            take(field.fields)

    take(fields_of_command(TREASURY[name]))
    return found


@pytest.mark.parametrize("command", ["PostEntry", "PostEntries", "ReverseEntry", "RecordDonation", "ReceiveDues"])
def test_fields_of_money_have_plain_words_of_their_own(command: str) -> None:
    told = {name: doc for name, doc in words(command).items() if name in {
        "book", "entry", "date", "account", "fund", "unit", "amount", "debits", "credits", "party", "reference",
        "description", "fact",
    }}  # fmt: skip
    assert all(told.values()), told
    assert len(set(told.values())) == len(told), told


def test_what_a_command_says_of_a_field_itself_goes_before_what_all_have_in_common() -> None:
    assert "left out is today" in words("PostEntry")["date"]
    assert "never zero" in words("AddStatementLines")["amount"]


def test_a_scan_is_asked_for_only_where_there_is_an_item() -> None:
    for contract in CONTRACTS.values():
        for spec in contract.commands.values():
            fields = fields_of_command(spec)
            takes = any(field.name == "item" for field in fields)
            assert ("scan" in flags(spec.name, fields, line_flags(fields))) is takes, spec.name
    assert "scan" not in flags("PostEntry", fields_of_command(TREASURY["PostEntry"]), {})


def test_what_export_is_for_names_the_books() -> None:
    assert all(form in Commons.parts["export"].purpose for form in ("EPCIS", "beancount", "hledger", "CSV"))


def test_a_list_of_names_that_is_cut_says_so() -> None:
    assert _listed("abc") == "a, b, c"
    assert _listed(str(n) for n in range(21)).endswith("18, 19, …")
