"""`commons witness`: cosign the checkpoints of other people's logs, or look at what was cosigned."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.auditor.witness import Witness
from services.auditor.witness_app import known, open_witness, serve
from services.commands.common import Operator, command
from services.commands.render import emit
from services.commands.tables import print_table
from shared.errors import Misconfigured


@command
async def witness(
    operator: Operator,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Where the witness keeps its key and what it cosigned.")
    ] = Path("witness"),
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="A new witness's name, for example chapter-b.example/witness."),
    ] = None,
    logs: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            metavar="KEY",
            help="The public key of a log to cosign, or the file of it. Repeat it for several; they are remembered.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port; 0 chooses a free one.")] = 7380,
    show: Annotated[bool, typer.Option("--show", help="Say what was cosigned last of each log, and end.")] = False,
) -> int | None:
    """Cosign the checkpoints of logs, each only if it continues the one before, until Ctrl-C.

    Run it where whoever keeps the ledger has no say. It needs the public keys of the logs and nothing else; whoever
    keeps the ledger needs this witness's key and address. Never set its folder back to an older copy.

    Example: commons witness --folder /srv/witness --name chapter-b.example/witness --log inventory.vkey
    """
    if show and not folder.is_dir():
        raise Misconfigured(f"There is no witness in {folder}. Name its folder with --folder.")
    opened = open_witness(folder, name, logs or [])
    if show:
        try:
            _show(opened, folder, as_json=operator.as_json)
        finally:
            opened.close()
        return None
    await serve(opened, host, port, lambda url: _report(opened, folder, url, as_json=operator.as_json))
    return None


def _report(witness: Witness, folder: Path, url: str, *, as_json: bool) -> None:
    key = str(witness.cosigner.verifier)
    names = sorted({one.name for one in known(folder)})
    if as_json:
        emit({"url": url, "key": key, "logs": names})
        return
    typer.echo(f"The witness {witness.cosigner.name} runs. Ctrl-C stops it.")
    typer.echo(f"  Address  {url}")
    typer.echo(f"  Key      {key}")
    typer.echo(f"  Logs     {', '.join(names) or 'none: name one with --log'}")
    typer.echo(f"For the file of witnesses of whoever keeps the ledger:\n  witness NAME {key} {url}")


def _show(witness: Witness, folder: Path, *, as_json: bool) -> None:
    key, seen = str(witness.cosigner.verifier), witness.seen()
    never = sorted({one.name for one in known(folder)} - {one.origin for one in seen})
    if as_json:
        logs = [
            {
                "origin": one.origin,
                "size": one.size,
                "root": one.root.hex(),
                "at": _moment(one.at),
                "forks": one.forks,
                "unproven": one.unproven,
            }
            for one in seen
        ]
        emit({"key": key, "logs": logs, "never": never})
        return
    rows = [[one.origin, one.size, one.root.hex()[:16], _moment(one.at), one.forks, one.unproven] for one in seen]
    rows += [[origin, None, None, None, 0, 0] for origin in never]
    print_table(
        ["log", "events", "root", "cosigned at", "forks", "unproven"],
        rows,
        title=f"Witness {witness.cosigner.name}",
        empty="It knows no log yet.",
    )
    if any(one.forks for one in seen):
        typer.echo(
            "A fork is two checkpoints of one size that their log signed with two roots: two histories of one log. "
            f"Both are kept in {folder / 'witness.sqlite'} (table evidence), to be shown to others."
        )
    if any(one.unproven for one in seen):
        typer.echo(
            "Unproven are checkpoints that their log signed, and whose proof did not show that they continue it. By "
            "themselves they accuse nobody: anybody can send one with a proof that is ill made (table unproven)."
        )


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def register(app: typer.Typer) -> None:
    app.command("witness")(witness)
