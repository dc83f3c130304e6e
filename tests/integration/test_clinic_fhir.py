"""The FHIR API on real servers: what a role is shown, what is found, that reads are recorded, what erasure leaves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.clinic import contract as c
from services.clinic.contract import clinic
from services.clinic.deciders import DECIDERS
from services.fhir.accesses import QUEUE
from services.fhir.server import FhirServer
from services.local.nats import NatsServer
from services.projections.clinic.naming import PATIENTS
from services.projections.registry import CLINIC
from services.projections.search import NameSearch
from shared.actorkeys import make_private
from shared.masterkeys import from_file
from tests.support.club import Club, Place
from tests.support.fhir import Client, Got
from tests.support.projections import Stage
from tests.support.surgery import WEIGHT, amoxicillin, penicillin

ROLES = {"osei": c.Role.CLINICIAN, "lind": c.Role.PHARMACIST, "rui": c.Role.FRONT_DESK, "aud": c.Role.AUDITOR}


def who(actor: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"x-commons-actor", actor.encode()), (b"x-commons-purpose", b"treatment"))


class Surroundings:
    """The clinic's service, its read models and search, and the FHIR API, all in this process."""

    def __init__(self, stage: Stage, place: Place, folder: Path) -> None:
        self.stage, self.place, self.folder = stage, place, folder
        self.service: Club
        self.server: FhirServer
        self.search: NameSearch
        self._number = 0

    @asynccontextmanager
    async def serving(self, *, records_accesses: bool = True) -> AsyncIterator[None]:
        deciders = [one for one in DECIDERS if records_accesses or one.category != "access"]
        self.service = Club(clinic, deciders, self.place.settings())
        await self.service.start()
        try:
            yield
        finally:
            await self.service.stop()

    @asynccontextmanager
    async def api(self) -> AsyncIterator[None]:
        key = self.folder / "fhir.jwk"
        if not key.exists():
            make_private(key)
        told = {
            "database_url": self.stage.database_url, "fhir_trust_actor": True, "fhir_queue": self.folder,
            "fhir_base": "https://clinic.example/fhir", "actor_key": key,
        }  # fmt: skip
        self.server = FhirServer(self.place.settings().model_copy(update=told))
        await self.server.start()
        try:
            yield
        finally:
            await self.server.stop()

    async def send(self, command: Any, actor: str = "osei") -> None:
        self._number += 1
        await self.service.send(command, f"c-{self._number}", actor)

    async def level(self) -> None:
        last = await self.stage.last("CLINIC")
        for projection in CLINIC:
            await self.stage.wait(projection.name, "CLINIC", last)
        async with asyncio.timeout(20):
            while self.search.position < last:
                await asyncio.sleep(0.02)

    async def get(self, target: str, actor: str = "osei") -> Got:
        await self.level()
        return await Client(self.server.http).get(f"/fhir/{target}", who=who(actor))

    async def log(self, patient: str = "ada") -> list[tuple[Any, ...]]:
        """Who read what, the oldest first."""
        await self.level()
        rows = await self.stage.pool.fetch(
            "SELECT * FROM clinic.access_log WHERE patient = $1 ORDER BY recorded_at, occurred_at, access", patient
        )
        return [(row["reader"], row["role"], row["purpose"], row["parts"]) for row in rows]


@pytest.fixture
async def around(nats_server: NatsServer, database_url: str, tmp_path: Path) -> AsyncIterator[Surroundings]:
    (tmp_path / "keys").mkdir()
    place = Place(tmp_path / "keys", nats_server)
    async with Stage(nats_server, database_url) as stage, AsyncExitStack() as running:
        await stage.make("INVENTORY")
        made = Surroundings(stage, place, tmp_path)
        async with made.serving():
            for projection in CLINIC:
                await running.enter_async_context(stage.running(projection))
            masters = from_file(place.masters)
            made.search = NameSearch(PATIENTS, stage.nats_url, stage.database_url, lambda: masters)
            searching = asyncio.create_task(made.search.run())
            for name, role in ROLES.items():
                licence = c.Licence(title="MD", number="4711", valid_from=date(2020, 1, 1))
                await made.send(c.AddPractitioner(practitioner=name, name=name.title(), roles=(role,), licence=licence))
            for patient, family in (("ada", "Quarternbridge"), ("ben", "Quartermaine")):
                content = c.Demographics(
                    family=family, given=("Ada",), born=date(1985, 12, 10),
                    identifiers=(f"http://hospital.example/mrn|{patient}-7",), contact=c.Contact(phone="555 0199"),
                )  # fmt: skip
                await made.send(c.RegisterPatient(patient=patient, content=content))
                tolerated = c.Allergy(substance=penicillin, category=c.AllergyCategory.MEDICATION)
                await made.send(c.RecordAllergy(patient=patient, allergy="a1", content=tolerated))
        try:
            yield made
        finally:
            searching.cancel()
            await asyncio.gather(searching, return_exceptions=True)


