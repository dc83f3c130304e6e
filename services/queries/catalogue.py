"""The catalogue and the locations, for choosing from: `commons show items`, `commons show locations`."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion

_ITEMS: Final = GoodsQuestion(
    "Items", ("catalogue",),
    (
        Column("item", "Item", rank=1), Column("name", "Name", rank=1), Column("unit", "Unit"),
        Column("brand", "Brand", rank=3), Column("category", "Category", rank=3), Column("gtin", "Barcode", rank=3),
        Column("net_weight", "Net weight (g)", "weight"), Column("storage", "Storage"),
        Column("allergens", "Allergens", rank=1), Column("best_before_extension", "Extension (days)", "number", rank=4),
        Column("medicine", "Medicine", "flag"), Column("controlled", "Controlled", "flag", rank=3),
        Column("minimum_level", "Minimum", "quantity"), Column("retired_at", "Retired", "moment", rank=3),
    ),
    "SELECT * FROM items WHERE ($1::text IS NULL OR item = $1) AND ($2::text IS NULL OR true)"
    " AND ($3 OR retired_at IS NULL) ORDER BY lower(name), item",
    "There are no items yet.",
)  # fmt: skip

_LOCATIONS: Final = GoodsQuestion(
    "Locations", ("catalogue",),
    (
        Column("location", "Location", rank=1), Column("name", "Name", rank=1), Column("kind", "Kind", rank=1),
        Column("storage", "Storage"), Column("minimum", "Lowest", "temperature"),
        Column("maximum", "Highest", "temperature"), Column("utc_offset", "Minutes east of UTC", "number", rank=4),
        Column("self_approval", "Self-approval (%)", "number", rank=4), Column("opened_at", "Opened", "moment", rank=4),
        Column("closed_at", "Closed", "moment", rank=3),
    ),
    "SELECT * FROM locations WHERE ($1::text IS NULL OR true) AND ($2::text IS NULL OR location = $2)"
    " AND ($3 OR closed_at IS NULL) ORDER BY lower(name), location",
    "There are no locations yet.",
)  # fmt: skip


async def items(
    pool: asyncpg.Pool, *, item: str | None = None, retired: bool = False, at_least: Position | None = None
) -> QueryResult:
    """The items of the catalogue; with `retired`, those too that are no longer taken in. Null allergens are unknown."""
    return await _ITEMS.ask(pool, item, None, retired, at_least=at_least)


async def locations(
    pool: asyncpg.Pool, *, location: str | None = None, closed: bool = False, at_least: Position | None = None
) -> QueryResult:
    """The locations; with `closed`, those too that are closed. Temperatures are in tenths of a degree Celsius."""
    return await _LOCATIONS.ask(pool, None, location, closed, at_least=at_least)
