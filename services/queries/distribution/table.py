"""At the table: who is somebody, are they due, what is ready for them: `commons show check-in`, `queue`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.distribution.parts import LIMIT, ORDER_MODELS, ORDERS_NOW, PERIOD, STATE, STREAM, WAITS
from services.queries.distribution.warned import OF_GOODS
from services.queries.names import checked
from shared.clock import utc_now

_PEOPLE: Final = (
    Column("size", "Size", "number", rank=3), Column("child", "Under 18", "number", rank=4),
    Column("adult", "18-59", "number", rank=4), Column("senior", "60+", "number", rank=4),
    Column("unknown", "Age unknown", "number", rank=4),
)  # fmt: skip

# Who was found may go on as another household; that one is served, with the orders and allergens of both. A claim of an
# order that is still to be handed out is what the household comes for, and no reason to send it away.
_CHECK_IN: Final = Question(
    STREAM, "Check-in", ("households", "sessions", "programmes", *ORDER_MODELS),
    (
        Column("household", "Household", rank=1), Column("name", "Name", "sealed", rank=1),
        Column("card", "Card", rank=3), Column("due", "Due", "flag", rank=1), Column("order_id", "Order"),
        Column("state", "State"), Column("box", "Box"), Column("slot", "Slot", "moment", rank=3),
        Column("used", "Used", "number"), Column("allowed", "Of", "number"), Column("period", "Period", rank=3),
        Column("session", "Session", rank=1), Column("programme", "Programme", rank=3),
        Column("warnings", "Look", rank=1), Column(OF_GOODS, "Goods to look at", "sealed", rank=3),
        Column("avoids", "Avoids", "sealed", rank=1), *_PEOPLE,
        Column("eligible_until", "Eligible until", "date", rank=3), Column("proxies", "May collect"),
    ),
    f"""WITH RECURSIVE led AS (
        SELECT household AS found_as, household, merged_into FROM households h
        WHERE household = $1 OR household = ANY($2) OR card = $1 AND (
            NOT EXISTS (SELECT FROM erased_households x WHERE x.household = h.household)
            OR NOT EXISTS (SELECT FROM households o LEFT JOIN erased_households x USING (household)
                           WHERE o.card = $1 AND x.household IS NULL))
        UNION SELECT l.found_as, h.household, h.merged_into FROM led l JOIN households h ON h.household = l.merged_into
    ),
    found AS (
        SELECT household, string_agg(found_as, ', ' ORDER BY found_as) FILTER (WHERE found_as <> household) AS found_as
        FROM led WHERE merged_into IS NULL GROUP BY household
    ),
    opened AS (
        SELECT s.session, s.programme, l.times, l.every, d.day
        FROM sessions s LEFT JOIN programmes p USING (programme)
        CROSS JOIN LATERAL (
            SELECT (CASE s.state WHEN 'open' THEN $4::timestamptz ELSE s.starts_at END AT TIME ZONE 'UTC'
                    + make_interval(mins => coalesce(p.utc_offset, 0)))::date AS day) d
        {LIMIT.format(day="d.day")}
        WHERE CASE WHEN $3::text IS NULL THEN s.state = 'open' ELSE s.session = $3 END
    ),
    family AS (
        SELECT household AS root, household AS member FROM found
        UNION SELECT f.root, h.household FROM family f JOIN households h ON h.merged_into = f.member
    ),
    shared AS (
        SELECT f.root, 'card ' || m.card || ' is also on ' || string_agg(DISTINCT o.household, ', ') AS card
        FROM family f JOIN households m ON m.household = f.member JOIN households o ON o.card = m.card
        WHERE NOT EXISTS (SELECT FROM family g WHERE g.root = f.root AND g.member = o.household)
            AND NOT EXISTS (SELECT FROM erased_households x WHERE x.household = o.household)
        GROUP BY f.root, m.card
    ),
    today AS (
        SELECT found.*, t.session, t.programme, t.times AS allowed,
               coalesce(t.day, ($4::timestamptz AT TIME ZONE 'UTC')::date) AS day,
               {PERIOD.format(every="t.every", day="t.day")} AS period
        FROM found LEFT JOIN opened t ON true
    ),
    {ORDERS_NOW},
    seen AS (
        SELECT t.*, h.name, h.card, h.size, h.child, h.adult, h.senior, h.unknown, h.eligible_until, x.erased_at,
               CASE WHEN t.session IS NOT NULL THEN e.used END AS used, e.used_as_others, e.others, o.order_id,
               {STATE} AS order_state, o.box_code AS box, o.slot,
               o.claimed, o.short_of, o.warnings AS {OF_GOODS},
               o.stage = 'confirmed' AND o.box_state IS DISTINCT FROM 'handed_out' AS comes_for_it
        FROM today t JOIN households h USING (household) LEFT JOIN erased_households x USING (household)
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(e.used), 0)::bigint AS used,
                   coalesce(sum(e.used) FILTER (WHERE f.member <> f.root), 0)::bigint AS used_as_others,
                   string_agg(f.member, ', ' ORDER BY f.member) FILTER (WHERE f.member <> f.root AND e.used > 0)
                       AS others
            FROM family f LEFT JOIN entitlements e
                ON (e.household, e.programme, e.period) = (f.member, t.programme, t.period)
            WHERE f.root = t.household) e
        LEFT JOIN LATERAL (
            SELECT n.* FROM family f JOIN orders_now n ON (n.household, n.session) = (f.member, t.session)
            WHERE f.root = t.household
            ORDER BY n.stage IN ('cancelled', 'no_show'),
                     n.stage = 'completed' OR coalesce(n.box_state = 'handed_out', false), n.placed_at DESC LIMIT 1
        ) o ON true
    )
    SELECT s.*, CASE WHEN order_id IS NOT NULL THEN order_state END AS state,
           session IS NOT NULL AND erased_at IS NULL AND (eligible_until IS NULL OR eligible_until >= day)
               AND (coalesce(comes_for_it AND claimed, false) OR allowed IS NULL OR used < allowed) AS due,
           (SELECT array_agg(m.allergens ORDER BY m.household <> s.household, m.household, m.member)
            FROM family f JOIN members m ON m.household = f.member
            WHERE f.root = s.household AND m.allergens IS NOT NULL) AS avoids,
           (SELECT array_agg(p.proxy ORDER BY p.proxy) FROM proxies p
            WHERE p.household = s.household AND EXISTS (
                SELECT FROM jsonb_array_elements(p.spans) AS span
                WHERE s.day BETWEEN (span ->> 0)::date AND coalesce((span ->> 1)::date, 'infinity'))) AS proxies,
           nullif(concat_ws('; ',
               CASE WHEN erased_at IS NOT NULL
                   THEN 'erased on ' || to_char(erased_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') || ', register it anew' END,
               CASE WHEN session IS NULL THEN 'no session is open' END,
               CASE WHEN eligible_until < day THEN 'was eligible until ' || eligible_until END,
               CASE WHEN used >= allowed AND NOT coalesce(comes_for_it AND claimed, false)
                   THEN 'served ' || used || ' of ' || allowed || ' times in ' || period END,
               CASE WHEN used_as_others > 0 THEN 'of them ' || used_as_others || ' as ' || others END,
               CASE WHEN found_as IS NOT NULL THEN found_as || ' goes on as ' || household END,
               (SELECT string_agg(card, '; ' ORDER BY card) FROM shared WHERE root = household),
               CASE WHEN comes_for_it AND NOT coalesce(claimed, false) THEN 'its order has no claim' END,
               CASE WHEN comes_for_it AND short_of > 0 THEN short_of || ' items are short' END), '') AS warnings
    FROM seen s ORDER BY household, session""",  # noqa: S608  # made of constants
    "There is no such household. Check the card, or register it with `commons send distribution RegisterHousehold`.",
)  # fmt: skip

_QUEUE: Final = Question(
    STREAM, "Queue", ("sessions", "households", *ORDER_MODELS),
    (
        Column("slot", "Slot", "moment"), Column("order_id", "Order", rank=1), Column("household", "Household"),
        Column("name", "Name", "sealed", rank=1), Column("card", "Card", rank=3), Column("state", "State", rank=3),
        Column("box", "Box", rank=1), Column("waits", "Waits", rank=1), Column("short", "Short of", "number"),
        Column("site", "Site", rank=4), *_PEOPLE[:1], Column("placed_at", "Placed", "moment", rank=4),
    ),
    f"""WITH {ORDERS_NOW}
    SELECT o.slot, o.order_id, o.household, h.name, h.card, {STATE} AS state, o.box_code AS box, {WAITS} AS waits,
           nullif(o.short_of, 0) AS short, o.site, o.child + o.adult + o.senior + o.unknown AS size, o.placed_at
    FROM orders_now o LEFT JOIN households h USING (household)
    WHERE o.session = $1 AND ($2 OR {STATE} IN ('to confirm', 'to pack', 'packed'))
    ORDER BY {STATE} = 'packed' DESC, o.slot NULLS LAST, o.placed_at, o.order_id""",  # noqa: S608  # made of constants
    "Nobody is expected.",
)  # fmt: skip


async def check_in(
    pool: asyncpg.Pool, *, who: str, named: Sequence[str] = (), session: str | None = None,
    now: datetime | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Who somebody is, by card or id, or as the households that a search by name found (`named`), and are they due.

    A row for each household and session: the open ones, or the one that is said. `due` is whether it may be served
    there now; `warnings` say why not, and what to look at. `check_in_told` adds the warnings about the order's goods.
    """
    checked(who)
    return await _CHECK_IN.rows(pool, who, list(named), checked(session), now or utc_now(), at_least=at_least)


async def queue(
    pool: asyncpg.Pool, *, session: str, ended: bool = False, at_least: Position | None = None
) -> QueryResult:
    """The orders of a session that are still to be handed out, packed ones first; with `ended`, all of them."""
    return await _QUEUE.rows(pool, checked(session), ended, at_least=at_least)
