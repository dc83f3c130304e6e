"""A clinic's evening on a real ledger: a chart, an order that an allergy stops, a note, a recall, an erasure.

Everything that is shown is done by `commons` itself, beside the pantry's week and on the same ledger: the medicine
comes from the shelf that inventory keeps. Codes are of RxNorm, SNOMED CT and LOINC; every person is invented.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.demo.stage import Stage
from services.imports.fhir.ids import id_here

STAFF: Final[Mapping[str, tuple[str, str, bool]]] = {
    "osei": ("Dr. Abena Osei", "clinician", True), "lind": ("Katarina Lind", "pharmacist", True),
    "rui": ("Rui Bastos", "front_desk", False), "tam": ("Tamsin Oyelaran", "trainee", False),
    "aud": ("Farid Achour", "auditor", False),
}  # fmt: skip
"""Who works at the clinic: their names, which are sealed, their roles, and who has a licence. The first is a clinician,
who adds the others."""

PATIENT: Final = "p-206"
PERSON: Final[Mapping[str, Any]] = {
    "family": "Marchetti", "given": ["Leyla"], "born": "1987-03-22", "sex": "female",
    "contact": {"phone": "555-0126", "language": "it"},
}  # fmt: skip
PENICILLIN: Final = {"system": "rxnorm", "code": "7980", "display": "penicillin G"}
HIVES: Final = {"system": "snomed", "code": "126485001", "display": "Urticaria"}
AMOXICILLIN: Final = {"system": "rxnorm", "code": "308191", "display": "amoxicillin 500 MG Oral Capsule"}
INGREDIENT: Final = {"system": "rxnorm", "code": "723", "display": "amoxicillin"}
DIRECTIONS: Final = "one capsule three times a day for seven days"
NOTE: Final = "Sore throat for four days, fever, no cough. Rapid test positive."
REMARK: Final = "Seen together. Hives were at age four, once."
ANSWER: Final = "Hives once as a child; told what to watch for"

_ITEM: Final = "amoxicillin-500mg-21"
_LOT: Final = "AM7741"
_ORIGIN: Final = "County Clinic"
_FORMER: Final = id_here(_ORIGIN, "Patient", "cc-1041")
"""Whose last care was at another clinic, long ago."""


def show(stage: Stage, records: Path) -> None:
    """Play the evening; `records` are two patients' from another clinic. Raises DemoFailed when it goes wrong."""
    walk_in(stage)
    order(stage)
    note(stage)
    recall(stage)
    forgotten(stage, records)


def walk_in(stage: Stage) -> None:
    """A walk-in is registered, and an allergy recorded; each sees and says what their role is for."""
    stage.heading("The clinic's evening: a walk-in")
    for who, (name, role, licensed) in STAFF.items():
        licence = [f"licence={json.dumps({'title': role.title(), 'valid_from': '2020-01-01'})}"] if licensed else []
        _send(stage, "AddPractitioner", f"practitioner={who}", f"name={name}", f'roles=["{role}"]', *licence,
              quietly=True)  # fmt: skip
    _send(stage, "SetFormularyEntry", f"item={_ITEM}", f"medication={json.dumps(AMOXICILLIN)}",
          f"ingredients={json.dumps([INGREDIENT])}", actor="lind", quietly=True)  # fmt: skip
    _send(stage, "RegisterPatient", f"patient={PATIENT}", f"content={json.dumps(PERSON)}", actor="rui")
    _send(stage, "OpenEncounter", "encounter=e-1", f"patient={PATIENT}", "clinician=osei", actor="tam", quietly=True)
    allergy = {"substance": PENICILLIN, "category": "medication", "reaction": HIVES}
    said = (f"patient={PATIENT}", "allergy=a-1", f"content={json.dumps(allergy)}")
    _send(stage, "RecordAllergy", *said, actor="rui", refused=True)
    _send(stage, "RecordAllergy", *said, actor="tam")
    temperature = {"code": {"system": "loinc", "code": "8310-5", "display": "Body temperature"}}
    vitals = ("encounter=e-1", f"patient={PATIENT}", "vitals=v-1")
    stage.say("\nNobody lives at 386 °C; the decimals were forgotten:")
    for decimals in (0, 1):
        measured = [{**temperature, "measured": {"value": 386, "decimals": decimals, "unit": "Cel"}}]
        _send(stage, "RecordVitals", *vitals, f"content={json.dumps(measured)}", actor="tam", refused=not decimals)
    stage.level()
    stage.say("\nThe front desk sees who somebody is, and nothing of their health; the clinician sees the chart:")
    stage.commons("show", "chart", PATIENT, "--purpose", "operations", "--as", "rui")
    stage.commons("show", "chart", PATIENT, "--purpose", "treatment", "--as", "osei")


