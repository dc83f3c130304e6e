"""The bin card: everything that moved an item, with the running figure: `commons show movements`."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.inventory.contract import lot_form
from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.names import checked
from shared.errors import Invalid

MAX_ROWS: Final = 100_000

# A movement that was recorded after a count but happened before it changes that count's variance and no figure after
# it (contract/count.py): it enters at its own moment, and with the opposite sign at the first count behind it.
_QUESTION: Final = GoodsQuestion(
    "Movements", ("movements",),
    (
        Column("effective_at", "When", "moment", rank=1), Column("location", "Location"),
        Column("revision", "No.", "number", rank=1), Column("kind", "Movement", rank=1),
        Column("change", "Change", "quantity", rank=1), Column("running", "On hand", "quantity", rank=1),
        Column("unit", "Unit", rank=3), Column("lots", "Lots"), Column("party", "From or to"), Column("reason", "Why"),
        Column("state", "State"), Column("breaches", "Broke"), Column("unrecorded", "Beyond ledger", "quantity"),
        Column("recorded_at", "Recorded", "moment", rank=4), Column("actor", "By", rank=3),
        Column("note", "Note", rank=3), Column("sequence", "Event", "number", rank=4),
    ),
    """WITH moved AS (
        SELECT m.location, m.revision, m.effective_at, m.absorbed_by IS NOT NULL AS absorbed,
               sum(l.change)::bigint AS change, sum(l.unrecorded)::bigint AS unrecorded,
               string_agg(coalesce(l.lot, '(unknown)') || CASE WHEN l.change > 0 THEN ' +' ELSE ' ' END || l.change,
                          ', ' ORDER BY l.lot) AS lots
        FROM movements m JOIN movement_lots l USING (item, location, revision)
        WHERE m.item = $1 AND ($2::text IS NULL OR m.location = $2) AND ($3::text IS NULL OR l.lot_form = $3)
        GROUP BY m.location, m.revision, m.effective_at, m.absorbed_by),
    entries AS (
        SELECT location, revision, effective_at, change, unrecorded, lots FROM moved
        UNION ALL
        SELECT location, revision, effective_at, 0, 0, NULL FROM movements
        WHERE item = $1 AND ($2::text IS NULL OR location = $2) AND kind = 'CountApproved'
        UNION ALL
        SELECT a.location, c.revision, c.effective_at, -a.change, 0, NULL
        FROM moved a CROSS JOIN LATERAL (
            SELECT c.revision, c.effective_at FROM movements c
            WHERE c.item = $1 AND c.location = a.location AND c.kind = 'CountApproved'
              AND (c.effective_at, c.revision) > (a.effective_at, a.revision)
            ORDER BY c.effective_at, c.revision LIMIT 1) c
        WHERE a.absorbed),
    figures AS (
        SELECT location, revision, effective_at, sum(change)::bigint AS change, sum(unrecorded)::bigint AS unrecorded,
               max(lots) AS lots
        FROM entries GROUP BY location, revision, effective_at),
    card AS (
        SELECT *, sum(change) OVER (PARTITION BY location ORDER BY effective_at, revision)::bigint AS running
        FROM figures)
    SELECT * FROM (SELECT card.effective_at, card.location, card.revision, m.kind, card.change, card.running, m.unit,
           card.lots, m.breaches, card.unrecorded, m.recorded_at, m.actor, m.note, m.sequence,
           coalesce(m.recipient, m.donor, m.supplier, m.counterpart, m.count) AS party,
           coalesce(m.reason, m.purpose, m.source) AS reason,
           nullif(concat_ws(', ', 'reversed by ' || m.reversed_by, 'corrected by ' || m.corrected_by,
               CASE WHEN m.root <> m.revision THEN 'mends ' || m.root END, 'settled by count ' || m.absorbed_by), '')
               AS state
    FROM card JOIN movements m ON (m.item, m.location, m.revision) = ($1, card.location, card.revision)
    WHERE ($4::timestamptz IS NULL OR card.effective_at >= $4) AND ($5::timestamptz IS NULL OR card.effective_at < $5)
    ORDER BY card.effective_at DESC, card.revision DESC LIMIT $6) newest
    ORDER BY location, effective_at, revision""",
    "Nothing moved.",
)  # fmt: skip


async def movements(
    pool: asyncpg.Pool, *, item: str, location: str | None = None, lot: str | None = None,
    since: datetime | None = None, until: datetime | None = None, limit: int = 1000, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """The movements of an item at each location, the newest `limit` of them, in order of when they happened.

    The running figure is that of the location (or of the lot there, when one is given) after the movement, at its
    moment: late facts stand where they happened. `since` and `until` cut the card, not the figures. The change of a
    count is its variance as it is known today.
    """
    if not 1 <= limit <= MAX_ROWS:
        raise Invalid(f"`limit` is from 1 to {MAX_ROWS:,} movements; {limit:,} is not.")
    form = None if checked(lot) is None else lot_form(lot)
    return await _QUESTION.ask(pool, item, location, form, since, until, limit, lot=lot, at_least=at_least)
