"""The sample files are of the real formats, fit the contract in full, and show what the demo tells."""

from __future__ import annotations

import csv
import dataclasses
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from services.demo import samples
from services.distribution.contract import distribution
from services.imports import gtin
from services.imports.books import Units
from services.imports.catalogue import Catalogue
from services.imports.entries import PlannedEntry, read_entries
from services.imports.households import Form, read_households
from services.imports.items import read_items
from services.imports.opencollective import AccountsMap, read_opencollective
from services.imports.plan import Lines
from services.imports.recalls import read_recalls
from services.imports.receipts import read_receipts
from services.imports.statement import complete
from services.imports.statement_csv import Layout, read_csv_statement
from services.imports.statement_ofx import read_ofx_statement
from services.inventory.contract import inventory
from services.treasury.units import decimals_of

TODAY = date(2027, 2, 27)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> samples.Samples:
    return samples.write(tmp_path_factory.mktemp("samples"), TODAY)


@pytest.fixture(scope="module")
def items(files: samples.Samples) -> Lines:
    return Lines.of([*read_items(files.items), *read_items(files.products)])


@pytest.fixture(scope="module")
def catalogue(items: Lines) -> Catalogue:
    return Catalogue.of(planned.data for planned in items.planned)


def test_the_catalogue_has_some_sixty_items_of_every_kind(items: Lines) -> None:
    assert not items.refused
    facts = [inventory.parse(p.command, p.data) for p in items.planned]
    assert 55 <= len(facts) <= 70
    assert len({f.item for f in facts}) == len(facts)
    assert {f.storage for f in facts} == {"ambient", "chilled", "frozen"}
    assert {f.unit for f in facts} == {"each", "g", "ml"}
    assert sum(f.medicine for f in facts) >= 4
    assert any(f.infant_formula for f in facts)
    assert any(f.allergens is None for f in facts)
    assert not any(f.controlled for f in facts)


def test_every_barcode_is_in_a_range_that_names_nobody_s_product(items: Lines) -> None:
    numbers = [p.data["gtin"] for p in items.planned if "gtin" in p.data]
    assert len(numbers) > 40
    assert all(gtin.check_digit_holds(n) and gtin.normal(n)[1:3] in ("04", "20") for n in numbers)


def test_donors_are_opaque_and_each_delivery_names_one_of_them(files: samples.Samples) -> None:
    with files.donors.open(newline="") as file:
        donors = {row["donor"]: row["kind"] for row in csv.DictReader(file)}
    assert len(donors) == 20
    assert all(re.fullmatch(r"donor-\d\d", donor) for donor in donors)
    with files.receipts.open(newline="") as file:
        assert {row["donor"] for row in csv.DictReader(file)} - {""} <= donors.keys()


def test_every_delivery_is_read_and_lies_before_the_week(files: samples.Samples, catalogue: Catalogue) -> None:
    got = Lines.of(read_receipts(files.receipts, catalogue))
    assert not got.refused
    receipts = [inventory.parse(p.command, p.data) for p in got.planned]
    first = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    assert all(first - timedelta(days=12) < r.occurred_at < first for r in receipts)
    lines = [line for r in receipts for line in r.lines]
    assert len(lines) > 100
    assert sum(line.lot is None for line in lines) > 20
    assert sum(line.date is None for line in lines) > 20
    assert {r.location for r in receipts} <= {place["location"] for place in samples.LOCATIONS}
    medicines = {"paracetamol-500mg-16", "amoxicillin-500mg-21"}
    assert {r.location for r in receipts if r.item in medicines} == {"clinic"}


