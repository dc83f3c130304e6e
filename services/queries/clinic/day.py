"""A day at the clinic: who is expected, here, seen and gone; and what is left to do after it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import asyncpg

from services.clinic.contract import Referral
from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.chart import STREAM
from services.queries.clinic.contents import in_words, name_in
from services.queries.names import checked
from shared.clock import utc_now

NAME: Final = Column("name", "Name", "sealed", words=name_in, part="identity")
PATIENT: Final = Column("patient", "Patient")

_BOARD: Final = Question(
    STREAM, "Board", ("clinic_patients", "clinic_visits"),
    (
        Column("state", "State"), PATIENT, NAME, Column("clinician", "With"), Column("starts_at", "At", "moment"),
        Column("since", "Since", "moment"), Column("minutes", "Minutes", "number"),
        Column("reason", "For", "sealed", part="appointments"), Column("appointment", "Appointment"),
        Column("encounter", "Encounter"), Column("overbooked", "Booked over"),
    ),
    """WITH today AS (
        SELECT a.*, e.encounter, e.opened_at, e.closed_at FROM clinic_appointments a
        LEFT JOIN LATERAL (
            SELECT * FROM clinic_encounters e WHERE (e.appointment, e.patient) = (a.appointment, a.patient)
            ORDER BY e.opened_at DESC LIMIT 1) e ON true
        WHERE a.date = $1),
    here AS (
        SELECT CASE WHEN closed_at IS NOT NULL THEN 'gone' WHEN encounter IS NOT NULL THEN 'being seen'
                    WHEN state = 'checked_in' THEN 'waiting' WHEN state = 'no_show' THEN 'did not come'
                    WHEN state = 'cancelled' THEN 'cancelled' WHEN starts_at < $2 THEN 'late'
                    ELSE 'expected' END AS state,
               patient, clinician, starts_at, coalesce(closed_at, opened_at, checked_in_at, ended_at) AS since, minutes,
               reason, appointment, encounter, overbooked
        FROM today
        UNION ALL
        SELECT CASE WHEN e.closed_at IS NULL THEN 'being seen' ELSE 'gone' END, e.patient, e.clinician, e.opened_at,
               coalesce(e.closed_at, e.opened_at), NULL, NULL, NULL, e.encounter, NULL
        FROM clinic_encounters e
        WHERE e.imported_from IS NULL AND (e.opened_at AT TIME ZONE 'UTC')::date = $1
          AND NOT EXISTS (SELECT FROM today t WHERE t.encounter = e.encounter))
    SELECT h.*, p.content AS name FROM here h LEFT JOIN patients p USING (patient)
    WHERE $3::text IS NULL OR h.clinician = $3
    ORDER BY array_position(ARRAY['waiting', 'being seen', 'late', 'expected'], h.state), h.starts_at, h.patient""",
    "Nobody is expected that day, and nobody came.",
)  # fmt: skip
_NO_SHOWS: Final = Question(
    STREAM, "Did not come", ("clinic_patients", "clinic_visits"),
    (
        Column("date", "Date", "date"), PATIENT, NAME, Column("clinician", "With"),
        Column("starts_at", "At", "moment"), Column("times", "Times", "number"), Column("next", "Next", "moment"),
        Column("reason", "For", "sealed", part="appointments"), Column("appointment", "Appointment"),
    ),
    """SELECT a.*, p.content AS name,
              (SELECT count(*) FROM clinic_appointments o WHERE o.patient = a.patient AND o.state = 'no_show') AS times,
              (SELECT min(o.starts_at) FROM clinic_appointments o
               WHERE o.patient = a.patient AND o.state = 'booked' AND o.starts_at > $3) AS next
    FROM clinic_appointments a LEFT JOIN patients p USING (patient)
    WHERE a.state = 'no_show' AND ($1::date IS NULL OR a.date >= $1) AND ($2::date IS NULL OR a.date <= $2)
    ORDER BY a.date DESC, a.starts_at, a.patient""",
    "Everybody came.",
)  # fmt: skip
_FOLLOW_UPS: Final = Question(
    STREAM, "Follow-ups", ("clinic_patients", "clinic_visits"),
    (
        Column("due_on", "Due", "date"), Column("what", "What"), PATIENT, NAME, Column("id", "Id"),
        Column("referral", "Referred", "sealed", words=in_words(Referral), part="referrals"), Column("who", "By"),
        Column("since", "Since", "moment"), Column("next", "Next", "moment"),
    ),
    """WITH due AS (
        SELECT follow_up_on AS due_on, 'look again' AS what, patient, encounter AS id, NULL AS referral,
               clinician AS who, closed_at AS since
        FROM clinic_encounters e WHERE follow_up_on IS NOT NULL AND NOT EXISTS (
            SELECT FROM clinic_encounters o WHERE o.patient = e.patient AND o.opened_at > e.closed_at
            AND (o.opened_at AT TIME ZONE 'UTC')::date >= e.follow_up_on)
        UNION ALL
        SELECT due_on, 'ask what came of it', patient, referral, content, made_by, made_at
        FROM clinic_referrals WHERE closed_at IS NULL)
    SELECT d.*, p.content AS name, (SELECT min(a.starts_at) FROM clinic_appointments a
                                    WHERE a.patient = d.patient AND a.state = 'booked' AND a.starts_at > $2) AS next
    FROM due d LEFT JOIN patients p USING (patient)
    WHERE $1::date IS NULL OR d.due_on IS NULL OR d.due_on <= $1
    ORDER BY d.due_on NULLS LAST, d.patient, d.id""",
    "Nothing is to be followed up.",
)  # fmt: skip
_UNSIGNED: Final = Question(
    STREAM, "Unsigned notes", ("clinic_patients", "clinic_visits"),
    (
        Column("waits", "Waits for"), Column("since", "Since", "moment"), Column("author", "Author"), PATIENT, NAME,
        Column("encounter", "Encounter"), Column("note", "Note"), Column("todo", "To do"),
    ),
    """SELECT n.*, p.content AS name,
              CASE WHEN n.signed_at IS NULL THEN 'its author' ELSE 'attestation' END AS waits,
              CASE WHEN n.signed_at IS NULL THEN n.drafted_at ELSE n.to_attest_since END AS since,
              CASE WHEN n.signed_at IS NULL THEN 'SignNote, as its author.'
                   ELSE 'AttestNote, by a licensed clinician.' END AS todo
    FROM clinic_notes n LEFT JOIN patients p USING (patient)
    WHERE (n.signed_at IS NULL OR n.to_attest) AND ($1::text IS NULL OR n.author = $1)
    ORDER BY since, n.encounter, n.note""",
    "Every note is signed.",
)  # fmt: skip


async def board(
    pool: asyncpg.Pool, *, day: date | None = None, clinician: str | None = None, now: datetime | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Who is expected, late, waiting, being seen and gone on a day (today in UTC if left out), walk-ins too."""
    moment = now or utc_now()
    return await _BOARD.rows(pool, day or moment.date(), moment, checked(clinician), at_least=at_least)


async def no_shows(
    pool: asyncpg.Pool, *, first: date | None = None, last: date | None = None, now: datetime | None = None,
    at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """Who did not come to an appointment, how often in all, and when they are expected next."""
    return await _NO_SHOWS.rows(pool, first, last, now or utc_now(), at_least=at_least)


async def follow_ups(
    pool: asyncpg.Pool, *, until: date | None = None, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:
    """Whom to look at again and which referrals to ask about, those due by a day or all; who was seen since is left
    out."""
    return await _FOLLOW_UPS.rows(pool, until, now or utc_now(), at_least=at_least)


async def unsigned(
    pool: asyncpg.Pool, *, author: str | None = None, at_least: Position | None = None
) -> QueryResult:  # fmt: skip
    """Notes that wait for their author, or for somebody with a licence to attest them."""
    return await _UNSIGNED.rows(pool, checked(author), at_least=at_least)
