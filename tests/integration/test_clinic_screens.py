"""The clinic's screens on real servers: what is opened for whom, and that every read is recorded, now or later."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.clinic import contract as c
from services.clinic.contract import clinic
from services.clinic.deciders import DECIDERS
from services.commands.accesses import QUEUE, REFUSED
from services.local.nats import NatsServer
from services.projections.clinic.naming import PATIENTS
from services.projections.registry import CLINIC
from services.projections.search import NameSearch
from shared.masterkeys import from_file
from shared.sealing import is_sealed
from tests.support.club import Club, Place
from tests.support.leaks import leaks
from tests.support.projections import Stage
from tests.support.surgery import amoxicillin, penicillin

ROLES = {
    "osei": c.Role.CLINICIAN, "lind": c.Role.PHARMACIST, "rui": c.Role.FRONT_DESK, "aud": c.Role.AUDITOR,
    "tam": c.Role.TRAINEE,
}  # fmt: skip


class Surroundings:
    """The clinic's service and read models in this process, and `commons` beside them."""

    def __init__(self, stage: Stage, place: Place, data: Path) -> None:
        self.stage, self.place, self.data = stage, place, data
        self.service: Club
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

    async def send(self, command: Any, actor: str = "osei") -> int:
        self._number += 1
        return (await self.service.send(command, f"c-{self._number}", actor)).sequence

    async def shown(self, *arguments: str, code: int = 0) -> Any:
        """What `commons show` answers, once the read models are level."""
        last = await self.stage.last("CLINIC")
        for projection in CLINIC:
            await self.stage.wait(projection.name, "CLINIC", last)
        return await asyncio.to_thread(self._shown, arguments, code)

    def _shown(self, arguments: tuple[str, ...], code: int) -> Any:
        servers = [
            "--nats-url",
            self.stage.nats_url,
            "--database-url",
            self.stage.database_url,
            "--data",
            str(self.data),
        ]
        form = [] if "--csv" in arguments or "--plain" in arguments else ["--json"]
        given = [one for one in arguments if one != "--plain"]
        result = CliRunner().invoke(app, ["show", *given, *form, *servers], env={"COLUMNS": "80"})
        assert result.exit_code == code, (result.output, result.stderr)
        return json.loads(result.stdout) if form and code == 0 else result.stdout + result.stderr

    async def log(self, patient: str) -> list[dict[str, Any]]:
        """Who read a patient's record, but for these looks themselves."""
        found: list[dict[str, Any]] = (await self.shown("access", patient, "--as", "aud"))["rows"]
        return [row for row in found if (row["reader"], row["parts"]) != ("aud", ["access_log"])]


