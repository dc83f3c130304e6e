"""Recall notices: what is read of their free text stands in it literally, and what is not read is listed."""

from __future__ import annotations

import json
import os
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imports import dates
from services.imports.notice import Codes, RecallNotice
from services.imports.notice_text import read_codes
from services.imports.notices import read_notice, read_notices
from services.imports.plan import Refused
from shared.errors import Invalid


def codes(text: str, products: str = "") -> Codes:
    return read_codes(text, dates.order_of(text), frozenset(products.split()))


def lots(text: str) -> list[str]:
    return [found.value for found in codes(text).lots]


def ranges(text: str) -> list[tuple[str, str, str]]:
    return [(str(d.value.first), str(d.value.last), d.value.kind) for d in codes(text).dates]


def reasons(text: str) -> str:
    return " / ".join(left.reason for left in codes(text).unread)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lot # 439605-01, Lot # 439605-02", ["439605-01", "439605-02"]),
        ("Lot 0201111 (use by date 5/6/2011)", ["0201111"]),
        ("Lots: 214117, 216117 and 228117", ["214117", "216117", "228117"]),
        ("Lot TFRS 130B 1503 KT34, Best By 5-25-2012", ["TFRS 130B 1503 KT34"]),
        ("Lot # 8D1082, Exp 01/13; 8D1151, Exp 03/13", ["8D1082", "8D1151"]),
        ("Batch no. A-17/3. Batch no. A-17/4.", ["A-17/3", "A-17/4"]),
        ("Lot Code(s): 24-1203, 24-1204", ["24-1203", "24-1204"]),
        ("Units: 042Y49061( 2 units), 042Y49062 (2 units)", ["042Y49061", "042Y49062"]),
        ("Code 1742 Date produced 07 FEB 2012", ["1742"]),
    ],
)
def test_lots_that_a_label_announces_are_read_as_written(text: str, expected: list[str]) -> None:
    assert lots(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lot number from 00112 through 10412", "a range of codes"),
        ("Lot Number: 07110002 thru 07110009", "a range of codes"),
        ("Lot 110001-110009", "may be a range of codes"),
        ("Lots 110737OSCN 110737ODCN", "one code, or more than one"),
        ("Lot 4102 4103 4104", "one code, or more than one"),
        ("Lot 12XXX", "placeholder"),
        ("Units: 16KS022812) and 3) Unit: 5", "a list number has run into it"),
        ("50V08131", "no word says what these are"),
        ("Lot 12/05/2011", "nothing says what kind of date it is"),
        ("Lots 12345 and higher", "'higher' changes"),
        ("All lots except lot 5", "'except' changes"),
        ("Lot 12345+", "a sign follows"),
        ("Lot L123 14:05", "a sign follows"),
        ("Lot 12é4", "a sign follows"),
        ("Lot é124", "is not understood"),
        ("Lot codes beginning with 12", "'beginning' changes"),
    ],
)
def test_a_code_that_may_mean_something_else_is_left_to_a_person(text: str, reason: str) -> None:
    got = codes(text)
    assert reason in reasons(text)
    assert not got.all_lots
    assert [lot.value for lot in got.lots] in ([], ["5"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Expiration dates from 01/19/2012 through 05/02/2012", [("2012-01-19", "2012-05-02", "expiry")]),
        ("Best By dates between 7/11/12 and 10/25/12.", [("2012-07-11", "2012-10-25", "best_before")]),
        ("EXP: 5/31/12, 6/7/12 & 6/28/12", [(d, d, "expiry") for d in ("2012-05-31", "2012-06-07", "2012-06-28")]),
        ("Best Before 07 FEB 2014", [("2014-02-07", "2014-02-07", "best_before")]),
        ("use by 2026-05-25 - 2026-06-01", [("2026-05-25", "2026-06-01", "use_by")]),
        ("Best if used by JAN 15 2026 to Feb. 3rd, 2026", [("2026-01-15", "2026-02-03", "best_before")]),
        ("Use by 25.12.2026", [("2026-12-25", "2026-12-25", "use_by")]),
        ("exp 1/2/2026-1/29/2026", [("2026-01-02", "2026-01-29", "expiry")]),
        ("exp 5/5/2026", [("2026-05-05", "2026-05-05", "expiry")]),
    ],
)
def test_dates_with_one_reading_are_read(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert ranges(text) == expected
    assert not codes(text).unread


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("use by date 5/6/2011", "which part is the day"),
        ("use by 5/25/2011 or 25/5/2011, and 5/6/2011", "which part is the day"),
        ("Best if Used By Date May 17 to May 25", "a date without a year"),
        ("exp. date February 2015", "a month without a day"),
        ("Exp 12/2013", "a month without a day"),
        ("Exp 09/13", "a day and a month, or a month and a year"),
        ("exp 12 FEB 14", "its year has two digits"),
        ("exp 20140207", "can be read in several ways"),
        ("exp 5/25/99", "century"),
        ("Use by 2/30/2026", "there is no such day"),
        ("exp from 1/20/2026", "without an end"),
        ("exp 1/25/2026 through 1/20/2026", "ends before it begins"),
        ("sell by 1/20/2026", "sell-by"),
        ("manufactured on 04-23-2012 through 5/21/2012", "date of making"),
        ("1/20/2026", "no word says what these are"),
        ("best by before 5/25/2012", "'before' changes"),
        ("best by dates through 12/31/2025", "'through' changes"),
        ("best by dates up to 12/31/2025", "'up' changes"),
        ("best by 12/31/2025 or sooner", "'sooner' changes"),
        ("best by May - 12/31/2025", "'May' changes"),
        ("exp > 12/31/2025", "'>' changes"),
        ("exp 12/31/2025+", "is not understood"),
        ("Exp 12/30/2025 through\n12/31/2025", "'through' changes"),
    ],
)
def test_a_date_with_several_readings_is_left_to_a_person(text: str, reason: str) -> None:
    assert reason in reasons(text)