async def fill(around: Surroundings) -> None:
    """One of each kind of entry that needs no stock, in ada's chart."""
    now = datetime.now(UTC).replace(microsecond=0)
    on = {"clinician": "osei", "date": now.date()}
    await around.send(c.BookAppointment(appointment="ap", patient="ada", starts_at=now, reason="a cough", **on))
    await around.send(c.CheckIn(appointment="ap", **on))
    await around.send(
        c.OpenEncounter(encounter="e1", patient="ada", clinician="osei", appointment="ap", content=c.Visit())
    )
    await around.send(c.RecordVitals(encounter="e1", patient="ada", vitals="v1", content=(WEIGHT,)))
    await around.send(c.RecordProblem(patient="ada", problem="p1", content=c.Problem(code=amoxicillin)))
    order = c.Order(medication=amoxicillin, directions="Three times a day", quantity=21, days_supply=7)
    await around.send(c.Prescribe(prescription="rx", patient="ada", encounter="e1", content=order))
    await around.send(c.SignPrescription(prescription="rx", patient="ada"))
    await around.send(c.AssertNoKnownAllergy(patient="ada", category=c.AllergyCategory.FOOD))
    vaccine = c.Immunization(vaccine=c.Coding(system=c.CodeSystem.CVX, code="140", display="influenza, seasonal"))
    await around.send(
        c.GiveImmunization(administration="i1", patient="ada", content=vaccine, imported_from="the county")
    )
    await around.send(c.CloseEncounter(encounter="e1", patient="ada"))


async def test_a_chart_is_read_entry_by_entry_and_each_read_is_in_its_log(around: Surroundings) -> None:
    async with around.serving(), around.api():
        await fill(around)
        got = await around.get("Patient/ada")
        assert (got.status, got.json["name"][0]["family"]) == (200, "Quarternbridge")
        assert await around.log() == [("osei", "clinician", "treatment", ["identity", "contact"])]

        for named in (
            "AllergyIntolerance", "Condition", "Appointment", "Encounter", "Observation", "MedicationRequest",
            "Immunization",
        ):  # fmt: skip
            found = await around.get(f"{named}?patient=ada")
            assert found.status == 200 and found.ids, named
            for id in found.ids:
                one = await around.get(f"{named}/{id}")
                assert (one.status, one.json["id"]) == (200, id), named
        visit = (await around.get("Encounter/e1")).json
        assert (visit["status"], visit["class"]["code"], "end" in visit["period"]) == ("finished", "AMB", True)
        (appointment,) = (await around.get("Appointment?patient=ada")).ids
        assert visit["appointment"] == [{"reference": f"Appointment/{appointment}"}]
        assert (await around.get("MedicationRequest/rx")).json["status"] == "active"
        assert (await around.get("Practitioner/osei")).json["name"] == [{"text": "Osei"}]
        log = await around.log()
        assert {tuple(parts) for *_, parts in log} == {
            ("identity", "contact"), ("allergies",), ("problems",), ("appointments",), ("encounters",), ("vitals",),
            ("vitals", "results"), ("medicines",), ("immunizations",),
        }  # fmt: skip
        assert not await around.log("ben")


async def test_entries_of_two_patients_with_one_id_are_told_apart(around: Surroundings) -> None:
    async with around.serving(), around.api():
        ids = {
            patient: (await around.get(f"AllergyIntolerance?patient={patient}")).ids for patient in ("ada", "ben")
        }  # fmt: skip
        assert ids["ada"] != ids["ben"]
        for patient, (id,) in ids.items():
            got = await around.get(f"AllergyIntolerance/{id}")
            assert got.json["patient"]["reference"] == f"Patient/{patient}"
        assert (await around.get("AllergyIntolerance/a1")).status == 404


