"""Before the doors open: what to pack, where to drive: `commons show packing`, `route`, and the session as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.distribution.parts import GOODS, ORDER_MODELS, ORDERS_NOW, STATE, STREAM
from services.queries.names import checked

_PACKING: Final = Question(
    STREAM, "Packing sheet", ("orders", "boxes", "entitlements", "visits_served"),
    (
        Column("slot", "Slot", "moment"), Column("order_id", "Order", rank=1), Column("box", "Box", rank=3),
        Column("item", "Item"), Column("name", "Name", rank=1), Column("quantity", "Pick", "quantity", rank=1),
        Column("unit", "Unit"), Column("lot", "Lot", rank=1), Column("date", "Date", "date", rank=1),
        Column("owner", "Owner", rank=3), Column("short", "Short", "quantity"),
        Column("warning", "Look", "sealed", rank=1), Column("state", "State"),
    ),
    f"""WITH {ORDERS_NOW}, {GOODS},
    asked AS (
        SELECT o.*, g.key AS item, g.value::bigint AS wanted
        FROM orders_now o, jsonb_each_text(o.goods) AS g
        WHERE o.session = $1 AND o.stage = 'confirmed' AND o.box_state IS DISTINCT FROM 'handed_out'
    ),
    lines AS (
        SELECT o.order_id, o.item, l.lot, l.date, l.owner, l.quantity
        FROM asked o JOIN fulfilment_lines f ON (f.fulfilment, f.item) = (o.order_id, o.item)
        CROSS JOIN LATERAL jsonb_to_recordset(f.lots) AS l(lot text, date date, owner text, quantity bigint)
        WHERE f.remaining > 0)
    SELECT o.slot, o.order_id, CASE WHEN o.box_state = 'packed' THEN o.box_code END AS box, o.item,
           coalesce(goods.name, o.item) AS name, l.quantity, goods.unit, l.lot, l.date, l.owner,
           CASE WHEN f.answered_at IS NULL THEN o.wanted ELSE nullif(o.wanted - coalesce(f.remaining, 0), 0) END
               AS short,
           o.warnings AS warning,
           CASE WHEN o.box_state = 'packed' THEN 'packed' WHEN f.answered_at IS NULL THEN 'not set aside yet'
                WHEN l.quantity IS NULL THEN 'nothing there' ELSE 'to pack' END AS state
    FROM asked o LEFT JOIN lines l USING (order_id, item)
    LEFT JOIN fulfilment_lines f ON (f.fulfilment, f.item) = (o.order_id, o.item)
    LEFT JOIN goods ON goods.item = o.item
    WHERE $2 OR o.box_state IS DISTINCT FROM 'packed'
    ORDER BY o.slot NULLS LAST, o.placed_at, o.order_id, lower(goods.name), o.item, l.date, l.lot""",  # noqa: S608
    "There is nothing to pack.",
)  # fmt: skip

_ROUTE: Final = Question(
    STREAM, "Route", ("households", *ORDER_MODELS),
    (
        Column("slot", "Slot", "moment"), Column("order_id", "Order", rank=1), Column("box", "Box", rank=1),
        Column("state", "State", rank=3), Column("household", "Household", rank=3),
        Column("name", "Name", "sealed", rank=1), Column("address", "Address", "sealed", rank=1),
        Column("contact", "Contact", "sealed", rank=1), Column("language", "Language", "sealed", rank=3),
        Column("note", "Note", "sealed"),
    ),
    f"""WITH {ORDERS_NOW}
    SELECT o.slot, o.order_id, o.box_code AS box, {STATE} AS state, o.household, h.name, h.address, h.contact,
           h.language, h.note
    FROM orders_now o LEFT JOIN households h USING (household)
    WHERE o.session = $1 AND o.stage = 'confirmed' AND o.box_state IS DISTINCT FROM 'handed_out'
    ORDER BY o.slot NULLS LAST, o.placed_at, o.order_id""",  # noqa: S608  # made of constants
    "There is nothing to deliver.",
)  # fmt: skip

# What was merged is one household; somebody who gave no name counts each time, and apart. Individuals are counted once,
# as they were when their household was last served there, as `served` counts them.
_SESSION: Final = """WITH RECURSIVE led AS (
        SELECT household AS old, merged_into AS household FROM households WHERE merged_into IS NOT NULL
        UNION SELECT l.old, h.merged_into FROM led l JOIN households h USING (household) WHERE h.merged_into IS NOT NULL
    ),
    roots AS (SELECT l.old, h.household FROM led l JOIN households h USING (household) WHERE h.merged_into IS NULL)
    SELECT s.session, s.name, s.programme, p.name AS programme_name, s.site, s.starts_at, s.ends_at,
           s.state, s.capacity, s.slot_minutes, s.booked, s.served AS boxes, s.opened_at, s.closed_at,
           (SELECT count(*) FROM orders o WHERE o.session = s.session AND o.stage = 'no_show') AS no_shows, s.note,
           v.visits, v.households, v.anonymous, v.individuals, v.people_served
    FROM sessions s LEFT JOIN programmes p USING (programme)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE kind = 'visit') AS visits, count(DISTINCT household) AS households,
               nullif(count(*) FILTER (WHERE household IS NULL), 0) AS anonymous,
               coalesce(sum(people) FILTER (WHERE last), 0)::bigint AS individuals,
               coalesce(sum(people), 0)::bigint AS people_served
        FROM (
            SELECT v.kind, coalesce(r.household, v.household) AS household,
                   v.child + v.adult + v.senior + v.unknown AS people,
                   row_number() OVER (
                       PARTITION BY coalesce(r.household, v.household, ' ' || v.kind || ' ' || v.id || ' ' || v.at)
                       ORDER BY v.occurred_at DESC, v.id) = 1 AS last
            FROM served v LEFT JOIN roots r ON r.old = v.household WHERE v.session = s.session) each_time) v"""
_SESSION_COLUMNS: Final = (
    Column("session", "Session", rank=1), Column("name", "Name", rank=3), Column("programme", "Programme", rank=3),
    Column("site", "Site", rank=3), Column("starts_at", "Starts", "moment", rank=1),
    Column("ends_at", "Ends", "moment", rank=3), Column("state", "State", rank=1),
    Column("capacity", "Capacity", "number", rank=3), Column("booked", "Expected", "number", rank=1),
    Column("boxes", "Boxes handed out", "number", rank=1), Column("visits", "Visits", "number"),
    Column("no_shows", "No-shows", "number"), Column("households", "Households", "number", rank=1),
    Column("anonymous", "Without a name", "number"),
    Column("individuals", "Individuals", "number", rank=1),
    Column("people_served", "People, each time", "number", rank=3),
    Column("slot_minutes", "Slot (min)", "number", rank=4),
    Column("opened_at", "Opened", "moment", rank=4), Column("closed_at", "Closed", "moment", rank=4),
    Column("note", "Note", rank=3),
)  # fmt: skip
_SESSION_MODELS: Final = ("sessions", "programmes", "visits_served", "orders", "households")

_ONE: Final = Question(
    STREAM,
    "Session",
    _SESSION_MODELS,
    _SESSION_COLUMNS,
    f"{_SESSION} WHERE s.session = $1",
    "There is no such session.",
)
_SESSIONS: Final = Question(
    STREAM, "Sessions", _SESSION_MODELS, _SESSION_COLUMNS,
    f"{_SESSION} WHERE ($1 OR s.state <> 'closed') AND ($2::timestamptz IS NULL OR s.starts_at >= $2)"
    " AND ($3::timestamptz IS NULL OR s.starts_at < $3) ORDER BY s.starts_at, s.session",
    "No session is planned.",
)  # fmt: skip


async def packing(
    pool: asyncpg.Pool, *, session: str, packed: bool = False, at_least: Position | None = None
) -> QueryResult:
    """A row for each lot to pick for each confirmed order of a session; with `packed`, also what is in boxes already.

    `short` is what was asked for and is not set aside; `warning` holds those of the order, sealed, until `packing_told`
    puts that of the row's item into words.
    """
    return await _PACKING.rows(pool, checked(session), packed, at_least=at_least)


async def route(pool: asyncpg.Pool, *, session: str, at_least: Position | None = None) -> QueryResult:
    """Where the boxes of a session go: addresses and contacts come sealed (services/commands/opening.py)."""
    return await _ROUTE.rows(pool, checked(session), at_least=at_least)


async def session(pool: asyncpg.Pool, *, session: str, at_least: Position | None = None) -> QueryResult:
    """One session: how many are expected, were served and did not come."""
    return await _ONE.rows(pool, checked(session), at_least=at_least)


async def sessions(
    pool: asyncpg.Pool, *, closed: bool = False, since: datetime | None = None, until: datetime | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Sessions that are planned or open, the first on top; with `closed`, those that are over too."""
    return await _SESSIONS.rows(pool, closed, since, until, at_least=at_least)
