"""`commons actors` and `commons keys issuer` on a running ledger: who acts with which token, and keys that rotate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.commands.conftest import Commons, Done

_OPEN = ("send", "inventory", "OpenLocation", "--name", "Store", "--kind", "store")


@pytest.fixture
def opened(commons: Commons, tmp_path: Path) -> Path:
    """A token of ada for inventory."""
    made = commons(
        "actors",
        "token",
        "ada",
        "--for",
        "1h",
        "--roles",
        "steward,volunteer",
        "--service",
        "inventory",
        "--out",
        str(tmp_path / "ada"),
    )
    assert made.code == 0, made
    return tmp_path / "ada"


def _with(monkeypatch: pytest.MonkeyPatch, commons: Commons, token: Path, *arguments: str) -> Done:
    monkeypatch.setenv("COMMONS_ACTOR_TOKEN_FILE", str(token))
    try:
        return commons(*arguments)
    finally:
        monkeypatch.delenv("COMMONS_ACTOR_TOKEN_FILE")


def test_whoever_has_a_token_acts_in_its_name(commons: Commons, opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened.stat().st_mode & 0o777 == 0o600
    done = _with(monkeypatch, commons, opened, *_OPEN, "--location", "a-1", "--json")
    assert (done.code, done.json["event"]["authid"]) == (0, "ada")
    other = _with(monkeypatch, commons, opened, *_OPEN, "--location", "a-2", "--as", "eve")
    assert (other.code, "is of ada, and not of eve" in other.err) == (2, True)
    assert opened.read_text().strip() not in done.out + other.out + other.err
    elsewhere = ("send", "treasury", "RegisterParty", "--party", "p-1", "--name", "Somebody")
    refused = _with(monkeypatch, commons, opened, *elsewhere)
    assert (refused.code, "for inventory, and not for treasury" in refused.err) == (1, True)


def test_a_token_is_shown_without_being_told(commons: Commons, opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = commons("actors", "show", str(opened), "--json")
    assert (shown.code, shown.json["sub"], shown.json["aud"], shown.json["verified"]) == (0, "ada", ["inventory"], True)
    people = commons("actors", "show", str(opened)).out
    assert "Services take it." in people and opened.read_text().strip() not in people
    forged = opened.with_name("forged")
    forged.write_text(opened.read_text().strip()[:-6] + "AAAAAA")
    forged.chmod(0o600)
    told = commons("actors", "show", str(forged), "--json")
    assert (told.code, told.json["verified"]) == (1, False)
    assert commons("actors", "show", "-", stdin=opened.read_bytes()).code == 0
    forged.write_text("garbage")
    assert commons("actors", "show", str(forged)).code == 1
    assert commons("actors", "show", str(opened.with_name("none"))).code == 2
    assert commons("actors", "show").code == 2
    refused = _with(monkeypatch, commons, forged, *_OPEN, "--location", "a-3")
    assert (refused.code, "UNAUTHENTICATED" in refused.err) == (1, True)


def test_what_cannot_be_a_token_is_said(commons: Commons, tmp_path: Path) -> None:
    make = ("actors", "token", "ada")
    assert commons(*make, "--for", "8d").code == 1
    assert commons(*make, "--for", "long").code == 2
    assert commons(*make, "--service", "kitchen").code == 2
    assert commons(*make, "--roles", "Admin Istrator").code == 1
    assert commons("actors", "token", "ada lovelace").code == 1
    assert commons(*make, "--out", str(tmp_path / "no" / "such")).code == 2
    assert "is not at hand" in Commons(tmp_path)(*make).err
    refused = Commons(tmp_path)(*_OPEN, "--location", "a-4", "--nats-url", commons.described["nats_url"])
    assert (refused.code, "does not show who sends it" in refused.err) == (1, True)


def test_the_issuers_key_rotates_while_services_run(
    commons: Commons, opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = commons("keys", "issuer", "--json").json
    assert [one["kid"] for one in before["keys"]] == [before["signs"]]
    after = commons("keys", "issuer", "--rotate", "--json").json
    assert after["signs"] != before["signs"] and len(after["keys"]) == 2
    assert commons(*_OPEN, "--location", "a-5", "--as", "ben").code == 0
    assert _with(monkeypatch, commons, opened, *_OPEN, "--location", "a-6").code == 0
    assert commons("keys", "issuer", "--retire", "--json").json["retired"] == []
    stolen = commons("keys", "issuer", "--rotate", "--at-once", "--json").json
    assert [one["kid"] for one in stolen["keys"]] == [stolen["signs"]]
    assert commons(*_OPEN, "--location", "a-7", "--as", "ben").code == 0
    refused = _with(monkeypatch, commons, opened, *_OPEN, "--location", "a-8")
    assert (refused.code, "not, or no more, known here" in refused.err) == (1, True)
    assert json.loads(commons("actors", "show", str(opened), "--json").out)["verified"] is False
    assert commons("keys", "issuer", "--at-once").code == 2
    assert commons("verify").code == 0


def test_roles_are_granted_listed_and_taken_back(
    commons: Commons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grants(who: str, service: str = "inventory") -> dict[str, str]:
        rows = commons("actors", "list", "--service", service, "--json").json
        return {row["role"]: row["grant"] for row in rows if row["actor"] == who}

    assert commons(*_OPEN, "--location", "g-0", "--as", "eve", "--json").json["event"]["mandate"] == "steward"
    refused = commons("actors", "grant", "eve", "steward", "--as", "eve")
    assert (refused.code, "ADMINISTRATOR_REQUIRED" in refused.err) == (1, True)
    admin = ("--service", "inventory", "--as", "noor")
    assert commons("actors", "grant", "noor", "administrator", *admin).code == 0
    assert commons("actors", "grant", "*", "pharmacist", "volunteer", *admin).code == 0
    assert set(grants("*")) == {"pharmacist", "volunteer"} and "administrator" in grants("noor")
    assert commons("actors", "grant", "ada", "steward", "volunteer", *admin).code == 0
    assert set(grants("ada")) == {"steward", "volunteer"} and grants("ada", "treasury") == {}
    assert "noor" in commons("actors", "list").out
    try:
        done = commons(*_OPEN, "--location", "g-1", "--as", "ada", "--json")
        assert done.json["event"]["mandate"] == grants("ada")["steward"]
        denied = commons(*_OPEN, "--location", "g-2", "--as", "eve", "--json")
        assert (denied.code, denied.json["code"], denied.json["needs"]) == (1, "FORBIDDEN", ["steward"])
        narrow = tmp_path / "narrow"
        commons("actors", "token", "ada", "--roles", "volunteer", "--out", str(narrow))
        held = _with(monkeypatch, commons, narrow, *_OPEN, "--location", "g-3")
        assert (held.code, "token does not carry" in held.err) == (1, True)
        assert commons("actors", "revoke", "ada", "steward", *admin).code == 0
        assert commons(*_OPEN, "--location", "g-4", "--as", "ada").code == 1
        past = ("--until", "2020-01-01")
        assert "GRANT_ENDED" in commons("actors", "grant", "ada", "steward", *past, *admin).err
        assert commons("actors", "grant", "ada", "king", *admin).code == 2
        assert commons("actors", "grant", "ada", "steward", "--service", "clinic").code == 2
        # noor administrates inventory alone: who administrates the others refuses, and each answer is told all the same
        some = commons("actors", "grant", "cy", "volunteer", "treasurer", "--as", "noor", "--json")
        said = [(row["service"], row["role"], row["status"], row.get("problem", {}).get("code")) for row in some.json]
        assert (some.code, said) == (1, [
            ("inventory", "volunteer", "accepted", None),
            ("distribution", "volunteer", "refused", "ADMINISTRATOR_REQUIRED"),
            ("treasury", "treasurer", "refused", "ADMINISTRATOR_REQUIRED"),
        ])  # fmt: skip
    finally:
        commons("actors", "grant", "*", "steward", *admin)
    assert commons("verify").code == 0
