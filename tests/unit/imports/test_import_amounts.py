"""Amounts become minor units exactly, as their locale writes them, or are refused; none is guessed."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from babel import Locale
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from services.imports import days
from services.imports.amounts import minor_units
from services.imports.cells import Unreadable
from services.treasury.units import as_decimal
from shared.types import MAX_INTEGER

LOCALES = (
    "en",
    "de",
    "de_CH",
    "de_AT",
    "fr",
    "en_IN",
    "hi",
    "es",
    "pl",
    "sv",
    "pt_BR",
    "it",
    "nl",
    "bg",
    "tr",
    "ja",
    "zh",
)


@given(st.integers(-MAX_INTEGER, MAX_INTEGER), st.integers(0, 4), st.sampled_from(LOCALES), st.booleans())
def test_what_a_locale_writes_is_read_back_to_the_last_digit(
    minor: int, decimals: int, locale: str, grouped: bool
) -> None:
    exact = Decimal(as_decimal(minor, decimals))
    pattern = Locale.parse(locale).decimal_formats[None].pattern.partition(".")[0].partition(";")[0]
    pattern += "." + "0" * decimals if decimals else ""
    written = format_decimal(exact, format=pattern, locale=locale, group_separator=grouped, numbering_system="latn")
    assert minor_units(written, decimals, locale=locale) == minor


@given(st.integers(-MAX_INTEGER, MAX_INTEGER), st.integers(0, 4))
def test_a_plain_decimal_is_read_back_without_any_locale_or_refused_as_ambiguous(minor: int, decimals: int) -> None:
    written = as_decimal(minor, decimals)
    if decimals == 3 and len(written.lstrip("-").partition(".")[0]) <= 3 and not written.lstrip("-").startswith("0"):
        with pytest.raises(Unreadable, match="two ways"):
            minor_units(written, decimals)
    else:
        assert minor_units(written, decimals) == minor


@given(st.text(alphabet="0123456789.,' -+()€EUR\u00a0", max_size=14), st.sampled_from([None, *LOCALES]))
def test_any_text_is_an_integer_or_unreadable(text: str, locale: str | None) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(minor_units(text, 2, unit="EUR", locale=locale), int)


@given(st.text(alphabet="0123456789.,'", min_size=1, max_size=12))
def test_what_two_locales_read_differently_is_not_read_without_one(text: str) -> None:
    readings = set()
    for locale in ("en", "de", "de_CH"):
        try:
            readings.add(minor_units(text, 3, locale=locale))
        except Unreadable:
            continue
    if len(readings) > 1:
        with pytest.raises(Unreadable):
            minor_units(text, 3)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1234", 123400), ("12.5", 1250), ("12,50", 1250), ("1.234,56", 123456), ("1,234.56", 123456),
        ("1'234.50", 123450), ("1 234,50", 123450), ("1,000,000", 100000000), ("-12.50", -1250), ("12.50-", -1250),
        ("(12.50)", -1250), ("\u221212,50", -1250), ("+3", 300), (".50", 50), ("12,50 €", 1250), ("EUR 12.50", 1250),
        ("-€12.50", -1250),
    ],
)  # fmt: skip
def test_an_amount_that_can_be_read_in_one_way_is(text: str, minor: int) -> None:
    assert minor_units(text, 2, unit="EUR") == minor


@pytest.mark.parametrize(
    ("text", "locale", "said"),
    [
        ("1,234", None, "two ways"),
        ("1.234", None, "two ways"),
        ("1.234,56", "en", "is not an amount as en writes it, such as 1,234.50"),
        ("1,234.56", "de", "is not an amount as de writes it, such as 1.234,50"),
        ("12.50", "de", "is not an amount as de writes it"),
        ("12.345", "en", "3 decimals, and EUR has 2"),
        ("0,123", None, "3 decimals, and EUR has 2"),
        ("1,23,456.00", "en", "is not an amount as en"),
        ("12 USD", None, "is not an amount such as 1234.50"),
        ("90071992547409.92", None, "is larger than"),
        ("٣٫٥", None, "is not an amount"),
        ("", None, "is not an amount"),
        ("--1", None, "is not an amount"),
        ("1e3", None, "is not an amount"),
        ("nan", None, "is not an amount"),
        ("1", "xx_YY", "is not a locale that is known"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, locale: str | None, said: str) -> None:
    with pytest.raises(Unreadable) as caught:
        minor_units(text, 2, unit="EUR", locale=locale)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["2026-11-20", "2026-01-02"], "ymd"), (["20261120"], "ymd"), (["01.02.2026"], "dmy"), (["01.02.26"], "dmy"),
        (["01/02/2026", "13/02/2026"], "dmy"), (["01/02/2026", "02/13/2026"], "mdy"), (["2026-11-20T10:00:00"], "ymd"),
    ],
)  # fmt: skip
def test_a_column_of_dates_is_read_in_the_one_order_that_fits_all(texts: list[str], order: str) -> None:
    assert days.column_order(texts) == order


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["01/02/2026"], "day or the month first"),
        (["13/02/2026", "02/13/2026"], "order of those before it"),
        (["31.02.2026"], "no date"),
        (["20.11.3026"], "no date"),
        (["yesterday"], "no date"),
    ],
)
def test_dates_that_could_be_others_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        days.column_order(texts)


def test_a_locale_says_whether_the_day_or_the_month_comes_first() -> None:
    assert [days.locale_order(locale) for locale in ("en_US", "en_GB", "de", "sv")] == ["mdy", "dmy", "dmy", "ymd"]
