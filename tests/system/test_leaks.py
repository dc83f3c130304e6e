"""After the demo's week no personal word of it stands in any byte that was stored, while what is in clear is found."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.demo import evening, table, week
from services.demo.fund import MEMBERS
from services.demo.stage import Stage
from shared import erasure
from shared.connection import connect
from shared.standings import standings
from tests.support.leaks import leaks

SAMPLES = Path(week.__file__).parent / "samples"
CLEAR = "Marguerite Quillwort Hall"
"""A name in a field that is not personal: it is found, or the search would find nothing at all."""


def _rows(name: str, delimiter: str = ",") -> list[dict[str, str]]:
    with (SAMPLES / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _personal() -> list[str]:
    """What is personal of donors, households and parties; of a household's members also the names in parts."""
    donors = [row[name] for row in _rows("donors.csv") for name in ("name", "contact", "address", "note")]
    words = [row[name] for row in _rows("households.csv") for name in ("Name", "Phone", "Eligibility")]
    people = _rows("people.csv", ";")
    words += [row["Address"] for row in people] + [f"{row['First name']} {row['Last name']}" for row in people]
    words += [name for _, name in MEMBERS]
    return sorted({word for word in words if len(word) > 8} | set(filter(None, donors)))


SAID = {
    "an order overridden": "their roof fell in on Tuesday",
    "a confirmation overridden": "the twins came home from hospital",
    "a cancellation": "the father was taken to prison",
    "an unpacked box": "nobody dares to open the door",
    "a claim overridden": "she fled from her husband",
    "a claim given back": "he drank it all away",
    "a visit overridden": "the landlord threw them out",
    "a visit taken back": "confused with their brother in law",
    "a visit looked into": "both grandparents had queued",
    "a box looked into": "the neighbour had a stolen card",
    "a merge": "mother and daughter quarrelled",
    "an unmerge": "they made their peace again",
}
"""What was said in words about somebody, by where."""

SAID_OF_PATIENTS = {
    "an allergy's note": "swelled up after a bee stung her",
    "an allergy refuted": "it was the dye in the syrup",
    "a problem": "Opioid dependence in remission",
    "a result": "Trace of blood in the second sample",
    "a consent": "may be told to her probation officer",
    "a booking": "wants it burnt off before the wedding",
    "a booking over another": "she cannot get away from him later",
    "a cancelled appointment": "was locked in by her husband",
    "a merge": "two cards under her maiden name",
    "an unmerge": "twins with one birthday after all",
    "an order": "half a tablet under the tongue at night",
    "an order stopped": "traded them for cigarettes",
    "a dispensing refused": "came drunk and shouting",
    "what an administration was": "given while two held her",
    "an administration taken back": "it was her sister in that chair",
    "a referral": "needle exchange on Canal Street",
    "what came of a referral": "went once and never again",
    "an amendment": "she had lied about the scars",
    "a disclosure": "Sheriff of the ninth ward",
    "a glass broken": "found blue in the washroom",
    "who fetched it": "the landlady with the parrot",
}
"""What was said of patients, by where."""


def _of_patients() -> list[str]:
    """What the demo's evening says of patients: names, codes, measures, notes, reasons; and who cared for them."""
    words = [evening.NOTE, evening.REMARK, evening.ANSWER, evening.DIRECTIONS, "Body temperature", "8310-5"]
    words += [evening.PERSON["family"], evening.PERSON["born"], evening.PERSON["contact"]["phone"]]
    words += [*evening.PENICILLIN.values(), *evening.HIVES.values()]
    words += [name for name, _, _ in evening.STAFF.values()]

    def texts(value: Any) -> None:
        match value:
            case dict():
                words.extend(value[name] for name in ("display", "family", "text") if isinstance(value.get(name), str))
                for inner in value.values():
                    texts(inner)
            case list():
                for inner in value:
                    texts(inner)

    for line in (SAMPLES / "patients.ndjson").read_text(encoding="utf-8").splitlines():
        texts(json.loads(line))
    return sorted({word for word in words if len(word) > 5 and word not in ("rxnorm", "snomed")})


IN_THE_FORMULARY = "ibuprofen 200 MG Oral Tablet"
"""Which medicine an item is stands in clear, and is found. Which item a patient was given stands in clear too, beside
their id (decision 0031): no word of theirs is looked for here that would show it. Their orders are sealed."""

OF_NOBODY = "a whole coach was stranded outside"
"""What was said of somebody who gave no name: it stands in clear, and is found."""

WARNED = ("tuna-160g=", "=allergen", '"warning":', '"allergens_unknown"')
"""As an event says which of its goods a household may not eat, now and as it might have been written."""


