"""The vault: a key for each person, under which what is personal in events is sealed; destroying it is erasure.

A key is random, wrapped under a master key, and durable in two places before anything is sealed under it: a file of
the service (keyring.py) and a bucket in NATS (keybucket.py). At the start both are read, and what one lacks is written
to it; that a key was destroyed wins over the key, in whichever place it is written.

Sealing and opening need no server: every key of the service is in memory. Only a new owner's key is waited for.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nats.aio.client import Client

from shared.blind import blind
from shared.clock import Clock, utc_now
from shared.erasure import Stage
from shared.errors import Busy, Corrupt, Erased, Invalid, LedgerError, Misconfigured
from shared.event import timestamp
from shared.keybucket import KeyBucket
from shared.keyring import KeyFile, KeyRecord, Records, WrappedKey, merged
from shared.masterkeys import MasterKeys, bound_to, given
from shared.sealing import KEY_BYTES, is_owner, parts_of, seal, unseal
from shared.settings import Settings
from shared.standings import Standing, standings
from shared.tasks import end

log = structlog.get_logger(__name__)

_FOLLOW_SECONDS: Final = 0.5
"""How long what other processes write gathers before it goes into this one's file."""

_AT_ONCE: Final = 128
"""New keys that are on their way at a time; further ones wait, rather than run into a time-out together."""

INDEX: Final = "index"
"""The owner of the key of blind indexes; no person's, which all have a slash."""


class KeyNotHere(Exception):
    """A sealed text was to be opened whose key this process has not read yet: another one may just have made it."""

    def __init__(self, owner: str, number: int) -> None:
        super().__init__(owner, number)
        self.owner = owner
        self.number = number


