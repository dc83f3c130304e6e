"""The aggregates in memory: found, folded from the stream or a snapshot, kept fresh, dropped when memory is short."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import nats.errors
import structlog

from shared.aggregate import BASE_BYTES, Aggregate, Keeper
from shared.decider import Decider, Ref
from shared.errors import LedgerError, OutcomeUnknown
from shared.event import FIRST_PREVHASH
from shared.remembered import Kept, Remembered, key_of, name_key
from shared.snapshot import Snapshots
from shared.store import EventStore, chain
from shared.tasks import end

log = structlog.get_logger(__name__)

_STALE_SECONDS: Final = 1.0
"""How long after a hint of somebody else's write the stream may lack it: the copy comes before the write is stored."""

_MISSED: Final = float("inf")
"""In place of a hint's moment: hints may have been missed until now."""

_AWAY_SECONDS: Final = 5.0
"""For which a stream may give no answer, as while a connection is opened again, before whoever reads is told so."""

_AGAIN_SECONDS: Final = 0.05

_EVENT_BYTES: Final = 250
"""What an event adds to a state until a snapshot has measured it: a guess on the safe side."""

_FIRST_PAGE: Final = 64
"""Events that are asked for before it is known how many there are: few for a long aggregate, all of most others."""

_FIRST_BYTES: Final = 256 << 10
"""And so many bytes of them at the most."""

_UNPACKED: Final = 6
"""How many bytes of Python objects stand behind one byte of MessagePack."""