def _remarks(stage: Stage) -> None:
    """Give reasons in words wherever they are asked for, and an item that somebody may not eat."""
    now = datetime.now(UTC)
    year, week_, _ = now.isocalendar()
    of = (f"programme={table.PROGRAMME}", f"period={year}-W{week_:02}")
    said = SAID

    def send(command: str, *fields: str) -> None:
        stage.send(command, *fields, service="distribution", quietly=True)

    send("ScheduleSession", "session=late", of[0], "site=store", "name=Late", f"starts_at={now:%Y-%m-%dT%H:%M:%SZ}",
         f"ends_at={now + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}")  # fmt: skip
    send("OpenSession", "session=late")
    send("RegisterHousehold", "household=h-9001", "size=1", 'members=[{"member":"1","allergens":"fish"}]')
    tuna = 'lines=[{"item":"tuna-160g","quantity":1}]'
    for order, household in (("l-1", "h-9001"), ("l-2", "h-0413")):
        send("PlaceOrder", f"order={order}", f"household={household}", "session=late", tuna, "seen_warnings=true",
             f"override_reason={said['an order overridden']}")  # fmt: skip
        send("ConfirmOrder", f"order={order}", f"override_reason={said['a confirmation overridden']}")
        send("PackBox", f"box=L-{order}", f"order={order}", tuna, "seen_warnings=true")
        stage.level()
    send("UnpackBox", "box=L-l-1", f"reason={said['an unpacked box']}")
    for order in ("l-1", "l-2"):
        send("CancelOrder", f"order={order}", f"reason={said['a cancellation']}")
    send("HandOutBox", "box=L-l-2", "fact=true")
    send("ResolveHandOut", "box=L-l-2", f"note={said['a box looked into']}")
    claim = ("household=h-0414", *of, "claim=l-3")
    send("ClaimEntitlement", *claim, f"override_reason={said['a claim overridden']}")
    send("ReleaseEntitlement", *claim, f"reason={said['a claim given back']}")
    visit = ("visit=l-4", "household=h-9001", *of)
    send("RecordVisit", *visit, "session=late", tuna, f"override_reason={said['a visit overridden']}",
         "collected_by=nobody-knows", "fact=true")  # fmt: skip
    send("ResolveVisit", *visit, f"note={said['a visit looked into']}")
    send("ReverseVisit", *visit, f"reason={said['a visit taken back']}")
    send(
        "RecordVisit",
        "visit=l-5",
        *of,
        "session=late",
        "seen_warnings=true",
        'people={"adult":1}',
        f"override_reason={OF_NOBODY}",
    )
    merge = ("household=h-0415", "into=h-0414")
    send("MergeHouseholds", *merge, f"reason={said['a merge']}")
    send("UnmergeHouseholds", *merge, f"reason={said['an unmerge']}")


def _of_the_clinic(stage: Stage) -> None:
    """Say things of patients wherever something can be said, in words."""
    said = SAID_OF_PATIENTS
    day = f"{datetime.now(UTC):%Y-%m-%d}"

    def send(command: str, actor: str = "osei", **fields: Any) -> None:
        flags = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in fields.items())
        stage.send(command, *flags, service="clinic", actor=actor, quietly=True)

    def words(text: str) -> dict[str, str]:
        return {"system": "text", "display": text}

    for patient in ("p-1", "p-3"):
        send("RegisterPatient", patient=patient, content={"family": "Quackenbush", "given": ["Thessaly"]})
    of = {"patient": "p-1"}
    allergy = {"substance": words("bee venom"), "category": "environment", "note": said["an allergy's note"]}
    send("RecordAllergy", **of, allergy="a", content=allergy)
    send("RefuteAllergy", **of, allergy="a", reason=said["an allergy refuted"])
    send("AssertNoKnownAllergy", **of)
    send("RecordProblem", **of, problem="p", content={"code": words(said["a problem"])})
    send("RecordResult", **of, result="r", content={
        "code": words("Dipstick"), "text": said["a result"], "found_at": f"{day}T00:00:00Z"})  # fmt: skip
    send("GrantConsent", **of, consent="c", content={"purpose": said["a consent"], "scope": "all"})
    booked = {"clinician": "osei", "date": day, "starts_at": f"{day}T12:00:00Z"}
    send("BookAppointment", **of, **booked, appointment="b", reason=said["a booking"])
    send("BookAppointment", **of, **booked, appointment="o", overbook_reason=said["a booking over another"])
    send("CancelAppointment", **of, clinician="osei", date=day, appointment="b", reason=said["a cancelled appointment"])
    send("MergePatients", patient="p-3", into="p-1", reason=said["a merge"])
    send("UnmergePatients", patient="p-3", into="p-1", reason=said["an unmerge"])
    send("OpenEncounter", **of, encounter="e-9", clinician="osei")
    note = {**of, "encounter": "e-9", "note": "n"}
    send("DraftNote", **note, text="x")
    send("SignNote", **note)
    send("AmendNote", **note, amendment="m", text=said["an amendment"])
    send("SetFormularyEntry", item="ibuprofen-200mg-16", medication={
        "system": "rxnorm", "code": "310965", "display": IN_THE_FORMULARY},
        ingredients=[{"system": "rxnorm", "code": "5640", "display": "ibuprofen"}])  # fmt: skip
    medicine = {"system": "rxnorm", "code": "310965", "display": IN_THE_FORMULARY}
    for order in ("rx-8", "rx-9"):
        content = {"medication": medicine, "directions": said["an order"], "quantity": 1, "days_supply": 3}
        send("Prescribe", **of, prescription=order, content=content)
        send("SignPrescription", **of, prescription=order)
    ask = {"item": "ibuprofen-200mg-16", "location": "clinic", "quantity": 1, "days_supply": 3}
    send("RequestDispensing", **of, **ask, dispensing="d-8", prescription="rx-8")
    send("RefuseDispensing", **of, dispensing="d-8", reason=said["a dispensing refused"])
    send("StopPrescription", **of, prescription="rx-8", reason=said["an order stopped"])
    send("RequestDispensing", **of, **ask, dispensing="d-9", prescription="rx-9")
    send("Dispense", **of, dispensing="d-9", content={"recipient": said["who fetched it"]}, label_printed=True,
         fact=True, lines=[{"lot": "IB1090", "quantity": 1}])  # fmt: skip
    send("AdministerMedication", **of, administration="g", item="ibuprofen-200mg-16", location="clinic", quantity=1,
         lot="IB1090", fact=True, content={"medication": medicine, "dose": {"value": 1, "unit": "1"},
                                           "note": said["what an administration was"]})  # fmt: skip
    send("ReverseAdministration", **of, administration="g", reason=said["an administration taken back"])
    send("MakeReferral", **of, referral="r", content={"to": said["a referral"]})
    send("CloseReferral", **of, referral="r", outcome=said["what came of a referral"])
    send("RecordDisclosure", **of, disclosure="d", purpose="legal", content={"to": said["a disclosure"], "what": "all"})
    stage.level()
    stage.commons("show", "chart", "p-1", "--purpose", "emergency", "--break-glass", "--reason",
                  said["a glass broken"], "--as", "rui", quietly=True)  # fmt: skip


