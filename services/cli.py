"""The operator's command, `commons`."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated, Final

import typer

from services.commands.door import Door, Part

RUN: Final = "Run"
RECORD: Final = "Record"
LOOK: Final = "Look"
CHECK: Final = "Check and hand on"


class Commons(Door):
    """All of the command's parts; each module has a `register` that adds what is named here."""

    parts = {  # noqa: RUF012  # typed in the base class
        "demo": Part("services.commands.demo", "Watch a food pantry's week on a real ledger; it ends by itself.", RUN),
        "up": Part("services.commands.up", "Run the whole ledger on this machine until Ctrl-C.", RUN),
        "status": Part("services.commands.status", "Whether services, streams and read models are well.", RUN),
        "resume": Part("services.commands.resume", "Let the services write again after a halt.", RUN),
        "projections": Part(
            "services.commands.projections", "List and rebuild read models; release parked events.", RUN
        ),
        "init": Part("services.commands.deploy", "Make the secrets of a deployment of containers, once.", RUN),
        "migrate": Part("services.commands.deploy", "Make streams and tables, once for each new version.", RUN),
        "keys": Part("services.commands.keys", "The keys under which personal data is sealed; erasure.", RUN),
        "actors": Part("services.commands.actors", "Who acts: tokens, and roles that are granted.", RUN),
        "erase": Part("services.commands.erase", "Forget a person for good, when two people agree.", RUN),
        "serve": Part("services.commands.serve", "Serve a household at the table, in one scan of its card.", RECORD),
        "send": Part("services.commands.send", "Send a command to a service.", RECORD),
        "describe": Part("services.commands.send", "What can be sent: services, commands and their fields.", RECORD),
        "import": Part("services.commands.imports", "Import a file: items, recalls, statements and more.", RECORD),
        "show": Part("services.commands.show", "Look at the read models: stock, expiring, trace and more.", LOOK),
        "tail": Part("services.commands.tail", "Show events as they are recorded.", LOOK),
        "verify": Part("services.commands.verify", "Check the whole ledger, live or a copy of its logs.", CHECK),
        "receipt": Part("services.commands.receipt", "Prove that an event is in the ledger, in one file.", CHECK),
        "verify-receipt": Part("services.commands.receipt", "Check a receipt with public keys alone.", CHECK),
        "replay": Part(
            "services.commands.replay", "A read model as it stood at any moment, beside the live one.", CHECK
        ),
        "witness": Part("services.commands.witness", "Cosign the checkpoints of other people's logs.", CHECK),
        "print": Part("services.commands.printing", "Print QR labels for boxes and household cards.", CHECK),
        "export": Part("services.commands.export", "Hand it on: all of it, EPCIS, beancount, hledger, CSV.", CHECK),
        "backup": Part("services.commands.backup", "Copy ledger and keyrings, once or on a schedule.", CHECK),
        "restore": Part("services.commands.restore", "Put the ledger back from a copy.", CHECK),
    }


app = typer.Typer(
    cls=Commons, name="commons", invoke_without_command=True, rich_markup_mode="rich", pretty_exceptions_enable=False,
    add_completion=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Keep the books of community programmes: send commands, look at the read models, check the ledger.",
    epilog="Exit codes: 0 fine · 1 refused, or a check failed · 2 a mistake in the command line · 3 a server cannot be "
    "reached.",
)  # fmt: skip


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"commons {version('commons-ledger')}")
        raise typer.Exit


@app.callback()
def commons(
    ctx: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def main() -> None:
    """The entry point of the installed command."""
    # A closed stdin, stdout or stderr would be handed to the next file or connection that is opened.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    app()


if __name__ == "__main__":
    main()
