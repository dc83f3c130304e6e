"""Read a JetStream stream at the pace of the wire: one connection, one ordered consumer, messages in batches.

    async with StreamReader("nats://127.0.0.1:4222", "INVENTORY", start_sequence=1) as reader:
        async for messages in reader.batches():
            ...

A client library's parser and queues carry some 35,000 messages a second into one Python process; this carries several
hundred thousand (docs/decisions/0002-reading-the-stream.md). It promises order and completeness, or an error; it never
reconnects: whoever reads knows how far they have come, and opens a new reader there.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

from shared.errors import Corrupt, Misconfigured
from shared.wireconnection import HEARTBEAT_SECONDS, Connection, StreamLost, connect
from shared.wireparser import Message

__all__ = ["Message", "NoStream", "StreamLost", "StreamReader"]

_SECOND_NS: Final = 1_000_000_000
_PULL_SECONDS: Final = 30  # how long the server keeps a pull that it cannot fill
_FORGOTTEN_SECONDS: Final = 300  # the server drops a consumer that nobody has pulled from for so long
_UNKNOWN_SECONDS: Final = 5.0  # until the servers of a cluster have told one another of a new consumer, at the most
_AGAIN_SECONDS: Final = 0.05


class NoStream(Misconfigured):
    """The server holds no stream of that name: nothing was ever written to it, or it was deleted."""


class StreamReader:
    """Delivers a stream from `start_sequence` on: in order, each message once, none missing, then the live tail.

    `url` is one NATS address or several with commas between (`nats://user:password@host:4222`, `nats://token@host`,
    `tls://…`), tried in turn. At most two pulls of `batch` messages and `max_bytes` bytes are ahead of the caller.
    That bounds the memory: a caller who pauses stops the server from sending, without the server taking the connection
    for a slow consumer's and closing it, as it would if the socket were left unread.
    """

    def __init__(
        self, url: str, stream: str, start_sequence: int = 1, *, batch: int = 5000, max_bytes: int = 8 << 20,
        keep_headers: bool = False, tls: ssl.SSLContext | None = None, timeout: float = 5.0, name: str = "reader",
    ) -> None:  # fmt: skip
        self.stream = stream
        self.next_sequence = start_sequence
        """The sequence of the next message that `batches` gives out."""
        self.last_sequence = 0
        """The last sequence that the stream was seen to hold."""
        self._url, self._tls, self._timeout, self._name = url, tls, timeout, name
        self._batch, self._max_bytes, self._keep_headers = batch, max_bytes, keep_headers
        self._consumer = f"{name}-{secrets.token_hex(8)}"
        self._wire: Connection | None = None
        self._pulls = 0
        self._due = 0  # messages that pulls under way still allow the server to send
        self._delivery = 0
        self._made = 0.0

    @property
    def pending(self) -> int:
        """How many messages the stream holds, as far as is known, that `batches` has not yet given out."""
        return max(0, self.last_sequence - self.next_sequence + 1)

    async def __aenter__(self) -> Self:
        self._wire = await connect(self._url, self._tls, self._timeout, self._name, self._keep_headers)
        try:
            await self._open(self._wire)
        except BaseException:
            self._wire.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None:
            self._wire.publish(f"{self._wire.api}.CONSUMER.DELETE.{self.stream}.{self._consumer}", b"")
            self._wire.close()

    async def batches(self, until: int | None = None, idle: float | None = None) -> AsyncIterator[list[Message]]:
        """Give out whatever has arrived, at once, as lists that are never empty, and end after sequence `until`.

        With `idle`, an empty list is given out whenever nothing came for so many seconds. Raises StreamLost (open a
        new reader at `next_sequence`), or Corrupt when the stream itself lacks a sequence.
        """
        wire = self._wire
        if wire is None:
            raise RuntimeError("Open the reader first: async with StreamReader(...) as reader.")
        while until is None or self.next_sequence <= until:
            if not wire.messages:
                try:
                    await wire.arrival(idle)
                except TimeoutError:
                    yield []
                    continue
            messages, wire.messages = wire.messages, []
            self._due -= len(messages)
            gap = self._check(messages)
            self._due -= wire.take_unused()
            self._pull(wire)
            if until is not None and messages and messages[-1].sequence > until:
                del messages[until - messages[-1].sequence :]
            if messages:
                self.next_sequence = messages[-1].sequence + 1
                yield messages
            if gap is not None and (until is None or self.next_sequence <= until):
                raise gap

    # -- the consumer ---------------------------------------------------------------------------------------------

    async def _open(self, wire: Connection) -> None:
        """Create an ephemeral consumer that starts at the position, having seen that the stream reaches so far."""
        found = await self._api(wire, f"STREAM.INFO.{self.stream}", {})
        first, self.last_sequence = found["state"]["first_seq"], found["state"]["last_seq"]
        start = self.next_sequence
        if start > self.last_sequence + 1:
            raise Corrupt(
                f"Stream {self.stream} ends at {self.last_sequence:,}, but {start - 1:,} had been read from it before: "
                "its tail is lost. Stop the services and restore the stream before anything is written to it.",
                stream=self.stream, sequence=self.last_sequence, expected=start - 1,
            )  # fmt: skip
        if self.last_sequence >= start and first > start:
            raise _gap(self.stream, start, first)
        config = {
            "name": self._consumer, "ack_policy": "none", "deliver_policy": "by_start_sequence", "opt_start_seq": start,
            "replay_policy": "instant", "mem_storage": True, "num_replicas": 1,
            "inactive_threshold": _FORGOTTEN_SECONDS * _SECOND_NS,
        }  # fmt: skip
        body = {"stream_name": self.stream, "config": config, "action": "create"}
        await self._api(wire, f"CONSUMER.CREATE.{self.stream}.{self._consumer}", body)
        self._made = time.monotonic()
        wire.watch(self._pull_ended, self._unknown)
        self._pull(wire)

    async def _api(self, wire: Connection, call: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = await wire.request(f"{wire.api}.{call}", json.dumps(body).encode(), self._timeout)
        if reply.status == 503:
            raise StreamLost(f"The NATS server answered nothing to {call}: JetStream is not there, or not yet.")
        answer: dict[str, Any] = json.loads(reply.payload)
        if error := answer.get("error"):
            code, said = error.get("err_code"), error.get("description")
            if code == 10059:  # the stream does not exist
                raise NoStream(f"NATS holds no stream {self.stream}; start the service that owns it first.")
            raise (StreamLost if error.get("code", 0) >= 500 else Misconfigured)(
                f"The NATS server refused {call}: {said} (code {code})."
            )
        return answer

    def _pull(self, wire: Connection) -> None:
        """Keep two pulls under way, less what is here already and not yet taken."""
        while self._due + self._batch <= 2 * self._batch:
            self._pulls += 1
            self._due += self._batch
            body = {
                "batch": self._batch, "max_bytes": self._max_bytes, "expires": _PULL_SECONDS * _SECOND_NS,
                "idle_heartbeat": HEARTBEAT_SECONDS * _SECOND_NS,
            }  # fmt: skip
            wire.publish(
                f"{wire.api}.CONSUMER.MSG.NEXT.{self.stream}.{self._consumer}", json.dumps(body).encode(),
                f"{wire.inbox}.pull.{self._pulls}",
            )  # fmt: skip

    def _pull_ended(self) -> None:
        """A pull ended before it was filled, and nobody may be taking messages just now: ask again."""
        wire = self._wire
        if wire is not None and not wire.messages:
            self._due -= wire.take_unused()
            self._pull(wire)

    def _unknown(self) -> bool:
        """A pull found no consumer: one that was just made may not be known to every server of a cluster yet."""
        if self._delivery or time.monotonic() > self._made + _UNKNOWN_SECONDS:
            return False
        self._due -= self._batch
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._pull_ended)
        return True

    def _check(self, messages: list[Message]) -> Corrupt | None:
        """Nothing was lost on the way (the consumer's own numbers), and nothing is missing in the stream.

        What comes before a gap is good: the list is cut there, and the gap returned.
        """
        count, first, last = len(messages), messages[0], messages[-1]
        if last.delivery != self._delivery + count or first.delivery != self._delivery + 1:
            raise StreamLost(f"Messages of {self.stream} were lost between the server and here.")
        self._delivery = last.delivery
        self.last_sequence = max(self.last_sequence, last.sequence + last.pending)
        if first.sequence == self.next_sequence and last.sequence == first.sequence + count - 1:
            return None
        for index, message in enumerate(messages):
            if message.sequence != (expected := self.next_sequence + index):
                del messages[index:]
                return _gap(self.stream, expected, message.sequence)
        return None


def _gap(stream: str, expected: int, found: int) -> Corrupt:
    return Corrupt(
        f"Stream {stream} goes from {expected - 1:,} to {found:,}: {found - expected:,} event(s) from {expected:,} on "
        "are missing. Restore the stream before it is read on.",
        stream=stream, sequence=found, expected=expected,
    )  # fmt: skip
