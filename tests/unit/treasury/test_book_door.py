"""Bad input at the treasury's door: one clear error, by whichever way an entry comes in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.treasury.contract import MAX_ENTRIES, MAX_POSTINGS, PostEntries, treasury
from shared.errors import Invalid, TooLarge
from shared.types import MAX_INTEGER

POSTING = {"account": "bank", "amount": 5, "unit": "EUR"}
ENTRY = {"entry": "e1", "date": "2026-11-20", "debits": [POSTING], "credits": [{**POSTING, "account": "dues"}]}

Door = Callable[[Any], Any]
"""Takes an entry in at the door: as a mapping, or as JSON already."""


def text_of(entry: Any) -> str:
    return entry if isinstance(entry, str) else json.dumps(entry)


def alone(entry: Any) -> Any:
    """One entry, as PostEntry."""
    return treasury.parse("PostEntry", text_of(entry).replace("{", '{"book": "club", ', 1))


def cut(data: bytes | str) -> list[PostEntries]:
    """The parts of a request with many."""
    cutter = treasury.commands["PostEntries"].cut
    assert cutter is not None
    return list(cutter(data.encode() if isinstance(data, str) else data))


def among_many(entry: Any) -> Any:
    """The same as the second of two, read as the kernel reads it."""
    return cut(f'{{"book": "club", "entries": [{json.dumps(ENTRY)}, {text_of(entry)}]}}')


def among_many_by_pydantic(entry: Any) -> Any:
    return treasury.parse("PostEntries", f'{{"book": "club", "entries": [{json.dumps(ENTRY)}, {text_of(entry)}]}}')


DOORS = pytest.mark.parametrize("door", [alone, among_many, among_many_by_pydantic])


def with_posting(side: str = "debits", **fields: Any) -> dict[str, Any]:
    return {**ENTRY, side: [{**POSTING, **fields}]}


@DOORS
def test_a_good_entry_passes(door: Door) -> None:
    door(ENTRY)
    door(with_posting(amount=MAX_INTEGER))
    door({**ENTRY, "debits": [POSTING] * MAX_POSTINGS})


@DOORS
@pytest.mark.parametrize(
    "amount", [0, -1, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 1.5, 5.0, 1e3, "5", "", True, False, None, [5], {}]
)
def test_an_amount_is_a_whole_positive_number(door: Door, amount: Any) -> None:
    for side in ("debits", "credits"):
        with pytest.raises(Invalid, match=rf"{side}\.0\.amount"):
            door(with_posting(side, amount=amount))


@DOORS
@pytest.mark.parametrize("text", ["1e400", "NaN", "Infinity", "-Infinity", "05", "+5", "0x5", "5,00"])
def test_a_number_is_one_of_json(door: Door, text: str) -> None:
    with pytest.raises(Invalid):
        door(json.dumps(with_posting(amount="@")).replace('"@"', text))


@DOORS
@pytest.mark.parametrize("side", ["debits", "credits"])
@pytest.mark.parametrize("count", [0, MAX_POSTINGS + 1, 1001])
def test_an_entry_has_two_sides_and_not_too_many_postings(door: Door, side: str, count: int) -> None:
    with pytest.raises(Invalid, match=side):
        door({**ENTRY, side: [POSTING] * count})


@DOORS
@pytest.mark.parametrize("field", ["entry", "debits", "credits"])
def test_an_entry_says_what_it_must(door: Door, field: str) -> None:
    with pytest.raises(Invalid, match=rf"{field}: is required"):
        door({name: value for name, value in ENTRY.items() if name != field})


@DOORS
@pytest.mark.parametrize(
    "id",
    ["", "a.b", "a*", "*", ">", "a b", " a", "a\tb", "a\nb", "a\n", "a:b", "a/b", "é", "-a", "_a", "a" * 65,
     "a\x00", 7, None, True, "\u202eabc"],
)  # fmt: skip
def test_an_id_is_one_plain_word(door: Door, id: Any) -> None:
    with pytest.raises(Invalid, match="entry"):
        door({**ENTRY, "entry": id})
    for field in ("account", "fund"):
        with pytest.raises(Invalid, match=rf"debits\.0\.{field}"):
            door(with_posting(**{field: id}))


@DOORS
@pytest.mark.parametrize("unit", ["", "E", "eur", "EU R", "1EUR", "EUR.", "E" * 13, "€", "EUR\n", 978, None])
def test_a_unit_is_a_code(door: Door, unit: Any) -> None:
    with pytest.raises(Invalid, match=r"debits\.0\.unit"):
        door(with_posting(unit=unit))


@DOORS
@pytest.mark.parametrize(
    "date",
    ["0000-01-01", "0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31", "2026-02-29", "2026-13-01", "2026-2-3",
     "20261120", "2026-11-20T00:00:00Z", "20/11/2026", "", "today", 20261120, 1.5, True],
)  # fmt: skip
def test_a_date_is_a_day_of_a_book(door: Door, date: Any) -> None:
    with pytest.raises(Invalid, match="date"):
        door({**ENTRY, "date": date})


@DOORS
@pytest.mark.parametrize("text", ["", " ", "\n", "a\nb", "a\x00b", "a\x1bb", "x" * 201, 7])
def test_a_description_is_a_line_of_print(door: Door, text: Any) -> None:
    with pytest.raises(Invalid, match="description"):
        door({**ENTRY, "description": text})


@DOORS
@pytest.mark.parametrize("fact", ["true", 1, 0, "", []])
def test_whether_it_is_a_fact_is_true_or_false(door: Door, fact: Any) -> None:
    with pytest.raises(Invalid, match="fact"):
        door({**ENTRY, "fact": fact})


@DOORS
def test_fields_that_are_not_known_are_refused(door: Door) -> None:
    with pytest.raises(Invalid, match="colour: there is no such field"):
        door({**ENTRY, "colour": "red"})
    with pytest.raises(Invalid, match=r"price: there is no such field"):
        door(with_posting(price=3))


@DOORS
@pytest.mark.parametrize("text", ["null", "5", '"e1"', "[]", "[{}]", "{}", "{", "}"])
def test_an_entry_is_an_object(door: Door, text: str) -> None:
    with pytest.raises(Invalid):
        door(text)


# -- many -------------------------------------------------------------------------------------------------------------


def many(*entries: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"book": "club", "entries": entries, **fields})


def test_a_request_may_be_as_long_as_the_bound_and_no_longer() -> None:
    lines = [{**ENTRY, "entry": f"e{number}"} for number in range(MAX_ENTRIES + 1)]
    parts = cut(many(*lines[:-1]))
    assert sum(len(part.entries) for part in parts) == MAX_ENTRIES
    assert [entry.entry for part in parts for entry in part.entries] == [line["entry"] for line in lines[:-1]]
    with pytest.raises(Invalid, match="entries"):
        cut(many(*lines))
    with pytest.raises(Invalid, match="entries"):
        cut(many())


def test_every_wrong_entry_is_named_by_its_place() -> None:
    with pytest.raises(Invalid) as refused:
        cut(many(ENTRY, with_posting(amount=0), ENTRY, {**ENTRY, "entry": "a b"}))
    assert [line.partition(":")[0] for line in refused.value.facts["errors"]] == [
        "entries.1.debits.0.amount", "entries.3.entry",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"book": "club"', '"book": "club", "book": "other"'),
        ('"entries": [', '"entries": [], "entries": ['),
        ('"entry": "e1"', '"entry": "e1", "entry": "e2"'),
        ('"amount": 5', '"amount": 5, "amount": 500'),
        ('"amount": 5', '"amount": 5, "\\u0061mount": 500'),
    ],
)
def test_a_name_that_stands_twice_is_refused(old: str, new: str) -> None:
    with pytest.raises(Invalid, match="twice"):
        cut(many(ENTRY).replace(old, new, 1))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", '"x"', "{}", '{"book": "club"}', '{"entries": []}', "\ufeff{}", "[" * 5000,
     '{"a":' * 5000, many(ENTRY) + "x", many(ENTRY, colour="red"), many(ENTRY, parts=1), many(ENTRY, parts=2)],
)  # fmt: skip
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        cut(text)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Invalid):
        cut(many(ENTRY).encode().replace(b"e1", b"\xff\xfe"))


def test_the_last_entry_is_linked_to_nothing() -> None:
    with pytest.raises(Invalid, match="chain"):
        cut(many(ENTRY, {**ENTRY, "entry": "e2", "linked": True}))
    assert len(cut(many({**ENTRY, "linked": True}, {**ENTRY, "entry": "e2"}))) == 1


def test_a_chain_that_no_event_can_hold_is_refused() -> None:
    links = [{**ENTRY, "entry": f"e{number}", "linked": number < 999} for number in range(1000)]
    with pytest.raises(TooLarge, match="chain"):
        cut(many(*links))


def test_an_entry_as_large_as_may_be_fits_an_event_with_all_that_a_fact_may_break() -> None:
    name = "x" * 64
    posting = {"account": name, "amount": MAX_INTEGER, "unit": "X" * 12, "fund": name}
    largest = {**ENTRY, "entry": name, "debits": [posting] * 50, "credits": [posting] * 50, "party": name,
               "description": "\U0001f9fe" * 200}  # fmt: skip
    (part,) = cut(many(largest))
    assert len(part.entries) == 1
    with pytest.raises(TooLarge, match="xxx"):
        cut(many({**largest, "fact": True}))


# -- other commands ---------------------------------------------------------------------------------------------------

BOOK = {"book": "b", "name": "B", "unit": "EUR", "starts": "2026-01-01"}


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("OpenBook", {**BOOK, "starts": "0000-01-01"}, "starts"),
        ("OpenBook", {**BOOK, "starts": "9999-12-31"}, "starts"),
        ("OpenBook", {**BOOK, "year_end": "13-01"}, "year_end"),
        ("OpenBook", {**BOOK, "year_end": "12-32"}, "year_end"),
        ("OpenBook", {**BOOK, "utc_offset": 841}, "utc_offset"),
        ("OpenBook", {**BOOK, "book": "b.c"}, "book"),
        ("OpenAccount", {"book": "b", "account": "a", "name": " ", "kind": "asset"}, "name"),
        ("OpenAccount", {"book": "b", "account": "a", "name": "A", "kind": "equity"}, "kind"),
        ("OpenFund", {"book": "b", "fund": "f", "name": "F", "net_assets": "n", "advance": -1}, "advance"),
        ("OpenFund", {"book": "b", "fund": "f", "name": "F", "net_assets": "n", "pays_for": ["a"] * 101}, "pays_for"),
        ("RegisterUnit", {"book": "b", "unit": "HOURS", "decimals": 7}, "decimals"),
        ("RegisterUnit", {"book": "b", "unit": "HOURS", "decimals": -1}, "decimals"),
        ("SetApprovalRule", {"book": "b", "rule": "r", "unit": "EUR", "approvals": 21}, "approvals"),
        ("PlaceHold", {"book": "b", "hold": "h", "debits": [POSTING], "credits": []}, "credits"),
        ("PlaceHold", {"book": "b", "hold": "h", "debits": [POSTING], "credits": [POSTING], "expires_at": "2026-12-01"},
         "expires_at"),
        ("PostHold", {"book": "b", "hold": "h", "entry": "e", "part_debits": [POSTING] * 101}, "part_debits"),
        ("VoidHold", {"book": "b", "hold": "h", "reason": ""}, "reason"),
        ("ReverseEntry", {"book": "b", "entry": "e", "reverses": "e*", "reason": "x"}, "reverses"),
        ("ReleaseRestriction", {"book": "b", "entry": "e", "from_fund": "f", "amount": 0, "unit": "EUR", "account": "a",
                                "through": "t", "reason": "x"}, "amount"),
        ("RecordDonation", {"book": "b", "entry": "e", "amount": -5, "unit": "EUR", "into": "a", "income": "i"},
         "amount"),
        ("ReceiveDues", {"book": "b", "entry": "e", "dues": "d", "amount": 2**63, "into": "a"}, "amount"),
        ("CloseYear", {"book": "b", "entry": "e", "through": "2026-12-32"}, "through"),
        ("ClosePeriod", {"book": "b", "through": 20261231}, "through"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, data: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid, match=rf"{name} is not valid\. {field}"):
        treasury.parse(name, data)
