"""Runs process managers over a stream: each event is shown to them, and what follows from it is sent.

    positions = await KvPositions.open(nc, "inventory")
    async with run_managers(url, contract, managers, through_nats(nc), positions) as processes:
        processes.health()

At the start the whole stream is read, so that the managers remember; the steps of what lies behind a manager's position
gather meanwhile, and those whose outcome is found further on in the stream are dropped. What is left at the end of
the stream is sent, and from then on what follows from each new event, at once.

The position is where a manager had dealt with everything before it. It only saves work: a step that is sent again
changes nothing, so losing the position changes nothing. A manager that fails stands still, loudly; the others go on.

Of several instances of a service one acts. The others follow the stream as well, and what would be sent gathers until
it is found in the stream, or lies behind the position that the acting one keeps: `act` sends what is left.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import nats.errors
import structlog

from shared.clock import Clock, utc_now
from shared.contract import Contract, kebab
from shared.errors import Corrupt, LedgerError, Misconfigured
from shared.event import Recorded, decode
from shared.managed import GAUGES, Managed
from shared.manager import STEP_REFUSED, Manager, Step, StepRefusal
from shared.outbox import Delivery, Outbox, Send
from shared.positions import Positions
from shared.store import stream_name
from shared.tasks import end
from shared.wire import Message, StreamLost, StreamReader

log = structlog.get_logger(__name__)

_WINDOW: Final = 1000
"""Steps under way at which no further event is read."""

_BATCH: Final = 500
"""Of one pull: larger ones arrive in lumps that the commands of the same process wait behind."""

_SLICE: Final = 50
"""Events taken at a time, before others in this process have their turn."""

_RETRY_SECONDS: Final = 0.25


class Processes:
    """The managers of one service's stream. Made by `run_managers`."""

    def __init__(
        self, nats_url: str, contract: Contract, managers: Iterable[Manager], send: Send, positions: Positions, *,
        clock: Clock = utc_now, at_once: int = 256, refusal_pauses: Sequence[float] = (0.1, 0.5, 2.0),
        tick_seconds: float = 1.0, acting: bool = True,
    ) -> None:  # fmt: skip
        self.stream = stream_name(contract.service)
        self.failure: LedgerError | None = None
        """Why nothing is read: a gap, an event that cannot be read; or, until it is put back, a tail that was lost."""
        self.unreadable = 0
        """Messages of the stream that are no events, or none that this software knows."""
        self.first_unreadable = 0
        self.caught_up = asyncio.Event()
        """Set once all that the stream held at the start was read."""
        self._url, self._contract, self._clock, self._tick = nats_url, contract, clock, tick_seconds
        self._positions = positions
        self._managed = [Managed(m, f"{self.stream}.{m.name}") for m in managers]
        if len({m.key for m in self._managed}) < len(self._managed):
            raise ValueError("Two process managers have the same name; the ids of their commands would be the same.")
        self._new_outbox = partial(
            Outbox, send, contract, self._settled, self._stuck, at_once=at_once, refusal_pauses=refusal_pauses
        )
        self._outbox = self._new_outbox()
        self._acting = acting
        self._readers = self._by_type()
        self._refused_type = f"commons.{contract.service}.{kebab(STEP_REFUSED)}"
        self._deliveries: dict[str, tuple[Managed, Delivery]] = {}
        self._by_event: dict[str, Delivery] = {}
        self._refused: set[str] = set()
        self._room = asyncio.Event()
        self._next = 1
        self._last = 0
        self._tasks: list[asyncio.Task[None]] = []
        for managed in self._managed:
            for name, gauge in GAUGES.items():
                gauge.labels(self.stream, managed.manager.name).set_function(partial(self._gauge, managed, name))

    # -- lifecycle ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to read; returns before the stream's end is reached."""
        for managed in self._managed:
            managed.saved = managed.start = await self._positions.load(managed.key)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work) for work in (self._run(), self._watch_clock(), self._keep_positions())]

    async def stop(self) -> None:
        """Stop reading and sending, and keep the positions."""
        await end(self._tasks)
        await self._outbox.stop()
        if self._acting:
            await self._save()

    async def act(self) -> None:
        """Send from now on what follows from the events, and what gathered."""
        if self._acting:
            return
        await self._follow_positions()
        self._acting = True
        if self.caught_up.is_set():
            self._send_gathered()

    async def rest(self) -> None:
        """Send nothing more, as another instance does; what was sent and not answered is that one's to send again."""
        if not self._acting:
            return
        self._acting = False
        self._room.set()
        await self._outbox.stop()
        self._outbox = self._new_outbox()

    def health(self) -> dict[str, Any]:
        """Whether all managers run, and of each: its position, how far that is behind the stream's end, what waits and
        for how many seconds, how many steps were settled since the start, and how many were ever refused."""
        managers = [
            {"manager": m.manager.name, **self._figures(m), "steps": m.steps, "failure": m.failure}
            for m in self._managed
        ]
        failure = None if self.failure is None else self.failure.problem()
        ok = failure is None and not self.unreadable and all(m.failure is None for m in self._managed)
        ready = self.caught_up.is_set()
        return {"ok": ok, "ready": ready, "stream": self.stream, "failure": failure, "managers": managers,
                "unreadable": self.unreadable, "first_unreadable": self.first_unreadable}  # fmt: skip

    def _gauge(self, managed: Managed, name: str) -> float:
        if name == "failed":
            return float(managed.failure is not None or self.failure is not None)
        return self._figures(managed)[name]

    def _figures(self, managed: Managed) -> dict[str, float]:
        """What gathers in an instance that does not act is under way in the one that does, which tells of it."""
        figures = managed.figures(self._next, self._last)
        return figures if self._acting else {**figures, "waiting": 0, "oldest_seconds": 0}

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._read()
                except StreamLost as lost:
                    log.warning("process managers lost the stream", stream=self.stream, reason=lost.detail)
                except Corrupt as error:
                    if not _lost_tail(error):
                        raise
                    if self.failure is None:  # it may be put back
                        log.error(
                            "process managers wait for the stream's tail", stream=self.stream, reason=error.detail
                        )
                    self.failure = error
                await asyncio.sleep(_RETRY_SECONDS)
        except LedgerError as error:
            self.failure = error
            log.error("process managers stopped", stream=self.stream, code=str(error.code), reason=error.detail)
            await self._outbox.stop()
        except Exception as error:
            self.failure = LedgerError(f"The process managers met an error of their own: {type(error).__name__}.")
            log.exception("process managers stopped", stream=self.stream)
            await self._outbox.stop()

    async def _read(self) -> None:
        # As they are before the stream's end is asked for: the acting instance keeps positions beyond it meanwhile.
        starts = [(managed, managed.start) for managed in self._managed]
        async with self._reader() as reader:
            self._last = reader.last_sequence
            for managed, start in starts:
                if start > self._last:
                    raise Corrupt(
                        f"The stream {self.stream} ends at {self._last:,}, but the process manager "
                        f"{managed.manager.name} had dealt with {start:,}: its tail is lost. "
                        "Stop the services and restore the stream.",
                        stream=self.stream, sequence=self._last, expected=start,
                    )  # fmt: skip
            self.failure = None
            head = self._last
            self._arrived(head)
            async for messages in reader.batches():
                for start in range(0, len(messages), _SLICE):
                    for message in messages[start : start + _SLICE]:
                        self._take(message)
                    self._arrived(head)
                    await asyncio.sleep(0)
                self._last = max(reader.last_sequence, self._next - 1)
                while self._acting and self.caught_up.is_set() and len(self._deliveries) >= _WINDOW:
                    self._room.clear()
                    await self._room.wait()

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[StreamReader]:
        name = f"process-{self._contract.service}"
        reader = StreamReader(self._url, self.stream, self._next, batch=_BATCH, name=name)
        try:
            await reader.__aenter__()
        except Misconfigured as error:  # another service's stream, which that may be about to make
            raise StreamLost(error.detail) from error
        try:
            yield reader
        finally:
            await reader.__aexit__(None, None, None)

    def _arrived(self, head: int) -> None:
        """At the end of what the stream held at the start, send what was not settled further on in it."""
        if self._next > head and not self.caught_up.is_set():
            self.caught_up.set()
            if self._acting:
                self._send_gathered()
            log.info("process managers are level with the stream", stream=self.stream, steps=len(self._deliveries))

    def _take(self, message: Message) -> None:
        """Show one event to the managers that read it.

        One that cannot be read is passed over and counted: recalls and expiries of everything else must go on. Health
        says so until an operator has looked, and `commons verify` names it.
        """
        if message.sequence < self._next:
            return
        try:
            event = decode(
                message.payload, stream=self.stream, sequence=message.sequence, subject=message.subject,
                contract=self._contract,
            )  # fmt: skip
            self._read_by_managers(event)
        except Corrupt as error:
            self.unreadable += 1
            self.first_unreadable = self.first_unreadable or message.sequence
            log.error("an event was passed over", stream=self.stream, sequence=message.sequence, reason=error.detail)
        self._next = message.sequence + 1

    def _read_by_managers(self, event: Recorded) -> None:
        outcome = self._by_event.get(event.id)
        if outcome is not None:
            self._settled(outcome)
        stem = event.type.rpartition(".v")[0]
        if stem == self._refused_type:
            self._note_refusal(event.data)
        for managed in self._readers.get(stem, ()):
            if managed.failure is None:
                self._show(managed, event)

    def _show(self, managed: Managed, event: Recorded) -> None:
        try:
            steps = list(managed.manager.react(event))
        except Corrupt:
            raise
        except Exception as error:  # noqa: BLE001 - a manager's own mistake must not stop the others
            self._fail(managed, error, event.id)
            return
        if event.sequence > managed.start:
            for step in steps:
                self._send(managed, step, event.sequence)

    def _note_refusal(self, refusal: StepRefusal) -> None:
        """A refused step is not sent again, whatever becomes of the position."""
        self._refused.add(refusal.step)
        for managed in self._managed:
            managed.refusals += managed.manager.name == refusal.manager
        found = self._deliveries.get(refusal.step)
        if found is not None:
            self._settled(found[1])

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send(self, managed: Managed, step: Step, at: int | None) -> None:
        delivery = Delivery(managed.manager, step, at)
        if delivery.id in self._refused or delivery.id in self._deliveries:
            return
        self._deliveries[delivery.id] = (managed, delivery)
        managed.waiting[delivery.id] = delivery.since
        self._by_event[delivery.event_id] = delivery
        if at is not None:
            managed.open[at] = managed.open.get(at, 0) + 1
        if self._acting and self.caught_up.is_set():
            self._outbox.add(delivery)

    def _send_gathered(self) -> None:
        for _, delivery in list(self._deliveries.values()):
            self._outbox.add(delivery)

    def _settled(self, delivery: Delivery) -> None:
        delivery.settled = True
        found = self._deliveries.pop(delivery.id, None)
        if found is None:
            return  # by the stream, before its answer came
        managed = found[0]
        managed.steps += 1
        del managed.waiting[delivery.id]
        self._by_event.pop(delivery.event_id, None)
        self._room.set()
        if delivery.at is None:
            return
        managed.open[delivery.at] -= 1
        if not managed.open[delivery.at]:
            del managed.open[delivery.at]

    def _stuck(self, delivery: Delivery, error: Exception) -> None:
        """A step that can be neither sent nor recorded as refused: its manager stops where it is."""
        found = self._deliveries.get(delivery.id)
        if found is not None:
            self._fail(found[0], error, delivery.step.cause.id)

    def _fail(self, managed: Managed, error: Exception, cause: str) -> None:
        reason = error.detail if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
        managed.failure = f"It stopped at the event {cause}. {reason}"
        managed.open[self._next] = managed.open.get(self._next, 0) + 1  # never dealt with, nor what comes after it
        log.error("a process manager stopped", manager=managed.manager.name, cause=cause, reason=reason, exc_info=error)

    # -- time ---------------------------------------------------------------------------------------------------------

    async def _watch_clock(self) -> None:
        """Every second, send the steps whose time has come."""
        await self.caught_up.wait()
        while True:
            for managed in self._managed if self._acting and self.failure is None else ():
                if managed.failure is None:
                    try:
                        steps = list(managed.manager.due(self._clock()))
                    except Exception as error:  # noqa: BLE001 - a manager's own mistake must not stop the others
                        self._fail(managed, error, "of its clock")
                        continue
                    for step in steps:
                        self._send(managed, step, None)
            await asyncio.sleep(self._tick)

    async def _keep_positions(self) -> None:
        while True:
            await asyncio.sleep(self._tick)
            await (self._save() if self._acting else self._follow_positions())

    async def _follow_positions(self) -> None:
        """Let go of the steps that the acting instance has dealt with, some of which left no event."""
        for managed in self._managed:
            try:
                position = await asyncio.wait_for(self._positions.load(managed.key), 5)
            except (nats.errors.Error, OSError, TimeoutError) as error:
                log.warning("a position could not be read", manager=managed.manager.name, reason=type(error).__name__)
                return
            if position > managed.start:
                managed.start = managed.saved = position
                for other, delivery in list(self._deliveries.values()):
                    if other is managed and delivery.at is not None and delivery.at <= position:
                        self._settled(delivery)

    async def _save(self) -> None:
        for managed in self._managed:
            position = managed.position(self._next)
            if position != managed.saved:
                try:
                    await asyncio.wait_for(self._positions.save(managed.key, position), 5)
                    managed.saved = position
                except (nats.errors.Error, OSError, TimeoutError) as error:
                    # Only work is lost with it: the next run sends again what it cannot find in the stream.
                    log.warning("a position was not kept", manager=managed.manager.name, reason=type(error).__name__)
                    return

    def _by_type(self) -> dict[str, list[Managed]]:
        """The managers that read each type of event, by the type without its version."""
        readers: defaultdict[str, list[Managed]] = defaultdict(list)
        for spec in self._contract.events.values():
            stem = spec.type.rpartition(".v")[0]
            readers[stem] += [m for m in self._managed if issubclass(spec.cls, m.manager.reads)]
        return dict(readers)


def _lost_tail(error: Corrupt) -> bool:
    """Whether a stream ends before what was read of it."""
    return "expected" in error.facts and error.facts["sequence"] < error.facts["expected"]


@asynccontextmanager
async def run_managers(
    nats_url: str, contract: Contract, managers: Iterable[Manager], send: Send, positions: Positions, *,
    clock: Clock = utc_now,
) -> AsyncIterator[Processes]:  # fmt: skip
    """Run managers over the stream of a contract's service for as long as the context is open."""
    processes = Processes(nats_url, contract, managers, send, positions, clock=clock)
    await processes.start()
    try:
        yield processes
    finally:
        await processes.stop()
