"""Entries of charts as programs ask for them: by patient, or by the id that is unlike any other; sealed.

The columns are those of `chart_entries` (services/projections/clinic/chart.py), and beside them: `who`, the sealed
demographics of the patient, by which it is known whether they are erased; of a dispensing the sealed order that it
filled (`ordered`) and the item's `unit`; of a prescription how much was handed out (`dispensed`); of an encounter the
`appointment`, by its own `ref`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

from shared.readmodel import read

_MODELS: Final = ("clinic_patients", "clinic_chart", "clinic_directory")

_ENTRIES: Final = """
    WITH RECURSIVE whole AS (
        SELECT patient FROM patients WHERE patient = ANY($3)
        UNION SELECT p.patient FROM patients p JOIN whole w ON $4 AND p.merged_into = w.patient),
    asked AS (SELECT ARRAY(SELECT patient FROM whole) AS patients),
    found AS (
        SELECT patient, 'patient' AS kind, '' AS within, patient AS id, patient AS ref, NULL AS encounter, content,
               'registered' AS status,
               jsonb_build_object('imported_from', imported_from, 'merged_into', merged_into) AS facts, NULL AS author,
               registered_at AS occurred_at, registered_at AS recorded_at, changed_at
        FROM patients, asked
        WHERE 'patient' = ANY($1) AND ($2::text[] IS NULL OR patient = ANY($2))
              AND ($3::text[] IS NULL OR patient = ANY(asked.patients))
        UNION ALL
        SELECT e.patient, e.kind, e.within, e.id, e.ref, e.encounter, e.content, e.status, e.facts, e.author,
               e.occurred_at, e.recorded_at, e.changed_at
        FROM chart_entries e, asked
        WHERE e.kind = ANY($1) AND ($2::text[] IS NULL OR e.ref = ANY($2))
              AND ($3::text[] IS NULL OR e.patient = ANY(asked.patients)))
    SELECT e.*, p.content AS who, rx.content AS ordered, f.unit, (
               SELECT a.ref FROM chart_entries a
               WHERE e.kind = 'encounter' AND a.patient = e.patient AND a.kind = 'appointment'
                     AND a.id = e.facts->>'appointment' ORDER BY a.occurred_at DESC LIMIT 1) AS appointment,
           CASE WHEN e.kind = 'prescription' THEN (
               SELECT sum((d.facts->>'quantity')::bigint)::bigint
               FROM jsonb_object_keys(coalesce(e.facts->'dispensings', '{}')) AS made
               JOIN chart_entries d ON (d.kind, d.ref) = ('dispensing', made)
               WHERE d.status = 'dispensed') END AS dispensed
    FROM found e LEFT JOIN patients p USING (patient)
    LEFT JOIN chart_entries rx ON e.kind = 'dispensing'
        AND (rx.kind, rx.ref) = ('prescription', e.facts->>'prescription')
    LEFT JOIN formulary f ON e.kind = 'dispensing' AND f.item = e.facts->>'item'
    ORDER BY e.patient, e.kind <> 'patient', e.occurred_at DESC, e.ref"""

_PRACTITIONERS: Final = """
    SELECT '' AS patient, 'practitioner' AS kind, '' AS within, practitioner AS id, practitioner AS ref,
           NULL AS encounter, name AS content, '' AS status,
           jsonb_build_object('active', removed_at IS NULL, 'roles', roles, 'identifiers', identifiers, 'licence',
               CASE WHEN licence IS NOT NULL THEN
                   jsonb_build_object('title', licence, 'number', number, 'valid_from', valid_from,
                                      'valid_until', valid_until) END) AS facts,
           NULL AS author, added_at AS occurred_at, added_at AS recorded_at, changed_at,
           NULL AS who, NULL AS ordered, NULL AS unit, NULL AS appointment, NULL AS dispensed
    FROM practitioners WHERE $1::text[] IS NULL OR practitioner = ANY($1) ORDER BY practitioner"""


async def entries(
    pool: asyncpg.Pool, *, kinds: Sequence[str], refs: Sequence[str] | None = None,
    patients: Sequence[str] | None = None, goes_on: bool = False,
) -> Sequence[Mapping[str, Any]]:  # fmt: skip
    """Entries of these kinds, of these patients and with these refs; by patient, who it is and then the newest first.

    With `goes_on` those of patients whose records go on as one of these are theirs too. Without either, nothing.
    """
    if refs is None and patients is None:
        return []
    wanted = [None if some is None else list(some) for some in (refs, patients)]
    reading = await read(pool, _MODELS, _ENTRIES, list(kinds), *wanted, goes_on)
    return [dict(record) for record in reading.records]


async def practitioners(pool: asyncpg.Pool, ids: Sequence[str] | None) -> Sequence[Mapping[str, Any]]:
    """Who works at the clinic, or did, in the same columns; all of them without `ids`."""
    reading = await read(pool, "clinic_directory", _PRACTITIONERS, None if ids is None else list(ids))
    return [dict(record) for record in reading.records]


_STANDING: Final = """
    WITH RECURSIVE onwards AS (
        SELECT patient AS asked, patient, merged_into FROM patients WHERE patient = ANY($1)
        UNION SELECT o.asked, p.patient, p.merged_into FROM patients p JOIN onwards o ON p.patient = o.merged_into),
    whole AS (
        SELECT asked, patient FROM onwards
        UNION SELECT w.asked, p.patient FROM patients p JOIN whole w ON p.merged_into = w.patient)
    SELECT w.asked AS patient, e.content FROM whole w JOIN chart_entries e USING (patient)
    WHERE e.kind = 'allergy' AND e.status = 'active' ORDER BY w.asked, e.ref"""


async def standing_allergies(pool: asyncpg.Pool, patients: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """What stands of these people's allergies, sealed, in any of their records: that as whom one goes on too."""
    reading = await read(pool, ("clinic_patients", "clinic_chart"), _STANDING, list(patients))
    return [dict(record) for record in reading.records]


_WHOLE: Final = """
    WITH RECURSIVE whole AS (
        SELECT patient FROM patients WHERE patient = ANY($1)
        UNION SELECT p.patient FROM patients p JOIN whole w ON p.merged_into = w.patient)
    SELECT patient FROM whole ORDER BY patient"""


async def whole(pool: asyncpg.Pool, patients: Sequence[str]) -> list[str]:
    """Those of these patients who are there, and all whose records go on as theirs."""
    reading = await read(pool, "clinic_patients", _WHOLE, list(patients))
    return [record["patient"] for record in reading.records]


async def everybody(pool: asyncpg.Pool) -> list[str]:
    """The ids of all patients."""
    reading = await read(pool, "clinic_patients", "SELECT patient FROM patients ORDER BY patient")
    return [record["patient"] for record in reading.records]
