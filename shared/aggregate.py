"""One aggregate in memory: its newest state, and the tickets that wait for it.

A ticket is one command. Those decided stand in `tickets`, in order, until every event that they stand on is durable;
those not yet decided stand in `undecided` behind them. The committer tells an aggregate what became of its appends, in
the order of its decisions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import structlog

from shared.command import Answer, CommandMeta
from shared.committer import Append
from shared.decider import Decider, Past, Ref
from shared.errors import LedgerError
from shared.event import FIRST_PREVHASH, sha256
from shared.remembered import Remembered, key_of, name_key

log = structlog.get_logger(__name__)

BASE_BYTES: Final = 3_600
"""What an aggregate without events takes in memory, by measurement."""

EVENT_BYTES: Final = 8_192
"""So many bytes of events count as one event for the interval between snapshots: those of bulk commands are long."""


class Keeper(Protocol):
    """Who holds the aggregates, and decides for them."""

    stream: str

    def wake(self, aggregate: Aggregate, *, again: bool = False) -> None:
        """See to its undecided tickets; `again` says that they were decided once before."""

    def confirm(self, aggregate: Aggregate) -> None:
        """Answer the tickets in front, which write nothing, once the stream bears their state out."""

    def answer_repeat(self, aggregate: Aggregate, ticket: Ticket) -> None:
        """Answer a ticket that repeats one which is durable by now."""

    def lost(self, aggregate: Aggregate, newest: int, known: int) -> None:
        """The stream has its events up to `newest` only, though one at `known` was stored. Raises Halted."""

    def snapshot_due(self, aggregate: Aggregate) -> None:
        """The event at which a snapshot was taken is durable."""

    def grown(self, aggregate: Aggregate) -> None:
        """It has some events more, and takes more memory."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An event that a decision recalls, read from the stream, and the names that it bears."""

    past: Past
    names: frozenset[str]


@dataclass(slots=True, eq=False)
class Ticket:
    """One command waiting for its answer."""

    command: Any
    meta: CommandMeta
    event_id: str
    answer: asyncio.Future[Answer]
    raw: bytes | None = None
    """The event's bytes once it is decided and submitted."""
    event: Any = None
    revision: int = 0
    decided_at: datetime | None = None
    names: Sequence[str] = ()
    """The names that its event bears."""
    past: Mapping[tuple[Ref, str], Past] = field(default_factory=dict)
    """The events that its decision recalls, as far as they were found."""
    keys: Mapping[str, int] = field(default_factory=dict)
    """The keys of names that were looked up for it, which its event may bear."""
    fetched: dict[int, Fetched] = field(default_factory=dict)
    """Events that were read from the stream for it, by sequence."""
    first: Ticket | None = None
    """The undurable ticket whose command this one repeats."""
    refusal: LedgerError | None = None
    more_reads: tuple[Ref, ...] = ()
    """Aggregates that its decision was found to read beside those that its command names."""
    lacks: tuple[str, int] | None = None
    """A key that was found to be needed to open what it compares or decides on: its owner and number."""
    unkeyed: tuple[str, ...] = ()
    """The owners who need a key first, so that what was decided of them can be sealed."""
    looked_at: int = 0
    """The sequence at which an event of the same id was looked for; two ids may have one key."""
    mandate: str | None = None
    """The grant under which it was decided, as its event says it."""

    def wants_more(self, known: tuple[Ref, ...]) -> bool:
        """Whether its decision was found to need something that must be read first; `known` are its further reads so
        far."""
        return self.more_reads != known or self.lacks is not None or bool(self.unkeyed)


