"""Charts go out as bulk data: every line a valid resource, every file whole or not there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.commands.common import Operator
from services.commands.door import Usage
from services.commands.exporting_fhir import write_charts
from services.fhir.charts import Forbidden
from services.fhir.entry import Entry
from services.fhir.models import check
from services.fhir.practitioner import practitioner
from services.imports.fhir.run import run
from shared.errors import Corrupt
from tests.support.charts import charts, entry


async def each(entries: list[Entry]) -> AsyncIterator[Entry]:
    for one in entries:
        yield one


async def test_every_type_has_a_file_of_valid_lines_and_the_figures_say_what_is_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden, erased = entry("allergy", "a-9"), replace(entry("patient", "p-9"), erased=True)
    done = await write_charts(Operator(), tmp_path / "out", each([*charts(), hidden, erased]))
    lines = {file.stem: file.read_text().splitlines() for file in (tmp_path / "out").iterdir()}
    assert {name: len(found) for name, found in lines.items()} == dict(done.resources)
    assert len(lines["Observation"]) == 3 and len(lines["AllergyIntolerance"]) == 2 and len(lines) == 11
    for name, found in lines.items():
        for line in found:
            check(json.loads(line))
            assert json.loads(line)["resourceType"] == name
    assert "left out: 1 erased, 1 not shown." in capsys.readouterr().out


async def test_what_went_out_is_taken_in_elsewhere(tmp_path: Path) -> None:
    await write_charts(Operator(as_json=True), tmp_path / "out", each(charts()))
    report = await run(sorted((tmp_path / "out").iterdir()), "us", None, dry_run=True)  # type: ignore[arg-type]
    assert report.ok and report.adds_up, report.as_text()
    taken = {name: one.taken for name, one in report.types.items() if one.taken}
    assert taken == {
        "AllergyIntolerance": 2, "Condition": 1, "Encounter": 1, "Immunization": 1, "MedicationRequest": 1,
        "Observation": 3, "Patient": 4,
    }  # fmt: skip


async def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(Usage):
        await write_charts(Operator(), tmp_path, each(charts()))
    with pytest.raises(Usage):
        await write_charts(Operator(), tmp_path / "mine.txt", each(charts()))
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_who_works_there_no_more_goes_out_as_inactive() -> None:
    for active in (True, False):
        assert practitioner(entry("practitioner", "dr-x", "Dr", active=active))["active"] is active


async def test_nothing_is_left_of_an_export_that_failed(tmp_path: Path) -> None:
    wrong = entry("practitioner", "dr-x", "Dr", licence={"title": 5})
    with pytest.raises(Corrupt, match="dr-x"):
        await write_charts(Operator(), tmp_path / "out", each([*charts(), wrong]))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with pytest.raises(Corrupt, match="dr-x"):
        await write_charts(Operator(), tmp_path / "mine", each([*charts(), wrong]))
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"] and list((tmp_path / "mine").iterdir()) == []


async def test_nothing_is_left_of_an_export_that_is_refused(tmp_path: Path) -> None:
    async def refused() -> AsyncIterator[Entry]:
        raise Forbidden("rui sees no charts.")
        yield

    with pytest.raises(Forbidden):
        await write_charts(Operator(), tmp_path / "out", refused())
    assert list(tmp_path.iterdir()) == []
