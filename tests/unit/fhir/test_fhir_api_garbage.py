"""Whatever is sent to the FHIR API, the answer is a resource with a status that fits, and never a failure of ours."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.fhir.app import FhirApi
from services.fhir.models import check, load
from services.fhir.search import PARAMETERS
from tests.support.charts import Shelf, charts

load()

_PIECES = st.sampled_from([
    "p-1", "a-1", "v_1", "-bp-v.1", "2026-11", "ge2026", "active", "http://loinc.org|8480-6", "|",
    ",", "\\", "\\,", "%", "%00",
    "%ff", "%f0%9f", "+", "&", "=", ":", ":exact", "?", "/", "..", "Patient/", "x" * 250, "é", "$", "", " ",
    "9" * 40, "_page=",
])  # fmt: skip
_NAMES = sorted({name for found in PARAMETERS.values() for name in found} | {"_count", "_format", "_page", "_sort", ""})
_HEADERS = [
    b"accept",
    b"prefer",
    b"if-none-match",
    b"content-length",
    b"x-commons-actor",
    b"x-commons-purpose",
    b"host",
    b"x",
]

values = st.lists(_PIECES, max_size=3).map("".join)
queries = st.lists(st.tuples(st.sampled_from(_NAMES), values), max_size=4).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)
headers = st.lists(st.tuples(st.sampled_from(_HEADERS), st.binary(max_size=20) | st.just(b"*/*")), max_size=2)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([*PARAMETERS, "metadata", "", "Basic"]),
    st.none() | st.just("_search") | values,
    queries | st.binary(max_size=30),
    headers,
    st.sampled_from(["GET", "GET", "GET", "HEAD", "POST"]),
    st.binary(max_size=30) | queries.map(str.encode),
)
async def test_garbage_is_answered(
    type_: str, id_: str | None, query: str | bytes, more: list[tuple[bytes, bytes]], method: str, form: bytes
) -> None:
    async def receive() -> Any:
        assert (method, id_) == ("POST", "_search"), "no body is read"
        return {"type": "http.request", "body": form}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path = f"/fhir/{type_}" + ("" if id_ is None else f"/{id_}")
    more = [*more, (b"content-type", b"application/x-www-form-urlencoded")]
    who = [(b"host", b"x"), (b"x-commons-actor", b"dr-lee"), (b"x-commons-purpose", b"treatment")]
    scope = {
        "type": "http", "method": method, "path": path, "headers": [*who, *more],
        "query_string": query.encode() if isinstance(query, str) else query,
    }  # fmt: skip
    await FhirApi(Shelf(charts()), trust_actor=True)(scope, receive, send)
    start, body = sent
    assert start["status"] in (200, 304, 400, 401, 403, 404, 405, 406, 413, 414), body
    if body["body"]:
        check(json.loads(body["body"]))
