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


PROCESSES = ("inventory", "distribution", "treasury", "projections")
CLINICS = ("clinic", "clinic-projections", "fhir", "clinic-operator", "clinic-keeper")
HOLD = {
    "issuer": {"operator", "clinic-operator", "keeper"},
    "actors": {"inventory", "distribution", "treasury", "clinic", "operator", "clinic-operator", "keeper"},
    "keys": {*PROCESSES, "operator", "keeper"},
    "clinic-keys": set(CLINICS),
    "clinic-keeper": {"clinic-keeper", "clinic-backup"},
    "keeper": {"keeper", "backup"},
    "ca": set(),
    "": {"init"},
}
"""Who may read a folder of the secrets that is not its own; init makes them all."""


def secrets_of(service: str) -> dict[str, str]:
    """The folders of secrets that a container is given, and where."""
    prefix = "${COMMONS_SECRETS:-./secrets}"
    mounts = [mount.removeprefix(prefix) for mount in ONE["services"][service].get("volumes", ())
              if mount.startswith(prefix)]  # fmt: skip
    return {folder.strip("/"): rest for folder, _, rest in (mount.partition(":") for mount in mounts)}


def test_each_container_is_given_its_own_secrets_and_those_of_its_work_alone() -> None:
    given = {name: secrets_of(name) for name in ONE["services"]}
    holders: dict[str, set[str]] = {}
    for name, folders in given.items():
        for folder in folders:
            holders.setdefault(folder, set()).add(name)
    for folder in HOLD.keys() | holders.keys():
        assert holders.get(folder, set()) == HOLD.get(folder, {folder}), folder


def test_secrets_are_read_only_but_where_they_are_made_and_rotated() -> None:
    writers = {"init": {""}, "keeper": {"keys", "issuer", "actors"}, "clinic-keeper": {"clinic-keys"}}
    for name in ONE["services"]:
        writes = {folder for folder, rest in secrets_of(name).items() if not rest.endswith(":ro")}
        assert writes == writers.get(name, set()), name


def test_the_clinics_keyring_is_the_clinics() -> None:
    def has(volume: str) -> set[str]:
        return {name for name, one in ONE["services"].items()
                if any(mount.startswith(f"{volume}:") for mount in one.get("volumes", ()))}  # fmt: skip

    assert has("clinic-keyring") == {"clinic", "clinic-keeper", "clinic-backup"}
    for service in ("inventory", "distribution", "treasury"):
        assert has(f"{service}-keyring") == {service, "keeper", "backup"}
    assert has("log-keys") == {"auditor"}


def test_what_runs_cannot_change_its_image_or_gain_rights_and_has_a_limit() -> None:
    for name, one in ONE["services"].items():
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["mem_limit"] and one["pids_limit"], name
        for port in one.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
