"""The reader of a stream against a real server: order, completeness, the live tail, and every way to lose it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext

from services.local.nats import NatsServer
from shared import wire
from shared.errors import Corrupt, Misconfigured
from shared.wire import Message, StreamLost, StreamReader
from shared.wireconnection import Connection
from shared.wireparser import WireError


@pytest.fixture
async def stream(nats_server: NatsServer) -> AsyncIterator[JetStreamContext]:
    nc = await nats.connect(nats_server.url)
    js = nc.jetstream()
    await js.add_stream(name="PANTRY", subjects=["pantry.>"])
    yield js
    await nc.close()


async def fill(js: JetStreamContext, count: int, *, size: int = 20) -> None:
    for start in range(0, count, 500):
        await asyncio.gather(
            *(js.publish(f"pantry.{n % 7}", str(n).encode().ljust(size)) for n in range(start, min(start + 500, count)))
        )


async def read(url: str, start: int, until: int, **settings: int) -> list[Message]:
    async with StreamReader(url, "PANTRY", start, **settings) as reader:
        return [message async for batch in reader.batches(until=until) for message in batch]


async def test_reads_everything_in_order(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 3000)
    messages = await read(nats_server.url, 1, 3000, batch=200)
    assert [m.sequence for m in messages] == list(range(1, 3001))
    assert sorted(int(m.payload) for m in messages) == list(range(3000))
    assert {m.subject for m in messages} == {f"pantry.{n}" for n in range(7)}


async def test_starts_and_ends_where_it_is_told(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 100)
    assert [m.sequence for m in await read(nats_server.url, 40, 60)] == list(range(40, 61))
    assert await read(nats_server.url, 40, 39) == []


async def test_large_messages_stay_within_the_limit_of_bytes(nats_server: NatsServer, stream: JetStreamContext) -> None:
    """Every pull ends early for its bytes, and the reading still goes on."""
    await fill(stream, 200, size=40_000)
    assert len(await read(nats_server.url, 1, 200, batch=150, max_bytes=100_000)) == 200


async def test_delivers_the_live_tail_at_once(nats_server: NatsServer, stream: JetStreamContext) -> None:
    async with StreamReader(nats_server.url, "PANTRY") as reader:
        batches = reader.batches()
        for n in range(1, 6):
            await stream.publish("pantry.a", b"")
            batch = await asyncio.wait_for(anext(batches), 5)  # the pulls are far from full
            assert [m.sequence for m in batch] == [n]
            assert reader.pending == 0


async def test_says_when_nothing_came(nats_server: NatsServer, stream: JetStreamContext) -> None:
    async with StreamReader(nats_server.url, "PANTRY") as reader:
        batches = reader.batches(idle=0.05)
        assert await anext(batches) == []
        await stream.publish("pantry.a", b"")
        while not (batch := await anext(batches)):
            pass
        assert batch[0].sequence == 1


async def test_outlives_pulls_that_expire(
    nats_server: NatsServer, stream: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.wire._PULL_SECONDS", 1)
    monkeypatch.setattr("shared.wire.HEARTBEAT_SECONDS", 0)
    async with StreamReader(nats_server.url, "PANTRY", batch=10) as reader:
        reader._wire._timer.cancel()  # type: ignore[union-attr]  # heartbeats are off here, and silence is what is wanted
        batches = reader.batches(idle=2.5)
        assert await anext(batches) == []
        await fill(stream, 40)
        seen = 0
        while seen < 40:
            seen += len(await anext(batches))


async def test_a_lost_server_is_an_error_and_the_reader_is_opened_again(
    nats_server: NatsServer, stream: JetStreamContext
) -> None:
    await fill(stream, 50)
    async with StreamReader(nats_server.url, "PANTRY") as reader:
        batches = reader.batches()
        while reader.next_sequence <= 50:
            await anext(batches)
        await nats_server.kill()
        with pytest.raises(StreamLost):
            await anext(batches)
    with pytest.raises(StreamLost, match="cannot be reached"):
        async with StreamReader(nats_server.url, "PANTRY", 51):
            pass
    await nats_server.start()
    await fill(stream, 10)
    assert [m.sequence for m in await read(nats_server.url, reader.next_sequence, 60)] == list(range(51, 61))


async def test_a_consumer_that_is_deleted_is_an_error(nats_server: NatsServer, stream: JetStreamContext) -> None:
    async with StreamReader(nats_server.url, "PANTRY") as reader:
        batches = reader.batches()
        waiting = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)
        name = (await stream.consumers_info("PANTRY"))[0].name
        await stream.delete_consumer("PANTRY", name)
        with pytest.raises(StreamLost, match="Consumer Deleted"):
            await asyncio.wait_for(waiting, 5)


class Unknown(StreamReader):
    """One whose consumer is at first not known to the server that it asks, as just after it was made in a cluster."""

    asked = 0
    known_after = 3

    def _pull(self, wire: Connection) -> None:
        self.asked += 1
        consumer = self._consumer
        if self.asked <= self.known_after:
            self._consumer = "nowhere"
        super()._pull(wire)
        self._consumer = consumer


async def test_a_consumer_that_is_not_known_yet_is_asked_again(
    nats_server: NatsServer, stream: JetStreamContext
) -> None:
    await fill(stream, 1200)
    async with Unknown(nats_server.url, "PANTRY", batch=100) as reader:
        found = [message.sequence async for batch in reader.batches(until=1200) for message in batch]
    assert found == list(range(1, 1201))
    assert reader.asked > reader.known_after


async def test_a_consumer_that_never_becomes_known_is_an_error(
    nats_server: NatsServer, stream: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_UNKNOWN_SECONDS", 0.3)
    monkeypatch.setattr(Unknown, "known_after", 1 << 30)
    async with Unknown(nats_server.url, "PANTRY") as reader:
        with pytest.raises(StreamLost, match="503"):
            await anext(aiter(reader.batches()))
    assert 2 < reader.asked < 50


async def test_silence_without_heartbeats_is_an_error(
    nats_server: NatsServer, stream: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is half open says nothing; the reader does not wait on it for ever."""
    async with StreamReader(nats_server.url, "PANTRY") as reader:
        monkeypatch.setattr("shared.wireconnection.HEARTBEAT_SECONDS", 0.05)
        reader._wire._tick()  # type: ignore[union-attr]  # from here on it expects one every 50 ms
        with pytest.raises(StreamLost, match="silent"):
            await asyncio.wait_for(anext(reader.batches()), 5)


