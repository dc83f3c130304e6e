"""How files, pairs and flags become a command's data."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from services.clinic.contract.base import Coded, Measure
from services.commands.contracts import _EXAMPLES, CONTRACTS, Field, Kind, fields_of_command
from services.commands.door import Usage
from services.commands.fill import assign, put_flags, read_object
from services.commands.flags import example, line_flags
from services.commands.scans import Scanned, fill
from services.gs1 import read_scan
from shared.errors import Invalid, TooLarge

INVENTORY = CONTRACTS["inventory"]


def fields(name: str) -> tuple[Field, ...]:
    return fields_of_command(INVENTORY.commands[name])


def assigned(name: str, *pairs: str, **there: Any) -> dict[str, Any]:
    data: dict[str, Any] = dict(there)
    assign(data, pairs, fields(name))
    return data


def flagged(name: str, **given: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    put_flags(data, given, fields(name), line_flags(fields(name)))
    return data


@pytest.mark.parametrize("name", sorted(INVENTORY.commands))
def test_every_command_of_the_contract_can_be_described(name: str) -> None:
    described = fields(name)
    assert [f.name for f in described]
    for field in described:
        assert field.form
        assert (field.kind in (Kind.RECORD, Kind.RECORDS)) == bool(field.fields)


def test_a_value_is_text_where_the_field_is_text_and_json_elsewhere() -> None:
    data = assigned("ReceiveStock", "item=0012", 'lines=[{"quantity": 3}]', "note=true", "confirm_unusual=true")
    assert data == {"item": "0012", "lines": [{"quantity": 3}], "note": "true", "confirm_unusual": True}


def test_an_equals_sign_inside_a_value_stays() -> None:
    assert assigned("ReceiveStock", "note=a=b") == {"note": "a=b"}


def test_a_list_is_given_whole_or_one_by_one() -> None:
    one_by_one = assigned("RegisterItem", "allergens=milk", "allergens=peanuts")
    assert one_by_one == assigned("RegisterItem", 'allergens=["milk", "peanuts"]') == {"allergens": ["milk", "peanuts"]}
    assert assigned("RegisterItem", "allergens=") == {"allergens": []}
    assert flagged("RegisterItem", allergens=["milk", "peanuts"]) == one_by_one


def test_a_pair_replaces_what_the_file_said() -> None:
    assert assigned("ReceiveStock", "item=oats", item="rice") == {"item": "oats"}


def test_a_dotted_name_reaches_into_a_record() -> None:
    data = assigned("RecallLot", "scope.lots=A", "scope.lots=B", "scope.first_date=2026-01-01")
    assert data == {"scope": {"lots": ["A", "B"], "first_date": "2026-01-01"}}


@pytest.mark.parametrize("pair", ["rice", "nothing=1", "lines.0.quantity=1", "lines=x", "scope.lots.x=1", "item.x=1"])
def test_a_pair_that_cannot_be_placed_is_refused(pair: str) -> None:
    with pytest.raises(Usage):
        assigned("ReceiveStock", pair)


def test_flags_of_one_line_make_one_line() -> None:
    data = flagged("ReceiveStock", item="rice", lot="A", quantity="12", confirm_unusual=True)
    assert data == {"item": "rice", "confirm_unusual": True, "lines": [{"lot": "A", "quantity": 12}]}


def test_flags_of_a_record_make_the_record() -> None:
    assert flagged("RecallLot", lots=["A", "B"], last_date="2026-12-31") == {
        "scope": {"lots": ["A", "B"], "last_date": "2026-12-31"}
    }


def test_flags_are_laid_over_the_one_line_that_is_there_and_refused_over_several() -> None:
    data: dict[str, Any] = {"lines": [{"lot": "A", "quantity": 1}]}
    put_flags(data, {"quantity": "5"}, fields("ReceiveStock"), line_flags(fields("ReceiveStock")))
    assert data == {"lines": [{"lot": "A", "quantity": 5}]}
    data = {"lines": [{"quantity": 1}, {"quantity": 2}]}
    with pytest.raises(Usage):
        put_flags(data, {"quantity": "5"}, fields("ReceiveStock"), line_flags(fields("ReceiveStock")))


def test_no_flag_means_two_things() -> None:
    for spec in INVENTORY.commands.values():
        described = fields_of_command(spec)
        assert not {f.name for f in described} & set(line_flags(described))
    assert set(line_flags(fields("RepackStock")).values()) == {"lines"}


# -- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"item": "rice"', "ends in the middle"),
        (b'{"item": "ri\xff"}', "not UTF-8"),
        (b"[1]", "holds a list"),
        (b"null", "holds null"),
        (b"{'item': 1}", "not JSON"),
        (b"[" * 20_000 + b"]" * 20_000, "not JSON"),
    ],
)
def test_a_file_that_is_not_one_object_is_refused(tmp_path: Path, raw: bytes, why: str) -> None:
    path = tmp_path / "command.json"
    path.write_bytes(raw)
    with pytest.raises(Invalid) as caught:
        read_object(path)
    assert why in caught.value.detail


def test_a_file_of_ten_megabytes_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "command.json"
    path.write_bytes(b'{"note": "' + b"x" * 10_000_000 + b'"}')
    with pytest.raises(TooLarge):
        read_object(path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "command.json"
    path.write_bytes(b'\xef\xbb\xbf{"item": "rice"}')
    assert read_object(path) == {"item": "rice"}


def test_a_missing_file_or_a_folder_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(Usage):
            read_object(path)


# -- scans --------------------------------------------------------------------------------------------------------

CASE = Scanned(read_scan("(02)04006381333931(37)2(10)A7(15)270131"), "rice", "each", each=12)


def test_a_scan_fills_item_lot_date_and_quantity() -> None:
    data: dict[str, Any] = {}
    fill(data, CASE, fields("ReceiveStock"))
    line = {"lot": "A7", "date": "2027-01-31", "date_kind": "best_before", "quantity": 24}
    assert data == {"item": "rice", "lines": [line]}


def test_what_the_operator_says_wins_over_the_scan() -> None:
    data: dict[str, Any] = {"item": "rice", "lines": [{"quantity": 5}]}
    fill(data, CASE, fields("ReceiveStock"))
    assert data["lines"][0]["quantity"] == 5
    assert data["lines"][0]["lot"] == "A7"


def test_a_barcode_of_another_item_than_the_one_named_is_refused() -> None:
    with pytest.raises(Invalid, match="that of rice, but the item was given as pasta"):
        fill({"item": "pasta"}, CASE, fields("ReceiveStock"))


def test_a_scan_fills_only_what_the_command_has_a_place_for() -> None:
    data: dict[str, Any] = {}
    fill(data, CASE, fields("IssueStock"))
    assert data == {"item": "rice", "lines": [{"lot": "A7", "date": "2027-01-31", "quantity": 24}]}
    data = {}
    fill(data, CASE, fields("QuarantineLot"))
    assert data == {"item": "rice", "lot": "A7"}


def test_the_weight_on_a_barcode_counts_only_for_items_kept_by_weight() -> None:
    scan = read_scan("(01)04006381333931(3103)001250")
    assert Scanned(scan, "apples", "g").quantity == 1250
    assert Scanned(scan, "cheese", "each").quantity is None


CLINIC = CONTRACTS["clinic"]


@pytest.mark.parametrize("name", sorted(CLINIC.commands.keys() - {"NoteRecall"}))  # its scope needs one of three
def test_the_example_of_every_command_of_the_clinic_fits_it(name: str) -> None:
    spec = CLINIC.commands[name]
    described = fields_of_command(spec)
    words = shlex.split(example(CLINIC, spec, described))
    assert words[:4] == ["commons", "send", "clinic", name]
    kinds = {f"--{field.name.replace('_', '-')}": field for field in described}
    given: dict[str, Any] = {}
    for flag, value in itertools.pairwise([*words[4:], ""]):
        if flag in kinds:
            field = kinds[flag]
            several = field.kind in (Kind.LIST, Kind.RECORDS)
            given[field.name] = True if field.kind is Kind.FLAG else [value] if several else value
    data: dict[str, Any] = {}
    put_flags(data, given, described, line_flags(described))
    CLINIC.parse(name, data)


def test_measures_codes_and_doses_are_shown_as_they_are_typed() -> None:
    shown = {name: example(CLINIC, CLINIC.commands[name], fields_of_command(CLINIC.commands[name]))
             for name in ("RecordVitals", "Prescribe")}  # fmt: skip
    assert '"measured": {"value": 366, "decimals": 1, "unit": "Cel"}' in shown["RecordVitals"]
    assert '"code": {"system": "loinc", "code": "8310-5", "display": "Body temperature"}' in shown["RecordVitals"]
    assert '"dose": {"value": 500, "unit": "mg"}' in shown["Prescribe"]


@pytest.mark.parametrize("name", sorted({name for name in _EXAMPLES if name.split()[0] in ("Coding", "Measure")}))
def test_every_example_of_a_code_or_a_measure_is_one(name: str) -> None:
    holds: Any = Coded if name.startswith("Coding") else Measure
    TypeAdapter(holds).validate_json(_EXAMPLES[name])
