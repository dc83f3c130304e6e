"""Households by name: which are meant by the words that somebody typed, for who has the master key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import asyncpg
import nats.errors

from services.commands.common import Operator
from services.commands.door import Unreachable
from services.local.keys import Keys
from services.queries import QueryResult
from shared.blind import LETTERS, meant, token, words
from shared.errors import LedgerError
from shared.keyreader import Closed, index_key, open_texts
from shared.readmodel import read

SERVICE: Final = "distribution"

_MOST: Final = 300
"""Households whose names are opened to be compared; more begin alike only when too little was typed."""


@dataclass(frozen=True, slots=True)
class Named:
    """The households that were found; `note` says what stood in the way of finding more."""

    households: tuple[str, ...] = ()
    note: str | None = None

    def told(self, found: QueryResult) -> QueryResult:
        """An answer that says what stood in the way, in place of that there is no such household: nobody knows."""
        return found if self.note is None else replace(found, message=self.note)


async def households_named(operator: Operator, pool: asyncpg.Pool, text: str) -> Named:
    """The households of which each word begins a word of some name: its own, a member's, or who may collect for it.

    The index has the first three letters of each word: those words of at least as many find who may be meant, and the
    others are compared when the names are opened. Are all shorter, only names that have just those words are found. A
    card's code, or a household's id, is not looked for among names.
    """
    reading = await read(pool, "households", "SELECT FROM households WHERE card = $1 OR household = $1 LIMIT 1", text)
    asked = words(text[:200])
    if reading.records or not asked:
        return Named()
    masters = Keys(operator.folder / "keys").masters()
    if masters is None:
        return Named(note="Names are not searched: there is no master key here, nor COMMONS_MASTER_KEY_FILE.")
    try:
        async with operator.nats() as nc:
            key = await index_key(nc, SERVICE, masters)
            if key is None:
                return Named()
            long = [word for word in asked if len(word) >= LETTERS]
            candidates = await _candidates(pool, sorted({token(key, word) for word in long or asked}))
            names = await _sealed_names(pool, candidates[:_MOST])
            opened = await open_texts(nc, SERVICE, masters, [name for found in names.values() for name in found])
    except (LedgerError, Unreachable, nats.errors.Error, OSError, TimeoutError) as error:
        return Named(note=f"Names are not searched: {getattr(error, 'detail', None) or error}")
    readable = {text: words(name) for text, name in opened.items() if not isinstance(name, Closed)}
    found = [id for id, sealed in names.items() if meant(asked, [w for t in sealed for w in readable.get(t, ())])]
    note = f"More than {_MOST} names begin so: type more letters." if len(candidates) > _MOST else None
    if not long and not found:
        note = f"Type at least {LETTERS} letters of the beginning of a name: fewer find only a name that short."
    return Named(tuple(found), note)


async def _candidates(pool: asyncpg.Pool, tokens: list[str]) -> list[str]:
    """The households that have all of the tokens."""
    records = await pool.fetch(
        "SELECT owner FROM commons.search_token WHERE token = ANY($1) GROUP BY owner"
        " HAVING count(DISTINCT token) = $2 ORDER BY owner LIMIT $3",
        tokens, len(tokens), _MOST + 1,
    )  # fmt: skip
    return [record["owner"] for record in records]


async def _sealed_names(pool: asyncpg.Pool, households: list[str]) -> Mapping[str, list[str]]:
    reading = await read(
        pool, "households",
        "SELECT household, name FROM households WHERE household = ANY($1) AND name IS NOT NULL"
        " UNION ALL SELECT household, name FROM members WHERE household = ANY($1) AND name IS NOT NULL"
        " UNION ALL SELECT household, name FROM proxies WHERE household = ANY($1) AND name IS NOT NULL",
        households,
    )  # fmt: skip
    found: dict[str, list[str]] = {}
    for record in reading.records:
        found.setdefault(record["household"], []).append(record["name"])
    return found