async def test_a_consumer_that_is_gone_without_a_word_is_an_error_though_the_server_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its server lost it in a cluster that was starting: nobody answers a pull, and the server pings on."""
    monkeypatch.setattr(Unknown, "known_after", 1 << 30)
    monkeypatch.setattr("shared.wireconnection.HEARTBEAT_SECONDS", 0.2)
    async with NatsServer(tmp_path / "nats", settings='ping_interval: "100ms"') as server:
        nc = await nats.connect(server.url)
        await nc.jetstream().add_stream(name="PANTRY", subjects=["pantry.>"])
        await nc.subscribe("$JS.API.CONSUMER.MSG.NEXT.PANTRY.nowhere")  # heard, and not answered
        await nc.flush()
        async with Unknown(server.url, "PANTRY") as reader:
            with pytest.raises(StreamLost, match="silent"):
                await asyncio.wait_for(anext(aiter(reader.batches())), 30)
        await nc.close()


async def test_a_missing_event_is_found(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 20)
    await stream.delete_msg("PANTRY", 12)
    with pytest.raises(Corrupt, match="from 11 to 13"):
        await read(nats_server.url, 1, 20)
    assert len(await read(nats_server.url, 13, 20)) == 8


async def test_a_missing_head_is_found(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 20)
    await stream.purge_stream("PANTRY", seq=6)
    with pytest.raises(Corrupt, match="from 0 to 6"):
        await read(nats_server.url, 1, 20)


async def test_a_lost_tail_is_found(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 20)
    with pytest.raises(Corrupt, match="ends at 20, but 29 had been read"):
        await read(nats_server.url, 30, 40)


async def test_a_stream_that_is_not_there(nats_server: NatsServer) -> None:
    with pytest.raises(Misconfigured, match="no stream PANTRY"):
        await read(nats_server.url, 1, 1)


async def test_closing_leaves_no_consumer_behind(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 3)
    await read(nats_server.url, 1, 3)
    for _ in range(100):
        if not await stream.consumers_info("PANTRY"):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the consumer is still there")


@pytest.mark.parametrize(
    ("settings", "user", "ok"),
    [
        ("authorization { user: reader, password: 'p@ss/word' }", "reader:p%40ss%2Fword@", True),
        ("authorization { user: reader, password: secret }", "reader:wrong@", False),
        ("authorization { user: reader, password: secret }", "", False),
        ("authorization { token: s3cr3t }", "s3cr3t@", True),
        ("authorization { token: s3cr3t }", "wrong@", False),
    ],
)
async def test_logs_in(tmp_path: Path, settings: str, user: str, ok: bool) -> None:
    async with NatsServer(tmp_path, settings=settings) as server:
        reader = StreamReader(server.url.replace("nats://", f"nats://{user}"), "PANTRY")
        with pytest.raises(Misconfigured, match="no stream PANTRY" if ok else "Authorization Violation"):
            await reader.__aenter__()


async def test_a_permission_that_is_missing_is_named(tmp_path: Path) -> None:
    rights = 'authorization { users: [{ user: a, password: b, permissions: { publish: ["nothing"] } }] }'
    async with NatsServer(tmp_path, settings=rights) as server:
        with pytest.raises(Misconfigured, match=r"does not allow .* to publish to \$JS.API.STREAM.INFO.PANTRY"):
            await StreamReader(server.url.replace("nats://", "nats://a:b@"), "PANTRY").__aenter__()


async def test_takes_the_first_server_that_answers(nats_server: NatsServer, stream: JetStreamContext) -> None:
    await fill(stream, 3)
    assert len(await read(f"nats://127.0.0.1:1, {nats_server.url}", 1, 3)) == 3


async def test_something_else_at_the_address(nats_server: NatsServer) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(WireError, match="not its protocol"):
            await StreamReader(f"nats://127.0.0.1:{port}", "PANTRY").__aenter__()
