"""What goes on labels and into a calendar: codes, sessions and days, and nothing of anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg

from services.queries.names import checked
from shared.readmodel import read


@dataclass(frozen=True, slots=True)
class BoxLabel:
    """A box's code, the session that it is for, and its day there; the last two are None for a box of no order."""

    box: str
    session: str | None
    day: date | None


@dataclass(frozen=True, slots=True)
class Opening:
    """One session, as a calendar has it."""

    session: str
    name: str
    programme: str
    site: str
    starts_at: datetime
    ends_at: datetime
    capacity: int | None
    slot_minutes: int | None


_DAY: Final = "((s.starts_at AT TIME ZONE 'UTC') + make_interval(mins => coalesce(p.utc_offset, 0)::integer))::date"

_OF_SESSION: Final = f"""SELECT coalesce(b.box, o.order_id) AS box, s.session, {_DAY} AS day
    FROM orders o JOIN sessions s USING (session) LEFT JOIN programmes p ON p.programme = s.programme
    LEFT JOIN boxes b ON b.order_id = o.order_id AND b.state = 'packed'
    WHERE o.session = $1 AND o.stage = 'confirmed' ORDER BY o.slot NULLS LAST, o.placed_at, o.order_id"""  # noqa: S608

_OF_CODES: Final = f"""SELECT code AS box, s.session, {_DAY} AS day
    FROM unnest($1::text[]) WITH ORDINALITY AS c(code, n) LEFT JOIN boxes b ON b.box = code
    LEFT JOIN sessions s ON s.session = b.session LEFT JOIN programmes p ON p.programme = s.programme
    ORDER BY n"""  # noqa: S608  # made of constants

_CARDS: Final = "SELECT DISTINCT card FROM households WHERE card IS NOT NULL AND merged_into IS NULL ORDER BY card"

_OPENINGS: Final = """SELECT session, name, programme, site, starts_at, ends_at, capacity, slot_minutes
    FROM sessions WHERE ($1::timestamptz IS NULL OR ends_at >= $1) AND ($2::text IS NULL OR programme = $2)
    ORDER BY starts_at, session"""

_MODELS: Final = ("orders", "boxes", "sessions", "programmes")


async def labels_of_session(pool: asyncpg.Pool, session: str) -> list[BoxLabel]:
    """A label for each confirmed order of a session: the code of its box, or the order's id where none is packed."""
    reading = await read(pool, _MODELS, _OF_SESSION, checked(session))
    return [BoxLabel(**dict(record)) for record in reading.records]


async def labels_of_boxes(pool: asyncpg.Pool, codes: Sequence[str]) -> list[BoxLabel]:
    """A label for each code, in this order."""
    reading = await read(pool, _MODELS, _OF_CODES, [checked(code) for code in codes])
    return [BoxLabel(**dict(record)) for record in reading.records]


async def cards(pool: asyncpg.Pool) -> list[str]:
    """The codes of all cards of households that are served as themselves."""
    reading = await read(pool, ("households",), _CARDS)
    return [record["card"] for record in reading.records]


async def openings(pool: asyncpg.Pool, *, since: datetime | None = None, programme: str | None = None) -> list[Opening]:
    """The sessions that end at a moment or later, or all; of one programme or of all."""
    reading = await read(pool, ("sessions",), _OPENINGS, since, checked(programme))
    return [Opening(**dict(record)) for record in reading.records]
