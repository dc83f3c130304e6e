"""What may not be given out: holds and quarantines, and recalls with what they found: `commons show recalls`."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.shelf import COVERED

_HOLDS: Final = GoodsQuestion(
    "Holds and quarantines", ("holds", "stock_on_hand", "catalogue"),
    (
        Column("hold", "Hold", rank=1), Column("reason", "Reason", rank=1), Column("item", "Item", rank=1),
        Column("name", "Name", rank=3), Column("location", "Location"), Column("lots", "Lots", rank=1),
        Column("on_hand", "On hand", "quantity", rank=1), Column("unit", "Unit", rank=3),
        Column("begun_at", "Since", "moment"), Column("ended_at", "Ended", "moment"), Column("note", "Note"),
    ),
    """WITH found AS (
        SELECT h.hold, h.reason, h.item, h.location, h.begun_at, h.ended_at, h.note,
               string_agg(coalesce(l.lot, '(unknown)'), ', ' ORDER BY l.lot) AS lots, sum(s.on_hand)::bigint AS on_hand
        FROM holds h LEFT JOIN hold_lots l USING (hold, item, location)
        LEFT JOIN stock_on_hand s ON (s.item, s.location, s.lot_key) = (l.item, l.location, l.lot_key)
        WHERE $2::text IS NULL OR h.location = $2
        GROUP BY h.hold, h.reason, h.item, h.location, h.begun_at, h.ended_at, h.note
        UNION ALL
        SELECT q.quarantine, 'quarantine everywhere: ' || q.reason, q.item, NULL, q.begun_at, q.ended_at, q.end_reason,
               q.lot,
               (SELECT sum(s.on_hand)::bigint FROM stock_on_hand s WHERE s.item = q.item AND s.lot_form = q.lot_form)
        FROM quarantines q WHERE $2::text IS NULL)
    SELECT f.*, coalesce(i.name, f.item) AS name, i.unit FROM found f LEFT JOIN items i USING (item)
    WHERE ($1::text IS NULL OR f.item = $1) AND ($3 OR f.ended_at IS NULL)
    ORDER BY f.ended_at IS NOT NULL, f.begun_at DESC, f.hold, f.item, f.location""",
    "Nothing is on hold.",
)  # fmt: skip

_RECALLS: Final = GoodsQuestion(
    "Recalls", ("holds", "stock_on_hand", "movements", "transfers", "catalogue"),
    (
        Column("recall", "Recall", rank=1), Column("item", "Item", rank=1), Column("name", "Name", rank=3),
        Column("classification", "Class"), Column("scope", "Covers"), Column("reason", "Reason"),
        Column("issued_by", "Issued by", rank=4), Column("notice", "Notice", rank=4),
        Column("begun_at", "Since", "moment", rank=3), Column("ended_at", "Lifted", "moment"),
        Column("on_hand", "On hand", "quantity", rank=1), Column("not_held", "Not held", "quantity", rank=1),
        Column("in_transit", "In transit", "quantity"), Column("given_out", "Given out", "quantity", rank=1),
        Column("recipients", "Recipients", "number"), Column("removed", "Disposed or returned", "quantity"),
        Column("unit", "Unit", rank=3),
    ),
    f"""SELECT r.*, coalesce(i.name, r.item) AS name, i.unit,
           coalesce(nullif(concat_ws(', ',
               (SELECT 'lots ' || string_agg(lot, ', ') FROM jsonb_array_elements_text(r.scope_lots) AS lot),
               CASE WHEN coalesce(r.first_date, r.last_date) IS NOT NULL THEN concat_ws(' ', 'dates',
                   'from ' || r.first_date, 'to ' || r.last_date) END), ''), 'all') AS scope,
           shelf.on_hand, shelf.not_held, road.quantity AS in_transit, gone.given_out, gone.recipients, gone.removed
    FROM recalls r LEFT JOIN items i USING (item)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(x.on_hand), 0)::bigint AS on_hand,
               coalesce(sum(x.on_hand) FILTER (WHERE jsonb_array_length(x.holds) = 0), 0)::bigint AS not_held
        FROM stock_on_hand x WHERE x.item = r.item AND {COVERED}) shelf
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(x.quantity), 0)::bigint AS quantity
        FROM in_transit x WHERE x.item = r.item AND {COVERED}) road
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(net.quantity) FILTER (WHERE net.flow = 'issued'), 0)::bigint AS given_out,
               count(DISTINCT m.recipient) FILTER (WHERE net.flow = 'issued') AS recipients,
               coalesce(sum(net.quantity) FILTER (WHERE net.flow <> 'issued'), 0)::bigint AS removed
        FROM (SELECT x.flow, x.location, x.root, sum(x.unrecorded - x.change) AS quantity
              FROM movement_lots x
              WHERE x.item = r.item AND x.flow IN ('issued', 'wasted', 'returned') AND {COVERED}
              GROUP BY x.flow, x.location, x.root
              HAVING sum(x.unrecorded - x.change) > 0) net
        LEFT JOIN movements m ON (m.item, m.location, m.revision) = (r.item, net.location, net.root)) gone
    WHERE ($1::text IS NULL OR r.item = $1) AND ($2::text IS NULL OR true) AND ($3 OR r.ended_at IS NULL)
      AND ($4::text IS NULL OR r.recall = $4)
    ORDER BY r.ended_at IS NOT NULL, r.begun_at DESC, r.recall, r.item""",  # noqa: S608  # made of constants
    "There is no recall.",
)  # fmt: skip


async def holds(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, ended: bool = False,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Open holds and quarantines, the newest first; with `ended`, those that are over too."""
    return await _HOLDS.ask(pool, item, location, ended, at_least=at_least)


async def recalls(
    pool: asyncpg.Pool, *, item: str | None = None, recall: str | None = None, ended: bool = True,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Recalls, open ones first, with what of their lots is on hand, on the way, given out and removed.

    Stock of unknown lot counts as covered. `reach` lists whom a recall's lots reached.
    """
    return await _RECALLS.ask(pool, item, None, ended, recall, at_least=at_least)
