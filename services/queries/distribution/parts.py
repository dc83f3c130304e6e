"""What the questions about distribution share: how far an order has come and what it waits for, and which period."""

from __future__ import annotations

from typing import Final

STREAM: Final = "DISTRIBUTION"

ORDER_MODELS: Final = ("orders", "boxes", "entitlements")

ORDERS_NOW: Final = """orders_now AS (
    SELECT o.*, b.box AS box_code, b.state AS box_state, b.packed_at, b.ended_at AS box_ended_at,
           (SELECT count(*) FROM jsonb_object_keys(o.goods)) AS items,
           coalesce(l.answered, 0) AS answered, l.answered_at, coalesce(l.asked, 0) AS asked,
           coalesce(l.short, 0) AS short, coalesce(l.remaining, 0) AS reserved, coalesce(l.issued, 0) AS issued,
           coalesce(l.short_of, 0) AS short_of, coalesce(k.packed, 0) AS packed, c.claimed
    FROM orders o
    LEFT JOIN LATERAL (
        SELECT * FROM boxes b WHERE b.order_id = o.order_id ORDER BY b.state = 'unpacked', b.packed_at DESC LIMIT 1
    ) b ON true
    LEFT JOIN LATERAL (
        SELECT sum(x.quantity)::bigint AS packed FROM box_lots x WHERE x.box = b.box AND b.state <> 'unpacked'
    ) k ON true
    LEFT JOIN LATERAL (
        SELECT count(f.answered_at) AS answered, max(f.answered_at) AS answered_at, sum(f.asked)::bigint AS asked,
               sum(f.short)::bigint AS short, sum(f.remaining)::bigint AS remaining,
               sum(f.issued)::bigint AS issued,
               count(*) FILTER (WHERE f.short > 0) AS short_of
        FROM fulfilment_lines f WHERE f.fulfilment = o.order_id
    ) l ON true
    LEFT JOIN LATERAL (
        SELECT bool_or(c.ended_at IS NULL) AS claimed FROM claims c
        WHERE (c.household, c.programme, c.period, c.kind, c.claim)
              = (o.household, o.programme, o.period, 'order', o.order_id)
    ) c ON true)"""
"""Orders with their box, what inventory answered, and whether their claim counts (null: it never did).

What was issued counts what was beyond inventory's ledger too: it left."""

STATE: Final = """CASE
    WHEN o.box_state = 'handed_out' OR o.stage = 'completed' THEN 'handed out'
    WHEN o.stage = 'no_show' THEN 'no-show'
    WHEN o.stage = 'cancelled' THEN 'cancelled'
    WHEN o.stage = 'placed' THEN 'to confirm'
    WHEN o.box_state = 'packed' THEN 'packed'
    ELSE 'to pack' END"""
"""How far an order has come, in a word, of `orders_now AS o`."""

WAITS: Final = """CASE
    WHEN o.stage = 'placed' THEN 'to be confirmed'
    WHEN o.stage = 'confirmed' AND o.box_state = 'handed_out' THEN 'to be noted as handed out'
    WHEN o.stage = 'confirmed' AND o.claimed IS NULL THEN 'its claim'
    WHEN o.stage = 'confirmed' AND o.box_state = 'packed' THEN 'to be handed out'
    WHEN o.stage = 'confirmed' AND o.answered < o.items AND o.reopened_at IS NULL
        THEN 'inventory to set its goods aside'
    WHEN o.stage = 'confirmed' AND o.reserved = 0 THEN 'to be packed with --lines: nothing is set aside'
    WHEN o.stage = 'confirmed' THEN 'to be packed'
    WHEN o.stage IN ('cancelled', 'no_show', 'completed') AND o.box_state = 'packed' THEN 'its box to be unpacked'
    WHEN o.stage IN ('cancelled', 'no_show') AND o.claimed AND o.box_state IS DISTINCT FROM 'handed_out'
        THEN 'its claim to be given back'
    WHEN o.stage IN ('cancelled', 'no_show') AND o.reserved > 0 AND o.box_state IS DISTINCT FROM 'handed_out'
        THEN 'its goods to be set free' END"""
"""What an order waits for, of `orders_now AS o`; null when it is done with."""

SINCE: Final = """CASE
    WHEN o.stage = 'placed' THEN o.placed_at
    WHEN o.box_state = 'handed_out' THEN o.box_ended_at
    WHEN o.stage = 'confirmed' AND o.box_state = 'packed' THEN o.packed_at
    WHEN o.stage = 'confirmed' AND o.reopened_at IS NOT NULL THEN o.reopened_at
    WHEN o.stage = 'confirmed' AND o.answered = o.items THEN o.answered_at
    WHEN o.stage = 'confirmed' THEN o.confirmed_at
    ELSE o.ended_at END"""
"""Since when it waits for that."""

PERIOD: Final = """CASE coalesce({every}, 'week')
    WHEN 'day' THEN to_char({day}, 'YYYY-MM-DD') WHEN 'week' THEN to_char({day}, 'IYYY-"W"IW')
    WHEN 'month' THEN to_char({day}, 'YYYY-MM') ELSE to_char({day}, 'YYYY') END"""
"""The period that a day is in, as claims are counted (contract/base.py)."""

LIMIT: Final = """LEFT JOIN LATERAL (
        SELECT l.times, l.every FROM jsonb_to_recordset(p.limits) AS l(times integer, every text, since date)
        WHERE l.since IS NULL OR l.since <= {day} ORDER BY l.since DESC NULLS LAST LIMIT 1
    ) l ON true"""
"""The limit that holds on a day, of `programmes AS p`."""

GOODS: Final = """goods AS (
    SELECT DISTINCT ON (item) item, name, unit, weight FROM goods_noted ORDER BY item, revision DESC)"""
"""The items as inventory describes them today, of the read model `visits_served`."""

SHARED_CARDS: Final = """RECURSIVE twice AS (
        SELECT card FROM households h WHERE card IS NOT NULL
            AND NOT EXISTS (SELECT FROM erased_households x WHERE x.household = h.household)
        GROUP BY card HAVING count(*) > 1
    ),
    holders AS (
        SELECT card, household, household AS holder, merged_into, registered_at
        FROM households h JOIN twice USING (card)
        WHERE NOT EXISTS (SELECT FROM erased_households x WHERE x.household = h.household)
        UNION SELECT o.card, o.household, h.household, h.merged_into, o.registered_at
        FROM holders o JOIN households h ON h.household = o.merged_into
    ),
    shared_cards AS (
        SELECT card, string_agg(DISTINCT holder, ' and ') AS households, max(registered_at) AS since
        FROM holders WHERE merged_into IS NULL GROUP BY card HAVING count(DISTINCT holder) > 1)"""
"""Cards that lead to several households; to those that they go on as, if they were merged. Who was erased holds none.
Begins a WITH."""
