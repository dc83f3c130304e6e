"""Opens sealed texts for somebody who looks at read models: reads the keys that are asked for, and writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nats.aio.client import Client

from shared.erasure import Stage
from shared.errors import Corrupt
from shared.keybucket import KeyBucket
from shared.keyring import KeyRecord
from shared.masterkeys import MasterKeys, bound_to
from shared.sealing import Head, Parts, parts_of, unseal
from shared.standings import standings
from shared.vault import INDEX

_AT_ONCE: Final = 64


class Closed(StrEnum):
    """Why a text stays closed."""

    ERASED = "(erased)"
    """Its key was destroyed."""
    LOCKED = "(locked)"
    """Its key is to be destroyed, and it is shown to nobody any more."""
    SEALED = "(sealed)"
    """Its key is not at hand."""
    CHANGED = "(changed)"
    """It is not what was sealed."""


_STAGES: Final = {Stage.APPROVED: Closed.LOCKED, Stage.ERASED: Closed.ERASED}


async def open_texts(nc: Client, service: str, masters: MasterKeys, texts: Iterable[str]) -> dict[str, str | Closed]:
    """Each of the texts, opened, or why it stays closed; by the stream, nothing is opened of who is to be erased.

    Raises WrongMasterKey, Busy, and NATS's own errors.
    """
    return await TextReader(nc, service, masters, keep=0.0).open(texts)


class TextReader:
    """Opens texts again and again: who is erased, and the keys, are asked for anew after `keep` seconds.

    So whoever is erased, or about to be, is shown for that long at most.
    """

    def __init__(self, nc: Client, service: str, masters: MasterKeys, *, keep: float = 1.0) -> None:
        self._nc, self._service, self._masters = nc, service, masters
        self._keep = keep
        self._until = 0.0
        self._closed: dict[str, Closed] = {}
        self._records: dict[str, KeyRecord | None] = {}
        self._ciphers: dict[tuple[str, int], AESGCM | Closed] = {}
        self._asking = asyncio.Lock()

    async def open(self, texts: Iterable[str]) -> dict[str, str | Closed]:
        """Each of the texts, opened, or why it stays closed. Raises as `open_texts` does."""
        parts: dict[str, Parts] = {}
        found: dict[str, str | Closed] = {}
        for text in set(texts):
            try:
                parts[text] = parts_of(text)
            except Corrupt:
                found[text] = Closed.CHANGED
        async with self._asking:
            await self._ask({part.head.owner for part in parts.values()})
            ciphers = {head: self._cipher(head) for head in {part.head for part in parts.values()}}
            for text, part in parts.items():
                found[text] = _opened(ciphers[part.head], part)
        return found

    async def _ask(self, owners: set[str]) -> None:
        """Have at hand who is erased, and the keys of these owners, none older than `keep`."""
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            # At once: whichever is answered first, nothing is opened before both are.
            standing, records = await asyncio.gather(
                standings(self._nc, self._service), _records(self._nc, self._service, sorted(owners))
            )
            self._closed = {owner: _STAGES[one.stage] for owner, one in standing.items() if one.stage in _STAGES}
            self._records, self._ciphers = dict.fromkeys(owners) | records, {}
            self._until = now + self._keep
        if unknown := sorted(owners - self._closed.keys() - self._records.keys()):
            self._records |= dict.fromkeys(unknown) | await _records(self._nc, self._service, unknown)

    def _cipher(self, head: Head) -> AESGCM | Closed:
        closed, key = self._closed.get(head.owner), (head.owner, head.number)
        if closed is not None:
            return closed
        if key not in self._ciphers:
            self._ciphers[key] = _cipher(self._service, self._masters, self._records.get(head.owner), head)
        return self._ciphers[key]


async def index_key(nc: Client, service: str, masters: MasterKeys) -> bytes | None:
    """The key of a service's blind indexes (blind.py); None before the service has made it. Raises WrongMasterKey."""
    record = (await _records(nc, service, [INDEX])).get(INDEX)
    if record is None or not record.keys:
        return None
    first = record.keys[0]
    return masters.unwrap(first.master, first.wrapped, bound_to(service, INDEX, first.number))


async def _records(nc: Client, service: str, owners: list[str]) -> dict[str, KeyRecord]:
    bucket = await KeyBucket.open(nc, service, make=False)
    if bucket is None:
        return {}
    records: dict[str, KeyRecord] = {}
    for first in range(0, len(owners), _AT_ONCE):
        for record, _ in await asyncio.gather(*map(bucket.get, owners[first : first + _AT_ONCE])):
            if record is not None:
                records[record.owner] = record
    return records


def _cipher(service: str, masters: MasterKeys, record: KeyRecord | None, head: Head) -> AESGCM | Closed:
    """What opens the texts of an owner under one of their keys, or why they stay closed."""
    if record is None:
        return Closed.SEALED
    if record.erased:
        return Closed.ERASED
    for key in record.keys:
        if key.number == head.number:
            return AESGCM(masters.unwrap(key.master, key.wrapped, bound_to(service, head.owner, key.number)))
    return Closed.SEALED


def _opened(cipher: AESGCM | Closed, part: Parts) -> str | Closed:
    if isinstance(cipher, Closed):
        return cipher
    try:
        return unseal(cipher, part)
    except Corrupt:
        return Closed.CHANGED