def _erase(stage: Stage, service: str, person: str) -> None:
    """Two people erase somebody, and the service has acknowledged it."""
    of = (person, "--service", service)
    stage.commons("erase", *of, "--reason", "asked in writing", "--as", "sam")
    stage.commons("erase", *of, "--approve", "--as", "kim")

    async def acknowledged() -> None:
        nc = await connect(stage.described()["nats_url"], name="test")
        try:
            async with asyncio.timeout(10):
                while (await standings(nc, service))[f"household/{person}"].stage is not erasure.Stage.ERASED:
                    await asyncio.sleep(0.05)
        finally:
            await nc.close()

    asyncio.run(acknowledged())


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger that has lived through the demo's week, a copy of its keyrings in it, and was stopped."""
    folder = tmp_path_factory.mktemp("week")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NATS_URL", "DATABASE_URL", "COMMONS_MASTER_KEY", "COMMONS_MASTER_KEY_FILE", "COMMONS_KEYRING"):
            patch.delenv(name, raising=False)
        patch.setenv("COMMONS_DATA", "")  # the demo sets it; it is put back afterwards
        patch.setenv("COMMONS_ERASURE_DELAY_DAYS", "0")
        stage = Stage(folder, lambda arguments: CliRunner().invoke(app, arguments).exit_code)
        try:
            week.play(stage, tmp_path_factory.mktemp("samples"))
            stage.send("OpenLocation", "location=annexe", f"name={CLEAR}", "kind=store")
            for file in ("households.csv", "people.csv"):
                stage.commons("import", "households", str(SAMPLES / file), "--on", "2026-01-15")
            stage.commons("keys", "backup", str(folder / "keys.copy"))
            _erase(stage, "distribution", "h-101")
            _remarks(stage)
            _of_the_clinic(stage)
            stage.commons("keys", "rotate")
            stage.commons("keys", "erase", "inventory", "donor/donor-11", "--yes")
            stage.level()
            stage.commons("verify")
        finally:
            stage.stop()
    return folder


def test_no_name_stands_in_any_byte_that_the_week_stored(stored: Path) -> None:
    words = _personal()
    assert len(words) > 90
    of_patients = [*_of_patients(), *SAID_OF_PATIENTS.values(), "Quackenbush", "Thessaly", "bee venom"]
    assert len(of_patients) > 45
    found = leaks([*words, *SAID.values(), *WARNED, *of_patients, CLEAR, OF_NOBODY, IN_THE_FORMULARY], stored)
    assert {path.split("/")[1] for path in found.pop(CLEAR)} >= {"nats", "postgres"}
    assert {path.split("/")[1] for path in found.pop(OF_NOBODY)} >= {"nats"}
    assert {path.split("/")[1] for path in found.pop(IN_THE_FORMULARY)} >= {"nats", "postgres"}
    assert found == {}


def test_the_master_key_stands_in_its_file_alone(stored: Path) -> None:
    lines = (stored / "ledger" / "keys" / "master.key").read_text().splitlines()
    assert len(lines) == 2
    keys = [line.partition(":")[2] for line in lines]
    assert leaks(keys, stored) == {key: {"ledger/keys/master.key"} for key in keys}
