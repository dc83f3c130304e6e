"""Commands over the service's own connection: whatever arrives there, and whatever becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.local.nats import NatsServer
from shared.application import build
from shared.connection import connect
from shared.errors import Busy, Denied
from shared.inbound import MAX_HEADERS, Inbound, Request
from shared.service import Service
from shared.settings import Settings
from shared.wireconnection import Connection
from tests.support.kiosk import DECIDERS, kiosk
from tests.support.ledger import until


@asynccontextmanager
async def hearing(url: str, receive: Any) -> AsyncIterator[Inbound]:
    inbound = Inbound(url, "ask.*", queue="ask", name="ask", receive=receive)
    try:
        await inbound.listen()
        yield inbound
    finally:
        with contextlib.suppress(Busy):
            await inbound.close()


def raw(server: NatsServer) -> socket.socket:
    """A client that says what it likes."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    client.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n')
    return client


async def test_it_is_asked_and_answers(nats_server: NatsServer) -> None:
    def echo(request: Request) -> None:
        inbound.answer(request.reply, request.data + request.headers.get("Shown", "").encode())

    async with hearing(nats_server.url, echo) as inbound:
        client = await nats.connect(nats_server.url)
        answers = await asyncio.gather(*(client.request("ask.a", b"%d" % n, timeout=5) for n in range(500)))
        assert [answer.data for answer in answers] == [b"%d" % n for n in range(500)]
        assert (await client.request("ask.a", b"who? ", headers={"Shown": "sam"}, timeout=5)).data == b"who? sam"
        await inbound.drain()
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("ask.a", b"", timeout=5)
        await inbound.listen()
        assert (await client.request("ask.a", b"again", timeout=5)).data == b"again"
        await client.close()


async def test_names_that_are_no_text_are_answered_like_any_other(nats_server: NatsServer) -> None:
    """The server looks at no encoding; a client library that expects UTF-8 falls silent at the first such subject."""
    settings = Settings.model_validate({"NATS_URL": nats_server.url, "NATS_MONITORING_URL": nats_server.monitor_url})
    service = Service(kiosk, DECIDERS, settings)
    await service.start()
    try:
        client = raw(nats_server)
        client.sendall(b"SUB _INBOX.\xfe.* 1\r\nPUB command.kiosk.\xff _INBOX.\xfe.\xfd 2\r\n{}\r\n")
        found = b""
        while b"UNKNOWN_COMMAND" not in found:
            found += await asyncio.to_thread(client.recv, 65536)
        assert b"MSG _INBOX.\xfe.\xfd 1 " in found
        client.close()
        nc = await nats.connect(nats_server.url)
        answer = json.loads((await nc.request("command.kiosk.take-ticket", b"{}", timeout=5)).data)
        assert answer["problem"]["code"] == "INVALID"
        await nc.close()
    finally:
        await service.stop()


async def test_a_client_hears_on_after_a_name_that_is_no_text(nats_server: NatsServer) -> None:
    nc = await connect(nats_server.url, name="reader")
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    await nc.subscribe("told.*", cb=hear)
    await nc.flush()
    client = raw(nats_server)
    client.sendall(b"PUB told.\xff 0\r\n\r\nPUB told.a _INBOX.\xff 0\r\n\r\nPUB told.b 0\r\n\r\n")
    await until(lambda: heard == ["told.b"])
    client.close()
    await nc.close()


async def told(nc: Client) -> bool:
    try:
        return bool(json.loads((await nc.request("status.well", b"", timeout=5)).data) == {"ok": True})
    except nats.errors.NoRespondersError:
        return False


async def test_a_status_is_told_after_a_name_that_is_no_text(nats_server: NatsServer) -> None:
    class Well:
        async def start(self) -> None: ...
        async def stop(self) -> None: ...

        def health(self) -> dict[str, Any]:
            return {"ok": True}

    broker = build("well", Well(), Settings.model_validate({"NATS_URL": nats_server.url})).broker
    assert broker is not None
    await broker.start()
    nc = await nats.connect(nats_server.url)
    await until(lambda: told(nc))
    client = raw(nats_server)
    client.sendall(b"PUB status.well _INBOX.\xff 0\r\n\r\nPING\r\n")
    found = b""
    while b"PONG" not in found:  # the server has taken it
        found += await asyncio.to_thread(client.recv, 65536)
    try:
        assert await told(nc)
    finally:
        client.close()
        await nc.close()
        await broker.stop()


