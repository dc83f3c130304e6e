"""What somebody has to look at: `commons show review`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from shared.clock import utc_now

# Some of it needs no event of its own: it is seen by putting read models side by side.
_QUESTION: Final = GoodsQuestion(
    "To review", ("review", "stock_on_hand", "transfers", "holds", "catalogue"),
    (
        Column("kind", "What", "code", rank=1), Column("item", "Item", rank=1), Column("name", "Name", rank=3),
        Column("location", "Location", rank=1), Column("subject", "Where to look", rank=3),
        Column("revision", "No.", "number", rank=4), Column("quantity", "Figure", "quantity"),
        Column("occurred_at", "When", "moment"), Column("short_at", "Short since", "moment", rank=3),
        Column("recorded_at", "Recorded", "moment", rank=4), Column("detail", "Detail"), Column("actor", "By", rank=3),
        Column("todo", "To do", rank=1), Column("closed_at", "Closed", "moment", rank=3),
        Column("closed_by", "Closed by", rank=3),
    ),
    """WITH seen AS (
        SELECT kind, subject, item, location, revision, quantity, occurred_at, short_at, recorded_at, detail, actor,
               closed_at, closed_by
        FROM review_items r
        -- The two are told by different aggregates: if one was parked, the other may come first.
        WHERE r.kind <> 'transfer_overdue' OR NOT EXISTS (
            SELECT FROM transfers t
            WHERE r.closed_at IS NULL AND t.received_at IS NOT NULL AND r.subject = t.transfer || ':' || t.item)
        UNION ALL
        SELECT 'stock_at_closed_location', s.item || ':' || s.location, s.item, s.location, NULL,
               sum(s.on_hand)::bigint,
               l.closed_at, NULL, l.closed_at, NULL, NULL, NULL, NULL
        FROM stock_on_hand s JOIN locations l USING (location)
        WHERE l.closed_at IS NOT NULL AND s.on_hand > 0 GROUP BY s.item, s.location, l.closed_at
        UNION ALL
        SELECT 'transfer_overdue', t.transfer || ':' || t.item, t.item, t.origin, NULL, t.quantity, t.expected_by, NULL,
               t.dispatched_at, NULL, NULL, NULL, NULL
        FROM transfers t WHERE t.received_at IS NULL AND t.expected_by < $3
          AND NOT EXISTS (SELECT FROM review_items r
                          WHERE r.kind = 'transfer_overdue' AND r.subject = t.transfer || ':' || t.item)
        UNION ALL
        SELECT 'held_for_' || h.reason, h.hold, h.item, h.location, NULL, NULL, h.begun_at, NULL, h.begun_at, h.note,
               NULL, h.ended_at, CASE WHEN h.ended_at IS NOT NULL THEN 'released' END
        FROM holds h WHERE h.reason IN ('temperature', 'pharmacist_review'))
    SELECT seen.*, i.name, CASE seen.kind
               WHEN 'beyond_ledger' THEN 'Count this stock.'
               WHEN 'surplus' THEN 'Count this stock.'
               WHEN 'count_to_approve' THEN 'Approve the count, or count again.'
               WHEN 'temperature' THEN 'Look at the goods, and read the temperature again.'
               WHEN 'transfer_overdue' THEN 'Find the goods, and receive them or say what was lost.'
               WHEN 'stock_at_closed_location' THEN 'Move the goods, or open the location again.'
               WHEN 'held_for_temperature' THEN 'Dispose of the goods, or release the hold.'
               WHEN 'held_for_pharmacist_review' THEN 'A pharmacist releases the goods, or they are disposed of.'
               WHEN 'step_refused' THEN 'Do by hand what it was meant to do, then send ResolveStep.'
               ELSE 'Look into it; reverse or correct the movement if it is wrong.'
           END AS todo
    FROM seen LEFT JOIN items i USING (item)
    WHERE ($1::text IS NULL OR seen.item = $1) AND ($2::text IS NULL OR seen.location = $2)
      AND ($4 OR seen.closed_at IS NULL)
    ORDER BY seen.closed_at IS NOT NULL, seen.occurred_at DESC, seen.kind, seen.subject""",
    "Nothing waits for a review.",
)  # fmt: skip


async def review(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, closed: bool = False,
    now: datetime | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Open review items, the newest first, with what to do about each; with `closed`, those that are closed too.

    Beside what facts broke (services/projections/review.py): stock at a closed location, transfers that are late by
    the clock, and goods held for their temperature or for a pharmacist.
    """
    return await _QUESTION.ask(pool, item, location, now or utc_now(), closed, at_least=at_least)