def test_one_certain_date_shows_the_order_of_all_the_others() -> None:
    assert ranges("exp 5/6/2011") == []
    assert ranges("exp 5/6/2011, 5/25/2011") == [("2011-05-06",) * 2 + ("expiry",), ("2011-05-25",) * 2 + ("expiry",)]
    assert ranges("exp 5/6/2011, 25/5/2011") == [("2011-06-05",) * 2 + ("expiry",), ("2011-05-25",) * 2 + ("expiry",)]


@pytest.mark.parametrize(
    "text", ["All products.", "all lots", "All lots and all codes", "ALL LOT NUMBERS ARE AFFECTED"]
)
def test_all_of_a_product_is_understood(text: str) -> None:
    got = codes(text)
    assert [found.value for found in got.all_lots] == [text.rstrip(".")] and not got.unread


@pytest.mark.parametrize("text", ["All lots made in May", "All products with a green label", "not all lots"])
def test_all_with_a_condition_is_not_all(text: str) -> None:
    got = codes(text)
    assert not got.all_lots and got.unread


def test_a_list_that_does_not_name_everything_is_read_and_said_so() -> None:
    got = codes(
        "All lots made between May 1, 2010 and May 9, 2010 including but not limited to lots: 02031103, 09241101"
    )
    assert [lot.value for lot in got.lots] == ["02031103", "09241101"]
    assert [left.reason for left in got.unread] == ["the list that follows does not name everything"]


def test_list_numbers_tie_codes_to_products_when_they_run_in_order() -> None:
    got = codes("1) - 2) exp 5/25/2026; 3) Lot 77A", "1 2 3")
    assert [found.products for found in got.dates] == [("1", "2")] and [found.products for found in got.lots] == [
        ("3",)
    ]
    got = codes("1) Lot 55A; 1) Lot 66A; 2) Lot 77A", "1 2")
    assert {found.products for found in got.lots} == {()} and "list numbers" in got.unread[0].reason


def test_a_list_goes_on_after_a_semicolon_only_with_codes() -> None:
    assert lots("Lot A123; B45") == ["A123", "B45"]
    assert lots("Lot A123; 45 Main Street") == ["A123"]
    assert "words that are not understood" in reasons("Lot A123; 45 Main Street")


# -- barcodes and the report as a whole -------------------------------------------------------------------------------


def notice(**fields: str) -> RecallNotice:
    return read_notice(fields)


def test_barcodes_are_taken_only_with_all_their_digits_and_a_right_check_digit() -> None:
    got = notice(
        product_description="a) Chives UPC 0 21985 20005 6, 12 oz; b) UPC # 7203698196; c) UPC: 13964447019; "
        "d) UPC# 809080300084; e) 7 05432 00194 5 as printed; f) 1 lb (no UPC)"
    )
    assert [(found.value, found.products) for found in got.gtins] == [
        ("021985200056", ("a",)),
        ("705432001945", ("e",)),
    ]
    said = [left.reason for left in got.unread if left.fragment.startswith("UPC")]
    assert [reason.split(";")[0] for reason in said] == ["has 10 digits", "has 11 digits", "its check digit is wrong"]


def test_products_numbered_out_of_order_share_all_codes() -> None:
    got = notice(
        product_description="1) Tea UPC 0 21985 20005 6; 1) Rice UPC 0 21985 10004 2; 2) Oats",
        code_info="1) Lot A1; 2) Lot B2",
    )
    assert {found.products for found in (*got.gtins, *got.lots)} == {()}
    assert "its list numbers do not fit" in got.unread[0].reason