async def test_what_is_recorded_of_a_patient_who_goes_on_as_another_is_found_with_theirs(around: Surroundings) -> None:
    async with around.serving(), around.api():
        await around.send(c.MergePatients(patient="ada", into="ben", reason="one person"))
        found = await around.get("AllergyIntolerance?patient=ben")
        assert {one["resource"]["patient"]["reference"] for one in found.json["entry"]} == {
            "Patient/ada", "Patient/ben",
        }  # fmt: skip
        assert (await around.get("Patient/ada")).json["link"][0]["other"]["reference"] == "Patient/ben"
        assert await around.log("ada") and await around.log("ben")


async def test_that_no_allergy_is_known_does_not_go_out_while_one_of_its_kind_stands(around: Surroundings) -> None:
    """In any of the person's records: of whom was merged, and of the one as whom they go on."""
    async with around.serving(), around.api():
        await around.send(c.RegisterPatient(patient="cyd", content=c.Demographics(family="Lund")))
        for category in (c.AllergyCategory.MEDICATION, c.AllergyCategory.FOOD):
            await around.send(c.AssertNoKnownAllergy(patient="cyd", category=category))
        before = (await around.get("AllergyIntolerance?patient=cyd")).json["entry"]
        assert len(before) == 2
        (id,) = [one["resource"]["id"] for one in before if one["resource"]["category"] == ["medication"]]
        assert (await around.get(f"AllergyIntolerance/{id}")).status == 200
        await around.send(c.MergePatients(patient="cyd", into="ada", reason="one person"))
        for whose in ("cyd", "ada"):
            for more in ("", "&clinical-status=active"):
                found = (await around.get(f"AllergyIntolerance?patient={whose}{more}")).json
                said = {one["resource"]["code"]["text"] for one in found["entry"]}
                assert said - {"penicillin G"} == {"No known food allergy (situation)"}, (whose, more)
                assert found["total"] == len(found["entry"])
        assert (await around.get(f"AllergyIntolerance/{id}")).status == 404
        await around.send(c.RefuteAllergy(patient="ada", allergy="a1", reason="tested"))
        assert (await around.get(f"AllergyIntolerance/{id}")).status == 200


async def test_a_search_that_finds_nothing_is_recorded_of_whom_it_names(around: Surroundings) -> None:
    async with around.serving(), around.api():
        await around.send(c.RegisterPatient(patient="cyd", content=c.Demographics(family="Lund")))
        await around.send(c.MergePatients(patient="cyd", into="ben", reason="one person"))
        for target in (
            "Condition?patient=ben&code=E11.9", "AllergyIntolerance?patient=cyd", "Condition?patient=nobody",
            "Patient?_id=ben&family=quarternbridge",
        ):  # fmt: skip
            assert (await around.get(target)).ids == [], target
        assert [parts for *_, parts in await around.log("cyd")] == [
            ["problems"],
            ["allergies"],
            ["identity", "contact"],
        ]
        assert [parts for *_, parts in await around.log("ben")] == [["problems"], ["identity", "contact"]]
        assert not await around.log("ada") and not await around.log("nobody")


async def test_each_role_is_shown_what_it_opens(around: Surroundings) -> None:
    async with around.serving(), around.api():
        await fill(around)
        assert (await around.get("Patient/ada", "rui")).json["telecom"]
        assert "telecom" not in (await around.get("Patient/ada", "lind")).json
        assert (await around.get("AllergyIntolerance?patient=ada", "lind")).ids
        for actor, target in (
            ("rui", "AllergyIntolerance?patient=ada"), ("lind", "Condition?patient=ada"), ("aud", "Patient/ada"),
            ("mallory", "Patient/ada"), ("mallory", "Practitioner/osei"),
        ):  # fmt: skip
            got = await around.get(target, actor)
            assert got.status == 403 and b"Quarternbridge" not in got.body, (actor, target)
        assert {(reader, *parts) for reader, *_, parts in await around.log()} == {
            ("rui", "identity", "contact"), ("lind", "identity"), ("lind", "allergies"),
        }  # fmt: skip


