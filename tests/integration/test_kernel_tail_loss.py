"""A stream that ends before what was known to be stored: writing halts, for every command, and says what to do."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest

from services.local.nats import NatsServer
from shared.client import CommandClient
from shared.decider import Ref
from shared.errors import Halted, LedgerError
from shared.message import Refused
from shared.service import Service
from shared.settings import Settings
from tests.support.kiosk import DECIDERS, ChangeJar, CloseJar, LimitCounter, Order, TakeTicket, kiosk
from tests.support.ledger import Ledger, event_of, last_sequence, ledger, until


class Store:
    """The folder of a server's streams, to be set back to what it was before."""

    def __init__(self, server: NatsServer, keep: Path) -> None:
        self.server = server
        self.keep = keep

    async def copy(self) -> None:
        await self.server.stop()
        shutil.copytree(self.server.folder / "store", self.keep)
        await self.server.start()

    async def set_back(self) -> None:
        await self.server.kill()
        shutil.rmtree(self.server.folder / "store")
        shutil.copytree(self.keep, self.server.folder / "store")
        await self.server.start()


@pytest.fixture
def store(nats_server: NatsServer, tmp_path: Path) -> Store:
    return Store(nats_server, tmp_path / "older")


async def halts(one: Ledger, command: Any, id: str) -> Halted:
    with pytest.raises(Halted) as halted:
        await asyncio.wait_for(one.send(command, id), 25)
    return halted.value


async def test_at_the_start_against_what_a_read_model_has_seen(nats_server: NatsServer) -> None:
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1), "fill")

    async def seen(sequence: int) -> int:
        return sequence

    async with ledger(nats_server, known=lambda: seen(1)) as one:
        await one.send(ChangeJar(jar="pot", by=1), "more")
    with pytest.raises(Halted, match=r"ends at sequence 2, but 3 was known.*restore the stream from a backup"):
        async with ledger(nats_server, known=lambda: seen(3)):
            pass
    assert await last_sequence(nats_server) == 2


COMMANDS = [
    pytest.param(ChangeJar(jar="pot", by=1), id="an aggregate that lost events"),
    pytest.param(ChangeJar(jar="quiet", by=1), id="an aggregate that lost none"),
    pytest.param(ChangeJar(jar="new", by=1), id="an aggregate without events"),
    pytest.param(ChangeJar(jar="quiet", by=-100), id="a refusal"),
    pytest.param(CloseJar(jar="closed"), id="a no-op"),
    pytest.param(Order(order="o", jar="quiet"), id="a decision that reads"),
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_under_a_running_service(nats_server: NatsServer, store: Store, command: Any) -> None:
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="quiet", by=1), "quiet")
        await one.send(CloseJar(jar="closed"), "closed")
        await one.send(ChangeJar(jar="pot", by=1), "pot")
        await store.copy()
        await until(lambda: one.nc.is_connected)
        await one.send(ChangeJar(jar="pot", by=1), "lost")
        await store.set_back()
        await until(lambda: one.nc.is_connected)
        halted = await halts(one, command, "first")
        assert halted.facts == {"stream": "KIOSK", "last_sequence": 3, "known_sequence": 4}
        for number, later in enumerate((ChangeJar(jar="pot", by=1), LimitCounter(counter="door", limit=1))):
            assert (await halts(one, later, f"later-{number}")).facts == halted.facts
        assert one.committer.halted is not None
        assert await last_sequence(nats_server) == 3


async def test_a_service_that_wrote_nothing_itself(nats_server: NatsServer, store: Store) -> None:
    """It saw where the stream ended when it started."""
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1), "pot")
        await store.copy()
        await until(lambda: one.nc.is_connected)
        await one.send(ChangeJar(jar="pot", by=1), "lost")
    async with ledger(nats_server) as fresh:
        await store.set_back()
        await until(lambda: fresh.nc.is_connected)
        await halts(fresh, ChangeJar(jar="new", by=1), "first")
        assert await last_sequence(nats_server) == 1


async def test_events_of_others_that_were_loaded_count_too(nats_server: NatsServer, store: Store) -> None:
    async with ledger(nats_server) as one, ledger(nats_server) as other:
        await one.send(ChangeJar(jar="pot", by=1), "pot")
        await store.copy()
        await until(lambda: one.nc.is_connected and other.nc.is_connected)
        with pytest.raises(LedgerError, match="holds 1"):
            await one.send(ChangeJar(jar="pot", by=-9), "look")  # at the end of the stream, too
        await other.send(ChangeJar(jar="pot", by=1), "lost")
        with pytest.raises(LedgerError, match="holds 2"):
            await one.send(ChangeJar(jar="pot", by=-9), "look again")
        await store.set_back()
        await until(lambda: one.nc.is_connected)
        await halts(one, ChangeJar(jar="new", by=1), "first")


async def test_the_whole_stream_is_gone(nats_server: NatsServer) -> None:
    """An administrator deleted it: that is the loss of every event, not an outage to be waited out."""
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1), "pot")
        await one.nc.jetstream().delete_stream("KIOSK")
        halted = await halts(one, ChangeJar(jar="pot", by=1), "first")
        assert halted.facts["last_sequence"] == 0


