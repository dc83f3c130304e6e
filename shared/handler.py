"""From a command to its answer: load, decide, commit, reply.

Each aggregate in the cache has a queue of tickets, one a command, decided in the order in which they came. A decision
is taken on the state after all earlier decisions, durable or not, so an aggregate never waits for the disk to decide;
but a ticket is answered only when every event it stands on is durable. When an append fails because somebody else wrote
to the aggregate, its state is thrown away, loaded again, and every unanswered ticket is decided again in order.

An answer that writes nothing (a refusal, or a command that was already true) is given only when the stream confirms
that the state it was taken on is the newest.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import nats.errors
import structlog

from shared.aggregate import BASE_BYTES, Aggregate, Ticket
from shared.clock import Clock, utc_now
from shared.command import Answer, CommandMeta, assert_same
from shared.committer import Append, Committer
from shared.decider import Context, Decider, Ref
from shared.errors import Busy, CommandIdReused, Halted, LedgerError, UnknownCommand
from shared.event import FIRST_PREVHASH, Envelope, Recorded, encode, event_id, sha256, timestamp
from shared.remembered import Remembered, key_of
from shared.snapshot import Snapshots
from shared.store import EventStore, chain

log = structlog.get_logger(__name__)

_STALE_SECONDS: Final = 1.0
_ID_BYTES: Final = 120


class Handler:
    """Handles the commands of one service's deciders over one stream.

    `cache_bytes` bounds the memory of loaded aggregates, by estimate; those in use are never dropped.
    """

    def __init__(
        self,
        store: EventStore,
        deciders: Iterable[Decider[Any]],
        committer: Committer,
        *,
        chapter: str = "local",
        clock: Clock = utc_now,
        snapshots: Snapshots | None = None,
        snapshot_every: int = 1000,
        cache_bytes: int = 256 << 20,
    ) -> None:
        self.store = store
        self.stream = store.stream
        self.contract = store.contract
        self.committer = committer
        self.clock = clock
        self.snapshots = snapshots
        self.snapshot_every = snapshot_every
        self.cache_bytes = cache_bytes
        self.conflicts = 0
        self.cached_bytes = 0
        self._source = f"/commons/{chapter}/{self.contract.service}"
        self._deciders = {decider.category: decider for decider in deciders}
        self._entries: OrderedDict[Ref, Aggregate] = OrderedDict()
        self._watched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the public face ------------------------------------------------------------------------------------------

    async def handle(self, command: Any, meta: CommandMeta) -> Answer:
        """Decide a command and answer when its decision is durable.

        Raises Rejected when the decider refuses, CommandIdReused when the id was used for other content, Busy when
        too much waits, Halted when the ledger has lost something.
        """
        return await self.submit(command, meta)

    def submit(self, command: Any, meta: CommandMeta) -> asyncio.Future[Answer]:
        """The same, as a future, for callers that answer from a callback."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self.committer.halted is not None:
            future.set_exception(self.committer.halted)
            return future
        if self.committer.full():
            future.set_exception(
                Busy("Too many commands wait already. Nothing was recorded; send it again in a moment.")
            )
            return future
        spec = self.contract.command_of(command)
        if spec.category not in self._deciders:
            future.set_exception(UnknownCommand(f"No decider of {self.contract.service} takes {spec.name}."))
            return future
        entry = self._entry(Ref(spec.category, spec.aggregate(command)))
        ticket = Ticket(command, meta, event_id(entry.subject, meta.id), future)
        if entry.loaded and not entry.undecided and entry.working is None:
            self._decide_or_wait(entry, ticket)
        else:
            entry.undecided.append(ticket)
            self.wake(entry)
        return future

    async def state(self, ref: Ref) -> tuple[Any, int]:
        """An aggregate's durable state and revision, for process managers and diagnosis; do not change it."""
        entry = self._entry(ref)
        await self._settled(entry)
        return entry.state, entry.revision

    def connection_changed(self) -> None:
        """The connection was lost: hints were missed, so every cached aggregate is asked about before it is read."""
        self.committer.connection_changed()
        until = time.monotonic() + 3600
        for entry in self._entries.values():
            entry.stale_until = until

    async def stop(self) -> None:
        """Answer what can be answered, then end."""
        deadline = time.monotonic() + 10
        while any(e.tickets or e.undecided for e in self._entries.values()) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await self.committer.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- deciding -------------------------------------------------------------------------------------------------

    def wake(self, entry: Aggregate, *, again: bool = False) -> None:
        """See to it that somebody works through an aggregate's undecided tickets."""
        self.conflicts += again
        if entry.working is None:
            entry.working = self._spawn(self._work(entry))

    async def _work(self, entry: Aggregate) -> None:
        """Decide an aggregate's tickets that need something from the server first, in order."""
        try:
            while entry.undecided:
                await self._load(entry)
                ticket = entry.undecided[0]
                await self._prepare(entry, ticket)
                if not entry.loaded or not entry.undecided or entry.undecided[0] is not ticket:
                    continue  # an append failed meanwhile
                if not self._reads_ready(entry, ticket):
                    continue  # one aggregate moved while another was fetched
                entry.undecided.popleft()
                self._decide(entry, ticket)
        except LedgerError as error:
            self._abandon(entry, error)
        except Exception as error:
            log.exception("an aggregate could not be handled", subject=entry.subject)
            self._abandon(entry, LedgerError(f"The service met an error of its own: {type(error).__name__}."))
        finally:
            entry.working = None
            if entry.undecided:
                self.wake(entry)

    def _abandon(self, entry: Aggregate, error: LedgerError) -> None:
        """Answer the tickets that could not be decided; those already on their way are answered by their outcome."""
        waiting = list(entry.undecided)
        entry.undecided.clear()
        for ticket in waiting:
            if not ticket.answer.done():
                ticket.answer.set_exception(error)
        if not entry.tickets:
            entry.loaded = False

    def _decide_or_wait(self, entry: Aggregate, ticket: Ticket) -> None:
        """The fast path: decide at once when nothing has to be fetched."""
        if self._needs_server(entry, ticket):
            entry.undecided.append(ticket)
            self.wake(entry)
        else:
            self._decide(entry, ticket)

    def _needs_server(self, entry: Aggregate, ticket: Ticket) -> bool:
        if key_of(ticket.event_id) in entry.remembered and ticket.event_id not in entry.pending:
            return True
        return not self._reads_ready(entry, ticket) or any(
            self._entries[ref].stale_until > time.monotonic() for ref in entry.decider.reads(ticket.command)
        )

    def _reads_ready(self, entry: Aggregate, ticket: Ticket) -> bool:
        """Whether all that a decision reads is in memory and durable."""
        for ref in entry.decider.reads(ticket.command):
            other = self._entries.get(ref)
            if other is None or not other.loaded or (other.tickets and other is not entry):
                return False
        return True

    async def _prepare(self, entry: Aggregate, ticket: Ticket) -> None:
        """Fetch what a decision needs: the event that it may repeat, and the aggregates that it reads."""
        sequence = entry.remembered.get(key_of(ticket.event_id))
        if sequence and ticket.event_id not in entry.pending:
            recorded = await self.store.at(sequence)
            if recorded is None:
                raise Halted(
                    f"The event at sequence {sequence} of {self.stream} is gone. Run `commons verify`.",
                    stream=self.stream, sequence=sequence,
                )  # fmt: skip
            if recorded.id == ticket.event_id:
                ticket.raw = recorded.raw
                ticket.event = recorded
                return
        for ref in entry.decider.reads(ticket.command):
            if ref != entry.ref:
                await self._watch(ref.category)
                await self._settled(self._entry(ref))

    async def _settled(self, entry: Aggregate) -> None:
        """Wait until an aggregate is loaded, nothing of it is undurable, and the stream has no newer event of it."""
        while True:
            await self._load(entry)
            if entry.tickets:
                await asyncio.wait([entry.tickets[-1].answer])
                continue
            if entry.stale_until > time.monotonic():
                if await self.store.head(entry.ref) != entry.sequence and not entry.tickets:
                    entry.loaded = False
                    continue
                if entry.stale_until > time.monotonic() + _STALE_SECONDS:  # the hints before a lost connection
                    entry.stale_until = 0.0
            if entry.loaded and not entry.tickets:
                return

    def _decide(self, entry: Aggregate, ticket: Ticket) -> None:
        """Decide one ticket on the newest state; everything it needs is in memory."""
        if isinstance(ticket.event, Recorded):
            self._answer_stored(entry, ticket, ticket.event)
            return
        first = entry.pending.get(ticket.event_id)
        if first is not None:
            ticket.first = first
            ticket.event = first.event
            ticket.raw = None
            entry.tickets.append(ticket)
            return
        meta = ticket.meta
        now = self.clock()
        context = Context(
            now, meta.actor, meta.mandate,
            {ref: self._entries[ref].state for ref in entry.decider.reads(ticket.command)},
        )  # fmt: skip
        try:
            event = entry.decider.decide(ticket.command, entry.state, context)
        except LedgerError as refusal:
            self._answer_nothing(entry, ticket, refusal)
            return
        except Exception as error:
            log.exception("a decider failed", subject=entry.subject, command=type(ticket.command).__name__)
            self._answer_nothing(
                entry,
                ticket,
                LedgerError(f"The service met an error of its own while deciding: {type(error).__name__}."),
            )
            return
        if event is None:
            self._answer_nothing(entry, ticket, None)
            return
        try:
            raw = self._encode(entry, ticket, event, now)
        except LedgerError as refusal:
            self._answer_nothing(entry, ticket, refusal)
            return
        try:
            entry.state = entry.decider.evolve(entry.state, event)
        except Exception as error:
            log.exception("a fold failed", subject=entry.subject, event=type(event).__name__)
            entry.loaded = False  # the state may be half changed; it is folded again from the stream
            if not ticket.answer.done():
                ticket.answer.set_exception(
                    LedgerError(f"The service could not apply its own decision: {type(error).__name__}.")
                )
            return
        entry.revision += 1
        entry.hash = sha256(raw)
        ticket.raw, ticket.event = raw, event
        entry.pending[ticket.event_id] = ticket
        entry.tickets.append(ticket)
        if (
            self.snapshots
            and entry.snapshot is None
            and entry.revision - entry.snapshot_revision >= self.snapshot_every
        ):
            entry.snapshot = (entry.revision, msgspec.msgpack.encode(entry.state))
        self.committer.submit(Append(entry, raw, meta.traceparent))

    def _encode(self, entry: Aggregate, ticket: Ticket, event: Any, now: Any) -> bytes:
        spec = self.contract.spec_of(event)
        meta = ticket.meta
        return encode(
            Envelope(
                specversion="1.0", id=ticket.event_id, source=self._source, type=spec.type,
                subject=f"{entry.ref.category}/{entry.ref.id}", time=timestamp(now),
                dataschema=f"urn:commons:schema:{spec.type}", datacontenttype="application/json",
                revision=entry.revision + 1, prevhash=entry.hash,
                correlationid=meta.correlation_id or meta.id, causationid=meta.causation_id or meta.id,
                authtype=meta.authtype, authid=meta.actor, mandate=meta.mandate, data=event,
            )
        )  # fmt: skip

    # -- answering ------------------------------------------------------------------------------------------------

    def _answer_nothing(self, entry: Aggregate, ticket: Ticket, refusal: LedgerError | None) -> None:
        """Answer a ticket that writes nothing, once the state that it was decided on is known to be the newest."""
        ticket.refusal = refusal
        entry.tickets.append(ticket)
        if len(entry.tickets) > 1:
            return  # the append in front of it will confirm the state, or fail and have it decided again
        self._spawn(self._confirm(entry, ticket))

    async def _confirm(self, entry: Aggregate, ticket: Ticket) -> None:
        try:
            newest = await self.store.head(entry.ref)
        except LedgerError as error:
            if entry.tickets and entry.tickets[0] is ticket:
                while entry.tickets and entry.tickets[0].raw is None:
                    unconfirmed = entry.tickets.popleft()
                    if not unconfirmed.answer.done():
                        unconfirmed.answer.set_exception(error)
            return
        if not entry.tickets or entry.tickets[0] is not ticket:
            return  # failed meanwhile: decided again
        if newest == entry.sequence:
            while entry.tickets and entry.tickets[0].raw is None:
                entry.answer_first()
        elif newest < entry.sequence:
            self.committer.halt(
                f"The aggregate {entry.subject} ends at sequence {newest}, but {entry.sequence} was known to be "
                "stored. Nothing more is written. Keep the server's folder as it is, and restore the stream from a "
                "backup.",
                newest, entry.sequence,
            )  # fmt: skip
            entry.failed(self.committer.halted)
        elif all(t.raw is None for t in entry.tickets):
            entry.failed(None)
        # else: the appends behind it will meet the same news as a conflict, and have all of them decided again

    def answer_repeat(self, entry: Aggregate, ticket: Ticket) -> None:
        """Answer a repeat of a ticket that is durable by now."""
        first = ticket.first
        assert first is not None
        assert first.raw is not None
        try:
            assert_same(ticket.command, ticket.meta, first.event, first.meta.actor, self._makes(ticket))
        except CommandIdReused as refusal:
            ticket.answer.set_exception(refusal)
        else:
            sequence = entry.remembered.get(key_of(ticket.event_id)) or entry.sequence
            ticket.answer.set_result(Answer(self.stream, sequence, first.raw, repeated=True))

    def _answer_stored(self, entry: Aggregate, ticket: Ticket, recorded: Recorded) -> None:
        if ticket.answer.done():
            return
        try:
            assert_same(ticket.command, ticket.meta, recorded.data, recorded.envelope.authid, self._makes(ticket))
        except LedgerError as refusal:
            ticket.answer.set_exception(refusal)
        else:
            ticket.answer.set_result(Answer(self.stream, recorded.sequence, recorded.raw, repeated=True))

    def _makes(self, ticket: Ticket) -> tuple[type, ...]:
        return self.contract.command_of(ticket.command).makes

    # -- the cache ------------------------------------------------------------------------------------------------

    def _entry(self, ref: Ref) -> Aggregate:
        entry = self._entries.get(ref)
        if entry is None:
            decider = self._deciders[ref.category]
            entry = Aggregate(self, ref, decider, self.store.subject(ref))
            self._entries[ref] = entry
            self.cached_bytes += entry.weight
            if self.cached_bytes > self.cache_bytes:
                self._evict()
        else:
            self._entries.move_to_end(ref)
        return entry

    def _evict(self) -> None:
        """Drop the aggregates that were used longest ago and that nobody waits for."""
        for ref in list(self._entries):
            if self.cached_bytes <= self.cache_bytes * 0.9:
                return
            entry = self._entries[ref]
            if not (entry.tickets or entry.undecided or entry.working or entry.loading):
                del self._entries[ref]
                self.cached_bytes -= entry.weight

    def _weigh(self, entry: Aggregate) -> None:
        weight = BASE_BYTES + entry.remembered.nbytes + 12 * entry.state_bytes + _ID_BYTES
        self.cached_bytes += weight - entry.weight
        entry.weight = weight

    async def _load(self, entry: Aggregate) -> None:
        if entry.loaded:
            return
        if entry.loading is None:
            entry.loading = self._spawn(self._fold(entry))
        await asyncio.shield(entry.loading)

    async def _fold(self, entry: Aggregate) -> None:
        """Rebuild an aggregate from its newest usable snapshot and the events behind it."""
        try:
            while entry.tickets:  # what is on its way settles first
                await asyncio.wait([entry.tickets[-1].answer])
            decider = entry.decider
            snapshot = None
            if self.snapshots and await self.store.count(entry.ref, self.snapshot_every):
                snapshot = await self.snapshots.load(entry.ref, decider, self.store)
            if snapshot:
                state, remembered = snapshot.state, snapshot.remembered
                revision, hash_, sequence = snapshot.revision, snapshot.hash, snapshot.sequence
                entry.state_bytes = snapshot.state_bytes
            else:
                state, remembered, revision, hash_, sequence = decider.initial(), Remembered(), 0, FIRST_PREVHASH, 0
            entry.snapshot_revision = revision
            events = await self.store.load(entry.ref, after=sequence)
            revision, hash_ = chain(events, revision=revision, previous=hash_)
            for event in events:
                state = decider.evolve(state, event.data)
                remembered.add(key_of(event.id), event.sequence)
            if events:
                sequence = events[-1].sequence
            entry.state, entry.remembered = state, remembered
            entry.revision, entry.hash, entry.sequence = revision, hash_, sequence
            entry.snapshot = None
            entry.stale_until = 0.0
            entry.loaded = True
            self._weigh(entry)
        finally:
            entry.loading = None

    def snapshot_due(self, entry: Aggregate) -> None:
        """Write the snapshot that was taken at the event which has just become durable."""
        assert entry.snapshot is not None
        assert self.snapshots is not None
        revision, state = entry.snapshot
        entry.snapshot_revision, entry.state_bytes = revision, len(state)
        entry.snapshot = None
        self._weigh(entry)
        # When more was decided since, the newest hash is a later event's, and this one's is read from the stream.
        hash_ = entry.hash if entry.revision == revision else None
        self._spawn(self._write_snapshot(entry, revision, entry.sequence, hash_, state))

    async def _write_snapshot(
        self, entry: Aggregate, revision: int, sequence: int, hash_: str | None, state: bytes
    ) -> None:
        assert self.snapshots is not None
        remembered = entry.remembered
        try:
            if hash_ is None:
                recorded = await self.store.at(sequence)
                if recorded is None:
                    return
                hash_ = recorded.hash
            await self.snapshots.save(entry.ref, entry.decider, state, remembered, revision, sequence, hash_)
        except (LedgerError, OSError, nats.errors.Error) as error:
            log.warning("a snapshot was not written", subject=entry.subject, reason=str(error))

    async def _watch(self, category: str) -> None:
        """Listen for other processes' writes to a category that decisions read, so that what is read is fresh.

        Core NATS delivers a copy of every publish, before it is stored: a hint, after which a read asks the stream.
        """
        if category in self._watched:
            return
        self._watched.add(category)
        prefix = f"ledger.{self.contract.service}.{category}."

        async def hear(message: Any) -> None:
            entry = self._entries.get(Ref(category, message.subject.removeprefix(prefix)))
            if entry is not None:
                entry.stale_until = time.monotonic() + _STALE_SECONDS

        await self.store.nc.subscribe(f"{prefix}>", cb=hear)
        await self.store.nc.flush()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