@pytest.fixture
async def around(
    nats_server: NatsServer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Surroundings]:
    for name in ("NATS_URL", "DATABASE_URL", "COMMONS_DATA", "COMMONS_MASTER_KEY", "COMMONS_MASTER_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    data = tmp_path / "data"
    (data / "keys").mkdir(parents=True)
    place = Place(data / "keys", nats_server)
    async with Stage(nats_server, database_url) as stage, AsyncExitStack() as running:
        await stage.make("INVENTORY")
        made = Surroundings(stage, place, data)
        async with made.serving():
            for projection in CLINIC:
                await running.enter_async_context(stage.running(projection))
            for name, role in ROLES.items():
                await made.send(c.AddPractitioner(practitioner=name, name=name.title(), roles=(role,)))
            who = c.Demographics(
                family="Quarternbridge", given=("Ada",), born=date(1985, 12, 10), identifiers=("MRN 7",),
                contact=c.Contact(phone="555 0199"),
            )  # fmt: skip
            await made.send(c.RegisterPatient(patient="ada", content=who))
            tolerated = c.Allergy(
                substance=penicillin, category=c.AllergyCategory.MEDICATION, severity=c.Severity.SEVERE
            )
            await made.send(c.RecordAllergy(patient="ada", allergy="a1", content=tolerated))
            await made.send(
                c.RecordProblem(patient="ada", problem="p1", content=c.Problem(code=amoxicillin, note="unseen before"))
            )
        yield made


def entries(answer: Any) -> dict[str, str]:
    return {row["kind"]: row["entry"] for row in answer["rows"]}


async def test_a_chart_is_opened_as_far_as_the_role_goes_and_every_read_is_in_its_log(around: Surroundings) -> None:
    async with around.serving():
        seen = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "osei")
        assert entries(seen)["allergy"] == "penicillin G (RxNorm 7980), severe"
        assert entries(seen)["problem"] == "amoxicillin 250 mg capsule (RxNorm 308182); unseen before"
        assert "555 0199" in entries(seen)["patient"]
        assert seen["message"].startswith("ALLERGIES: penicillin G (RxNorm 7980), severe.")

        seen = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "lind")
        assert set(entries(seen)) == {"patient", "allergy"} and "555" not in entries(seen)["patient"]
        seen = await around.shown("chart", "ada", "--purpose", "operations", "--as", "rui")
        assert set(entries(seen)) == {"patient"} and "ALLERGIES" not in seen["message"]
        said = await around.shown("chart", "ada", "--purpose", "operations", "--as", "aud", code=1)
        assert "not opened for aud" in said and "Quarternbridge" not in said
        said = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "mallory", code=1)
        assert "nobody of that name works here" in said and "Quarternbridge" not in said
        said = await around.shown("allergies", "ada", "--as", "rui", code=1)
        assert "not opened for rui" in said

        why = ("--break-glass", "--reason", "unconscious at the door")
        seen = await around.shown("chart", "ada", "--purpose", "emergency", *why, "--as", "rui")
        assert "unseen before" in entries(seen)["problem"]

        log = await around.log("ada")
        assert [(row["reader"], row["role"], row["break_glass"]) for row in reversed(log)] == [
            ("osei", "clinician", False), ("lind", "pharmacist", False), ("rui", "front_desk", False),
            ("rui", "front_desk", True),
        ]  # fmt: skip
        assert log[-2]["parts"] == ["identity", "allergies"] and "reason" not in log[0]
        (broken,) = (await around.shown("break-glass", "--open", "--as", "aud"))["rows"]
        assert broken["reason"] == "unconscious at the door"
        review = (await around.shown("review", "--of", "clinic", "--as", "lind"))["rows"]
        assert [(row["kind"], row["patient"]) for row in review] == [("broken_glass", "ada")]
        assert not (around.data / QUEUE).exists()


async def test_a_read_that_cannot_be_recorded_is_kept_and_recorded_once_by_a_later_command(
    around: Surroundings,
) -> None:
    why = ("--break-glass", "--reason", "nobody else here tonight")
    async with around.serving(records_accesses=False):
        seen = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "rui", *why)
        assert "1 read of a chart is not recorded yet" in seen["message"]
        assert "unseen before" in entries(seen)["problem"]
        before = datetime.now(UTC)
    waiting = (around.data / QUEUE).read_text()
    assert waiting.count("\n") == 1 and "nobody else here" not in waiting
    assert (around.data / QUEUE).stat().st_mode & 0o077 == 0
    time.sleep(1.1)
    async with around.serving():
        await around.shown("practitioners", "--as", "tam")
        assert not (around.data / QUEUE).exists()
        (row,) = (await around.shown("access", "ada", "--open", "--as", "aud"))["rows"]
        assert (row["reader"], row["reason"]) == ("rui", "nobody else here tonight")
        assert datetime.fromisoformat(row["occurred_at"]) <= before < datetime.fromisoformat(row["recorded_at"])
        assert [(row["reader"], row["parts"]) for row in await around.log("ada")][:-1] == [
            ("aud", ["access_log", "broken_glass"])
        ]
    assert not (around.data / REFUSED).exists()
    assert leaks(["nobody else here tonight", "Quarternbridge", "unseen before"], around.data) == {}


