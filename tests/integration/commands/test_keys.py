"""`commons keys` on a running ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.commands.conftest import Commons


def _names(commons: Commons) -> dict[str, str]:
    rows = commons("show", "donors", "--json").json["rows"]
    return {row["donor"]: row["name"] for row in rows}


def _register(commons: Commons, donor: str, name: str) -> None:
    commons.send("RegisterDonor", "--donor", donor, "--name", name, "--wait", "donors")


def test_the_keyring_stands_in_both_places(commons: Commons) -> None:
    _register(commons, "k-1", "Osterwick Wholesale")
    told = commons("keys", "status", "--json")
    assert told.code == 0
    (inventory,) = [one for one in told.json["services"] if one["service"] == "inventory"]
    assert inventory["owners"] >= 1
    assert (inventory["lacking_in_file"], inventory["lacking_in_bucket"]) == (0, 0)
    assert list(inventory["masters"]) == [told.json["master"]]
    assert "inventory" in commons("keys", "status").out


def test_a_new_master_key_leaves_everything_readable_while_the_service_runs(commons: Commons) -> None:
    _register(commons, "k-2", "Nettlecombe Farm")
    before = commons("keys", "status", "--json").json["master"]
    assert commons("keys", "rotate").code == 0
    told = commons("keys", "status", "--json").json
    assert told["master"] != before
    assert all(list(one["masters"]) == [told["master"]] for one in told["services"])
    _register(commons, "k-3", "Farrowdene Growers")
    assert commons("keys", "status", "--json").json["services"][0]["masters"].keys() == {told["master"]}
    names = _names(commons)
    assert (names["k-2"], names["k-3"]) == ("Nettlecombe Farm", "Farrowdene Growers")


def test_who_is_erased_is_shown_so_and_is_no_more_recorded(commons: Commons, tmp_path: Path) -> None:
    _register(commons, "k-4", "Leofric Dunwoody")
    copy = tmp_path / "copy"
    assert commons("keys", "backup", str(copy)).code == 0
    refused = commons("keys", "erase", "inventory", "donor/k-4")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert _names(commons)["k-4"] == "Leofric Dunwoody"
    assert commons("keys", "erase", "inventory", "donor/k-4", "--yes").code == 0
    assert _names(commons)["k-4"] == "(erased)"
    assert "nobody can read it any more" in commons("show", "donors").out
    again = commons("send", "inventory", "ChangeDonor", "--donor", "k-4", "--name", "Somebody")
    assert (again.code, "ERASED" in again.err) == (1, True)
    assert commons("keys", "restore", str(copy)).code == 0
    assert _names(commons)["k-4"] == "(erased)"
    assert commons("verify").code == 0


def test_keyrings_of_some_services_are_looked_after_apart(commons: Commons, tmp_path: Path) -> None:
    """Who keeps the keys of one service need not be given those of another."""
    _register(commons, "k-6", "Ysolde Marchbanks")
    everything = commons("keys", "status", "--json").json
    commons("keys", "backup", str(tmp_path / "copy"), "--service", "inventory", "--service", "treasury")
    written = [json.loads(line) for line in (tmp_path / "copy").read_text().splitlines()]
    assert "inventory" in {line["service"] for line in written} <= {"inventory", "treasury"}
    (alone,) = commons("keys", "status", "--service", "inventory", "--json").json["services"]
    assert alone in everything["services"]
    assert commons("keys", "rotate", "--service", "inventory").code == 0
    masters = {one["service"]: set(one["masters"]) for one in commons("keys", "status", "--json").json["services"]}
    assert masters.pop("inventory") != {everything["master"]}
    assert set().union(*masters.values()) <= {everything["master"]}
    assert commons("keys", "rotate").code == 0  # the others follow, under the master key that is current already
    after = commons("keys", "status", "--json").json
    assert all(set(one["masters"]) <= {after["master"]} for one in after["services"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("erase", "inventory", "donor/nobody", "--yes"), 1, "has no key of"),
        (("erase", "nothing", "donor/k-1", "--yes"), 1, "No service has a keyring by the name of 'nothing'"),
        (("status", "--service", "nothing"), 1, "No service has a keyring by the name of 'nothing'"),
        (("restore", "nowhere"), 2, "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(commons: Commons, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = commons("keys", *arguments)
    assert (done.code, message in done.err) == (code, True)


def test_a_copy_holds_no_name_and_no_master_key(commons: Commons, tmp_path: Path) -> None:
    _register(commons, "k-5", "Perpetua Aldous")
    commons("keys", "backup", str(tmp_path / "copy"))
    written = (tmp_path / "copy").read_text()
    assert "donor/k-5" in written and "Perpetua" not in written
    for line in (commons.data / "keys" / "master.key").read_text().splitlines():
        assert line.partition(":")[2] not in written
    assert "inventory" in {json.loads(line)["service"] for line in written.splitlines()}
