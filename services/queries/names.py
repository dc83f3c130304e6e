"""What somebody means by a name: an item by its id, barcode or name, a location by its id or name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import asyncpg

from services.inventory.contract import lot_form
from shared.errors import Invalid
from shared.readmodel import read

MAX_LENGTH: Final = 200
"""Characters of a name; the longest that the ledger holds."""

_NEAR: Final = 5
_COMPARED: Final = 5_000  # names looked through for one that is near: a fraction of a second


@dataclass(frozen=True, slots=True)
class Names:
    """The ids that were meant. `unknown` is a sentence when there is no such thing, `near` what may have been meant."""

    item: str | None = None
    location: str | None = None
    unknown: str | None = None
    near: tuple[str, ...] = ()
    sequence: int = 0


async def find_names(
    pool: asyncpg.Pool, item: str | None, location: str | None, at_least: tuple[str, int] | None = None
) -> Names:
    """Which item and which location are meant; nothing is asked when neither is given."""
    if item is None and location is None:
        return Names()
    for given in (item, location):
        checked(given)
    reading = await read(
        pool, "catalogue",
        "SELECT 'item' AS what, item AS id, name, 1 AS rank FROM items WHERE item = $1"
        " UNION ALL SELECT 'item', item, NULL, 2 FROM barcodes WHERE gtin = lpad($1, 14, '0')"
        " UNION ALL SELECT 'item', item, name, 3 FROM items WHERE lower(name) = lower($1)"
        " UNION ALL SELECT 'location', location, name, 1 FROM locations WHERE location = $2"
        " UNION ALL SELECT 'location', location, name, 3 FROM locations WHERE lower(name) = lower($2)"
        " ORDER BY rank, id",
        item, location, at_least=at_least,
    )  # fmt: skip
    sequence = reading.checkpoints["catalogue"]["INVENTORY"]
    found: dict[str, str] = {}
    for record in reading.records:
        found.setdefault(record["what"], record["id"])
    for what, given in (("item", item), ("location", location)):
        if given is not None and what not in found:
            known = await _known(pool, what)
            near = tuple(_near(given, known))
            sentence = f"There is no {what} {given!r}{'' if known else f', and no {what} at all yet'}."
            return Names(unknown=sentence, near=near, sequence=sequence)
    return Names(found.get("item"), found.get("location"), sequence=sequence)


async def near_lots(pool: asyncpg.Pool, lot: str, item: str | None) -> tuple[str, ...]:
    """Lot numbers that were recorded and come near one that was not."""
    reading = await read(
        pool, "movements",
        "SELECT lot_form, min(lot) AS lot FROM movement_lots WHERE lot_form <> ''"  # noqa: S608  # a number of our own
        " AND ($1::text IS NULL OR item = $1)"
        f" GROUP BY lot_form ORDER BY lot_form LIMIT {_COMPARED}",
        item,
    )  # fmt: skip
    forms = {record["lot_form"]: record["lot"] for record in reading.records}
    return tuple(forms[form] for form in get_close_matches(lot_form(lot), forms, _NEAR, cutoff=0.5))


def checked(given: str | None) -> str | None:
    """A name as somebody typed it. Raises Invalid when it can be no name at all."""
    if given is not None and (not given.strip() or len(given) > MAX_LENGTH or "\x00" in given):
        raise Invalid(f"A name has 1 to {MAX_LENGTH} characters and no null; this one is {given[:40]!r}.")
    return given


async def _known(pool: asyncpg.Pool, what: str) -> dict[str, str]:
    table = {"item": "items", "location": "locations"}[what]
    reading = await read(
        pool,
        "catalogue",
        f"SELECT {what} AS id, name FROM {table} ORDER BY 1 LIMIT {_COMPARED}",  # noqa: S608
    )
    return {record["id"]: record["name"] for record in reading.records}


def _near(given: str, known: Mapping[str, str]) -> Iterable[str]:
    """Ids whose id or name comes near, or whose name has it as a word."""
    by_text = {id.lower(): id for id in known} | {name.lower(): id for id, name in known.items()}
    wanted = given.lower()
    close = [by_text[text] for text in get_close_matches(wanted, by_text, _NEAR, cutoff=0.6)]
    within = [id for text, id in by_text.items() if wanted in text]
    return list(dict.fromkeys([*close, *within]))[:_NEAR]
