"""The API stands beside health and metrics in one server, and takes what is under its prefix alone."""

from __future__ import annotations

from typing import Any

import pytest

from services.fhir.app import PREFIX, FhirApi
from shared.application import mounted
from tests.support.charts import Shelf


class Plain:
    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def health(self) -> dict[str, Any]:
        return {"ok": True}


class Served(Plain):
    prefix = PREFIX

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
        ({"type": "http", "path": "/fhirx"}, "health"),
        ({"type": "http", "path": "/healthz"}, "health"),
        ({"type": "lifespan"}, "health"),
    ],
)
async def test_what_is_under_the_prefix_goes_to_the_component(scope: dict[str, Any], who: str) -> None:
    assert await asked(Served(), scope) == who
    assert await asked(Plain(), scope) == "health"
