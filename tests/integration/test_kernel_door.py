"""The service's door: whatever arrives gets one clear refusal, nothing is written, and the service goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from services.local.nats import NatsServer
from shared.errors import LedgerError
from shared.message import MAX_COMMAND_BYTES, parse_command
from shared.service import Service
from shared.settings import Settings
from tests.support.kiosk import DECIDERS, kiosk
from tests.support.ledger import last_sequence


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server for all: what is refused leaves nothing behind, and what is accepted has a counter of its own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
async def nc(server: NatsServer) -> AsyncIterator[Client]:
    """A client of a running service."""
    service = Service(kiosk, DECIDERS, Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url))
    await service.start()
    client = await nats.connect(server.url)
    yield client
    await client.close()
    await service.stop()


RIGHT: dict[str, Any] = {
    "specversion": "1.0", "id": "c-1", "source": "/test", "type": "commons.kiosk.take-ticket", "authid": "sam",
    "data": {"counter": "door", "holder": "ada"},
}  # fmt: skip


def body(**changes: Any) -> bytes:
    return json.dumps({key: value for key, value in {**RIGHT, **changes}.items() if value is not ...}).encode()


def data(**changes: Any) -> bytes:
    return body(data={key: value for key, value in {**RIGHT["data"], **changes}.items() if value is not ...})


async def ask(nc: Client, raw: bytes, command: str = "take-ticket") -> dict[str, Any]:
    reply: dict[str, Any] = json.loads((await nc.request(f"command.kiosk.{command}", raw, timeout=5)).data)
    return reply


CASES: dict[str, tuple[bytes, str, str]] = {
    "nothing at all": (b"", "INVALID", ""),
    "garbage": (bytes(range(256)), "INVALID", ""),
    "truncated": (body()[:-3], "INVALID", ""),
    "two objects": (body() + body(), "INVALID", ""),
    "a list": (b"[" + body() + b"]", "INVALID", ""),
    "null": (b"null", "INVALID", ""),
    "not UTF-8": (body().replace(b"ada", b"\xff\xfe"), "INVALID", ""),
    "not UTF-8 in the envelope": (body().replace(b"sam", b"\xff\xfe"), "INVALID", ""),
    "half a surrogate pair": (body().replace(b"ada", b"\\ud800"), "INVALID", ""),
    "half a surrogate pair in the envelope": (body().replace(b"sam", b"\\ud800"), "INVALID", ""),
    "with a byte order mark": (b"\xef\xbb\xbf" + body(), "INVALID", ""),
    "UTF-16": (body().decode().encode("utf-16"), "INVALID", ""),
    "more than a megabyte": (data(remark="x" * (MAX_COMMAND_BYTES + 1)), "TOO_LARGE", ""),
    "a megabyte of one field": (data(remark="x" * 1_000_000), "INVALID", "remark"),
    "deep nesting in the data": (body(data="%").replace(b'"%"', b"[" * 90_000 + b"]" * 90_000), "INVALID", ""),
    "deep nesting in a field": (data(remark="%").replace(b'"%"', b'{"a":' * 5000 + b"1" + b"}" * 5000), "INVALID", ""),
    "deep nesting of the whole": (b'{"data":' * 100_000, "INVALID", ""),
    "a member twice": (body()[:-1] + b',"authid":"eve"}', "INVALID", "authid"),
    "the data twice": (body()[:-1] + b',"data":{"counter":"door","holder":"eve"}}', "INVALID", "data"),
    "a field twice": (body().replace(b'"holder"', b'"holder": "eve", "holder"'), "INVALID", "holder"),
    "a field twice, escaped": (body().replace(b'"holder"', b'"h\\u006flder": "eve", "holder"'), "INVALID", "holder"),
    "wrong specversion": (body(specversion="0.3"), "INVALID", "specversion"),
    "specversion a number": (body(specversion=1.0), "INVALID", "specversion"),
    "no authid": (body(authid=...), "INVALID", "authid"),
    "no id": (body(id=...), "INVALID", "id"),
    "no data": (body(data=...), "INVALID", "data"),
    "data null": (body(data=None), "INVALID", ""),
    "data a list": (body(data=[]), "INVALID", ""),
    "data a text": (body(data=json.dumps(RIGHT["data"])), "INVALID", ""),
    "an unknown member": (body(extra=1), "INVALID", "extra"),
    "an unknown field": (data(extra=1), "INVALID", "extra"),
    "another type": (body(type="commons.kiosk.limit-counter"), "INVALID", "type"),
    "an event's type": (body(type="commons.kiosk.ticket-taken.v1"), "INVALID", "type"),
    "an unknown authtype": (body(authtype="root"), "INVALID", "authtype"),
    "an unknown content type": (body(datacontenttype="text/xml"), "INVALID", "datacontenttype"),
    "id empty": (body(id=""), "INVALID", "id"),
    "id with a line break": (body(id="c-1\r\nNats-Rollup: all"), "INVALID", "id"),
    "id ending in a line break": (body(id="c-1\n"), "INVALID", "id"),
    "id of 129 characters": (body(id="x" * 129), "INVALID", "id"),
    "id a number": (body(id=1), "INVALID", "id"),
    "authid with a space": (body(authid="sam eve"), "INVALID", "authid"),
    "authid ending in a line break": (body(authid="sam\n"), "INVALID", "authid"),
    "source with a control character": (body(source="/test\x00"), "INVALID", "source"),
    "mandate ending in a line break": (body(mandate="m\n"), "INVALID", "mandate"),
    "traceparent with a line break": (body(traceparent=f"00-{'0' * 32}-{'0' * 16}-00\n"), "INVALID", "traceparent"),
    "a field missing": (data(holder=...), "INVALID", "holder"),
    "a field null": (data(holder=None), "INVALID", "holder"),
    "a field of another type": (data(holder=7), "INVALID", "holder"),
    "a text of spaces": (data(holder="   "), "INVALID", "holder"),
    "a text with a NUL": (data(holder="a\x00b"), "INVALID", "holder"),
    "a note with a NUL": (data(remark="a\x00b"), "INVALID", "remark"),
    "a note with an escape": (data(remark="a\x1b[2Jb"), "INVALID", "remark"),
    "a moment without an offset": (data(occurred_at="2026-11-20T09:30:00"), "INVALID", "occurred_at"),
    "a moment in year 0": (data(occurred_at="0000-01-01T00:00:00Z"), "INVALID", "occurred_at"),
    "a moment in year 9999": (data(occurred_at="9999-12-31T23:59:59Z"), "INVALID", "occurred_at"),
    "a moment as seconds": (data(occurred_at=1_700_000_000), "INVALID", "occurred_at"),
}  # fmt: skip
for name, wrong in {
    "a dot": "a.b", "a star": "*", "an arrow": ">", "a space": "a b", "a tab": "a\tb", "a line break": "a\r\nPUB x 0",
    "a line break at the end": "a\n", "nothing in it": "", "65 characters": "x" * 65, "a slash": "a/b",
    "a dollar": "$SYS",
    "letters beyond ASCII": "tür", "a dash in front": "-a", "a NUL": "a\x00", "a direction mark": "a\u202eb",
}.items():  # fmt: skip
    CASES[f"an aggregate's id with {name}"] = (data(counter=wrong), "INVALID", "counter")


NUMBERS = {
    "2^63": 2**63, "2^53": 2**53, "-1": -1, "1.0": 1.0, "1.5": 1.5, "true": True, "text": "1", "10^400": 10**400,
    "null": None,
}  # fmt: skip
RAW_NUMBERS = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "1e400": b"1e400",
    "6,000 digits": b"1" * 6000,
    "01": b"01",
    "1e2": b"1e2",
}


async def assert_refused(nc: Client, server: NatsServer, raw: bytes, code: str, names: str, command: str) -> None:
    before = await last_sequence(server)
    reply = await ask(nc, raw, command)
    assert reply["status"] == "refused", reply
    problem = reply["problem"]
    assert problem["code"] == code, problem
    assert 400 <= problem["status"] < 500 and problem["title"] and problem["type"].startswith("urn:commons:problem:")
    assert names in problem["detail"], problem["detail"]
    assert len(problem["detail"]) < 600, "one clear error, not an echo"
    assert all(character.isprintable() for character in problem["detail"]), problem["detail"]
    assert await last_sequence(server) == before
    # the service is alive, and the id was not used up by what was refused
    accepted = await ask(nc, data(counter=f"c-{before}"))
    assert accepted["status"] == "accepted" and accepted["sequence"] == before + 1


@pytest.mark.parametrize("name", CASES)
async def test_what_arrives_is_refused_once_and_clearly(nc: Client, server: NatsServer, name: str) -> None:
    raw, code, names = CASES[name]
    await assert_refused(nc, server, raw, code, names, "take-ticket")


@pytest.mark.parametrize("name", [*NUMBERS, *RAW_NUMBERS])
async def test_numbers_that_are_not_whole_and_small_enough(nc: Client, server: NatsServer, name: str) -> None:
    number = RAW_NUMBERS.get(name) or json.dumps(NUMBERS[name]).encode()
    raw = body(type="commons.kiosk.limit-counter", data={"counter": "door", "limit": "%"}).replace(b'"%"', number)
    await assert_refused(nc, server, raw, "INVALID", "", "limit-counter")


@pytest.mark.parametrize("command", ["no-such-command", "*", "TakeTickets", "ticket-taken", "$SYS", "x" * 2000])
async def test_a_command_that_does_not_exist(nc: Client, server: NatsServer, command: str) -> None:
    await assert_refused(nc, server, body(), "UNKNOWN_COMMAND", "TakeTicket", command)


async def test_the_same_command_in_other_words_is_taken(nc: Client) -> None:
    """What JSON and CloudEvents allow: other order, spaces, escapes, optional members."""
    raw = b"""
      { "data" : {"holder":"\\u0061da", "counter":"door", "remark": "first line\\nsecond line\\ttabbed"},
        "authid":"sam", "type":"commons.kiosk.take-ticket", "source":"/test", "id":"c/1:2.3_4-5", "specversion":"1.0",
        "time":"2026-11-20T09:30:00Z", "datacontenttype":"application/json", "subject": "counter/door" } """
    first = await ask(nc, raw)
    assert first["status"] == "accepted", first
    assert first["event"]["data"]["holder"] == "ada" and first["event"]["causationid"] == "c/1:2.3_4-5"
    again = await ask(nc, raw)
    assert again == {**first, "repeated": True}


async def test_an_answer_goes_to_an_inbox_and_never_into_the_ledger(nc: Client, server: NatsServer) -> None:
    """NATS lets a caller name any reply subject; under a ledger's own, the answer would be stored as an event."""
    before = await last_sequence(server)
    command = json.dumps(RIGHT | {"id": "astray", "data": {"counter": "astray", "holder": "ada"}}).encode()
    await nc.publish("command.kiosk.take-ticket", command, reply="ledger.kiosk.counter.astray")
    # The service takes commands in order, and answers those of one aggregate in order, over one connection.
    after = json.dumps(RIGHT | {"id": "after", "data": {"counter": "astray", "holder": "ben"}}).encode()
    reply = json.loads((await nc.request("command.kiosk.take-ticket", after, timeout=5)).data)
    assert reply["status"] == "accepted"
    assert reply["event"]["revision"] == 1
    assert await last_sequence(server) == before + 1


def test_many_names_are_looked_through_once_each() -> None:
    """Sixty thousand names, the last two alike: looking for each among all the others would take minutes."""
    names = ",".join(f'"n{number}":1' for number in range(60_000))
    raw = f'{{"data":{{{names},"twin":1,"twin":2}}}}'.encode()
    assert len(raw) < MAX_COMMAND_BYTES
    with pytest.raises(LedgerError):
        parse_command(raw, "commons.kiosk.take-ticket")
