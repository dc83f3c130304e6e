"""Snapshots: the folded state of a long aggregate, so that it loads without its history.

A snapshot is a convenience, never a source of truth. It names the last event that it folded, by stream sequence and
hash, which are compared with the stream on loading; it is thrown away when the code that folds has changed
(`Decider.fold_version`), when anything about it does not fit, and without regret.

It is kept in a NATS object store, whose objects are cut into chunks (a key-value entry would end at 1 MiB). The ids of
answered commands, and the names that events bear, are in segments of their own, each written once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js.api import StorageType
from nats.js.object_store import ObjectStore

from shared.connection import jetstream
from shared.decider import Decider, Ref
from shared.held import of_subject
from shared.remembered import Kept, Remembered, Segment
from shared.store import EventStore

log = structlog.get_logger(__name__)

_FORMAT: Final = 2
_TIMEOUT: Final = 3.0
_AT_ONCE: Final = 8
"""Objects that are read side by side: of hundreds of segments each has its time."""


class _Keys(msgspec.Struct, array_like=True, frozen=True):
    """Ids or names, as far as an aggregate remembers them."""

    segments: list[tuple[bytes, int]]
    """The SHA-256 of each sealed segment, and how many keys it holds."""
    keys: bytes
    sequences: bytes


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """What an object holds, as MessagePack."""

    format: int
    fold_version: str
    revision: int
    sequence: int
    hash: str
    ids: _Keys
    names: _Keys
    state: bytes


@dataclass(frozen=True)
class Snapshot:
    """An aggregate as it was after its event number `revision`, at a stream sequence, with that event's hash."""

    state: Any
    state_bytes: int
    remembered: Remembered
    names: Remembered
    revision: int
    sequence: int
    hash: str


class Snapshots:
    """The snapshots of one service, in the object store `snapshots-<service>`."""

    def __init__(self, nc: Client, bucket: str, objects: ObjectStore) -> None:
        self._nc, self._bucket = nc, bucket
        self._objects = objects
        self._reading = asyncio.Semaphore(_AT_ONCE)
        self.discarded = 0

    @classmethod
    async def open(cls, nc: Client, service: str, *, replicas: int = 1) -> Snapshots:
        """The service's object store, made if it is not there."""
        bucket = f"snapshots-{service}"
        js = jetstream(nc)
        try:
            objects = await js.object_store(bucket)
        except nats.js.errors.NotFoundError:
            objects = await js.create_object_store(bucket, storage=StorageType.FILE, replicas=replicas)
        return cls(nc, bucket, objects)

    async def save(
        self,
        ref: Ref,
        decider: Decider[Any],
        state: bytes,
        ids: Kept,
        names: Kept,
        revision: int,
        sequence: int,
        hash_: str,
    ) -> None:
        """Write a snapshot; a failure is logged by the caller and costs only time at the next load."""
        stored = _Stored(
            _FORMAT, decider.fold_version, revision, sequence, hash_,
            await self._put_keys(ref, "ids", ids), await self._put_keys(ref, "names", names), state,
        )  # fmt: skip
        await self._objects.put(_state_name(ref), msgspec.msgpack.encode(stored))

    async def _put_keys(self, ref: Ref, kind: str, kept: Kept) -> _Keys:
        """Write the segments that are not kept yet."""
        segments: list[tuple[bytes, int]] = []
        for number, segment in enumerate(kept.segments):
            if segment.saved is None:
                raw = segment.to_bytes()
                digest = hashlib.sha256(raw).digest()
                if not await self._has(_segment_name(ref, kind, number), digest):
                    await self._objects.put(_segment_name(ref, kind, number), raw)
                segment.saved = digest
            segments.append((segment.saved, len(segment)))
        return _Keys(segments, kept.keys, kept.sequences)

    async def load(self, ref: Ref, decider: Decider[Any], store: EventStore) -> Snapshot | None:
        """The newest snapshot of an aggregate if the stream bears it out, else None."""
        raw = await self._get(_state_name(ref))
        if raw is None:
            return None
        try:
            stored = msgspec.msgpack.decode(raw, type=_Stored)
            if stored.format != _FORMAT or stored.fold_version != decider.fold_version:
                return self._discarded(ref, "it was folded by other code")
            event = await store.at(stored.sequence)
            if (
                event is None
                or event.hash != stored.hash
                or event.revision != stored.revision
                or event.subject != store.subject(ref)
            ):
                return self._discarded(ref, "the stream does not have the event that it names")
            state = msgspec.msgpack.decode(stored.state, type=decider.state_type)
            found = await asyncio.gather(
                self._get_keys(ref, "ids", stored.ids), self._get_keys(ref, "names", stored.names)
            )
        except (msgspec.DecodeError, ValueError, IndexError) as error:
            return self._discarded(ref, f"it does not decode: {error}")
        ids, names = found
        if ids is None or names is None:
            return self._discarded(ref, "a segment of its ids or names is missing or changed")
        return Snapshot(state, len(stored.state), ids, names, stored.revision, stored.sequence, stored.hash)

    async def _get_keys(self, ref: Ref, kind: str, stored: _Keys) -> Remembered | None:
        """What an aggregate remembered; None when a segment is not as it was written."""
        parts = await asyncio.gather(
            *(self._get(_segment_name(ref, kind, number)) for number in range(len(stored.segments)))
        )
        # A tenth of a second for a million keys, in which others are served.
        return await asyncio.to_thread(_restored, stored, parts)

    def _discarded(self, ref: Ref, reason: str) -> Snapshot | None:
        """None, said aloud."""
        self.discarded += 1
        log.info("snapshot not used", category=ref.category, id=ref.id, reason=reason)
        return None

    async def _has(self, name: str, digest: bytes) -> bool:
        try:
            info = await self._objects.get_info(name)
        except nats.js.errors.NotFoundError:
            return False
        return info.digest == _digest(digest)

    async def _get(self, name: str) -> bytes | None:
        try:
            async with self._reading:
                return await asyncio.wait_for(self._read(name), _TIMEOUT)
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError, OSError, ValueError) as error:
            log.warning("a snapshot could not be read", name=name, reason=str(error) or type(error).__name__)
            return None

    async def _read(self, name: str) -> bytes:
        """The bytes of an object. Raises ValueError when its chunks are not those that were written.

        The client library has an object pushed to it, which no user of a deployment may ask for (permissions.py).
        """
        info = await self._objects.get_info(name)
        chunks = await of_subject(self._nc, f"OBJ_{self._bucket}", f"$O.{self._bucket}.C.{info.nuid}")
        raw = b"".join(chunk.data for chunk in chunks)
        if info.digest != _digest(hashlib.sha256(raw).digest()):
            raise ValueError("its chunks are not those that were written")
        return raw


def _digest(digest: bytes) -> str:
    """As an object store writes it down."""
    return f"SHA-256={base64.urlsafe_b64encode(digest).decode()}"


def _restored(stored: _Keys, parts: Sequence[bytes | None]) -> Remembered | None:
    segments: list[Segment] = []
    for part, (digest, count) in zip(parts, stored.segments, strict=True):
        if part is None or len(part) != 16 * count or hashlib.sha256(part).digest() != digest:
            return None
        segments.append(Segment.from_bytes(part, digest))
    return Remembered.restored(Kept(segments, stored.keys, stored.sequences))


def _state_name(ref: Ref) -> str:
    return f"{ref.category}/{ref.id}/state"


def _segment_name(ref: Ref, kind: str, number: int) -> str:
    return f"{ref.category}/{ref.id}/{kind}-{number}"
