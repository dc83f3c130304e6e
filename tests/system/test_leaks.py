"""After the demo's week no personal word of it stands in any byte that was stored, while what is in clear is found."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.demo import week
from services.demo.stage import Stage
from tests.support.leaks import leaks

DONORS = Path(week.__file__).parent / "samples" / "donors.csv"
CLEAR = "Marguerite Quillwort Hall"
"""A name in a field that is not personal: it is found, or the search would find nothing at all."""


def _personal() -> list[str]:
    with DONORS.open(newline="", encoding="utf-8") as file:
        return [
            row[name] for row in csv.DictReader(file) for name in ("name", "contact", "address", "note") if row[name]
        ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger that has lived through the demo's week, a copy of its keyrings in it, and was stopped."""
    folder = tmp_path_factory.mktemp("week")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NATS_URL", "DATABASE_URL", "COMMONS_MASTER_KEY", "COMMONS_MASTER_KEY_FILE", "COMMONS_KEYRING"):
            patch.delenv(name, raising=False)
        patch.setenv("COMMONS_DATA", "")  # the demo sets it; it is put back afterwards
        stage = Stage(folder, lambda arguments: CliRunner().invoke(app, arguments).exit_code)
        try:
            week.play(stage, tmp_path_factory.mktemp("samples"))
            stage.send("OpenLocation", "location=annexe", f"name={CLEAR}", "kind=store")
            stage.commons("keys", "backup", str(folder / "keys.copy"))
            stage.commons("keys", "rotate")
            stage.commons("keys", "erase", "inventory", "donor/donor-11", "--yes")
            stage.level()
            stage.commons("verify")
        finally:
            stage.stop()
    return folder


def test_no_name_stands_in_any_byte_that_the_week_stored(stored: Path) -> None:
    words = _personal()
    assert len(words) > 60
    found = leaks([*words, CLEAR], stored)
    assert {path.split("/")[1] for path in found.pop(CLEAR)} >= {"nats", "postgres"}
    assert found == {}


def test_the_master_key_stands_in_its_file_alone(stored: Path) -> None:
    lines = (stored / "ledger" / "keys" / "master.key").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert leaks([line.partition(":")[2]], stored) == {line.partition(":")[2]: {"ledger/keys/master.key"}}
