"""`commons show` of who is fed and what became of it: households, orders, reports, recalls, what is stuck."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import nats.errors
import typer

from services.commands.book_questions import First, Last
from services.commands.common import Operator, command
from services.commands.distribution_questions import AtLeast, show_distribution
from services.commands.door import Unreachable
from services.commands.naming import households_named
from services.commands.period import day, span
from services.commands.questions import All, Csv
from services.commands.status import ManagerStatus, managers_now
from services.queries import QueryResult, clinic, distribution
from services.queries.answer import Position

Programme = Annotated[str | None, typer.Option("--programme", metavar="PROGRAMME", help="Only this programme.")]
Site = Annotated[str | None, typer.Option("--site", metavar="SITE", help="Only this site.")]

_SLOW_SECONDS = 2.0
"""A step of a process manager is answered in a fraction of that."""


@command
async def households(
    operator: Operator,
    who: Annotated[
        str | None, typer.Argument(metavar="[HOUSEHOLD|CARD|NAME]", help="Only these: id, card, or names.")
    ] = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Who is registered; names and addresses are shown to who has the master key.

    Example: commons show households yilmaz
    """

    async def ask(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        if who is None:
            return await distribution.households(pool, at_least=wanted)
        named = await households_named(operator, pool, who)
        return named.told(await distribution.households(pool, who=who, named=named.households, at_least=wanted))

    return await show_distribution(operator, ask, csv=csv, at_least=at_least)


@command
async def programmes(operator: Operator, all_: All = False, csv: Csv = False, at_least: AtLeast = None) -> int | None:
    """What is offered, how often a household is served, and the standard boxes.

    Example: commons show programmes
    """
    return await show_distribution(
        operator, lambda pool, wanted: distribution.programmes(pool, closed=all_, at_least=wanted), csv=csv,
        at_least=at_least,
    )  # fmt: skip


@command
async def orders(
    operator: Operator,
    order: Annotated[str | None, typer.Argument(metavar="[ORDER]", help="Only this order.")] = None,
    session: Annotated[str | None, typer.Option("--session", metavar="SESSION", help="Only of this session.")] = None,
    household: Annotated[
        str | None, typer.Option("--household", metavar="HOUSEHOLD", help="Only of this household.")
    ] = None,
    all_: All = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Orders that wait for something, and for what; with --all, those that are done with too.

    Example: commons show orders --session monday --all
    """
    return await show_distribution(
        operator,
        lambda pool, wanted: distribution.orders(
            pool, session=session, household=household, order=order, ended=all_, at_least=wanted
        ),
        csv=csv, at_least=at_least, of={"session": session, "household": household},
    )  # fmt: skip


@command
async def served(
    operator: Operator, first: First = None, last: Last = None, programme: Programme = None, csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Who was served: households, new and returning, individuals by age, weight; and meals by site.

    Example: commons show served --from 2026-11-01 --to 2026-11-30 --csv
    """
    start, end = span(first, last)
    return await show_distribution(
        operator,
        lambda pool, wanted: distribution.served(pool, first=start, last=end, programme=programme, at_least=wanted),
        csv=csv, at_least=at_least, of={"programme": programme},
    )  # fmt: skip


@command
async def meals(
    operator: Operator, site: Site = None,
    date: Annotated[str | None, typer.Option("--date", metavar="DATE", help="Only this day.")] = None,
    first: First = None, last: Last = None, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The meal counts of each site and day: delivered, served, left over, certified.

    Example: commons show meals --site school --date 2026-11-20
    """
    only = day("--date", date)
    start, end = (only, only) if only is not None else span(first, last)
    return await show_distribution(
        operator, lambda pool, wanted: distribution.meals(pool, site=site, first=start, last=end, at_least=wanted),
        csv=csv, at_least=at_least, of={"site": site},
    )  # fmt: skip


@command
async def reach(
    operator: Operator,
    what: Annotated[str, typer.Argument(metavar="LOT|RECALL|BOX", help="A lot's number, a recall, or a box.")],
    item: Annotated[str | None, typer.Option("--item", metavar="ITEM", help="Only this item, by its id.")] = None,
    csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """The boxes and households that a recall, or a lot, reached; boxes that can still be kept back are on top.

    Of a box, or a visit: the recalls that reached it.

    Examples:

    commons show reach F-1234-2026

    commons show reach B-1001
    """
    return await show_distribution(
        operator, lambda pool, wanted: distribution.reach(pool, what=what, item=item, at_least=wanted), csv=csv,
        at_least=at_least,
    )  # fmt: skip


@command
async def stuck(operator: Operator, csv: Csv = False, at_least: AtLeast = None) -> int | None:
    """What waits longer than it should, for what, and why: orders, visits, reservations, dispensings, steps, managers.

    Example: commons show stuck
    """

    async def ask(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        found = await _with_the_clinic(pool, await distribution.stuck(pool, at_least=wanted))
        try:
            managers = await managers_now(operator)
        except (Unreachable, nats.errors.Error) as error:
            said = f"The process managers could not be asked: {getattr(error, 'detail', None) or type(error).__name__}"
            return replace(found, message=" ".join([found.message or "", said]).strip())
        rows = [*(_waiting(manager) for manager in managers if _is_stuck(manager)), *found.rows]
        return replace(found, rows=rows, message=None if rows else found.message)

    return await show_distribution(operator, ask, csv=csv, at_least=at_least)


async def _with_the_clinic(pool: asyncpg.Pool, found: QueryResult) -> QueryResult:
    """The answer with what is stuck at the clinic, for who may read that."""
    try:
        other = await clinic.stuck(pool)
    except asyncpg.InsufficientPrivilegeError:
        return replace(found, message=" ".join(filter(None, [found.message, "The clinic's is not for this login."])))
    return replace(found, rows=sorted([*found.rows, *other.rows], key=_since),
                   incomplete=found.incomplete or other.incomplete, reason=found.reason or other.reason,
                   message=None if other.rows else found.message)  # fmt: skip


def _since(row: tuple[Any, ...]) -> datetime:
    since: datetime = row[3]
    return since


def _is_stuck(manager: ManagerStatus) -> bool:
    return manager.failure is not None or manager.oldest_seconds > _SLOW_SECONDS


def _waiting(manager: ManagerStatus) -> tuple[Any, ...]:
    """A row of the answer for a process manager."""
    since = datetime.now(UTC) - timedelta(seconds=manager.oldest_seconds)
    why = manager.failure or f"{manager.waiting} step(s) under way, {manager.lag} event(s) not looked at"
    todo = "See `commons status`."
    return "process manager", f"{manager.name} of {manager.service}", "answers to its steps", since, why, todo


COMMANDS: dict[str, Any] = {
    "households": households, "programmes": programmes, "orders": orders, "served": served, "meals": meals,
    "reach": reach, "stuck": stuck,
}  # fmt: skip
