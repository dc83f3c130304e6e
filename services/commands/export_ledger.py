"""`commons export ledger`: one copy of everything, that a stranger can verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.commands.common import Operator, command
from services.commands.copies import Tiles, as_json, export, logs_of
from services.commands.render import console, emit
from services.commands.tables import print_table


@command
async def ledger(
    operator: Operator,
    target: Annotated[
        Path,
        typer.Argument(metavar="TARGET", help="A folder, or an archive: NAME.tar or NAME.tar.gz.", show_default=False),
    ],
    tiles: Tiles = None,
) -> int | None:
    """Copy the whole ledger, up to its last checkpoints: events, hashes, signatures, public keys, schemas.

    Anybody can check the copy with `commons verify TARGET`, or with other people's tools as its README.md says. A
    folder that is there already gets what is new, and goes on where it was broken off; an archive is written once. What
    is personal stays encrypted, and the copy has no keys.

    Example: commons export ledger /mnt/auditor/pantry
    """
    copied = await export(logs_of(operator, tiles), target)
    if operator.as_json:
        emit({"target": str(target), "logs": as_json(copied)})
        return None
    rows = [[one.service, one.size, one.added, one.origin, one.root[:16] + "…"] for one in copied]
    print_table(["log", "events", "new", "origin", "root"], rows, title="Exported")
    console().print(f"Check it: commons verify {target}", soft_wrap=True, markup=False)
    return None


def register(group: typer.Typer) -> None:
    group.command("ledger")(ledger)
