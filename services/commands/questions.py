"""What the commands of `commons show` share: their options, and asking a question and writing the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import asyncpg
import typer

from services.commands import scans
from services.commands.answers import Form, write
from services.commands.common import Operator
from services.commands.door import OK, Usage
from services.commands.opening import opened
from services.commands.period import Period
from services.commands.waiting import position
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.names import find_names
from shared.errors import Invalid

Ask = Callable[[asyncpg.Pool, str | None, Position | None], Awaitable[QueryResult]]
"""A question of an item, if one was named, that is answered at a position or later."""

Item = Annotated[
    str | None,
    typer.Option("--item", metavar="ITEM", help="Only this item: its id, barcode, a scan of it, or its name."),
]
OneItem = Annotated[str, typer.Argument(metavar="ITEM", help="The item: its id, barcode, a scan of it, or its name.")]
Location = Annotated[str | None, typer.Option("--location", metavar="LOCATION", help="Only this location: id or name.")]
Csv = Annotated[bool, typer.Option("--csv", help="Answer in CSV.")]
AtLeast = Annotated[
    str | None,
    typer.Option(
        "--at-least", metavar="SEQUENCE", help="Wait until the read model shows this event: 17, INVENTORY:17."
    ),
]
Month = Annotated[str | None, typer.Option("--month", metavar="YYYY-MM", help="Only this month.")]
Days = Annotated[int | None, typer.Option("--days", metavar="N", min=1, max=36_500, help="Only the last N days.")]
Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="From this day on, in UTC.")]
Until = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Up to and with this day, in UTC.")]
All = Annotated[bool, typer.Option("--all", help="Also what has ended.")]
ByItem = Annotated[bool, typer.Option("--by-item", help="One row an item.")]


async def show(
    operator: Operator, ask: Ask, *, csv: bool, at_least: str | None, item: str | None = None,
    location: str | None = None, months: Period | None = None,
) -> int:  # fmt: skip
    """Ask a question and write the answer; an item or location that nobody knows is an error."""
    form = form_of(operator, csv)
    wanted = position(at_least)
    async with operator.database() as pool:
        meant = await item_meant(pool, item, location, wanted)
        found = await opened(operator, await ask(pool, meant, wanted))
    if months is not None and months.month is not None:
        found = months.only(found)
    write(found, form)
    return OK


async def item_meant(pool: asyncpg.Pool, item: str | None, location: str | None, wanted: Position | None) -> str | None:
    """The item that a name, barcode or scan means. Raises Invalid when it, or the location, is not known."""
    meant = await scans.item_id(pool, item)
    names = await find_names(pool, meant, location, wanted)
    if names.unknown is not None:
        raise Invalid(" ".join([names.unknown, f"Near it: {', '.join(names.near)}." if names.near else ""]).strip())
    return meant


def form_of(operator: Operator, csv: bool) -> Form:
    """How the answer is wanted. Raises Usage when it is wanted in two ways."""
    if csv and operator.as_json:
        raise Usage("--csv and --json cannot both be given.")
    return Form.JSON if operator.as_json else Form.CSV if csv else Form.TABLE