async def test_patients_are_searched_by_name_birth_date_and_number(around: Surroundings) -> None:
    async with around.serving(), around.api():
        for asked, ids in (
            ("name=quarternbridge", ["ada"]), ("family=QUAR", ["ada", "ben"]), ("given=ada&family=quarterm", ["ben"]),
            ("family=quarternbridge,quartermaine&birthdate=1985-12-10", ["ada", "ben"]),
            ("name=quar&birthdate=ge1986", []), ("name=quar&birthdate=1985", ["ada", "ben"]),
            ("identifier=http://hospital.example/mrn|ada-7", ["ada"]), ("identifier=ben-7", ["ben"]),
            ("identifier=http://elsewhere.example|ada-7", []), ("_id=ada", ["ada"]), ("_id=ada&family=quarterm", []),
            ("name=nobody", []),
        ):  # fmt: skip
            assert (await around.get(f"Patient?{asked}")).ids == ids, asked
        first = await around.get("Patient?family=quar&_count=1")
        assert first.ids == ["ada"] and first.json["total"] == 2
        following = str(first.link("next")).removeprefix("https://clinic.example/fhir/")
        second = await around.get(following)
        assert second.ids == ["ben"] and second.link("next") is None
        assert len(await around.log("ben")) == 6  # each time that they were on a page


async def test_a_read_that_the_clinic_does_not_take_is_kept_and_recorded_once(around: Surroundings) -> None:
    async with around.serving(records_accesses=False), around.api():
        assert (await around.get("Patient/ada")).status == 200
        assert around.server.health()["waiting"] == 1
    assert (around.folder / QUEUE).stat().st_mode & 0o077 == 0
    async with around.serving(), around.api():
        async with asyncio.timeout(20):
            while around.server.health()["waiting"]:
                await asyncio.sleep(0.05)
        assert await around.log() == [("osei", "clinician", "treatment", ["identity", "contact"])]
    assert not (around.folder / QUEUE).exists()


async def test_nothing_is_shown_when_the_read_can_neither_be_recorded_nor_kept(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async with around.serving(records_accesses=False), around.api():
        monkeypatch.setattr("services.fhir.accesses.write", full)
        got = await around.get("Patient/ada")
        assert got.status == 503 and b"Quarternbridge" not in got.body


async def test_who_is_erased_is_gone(around: Surroundings) -> None:
    async with around.serving(), around.api():
        (id,) = (await around.get("AllergyIntolerance?patient=ada")).ids
        assert (await around.get("Patient/ada")).status == 200
        vault = around.service.handler.vault
        assert vault is not None
        await vault.destroy("patient/ada")
        gone = time.monotonic()
        while (await around.get("Patient/ada")).status == 200:
            assert time.monotonic() < gone + 1.5  # keys are kept for a second
        for target in ("Patient/ada", f"AllergyIntolerance/{id}"):
            got = await around.get(target)
            assert (got.status, got.json["resourceType"]) == (410, "OperationOutcome")
        assert (await around.get("AllergyIntolerance?patient=ada")).ids == []
        assert (await around.get("Patient?name=quar")).ids == ["ben"]
        assert (await around.get("Patient/nobody")).status == 404


async def test_charts_are_exported_as_far_as_the_role_goes_and_each_is_recorded_as_read(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA", "COMMONS_MASTER_KEY", "COMMONS_MASTER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    servers = ["--nats-url", around.stage.nats_url, "--database-url", around.stage.database_url]

    def exported(folder: str, actor: str, *more: str) -> Any:
        told = ["--data", str(around.folder), "--as", actor, "--json", *more]
        return CliRunner().invoke(app, ["export", "fhir", str(around.folder / folder), *servers, *told])

    def lines(folder: str, named: str) -> list[Any]:
        return [json.loads(line) for line in (around.folder / folder / f"{named}.ndjson").read_text().splitlines()]

    async with around.serving():
        await fill(around)
        await around.level()
        made = await asyncio.to_thread(exported, "all", "osei", "--purpose", "patient_request")
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["resources"] == {
            "AllergyIntolerance": 3, "Appointment": 1, "Condition": 1, "Encounter": 1, "Immunization": 1,
            "MedicationRequest": 1, "Observation": 1, "Patient": 2, "Practitioner": 4,
        }  # fmt: skip
        assert {one["id"] for one in lines("all", "Patient")} == {"ada", "ben"}
        assert await around.log("ben") == [
            ("osei", "clinician", "patient_request", ["identity", "contact", "allergies"])
        ]
        desk = await asyncio.to_thread(exported, "desk", "rui", "--purpose", "operations")
        assert set(json.loads(desk.stdout)["resources"]) == {"Appointment", "Patient", "Practitioner"}
        for actor, *more in (("mallory", "--purpose", "operations"), ("osei",)):
            assert (await asyncio.to_thread(exported, "none", actor, *more)).exit_code != 0
        assert not (around.folder / "none").exists() or not list((around.folder / "none").iterdir())
