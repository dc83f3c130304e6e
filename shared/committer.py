"""Group commit: every decision that waits goes into the next write, and one conflict fails alone.

A few waiting decisions are published side by side, one after another where they share an aggregate; more go as one
atomic batch (ADR-50), which costs one sync of the disk. While a write is under way the next one gathers. Each
aggregate's first decision in a write carries the stream sequence that it stands on, so the server refuses it when
somebody else wrote first; those behind it in the same batch stand or fall with it.

The outcome of a write that was not answered is unknown: the same bytes are sent again under the same expectation until
the server says yes or no, so a decision is stored at most once whatever happened to the first reply.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from nats.aio.client import Client

from shared.errors import Busy, Denied, Halted, LedgerError, OutcomeUnknown
from shared.store import EventStore
from shared.tasks import end
from shared.writer import Frame, Writer

MAX_BATCH: Final = 1000
"""Messages in one atomic batch; the server refuses more (error 10199)."""

MAX_BATCH_BYTES: Final = 4 << 20
"""Bytes of the events in one write, unless one alone is longer; what is not answered is sent again."""

_CONFLICT: Final = frozenset({10071, 10164})
_DISK_FULL: Final = frozenset({10023, 10047, 10077, 10110})
_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0

log = structlog.get_logger(__name__)


class Owner(Protocol):
    """Who decided: told of every outcome, in the order of the decisions of its aggregate."""

    subject: str
    sequence: int
    """The stream sequence of the aggregate's last durable event; what its next append stands on."""

    def stored(self, append: Append, sequence: int) -> None:
        """The append is durable, at a stream sequence."""

    def failed(self, error: LedgerError | None) -> None:
        """None of the owner's unanswered appends is, or will be, stored. None as the error: decide them again."""


@dataclass(slots=True, eq=False)
class Append:
    """One decided event on its way to the stream."""

    owner: Owner
    raw: bytes
    traceparent: str | None = None


