"""The FHIR API answers what US Core asks for, in valid R4, and refuses the rest with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from services.clinic.contract import Purpose
from services.fhir.app import FhirApi
from services.fhir.mapping import KINDS
from services.fhir.search import PARAMETERS
from shared.admission import RateLimit
from tests.support.charts import Shelf, charts, entry
from tests.support.fhir import WHO, Client


def client(*entries: Any, trust: bool = True, barred: frozenset[str] = frozenset()) -> Client:
    shelf = Shelf(list(entries) or charts(), barred)
    return Client(FhirApi(shelf, trust_actor=trust, version="0.1.0"), shelf)


# -- reading ----------------------------------------------------------------------------------------------------------


async def test_what_can_be_asked_is_declared_to_anybody() -> None:
    got = await client(trust=False).get("/fhir/metadata", who=())
    assert (got.status, got.json["fhirVersion"], got.json["kind"]) == (200, "4.0.1", "instance")
    declared = {one["type"]: {each["name"] for each in one["searchParam"]} for one in got.json["rest"][0]["resource"]}
    assert set(declared) == set(KINDS) == set(PARAMETERS)
    assert {"_id", "identifier", "name", "birthdate", "gender"} <= declared["Patient"]
    assert {"patient", "category", "code", "date"} <= declared["Observation"]


@pytest.mark.parametrize(
    ("type_", "id_"),
    [
        ("Patient", "p-1"),
        ("Patient", "p.4"),
        ("AllergyIntolerance", "a-1"),
        ("AllergyIntolerance", "p-1-food"),
        ("Condition", "c-1"),
        ("Appointment", "ap-1"),
        ("Encounter", "e-1"),
        ("Observation", "-bp-v.1"),
        ("Observation", "-2-v.1"),
        ("Observation", "r-1"),
        ("MedicationRequest", "m-1"),
        ("MedicationDispense", "d-1"),
        ("MedicationAdministration", "g-1"),
        ("Immunization", "i-1"),
        ("Practitioner", "dr-lee"),
    ],
)
async def test_every_kind_of_entry_is_a_valid_resource_under_its_own_address(type_: str, id_: str) -> None:
    got = await client().get(f"/fhir/{type_}/{id_}")
    assert (got.status, got.json["resourceType"], got.json["id"]) == (200, type_, id_)
    assert got.headers["etag"] == 'W/"1"' and got.json["meta"]["versionId"] == "1"
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["content-type"].startswith("application/fhir+json")


async def test_measures_are_written_digit_by_digit() -> None:
    got = await client().get("/fhir/Observation/-2-v.1")
    assert b'"value":36.6,"unit":"Cel"' in got.body
    pressure = (await client().get("/fhir/Observation/-bp-v.1")).json
    assert [one["valueQuantity"]["value"] for one in pressure["component"]] == [120, 80]
    assert pressure["category"][0]["coding"][0]["code"] == "vital-signs"


async def test_a_version_that_is_known_is_not_sent_again() -> None:
    got = await client().get("/fhir/Patient/p-1", (b"if-none-match", b'W/"1"'))
    assert (got.status, got.body) == (304, b"")
    assert (await client().get("/fhir/Patient/p-1", (b"if-none-match", b'W/"0", "2"'))).status == 200


async def test_a_head_has_the_length_and_no_body() -> None:
    got = await client().get("/fhir/Patient/p-1", method="HEAD")
    assert got.status == 200 and got.body == b"" and int(got.headers["content-length"]) > 200


@pytest.mark.parametrize("id_", ["p-9", "p_4", "%00", "x" * 65, "-1-", "a-1"])
async def test_what_is_not_there_is_not_found(id_: str) -> None:
    got = await client().get(f"/fhir/Patient/{id_}")
    assert (got.status, got.json["issue"][0]["code"]) == (404, "not-found")


async def test_what_was_erased_is_gone() -> None:
    erased = replace(entry("patient", "p-1"), erased=True)
    here = client(erased)
    got = await here.get("/fhir/Patient/p-1")
    assert (got.status, got.json["issue"][0]["code"]) == (410, "deleted")
    assert (await here.get("/fhir/Patient?_id=p-1")).ids == []


async def test_what_a_role_is_not_shown_is_forbidden_and_counted_in_a_search() -> None:
    here = client(entry("allergy", "a-1"), entry("encounter", "e-1", kind="ambulatory"))
    got = await here.get("/fhir/AllergyIntolerance/a-1")
    assert (got.status, got.json["issue"][0]["code"]) == (403, "forbidden")
    found = await here.get("/fhir/AllergyIntolerance?patient=p-1")
    assert found.ids == [] and "1 more is not shown" in found.json["entry"][0]["resource"]["issue"][0]["diagnostics"]
    assert (await here.get("/fhir/Encounter/e-1")).status == 200  # that somebody came, without why


# -- who reads --------------------------------------------------------------------------------------------------------


async def test_who_asks_for_too_much_is_told_when_to_come_back_and_others_are_answered() -> None:
    shelf = Shelf(charts(), frozenset())
    here = Client(FhirApi(shelf, trust_actor=True, limit=RateLimit(0.5, 3, clock=lambda: 1.0)), shelf)
    for _ in range(3):
        assert (await here.get("/fhir/Patient/p-1")).status == 200
    before = len(shelf.accesses)
    for asked in ("/fhir/Patient/p-1", "/fhir/Patient?_id=p-1"):
        got = await here.get(asked)
        assert (got.status, got.json["issue"][0]["code"], got.headers["retry-after"]) == (429, "throttled", "2")
    assert len(shelf.accesses) == before, "nothing is read, and nothing recorded"
    assert (await here.get("/fhir/metadata")).status == 200
    others = ((b"x-commons-actor", b"ben"), (b"x-commons-purpose", b"treatment"))
    assert (await here.get("/fhir/Patient/p-1", who=others)).status == 200


async def test_every_read_is_recorded_with_who_whose_and_what_for() -> None:
    here = client()
    await here.get("/fhir/Patient/p-1")
    await here.get("/fhir/Condition?patient=p-1")
    await here.get("/fhir/Patient?name=ruiz")
    assert here.shelf.accesses == [
        ("dr-lee", Purpose.TREATMENT, ("p-1",)),
        ("dr-lee", Purpose.TREATMENT, ("p-1",)),
        ("dr-lee", Purpose.TREATMENT, ("p-1", "p-3")),
    ]


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ((), 401),
        (WHO[:1], 403),
        (WHO[1:], 401),
        (((b"x-commons-actor", b"dr lee"), WHO[1]), 401),
        ((WHO[0], (b"x-commons-purpose", b"curiosity")), 403),
        ((WHO[0], WHO[0], WHO[1]), 400),
        (((b"x-commons-actor", b"dr-\xfflee"), WHO[1]), 400),
        (((b"x-commons-actor", b"dr-lee\x00"), WHO[1]), 400),
    ],
)
async def test_nobody_reads_unnamed_or_without_a_purpose(who: Any, status: int) -> None:
    here = client()
    got = await here.get("/fhir/Patient/p-1", who=who)
    assert got.status == status and got.json["resourceType"] == "OperationOutcome"
    assert here.shelf.accesses == []


async def test_a_name_is_not_believed_unless_that_is_set_up() -> None:
    here = client(trust=False)
    got = await here.get("/fhir/Patient/p-1")
    assert (got.status, got.json["issue"][0]["code"]) == (401, "login")
    assert here.shelf.accesses == []


async def test_who_may_see_no_charts_is_told_so() -> None:
    here = client(barred=frozenset({"dr-lee"}))
    assert (await here.get("/fhir/Patient/p-1")).status == 403
    assert (await here.get("/fhir/Patient?name=a")).status == 403


# -- searching --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "ids"),
    [
        ("Patient?_id=p-1", ["p-1"]),
        ("Patient?_id=p-1,p.4", ["p-1", "p.4"]),
        ("Patient?identifier=http://hospital.example/mrn|12345", ["p-1"]),
        ("Patient?identifier=12345", ["p-1"]),
        ("Patient?identifier=http://other.example|12345", []),
        ("Patient?name=RUIZ", ["p-1", "p-3"]),
        ("Patient?name=mar%C3%ADa", ["p-1"]),
        ("Patient?family=ru&given=cem", ["p-3"]),
        ("Patient?birthdate=1980-05-01&name=ana", ["p-1"]),
        ("Patient?birthdate=lt1980&name=ana", []),
        ("Patient?birthdate=ge1980-05&name=ana", ["p-1"]),
        ("Patient?gender=female&name=ruiz", ["p-1"]),
        ("AllergyIntolerance?patient=p-1", ["a-1", "p-1-food"]),
        ("AllergyIntolerance?patient=Patient/p-1", ["a-1", "p-1-food"]),
        ("AllergyIntolerance?patient=http://clinic.example:8080/fhir/Patient/p-2", []),
        ("Condition?patient=p-1&category=problem-list-item&clinical-status=active", ["c-1"]),
        ("Condition?patient=p-1&clinical-status=resolved", []),
        ("Condition?patient=p-1&code=E11.9", ["c-1"]),
        ("Encounter?patient=p-1&date=2026-11-20", ["e-1"]),
        ("Encounter?patient=p-1&date=gt2026-11-20", []),
        ("Encounter?_id=e-1", ["e-1"]),
        ("Encounter?patient=p-1&date=ge2026-11&date=lt2026-12", ["e-1"]),
        ("Observation?patient=p-1&category=vital-signs", ["-bp-v.1", "-2-v.1"]),
        ("Observation?patient=p-1&category=laboratory", ["r-1"]),
        ("Observation?patient=p-1&code=http://loinc.org|8310-5", ["-2-v.1"]),
        ("Observation?patient=p-1&code=8480-6", ["-bp-v.1"]),
        ("Observation?_id=-2-v.1", ["-2-v.1"]),
        ("Observation?patient=p-1&category=laboratory&date=ge2026-11-20T00:00:00%2B01:00", ["r-1"]),
        ("MedicationRequest?patient=p-1&intent=order", ["m-1"]),
        ("MedicationRequest?patient=p-1&intent=order&status=active", ["m-1"]),
        ("MedicationRequest?patient=p-1&intent=order&status=draft,stopped", []),
        ("MedicationDispense?patient=p-1", ["d-1"]),
        ("MedicationAdministration?patient=p-1", ["g-1"]),
        ("Immunization?patient=p-1", ["i-1"]),
        ("Appointment?patient=p-1&date=2026-11-20", ["ap-1"]),
        ("Practitioner?name=lee", ["dr-lee"]),
        ("Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9999908392", ["dr-lee"]),
    ],
)
async def test_charts_are_searched_by_what_us_core_asks_for(search: str, ids: list[str]) -> None:
    got = await client().get(f"/fhir/{quote(search, safe='?&=/:,|%')}")
    assert (got.status, got.ids) == (200, ids), got.body


async def test_pages_follow_each_other_to_the_end() -> None:
    here = client()
    seen, target = [], "/fhir/Patient?_id=p-1,p-2,p-3,p.4&_count=3"
    while target:
        got = await here.get(target)
        assert got.status == 200 and len(got.ids) <= 3 and got.json["total"] == 4
        seen += got.ids
        target = (got.link("next") or "").removeprefix("http://clinic.example:8080")
    assert seen == ["p-1", "p-2", "p-3", "p.4"]


async def test_a_page_of_another_search_or_one_made_up_is_refused() -> None:
    here = client()
    following = (await here.get("/fhir/Patient?name=r&_count=1")).link("next")
    assert following is not None
    mark = following.partition("_page=")[2]
    for target in (f"name=o&_count=1&_page={mark}", "name=r&_count=1&_page=zzz", "name=r&_page=", "name=r&_page=W10"):
        assert (await here.get(f"/fhir/Patient?{target}")).status == 400


async def test_what_is_not_known_is_named_and_refused_when_handling_is_strict() -> None:
    target = "/fhir/Patient?name=ana&favourite=blue&_sort=name&gender="
    got = await client().get(target)
    assert got.status == 200 and got.ids == ["p-1"]
    assert got.link("self") == "http://clinic.example:8080/fhir/Patient?name=ana"
    warned = got.json["entry"][-1]
    assert warned["search"]["mode"] == "outcome" and "favourite, _sort, gender" in str(warned)
    strict = await client().get(target, (b"prefer", b"respond-async, handling = strict"))
    assert strict.status == 400 and "favourite" in strict.said


@pytest.mark.parametrize(
    "search",
    [
        "Patient",
        "Patient?gender=female",
        "Patient?_count=5",
        "Condition?code=E11.9",
        "Observation",
        "Patient?name:exact=Ana",
        "Patient?name=ana&birthdate=1980-13",
        "Patient?name=ana&birthdate=sa1980",
        "Patient?name=ana&birthdate=19800501",
        "Patient?name=a&_count=0",
        "Patient?name=a&_count=-1",
        "Patient?name=a&_count=many",
        "Patient?name=,",
        "Patient?_id=|",
        "Condition?patient=Group/1",
        "Condition?patient=http://evil.example/fhir/Patient/p-1",
        "Patient?name=%ff",
        "Patient?name=a%00b",
        "Patient?" + "&".join(["name=a"] * 41),
        "Patient?name=" + "a" * 201,
        "Patient?_id=" + ",".join(["p-1"] * 51),
        "Patient?name=ana&birthdate=0000",
    ],
)
async def test_a_search_that_cannot_be_answered_says_why(search: str) -> None:
    here = client()
    got = await here.get(f"/fhir/{search}")
    assert got.status == 400 and got.json["resourceType"] == "OperationOutcome"
    assert here.shelf.accesses == []


async def test_no_more_than_so_many_are_given_at_once() -> None:
    got = await client().get("/fhir/Patient?name=r&_count=999999999")
    assert got.link("self") == "http://clinic.example:8080/fhir/Patient?name=r&_count=100"


# -- requests that are not in order -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/fhir/Patient/p-1", [(b"content-length", b"5")], 400),
        ("/fhir/Patient/p-1", [(b"transfer-encoding", b"chunked")], 400),
        ("/fhir/Patient?name=" + "a" * 5000, [], 414),
        ("/fhir/Patient/" + "a" * 5000, [], 414),
        ("/fhir/Patient/p-1", [(b"accept", b"application/fhir+xml")], 406),
        ("/fhir/Patient/p-1?_format=xml", [], 406),
        ("/fhir/Patient/p-1", [(b"accept", b"*/*;q=0")], 406),
        ("/fhir/Patient/p-1", [(b"accept", b"application/fhir+json; fhirVersion=5.0")], 406),
        ("/fhir/Patient/p-1", [(b"accept", b"text/html, application/json;q=0.5")], 200),
        ("/fhir/Patient/p-1?_format=json", [(b"accept", b"text/html")], 200),
        ("/fhir/Patient/p-1?_format=application/fhir%2Bjson", [], 200),
        ("/fhir/Patient/p-1", [(b"accept", b"\xff")], 400),
        ("/fhir/Patient/p-1/_history/1", [], 404),
        ("/fhir/Patient/p-1/$everything", [], 404),
        ("/fhir/Basic/1", [], 404),
        ("/fhir/", [], 404),
        ("/fhir", [], 404),
        ("/else", [], 404),
        ("/fhir/../etc/passwd", [], 404),
        ("/fhir/patient/p-1", [], 404),
        ("/fhir/metadata", [(b"host", b"evil.example")], 400),
    ],
)
async def test_a_request_is_answered_by_its_worth(target: str, headers: Any, status: int) -> None:
    got = await client().get(target, *headers)
    assert got.status == status, got.body
    assert got.status == 200 or got.json["resourceType"] == "OperationOutcome"


FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")


async def test_a_search_may_be_posted_as_a_form() -> None:
    here = client()
    body = (b"name=ruiz&birth", b"date=ge1980-05")
    got = await here.get("/fhir/Patient/_search?_count=5", FORM, (b"content-length", b"29"), method="POST", body=body)
    same = await here.get("/fhir/Patient?_count=5&name=ruiz&birthdate=ge1980-05")
    assert got.status == 200 and got.ids and got.json == same.json
    assert got.link("self") == "http://clinic.example:8080/fhir/Patient?_count=5&name=ruiz&birthdate=ge1980-05"
    assert here.shelf.accesses[0] == here.shelf.accesses[1]
    empty = await here.get("/fhir/Patient/_search?name=ruiz", FORM, method="POST", body=(b"",))
    assert empty.ids == ["p-1", "p-3"]


@pytest.mark.parametrize(
    ("target", "header", "body", "status"),
    [
        ("/fhir/Patient/_search", (b"content-type", b"application/json"), None, 415),
        ("/fhir/Patient/_search", (b"x", b""), None, 415),
        ("/fhir/Patient/_search", FORM, (b"",), 400),  # of whom
        ("/fhir/Patient/_search", FORM, (b"name=%ff",), 400),
        ("/fhir/Patient/_search", FORM, (b"name=\xff",), 400),
        ("/fhir/Patient/_search", FORM, (b"name=a%00b",), 400),
        ("/fhir/Patient/_search", FORM, (b"&".join([b"name=a"] * 41),), 400),
        ("/fhir/Patient/_search?" + "&".join(["name=a"] * 30), FORM, (b"&".join([b"name=a"] * 30),), 400),
        ("/fhir/Patient/_search", FORM, (b"name=a", b"b" * 20_000), 413),
        ("/fhir/Patient/_search", FORM, (b"name=a&_format=xml",), 406),
        ("/fhir/Basic/_search", FORM, None, 405),
        ("/fhir/_search", FORM, None, 405),
        ("/fhir/Patient", FORM, None, 405),
    ],
)
async def test_a_form_that_is_no_search_is_refused(target: str, header: Any, body: Any, status: int) -> None:
    here = client()
    got = await here.get(target, header, method="POST", body=body)
    assert got.status == status and got.json["resourceType"] == "OperationOutcome"
    assert here.shelf.accesses == []


async def test_the_form_of_somebody_unknown_is_not_read_and_one_that_breaks_off_is_no_search() -> None:
    here = client()
    assert (await here.get("/fhir/Patient/_search", FORM, who=(), method="POST")).status == 401
    large = (b"content-length", b"999999")
    assert (await here.get("/fhir/Patient/_search", FORM, large, method="POST")).status == 413
    for method in ("GET", "HEAD"):
        got = await here.get("/fhir/Patient/_search", method=method)
        assert (got.status, got.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_charts_are_not_written_here(method: str) -> None:
    got = await client().get("/fhir/Patient/p-1", method=method)
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")


async def test_a_host_that_is_none_is_refused() -> None:
    here = client()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/fhir/metadata",
        "query_string": b"",
        "headers": [(b"host", b'"><x')],
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await here.api(scope, None, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 400


async def test_nothing_of_a_chart_is_in_the_answer_to_a_failure_or_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Shelf):
        async def read(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("Ana Ruíz has diabetes")

    got = await Client(FhirApi(Broken([]), trust_actor=True), Broken([])).get("/fhir/Patient/p-1")
    assert got.status == 500 and "Ana" not in got.body.decode()
    printed = capsys.readouterr()
    assert "Ana" not in printed.out + printed.err


async def test_what_would_be_no_valid_resource_does_not_leave() -> None:
    here = client(entry("practitioner", "dr-lee", "", identifiers=["|"], licence={"title": 5, "valid_from": "x"}))
    got = await here.get("/fhir/Practitioner/dr-lee")
    assert got.status == 500 and got.json["resourceType"] == "OperationOutcome"


async def test_a_status_is_asked_for_with_the_system_that_r4_binds_it_to_or_without() -> None:
    here = client(*charts())
    for type_, name, system, code, id in (
        ("MedicationRequest", "status", "http://hl7.org/fhir/CodeSystem/medicationrequest-status", "active", "m-1"),
        ("MedicationRequest", "intent", "http://hl7.org/fhir/CodeSystem/medicationrequest-intent", "order", "m-1"),
        ("Encounter", "status", "http://hl7.org/fhir/encounter-status", "finished", "e-1"),
        ("Immunization", "status", "http://hl7.org/fhir/event-status", "completed", "i-1"),
    ):
        for asked in (code, f"|{code}", f"{system}|{code}", f"{system}|"):
            assert (await here.get(f"/fhir/{type_}?patient=p-1&{name}={asked}")).ids == [id], asked
        assert (await here.get(f"/fhir/{type_}?patient=p-1&{name}=http://elsewhere.example|{code}")).ids == []


async def test_a_search_for_patients_that_would_find_too_few_is_refused() -> None:
    here = client(*charts())
    names = ",".join(f"n{n}" for n in range(8))
    for asked, why in (
        ("name=ruiz&identifier=urn:x|", "system|number"), (f"family={names}&given={names}", "64 combinations"),
    ):  # fmt: skip
        got = await here.get(f"/fhir/Patient?{asked}")
        assert got.status == 400 and why in got.said, asked
    assert (await here.get(f"/fhir/Patient?family={names}")).status == 200
