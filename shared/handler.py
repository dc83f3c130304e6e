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
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import structlog

from shared.aggregate import Aggregate, Ticket
from shared.authority import Acting, Authority
from shared.cache import Cache
from shared.clock import Clock, utc_now
from shared.command import Answer, CommandMeta
from shared.committer import Append, Committer
from shared.confirming import confirm
from shared.decider import Context, Decider, NotRead, Ref
from shared.errors import Busy, LedgerError, UnknownCommand
from shared.event import Recorded, event_id, sha256
from shared.recall import fetch, recall
from shared.remembered import key_of
from shared.snapshot import Snapshots
from shared.store import EventStore
from shared.vault import KeyNotHere, Vault
from shared.writing import Writing

log = structlog.get_logger(__name__)

_MORE_READS: Final = 64
"""Aggregates that one decision may ask for one after another."""


class Handler:
    """Handles the commands of one service's deciders over one stream.

    `cache_bytes` bounds the memory of loaded aggregates, by estimate (see cache.py); `max_waiting` the commands that
    are taken and not yet answered: one more is answered with Busy. `authority` says who may send what; without one, as
    in tests, everybody may everything.
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
        max_waiting: int = 20_000,
        vault: Vault | None = None,
        authority: Authority | None = None,
    ) -> None:
        self.store = store
        self.stream = store.stream
        self.contract = store.contract
        self.committer = committer
        self.clock = clock
        self.conflicts = 0
        self.cache = Cache(store, deciders, self, snapshots, snapshot_every, cache_bytes)
        self.max_waiting = max_waiting
        self.vault = vault
        self._beside: dict[str, Any] = (
            {} if vault is None else {"blind": vault.blind, "unseal": vault.unseal, "erased": vault.erased}
        )
        self._authority = authority
        self._in_hand = 0
        self._stopping = False
        self._writing = Writing(self.contract, chapter, vault)

    # -- the public face ------------------------------------------------------------------------------------------

    async def handle(self, command: Any, meta: CommandMeta) -> Answer:
        """Decide a command and answer when its decision is durable.

        Raises Rejected when the decider refuses, CommandIdReused when the id was used for other content, Busy when
        too much waits, Halted when the ledger has lost something.
        """
        return await self.submit(command, meta)

    def submit(self, command: Any, meta: CommandMeta, *, reserved: bool = False) -> asyncio.Future[Answer]:
        """The same, as a future, for callers that answer from a callback.

        With `reserved`, a place among the waiting was taken for it before; it is given back with the answer.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not reserved:
            try:
                self.reserve(1)
            except LedgerError as error:
                future.set_exception(error)
                return future
        future.add_done_callback(self._answered)
        if self._stopping or self.committer.halted is not None:  # since the place was taken
            future.set_exception(self.committer.halted or _stopping())
            return future
        spec = self.contract.command_of(command)
        if not self.cache.takes(spec.category):
            future.set_exception(UnknownCommand(f"No decider of {self.contract.service} takes {spec.name}."))
            return future
        entry = self.cache.get(Ref(spec.category, spec.aggregate(command)))
        ticket = Ticket(command, meta, event_id(entry.subject, meta.id), future)
        idle = entry.loaded and not (entry.undecided or entry.working or entry.readers)
        try:
            at_once = idle and not self._needs_server(entry, ticket)
        except Exception as error:
            log.exception("what a decision reads is not known", subject=entry.subject, command=spec.name)
            future.set_exception(LedgerError(f"The service met an error of its own: {type(error).__name__}."))
            return future
        if at_once:
            self._decide(entry, ticket)
        else:
            entry.undecided.append(ticket)
            self.wake(entry)
        return future

    def reserve(self, count: int) -> None:
        """Take places among the waiting. Raises Halted, or Busy when there are not so many."""
        if self.committer.halted is not None:
            raise self.committer.halted
        if self._stopping:
            raise _stopping()
        if self._in_hand + count > self.max_waiting:
            raise Busy(
                "Too many commands wait already. Nothing was recorded; send it again in a moment.", retry_after=1
            )
        self._in_hand += count

    def release(self, count: int) -> None:
        """Give places back that were taken and not used."""
        self._in_hand -= count

    async def known(self, ref: Ref, ids: Iterable[str]) -> list[bool]:
        """Which command ids have led to an event of an aggregate already; now and then one that has not."""
        entry = self.cache.get(ref)
        await self.cache.load(entry)
        events = (event_id(entry.subject, id) for id in ids)
        return [event in entry.pending or key_of(event) in entry.remembered for event in events]

    def _answered(self, _: asyncio.Future[Answer]) -> None:
        self._in_hand -= 1

    async def state(self, ref: Ref) -> tuple[Any, int]:
        """An aggregate's durable state and revision, for process managers and diagnosis; do not change it."""
        async with self.cache.reading([ref]):
            entry = self.cache.get(ref)
            return entry.state, entry.revision

    def connection_changed(self) -> None:
        """The connection was lost: hints were missed, so every cached aggregate is asked about before it is read."""
        self.store.connection_changed()
        self.committer.connection_changed()
        if self.vault is not None:
            self.vault.connection_changed()
        self.cache.mark_stale()

    async def stop(self, seconds: float = 8.0) -> None:
        """Answer what can be answered within `seconds`, the rest with OutcomeUnknown, and end."""
        self._stopping = True
        deadline = time.monotonic() + seconds
        while self.cache.busy() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await self.committer.stop(max(0.0, deadline - time.monotonic()) + 0.1)
        await self.cache.stop()

    # -- deciding -------------------------------------------------------------------------------------------------

    def wake(self, entry: Aggregate, *, again: bool = False) -> None:
        """See to it that somebody works through an aggregate's undecided tickets."""
        self.conflicts += again
        if entry.working is None and not entry.readers:
            entry.working = self.cache.spawn(self._work(entry))

    async def _work(self, entry: Aggregate) -> None:
        """Decide an aggregate's tickets that need something from the server first, in order."""
        ticket: Ticket | None = None
        try:
            while entry.undecided and not entry.readers:
                await self.cache.load(entry)
                ticket = entry.undecided[0]
                await self._find_first(entry, ticket)
                if ticket.unkeyed:
                    assert self.vault is not None
                    await self.vault.ensure(ticket.unkeyed)
                    ticket.unkeyed = ()
                if ticket.lacks is not None:
                    assert self.vault is not None
                    await self.vault.look_for(*ticket.lacks)
                    ticket.lacks = None
                known = ticket.more_reads
                others = [ref for ref in self._reads(entry, ticket) if ref != entry.ref]
                async with self.cache.reading(others):
                    while self._is_next(entry, ticket) and not ticket.wants_more(known):
                        if missing := recall(self.cache, entry, ticket):
                            await fetch(self.cache, self.store, ticket, missing)
                        else:
                            entry.undecided.popleft()
                            self._decide(entry, ticket)
        except LedgerError as error:
            self._abandon(entry, error)
        except Exception as error:
            log.exception("an aggregate could not be handled", subject=entry.subject)
            own = LedgerError(f"The service met an error of its own: {type(error).__name__}.")
            if ticket is not None and ticket not in entry.tickets and not ticket.answer.done():
                ticket.answer.set_exception(own)
            self._abandon(entry, own)
        finally:
            entry.working = None
            if entry.undecided:
                self.wake(entry)

    def _is_next(self, entry: Aggregate, ticket: Ticket) -> bool:
        """Whether a ticket is still the one to be decided now.

        It is not when an append failed meanwhile, and what was undecided now stands behind it; nor when the command
        that it repeats became durable while something was waited for, and its event has to be fetched first.
        """
        next_still = entry.loaded and entry.undecided and entry.undecided[0] is ticket
        return bool(next_still) and self._stored_before(entry, ticket) is None

    def _abandon(self, entry: Aggregate, error: LedgerError) -> None:
        """Answer the tickets that could not be decided; those already on their way are answered by their outcome."""
        waiting = list(entry.undecided)
        entry.undecided.clear()
        for ticket in waiting:
            if not ticket.answer.done():
                ticket.answer.set_exception(error)
        if not entry.tickets:
            entry.loaded = False

    def _needs_server(self, entry: Aggregate, ticket: Ticket) -> bool:
        """Whether anything has to be fetched before a ticket can be decided."""
        reads = self._reads(entry, ticket)
        return (
            self._stored_before(entry, ticket) is not None
            or any(ref != entry.ref and self.cache.in_memory(ref) is None for ref in reads)
            or bool(recall(self.cache, entry, ticket))
        )

    def _reads(self, entry: Aggregate, ticket: Ticket) -> Iterable[Ref]:
        """The other aggregates that a ticket's decision reads, as far as is known."""
        reads = entry.decider.reads(ticket.command)
        if self._authority is not None and ticket.meta.authtype == "user":
            return (*reads, *ticket.more_reads, self._authority.ref)
        return (*reads, *ticket.more_reads) if ticket.more_reads else reads

    async def _find_first(self, entry: Aggregate, ticket: Ticket) -> None:
        """Fetch the event that an earlier command of the same id made, if there is one."""
        sequence = self._stored_before(entry, ticket)
        if sequence is None:
            return
        recorded = await self.store.stored(sequence)
        if recorded.id == ticket.event_id:
            ticket.event = recorded
        ticket.looked_at = sequence

    def _stored_before(self, entry: Aggregate, ticket: Ticket) -> int | None:
        """Where an event of the same id may be stored, unless it was looked at; None when there is none."""
        sequence = entry.remembered.get(key_of(ticket.event_id))
        return None if sequence == ticket.looked_at or ticket.event_id in entry.pending else sequence

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
        try:
            acting = self._acting(ticket, now)
        except LedgerError as refusal:
            self._answer_nothing(entry, ticket, refusal)
            return
        ticket.mandate = acting.recorded
        context = Context(
            now, meta.actor, acting.mandate,
            {ref: self.cache.get(ref).state for ref in self._reads(entry, ticket)}, ticket.past, authtype=meta.authtype,
            roles=meta.roles, **self._beside,
        )  # fmt: skip
        try:
            event = entry.decider.decide(ticket.command, entry.state, context)
        except NotRead as missing:
            self._read_more(entry, ticket, missing.ref)
            return
        except KeyNotHere as missing:
            self._read_key(entry, ticket, missing)
            return
        except LedgerError as refusal:
            self._answer_nothing(entry, ticket, refusal)
            return
        except Exception as error:
            log.exception("a decider failed", subject=entry.subject, command=type(ticket.command).__name__)
            own = LedgerError(f"The service met an error of its own while deciding: {type(error).__name__}.")
            self._answer_nothing(entry, ticket, own)
            return
        if event is None:
            self._answer_nothing(entry, ticket, None)
            return
        if unkeyed := self._unkeyed(event):
            ticket.unkeyed = unkeyed
            entry.undecided.appendleft(ticket)
            self.wake(entry)
            return
        try:
            event, raw = self._writing.written(entry, ticket, event, now)
        except LedgerError as refusal:
            self._answer_nothing(entry, ticket, refusal)
            return
        try:
            names = tuple(entry.decider.names(event))
            entry.state = entry.decider.evolve(entry.state, event)
        except Exception as error:
            log.exception("a fold failed", subject=entry.subject, type=type(event).__name__)
            entry.loaded = False  # the state may be half changed; it is folded again from the stream
            if not ticket.answer.done():
                own = LedgerError(f"The service could not apply its own decision: {type(error).__name__}.")
                ticket.answer.set_exception(own)
            return
        entry.revision += 1
        entry.hash = sha256(raw)
        ticket.raw, ticket.event = raw, event
        ticket.revision, ticket.decided_at, ticket.names = entry.revision, now, names
        ticket.fetched.clear()
        entry.pending[ticket.event_id] = ticket
        entry.named.update(dict.fromkeys(names, ticket))
        entry.tickets.append(ticket)
        entry.unsaved_bytes += len(raw)
        if self.cache.snapshot_every and entry.snapshot_due(self.cache.snapshot_every):
            entry.take_snapshot()
        self.committer.submit(Append(entry, raw, meta.traceparent))

    def _acting(self, ticket: Ticket, now: datetime) -> Acting:
        """As what a ticket's sender acts at this moment. Raises Forbidden when they may not."""
        meta = ticket.meta
        if self._authority is None:
            return Acting(meta.mandate, meta.mandate)
        state = self.cache.get(self._authority.ref).state if meta.authtype == "user" else None
        return self._authority.acting(ticket.command, meta, state, now)

    def _unkeyed(self, event: Any) -> tuple[str, ...]:
        """The owners who need a key before an event can be sealed: only now is it known whose event it is, and that it
        will be, so nobody has a key who was never accepted."""
        if self.vault is None:
            return ()
        return tuple(owner for owner in self.contract.owners_of(event) if not self.vault.knows(owner))

    def _read_more(self, entry: Aggregate, ticket: Ticket, ref: Ref) -> None:
        """Have a ticket decided again, in its place, when an aggregate is read that its decision asked for."""
        if ref == entry.ref or ref in ticket.more_reads or len(ticket.more_reads) == _MORE_READS:
            log.error("a decision reads itself, or without an end", subject=entry.subject, ref=ref)
            self._answer_nothing(entry, ticket, LedgerError("The service met an error of its own while deciding."))
            return
        ticket.more_reads += (ref,)
        entry.undecided.appendleft(ticket)
        self.wake(entry)

    def _read_key(self, entry: Aggregate, ticket: Ticket, missing: KeyNotHere) -> None:
        """Have a ticket taken again, in its place, when a key is read that another process made."""
        ticket.lacks = (missing.owner, missing.number)
        entry.undecided.appendleft(ticket)
        self.wake(entry)

    # -- answering ------------------------------------------------------------------------------------------------

    def _answer_nothing(self, entry: Aggregate, ticket: Ticket, refusal: LedgerError | None) -> None:
        """Answer a ticket that writes nothing, once the state that it was decided on is known to be the newest."""
        ticket.refusal = refusal
        entry.tickets.append(ticket)
        if not entry.pending:  # else an append in front is stored first, or fails and has this decided again
            self.confirm(entry)

    def confirm(self, entry: Aggregate) -> None:
        if entry.confirming is None:
            entry.confirming = self.cache.spawn(confirm(entry, self.committer, self.store))

    def answer_repeat(self, entry: Aggregate, ticket: Ticket) -> None:
        """Answer a repeat of a ticket that is durable by now."""
        first = ticket.first
        assert first is not None
        assert first.raw is not None
        try:
            self._writing.assert_same(ticket, first.event, first.meta.actor)
        except LedgerError as refusal:
            ticket.answer.set_exception(refusal)
        else:
            sequence = entry.remembered.get(key_of(ticket.event_id)) or entry.sequence
            ticket.answer.set_result(Answer(self.stream, sequence, first.raw, True, first.event))

    def _answer_stored(self, entry: Aggregate, ticket: Ticket, recorded: Recorded) -> None:
        if ticket.answer.done():
            return
        try:
            self._writing.assert_same(ticket, recorded.data, recorded.envelope.authid)
        except KeyNotHere as missing:
            self._read_key(entry, ticket, missing)
        except LedgerError as refusal:
            ticket.answer.set_exception(refusal)
        else:
            ticket.answer.set_result(Answer(self.stream, recorded.sequence, recorded.raw, True, recorded.data))

    def lost(self, entry: Aggregate, newest: int, known: int) -> None:
        self.committer.lost(entry.subject, newest, known)
        assert self.committer.halted is not None
        raise self.committer.halted

    def snapshot_due(self, entry: Aggregate) -> None:
        self.cache.write_snapshot(entry)

    def grown(self, entry: Aggregate) -> None:
        self.cache.weigh(entry)


def _stopping() -> Busy:
    return Busy("The service is stopping. Nothing was recorded; send it again in a moment.")
