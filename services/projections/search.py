"""Finding households by name: blind indexes of the words of their names, made here and nowhere in an event.

It follows DISTRIBUTION, opens the names that its events hold sealed, and keeps a token for how each word begins
(shared/blind.py). Whoever reads the database sees which households have names that begin alike, and not how. When a
household's key is destroyed the vault tells, its rows are deleted at once, and nothing makes them again: the names do
not open any more. It is no read model: it cannot be folded again from the events alone, so `commons verify` leaves it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import structlog

from services.distribution.contract import (
    HouseholdChanged,
    HouseholdRegistered,
    MemberAdded,
    MemberRemoved,
    ProxyAuthorised,
    ProxyRevoked,
    distribution,
)
from shared.blind import token, words
from shared.connection import connect
from shared.errors import Busy, Corrupt, LedgerError
from shared.event import decode
from shared.keybucket import KeyBucket
from shared.keyreader import Closed, index_key, open_texts
from shared.keyring import KeyRecord
from shared.masterkeys import MasterKeys
from shared.store import stream_name
from shared.wire import Message, StreamReader

log = structlog.get_logger(__name__)

VERSION: Final = 1
"""Raised with every change of how tokens are made: the index is then made anew."""

SERVICE: Final = distribution.service
STREAM: Final = stream_name(SERVICE)

_SUBJECTS: Final = f"ledger.{SERVICE}.household."
_OWNER: Final = "household/"
_FIRST_DELAY: Final = 0.25
_LONGEST_DELAY: Final = 2.0
_SLICE: Final = 500

Part = tuple[str, str]
"""A household, and which of its names: `name`, `member:<id>`, `proxy:<id>`."""


class NameSearch:
    """Keeps the index for as long as it runs; `state` says how it is, in a word or a sentence."""

    def __init__(self, nats_url: str, database_url: str, masters: Callable[[], MasterKeys]) -> None:
        self._nats_url, self._database_url, self._read_masters = nats_url, database_url, masters
        self.state = "starting"
        self.position = 0
        self._erased: set[str] = set()
        """The households whose keys were destroyed, as far as was heard."""
        self._told = asyncio.Event()
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Follow, for ever; whatever goes wrong is said, and tried again."""
        delay = _FIRST_DELAY
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001  # the door: search must not touch the read models beside it
                detail = error.detail if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
                if (state := f"waiting: {detail}") != self.state:
                    self.state = state
                    log.warning("search by name waits", reason=detail)
            lasted = asyncio.get_running_loop().time() - began
            delay = _FIRST_DELAY if lasted > _LONGEST_DELAY else min(delay * 2, _LONGEST_DELAY)
            await asyncio.sleep(delay)

    async def _session(self) -> None:
        masters = self._read_masters()
        async with contextlib.AsyncExitStack() as open_:
            lost = asyncio.Event()
            nc = await connect(self._nats_url, name="search", on_lost=lost.set)
            open_.push_async_callback(nc.close)
            bucket = await KeyBucket.open(nc, SERVICE, make=False)
            if bucket is None:
                raise Busy(f"{SERVICE} has no keys yet.")
            await bucket.listen(self._hear)
            await nc.flush()
            for record in (await bucket.load()).values():
                self._hear(record)
            key = await index_key(nc, SERVICE, masters)
            if key is None:
                raise Busy(f"{SERVICE} has no key of blind indexes yet.")
            connection = await asyncpg.connect(self._database_url, timeout=10)
            open_.callback(connection.terminate)
            self.position = await _begin(connection)
            await self._forget(connection)
            self.state = "live"
            follow = asyncio.create_task(self._follow(connection, nc, masters, key))
            tasks = {follow, asyncio.create_task(self._forget_when_told(connection)), asyncio.create_task(lost.wait())}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            raise Busy("The connection to NATS was lost.")  # what was destroyed meanwhile is learned by beginning anew

    # -- what comes ---------------------------------------------------------------------------------------------------

    async def _follow(
        self, connection: asyncpg.Connection[Any], nc: Any, masters: MasterKeys, key: bytes
    ) -> None:  # fmt: skip
        async with StreamReader(self._nats_url, STREAM, self.position + 1, name="search") as reader:
            async for messages in reader.batches(idle=1.0):
                for start in range(0, len(messages), _SLICE):
                    part = messages[start : start + _SLICE]
                    sealed = _names(part)
                    texts = [text for found in sealed.values() for text in found]
                    words_of = await open_texts(nc, SERVICE, masters, texts) if texts else {}
                    rows = {where: _tokens(key, [words_of[text] for text in found]) for where, found in sealed.items()}
                    await self._write(connection, rows, part[-1].sequence)

    async def _write(
        self, connection: asyncpg.Connection[Any], rows: Mapping[Part, set[str]], sequence: int
    ) -> None:  # fmt: skip
        """Put the tokens of these names in the place of those there were, and move on."""
        put = [(owner, part, one) for (owner, part), tokens in rows.items() for one in tokens]
        async with self._writing:
            async with connection.transaction():
                if rows:
                    await connection.execute(
                        "DELETE FROM commons.search_token AS t USING unnest($1::text[], $2::text[]) AS g(owner, part)"
                        " WHERE (t.owner, t.part) = (g.owner, g.part)", *map(list, zip(*rows, strict=True)),
                    )  # fmt: skip
                await connection.executemany("INSERT INTO commons.search_token VALUES ($1, $2, $3)", put)
                await connection.execute(
                    "UPDATE commons.search_position SET sequence = $2 WHERE stream = $1", STREAM, sequence
                )
            self.position = sequence
        if any(owner in self._erased for owner, _ in rows):  # destroyed while the names were being opened
            await self._forget(connection)

    # -- what is destroyed --------------------------------------------------------------------------------------------

    def _hear(self, record: KeyRecord) -> None:
        if record.erased and record.owner.startswith(_OWNER):
            self._erased.add(record.owner.removeprefix(_OWNER))
            self._told.set()

    async def _forget_when_told(self, connection: asyncpg.Connection[Any]) -> None:
        while True:
            await self._told.wait()
            await self._forget(connection)

    async def _forget(self, connection: asyncpg.Connection[Any]) -> None:
        """Delete whatever there is of households whose keys were destroyed."""
        self._told.clear()
        async with self._writing:
            await connection.execute("DELETE FROM commons.search_token WHERE owner = ANY($1)", sorted(self._erased))