async def test_somebody_looks_in_a_role_that_their_mandate_names_and_not_at_all_once_they_left(
    around: Surroundings,
) -> None:
    async with around.serving():
        both = (c.Role.FRONT_DESK, c.Role.AUDITOR)
        await around.send(c.AddPractitioner(practitioner="kim", name="Kim", roles=both))
        asked = ("access", "ada", "--as", "kim")
        for mandate, role in ((), "front_desk"), (("--mandate", "auditor"), "auditor"):
            await around.shown(*asked, *mandate)
            assert next(row["role"] for row in await around.log("ada")) == role
        said = await around.shown(*asked, "--mandate", "clinician", code=1)
        assert "works here as the front desk and as an auditor" in said and "--mandate names another" in said
        await around.send(c.RemovePractitioner(practitioner="kim"))
        assert "nobody of that name works here" in await around.shown(*asked, code=1)
        rows = (await around.shown("practitioners", "--as", "rui"))["rows"]
        assert [(row["practitioner"], row["roles"]) for row in rows if row["removed_at"]] == [("kim", [])]
        assert rows[-1]["name"] == "Kim"
    assert not (around.data / QUEUE).exists() and not (around.data / REFUSED).exists()


async def test_that_nothing_of_a_kind_is_recorded_is_told_and_so_recorded_as_read(around: Surroundings) -> None:
    async with around.serving():
        await around.send(c.RegisterPatient(patient="ben", content=c.Demographics(family="Adeyemi")))
        seen = await around.shown("chart", "ben", "--kind", "problem", "--purpose", "treatment", "--as", "osei")
        assert seen["rows"] == []
        assert [row["parts"] for row in await around.log("ben")] == [["problems"]]


async def test_of_a_patient_who_is_not_there_it_is_said_and_nothing_is_recorded(around: Surroundings) -> None:
    async with around.serving():
        before = await around.stage.last("CLINIC")
        for asked in (
            ("chart", "q-404", "--purpose", "treatment"), ("chart", "q-404", "--kind", "problem", "--purpose", "legal"),
            ("allergies", "q-404"), ("access", "q-404"), ("disclosures", "q-404", "--open"),
        ):  # fmt: skip
            said = await around.shown(*asked, "--as", "osei", code=1)
            assert "UNKNOWN_PATIENT" in said and "There is no patient 'q-404' here." in said, asked
            assert "q-404" not in await around.shown(*asked, "--as", "mallory", code=1)
        assert await around.stage.last("CLINIC") == before
        assert not (around.data / QUEUE).exists() and not (around.data / REFUSED).exists()


async def test_who_saw_a_record_is_shown_to_roles_that_answer_for_it_and_the_look_is_recorded(
    around: Surroundings,
) -> None:
    async with around.serving():
        why = ("--break-glass", "--reason", "unconscious at the door")
        await around.shown("chart", "ada", "--purpose", "emergency", *why, "--as", "tam")
        lists = {
            ("access", "ada"): {"osei", "rui", "aud"}, ("disclosures", "ada"): {"osei", "tam", "rui", "aud"},
            ("break-glass",): {"osei", "aud"}, ("review", "--of", "clinic"): {"osei", "lind", "aud"},
            ("practitioners",): set(ROLES),
        }  # fmt: skip
        for asked, allowed in lists.items():
            said = await around.shown(*asked, code=1)
            assert "nobody of that name works here. Say who you are with --as" in said, asked
            for who in ROLES:
                said = await around.shown(*asked, "--as", who, code=0 if who in allowed else 1)
                assert who in allowed or f"is not opened for {who}, who acts as" in said, (asked, who)
        said = await around.shown("access", "ada", "--as", "lind", code=1)
        assert "It is for a clinician, the front desk and an auditor" in said and "acts as a pharmacist" in said

        last = await around.stage.last("CLINIC")
        await around.shown("access", "ada", "--purpose", "patient_request", "--as", "rui")
        assert await around.stage.last("CLINIC") == last + 1
        looks = [(row["reader"], row["parts"], row["purpose"]) for row in await around.log("ada")]
        assert looks[0] == ("rui", ["access_log"], "patient_request")
        assert {("osei", ("broken_glass",)), ("aud", ("broken_glass",)), ("lind", ("reviews",)),
                ("tam", ("disclosures",))} <= {(reader, tuple(parts)) for reader, parts, _ in looks}  # fmt: skip


