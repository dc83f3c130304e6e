"""The dashboard and the alarms hold together: every alarm is explained and tested, every query can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.support.figures import ALERTS, DASHBOARD, PROMETHEUS, ROOT, panels, promtool, queries

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
GRAFANA = ROOT / "infra" / "grafana" / "provisioning"


def test_every_alarm_is_explained_and_nothing_else_is() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names) > 20
    assert sorted(re.findall(r"^### (\w+)$", (ROOT / "docs" / "alarms.md").read_text(), re.MULTILINE)) == sorted(names)
    for rule in ALERTS:
        assert rule["annotations"]["runbook_url"] == f"docs/alarms.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"] and rule["labels"]["severity"] in ("critical", "warning", "info")


def test_every_alarm_has_a_history_that_raises_it_and_one_that_does_not() -> None:
    tests = [one["name"] for one in yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]]
    assert sorted(tests) == sorted(
        f"{rule['alert']} {how}" for rule in ALERTS for how in ("is raised", "stays quiet")
    )  # fmt: skip
    promtool("test", "rules", str(PROMETHEUS / "alerts.test.yml"))


def test_prometheus_takes_its_configuration_and_looks_for_processes_of_the_deployment() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]}
    answering = {name for name, one in COMPOSE.items() if "profiles" not in one and "healthcheck" not in one}
    assert jobs == answering | {"witness", "prometheus"}
    missed = next(rule["expr"] for rule in ALERTS if rule["alert"] == "ProcessMissing")
    assert set(re.findall(r'job="([\w-]+)"', missed)) == jobs - {"prometheus"}
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": query} for n, (_, query) in enumerate(queries())]
    assert len(rules) > 40
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "rules.json"))


def test_the_dashboard_asks_the_source_that_is_provisioned_and_its_panels_stand_side_by_side() -> None:
    source = yaml.safe_load((GRAFANA / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_is_published_is_published_to_this_machine_and_guarded(name: str) -> None:
    one = COMPOSE[name]
    assert one["profiles"] == ["observability"]
    assert all(port.startswith("127.0.0.1:") for port in one["ports"])
    assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["mem_limit"] and not one["user"].startswith("0")


def test_grafana_reaches_prometheus_alone_and_asks_who_comes() -> None:
    beside = {name for name, one in COMPOSE.items() if "figures" in one.get("networks", ())}
    assert COMPOSE["grafana"]["networks"] == ["figures"] and beside == {"grafana", "prometheus"}
    assert COMPOSE["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
