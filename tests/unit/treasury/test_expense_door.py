"""Bad input at the treasury's door, for expenses, statements, parties and pledges: one clear error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.treasury.contract import treasury
from shared.errors import Invalid

EXPENSE: dict[str, Any] = {
    "expense": "x", "book": "club", "payee": "shop", "unit": "EUR", "pay_from": "bank", "description": "Lunch",
    "lines": [{"account": "food", "amount": 100}],
}  # fmt: skip
START: dict[str, Any] = {
    "book": "club", "account": "bank", "statement": "s1", "unit": "EUR", "starts": "2026-10-01", "ends": "2026-10-31",
    "opening": 0, "closing": 300, "lines": 2, "digest": "a" * 64,
}  # fmt: skip
PART: dict[str, Any] = {
    "book": "club", "account": "bank", "statement": "s1", "part": 1,
    "lines": [{"line": "l1", "date": "2026-10-05", "amount": 5}],
}  # fmt: skip
PLEDGE: dict[str, Any] = {
    "pledge": "p", "book": "club", "donor": "ada", "amount": 1, "unit": "EUR", "every": "month", "starts": "2026-01-01"
}  # fmt: skip
PAY: dict[str, Any] = {"book": "club", "expense": "x", "version": 1, "entry": "e", "reference": "SEPA 1"}
GOOD: dict[str, dict[str, Any]] = {
    "SubmitExpense": EXPENSE, "ChangeExpense": EXPENSE, "StartStatement": START, "AddStatementLines": PART,
    "Pledge": PLEDGE, "PayExpense": PAY,
    "ApproveExpense": {"expense": "x", "book": "club", "version": 1},
    "RejectExpense": {"expense": "x", "book": "club", "reason": "no"},
    "RecordPaymentFailed": {"book": "club", "expense": "x", "entry": "e", "reason": "back"},
    "AttachDocument": {"expense": "x", "payee": "shop", "document": "d" * 64},
    "ImportStatement": {"book": "club", "account": "bank", "statement": "s1"},
    "MatchLine": {"book": "club", "account": "bank", "line": "l1", "entries": ["e"]},
    "UnmatchLine": {"book": "club", "account": "bank", "line": "l1", "reason": "no"},
    "RegisterParty": {"party": "p", "name": "Ada"},
    "ChangeParty": {"party": "p", "name": "Ada"},
    "EndPledge": {"pledge": "p", "reason": "no"},
    "ResolveStep": {"step": "s", "note": "done"},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_passes(name: str) -> None:
    assert treasury.parse(name, GOOD[name]) == treasury.parse(name, json.dumps(GOOD[name]))


@pytest.mark.parametrize("name", GOOD)
def test_what_is_missing_or_strange_is_named(name: str) -> None:
    command = treasury.commands[name].cls
    for field in GOOD[name]:
        with pytest.raises(Invalid, match=rf"{field}: is required"):
            treasury.parse(name, {key: value for key, value in GOOD[name].items() if key != field})
        with pytest.raises(Invalid, match=field):
            treasury.parse(name, {**GOOD[name], field: {"strange": [1, None, 1.5]}})
        with pytest.raises(Invalid, match=field):
            treasury.parse(name, {**GOOD[name], field: None})
    with pytest.raises(Invalid, match="colour: there is no such field"):
        treasury.parse(name, {**GOOD[name], "colour": "red"})
    assert command.__doc__


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"a"', "7", b"\xff\xfe{}", '{"a": 1', "NaN", "[" * 100_000])
def test_what_is_no_object_is_refused(name: str, body: str | bytes) -> None:
    with pytest.raises(Invalid):
        treasury.parse(name, body)


@pytest.mark.parametrize("amount", [0, -1, 2**53, 2**63, 2**64, 1.5, 1.0, "1", True, None, [1], 1e400])
def test_an_amount_is_a_whole_positive_number(amount: Any) -> None:
    with pytest.raises(Invalid, match=r"lines\.0\.amount|JSON"):
        treasury.parse("SubmitExpense", {**EXPENSE, "lines": [{"account": "food", "amount": amount}]})
    with pytest.raises(Invalid, match=r"amount|JSON"):
        treasury.parse("Pledge", {**PLEDGE, "amount": amount})


@pytest.mark.parametrize("amount", [2**53, -(2**53), 2**64, 1.5, 1.0, "1", True, None])
@pytest.mark.parametrize("field", ["opening", "closing"])
def test_a_balance_is_a_whole_number(field: str, amount: Any) -> None:
    with pytest.raises(Invalid, match=field):
        treasury.parse("StartStatement", {**START, field: amount})
    with pytest.raises(Invalid, match=r"lines\.0\.amount"):
        treasury.parse("AddStatementLines", {**PART, "lines": [{"line": "l", "date": "2026-10-05", "amount": amount}]})


@pytest.mark.parametrize(
    "id",
    [
        "",
        "a.b",
        "a*",
        ">",
        "a b",
        "a\tb",
        "a\nb",
        "a\n",
        "a:b",
        "a/b",
        "é",
        "-a",
        "a" * 65,
        "a\x00",
        7,
        None,
        "\u202ea",
    ],
)
@pytest.mark.parametrize("field", ["expense", "book", "payee", "pay_from"])
def test_an_id_is_one_plain_word(field: str, id: Any) -> None:
    with pytest.raises(Invalid, match=field):
        treasury.parse("SubmitExpense", {**EXPENSE, field: id})


def test_an_expenses_id_leaves_room_for_the_number_of_its_hold() -> None:
    assert treasury.parse("SubmitExpense", {**EXPENSE, "expense": "x" * 48}).expense == "x" * 48
    for name in ("SubmitExpense", "ApproveExpense", "PayExpense", "RejectExpense", "AttachDocument"):
        with pytest.raises(Invalid, match="expense"):
            treasury.parse(name, {**GOOD[name], "expense": "x" * 49})


@pytest.mark.parametrize("line", ["", " l1", "l 1", "l*", "l\n1", "l1\n", "é", "x" * 129, 1])
def test_a_bank_lines_id_is_plain(line: Any) -> None:
    with pytest.raises(Invalid, match="line"):
        treasury.parse("MatchLine", {**GOOD["MatchLine"], "line": line})
    with pytest.raises(Invalid, match=r"lines\.0\.line"):
        treasury.parse("AddStatementLines", {**PART, "lines": [{"line": line, "date": "2026-10-05", "amount": 5}]})
    treasury.parse("MatchLine", {**GOOD["MatchLine"], "line": "2026/10:05+7=.A_b-" + "x" * 110})


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", 7])
def test_a_documents_hash_is_a_sha_256(digest: Any) -> None:
    for name, field in (("AttachDocument", "document"), ("StartStatement", "digest")):
        with pytest.raises(Invalid, match=field):
            treasury.parse(name, {**GOOD[name], field: digest})
    with pytest.raises(Invalid, match=r"documents\.0"):
        treasury.parse("SubmitExpense", {**EXPENSE, "documents": [digest]})


@pytest.mark.parametrize(
    "day", ["0000-01-01", "9999-12-31", "2026-02-30", "2026-2-3", "20261120", "20/11/2026", "", "soon", 20261120, 1.5]
)
def test_a_day_is_a_day(day: Any) -> None:
    for name, field in (("StartStatement", "starts"), ("Pledge", "ends"), ("PayExpense", "date")):
        with pytest.raises(Invalid, match=field):
            treasury.parse(name, {**GOOD[name], field: day})


@pytest.mark.parametrize("text", ["", "   ", "a\x00b", "a\x1b[2J", "a\nb", "x" * 201, 7])
def test_a_name_and_a_reference_are_a_line_of_text(text: Any) -> None:
    for name, field in (("RegisterParty", "name"), ("RegisterParty", "login"), ("PayExpense", "reference")):
        with pytest.raises(Invalid, match=field):
            treasury.parse(name, {**GOOD[name], field: text})


@pytest.mark.parametrize(
    ("name", "field", "one", "most"),
    [
        ("SubmitExpense", "lines", {"account": "food", "amount": 1}, 50),
        ("AddStatementLines", "lines", {"line": "l", "date": "2026-10-05", "amount": 5}, 100),
        ("MatchLine", "entries", "e", 50),
    ],
)
def test_lists_are_bounded_and_not_empty(name: str, field: str, one: Any, most: int) -> None:
    treasury.parse(name, {**GOOD[name], field: [one] * most})
    for count in (0, most + 1, 10_000):
        with pytest.raises(Invalid, match=field):
            treasury.parse(name, {**GOOD[name], field: [one] * count})


def test_ten_megabytes_are_refused_in_a_short_sentence() -> None:
    for name, field in (("SubmitExpense", "description"), ("RegisterParty", "note"), ("RejectExpense", "reason")):
        with pytest.raises(Invalid) as refused:
            treasury.parse(name, {**GOOD[name], field: "x" * 10_000_000})
        assert len(refused.value.detail) < 500


@pytest.mark.parametrize("version", [0, -1, 2**53, "1", 1.0, True])
def test_a_version_is_a_revision(version: Any) -> None:
    for name in ("ApproveExpense", "PayExpense"):
        with pytest.raises(Invalid, match="version"):
            treasury.parse(name, {**GOOD[name], "version": version})


@pytest.mark.parametrize("name", sorted([*treasury.commands, *treasury.events]))
def test_every_command_and_event_says_what_it_means(name: str) -> None:
    spec: Any = treasury.commands.get(name) or treasury.events[name]
    assert len((spec.cls.__doc__ or "").split()) > 3
    assert not spec.cls.__doc__.startswith(f"{name}(")
