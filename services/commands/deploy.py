"""`commons init` and `commons migrate`: what a deployment of containers needs before its services start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.commands.common import Operator, command
from services.commands.contracts import CONTRACTS
from services.commands.door import OK, Usage
from services.commands.render import emit
from services.deploy.migrate import known_streams, make_streams, make_tables
from services.deploy.secrets import prepare
from shared.settings import load


@command
async def init(
    operator: Operator,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the secrets are to be, such as ./secrets.")],
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="UID[:GID]", help="The account of the containers, if it is not yours."),
    ] = None,
    postgres: Annotated[
        str | None,
        typer.Option("--postgres-owner", metavar="UID[:GID]", help="The account of PostgreSQL, if it is not yours."),
    ] = None,
    grafana: Annotated[
        str | None,
        typer.Option("--grafana-owner", metavar="UID[:GID]", help="The account of Grafana, if it is not yours."),
    ] = None,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew", envvar="COMMONS_RENEW", help="Make the servers' certificates anew, however long they are valid."
        ),
    ] = False,
) -> int | None:
    """Make the secrets of a deployment: master keys, users of NATS, passwords, certificates. What is there is kept.

    Run it again after an upgrade: it writes anew who may do what in NATS and the certificates that end within 90 days,
    and adds what is missing.

    Example: commons init secrets
    """
    given = {"postgres": _account("--postgres-owner", postgres), "grafana": _account("--grafana-owner", grafana)}
    others = {name: account for name, account in given.items() if account is not None}
    made = prepare(folder, _account("--owner", owner), others, renew=renew)
    if operator.as_json:
        emit([{"path": str(one.path), "how": one.how, "what": one.what} for one in made])
        return OK
    for one in made:
        if one.how != "kept":
            typer.echo(f"{one.how:<12}  {one.path}  {one.what}")
    kept = sum(one.how == "kept" for one in made)
    if kept:
        typer.echo(f"{kept} file(s) were there and are kept.")
    if kept < len(made):
        typer.echo(f"Copy {folder} to a safe place: without the master keys nothing personal can be read again.")
    return OK


@command
async def migrate(
    operator: Operator,
    passwords: Annotated[
        Path | None,
        typer.Option("--passwords", metavar="DIR", help="A folder with a file a role, whose passwords are set."),
    ] = None,
    replicas: Annotated[
        int, typer.Option("--replicas", min=1, max=5, help="Servers that hold each stream that is made.")
    ] = 1,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Make streams though the read models know of older ones, as before a restore."),
    ] = False,
) -> int | None:
    """Make the streams, the buckets and the tables that this version needs, and check those that are there.

    Run it once for each new version, before the services start: they need no right to make a stream then.

    Example: commons migrate --passwords secrets/migrate/roles
    """
    settings, database_url = load(), operator.address("database_url")
    applied, roles = await make_tables(database_url, passwords)
    known = {} if anew else await known_streams(database_url)
    async with operator.nats() as nc:
        await make_streams(nc, CONTRACTS.values(), settings.monitoring_url, replicas, known)
    names = [f"{one.number:04} {one.name}" for one in applied]
    if operator.as_json:
        emit({"migrations": names, "roles": roles})
        return OK
    typer.echo("Streams and buckets are as the ledger needs them.")
    typer.echo(f"Migrations applied: {', '.join(names) or 'none, all were'}.")
    if roles:
        typer.echo(f"Passwords set: {', '.join(roles)}.")
    return OK


def _account(option: str, owner: str | None) -> tuple[int, int] | None:
    if owner is None:
        return None
    user, _, group = owner.partition(":")
    if not user.isdecimal() or not (group or user).isdecimal():
        raise Usage(f"{option} takes numbers, as 10001 or 10001:10001. {owner[:40]!r} is neither.")
    return int(user), int(group or user)


def register(app: typer.Typer) -> None:
    app.command("init")(init)
    app.command("migrate")(migrate)
