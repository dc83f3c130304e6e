"""A whole ledger as `commons up` runs it, and a way to run `commons` on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app

START_SECONDS = 90
STOP_SECONDS = 30
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Commons:
    """`commons` on one ledger."""

    data: Path

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> Done:
        result = CliRunner().invoke(app, [*arguments, "--data", str(self.data)], input=stdin)
        assert "Traceback" not in result.output, result.output
        return Done(result.exit_code, result.stdout, result.stderr)

    def send(self, command: str, *arguments: str) -> Any:
        """Send a command that must be taken, and give the answer."""
        done = self("send", "inventory", command, *arguments, "--json")
        assert done.code == 0, done
        return done.json

    def last(self, stream: str = "INVENTORY") -> int:
        """The last sequence of a stream. Distribution's grows by itself when inventory's catalogue does."""
        streams = {one["name"]: one for one in self("status", "--json").json["streams"]}
        return int(streams[stream]["last_sequence"])

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The same as a process of its own, for what only a process can show."""
        command = [sys.executable, "-m", "services.cli", *arguments, "--data", str(self.data)]
        return subprocess.Popen(
            command, cwd=ROOT, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )

    @property
    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "commons.json").read_text())
        return found


def clean() -> dict[str, str]:
    """The environment without what would lead `commons` to other servers."""
    return {k: v for k, v in os.environ.items() if k not in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA")}


@contextmanager
def running(folder: Path) -> Iterator[Commons]:
    """A ledger in a folder, from `commons up` until Ctrl-C."""
    log = folder / "up.log"
    data = folder / "data"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "up", "--data", str(data)],
            cwd=ROOT, env=clean(), stdout=output, stderr=output,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while "The ledger runs" not in log.read_text():
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Commons(data)
    finally:
        if up.poll() is None:
            up.send_signal(signal.SIGINT)
            try:
                up.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                up.kill()
                up.wait()


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="package")
def commons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commons]:
    """One ledger for all tests of this folder, with a store and an item in it: tests use items of their own."""
    with running(tmp_path_factory.mktemp("commons")) as found:
        found.send("OpenLocation", "--location", "main", "--name", "Main store", "--kind", "store")
        found.send(
            "RegisterItem", "--item", "rice", "--name", "Rice 1 kg", "--unit", "each", "--gtin", "4006381333931",
            "--net-weight", "1000", "--packs", '{"name": "case of 12", "quantity": 12, "gtin": "14006381333938"}',
            "--wait", "catalogue",
        )  # fmt: skip
        yield found
