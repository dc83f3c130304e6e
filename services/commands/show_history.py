"""`commons show` of what was: a lot's way, a bin card, and figures by month."""

from __future__ import annotations

from typing import Annotated

import asyncpg
import typer

from services import queries
from services.commands import scans
from services.commands.common import Operator, command
from services.commands.period import period
from services.commands.questions import (
    AtLeast,
    ByItem,
    Csv,
    Days,
    Item,
    Location,
    Month,
    OneItem,
    Since,
    Until,
    show,
)
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.flows import ReceiptsBy


@command
async def trace(
    operator: Operator,
    lot: Annotated[str, typer.Argument(metavar="LOT", help="The lot's number, or a scan of it.")],
    item: Item = None,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """Where a lot came from, where it is, and whom it reached.

    Example: commons show trace A7 --item rice
    """

    async def ask(pool: asyncpg.Pool, meant: str | None, wanted: Position | None) -> QueryResult:
        which, of = await scans.lot_and_item(pool, lot)
        return await queries.trace(pool, lot=which, item=meant or of, at_least=wanted)

    return await show(operator, ask, csv=csv, at_least=at_least, item=item)


@command
async def movements(
    operator: Operator,
    item: OneItem,
    location: Location = None,
    lot: Annotated[str | None, typer.Option("--lot", metavar="LOT", help="Only this lot.")] = None,
    month: Month = None,
    days: Days = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="The newest N.")] = 1000,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """The bin card of an item: every movement with the running figure, in the order in which they happened.

    Example: commons show movements rice --location main --month 2026-11
    """
    within = period(month, days, since, until)

    async def ask(pool: asyncpg.Pool, meant: str | None, wanted: Position | None) -> QueryResult:
        assert meant is not None
        return await queries.movements(
            pool, item=meant, location=location, lot=lot, since=within.since, until=within.until, limit=limit,
            at_least=wanted,
        )  # fmt: skip

    return await show(operator, ask, csv=csv, at_least=at_least, item=item, location=location)


@command
async def waste(
    operator: Operator, item: Item = None, location: Location = None, month: Month = None, days: Days = None,
    by_item: ByItem = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What was thrown away or lost, by month and reason.

    Example: commons show waste --month 2026-11 --by-item
    """
    within = period(month, days)
    return await show(
        operator,
        lambda pool, meant, wanted: queries.waste(
            pool, item=meant, location=location, since=within.wide_since, until=within.wide_until, items=by_item,
            at_least=wanted,
        ),
        csv=csv, at_least=at_least, item=item, location=location, months=within,
    )  # fmt: skip


@command
async def receipts(
    operator: Operator, item: Item = None, location: Location = None, month: Month = None, days: Days = None,
    by: Annotated[ReceiptsBy, typer.Option("--by", help="Whom or what to count by.")] = "donor",
    by_item: ByItem = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What came in, by month and donor, owner, supplier or source.

    Example: commons show receipts --by source --month 2026-11
    """
    within = period(month, days)
    return await show(
        operator,
        lambda pool, meant, wanted: queries.receipts(
            pool, by=by, item=meant, location=location, since=within.wide_since, until=within.wide_until, items=by_item,
            at_least=wanted,
        ),
        csv=csv, at_least=at_least, item=item, location=location, months=within,
    )  # fmt: skip


@command
async def weight(
    operator: Operator, item: Item = None, location: Location = None, month: Month = None, days: Days = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Weight in and out by month.

    Example: commons show weight --csv
    """
    within = period(month, days)
    return await show(
        operator,
        lambda pool, meant, wanted: queries.weight(
            pool, item=meant, location=location, since=within.wide_since, until=within.wide_until, at_least=wanted
        ),
        csv=csv, at_least=at_least, item=item, location=location, months=within,
    )  # fmt: skip
