"""What is on the way: `commons show in-transit`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from shared.clock import utc_now

_QUESTION: Final = GoodsQuestion(
    "In transit", ("transfers", "catalogue"),
    (
        Column("transfer", "Transfer", rank=1), Column("item", "Item", rank=1), Column("name", "Name", rank=3),
        Column("origin", "From"), Column("destination", "To", rank=1), Column("lot", "Lot", rank=3),
        Column("date", "Date", "date", rank=4), Column("owner", "Owner", rank=4),
        Column("quantity", "Quantity", "quantity", rank=1), Column("unit", "Unit"),
        Column("dispatched_at", "Dispatched", "moment", rank=3), Column("expected_by", "Expected by", "moment", rank=1),
        Column("overdue", "Overdue", "flag", rank=1),
    ),
    """SELECT t.*, coalesce(i.name, t.item) AS name, coalesce(t.expected_by < $3, false) AS overdue
    FROM in_transit t LEFT JOIN items i USING (item)
    WHERE ($1::text IS NULL OR t.item = $1) AND ($2::text IS NULL OR $2 IN (t.origin, t.destination))
    ORDER BY t.expected_by NULLS LAST, t.dispatched_at, t.transfer, t.item, t.lot_key""",
    "Nothing is on the way.",
)  # fmt: skip


async def in_transit(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, now: datetime | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Goods that were dispatched and not yet received, from or to a location; what was expected first comes first."""
    return await _QUESTION.ask(pool, item, location, now or utc_now(), at_least=at_least)
