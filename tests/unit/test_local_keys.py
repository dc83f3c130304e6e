"""`commons up` makes a master key once, says where it is, and never makes a second one beside keys of the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.local.keys import Keys
from services.local.process import StartFailed
from services.signers import SIGNERS
from shared.actorkeys import read_private, read_public
from shared.masterkeys import from_file


def test_a_master_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", {})
    keys.prepare()
    made = from_file(keys.master).names
    keys.prepare()
    assert from_file(keys.master).names == made and len(made) == 1
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert keys.keyring.stat().st_mode & 0o777 == keys.log.stat().st_mode & 0o777 == 0o700
    assert keys.environment("inventory") == {
        "COMMONS_ACTOR_KEYS": str(tmp_path / "keys" / "actors" / "actors.jwks"),
        "COMMONS_ROLES_FROM_TOKENS": "true",
        "COMMONS_KEYRING": str(tmp_path / "keys" / "keyring"),
        "COMMONS_LOG_KEYS": str(tmp_path / "keys" / "log"),
        "COMMONS_MASTER_KEY_FILE": str(tmp_path / "keys" / "master.key"),
    }


def test_a_lost_master_key_is_not_made_anew(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", {})
    keys.prepare()
    keys.master.unlink()
    (keys.keyring / "inventory").mkdir()
    (keys.keyring / "inventory" / "keys").touch()
    with pytest.raises(StartFailed, match="is gone"):
        keys.prepare()
    assert not keys.master.exists()


@pytest.mark.parametrize("name", ["COMMONS_MASTER_KEY_FILE", "COMMONS_MASTER_KEY"])
def test_what_the_environment_names_is_taken(tmp_path: Path, name: str) -> None:
    places = {"COMMONS_KEYRING": str(tmp_path / "ring"), "COMMONS_LOG_KEYS": str(tmp_path / "log")}
    keys = Keys(tmp_path / "keys", {name: "given", **places})
    keys.prepare()
    assert not keys.master.exists()
    assert keys.environment("inventory") == {
        **places,
        "COMMONS_ACTOR_KEYS": str(keys.actors),
        "COMMONS_ROLES_FROM_TOKENS": "true",
    }


def test_who_signs_on_its_own_account_is_told_of_its_key_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", {})
    keys.prepare()
    for name in SIGNERS:
        path = keys.environment(name)["COMMONS_ACTOR_KEY"]
        assert Path(path).stat().st_mode & 0o777 == 0o600
        found = read_public(keys.actors)[read_private(Path(path)).thumbprint()]
        assert (found.authtype, found.subjects) == (SIGNERS[name].authtype, set(SIGNERS[name].actors))
    before = keys.actors.read_bytes()
    keys.prepare()
    assert keys.actors.read_bytes() == before


def test_keys_of_actors_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys", {})
    keys.prepare()
    keys.issuer.chmod(0o644)
    with pytest.raises(StartFailed, match="chmod 600"):
        keys.prepare()
