"""A small synthetic service with process managers, for the tests of their kernel: alarms that rooms are warned of, and
lamps that go out when their time is over."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.local.nats import NatsServer
from shared.clock import Clock, utc_now
from shared.command import CommandMeta
from shared.committer import Committer
from shared.connection import connect
from shared.contract import Contract
from shared.decider import Context, Decider
from shared.errors import Rejected
from shared.event import Recorded
from shared.handler import Handler
from shared.manager import Cause, Manager, Step, StepRefusal
from shared.outbox import Send, in_process
from shared.positions import KvPositions, Positions
from shared.process import Processes
from shared.store import EventStore
from shared.types import Id, Moment

house = Contract("house")


class HouseError(StrEnum):
    LOCKED = "LOCKED"
    NOT_YET_DUE = "NOT_YET_DUE"


@house.event(category="alarm")
class AlarmRaised:
    """Some rooms are to be warned."""

    alarm: Id
    rooms: tuple[Id, ...]


@house.command(category="alarm", aggregate="alarm", makes=(AlarmRaised,))
class RaiseAlarm:
    """Warn rooms. One whose name begins with `locked` cannot be warned; one that begins with `empty` need not be."""

    alarm: Id
    rooms: tuple[Id, ...]


@house.event(category="room")
class RoomWarned:
    """A room was warned; `number` counts its warnings."""

    room: Id
    alarm: Id
    number: int


@house.command(category="room", aggregate="room", makes=(RoomWarned,))
class WarnRoom:
    """Warn a room."""

    room: Id
    alarm: Id


@house.event(category="lamp")
class LampLit:
    """A lamp burns until a moment."""

    lamp: Id
    until: Moment


@house.command(category="lamp", aggregate="lamp", makes=(LampLit,))
class LightLamp:
    """Light a lamp."""

    lamp: Id
    until: Moment


@house.event(category="lamp")
class LampOut:
    """A lamp went out."""

    lamp: Id


@house.command(category="lamp", aggregate="lamp", makes=(LampOut,))
class PutOutLamp:
    """Put a lamp out, when its time is over. One whose name begins with `locked` cannot be."""

    lamp: Id


@house.event(category="process")
class ProcessStepRefused(StepRefusal):
    """A step was refused."""


@house.command(category="process", aggregate="step", makes=(ProcessStepRefused,))
class NoteRefusal(StepRefusal):
    """Record that a step was refused."""


house.freeze()


@dataclass
class Seen:
    """What is left of any aggregate of the house: how much happened to it, and until when its lamp burns."""

    events: int = 0
    until: datetime | None = None


def _decide(command: Any, state: Seen, context: Context) -> Any:
    match command:
        case RaiseAlarm():
            return AlarmRaised(alarm=command.alarm, rooms=command.rooms)
        case WarnRoom(room=room, alarm=alarm):
            if room.startswith("locked"):
                raise Rejected(HouseError.LOCKED, f"{room} is locked at attempt {context.now.isoformat()}.")
            return None if room.startswith("empty") else RoomWarned(room=room, alarm=alarm, number=state.events + 1)
        case LightLamp():
            return LampLit(lamp=command.lamp, until=command.until)
        case PutOutLamp(lamp=lamp):
            if lamp.startswith("locked"):
                raise Rejected(HouseError.LOCKED, "It stands behind a locked door.")
            if state.until is None:
                return None
            if state.until > context.now:
                raise Rejected(HouseError.NOT_YET_DUE, "It is too early.")
            return LampOut(lamp=command.lamp)
        case NoteRefusal():
            return ProcessStepRefused(**{name: getattr(command, name) for name in StepRefusal.__dataclass_fields__})
    raise AssertionError(command)


def _evolve(state: Seen, event: Any) -> Seen:
    state.events += 1
    match event:
        case LampLit():
            state.until = event.until
        case LampOut():
            state.until = None
    return state


DECIDERS = [
    Decider(house, category, Seen, Seen, _decide, _evolve, lambda _: [])
    for category in ("alarm", "room", "lamp", "process")
]


class Alarms(Manager):
    """AlarmRaised -> WarnRoom, for each room."""

    name = "alarms"
    reads = (AlarmRaised,)

    def react(self, event: Recorded) -> Iterable[Step]:
        for room in event.data.rooms:
            yield self.step(event, house, WarnRoom(room=room, alarm=event.data.alarm))


class Joining(Alarms):
    """Warns a room of several alarms at once, when they wait together."""

    def joined(self, commands: Sequence[Any]) -> Any | None:
        return WarnRoom(room=commands[0].room, alarm="_".join(command.alarm for command in commands))


class Apart(Alarms):
    """Warns of different alarms at the same time; of one alarm, in order."""

    def react(self, event: Recorded) -> Iterable[Step]:
        for number, room in enumerate(event.data.rooms):
            warn = WarnRoom(room=room, alarm=event.data.alarm)
            yield self.step(event, house, warn, f"warning {number}", about=event.data.alarm)


class Lamps(Manager):
    """A clock for lamps."""

    name = "lamps"
    reads = (LampLit, LampOut)

    def __init__(self) -> None:
        self._due: list[tuple[datetime, str, Cause]] = []
        self._burning: set[str] = set()

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case LampLit(lamp=lamp, until=until):
                self._burning.add(lamp)
                heapq.heappush(self._due, (until, lamp, Cause.of(event)))
            case LampOut(lamp=lamp):
                self._burning.discard(lamp)
        return ()

    def due(self, now: datetime) -> Iterable[Step]:
        while self._due and self._due[0][0] <= now:
            _, lamp, cause = heapq.heappop(self._due)
            if lamp in self._burning:
                yield self.step(cause, house, PutOutLamp(lamp=lamp))


@dataclass
class House:
    """One process of the service, and the commands that its managers sent."""

    server: NatsServer
    store: EventStore
    handler: Handler
    positions: Positions
    clock: Clock
    sent: list[str] = field(default_factory=list)

    async def do(self, command: Any, id: str, *, story: str | None = None) -> None:
        meta = CommandMeta(id=id, actor="sam", correlation_id=story or f"story-{id}")
        await self.handler.handle(command, meta)

    def send(self) -> Send:
        through = in_process(self.handler)

        async def send(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
            self.sent.append(meta.id)
            return await through(service, command, data, meta)

        return send

    @asynccontextmanager
    async def managers(
        self, *managers: Manager, send: Send | None = None, positions: Positions | None = None, url: str | None = None,
        acting: bool = True,
    ) -> AsyncIterator[Processes]:  # fmt: skip
        """A run of the managers with short pauses, stopped in order at the end."""
        processes = Processes(
            url or self.server.url, house, managers or (Alarms(), Lamps()), send or self.send(),
            positions or self.positions, clock=self.clock, refusal_pauses=(0.01,), tick_seconds=0.05,
            acting=acting,
        )  # fmt: skip
        await processes.start()
        try:
            yield processes
        finally:
            await processes.stop()

    async def events(self, *classes: type) -> list[Recorded]:
        """The stream's events of some classes, or all."""
        found = [await self.store.at(sequence) for sequence in range(1, await self.store.last_sequence() + 1)]
        return [event for event in found if event is not None and (not classes or isinstance(event.data, classes))]


@asynccontextmanager
async def house_at(server: NatsServer, clock: Callable[[], datetime] = utc_now) -> AsyncIterator[House]:
    """A running house over its stream."""
    handler: Handler | None = None

    def lost() -> None:
        if handler is not None:
            handler.connection_changed()

    nc = await connect(server.url, name="house", on_lost=lost)
    try:
        store = EventStore(nc, house)
        await store.ensure(server.monitor_url)
        committer = Committer(store)
        handler = Handler(store, DECIDERS, committer, clock=clock)
        await committer.start()
        try:
            yield House(server, store, handler, await KvPositions.open(nc, "inventory"), clock)
        finally:
            await handler.stop()
    finally:
        await nc.close()


class Forgetful:
    """Positions that nobody kept."""

    async def load(self, key: str) -> int:
        return 0

    async def save(self, key: str, position: int) -> None:
        pass


async def settled(processes: Processes, position: int) -> None:
    """Wait until every manager has dealt with everything up to a sequence."""
    async with asyncio.timeout(20):
        await processes.caught_up.wait()
        while any(m["position"] < position or m["waiting"] for m in processes.health()["managers"]):
            await asyncio.sleep(0.01)
