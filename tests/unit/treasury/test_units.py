"""Decimals of currencies are those of ISO 4217, not those that shops in a country write."""

from __future__ import annotations

import re

import pytest

from services.treasury.units import currencies, decimals_of


@pytest.mark.parametrize(
    ("code", "decimals"),
    [("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("RSD", 2), ("IQD", 3), ("XAU", None), ("XXX", None),
     ("HOURS", None), ("eur", None), ("DEM", None), ("", None)],
)  # fmt: skip
def test_a_currency_has_the_decimals_that_the_standard_gives_it(code: str, decimals: int | None) -> None:
    assert decimals_of(code) == decimals


def test_every_code_is_three_letters_and_every_minor_unit_fits_a_book() -> None:
    assert len(currencies()) > 150
    assert all(re.fullmatch("[A-Z]{3}", code) and 0 <= decimals <= 6 for code, decimals in currencies().items())
