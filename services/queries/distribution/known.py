"""Whether there is what somebody names: a session, a programme, a household, a site where meals are counted."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final, Literal

import asyncpg

from services.queries.answer import Position
from services.queries.names import checked
from shared.errors import Invalid
from shared.readmodel import read

What = Literal["session", "programme", "household", "site"]

_FROM: Final[dict[What, tuple[str, str]]] = {
    "session": ("sessions", "SELECT session AS id FROM sessions"),
    "programme": ("programmes", "SELECT programme AS id FROM programmes"),
    "household": ("households", "SELECT household AS id FROM households"),
    "site": ("meal_counts", "SELECT DISTINCT site AS id FROM meal_counts"),
}
"""The read model of each, and its ids."""

_NEAR: Final = 5
_COMPARED: Final = 5_000  # ids looked through for one that is near: a fraction of a second


async def must_be_known(pool: asyncpg.Pool, what: What, id: str | None, at_least: Position | None = None) -> None:
    """Raises Invalid, with what comes near, for an id that nothing has; None is no question."""
    if id is None:
        return
    checked(id)
    model, ids = _FROM[what]
    reading = await read(pool, model, f"SELECT FROM ({ids}) AS k WHERE id = $1 LIMIT 1", id, at_least=at_least)
    if reading.records:
        return
    reading = await read(pool, model, f"SELECT id FROM ({ids}) AS k ORDER BY id LIMIT {_COMPARED}")  # noqa: S608
    known = [record["id"] for record in reading.records]
    near = (
        get_close_matches(id, known, _NEAR, cutoff=0.6) or [one for one in known if id.lower() in one.lower()][:_NEAR]
    )
    none = "" if known else f", and no {what} at all yet"
    raise Invalid(
        f"There is no {what} {id!r}{none}." + (f" Near it: {', '.join(near)}." if near else ""), **{what: id}
    )  # fmt: skip
