"""The clinic: a long chart opened, ten thousand patients searched as FHIR, and another system's records taken in."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure, against
from bench.hall import send
from bench.running import Ledger, everything
from services.accesses import Access, attempt
from services.clinic.contract import (
    AddPractitioner,
    CodeSystem,
    Coding,
    Demographics,
    Licence,
    Measure,
    Purpose,
    RecordProblem,
    RecordResult,
    RegisterPatient,
    Result,
    Role,
    clinic,
)
from services.clinic.contract import Problem as ProblemSaid
from services.commands.importing import Sender
from services.imports.fhir.run import run
from services.queries.clinic import entries, roles_of
from services.queries.clinic.chart import sealed_in, told
from services.queries.clinic.roles import sight
from shared.database import open_pool
from shared.keyreader import open_texts
from shared.store import stream_name

EVENTS: Final = 1000
OPENED: Final = 300
PATIENTS: Final = 10_000
SEARCHES: Final = 1500
_STREAM: Final = stream_name(clinic.service)
_GLUCOSE: Final = Coding(system=CodeSystem.LOINC, code="2345-7", display="Glucose [Mass/volume] in Serum or Plasma")
_ASTHMA: Final = Coding(system=CodeSystem.SNOMED, code="195967001", display="Asthma (disorder)")
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SYLLABLES: Final = ("ka", "ri", "mo", "ten", "su", "lan", "be", "do", "vi", "gar", "ne", "pol")


async def chart_open_p99(folder: Path) -> list[Figure]:
    """A chart of a thousand events, from the question to its entries in words, one opening after the other.

    As `commons show chart` does it between its start and its table: the reader's role, the rows, and then, at the same
    time, the read recorded in the ledger and the texts opened; words when both are done.
    """
    async with everything(folder) as ledger:
        await _staff(ledger)
        await send(ledger, clinic, [RegisterPatient(patient="ada", content=_who(0))])
        last = await send(ledger, clinic, (_result(number) for number in range(EVENTS - 1)))
        for projection in ("clinic_patients", "clinic_chart"):
            await ledger.level(projection, _STREAM, last)
        masters = ledger.keys.masters()
        assert masters is not None
        pool = await open_pool(ledger.postgres.url, max_size=2)
        took: dict[str, list[float]] = {"asked": [], "opened": [], "words": [], "whole": [], "cpu": []}
        try:
            for turn in range(OPENED + 20):
                spent, began = time.process_time(), time.perf_counter()
                seen = sight(await roles_of(pool, "bench"))
                found = await entries(pool, patient="ada", kinds=seen.kinds())
                asked = time.perf_counter()
                texts = {text for record in found.records() for text in sealed_in(record)}
                known, recorded = await asyncio.gather(
                    open_texts(ledger.nc, clinic.service, masters, texts),
                    attempt(ledger.nc, _access(turn, sorted(seen.parts)), "/commons/bench"),
                )
                opened = time.perf_counter()
                if not recorded:
                    raise RuntimeError("a read of the chart was not recorded")
                shown = told(found, known, contact=True)
                ended = time.perf_counter()
                cpu = time.process_time() - spent
                if len(shown.rows) != EVENTS:
                    raise RuntimeError(f"the chart has {len(shown.rows)} entries, not {EVENTS}")
                if turn >= 20:
                    spans = (asked - began, opened - asked, ended - opened, ended - began, cpu)
                    for name, value in zip(took, spans, strict=True):
                        took[name].append(value)
        finally:
            pool.terminate()
    half = {name: _quantile(values, 0.5) for name, values in took.items()}
    note = (
        f"p50 {half['whole']:.1f} ms: {half['asked']:.1f} ms to read it, {half['opened']:.1f} to open its texts while "
        f"the read is recorded, {half['words']:.1f} to put it in words; {half['cpu']:.1f} ms of a core"
    )
    return [against("chart_open_p99", _quantile(took["whole"], 0.99), "ms", "at most", 50, 1, lower=True, note=note)]


async def fhir_search_p99(folder: Path) -> list[Figure]:
    """Searches over HTTP among ten thousand patients, each recorded: by name, by number, by patient; one at a time."""
    async with everything(folder) as ledger:
        await _staff(ledger)
        chance = random.Random(7)
        people = [_who(number, chance) for number in range(PATIENTS)]
        await send(ledger, clinic, (RegisterPatient(patient=f"p{n}", content=who) for n, who in enumerate(people)))
        last = await send(ledger, clinic, (_problem(n) for n in range(PATIENTS)))
        for projection in ("clinic_patients", "clinic_chart", "clinic_directory"):
            await ledger.level(projection, _STREAM, last)
        while (await ledger.pool.fetchval(_SEARCHED) or 0) < last:
            await asyncio.sleep(0.1)
        api = _Http(ledger.ports["fhir"])
        took: dict[str, list[float]] = {"name": [], "identifier": [], "patient": []}
        for turn in range(SEARCHES + 60):
            number = chance.randrange(PATIENTS)
            who = people[number]
            kind, asked = (
                ("name", f"Patient?family={who.family}&birthdate={who.born}"),
                ("identifier", f"Patient?identifier=http://hospital.example/mrn%7C{number}"),
                ("patient", f"Condition?patient=p{number}"),
            )[turn % 3]
            began = time.perf_counter()
            found = await api.get(f"/fhir/{asked}")
            if not found["total"]:
                raise RuntimeError(f"{asked} finds nobody")
            if turn >= 60:
                took[kind].append(time.perf_counter() - began)
        await api.close()
    every = [value for values in took.values() for value in values]
    note = ", ".join(f"by {kind} {_quantile(values, 0.5):.1f} ms" for kind, values in took.items())
    return [
        against("fhir_search_p99", _quantile(every, 0.99), "ms", "at most", 100, 1, lower=True, note=f"p50 {note}")
    ]  # fmt: skip


async def fhir_import(folder: Path) -> list[Figure]:
    """Records of 100 patients as FHIR ndjson, read, sent and acknowledged with 64 commands under way at most.

    What is of one aggregate is sent one after the other, and encounters before what refers to them.
    """
    files = folder / "fhir"
    files.mkdir()
    resources = 0
    for named, found in _records(100):
        lines = [json.dumps(one) for one in found]
        resources += len(lines)
        (files / f"{named}.ndjson").write_text("\n".join(lines) + "\n")
    async with everything(folder) as ledger:
        await _staff(ledger)
        spent = ledger.cpu()
        began = time.perf_counter()
        report = await run(sorted(files.iterdir()), "bench", Sender(ledger.client, clinic))
        seconds = time.perf_counter() - began
        used = {name: value - spent[name] for name, value in ledger.cpu().items()}
    imported = report.total.taken
    if imported != resources:
        raise RuntimeError(f"{imported} of {resources} resources were imported")
    busiest = sorted(used.items(), key=lambda one: -one[1])[:4]
    note = "cores kept busy: " + ", ".join(f"{name} {value / seconds:.2f}" for name, value in busiest)
    return [Figure("fhir_import", resources / seconds, "resources/s", note=note)]


# -- who and what -----------------------------------------------------------------------------------------------------

_SEARCHED: Final = "SELECT sequence FROM clinic.search_position WHERE stream = 'CLINIC'"


async def _staff(ledger: Ledger) -> None:
    licence = Licence(title="MD", valid_from=date(2020, 1, 1))
    last = await send(
        ledger, clinic, [AddPractitioner(practitioner="bench", name="Bench", roles=(Role.CLINICIAN,), licence=licence)]
    )
    await ledger.level("clinic_directory", _STREAM, last)


def _access(number: int, parts: list[str]) -> Access:
    fields = {
        "access": f"a{number}", "reader": "bench", "patient": "ada", "role": str(Role.CLINICIAN),
        "purpose": str(Purpose.TREATMENT), "parts": parts, "break_glass": False, "reason": None,
        "occurred_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    return Access(f"bench-access-{number}", "bench", None, fields)


def _who(number: int, chance: random.Random | None = None) -> Demographics:
    chance = chance or random.Random(number)
    family, given = ("".join(chance.choices(_SYLLABLES, k=3)).title() for _ in range(2))
    born = date(1940, 1, 1) + timedelta(days=chance.randrange(28_000))
    mrn = f"http://hospital.example/mrn|{number}"
    return Demographics(family=family, given=(given,), born=born, identifiers=(mrn,))


def _result(number: int) -> RecordResult:
    at = _FIRST + timedelta(hours=number % 7000)
    measured = Measure(value=800 + number, decimals=1, unit="mg/dL")
    content = Result(code=_GLUCOSE, measured=measured, found_at=at)
    return RecordResult(patient="ada", result=f"r{number}", content=content, occurred_at=at)


def _problem(number: int) -> RecordProblem:
    return RecordProblem(patient=f"p{number}", problem="asthma", content=ProblemSaid(code=_ASTHMA))


def _records(patients: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Patients, and 20 encounters, 20 orders and 10 results of each."""
    people = [f"p{number}" for number in range(patients)]
    yield "Patient", [
        {"resourceType": "Patient", "id": id, "name": [{"family": f"Bench{n}", "given": ["Ada"]}], "gender": "female",
         "birthDate": "1980-05-01"}
        for n, id in enumerate(people)
    ]  # fmt: skip
    yield "Encounter", [
        {"resourceType": "Encounter", "id": f"{id}-e{n}", "status": "finished", "class": {"code": "AMB"},
         "subject": {"reference": f"Patient/{id}"}, "period": {"start": _at(n), "end": _at(n)}}
        for id in people for n in range(20)
    ]  # fmt: skip
    medicine = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "314076",
                            "display": "lisinopril 10 MG Oral Tablet"}]}  # fmt: skip
    yield "MedicationRequest", [
        {"resourceType": "MedicationRequest", "id": f"{id}-m{n}", "status": "completed", "intent": "order",
         "medicationCodeableConcept": medicine, "subject": {"reference": f"Patient/{id}"},
         "encounter": {"reference": f"Encounter/{id}-e{n}"}, "authoredOn": _at(n),
         "dosageInstruction": [{"text": "one a day"}]}
        for id in people for n in range(20)
    ]  # fmt: skip
    glucose = {"coding": [{"system": "http://loinc.org", "code": "2345-7", "display": "Glucose"}]}
    yield "Observation", [
        {"resourceType": "Observation", "id": f"{id}-o{n}", "status": "final", "code": glucose,
         "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                   "code": "laboratory"}]}],
         "subject": {"reference": f"Patient/{id}"}, "effectiveDateTime": _at(n),
         "valueQuantity": {"value": 88, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"}}
        for id in people for n in range(10)
    ]  # fmt: skip


def _at(number: int) -> str:
    return (_FIRST + timedelta(days=number, hours=9)).isoformat()


class _Http:
    """One connection that is kept, as a client's would be."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, target: str) -> Any:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Commons-Actor: bench\r\n"
            "X-Commons-Purpose: treatment\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
        if " 200 " not in head.partition("\r\n")[0]:
            raise RuntimeError(body.decode())
        return json.loads(body)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()


def _quantile(seconds: Iterable[float], q: float) -> float:
    """Milliseconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1e3