async def test_which_medicine_somebody_gets_is_shown_to_roles_that_see_medicines_and_recorded(
    around: Surroundings,
) -> None:
    """The item says it as the order does."""
    async with around.serving():
        licence = c.Licence(title="MD", number="4711", valid_from=date(2020, 1, 1))
        await around.send(
            c.AddPractitioner(
                practitioner="lee", name="Lee", roles=(c.Role.CLINICIAN, c.Role.PHARMACIST), licence=licence
            )
        )
        noted = {"name": "Amoxil", "unit": "each", "medicine": True, "controlled": False, "retired": False}
        await around.send(c.NoteItem(item="amox", revision=1, **noted))
        await around.send(c.SetFormularyEntry(item="amox", medication=amoxicillin, ingredients=(amoxicillin,)), "lee")
        order = c.Order(medication=amoxicillin, directions="Three times a day", quantity=21, days_supply=7)
        await around.send(c.Prescribe(prescription="rx", patient="ada", content=order), "lee")
        await around.send(c.SignPrescription(prescription="rx", patient="ada"), "lee")
        of = {"patient": "ada", "prescription": "rx", "item": "amox", "location": "cupboard"}
        await around.send(c.RequestDispensing(dispensing="d1", quantity=21, days_supply=7, **of), "lee")
        for asked in ((), ("--as", "rui"), ("--open", "--as", "rui")):
            (row,) = (await around.shown("dispensing", *asked))["rows"]
            assert row["dispensing"] == "d1" and "amox" not in str(row).lower(), asked
        assert [(row["reader"], row["parts"]) for row in await around.log("ada")] == [("rui", ["identity"])]
        (row,) = (await around.shown("dispensing", "--open", "--as", "lind"))["rows"]
        assert (row["item"], row["item_name"], row["medicine"]) == ("amox", "Amoxil", amoxicillin.display)
        assert [row["parts"] for row in await around.log("ada")] == [["identity", "medicines"], ["identity"]]


async def test_a_read_by_a_clock_that_is_ahead_is_recorded_at_once(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with around.serving():
        monkeypatch.setattr(
            "services.commands.clinic_questions.utc_now", lambda: datetime.now(UTC) + timedelta(days=400)
        )
        seen = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "osei")
        assert "not recorded yet" not in (seen["message"] or "")
        (row,) = await around.log("ada")
        assert row["reader"] == "osei" and datetime.fromisoformat(row["occurred_at"]) <= datetime.now(UTC)
    assert not (around.data / QUEUE).exists() and not (around.data / REFUSED).exists()


async def test_a_read_whose_reason_cannot_be_unwrapped_waits_for_a_command_that_can(around: Surroundings) -> None:
    why = ("--break-glass", "--reason", "nobody else here tonight")
    async with around.serving(records_accesses=False):
        await around.shown("chart", "ada", "--purpose", "treatment", "--as", "rui", *why)
    waiting = (around.data / QUEUE).read_text()
    async with around.serving():
        hidden = around.place.masters.rename(around.place.masters.with_suffix(".away"))
        seen = await around.shown("practitioners", "--as", "tam")
        assert "1 read of a chart is not recorded yet" in seen["message"]
        assert (around.data / QUEUE).read_text() == waiting and not (around.data / REFUSED).exists()
        hidden.rename(around.place.masters)
        await around.shown("practitioners", "--as", "tam")
        (row,) = (await around.shown("access", "ada", "--open", "--as", "aud"))["rows"]
        assert (row["reader"], row["reason"]) == ("rui", "nobody else here tonight")
    assert not (around.data / QUEUE).exists() and not (around.data / REFUSED).exists()


