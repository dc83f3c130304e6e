"""`commons import fhir` says what it needs before it reads anything, and one thing of a file that it cannot read."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from services.cli import app


def imported(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", "fhir", *arguments], env={"COLUMNS": "200"})


def test_whose_ids_they_are_must_be_said(tmp_path: Path) -> None:
    file = tmp_path / "file.ndjson"
    file.write_text('{"resourceType":"Patient","id":"1"}\n')
    result = imported(str(file), "--dry-run")
    assert result.exit_code == 2 and "--from" in result.output
    assert imported(str(file), "--dry-run", "--from", "County").exit_code == 0


def test_a_file_that_is_no_text_and_a_bundle_that_breaks_off_are_one_error_each(tmp_path: Path) -> None:
    for name, content, why in (
        ("scan.ndjson", b"\x89PNG\r\n\x1a\n" + b"\n\xff\x00" * 500, "line 1, byte 1: the file is not UTF-8 text"),
        ("cut.json", b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"', "breaks off"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        result = imported(str(file), "--dry-run", "--from", "County")
        assert result.exit_code != 0 and result.output.count(name) == 1, result.output
        assert why in result.output and "Nothing was sent." in result.output
