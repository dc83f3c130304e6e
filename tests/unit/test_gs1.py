"""What a barcode says, in every form that scanners and packages have."""

from __future__ import annotations

import contextlib
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.gs1 import Scan, is_gtin, is_scan, read_scan
from shared.errors import Invalid

GTIN = "04006381333931"
FULL = Scan(gtin=GTIN, lot="A7", expiry=date(2027, 1, 31))


@pytest.mark.parametrize(
    "text",
    [
        "(01)04006381333931(10)A7(17)270131",
        " (01)04006381333931 (17)270131 (10)A7 ",
        "0104006381333931" + "17270131" + "10A7",
        "0104006381333931" + "10A7\x1d" + "17270131",
        "]C10104006381333931" + "17270131" + "10A7",
        "]d20104006381333931" + "10A7\x1d" + "17270131",
        "https://id.gs1.org/01/04006381333931/10/A7?17=270131",
        "https://example.org/some/shelf/01/04006381333931/10/A7?17=270131",
    ],
)
def test_the_same_goods_are_read_from_every_form(text: str) -> None:
    assert read_scan(text) == FULL


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("4006381333931", GTIN),
        ("036000291452", "00036000291452"),
        ("96385074", "00000096385074"),
        (GTIN, GTIN),
        ("]E04006381333931", GTIN),
    ],
)
def test_a_bare_number_is_the_item(text: str, gtin: str) -> None:
    assert read_scan(text) == Scan(gtin=gtin)


def test_the_date_that_is_kept_is_the_strictest_that_the_ledger_knows() -> None:
    both = read_scan("(01)04006381333931(15)270301(17)270401")
    assert (both.date, both.date_kind) == (date(2027, 4, 1), "expiry")
    best = read_scan("(01)04006381333931(15)270301(16)270201")
    assert (best.date, best.date_kind, best.sell_by) == (date(2027, 3, 1), "best_before", date(2027, 2, 1))
    assert read_scan("(01)04006381333931(16)270201").date is None


def test_a_day_of_zero_is_the_last_day_of_the_month() -> None:
    assert read_scan("(01)04006381333931(17)280200").expiry == date(2028, 2, 29)


def test_counts_weights_and_volumes_are_whole_base_units() -> None:
    assert read_scan("(02)04006381333931(37)24").count == 24
    assert read_scan("(01)04006381333931(30)7").count == 7
    assert read_scan("(01)04006381333931(3103)001250").weight == 1250
    assert read_scan("(01)04006381333931(3102)000125").weight == 1250
    assert read_scan("(01)04006381333931(3152)000150").volume == 1500


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 500 characters"),
        ("9" * 501, "1 to 500 characters"),
        ("hello", "not a GS1 barcode"),
        ("(01)04006381333932(10)A7", "check digit"),
        ("4006381333930", "check digit"),
        ("(01)04006381333931(17)271331", "expiry date"),
        ("(01)04006381333931(15)27", "best-before date"),
        ("(01)04006381333931(10)", "empty"),
        ("(01)04006381333931(10", "parenthesis"),
        ("(01)4006381333931", "wrong length"),
        ("(77)123", "does not know"),
        ("(10)A(10)B", "twice"),
        ("(00)006141411234567890", "pallet"),
        ("(01)04006381333931(30)0", "zero"),
        ("(01)04006381333931(3105)001250", "whole number"),
        ("https://example.org/shop?item=7", "digital link"),
        ("(01)04006381333931\n(10)A7", "control characters"),
        ("(01)0400638133\x003931", "control characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_part_and_what_to_do(text: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_scan(text)
    assert why in caught.value.detail
    assert "can" in caught.value.detail or "Scan" in caught.value.detail


@given(st.text(max_size=60))
@example("]")
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(Invalid):
        read_scan(text)


def test_ids_and_lots_typed_by_hand_are_no_scans() -> None:
    for text in ("rice", "LOT-7", "A7", "12345678901234567890", "", "L(7)"):
        assert not is_scan(text)
    assert is_gtin("4006381333931")
    assert not is_gtin("4006381333930")
    assert not is_gtin("rice")
