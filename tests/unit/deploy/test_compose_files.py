"""The cluster's file beside docker-compose.yml: whoever talks to NATS is told of all servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from services.deploy.secrets import CLUSTER

ROOT = Path(__file__).parents[3]


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


ONE = read("docker-compose.yml")
CLUSTERED = read("infra/compose.cluster.yml")


def test_every_process_knows_all_servers_of_the_cluster() -> None:
    talking = {name for name, one in ONE["services"].items() if "NATS_URL" in one.get("environment", {})}
    assert len(talking) > 8
    for name in talking:
        told = CLUSTERED["services"][name]["environment"]
        assert [url.partition("://")[2] for url in told["NATS_URL"].split(",")] == [f"{one}:4222" for one in CLUSTER]
        assert told["NATS_MONITORING_URL"] == ",".join(f"http://{one}:8222" for one in CLUSTER)


def test_each_server_of_the_cluster_has_a_store_and_a_name_of_its_own() -> None:
    """And none that of the server by itself, whose streams a cluster would remove."""
    stores = [mount.partition(":")[0] for one in CLUSTER for mount in CLUSTERED["services"][one]["volumes"]
              if mount.endswith(":/data")]  # fmt: skip
    assert len(set(stores)) == 3 and not set(stores) & set(ONE["volumes"])
    names = {CLUSTERED["services"][one]["environment"]["NATS_SERVER_NAME"] for one in CLUSTER}
    assert len(names) == 3
