"""`commons show` for a day of distribution: check-in, queue, packing sheet, route, sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import asyncpg
import typer

from services.commands.common import Operator, command
from services.commands.distribution_questions import AtLeast, show_distribution
from services.commands.naming import households_named
from services.commands.period import period
from services.commands.questions import All, Csv, Days, Month, Since, Until
from services.queries import QueryResult, distribution
from services.queries.answer import Position

Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session.")]


@command
async def check_in(
    operator: Operator,
    who: Annotated[str, typer.Argument(metavar="CARD|NAME", help="A card's code, a household's id, or names.")],
    session: Annotated[
        str | None, typer.Option("--session", metavar="SESSION", help="This session; else those that are open.")
    ] = None,
    csv: Csv = False,
    at_least: AtLeast = None,
) -> int | None:
    """Who somebody is and whether they are due: eligibility, how often they were served, their order, what to look at.

    Names are found by the words they begin with, in upper or lower case, with or without accents.

    Examples:

    commons show check-in 1001

    commons show check-in "yilmaz ay" --session monday
    """

    async def ask(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        named = await households_named(operator, pool, who)
        found = await distribution.check_in(pool, who=who, named=named.households, session=session, at_least=wanted)
        return named.told(found)

    return await show_distribution(
        operator, ask, csv=csv, at_least=at_least, of={"session": session}, told=check_in_told
    )


def check_in_told(opened: QueryResult) -> QueryResult:
    """A check-in with its warnings in words, and with what is avoided as a list of allergens, each once, where it was a
    text for each member."""
    found = distribution.check_in_told(opened)
    place = next(n for n, column in enumerate(found.columns) if column.name == "avoids")

    def apart(texts: Sequence[str] | None) -> list[str] | None:
        words = [word.strip() for text in texts or () for word in text.split(",")]
        return list(dict.fromkeys(word for word in words if word)) or None

    rows = [(*row[:place], apart(row[place]), *row[place + 1 :]) for row in found.rows]
    return replace(found, rows=rows)


@command
async def queue(
    operator: Operator, session: Session, all_: All = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """The orders of a session that are still to be handed out, those that are packed on top.

    Example: commons show queue monday
    """
    return await show_distribution(
        operator,
        lambda pool, wanted: distribution.queue(pool, session=session, ended=all_, at_least=wanted),
        csv=csv, at_least=at_least, of={"session": session},
    )  # fmt: skip


@command
async def packing(
    operator: Operator, session: Session, all_: All = False, csv: Csv = False, at_least: AtLeast = None
) -> int | None:
    """The packing sheet of a session: the lots to pick for each order; with --all what is packed already, too.

    Example: commons show packing monday --csv
    """
    return await show_distribution(
        operator,
        lambda pool, wanted: distribution.packing(pool, session=session, packed=all_, at_least=wanted),
        csv=csv, at_least=at_least, of={"session": session}, told=distribution.packing_told,
    )  # fmt: skip


@command
async def route(operator: Operator, session: Session, csv: Csv = False, at_least: AtLeast = None) -> int | None:
    """Where the boxes of a session go, with addresses, opened with the master key.

    Example: commons show route monday-deliveries
    """
    return await show_distribution(
        operator, lambda pool, wanted: distribution.route(pool, session=session, at_least=wanted), csv=csv,
        at_least=at_least, of={"session": session},
    )  # fmt: skip


@command
async def session(operator: Operator, session: Session, csv: Csv = False, at_least: AtLeast = None) -> int | None:
    """One session: how many were expected, were served, and did not come.

    Example: commons show session monday
    """
    return await show_distribution(
        operator, lambda pool, wanted: distribution.session(pool, session=session, at_least=wanted), csv=csv,
        at_least=at_least, of={"session": session},
    )  # fmt: skip


@command
async def sessions(
    operator: Operator, month: Month = None, days: Days = None, since: Since = None, until: Until = None,
    all_: All = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Sessions that are planned or open; with --all, those that are over too.

    Example: commons show sessions --all --month 2026-11
    """
    within = period(month, days, since, until)
    return await show_distribution(
        operator,
        lambda pool, wanted: distribution.sessions(
            pool, closed=all_, since=within.since, until=within.until, at_least=wanted
        ),
        csv=csv, at_least=at_least,
    )  # fmt: skip


COMMANDS: dict[str, Any] = {
    "check-in": check_in, "queue": queue, "packing": packing, "route": route, "session": session, "sessions": sessions,
}  # fmt: skip
