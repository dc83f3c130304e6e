"""Items come out of CSV and product JSON as far as they can be read; the rest is refused with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imports import gtin
from services.imports.cells import Unreadable, amount, flag, moment, slug, whole
from services.imports.items import read_items
from services.imports.plan import Lines
from services.imports.quantities import Content, read_content
from services.inventory.contract import inventory
from shared.errors import Invalid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "items"


def read(file: Path, content: str | object) -> Lines:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return Lines.of(read_items(file))


def one(file: Path, line: str, header: str = "item,name,unit,gtin") -> Lines:
    return read(file, f"{header}\n{line}\n")


# -- CSV --------------------------------------------------------------------------------------------------------------


def test_a_full_line_becomes_a_command_that_the_contract_accepts(file: Path) -> None:
    got = read(
        file,
        "item;name;brand;unit;net_weight_g;gtin;pack_sizes;category;allergens;storage;best_before_extension_days;"
        "medicine;infant_formula;minimum;unusual_above\n"
        "milk-1l;Milk 1 l;Own;each;1030;2000000000015;case of 12 | pallet of 720 (2000000000022);dairy;milk | soybeans;"
        "Chilled;2;no;;24;2000\n",
    )
    assert not got.refused
    command = inventory.parse("RegisterItem", got.planned[0].data)
    assert (command.item, command.net_weight, command.allergens) == ("milk-1l", 1030, ("milk", "soybeans"))
    assert (command.storage, command.minimum_level, command.medicine) == ("chilled", 24, False)
    assert [(p.name, p.quantity, p.gtin) for p in command.packs] == [
        ("case of 12", 12, None),
        ("pallet of 720", 720, "2000000000022"),
    ]


def test_no_allergens_said_is_unknown_and_none_is_none(file: Path) -> None:
    got = read(file, "name,unit,allergens\nRice,g,\nLentils,g,none\n")
    assert "allergens" not in got.planned[0].data
    assert got.planned[1].data["allergens"] == []


@pytest.mark.parametrize(
    "cell", ["unknown", "Unknown.", "?", "n/a", "N.A.", "not  known", "unbekannt", "(unknown)", "-"]
)
def test_allergens_that_are_said_to_be_unknown_are_no_label(file: Path, cell: str) -> None:
    got = read(file, f"name,unit,allergens\nRice,g,{cell}\n")
    assert "allergens" not in got.planned[0].data


def test_an_item_without_an_id_is_named_by_its_gtin_or_its_name(file: Path) -> None:
    got = read(file, "item,name,unit,gtin\n,Crème fraîche 30%,g,\n,Oats,each,2000000000015\n")
    assert [p.data["item"] for p in got.planned] == ["creme-fraiche-30", "gtin-02000000000015"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a,,each,", "the name is empty"),
        ("a,Rice,kg,", "the unit 'kg' is not one of each, g, ml"),
        ("a b,Rice,g,", "the item 'a b' is not an id"),
        ("a.b,Rice,g,", "the item 'a.b' is not an id"),
        ("a,Rice,g,2000000000016", "the GTIN '2000000000016': its check digit is wrong"),
        ("a,Rice,g,20000000001", "has 11 digits; a UPC has 12, and the missing ones are not guessed"),
        ("a,Rice,g,2.00E+12", "a spreadsheet has shortened it"),
        (",???,g,", "no id can be made of this name"),
    ],
)
def test_what_cannot_be_read_is_refused_with_line_and_reason(file: Path, line: str, reason: str) -> None:
    got = one(file, line)
    assert not got.planned
    assert got.refused[0].line == 2
    assert reason in got.refused[0].reason


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("net_weight_g", "1.5", "net_weight_g: '1.5' has a separator"),
        ("minimum", "-3", "minimum: '-3' is negative"),
        ("minimum", "9007199254740992", "is more than 9,007,199,254,740,991"),
        ("minimum", "many", "minimum: 'many' is not a whole number"),
        ("medicine", "perhaps", "'perhaps' is neither yes nor no"),
        ("pack_sizes", "dozen", "the pack size 'dozen' is not of the form 'case of 12'"),
    ],
)
def test_each_column_says_what_it_asks_for(file: Path, column: str, cell: str, reason: str) -> None:
    got = one(file, f"Rice,g,{cell}", f"name,unit,{column}")
    assert reason in got.refused[0].reason


def test_the_same_item_twice_is_one_and_with_other_facts_is_refused(file: Path) -> None:
    got = read(file, "item,name,unit\na,Rice,g\na,Rice,g\na,Wild rice,g\n")
    assert len(got.planned) == 1
    assert (got.refused[0].line, got.refused[0].reason) == (4, "item a is already on line 2, with other facts")


def test_the_command_id_depends_on_the_facts_and_not_on_the_file(file: Path, tmp_path: Path) -> None:
    first = one(file, "a,Rice,g,").planned[0]
    other = tmp_path / "other.csv"
    other.write_text("unit;item;name\n\ng;b;Oats\ng;a;Rice\n")
    again = Lines.of(read_items(other)).planned[1]
    assert (first.id, first.data) == (again.id, again.data)
    assert first.id != one(file, "a,Red rice,g,").planned[0].id


# -- product JSON -----------------------------------------------------------------------------------------------------

PRODUCT: dict[str, Any] = {
    "code": "2000000000015",
    "product_name": "Oat biscuits",
    "brands": "Own, Other",
    "quantity": "2 x 150 g e",
    "allergens_tags": ["en:gluten"],
    "traces_tags": ["en:nuts"],
    "categories_tags": ["en:snacks", "en:oat-biscuits", "fr:biscuits"],
    "ingredients_text": "oats, sugar",
}


def test_a_product_is_counted_and_keeps_its_net_weight_and_allergens(file: Path) -> None:
    got = read(file, {"code": PRODUCT["code"], "product": {**PRODUCT, "code": None} | {"code": PRODUCT["code"]}})
    command = inventory.parse("RegisterItem", got.planned[0].data)
    assert (command.item, command.unit, command.net_weight) == ("gtin-02000000000015", "each", 300)
    assert command.allergens == ("gluten", "nuts")
    assert (command.category, command.brand) == ("oat biscuits", "Own")
    assert [q.reason for q in got.for_a_person] == ["left unknown: storage (taken as ambient)"]


def test_every_form_of_answer_gives_the_same_items(file: Path) -> None:
    whole_answer = read(file, {"count": 1, "products": [PRODUCT]})
    answers = [
        read(
            file, {"code": PRODUCT["code"], "status": 1, "product": {k: v for k, v in PRODUCT.items() if k != "code"}}
        ),
        read(file, [PRODUCT]),
        read(file, json.dumps(PRODUCT)),
        read(file, json.dumps(PRODUCT) + "\n" + json.dumps(PRODUCT) + "\n"),
    ]
    for answer in answers:
        assert [(p.data, p.id) for p in answer.planned] == [(p.data, p.id) for p in whole_answer.planned]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"allergens_tags": [], "traces_tags": [], "ingredients_text": ""}, None),
        ({"allergens_tags": [], "traces_tags": [], "ingredients_text": None}, None),
        ({"allergens_tags": [], "traces_tags": ["en:milk"], "ingredients_text": ""}, None),
        ({"allergens_tags": None, "traces_tags": None}, []),
        ({"allergens_tags": [], "traces_tags": []}, []),
        ({"allergens_tags": ["fr:épeautre"]}, None),
        ({"allergens_tags": ["en:milk"], "ingredients_text": ""}, ["milk", "nuts"]),
    ],
)
def test_allergens_are_unknown_unless_the_product_says(file: Path, change: dict[str, Any], expected: Any) -> None:
    assert read(file, PRODUCT | change).planned[0].data.get("allergens") == expected


@pytest.mark.parametrize(
    ("product", "reason"),
    [
        ({"product_name": "x"}, "has no code"),
        (PRODUCT | {"code": "2000000000016"}, "its check digit is wrong"),
        (PRODUCT | {"code": "12"}, "has 2 digits"),
        (PRODUCT | {"product_name": " "}, "has no name"),
        (7, "a JSON object is expected"),
    ],
)
def test_a_product_that_cannot_be_an_item_is_refused(file: Path, product: Any, reason: str) -> None:
    got = read(file, {"products": [PRODUCT, product]})
    assert len(got.planned) == 1
    assert got.refused[0].line == 2
    assert reason in got.refused[0].reason


def test_an_answer_that_found_nothing_is_said_so(file: Path) -> None:
    with pytest.raises(Invalid, match="an answer without a product: product not found"):
        read(file, {"code": "1", "status": 0, "status_verbose": "product not found"})


def test_storage_and_infant_formula_come_from_the_categories(file: Path) -> None:
    got = read(file, PRODUCT | {"categories_tags": ["en:infant-formulas", "en:frozen-foods"]})
    assert got.planned[0].data["infant_formula"] is True
    assert got.planned[0].data["storage"] == "frozen"
    assert not got.for_a_person


@given(
    product=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PRODUCT, "products"]), inner),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused_and_what_is_read_fits_the_contract(
    tmp_path_factory: pytest.TempPathFactory, product: Any
) -> None:
    file = tmp_path_factory.mktemp("any") / "any.json"
    got = read(file, [PRODUCT, product, PRODUCT | (product if isinstance(product, dict) else {})])
    for planned in got.planned:
        if "\x00" not in repr(planned.data):
            inventory.parse(planned.command, planned.data)


# -- the parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500 g", Content(500, "g")),
        ("400g", Content(400, "g")),
        ("160 g e", Content(160, "g")),
        ("160 g ℮", Content(160, "g")),
        ("1,5 kg", Content(1500, "g")),
        ("0.125 kg", Content(125, "g")),
        ("1 L", Content(1000, "ml")),
        ("6 x 33 cl", Content(1980, "ml")),
        ("6×33cl", Content(1980, "ml")),
        ("2 x 12,5 g", Content(25, "g")),
    ],
)
def test_the_content_of_a_package_is_read_into_whole_base_units(text: str, expected: Content) -> None:
    assert read_content(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "12", "1.000 g", "1,500 kg", "12.5 g", "16 oz", "1 lb", "6 pieces", "500 g (2 x 250 g)", "ca. 500 g", "0 g"],
)
def test_a_content_with_several_readings_is_left_unread(text: str) -> None:
    assert isinstance(read_content(text), str)


@given(st.text(max_size=40))
def test_any_content_is_read_or_left(text: str) -> None:
    assert isinstance(read_content(text), (Content, str))


@given(st.integers(0, 10**13 - 1))
def test_a_gtin_with_one_digit_changed_is_refused(number: int) -> None:
    digits = f"{number:013d}"
    weighed = sum(int(d) * (3 if place % 2 == 0 else 1) for place, d in enumerate(reversed(digits)))
    right = digits + str(-weighed % 10)
    if number:
        assert gtin.read(right) == (right, "")
    wrong = digits + str((-weighed + 1) % 10)
    assert gtin.read(wrong)[0] is None


@pytest.mark.parametrize(
    ("quantity", "unit", "expected"),
    [
        ("12", "", (12, None)),
        ("12", "each", (12, "each")),
        ("2", "case of 12", (24, "each")),
        ("2 cases of 12", "", (24, "each")),
        ("2 x cases of 12", "each", (24, "each")),
        ("2.5", "kg", (2500, "g")),
        ("2.125", "L", (2125, "ml")),
        ("40", "ml", (40, "ml")),
    ],
)
def test_quantities_are_read_in_base_units(quantity: str, unit: str, expected: tuple[int, str | None]) -> None:
    assert amount(quantity, unit) == expected


@pytest.mark.parametrize(
    ("quantity", "unit", "reason"),
    [
        ("1.234,5", "", "a separator that can be read in several ways"),
        ("1,234", "", "a separator"),
        ("1.5", "each", "a separator"),
        ("2,5", "kg", "a separator"),
        ("1 234", "", "a separator"),
        ("0", "", "the quantity is 0"),
        ("-4", "", "is negative"),
        ("9223372036854775808", "", "is more than 9,007,199,254,740,991"),
        ("9007199254740991", "kg", "more than"),
        ("twelve", "", "not a whole number"),
        ("", "", "not a whole number"),
        ("٣", "", "not a whole number"),
        ("3", "lb", "the unit 'lb' is not known"),
        ("2 cases of 12", "kg", "already says its pack"),
    ],
)
def test_a_quantity_with_several_readings_is_refused(quantity: str, unit: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        amount(quantity, unit)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", ["2026-11-20", "2026-11-20T09:30", "1700000000", "20261120T093000Z", "yesterday", ""])
def test_a_moment_without_its_offset_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        moment(text)


def test_the_small_cells() -> None:
    assert moment("2026-11-20T09:30:00+01:00") == "2026-11-20T08:30:00+00:00"
    assert (flag("Yes"), flag(""), whole("007"), slug("Äpfel & Birnen")) == (True, False, 7, "apfel-birnen")


# -- real products, where they are at hand ----------------------------------------------------------------------------

_DATA = Path(os.environ.get("COMMONS_DATA") or Path(__file__).parents[4] / "shared" / "data")
_PRODUCTS = _DATA / "openfoodfacts" / "products.json"


@pytest.mark.skipif(not _PRODUCTS.exists(), reason="the published products are not at hand")
def test_published_products_are_read_as_a_person_read_them() -> None:
    got = Lines.of(read_items(_PRODUCTS))
    assert not got.refused
    commands = {p.data["gtin"]: inventory.parse("RegisterItem", p.data) for p in got.planned}
    assert len(commands) == 20
    assert {c.net_weight for c in commands.values()} == {None, 100, 120, 150, 160, 200, 240, 380, 400, 500}
    assert commands["3596710467112"].allergens is None  # smoked salmon: neither allergens nor ingredients are given
    assert commands["3596710427901"].net_weight is None  # 1 L
    assert commands["3596710427901"].allergens is None  # fish soup: traces are given, but not what it is made of
    assert commands["3596710429820"].allergens == ()
    assert commands["3596710403301"].allergens == ("gluten", "milk", "mustard", "peanuts", "soybeans")  # traces
    assert "milk" in commands["3596710347643"].allergens