def test_the_notices_recall_a_lot_on_the_shelf_and_leave_the_rest_to_a_person(
    files: samples.Samples, catalogue: Catalogue
) -> None:
    got = Lines.of(read_recalls(files.recalls, catalogue))
    assert not got.refused
    recalls = {p.data["item"]: inventory.parse(p.command, p.data) for p in got.planned}
    assert recalls["peanut-butter-340g"].scope.lots == ("PB4471",)
    oats = recalls["oats-1kg"].scope
    assert (oats.first_date, oats.last_date) == (TODAY + timedelta(50), TODAY + timedelta(62))
    assert recalls.keys() == {"peanut-butter-340g", "oats-1kg"}
    assert {q.what for q in got.for_a_person} == {"F-9002-2026", "F-9003-2026"}
    on_shelf = Lines.of(read_receipts(files.receipts, catalogue)).planned
    held = [line for p in on_shelf if p.data["item"] == "peanut-butter-340g" for line in p.data["lines"]]
    assert sum(line["quantity"] for line in held if line.get("lot") == "PB4471") == 36
    dates = [line.get("date") for p in on_shelf if p.data["item"] == "oats-1kg" for line in p.data["lines"]]
    assert (TODAY + timedelta(58)).isoformat() in dates


def test_the_locations_fit_the_contract() -> None:
    assert len([inventory.parse("OpenLocation", place) for place in samples.LOCATIONS]) == 6


@pytest.mark.parametrize("today", [date(2026, 1, 15), date(2026, 2, 28), date(2028, 2, 29), date(2030, 12, 31)])
def test_any_day_gives_the_same_story_and_always_the_same_files(tmp_path: Path, today: date) -> None:
    one, two = samples.write(tmp_path / "one", today), samples.write(tmp_path / "two", today)
    for name in (field.name for field in dataclasses.fields(samples.Samples)):
        assert getattr(one, name).read_bytes() == getattr(two, name).read_bytes()
    catalogue = Catalogue.of(p.data for p in Lines.of([*read_items(one.items), *read_items(one.products)]).planned)
    assert not Lines.of(read_receipts(one.receipts, catalogue)).refused
    recalls = Lines.of(read_recalls(one.recalls, catalogue))
    assert (len(recalls.planned), len(recalls.for_a_person)) == (2, 4)


@pytest.mark.parametrize("today", [date(2026, 1, 15), date(2026, 3, 1), date(2028, 2, 29), date(2030, 12, 31)])
def test_the_treasury_s_files_tell_one_story_whatever_the_day(tmp_path: Path, today: date) -> None:
    files = samples.write(tmp_path, today)
    last = today + timedelta(days=6)
    ofx = read_ofx_statement(files.statement_ofx, files.statement_ofx.read_bytes(), decimals_of)
    german = read_csv_statement(files.statement_csv, files.statement_csv.read_bytes(), decimals_of, "EUR", Layout())
    for statement in (ofx, german):
        assert complete(statement, None, None) == []
        assert (statement.starts, statement.ends) == (today - timedelta(days=24), last)
    units = Units.of_currency("house", "EUR")
    entries = [one.data for one in read_entries(files.entries, units) if isinstance(one, PlannedEntry)]
    assert len(entries) == 15 and all(entry["date"] < today.isoformat() for entry in entries)
    booked = [
        sign * posting["amount"]
        for entry in entries
        for sign, side in ((1, "debits"), (-1, "credits"))
        for posting in entry[side]
        if posting["account"] == "bank"
    ]
    before = [line.amount for line in ofx.lines if line.date < today]
    assert sorted(booked) == sorted([243150, 32000, *before])
    accounts = AccountsMap.read(files.opencollective_accounts)
    collective = list(read_opencollective(files.opencollective, units, accounts))
    assert sum(isinstance(one, PlannedEntry) for one in collective) == 20


def test_the_households_are_of_two_layouts_and_fit_the_contract(files: samples.Samples) -> None:
    for file, sizes in ((files.households, [4, 1, 6, 2, 3, 1, 5, 2]), (files.people, [3, 1, 2, 4])):
        found = Lines.of(read_households(file, Form(TODAY)))
        assert not found.refused and not found.for_a_person
        assert [distribution.parse(one.command, one.data).size for one in found.planned] == sizes


def test_on_the_base_day_the_files_are_written_as_they_stand(tmp_path: Path) -> None:
    written = samples.write(tmp_path, samples.BASE)
    for path in (getattr(written, field.name) for field in dataclasses.fields(samples.Samples)):
        assert path.read_bytes() == (Path(samples.__file__).parent / "samples" / path.name).read_bytes()
