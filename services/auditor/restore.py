"""Puts a ledger back from a copy (export.py), or from the auditor's own logs: byte for byte, in the streams' order.

Nothing goes into a stream that is not under a signed root, and nothing is written over: a stream that is empty, or
holds the beginning of its log, gets the rest; one that differs is refused. Every append names the sequence it stands
behind, so nobody can write in between. Broken off, it goes on where it stopped.

While it writes, the whole ledger is halted (shared/halt.py): half a ledger is not to be decided on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import nats.errors
from nats.aio.client import Client

from services.auditor.checked import CheckedLog, open_logs, refuse_strange_files
from services.auditor.export import Progress
from services.auditor.merkle import Frontier, leaf_hash
from services.auditor.notes import Verifier
from services.clinic.contract import clinic
from services.distribution.contract import distribution
from services.inventory.contract import inventory
from services.treasury.contract import treasury
from shared import halt
from shared.clock import utc_now
from shared.connection import api_of
from shared.contract import Contract
from shared.errors import Corrupt, Misconfigured, OutcomeUnknown
from shared.halt import Halt
from shared.store import EventStore
from shared.wire import Message, StreamLost, StreamReader
from shared.writer import Frame, Writer

CONTRACTS: Final[dict[str, Contract]] = {
    contract.service: contract for contract in (inventory, distribution, treasury, clinic)
}

BY: Final = "commons restore"
"""Who halts the ledger while it is put back."""

_REASON: Final = "the ledger is being restored, and is not whole yet: run `commons restore` again until it is"
_BATCH: Final = 1000
_BATCH_BYTES: Final = 3 << 20
_TIMEOUT: Final = 10.0
_CONFLICT: Final = frozenset({10071, 10164})
_DISK_FULL: Final = frozenset({10023, 10047, 10077, 10110})


class Differs(Corrupt):
    """A stream is not the beginning of the log that was to be put into it. Nothing was written to it."""


class _About(msgspec.Struct):
    subject: str


_about: Final = msgspec.json.Decoder(_About).decode


@dataclass(frozen=True, slots=True)
class Restored:
    """One stream: how many events it has now, how many were appended, how many it holds beyond the copy."""

    stream: str
    size: int
    appended: int
    beyond: int
    root: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """All streams; `halt` is a halt that stood before and stays, for a person to lift."""

    streams: list[Restored]
    halt: Halt | None


async def restore(
    nc: Client,
    nats_url: str,
    monitoring_url: str | None,
    logs: Path,
    progress: Progress = lambda *_: None,
    *,
    keys: Sequence[Verifier] = (),
    settle: float = halt.POLL_SECONDS + 0.5,
) -> Outcome:
    """Put every log of a folder into its stream.

    `keys` are the logs' public keys, from elsewhere (checked.open_logs); `settle` are the seconds in which services
    that run have seen the halt. Raises Corrupt when the copy is not whole, Differs when a stream is another,
    Misconfigured when the server is not fit for a ledger.
    """
    sources = await asyncio.to_thread(_whole, logs, keys)
    streams = [_Stream(nc, nats_url, source, progress) for source in sources]
    for stream in streams:  # all are looked at before anything is written
        await stream.compare()
    standing = await halt.read(nc)
    if any(stream.lacks for stream in streams):
        standing = await halt.put(nc, Halt(halted=True, reason=_REASON, at=utc_now().isoformat(), by=BY))
        await asyncio.sleep(settle)
        for stream in streams:
            await EventStore(nc, stream.contract).ensure(monitoring_url)
            await stream.fill()
    restored = [stream.restored() for stream in streams]
    if standing is None or not standing.halted:
        return Outcome(restored, None)
    if standing.by != BY:
        return Outcome(restored, standing)
    await halt.lift(nc, reason="the ledger was restored", by=BY, at=utc_now().isoformat())
    return Outcome(restored, None)


def _whole(logs: Path, keys: Sequence[Verifier]) -> list[CheckedLog]:
    """The logs of a folder, every entry of which was seen to be under its root."""
    refuse_strange_files(logs)
    sources = open_logs(logs, keys)
    for source in sources:
        for _ in source.bundles():
            pass
    return sources


class _Stream:
    """One stream, and the log that is put into it."""

    def __init__(self, nc: Client, nats_url: str, source: CheckedLog, progress: Progress) -> None:
        self.contract = CONTRACTS[source.service]
        self._nc = nc
        self._nats_url = nats_url
        self._source = source
        self._progress = progress
        self._last = 0
        """Where the stream ends."""
        self._appended = 0
        self._same = Frontier()
        """The tree over what was read of the stream, which is what the log has there."""

    @property
    def lacks(self) -> int:
        """How many events of the log the stream lacks."""
        return max(0, self._source.size - self._last)

    async def compare(self) -> None:
        """Read what was not read of the stream yet, up to the log's end, and see that it is the log's.

        Raises Differs at the first event that is another, or stands on another subject.
        """
        self._last = await self._last_sequence()
        start, until = self._same.size + 1, min(self._last, self._source.size)
        if start > until:
            return
        entries = self._entries(start - 1)
        async with StreamReader(self._nats_url, self._source.stream, start, name="restore") as reader:
            async for messages in reader.batches(until=until):
                self._compare(messages, entries)
                self._same.extend([leaf_hash(message.payload) for message in messages])
                self._progress(self._source.service, messages[-1].sequence, self._source.size)

    async def fill(self) -> None:
        """Append what the stream lacks, and read it back."""
        await self.compare()  # what came before everybody had seen the halt
        self._appended = self.lacks
        if self._appended:
            await self._append(self._last)
            await self.compare()

    def restored(self) -> Restored:
        """What the stream holds now. Raises Differs unless it leads to the checkpoint's root."""
        source, root = self._source, self._same.root()
        if root != source.checkpoint.root:
            raise Differs(
                f"The {self._same.size:,} events of {source.stream} lead to the root {root.hex()}, and the checkpoint "
                f"at {source.size:,} has {source.checkpoint.root.hex()}.",
                stream=source.stream,
            )
        return Restored(source.stream, source.size, self._appended, max(0, self._last - source.size), root.hex())

    async def _append(self, last: int) -> None:
        source = self._source
        writer = Writer(self._nats_url, name="restore")
        await writer.ensure_connected()
        try:
            for frames in self._batches(last):
                try:
                    answer = await writer.append_batch(frames, after=last)
                except StreamLost as error:
                    raise OutcomeUnknown(
                        f"{error} {source.stream} holds {last:,} events or more. Run this again: it goes on where it "
                        "stopped. If it stops there again, look at the NATS server's log, and at its disk.",
                        stream=source.stream, sequence=last,
                    ) from error  # fmt: skip
                last += len(frames)
                if "error" in answer:
                    raise self._refused(answer["error"], last - len(frames))
                if answer.get("seq") != last:
                    raise Differs(
                        f"{source.stream} stored event {last:,} of the copy at {answer.get('seq')}: somebody else "
                        "writes to it. Stop the services.",
                        stream=source.stream, sequence=last,
                    )  # fmt: skip
                self._progress(source.service, last, source.size)
        finally:
            writer.close()

    def _batches(self, start: int) -> Iterator[list[Frame]]:
        frames: list[Frame] = []
        size = 0
        for first, entries in self._source.bundles(start):
            for index, raw in enumerate(entries, first):
                if len(frames) == _BATCH or (frames and size + len(raw) > _BATCH_BYTES):
                    yield frames
                    frames, size = [], 0
                frames.append((self._subject(index, raw), raw, None, None))
                size += len(raw)
        if frames:
            yield frames

    def _subject(self, index: int, raw: bytes) -> str:
        """The exact subject of an event's aggregate, as its envelope names it."""
        try:
            category, slash, aggregate = _about(raw).subject.partition("/")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Corrupt(
                f"Event {index + 1:,} of {self._source.stream} in the copy is not an event: {error}"
            ) from error
        subject = f"ledger.{self._source.service}.{category}.{aggregate}"
        if not slash or subject.count(".") != 3 or not subject.isprintable() or any(c in subject for c in " *>"):
            raise Corrupt(
                f"Event {index + 1:,} of {self._source.stream} in the copy is about nothing: {subject[:120]!r}."
            )
        return subject

    def _entries(self, start: int) -> Callable[[], bytes]:
        def each() -> Iterator[bytes]:
            for _, entries in self._source.bundles(start):
                yield from entries

        return each().__next__

    def _compare(self, messages: list[Message], next_entry: Callable[[], bytes]) -> None:
        for message in messages:
            raw = next_entry()
            if message.payload != raw or message.subject != self._subject(message.sequence - 1, raw):
                raise Differs(
                    f"Event {message.sequence:,} of {self._source.stream} is another there than in the copy: two "
                    "histories. Nothing was written over. Restore into a deployment of its own.",
                    stream=self._source.stream, sequence=message.sequence, subject=message.subject,
                )  # fmt: skip

    async def _last_sequence(self) -> int:
        """Where the stream ends; 0 when it is empty or not there."""
        try:
            reply = await self._nc.request(
                f"{api_of(self._nc)}.STREAM.INFO.{self._source.stream}", b"", timeout=_TIMEOUT
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise OutcomeUnknown(
                f"The stream {self._source.stream} did not answer: {str(error) or type(error).__name__}."
            ) from error
        answer = json.loads(reply.data or b"{}")
        if "error" in answer:
            if answer["error"].get("err_code") == 10059:
                return 0
            raise OutcomeUnknown(f"The stream {self._source.stream} did not answer: {answer['error']['description']}.")
        if "state" not in answer:
            raise Misconfigured("The NATS server has no JetStream. Start it with JetStream on.")
        return int(answer["state"]["last_seq"])

    def _refused(self, error: dict[str, object], at: int) -> Corrupt | Misconfigured | OutcomeUnknown:
        code, stream = error.get("err_code"), self._source.stream
        if code in _CONFLICT:
            return Differs(
                f"Somebody else wrote to {stream} behind event {at:,} while it was restored. Stop the services, and "
                "start again with an empty folder of NATS.",
                stream=stream, sequence=at,
            )  # fmt: skip
        if code in _DISK_FULL:
            return Misconfigured(
                f"The NATS server's storage is full at event {at:,} of {stream}. Free space, restart it, and run this "
                "again: it goes on where it stopped.",
                stream=stream, sequence=at,
            )  # fmt: skip
        return OutcomeUnknown(
            f"The NATS server refused events of {stream} behind {at:,}: {error.get('description')} (code {code}). Run "
            "this again: it goes on where it stopped.",
            stream=stream, sequence=at,
        )  # fmt: skip
