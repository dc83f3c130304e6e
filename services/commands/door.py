"""The door of the operator's command: whatever goes wrong leaves here as one message and an exit code.

0 is fine; 1 refused, or a check failed; 2 a mistake in the command line; 3 a server that cannot be reached.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, ClassVar, Final

import asyncpg
import nats.errors
import structlog
import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import Abort, TyperException

from services.commands.render import clean
from shared.errors import Invalid, LedgerError, OutcomeUnknown, as_problem
from shared.wire import StreamLost

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130

AWAY: Final = (
    StreamLost, nats.errors.Error, asyncpg.InterfaceError, asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError, OSError,
)  # fmt: skip
"""What the libraries underneath raise when a server is not there, goes away, or does not answer."""

_WARNING: Final = 30


class Usage(LedgerError):
    """The command line asks for something that cannot be."""

    status = 400
    code = "USAGE"


class Unreachable(LedgerError):
    """A server that the command needs is not known, or does not answer."""

    status = 503
    code = "UNREACHABLE"


class Group(TyperGroup):
    """A group of commands that says, when one is not there, which there are and which was probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return resolve(self, ctx, args)


def new_group(purpose: str) -> typer.Typer:
    """A group of commands that shows its help when none of them is named."""
    group = typer.Typer(cls=Group, help=purpose, rich_markup_mode="rich")

    @group.callback(invoke_without_command=True, help=purpose)
    def show(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())

    return group


@dataclass(frozen=True, slots=True)
class Part:
    """A command of the root, or a group of them: its module, imported when it is called for, and its purpose."""

    module: str
    purpose: str
    panel: str


class Door(Group):
    """The root of the command tree. It never shows a traceback for what an operator can run into."""

    parts: ClassVar[Mapping[str, Part]] = {}
    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.parts)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        part = self.parts.get(cmd_name)
        if part is None:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=part.purpose, rich_help_panel=part.panel)
        return _commands_in(part.module)[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the parts by their purposes, without importing any of them."""
        self._listing = True
        super().format_help(ctx, formatter)

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, windows_expand_args: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        """Run the command line and, unless `standalone_mode` is off, end the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        quiet_logs()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a letter gets a question mark
        try:
            code = super().main(
                given, prog_name or "commons", complete_var, standalone_mode=False,
                windows_expand_args=windows_expand_args, **extra,
            )  # fmt: skip
        except (TyperException, LedgerError, asyncpg.PostgresError, *AWAY) as error:
            code = report(error, as_json="--json" in given)
        except Abort:
            code = INTERRUPTED
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else OK)


@cache
def _commands_in(module: str) -> Mapping[str, Any]:
    """The commands that a module registers: made once, as who runs many in one process need not wait for each."""
    app = typer.Typer(cls=Group, rich_markup_mode="rich")
    app.callback()(lambda: None)
    importlib.import_module(module).register(app)
    return typer.main.get_group(app).commands


def resolve(group: TyperGroup, ctx: Any, args: list[str]) -> tuple[str, Any, list[str]]:
    """Find a subcommand, or say which there are and which was probably meant."""
    name = args[0]
    found = group.get_command(ctx, name)
    if found is None:
        known = group.list_commands(ctx)
        close = get_close_matches(name, known, n=1, cutoff=0.6) or [k for k in known if k.lower() == name.lower()]
        meant = f" Did you mean {close[0]}?" if close else ""
        raise Usage(
            f"`{ctx.command_path}` has no command {name[:80]!r}.{meant} It has: {', '.join(known)}.", command=name[:80]
        )
    return found.name or name, found, args[1:]


def exit_code(error: BaseException) -> int:
    """The exit code that an error ends the process with."""
    if isinstance(error, TyperException):
        return error.exit_code
    if isinstance(error, Usage):
        return USAGE
    if isinstance(error, (Unreachable, OutcomeUnknown, *AWAY)):
        return UNREACHABLE
    return REFUSED


def report(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong, to people on stderr or to programs as a problem document on stdout; gives the exit code."""
    known = _ledger_error(error)
    if as_json:
        sys.stdout.write(json.dumps(as_problem(known), ensure_ascii=False, default=str) + "\n")
    else:
        detail = "\n".join(clean(line) for line in known.detail.splitlines())
        mark = "Refused" if exit_code(error) == REFUSED else "Error"
        message = Text.assemble((mark, "bold red"), " ", (str(known.code), "bold"), ": ", detail)
        Console(stderr=True, highlight=False, soft_wrap=True).print(message)
    return exit_code(error)


def _ledger_error(error: BaseException) -> LedgerError:
    """Errors of the libraries underneath, in the ledger's own words."""
    if isinstance(error, LedgerError):
        return error
    if isinstance(error, TyperException):
        said = error.format_message().rstrip(".").replace(": Value error, ", ": ")
        return Usage(f"{said}. `--help` says what may be given.")
    if isinstance(error, asyncpg.InterfaceError | asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError):
        return Unreachable(f"PostgreSQL is not there, or not yet: {error}. Try again when it is back.")
    if isinstance(error, nats.errors.Error):
        return Unreachable(f"NATS did not answer ({str(error) or type(error).__name__}). Try again when it is back.")
    if isinstance(error, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError | asyncpg.UndefinedColumnError):
        return LedgerError(
            f"The database lacks a table that this command reads, or does not show it to this login: {error}. In "
            "containers the clinic's are shown to clinic-operator alone. Have the migrations been applied and the "
            "projections started? `commons up` does both."
        )
    if isinstance(error, asyncpg.DataError):
        return Invalid(f"Something that was given is nothing that could be looked up: {error}.")
    if isinstance(error, asyncpg.PostgresError):
        return LedgerError(f"PostgreSQL refused what was asked of it: {error}.")
    return Unreachable(f"A server could not be reached, or a file not be used: {error}.")


def quiet_logs() -> None:
    """The libraries' warnings go to stderr, so that stdout carries answers alone."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(_WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
