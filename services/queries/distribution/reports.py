"""For funders and for ourselves: `commons show served`, `commons show meals`."""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.distribution.parts import STREAM
from services.queries.names import checked

# A household counts once for a programme, with its people as they were when it was last served in the time asked for;
# somebody who gave no name counts each time. It is new if it was never served by that programme before. Goods weigh
# what inventory said of them at the time. What was merged is one household.
_SERVED: Final = Question(
    STREAM, "Served", ("visits_served", "households", "programmes", "meal_counts"),
    (
        Column("programme", "Programme", rank=1), Column("name", "Name", rank=3),
        Column("households", "Households", "number", rank=1), Column("new", "New", "number", rank=1),
        Column("returning", "Returning", "number", rank=1), Column("anonymous", "Without a name", "number"),
        Column("individuals", "Individuals", "number", rank=1), Column("child", "Under 18", "number", rank=3),
        Column("adult", "18-59", "number", rank=3), Column("senior", "60+", "number", rank=3),
        Column("unknown", "Age unknown", "number", rank=3), Column("times", "Times served", "number"),
        Column("people_served", "People, each time", "number", rank=3), Column("weight", "Weight", "weight"),
        Column("unweighed", "Without weight", "number", rank=4), Column("meals", "Meals", "number"),
    ),
    """WITH RECURSIVE led AS (
        SELECT household AS old, household, merged_into FROM households
        UNION SELECT l.old, h.household, h.merged_into FROM led l JOIN households h ON h.household = l.merged_into
    ),
    ever AS (
        SELECT s.kind, s.id, s.at, s.programme, s.occurred_at, s.child, s.adult, s.senior, s.unknown, s.goods, p.name,
               coalesce(l.household, s.household) AS household,
               (s.occurred_at AT TIME ZONE 'UTC' + make_interval(mins => coalesce(p.utc_offset, 0)))::date AS day
        FROM served s LEFT JOIN programmes p USING (programme)
        LEFT JOIN led l ON l.old = s.household AND l.merged_into IS NULL
        WHERE $3::text IS NULL OR s.programme = $3
    ),
    within AS (
        SELECT * FROM ever WHERE ($1::date IS NULL OR day >= $1) AND ($2::date IS NULL OR day <= $2)
    ),
    counted AS (
        SELECT DISTINCT ON (programme, coalesce(household, ' ' || kind || ' ' || id || ' ' || at))
               programme, household, child, adult, senior, unknown,
               household IS NOT NULL AND NOT EXISTS (
                   SELECT FROM ever e WHERE (e.programme, e.household) = (w.programme, w.household) AND e.day < $1)
                   AS is_new
        FROM within w
        ORDER BY programme, coalesce(household, ' ' || kind || ' ' || id || ' ' || at), occurred_at DESC, id
    ),
    weighed AS (
        SELECT w.programme, sum(CASE n.unit WHEN 'g' THEN g.value::bigint WHEN 'each' THEN g.value::bigint * n.weight
                                            ELSE g.value::bigint * n.weight / 1000 END)::bigint AS weight,
               count(*) FILTER (WHERE n.unit IS DISTINCT FROM 'g' AND n.weight IS NULL) AS unweighed
        FROM within w CROSS JOIN LATERAL jsonb_each_text(w.goods) AS g
        LEFT JOIN LATERAL (
            SELECT n.unit, n.weight FROM goods_noted n WHERE n.item = g.key
            ORDER BY n.noted_at > w.occurred_at, CASE WHEN n.noted_at > w.occurred_at THEN -n.revision ELSE n.revision
                     END DESC LIMIT 1) n ON true
        GROUP BY w.programme
    ),
    often AS (
        SELECT programme, min(name) AS name, count(*) AS times,
               sum(child + adult + senior + unknown)::bigint AS people_served FROM within GROUP BY programme
    )
    SELECT c.programme, o.name, count(c.household) AS households, count(*) FILTER (WHERE c.is_new) AS new,
           count(c.household) FILTER (WHERE NOT c.is_new) AS returning,
           count(*) FILTER (WHERE c.household IS NULL) AS anonymous,
           sum(c.child + c.adult + c.senior + c.unknown)::bigint AS individuals, sum(c.child)::bigint AS child,
           sum(c.adult)::bigint AS adult, sum(c.senior)::bigint AS senior, sum(c.unknown)::bigint AS unknown,
           o.times, o.people_served, coalesce(g.weight, 0) AS weight, coalesce(g.unweighed, 0) AS unweighed,
           NULL::bigint AS meals
    FROM counted c JOIN often o USING (programme) LEFT JOIN weighed g USING (programme)
    GROUP BY c.programme, o.name, o.times, o.people_served, g.weight, g.unweighed
    UNION ALL
    SELECT NULL, 'Meals at ' || m.site, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           sum(m.first + m.second + m.program_adult + m.other)::bigint
    FROM meal_counts m
    WHERE $3::text IS NULL AND ($1::date IS NULL OR m.date >= $1) AND ($2::date IS NULL OR m.date <= $2)
    GROUP BY m.site
    ORDER BY 1 NULLS LAST, 2""",
    "Nobody was served.",
)  # fmt: skip

_MEALS: Final = Question(
    STREAM, "Meals", ("meal_counts",),
    (
        Column("date", "Day", "date", rank=1), Column("site", "Site", rank=1), Column("meal", "Meal", rank=1),
        Column("delivered", "Delivered", "number", rank=1), Column("carried_over", "Carried over", "number", rank=3),
        Column("kept_before", "Kept before", "number", rank=3),
        Column("first", "First", "number", rank=3), Column("second", "Second", "number", rank=3),
        Column("program_adult", "Programme adults", "number", rank=3), Column("other", "Other", "number", rank=3),
        Column("served", "Served", "number", rank=1), Column("discarded", "Discarded", "number"),
        Column("left_over", "Left over", "number"), Column("kept", "Kept", "number", rank=3),
        Column("carried_after", "Carried over after", "number", rank=3),
        Column("discrepancy", "Off by", "number", rank=1), Column("reason", "Why"),
        Column("certified_by", "Certified by", rank=3), Column("certified_at", "Certified", "moment", rank=1),
    ),
    """SELECT *, first + second + program_adult + other AS served FROM meal_counts
    WHERE ($1::text IS NULL OR site = $1) AND ($2::date IS NULL OR date >= $2) AND ($3::date IS NULL OR date <= $3)
    ORDER BY date, site, array_position(ARRAY['breakfast', 'lunch', 'supper', 'snack'], meal)""",
    "No meals were counted.",
)  # fmt: skip


async def served(
    pool: asyncpg.Pool, *, first: date | None = None, last: date | None = None, programme: str | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Who was served from one day to another, a row a programme, and meals a row a site.

    Days are those of the programme's own clock. Without `first` nobody is returning: all of them were new once.
    """
    return await _SERVED.rows(pool, first, last, checked(programme), at_least=at_least)


async def meals(
    pool: asyncpg.Pool, *, site: str | None = None, first: date | None = None, last: date | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """The meal counts of each site and day, certified or not.

    `kept_before` is what the count before kept for this one, `carried_after` what the next one carried over, if it was
    certified first.
    """
    return await _MEALS.rows(pool, checked(site), first, last, at_least=at_least)
