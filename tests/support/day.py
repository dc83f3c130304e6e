"""The demo's week on a ledger that runs, for a container of its own image: `python -c SOURCE pantry|clinic`.

The pantry, its tables and the fund are seen by the common desk, which may not see the clinic; the clinic's evening by
its own. NATS_URL and DATABASE_URL say where the ledger is, as for `commons`. Nothing is killed, and nobody is erased:
the days until then have to pass.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.main import get_command

from services.cli import app
from services.commands.door import UNREACHABLE
from services.demo import evening, fund, samples, table, week
from services.demo.stage import CONTRACTS, Stage
from shared.authority import EVERYBODY
from shared.rights import ADMINISTRATOR


class Elsewhere(Stage):
    """A stage for a ledger that somebody else runs."""

    def described(self) -> dict[str, Any]:
        return {"nats_url": os.environ["NATS_URL"], "database_url": os.environ["DATABASE_URL"]}


LOOKS = ("show", "status", "projections", "verify")


def run(arguments: list[str]) -> int:
    """Run a command; one that only looks is tried again when a busy machine did not let it connect in time."""
    code = 0
    for _ in range(5 if arguments[0] in LOOKS else 1):
        code = 0
        with contextlib.suppress(SystemExit):
            code = int(get_command(app).main(arguments, "commons", standalone_mode=False) or 0)
        if code != UNREACHABLE:
            break
    return code


def admit(stage: Stage) -> None:
    """Let everybody act in every role, as they do on the ledger of `commons up`."""
    found = {role for one in stage.contracts if one.rights is not None for role in one.rights.roles}
    stage.commons("actors", "grant", "noor", ADMINISTRATOR, "--as", "noor")
    stage.commons("actors", "grant", EVERYBODY, *sorted(found - {ADMINISTRATOR}), "--as", "noor")


def main(which: str) -> None:
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        stage = Elsewhere(Path(folder), run)
        if which == "clinic":
            for step in (
                evening.staff, evening.walk_in, evening.allergies_first, evening.order, evening.note, evening.recall,
            ):  # fmt: skip
                step(stage)
            stage.commons("verify")
        else:
            stage.contracts = tuple(one for one in CONTRACTS if one.service != "clinic")
            admit(stage)
            files = samples.write(Path(folder) / "samples", now.date())
            week.monday(stage, files)
            for day in (week.tuesday, week.wednesday):
                day(stage)
            week.thursday(stage, files)
            table.show(stage, now)
            fund.show(stage, Path(folder) / "fund", now.date())
            stage.commons("projections", "rebuild", "stock_on_hand")
        stage.commons("status")


if __name__ == "__main__":
    main(sys.argv[1])
