"""A lot's whole way: where it came from, where it is, whom it reached: `commons show trace LOT`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import asyncpg

from services.inventory.contract import lot_form
from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.names import checked
from shared.errors import Invalid

# `family` is the lot, what it was made from (up) and what was made from it (down). A lot that is not known is no
# relative: it would be everybody's. The steps of a movement are summed over all that mended it.
_QUESTION: Final = GoodsQuestion(
    "Trace", ("movements", "stock_on_hand", "transfers", "catalogue"),
    (
        Column("step", "Step", rank=1), Column("item", "Item", rank=3), Column("name", "Name"), Column("lot", "Lot"),
        Column("date", "Date", "date", rank=3), Column("location", "Location", rank=1),
        Column("quantity", "Quantity", "quantity", rank=1), Column("unit", "Unit"),
        Column("party", "From or to", rank=1), Column("reason", "What for", rank=3),
        Column("effective_at", "When", "moment", rank=1), Column("relation", "Relation"),
        Column("certainty", "Certainty", rank=1), Column("revision", "No.", "number", rank=4),
    ),
    """WITH RECURSIVE seed AS (
        SELECT DISTINCT item, lot_form FROM movement_lots WHERE lot_form = $3 AND ($1::text IS NULL OR item = $1)
    ),
    up AS (
        SELECT item, lot_form FROM seed
        UNION SELECT p.parent, p.parent_form FROM up JOIN lot_parents p USING (item, lot_form) WHERE p.parent_form <> ''
    ),
    down AS (
        SELECT item, lot_form FROM seed
        UNION SELECT p.item, p.lot_form FROM down d
        JOIN lot_parents p ON (p.parent, p.parent_form) = (d.item, d.lot_form) WHERE p.lot_form <> ''
    ),
    family AS (
        SELECT item, lot_form, 'this lot' AS relation, true AS certain FROM seed
        UNION ALL SELECT *, 'went into it', true FROM (SELECT * FROM up EXCEPT SELECT * FROM seed)
        UNION ALL SELECT *, 'made from it', true FROM (SELECT * FROM down EXCEPT SELECT * FROM seed)
        UNION ALL SELECT DISTINCT item, '', 'lot not known', false FROM down
    ),
    began AS (
        SELECT item, min(effective_at) AS first_at FROM down JOIN movement_lots USING (item, lot_form) GROUP BY item
    ),
    moved AS (
        SELECT f.relation, f.certain, x.item, x.location, x.root, x.lot_key, min(x.lot) AS lot, min(x.date) AS date,
               sum(x.change - x.unrecorded)::bigint AS quantity, sum(x.lost)::bigint AS lost
        FROM family f JOIN movement_lots x USING (item, lot_form)
        WHERE x.flow <> 'counted'
        GROUP BY f.relation, f.certain, x.item, x.location, x.root, x.lot_key
    ),
    steps AS (
        SELECT CASE WHEN w.lost > 0 AND part = 2 THEN 'lost on the way'
                    WHEN m.flow = 'opening' THEN 'opening'
                    WHEN m.flow = 'received' THEN 'received'
                    WHEN m.flow = 'issued' THEN 'given out'
                    WHEN m.flow = 'wasted' THEN 'disposed or lost'
                    WHEN m.flow = 'returned' THEN 'returned'
                    WHEN m.flow = 'adjusted' THEN 'adjusted'
                    WHEN m.flow = 'repacked' AND w.quantity < 0 THEN 'repacked'
                    WHEN m.flow = 'repacked' THEN 'made'
                    WHEN w.quantity < 0 THEN 'dispatched'
                    ELSE 'arrived' END AS step,
               w.item, w.lot, w.date, w.location, abs(CASE part WHEN 2 THEN w.lost ELSE w.quantity END) AS quantity,
               m.unit, coalesce(m.recipient, m.donor, m.supplier, m.counterpart) AS party,
               coalesce(m.reason, m.purpose, m.source) AS reason, m.effective_at, w.relation, w.certain,
               w.root AS revision, w.lot_key
        FROM moved w JOIN movements m ON (m.item, m.location, m.revision) = (w.item, w.location, w.root)
        CROSS JOIN generate_series(1, 2) AS part LEFT JOIN began b ON b.item = w.item
        WHERE CASE part WHEN 1 THEN w.quantity <> 0 ELSE w.lost > 0 END
          AND (w.relation <> 'went into it' OR m.flow IN ('received', 'opening', 'repacked'))
          AND (w.certain OR (m.flow = 'issued' AND m.effective_at >= b.first_at))
        UNION ALL
        SELECT 'on hand', s.item, s.lot, s.date, s.location, s.on_hand, i.unit, NULL, NULL, NULL, f.relation, f.certain,
               NULL, s.lot_key
        FROM family f JOIN stock_on_hand s USING (item, lot_form) LEFT JOIN items i USING (item)
        WHERE s.on_hand > 0 AND f.relation <> 'went into it'
        UNION ALL
        SELECT 'on the way', t.item, t.lot, t.date, t.origin, t.quantity, t.unit, t.destination, NULL, t.dispatched_at,
               f.relation, f.certain, NULL, t.lot_key
        FROM family f JOIN in_transit t USING (item, lot_form) WHERE f.relation <> 'went into it')
    SELECT steps.*, coalesce(i.name, steps.item) AS name,
           CASE WHEN certain THEN 'known' ELSE 'possibly' END AS certainty
    FROM steps LEFT JOIN items i USING (item) WHERE $2::text IS NULL OR location = $2
    ORDER BY NOT certain, array_position(ARRAY['on hand', 'on the way'], step) NULLS FIRST, effective_at NULLS LAST,
             item, location, revision, lot_key""",
    "No such lot was ever recorded.",
)  # fmt: skip


async def trace(
    pool: asyncpg.Pool, *, lot: str, item: str | None = None, at_least: Position | None = None
) -> QueryResult:
    """Every step of a lot, in order, then where it is now; with what it was made from, and what was made from it.

    Lots are compared without case, spaces and punctuation. The same lot number of two items is two lots: `item` (id,
    barcode or name) picks one. Stock of unknown lot that is on hand, or was given out since the lot came, is listed as
    possibly affected.
    """
    if not lot_form(checked(lot)):
        raise Invalid("A trace needs a lot number; stock of unknown lot is in `stock`, and counts in every recall.")
    found = await _QUESTION.ask(pool, item, None, lot_form(lot), lot=lot, at_least=at_least)
    items = sorted({row[1] for row in found.rows if row[11] == "this lot"})
    if len(items) > 1:
        return replace(found, message=f"{len(items)} items have a lot of this number ({', '.join(items)}).")
    return found
