"""Distribution's files on a running ledger: households in."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.demo import samples
from tests.integration.commands.conftest import Commons

SAMPLES = Path(samples.__file__).parent / "samples"


@pytest.mark.parametrize(("file", "households"), [("households.csv", 8), ("people.csv", 4)])
def test_households_come_in_once_whatever_the_layout(commons: Commons, file: str, households: int) -> None:
    def imported(*options: str) -> tuple[int, int, int]:
        done = commons("import", "households", str(SAMPLES / file), "--on", "2026-01-15", "--json", *options)
        assert (done.code, done.json["refused"]) == (0, 0), done
        return done.json["valid"], done.json["new"], done.json["unchanged"]

    assert imported("--dry-run") == (households, 0, 0)
    assert imported() == (0, households, 0)
    assert imported() == (0, 0, households)


def test_a_household_with_other_facts_is_refused_with_its_line_and_the_others_stay(
    commons: Commons, tmp_path: Path
) -> None:
    file = tmp_path / "more.csv"
    file.write_text("household,size,name\nx-1,2,Ana\nx-2,400,Bo\n")
    assert commons("import", "households", str(file), "--json").code == 1
    file.write_text("household,size,name\nx-1,3,Ana\nx-2,4,Bo\n")
    done = commons("import", "households", str(file), "--json")
    assert (done.code, done.json["new"], done.json["refused"]) == (1, 1, 1)
    (refused,) = done.json["refusals"]
    assert (refused["line"], refused["what"]) == (2, "household x-1")
    assert "size" in refused["reason"] and "Ana" not in done.out
