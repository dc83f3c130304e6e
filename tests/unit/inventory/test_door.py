"""Bad input at the door: one clear error, whatever the command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.inventory.contract import MAX_LINES, gtin_is_valid, inventory
from shared.errors import Invalid, UnknownCommand

RECEIPT = {"item": "rice", "location": "main", "source": "donation", "lines": [{"quantity": 1}]}


def receipt(**changes: Any) -> dict[str, Any]:
    return {**RECEIPT, **changes}


def line(**fields: Any) -> dict[str, Any]:
    return receipt(lines=[{"quantity": 1, **fields}])


def test_a_good_receipt_passes() -> None:
    assert inventory.parse("receive-stock", RECEIPT) == inventory.parse("ReceiveStock", json.dumps(RECEIPT))


@pytest.mark.parametrize("quantity", [0, -1, 2**53, 2**63, 2**64, 1.5, 1.0, "1", True, None, [1], 1e400])
def test_a_quantity_is_a_whole_positive_number(quantity: Any) -> None:
    with pytest.raises(Invalid, match=r"lines\.0\.quantity|JSON"):
        inventory.parse("ReceiveStock", line(quantity=quantity))


@pytest.mark.parametrize(
    "id",
    ["", "a.b", "a*", ">", "a b", "a\tb", "a\nb", "a:b", "a/b", "é", "-a", "a" * 65, "a\x00", 7, None, "\u202eabc"],
)
@pytest.mark.parametrize("field", ["item", "location"])
def test_an_id_is_one_plain_word(field: str, id: Any) -> None:
    with pytest.raises(Invalid, match=field):
        inventory.parse("ReceiveStock", receipt(**{field: id}))


@pytest.mark.parametrize("lot", ["", " ", " A", "A ", "A\nB", "A\x00", "A\x7f", "x" * 51, 7])
def test_a_lot_number_is_a_line_of_print(lot: Any) -> None:
    with pytest.raises(Invalid, match=r"lines\.0\.lot"):
        inventory.parse("ReceiveStock", line(lot=lot))


@pytest.mark.parametrize(
    "date", ["0000-01-01", "9999-12-31", "2026-02-30", "2026-2-3", "20261120", "20/11/2026", "", "soon", 20261120, 1.5]
)
def test_a_date_is_a_day_that_a_package_may_bear(date: Any) -> None:
    with pytest.raises(Invalid, match=r"lines\.0\.date"):
        inventory.parse("ReceiveStock", line(date=date, date_kind="use_by"))


@pytest.mark.parametrize(
    "moment", ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-20", "2026-11-20T09:30:00", 1763631000, "now",
    "1763631000", ""],
)  # fmt: skip
def test_a_moment_has_its_offset(moment: Any) -> None:
    with pytest.raises(Invalid, match="occurred_at"):
        inventory.parse("ReceiveStock", receipt(occurred_at=moment))


def test_lines_are_bounded_and_not_empty() -> None:
    inventory.parse("ReceiveStock", receipt(lines=[{"quantity": 1, "lot": f"L{n}"} for n in range(MAX_LINES)]))
    for count in (0, MAX_LINES + 1, 100_000):
        with pytest.raises(Invalid, match="lines"):
            inventory.parse("ReceiveStock", receipt(lines=[{"quantity": 1}] * count))


@pytest.mark.parametrize("extra", [{"colour": "red"}, {"lines": [{"quantity": 1, "price": 3}]}])
def test_fields_that_are_not_known_are_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=r"colour|price"):
        inventory.parse("ReceiveStock", receipt(**extra))


@pytest.mark.parametrize("missing", ["item", "location", "source", "lines"])
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(Invalid, match=missing):
        inventory.parse("ReceiveStock", {k: v for k, v in RECEIPT.items() if k != missing})


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '"a"', "7", b"\xff\xfe{}", '{"item": "rice"', "NaN", "[" * 100_000]
)
def test_what_is_not_an_object_is_refused(body: str | bytes) -> None:
    with pytest.raises(Invalid):
        inventory.parse("ReceiveStock", body)


def test_ten_megabytes_are_refused_in_a_short_sentence() -> None:
    with pytest.raises(Invalid) as refused:
        inventory.parse("ReceiveStock", receipt(note="x" * 10_000_000))
    assert len(refused.value.detail) < 500


def test_an_unknown_command_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownCommand, match="ReceiveStock"):
        inventory.parse("DropStock", {})


@pytest.mark.parametrize(
    ("gtin", "valid"),
    [("4006381333931", True), ("4006381333930", False), ("96385074", True), ("96385075", False), ("036000291452", True),
     ("036000291453", False), ("10614141000415", True)],
)  # fmt: skip
def test_a_gtin_ends_in_its_check_digit(gtin: str, valid: bool) -> None:
    assert gtin_is_valid(gtin) is valid
    item = {"item": "pen", "name": "Pen", "unit": "each", "gtin": gtin}
    if valid:
        assert inventory.parse("RegisterItem", item).gtin == gtin
    else:
        with pytest.raises(Invalid, match="check digit"):
            inventory.parse("RegisterItem", item)


@pytest.mark.parametrize("gtin", ["", "123", "123456789", "12345678901", "400638133393A", "٤٠٠٦٣٨١٣٣٣٩٣١"])
def test_a_gtin_has_8_12_13_or_14_digits(gtin: str) -> None:
    with pytest.raises(Invalid, match="gtin"):
        inventory.parse("RegisterItem", {"item": "pen", "name": "Pen", "unit": "each", "gtin": gtin})


@pytest.mark.parametrize("celsius", [-2732, 10_001, 4.5, "4"])
def test_a_temperature_is_in_tenths_and_possible(celsius: Any) -> None:
    with pytest.raises(Invalid, match="temperature"):
        inventory.parse("RecordTemperature", {"location": "fridge", "temperature": celsius})


@pytest.mark.parametrize("name", sorted(inventory.commands))
def test_every_command_refuses_an_empty_body_and_a_strange_field(name: str) -> None:
    for body in ({}, {"strange": 1}):
        with pytest.raises(Invalid):
            inventory.parse(name, body)


@pytest.mark.parametrize("name", sorted([*inventory.commands, *inventory.events]))
def test_every_command_and_event_says_what_it_means(name: str) -> None:
    spec: Any = inventory.commands.get(name) or inventory.events[name]
    assert len((spec.cls.__doc__ or "").split()) > 3
    assert not spec.cls.__doc__.startswith(f"{name}(")
