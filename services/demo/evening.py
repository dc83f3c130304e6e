"""A clinic's evening on a real ledger: a walk-in, an order that an allergy stops, a note, a recall, an erasure.

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
"""Leopold Wetherby, whose last care was at another clinic, more than ten years ago."""


def show(stage: Stage, records: Path) -> None:
    """Play the evening; `records` are two patients' from another clinic. Raises DemoFailed when it goes wrong."""
    staff(stage)
    walk_in(stage)
    allergies_first(stage)
    order(stage)
    note(stage)
    recall(stage)
    forgotten(stage, records)


def staff(stage: Stage) -> None:
    """Who works tonight, and as what: by that it is decided what they may record and what is opened for them."""
    stage.heading("The clinic's evening: who works tonight")
    for who, (name, role, licensed) in STAFF.items():
        licence = [f"licence={json.dumps({'title': role.title(), 'valid_from': '2020-01-01'})}"] if licensed else []
        _send(stage, "AddPractitioner", f"practitioner={who}", f"name={name}", f'roles=["{role}"]', *licence,
              quietly=True)  # fmt: skip
    _send(stage, "SetFormularyEntry", f"item={_ITEM}", f"medication={json.dumps(AMOXICILLIN)}",
          f"ingredients={json.dumps([INGREDIENT])}", actor="lind", quietly=True)  # fmt: skip
    stage.level()
    stage.say(
        "Rui is at the front desk, Tamsin in training, Dr. Osei the clinician, Katarina the pharmacist, and Farid the\n"
        "auditor. What somebody may record and see follows from their role, and for some things from a licence:"
    )
    stage.commons("show", "practitioners", "--as", "rui")


def walk_in(stage: Stage) -> None:
    """Somebody walks in without an appointment, is registered, and is seen; the board says where they are."""
    stage.heading("The clinic's evening: somebody walks in")
    stage.say(
        "Leyla Marchetti has a sore throat, and no appointment. Rui registers her; what is said of her is sealed:"
    )
    _send(stage, "RegisterPatient", f"patient={PATIENT}", f"content={json.dumps(PERSON)}", actor="rui")
    stage.say("\nTamsin sees her, with Dr. Osei:")
    _send(stage, "OpenEncounter", "encounter=e-1", f"patient={PATIENT}", "clinician=osei", actor="tam")
    stage.level()
    stage.commons("show", "board", "--open", "--as", "rui")


def allergies_first(stage: Stage) -> None:
    """An allergy and vital signs are recorded; each sees and says what their role is for."""
    stage.heading("The clinic's evening: allergies first")
    stage.say("The front desk cannot record an allergy; who cares for patients can:")
    allergy = {"substance": PENICILLIN, "category": "medication", "reaction": HIVES}
    said = (f"patient={PATIENT}", "allergy=a-1", f"content={json.dumps(allergy)}")
    _send(stage, "RecordAllergy", *said, actor="rui", refused=True)
    _send(stage, "RecordAllergy", *said, actor="tam")
    temperature = {"code": {"system": "loinc", "code": "8310-5", "display": "Body temperature"}}
    vitals = ("encounter=e-1", f"patient={PATIENT}", "vitals=v-1")
    stage.say("\nA temperature of 386 °C is a slip: the decimals were forgotten.")
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
    stage.say("Somebody in training may write an order; a clinician with a licence signs it:")
    of = ("prescription=rx-1", f"patient={PATIENT}")
    _send(stage, "Prescribe", *of, "encounter=e-1", f"content={json.dumps(content)}", actor="tam")
    _send(stage, "SignPrescription", *of, actor="tam", refused=True)
    _send(stage, "SignPrescription", *of)
    _send(stage, "RequestDispensing", "dispensing=d-1", *of, f"item={_ITEM}", "location=clinic", "quantity=1",
          "days_supply=7", actor="tam")  # fmt: skip
    stage.wait_for("SELECT 1 FROM clinic.dispensings WHERE dispensing = 'd-1' AND remaining = 1")
    stage.say(
        "\nA box is set aside in inventory by itself. It was compared with the chart: amoxicillin is a penicillin."
    )
    stage.commons("show", "dispensing", "--open", "--as", "lind")
    stage.say("\nThe pharmacist verifies nothing with an alert open, and who has no licence cannot answer for one:")
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
    stage.say("Tamsin writes what was found, and signs it:")
    _send(stage, "DraftNote", *of, "note=n-1", f"text={NOTE}", actor="tam")
    _send(stage, "SignNote", *of, "note=n-1", actor="tam")
    stage.say("\nHers waits for a clinician who stands for it too, and is not for her to attest:")
    stage.level()
    stage.commons("show", "unsigned", "--open", "--as", "osei")
    _send(stage, "CloseEncounter", *of, refused=True)
    _send(stage, "AttestNote", *of, "note=n-1", actor="tam", refused=True)
    _send(stage, "AttestNote", *of, "note=n-1", f"remark={REMARK}")
    _send(stage, "CloseEncounter", *of)
    stage.level()
    stage.say("\nThe chart as it stands at the end of the visit:")
    stage.commons("show", "chart", PATIENT, "--purpose", "treatment", "--as", "osei")


