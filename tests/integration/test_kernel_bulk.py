"""Bulk commands: one request, several events, one answer; whatever happens meanwhile, no part is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

import shared.committer
from services.local.nats import MAX_PAYLOAD_BYTES, NatsServer
from shared.actortoken import MAX_BYTES
from shared.bulk import Interrupted, cut, handle_parts
from shared.client import CommandClient
from shared.command import BulkAnswer, CommandMeta
from shared.connection import connect
from shared.contract import Contract
from shared.decider import Ref
from shared.errors import Busy, CommandIdReused, Halted, Invalid, LedgerError, Misconfigured, OutcomeUnknown
from shared.message import MAX_BULK_BYTES, MAX_COMMAND_BYTES, MAX_PAYLOAD, Refused, command_subject, decode_reply
from shared.service import Service
from shared.settings import Settings
from shared.store import EventStore
from tests.support.journal import DECIDERS, Line, LinesPosted, journal
from tests.support.ledger import Ledger, ledger, read, until
from tests.support.proxy import Proxy

BOOK = Ref("book", "main")
SPEC = journal.commands["PostLines"]
LONG = "x" * 200


def lines(count: int, *, first: int = 0, amount: int = 1, **more: Any) -> list[Line]:
    """Lines of which some 170 fit into one event."""
    return [Line(id=f"l-{n}", amount=amount, remark=LONG, **more) for n in range(first, first + count)]


def request(given: Sequence[Line], book: str = "main") -> bytes:
    return msgspec.json.encode({"book": book, "lines": given})


@asynccontextmanager
async def writer(server: NatsServer, **options: Any) -> AsyncIterator[Ledger]:
    async with ledger(server, contract=journal, deciders=DECIDERS, **options) as one:
        yield one


async def post(one: Ledger, given: Sequence[Line], id: str, actor: str = "sam") -> BulkAnswer:
    return await handle_parts(one.handler, SPEC, cut(SPEC, request(given)), CommandMeta(id=id, actor=actor))


async def stored(server: NatsServer) -> list[LinesPosted]:
    return [event.data for event in await read(server, BOOK, journal)]


async def test_a_request_is_cut_stored_and_answered_line_by_line(nats_server: NatsServer) -> None:
    given = [*lines(900), Line(id="l-3", amount=1, remark=LONG), Line(id="l-4", amount=7)]
    async with writer(nats_server) as one:
        answer = await post(one, given, "import")
        events = await read(nats_server, BOOK, journal)
        assert len(events) > 4 and (answer.status, answer.sequence) == ("accepted", len(events))
        assert [line for event in events for line in event.data.lines] == given
        assert {event.data.parts for event in events} == {len(events)}
        assert max(len(event.raw) for event in events) <= 60_000
        assert {(event.envelope.correlationid, event.envelope.causationid) for event in events} == {("import",) * 2}
        assert [result["line"] for result in answer.results] == [line.id for line in given]
        assert [result["result"] for result in answer.results] == ["posted"] * 900 + ["exists", "differs"]
        assert answer.counts == {"posted": 900, "exists": 1, "differs": 1}
        assert not answer.repeated
        again = await post(one, given, "import")
        other = await post(one, lines(900), "another id")
        assert (other.status, other.sequence, other.counts) == ("unchanged", len(events), {"exists": 900})
    async with writer(nats_server) as two:
        later = await post(two, given, "import")
    assert again.repeated and later.repeated
    assert (again.results, again.counts, again.sequence) == (answer.results, answer.counts, answer.sequence)
    assert (later.results, later.counts, later.sequence) == (answer.results, answer.counts, answer.sequence)
    assert len(await stored(nats_server)) == len(events)


@pytest.mark.parametrize("survivors", [1, 3])
async def test_what_was_interrupted_is_gone_on_with(nats_server: NatsServer, survivors: int) -> None:
    """The process ended when some parts were stored; the repeat, at another process, adds the rest."""
    given = lines(900)
    parts = SPEC.cut(request(given)) if SPEC.cut else ()
    async with writer(nats_server) as one:
        for number, part in enumerate(parts[:survivors], 1):
            await one.send(part, f"import/{number}", correlation_id="import", causation_id="import")
    async with writer(nats_server) as two:
        answer = await post(two, given, "import")
        assert answer.counts == {"posted": 900} and not answer.repeated
        assert await post(two, given, "import") == BulkAnswer(
            answer.stream, answer.sequence, "accepted", True, answer.results, answer.counts
        )
    events = await stored(nats_server)
    assert len(events) == len(parts)
    assert [line for event in events for line in event.lines] == given


@pytest.mark.parametrize("forward", [True, False], ids=["reply lost", "request lost"])
async def test_a_connection_that_is_cut_costs_time_and_nothing_else(nats_server: NatsServer, forward: bool) -> None:
    async with Proxy(nats_server.port) as proxy, writer(nats_server, url=proxy.url, batch_from=1) as one:
        await post(one, lines(1), "first")
        proxy.watch(b"Nats-Batch-Commit", forward=forward)
        posting = asyncio.ensure_future(post(one, lines(900), "import"))
        await asyncio.wait_for(proxy.seen.wait(), 10)
        if forward:
            proxy.cut()
        answer = await asyncio.wait_for(posting, 30)
    assert answer.counts == {"exists": 1, "posted": 899}
    assert [line.id for event in await stored(nats_server) for line in event.lines][1:] == [
        f"l-{n}" for n in range(900)
    ]


async def test_another_process_writes_between_the_parts(nats_server: NatsServer) -> None:
    """The parts behind it are decided again, on what the other one wrote."""
    async with (
        Proxy(nats_server.port) as proxy,
        writer(nats_server, url=proxy.url) as one,
        writer(nats_server) as other,
    ):
        await post(one, lines(1, first=5000), "first")
        proxy.shut()
        posting = asyncio.ensure_future(post(one, lines(900), "import"))
        await until(lambda: one.committer.writes > 1)
        theirs = await post(other, [Line(id="l-800", amount=5), *lines(1, first=2000)], "theirs")
        assert theirs.counts == {"posted": 2}
        proxy.open()
        answer = await asyncio.wait_for(posting, 30)
    assert answer.counts == {"posted": 899, "differs": 1}
    assert answer.results[800] == {"line": "l-800", "result": "differs"}


OTHERS = {
    "a line": ([*lines(899), Line(id="l-899", amount=2, remark=LONG)], "lines"),
    "the first line": ([Line(id="l-0", amount=2, remark=LONG), *lines(899, first=1)], "lines"),
    "fewer lines": (lines(899), "lines"),
    "fewer parts": (lines(500), "parts"),
    "more parts": (lines(2000), "parts"),
    "nothing alike": (lines(10, first=5000), "lines"),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_another_request_under_the_same_id_is_refused_and_leaves_nothing(
    nats_server: NatsServer, name: str
) -> None:
    given, _ = OTHERS[name]
    async with writer(nats_server) as one:
        await post(one, lines(900), "import")
        before = await stored(nats_server)
        for _ in range(2):
            with pytest.raises(CommandIdReused) as refusal:
                await post(one, given, "import")
            assert refusal.value.facts["field"] in ("lines", "parts")
    async with writer(nats_server) as two:
        with pytest.raises(CommandIdReused):
            await post(two, given, "import")
        with pytest.raises(CommandIdReused) as refusal:
            await post(two, lines(900), "import", actor="kim")
        assert refusal.value.facts["field"] == "authid"
    assert await stored(nats_server) == before


async def test_two_at_once_under_one_id_are_one(nats_server: NatsServer) -> None:
    async with writer(nats_server) as one:
        answers = await asyncio.gather(*(post(one, lines(900), "import") for _ in range(3)))
        with pytest.raises(CommandIdReused):
            await asyncio.gather(
                post(one, lines(900, first=900), "second"), post(one, lines(1800, first=900), "second")
            )  # fmt: skip
    assert [answer.results for answer in answers] == [answers[0].results] * 3
    assert sum(len(event.lines) for event in await stored(nats_server)) == 1800


async def test_too_much_at_once_is_refused_whole(nats_server: NatsServer) -> None:
    async with writer(nats_server, max_waiting=5) as one:
        with pytest.raises(Busy):
            await post(one, lines(2000), "large")
        assert (await post(one, lines(600), "small")).counts == {"posted": 600}
        assert one.handler._in_hand == 0
    assert sum(len(event.lines) for event in await stored(nats_server)) == 600


async def test_an_error_after_some_parts_were_recorded_says_so(nats_server: NatsServer) -> None:
    async with writer(nats_server) as one:
        submit, count = one.handler.submit, 0

        def failing(command: Any, meta: CommandMeta, **options: Any) -> asyncio.Future[Any]:
            nonlocal count
            count += 1
            if count == 3:
                one.handler.release(1)
                failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                failed.set_exception(OutcomeUnknown("No answer came."))
                return failed
            return submit(command, meta, **options)

        one.handler.submit = failing  # type: ignore[method-assign]
        with pytest.raises(Interrupted) as error:
            await post(one, lines(900), "import")
        problem = error.value.problem()
        assert (problem["code"], problem["status"], problem["part"]) == ("OUTCOME_UNKNOWN", 504, 3)
        assert problem["recorded_parts"] == problem["parts"] - 1
        one.handler.submit = submit  # type: ignore[method-assign]
        assert (await post(one, lines(900), "import")).counts == {"posted": 900}


async def test_a_halted_ledger_answers_the_whole_with_the_reason(nats_server: NatsServer) -> None:
    async with writer(nats_server) as one:
        await post(one, lines(1), "first")
        one.committer.halt("The end is missing.", 1, 2)
        with pytest.raises(Halted):
            await post(one, lines(900), "import")
        assert one.handler._in_hand == 0
    assert len(await stored(nats_server)) == 1


async def test_a_write_is_bounded_by_its_bytes(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.committer, "MAX_BATCH_BYTES", 300_000)
    async with writer(nats_server, batch_from=1) as one:
        await post(one, lines(1), "first")
        sizes: list[int] = []
        append = one.committer.writer.append_batch

        async def measured(frames: list[Any]) -> Any:
            sizes.append(sum(len(raw) for _, raw, _, _ in frames))
            return await append(frames)

        one.committer.writer.append_batch = measured  # type: ignore[method-assign]
        answer = await post(one, lines(4000), "import")
    assert answer.counts == {"posted": 3999, "exists": 1}
    assert len(sizes) > 3 and max(sizes) <= 300_000


# -- over the wire ------------------------------------------------------------


@asynccontextmanager
async def service(server: NatsServer) -> AsyncIterator[tuple[Service, CommandClient, Any]]:
    one = Service(journal, DECIDERS, Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url))
    await one.start()
    nc = await connect(server.url, name="client")
    try:
        yield one, CommandClient(nc, actor="sam", patience=2), nc
    finally:
        await nc.close()
        await one.stop()


async def test_a_request_over_nats(nats_server: NatsServer) -> None:
    async with service(nats_server) as (one, client, _):
        data = request(lines(6000))
        assert len(data) > MAX_COMMAND_BYTES
        reply = await client.send("journal", "PostLines", data, id="import")
        assert (reply.status, reply.counts, reply.repeated) == ("accepted", {"posted": 6000}, False)
        assert reply.results is not None and reply.results[5] == {"line": "l-5", "result": "posted"}
        again = await client.send("journal", "PostLines", data, id="import")
        assert again.repeated and again.results == reply.results and again.sequence == reply.sequence
        with pytest.raises(Refused) as refusal:
            await client.send("journal", "PostLines", request(lines(5)), id="import")
        assert refusal.value.code == "COMMAND_ID_REUSED"
        with pytest.raises(Refused, match="8,189"):
            await client.send("journal", "PostLines", request([Line(id=f"m{n}", amount=1) for n in range(8190)]))
        with pytest.raises(Refused, match="stands twice"):
            await client.send("journal", "PostLines", b'{"book":"a","lines":[{"id":"a","id":"a","amount":1}]}')
        with pytest.raises(Refused) as refusal:  # a command of another kind is no larger than before
            await client.send("journal", "LimitBook", {"book": "x" * MAX_COMMAND_BYTES, "limit": 1})
        assert refusal.value.code == "TOO_LARGE"
        assert one.handler._in_hand == 0


async def test_a_request_of_four_megabytes_and_a_byte_is_refused(nats_server: NatsServer) -> None:
    assert MAX_BULK_BYTES + 2 * MAX_BYTES == MAX_PAYLOAD == MAX_PAYLOAD_BYTES
    async with service(nats_server) as (_, client, nc):
        head = (
            b'{"specversion":"1.0","id":"big","source":"/x","type":"commons.journal.post-lines","authid":"sam",'
            b'"data":{"book":"main","lines":[' + b'{"id":"a","amount":1}'
        )
        raw = head + b" " * (MAX_BULK_BYTES - len(head) - 3) + b"]}}"
        assert len(raw) == MAX_BULK_BYTES
        answer = decode_reply((await nc.request(command_subject("journal", "PostLines"), raw, timeout=10)).data)
        assert answer.counts == {"posted": 1}
        with pytest.raises(Invalid, match="the server takes at most"):
            await client.send("journal", "PostLines", b" " * MAX_PAYLOAD + request(lines(1)))


async def test_a_service_with_bulk_commands_needs_a_server_that_takes_them(nats_server: NatsServer) -> None:
    async with service(nats_server) as (_, _, nc):
        nc._server_info["max_payload"] = nc._max_payload = 1 << 20
        with pytest.raises(Misconfigured, match="bulk commands need 4,194,304"):
            await EventStore(nc, journal).ensure(nats_server.monitor_url)


async def test_a_service_that_stops_answers_what_it_can(nats_server: NatsServer) -> None:
    async with service(nats_server) as (one, client, _):
        sending = asyncio.ensure_future(client.send("journal", "PostLines", request(lines(6000)), id="import"))
        await until(lambda: one.handler._in_hand)
        await one.stop()
        with contextlib.suppress(LedgerError):
            await sending
    async with service(nats_server) as (_, client, _):
        reply = await client.send("journal", "PostLines", request(lines(6000)), id="import")
        assert reply.counts == {"posted": 6000}
    assert sum(len(event.lines) for event in await stored(nats_server)) == 6000


def test_a_bulk_command_is_declared_whole() -> None:
    def declare(fields: dict[str, type], **options: Any) -> None:
        contract = Contract("scrap")
        command = contract.command(category="book", aggregate="book", makes=(), **options)
        command(type("Post", (), {"__annotations__": {"book": str, **fields}}))
        contract.freeze()

    declare({"parts": int}, cut=SPEC.cut, results=SPEC.results)
    for missing in ("cut", "results"):
        with pytest.raises(TypeError, match="both"):
            declare({"parts": int}, **{"cut": SPEC.cut, "results": SPEC.results, missing: None})
    with pytest.raises(TypeError, match="no field `parts`"):
        declare({}, cut=SPEC.cut, results=SPEC.results)
