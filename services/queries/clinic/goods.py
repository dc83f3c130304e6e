"""What patients were given: the stock that it used, and whom a recall reaches."""

from __future__ import annotations

from datetime import date
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.chart import STREAM
from services.queries.clinic.contents import contact_in
from services.queries.clinic.day import NAME, PATIENT
from services.queries.names import checked
from services.queries.shelf import CERTAIN, COVERED

_USED: Final = Question(
    STREAM, "Stock used", ("clinic_given", "clinic_directory"),
    (
        Column("date", "Date", "date"), Column("item", "Item"), Column("name", "Name"),
        Column("dispensed", "Dispensed", "number"), Column("administered", "Administered", "number"),
        Column("vaccines", "Vaccines", "number"), Column("used", "In all", "number"),
        Column("returned", "Came back", "number"), Column("unit", "Unit"), Column("times", "Times", "number"),
    ),
    """SELECT (g.occurred_at AT TIME ZONE 'UTC')::date AS date, g.item, f.name, f.unit,
              coalesce(sum(g.quantity) FILTER (WHERE g.kind = 'dispensing'), 0)::bigint AS dispensed,
              coalesce(sum(g.quantity) FILTER (WHERE g.kind = 'administration'), 0)::bigint AS administered,
              coalesce(sum(g.quantity) FILTER (WHERE g.kind = 'immunization'), 0)::bigint AS vaccines,
              sum(g.quantity)::bigint AS used, sum(g.returned)::bigint AS returned, count(*) AS times
    FROM clinic_given g LEFT JOIN formulary f USING (item)
    WHERE g.state = 'given' AND g.item IS NOT NULL AND g.imported_from IS NULL
      AND ($1::date IS NULL OR (g.occurred_at AT TIME ZONE 'UTC')::date >= $1)
      AND ($2::date IS NULL OR (g.occurred_at AT TIME ZONE 'UTC')::date <= $2)
      AND ($3::text IS NULL OR g.item = $3)
    GROUP BY 1, g.item, f.name, f.unit ORDER BY 1 DESC, g.item""",
    "Nothing was given from stock.",
)  # fmt: skip
_RECALLED: Final = Question(
    STREAM, "Reached by the recall", ("clinic_given", "clinic_patients", "clinic_directory"),
    (
        PATIENT, NAME, Column("contact", "Contact", "sealed", words=contact_in, part="contact"),
        Column("kind", "What"), Column("id", "Id"), Column("item", "Item", part="medicines"),
        Column("item_name", "Item name", part="medicines"), Column("lot", "Lot", part="medicines"),
        Column("certainty", "Lot is"), Column("quantity", "Quantity", "number"),
        Column("state", "State"), Column("occurred_at", "When", "moment"), Column("recall", "Recall"),
        Column("ended_at", "Lifted", "moment"), Column("todo", "To do"),
    ),
    f"""WITH RECURSIVE scopes AS (
        SELECT item, recall, scope_forms, first_date, last_date, ended_at, true AS sure
        FROM clinic_recalls WHERE recall = $1
    ),
    made AS (
        SELECT m.item, m.lot_form, r.recall, r.ended_at, r.scope_forms ? m.parent_form
               OR (jsonb_array_length(r.scope_forms) = 0 AND coalesce(r.first_date, r.last_date) IS NULL) AS sure
        FROM scopes r JOIN clinic_made_from m ON m.parent = r.item
        WHERE jsonb_array_length(r.scope_forms) = 0 OR m.parent_form = '' OR r.scope_forms ? m.parent_form
        UNION SELECT m.item, m.lot_form, d.recall, d.ended_at, d.sure FROM made d JOIN clinic_made_from m
            ON (m.parent, m.parent_form) = (d.item, d.lot_form) WHERE d.lot_form <> ''
    ),
    wanted AS (
        SELECT item, recall, scope_forms, first_date, last_date, ended_at, sure FROM scopes
        UNION SELECT item, recall, jsonb_build_array(lot_form), NULL::date, NULL::date, ended_at, sure FROM made
        WHERE lot_form <> ''
    ),
    found AS (
        SELECT x.kind, x.id, x.item, x.lot, r.recall, r.ended_at, x.lot_key, x.quantity,
               bool_or(r.sure AND {CERTAIN}) AS certain
        FROM wanted r JOIN clinic_given_lots x ON x.item = r.item AND {COVERED}
        GROUP BY x.kind, x.id, x.item, x.lot, r.recall, r.ended_at, x.lot_key, x.quantity
    )
    SELECT h.*, g.patient, g.state, g.occurred_at, p.content AS name, p.content AS contact, f.name AS item_name,
           CASE WHEN h.certain THEN 'known' ELSE 'possibly it' END AS certainty,
           CASE g.state WHEN 'verified' THEN 'Keep it back, and refuse it.' WHEN 'given' THEN 'Tell the patient.' END
               AS todo
    FROM found h JOIN clinic_given g USING (kind, id) LEFT JOIN patients p USING (patient)
    LEFT JOIN formulary f ON f.item = h.item
    WHERE g.state IN ('verified', 'given')
    ORDER BY NOT h.certain, g.state <> 'verified', g.occurred_at, h.kind, h.id, h.lot""",  # noqa: S608
    "It reached no patient, or there is no such recall.",
)  # fmt: skip


async def stock_used(
    pool: asyncpg.Pool, *, first: date | None = None, last: date | None = None, item: str | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """How much of each item went to patients, by day (UTC): what was dispensed, administered and injected.

    Quantities are in the item's base unit; what was reversed is left out, what came back was destroyed.
    """
    return await _USED.rows(pool, first, last, checked(item), at_least=at_least)


async def recall_patients(
    pool: asyncpg.Pool, *, recall: str, at_least: Position | None = None
) -> QueryResult:  # fmt: skip
    """The patients who got a recalled lot, or goods made of one, dispensed, administered or injected.

    What can still be kept back is on top of those that are known; stock of unknown lot is listed as possible.
    """
    return await _RECALLED.rows(pool, checked(recall), at_least=at_least)
