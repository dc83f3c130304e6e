"""The dashboard and the alarms as their files say: the queries, and the metrics that they name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "infra" / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "infra" / "grafana" / "dashboards" / "ledger.json").read_text())
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard, with the title of its panel."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def metrics(expression: str) -> set[str]:
    """The metrics that an expression names, without their label selectors."""
    bare = re.sub(r"\{[^}]*\}|\((?:\w+, )*\w+\)(?= \()|\[[^]]*\]", " ", expression)
    return set(re.findall(r"\b(?:commons|process)_\w+|\bup\b", bare))


def promtool(*arguments: str) -> str:
    """What promtool says; the test is skipped where it is not installed."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
