"""Who works at the clinic, and in which roles."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult, Question
from services.queries.clinic.chart import STREAM
from shared.clock import utc_now
from shared.readmodel import read

_PRACTITIONERS: Final = Question(
    STREAM, "Practitioners", ("clinic_directory",),
    (
        Column("practitioner", "Acts as"), Column("name", "Name", "sealed"), Column("roles", "Roles"),
        Column("licence", "Licence"), Column("valid", "Valid", "flag"), Column("valid_until", "Until", "date"),
        Column("valid_from", "From", "date"), Column("number", "Number"), Column("identifiers", "Identifiers"),
        Column("added_at", "Added", "moment"), Column("removed_at", "Left", "moment"),
    ),
    """SELECT *, licence IS NOT NULL AND valid_from <= $1 AND (valid_until IS NULL OR valid_until >= $1) AS valid
    FROM practitioners ORDER BY removed_at IS NOT NULL, practitioner""",
    "Nobody works here yet: add them with AddPractitioner.",
)  # fmt: skip


async def practitioners(
    pool: asyncpg.Pool, *, now: datetime | None = None, at_least: Position | None = None
) -> QueryResult:  # fmt: skip
    """Who works at the clinic, in which roles, and whether their licence is valid today; last, who worked there."""
    return await _PRACTITIONERS.rows(pool, (now or utc_now()).date(), at_least=at_least)


async def roles_of(pool: asyncpg.Pool, practitioner: str) -> tuple[str, ...]:
    """The roles that somebody acts in; none of who does not work here."""
    reading = await read(pool, "clinic_directory", "SELECT roles FROM practitioners WHERE practitioner = $1",
                         practitioner)  # fmt: skip
    return tuple(reading.records[0]["roles"]) if reading.records else ()