def order(stage: Stage) -> None:
    """An order that the allergy stops is answered for by who has a licence, and handed over from the pantry's lot."""
    stage.heading("The clinic's evening: an order, and an allergy")
    content = {"medication": AMOXICILLIN, "directions": DIRECTIONS, "quantity": 1, "days_supply": 7}
    of = ("prescription=rx-1", f"patient={PATIENT}")
    _send(stage, "Prescribe", *of, "encounter=e-1", f"content={json.dumps(content)}", actor="tam")
    _send(stage, "SignPrescription", *of, actor="tam", refused=True)
    _send(stage, "SignPrescription", *of)
    _send(stage, "RequestDispensing", "dispensing=d-1", *of, f"item={_ITEM}", "location=clinic", "quantity=1",
          "days_supply=7", actor="tam")  # fmt: skip
    stage.wait_for("SELECT 1 FROM clinic.dispensings WHERE dispensing = 'd-1' AND remaining = 1")
    stage.say("\nA box is set aside in inventory by itself. The chart was compared with what is in it:")
    stage.commons("show", "dispensing", "--open", "--as", "lind")
    bag = ("dispensing=d-1", f"patient={PATIENT}")
    answer = f"content={json.dumps({'alert': 'allergy', 'reason': ANSWER})}"
    _send(stage, "VerifyDispensing", *bag, actor="lind", refused=True)
    _send(stage, "OverrideAlert", *bag, answer, actor="tam", refused=True)
    _send(stage, "OverrideAlert", *bag, answer, actor="osei")
    _send(stage, "VerifyDispensing", *bag, actor="lind")
    _send(stage, "Dispense", *bag, 'content={"recipient":"the patient"}', "label_printed=true", actor="lind")
    stage.wait_for("SELECT 1 FROM clinic.dispensings WHERE dispensing = 'd-1' AND issued = 1")
    stage.say("\nInventory was told an item, a lot and d-1, and nothing of a patient:")
    stage.commons("show", "movements", _ITEM)


def note(stage: Stage) -> None:
    """A trainee's note waits for a clinician who stands for it; until then the encounter is not closed."""
    stage.heading("The clinic's evening: a trainee's note")
    of = ("encounter=e-1", f"patient={PATIENT}")
    _send(stage, "DraftNote", *of, "note=n-1", f"text={NOTE}", actor="tam", quietly=True)
    _send(stage, "SignNote", *of, "note=n-1", actor="tam")
    _send(stage, "CloseEncounter", *of, refused=True)
    _send(stage, "AttestNote", *of, "note=n-1", actor="tam", refused=True)
    _send(stage, "AttestNote", *of, "note=n-1", f"remark={REMARK}")
    _send(stage, "CloseEncounter", *of)


def recall(stage: Stage) -> None:
    """The lot is recalled: who got it is one question, and who asked is on record."""
    stage.heading("The clinic's evening: a recall that finds the patient")
    stage.send("RecallLot", f"item={_ITEM}", "recall=amoxicillin-glass", f'scope={{"lots":["{_LOT}"]}}',
               "reason=glass found")  # fmt: skip
    stage.level()
    stage.commons("show", "recall-patients", "amoxicillin-glass", "--open", "--as", "osei")
    stage.say("\nEvery look at a record is an event. Who saw mine?")
    stage.level()
    stage.commons("show", "access", PATIENT, "--as", "aud")


def forgotten(stage: Stage, records: Path) -> None:
    """Of two patients from another clinic one was last cared for long ago, and is erased; the walk-in cannot be yet."""
    stage.heading("The clinic's evening: kept, and forgotten")
    stage.commons("import", "fhir", str(records), "--from", _ORIGIN, "--as", "osei")
    of = ("--service", "clinic")
    stage.commons("erase", PATIENT, *of, "--reason", "asked at the desk", "--as", "rui", quietly=True)
    stage.commons("erase", PATIENT, *of, "--approve", "--as", "osei", refused=True)
    stage.say("\nThe other's records were kept as long as they must be. Two people agree, and their key is destroyed:")
    stage.commons("erase", _FORMER, *of, "--reason", "asked in writing", "--as", "rui")
    stage.commons("erase", _FORMER, *of, "--approve", "--as", "rui", refused=True)
    stage.commons("erase", _FORMER, *of, "--approve", "--as", "osei")
    stage.erased("clinic", f"patient/{_FORMER}")
    stage.level()
    stage.commons("show", "chart", _FORMER, "--purpose", "operations", "--as", "osei")


def _send(stage: Stage, command: str, *fields: str, actor: str = "osei", **how: Any) -> None:
    stage.send(command, *fields, service="clinic", actor=actor, **how)