class Committer:
    """Writes appends in the order in which they were given, aggregate by aggregate.

    `lanes` writes are under way at most, each with its own aggregates, so that one lane prepares while another waits
    for the disk. `batch_from` is the number of waiting decisions from which an atomic batch is cheaper than single
    publishes (measured: docs/decisions). `known_sequence` gives the highest stream sequence that anything outside this
    process has seen (a read model, an auditor): a stream that ends before it has lost its tail.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        writer: Writer | None = None,
        lanes: int = 2,
        batch_from: int = 24,
        known_sequence: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self.store = store
        self.writer = writer or Writer(_url_of(store.nc), name=f"{store.contract.service}-writer")
        self.batch_from = batch_from
        self.acknowledged = 0
        """The highest sequence that this process saw acknowledged."""
        self.writes = 0
        self.appends = 0
        self._broken: Halted | None = None
        self._suspended: Halted | None = None
        self._known = known_sequence
        self._seen_by_others = 0
        self._checked = False
        self._checking = asyncio.Lock()
        self._lanes = [_Lane(self, number) for number in range(lanes)]

    @property
    def waiting(self) -> int:
        return sum(len(lane.queue) for lane in self._lanes)

    @property
    def halted(self) -> Halted | None:
        """Why nothing is written now: something of this process's own, for good, or a halt that may be lifted."""
        return self._broken or self._suspended

    async def start(self) -> None:
        """Check the stream's end, then begin to write. Raises Halted when the stream lost its tail."""
        await self._check_tail()
        if self._broken:
            raise self._broken
        for lane in self._lanes:
            lane.task = asyncio.create_task(lane.run(), name=f"committer-{lane.number}")

    async def stop(self, seconds: float = 10.0) -> None:
        """Write what waits, then end. What cannot be written within `seconds` is left with its outcome unknown."""
        for lane in self._lanes:
            lane.closing = True
            lane.wake.set()
        tasks = [lane.task for lane in self._lanes if lane.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            await end(late)
        self.writer.close()

    def submit(self, append: Append) -> None:
        """Queue an append behind all earlier ones of its aggregate."""
        if self.halted is not None:  # it was being decided when the writing halted; its lane may have ended
            append.owner.failed(self.halted)
            return
        self._lanes[hash(append.owner.subject) % len(self._lanes)].put(append)

    def connection_changed(self) -> None:
        """Something was not answered: nothing more is written until the stream's end has been looked at again."""
        self._checked = False

    async def ensure_tail(self) -> bool:
        """Whether writing may go on; looks at the stream's end once for every connection.

        Raises OutcomeUnknown when the server cannot be asked.
        """
        if self.halted is not None:
            return False
        try:
            if await self.writer.ensure_connected():
                self._checked = False
        except LedgerError as error:
            raise OutcomeUnknown(f"{error} Send it again under the same id.") from error
        if not self._checked:
            async with self._checking:
                if not self._checked:
                    await self._check_tail()
        return self.halted is None

    async def _check_tail(self, *, ask: bool = True) -> None:
        """Compare the stream's end with what is known; with `ask` also with what others have seen by now."""
        if ask and self._known is not None:
            self._seen_by_others = max(self._seen_by_others, await self._known())
        known = max(self.acknowledged, self.store.highest_seen, self._seen_by_others)
        last = await self.store.last_sequence()
        if last < known:
            self.halt(
                f"The stream {self.store.stream} ends at sequence {last}, but {known} was known to be stored: its tail "
                "is lost, and writing over it would hide the loss. Nothing more is written. Keep the server's folder "
                "as it is, restore the stream from a backup that reaches that sequence, and start the service again.",
                last, known,
            )  # fmt: skip
        else:
            self._checked = True

    def lost(self, subject: str, newest: int, known: int) -> None:
        """An aggregate ends before an event of it that was known to be stored: halt."""
        self.halt(
            f"The aggregate {subject} ends at sequence {newest}, but its event at {known} was known to be stored. "
            "Nothing more is written. Keep the server's folder as it is, restore the stream from a backup, and start "
            "the service again.",
            newest, known,
        )  # fmt: skip

    def halt(self, detail: str, last: int, known: int) -> None:
        """Stop all writing, for good: every waiting and later command is answered with the reason."""
        if self._broken is not None:
            return
        self._broken = Halted(detail, stream=self.store.stream, last_sequence=last, known_sequence=known)
        log.error("writing halted", stream=self.store.stream, last_sequence=last, known_sequence=known)
        for lane in self._lanes:
            lane.fail_all(self._broken)

    def suspend(self, reason: Halted) -> None:
        """Write nothing more until `resume`. A write that is under way is answered by its outcome, as it may be stored,
        or by OutcomeUnknown when there is no answer; what waits behind it is answered with the reason."""
        self._suspended = reason
        log.error("writing halted", stream=self.store.stream, reason=reason.detail)
        for lane in self._lanes:
            lane.wake.set()

    def resume(self) -> None:
        """Go on after `suspend`, once the stream's end has been looked at again."""
        if self._suspended is not None:
            self._suspended = None
            self._checked = False
            log.info("writing goes on", stream=self.store.stream)


class _Lane:
    """One writer with its own queue; an aggregate always has the same lane."""

    def __init__(self, committer: Committer, number: int) -> None:
        self.committer = committer
        self.store = committer.store
        self.writer = committer.writer
        self.number = number
        self.queue: deque[Append] = deque()
        self.taken: list[Append] = []
        self.wake = asyncio.Event()
        self.closing = False
        self.task: asyncio.Task[None] | None = None
        self._pause = _PAUSE
        self._floor = 0
        self._unanswered = False

    def put(self, append: Append) -> None:
        self.queue.append(append)
        self.wake.set()

    async def run(self) -> None:
        try:
            await self._run()
        except Exception as error:
            log.exception("the writer failed", stream=self.store.stream)
            self.committer.halt(
                f"The writer of {self.store.stream} met an error of its own ({type(error).__name__}), and whether its "
                "last events were stored is not known. Nothing more is written. The service's log has the details; "
                "start it again, and repeat the commands under the same ids.",
                self.committer.acknowledged, self.committer.acknowledged,
            )  # fmt: skip

    async def _run(self) -> None:
        while not (self.closing and not self.queue):
            await self.wake.wait()
            self.wake.clear()
            while self.queue:
                self._take()
                self.committer.writes += 1
                while self.taken:
                    try:
                        await self._write()
                        self._pause = _PAUSE
                    except Denied as error:
                        log.error("NATS does not let this service write", reason=error.detail)
                        self.fail_all(self._undecided(error) if self._unanswered else error)
                    except _Unanswered as error:
                        # Nothing is known of these appends: the same bytes go out again under the same expectations,
                        # once it is clear that the stream is still there, with all that was in it.
                        self._unanswered = True
                        self.committer.connection_changed()
                        log.warning("write not answered, sent again", reason=str(error), waiting=len(self.taken))
                        await asyncio.sleep(self._pause)
                        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _take(self) -> None:
        self._unanswered = False
        size = 0
        self.taken = []
        while self.queue and len(self.taken) < MAX_BATCH:
            size += len(self.queue[0].raw)
            if size > MAX_BATCH_BYTES and self.taken:
                return
            self.taken.append(self.queue.popleft())

    async def _write(self) -> None:
        try:
            if not await self.committer.ensure_tail():
                assert self.committer.halted is not None
                self._halted(self.committer.halted)
                return
        except LedgerError as error:
            raise _Unanswered(str(error)) from error
        self._floor = self.committer.acknowledged
        chains: dict[str, list[Append]] = {}
        for append in self.taken:
            chains.setdefault(append.owner.subject, []).append(append)
        longest = max(map(len, chains.values()))
        # A chain is published one after another, so a long one is dearer than a batch, which syncs the disk once.
        if len(self.taken) >= self.committer.batch_from or longest * 3 >= self.committer.batch_from:
            await self._write_batch(chains)
        elif len(chains) == 1:  # as when one command comes after another: without a task of its own
            await self._write_chain(next(iter(chains.values())))
        else:
            results = await asyncio.gather(*map(self._write_chain, chains.values()), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    # -- one by one -----------------------------------------------------------------------------------------------

    async def _write_chain(self, chain: list[Append]) -> None:
        for append in chain:
            if append not in self.taken:
                return  # failed meanwhile
            await self._publish(append)
            if append in self.taken:
                return  # not stored: those behind it must not overtake

    async def _publish(self, append: Append) -> None:
        owner = append.owner
        reply = await self._sent([(owner.subject, append.raw, owner.sequence, append.traceparent)])
        error = reply.get("error")
        if error is None:
            self._stored([append], int(reply["seq"]))
        elif error.get("err_code") in _CONFLICT:
            await self._settle_conflicts([owner])
        else:
            self._refused([owner], error)

    # -- as one batch ---------------------------------------------------------------------------------------------

    async def _write_batch(self, chains: dict[str, list[Append]]) -> None:
        appends = self.taken
        seen: set[str] = set()
        frames: list[Frame] = []
        for append in appends:
            subject = append.owner.subject
            # The server takes one expectation a subject and batch (error 10164); those behind stand or fall with it.
            expected = None if subject in seen else append.owner.sequence
            seen.add(subject)
            frames.append((subject, append.raw, expected, append.traceparent))
        reply = await self._sent(frames, batch=True)
        owners = [chain[0].owner for chain in chains.values()]
        failure = reply.get("error")
        if failure is None:
            if reply.get("count", len(appends)) != len(appends):
                raise _Unanswered(f"a batch of {len(appends)} was acknowledged as {reply.get('count')}")
            self._stored(appends, int(reply["seq"]))
        elif failure.get("err_code") in _CONFLICT:
            await self._settle_conflicts(owners)
        else:
            self._refused(owners, failure)

    async def _sent(self, frames: list[Frame], *, batch: bool = False) -> dict[str, Any]:
        try:
            return await (self.writer.append_batch(frames) if batch else self.writer.append(frames[0]))
        except Denied:
            raise
        except LedgerError as error:
            raise _Unanswered(str(error)) from error

    # -- outcomes -------------------------------------------------------------------------------------------------

    def _stored(self, appends: list[Append], last_sequence: int) -> None:
        committer = self.committer
        if committer._broken is not None:
            return  # another lane found a loss while this write was under way, and all were answered
        if last_sequence - len(appends) < self._floor:
            committer.halt(
                f"The stream {self.store.stream} stored an event at sequence {last_sequence}, but {self._floor} was "
                "known to be stored before: its tail was lost. Nothing more is written. Keep the server's folder as it "
                "is, restore the stream from a backup, and start the service again.",
                last_sequence, self._floor,
            )  # fmt: skip
            return
        committer.appends += len(appends)
        committer.acknowledged = max(committer.acknowledged, last_sequence)
        if appends is self.taken:
            self.taken = []
        else:
            for append in appends:
                self.taken.remove(append)
        for sequence, append in enumerate(appends, last_sequence - len(appends) + 1):
            append.owner.stored(append, sequence)

    async def _settle_conflicts(self, owners: list[Owner]) -> None:
        """Fail the aggregates that somebody else wrote to; the others stay taken and are sent again at once."""
        committer = self.committer
        try:
            await committer._check_tail(ask=False)
            if committer._broken:
                return
            heads = await self.store.heads([owner.subject for owner in owners])
            for owner in owners:  # only the leader can say that an event is gone: a replica may be behind
                if heads.get(owner.subject, 0) < owner.sequence:
                    heads[owner.subject] = await self.store.head_of(owner.subject)
        except LedgerError as error:
            raise _Unanswered(str(error)) from error
        moved = [owner for owner in owners if heads.get(owner.subject, 0) != owner.sequence]
        for owner in moved:
            if heads.get(owner.subject, 0) < owner.sequence:
                committer.lost(owner.subject, heads.get(owner.subject, 0), owner.sequence)
                return
        if moved:
            self._fail(moved, None)
        else:  # the server refused on a view of the stream that is already past
            await asyncio.sleep(_PAUSE)

    def _refused(self, owners: list[Owner], error: dict[str, Any]) -> None:
        """The server said no for a reason other than a conflict."""
        if error.get("err_code") in _DISK_FULL:
            log.error("the server is out of storage", error=error)
            full: LedgerError = Busy(
                "The ledger's storage is full. Nothing was recorded; free space, then send it again."
            )
            if self._unanswered:  # an earlier try of the same bytes may have been stored
                full = OutcomeUnknown(
                    "The ledger's storage is full, and whether this was recorded before is not known. Free space, then "
                    "send it again under the same id."
                )
            self._fail(owners, full)
        else:
            raise _Unanswered(f"{error.get('err_code')} {error.get('description', '')}")

    def _halted(self, reason: Halted) -> None:
        """Answer all that waits: nothing more is written. What was sent before, and not answered, may be stored."""
        if self._unanswered and self.committer._broken is None:
            self._fail([append.owner for append in self.taken], self._undecided(reason))
        self.fail_all(reason)

    def _undecided(self, error: LedgerError) -> OutcomeUnknown:
        """An error that keeps appends from being sent again which may have been stored the first time."""
        return OutcomeUnknown(
            f"{error.detail} Whether this was recorded before is not known; send it again under the same id when that "
            "is mended."
        )

    def _fail(self, owners: Iterable[Owner], error: LedgerError | None) -> None:
        """Take every unanswered append of some aggregates out of this lane, and tell their owners."""
        failed = {owner.subject: owner for owner in owners}
        self.taken = [a for a in self.taken if a.owner.subject not in failed]
        self.queue = deque(a for a in self.queue if a.owner.subject not in failed)
        for owner in failed.values():
            owner.failed(error)

    def fail_all(self, error: LedgerError) -> None:
        owners = {a.owner.subject: a.owner for a in (*self.taken, *self.queue)}
        with contextlib.suppress(Exception):
            self._fail(owners.values(), error)


def _url_of(nc: Client) -> str:
    """The address that a client is connected to, with what it logged in with."""
    url = nc.connected_url
    return url.geturl() if url is not None else ""


class _Unanswered(Exception):
    """The outcome of a write is not known."""
