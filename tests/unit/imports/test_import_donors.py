"""Donors come out of a CSV file; what cannot be one is refused, and no command id is made of a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.imports.donors import read_donors
from services.imports.plan import Lines
from services.inventory.contract import RegisterDonor, inventory
from shared.errors import Invalid


def read(tmp_path: Path, *lines: str, header: str = "donor,name,kind,contact") -> Lines:
    file = tmp_path / "donors.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return Lines.of(read_donors(file))


def test_a_line_becomes_a_command_that_the_contract_accepts(tmp_path: Path) -> None:
    (planned,) = read(tmp_path, "d-1,Wychbury Allotments,Allotment  Society,").planned
    assert inventory.parse(planned.command, planned.data) == RegisterDonor(
        donor="d-1", name="Wychbury Allotments", kind="allotment-society"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",Ana,,", "is not an id"),
        ("Ana Ruiz,Ana,,", "is not an id"),
        ("d-1,,,", "the name is empty"),
        ("d-1,Ana", "has 2 cells"),
    ],
)
def test_what_cannot_be_a_donor_is_refused_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path, line)
    assert not found.planned
    assert reason in found.refused[0].reason


def test_the_same_donor_twice_is_one_and_another_under_the_same_id_is_refused(tmp_path: Path) -> None:
    found = read(tmp_path, "d-1,Ana,,", "d-1,Ana,,", "d-1,Bo,,")
    assert [p.data["name"] for p in found.planned] == ["Ana"]
    assert "already on line 2" in found.refused[0].reason
    assert "Bo" not in found.refused[0].reason


def test_a_command_s_id_tells_nothing_of_the_name(tmp_path: Path) -> None:
    ids = {read(tmp_path, f"d-1,{name},,").planned[0].id for name in ("Ana", "Bo")}
    assert len(ids) == 1


def test_a_file_without_names_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="lacks the columns name"):
        read(tmp_path, "d-1", header="donor")
