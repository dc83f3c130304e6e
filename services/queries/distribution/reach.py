"""Whom a recall, or a lot, reached through distribution, in one query: `commons show reach`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import asyncpg

from services.inventory.contract import lot_form
from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.distribution.parts import STREAM
from services.queries.names import checked
from services.queries.shelf import CERTAIN
from shared.readmodel import read

# The seed is a recall's scope, or one lot wherever it is; what was made from it follows. Each way in which a scope may
# cover a lot has an index of its own, so that a recall looks at its own goods and no others: 1,000,000 lines or ten.
_SEED: Final = """scopes AS (
        SELECT item, scope_forms, first_date, last_date, true AS sure FROM reach_recalls WHERE recall = $1
        UNION ALL
        SELECT item, jsonb_build_array($2::text), NULL, NULL, true
        FROM (SELECT item FROM reach_box_lots WHERE lot_form = $2
              UNION SELECT item FROM reach_visit_lots WHERE lot_form = $2
              UNION SELECT parent FROM reach_made_from WHERE parent_form = $2) AS known
        WHERE $2 <> '' AND NOT EXISTS (SELECT FROM reach_recalls WHERE recall = $1))"""


def _covered(kind: str, holder: str, table: str, key: str) -> str:
    """The lots of a table that scope `r` covers: by number, or not known; by date, or not known; or all of the item."""
    columns = f"'{kind}' AS kind, x.{holder} AS holder, x.{key} AS part, x.item, x.lot, x.lot_form, x.date, x.quantity"
    return f"""
        SELECT {columns} FROM jsonb_array_elements_text(r.scope_forms || '[""]'::jsonb) AS form
        JOIN {table} x ON x.item = r.item AND x.lot_form = form WHERE jsonb_array_length(r.scope_forms) > 0
        UNION SELECT {columns} FROM {table} x
        WHERE x.item = r.item AND coalesce(r.first_date, r.last_date) IS NOT NULL AND (x.date IS NULL
              OR x.date BETWEEN coalesce(r.first_date, '-infinity') AND coalesce(r.last_date, 'infinity'))
        UNION SELECT {columns} FROM {table} x
        WHERE x.item = r.item AND jsonb_array_length(r.scope_forms) = 0 AND coalesce(r.first_date, r.last_date) IS NULL
        """  # noqa: S608  # made of constants


_LOTS: Final = f"""({_covered("box", "box", "reach_box_lots", "lot_key")}
        UNION ALL
        SELECT * FROM ({_covered("visit", "visit", "reach_visit_lots", "issue || ' ' || x.lot_key")}) AS visits
        WHERE quantity > 0)"""  # noqa: S608  # made of constants

_REACH: Final = Question(
    STREAM, "Reached", ("recall_reach_boxes", "households"),
    (
        Column("kind", "What"), Column("holder", "Box or visit", rank=1), Column("state", "State"),
        Column("household", "Household", rank=1), Column("name", "Name", "sealed", rank=1),
        Column("contact", "Contact", "sealed"), Column("item", "Item", rank=3), Column("lot", "Lot", rank=1),
        Column("date", "Date", "date", rank=3), Column("quantity", "Quantity", "number"),
        Column("certainty", "Certainty"), Column("since", "Since", "moment", rank=3),
        Column("session", "Session", rank=4), Column("site", "Site", rank=4),
        Column("collected_by", "Collected by", rank=3), Column("order_id", "Order", rank=4),
        Column("todo", "To do", rank=1),
    ),
    f"""WITH RECURSIVE {_SEED},
    made AS (
        SELECT m.item, m.lot_form, r.scope_forms ? m.parent_form
               OR (jsonb_array_length(r.scope_forms) = 0 AND coalesce(r.first_date, r.last_date) IS NULL) AS sure
        FROM scopes r JOIN reach_made_from m ON m.parent = r.item
        WHERE jsonb_array_length(r.scope_forms) = 0 OR m.parent_form = '' OR r.scope_forms ? m.parent_form
        UNION SELECT m.item, m.lot_form, d.sure FROM made d JOIN reach_made_from m
            ON (m.parent, m.parent_form) = (d.item, d.lot_form) WHERE d.lot_form <> ''
    ),
    wanted AS (
        SELECT * FROM scopes
        UNION SELECT item, jsonb_build_array(lot_form), NULL, NULL, sure FROM made WHERE lot_form <> ''
    ),
    found AS (
        SELECT x.*, r.sure AND {CERTAIN} AS certain FROM wanted r CROSS JOIN LATERAL {_LOTS} x
    ),
    each_once AS (
        SELECT kind, holder, part, item, lot, date, quantity, bool_or(certain) AS certain
        FROM found GROUP BY kind, holder, part, item, lot, date, quantity
    ),
    held AS (
        SELECT kind, holder, item, lot, date, sum(quantity)::bigint AS quantity, bool_or(certain) AS certain
        FROM each_once GROUP BY kind, holder, item, lot, date
    ),
    told AS (
        SELECT h.*, b.state, b.household, b.session, b.site, b.since, b.collected_by, b.order_id
        FROM held h JOIN reach_boxes b ON h.kind = 'box' AND b.box = h.holder
        UNION ALL
        SELECT h.*, v.state, v.household, v.session, v.site, v.since, v.collected_by, NULL
        FROM held h JOIN reach_visits v ON h.kind = 'visit' AND v.visit = h.holder)
    SELECT t.*, c.name, c.contact, CASE WHEN t.certain THEN 'known' ELSE 'possibly' END AS certainty,
           CASE t.state WHEN 'packed' THEN 'Keep it back, and unpack it.'
                        WHEN 'unpacked' THEN NULL
                        WHEN 'reversed' THEN NULL
                        ELSE CASE WHEN t.household IS NULL THEN 'Put up a notice: nobody gave a name.'
                                  ELSE 'Tell the household.' END END AS todo
    FROM told t LEFT JOIN households c USING (household)
    WHERE $3::text IS NULL OR t.item = $3
    ORDER BY NOT t.certain, t.state <> 'packed', t.since, t.kind, t.holder, t.item, t.lot""",  # noqa: S608
    "",  # said by `reach`
)  # fmt: skip

# The recalls of the items in a box or a visit, and of all that those were made from: which of its lots they cover is
# for the other question. One row without a recall says that there is the box at least.
_HELD: Final = """WITH RECURSIVE held AS (
        SELECT item FROM reach_box_lots WHERE box = $1 UNION SELECT item FROM reach_visit_lots WHERE visit = $1
    ),
    family AS (
        SELECT item FROM held UNION SELECT m.parent FROM family f JOIN reach_made_from m ON m.item = f.item
    )
    SELECT r.recall, max(r.ended_at) AS ended_at FROM held CROSS JOIN family f LEFT JOIN reach_recalls r
        ON r.item = f.item GROUP BY r.recall ORDER BY r.recall"""


async def reach(
    pool: asyncpg.Pool, *, what: str, item: str | None = None, at_least: Position | None = None
) -> QueryResult:
    """The boxes and visits that a recall's lots, or one lot, went into, whose they are, and what to do about each.

    `what` is a recall's id, or a lot's number. Boxes that are packed come first: they can still be kept back. Goods of
    unknown lot are listed as possible in a recall. If it is a box's code, or a visit's id, the answer is which recalls
    reached that one.
    """
    checked(what)
    found = await _REACH.rows(pool, what, lot_form(what), checked(item), at_least=at_least)
    if found.rows:
        return found
    held = await read(pool, "recall_reach_boxes", _HELD, what)
    if held.records:
        return await _recalls_of(pool, what, held.records, item)
    known = await read(pool, "recall_reach_boxes", "SELECT FROM reach_recalls WHERE recall = $1 LIMIT 1", what)
    none = f"Recall {what} reached no box and no visit." if known.records else (
        f"No recall, box or visit is called {what}, and no lot {what} went into one. Check the label."
    )  # fmt: skip
    return replace(found, message=none)


async def _recalls_of(
    pool: asyncpg.Pool, holder: str, recalls: Sequence[asyncpg.Record], item: str | None
) -> QueryResult:
    """The rows of one box or visit in the reach of each recall that may cover what is in it."""
    columns = (Column("recall", "Recall", rank=1), Column("recall_lifted", "Lifted", "moment"), *_REACH.columns)
    at = next(n for n, column in enumerate(_REACH.columns) if column.name == "holder")
    rows: list[tuple[Any, ...]] = []
    found = None
    for recall in recalls:
        if recall["recall"] is not None:
            found = await _REACH.rows(pool, recall["recall"], "", item)
            rows += [(recall["recall"], recall["ended_at"], *row) for row in found.rows if row[at] == holder]
    if found is None:
        found = await _REACH.rows(pool, "", "", item)
    message = None if rows else f"No recall reached {holder}."
    return replace(found, title=f"Recalls that reached {holder}", columns=columns, rows=rows, message=message)