class Cache:
    """The aggregates of one service, at most `limit` bytes of them by estimate; those in use are never dropped."""

    def __init__(
        self,
        store: EventStore,
        deciders: Iterable[Decider[Any]],
        keeper: Keeper,
        snapshots: Snapshots | None,
        snapshot_every: int,
        limit: int,
    ) -> None:
        self.nbytes = 0
        self.snapshot_every = snapshot_every if snapshots else 0
        self._store = store
        self._deciders = {decider.category: decider for decider in deciders}
        self._keeper = keeper
        self._snapshots = snapshots
        self._limit = limit
        self._found: OrderedDict[Ref, Aggregate] = OrderedDict()
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._unheard: dict[str, float] = {}
        """When a hint came last, by category, that reached no aggregate in memory; none while nobody listens."""
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, category: str) -> bool:
        return category in self._deciders

    def decider(self, category: str) -> Decider[Any]:
        return self._deciders[category]

    def get(self, ref: Ref) -> Aggregate:
        """An aggregate, loaded or not."""
        aggregate = self._found.get(ref)
        if aggregate is None:
            aggregate = Aggregate(self._keeper, ref, self._deciders[ref.category], self._store.subject(ref))
            self._found[ref] = aggregate
            self.nbytes += aggregate.weight
            if self.nbytes > self._limit:
                self._evict(aggregate)
        else:
            self._found.move_to_end(ref)
        return aggregate

    def in_memory(self, ref: Ref) -> Aggregate | None:
        """An aggregate whose state may be read at once: loaded, nothing undurable, no news of it; else None."""
        aggregate = self._found.get(ref)
        if aggregate is None or not aggregate.loaded or aggregate.tickets or aggregate.undecided:
            return None
        return None if aggregate.hinted_at else aggregate

    def busy(self) -> bool:
        return any(a.tickets or a.undecided for a in self._found.values())

    def mark_stale(self) -> None:
        """Hints were missed: every aggregate is asked about before it is read again."""
        self._unheard = dict.fromkeys(self._unheard, _MISSED)
        for aggregate in self._found.values():
            aggregate.hinted_at = _MISSED

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background, and end it with the cache."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """End, and leave nobody waiting."""
        for aggregate in self._found.values():
            if aggregate.tickets or aggregate.undecided:
                aggregate.failed(OutcomeUnknown("The service is stopping. Send it again under the same id."))
        await end(self._tasks)

    # -- loading --------------------------------------------------------------------------------------------------

    async def load(self, aggregate: Aggregate) -> None:
        """Fold an aggregate unless it is in memory. Raises Corrupt when its chain is broken."""
        if aggregate.loaded:
            return
        if aggregate.loading is None:
            aggregate.loading = self.spawn(self._fold(aggregate))
        await asyncio.shield(aggregate.loading)

    async def _fold(self, aggregate: Aggregate) -> None:
        """Rebuild a state from its newest usable snapshot and the events behind it."""
        try:
            await aggregate.drained()  # what is on its way settles first
            ref, decider = aggregate.ref, aggregate.decider
            state, revision, hash_, sequence = decider.initial(), 0, FIRST_PREVHASH, 0
            began = time.monotonic()
            remembered, names = Remembered(), Remembered()
            events, left = await self._store.page(ref, size=_FIRST_PAGE, max_bytes=_FIRST_BYTES)
            aggregate.snapshot_revision = aggregate.state_bytes = unsaved = 0
            if self._snapshots and (left or len(events) >= self.snapshot_every):
                snapshot = await self._snapshots.load(ref, decider, self._store)
                if snapshot:
                    state, remembered, names = snapshot.state, snapshot.remembered, snapshot.names
                    revision, hash_, sequence = snapshot.revision, snapshot.hash, snapshot.sequence
                    aggregate.state_bytes, aggregate.snapshot_revision = snapshot.state_bytes, revision
                    events, left = await self._store.page(ref, after=sequence)
            while events:  # a page at a time, so that a long fold holds up nobody else
                revision, hash_ = chain(events, revision=revision, previous=hash_)
                for event in events:
                    unsaved += len(event.raw)
                    state = decider.evolve(state, event.data)
                    remembered.add(key_of(event.id), event.sequence)
                    names.add_all(map(name_key, decider.names(event.data)), event.sequence)
                sequence = events[-1].sequence
                events, left = await self._store.page(ref, after=sequence) if left else ([], 0)
            aggregate.state, aggregate.remembered, aggregate.names = state, remembered, names
            aggregate.revision, aggregate.hash = revision, hash_
            aggregate.sequence = sequence
            aggregate.snapshot, aggregate.unsaved_bytes = None, unsaved
            hinted = max(aggregate.hinted_at, self._unheard.get(ref.category, _MISSED))
            if self._store.replicas == 1 and began >= hinted + _STALE_SECONDS:  # of several, one that is behind answers
                hinted = 0.0
            aggregate.hinted_at = hinted
            aggregate.loaded = True
            self.weigh(aggregate)
        finally:
            aggregate.loading = None

    # -- reading for others ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self, refs: Iterable[Ref]) -> AsyncIterator[None]:
        """Hold aggregates still, durable and fresh, while another's decision reads them.

        As long as somebody reads an aggregate it decides no more of its own tickets, so a busy one is not waited for
        for ever. Only what is already on its way is waited for, never what is undecided, so no two can wait in a ring.
        """
        aggregates: list[Aggregate] = []
        for ref in refs:
            aggregates.append(self.get(ref))
            aggregates[-1].readers += 1  # at once: in use, it is not dropped to make room for the next
        try:
            for aggregate in aggregates:
                await self._watch(aggregate.ref.category)
                await self._settle(aggregate)
            while any(a.tickets or not a.loaded for a in aggregates):  # one moved while another was waited for
                for aggregate in aggregates:
                    await self._settle(aggregate)
            yield
        finally:
            for aggregate in aggregates:
                aggregate.readers -= 1
                if not aggregate.readers and aggregate.undecided:
                    self._keeper.wake(aggregate)

    async def _settle(self, aggregate: Aggregate) -> None:
        """Wait until an aggregate is loaded, nothing of it is undurable, and the stream has no newer event of it."""
        while True:
            await self.load(aggregate)
            await aggregate.drained()
            if not aggregate.loaded:
                continue
            if not aggregate.hinted_at:
                return
            hinted, known, asked = aggregate.hinted_at, aggregate.sequence, time.monotonic()
            newest = await _patiently(lambda: self._store.head(aggregate.ref))
            if newest < known:
                self._keeper.lost(aggregate, newest, known)
            if newest == aggregate.sequence:
                if hinted == _MISSED:  # the server answers, so hints come again; one that was missed may be this new
                    aggregate.hinted_at = now = time.monotonic()
                    self._unheard[aggregate.ref.category] = min(now, self._unheard[aggregate.ref.category])
                elif asked >= aggregate.hinted_at + _STALE_SECONDS:  # and none came while it was asked
                    aggregate.hinted_at = 0.0
                return
            if not aggregate.tickets:
                aggregate.loaded = False

    async def _watch(self, category: str) -> None:
        """Listen for other processes' writes to a category that decisions read, so that what is read is fresh.

        Core NATS delivers a copy of every publish, before it is stored: a hint, after which a read asks the stream. The
        copies of what this process wrote itself are no news.
        """
        if category not in self._watched:
            self._watched[category] = self.spawn(self._listen(category))
        await asyncio.shield(self._watched[category])

    async def _listen(self, category: str) -> None:
        prefix = self._store.subject(Ref(category, ""))

        async def hear(message: Any) -> None:
            aggregate, now = self._found.get(Ref(category, message.subject.removeprefix(prefix))), time.monotonic()
            if aggregate is None:
                self._unheard[category] = max(now, self._unheard.get(category, now))
            elif not aggregate.wrote(message.data):
                aggregate.hinted_at = max(now, aggregate.hinted_at)

        try:
            await self._store.nc.subscribe(f"{prefix}>", cb=hear)
            await self._store.nc.flush()
        except nats.errors.Error as error:
            del self._watched[category]  # the next read tries again
            raise OutcomeUnknown(f"The NATS server cannot be reached: {type(error).__name__}.") from error
        self._unheard[category] = time.monotonic()

    # -- memory and snapshots -------------------------------------------------------------------------------------

    def weigh(self, aggregate: Aggregate) -> None:
        """Estimate an aggregate's memory anew."""
        unmeasured = aggregate.revision - aggregate.snapshot_revision
        weight = (
            BASE_BYTES
            + aggregate.remembered.nbytes
            + aggregate.names.nbytes
            + _UNPACKED * aggregate.state_bytes
            + _EVENT_BYTES * unmeasured
        )
        self.nbytes += weight - aggregate.weight
        aggregate.weight = weight

    def _evict(self, wanted: Aggregate) -> None:
        """Drop the aggregates that were used longest ago and that nobody waits for, down to nine tenths."""
        for ref in list(self._found):
            if self.nbytes <= self._limit * 0.9:
                return
            aggregate = self._found[ref]
            if aggregate is not wanted and not aggregate.in_use():
                del self._found[ref]
                self.nbytes -= aggregate.weight

    def write_snapshot(self, aggregate: Aggregate) -> None:
        """Write the snapshot that was taken at the event which has just become durable, in the background."""
        assert aggregate.snapshot is not None
        revision, state = aggregate.snapshot
        aggregate.snapshot_revision, aggregate.state_bytes, aggregate.unsaved_bytes = revision, len(state), 0
        aggregate.snapshot = None
        self.weigh(aggregate)
        # When more was decided since, the newest hash is a later event's, and this one's is read from the stream.
        hash_ = aggregate.hash if aggregate.revision == revision else None
        ids, names = aggregate.remembered.kept(), aggregate.names.kept()
        self.spawn(self._save(aggregate, state, ids, names, revision, aggregate.sequence, hash_))

    async def _save(
        self,
        aggregate: Aggregate,
        state: bytes,
        ids: Kept,
        names: Kept,
        revision: int,
        sequence: int,
        hash_: str | None,
    ) -> None:
        assert self._snapshots is not None
        try:
            if hash_ is None:
                recorded = await self._store.at(sequence)
                if recorded is None:
                    return
                hash_ = recorded.hash
            await self._snapshots.save(
                aggregate.ref, aggregate.decider, state, ids, names, revision, sequence, hash_
            )  # fmt: skip
        except (LedgerError, OSError, nats.errors.Error) as error:
            log.warning("a snapshot was not written", subject=aggregate.subject, reason=str(error))


async def _patiently(ask: Callable[[], Awaitable[int]]) -> int:
    """What the stream answers, asked again for a while if it does not.

    What is read for a decision is confirmed after it (confirming.py, committer.py), so it may come over a connection
    that was opened meanwhile. Raises OutcomeUnknown when that lasts, and what else the question raises.
    """
    deadline = time.monotonic() + _AWAY_SECONDS
    while True:
        try:
            return await ask()
        except OutcomeUnknown:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)
