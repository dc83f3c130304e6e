"""Where process managers have come to, kept across restarts to save work."""

from __future__ import annotations

from typing import Final, Protocol

import nats.js.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from shared.held import bucket

BUCKET: Final = "PROCESSES"
"""The key-value bucket of positions; a key is `<service>.<stream>.<manager>`."""


class Positions(Protocol):
    """Keeps a stream sequence under a key."""

    async def load(self, key: str) -> int: ...

    async def save(self, key: str, position: int) -> None: ...


class KvPositions:
    """The positions of one service's managers in a JetStream key-value bucket, in files.

    Each service has keys of its own: two may have managers of the same name that follow the same stream.
    """

    def __init__(self, bucket: KeyValue, service: str) -> None:
        self._bucket = bucket
        self._service = service

    @classmethod
    async def open(cls, nc: Client, service: str, *, replicas: int = 1) -> KvPositions:
        """The bucket, made if it is not there."""
        return cls(await bucket(nc, BUCKET, history=1, replicas=replicas), service)

    async def load(self, key: str) -> int:
        """A position; 0 when there is none that can be read."""
        try:
            entry = await self._bucket.get(f"{self._service}.{key}")
            return max(0, int(entry.value or b"0"))
        except (nats.js.errors.KeyNotFoundError, ValueError):
            return 0

    async def save(self, key: str, position: int) -> None:
        await self._bucket.put(f"{self._service}.{key}", str(position).encode())
