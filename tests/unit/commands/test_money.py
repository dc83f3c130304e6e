"""Amounts as people write them become minor units exactly, or are refused; on the screen they have their decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commands.contracts import fields_of_command
from services.commands.fill import assign
from services.commands.money import in_minor_units, typed_amount, with_decimals
from services.treasury.contract import treasury
from shared.errors import Invalid

FIELDS = fields_of_command(treasury.commands["PostEntry"])


def typed(*pairs: str) -> Any:
    data: dict[str, Any] = {}
    assign(data, pairs, FIELDS)
    return in_minor_units(data)


def test_a_decimal_is_turned_into_the_minor_units_of_the_currency_beside_it() -> None:
    given_ = typed('debits=[{"account": "bank", "amount": 12.50, "unit": "EUR"}]',
                   'credits=[{"account": "dues", "amount": 1250, "unit": "EUR"}]')  # fmt: skip
    assert given_["debits"][0]["amount"] == given_["credits"][0]["amount"] == 1250


@pytest.mark.parametrize(("text", "unit", "minor"), [
    ("0.1", "EUR", 10), ("5000.00", "EUR", 500_000), ("1.234", "KWD", 1_234), ("-3.05", "USD", -305), ("7.0", "JPY", 7),
    ("90071992547409.91", "EUR", 9_007_199_254_740_991), ("1e2", "EUR", 10_000),
])  # fmt: skip
def test_it_is_exact(text: str, unit: str, minor: int) -> None:
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    assert in_minor_units({"unit": unit, "amount": decode(text)}) == {"unit": unit, "amount": minor}


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_what_the_screen_shows_is_what_may_be_typed(minor: int) -> None:
    shown = with_decimals({"unit": "EUR", "amount": minor})["amount"].replace(",", "")
    assert in_minor_units({"unit": "EUR", "amount": Decimal(shown)})["amount"] == minor


@pytest.mark.parametrize(("data", "said"), [
    ({"unit": "EUR", "amount": Decimal("1.005")}, "EUR has 2 decimals"),
    ({"unit": "JPY", "amount": Decimal("1.5")}, "JPY has 0 decimals"),
    ({"amount": Decimal("1.5")}, "its currency stands beside it"),
    ({"unit": "each", "quantity": Decimal("1.5")}, "its currency stands beside it"),
    ({"lines": [{"unit": "EUR"}, {"amount": Decimal("1.5")}]}, "lines.amount is 1.5"),
])  # fmt: skip
def test_what_cannot_be_money_is_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        in_minor_units(data)


def test_the_screen_takes_the_currency_of_the_postings_when_they_have_one() -> None:
    posting = {"account": "bank", "amount": 1200, "unit": "EUR"}
    assert with_decimals({"amount": 1200, "debits": [posting], "credits": []})["amount"] == "12.00"
    other = {"account": "bank", "amount": 1200, "unit": "USD"}
    assert with_decimals({"amount": 1200, "debits": [posting], "credits": [other]})["amount"] == (
        "1,200 (in minor units)"
    )


def test_an_amount_whose_currency_an_event_does_not_say_is_said_to_be_in_minor_units() -> None:
    assert with_decimals({"line": "L1", "entries": ["e"], "amount": -1200})["amount"] == "-1,200 (in minor units)"
    assert with_decimals({"name": "Rice", "lines": 24, "gap": 0}) == {"name": "Rice", "lines": 24, "gap": 0}


@pytest.mark.parametrize(
    "typed_", ["36", "1.234,56", "12,50", "1e2", "0x10", "", "12.50 EUR", "١٢.٥٠", "-5", "1.0000001"]
)
def test_what_could_be_taken_for_cents_is_not_taken_from_the_command_line(typed_: str) -> None:
    with pytest.raises(Invalid, match=r"as (-?[0-9]+\.00|1234\.56)"):
        typed_amount("amount", typed_)


def test_an_amount_is_typed_with_its_decimals() -> None:
    assert typed_amount("amount", "12.50") == Decimal("12.50")
