"""What is there, and how much of it may be promised: `commons show stock`."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import asyncpg

from services.inventory.contract import lot_form
from services.queries.answer import Column, Position, QueryResult
from services.queries.goods import GoodsQuestion
from services.queries.names import checked
from services.queries.shelf import MODELS, SHELF
from shared.clock import utc_now

By = Literal["location", "lot", "item"]

_FIGURES: Final = (
    Column("on_hand", "On hand", "quantity", rank=1),
    Column("reserved", "Reserved", "quantity"),
    Column("held", "Held", "quantity"),
    Column("past_date", "Past date", "quantity"),
    Column("available", "Available", "quantity", rank=1),
    Column("unit", "Unit"),
)
_ITEM: Final = (Column("item", "Item"), Column("name", "Name", rank=1))
_PLACE: Final = (Column("location", "Location", rank=1),)
_SUMS: Final = (
    "sum(on_hand)::bigint AS on_hand, sum(reserved)::bigint AS reserved, sum(stopped)::bigint AS held,"
    " sum(past)::bigint AS past_date, sum(available)::bigint AS available, min(unit) AS unit, min(date) AS first_date"
)
_WHERE: Final = "FROM judged WHERE ($4::text IS NULL OR lot_form = $4) AND ($5::text IS NULL OR owner = $5)"
_FIRST: Final = Column("first_date", "First date", "date", rank=3)

QUESTIONS: Final[dict[By, GoodsQuestion]] = {
    "location": GoodsQuestion(
        "Stock on hand", MODELS, (*_ITEM, *_PLACE, *_FIGURES, _FIRST),
        f"WITH {SHELF} SELECT item, min(name) AS name, location, {_SUMS} {_WHERE}"
        " GROUP BY item, location ORDER BY lower(min(name)), item, location",
        "Nothing is on hand.",
    ),
    "item": GoodsQuestion(
        "Stock on hand by item", MODELS, (*_ITEM, *_FIGURES, _FIRST),
        f"WITH {SHELF} SELECT item, min(name) AS name, {_SUMS} {_WHERE} GROUP BY item ORDER BY lower(min(name)), item",
        "Nothing is on hand.",
    ),
    "lot": GoodsQuestion(
        "Stock on hand by lot", MODELS,
        (
            *_ITEM, *_PLACE, Column("lot", "Lot", rank=1), Column("date", "Date", "date", rank=1),
            Column("date_kind", "Kind of date", rank=4), Column("owner", "Owner", rank=3), *_FIGURES,
            Column("why", "Not given out"),
        ),
        f"WITH {SHELF} SELECT item, name, location, lot, date, date_kind, owner, on_hand, reserved, stopped AS held,"
        f" past AS past_date, available, unit, why {_WHERE}"
        " ORDER BY lower(name), item, location, last_day NULLS LAST, lot",
        "Nothing is on hand.",
    ),
}  # fmt: skip


async def stock(
    pool: asyncpg.Pool, *, item: str | None = None, location: str | None = None, lot: str | None = None,
    owner: str | None = None, by: By | None = None, now: datetime | None = None, at_least: Position | None = None,
) -> QueryResult:  # fmt: skip
    """What is on hand, by item and location, or `by` lot or item; with a lot or an item given, by lot.

    On hand = reserved + held + past its date + available. Held is what a hold, a recall, a quarantine or a quarantine
    location keeps back.
    """
    checked(lot), checked(owner)
    chosen: By = by or ("lot" if lot is not None or item is not None else "location")
    form = None if lot is None else lot_form(lot)
    return await QUESTIONS[chosen].ask(pool, item, location, now or utc_now(), form, owner, lot=lot, at_least=at_least)
