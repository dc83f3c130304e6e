"""docker-compose.yml as it is: it comes up healthy by itself, takes work, and gives no container more than it needs.

Skipped where no Docker engine, or no Compose of version 2 or newer, is at hand. COMMONS_BASE_IMAGE, NATS_IMAGE and
POSTGRES_IMAGE name other images, where there is no registry.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import installed
from tests.support.compose import Stack

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]


def test_it_takes_work_and_all_is_well(stack: Stack) -> None:
    send = ("operator", "send", "inventory")
    nobody = stack.commons(*send, "OpenLocation", "--location", "x", "--name", "X", "--kind", "store", check=False)
    assert nobody.returncode == 1 and "FORBIDDEN" in nobody.stdout
    stack.commons("operator", "actors", "grant", "noor", "administrator", "--as", "noor")
    roles = ("pharmacist", "steward", "coordinator", "volunteer", "treasurer", "chair", "approver", "bookkeeper")
    stack.commons("operator", "actors", "grant", "*", "member", *roles, "--as", "noor")
    stack.commons(*send, "OpenLocation", "--location", "shelf", "--name", "Shelf", "--kind", "store")
    stack.commons(*send, "RegisterDonor", "--donor", "d1", "--name", "Ada", "--kind", "person")
    assert "Ada" in stack.commons("operator", "show", "donors").stdout
    assert "All is well" in stack.commons("operator", "status").stdout
    assert "The ledger is whole" in stack.commons("clinic-operator", "verify").stdout
    refused = stack.commons("operator", "tail", "--stream", "CLINIC", check=False)
    assert refused.returncode == 1 and "DENIED" in refused.stdout


def test_the_image_lacks_nothing_that_is_read(stack: Stack) -> None:
    program = Path(installed.__file__).read_text(encoding="utf-8")
    said = stack.run("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "operator", "-c", program).stdout
    told = json.loads(said.splitlines()[-1])
    assert told["broken"] == {}
    assert len(told["read"]["locales"]) > 1000
    assert told["read"] == installed.read()


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
    assert sorted(found) == [
        "/run/commons/ca.crt",
        "/run/commons/nats.seed",
        "/run/commons/pgpass",
        "/run/keys/master.key",
    ]


def test_what_was_acknowledged_is_there_after_down_and_up(stack: Stack) -> None:
    before = stack.commons("operator", "tail", "--last", "100", "--json").stdout
    stack.run("down", "-t", "20")
    stack.up()
    assert stack.commons("operator", "tail", "--last", "100", "--json").stdout == before
    assert "The ledger is whole" in stack.commons("clinic-operator", "verify").stdout
