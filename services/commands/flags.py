"""The flags of `commons send`: its own, and one for each field of a command's contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.commands.common import PANEL
from services.commands.contracts import Field, Kind
from shared.contract import CommandSpec, Contract

GIVING: Final = "How the command is given"
_OWN: Final = frozenset({"file", "set", "id", "scan", "wait", "timeout", "help", "help_fields", "dry_run"})
"""Names of options of `send` itself; a field of that name is given with --set."""

_COMMON: Final = frozenset({"nats_url", "database_url", "data", "json", "as", "mandate"})

Flag = tuple[Any, Any]
"""A parameter's annotation, which holds the typer option, and its default."""


def flags(command: str, fields: tuple[Field, ...], lines: dict[str, str]) -> dict[str, Flag]:
    """All flags of one command, by parameter name: its fields, the fields of one record in it, and how it is given."""
    giving = {name: flag for name, flag in _GIVING.items() if name != "scan" or _takes_scans(fields)}
    return {**_flags(fields, f"Fields of {command}"), **_line_flags(fields, lines), **giving}


def _takes_scans(fields: tuple[Field, ...]) -> bool:
    """Whether a barcode says something that the command asks for."""
    return any(field.name == "item" for field in fields)


def _own(*names: str, metavar: str | None = None, panel: str = PANEL, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, **{"show_default": False} | more)


_FILE = "JSON object with the fields; - is stdin. Flags are laid over it."
_SET = "One field; JSON where the field is not text."
_SCAN = "A barcode: fills item, lot, date and quantity."
_ID = "The command's own id. The same id again is recorded once only."
_WAIT = "Wait until this read model shows the event."
_TIMEOUT = "How long to wait for an answer."
_HELP_FIELDS = "Show the fields, and send nothing."

_GIVING: Final[dict[str, Flag]] = {
    "file": (Annotated[Path | None, _own("--file", metavar="FILE", panel=GIVING, help=_FILE)], None),
    "sets": (
        Annotated[list[str] | None, _own("--set", "--field", metavar="NAME=VALUE", panel=GIVING, help=_SET)],
        None,
    ),
    "scan": (Annotated[str | None, _own("--scan", metavar="GS1", panel=GIVING, help=_SCAN)], None),
    "id": (Annotated[str | None, _own("--id", metavar="ID", help=_ID)], None),
    "wait": (Annotated[str | None, _own("--wait", metavar="MODEL", help=_WAIT)], None),
    "timeout": (
        Annotated[float, _own("--timeout", metavar="SECONDS", min=0.1, max=3600, show_default=True, help=_TIMEOUT)],
        10.0,
    ),
    "help_fields": (Annotated[bool, _own("--help-fields", help=_HELP_FIELDS)], False),
}


def line_flags(fields: tuple[Field, ...]) -> dict[str, str]:
    """Flags for the fields of a record inside a command, and which record each belongs to.

    A record is left out when one of its required fields would take a name that is in use: half of it helps nobody.
    """
    used = {f.name for f in fields} | _OWN | _COMMON
    found: dict[str, str] = {}
    for field in fields:
        if field.kind not in (Kind.RECORD, Kind.RECORDS):
            continue
        free = [f.name for f in field.fields if f.name not in used]
        if all(f.name in free for f in field.fields if f.required):
            found |= dict.fromkeys(free, field.name)
            used |= set(free)
    return found


def _flags(fields: tuple[Field, ...], panel: str) -> dict[str, Flag]:
    return {f.name: (_annotation(f, panel), None) for f in fields if f.name not in _OWN | _COMMON}


def _line_flags(fields: tuple[Field, ...], lines: dict[str, str]) -> dict[str, Flag]:
    made: dict[str, Flag] = {}
    for field in fields:
        panel = f"One {field.record}, in place of --{field.name}"
        inner = [f for f in field.fields if lines.get(f.name) == field.name]
        made |= {f.name: (_annotation(f, panel), None) for f in inner}
    return made


def _annotation(field: Field, panel: str) -> Any:
    """The typer option of a field."""
    flag = "--" + field.name.replace("_", "-")
    words = re.sub(r"`([^`]*)`", r"\1", field.doc)
    metavar, form = _metavar(field)
    notes = ["required"] if field.required and not panel.startswith("One ") else []
    notes += [form] if form else []
    notes += [f"default {field.default}"] if field.default else []
    text = f"{words} ({'; '.join(notes)})" if notes else words
    option = typer.Option(
        flag, help=text.strip().replace("[", r"\["), metavar=metavar, rich_help_panel=panel, show_default=False
    )
    if field.kind is Kind.FLAG:
        return Annotated[bool | None, option]
    return Annotated[list[str] | None if field.kind in (Kind.LIST, Kind.RECORDS) else str | None, option]


def _metavar(field: Field) -> tuple[str | None, str]:
    """A short word for a flag's value, and what remains to be said of its form."""
    if field.kind is Kind.FLAG:
        return None, ""
    if field.kind in (Kind.RECORD, Kind.RECORDS):
        return "JSON", f"{field.form}, as {field.example}" if field.example else field.form
    if field.kind is Kind.LIST:
        return "WORD" if " | " in field.form else "TEXT", f"{field.form}; repeat the flag"
    if " | " in field.form:
        return "WORD", field.form
    word, _, rest = field.form.partition(", as ")
    if field.kind is Kind.MONEY:
        return "AMOUNT", "as 12.50"
    if field.kind is Kind.NUMBER:
        return "NUMBER", field.form.removeprefix("integer").strip()
    return word.partition(" ")[0].upper(), f"as {rest}" if rest else ""


def example(contract: Contract, spec: CommandSpec, fields: tuple[Field, ...]) -> str:
    """What to type to begin with, made of the required fields."""
    parts = [f"--{f.name.replace('_', '-')} {sample(f)}".strip() for f in fields if f.required]
    return f"commons send {contract.service} {spec.name} {' '.join(parts)}"


def sample(field: Field) -> str:
    """What may be typed for a field in a shell; nothing after a flag."""
    if field.kind is Kind.FLAG:
        return ""
    if field.kind in (Kind.RECORD, Kind.RECORDS):
        return f"'{_as_json(field)}'"
    return _word(field)


def _as_json(field: Field) -> str:
    """What may stand for a field in JSON: its example, or what its record needs."""
    match field.kind:
        case Kind.RECORD | Kind.RECORDS:
            inner = ", ".join(f'"{f.name}": {_as_json(f)}' for f in field.fields if f.in_example)
            one = field.example or f"{{{inner}}}"
            return f"[{one}]" if field.kind is Kind.RECORDS else one
        case Kind.NUMBER | Kind.MONEY:
            return field.example or _word(field)
        case Kind.FLAG:
            return "true"
    word = _word(field)
    if word == field.name.upper():
        word = "…"
    return field.example or (f'["{word}"]' if field.kind is Kind.LIST else f'"{word}"')


def _word(field: Field) -> str:
    """What may be typed for a field that holds no record."""
    match field.kind:
        case Kind.MONEY:
            return "12.50"
        case Kind.NUMBER:
            return "10"
    if " | " in field.form:
        return field.form.removeprefix("list of ").split(" | ")[0].split(",")[0]
    if field.form.startswith(("date, as ", "moment, as ")):
        return field.form.partition(", as ")[2]
    return field.name.upper()