async def test_that_nothing_is_recorded_of_allergies_is_not_that_there_are_none(around: Surroundings) -> None:
    async with around.serving():
        await around.send(c.RegisterPatient(patient="ben", content=c.Demographics(family="Adeyemi")))
        seen = await around.shown("allergies", "ben", "--as", "lind")
        assert "UNKNOWN" in seen["message"]
        await around.send(c.AssertNoKnownAllergy(patient="ben", category=c.AllergyCategory.FOOD))
        seen = await around.shown("allergies", "ben", "--as", "lind")
        assert "UNKNOWN" in seen["message"] and "No known food allergy" in seen["message"]
        await around.send(c.AssertNoKnownAllergy(patient="ben"))
        seen = await around.shown("allergies", "ben", "--as", "lind")
        assert "UNKNOWN" not in seen["message"] and "No known medication allergy" in seen["message"]
        assert len(await around.log("ben")) == 3

        await around.send(c.MergePatients(patient="ada", into="ben", reason="one person"))
        seen = await around.shown("allergies", "ben", "--as", "lind")
        assert "ALLERGIES: penicillin" in seen["message"] and "No known medication" not in seen["message"]


async def test_a_patient_is_found_by_name_birth_date_and_number_until_their_key_is_destroyed(
    around: Surroundings,
) -> None:
    async def found(*arguments: str) -> list[str]:
        return [row["patient"] for row in (await around.shown("patient", *arguments, "--as", "rui"))["rows"]]

    async with around.serving():
        other = c.Demographics(family="Quartermaine", given=("Ben",), born=date(1985, 12, 11))
        await around.send(c.RegisterPatient(patient="ben", content=other))
        masters = from_file(around.place.masters)
        search = NameSearch(PATIENTS, around.stage.nats_url, around.stage.database_url, lambda: masters)
        running = asyncio.create_task(search.run())
        last = await around.stage.last("CLINIC")
        async with asyncio.timeout(20):
            while search.position < last:
                await asyncio.sleep(0.02)
        assert await found("quarternbridge ada") == await found("ADA") == ["ada"]
        assert sorted(await found("quar")) == ["ada", "ben"]
        assert await found("--born", "1985-12-10") == await found("--identifier", "mrn 7") == ["ada"]
        assert await found("ada") == ["ada"] and await found("ben ada") == []
        assert await found("quar", "--born", "1985-12-11") == ["ben"]
        vault = around.service.handler.vault
        assert vault is not None
        await vault.destroy("patient/ada")
        gone = time.monotonic()
        count = "SELECT count(*) FROM clinic.search_token WHERE owner = 'ada'"
        while await around.stage.pool.fetchval(count):
            assert time.monotonic() < gone + 1
            await asyncio.sleep(0.01)
        assert await found("quarternbridge") == [] and await found("quar") == ["ben"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        seen = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "osei")
        assert set(entries(seen).values()) == {"(erased)"} and "take nothing for safe" in seen["message"]
        said = await around.shown("patient", "mallory", "--as", "aud", code=1)
        assert "not opened" in said
    tokens = await around.stage.pool.fetch("SELECT token FROM clinic.search_token")
    assert not any("quar" in row["token"] for row in tokens)


async def test_a_chart_of_a_thousand_events_opens_quickly_and_is_legible_at_80_columns(around: Surroundings) -> None:
    async with around.serving():
        day = datetime(2026, 1, 1, tzinfo=UTC)
        for n in range(1000):
            found = c.Result(
                code=c.Coding(system=c.CodeSystem.LOINC, code="2345-7", display="Glucose"), found_at=day,
                measured=c.Measure(value=50 + n, decimals=1, unit="mmol/L"),
            )  # fmt: skip
            sent = c.RecordResult(patient="ada", result=f"r{n}", content=found, occurred_at=day + timedelta(hours=n))
            await around.send(sent)
        seen = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "tam")
        assert len(seen["rows"]) == 1003
        text = await around.shown("chart", "ada", "--purpose", "treatment", "--as", "tam", "--plain")
        assert max(len(line) for line in text.splitlines() if not line.startswith("ALLERGIES")) <= 80
        assert text.startswith("Chart ALLERGIES: penicillin G")
        assert "5.0 mmol/L" in text and "No room here" not in text
        rows = await around.stage.pool.fetch("SELECT content FROM clinic.chart_entries")
        assert all(is_sealed(row["content"]) for row in rows)
