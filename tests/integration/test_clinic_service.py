"""The clinic as it runs: its service, inventory's, and both read models' processes, on servers of their own.

One evening is played through `commons`: a chart, an order that an allergy stops, a dispensing from a lot of
inventory's, a recall of the lot, an erasure. The clinic's service is killed in the middle of it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands.conftest import Commons, Done, running
from tests.support.leaks import leaks

AMOXICILLIN = {"system": "rxnorm", "code": "308191", "display": "amoxicillin 500 MG Oral Capsule"}
PENICILLIN = {"system": "rxnorm", "code": "7980", "display": "penicillin G"}
SECRETS = ("Quarternbridge", "penicillin", "amoxicillin 500", "a rash in childhood only", "Fenwick")
LICENCE = {"title": "MD", "valid_from": "2020-01-01"}
STAFF = {
    "osei": (["clinician"], LICENCE), "lind": (["pharmacist"], LICENCE), "tam": (["trainee"], None),
    "rui": (["front_desk"], None), "aud": (["auditor"], None),
}  # fmt: skip


class Evening:
    """A ledger that runs, and people at its screens."""

    def __init__(self, commons: Commons) -> None:
        self.commons = commons

    def send(self, service: str, name: str, actor: str = "osei", refused: str | None = None, /, **fields: Any) -> Done:
        """Send a command, which is taken, or refused for the reason that is expected."""
        flags = [
            part for field, value in fields.items()
            for part in ("--set", f"{field}={value if isinstance(value, str) else json.dumps(value)}")
        ]  # fmt: skip
        done = self.commons("send", service, name, *flags, "--as", actor, "--json")
        assert done.code == (0 if refused is None else 1), done
        assert refused is None or refused in done.out + done.err, done
        return done

    def clinic(self, name: str, actor: str = "osei", refused: str | None = None, /, **fields: Any) -> Done:
        return self.send("clinic", name, actor, refused, **fields)

    def shown(self, *arguments: str, actor: str = "osei") -> Any:
        """What a screen of the clinic shows, once it is level with the streams."""
        last = self.commons.last("CLINIC")
        done = self.commons("show", *arguments, "--as", actor, "--json", "--at-least", f"CLINIC:{last}")
        assert done.code == 0, done
        return done.json

    def until(self, what: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, self.commons("status").out
            time.sleep(0.1)
        return found

    def dispensing(self, id: str) -> dict[str, Any]:
        rows = self.shown("dispensing", actor="lind")["rows"]
        return next((row for row in rows if row["dispensing"] == id), {})

    def on_hand(self) -> int:
        rows = self.commons("show", "stock", "--json").json["rows"]
        return sum(row["on_hand"] for row in rows if row["item"] == "amox")

    def kill_clinic(self) -> None:
        """SIGKILL; the supervisor starts it again."""
        os.kill(self.commons.described["services"]["clinic"]["pid"], signal.SIGKILL)

    def furnish(self) -> None:
        self.send("inventory", "OpenLocation", "sam", location="cupboard", name="Cupboard", kind="clinic")
        self.send("inventory", "RegisterItem", "sam", item="amox", name="Capsules A", unit="each", medicine=True)
        line = {"quantity": 100, "lot": "L1", "date": "2031-06-30", "date_kind": "expiry"}
        self.send("inventory", "ReceiveStock", "sam", item="amox", location="cupboard", source="purchase", lines=[line])
        for who, (roles, licence) in STAFF.items():
            self.clinic("AddPractitioner", practitioner=who, name=who.title(), roles=roles, licence=licence)
        self.until(lambda: self.commons("send", "clinic", "SetFormularyEntry", "--set", "item=amox", "--set",
                                        f"medication={json.dumps(AMOXICILLIN)}", "--set",
                                        'ingredients=[{"system":"rxnorm","code":"723","display":"amoxicillin"}]',
                                        "--as", "lind").code == 0)  # fmt: skip


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA", "COLUMNS"):
            patch.delenv(name, raising=False)
        patch.setenv("COMMONS_ERASURE_DELAY_DAYS", "0")
        with running(tmp_path_factory.mktemp("clinic")) as commons:
            found = Evening(commons)
            found.furnish()
            yield found


def test_an_order_that_an_allergy_stops_is_answered_for_and_dispensed_though_the_clinic_is_killed(
    evening: Evening,
) -> None:
    of = {"patient": "p-ada"}
    evening.clinic("RegisterPatient", "rui", **of, content={"family": "Quarternbridge", "given": ["Ada"]})
    allergy = {"substance": PENICILLIN, "category": "medication", "severity": "severe"}
    evening.clinic("RecordAllergy", "rui", "WRONG_ROLE", **of, allergy="a1", content=allergy)
    evening.clinic("RecordAllergy", "tam", **of, allergy="a1", content=allergy)
    order = {"medication": AMOXICILLIN, "directions": "one three times a day", "quantity": 21, "days_supply": 7}
    evening.clinic("Prescribe", "tam", **of, prescription="rx1", content=order)
    evening.clinic("SignPrescription", "tam", "WRONG_ROLE", **of, prescription="rx1")
    evening.clinic("SignPrescription", **of, prescription="rx1")

    ask = {"prescription": "rx1", "item": "amox", "location": "cupboard", "quantity": 21, "days_supply": 7}
    evening.clinic("RequestDispensing", "tam", **of, dispensing="d1", **ask)
    evening.until(lambda: evening.dispensing("d1").get("waits") == "to be verified")
    evening.clinic("VerifyDispensing", "lind", "ALERT_OPEN", **of, dispensing="d1")
    override = {"alert": "allergy", "reason": "a rash in childhood only"}
    evening.clinic("OverrideAlert", "tam", "WRONG_ROLE", **of, dispensing="d1", content=override)
    evening.clinic("OverrideAlert", "lind", **of, dispensing="d1", content=override)
    evening.clinic("VerifyDispensing", "lind", **of, dispensing="d1")
    assert evening.on_hand() == 100

    evening.clinic("Dispense", "lind", **of, dispensing="d1", content={"recipient": "Ada"}, label_printed=True)
    evening.kill_clinic()
    evening.until(lambda: evening.on_hand() == 79)
    evening.clinic("VerifyDispensing", "lind", "DISPENSING_OVER", **of, dispensing="d1")
    assert not evening.commons("erase", "--service", "clinic", "--json").json


def test_a_recall_finds_who_got_the_lot_and_every_read_of_a_chart_is_recorded(evening: Evening) -> None:
    evening.send("inventory", "RecallLot", "sam", item="amox", recall="r1", scope={"lots": ["L1"]}, reason="glass")
    (row,) = evening.until(lambda: evening.shown("recall-patients", "r1", "--open")["rows"])
    assert (row["patient"], row["lot"]) == ("p-ada", "L1") and "Quarternbridge" in str(row["name"])
    evening.clinic("RequestDispensing", "lind", None, patient="p-ada", dispensing="d2", prescription="rx1",
                   item="amox", location="cupboard", quantity=1, days_supply=1)  # fmt: skip
    assert evening.on_hand() == 79, "what was under way when the clinic was killed is done once"
    handed_on = evening.commons("tail", "--from", "1", "--json").out
    assert "d1" in handed_on and "p-ada" not in handed_on, "inventory is told a dispensing, and nothing of a patient"
    chart = evening.shown("chart", "p-ada", "--purpose", "treatment")
    assert "ALLERGIES: penicillin G" in chart["message"]
    desk = evening.shown("chart", "p-ada", "--purpose", "operations", actor="rui")
    assert "penicillin" not in str(desk)
    log = evening.shown("access", "p-ada", actor="aud")["rows"]
    assert {(row["reader"], row["role"]) for row in log} == {("osei", "clinician"), ("rui", "front_desk")}


def test_two_people_erase_whom_nothing_ties_and_the_chart_shows_nothing_while_all_chains_verify(
    evening: Evening,
) -> None:
    evening.clinic("RegisterPatient", patient="p-ben", content={"family": "Fenwick"}, imported_from="old card index",
                   occurred_at="2010-03-01T10:00:00Z")  # fmt: skip
    evening.clinic("RecordAllergy", patient="p-ben", allergy="a1",
                   content={"substance": PENICILLIN, "category": "medication"},
                   occurred_at="2010-03-01T10:00:00Z")  # fmt: skip
    assert "Fenwick" in str(evening.shown("chart", "p-ben", "--purpose", "treatment")["rows"])

    def erase(person: str, *how: str, actor: str) -> Done:
        return evening.commons("erase", person, "--service", "clinic", *how, "--as", actor)

    assert erase("p-ada", "--reason", "asked", actor="rui").code == 0
    kept = erase("p-ada", "--approve", actor="osei")
    assert (kept.code, "STILL_NEEDED" in kept.err) == (1, True), kept
    assert "open recalls of what they got" in kept.err

    assert erase("p-ben", "--reason", "asked in writing", actor="rui").code == 0
    alone = erase("p-ben", "--approve", actor="rui")
    assert (alone.code, "SECOND_PERSON_REQUIRED" in alone.err) == (1, True)
    assert erase("p-ben", "--approve", actor="osei").code == 0
    evening.until(lambda: {"p-ben": "erased"}.items() <= {
        row["person"]: row["stage"] for row in evening.commons("erase", "--service", "clinic", "--json").json
    }.items())  # fmt: skip
    chart = evening.shown("chart", "p-ben", "--purpose", "treatment")
    assert "Fenwick" not in str(chart) and "penicillin" not in str(chart) and "(erased)" in str(chart)
    evening.clinic("RecordAllergy", "osei", "ERASED", patient="p-ben", allergy="a2",
                   content={"substance": PENICILLIN, "category": "medication"})  # fmt: skip
    verified = evening.commons("verify", "--json")
    assert verified.code == 0, verified
    assert {"CLINIC: chain", "CLINIC: aggregates"} <= {check["name"] for check in verified.json["checks"]}


def test_nothing_of_a_patient_stands_in_any_stored_byte(evening: Evening) -> None:
    data: Path = evening.commons.data
    found = leaks([*SECRETS, "Capsules A"], data)
    assert found.pop("Capsules A"), "what is not personal is found, or the search would find nothing at all"
    formulary = {"amoxicillin 500"}  # which medicine an item is stands in clear in the formulary
    assert {word for word in found if word not in formulary} == set(), found
