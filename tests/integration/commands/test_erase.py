"""`commons erase` on a running ledger: asked, approved by another, locked, taken back."""

from __future__ import annotations

import pytest

from tests.integration.commands.conftest import Commons


def _name(commons: Commons, donor: str) -> str:
    rows = commons("show", "donors", "--json").json["rows"]
    return str({row["donor"]: row["name"] for row in rows}[donor])


def _stages(commons: Commons) -> dict[str, str]:
    return {row["person"]: row["stage"] for row in commons("erase", "--service", "inventory", "--json").json}


def test_two_people_lock_a_person_who_is_shown_again_when_it_is_taken_back(commons: Commons) -> None:
    commons.send("RegisterDonor", "--donor", "e-1", "--name", "Ottoline Fairweather", "--wait", "donors")
    of = ("e-1", "--service", "inventory")
    asked = commons("erase", *of, "--reason", "asked in writing", "--as", "sam")
    assert (asked.code, "A second person approves it" in asked.out) == (0, True)
    refused = commons("erase", *of, "--approve", "--as", "sam")
    assert (refused.code, "SECOND_PERSON_REQUIRED" in refused.err) == (1, True)
    assert _name(commons, "e-1") == "Ottoline Fairweather"
    approved = commons("erase", *of, "--approve", "--as", "kim", "--json")
    assert (approved.code, approved.json["stage"], approved.json["approved_by"]) == (0, "approved", "kim")
    assert _name(commons, "e-1") == "(locked)"
    assert "shown to nobody any more" in commons("show", "donors").out
    assert _stages(commons) == {"e-1": "approved"}
    assert commons("erase", *of, "--cancel", "--reason", "a mistake").code == 0
    assert _name(commons, "e-1") == "Ottoline Fairweather"
    assert _stages(commons) == {}
    assert commons("verify").code == 0


def test_a_hold_is_put_and_lifted(commons: Commons) -> None:
    commons.send("RegisterDonor", "--donor", "e-2", "--name", "Perpetua Aldous")
    of = ("e-2", "--service", "inventory")
    assert "legal hold" in commons("erase", *of, "--hold", "--reason", "a claim").out
    commons("erase", *of, "--reason", "asked", "--as", "sam")
    refused = commons("erase", *of, "--approve", "--as", "kim")
    assert (refused.code, "ERASURE_HELD" in refused.err) == (1, True)
    assert commons("erase", *of, "--lift", "--reason", "settled").code == 0
    assert commons("erase", *of, "--approve", "--as", "kim").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("x", "--service", "inventory"), 2, "Say why"),
        (("x", "--reason", "y"), 2, "which service"),
        (("x", "--service", "post", "--reason", "y"), 2, "knows none"),
        (("x", "--service", "inventory", "--approve", "--cancel"), 2, "one at a time"),
        (("nobody", "--service", "distribution", "--reason", "y"), 1, "UNKNOWN_HOUSEHOLD"),
        (("nobody", "--service", "treasury", "--reason", "y"), 1, "UNKNOWN_PARTY"),
        (("Ana Ruiz", "--service", "inventory", "--reason", "y"), 1, "an id is"),
    ],
)
def test_what_cannot_be_is_refused(commons: Commons, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = commons("erase", *arguments)
    assert (done.code, message in " ".join(done.err.split())) == (code, True), done
