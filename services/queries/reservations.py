"""What is set aside: `commons show reservations`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from shared.clock import utc_now

_QUESTION: Final = GoodsQuestion(
    "Reservations", ("reservations", "catalogue"),
    (
        Column("reservation", "Reservation", rank=1), Column("item", "Item", rank=1), Column("name", "Name", rank=3),
        Column("location", "Location"), Column("remaining", "Reserved", "quantity", rank=1),
        Column("quantity", "Asked for", "quantity", rank=3), Column("short", "Short", "quantity"),
        Column("unit", "Unit"), Column("lots", "Lots", rank=3), Column("purpose", "Purpose", rank=3),
        Column("recipient", "For", rank=1), Column("reserved_at", "Since", "moment", rank=3),
        Column("due_at", "Until", "moment"), Column("overdue", "Overdue", "flag", rank=1), Column("ended", "Ended"),
        Column("ended_at", "Ended at", "moment", rank=3),
    ),
    """SELECT r.*, coalesce(i.name, r.item) AS name, i.unit,
           r.ended IS NULL AND coalesce(r.due_at < $3, false) AS overdue,
           (SELECT string_agg(coalesce(l.lot, '(unknown)') || ' ' || l.remaining, ', ' ORDER BY l.date, l.lot)
            FROM reservation_lots l
            WHERE (l.item, l.location, l.reservation) = (r.item, r.location, r.reservation)) AS lots
    FROM reservations r LEFT JOIN items i USING (item)
    WHERE ($1::text IS NULL OR r.item = $1) AND ($2::text IS NULL OR r.location = $2) AND ($4 OR r.ended IS NULL)
    ORDER BY r.ended_at DESC NULLS FIRST, r.due_at NULLS LAST, r.reservation, r.item, r.location""",
    "Nothing is reserved.",
)  # fmt: skip


async def reservations(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, ended: bool = False,
    now: datetime | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Open reservations, the one that is due first on top; with `ended`, those that are over too."""
    return await _QUESTION.ask(pool, item, location, now or utc_now(), ended, at_least=at_least)
