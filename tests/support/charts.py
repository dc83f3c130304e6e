"""A handful of charts in memory, as the FHIR API reads them; what was read is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from services.clinic.contract import (
    Allergy,
    AllergyCategory,
    CodeSystem,
    Coding,
    Contact,
    Demographics,
    Given,
    Handed,
    Immunization,
    Measure,
    Order,
    Problem,
    Purpose,
    Result,
    Sex,
    Visit,
    Vital,
)
from services.fhir.charts import Forbidden, Page, Query
from services.fhir.criteria import matches
from services.fhir.entry import Dispensed, Entry, NotShown
from services.fhir.mapping import resources
from services.fhir.search import finders

AT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)


def entry(kind: str, id: str, content: Any = None, /, *, patient: str = "p-1", **clear: Any) -> Entry:
    return Entry(
        kind=kind,
        id=id,
        patient=patient,
        encounter=None if kind in ("patient", "practitioner") else "e-1",
        content=content,
        clear=clear,
        occurred_at=AT,
        recorded_at=AT,
        revision=1,
    )


def code(system: CodeSystem, code: str, display: str) -> Coding:
    return Coding(system=system, code=code, display=display)


PENICILLIN = code(CodeSystem.RXNORM, "7980", "Penicillin G")
AMOXICILLIN = code(CodeSystem.RXNORM, "308191", "amoxicillin 500 MG Oral Capsule")

ANA = Demographics(
    family="Ruíz",
    given=("Ana", "María"),
    born=date(1980, 5, 1),
    sex=Sex.FEMALE,
    contact=Contact(phone="0555 1", street="4 Mill Lane", city="Emporia", language="es-MX", guardian="Leo Ruíz"),
    identifiers=("http://hospital.example/mrn|12345", "County Hospital|p/9"),
)
ORDER = Order(
    medication=AMOXICILLIN,
    dose=Measure(value=1, unit="{capsule}"),
    directions="1 capsule 3 times a day",
    quantity=21,
    days_supply=7,
    prescriber="Dr Lee",
)
VITALS = (
    Vital(code=code(CodeSystem.LOINC, "8480-6", "Systolic blood pressure"), measured=Measure(value=120, unit="mm[Hg]")),
    Vital(code=code(CodeSystem.LOINC, "8462-4", "Diastolic blood pressure"), measured=Measure(value=80, unit="mm[Hg]")),
    Vital(
        code=code(CodeSystem.LOINC, "8310-5", "Body temperature"), measured=Measure(value=366, decimals=1, unit="Cel")
    ),
)


def charts() -> list[Entry]:
    """One of each kind, of p-1; and three more patients."""
    others = [("p-2", "Okafor", "Bo"), ("p-3", "Ruiz", "Cem"), ("p_4", "Lund", "Di")]
    return [
        entry("patient", "p-1", ANA),
        *(
            entry("patient", id, Demographics(family=family, given=(given,)), patient=id)
            for id, family, given in others
        ),
        entry("allergy", "a-1", Allergy(substance=PENICILLIN, category=AllergyCategory.MEDICATION), status="active"),
        entry("no_known_allergy", "p-1-food", category="food"),
        entry("problem", "c-1", Problem(code=code(CodeSystem.ICD10CM, "E11.9", "Type 2 diabetes"))),
        entry(
            "appointment",
            "ap-1",
            "cough",
            clinician="dr-lee",
            starts_at="2026-11-20T18:15:00+00:00",
            minutes=15,
            status="checked_in",
        ),
        entry(
            "encounter",
            "e-1",
            Visit(reasons=(Coding(system=CodeSystem.TEXT, display="Cough"),), place="Room 2"),
            clinician="dr-lee",
            appointment="ap-1",
            kind="ambulatory",
            ended_at="2026-11-20T19:00:00+00:00",
        ),
        entry("vitals", "v_1", VITALS, recorded_by="nurse-1"),
        entry(
            "result",
            "r-1",
            Result(
                code=code(CodeSystem.LOINC, "4548-4", "Hemoglobin A1c"),
                found_at=AT,
                measured=Measure(value=70, decimals=1, unit="%"),
                reference="4.0 to 5.6 %",
            ),
        ),
        entry("prescription", "m-1", ORDER, signed_by="dr-lee", signed_at="2026-11-20T18:40:00+00:00"),
        entry(
            "dispensing",
            "d-1",
            Dispensed(handed=Handed(recipient="Ana Ruíz"), order=ORDER),
            prescription="m-1",
            item="amox",
            quantity=21,
            unit="each",
            lots=[{"lot": "A1"}],
            days_supply=7,
            status="dispensed",
            verified_by="ph-1",
        ),
        entry(
            "administration",
            "g-1",
            Given(medication=PENICILLIN, dose=Measure(value=5, decimals=1, unit="mL")),
            item="pen",
            quantity=1,
            lot="B2",
            given_by="nurse-1",
        ),
        entry(
            "immunization",
            "i-1",
            Immunization(
                vaccine=code(CodeSystem.CVX, "141", "Influenza, seasonal"),
                lot="F9",
                title="RN",
                administered_by="N. Urse",
                sheet="Influenza VIS",
                sheet_edition=date(2025, 1, 31),
            ),
            given_by="nurse-1",
        ),
        entry(
            "practitioner",
            "dr-lee",
            "Dr Kim Lee",
            patient="",
            active=True,
            roles=["clinician"],
            licence={"title": "MD", "number": "4711", "valid_from": "2020-01-01"},
            identifiers=["http://hl7.org/fhir/sid/us-npi|9999908392"],
        ),
    ]


@dataclass
class Shelf:
    """Charts as a list; `accesses` are what was recorded of reading them. `barred` readers may see nothing."""

    entries: Sequence[Entry]
    barred: frozenset[str] = frozenset()
    accesses: list[tuple[str, Purpose, tuple[str, ...]]] = field(default_factory=list)

    async def read(self, kinds: tuple[str, ...], id: str, *, reader: str, purpose: Purpose) -> Entry | None:
        found = [one for one in self.entries if one.kind in kinds and one.id == id]
        self._record(reader, purpose, found)
        return found[0] if found else None

    async def search(self, query: Query, *, reader: str, purpose: Purpose) -> Page:
        found = [one for one in self.entries if one.kind in query.kinds and self._keeps(one, query)]
        begin = int(query.after or 0)
        page = found[begin : begin + query.count]
        self._record(reader, purpose, page)
        rest = begin + query.count < len(found)
        return Page(entries=page, following=str(begin + query.count) if rest else None, total=len(found))

    def _keeps(self, one: Entry, query: Query) -> bool:
        if query.ids is not None and one.id not in query.ids:
            return False
        if query.patients is not None and one.patient not in query.patients:
            return False
        try:
            return any(matches(each, query.criteria, finders[query.type]) for each in resources(one))
        except NotShown:
            return True

    def _record(self, reader: str, purpose: Purpose, found: Sequence[Entry]) -> None:
        if reader in self.barred:
            raise Forbidden("Your role sees no charts.")
        self.accesses.append((reader, purpose, tuple(dict.fromkeys(one.patient for one in found))))
