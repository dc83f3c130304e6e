"""The event catalogue: one page for people who read the stream."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from services.reference.schemas import command_schema, event_schema, prose
from services.signers import SIGNERS
from shared.contract import CommandSpec, Contract

_HEAD = """# Event catalogue

Written from the contracts by `python -m services.reference`; do not edit it by hand.

Every event is one message of a JetStream stream: a CloudEvents 1.0 object in JSON whose `data` is described here. Its
subject is `ledger.<service>.<category>.<id>`, its type `commons.<service>.<event>.v<version>`. Numbers are integers
within ±(2^53 - 1); quantities are in the item's base unit, weights in g, temperatures in tenths of a degree Celsius.
`occurred_at` is when it happened, the envelope's `time` when it was recorded. A `sealed` text is personal, and stands
encrypted under its owner's key, as `sealed:<key>:<owner>:<field>:<base64url>`; what is in parentheses behind it is
the value whose JSON was encrypted. The schemas are in [schemas/](schemas/); how to read the stream is in
[consuming.md](consuming.md).
"""


def page(contracts: list[tuple[Contract, type[StrEnum]]]) -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    for contract, refusals in contracts:
        parts.append(f"## {contract.service.title()}\n\nStream `{contract.service.upper()}`.\n")
        for category in dict.fromkeys(spec.category for spec in contract.events.values()):
            parts.extend(_category(contract, category))
        parts.extend(_values(contract))
        parts.append(_refusals(refusals))
    return "\n".join(parts)


def _category(contract: Contract, category: str) -> Iterator[str]:
    yield f"### {category}: `ledger.{contract.service}.{category}.<id>`\n"
    for spec in contract.events.values():
        if spec.category != category:
            continue
        makers = [f"`{c.name}`" for c in contract.commands.values() if spec.cls in c.makes]
        yield f"#### {spec.name}\n\n`{spec.type}`, made by {', '.join(makers) or 'the service itself'}.\n"
        yield prose(spec.cls) + "\n"
        yield _fields(event_schema(spec))
    for command in contract.commands.values():
        if command.category == category:
            makes = ", ".join(f"`{made.__name__}`" for made in command.makes)
            subject = f"command.{contract.service}.{command.subject_token}"
            yield f"#### Command {command.name}\n\n`{subject}`, makes {makes}. {senders(contract, command)}\n"
            yield prose(command.cls) + "\n"
            yield _fields(command_schema(contract, command))


def _values(contract: Contract) -> Iterator[str]:
    """The lines and lots that events and commands are made of, each once."""
    found: dict[str, dict[str, Any]] = {}
    for event in contract.events.values():
        found |= event_schema(event).get("$defs", {})
    for command in contract.commands.values():
        found = command_schema(contract, command).get("$defs", {}) | found
    yield "### Values inside events and commands\n"
    for name in sorted(name for name, schema in found.items() if "properties" in schema):
        yield f"#### {name}\n\n{' '.join(found[name].get('description', '').split())}\n"
        yield _fields(found[name] | {"$defs": found})


def _fields(schema: dict[str, Any]) -> str:
    rows = ["| field | type | |", "| --- | --- | --- |"]
    required = set(schema.get("required", ()))
    definitions = schema.get("$defs", {})
    for name, field in schema.get("properties", {}).items():
        rows.append(f"| `{name}` | {_type(field, definitions)} | {'' if name in required else 'may be left out'} |")
    return "\n".join(rows) + "\n"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        target = definitions.get(name, {})
        if "enum" in target:
            return ", ".join(f"`{value}`" for value in target["enum"])
        return name
    if "anyOf" in field:
        return " or ".join(_type(option, definitions) for option in field["anyOf"])
    if field.get("type") == "array":
        return "list of " + _type(field.get("items", {}), definitions)
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "contentSchema" in field:
        return f"{field['format']} ({_type(field['contentSchema'], definitions)})"
    kind = str(field.get("format") or field.get("type", "any"))
    if "minimum" in field or "maximum" in field:
        kind += f" {field.get('minimum', '')} … {field.get('maximum', '')}"
    return kind


def _refusals(refusals: type[StrEnum]) -> str:
    listed = "\n".join(f"{number}. `{code}`" for number, code in enumerate(refusals, 1))
    return f"### Refusals, in order of precedence\n\n{listed}\n"


_KINDS: Final = {actor: signer.authtype for signer in SIGNERS.values() for actor in signer.actors}
"""Whether a sender from outside is a process manager or a service."""


def senders(contract: Contract, command: CommandSpec) -> str:
    """Who may send a command, in a sentence."""
    if contract.rights is None:
        return "Anybody may send it."
    roles, processes = contract.rights.senders(command.cls)
    people = (
        "people in any role, as its decision asks"
        if roles == contract.rights.roles
        else ", ".join(f"`{role}`" for role in roles)
    )
    by = " or ".join(f"the {_KINDS.get(name, 'process')} `{name}`" for name in processes)
    return f"Sent by {' and by '.join(part for part in (people, by) if part)}."
