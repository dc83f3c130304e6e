"""`commons show` of what several services have: what is on hold, and what somebody has to look at."""

from __future__ import annotations

from typing import Any

import asyncpg

from services import queries
from services.commands.book_questions import AtLeast, Book, Of, OfWhat, show_each
from services.commands.clinic_questions import noted_review
from services.commands.common import Operator, command
from services.commands.questions import All, Csv, Item, Location, item_meant
from services.queries import QueryResult, clinic, distribution, treasury
from services.queries.answer import Position


@command
async def holds(
    operator: Operator, of: OfWhat = None, item: Item = None, location: Location = None, book: Book = None,
    all_: All = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """Lots that may not be given out, and money that is set aside; --item or --location asks of stock, --book of money.

    Examples:

    commons show holds --all

    commons show holds --of money --csv
    """

    async def goods(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        meant = await item_meant(pool, item, location, wanted)
        return await queries.holds(pool, item=meant, location=location, ended=all_, at_least=wanted)

    async def money(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        return await treasury.money_held(pool, book=book, ended=all_, at_least=wanted)

    return await show_each(
        operator, {"stock": goods, "money": money}, of=of or _asked(item or location, book), csv=csv, at_least=at_least
    )


@command
async def review(
    operator: Operator, of: OfWhat = None, item: Item = None, location: Location = None, book: Book = None,
    all_: All = False, csv: Csv = False, at_least: AtLeast = None,
) -> int | None:  # fmt: skip
    """What somebody has to look at: facts that broke a rule or a limit, overdue transfers, households served
    twice, counts that are off, payments that failed, medicines given against a rule, broken glass, refused steps.

    What waits at the clinic is for its clinicians, pharmacists and auditors (--as), and that they looked is recorded.

    Examples:

    commons show review

    commons show review --of money --all
    """

    async def goods(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        meant = await item_meant(pool, item, location, wanted)
        return await queries.review(pool, item=meant, location=location, closed=all_, at_least=wanted)

    async def money(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        return await treasury.review(pool, book=book, closed=all_, at_least=wanted)

    async def served(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        return await distribution.review(pool, closed=all_, at_least=wanted)

    async def of_the_clinic(pool: asyncpg.Pool, wanted: Position | None) -> QueryResult:
        found = await clinic.review(pool, closed=all_, at_least=wanted)
        if not found.rows and of is None:  # where nothing waits nobody need say who they are
            return found
        return await noted_review(operator, pool, found)

    return await show_each(
        operator, {"stock": goods, "distribution": served, "money": money, "clinic": of_the_clinic},
        of=of or _asked(item or location, book), csv=csv, at_least=at_least,
        told={"distribution": distribution.review_told},
    )  # fmt: skip


def _asked(of_stock: str | None, of_money: str | None) -> Of | None:
    """Which of the two is meant by what narrows the question."""
    return "stock" if of_stock else "money" if of_money else None


COMMANDS: dict[str, Any] = {"holds": holds, "review": review}
