"""Process managers on a real server: every step once, whatever is killed, lost or forgotten in between."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from services.local.nats import NatsServer
from shared.clock import utc_now
from shared.command import CommandMeta
from shared.errors import Busy, OutcomeUnknown, RateLimited
from shared.event import Recorded
from shared.manager import Manager, Step
from shared.outbox import Send, through_nats
from shared.positions import BUCKET, KvPositions
from shared.process import Processes
from shared.service import Service
from shared.settings import Settings
from tests.support.alarms import (
    DECIDERS,
    AlarmRaised,
    Alarms,
    Apart,
    Forgetful,
    House,
    Joining,
    LampOut,
    Lamps,
    LightLamp,
    ProcessStepRefused,
    RaiseAlarm,
    RoomWarned,
    house,
    house_at,
    settled,
)

ROOMS = tuple(f"room-{n}" for n in range(50))


class Watch:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def home(nats_server: NatsServer, watch: Watch) -> AsyncIterator[House]:
    async with house_at(nats_server, watch) as home:
        yield home


async def warned(home: House) -> Counter[str]:
    return Counter(event.data.room for event in await home.events(RoomWarned))


async def waiting(processes: Processes, steps: int) -> None:
    """Wait until so many steps of every manager are under way."""
    async with asyncio.timeout(20):
        while any(m["waiting"] < steps for m in processes.health()["managers"]):
            await asyncio.sleep(0.01)


async def test_an_event_becomes_commands_that_tell_where_they_come_from(home: House) -> None:
    async with home.managers() as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=("kitchen", "hall")), "c-1")
        await settled(processes, 3)
        health = processes.health()
    raised = (await home.events(AlarmRaised))[0]
    for event in await home.events(RoomWarned):
        envelope = event.envelope
        assert (envelope.authid, envelope.authtype) == ("alarms", "process")
        assert (envelope.causationid, envelope.correlationid) == (raised.id, "story-c-1")
    assert await warned(home) == Counter(["kitchen", "hall"])
    assert (health["ok"], health["ready"]) == (True, True)
    assert {m["manager"]: (m["position"], m["lag"], m["waiting"], m["steps"]) for m in health["managers"]} == {
        "alarms": (3, 0, 0, 2), "lamps": (3, 0, 0, 0),
    }  # fmt: skip


async def test_who_rests_sends_nothing_and_goes_on_where_the_other_stopped(home: House) -> None:
    """What the other dealt with is told by its events, and by its position, since some steps leave none."""

    async def leaves_nothing(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        return "unchanged"

    async with (
        home.managers(Alarms(), send=leaves_nothing) as acting, home.managers(Alarms(), acting=False) as resting,
    ):  # fmt: skip
        await home.do(RaiseAlarm(alarm="fire", rooms=ROOMS), "c-1")
        await settled(acting, 1)
        await settled(resting, 1)
        await acting.rest()
        await home.do(RaiseAlarm(alarm="flood", rooms=("attic",)), "c-2")
        async with asyncio.timeout(20):
            while not resting._deliveries:  # its step gathers
                await asyncio.sleep(0.01)
        assert not home.sent and not await warned(home)
        await resting.act()
        await settled(resting, 3)
        await settled(acting, 3)
        assert await warned(home) == Counter(["attic"])
        await resting.rest()
        await acting.act()
        assert not acting._deliveries


async def test_killed_in_the_middle_and_started_again_every_room_is_warned_once(home: House) -> None:
    """The first run is cut off between one answer and the next: nothing of it is kept but what the ledger has."""
    await home.do(RaiseAlarm(alarm="fire", rooms=ROOMS), "c-1")
    through, halfway, answered = home.send(), asyncio.Event(), 0

    async def breaks_off(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        nonlocal answered
        if len(home.sent) >= 35:
            await asyncio.sleep(3600)  # on its way for ever
        status = await through(service, command, data, meta)
        answered += 1
        if answered > 25:
            halfway.set()
            await asyncio.sleep(3600)  # recorded, and the answer lost
        return status

    async with home.managers(Alarms(), send=breaks_off) as processes:
        await asyncio.wait_for(halfway.wait(), 10)
        assert processes.health()["managers"][0]["position"] == 0
    assert 25 < (await warned(home)).total() < 50
    async with home.managers(Alarms()) as processes:
        await settled(processes, 51)
    assert await warned(home) == Counter(ROOMS)


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "lost"])
async def test_a_lost_position_changes_nothing(home: House, keeps: bool) -> None:
    await home.do(RaiseAlarm(alarm="fire", rooms=(*ROOMS, "locked-1", "empty-1")), "c-1")
    async with home.managers() as processes:
        await settled(processes, 52)
    before = await home.events()
    assert len(before) == 52  # the alarm, fifty warnings and a refusal
    home.sent.clear()
    async with home.managers(positions=None if keeps else Forgetful()) as processes:
        await settled(processes, 52)
    assert [event.raw for event in await home.events()] == [event.raw for event in before]
    # What left no trace in the ledger is all that is asked again.
    assert len(home.sent) == (0 if keeps else 1)


async def test_every_step_sent_again_changes_nothing(home: House) -> None:
    """Even without looking into the stream for what was settled: the ids alone are enough."""
    await home.do(RaiseAlarm(alarm="fire", rooms=ROOMS), "c-1")
    async with home.managers(Alarms()) as processes:
        await settled(processes, 51)
    raised = (await home.events(AlarmRaised))[0]
    send = home.send()
    for step in Alarms().react(raised):
        meta = CommandMeta(id=step.id("alarms"), actor="alarms", authtype="process")
        assert await send("house", "WarnRoom", json.dumps({"room": step.command.room, "alarm": "fire"}).encode(), meta)
    assert await home.store.last_sequence() == 51


async def test_a_refusal_is_recorded_once_and_stops_nothing_else(home: House) -> None:
    async with home.managers() as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=("hall", "locked-1", "attic")), "c-1")
        await settled(processes, 4)
        await home.do(RaiseAlarm(alarm="flood", rooms=("cellar",)), "c-2")
        await settled(processes, 6)
        assert processes.health()["managers"][0]["refusals"] == 1
    assert set(await warned(home)) == {"hall", "attic", "cellar"}
    raised = (await home.events(AlarmRaised))[0]
    (refused,) = await home.events(ProcessStepRefused)
    assert (refused.data.manager, refused.data.cause, refused.data.service) == ("alarms", raised.id, "house")
    assert (refused.data.command, refused.data.target, refused.data.code) == ("WarnRoom", "room/locked-1", "LOCKED")
    assert refused.data.detail.startswith("locked-1 is locked")
    assert (
        refused.aggregate_id
        == refused.data.step
        == next(step.id("alarms") for step in Alarms().react(raised) if step.command.room == "locked-1")
    )
    home.sent.clear()
    async with home.managers(positions=Forgetful()) as processes:
        await settled(processes, 6)
        assert processes.health()["managers"][0]["refusals"] == 1
    assert home.sent == []
    assert len(await home.events(ProcessStepRefused)) == 1


async def test_a_busy_target_is_asked_until_it_answers(home: House) -> None:
    through, attempts = home.send(), Counter[str]()

    async def busy(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        attempts[meta.id] += 1
        if attempts[meta.id] <= 4:
            raise Busy("Not now.")
        status = await through(service, command, data, meta)
        if attempts[meta.id] == 5:
            raise OutcomeUnknown("The answer was lost.")
        return status

    async with home.managers(send=busy) as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=ROOMS[:5]), "c-1")
        await settled(processes, 6)
    assert await warned(home) == Counter(ROOMS[:5])
    # A step whose event is found in the stream needs no answer.
    assert all(5 <= count <= 6 for count in attempts.values())


async def test_a_target_that_says_when_to_come_back_is_asked_then(home: House) -> None:
    through, attempts, time = home.send(), Counter[str](), asyncio.get_running_loop().time
    free: float | None = None

    async def limited(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        nonlocal free
        attempts[meta.id] += 1
        free = free or time() + 0.9
        if time() < free:
            raise RateLimited("Too fast.", retry_after=1)
        return await through(service, command, data, meta)

    async with home.managers(send=limited) as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=ROOMS[:5]), "c-1")
        await settled(processes, 6)
    assert await warned(home) == Counter(ROOMS[:5])
    assert set(attempts.values()) == {2}


async def test_steps_to_one_aggregate_keep_the_order_of_their_causes(home: House) -> None:
    through = home.send()
    slow = iter([0.05] + [0.0] * 100)

    async def uneven(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        await asyncio.sleep(next(slow))
        return await through(service, command, data, meta)

    async with home.managers(send=uneven) as processes:
        for n in range(10):
            await home.do(RaiseAlarm(alarm=f"alarm-{n}", rooms=("hall", f"room-{n}")), f"c-{n}")
        await settled(processes, 30)
    hall = [e.data.alarm for e in await home.events(RoomWarned) if e.data.room == "hall"]
    assert hall == [f"alarm-{n}" for n in range(10)]


@pytest.mark.parametrize("one_story", [True, False], ids=["one story", "several"])
async def test_steps_of_one_story_that_wait_together_are_sent_as_one(home: House, one_story: bool) -> None:
    through, gate = home.send(), asyncio.Event()

    async def waits(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        await gate.wait()
        return await through(service, command, data, meta)

    async with home.managers(Joining(), send=waits) as processes:
        await home.do(RaiseAlarm(alarm="a0", rooms=("hall",)), "c-0", story="one" if one_story else None)
        await waiting(processes, 1)
        for n in range(1, 5):
            await home.do(RaiseAlarm(alarm=f"a{n}", rooms=("hall",)), f"c-{n}", story="one" if one_story else None)
        await waiting(processes, 5)
        gate.set()
        await settled(processes, 5)
    alone = ["a0", "a1", "a2", "a3", "a4"]
    warned = await home.events(RoomWarned)
    assert [event.data.alarm for event in warned] == (["a0", "a1_a2_a3_a4"] if one_story else alone)
    assert warned[-1].envelope.causationid == (await home.events(AlarmRaised))[-1].id


async def test_joined_steps_that_are_refused_are_refused_one_by_one(home: House) -> None:
    await home.do(RaiseAlarm(alarm="fire", rooms=("locked-1",)), "c-1", story="one")
    await home.do(RaiseAlarm(alarm="flood", rooms=("locked-1",)), "c-2", story="one")
    async with home.managers(Joining()) as processes:
        await settled(processes, 2)
    causes = [event.id for event in await home.events(AlarmRaised)]
    assert [event.data.cause for event in await home.events(ProcessStepRefused)] == causes


async def test_steps_about_different_things_do_not_wait_for_one_another(home: House) -> None:
    through, gate = home.send(), asyncio.Event()

    async def holds_fire(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        if b"fire" in data:
            await gate.wait()
        return await through(service, command, data, meta)

    async with home.managers(Apart(), send=holds_fire) as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=("hall", "hall")), "c-1")
        await home.do(RaiseAlarm(alarm="flood", rooms=("hall",)), "c-2")
        async with asyncio.timeout(10):
            while not await warned(home):
                await asyncio.sleep(0.01)
        gate.set()
        await settled(processes, 5)
    assert [event.data.alarm for event in await home.events(RoomWarned)] == ["flood", "fire", "fire"]


async def test_a_timer_fires_after_a_restart_and_only_then(home: House, watch: Watch) -> None:
    async with home.managers() as processes:
        await home.do(LightLamp(lamp="porch", until=watch.now + timedelta(hours=2)), "c-1")
        await settled(processes, 1)
    assert home.sent == []
    watch.now += timedelta(hours=3)
    async with home.managers() as processes:
        await settled(processes, 2)
    (out,) = await home.events(LampOut)
    lit = (await home.events())[0]
    assert (out.data.lamp, out.envelope.causationid, out.envelope.correlationid) == ("porch", lit.id, "story-c-1")
    home.sent.clear()
    async with home.managers(positions=Forgetful()) as processes:
        await settled(processes, 2)
        await asyncio.sleep(0.2)  # several looks at the clock
    assert home.sent == []


async def test_a_timer_that_was_refused_is_not_tried_at_every_restart(home: House, watch: Watch) -> None:
    await home.do(LightLamp(lamp="locked-lamp", until=watch.now - timedelta(hours=2)), "c-1")
    async with home.managers() as processes:
        await settled(processes, 2)
    assert len(await home.events(ProcessStepRefused)) == 1
    home.sent.clear()
    async with home.managers() as processes:
        await settled(processes, 2)
        await asyncio.sleep(0.2)  # several looks at the clock
    assert home.sent == []


async def test_goes_on_after_the_server_was_lost(home: House, nats_server: NatsServer) -> None:
    async with home.managers() as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=ROOMS[:5]), "c-1")
        await settled(processes, 6)
        await nats_server.kill()
        await asyncio.sleep(0.3)
        await nats_server.start()
        async with asyncio.timeout(20):
            while not home.store.nc.is_connected:
                await asyncio.sleep(0.05)
        await home.do(RaiseAlarm(alarm="flood", rooms=ROOMS[5:10]), "c-2")
        await settled(processes, 12)
        assert processes.health()["ok"]
    assert await warned(home) == Counter(ROOMS[:10])


async def test_a_stream_that_ends_before_the_position_stops_everything_loudly(home: House) -> None:
    await home.do(RaiseAlarm(alarm="fire", rooms=("hall",)), "c-1")
    await home.positions.save("HOUSE.alarms", 7)
    async with home.managers() as processes:
        await failed(processes)
        assert "tail is lost" in processes.health()["failure"]["detail"]
    assert home.sent == []


async def test_what_is_no_event_is_passed_over_and_health_says_so(home: House) -> None:
    """Anything else would let one stray message keep every later recall from being followed."""
    async with home.managers() as processes:
        await home.store.nc.jetstream().publish("ledger.house.alarm.x", b"not an event")
        async with asyncio.timeout(10):
            while not processes.unreadable:
                await asyncio.sleep(0.01)
        health = processes.health()
        assert (health["ok"], health["failure"]) == (False, None)
        assert (health["unreadable"], health["first_unreadable"]) == (1, 1)
        assert not any(manager["failure"] for manager in health["managers"])


async def failed(processes: object) -> None:
    async with asyncio.timeout(10):
        while processes.failure is None:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)


async def test_a_manager_that_fails_stands_still_and_the_others_go_on(home: House) -> None:
    class Broken(Manager):
        name = "broken"
        reads = (AlarmRaised,)

        def react(self, event: Recorded) -> list[Step]:
            raise ZeroDivisionError("a mistake")

    async with home.managers(Broken(), Alarms()) as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=("hall",)), "c-1")
        await home.do(RaiseAlarm(alarm="flood", rooms=("cellar",)), "c-2")
        async with asyncio.timeout(10):
            while (await warned(home)).total() < 2:
                await asyncio.sleep(0.01)
        broken, alarms = processes.health()["managers"]
        assert "a mistake" in broken["failure"]
        assert broken["position"] == 0
        assert alarms["failure"] is None
        assert not processes.health()["ok"]


async def test_a_manager_whose_clock_fails_stands_still(home: House) -> None:
    class Unwound(Alarms):
        def due(self, now: datetime) -> list[Step]:
            raise ZeroDivisionError("a mistake")

    await home.do(RaiseAlarm(alarm="fire", rooms=("hall",)), "c-1")
    async with home.managers(Unwound(), Lamps()) as processes:
        async with asyncio.timeout(10):
            while processes.health()["ok"]:
                await asyncio.sleep(0.01)
        stopped_at = processes.health()["managers"][0]["position"]
        await home.do(RaiseAlarm(alarm="flood", rooms=("cellar",)), "c-2")
        async with asyncio.timeout(10):
            while processes.health()["managers"][1]["position"] < await home.store.last_sequence():
                await asyncio.sleep(0.01)
        assert processes.health()["managers"][0]["position"] <= stopped_at + 1 < await home.store.last_sequence()
    async with home.managers() as processes:
        await settled(processes, 4)
    assert await warned(home) == Counter(["hall", "cellar"])


async def test_tells_its_figures_to_prometheus(home: House) -> None:
    async with home.managers() as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=("hall", "locked-1")), "c-1")
        await settled(processes, 3)
        labels = {"stream": "HOUSE", "manager": "alarms"}
        for name, figure in {"position": 3, "lag": 0, "waiting": 0, "refusals": 1, "failed": 0}.items():
            assert REGISTRY.get_sample_value(f"commons_process_{name}", labels) == figure


async def test_a_refusal_that_cannot_be_recorded_stops_its_manager(home: House) -> None:
    through = home.send()

    async def refuses_notes(service: str, command: str, data: bytes, meta: CommandMeta) -> str:
        return await through(service, command, data if command == "WarnRoom" else b"{}", meta)

    async with home.managers(send=refuses_notes) as processes:
        await home.do(RaiseAlarm(alarm="fire", rooms=("locked-1",)), "c-1")
        async with asyncio.timeout(10):
            while processes.health()["ok"]:
                await asyncio.sleep(0.01)
        assert "NoteRefusal" in processes.health()["managers"][0]["failure"]
        assert processes.health()["managers"][0]["position"] == 0


async def test_over_nats(nats_server: NatsServer) -> None:
    """The same through a service of its own, and the position in its bucket."""
    settings = Settings(nats_url=nats_server.url, nats_monitoring_url=nats_server.monitor_url)
    service = Service(house, DECIDERS, settings)
    await service.start()
    try:
        send: Send = through_nats(service.nc)
        home = House(nats_server, service.store, service.handler, await KvPositions.open(service.nc, "club"), utc_now)
        async with home.managers(Alarms(), Lamps(), send=send) as processes:
            await home.do(RaiseAlarm(alarm="fire", rooms=("hall", "locked-1")), "c-1")
            await settled(processes, 3)
        assert await warned(home) == Counter(["hall"])
        assert len(await home.events(ProcessStepRefused)) == 1
        bucket = await service.nc.jetstream().key_value(BUCKET)
        assert {key: (await bucket.get(key)).value for key in await bucket.keys()} == {
            "club.HOUSE.alarms": b"3", "club.HOUSE.lamps": b"3",
        }  # fmt: skip
        info = await service.nc.jetstream().stream_info(f"KV_{BUCKET}")
        assert info.config.storage == "file"
    finally:
        await service.stop()