async def test_of_headers_the_first_of_a_name_counts_and_no_more_than_so_many(nats_server: NatsServer) -> None:
    received: list[Request] = []
    async with hearing(nats_server.url, received.append):
        client = raw(nats_server)
        for lines in (
            [b"Shown: sam", b"Shown: eve", b"shown: ben", b"no colon"],
            [b"X-%d: y" % number for number in range(MAX_HEADERS - 1)] + [b"Shown: sam"],
            [b"X-%d: y" % number for number in range(MAX_HEADERS)] + [b"Shown: sam"],
            [b"Shown: " + b"x" * 3_000_000],
        ):
            head = b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
            client.sendall(b"HPUB ask.a %d %d\r\n%s\r\n" % (len(head), len(head), head))
        await until(lambda: len(received) == 4)
        shown = [request.headers.get("Shown") for request in received]
        assert shown[:3] == ["sam", "sam", None]
        assert shown[3] == "x" * 3_000_000 and received[3].size > 3_000_000
        client.close()


async def test_a_server_that_went_away_is_found_again(nats_server: NatsServer) -> None:
    async with hearing(nats_server.url, lambda request: inbound.answer(request.reply, b"here")) as inbound:
        await nats_server.kill()
        await until(lambda: not inbound.connected)
        inbound.answer("_INBOX.gone", b"nobody hears this")
        await nats_server.start()
        await until(lambda: inbound.connected)
        client = await nats.connect(nats_server.url)
        assert (await client.request("ask.a", b"", timeout=5)).data == b"here"
        await client.close()


async def test_while_many_requests_are_received_everything_else_gets_its_turn(nats_server: NatsServer) -> None:
    turns: list[int] = []
    turn = 0

    def receive(_: Request) -> None:
        turns.append(turn)

    async with hearing(nats_server.url, receive):
        client = raw(nats_server)
        await asyncio.to_thread(client.sendall, b"PUB ask.a 2\r\n{}\r\n" * 20_000)
        async with asyncio.timeout(20):
            while len(turns) < 20_000:
                await asyncio.sleep(0)
                turn += 1
        client.close()
    turns_taken = len(set(turns))
    assert turns_taken >= 50, f"20,000 requests were received in {turns_taken} turns"


async def test_a_reply_that_may_not_be_published_to_cuts_off_nobody(tmp_path: Any) -> None:
    users = """
    authorization { users: [
      {user: service, password: s, permissions: {publish: {deny: "_INBOX.forbidden"}}}, {user: eve, password: e} ] }
    """
    async with NatsServer(tmp_path / "nats", settings=users) as server:
        url = f"nats://service:s@127.0.0.1:{server.port}"
        async with hearing(url, lambda request: inbound.answer(request.reply, b"here")) as inbound:
            client = await nats.connect(f"nats://eve:e@127.0.0.1:{server.port}")
            await client.publish("ask.a", b"", reply="_INBOX.forbidden")
            wire: Connection | None = inbound._wire
            assert (await client.request("ask.a", b"", timeout=5)).data == b"here"
            assert inbound._wire is wire and inbound.connected
            await client.close()


async def test_who_may_not_hear_the_requests_is_told_so(tmp_path: Any) -> None:
    users = 'authorization { users: [{user: service, password: s, permissions: {subscribe: "_INBOX.>"}}] }'
    async with NatsServer(tmp_path / "nats", settings=users) as server:
        with pytest.raises(Denied):
            async with hearing(f"nats://service:s@127.0.0.1:{server.port}", print):
                pass


async def test_answers_that_the_server_does_not_take_stop_the_reading() -> None:
    """A server that sends requests without an end and reads nothing: what waits here does not grow with them."""
    sent, received, waits = 0, 0, asyncio.Event()

    async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b'INFO {"max_payload":4194304}\r\n')
        for _ in range(2):  # what the connection asks for until it is subscribed
            await reader.readuntil(b"PING\r\n")
            writer.write(b"PONG\r\n")
        with contextlib.suppress(OSError):
            while not waits.is_set():
                writer.write(b"MSG ask.a 3 _INBOX.a 2\r\n{}\r\n" * 100)
                sent += 100
                try:
                    await asyncio.wait_for(writer.drain(), 1)
                except TimeoutError:
                    waits.set()

    def receive(request: Request) -> None:
        nonlocal received
        received += 1
        inbound.answer(request.reply, b"x" * 10_000)

    fake = await asyncio.start_server(never_reads, "127.0.0.1", 0, limit=1 << 10)
    try:
        async with hearing(f"nats://127.0.0.1:{fake.sockets[0].getsockname()[1]}", receive) as inbound:
            await asyncio.wait_for(waits.wait(), 30)
            assert inbound._wire is not None and inbound._wire._transport is not None
            assert received < sent
            assert inbound._wire._transport.get_write_buffer_size() < 16 << 20
            inbound._wire.fail(Busy("over"))
    finally:
        fake.close()