async def _begin(connection: asyncpg.Connection[Any]) -> int:
    """Where the index stands: 0, and empty, when it was made by other code. Raises Busy before the tables are there."""
    try:
        async with connection.transaction():
            found = await connection.fetchrow("SELECT * FROM commons.search_position WHERE stream = $1", STREAM)
            if found is not None and found["version"] == VERSION:
                return int(found["sequence"])
            await connection.execute("DELETE FROM commons.search_token")
            await connection.execute(
                "INSERT INTO commons.search_position VALUES ($1, 0, $2)"
                " ON CONFLICT (stream) DO UPDATE SET sequence = 0, version = $2", STREAM, VERSION,
            )  # fmt: skip
            return 0
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise Busy("The database has none of the search's tables yet: apply the migrations.") from error


def _names(messages: Sequence[Message]) -> dict[Part, list[str]]:
    """The sealed names that these events leave each part of a household with; none when the part is gone."""
    found: dict[Part, list[str]] = {}
    for message in messages:
        if not message.subject.startswith(_SUBJECTS):
            continue
        try:
            event = decode(
                message.payload, stream=STREAM, sequence=message.sequence, subject=message.subject,
                contract=distribution,
            )  # fmt: skip
        except Corrupt as error:
            log.error("an event was left out of the search by name", sequence=message.sequence, reason=error.detail)
            continue
        match event.data:
            case HouseholdRegistered() as data:
                found[data.household, "name"] = _known(data.name)
                for one in data.members:
                    found[data.household, f"member:{one.member}"] = _known(one.name)
            case HouseholdChanged() as data:
                found[data.household, "name"] = _known(data.name)
            case MemberAdded() | MemberRemoved() as data:
                name = data.name if isinstance(data, MemberAdded) else None
                found[data.household, f"member:{data.member}"] = _known(name)
            case ProxyAuthorised() | ProxyRevoked() as data:
                name = data.name if isinstance(data, ProxyAuthorised) else None
                found[data.household, f"proxy:{data.proxy}"] = _known(name)
    return found


def _known(name: str | None) -> list[str]:
    return [] if name is None else [name]


def _tokens(key: bytes, names: Sequence[str | Closed]) -> set[str]:
    """The tokens of names that could be opened."""
    return {token(key, word) for name in names if not isinstance(name, Closed) for word in words(name)}
