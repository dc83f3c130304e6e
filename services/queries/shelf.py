"""The shelf as a common table expression: every lot on hand, with what stands against giving it out today.

Parameters: $1 item, $2 location, $3 the present moment. The day is that of each location's own clock.
"""

from __future__ import annotations

from typing import Final

MODELS: Final = ("stock_on_hand", "catalogue", "holds")

COVERED: Final = """(
    (jsonb_array_length(r.scope_forms) = 0 AND r.first_date IS NULL AND r.last_date IS NULL)
    OR (jsonb_array_length(r.scope_forms) > 0 AND (x.lot_form = '' OR r.scope_forms ? x.lot_form))
    OR (coalesce(r.first_date, r.last_date) IS NOT NULL AND (x.date IS NULL
        OR x.date BETWEEN coalesce(r.first_date, '-infinity') AND coalesce(r.last_date, 'infinity'))))"""
"""Whether recall `r` covers lot `x`: what is not known of a lot counts as covered (contract/lot.py)."""

CERTAIN: Final = """(
    (jsonb_array_length(r.scope_forms) = 0 AND r.first_date IS NULL AND r.last_date IS NULL)
    OR (x.lot_form <> '' AND r.scope_forms ? x.lot_form)
    OR (coalesce(r.first_date, r.last_date) IS NOT NULL
        AND x.date BETWEEN coalesce(r.first_date, '-infinity') AND coalesce(r.last_date, 'infinity')))"""
"""Whether lot `x` is named by recall `r`, and not only unknown."""

LAST_DAY: Final = """x.date + CASE WHEN x.date_kind = 'best_before' AND NOT i.medicine AND NOT i.infant_formula
        THEN i.best_before_extension ELSE 0 END"""
"""The last day on which goods may be given out: past a best-before date by the item's extension."""

SHELF: Final = f"""
shelf AS (
    SELECT x.*, coalesce(i.name, x.item) AS name, i.unit, i.minimum_level, i.retired_at,
           coalesce(l.name, x.location) AS location_name, {LAST_DAY} AS last_day,
           ($3::timestamptz AT TIME ZONE 'UTC' + make_interval(mins => coalesce(l.utc_offset, 0)))::date AS today,
           CASE
               WHEN EXISTS (SELECT FROM recalls r WHERE r.item = x.item AND r.ended_at IS NULL AND {COVERED})
                   THEN 'recall'
               WHEN l.kind = 'quarantine' OR EXISTS (
                   SELECT FROM quarantines q WHERE q.item = x.item AND q.ended_at IS NULL AND q.lot_form = x.lot_form)
                   THEN 'quarantine'
               WHEN jsonb_array_length(x.holds) > 0 THEN coalesce((
                   SELECT string_agg(DISTINCT h.reason, ', ') FROM holds h
                   WHERE h.item = x.item AND h.location = x.location AND h.ended_at IS NULL AND x.holds ? h.hold),
                   'held')
           END AS stopped
    FROM stock_on_hand x LEFT JOIN items i USING (item) LEFT JOIN locations l USING (location)
    WHERE ($1::text IS NULL OR x.item = $1) AND ($2::text IS NULL OR x.location = $2) AND x.on_hand > 0
),
judged AS (
    SELECT item, name, unit, minimum_level, retired_at, location, location_name, lot, lot_form, date, date_kind, owner,
           last_day, today, on_hand, reserved,
           CASE WHEN stopped IS NOT NULL THEN on_hand - reserved ELSE 0 END AS stopped,
           CASE WHEN stopped IS NULL AND last_day < today THEN on_hand - reserved ELSE 0 END AS past,
           CASE WHEN stopped IS NULL AND (last_day < today) IS NOT TRUE THEN on_hand - reserved ELSE 0 END AS available,
           coalesce(stopped, CASE WHEN last_day < today THEN 'past its date' END) AS why
    FROM shelf
)"""  # noqa: S608  # made of constants
"""on_hand = reserved + stopped (held for whatever reason) + past (its date) + available."""
