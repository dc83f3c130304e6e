"""`commons send SERVICE COMMAND`: a command with a flag for each field, checked here, decided by its service."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text
from typer.core import TyperGroup

from services.commands import scans
from services.commands.common import Operator, command
from services.commands.contracts import CONTRACTS, Field, command_spec, fields_of_command, service, summary
from services.commands.describe import list_commands, list_services, show_fields
from services.commands.door import Group, Usage
from services.commands.events import event_name, print_event
from services.commands.fill import assign, put_flags, read_object
from services.commands.flags import example, flags, line_flags
from services.commands.money import in_minor_units, unit_meant
from services.commands.render import console, emit, moment
from services.commands.waiting import wait_for_model
from services.gs1 import is_scan, read_scan
from shared.client import CommandClient
from shared.contract import CommandSpec, Contract
from shared.errors import OutcomeUnknown
from shared.message import MAX_BULK_BYTES, MAX_COMMAND_BYTES, Reply
from shared.types import COMMAND_ID_PATTERN

_HINT_SECONDS: Final = 2.0
"""After so long without an answer a person at a terminal is told what is being waited for."""

_RESULTS_SHOWN: Final = 20


class Services(Group):
    """`commons send`: the services are its subcommands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(CONTRACTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        contract = CONTRACTS.get(cmd_name)
        return None if contract is None else _service_group(contract)


def _service_group(contract: Contract) -> TyperGroup:
    """`commons send inventory`: the contract's commands are its subcommands, each made when it is asked for."""

    class Commands(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(contract.commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            found = next((s for s in contract.commands.values() if cmd_name in (s.name, s.subject_token)), None)
            return None if found is None else _command_of(contract, found)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            spec = command_spec(contract, args[0])
            return spec.name, _command_of(contract, spec), args[1:]

    group = typer.Typer(cls=Commands, rich_markup_mode="rich")

    @group.callback(invoke_without_command=True, help=f"Commands of the {contract.service} service.")
    def commands(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            list_commands(contract)

    made = typer.main.get_group(group)
    made.name = contract.service
    return made


def _command_of(contract: Contract, spec: CommandSpec) -> Any:
    """One command of a contract as a command of the tree, with a flag for each field."""
    fields = fields_of_command(spec)
    lines = line_flags(fields)

    async def run(
        operator: Operator, *, file: Path | None, sets: list[str] | None, id: str | None, wait: str | None,
        timeout: float, help_fields: bool, scan: str | None = None, **given: Any,
    ) -> int | None:  # fmt: skip
        if help_fields:
            show_fields(contract, spec, as_json=operator.as_json)
            return None
        limit = MAX_COMMAND_BYTES if spec.cut is None else MAX_BULK_BYTES
        data = read_object(file, limit) if file is not None else {}
        assign(data, sets or (), fields)
        put_flags(data, {n: v for n, v in given.items() if v is not None and v != []}, fields, lines)
        await _take_scans(operator, data, fields, scan)
        data = in_minor_units(data, await unit_meant(operator, data))
        contract.parse(spec.name, data)
        return await send(operator, contract, spec, data, id=id, wait=wait, patience=timeout)

    parameters = [inspect.Parameter("operator", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Operator)]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in flags(spec.name, fields, lines).items()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(rich_markup_mode="rich", add_completion=False)
    doc = re.sub(r"`([^`]*)`", r"[cyan]\1[/cyan]", (inspect.getdoc(spec.cls) or "").replace("[", r"\["))
    start = f"Example: {example(contract, spec, fields)}".replace("[", r"\[")
    app.command(spec.name, help=doc, short_help=summary(spec), epilog=start)(command(run))
    made = typer.main.get_command(app)
    made.name = spec.name
    return made


async def _take_scans(operator: Operator, data: dict[str, Any], fields: tuple[Field, ...], scan: str | None) -> None:
    """Fill in what barcodes say: of --scan, and of an item that was given as one."""
    item = data.get("item")
    if isinstance(item, str) and is_scan(item):
        if scan is not None:
            raise Usage("Both --scan and --item are barcodes. Give one of them.")
        del data["item"]
        scan = item
    if scan is not None:
        read = read_scan(scan)  # what cannot be read is refused before the catalogue is asked
        if read.gtin is None:
            scans.fill(data, scans.Scanned(read, None), fields)
            return
        async with operator.database() as pool:
            scans.fill(data, await scans.look_up(pool, scan), fields)


async def send(
    operator: Operator, contract: Contract, spec: CommandSpec, data: dict[str, Any], *, id: str | None,
    wait: str | None, patience: float,
) -> int | None:  # fmt: skip
    """Send a command that fits its contract, and print the answer."""
    if id is not None and not re.fullmatch(COMMAND_ID_PATTERN, id):
        raise Usage(f"--id takes 1 to 128 letters, digits and - _ : . /; {id[:80]!r} is not of that form.")
    name = id or str(uuid.uuid4())
    async with operator.nats() as nc:
        reply = await _answer(operator.client(nc, patience=patience), contract.service, spec.name, data, name)
    if operator.as_json:
        emit(reply_as_json(reply))
    else:
        print_reply(reply)
        if reply.event is not None and (gone := _left_out(spec, data)):
            console().print(Text(f"Left out, and so not known any more: {', '.join(gone)}."), style="yellow")
    if wait is not None:
        await wait_for_model(operator, wait, reply.stream, reply.sequence, timeout=patience)
    return None


def _left_out(spec: CommandSpec, data: dict[str, Any]) -> list[str]:
    """The fields that a command ends by leaving them out, as it replaces what is known as a whole."""
    if "as a whole" not in (inspect.getdoc(spec.cls) or ""):
        return []
    kept = {"occurred_at", *(name for name, value in data.items() if value is not None)}
    return [
        field.name.replace("_", " ")
        for field in fields_of_command(spec)
        if not field.required and field.name not in kept
    ]


def reply_as_json(reply: Reply) -> dict[str, Any]:
    """A service's answer as a JSON-ready mapping."""
    answer: dict[str, Any] = {
        "status": reply.status, "stream": reply.stream, "sequence": reply.sequence, "repeated": reply.repeated,
    }  # fmt: skip
    if reply.results is not None:
        answer |= {"results": reply.results, "counts": reply.counts}
    return answer | ({"event": reply.event} if reply.event else {})


async def _answer(client: CommandClient, service: str, command: str, data: dict[str, Any], id: str) -> Reply:
    """The service's answer. Whoever is left without one is told the id under which to ask again."""
    hint = asyncio.get_running_loop().call_later(_HINT_SECONDS, _say_waiting, service)
    try:
        return await client.send(service, command, data, id=id)
    except OutcomeUnknown as error:
        raise OutcomeUnknown(f"{error.detail} Its id is {id}: give it with --id.", id=id) from error
    except asyncio.CancelledError:
        sys.stderr.write(f"Interrupted before the answer came. To learn it, send the same with --id {id}.\n")
        raise
    finally:
        hint.cancel()


def _say_waiting(service: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"Waiting for the {service} service …\n")


def print_reply(reply: Reply) -> None:
    out = console()
    if reply.results is not None:
        _print_results(reply, reply.results)
        return
    if reply.event is None:
        where = f"{reply.stream} {reply.sequence:,}"
        out.print(Text.assemble(("Unchanged", "bold green"), f": it was so already ({where})."))
        return
    event = reply.event
    subject = str(event.get("subject", "")).partition("/")[2]
    said = "Recorded before" if reply.repeated else "Recorded"
    name = event_name(str(event.get("type", "")))
    when = moment(str(event.get("time", "")))
    where = f"revision {event.get('revision')}, {reply.stream} {reply.sequence:,}, {when}, by {event.get('authid')}"
    out.print(
        Text.assemble((said, "bold green"), " ", (name, "bold cyan"), " ", (subject, "bold"), "  ", (where, "dim")),
        soft_wrap=True,
    )
    print_event(event)


def _print_results(reply: Reply, results: list[dict[str, Any]]) -> None:
    """How many of the elements of a bulk command came to what, and those that came to something else than most."""
    out = console()
    counts = reply.counts or {}
    said = "Unchanged" if reply.status == "unchanged" else "Recorded before" if reply.repeated else "Recorded"
    how = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items())
    where = f"{reply.stream} {reply.sequence:,}"
    out.print(Text.assemble((said, "bold green"), f": {how}  ", (where, "dim")), soft_wrap=True)
    most = max(counts, key=lambda kind: counts[kind], default="")
    others = [result for result in results if result.get("result") != most]
    for result in others[:_RESULTS_SHOWN]:
        words = " ".join(str(value) for value in result.values() if value is not None)
        out.print(Text(f"  {words}"), style="yellow", soft_wrap=True)
    if len(others) > _RESULTS_SHOWN:
        out.print(f"  and {len(others) - _RESULTS_SHOWN:,} more; --json lists all.", style="dim")


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=Services, rich_markup_mode="rich")

    @group.callback(invoke_without_command=True)
    def send_group(ctx: typer.Context) -> None:
        """Send a command to a service and print the event it led to, or the refusal.

        `commons send inventory` lists the commands, `commons send inventory ReceiveStock --help` the fields of one.

        Examples:

        commons send inventory ReceiveStock --item rice --location main --source donation --lot A --quantity 10

        commons send inventory ReceiveStock --scan '(01)04006381333931(10)A7(17)270131' --location main --quantity 12
        --source donation

        echo '{"item": "rice", "name": "Rice 1 kg", "unit": "each"}' | commons send inventory RegisterItem --file -
        """
        if ctx.invoked_subcommand is None:
            list_services()

    app.add_typer(group, name="send")

    @app.command("describe")
    @command
    async def describe(
        operator: Operator,
        service_name: Annotated[str | None, typer.Argument(metavar="[SERVICE]")] = None,
        command_name: Annotated[str | None, typer.Argument(metavar="[COMMAND]")] = None,
    ) -> None:
        """Show what can be sent: services, a service's commands, or a command's fields with types, units and meaning.

        With --json, a command's JSON Schema. Example: commons describe inventory ReceiveStock
        """
        if service_name is None:
            list_services(as_json=operator.as_json)
        elif command_name is None:
            list_commands(service(service_name), as_json=operator.as_json)
        else:
            contract = service(service_name)
            show_fields(contract, command_spec(contract, command_name), as_json=operator.as_json)
