"""Finding patients by name, birth date and identifier, through the index that services/projections/clinic makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import asyncpg

from services.clinic.contract import Demographics
from services.projections.clinic.naming import born_token, forms_of, identifier_token, names_of
from shared.blind import blind, meant, token, words
from shared.errors import Corrupt
from shared.heldvalue import read as read_held
from shared.keyreader import Closed
from shared.readmodel import read

MOST: Final = 300
"""Patients whose demographics are opened to be compared; more are alike only when too little was asked for."""

Open = Callable[[Iterable[str]], Awaitable[Mapping[str, str | Closed]]]
"""Opens sealed texts: shared.keyreader.open_texts, or something that keeps keys for a while."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is looked for; all that is given must hold. Words are of names: each begins a word of the names, in any
    case, with or without accents; of `family` and `given` a word of that name. Words shorter than three letters find
    only words that are as short."""

    name: str = ""
    family: str = ""
    given: str = ""
    born: date | None = None
    identifier: str | None = None

    def tokens(self, key: bytes) -> list[str]:
        found = {token(key, word) for word in words(f"{self.name} {self.family} {self.given}"[:600])}
        found |= {born_token(key, self.born)} if self.born is not None else set()
        found |= {identifier_token(key, self.identifier)} if self.identifier else set()
        return sorted(found)

    def fits(self, who: Demographics) -> bool:
        """Whether somebody is meant, by what is known of them."""
        given = " ".join(who.given)
        return (
            meant(words(self.name), words(names_of(who)))
            and meant(words(self.family), words(who.family or ""))
            and meant(words(self.given), words(given))
            and (self.born is None or self.born == who.born)
            and (not self.identifier or _alike(self.identifier) in map(_alike, _forms(who)))
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Patients by id, with who they are; with `more` there were so many alike that not all were looked at."""

    patients: Mapping[str, Demographics] = field(default_factory=dict)
    more: bool = False


async def find_patients(
    pool: asyncpg.Pool, key: bytes | None, open_: Open, wanted: Wanted, *, most: int = MOST
) -> Found:
    """Who is meant. `key` is that of the clinic's blind indexes (shared.keyreader.index_key); without one, nobody.

    Who was erased is not found: within a second of it their tokens are deleted, and they do not open from the first.
    """
    tokens = [] if key is None else wanted.tokens(key)
    if not tokens:
        return Found()
    records = await pool.fetch(
        "SELECT owner FROM clinic.search_token WHERE token = ANY($1) GROUP BY owner"
        " HAVING count(DISTINCT token) = $2 ORDER BY owner LIMIT $3", tokens, len(tokens), most + 1,
    )  # fmt: skip
    sealed = await sealed_demographics(pool, [record["owner"] for record in records[:most]])
    texts = await open_(sealed.values()) if sealed else {}
    known = {patient: _read(texts.get(text)) for patient, text in sealed.items()}
    return Found(
        {patient: who for patient, who in known.items() if who is not None and wanted.fits(who)}, len(records) > most
    )


async def sealed_demographics(pool: asyncpg.Pool, patients: Sequence[str]) -> Mapping[str, str]:
    """What says who patients are, sealed, by id."""
    reading = await read(
        pool, "clinic_patients", "SELECT patient, content FROM patients WHERE patient = ANY($1) ORDER BY 1",
        list(patients),
    )  # fmt: skip
    return {record["patient"]: record["content"] for record in reading.records}


def _read(text: str | Closed | None) -> Demographics | None:
    if text is None or isinstance(text, Closed):
        return None
    try:
        return read_held(text, Demographics)
    except Corrupt:
        return None


def _forms(who: Demographics) -> list[str]:
    return [form for identifier in who.identifiers for form in forms_of(identifier)]


def _alike(identifier: str) -> str:
    """An identifier in the form in which it is compared."""
    return blind(b"", "identifier", identifier)
