"""A chart of accounts comes from one file: accounts before funds, each row once, and nothing guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.demo import samples
from services.imports.chart import Opening, read_chart
from services.imports.plan import Lines, Planned
from services.treasury.contract import treasury

OPENING = Opening("Weaver Street House", "EUR", "2025-12-21")


def read(tmp_path: Path, text: str, **options: Any) -> Lines:
    path = tmp_path / "chart.csv"
    path.write_text(text)
    return Lines.of(read_chart(path, "house", 2, **options))


def test_the_sample_is_a_whole_chart_of_an_organisation_with_restricted_funds() -> None:
    path = Path(samples.__file__).parent / "samples" / "chart.csv"
    got = Lines.of(read_chart(path, "house", 2, OPENING))
    assert not got.refused
    made = [treasury.parse(one.command, one.data) for one in got.planned]
    names = [one.command for one in got.planned]
    assert names == sorted(names, key=["OpenBook", "RegisterUnit", "OpenAccount", "OpenFund"].index)
    accounts = {one.account: one for one in made if type(one).__name__ == "OpenAccount"}
    funds = {one.fund: one for one in made if type(one).__name__ == "OpenFund"}
    assert 33 <= len(accounts) <= 40
    assert {one.kind for one in accounts.values()} == {"asset", "liability", "net_assets", "income", "expense"}
    assert {fund.restriction for fund in funds.values()} == {"none", "purpose", "time"}
    assert funds["clinic"].advance == 50000
    assert all({fund.net_assets, *fund.pays_for} <= accounts.keys() for fund in funds.values())
    assert all((one.function is not None) == (one.kind == "expense") for one in accounts.values())


def test_a_row_s_command_id_depends_on_what_it_says_alone(tmp_path: Path) -> None:
    one = read(tmp_path, "id,name,kind\nbank,Bank,asset\ncash,Cash,asset\n").planned
    two = read(tmp_path, "kind;name;id\nasset;Cash;cash\nasset;Bank;bank\n").planned
    assert {planned.id for planned in one} == {planned.id for planned in two}
    assert read(tmp_path, "id,name,kind\nbank,The bank,asset\n").planned[0].id not in {planned.id for planned in one}


def test_a_book_is_opened_before_anything_in_it(tmp_path: Path) -> None:
    got = read(tmp_path, "id,name,kind\nbank,Bank,asset\n", opening=OPENING).planned
    assert [one.command for one in got] == ["OpenBook", "OpenAccount"]
    assert got[0].data == {"book": "house", "name": "Weaver Street House", "unit": "EUR", "starts": "2025-12-21"}
    assert isinstance(got[0], Planned) and treasury.parse("OpenBook", got[0].data)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("bank,Bank,assets,,,,", "the kind 'assets' is none of asset, liability"),
        ("food,Food,expense,,,,", "an expense account needs its function"),
        ("food,Food,expense,cooking,,,", "the function 'cooking' is none of"),
        ("bank,Bank,asset,,maybe,,", "neither yes nor no"),
        ("bank account,Bank,asset,,,,", "the id 'bank account' may have letters"),
        ("youth,Youth,fund,,,,", "a fund needs net_assets"),
        ("youth,Youth,fund,,,net-assets,\"1,000\"", "two ways"),
        ("bank,Bank,asset,,,net-assets,", "net_assets says nothing of a row whose kind is asset"),
        ("youth,Youth,fund,program,,net-assets,", "function says nothing of a row whose kind is fund"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    got = read(tmp_path, f"id,name,kind,function,guarded,net_assets,advance\n{row}\ncash,Cash,asset,,,,\n")
    assert [one.line for one in got.refused] == [2] and said in got.refused[0].reason
    assert len(got.planned) == 1


def test_the_same_account_on_two_lines_is_refused(tmp_path: Path) -> None:
    got = read(tmp_path, "id,name,kind\nbank,Bank,asset\nbank,Bank 2,asset\n")
    assert got.refused[0].reason == "bank stands on line 2 already" and len(got.planned) == 1
