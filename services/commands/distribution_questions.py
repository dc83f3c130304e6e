"""What the commands of `commons show` about distribution share: waiting for its stream, asking, opening, writing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import asyncpg
import typer

from services.commands.answers import write
from services.commands.common import Operator
from services.commands.door import OK
from services.commands.opening import opened
from services.commands.questions import form_of
from services.commands.waiting import position
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.distribution.known import What, must_be_known
from services.queries.distribution.parts import STREAM

AtLeast = Annotated[
    str | None,
    typer.Option(
        "--at-least", metavar="SEQUENCE", help="Wait until the read model shows this event: 17, DISTRIBUTION:17."
    ),
]


async def show_distribution(
    operator: Operator, ask: Callable[[asyncpg.Pool, Position | None], Awaitable[QueryResult]], *, csv: bool,
    at_least: str | None, of: Mapping[What, str | None] | None = None,
    told: Callable[[QueryResult], QueryResult] | None = None,
) -> int:  # fmt: skip
    """Ask a question about distribution and write the answer; an id (`of`) that nothing has is an error.

    `told` puts into words what was sealed in it.
    """
    form = form_of(operator, csv)
    wanted = position(at_least, STREAM)
    async with operator.database() as pool:
        for what, id in (of or {}).items():
            await must_be_known(pool, what, id, wanted)
        found = await opened(operator, await ask(pool, wanted))
    write(found if told is None else told(found), form)
    return OK
