"""The whole ledger as an operator runs it: `commons up` in a process of its own, on a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from tests.support import compose, faults

ROOT = Path(__file__).parents[2]
COMMONS = [sys.executable, "-m", "services.cli"]
START_SECONDS = 60
STOP_SECONDS = 60
RECOVERIES = ROOT / "build" / "faults.json"


@dataclass
class Ledger:
    """A running `commons up`, its folder, and a shell to type into."""

    data: Path
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        log = self.data.parent / f"up-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*COMMONS, "up", "--data", str(self.data)], stdout=out, stderr=out, cwd=ROOT, env=self.environment
            )
        deadline = time.monotonic() + START_SECONDS
        while "The ledger runs" not in log.read_text(errors="replace"):
            assert self.process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def described(self) -> dict[str, Any]:
        """What `commons up` says of itself: addresses and process ids."""
        found: dict[str, Any] = json.loads((self.data / "commons.json").read_text())
        return found

    def commons(self, *arguments: str, code: int = 0) -> str:
        """Run a command as a process; its output, once its exit code was as expected."""
        done = subprocess.run(
            [*COMMONS, *arguments], cwd=ROOT, env=self.environment, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        )
        return done.stdout.decode() + done.stderr.decode()

    def typed(self, *arguments: str, code: int | None = 0) -> str:
        """The same in this process: the hundreds of processes of a whole page would take minutes to start."""
        elsewhere: dict[str, str | None] = dict.fromkeys(("NATS_URL", "DATABASE_URL", "NATS_MONITORING_URL"))
        here = {name: self.environment[name] for name in ("COMMONS_DATA", "COLUMNS")}
        with contextlib.chdir(ROOT):
            done = CliRunner(env=elsewhere | here).invoke(app, list(arguments))
        assert code is None or done.exit_code == code, f"{arguments}: {done.exit_code}\n{done.output}"
        return done.output

    def until(self, *arguments: str, shows: str) -> None:
        """Type a command again and again until its output has a text: what follows from an event by itself."""
        deadline = time.monotonic() + START_SECONDS
        while shows not in (output := self.typed(*arguments)):
            assert time.monotonic() < deadline, output
            time.sleep(0.05)

    def until_well(self) -> None:
        """Wait until `commons status` finds nothing wrong and every read model is level."""
        deadline = time.monotonic() + START_SECONDS
        while not json.loads((output := self.typed("status", "--json", code=None)).splitlines()[-1])["ok"]:
            assert time.monotonic() < deadline, output
            time.sleep(0.05)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    data = tmp_path_factory.mktemp("ledger") / "data"
    kept = {k: v for k, v in os.environ.items() if k not in ("NATS_URL", "DATABASE_URL", "NATS_MONITORING_URL")}
    running = Ledger(data, environment=kept | {"COMMONS_DATA": str(data), "COLUMNS": "200"})
    running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[compose.Stack]:
    """docker-compose.yml as it is, up and healthy; skipped where containers cannot be had."""
    try:
        compose.engine().close()
        compose.compose()
    except compose.NoEngine as missing:
        pytest.skip(str(missing))
    with compose.stack(tmp_path_factory.mktemp("secrets")) as one:
        yield one


_recovered = pytest.StashKey[list[faults.Recovery]]()


@pytest.fixture(scope="session")
def recoveries(request: pytest.FixtureRequest) -> Iterator[list[faults.Recovery]]:
    """What was seen of each fault; shown at the end of the run, and kept in build/faults.json."""
    seen: list[faults.Recovery] = []
    request.config.stash[_recovered] = seen
    yield seen
    if seen:
        faults.keep(seen, RECOVERIES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The recoveries, whether or not output is captured."""
    if seen := config.stash.get(_recovered, None):
        terminalreporter.section("time to recover")
        terminalreporter.write_line(faults.table(seen))
