"""Follows one stream: every event becomes an entry of its log, and once a second its new size and root are signed.

Whenever it connects, it compares before it signs: where the stream ends, the bytes of the last events and of some
before, and the roots that were promised. What differs is never signed: it halts the writers of the whole ledger.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Final, Literal

import nats.errors
import structlog
from nats.aio.client import Client

from services.auditor.checkpoint import Checkpoint, open_checkpoint
from services.auditor.history import History
from services.auditor.layout import log_folder, log_vkey, origin, witness_vkey
from services.auditor.merkle import leaf_hash
from services.auditor.notes import BadNote, Note, from_base64
from services.auditor.signing import Inconsistent, LogKey, Promise, write_synced
from services.auditor.tiles import MAX_ENTRY, BadTile, TileLog
from services.auditor.witnessing import Witness, Witnessing
from shared import halt
from shared.clock import Clock, utc_now
from shared.connection import api_of
from shared.errors import Busy, Corrupt, LedgerError, OutcomeUnknown
from shared.halt import Checkpointed, Halt
from shared.store import stream_name
from shared.wire import Message, StreamReader

WITHIN_SECONDS: Final = 0.85
"""How long an event waits for its checkpoint at most, where disk and witnesses allow it: while a log grows, the next
checkpoint is begun so long after this one was, less the time that the last ones took."""

SHORTEST_SECONDS: Final = 0.4
"""The least time from the beginning of one checkpoint to that of the next, however slow they are."""

COMPARED: Final = 256
"""The last events that are compared with their entries on every connection."""

SAMPLED: Final = 64
"""Events before them that are compared too, others each time."""

_CHUNK: Final = 20_000
_FORGETTING: Final = 0.8
"""What is left, a checkpoint later, of the time that a slow one took: the next may be as slow."""

_IDLE_SECONDS: Final = 0.1
_GATHER_SECONDS: Final = 0.05
_FEW: Final = 1_000
"""Events that are not worth waking up for: what comes in small pieces is gathered before it is looked at."""
_PAUSE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0
_TIMEOUT: Final = 5.0

State = Literal["waiting", "following", "halted", "damaged"]

log = structlog.get_logger(__name__)


class Damaged(LedgerError):
    """The auditor's own files are not whole; what the stream holds is not in doubt."""

    code = "DAMAGED"


