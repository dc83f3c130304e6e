"""What can be sent, in words: services, commands, and the fields of a command."""

from __future__ import annotations

import inspect
import re

from rich.text import Text

from services.commands.contracts import CONTRACTS, Field, fields_of_command, summary
from services.commands.flags import example
from services.commands.render import console, emit
from services.commands.tables import print_table
from shared.contract import CommandSpec, Contract


def list_services(*, as_json: bool = False) -> None:
    """Every service that takes commands."""
    if as_json:
        emit({name: list(contract.commands) for name, contract in CONTRACTS.items()})
        return
    print_table(["service", "commands"], [[name, len(c.commands)] for name, c in CONTRACTS.items()])
    console().print("`commons send SERVICE` lists a service's commands.", style="dim")


def list_commands(contract: Contract, *, as_json: bool = False) -> None:
    """A service's commands, by the kind of aggregate that they are sent to."""
    if as_json:
        emit({s.name: {"category": s.category, "makes": [m.__name__ for m in s.makes], "purpose": summary(s)}
              for s in contract.commands.values()})  # fmt: skip
        return
    order = sorted(contract.commands.values(), key=lambda s: s.category)
    print_table(["sent to", "command", "purpose"], [[s.category, s.name, _plain(summary(s))] for s in order])
    console().print(f"`commons send {contract.service} COMMAND --help` shows the flags of one.", style="dim")


def show_fields(contract: Contract, spec: CommandSpec, *, as_json: bool = False) -> None:
    """A command's fields with types, units and meaning; or its JSON Schema."""
    if as_json:
        emit(spec.schema())
        return
    out = console()
    out.print(Text.assemble((spec.name, "bold cyan"), "  →  ", ", ".join(m.__name__ for m in spec.makes)))
    out.print(_plain(inspect.getdoc(spec.cls) or ""), soft_wrap=True)
    fields = fields_of_command(spec)
    _table(fields, None)
    out.print(Text(f"Example: {example(contract, spec, fields)}"), soft_wrap=True)
    records: dict[str, tuple[Field, ...]] = {}
    _collect(fields, records)
    for name, inner in records.items():
        _table(inner, name)


def _table(fields: tuple[Field, ...], title: str | None) -> None:
    rows = [[f.name, f.form, "required" if f.required else f.default or "no", _plain(f.doc)] for f in fields]
    print_table(["field", "form", "needed", "meaning"], rows, title=title)


def _collect(fields: tuple[Field, ...], records: dict[str, tuple[Field, ...]]) -> None:
    for field in fields:
        if field.record and field.record not in records:
            records[field.record] = field.fields
            _collect(field.fields, records)


def _plain(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"\1", text)
