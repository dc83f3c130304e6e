"""docker-compose.yml as it is: it comes up healthy by itself, takes work, and gives no container more than it needs.

Skipped where no Docker engine, or no Compose of version 2 or newer, is at hand. COMMONS_BASE_IMAGE, NATS_IMAGE and
POSTGRES_IMAGE name other images, where there is no registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UP_SECONDS = 600
"""Building the image included; what was built before is used again."""


def _compose() -> list[str] | None:
    """The command, if an engine answers."""
    beside = Path(sys.executable).parent / "docker-compose"
    if not shutil.which("docker") or subprocess.run(["docker", "version"], capture_output=True).returncode:
        return None
    for command in (["docker", "compose"], [str(beside)], ["docker-compose"]):
        try:
            said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True)
        except OSError:
            continue
        if said.returncode == 0 and not said.stdout.lstrip("v").startswith("1."):
            return command
    return None


@dataclass(frozen=True)
class Stack:
    command: list[str]
    environment: dict[str, str]

    def run(self, *arguments: str, seconds: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments], cwd=ROOT, env=self.environment, timeout=seconds, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout[-8000:]
        return done

    def commons(self, who: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.run("run", "--rm", "-T", who, *arguments, check=check)
        done.stdout = "\n".join(one for one in done.stdout.splitlines() if not one.startswith(" Container "))
        return done

    def containers(self) -> dict[str, dict[str, Any]]:
        ids = self.run("ps", "-aq").stdout.split()
        told = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, check=True).stdout)
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in told}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    compose = _compose()
    if compose is None:
        pytest.skip("no Docker engine with Compose answers here")
    environment = {
        **os.environ, "COMMONS_SECRETS": str(tmp_path_factory.mktemp("secrets")), "DOCKER_BUILDKIT": "0",
        "COMMONS_FHIR_PORT": "0", "COMMONS_LOG_PORT": "0", "COMMONS_WITNESS_PORT": "0",
    }  # fmt: skip
    one = Stack([*compose, "-p", f"commons-test-{uuid.uuid4().hex[:8]}"], environment)
    try:
        up = one.run("up", "-d", "--build", "--wait", seconds=UP_SECONDS, check=False)
        if up.returncode:
            pytest.fail(up.stdout[-4000:] + one.run("logs", "--tail", "20", check=False).stdout[-12000:])
        yield one
    finally:
        one.run("--profile", "tools", "down", "-v", "--remove-orphans", "-t", "5", check=False)


pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]


def test_it_takes_work_and_all_is_well(stack: Stack) -> None:
    send = ("operator", "send", "inventory")
    stack.commons(*send, "OpenLocation", "--location", "store", "--name", "Store", "--kind", "store")
    stack.commons(*send, "RegisterDonor", "--donor", "d1", "--name", "Ada", "--kind", "person")
    assert "Ada" in stack.commons("operator", "show", "donors").stdout
    assert "All is well" in stack.commons("operator", "status").stdout
    assert "The ledger is whole" in stack.commons("clinic-operator", "verify").stdout
    refused = stack.commons("operator", "tail", "--stream", "CLINIC", check=False)
    assert refused.returncode == 1 and "DENIED" in refused.stdout


def test_nobody_holds_more_than_they_need(stack: Stack) -> None:
    for name, one in stack.containers().items():
        host = one["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert not host["Privileged"] and host["Memory"] and host["PidsLimit"], name
        published = [binding["HostIp"] for ports in (host["PortBindings"] or {}).values() for binding in ports]
        assert set(published) <= {"127.0.0.1"}, name
        if name not in ("init", "nats", "postgres"):
            assert one["Config"]["User"] == "10001:10001", name
            assert not host["CapAdd"], name


def test_secrets_are_kept_and_nobody_is_given_those_of_another(stack: Stack) -> None:
    before = {
        path: path.read_bytes() for path in Path(stack.environment["COMMONS_SECRETS"]).rglob("*") if path.is_file()
    }
    assert before
    stack.run("run", "--rm", "-T", "init")
    assert {path: path.read_bytes() for path in before} == before
    found = stack.run("exec", "-T", "inventory", "find", "/run/commons", "/run/keys", "-type", "f").stdout.split()
    assert sorted(found) == ["/run/commons/nats.seed", "/run/commons/pgpass", "/run/keys/master.key"]


def test_what_was_acknowledged_is_there_after_down_and_up(stack: Stack) -> None:
    before = stack.commons("operator", "tail", "--last", "100", "--json").stdout
    stack.run("down", "-t", "20")
    stack.run("up", "-d", "--wait", seconds=UP_SECONDS)
    assert stack.commons("operator", "tail", "--last", "100", "--json").stdout == before
    assert "The ledger is whole" in stack.commons("clinic-operator", "verify").stdout
