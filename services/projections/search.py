# ruff: noqa: S608  # statements are put together from names that `Searched` holds, each a constant
"""Finding people by name: blind indexes of what is known of them, made here and nowhere in an event.

It follows a service's stream, opens what its events hold sealed of who somebody is, and keeps a token for how each word
of a name begins (shared/blind.py), and for what else they are found by. Whoever reads the database sees whose names
begin alike, and not how. When somebody's key is destroyed the vault tells, their rows are deleted at once, and nothing
makes them again: the names do not open any more. It is no read model: it cannot be folded again from the events alone,
so `commons verify` leaves it.

Households are found by the words of their names, patients also by birth date and by identifier. Patients' tokens are in
tables apart (migrations/0003_clinic.sql), and are made by the process of the clinic's read models.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import structlog

from shared import database
from shared.blind import token, words
from shared.connection import connect
from shared.contract import Contract
from shared.errors import Busy, Corrupt, LedgerError
from shared.event import decode
from shared.generations import StandsStill, lock_key
from shared.keybucket import KeyBucket
from shared.keyreader import Closed, index_key, open_texts
from shared.keyring import KeyRecord
from shared.masterkeys import MasterKeys
from shared.runner import act_as
from shared.store import stream_name
from shared.tasks import end
from shared.wire import Message, StreamReader

log = structlog.get_logger(__name__)

_FIRST_DELAY: Final = 0.25
_LONGEST_DELAY: Final = 2.0
_SLICE: Final = 500

Part = tuple[str, str]
"""Whose it is, and which part of what is known of them, such as `name` or `member:<id>`."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What is searched for: the stream of `contract`, its aggregates of `category`, whose ids own the keys.

    `sealed` gives the sealed texts that an event leaves each part with, none when the part is gone; `tokens` what an
    opened one is found by, under the key of blind indexes. `version` is raised with every change of either: the index
    is then made anew. The tables search_token and search_position are in `schema`, and belong to `role`.
    """

    contract: Contract
    category: str
    version: int
    sealed: Callable[[Any], Mapping[Part, list[str]]]
    tokens: Callable[[bytes, str], Iterable[str]]
    schema: str = "commons"
    role: str | None = None

    @property
    def service(self) -> str:
        return self.contract.service

    @property
    def stream(self) -> str:
        return stream_name(self.service)


def words_of_a_name(key: bytes, name: str) -> Iterable[str]:
    """A name is found by how each of its words begins."""
    return {token(key, word) for word in words(name)}


class NameSearch:
    """Keeps the index for as long as it runs; `state` says how it is, in a word or a sentence."""

    def __init__(
        self, searched: Searched, nats_url: str, database_url: str, masters: Callable[[], MasterKeys]
    ) -> None:  # fmt: skip
        self._searched = searched
        self._nats_url, self._database_url, self._read_masters = nats_url, database_url, masters
        self.state = "starting"
        self.position = 0
        self._erased: set[str] = set()
        """Those whose keys were destroyed, as far as was heard."""
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
                state = f"{'standing still' if isinstance(error, StandsStill) else 'waiting'}: {detail}"
                if state != self.state:
                    self.state = state
                    log.warning("search by name waits", reason=detail)
            lasted = asyncio.get_running_loop().time() - began
            delay = _FIRST_DELAY if lasted > _LONGEST_DELAY else min(delay * 2, _LONGEST_DELAY)
            await asyncio.sleep(delay)

    async def _session(self) -> None:
        masters, service = self._read_masters(), self._searched.service
        async with contextlib.AsyncExitStack() as open_:
            connection = await database.connect(self._database_url)
            open_.callback(connection.terminate)
            if not await connection.fetchval(
                "SELECT pg_try_advisory_lock($1, $2)", *lock_key(f"search {self._searched.schema}", 1)
            ):
                raise StandsStill("The search by name is kept by another process; this one stands by.")
            lost = asyncio.Event()
            nc = await connect(self._nats_url, name="search", on_lost=lost.set)
            open_.push_async_callback(nc.close)
            bucket = await KeyBucket.open(nc, service, make=False)
            if bucket is None:
                raise Busy(f"{service} has no keys yet.")
            await bucket.listen(self._hear)
            await nc.flush()
            for record in (await bucket.load()).values():
                self._hear(record)
            key = await index_key(nc, service, masters)
            if key is None:
                raise Busy(f"{service} has no key of blind indexes yet.")
            if self._searched.role is not None:
                await act_as(connection, self._searched.role)
            self.position = await self._begin(connection)
            await self._forget(connection)
            self.state = "live"
            follow = asyncio.create_task(self._follow(connection, nc, masters, key))
            tasks = {follow, asyncio.create_task(self._forget_when_told(connection)), asyncio.create_task(lost.wait())}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await end(tasks)
            raise Busy("The connection to NATS was lost.")  # what was destroyed meanwhile is learned by beginning anew

    # -- what comes ---------------------------------------------------------------------------------------------------

    async def _follow(
        self, connection: asyncpg.Connection[Any], nc: Any, masters: MasterKeys, key: bytes
    ) -> None:  # fmt: skip
        searched = self._searched
        async with StreamReader(self._nats_url, searched.stream, self.position + 1, name="search") as reader:
            async for messages in reader.batches(idle=1.0):
                for start in range(0, len(messages), _SLICE):
                    part = messages[start : start + _SLICE]
                    sealed = self._sealed(part)
                    texts = [text for found in sealed.values() for text in found]
                    opened = await open_texts(nc, searched.service, masters, texts) if texts else {}
                    rows = {where: self._tokens(key, [opened[one] for one in found]) for where, found in sealed.items()}
                    await self._write(connection, rows, part[-1].sequence)

    async def _write(
        self, connection: asyncpg.Connection[Any], rows: Mapping[Part, set[str]], sequence: int
    ) -> None:  # fmt: skip
        """Put the tokens of these names in the place of those there were, and move on."""
        schema = self._searched.schema
        put = [(owner, part, one) for (owner, part), tokens in rows.items() for one in tokens]
        async with self._writing:
            async with connection.transaction():
                if rows:
                    await connection.execute(
                        f"DELETE FROM {schema}.search_token AS t USING unnest($1::text[], $2::text[]) AS g(owner, part)"
                        " WHERE (t.owner, t.part) = (g.owner, g.part)", *map(list, zip(*rows, strict=True)),
                    )  # fmt: skip
                await connection.executemany(f"INSERT INTO {schema}.search_token VALUES ($1, $2, $3)", put)
                await connection.execute(
                    f"UPDATE {schema}.search_position SET sequence = $2 WHERE stream = $1",
                    self._searched.stream,
                    sequence,
                )
            self.position = sequence
        if any(owner in self._erased for owner, _ in rows):  # destroyed while the names were being opened
            await self._forget(connection)

    # -- what is destroyed --------------------------------------------------------------------------------------------

    def _hear(self, record: KeyRecord) -> None:
        owner = f"{self._searched.category}/"
        if record.erased and record.owner.startswith(owner):
            self._erased.add(record.owner.removeprefix(owner))
            self._told.set()

    async def _forget_when_told(self, connection: asyncpg.Connection[Any]) -> None:
        while True:
            await self._told.wait()
            await self._forget(connection)

    async def _forget(self, connection: asyncpg.Connection[Any]) -> None:
        """Delete whatever there is of those whose keys were destroyed."""
        self._told.clear()
        async with self._writing:
            await connection.execute(
                f"DELETE FROM {self._searched.schema}.search_token WHERE owner = ANY($1)", sorted(self._erased)
            )

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _begin(self, connection: asyncpg.Connection[Any]) -> int:
        """Where the index stands: 0, and empty, when it was made by other code. Raises Busy before the tables are
        there."""
        schema, stream, version = self._searched.schema, self._searched.stream, self._searched.version
        try:
            async with connection.transaction():
                found = await connection.fetchrow(f"SELECT * FROM {schema}.search_position WHERE stream = $1", stream)
                if found is not None and found["version"] == version:
                    return int(found["sequence"])
                await connection.execute(f"DELETE FROM {schema}.search_token")
                await connection.execute(
                    f"INSERT INTO {schema}.search_position VALUES ($1, 0, $2)"
                    " ON CONFLICT (stream) DO UPDATE SET sequence = 0, version = $2", stream, version,
                )  # fmt: skip
                return 0
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
            raise Busy("The database has none of the search's tables yet: apply the migrations.") from error

    def _sealed(self, messages: Sequence[Message]) -> dict[Part, list[str]]:
        """The sealed texts that these events leave each part with."""
        searched, found = self._searched, dict[Part, list[str]]()
        subjects = f"ledger.{searched.service}.{searched.category}."
        for message in messages:
            if not message.subject.startswith(subjects):
                continue
            try:
                event = decode(
                    message.payload, stream=searched.stream, sequence=message.sequence, subject=message.subject,
                    contract=searched.contract,
                )  # fmt: skip
            except Corrupt as error:
                log.error("an event was left out of the search", sequence=message.sequence, reason=error.detail)
                continue
            found.update(searched.sealed(event.data))
        return found

    def _tokens(self, key: bytes, texts: Sequence[str | Closed]) -> set[str]:
        """The tokens of texts that could be opened."""
        return {one for text in texts if not isinstance(text, Closed) for one in self._searched.tokens(key, text)}