def test_hyphens_and_blanks_in_a_barcode_are_left_out() -> None:
    got = notice(product_description="UPC 0-11110-91128-5 and 6-8113132900-2. UPC 3 0781-5248-92 5")
    assert [found.value for found in got.gtins] == ["011110911285", "681131329002", "307815248925"]


def test_both_forms_of_a_report_give_the_same_notice() -> None:
    api = {"product_description": "Oats UPC 021985200056", "code_info": "Lot A1", "report_date": "20120613"}
    bulk = {key.replace("_", "-"): value for key, value in api.items()} | {"report-date": "06/13/2012"}
    one, two = read_notice(api), read_notice({key.replace("-", "_"): value for key, value in bulk.items()})
    assert one.published == two.published == date(2012, 6, 13)
    assert (one.lots, one.gtins) == (two.lots, two.gtins)


def test_a_report_is_named_by_its_recall_number_or_by_its_content() -> None:
    assert notice(recall_number="F-0412-2026", product_description="x").id == "F-0412-2026"
    several = notice(product_description="1) x. Recall # F-1-2012; 2) y Recall # F-1350-2012; 3) z Recall #F-1352-2012")
    assert several.id == "F-1350-2012-to-F-1352-2012"
    nameless = notice(product_description="x")
    assert nameless.id == notice(product_description="x").id != notice(product_description="y").id


def test_a_report_without_codes_says_so() -> None:
    assert [left.reason for left in notice(product_description="x").unread] == [
        "the notice says nothing about codes or dates"
    ]


def test_files_of_both_forms_are_read_and_strangers_refused(tmp_path: Path) -> None:
    path = tmp_path / "recalls.json"
    report = {"recall_number": "F-1-2026", "product_description": "Oats", "code_info": "Lot A1"}
    path.write_text(json.dumps({"meta": {}, "results": [report, {"name": "no report"}, 7]}))
    first, second, third = list(read_notices(path))
    assert isinstance(first, tuple) and first[1].id == "F-1-2026"
    assert isinstance(second, Refused) and "has none of product_description" in second.reason
    assert isinstance(third, Refused) and "a JSON object is expected" in third.reason
    path.write_text("\n".join([json.dumps(report), "{broken", json.dumps(report)]))
    assert [type(one) for one in read_notices(path)] == [tuple, Refused, tuple]
    path.write_text('{"error": {"code": "NOT_FOUND", "message": "No matches found!"}}')
    with pytest.raises(Invalid, match="No matches found!"):
        list(read_notices(path))


# -- properties -------------------------------------------------------------------------------------------------------

_WORDS = """
Lot Lots lot# batch code Unit Units: UPC GTIN NDC exp. expiration use by best before sell by produced from between
through thru and to - – & , ; . : ( ) # 1) 2) a) all products except only 5/6/2011 5/25/12 07FEB2014 May 17 2026
2026-01-02 021985200056 0 21985 20005 6 A12-3 TFRS 130B XX12 00112 10412 oz ' "
"""
_PIECES = st.sampled_from([*_WORDS.split(), "\n"]) | st.text(max_size=8)
_TEXTS = st.lists(_PIECES, max_size=30).map(" ".join) | st.lists(_PIECES, max_size=30).map("".join) | st.text()


