"""`commons resume`: lets the services write again after a halt."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from services.commands.common import Operator, command
from services.commands.door import OK
from services.commands.render import console, emit
from shared import halt
from shared.clock import utc_now


@command
async def resume(
    operator: Operator,
    reason: Annotated[str, typer.Option("--reason", help="Why it is right to go on.", show_default=False)],
) -> int | None:
    """Lift the halt, so that every service writes again, without a restart. Who lifted it and why is kept.

    It is also for a halt that is gone from NATS, and that services still keep to.

    Run `commons verify` first, and mend what it finds: an auditor that finds the same again halts the writing again.

    Example: commons resume --reason 'INVENTORY restored from the tiles; commons verify passed' --as ada
    """
    async with operator.nats() as nc:
        lifted = await halt.lift(nc, reason=reason.strip(), by=operator.who, at=utc_now().isoformat())
    if operator.as_json:
        emit({"lifted": None if lifted is None else msgspec.to_builtins(lifted)})
    elif lifted is None:
        console().print("Nothing was halted in NATS. A service that still is, as it saw a halt that is gone, goes on.")
    else:
        console().print(
            f"Lifted: the halt of {lifted.at}, set by {lifted.by}: {lifted.reason}", soft_wrap=True, markup=False
        )
    return OK


def register(app: typer.Typer) -> None:
    app.command("resume")(resume)
