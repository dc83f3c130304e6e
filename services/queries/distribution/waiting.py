"""What somebody has to look at, and what waits: `commons show review --of distribution`, `commons show stuck`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.distribution.parts import ORDER_MODELS, ORDERS_NOW, SHARED_CARDS, SINCE, STREAM, WAITS
from shared.clock import utc_now

PATIENCE: Final = timedelta(minutes=1)
"""How long a step that follows by itself may take before it counts as stuck."""

# That a card is on two households is told by neither of them: it is seen by putting them side by side, and is over when
# one has another card, or they go on as one.
_REVIEW: Final = Question(
    STREAM, "To review in distribution", ("distribution_review", "boxes", "orders", "households"),
    (
        Column("kind", "What", "code", rank=1), Column("subject", "Where to look", rank=1),
        Column("household", "Household", rank=1), Column("programme", "Programme", rank=3), Column("period", "Period"),
        Column("session", "Session", rank=3), Column("site", "Site", rank=3),
        Column("figure", "Figure", "number", rank=3), Column("occurred_at", "When", "moment"),
        Column("recorded_at", "Recorded", "moment", rank=4), Column("detail", "Detail", "sealed"),
        Column("actor", "By", rank=3),
        Column("todo", "To do", rank=1), Column("closed_at", "Closed", "moment", rank=3),
        Column("closed_by", "Closed by", rank=3), Column("note", "What was found", "sealed"),
    ),
    f"""WITH {SHARED_CARDS},
    items AS (
        SELECT * FROM distribution_review_items
        UNION ALL
        SELECT i.* FROM shared_cards s CROSS JOIN LATERAL jsonb_populate_record(
            NULL::distribution_review_items, jsonb_build_object(
                'kind', 'card_shared', 'subject', 'card:' || s.card, 'household', s.households, 'occurred_at', s.since,
                'detail', 'card ' || s.card || ' is on ' || s.households)) AS i
    )
    SELECT r.*, CASE r.kind
               WHEN 'limit_reached' THEN 'Find out why it was served more often than its limit; '
               WHEN 'not_eligible' THEN 'Renew its eligibility, or tell the household; '
               WHEN 'wrong_recipient' THEN 'Ask the household who collected, and authorise them; '
               WHEN 'order_ended' THEN 'Its order had ended: find out what was handed out; '
               WHEN 'box_unpacked' THEN 'Find out what its order got; release hold unpacked-' || substr(r.subject, 5)
                   || ', if there is one; '
               WHEN 'recalled' THEN 'It holds what is recalled, or may: tell the household; '
               WHEN 'look_at_warnings'
                   THEN 'Nobody saw the warnings about its goods: look, and tell the household if it got them; '
               WHEN 'clock_runs_back' THEN 'It is dated before it was packed, or its session opened: find out when; '
               WHEN 'unusual' THEN 'It is for more people, or of more goods, than is usual: see whether that is right; '
               WHEN 'goods_taken' THEN 'Its goods were taken away: find out why, and tell the household; '
               WHEN 'household_erased' THEN 'The household was erased: register it anew, give it another card; '
               WHEN 'household_merged' THEN 'Serve the household that it goes on as, give it the right card; '
               WHEN 'programme_closed' THEN 'Its programme is closed: open another; '
               WHEN 'session_not_open' THEN 'Nobody had opened the doors: see that the time is right; '
               WHEN 'card_shared' THEN 'Give one another card (ChangeHousehold), or merge them if they are one.'
               WHEN 'count_off' THEN 'Look for the cause, the certificate stands; '
               WHEN 'step_refused' THEN 'Do by hand what it was meant to do; '
               ELSE 'Look into it; ' END || CASE
               WHEN r.kind = 'card_shared' THEN ''
               WHEN r.kind = 'step_refused' THEN 'then send ResolveStep.'
               WHEN r.kind = 'count_off' THEN 'then send ResolveCount.'
               WHEN r.subject LIKE 'box:%' THEN 'reverse the hand-out if it is here still, or send ResolveHandOut.'
               ELSE 'reverse the visit if it was not so, or send ResolveVisit.' END AS todo
    FROM items r WHERE $1 OR r.closed_at IS NULL
    ORDER BY r.closed_at IS NOT NULL, r.occurred_at DESC, r.kind, r.subject""",  # noqa: S608  # made of constants
    "Nothing waits for a review.",
)  # fmt: skip

# What follows by itself waits too long after a minute; what a person does waits too long once its time is over.
_STUCK: Final = Question(
    STREAM, "Stuck", ("sessions", "visits_served", "reservations", "distribution_review", *ORDER_MODELS),
    (
        Column("what", "What"), Column("id", "Id", rank=1), Column("waits", "Waits for", rank=1),
        Column("since", "Since", "moment"), Column("why", "Why"), Column("todo", "To do", rank=1),
    ),
    f"""WITH {ORDERS_NOW},
    waiting AS (
        SELECT o.*, s.state AS session_state, s.ends_at, {WAITS} AS waits, {SINCE} AS since
        FROM orders_now o LEFT JOIN sessions s USING (session)
    )
    SELECT 'order' AS what, order_id AS id, waits, since,
           CASE WHEN (waits LIKE 'to be packed%' OR waits = 'to be handed out')
                    THEN 'kept until ' || to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"')
                WHEN waits = 'to be confirmed' THEN 'its session is over'
                WHEN waits = 'its box to be unpacked' THEN 'box ' || box_code || ' of an order that ended'
                WHEN waits = 'inventory to set its goods aside'
                    THEN answered || ' of ' || items || ' items are answered'
                ELSE 'fulfilment has not come to it' END AS why,
           CASE WHEN waits = 'to be confirmed' THEN 'Cancel the order, or place it for another session.'
                WHEN waits = 'its box to be unpacked' THEN 'Unpack the box with UnpackBox.'
                WHEN (waits LIKE 'to be packed%' OR waits = 'to be handed out')
                    THEN 'Hand it out, or record that nobody came.'
                ELSE 'See that distribution and inventory run: `commons status`.' END AS todo
    FROM waiting
    WHERE CASE WHEN (waits LIKE 'to be packed%' OR waits = 'to be handed out') THEN due_at < $1
               WHEN waits = 'to be confirmed' THEN session_state = 'closed' OR ends_at < $1
               WHEN waits = 'its box to be unpacked' THEN true
               ELSE waits IS NOT NULL AND since < $2 END
    UNION ALL
    SELECT 'visit', s.id, 'inventory to give ' || g.key || ' out', s.occurred_at,
           coalesce(f.issued, 0) || ' of ' || g.value || ' were given out',
           'See that distribution and inventory run: `commons status`; look at refused steps.'
    FROM served s CROSS JOIN LATERAL jsonb_each_text(s.goods) AS g
    LEFT JOIN fulfilment_lines f ON (f.fulfilment, f.item) = ('v-' || s.id, g.key)
    WHERE s.kind = 'visit' AND s.recorded_at < $2 AND coalesce(f.issued, 0) < g.value::bigint
    UNION ALL
    SELECT 'reservation', r.reservation || ' ' || r.item || ' at ' || r.location, 'an order', r.reserved_at,
           coalesce('order ' || o.order_id || ' is ' || replace(o.stage, '_', '-'), 'there is no such order'),
           'Release it with ReleaseReservation.'
    FROM reservations r LEFT JOIN orders_now o ON o.order_id = substr(r.reservation, 3)
    WHERE r.ended IS NULL AND r.remaining > 0 AND r.reservation LIKE 'd-%' AND r.reserved_at < $2
      AND (o.order_id IS NULL OR (o.stage IN ('completed', 'cancelled', 'no_show') AND o.ended_at < $2
                                  AND o.box_state IS DISTINCT FROM 'packed'))
    UNION ALL
    SELECT 'step', subject, 'a person', recorded_at, detail,
           'Do by hand what it was meant to do, then send ResolveStep.'
    FROM distribution_review_items WHERE kind = 'step_refused' AND closed_at IS NULL
    ORDER BY since, what, id""",  # noqa: S608  # made of constants
    "Nothing is stuck.",
)  # fmt: skip


async def review(pool: asyncpg.Pool, *, closed: bool = False, at_least: Position | None = None) -> QueryResult:
    """Open review items, the newest first, with what to do about each; with `closed`, closed ones too."""
    return await _REVIEW.rows(pool, closed, at_least=at_least)


async def stuck(
    pool: asyncpg.Pool, *, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:  # fmt: skip
    """Orders, visits, reservations and steps that wait longer than they should, the oldest first, and why."""
    moment = now or utc_now()
    return await _STUCK.rows(pool, moment, moment - PATIENCE, at_least=at_least)