@dataclass(slots=True)
class Progress:
    """How far a log has come. Sizes are in events; `cosigned` is by how many witnesses the newest checkpoint is."""

    state: State = "waiting"
    detail: str = "it is starting"
    size: int = 0
    signed: int = 0
    last_sequence: int = 0
    cosigned: int = 0
    signed_at: float = 0.0

    @property
    def behind(self) -> int:
        """Events of the stream that are not under a checkpoint yet."""
        return max(0, self.last_sequence - self.signed)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the logs and their keys are, and what they are called."""

    nats_url: str
    tiles: Path
    keys: Path
    chapter: str
    origin: str | None = None


class Following:
    """The log of one service. `published` is told after how many seconds an event was under a checkpoint."""

    def __init__(
        self, service: str, place: Place, witnesses: list[Witness], connection: Callable[[], Client | None], *,
        published: Callable[[float], None] = lambda _: None, clock: Clock = utc_now,
    ) -> None:  # fmt: skip
        self.service = service
        self.stream = stream_name(service)
        self.progress = Progress()
        self.witnessing = Witnessing(witnesses)
        self._origin = origin(place.origin, place.chapter, service)
        self._place = place
        self._folder = log_folder(place.tiles, service)
        self._connection = connection
        self._published = published
        self._clock = clock
        self._lifted = asyncio.Event()
        self._log: TileLog
        self._key: LogKey
        self._history: History
        self._promises: list[Promise] = []
        self._waiting: list[bytes] = []
        self._since: float | None = None
        """When the first event came that is not under a checkpoint yet."""
        self._told: Checkpointed | None = None
        self._reach = 0
        """Where the stream ended when it was opened."""

    def lifted(self) -> None:
        """The halt was lifted: look again."""
        self._lifted.set()

    async def run(self) -> None:
        """Follow until cancelled, whatever goes wrong."""
        pause = _PAUSE_SECONDS
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._follow()
                except Inconsistent as error:
                    await self._halt(error)
                except (Damaged, BadTile, BadNote) as error:
                    await self._stand_still(error)
                except Corrupt as error:  # what the reader of a stream says: an event is missing
                    await self._halt(error)
                except Busy as error:  # the connection was lost, or there is no stream yet
                    self._wait(error.detail)
                    pause = _PAUSE_SECONDS
                except (LedgerError, nats.errors.Error, OSError, TimeoutError) as error:
                    self._wait(str(error) or type(error).__name__)
                except Exception as error:
                    log.exception("the auditor failed", log=self._origin)
                    self._wait(f"an error of its own: {type(error).__name__}")
                pause = _PAUSE_SECONDS if time.monotonic() - began > 30 else pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            self._close()

    # -- one connection ---------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Open everything, compare, and follow until something ends it."""
        self._close()
        while (nc := self._connection()) is None or not nc.is_connected:
            self._wait("NATS is not there, or not yet.")
            await asyncio.sleep(_LOOK_SECONDS)
        await self._open(nc)
        last = await self._last_sequence(nc)
        await self._check_end(nc, last)
        await self._sample(nc)
        first = max(1, self._log.size - COMPARED + 1)
        async with StreamReader(self._place.nats_url, self.stream, first, name="auditor") as reader:
            await self._check_end(nc, reader.last_sequence)
            self._reach = reader.last_sequence
            await self._settle(nc)  # what is here may go out before anything new comes
            log.info("the log follows its stream", log=self._origin, size=self._log.size)
            self.progress.state, self.progress.detail = "following", ""
            due, took = time.monotonic(), 0.0
            async for messages in reader.batches(idle=_IDLE_SECONDS):
                self._take(messages)
                self.progress.last_sequence = reader.last_sequence
                if len(self._waiting) >= _CHUNK:
                    await self._append()
                began = time.monotonic()
                if began >= due and (self._waiting or self._unsigned()):
                    await self._append()
                    await self._settle(nc)
                    took = max(time.monotonic() - began, took * _FORGETTING)
                    due = began + max(SHORTEST_SECONDS, WITHIN_SECONDS - took)
                elif 0 < len(messages) < _FEW:
                    await asyncio.sleep(min(_GATHER_SECONDS, max(0.0, due - began)))

    def _take(self, messages: list[Message]) -> None:
        """Events that are entries already must be the same; the others wait to become entries."""
        if messages and self._since is None:
            self._since = time.monotonic()
        size = self._log.size
        for message in messages:
            if message.sequence <= size:
                self._compare(message.sequence, message.payload)
            elif len(message.payload) > MAX_ENTRY:
                raise Inconsistent(
                    f"Event {message.sequence:,} of {self.stream} has {len(message.payload):,} bytes: no event of a "
                    "ledger has so many",
                    sequence=message.sequence,
                )  # fmt: skip
            else:
                self._waiting.append(message.payload)

    async def _append(self) -> None:
        entries, self._waiting = self._waiting, []
        if entries:
            await asyncio.to_thread(self._log.append, entries)
            self.progress.size = self._log.size

    def _unsigned(self) -> bool:
        size = self._log.size
        if not size:
            return False
        return size > self._log.published or self._told is None or self._told.size != size or self.witnessing.due(size)

    async def _settle(self, nc: Client) -> None:
        """Sign the log as it is, ask the witnesses, publish, and tell the writers."""
        size = self._log.size
        if not self._unsigned() or size < self._reach or any(one.size > size for one in self._promises):
            return  # all that was there is read first, and compared with what was promised, before anything is signed
        note = await asyncio.to_thread(self._sign, size)
        cosignatures = await self.witnessing.cosign(note, self._log, self._key.signer.verifier)
        if (ahead := self.witnessing.ahead(size)) is not None:
            if await self._last_sequence(nc) >= ahead.ahead:
                return  # it will be asked again when we have come so far
            raise Inconsistent(
                f"{self.stream} ends before event {ahead.ahead:,}, which the witness {ahead.witness.name} has cosigned "
                "with this log's signature: its tail is lost",
                sequence=size,
            )  # fmt: skip
        whole = note.signed(*cosignatures).to_bytes()
        now = self._clock()
        if whole != self._log.checkpoint:
            await asyncio.to_thread(self._publish, whole)
        elif self._told is not None and self._told.size == size:
            return  # a witness was asked again, in vain
        root = base64.b64encode(Checkpoint.parse(note.text).root).decode()
        told = Checkpointed(
            size=size, root=root, at=now.isoformat(), cosigned=len(cosignatures),
            witnesses=len(self.witnessing.standings),
        )  # fmt: skip
        await halt.publish_checkpoint(nc, self.service, told)
        self._told = told
        if self._since is not None and size > self.progress.signed:
            self._published(time.monotonic() - self._since)
        self._since = None
        self.progress.signed, self.progress.cosigned, self.progress.signed_at = (
            size,
            len(cosignatures),
            time.monotonic(),
        )

    def _sign(self, size: int) -> Note:
        for promise in self._promises:
            promise.check(self._log.root_at, self._origin)
        self._promises = []
        return self._key.sign(Checkpoint(self._origin, size, self._log.root_at(size)), self._log.root_at)

    def _publish(self, note: bytes) -> None:
        self._log.publish(note)
        self._history.add(note, self._clock())

    # -- opening and comparing --------------------------------------------------------------------------------------

    async def _open(self, nc: Client) -> None:
        """The tiles, the key, and everything that was promised before."""
        self._told = told = await halt.checkpoint_of(nc, self.service)
        await asyncio.to_thread(self._open_files, told is not None)
        self._promises = [] if self._key.last is None else [self._key.last]
        self.witnessing.begin(self._log.checkpoint)
        if self._log.checkpoint is not None:
            checkpoint = open_checkpoint(self._log.checkpoint, self._origin, [self._key.signer.verifier])
            self._promises.append(Promise(checkpoint.size, checkpoint.root, "the checkpoint beside the tiles"))
        if told is not None and told.size and (root := from_base64(told.root)):
            self._promises.append(Promise(told.size, root, f"the checkpoint in the bucket {halt.BUCKET}"))
        self.progress.size, self.progress.signed = self._log.size, self._log.published

    def _open_files(self, told: bool) -> None:
        self._place.tiles.parent.mkdir(parents=True, exist_ok=True)
        self._place.tiles.mkdir(mode=0o750, exist_ok=True)  # entries of some logs are not for everybody
        try:
            self._log = TileLog.open(self._folder)
        except Corrupt as error:
            raise Damaged(error.detail) from error
        vkey = log_vkey(self._folder)
        self._key = LogKey.open(
            self._place.keys, self.service, self._origin, begun=told or self._log.size > 0 or vkey.exists()
        )
        write_synced(vkey, f"{self._key.signer.verifier}\n".encode())
        for standing in self.witnessing.standings:
            file = witness_vkey(self._folder, standing.witness.name)
            write_synced(file, f"{standing.witness.verifier}\n".encode())
        self._history = History(self._folder)
        if self._log.checkpoint is not None:
            self._history.add(self._log.checkpoint, self._clock())  # a crash may have come between the two

    async def _check_end(self, nc: Client, last: int) -> None:
        """The stream reaches as far as everything that was signed, and what the tiles hold."""
        self.progress.last_sequence = last
        longest = max(self._promises, key=lambda one: one.size, default=None)
        if longest is not None and last < longest.size:
            raise Inconsistent(
                f"{self.stream} ends at {last:,}, and {longest.said} holds {longest.size:,} events: its tail is lost",
                sequence=last,
            )
        if last < self._log.size:
            raise Inconsistent(
                f"{self.stream} ends at {last:,}, and the tiles hold {self._log.size:,} events: its tail is lost",
                sequence=last,
            )

    async def _sample(self, nc: Client) -> None:
        """Compare some events, others each time, with the entries made of them."""
        size = self._log.size - COMPARED
        if size <= 0:
            return
        for sequence in sorted(SystemRandom().sample(range(1, size + 1), min(SAMPLED, size))):
            self._compare(sequence, await self._event(nc, sequence))

    def _compare(self, sequence: int, raw: bytes | None) -> None:
        """An event and its entry are the same bytes. Raises Inconsistent when the event is another, or gone."""
        entry, leaf = self._log.entry(sequence - 1), self._log.leaf(sequence - 1)
        if leaf_hash(entry) != leaf:
            raise Damaged(f"The entry of event {sequence:,} is not the one that its hash is of.")
        if raw != entry:
            what = "is gone" if raw is None else "is another than it was when the log was made"
            raise Inconsistent(f"Event {sequence:,} of {self.stream} {what}", sequence=sequence)

    # -- the stream -------------------------------------------------------------------------------------------------

    async def _last_sequence(self, nc: Client) -> int:
        """The stream's last sequence; a stream that is not there has lost all, if it ever had anything."""
        reply = await nc.request(f"{api_of(nc)}.STREAM.INFO.{self.stream}", b"", timeout=_TIMEOUT)
        info = json.loads(reply.data)
        if "error" in info:
            if info["error"].get("err_code") != 10059:
                raise OutcomeUnknown(f"The stream {self.stream} did not answer: {info['error'].get('description')}.")
            if not self._log.size and not self._promises:
                raise Busy(f"There is no stream {self.stream} yet.")
            return 0
        return int(info["state"]["last_seq"])

    async def _event(self, nc: Client, sequence: int) -> bytes | None:
        """An event's bytes as the stream has them; None when it has none at this sequence."""
        body = json.dumps({"seq": sequence}).encode()
        reply = await nc.request(f"{api_of(nc)}.STREAM.MSG.GET.{self.stream}", body, timeout=_TIMEOUT)
        answer = json.loads(reply.data)
        if "error" in answer:
            if answer["error"].get("err_code") == 10037:
                return None
            raise OutcomeUnknown(f"The stream {self.stream} did not answer: {answer['error'].get('description')}.")
        return base64.b64decode(answer["message"].get("data", ""))

    # -- when it cannot go on ---------------------------------------------------------------------------------------

    async def _halt(self, error: Corrupt) -> None:
        """Halt the writers, and wait until a person has lifted it."""
        log.error("the ledger is not what was signed: writing is halted", log=self._origin, reason=error.detail)
        self.progress.state, self.progress.detail = "halted", error.detail
        self._close()
        self._lifted.clear()
        wanted = Halt(
            halted=True, reason=error.detail, at=self._clock().isoformat(), by="auditor", stream=self.stream,
            sequence=int(error.facts.get("sequence", 0)),
        )  # fmt: skip
        while True:
            nc = self._connection()
            if nc is not None and nc.is_connected:
                with suppress(Busy):
                    await halt.put(nc, wanted)
                    break
            await asyncio.sleep(_PAUSE_SECONDS)
        await self._lifted.wait()
        self._wait("the halt was lifted: it looks again")

    async def _stand_still(self, error: LedgerError) -> None:
        """The auditor's own files are not whole, which stops nobody else: look again now and then."""
        detail = (
            f"{error.detail} Move {self._folder} aside: the log is made again from the stream, and compared with "
            "what was signed."
        )
        if self.progress.detail != detail:
            log.error("the log is damaged", log=self._origin, reason=detail)
        self._close()
        self.progress.state, self.progress.detail = "damaged", detail
        await asyncio.sleep(_LONGEST_PAUSE_SECONDS)

    def _wait(self, why: str) -> None:
        if self.progress.detail != why:
            log.info("the log waits", log=self._origin, reason=why)
        self.progress.state, self.progress.detail = "waiting", why

    def _close(self) -> None:
        self._waiting = []
        self.witnessing.close()
        if hasattr(self, "_log"):
            self._log.close()
