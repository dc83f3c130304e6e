"""JSON Schemas (2020-12) of every command, of every event's data by version, and of the envelope around an event."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

from pydantic import TypeAdapter

from shared.contract import CommandSpec, Contract, EventSpec
from shared.types import MAX_INTEGER

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_HASH: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def schema_id(event_type: str) -> str:
    """The URI that an event of this type names as its `dataschema`."""
    return f"urn:commons:schema:{event_type}"


def prose(thing: type) -> str:
    """A class's docstring as one paragraph a blank line."""
    paragraphs = inspect.cleandoc(thing.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


@cache
def _schema(cls: type, mode: str) -> Mapping[str, Any]:
    """The schema of a class, made once: the catalogue asks for it as well."""
    made = TypeAdapter(cls).json_schema(mode=cast(Any, mode))
    made["description"] = prose(cls)
    for definition in made.get("$defs", {}).values():
        if "description" in definition:
            definition["description"] = " ".join(definition["description"].split())
    return made


def event_schema(spec: EventSpec) -> dict[str, Any]:
    """The schema of an event's `data`, at its newest version. Every member is written, also when it is null."""
    made = _schema(spec.cls, "serialization")
    return {"$schema": DIALECT, "$id": schema_id(spec.type), **made, "required": list(made["properties"])}


def command_schema(contract: Contract, spec: CommandSpec) -> dict[str, Any]:
    """The schema of a command's `data`."""
    name = f"commons.{contract.service}.{spec.subject_token}"
    schema = dict(_schema(spec.cls, "validation"))
    if spec.cut is not None:  # `parts` is filled in when a request is cut
        schema["properties"] = {name: one for name, one in schema["properties"].items() if name != "parts"}
    return {"$schema": DIALECT, "$id": schema_id(name), **schema}


def envelope_schema() -> dict[str, Any]:
    """The schema of a stored event: CloudEvents 1.0 in JSON, with the ledger's own members."""
    text = {"type": "string", "minLength": 1}
    properties = {
        "specversion": {"const": "1.0"},
        "id": {**text, "format": "uuid", "description": "UUIDv5 of the message's subject and the command's id."},
        "source": {**text, "format": "uri-reference", "description": "/commons/<chapter>/<service>"},
        "type": {**text, "description": "commons.<service>.<event>.v<version>"},
        "subject": {**text, "description": "<category>/<aggregate id>"},
        "time": {**text, "format": "date-time", "description": "When it was recorded: UTC, with microseconds."},
        "dataschema": {**text, "format": "uri", "description": "The JSON Schema of `data`."},
        "datacontenttype": {"const": "application/json"},
        "revision": {
            "type": "integer", "minimum": 1, "maximum": MAX_INTEGER,
            "description": "The event's number in its aggregate: 1, 2, 3 …",
        },
        "prevhash": {
            **_HASH,
            "description": "SHA-256 of the bytes of the aggregate's previous event; 64 zeros before the first.",
        },
        "correlationid": {**text, "description": "The id of the first command of the story that this is part of."},
        "causationid": {**text, "description": "The id of the command, or of the event, that led to this."},
        "authtype": {"enum": ["user", "service", "process"]},
        "authid": {**text, "description": "Who acted."},
        "mandate": {**text, "description": "The grant that they acted under; left out when there was none."},
        "data": {"type": "object"},
    }  # fmt: skip
    return {
        "$schema": DIALECT,
        "$id": schema_id("commons.envelope"),
        "title": "Event",
        "description": "One stored event: the bytes of one message of a ledger stream.",
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name != "mandate"],
        "additionalProperties": False,
    }


def problem_schema(contract: Contract, codes: list[str]) -> dict[str, Any]:
    """The schema of a refusal (RFC 9457), with the service's codes in their order of precedence."""
    return {
        "title": "Problem",
        "description": f"Why {contract.service} refused. When several reasons hold, the first in this order is named.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string", "examples": codes},
            "detail": {"type": "string"},
        },
        "required": ["type", "title", "status", "code", "detail"],
    }
