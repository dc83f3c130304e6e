"""Whom a recall reached: every recipient that got its lots, or goods repacked from them, in one query."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.names import checked
from services.queries.shelf import CERTAIN, COVERED

_QUESTION: Final = GoodsQuestion(
    "Reached by the recall", ("holds", "movements", "catalogue"),
    (
        Column("recall", "Recall"), Column("recipient", "Recipient", rank=1), Column("purpose", "Purpose", rank=3),
        Column("item", "Item", rank=3), Column("name", "Name", rank=1), Column("lot", "Lot", rank=1),
        Column("date", "Date", "date", rank=3), Column("quantity", "Quantity", "quantity", rank=1),
        Column("unit", "Unit"), Column("location", "From"), Column("effective_at", "When", "moment"),
        Column("certainty", "Certainty", rank=1), Column("revision", "No.", "number", rank=4),
    ),
    f"""WITH RECURSIVE affected AS (
        SELECT r.recall, x.item, x.lot_key, x.lot_form, {CERTAIN} AS certain
        FROM recalls r JOIN movement_lots x ON x.item = r.item AND {COVERED}
        WHERE r.recall = $3 AND ($1::text IS NULL OR r.item = $1)
        UNION
        SELECT a.recall, p.item, p.lot_key, p.lot_form, a.certain
        FROM affected a JOIN lot_parents p ON p.parent = a.item AND p.parent_form = a.lot_form
        WHERE a.lot_form <> ''),
    lots AS (SELECT recall, item, lot_key, bool_or(certain) AS certain FROM affected GROUP BY recall, item, lot_key),
    net AS (
        SELECT lots.recall, lots.certain, x.item, x.location, x.root, x.lot_key, min(x.lot) AS lot, min(x.date) AS date,
               sum(x.unrecorded - x.change)::bigint AS quantity
        FROM lots JOIN movement_lots x ON x.item = lots.item AND x.lot_key = lots.lot_key
        WHERE x.flow = 'issued' AND ($2::text IS NULL OR x.location = $2)
        GROUP BY lots.recall, lots.certain, x.item, x.location, x.root, x.lot_key
        HAVING sum(x.unrecorded - x.change) > 0)
    SELECT net.recall, m.recipient, m.purpose, net.item, coalesce(i.name, net.item) AS name, net.lot, net.date,
           net.quantity, m.unit, net.location, m.effective_at, net.root AS revision,
           CASE WHEN net.certain THEN 'known' ELSE 'possibly' END AS certainty
    FROM net JOIN movements m ON (m.item, m.location, m.revision) = (net.item, net.location, net.root)
    LEFT JOIN items i ON i.item = net.item
    ORDER BY NOT net.certain, m.effective_at, net.item, net.location, net.root, net.lot_key""",  # noqa: S608  # made of constants
    "Nobody got goods of this recall, or there is no such recall.",
)  # fmt: skip


async def reach(
    pool: asyncpg.Pool, *, recall: str, item: str | None = None, location: str | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Who got how much of a recall's lots, when and from where; goods of unknown lot are listed as possible.

    Reversed issues are left out, corrected ones stand with what really left.
    """
    checked(recall)
    return await _QUESTION.ask(pool, item, location, recall, at_least=at_least)
