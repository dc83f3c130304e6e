"""What waits for somebody at the clinic: what to review, and what is stuck."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.chart import STREAM
from services.queries.clinic.dispensing import SINCE, WAITS
from services.queries.distribution.waiting import PATIENCE
from shared.clock import utc_now

_REVIEW: Final = Question(
    STREAM, "To review at the clinic", ("clinic_review", "clinic_access"),
    (
        Column("kind", "What", "code"), Column("patient", "Patient"), Column("subject", "Where to look"),
        Column("occurred_at", "When", "moment"), Column("actor", "By"), Column("detail", "Detail"),
        Column("todo", "To do"), Column("recorded_at", "Recorded", "moment"), Column("closed_at", "Closed", "moment"),
        Column("closed_by", "Closed by"), Column("note", "What was found"),
    ),
    """WITH items AS (
        SELECT kind, subject, patient, occurred_at, recorded_at, detail, actor, closed_at, closed_by, note
        FROM clinic_review_items
        UNION ALL
        SELECT 'broken_glass', 'access:' || patient || ':' || access, patient, occurred_at, recorded_at,
               purpose, reader, reviewed_at, CASE WHEN reviewed_at IS NOT NULL THEN 'resolved' END, NULL
        FROM access_log WHERE break_glass)
    SELECT i.*, CASE
        WHEN i.kind = 'step_refused' THEN 'Do by hand what it was meant to do, then send ResolveStep.'
        WHEN i.kind = 'broken_glass' THEN 'Find out why, then send ReviewAccess; not the one who looked.'
        WHEN i.subject LIKE 'dispensing:%' THEN 'Look at the patient, then send ResolveDispensing.'
        WHEN i.subject LIKE 'administration:%'
            THEN 'Look at the patient, then send ResolveAdministration, or ReverseAdministration if it was not so.'
        ELSE 'Find out on which ground it was given out, then send ReviewDisclosure; not who recorded it.' END AS todo
    FROM items i WHERE $1 OR i.closed_at IS NULL
    ORDER BY i.closed_at IS NOT NULL, i.occurred_at DESC, i.kind, i.subject""",
    "Nothing waits for a review at the clinic.",
)  # fmt: skip
_STUCK: Final = Question(
    STREAM, "Stuck at the clinic", ("clinic_dispensings", "clinic_review"),
    (
        Column("what", "What"), Column("id", "Id"), Column("waits", "Waits for"), Column("since", "Since", "moment"),
        Column("why", "Why"), Column("todo", "To do"),
    ),
    f"""WITH waiting AS (
        SELECT d.*, {WAITS} AS waits, {SINCE} AS since FROM dispensings d)
    SELECT 'dispensing' AS what, dispensing AS id, waits, since,
           CASE WHEN due_at < $1 AND state IN ('requested', 'verified')
                    THEN 'kept until ' || to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"')
                WHEN waits LIKE 'goods%' THEN coalesce(remaining, 0) || ' of ' || quantity || ' are set aside'
                ELSE 'the dispensing process has not come to it' END AS why,
           CASE WHEN due_at < $1 AND state IN ('requested', 'verified') THEN 'Unpick it, or refuse it.'
                WHEN waits LIKE 'goods%' THEN 'Receive or move goods, refuse it, or ask for another item.'
                ELSE 'See that clinic and inventory run: `commons status`.' END AS todo
    FROM waiting
    WHERE CASE WHEN state IN ('requested', 'verified') AND due_at < $1 THEN true
               WHEN waits IN ('to be verified', 'to be handed over') THEN false
               ELSE waits IS NOT NULL AND since < $2 END
    UNION ALL
    SELECT 'administration', administration, 'inventory to give its goods out', given_at,
           'nothing was given out of ' || quantity, 'See that clinic and inventory run; look at refused steps.'
    FROM clinic_draws WHERE drawn_at IS NULL AND recorded_at < $2
    UNION ALL
    SELECT 'clinic step', subject, 'a person', recorded_at, detail,
           'Do by hand what it was meant to do, then send ResolveStep.'
    FROM clinic_review_items WHERE kind = 'step_refused' AND closed_at IS NULL
    ORDER BY since, what, id""",  # noqa: S608  # made of constants
    "Nothing is stuck.",
)  # fmt: skip


async def review(pool: asyncpg.Pool, *, closed: bool = False, at_least: Position | None = None) -> QueryResult:
    """Open review items of the clinic, broken glass too, with what to do about each; with `closed`, closed ones too."""
    return await _REVIEW.rows(pool, closed, at_least=at_least)


async def stuck(
    pool: asyncpg.Pool, *, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:  # fmt: skip
    """Dispensings, administrations and steps that wait longer than they should, the oldest first, and why."""
    moment = now or utc_now()
    return await _STUCK.rows(pool, moment, moment - PATIENCE, at_least=at_least)
