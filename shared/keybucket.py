"""The second place of a keyring: the JetStream key-value bucket `keys-<service>`, one entry an owner.

The bucket decides races: an entry is only ever written over the revision that was read. Entries that were written over
are erased from the server's files, so that a wrapped key which was destroyed does not stay there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.kv import KeyValue

from shared.connection import jetstream
from shared.errors import Busy, Corrupt
from shared.held import OPERATION, held
from shared.keyring import KeyRecord, Records, decode_record, encode_record

_TIMEOUT: Final = 10.0
_REVISIONS: Final = 64
"""Of one entry that the bucket keeps before the oldest goes; each is erased as soon as it is written over."""

_FAILURES: Final = (nats.errors.Error, nats.js.errors.APIError, OSError, TimeoutError)


class KeyBucket:
    """The records of one service in NATS."""

    def __init__(self, nc: Client, service: str, entries: KeyValue) -> None:
        self._nc = nc
        self._prefix = f"$KV.{bucket_name(service)}."
        self._stream = f"KV_{bucket_name(service)}"
        self._entries = entries
        self._stale: list[int] = []

    @classmethod
    async def open(cls, nc: Client, service: str, *, replicas: int = 1, make: bool = True) -> KeyBucket | None:
        """The bucket of a service, made if it is not there; with `make` false, None then."""
        js, name = jetstream(nc), bucket_name(service)
        try:
            entries = await js.key_value(name)
        except nats.js.errors.BucketNotFoundError:
            if not make:
                return None
            # As a client makes a bucket, but for deny_delete: an entry that was written over can then be erased.
            config = StreamConfig(
                name=f"KV_{name}", subjects=[f"$KV.{name}.>"], storage=StorageType.FILE, num_replicas=replicas,
                max_msgs_per_subject=_REVISIONS, discard=DiscardPolicy.NEW, allow_direct=True, allow_rollup_hdrs=True,
            )  # fmt: skip
            await js.add_stream(config)
            entries = await js.key_value(name)
        return cls(nc, service, entries)

    async def load(self) -> Records:
        """The newest record of every owner. Raises Busy when it is not given."""
        try:
            async with asyncio.timeout(_TIMEOUT * 6):
                newest: dict[str, tuple[int, KeyRecord]] = {}
                self._stale = []
                async for entry in held(self._nc, self._stream):
                    if entry.data and OPERATION not in (entry.headers or {}):
                        owner = entry.subject.removeprefix(self._prefix)
                        if owner in newest:
                            self._stale.append(newest[owner][0])
                        newest[owner] = (entry.metadata.sequence.stream, self._decoded(owner, entry.data))
        except _FAILURES as error:
            raise Busy(f"The bucket of keys could not be read: {_why(error)}.") from error
        return {record.owner: record for _, record in newest.values()}

    async def tidy(self) -> None:
        """Erase what `load` saw to have been written over: whoever did so was broken off before erasing it."""
        try:
            while self._stale:
                await self._forget(self._stale.pop())
        except _FAILURES as error:
            raise Busy(f"The bucket of keys could not be written: {_why(error)}.") from error

    async def get(self, owner: str) -> tuple[KeyRecord | None, int]:
        """An owner's record and its revision; None and 0 when there is none."""
        try:
            entry = await self._entries.get(owner)
        except nats.js.errors.KeyNotFoundError as error:
            return None, error.entry.revision if error.entry is not None and error.entry.revision else 0
        return self._decoded(owner, entry.value or b""), entry.revision or 0

    async def read(self, owner: str) -> KeyRecord | None:
        """An owner's record. Raises Busy when it is not given."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                return (await self.get(owner))[0]
        except _FAILURES as error:
            raise Busy(f"The key of {owner} could not be read: {_why(error)}. Send it again.") from error

    async def create(self, record: KeyRecord) -> KeyRecord:
        """Write an owner's first record, and give it, or the one that is there already. Raises Busy."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._entries.update(record.owner, encode_record(record), last=0)
                return record
        except nats.js.errors.KeyWrongLastSequenceError:
            return await self.change(record.owner, lambda there: there or record)
        except _FAILURES as error:
            raise _not_kept(record.owner, error) from error

    async def change(self, owner: str, change: Callable[[KeyRecord | None], KeyRecord]) -> KeyRecord:
        """Write what `change` makes of the record that is there, and give what is there then.

        When somebody else writes meanwhile it is done again with what they wrote. `change` gives back what it was given
        to leave it so. Raises Busy when the bucket cannot be written.
        """
        try:
            async with asyncio.timeout(_TIMEOUT):
                while True:
                    before, revision = await self.get(owner)
                    after = change(before)
                    if after == before:
                        return after
                    try:
                        await self._entries.update(owner, encode_record(after), last=revision)
                    except nats.js.errors.KeyWrongLastSequenceError:
                        continue
                    if before is not None:
                        await self._forget(revision)
                    return after
        except _FAILURES as error:
            raise _not_kept(owner, error) from error

    async def listen(self, hear: Callable[[KeyRecord], None]) -> Any:
        """Tell of every record as it is written, by whomever: a hint, since it comes before it is stored."""

        async def receive(message: Any) -> None:
            if message.data:
                hear(self._decoded(message.subject.removeprefix(self._prefix), message.data))

        return await self._nc.subscribe(f"{self._prefix}>", cb=receive)

    async def _forget(self, revision: int) -> None:
        """Erase an entry that was written over: its bytes in the server's file are overwritten."""
        try:
            await jetstream(self._nc).delete_msg(self._stream, revision)
        except nats.js.errors.NotFoundError:
            pass  # another process did it
        except nats.js.errors.BadRequestError as error:
            if error.err_code != 10057:  # no message found
                raise

    def _decoded(self, owner: str, raw: bytes) -> KeyRecord:
        try:
            record = decode_record(raw)
        except msgspec.DecodeError as error:
            raise Corrupt(f"The entry {owner} of the bucket of keys is not a record: {error}.", owner=owner) from error
        if record.owner != owner:
            raise Corrupt(f"The entry {owner} of the bucket of keys is that of {record.owner}.", owner=owner)
        return record


def bucket_name(service: str) -> str:
    return f"keys-{service}"


def _not_kept(owner: str, error: BaseException) -> Busy:
    return Busy(f"The key of {owner} could not be kept in NATS: {_why(error)}. Nothing was recorded; send it again.")


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
