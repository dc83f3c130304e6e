"""Snapshots: a long aggregate loads at once, and a snapshot that is not borne out by code and stream is not used."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from types import ModuleType
from typing import Any

import nats
import pytest

import shared.remembered
from services.local.nats import NatsServer
from shared.cache import Cache
from shared.decider import Decider, Ref, _siblings
from shared.event import FIRST_PREVHASH, Envelope, encode, event_id, sha256
from shared.handler import Handler
from shared.snapshot import Snapshots
from shared.store import EventStore
from shared.writer import Writer
from tests.support.journal import Line, PostLines, books, journal
from tests.support.kiosk import TakeTicket, TicketTaken, counters, kiosk
from tests.support.ledger import Ledger, event_of, ledger, read, until

DOOR = Ref("counter", "door")


async def write_history(server: NatsServer, count: int) -> None:
    """So many tickets of one counter, as the handler would have written them, in batches of 1,000."""
    nc = await nats.connect(server.url)
    await EventStore(nc, kiosk).ensure(server.monitor_url)
    await nc.close()
    writer = Writer(server.url, name="history")
    await writer.ensure_connected()
    subject, spec, previous, sequence = "ledger.kiosk.counter.door", kiosk.events["TicketTaken"], FIRST_PREVHASH, 0
    for start in range(1, count + 1, 1000):
        frames: list[Any] = []
        for number in range(start, min(start + 1000, count + 1)):
            raw = encode(
                Envelope(
                    specversion="1.0", id=event_id(subject, f"c-{number}"), source="/commons/local/kiosk",
                    type=spec.type, subject="counter/door", time="2026-11-20T09:00:00.000000Z",
                    dataschema="urn:commons:schema:x",
                    datacontenttype="application/json", revision=number, prevhash=previous, correlationid=f"c-{number}",
                    causationid=f"c-{number}", authtype="user", authid="sam",
                    data=TicketTaken(counter="door", holder=f"h-{number % 50}", number=number),
                )
            )  # fmt: skip
            previous = sha256(raw)
            frames.append((subject, raw, None if frames else sequence, None))
        sequence = (await writer.append_batch(frames))["seq"]
    writer.close()
    assert sequence == count


async def loaded(one: Ledger, decider: Decider[Any] = counters) -> tuple[Any, float]:
    """An aggregate loaded into an empty cache, and the seconds it took."""
    fresh = Handler(one.store, [decider], one.committer, snapshots=one.snapshots, snapshot_every=1000)
    began = time.perf_counter()
    state, revision = await fresh.state(DOOR)
    return (state, revision), time.perf_counter() - began


async def snapshot_at(one: Ledger, revision: int) -> None:
    assert one.snapshots is not None
    snapshots = one.snapshots

    async def there() -> bool:
        found = await snapshots.load(DOOR, counters, one.store)
        return found is not None and found.revision >= revision

    await until(there)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.remembered, "SEGMENT", 256)


async def test_a_hundred_thousand_events_load_in_under_fifty_milliseconds(nats_server: NatsServer) -> None:
    """The history was written without snapshots, so its first snapshot has to write all that it rests on."""
    await write_history(nats_server, 100_000)
    async with ledger(nats_server, snapshot_every=1000) as one:
        answer = await one.send(TakeTicket(counter="door", holder="last"), "last")
        assert event_of(answer).number == 100_001
        await snapshot_at(one, 100_001)
        tries = [await loaded(one) for _ in range(7)]
        assert {revision for (_, revision), _ in tries} == {100_001}
        assert tries[0][0][0].given == 100_001 and tries[0][0][0].holders["last"] == 100_001
        best = min(seconds for _, seconds in tries)
        assert best < 0.05, f"{best * 1000:.1f} ms"
        # what was answered a hundred thousand events ago is answered the same
        async with ledger(nats_server, snapshot_every=1000) as two:
            for number in (1, 32_768, 32_769, 65_537, 99_999):
                command = TakeTicket(counter="door", holder=f"h-{number % 50}")
                again = await two.send(command, f"c-{number}")
                assert again.repeated and again.sequence == number
                assert event_of(again).number == number


@pytest.mark.usefixtures("small_segments")
async def test_the_state_equals_a_fold_of_the_whole_stream(nats_server: NatsServer) -> None:
    async with ledger(nats_server, snapshot_every=100) as one:
        for batch in range(7):
            takes = (one.start(TakeTicket(counter="door", holder=f"h-{n % 37}"), f"{batch}-{n}") for n in range(190))
            await asyncio.gather(*takes)
            async with ledger(nats_server, snapshot_every=100) as other:
                through = await other.handler.state(DOOR)
                assert other.snapshots is not None and other.snapshots.discarded == 0
            async with ledger(nats_server) as plain:
                assert through == await plain.handler.state(DOOR)


async def test_it_is_thrown_away_when_the_fold_changes(nats_server: NatsServer) -> None:
    await write_history(nats_server, 1200)
    async with ledger(nats_server, snapshot_every=1000) as one:
        await one.send(TakeTicket(counter="door", holder="last"), "last")
        await snapshot_at(one, 1201)

        def evolve(state: Any, event: Any) -> Any:  # of another module than the contract's
            state.given = 7_000_000
            return state

        (state, revision), _ = await loaded(one, dataclasses.replace(counters, evolve=evolve))
        assert (state.given, revision) == (7_000_000, 1201)
        assert one.snapshots is not None and one.snapshots.discarded == 1


def test_the_fold_version_is_of_the_code_that_folds() -> None:
    """The same code is the same version; a function or a state of another module, or a helper of it, is another."""
    assert dataclasses.replace(counters).fold_version == counters.fold_version

    def evolve(state: Any, event: Any) -> Any:
        return state

    assert dataclasses.replace(counters, evolve=evolve).fold_version != counters.fold_version
    state = dataclasses.replace(counters, state_type=Cache)  # type: ignore[type-var]  # a module with helpers of its own
    assert state.fold_version != counters.fold_version
    assert {"shared.remembered", "shared.store"} <= _siblings("shared.cache")


def test_a_helper_that_is_imported_whole_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pantry.fold", "pantry.helper"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    vars(sys.modules["pantry.fold"])["helper"] = sys.modules["pantry.helper"]
    assert _siblings("pantry.fold") == {"pantry.helper"}


async def damaged(one: Ledger, damage: str) -> None:
    """Change what is stored of a snapshot, as bit rot or an administrator would."""
    assert one.snapshots is not None
    objects = one.snapshots._objects
    js = one.nc.jetstream()
    state = "counter/door/state"
    raw = (await objects.get(state)).data
    assert raw is not None
    if damage == "a bit":
        chunks = f"$O.snapshots-kiosk.C.{(await objects.get_info(state)).nuid}"
        await js.purge_stream("OBJ_snapshots-kiosk", subject=chunks)
        await js.publish(chunks, bytes([*raw[:100], raw[100] ^ 1, *raw[101:]]))
    elif damage == "cut short":
        await objects.put(state, raw[: len(raw) // 2])
    elif damage == "empty":
        await objects.put(state, b"")
    elif damage == "garbage":
        await objects.put(state, bytes(range(256)) * 50)
    elif damage == "a segment gone":
        await objects.delete("counter/door/ids-1")
    elif damage == "a segment changed":
        await objects.put("counter/door/ids-0", b"\0" * 4096)
    elif damage == "its chunks gone":
        info = await objects.get_info(state)
        await js.purge_stream("OBJ_snapshots-kiosk", subject=f"$O.snapshots-kiosk.C.{info.nuid}")
    elif damage == "the bucket gone":
        await js.delete_object_store("snapshots-kiosk")


DAMAGES = [
    "a bit", "cut short", "empty", "garbage", "a segment gone", "a segment changed", "its chunks gone",
    "the bucket gone",
]  # fmt: skip


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_one_costs_time_and_nothing_else(nats_server: NatsServer, damage: str) -> None:
    await write_history(nats_server, 1200)
    async with ledger(nats_server, snapshot_every=1000) as one:
        await one.send(TakeTicket(counter="door", holder="last"), "last")
        await snapshot_at(one, 1201)
        sound, _ = await loaded(one)
        await damaged(one, damage)
        found, _ = await asyncio.wait_for(loaded(one), 20)
        assert found == sound
    async with ledger(nats_server, snapshot_every=1000) as two:
        again = await asyncio.wait_for(two.send(TakeTicket(counter="door", holder="h-7"), "c-7"), 20)
        assert again.repeated and again.sequence == 7
        # the next snapshot is whole again, whatever had become of the one before
        following = await two.send(TakeTicket(counter="door", holder="next"), "next")
        assert event_of(following).number == 1202
        await snapshot_at(two, 1202)
        assert (await loaded(two))[0][1] == 1202


async def test_one_of_events_that_the_stream_does_not_have(nats_server: NatsServer) -> None:
    """The stream was set back, or is another ledger's: what the snapshot folded did not happen here."""
    await write_history(nats_server, 1200)
    async with ledger(nats_server, snapshot_every=1000) as one:
        await one.send(TakeTicket(counter="door", holder="last"), "last")
        await snapshot_at(one, 1201)
        assert one.snapshots is not None
        raw = (await one.snapshots._objects.get("counter/door/state")).data
    nc = await nats.connect(nats_server.url)
    js = nc.jetstream()
    await js.delete_stream("KIOSK")
    await write_history(nats_server, 1201)  # as many events, and the last one is another
    objects = await js.object_store("snapshots-kiosk")
    assert (await objects.get("counter/door/state")).data == raw
    await nc.close()
    async with ledger(nats_server, snapshot_every=1000) as two:
        answer = await two.send(TakeTicket(counter="door", holder="next"), "next")
        assert event_of(answer).number == 1202
        assert two.snapshots is not None and two.snapshots.discarded >= 1


