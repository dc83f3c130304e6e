"""The operator's guide names every setting with its default, every metric, and only commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

import services.auditor.app
import services.auditor.witness_app
import services.inventory.app
import services.projections.app  # noqa: F401  # they register their metrics on import
from services.cli import app
from shared.settings import Settings

GUIDE = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
ROWS = {
    name: cells
    for line in GUIDE.splitlines() if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    for name in re.findall(r"`([^`]+)`", cells[0])
}  # fmt: skip
COMMANDS = [line.strip() for line in GUIDE.splitlines() if re.match("    +commons ", line)]


@pytest.mark.parametrize(("alias", "default"), [(f.alias, f.default) for f in Settings.model_fields.values()])
def test_every_setting_is_in_the_table_with_its_default(alias: str, default: object) -> None:
    assert alias in ROWS
    said = ROWS[alias][1]
    if default is None:
        assert "`" not in said.replace("`NATS_URL`", ""), f"{alias} has no default, the guide says {said}"
    else:
        assert said == f"`{default}`"
    assert ROWS[alias][2]


def test_no_variable_is_in_the_table_that_nothing_reads() -> None:
    known = {f.alias for f in Settings.model_fields.values()} | {"COMMONS_DATA", "COMMONS_KEYRINGS", "NATS_CA_FILE"}
    assert {name for name in ROWS if name.isupper()} == known


def test_every_metric_is_in_the_table() -> None:
    exposed = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in REGISTRY.collect() if family.name.startswith("commons_")
    }  # fmt: skip
    assert len(exposed) > 15
    assert {name for name in ROWS if name.startswith("commons_")} == exposed


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_and_takes_its_options(line: str) -> None:
    asked = CliRunner().invoke(app, [*shlex.split(line)[1:], "--help"])
    assert asked.exit_code == 0, asked.output
    assert "Usage" in asked.output


def test_the_commands_of_every_chapter_are_there() -> None:
    told = "\n".join(COMMANDS)
    for name in ("up", "status", "resume", "verify", "projections parked", "projections retry", "projections skip",
                 "projections rebuild", "show review", "send inventory ResolveStep"):  # fmt: skip
        assert f"commons {name}" in told
