"""`commons up`: the whole ledger on this machine, until Ctrl-C."""

from __future__ import annotations

import typer

from services.commands.common import Operator, command
from services.local import up as local


@command
async def up(operator: Operator) -> int | None:
    """Run NATS, PostgreSQL, the services and the read models on this machine until Ctrl-C, and say where they listen.

    Everything is kept in the folder --data (./data): run it again there and it goes on where it stopped. With
    --nats-url and --database-url it uses servers that already run.

    Example: commons up --data /srv/pantry
    """
    options = local.Options(data=operator.folder, nats_url=operator.nats_url, database_url=operator.database_url)
    return await local.run(options, _report)


def _report(line: str) -> None:
    typer.echo(line)


def register(app: typer.Typer) -> None:
    app.command("up")(up)