async def test_it_is_taken_at_a_durable_event(nats_server: NatsServer) -> None:
    """A snapshot of a decision that is then lost is never written."""
    async with ledger(nats_server, snapshot_every=10) as one, ledger(nats_server) as other:
        for number in range(9):
            await one.send(TakeTicket(counter="door", holder=f"h-{number}"), f"t-{number}")
        await other.send(TakeTicket(counter="door", holder="other"), "other")
        answer = await one.send(TakeTicket(counter="door", holder="mine"), "mine")  # decided as the tenth, then again
        assert event_of(answer).number == 11
        await snapshot_at(one, 11)
        snapshots = await Snapshots.open(one.nc, "kiosk")
        found = await snapshots.load(DOOR, counters, one.store)
        assert found is not None
        assert (found.revision, found.sequence, found.state.holders["other"]) == (11, 11, 10)


async def test_long_events_make_it_due_sooner(nats_server: NatsServer) -> None:
    """What a fold costs is in the bytes: eleven long events of a bulk command are as good as a hundred short ones."""
    many = tuple(Line(id=f"l-{n}", amount=1, remark="x" * 200) for n in range(170))
    async with ledger(nats_server, contract=journal, deciders=[books], snapshot_every=50) as one:
        for number in range(11):
            lines = tuple(dataclasses.replace(line, id=f"{number}-{line.id}") for line in many)
            await one.send(PostLines(book="main", lines=lines), f"post-{number}")
        snapshots = one.snapshots
        assert snapshots is not None
        found = await until(lambda: snapshots.load(Ref("book", "main"), books, one.store))
        assert 7 <= found.revision <= 11 and len(found.names) == 170 * found.revision


async def test_a_large_state_is_written_no_oftener_than_its_size_in_events(nats_server: NatsServer) -> None:
    async with ledger(nats_server, snapshot_every=10) as one:
        await one.send(TakeTicket(counter="door", holder="first"), "first")
        door = one.handler.cache.get(DOOR)
        door.state_bytes, door.unsaved_bytes = 20_000, 0  # as if its last snapshot had been so large
        events = 0
        while door.snapshot_revision == 0:
            events += 1
            await one.send(TakeTicket(counter="door", holder=f"h-{events}"), f"t-{events}")
        raw = (await read(nats_server, DOOR))[-1].raw
        assert events - 2 <= 20_000 / len(raw) <= events + 2
        assert door.state_bytes < 2000
        for number in range(10):
            await one.send(TakeTicket(counter="door", holder="more"), f"more-{number}")
        assert door.snapshot_revision == door.revision  # and a small one after so many events as is set
