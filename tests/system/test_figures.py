"""What the dashboard and the alarms ask for is what running processes tell, and Prometheus can ask for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.local.process import free_port
from tests.support.figures import ALERTS, PROMETHEUS, metrics, queries
from tests.system.conftest import Ledger

NOT_HERE = {"commons_witness_answers_total", "commons_nats_certificate_seconds"}
"""Told by a witness, which `commons up` does not run, and of a server that speaks TLS, which its own does not."""


@pytest.fixture(scope="module")
def used(ledger: Ledger) -> Ledger:
    """One that has answered a command, and refused one: some figures begin then."""
    opening = ("send", "inventory", "OpenLocation", "--name", "Store", "--kind", "store", "--location")
    ledger.typed(*opening, "store")
    ledger.typed("send", "inventory", "CloseLocation", "--location", "nowhere", code=1)
    ledger.until_well()
    return ledger


def told(url: str) -> set[str]:
    """The names of the metrics that a process exposes."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}


def processes(ledger: Ledger) -> dict[str, str]:
    """Where each process of the ledger answers."""
    return {name: one["http_url"] for name, one in ledger.described()["services"].items()}


def test_every_metric_that_is_asked_for_is_told(used: Ledger) -> None:
    exposed = set[str]().union(*(told(url) for url in processes(used).values()), {"up"}, NOT_HERE)
    asked = [*queries(), *((rule["alert"], rule["expr"]) for rule in ALERTS)]
    for where, expression in asked:
        named = metrics(expression)
        assert named or "ALERTS" in expression, where
        assert named <= exposed, f"{where}: {named - exposed}"


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_prometheus_answers_every_query_of_a_running_ledger(used: Ledger, tmp_path: Path) -> None:
    found = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    jobs = [{"job_name": name, "static_configs": [{"targets": [urllib.parse.urlsplit(url).netloc]}]}
            for name, url in processes(used).items()]  # fmt: skip
    rules = [str(PROMETHEUS / "alerts.yml")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"global": found, "rule_files": rules,
                                                             "scrape_configs": jobs}))  # fmt: skip
    at = f"127.0.0.1:{free_port()}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
             f"--web.listen-address={at}"], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 180
        waiting = dict.fromkeys(queries())
        while waiting:
            assert process.poll() is None and time.monotonic() < deadline, (waiting, (tmp_path / "log").read_text())
            for where, query in list(waiting):
                if ask(at, query):
                    del waiting[where, query]
            time.sleep(0.2)
        raised = {one["metric"]["alertname"] for one in ask(at, 'ALERTS{alertstate="firing"}')}
        assert not raised
    finally:
        process.terminate()
        process.wait(20)


def ask(at: str, query: str) -> list[dict[str, Any]]:
    """The samples that a query gives; none while Prometheus starts."""
    try:
        with urllib.request.urlopen(f"http://{at}/api/v1/query?query={urllib.parse.quote(query)}", timeout=10) as told:
            samples: list[dict[str, Any]] = json.load(told)["data"]["result"]
            return samples
    except OSError:
        return []
