"""The words that people meet in the operator's command: of fields, of flags, of what a command is for."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from services.cli import Commons
from services.commands.contracts import CONTRACTS, Field, fields_of_command
from services.commands.door import Usage
from services.commands.fill import put_flags
from services.commands.flags import flags, line_flags
from services.queries.treasury.book import _listed
from shared.contract import id_length
from shared.errors import Invalid
from shared.types import shape_of

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


DISTRIBUTION = CONTRACTS["distribution"].commands


@pytest.mark.parametrize("command", [
    "RecordVisit", "PlaceOrder", "PackBox", "HandOutBox", "RegisterHousehold", "ChangeHousehold", "AddMember",
    "AuthoriseProxy", "RenewEligibility", "ReverseVisit", "ResolveVisit", "ScheduleSession", "DeliverMeals",
    "ServeMeal", "DiscardMeals", "CertifyCount",
])  # fmt: skip
def test_every_field_that_a_volunteer_meets_has_words(command: str) -> None:
    def lacking(fields: tuple[Field, ...]) -> list[str]:
        return [f.name for f in fields if not f.doc] + [name for f in fields for name in lacking(f.fields)]

    assert lacking(fields_of_command(DISTRIBUTION[command])) == []


CLINIC = CONTRACTS["clinic"].commands


@pytest.mark.parametrize("command", list(CLINIC))
def test_every_field_of_the_clinic_has_words(command: str) -> None:
    def lacking(fields: tuple[Field, ...]) -> list[str]:
        return [f.name for f in fields if not f.doc] + [name for f in fields for name in lacking(f.fields)]

    assert lacking(fields_of_command(CLINIC[command])) == []


def test_a_note_of_an_encounter_is_named_by_an_id_and_one_of_a_review_is_a_remark() -> None:
    told = {name: {f.name: f.doc for f in fields_of_command(CLINIC[name])} for name in ("DraftNote", "ReviewAccess")}
    assert "id" in told["DraftNote"]["note"] and "remark" in told["ReviewAccess"]["note"]


def test_words_are_of_the_thing_that_is_counted() -> None:
    quantity = {f.name: f.doc for f in fields_of_command(DISTRIBUTION["ServeMeal"])}["quantity"]
    assert "meals" in quantity and "base unit" not in quantity
    fields = {f.name: f for f in fields_of_command(DISTRIBUTION["RecordVisit"])}
    assert "2026-W47" in fields["period"].doc and "limit" in fields["override_reason"].doc
    assert (fields["visit"].form, fields["household"].form) == ("id ≤ 46", "id")


@pytest.mark.parametrize(
    ("command", "data", "said"),
    [
        ("PlaceOrder", {"order": "a b"}, "order: an id is 1 to 48 letters, digits"),
        ("RecordVisit", {"visit": "v!"}, "visit: an id is 1 to 46 letters, digits"),
        ("PackBox", {"box": "ä", "order": "o"}, "box: an id is 1 to 48"),
        ("RecordVisit", {"period": "week 47"}, "period: a period is a week, as 2026-W47"),
        ("RecordVisit", {"people": 3}, "people: is a record of named fields (given 3)"),
        ("RecordVisit", {"fact": "yes"}, "fact: is true or false"),
        ("PlaceOrder", {"lines": [{"item": "x", "quantity": 0}]}, "lines.0.quantity: is at least 1 (given 0)"),
        ("PlaceOrder", {"lines": "x"}, "lines: is a list"),
        ("RegisterHousehold", {"size": 31}, "size: is at most 30"),
        ("RegisterHousehold", {"size": "3"}, "size: is a whole number"),
        ("RegisterHousehold", {"name": "x" * 300}, "name: has at most 200 characters"),
        ("RegisterHousehold", {"members": [{"member": "m"}] * 31}, "members: has at most 30 entries"),
        ("SetLimit", {"every": "fortnight"}, "every: is 'day', 'week', 'month' or 'year'"),
        ("DeliverMeals", {"date": "2026-02-30"}, "date: there is no such day"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_plain_words(command: str, data: dict[str, object], said: str) -> None:
    with pytest.raises(Invalid) as refused:
        CONTRACTS["distribution"].parse(command, data)
    assert said in refused.value.detail
    assert not re.search(r"[Ii]nput should|should match|\^\[|Tuple|Value error", refused.value.detail)


def test_every_pattern_of_a_contract_is_told_in_words() -> None:
    def patterns(schema: object) -> Iterator[str]:
        if isinstance(schema, dict):
            if isinstance(schema.get("pattern"), str):
                yield schema["pattern"]
            for inner in schema.values():
                yield from patterns(inner)
        elif isinstance(schema, list):
            for inner in schema:
                yield from patterns(inner)

    for contract in CONTRACTS.values():
        for spec in contract.commands.values():
            for pattern in patterns(spec.schema()):
                assert shape_of(pattern) or id_length(pattern), (spec.name, pattern)


def test_a_list_that_is_no_json_is_answered_with_how_it_is_written() -> None:
    fields = fields_of_command(DISTRIBUTION["PlaceOrder"])
    with pytest.raises(Usage) as refused:
        put_flags({}, {"lines": ["[{item: x}]"]}, fields, {})
    assert """as '[{"item": "…", "quantity": 10}]'""" in refused.value.detail
    assert "byte" not in refused.value.detail


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
