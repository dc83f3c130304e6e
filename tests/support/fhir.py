"""Calls the FHIR API as a web server would, and checks that every answer is R4."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from services.fhir.models import check

WHO = ((b"x-commons-actor", b"dr-lee"), (b"x-commons-purpose", b"treatment"))


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        return [one["resource"]["id"] for one in self.json.get("entry", []) if one["search"]["mode"] == "match"]

    @property
    def said(self) -> str:
        return str(self.json["issue"][0]["diagnostics"])

    def link(self, relation: str) -> str | None:
        return next((one["url"] for one in self.json["link"] if one["relation"] == relation), None)


@dataclass
class Client:
    """Calls the application as a server would, with nothing between that makes a request well-formed."""

    api: Any
    shelf: Any = None

    async def get(
        self,
        target: str,
        *headers: tuple[bytes, bytes],
        who: tuple[tuple[bytes, bytes], ...] = WHO,
        method: str = "GET",
        body: tuple[bytes, ...] | None = None,
    ) -> Got:
        """`body` comes in these pieces; without one the body must not be asked for."""
        path, _, query = target.partition("?")
        sent: list[Any] = []
        pieces = None if body is None else list(body)
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "scheme": "http",
            "query_string": query.encode(),
            "headers": [(b"host", b"clinic.example:8080"), *who, *headers],
        }

        async def receive() -> Any:
            assert pieces is not None, "no body is read"
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.api(scope, receive, send)
        start, body = sent
        got = Got(start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body["body"])
        if got.body:
            check(got.json)
        return got
