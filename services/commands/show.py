"""`commons show`: the read models, as tables, CSV or JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import asyncpg
import typer

from services import queries
from services.commands import scans
from services.commands.answers import Form, write
from services.commands.common import Operator, command
from services.commands.door import OK, Usage, new_group
from services.commands.period import Period, period
from services.commands.waiting import position
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.flows import ReceiptsBy
from services.queries.names import find_names
from services.queries.stock import By
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


async def _show(
    operator: Operator, ask: Ask, *, csv: bool, at_least: str | None, item: str | None = None,
    location: str | None = None, months: Period | None = None,
) -> int:  # fmt: skip
    """Ask a question and write the answer; an item or location that nobody knows is an error."""
    if csv and operator.as_json:
        raise Usage("--csv and --json cannot both be given.")
    wanted = position(at_least)
    async with operator.database() as pool:
        meant = await scans.item_id(pool, item)
        names = await find_names(pool, meant, location, wanted)
        if names.unknown is not None:
            raise Invalid(" ".join([names.unknown, f"Near it: {', '.join(names.near)}." if names.near else ""]).strip())
        found = await ask(pool, meant, wanted)
    if months is not None and months.month is not None:
        found = months.only(found)
    write(found, Form.JSON if operator.as_json else Form.CSV if csv else Form.TABLE)
    return OK


@command
async def stock(
    operator: Operator,
    item: Item = None,
    location: Location = None,
    lot: Annotated[str | None, typer.Option("--lot", metavar="LOT", help="Only this lot, or a scan of it.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="OWNER", help="Only this programme's goods.")] = None,
    by: Annotated[By | None, typer.Option("--by", help="What a row is; by lot when an item or a lot is named.")] = None,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """What is on hand, and how much of it is reserved, held, past its date and available.

    Examples:

    commons show stock --location main

    commons show stock --item '(01)04006381333931(10)A7' --csv
    """

    async def ask(pool: asyncpg.Pool, meant: str | None, wanted: Position | None) -> QueryResult:
        which, of = await scans.lot_and_item(pool, lot) if lot else (None, None)
        return await queries.stock(
            pool, item=meant or of, location=location, lot=which, owner=owner, by=by, at_least=wanted
        )

    return await _show(operator, ask, csv=csv, at_least=at_least, item=item, location=location)


@command
async def expiring(
    operator: Operator,
    days: Annotated[int, typer.Option("--days", metavar="N", min=0, max=36_500, help="Within so many days.")] = 30,
    item: Item = None,
    location: Location = None,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """Lots on hand whose last day is past or near, the first to end on top.

    Example: commons show expiring --days 7
    """
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.expiring(pool, within=days, item=meant, location=location, at_least=wanted),
        csv=csv, at_least=at_least, item=item, location=location,
    )  # fmt: skip


@command
async def below_minimum(
    operator: Operator, item: Item = None, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Items of which less is usable than their minimum level.

    Example: commons show below-minimum
    """
    return await _show(
        operator, lambda pool, meant, wanted: queries.below_minimum(pool, item=meant, at_least=wanted),
        csv=csv, at_least=at_least, item=item,
    )  # fmt: skip


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

    return await _show(operator, ask, csv=csv, at_least=at_least, item=item)


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

    return await _show(operator, ask, csv=csv, at_least=at_least, item=item, location=location)


@command
async def in_transit(
    operator: Operator, item: Item = None, location: Location = None, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Goods that were dispatched and have not arrived, from or to a location.

    Example: commons show in-transit
    """
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.in_transit(pool, item=meant, location=location, at_least=wanted),
        csv=csv, at_least=at_least, item=item, location=location,
    )  # fmt: skip


@command
async def recalls(
    operator: Operator,
    recall: Annotated[str | None, typer.Argument(metavar="[RECALL]", help="Only this recall.")] = None,
    item: Item = None,
    reached: Annotated[
        bool, typer.Option("--reach", help="Whom the recall's goods reached, one row a delivery.")
    ] = False,
    location: Location = None,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """Recalls, with what of their lots is on hand, on the way, given out and removed; or whom one of them reached.

    Example: commons show recalls F-1234-2026 --reach
    """
    if reached and recall is None:
        raise Usage("--reach needs the recall: commons show recalls RECALL --reach.")

    async def ask(pool: asyncpg.Pool, meant: str | None, wanted: Position | None) -> QueryResult:
        if reached and recall is not None:
            return await queries.reach(pool, recall=recall, item=meant, location=location, at_least=wanted)
        return await queries.recalls(pool, item=meant, recall=recall, at_least=wanted)

    return await _show(operator, ask, csv=csv, at_least=at_least, item=item, location=location)


@command
async def holds(
    operator: Operator, item: Item = None, location: Location = None, all_: All = False, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Lots that may not be given out, and why.

    Example: commons show holds --all
    """
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.holds(pool, item=meant, location=location, ended=all_, at_least=wanted),
        csv=csv, at_least=at_least, item=item, location=location,
    )  # fmt: skip


@command
async def reservations(
    operator: Operator, item: Item = None, location: Location = None, all_: All = False, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What is set aside, for whom and until when.

    Example: commons show reservations --location main
    """
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.reservations(
            pool, item=meant, location=location, ended=all_, at_least=wanted
        ),
        csv=csv, at_least=at_least, item=item, location=location,
    )  # fmt: skip


@command
async def review(
    operator: Operator, item: Item = None, location: Location = None, all_: All = False, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What somebody has to look at: facts that broke a rule, temperatures, overdue transfers, refused steps.

    Example: commons show review
    """
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.review(pool, item=meant, location=location, closed=all_, at_least=wanted),
        csv=csv, at_least=at_least, item=item, location=location,
    )  # fmt: skip


@command
async def waste(
    operator: Operator, item: Item = None, location: Location = None, month: Month = None, days: Days = None,
    by_item: ByItem = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What was thrown away or lost, by month and reason.

    Example: commons show waste --month 2026-11 --by-item
    """
    within = period(month, days)
    return await _show(
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
    return await _show(
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
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.weight(
            pool, item=meant, location=location, since=within.wide_since, until=within.wide_until, at_least=wanted
        ),
        csv=csv, at_least=at_least, item=item, location=location, months=within,
    )  # fmt: skip


@command
async def items(
    operator: Operator, item: Item = None, all_: All = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """The catalogue.

    Example: commons show items --csv
    """
    return await _show(
        operator,
        lambda pool, meant, wanted: queries.items(pool, item=meant, retired=all_, at_least=wanted),
        csv=csv, at_least=at_least, item=item,
    )  # fmt: skip


@command
async def locations(
    operator: Operator, location: Location = None, all_: All = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """The locations.

    Example: commons show locations
    """
    return await _show(
        operator,
        lambda pool, _, wanted: queries.locations(pool, location=location, closed=all_, at_least=wanted),
        csv=csv, at_least=at_least, location=location,
    )  # fmt: skip


COMMANDS: dict[str, Any] = {
    "stock": stock, "expiring": expiring, "below-minimum": below_minimum, "trace": trace, "movements": movements,
    "in-transit": in_transit, "recalls": recalls, "holds": holds, "reservations": reservations, "review": review,
    "waste": waste, "receipts": receipts, "weight": weight, "items": items, "locations": locations,
}  # fmt: skip


def register(app: typer.Typer) -> None:
    group = new_group("Look at the read models: tables, or --json and --csv.")
    for name, function in COMMANDS.items():
        group.command(name)(function)
    app.add_typer(group, name="show")