async def test_a_service_says_so_to_its_callers_and_in_its_health(nats_server: NatsServer, store: Store) -> None:
    service = Service(kiosk, DECIDERS, Settings(NATS_URL=nats_server.url, NATS_MONITORING_URL=nats_server.monitor_url))
    await service.start()
    nc = await nats.connect(nats_server.url)
    client = CommandClient(nc, actor="sam")
    await client.send("kiosk", "ChangeJar", {"jar": "pot", "by": 1})
    await store.copy()
    await client.send("kiosk", "ChangeJar", {"jar": "pot", "by": 1})
    health = service.health()
    assert (health["ok"], health["ready"], health["halted"]) == (True, True, None)
    await store.set_back()
    await until(lambda: nc.is_connected and service.nc.is_connected)
    for command in ({"jar": "pot", "by": 1}, {"jar": "new", "by": 1}, {"jar": "new", "by": -1}):
        with pytest.raises(Refused) as refused:
            await client.send("kiosk", "ChangeJar", command)
        assert refused.value.code == "HALTED" and refused.value.status == 503
        assert "restore the stream from a backup" in refused.value.detail
    health = service.health()
    assert (health["ok"], health["ready"], health["halted"]["code"]) == (False, False, "HALTED")
    await service.stop()
    await nc.close()
    assert await last_sequence(nats_server) == 1


async def test_commands_in_hand_are_answered(nats_server: NatsServer, store: Store) -> None:
    """Decided and undecided, written and waiting, on one aggregate and on many: nobody waits for ever."""
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1), "pot")
        await store.copy()
        await until(lambda: one.nc.is_connected)
        await asyncio.gather(*(one.send(ChangeJar(jar=f"jar-{n}", by=1), "lost") for n in range(50)))
        await nats_server.kill()
        futures = [one.start(ChangeJar(jar=f"jar-{n % 80}", by=1), f"n-{n}") for n in range(200)]
        futures += [one.start(ChangeJar(jar="pot", by=-100), f"r-{n}") for n in range(3)]
        await store.set_back()
        answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 25)
        assert {getattr(answer, "code", answer) for answer in answers} <= {"HALTED", "OUTCOME_UNKNOWN"}
        assert await last_sequence(nats_server) == 1
        await halts(one, ChangeJar(jar="pot", by=1), "later")


async def test_what_is_decided_after_the_halt_is_answered(nats_server: NatsServer) -> None:
    """A command was still being loaded when the writing halted."""
    async with ledger(nats_server) as one:
        loading, halted = asyncio.Event(), asyncio.Event()
        page = one.store.page

        async def slow(ref: Ref, **options: Any) -> Any:
            loading.set()
            await halted.wait()
            return await page(ref, **options)

        one.store.page = slow  # type: ignore[method-assign]
        futures = [one.start(ChangeJar(jar="pot", by=1), f"n-{n}") for n in range(3)]
        await loading.wait()
        one.committer.halt("The tail is lost.", 1, 2)
        halted.set()
        answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)
        assert {type(answer) for answer in answers} == {Halted}
    assert await last_sequence(nats_server) == 0


async def test_an_acknowledgement_that_comes_after_the_halt(nats_server: NatsServer) -> None:
    """A write of one lane is under way when the other finds the loss: all are answered, and the service can stop."""
    async with ledger(nats_server) as one:
        await one.send(ChangeJar(jar="pot", by=1), "fill")

        def halting(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def sent(frames: Any) -> Any:
                reply = await send(frames)
                one.committer.halt("The tail is lost.", 1, 2)
                return reply

            return sent

        one.committer.writer.append = halting(one.committer.writer.append)  # type: ignore[method-assign]
        futures = [one.start(TakeTicket(counter=f"c-{n}", holder="ada"), "take") for n in range(4)]
        answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 10)
        assert {type(answer) for answer in answers} == {Halted}
        assert one.committer.appends == 1


async def test_a_write_that_lands_before_what_was_known_is_noticed(nats_server: NatsServer) -> None:
    """The server was set back unseen, between the look at the stream's end and the write."""
    async with ledger(nats_server) as one:
        for number in range(3):
            await one.send(ChangeJar(jar="pot", by=1), f"fill-{number}")
        append = one.committer.writer.append

        async def elsewhere(frame: Any) -> Any:
            await append(frame)
            return {"stream": "KIOSK", "seq": 2}

        one.committer.writer.append = elsewhere  # type: ignore[method-assign]
        await halts(one, ChangeJar(jar="new", by=1), "new")


async def test_a_writer_that_breaks_is_no_silence(nats_server: NatsServer) -> None:
    """Something nobody thought of goes wrong in the writing: commands are answered, not left to wait."""
    async with ledger(nats_server, lanes=1) as one:
        page, loading, broke = one.store.page, asyncio.Event(), asyncio.Event()

        async def slow(ref: Ref, **options: Any) -> Any:
            if ref.id == "slow":
                loading.set()
                await broke.wait()
            return await page(ref, **options)

        async def broken(frame: Any) -> Any:
            raise ZeroDivisionError

        one.store.page = slow  # type: ignore[method-assign]
        one.committer.writer.append = broken  # type: ignore[method-assign]
        late = one.start(ChangeJar(jar="slow", by=1), "late")
        await loading.wait()
        await halts(one, ChangeJar(jar="pot", by=1), "first")
        broke.set()
        with pytest.raises(Halted):
            await asyncio.wait_for(late, 10)
        await halts(one, ChangeJar(jar="pot", by=1), "second")
    async with ledger(nats_server) as again:
        assert event_of(await again.send(ChangeJar(jar="pot", by=1), "first")).left == 1
