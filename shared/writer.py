"""Appends to a stream over a connection of its own, a batch at a time.

The client library takes some 20 µs to publish one message with headers; a batch of a thousand is written here as one
block of bytes (docs/decisions/0004-group-commit.md). A connection that is lost is never repaired behind the caller's
back: the caller asks for a new one, and looks at the stream's end before it writes again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any, Final

from shared.errors import Corrupt
from shared.wireconnection import Connection, StreamLost, connect

Frame = tuple[str, bytes, int | None, str | None]
"""One append: subject, event, the aggregate's last sequence that it expects (None behind another of the same batch),
and the `traceparent` header."""

_TIMEOUT: Final = 10.0


class Writer:
    """Sends appends and waits for the stream's acknowledgement.

    Raises StreamLost whenever the outcome is not known: no connection, no answer in time, nobody there to answer; and
    Denied when the server does not let this user write there, so that nothing was stored.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._wire: Connection | None = None
        self._connecting = asyncio.Lock()
        self._batches = 0
        self._batch_prefix = secrets.token_hex(8)

    async def ensure_connected(self) -> bool:
        """Connect unless it is connected; whether the connection is a new one."""
        if self._wire is not None and self._wire.error is None:
            return False
        async with self._connecting:
            if self._wire is not None and self._wire.error is None:
                return False
            self._wire = await connect(self._url, None, _TIMEOUT, self._name, False)
            return True

    def close(self) -> None:
        if self._wire is not None:
            self._wire.fail(StreamLost("The writer was closed."))

    async def append(self, frame: Frame) -> dict[str, Any]:
        """Publish one event; the stream's acknowledgement, or its error, as JSON."""
        wire = self._connection()
        reply = wire.expect()
        wire.write(_encode(frame, b"", reply))
        return await self._answer(wire, reply)

    async def append_batch(self, frames: list[Frame], *, after: int | None = None) -> dict[str, Any]:
        """Publish events as one atomic batch (ADR-50), under an id that is used once.

        With `after` the stream takes it only behind its event of that sequence, whatever the subjects.
        """
        wire = self._connection()
        self._batches += 1
        head = b"Nats-Batch-Id:%s-%d\r\nNats-Batch-Sequence:" % (self._batch_prefix.encode(), self._batches)
        reply = wire.expect()
        last = len(frames)
        headers = [b"%s%d\r\n" % (head, number) for number in range(1, last + 1)]
        headers[0] += b"" if after is None else b"Nats-Expected-Last-Sequence:%d\r\n" % after
        headers[-1] += b"Nats-Batch-Commit:1\r\n"
        parts = [_encode(frame, header) for frame, header in zip(frames[:-1], headers[:-1], strict=True)]
        parts.append(_encode(frames[-1], headers[-1], reply))
        wire.write(b"".join(parts))
        return await self._answer(wire, reply)

    def _connection(self) -> Connection:
        if self._wire is None or self._wire.error is not None:
            raise StreamLost("There is no connection to NATS.")
        return self._wire

    async def _answer(self, wire: Connection, reply: str) -> dict[str, Any]:
        try:
            control = await wire.reply_to(reply, _TIMEOUT, f"NATS acknowledged nothing within {_TIMEOUT:g} s.")
        except StreamLost as error:
            # An acknowledgement that is late may still come: on this connection nothing can be told apart any more.
            wire.fail(error)
            raise
        if control.status == 503:
            raise StreamLost("No stream took the event: JetStream is not there, or not yet.")
        try:
            answer: dict[str, Any] = json.loads(control.payload)
        except ValueError as error:
            raise Corrupt(
                f"The stream acknowledged with something that is not JSON: {control.payload[:80]!r}."
            ) from error
        return answer


def _encode(frame: Frame, batch: bytes, reply: str = "") -> bytes:
    """One HPUB of the NATS protocol: `HPUB subject [reply] header-bytes total-bytes`."""
    subject, raw, expected, traceparent = frame
    header = b"NATS/1.0\r\n" + batch
    if expected is not None:
        header += b"Nats-Expected-Last-Subject-Sequence:%d\r\n" % expected
    if traceparent:
        header += b"traceparent:%s\r\n" % traceparent.encode()
    header += b"\r\n"
    size = len(header)
    return b"HPUB %s %s %d %d\r\n%s%s\r\n" % (subject.encode(), reply.encode(), size, size + len(raw), header, raw)
