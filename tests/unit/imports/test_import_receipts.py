"""A delivery comes in whole, once, whatever file it stands in; and a recall reaches the items it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.imports import receipts
from services.imports.catalogue import Catalogue
from services.imports.notices import read_notice
from services.imports.plan import ForAPerson, Lines, Planned
from services.imports.recalls import match_notice, read_recalls
from services.imports.receipts import read_receipts
from services.inventory.contract import inventory
from shared.errors import Invalid

HEADER = "delivery,received_at,location,source,donor,owner,item,lot,date,date_kind,quantity,unit"
CATALOGUE = Catalogue.of(
    [
        {"item": "rice", "unit": "g"},
        {
            "item": "milk",
            "unit": "each",
            "gtin": "2000000000015",
            "packs": [{"name": "case of 12", "quantity": 12, "gtin": "2000000000022"}],
        },
        {"item": "beans", "unit": "each", "gtin": "2000000000039"},
    ]
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "receipts.csv"


def line(
    delivery: str = "D1", at: str = "2026-11-20T09:30:00Z", location: str = "store", source: str = "donation",
    donor: str = "donor-07", owner: str = "", item: str = "milk", lot: str = "", date: str = "", kind: str = "",
    quantity: str = "1", unit: str = "",
) -> str:  # fmt: skip
    return f"{delivery},{at},{location},{source},{donor},{owner},{item},{lot},{date},{kind},{quantity},{unit}"


def read(file: Path, *lines: str) -> Lines:
    file.write_text("\n".join([HEADER, *lines]) + "\n")
    return Lines.of(read_receipts(file, CATALOGUE))


def test_the_lines_of_an_item_at_a_location_become_one_command(file: Path) -> None:
    got = read(
        file,
        line(lot="B", date="2026-12-01", kind="best before", quantity="2 cases of 12"),
        line(item="rice", quantity="2.5", unit="kg"),
        line(lot="A", quantity="5"),
        line(location="kitchen", quantity="7"),
    )
    assert not got.refused
    commands = [inventory.parse(p.command, p.data) for p in got.planned]
    assert [(c.item, c.location, [(x.lot, x.quantity) for x in c.lines]) for c in commands] == [
        ("milk", "store", [("A", 5), ("B", 24)]),
        ("rice", "store", [(None, 2500)]),
        ("milk", "kitchen", [(None, 7)]),
    ]
    assert commands[0].lines[1].date_kind == "best_before"
    assert {c.delivery for c in commands} == {"D1"}
    assert commands[0].occurred_at.isoformat() == "2026-11-20T09:30:00+00:00"


def test_the_same_delivery_in_another_file_is_the_same_command(file: Path, tmp_path: Path) -> None:
    first = read(file, line(lot="A"), line(lot="B"), line("D2", item="rice"))
    again = read(tmp_path / "other.csv", line("D2", item="rice"), line(lot="B"), line(lot="A"))
    assert {(p.id, repr(p.data)) for p in first.planned} == {(p.id, repr(p.data)) for p in again.planned}


def test_an_item_may_be_named_by_its_barcode_and_without_a_lot(file: Path) -> None:
    got = read(file, line(item="2000000000015", lot="unknown"))
    assert got.planned[0].data["item"] == "milk"
    assert got.planned[0].data["lines"] == [{"quantity": 1}]


def test_the_barcode_of_a_pack_counts_packs(file: Path) -> None:
    got = read(
        file, line(item="2000000000022", quantity="3"), line("D2", item="2000000000022", quantity="36", unit="each")
    )
    assert got.planned[0].data["lines"] == [{"quantity": 36}]
    assert "the barcode is that of a pack of 12" in got.refused[0].reason


def test_many_lots_are_cut_into_parts_with_ids_of_their_own(file: Path) -> None:
    got = read(file, *(line(lot=f"L{number:03}") for number in range(250)))
    assert [len(p.data["lines"]) for p in got.planned] == [100, 100, 50]
    assert len({p.id for p in got.planned}) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"item": "tea"}, "the item 'tea' is not in the catalogue"),
        ({"item": "rice", "unit": "each"}, "the quantity is in each, but rice is kept in g"),
        ({"quantity": "5", "unit": "kg"}, "the quantity is in g, but milk is kept in each"),
        ({"quantity": "1.234;5"}, "is not a whole number"),
        ({"quantity": "0"}, "the quantity is 0"),
        ({"at": "2026-11-20"}, "is not a moment such as"),
        ({"at": "2026-11-20T09:30:00"}, "lacks its offset from UTC"),
        ({"date": "01/12/2026", "kind": "expiry"}, "is not a date such as 2026-11-20"),
        ({"date": "2026-12-01"}, "the date needs its kind"),
        ({"date": "2026-12-01", "kind": "sell_by"}, "the date needs its kind"),
        ({"kind": "expiry"}, "there is a date_kind but no date"),
        ({"lot": "n/a"}, "leave it empty when it is not known"),
        ({"location": "main store"}, "the location 'main store' is not an id"),
        ({"location": ""}, "the location is empty"),
        ({"donor": "a.b"}, "the donor 'a.b' is not an id"),
        ({"source": "gift"}, "source: is 'opening'"),
        ({"date": "0001-01-01", "kind": "expiry"}, "a date lies between 1900 and 2199"),
        ({"at": "9999-12-31T23:59:59-14:00"}, "too near the end of the calendar"),
        ({"lot": "x" * 51}, "at most 50 characters"),
    ],
)
def test_a_line_that_cannot_be_read_holds_its_whole_delivery_back(
    file: Path, change: dict[str, str], reason: str
) -> None:
    got = read(file, line("D0"), line(item="beans"), line(**change), line("D2"))
    assert {p.data["delivery"] for p in got.planned} == {"D0", "D2"}
    assert reason in " / ".join(r.reason for r in got.refused)
    assert "held back until line" in " / ".join(r.reason for r in got.refused)


def test_a_ragged_line_holds_both_its_neighbours_back(file: Path) -> None:
    got = read(file, line("D0"), line("D1"), "D1,oops", line("D2"), line("D3"))
    assert {p.data["delivery"] for p in got.planned} == {"D0", "D3"}
    assert [(r.line, r.reason.split(" ", 3)[:3]) for r in got.refused if "cells" in r.reason] == [
        (4, ["has", "2", "cells"])
    ]
    assert [r.what for r in got.refused if "held back" in r.reason] == ["delivery D1", "delivery D2"]


def test_a_line_without_a_delivery_could_come_in_twice_and_is_refused(file: Path) -> None:
    got = read(file, line(""), line("D.1"))
    assert not got.planned
    assert [r.line for r in got.refused] == [2, 3]
    assert "without it the same goods could come in twice" in got.refused[0].reason


def test_a_delivery_whose_lines_are_scattered_is_refused_whole(file: Path) -> None:
    got = read(file, line("D1", item="beans"), line("D2"), line("D1"))
    assert {p.data["delivery"] for p in got.planned} == {"D2"}
    assert [(r.line, r.what) for r in got.refused] == [(2, "delivery D1")]
    assert "again from line 4" in got.refused[0].reason


def test_the_same_lot_twice_in_a_delivery_is_refused(file: Path) -> None:
    got = read(file, line(lot="L-1"), line(lot="L-1", date="2026-12-01", kind="expiry"), line(lot="l 1"))
    assert not got.planned
    assert got.refused[0].reason == "repeats the lot and date of line 2; add the two up in one line"


def test_lines_that_disagree_about_their_delivery_are_refused(file: Path) -> None:
    got = read(file, line(lot="A"), line(lot="B", donor="donor-08"))
    assert not got.planned
    assert "donor differs from line 2" in " / ".join(r.reason for r in got.refused)


def test_too_long_a_delivery_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MAX_DELIVERY", 3)
    got = read(file, *(line(lot=f"L{number}") for number in range(4)), line("D2"))
    assert {p.data["delivery"] for p in got.planned} == {"D2"}
    assert "has more than 3 lines" in got.refused[0].reason


def test_a_file_without_the_columns_is_refused_as_a_whole(file: Path) -> None:
    file.write_text("delivery,item\nD1,milk\n")
    with pytest.raises(Invalid, match="lacks the columns received_at, location, source, quantity"):
        list(read_receipts(file, CATALOGUE))


# -- recalls matched with the catalogue -------------------------------------------------------------------------------


def recall(**fields: str) -> Lines:
    report = {"recall_number": "F-7-2026", "reason_for_recall": "may hold metal", "classification": "Class I"} | fields
    return Lines.of(match_notice(3, read_notice(report), CATALOGUE))


def test_a_notice_that_matches_by_barcode_recalls_the_lots_it_names() -> None:
    got = recall(
        recalling_firm="Own Dairy", product_description="Milk UPC 2 000000 000015", code_info="Lot A1; exp 5/25/2026"
    )
    assert not got.for_a_person
    command = inventory.parse("RecallLot", got.planned[0].data)
    assert (command.item, command.recall, command.notice, command.issued_by) == (
        "milk", "F-7-2026", "F-7-2026", "Own Dairy",
    )  # fmt: skip
    assert command.classification == "I"
    assert command.scope.lots == ("A1",)
    assert str(command.scope.first_date) == str(command.scope.last_date) == "2026-05-25"


def test_a_pack_s_barcode_finds_its_item() -> None:
    assert recall(product_description="Milk UPC 2000000000022", code_info="Lot A1").planned[0].data["item"] == "milk"


def test_all_lots_recalls_everything_of_the_item() -> None:
    got = recall(product_description="UPC 2000000000015", code_info="All lots")
    assert got.planned[0].data["scope"] == {}


def test_a_date_beside_a_lot_describes_the_lot_and_widens_nothing() -> None:
    got = recall(product_description="UPC 2000000000015", code_info="Lot A1, exp 5/25/2026")
    assert got.planned[0].data["scope"] == {"lots": ["A1"]}


def test_several_ranges_become_several_recalls_of_one_notice() -> None:
    got = recall(product_description="UPC 2000000000015", code_info="exp 5/25/2026, 6/25/2026")
    assert [p.data["recall"] for p in got.planned] == ["F-7-2026", "F-7-2026-part-2"]
    assert len({p.id for p in got.planned}) == 2


def test_codes_go_to_the_product_they_are_numbered_with() -> None:
    got = recall(
        product_description="1) Milk UPC 2000000000015; 2) Beans UPC 2000000000039; 3) Tea",
        code_info="1) Lot A1; 2) Lot B2; 3) Lot C3",
    )
    assert {p.data["item"]: p.data["scope"]["lots"] for p in got.planned} == {"milk": ["A1"], "beans": ["B2"]}


def test_a_matched_notice_whose_lots_cannot_be_read_is_for_a_person_and_recalls_nothing() -> None:
    got = recall(product_description="Milk UPC 2000000000015", code_info="Lot 001 through 104")
    assert not got.planned
    assert [q.reason for q in got.for_a_person] == [
        "item milk has its barcode 2000000000015, but which lots are meant could not be read",
        "a range of codes; which lie in it is not known",
    ]


def test_a_notice_that_matches_nothing_is_one_line_for_a_person() -> None:
    known = recall(product_description="Tea UPC 021985200056", code_info="All lots")
    assert [q.reason for q in known.for_a_person] == ["its barcode is not in the catalogue"]
    unread = recall(product_description="Tea UPC 2198520005", code_info="Lot 1 through 2")
    assert unread.for_a_person == [
        ForAPerson(
            3, "F-7-2026", "no barcode could be read, so it matches no item by itself; 2 parts of it could not be read",
            "Tea UPC 2198520005",
        )
    ]  # fmt: skip


def test_the_command_of_a_recall_is_the_same_from_any_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.jsonl"
    text = '{"recall_number": "F-7-2026", "product_description": "UPC 2000000000015", "code_info": "Lot A1"}'
    one.write_text('{"results": [{"product_description": "x"}, ' + text + "]}")
    two.write_text(text + "\n" + text)
    ids = [[p.id for p in read_recalls(path, CATALOGUE) if isinstance(p, Planned)] for path in (one, two)]
    assert ids[1] == ids[0] * 2
