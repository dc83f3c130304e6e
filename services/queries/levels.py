"""What has to be bought or asked for: `commons show below-minimum`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.shelf import MODELS, SHELF
from shared.clock import utc_now

_QUESTION: Final = GoodsQuestion(
    "Below the minimum level", (*MODELS, "transfers"),
    (
        Column("item", "Item"), Column("name", "Name", rank=1), Column("minimum", "Minimum", "quantity"),
        Column("usable", "Usable", "quantity", rank=1), Column("short", "Short", "quantity", rank=1),
        Column("on_hand", "On hand", "quantity", rank=3), Column("held", "Held", "quantity", rank=3),
        Column("past_date", "Past date", "quantity", rank=3), Column("in_transit", "In transit", "quantity"),
        Column("unit", "Unit"),
    ),
    f"""WITH {SHELF},
    figures AS (SELECT item, sum(on_hand)::bigint AS on_hand, sum(stopped)::bigint AS held, sum(past)::bigint AS past
                FROM judged GROUP BY item),
    travelling AS (SELECT item, sum(quantity)::bigint AS quantity FROM in_transit GROUP BY item),
    levels AS (
        SELECT i.item, i.name, i.minimum_level AS minimum, i.unit, coalesce(f.on_hand, 0) AS on_hand,
               coalesce(f.held, 0) AS held, coalesce(f.past, 0) AS past_date, coalesce(t.quantity, 0) AS in_transit
        FROM items i LEFT JOIN figures f USING (item) LEFT JOIN travelling t USING (item)
        WHERE i.minimum_level > 0 AND i.retired_at IS NULL AND ($1::text IS NULL OR i.item = $1))
    SELECT *, on_hand - held - past_date AS usable, minimum - (on_hand - held - past_date) AS short
    FROM levels WHERE on_hand - held - past_date < minimum
    ORDER BY (on_hand - held - past_date) * 100 / minimum, lower(name), item""",  # noqa: S608  # made of constants
    "Every item with a minimum level is at it or above.",
)  # fmt: skip


async def below_minimum(
    pool: asyncpg.Pool, *, item: str | None = None, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:
    """Items of which less is usable than their minimum level, over all locations; the emptiest first.

    Usable is what is on hand (reserved or not), less what is held or past its date.
    """
    return await _QUESTION.ask(pool, item, None, now or utc_now(), at_least=at_least)
