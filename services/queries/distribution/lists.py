"""What there is: `commons show households`, `programmes`, `orders`, `boxes`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.distribution.parts import LIMIT, ORDER_MODELS, ORDERS_NOW, SINCE, STATE, STREAM, WAITS
from services.queries.names import checked
from shared.clock import utc_now

_HOUSEHOLDS: Final = Question(
    STREAM, "Households", ("households",),
    (
        Column("household", "Household", rank=1), Column("name", "Name", "sealed", rank=1),
        Column("card", "Card", rank=1), Column("size", "Size", "number", rank=1),
        Column("child", "Under 18", "number", rank=4), Column("adult", "18-59", "number", rank=4),
        Column("senior", "60+", "number", rank=4), Column("unknown", "Age unknown", "number", rank=4),
        Column("eligible_until", "Eligible until", "date"), Column("merged_into", "Goes on as", rank=1),
        Column("contact", "Contact", "sealed"), Column("address", "Address", "sealed"),
        Column("language", "Language", "sealed", rank=3), Column("note", "Note", "sealed", rank=3),
        Column("basis", "Basis", "sealed", rank=4), Column("registered_at", "Registered", "moment", rank=4),
        Column("renewed_at", "Renewed", "moment", rank=4), Column("erased_at", "Erased", "moment"),
    ),
    "SELECT * FROM households LEFT JOIN erased_households USING (household)"
    " WHERE ($1::text IS NULL OR household = $1 OR card = $1 OR household = ANY($2))"
    " ORDER BY household",
    "There are no such households.",
)  # fmt: skip
_TODAY: Final = "($2::timestamptz AT TIME ZONE 'UTC' + make_interval(mins => p.utc_offset))::date"
_PROGRAMMES: Final = Question(
    STREAM, "Programmes", ("programmes",),
    (
        Column("programme", "Programme", rank=1), Column("name", "Name"), Column("kind", "Kind", rank=3),
        Column("times", "Times", "number", rank=1), Column("every", "A", rank=1), Column("next", "Then"),
        Column("bundles", "Standard boxes", rank=1),
        Column("utc_offset", "Minutes east of UTC", "number", rank=4), Column("opened_at", "Opened", "moment", rank=4),
        Column("closed_at", "Closed", "moment", rank=3),
    ),
    f"""SELECT p.*, l.times, l.every, (
                SELECT n.times || ' a ' || n.every || ' from ' || n.since
                FROM jsonb_to_recordset(p.limits) AS n(times integer, every text, since date)
                WHERE n.since > {_TODAY}) AS next, (SELECT string_agg('from ' || b.min_size || ': ' || (
                        SELECT string_agg(l.quantity || ' ' || l.item, ', ' ORDER BY l.item)
                        FROM jsonb_to_recordset(b.lines) AS l(item text, quantity bigint)), '; ' ORDER BY b.min_size)
                    FROM bundles b WHERE b.programme = p.programme) AS bundles
    FROM programmes p {LIMIT.format(day=_TODAY)}
    WHERE $1 OR p.closed_at IS NULL ORDER BY p.programme""",  # noqa: S608  # made of constants
    "There are no programmes yet.",
)  # fmt: skip
_ORDERS: Final = Question(
    STREAM, "Orders", ("households", *ORDER_MODELS),
    (
        Column("order_id", "Order", rank=1), Column("household", "Household", rank=1), Column("name", "Name", "sealed"),
        Column("session", "Session"), Column("state", "State", rank=1), Column("waits", "Waits for", rank=1),
        Column("since", "Since", "moment"), Column("box", "Box", rank=1), Column("asked", "Asked", "number", rank=3),
        Column("reserved", "Set aside", "number", rank=3), Column("short", "Short", "number"),
        Column("packed", "Packed", "number", rank=3), Column("issued", "Given out", "number", rank=3),
        Column("slot", "Slot", "moment", rank=3), Column("due_at", "Kept until", "moment", rank=3),
        Column("programme", "Programme", rank=4), Column("period", "Period", rank=4),
        Column("reason", "Why", "sealed"), Column("override_reason", "Override", "sealed"),
        Column("placed_at", "Placed", "moment", rank=4),
        Column("ended_at", "Ended", "moment", rank=4), Column("placed_by", "By", rank=4),
    ),
    f"""WITH {ORDERS_NOW}
    SELECT o.order_id, o.household, h.name, o.session, {STATE} AS state, {WAITS} AS waits,
           CASE WHEN {WAITS} IS NOT NULL THEN {SINCE} END AS since,
           CASE WHEN o.box_state <> 'unpacked' THEN o.box_code END AS box,
           (SELECT sum(value::bigint)::bigint FROM jsonb_each_text(o.goods)) AS asked, o.reserved, o.short, o.packed,
           o.issued, o.slot, o.due_at, o.programme, o.period, o.reason, o.override_reason, o.placed_at, o.ended_at,
           o.placed_by
    FROM orders_now o LEFT JOIN households h USING (household)
    WHERE ($1::text IS NULL OR o.session = $1) AND ($2::text IS NULL OR o.household = $2)
      AND ($3::text IS NULL OR o.order_id = $3) AND ($4 OR $3::text IS NOT NULL OR {WAITS} IS NOT NULL)
    ORDER BY o.placed_at DESC, o.order_id""",  # noqa: S608  # made of constants
    "There are no such orders.",
)  # fmt: skip


async def households(
    pool: asyncpg.Pool, *, who: str | None = None, named: Sequence[str] = (), at_least: Position | None = None
) -> QueryResult:
    """Households by id or card, as a search by name found them, or all; what is personal comes sealed."""
    return await _HOUSEHOLDS.rows(pool, checked(who), list(named), at_least=at_least)


async def programmes(
    pool: asyncpg.Pool, *, closed: bool = False, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:
    """What is offered, how often today, and from when otherwise, and the standard boxes; with `closed`, what is over
    too."""
    return await _PROGRAMMES.rows(pool, closed, now or utc_now(), at_least=at_least)


async def orders(
    pool: asyncpg.Pool, *, session: str | None = None, household: str | None = None, order: str | None = None,
    ended: bool = False, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Orders that wait for something, the newest first, with what and since when; with `ended`, those done with too.

    Figures are sums over the items, each in its base unit: which goods a household got stands on no screen.
    """
    return await _ORDERS.rows(
        pool, checked(session), checked(household), checked(order), ended, at_least=at_least
    )  # fmt: skip