class Vault:
    """The keys of one service."""

    def __init__(
        self,
        service: str,
        masters: Callable[[], MasterKeys],
        file: KeyFile,
        bucket: KeyBucket,
        erasures: Callable[[], Awaitable[dict[str, Standing]]],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self.service = service
        self._read_masters = masters
        self._masters = masters()
        self._file = file
        self._bucket = bucket
        self._erasures = erasures
        self._clock = clock
        self._ciphers: dict[str, dict[int, AESGCM]] = {}
        """Of each owner by number; the last one seals. Empty when they were destroyed."""
        self._lost: set[tuple[str, int]] = set()
        """Keys that sealed something, and were looked for and not found."""
        self._index_key = b""
        self._unwritten: dict[str, KeyRecord] = {}
        self._asked = self._written = 0
        self._writing = asyncio.Lock()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._making: dict[str, asyncio.Task[None]] = {}
        self._reloading: asyncio.Task[None] | None = None
        self._own: set[str] = set()
        """Owners whose record this process is writing."""
        self._heard: set[str] = set()
        """Owners of whom another process wrote a record that is not in this one's file yet."""
        self._following: asyncio.Task[None] | None = None
        self._subscription: Any = None

    @classmethod
    async def open(
        cls,
        nc: Client,
        service: str,
        masters: Callable[[], MasterKeys],
        folder: Path,
        *,
        replicas: int = 1,
        clock: Clock = utc_now,
    ) -> Vault:
        """Read the keys from both places, and write to each what it lacks; first of all who was erased, by the stream.

        `masters` reads the master keys, again when a key is wrapped under one that is not known: they are rotated while
        services run.

        Raises WrongMasterKey, before anything is written, when a key cannot be unwrapped; Misconfigured, Corrupt or
        Busy when a place cannot be read.
        """
        bucket = await KeyBucket.open(nc, service, replicas=replicas)
        assert bucket is not None
        vault = cls(service, masters, KeyFile(folder, service), bucket, partial(standings, nc, service), clock=clock)
        await vault._load()
        vault._subscription = await bucket.listen(vault._hear)
        await vault._load()  # what was written while nobody listened
        await vault._ensure_index()
        return vault

    async def close(self) -> None:
        """Stop listening."""
        await end(t for t in (self._reloading, self._following, *self._making.values()) if t is not None)

    def connection_changed(self) -> None:
        """The connection was lost: what others wrote meanwhile is read when it is back."""
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload())

    # -- sealing and opening --------------------------------------------------------------------------------------

    def knows(self, owner: str) -> bool:
        """Whether an owner has a key, or had one: then nothing has to be waited for before sealing."""
        return owner in self._ciphers

    def erased(self, owner: str) -> bool:
        return self._ciphers.get(owner) == {}

    async def ensure(self, owners: Iterable[str]) -> None:
        """Give each owner a key, durable in both places, who never had one. Raises Busy, Invalid."""
        missing = [owner for owner in owners if owner not in self._ciphers]
        for owner in missing:
            if owner not in self._making:
                if not is_owner(owner):
                    raise Invalid(f"{owner[:80]!r} cannot own a key: its id has other characters than an id has.")
                self._making[owner] = asyncio.create_task(self._make(owner))
                self._making[owner].add_done_callback(partial(self._made, owner))
        await asyncio.gather(*(asyncio.shield(self._making[owner]) for owner in missing))

    def seal(self, owner: str, event_id: str, field: str, text: str, *, remark: bool = False) -> str:
        """A text sealed under its owner's newest key.

        Raises Erased when the owner's keys were destroyed; a remark (personal.py) is then sealed under a key that is
        thrown away.
        """
        ciphers = self._ciphers.get(owner)
        if ciphers is None:
            raise LedgerError(f"{owner} has no key, so nothing of it can be recorded.", owner=owner)
        if not ciphers and remark:
            thrown_away = AESGCM(secrets.token_bytes(KEY_BYTES))
            return seal(thrown_away, secrets.randbelow(10**9 - 1) + 1, owner, event_id, field, text)
        if not ciphers:
            raise Erased(
                f"What was known of {owner} was erased, and nothing new is recorded under that id. "
                "Use a new id if it is about somebody who has come again.",
                owner=owner,
            )  # fmt: skip
        number = next(reversed(ciphers))
        return seal(ciphers[number], number, owner, event_id, field, text)

    def unseal(self, text: str, *, owner: str | None = None, event_id: str | None = None, field: str | None = None
               ) -> str | None:  # fmt: skip
        """The text in a sealed one; None when its key was destroyed or lost.

        What is given of owner, event and field is compared with what the text was sealed for. Raises Corrupt when it
        differs, or when the text was changed; KeyNotHere when its key has to be read first (`look_for`).
        """
        parts = parts_of(text)
        for name, said, stands in (
            ("owner", parts.owner, owner), ("event", parts.event_id, event_id), ("field", parts.field, field),
        ):  # fmt: skip
            if stands is not None and said != stands:
                raise Corrupt(f"A sealed text stands where it does not belong: its {name} is {said}, not {stands}.")
        cipher = self._ciphers.get(parts.owner, {}).get(parts.number)
        if cipher is None and not self.erased(parts.owner) and (parts.owner, parts.number) not in self._lost:
            raise KeyNotHere(parts.owner, parts.number)
        return None if cipher is None else unseal(cipher, parts)

    async def look_for(self, owner: str, number: int) -> None:
        """Read an owner's keys again, one of which is not here. Raises Busy."""
        record = await self._bucket.read(owner)
        if record is not None:
            await self._append(record)
            self._take({owner: record})
        if number not in self._ciphers.get(owner, {}):
            self._lost.add((owner, number))

    def blind(self, kind: str, text: str) -> str:
        """A blind index of a text: 32 hex digits, the same for the same text of the same kind in this service alone.

        Upper and lower case, blanks and compatible characters (NFKC) make no difference. It outlives the person's key:
        who has the keyring can try texts on it, so it is made only of what must be found again.
        """
        return blind(self._index_key, kind, text)

    # -- changing -------------------------------------------------------------------------------------------------

    async def destroy(self, owner: str) -> None:
        """Destroy an owner's keys for good: first that it is so, in both places, then the keys themselves.

        May be called again when it was broken off, and for an owner without a key. Raises Busy when a place cannot be
        written; nothing is sealed under the key then either.
        """
        if not is_owner(owner):
            raise Invalid(f"{owner[:80]!r} is not an owner of a key; write for example party/p-12.")
        self._ciphers[owner] = {}
        note = KeyRecord(owner, erased=timestamp(self._clock()))
        self._own.add(owner)
        try:
            await self._append(note)
            await self._bucket.change(owner, partial(_with, note))
            await self._write(self._file.rewrite)
        finally:
            self._own.discard(owner)

    async def take_in(self, records: Records) -> None:
        """Add the records of a copy, those of the erased first.

        Raises WrongMasterKey, with nothing written, when one of its keys cannot be unwrapped.
        """
        self._take(records)
        for record in sorted(records.values(), key=lambda record: not record.erased):
            await self._append(await self._bucket.change(record.owner, partial(_beside, record)))
        await self._write(self._file.rewrite)

    async def rewrap(self) -> int:
        """Wrap every key that is not under the current master key under it, in both places; gives how many owners'."""
        done = 0
        for owner, record in (await self._bucket.load()).items():
            if self._rewrapped(record) != record:
                await self._bucket.change(owner, partial(self._rewrapped_over, record))
                done += 1
        await self._write(lambda: self._file.rewrite(self._all_rewrapped))
        return done

    # -- inside ---------------------------------------------------------------------------------------------------

    def _made(self, owner: str, _: asyncio.Task[None]) -> None:
        self._making.pop(owner, None)

    async def _make(self, owner: str) -> None:
        """A new owner's key: the bucket says whose is taken when two make one, and the file follows."""
        mine = KeyRecord(owner, (self._new_key(owner),))
        async with self._at_once:
            record = await self._bucket.create(mine)
            await self._append(record)
        self._take({owner: record})

    def _new_key(self, owner: str) -> WrappedKey:
        number = secrets.randbelow(10**9 - 1) + 1
        wrapped = self._masters.wrap(secrets.token_bytes(KEY_BYTES), self._bound(owner, number))
        return WrappedKey(number, self._masters.current, wrapped)

    async def _ensure_index(self) -> None:
        if INDEX not in self._ciphers:
            await self._make(INDEX)

    async def _load(self) -> None:
        """Take what both places hold, and write to each what it lacks; nothing is written before all is unwrapped."""
        in_file = await asyncio.to_thread(self._file.load)
        in_bucket = await self._bucket.load()
        together = in_file | {owner: merged(in_file.get(owner), record) for owner, record in in_bucket.items()}
        for owner, standing in (await self._erasures()).items():
            if standing.stage is Stage.ERASED:
                together[owner] = merged(together.get(owner), KeyRecord(owner, erased=standing.at))
        self._take(together)
        for owner, record in together.items():
            if in_bucket.get(owner) != record:
                log.warning("the bucket of keys lacked something that is written to it", owner=owner)
                await self._bucket.change(owner, partial(_with, record))
        lacking = [record for owner, record in together.items() if in_file.get(owner) != record]
        if lacking:
            log.warning("the file of keys lacked something that is written to it", owners=len(lacking))
            await self._append(*lacking)
        await self._bucket.tidy()
        if self._file.written_over or any(record.erased for record in lacking):
            await self._write(self._file.rewrite)

    async def _reload(self) -> None:
        while True:
            try:
                await self._load()
                return
            except Busy:
                await asyncio.sleep(0.25)
            except LedgerError as error:
                log.error("the keys could not be read again", reason=error.detail)
                return

    def _take(self, records: Records) -> None:
        """Hold the keys of records in memory. Raises WrongMasterKey, with nothing taken."""
        taken: dict[str, dict[int, AESGCM]] = {}
        index = self._index_key
        for owner, record in records.items():
            keys = {key.number: self._unwrapped(owner, key) for key in record.keys if not record.erased}
            taken[owner] = {number: AESGCM(key) for number, key in keys.items()}
            if owner == INDEX and keys:
                index = next(iter(keys.values()))
        for owner, ciphers in taken.items():
            if not self.erased(owner):
                self._ciphers[owner] = ciphers and ciphers | self._ciphers.get(owner, {})
        self._index_key = index

    def _hear(self, record: KeyRecord) -> None:
        """Another process wrote a record: what it destroyed is destroyed here too."""
        if record.erased:
            self._ciphers[record.owner] = {}
        elif any(key.master not in self._masters.names for key in record.keys):
            self._reread_masters()
        if record.owner not in self._own and record.owner not in self._making:
            self._heard.add(record.owner)
            if self._following is None or self._following.done():
                self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        """Take what other processes wrote into this one's file, which may be on another machine: a new key is then
        there when the bucket is lost, and one that was destroyed or wrapped anew is not."""
        while self._heard:
            await asyncio.sleep(_FOLLOW_SECONDS)
            heard, self._heard = self._heard, set()
            try:
                read = [record for owner in sorted(heard) if (record := await self._bucket.read(owner)) is not None]
                known = any(record.erased or record.owner in self._ciphers for record in read)
                self._take({record.owner: record for record in read})
                in_file = await asyncio.to_thread(self._file.load)
                lacking = [record for record in read if in_file.get(record.owner) != record]
                if lacking:
                    await self._append(*lacking)
                if lacking and known:  # what was written over must not stay
                    await self._write(self._file.rewrite)
            except Busy as error:
                log.warning("keys of other processes were not taken yet", reason=error.detail)
                self._heard |= heard
            except LedgerError as error:
                log.error("keys of other processes could not be taken", reason=error.detail)

    def _bound(self, owner: str, number: int) -> str:
        return bound_to(self.service, owner, number)

    def _unwrapped(self, owner: str, key: WrappedKey) -> bytes:
        if key.master not in self._masters.names:
            self._reread_masters()
        return self._masters.unwrap(key.master, key.wrapped, self._bound(owner, key.number))

    def _reread_masters(self) -> None:
        """Take the master keys as they are now: they were rotated meanwhile."""
        try:
            self._masters = self._read_masters()
        except LedgerError as error:
            log.error("the master keys could not be read again", reason=error.detail)

    def _rewrapped(self, record: KeyRecord) -> KeyRecord:
        return KeyRecord(
            record.owner, tuple(self._newly_wrapped(record.owner, key) for key in record.keys), record.erased
        )

    def _rewrapped_over(self, was: KeyRecord, before: KeyRecord | None) -> KeyRecord:
        return self._rewrapped(before or was)

    def _newly_wrapped(self, owner: str, key: WrappedKey) -> WrappedKey:
        """A key under the current master key; as it is when it is so already."""
        if key.master == self._masters.current:
            return key
        wrapped = self._masters.wrap(self._unwrapped(owner, key), self._bound(owner, key.number))
        return WrappedKey(key.number, self._masters.current, wrapped)

    def _all_rewrapped(self, records: Records) -> Records:
        return {owner: self._rewrapped(record) for owner, record in records.items()}

    async def _append(self, *records: KeyRecord) -> None:
        """Add records to the file; what gathers while another write is under way is written, and synced, at once."""
        for record in records:
            self._unwritten[record.owner] = merged(self._unwritten.get(record.owner), record)
        self._asked += 1
        mine = self._asked
        async with self._writing:
            if self._written < mine:
                batch, upto = list(self._unwritten.values()), self._asked
                await self._write(partial(self._file.append, *batch))
                self._written = upto
                for record in batch:
                    if self._unwritten.get(record.owner) == record:
                        del self._unwritten[record.owner]

    async def _write(self, change: Any) -> None:
        """A change of the file, off the loop: it waits for the disk. Raises Busy."""
        try:
            await asyncio.to_thread(change)
        except OSError as error:
            raise Busy(
                f"The keyring {self._file.path} could not be written: {error.strerror}. Nothing was recorded; make "
                "room, and send it again.",
                path=str(self._file.path),
            ) from error


def _beside(copy: KeyRecord, there: KeyRecord | None) -> KeyRecord:
    """What a copy holds, beside what is there, whose newest key stays the newest."""
    return merged(copy, there or copy)


def _with(record: KeyRecord, before: KeyRecord | None) -> KeyRecord:
    return merged(before, record)


async def open_vault(nc: Client, service: str, settings: Settings) -> Vault:
    """The vault of a service whose events have personal fields. Raises Misconfigured when it is not told of keys."""

    def masters() -> MasterKeys:
        found = given(settings.master_key_file, settings.master_key)
        if found is None:
            raise Misconfigured(
                f"Events of {service} hold personal data, which is sealed under keys of a keyring, and no master key "
                "for it was given. Set COMMONS_MASTER_KEY_FILE (or COMMONS_MASTER_KEY); `commons up` does so itself."
            )
        return found

    masters()  # the want of it is told first
    if settings.keyring is None:
        raise Misconfigured(
            f"Events of {service} hold personal data, and no folder for their keys was given. Set COMMONS_KEYRING to a "
            "folder that outlives the service and is backed up apart from the ledger."
        )
    return await Vault.open(nc, service, masters, settings.keyring)
