"""After the demo's week no personal word of it stands in any byte that was stored, while what is in clear is found."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.demo import week
from services.demo.fund import MEMBERS
from services.demo.stage import Stage
from shared import erasure
from shared.connection import connect
from shared.standings import standings
from tests.support.leaks import leaks

SAMPLES = Path(week.__file__).parent / "samples"
CLEAR = "Marguerite Quillwort Hall"
"""A name in a field that is not personal: it is found, or the search would find nothing at all."""


def _rows(name: str, delimiter: str = ",") -> list[dict[str, str]]:
    with (SAMPLES / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _personal() -> list[str]:
    """What is personal of donors, households and parties; of a household's members also the names in parts."""
    donors = [row[name] for row in _rows("donors.csv") for name in ("name", "contact", "address", "note")]
    words = [row[name] for row in _rows("households.csv") for name in ("Name", "Phone", "Eligibility")]
    people = _rows("people.csv", ";")
    words += [row["Address"] for row in people] + [f"{row['First name']} {row['Last name']}" for row in people]
    words += [name for _, name in MEMBERS]
    return sorted({word for word in words if len(word) > 8} | set(filter(None, donors)))


def _erase(stage: Stage, service: str, person: str) -> None:
    """Two people erase somebody, and the service has acknowledged it."""
    of = (person, "--service", service)
    stage.commons("erase", *of, "--reason", "asked in writing", "--as", "sam")
    stage.commons("erase", *of, "--approve", "--as", "kim")

    async def acknowledged() -> None:
        nc = await connect(stage.described()["nats_url"], name="test")
        try:
            async with asyncio.timeout(10):
                while (await standings(nc, service))[f"household/{person}"].stage is not erasure.Stage.ERASED:
                    await asyncio.sleep(0.05)
        finally:
            await nc.close()

    asyncio.run(acknowledged())


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger that has lived through the demo's week, a copy of its keyrings in it, and was stopped."""
    folder = tmp_path_factory.mktemp("week")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NATS_URL", "DATABASE_URL", "COMMONS_MASTER_KEY", "COMMONS_MASTER_KEY_FILE", "COMMONS_KEYRING"):
            patch.delenv(name, raising=False)
        patch.setenv("COMMONS_DATA", "")  # the demo sets it; it is put back afterwards
        patch.setenv("COMMONS_ERASURE_DELAY_DAYS", "0")
        stage = Stage(folder, lambda arguments: CliRunner().invoke(app, arguments).exit_code)
        try:
            week.play(stage, tmp_path_factory.mktemp("samples"))
            stage.send("OpenLocation", "location=annexe", f"name={CLEAR}", "kind=store")
            for file in ("households.csv", "people.csv"):
                stage.commons("import", "households", str(SAMPLES / file), "--on", "2026-01-15")
            stage.commons("keys", "backup", str(folder / "keys.copy"))
            _erase(stage, "distribution", "h-101")
            stage.commons("keys", "rotate")
            stage.commons("keys", "erase", "inventory", "donor/donor-11", "--yes")
            stage.level()
            stage.commons("verify")
        finally:
            stage.stop()
    return folder


def test_no_name_stands_in_any_byte_that_the_week_stored(stored: Path) -> None:
    words = _personal()
    assert len(words) > 90
    found = leaks([*words, CLEAR], stored)
    assert {path.split("/")[1] for path in found.pop(CLEAR)} >= {"nats", "postgres"}
    assert found == {}


def test_the_master_key_stands_in_its_file_alone(stored: Path) -> None:
    lines = (stored / "ledger" / "keys" / "master.key").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert leaks([line.partition(":")[2]], stored) == {line.partition(":")[2]: {"ledger/keys/master.key"}}
