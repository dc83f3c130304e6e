"""`commons show`: the read models, as tables, CSV or JSON."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
import typer

from services import queries
from services.commands import scans, show_books, show_both, show_clinic, show_giving, show_served, show_table
from services.commands.common import Operator, command
from services.commands.door import Usage, new_group
from services.commands.questions import All, AtLeast, Csv, Item, Location, show
from services.commands.show_history import movements, receipts, trace, waste, weight
from services.queries import QueryResult
from services.queries.answer import Position
from services.queries.stock import By


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

    return await show(operator, ask, csv=csv, at_least=at_least, item=item, location=location)


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
    return await show(
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
    return await show(
        operator, lambda pool, meant, wanted: queries.below_minimum(pool, item=meant, at_least=wanted),
        csv=csv, at_least=at_least, item=item,
    )  # fmt: skip


@command
async def in_transit(
    operator: Operator, item: Item = None, location: Location = None, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """Goods that were dispatched and have not arrived, from or to a location.

    Example: commons show in-transit
    """
    return await show(
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

    return await show(operator, ask, csv=csv, at_least=at_least, item=item, location=location)


@command
async def reservations(
    operator: Operator, item: Item = None, location: Location = None, all_: All = False, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What is set aside, for whom and until when.

    Example: commons show reservations --location main
    """
    return await show(
        operator,
        lambda pool, meant, wanted: queries.reservations(
            pool, item=meant, location=location, ended=all_, at_least=wanted
        ),
        csv=csv, at_least=at_least, item=item, location=location,
    )  # fmt: skip


@command
async def items(
    operator: Operator, item: Item = None, all_: All = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """The catalogue.

    Example: commons show items --csv
    """
    return await show(
        operator,
        lambda pool, meant, wanted: queries.items(pool, item=meant, retired=all_, at_least=wanted),
        csv=csv, at_least=at_least, item=item,
    )  # fmt: skip


@command
async def donors(
    operator: Operator,
    donor: Annotated[str | None, typer.Argument(metavar="[DONOR]", help="Only this donor, by its id.")] = None,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """Who gives: names and contacts, opened with the master key.

    Example: commons show donors
    """
    return await show(
        operator, lambda pool, _, wanted: queries.donors(pool, donor=donor, at_least=wanted), csv=csv, at_least=at_least
    )


@command
async def locations(
    operator: Operator, location: Location = None, all_: All = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """The locations.

    Example: commons show locations
    """
    return await show(
        operator,
        lambda pool, _, wanted: queries.locations(pool, location=location, closed=all_, at_least=wanted),
        csv=csv, at_least=at_least, location=location,
    )  # fmt: skip


GOODS: dict[str, Any] = {
    "stock": stock, "expiring": expiring, "below-minimum": below_minimum, "trace": trace, "movements": movements,
    "in-transit": in_transit, "recalls": recalls, "reservations": reservations,
    "waste": waste, "receipts": receipts, "weight": weight, "items": items, "locations": locations,
    "donors": donors,
}  # fmt: skip
COMMANDS: dict[str, Any] = {
    **GOODS, **show_both.COMMANDS, **show_table.COMMANDS, **show_served.COMMANDS, **show_books.COMMANDS,
    **show_giving.COMMANDS, **show_clinic.COMMANDS,
}  # fmt: skip


def register(app: typer.Typer) -> None:
    group = new_group("Look at the read models: tables, or --json and --csv.")
    for name, function in COMMANDS.items():
        group.command(name)(function)
    app.add_typer(group, name="show")