def _digits(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


@given(info=_TEXTS, description=_TEXTS)
@settings(max_examples=600, deadline=None)
def test_whatever_the_text_nothing_comes_out_that_is_not_literally_in_it(info: str, description: str) -> None:
    got = read_notice({"code_info": info, "product_description": description})
    everything = f"{info}\n{description}"
    for lot in got.lots:
        assert lot.value in " ".join(info.split())
    for number in got.gtins:
        assert number.value in _digits(everything)
    numbers = {int(run) for run in re.findall(r"[0-9]+", info)}
    glued = info.lower()
    for found in got.date_ranges:
        for day in (found.value.first, found.value.last):
            assert day.year in numbers or day.year - 2000 in numbers or str(day.year) in glued
            assert day.day in numbers or re.search(rf"0?{day.day}", glued)
            assert day.month in numbers or day.strftime("%b").lower() in glued


@given(info=_TEXTS)
@settings(max_examples=300, deadline=None)
def test_every_digit_of_the_codes_is_read_or_left_to_a_person(info: str) -> None:
    got = read_notice({"code_info": info})
    kept = " ".join([f.fragment for f in (*got.lots, *got.gtins, *got.date_ranges, *got.all_lots)])
    kept += " ".join(left.fragment for left in got.unread)
    if len(info) < 150:  # longer fragments are cut for the report
        without_amounts = re.sub(r"\(\s*\d+\s*oz\s*\)", " ", info)
        for run in re.findall(r"[0-9]{3,}", without_amounts):  # shorter ones may be list numbers: 1), 2)
            assert run in kept


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "unit",
    ["Lot ", "Lot 1 ", "A1 ", "1) ", "(", "9" * 50, "12/", "exp 1/2/2026 to ", "Jan ", "all lots and ", "a", " ",
     "UPC 0 ", "Lot A B C D E F G ", "-", "#'s", "lot###", "including but not limited to ", "\n", ";", "1 1 "],
)  # fmt: skip
def test_a_megabyte_of_anything_ends(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert len(notice(code_info=text, product_description=text).unread) >= 2
    notice(code_info=text[:200_000], product_description=text[:200_000])


# -- the published reports, where they are at hand --------------------------------------------------------------------

_DATA = Path(os.environ.get("COMMONS_DATA") or Path(__file__).parents[4] / "shared" / "data")
_REPORTS = _DATA / "openfda" / "food-recalls.jsonl"

# line: barcodes, lots, date ranges, "all", fragments left to a person. Each was compared with the report by eye.
_COUNTS = {
    1: (3, 0, 1, 0, 2),
    2: (0, 1, 0, 0, 5),
    3: (2, 1, 0, 0, 1),
    4: (0, 10, 0, 0, 1),
    5: (0, 0, 0, 0, 16),
    6: (0, 0, 1, 0, 4),
    7: (2, 3, 3, 0, 0),
    8: (1, 2, 0, 0, 0),
    9: (0, 1, 0, 0, 0),
    10: (0, 0, 0, 1, 4),
    11: (15, 0, 3, 0, 2),
    12: (0, 0, 0, 0, 2),
    13: (0, 1, 1, 0, 2),
    14: (0, 0, 5, 0, 0),
    15: (0, 0, 0, 0, 1),
    16: (0, 1, 0, 0, 3),
    17: (0, 3, 0, 0, 5),
    18: (0, 2, 0, 0, 3),
    19: (0, 7, 0, 0, 1),
    20: (1, 2, 0, 0, 2),
    21: (0, 10, 0, 0, 6),
    22: (0, 1, 0, 0, 0),
    23: (0, 720, 0, 0, 0),
    24: (0, 1, 0, 0, 0),
    25: (0, 1, 0, 0, 0),
    26: (0, 2, 0, 0, 1),
    27: (0, 1, 0, 0, 0),
    28: (0, 12, 0, 0, 0),
    29: (0, 1, 0, 0, 0),
    30: (0, 1, 0, 0, 0),
    31: (0, 9, 0, 0, 0),
    32: (0, 3, 0, 0, 0),
    33: (0, 10, 0, 0, 0),
    34: (0, 2, 0, 0, 0),
    35: (0, 15, 0, 0, 0),
    36: (0, 5, 0, 0, 0),
    37: (0, 1, 0, 0, 0),
    38: (0, 29, 0, 0, 0),
    39: (0, 2, 0, 0, 0),
    40: (0, 2, 0, 0, 0),
    41: (0, 2, 0, 0, 0),
    42: (0, 2, 0, 0, 0),
    43: (0, 18, 0, 0, 1),
    44: (0, 5, 0, 0, 0),
    45: (0, 1, 0, 0, 0),
    46: (0, 1, 0, 0, 0),
    47: (0, 9, 0, 0, 0),
    48: (0, 1, 0, 0, 0),
    49: (0, 7, 0, 0, 0),
    50: (0, 1, 0, 0, 0),
    51: (0, 1, 0, 0, 0),
    52: (0, 1, 0, 0, 0),
    53: (0, 45, 0, 0, 0),
    54: (0, 1, 0, 0, 0),
    55: (0, 1, 0, 0, 0),
    56: (0, 4, 0, 0, 0),
    57: (0, 2, 0, 0, 0),
    58: (0, 60, 0, 0, 1),
    59: (0, 10, 0, 0, 0),
    60: (0, 1, 0, 0, 0),
    61: (0, 1, 0, 0, 0),
    62: (0, 1, 0, 0, 0),
    63: (0, 0, 0, 0, 1),
    64: (0, 0, 0, 0, 1),
    65: (0, 6, 0, 0, 0),
    66: (0, 1, 0, 0, 4),
    67: (0, 0, 0, 0, 1),
    68: (0, 1, 0, 0, 0),
    69: (0, 0, 0, 0, 11),
    70: (0, 2, 0, 0, 2),
    71: (0, 14, 0, 0, 2),
    72: (0, 4, 0, 0, 0),
}


@pytest.mark.skipif(not _REPORTS.exists(), reason="the published reports are not at hand")
def test_the_published_reports_are_read_as_a_person_read_them() -> None:
    got = {}
    for one in read_notices(_REPORTS):
        assert isinstance(one, tuple)
        line, n = one
        got[line] = (len(n.gtins), len(n.lots), len(n.date_ranges), len(n.all_lots), len(n.unread))
    assert got == _COUNTS
