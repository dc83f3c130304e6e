"""What must be given out soon, and what may not be given out any more: `commons show expiring`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.shelf import MODELS, SHELF
from shared.clock import utc_now
from shared.errors import Invalid

MAX_DAYS: Final = 36_500

_QUESTION: Final = GoodsQuestion(
    "Expiring stock", MODELS,
    (
        Column("due", "When", rank=1), Column("days_left", "Days left", "number", rank=1),
        Column("last_day", "Last day", "date"), Column("item", "Item", rank=3), Column("name", "Name", rank=1),
        Column("location", "Location", rank=1), Column("lot", "Lot", rank=1), Column("date", "Date", "date", rank=4),
        Column("date_kind", "Kind of date", rank=4), Column("owner", "Owner", rank=3),
        Column("on_hand", "On hand", "quantity", rank=1), Column("reserved", "Reserved", "quantity"),
        Column("unit", "Unit"), Column("why", "Not given out"),
    ),
    f"""WITH {SHELF}
    SELECT CASE WHEN last_day < today THEN 'past' WHEN last_day <= today + 7 THEN 'within 7 days'
                WHEN last_day <= today + 30 THEN 'within 30 days' ELSE 'later' END AS due,
           last_day - today AS days_left, last_day, item, name, location, lot, date, date_kind, owner,
           on_hand, reserved, unit, why
    FROM judged WHERE last_day <= today + $4::integer
    ORDER BY last_day, lower(name), item, location, lot""",  # noqa: S608  # made of constants
    "Nothing on hand ends within that time.",
)  # fmt: skip


async def expiring(
    pool: asyncpg.Pool, *, within: int = 30, item: str | None = None, location: str | None = None,
    now: datetime | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Lots on hand whose last day is past or comes `within` so many days, the first to end first.

    The last day is the date on the package, or for a best-before date so many days later as the item allows. Days are
    those of the location's own clock.
    """
    if not 0 <= within <= MAX_DAYS:
        raise Invalid(f"`within` is a number of days from 0 to {MAX_DAYS:,}; {within:,} is not.")
    return await _QUESTION.ask(pool, item, location, now or utc_now(), within, at_least=at_least)
