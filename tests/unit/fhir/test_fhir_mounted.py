"""The API stands beside health and metrics in one server, and takes what is under its prefix alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.fhir.app import ENTRANCE, PREFIX, FhirApi
from shared.application import mounted
from tests.support.charts import Shelf


class Plain:
    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def health(self) -> dict[str, Any]:
        return {"ok": True}


class Served(Plain):
    prefix = PREFIX
    entrance = ENTRANCE

    def __init__(self) -> None:
        self.http = FhirApi(Shelf([]), trust_actor=False)


async def asked(component: Any, scope: dict[str, Any]) -> str:
    """Who answered: `health` (the application as it was), or the API with its status."""
    said: list[Any] = []

    async def health(_scope: Any, _receive: Any, _send: Any) -> None:
        said.append("health")

    async def send(message: Any) -> None:
        said.append(message.get("status"))

    await mounted(health, component)({"method": "GET", "headers": [], "query_string": b"", **scope}, None, send)  # type: ignore[arg-type]
    return str(said[0])


@pytest.mark.parametrize(
    ("scope", "who"),
    [
        ({"type": "http", "path": "/fhir/Patient/p-1"}, "400"),  # no Host
        ({"type": "http", "path": "/fhir"}, "400"),
        ({"type": "http", "path": "/metrics"}, "health"),
        ({"type": "http", "path": "/healthz"}, "health"),
        ({"type": "lifespan"}, "health"),
    ],
)
async def test_what_is_under_the_prefix_goes_to_the_component(scope: dict[str, Any], who: str) -> None:
    assert await asked(Served(), scope) == who
    assert await asked(Plain(), scope) == ("404" if who == "400" else "health")


@pytest.mark.parametrize("path", ["/", "/metadata", "/fhirx", "/Patient/p-1", "/healthz/", ""])
async def test_any_other_address_says_which_there_are(path: str) -> None:
    for component, here in ((Served(), ", /fhir/metadata."), (Plain(), "/metrics.")):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b""}
        await mounted(None, component)(scope, None, send)  # type: ignore[arg-type]
        problem = json.loads(sent[1]["body"])
        assert sent[0]["status"] == problem["status"] == 404
        assert problem["detail"].startswith("There is nothing at this address. There are: /healthz")
        assert problem["detail"].endswith(here)
