"""The AsyncAPI 3.0 document of a service: the commands it takes, the answers it gives, the events it publishes.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from services.reference.catalogue import senders
from services.reference.schemas import command_schema, envelope_schema, event_schema, problem_schema, prose
from shared.actortoken import HEADER, MAX_BYTES
from shared.contract import Contract, kebab
from shared.message import CommandMessage
from shared.types import COMMAND_ID_PATTERN

_REF = "#/components"


def document(contract: Contract, refusals: type[StrEnum], version: str) -> dict[str, Any]:
    """The whole document, with no reference outside itself."""
    components: dict[str, Any] = {"messages": {}, "schemas": {"envelope": _component(envelope_schema(), {})}}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    _events(contract, channels, operations, components)
    _commands(contract, refusals, channels, operations, components)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Commons Ledger: {contract.service}",
            "version": version,
            "description": "Commands are NATS requests. Every decision is one event in a JetStream stream.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": components,
    }


def _events(
    contract: Contract, channels: dict[str, Any], operations: dict[str, Any], components: dict[str, Any]
) -> None:
    for category in dict.fromkeys(spec.category for spec in contract.events.values()):
        specs = [spec for spec in contract.events.values() if spec.category == category]
        channel = f"{category}Events"
        channels[channel] = {
            "address": f"ledger.{contract.service}.{category}.{{id}}",
            "title": f"Events of {category}",
            "description": f"In the stream {contract.service.upper()}; one subject an aggregate.",
            "parameters": {"id": {"description": f"The id of the {category}."}},
            "messages": {spec.name: {"$ref": f"{_REF}/messages/{spec.name}"} for spec in specs},
        }
        operations[f"publish{category.title()}Events"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{spec.name}"} for spec in specs],
        }
        for spec in specs:
            components["schemas"][spec.name] = _component(event_schema(spec), components["schemas"])
            components["messages"][spec.name] = {
                "name": spec.type,
                "title": spec.name,
                "summary": prose(spec.cls).split("\n\n")[0],
                "contentType": "application/cloudevents+json",
                "payload": {
                    "allOf": [
                        {"$ref": f"{_REF}/schemas/envelope"},
                        {
                            "type": "object",
                            "properties": {
                                "type": {"const": spec.type},
                                "data": {"$ref": f"{_REF}/schemas/{spec.name}"},
                            },
                        },
                    ]
                },
            }


def _commands(
    contract: Contract,
    refusals: type[StrEnum],
    channels: dict[str, Any],
    operations: dict[str, Any],
    components: dict[str, Any],
) -> None:
    channels["answers"] = {
        "address": None,
        "title": "Answers to commands",
        "description": "The reply subject of the request, an inbox of the caller's.",
        "messages": {"Answer": {"$ref": f"{_REF}/messages/Answer"}},
    }
    components["schemas"]["Problem"] = problem_schema(contract, list(refusals))
    components["schemas"]["Answer"] = {
        "title": "Answer",
        "type": "object",
        "properties": {
            "status": {"enum": ["accepted", "unchanged", "refused"]},
            "stream": {"type": "string"},
            "sequence": {"type": "integer", "description": "Where a read model shows the command's effect."},
            "repeated": {"const": True, "description": "The command had been answered before; this is that answer."},
            "event": {"$ref": f"{_REF}/schemas/envelope"},
            **(_RESULTS if contract.bulk else {}),
            "problem": {"$ref": f"{_REF}/schemas/Problem"},
        },
        "required": ["status"],
    }
    components["messages"]["Answer"] = {
        "name": "Answer",
        "title": "Answer",
        "summary": "Sent when the decision, and everything it stands on, is durable.",
        "payload": {"$ref": f"{_REF}/schemas/Answer"},
    }
    components["schemas"]["command"] = _command_envelope()
    components["schemas"]["headers"] = _HEADERS
    for spec in contract.commands.values():
        channels[spec.name] = {
            "address": f"command.{contract.service}.{spec.subject_token}",
            "title": spec.name,
            "messages": {spec.name: {"$ref": f"{_REF}/messages/{spec.name}"}},
        }
        operations[f"take{spec.name}"] = {
            "action": "receive",
            "summary": prose(spec.cls).split("\n\n")[0],
            "channel": {"$ref": f"#/channels/{spec.name}"},
            "messages": [{"$ref": f"#/channels/{spec.name}/messages/{spec.name}"}],
            "reply": {
                "address": {"location": "$message.header#/reply", "description": "The request's reply subject."},
                "channel": {"$ref": "#/channels/answers"},
                "messages": [{"$ref": "#/channels/answers/messages/Answer"}],
            },
        }
        components["schemas"][spec.name] = _component(command_schema(contract, spec), components["schemas"], "In")
        components["messages"][spec.name] = {
            "name": f"commons.{contract.service}.{spec.subject_token}",
            "title": spec.name,
            "summary": prose(spec.cls).split("\n\n")[0],
            "description": f"Makes {' or '.join(made.__name__ for made in spec.makes)}. {senders(contract, spec)}",
            "contentType": "application/cloudevents+json",
            "headers": {"$ref": f"{_REF}/schemas/headers"},
            "payload": {
                "allOf": [
                    {"$ref": f"{_REF}/schemas/command"},
                    {
                        "type": "object",
                        "properties": {
                            "type": {"const": f"commons.{contract.service}.{kebab(spec.name)}"},
                            "data": {"$ref": f"{_REF}/schemas/{spec.name}"},
                        },
                    },
                ]
            },
        }


_HEADERS: Final[dict[str, Any]] = {
    "title": "Headers of a command",
    "type": "object",
    "properties": {
        HEADER: {
            "type": "string",
            "maxLength": MAX_BYTES,
            "description": "Shows who acts; see docs/actors.md.",
        },
    },
    "required": [HEADER],
}

_RESULTS: Final[dict[str, Any]] = {
    "results": {
        "type": "array",
        "items": {"type": "object", "properties": {"result": {"type": "string"}}, "required": ["result"]},
        "description": "Of a command that is cut into several events: what became of each element, in order.",
    },
    "counts": {
        "type": "object",
        "additionalProperties": {"type": "integer"},
        "description": "How many of the results are of each kind.",
    },
}


def _command_envelope() -> dict[str, Any]:
    """The members of a command, as shared/message.py takes them."""
    described = {
        "id": {"type": "string", "pattern": COMMAND_ID_PATTERN, "description": "The same at every retry."},
        "specversion": {"const": "1.0"},
        "authtype": {"enum": ["user", "service", "process"]},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object"},
    }
    names = [name for name in CommandMessage.__struct_fields__ if not name.startswith("_")]
    return {
        "title": "Command",
        "type": "object",
        "properties": {name: described.get(name, {"type": "string"}) for name in names},
        "required": ["specversion", "id", "source", "type", "authid", "data"],
        "additionalProperties": False,
    }


def _component(schema: dict[str, Any], schemas: dict[str, Any], suffix: str = "") -> dict[str, Any]:
    """A schema as a component, its definitions moved beside it under their names and a suffix.

    A value that events and commands share reads differently in the two: what may be left out, and what is always there.
    """
    for name, definition in schema.get("$defs", {}).items():
        schemas[name + suffix] = _moved(definition, suffix)
    return {key: _moved(value, suffix) for key, value in schema.items() if key not in ("$schema", "$id", "$defs")}


def _moved(value: Any, suffix: str) -> Any:
    if isinstance(value, dict):
        return {
            key: f"{_REF}/schemas/{item.removeprefix('#/$defs/')}{suffix}"
            if key == "$ref" and isinstance(item, str)
            else _moved(item, suffix)
            for key, item in value.items()
        }
    return [_moved(item, suffix) for item in value] if isinstance(value, list) else value
