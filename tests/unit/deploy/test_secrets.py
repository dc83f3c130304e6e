"""`commons init`: what is missing is made, and what is there is kept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.deploy.permissions import SERVICES, users
from services.deploy.secrets import CLUSTER, prepare
from shared.credentials import Credentials, current, inbox
from shared.errors import Misconfigured


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_is_made_once(tmp_path: Path) -> None:
    assert {one.how for one in prepare(tmp_path)} == {"made"}
    before = contents(tmp_path)
    assert {one.how for one in prepare(tmp_path)} == {"kept"}
    assert contents(tmp_path) == before


def test_what_is_missing_is_added_and_the_rest_stays(tmp_path: Path) -> None:
    prepare(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "fhir" / "nats.seed").unlink()
    made = {str(one.path.relative_to(tmp_path)): one.how for one in prepare(tmp_path) if one.how != "kept"}
    assert made == {"fhir/nats.seed": "made", "nats/users.conf": "written anew"}
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == set(made)


def test_only_what_is_no_secret_may_be_read_by_others(tmp_path: Path) -> None:
    prepare(tmp_path)
    open_to_others = {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    certificates = {f"{one.parent.name}/{one.name}" for one in tmp_path.rglob("*.crt")}
    assert open_to_others == {"nats", "nats/users.conf", "actors/actors.jwks"} | certificates
    seeds = [Credentials.from_file(tmp_path / user.name / "nats.seed").seed for user in users()]
    users_conf = (tmp_path / "nats" / "users.conf").read_text()
    assert not [seed for seed in seeds if seed in users_conf]
    assert len(set(seeds)) == len(seeds)


def test_the_servers_of_a_cluster_know_one_another_by_a_password(tmp_path: Path) -> None:
    prepare(tmp_path)
    routes = (tmp_path / "nats" / "routes.conf").read_text()
    password = routes.partition('password: "')[2].partition('"')[0]
    assert len(password) == 48
    assert all(f"nats://commons:{password}@{host}:6222" in routes for host in CLUSTER)


def test_the_clinic_has_a_master_key_of_its_own(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert (tmp_path / "keys" / "master.key").read_bytes() != (tmp_path / "clinic-keys" / "master.key").read_bytes()


def test_a_user_is_who_the_environment_says(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert current({}) is None
    assert inbox(None) == "_INBOX"
    one = current({"NATS_NKEY_SEED_FILE": str(tmp_path / "clinic" / "nats.seed")})
    assert one is not None
    assert inbox(one).startswith("_INBOX.") and one.public.endswith(inbox(one).removeprefix("_INBOX."))
    assert one.seed not in repr(one)


@pytest.mark.parametrize("text", ["", "SUAB", "not a seed", "SAAB" + "A" * 54])
def test_a_seed_that_is_none_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(Misconfigured) as refusal:
        Credentials.from_file(path)
    assert str(path) in refusal.value.detail and (not text or text not in refusal.value.detail)


def test_a_seed_that_others_may_read_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path)
    path = tmp_path / "clinic" / "nats.seed"
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        Credentials.from_file(path)


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be used"):
        prepare(tmp_path / "file")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_publish_to_no_other_stream(service: str) -> None:
    (user,) = [one for one in users() if one.name == service]
    assert [one for one in user.publish if one.startswith("ledger.")] == [f"ledger.{service}.>"]