def recall(stage: Stage) -> None:
    """The lot is recalled: who got it is one question, and who asked is on record."""
    stage.heading("The clinic's evening: a recall that finds the patient")
    stage.say("The maker recalls the lot. The pantry tells inventory, and the clinic knows whom to call:")
    stage.send("RecallLot", f"item={_ITEM}", "recall=amoxicillin-glass", f'scope={{"lots":["{_LOT}"]}}',
               "reason=glass found")  # fmt: skip
    stage.level()
    stage.commons("show", "recall-patients", "amoxicillin-glass", "--open", "--as", "osei")
    stage.say("\nEvery look at a record is an event. Leyla asks at the desk who saw hers:")
    stage.level()
    stage.commons("show", "access", PATIENT, "--purpose", "patient_request", "--as", "rui")


def forgotten(stage: Stage, records: Path) -> None:
    """Of two patients from another clinic one was last cared for long ago, and is erased; the walk-in cannot be yet."""
    stage.heading("The clinic's evening: kept, and forgotten")
    stage.say("Leyla asks to be forgotten. One person asks for it, and another looks whether it may be:")
    of = ("--service", "clinic")
    stage.commons("erase", PATIENT, *of, "--reason", "asked at the desk", "--as", "rui")
    stage.commons("erase", PATIENT, *of, "--approve", "--as", "osei", refused=True)
    stage.say(
        "\nShe has still to be told of the recall, and records of care are kept for ten years: hers stay, sealed.\n"
        "Then the County Clinic, which closed, hands over the records of two patients:"
    )
    stage.commons("import", "fhir", str(records), "--from", _ORIGIN, "--as", "osei")
    stage.level()
    stage.say(
        "\nOne of them, Leopold Wetherby, asked in writing to be forgotten. He was last cared for more than ten years\n"
        "ago, so nothing keeps his records. He is known here by the id that the import gave him:"
    )
    stage.commons("show", "patient", _FORMER, "--as", "rui")
    stage.say("\nTwo people decide; who asked cannot approve it too:")
    stage.commons("erase", _FORMER, *of, "--reason", "asked in writing", "--as", "rui")
    stage.commons("erase", _FORMER, *of, "--approve", "--as", "rui", refused=True)
    stage.commons("erase", _FORMER, *of, "--approve", "--as", "osei")
    stage.erased("clinic", f"patient/{_FORMER}")
    stage.level()
    stage.say(
        "\nThe delay, thirty days as a rule, is none tonight: his key is destroyed, in every copy of the ledger. What\n"
        "is left says when something was, and not what; `commons verify` below still finds every chain whole:"
    )
    stage.commons("show", "chart", _FORMER, "--purpose", "operations", "--as", "osei")


def _send(stage: Stage, command: str, *fields: str, actor: str = "osei", **how: Any) -> None:
    stage.send(command, *fields, service="clinic", actor=actor, **how)
