"""Who gives: `commons show donors`."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion

_QUESTION: Final = GoodsQuestion(
    "Donors", ("donors",),
    (
        Column("donor", "Donor", rank=1), Column("name", "Name", "sealed", rank=1), Column("kind", "Kind", rank=3),
        Column("contact", "Contact", "sealed", rank=1), Column("address", "Address", "sealed"),
        Column("note", "Note", "sealed"), Column("registered_at", "Registered", "moment", rank=4),
    ),
    "SELECT * FROM donors WHERE ($1::text IS NULL OR true) AND ($2::text IS NULL OR true)"
    " AND ($3::text IS NULL OR donor = $3) ORDER BY donor",
    "There are no donors yet.",
)  # fmt: skip


async def donors(pool: asyncpg.Pool, *, donor: str | None = None, at_least: Position | None = None) -> QueryResult:
    """The donors that are registered; their names and contacts come sealed (services/commands/opening.py)."""
    return await _QUESTION.ask(pool, None, None, donor, at_least=at_least)