@dataclass(eq=False)
class Aggregate:
    """One aggregate in memory: its newest state, and the tickets that wait for it."""

    keeper: Keeper
    ref: Ref
    decider: Decider[Any]
    subject: str
    state: Any = None
    revision: int = 0
    hash: str = FIRST_PREVHASH
    sequence: int = 0
    remembered: Remembered = field(default_factory=Remembered)
    """The ids of its durable events."""
    names: Remembered = field(default_factory=Remembered)
    """The names that its durable events bear."""
    named: dict[str, Ticket] = field(default_factory=dict)
    """The tickets whose events are decided, not durable, and the newest with a name."""
    tickets: deque[Ticket] = field(default_factory=deque)
    undecided: deque[Ticket] = field(default_factory=deque)
    pending: dict[str, Ticket] = field(default_factory=dict)
    loaded: bool = False
    loading: asyncio.Task[None] | None = None
    working: asyncio.Task[None] | None = None
    hinted_at: float = 0.0
    """When (monotonic seconds) the last hint came that somebody else writes to it, or infinite when hints were missed;
    0 once the stream has borne it out long enough after."""
    readers: int = 0
    """Decisions of other aggregates that read this one now; it decides nothing meanwhile."""
    emptied: asyncio.Future[None] | None = None
    confirming: asyncio.Task[None] | None = None
    failures: int = 0
    """How often its tickets were taken back; what was asked of the stream before says nothing afterwards."""
    snapshot_revision: int = 0
    unsaved_bytes: int = 0
    """Bytes of its events since the last snapshot."""
    snapshot: tuple[int, bytes] | None = None
    state_bytes: int = 0
    weight: int = BASE_BYTES

    def in_use(self) -> bool:
        return bool(self.tickets or self.undecided or self.working or self.loading or self.readers)

    def snapshot_due(self, every: int) -> bool:
        """Whether another snapshot is worth its while.

        After `every` events, or as many bytes as so many have; and never more bytes of snapshots than of events.
        """
        events = self.revision - self.snapshot_revision
        enough = events >= every or self.unsaved_bytes >= every * EVENT_BYTES
        return enough and self.unsaved_bytes >= self.state_bytes and self.snapshot is None

    def take_snapshot(self) -> None:
        """Keep the state as it is now, to be written once its event is durable."""
        try:
            self.snapshot = (self.revision, msgspec.msgpack.encode(self.state))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            log.error("a state cannot be kept as a snapshot", subject=self.subject, reason=str(error))
            self.snapshot_revision, self.unsaved_bytes = self.revision, 0

    def wrote(self, raw: bytes) -> bool:
        """Whether these are the bytes of its newest decision here, or of another that is not durable yet."""
        return sha256(raw) == self.hash or any(ticket.raw == raw for ticket in self.pending.values())

    async def drained(self) -> None:
        """Wait until no ticket is on its way."""
        while self.tickets:
            if self.emptied is None:
                self.emptied = asyncio.get_running_loop().create_future()
            await asyncio.shield(self.emptied)

    def settle(self) -> None:
        """Tell whoever waits that no ticket is on its way."""
        if self.emptied is not None and not self.tickets:
            self.emptied.set_result(None)
            self.emptied = None

    # -- what the committer tells ---------------------------------------------------------------------------------

    def stored(self, append: Append, sequence: int) -> None:
        self.sequence = sequence
        ticket = self.tickets[0]
        while ticket.raw is None:  # in front of it: it was sent after they came, so it confirms their state
            self.answer_first()
            ticket = self.tickets[0]
        self.remembered.add(key_of(ticket.event_id), sequence)
        self.pending.pop(ticket.event_id, None)
        if ticket.names:
            self._name_stored(ticket, sequence)
        self.tickets.popleft()
        if not ticket.answer.done():
            ticket.answer.set_result(Answer(self.keeper.stream, sequence, ticket.raw, data=ticket.event))
        while self.tickets and self.tickets[0].first is not None:
            self.answer_first()
        if self.tickets and not self.pending:
            self.keeper.confirm(self)
        if self.snapshot and self.snapshot[0] == ticket.revision:
            self.keeper.snapshot_due(self)
        elif not self.revision % 64:
            self.keeper.grown(self)
        self.settle()

    def _name_stored(self, ticket: Ticket, sequence: int) -> None:
        """The names of a ticket's event are found in the stream from now on."""
        keys = ticket.keys
        self.names.add_all([keys.get(name) or name_key(name) for name in ticket.names], sequence)
        if self.pending:
            named = self.named
            for name in ticket.names:
                if named.get(name) is ticket:
                    del named[name]
        else:
            self.named.clear()

    def failed(self, error: LedgerError | None) -> None:
        """Forget the state; answer with the error, or decide every unanswered ticket again."""
        tickets = [*self.tickets, *self.undecided]
        self.failures += 1
        self.tickets.clear()
        self.undecided.clear()
        self.pending.clear()
        self.named.clear()
        self.loaded = False
        self.snapshot = None
        for ticket in tickets:
            ticket.raw = ticket.event = ticket.first = ticket.refusal = None
            ticket.names = ()
            ticket.looked_at = 0
            if error is None:
                self.undecided.append(ticket)
            elif not ticket.answer.done():
                ticket.answer.set_exception(error)
        self.settle()
        if self.undecided:
            self.keeper.wake(self, again=True)

    def answer_first(self) -> None:
        """Answer the ticket in front, which wrote nothing itself; all that it stands on is durable by now."""
        ticket = self.tickets.popleft()
        if ticket.answer.done():
            return
        if ticket.first is not None:
            self.keeper.answer_repeat(self, ticket)
        elif ticket.refusal is not None:
            ticket.answer.set_exception(ticket.refusal)
        else:
            ticket.answer.set_result(Answer(self.keeper.stream, self.sequence, None))
