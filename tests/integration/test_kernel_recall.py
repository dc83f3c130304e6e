"""Past events by name: a decision sees the newest event that bears a name, wherever it is, and no other's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import shared.aggregate
import shared.cache
import shared.recall
import shared.remembered
from services.local.nats import NatsServer
from shared.command import Answer
from shared.decider import Past, Ref
from shared.errors import LedgerError, Rejected
from tests.support.journal import (
    DECIDERS,
    AmendLine,
    BookLimited,
    JournalError,
    LimitBook,
    Line,
    LineAmended,
    LineQuoted,
    LinesPosted,
    PostLines,
    QuoteLine,
    books,
    journal,
)
from tests.support.ledger import Ledger, event_of, ledger, read, until
from tests.support.proxy import Proxy

BOOK = Ref("book", "main")


def post(*lines: tuple[str, int]) -> PostLines:
    return PostLines(book="main", lines=tuple(Line(id=id, amount=amount) for id, amount in lines))


def amend(line: str, amount: int) -> AmendLine:
    return AmendLine(book="main", line=line, amount=amount)


def quote(line: str) -> QuoteLine:
    return QuoteLine(quotation="q", book="main", line=line)


@asynccontextmanager
async def writer(server: NatsServer, **options: Any) -> AsyncIterator[Ledger]:
    async with ledger(server, contract=journal, deciders=DECIDERS, **options) as one:
        yield one


def made(answer: Answer) -> Any:
    return event_of(answer, journal)


async def test_what_is_decided_is_recalled_before_it_is_durable(nats_server: NatsServer) -> None:
    async with Proxy(nats_server.port) as proxy, writer(nats_server, url=proxy.url) as one:
        await one.send(LimitBook(book="main", limit=100), "limit")
        proxy.shut()
        first = one.start(post(("a", 1), ("b", 2)), "first", "ada")
        again = one.start(post(("b", 3), ("c", 4), ("a", 1)), "again")
        amended = one.start(amend("c", 5), "amend", "bob")
        amended_again = one.start(amend("c", 6), "amend again")
        same = one.start(amend("c", 6), "same")
        missing = one.start(amend("d", 1), "missing")
        await until(lambda: one.committer.writes > 1)
        answered, _ = await asyncio.wait([first, again, amended, same, missing], timeout=0.1)
        assert not answered
        proxy.open()
        assert made(await first).outcomes == ("posted", "posted")
        assert made(await again).outcomes == ("differs", "posted", "exists")
        assert made(await amended).before == 3
        assert made(await amended_again).before == 4
        assert (await same).event is None
        with pytest.raises(Rejected, match="no line d"):
            await missing


@pytest.mark.parametrize("snapshot_every", [None, 10], ids=["without a snapshot", "from a snapshot"])
async def test_it_is_recalled_after_it_was_stored_and_after_a_restart(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, snapshot_every: int | None
) -> None:
    monkeypatch.setattr(shared.remembered, "SEGMENT", 16)
    monkeypatch.setattr(shared.cache, "_FIRST_PAGE", 8)
    async with writer(nats_server, snapshot_every=snapshot_every) as one:
        for number in range(25):
            await one.send(post((f"a{number}", 1), (f"b{number}", number + 1)), f"post-{number}", f"p{number}")
        await one.send(amend("b3", 100), "amend", "ada")  # its name is in a sealed segment, and now in the newest
        assert (await one.send(amend("b3", 100), "amend again")).event is None
        await check_recalls(one, "1")
        if one.snapshots is not None:
            snapshots = one.snapshots
            found = await until(lambda: snapshots.load(BOOK, books, one.store))
            assert len(found.names.segments) > 1
    async with writer(nats_server, snapshot_every=snapshot_every) as two:
        await check_recalls(two, "2")
        assert two.snapshots is None or two.snapshots.discarded == 0


async def check_recalls(one: Ledger, run: str) -> None:
    for number in (0, 1, 7, 15, 24):
        answer = await one.send(
            post((f"a{number}", 1), (f"b{number}", 77), (f"new{run}-{number}", 1)), f"check-{run}-{number}"
        )
        assert made(answer).outcomes == ("exists", "differs", "posted")
        quoted: LineQuoted = made(await one.send(quote(f"b{number}"), f"quote-{run}-{number}"))
        assert (quoted.amount, quoted.revision, quoted.actor) == (number + 1, number + 1, f"p{number}")
    amended: LineQuoted = made(await one.send(quote("b3"), f"quote-{run}-amended"))
    assert (amended.amount, amended.revision, amended.actor) == (100, 26, "ada")
    for command in (amend("zz", 1), quote("zz")):
        with pytest.raises(Rejected) as refusal:
            await one.send(command, f"missing-{run}-{type(command).__name__}")
        assert refusal.value.code is JournalError.NO_SUCH_LINE


async def test_a_past_event_says_when_it_was_recorded(nats_server: NatsServer) -> None:
    """The same whether it is recalled from memory or from the stream."""
    seen: list[Any] = []
    decide = books.decide

    def spy(command: Any, state: Any, context: Any) -> Any:
        seen.append(context.recalled(BOOK, "line:a"))
        assert context.recalled(BOOK, "line:other") is None
        return decide(command, state, context)

    deciders = [dataclasses.replace(books, decide=spy)]
    async with (
        Proxy(nats_server.port) as proxy,
        ledger(nats_server, contract=journal, deciders=deciders, url=proxy.url) as one,
    ):
        await one.send(LimitBook(book="main", limit=100), "limit")
        proxy.shut()
        answers = [one.start(post(("a", 1)), "post", "ada"), one.start(amend("a", 1), "while undurable")]
        proxy.open()
        await asyncio.gather(*answers)
        await one.send(amend("a", 1), "when durable")
    stored = (await read(nats_server, BOOK, journal))[1]
    past = Past(stored.data, 2, "ada", stored.recorded_at)
    assert seen == [None, None, past, past]


async def test_two_names_with_one_key_are_two_names(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was never used is not taken for one whose key it shares."""
    for module in (shared.aggregate, shared.cache, shared.recall):
        monkeypatch.setattr(module, "name_key", lambda name: 7)
    async with writer(nats_server) as one:
        await one.send(post(("a", 1)), "a")
        assert made(await one.send(post(("b", 1), ("a", 2)), "b")).outcomes == ("posted", "differs")
        with pytest.raises(Rejected):
            await one.send(amend("c", 1), "c")
        assert made(await one.send(amend("b", 4), "amend")).before == 2
    async with writer(nats_server) as two:
        with pytest.raises(Rejected):
            await two.send(quote("c"), "quote c")
        assert made(await two.send(quote("b"), "quote b")).amount == 4


async def test_what_another_process_wrote_meanwhile_is_recalled(nats_server: NatsServer) -> None:
    """The line was not there when it was looked for, and is when the append is refused: it is decided again."""
    async with (
        Proxy(nats_server.port) as proxy,
        writer(nats_server, url=proxy.url) as one,
        writer(nats_server) as other,
    ):
        await one.send(post(("a", 1)), "a")
        proxy.shut()
        mine = one.start(post(("b", 1), ("c", 1)), "mine")
        after = one.start(amend("b", 7), "after")
        await until(lambda: one.committer.writes > 1)
        await other.send(post(("b", 2)), "theirs")
        proxy.open()
        assert made(await asyncio.wait_for(mine, 20)).outcomes == ("differs", "posted")
        assert made(await asyncio.wait_for(after, 20)).before == 2
    assert [event.data.book for event in await read(nats_server, BOOK, journal)] == ["main"] * 4


async def test_what_was_decided_and_lost_is_not_recalled(nats_server: NatsServer) -> None:
    """The line was decided on a book without a limit; another process had set one, and it is in no event."""
    async with (
        Proxy(nats_server.port) as proxy,
        writer(nats_server, url=proxy.url) as one,
        writer(nats_server) as other,
    ):
        await one.send(post(("a", 1)), "a")
        proxy.shut()
        mine = one.start(post(("b", 1)), "mine")
        amended = one.start(amend("b", 7), "amended")
        await until(lambda: one.committer.writes > 1)
        await other.send(LimitBook(book="main", limit=1), "limit")
        proxy.open()
        assert made(await asyncio.wait_for(mine, 20)).outcomes == ("full",)
        with pytest.raises(Rejected, match="no line b"):
            await asyncio.wait_for(amended, 20)
    assert [type(e.data) for e in await read(nats_server, BOOK, journal)] == [LinesPosted, BookLimited, LinesPosted]


async def test_another_aggregate_is_recalled_from_as_another_process_left_it(nats_server: NatsServer) -> None:
    async with writer(nats_server) as one, writer(nats_server) as other:
        await one.send(post(("a", 1)), "a")
        assert made(await one.send(quote("a"), "quote")).amount == 1
        await other.send(amend("a", 2), "amend")
        assert made(await one.send(quote("a"), "quote again")).amount == 2
        assert type((await read(nats_server, BOOK, journal))[-1].data) is LineAmended


async def test_a_decider_that_recalls_what_it_does_not_read_is_told_so(nats_server: NatsServer) -> None:
    stray = [(Ref("book", "other"), "line:a")]
    deciders = [dataclasses.replace(books, recalls=lambda command: stray)]
    async with ledger(nats_server, contract=journal, deciders=deciders) as one:
        for _ in range(2):  # found out of memory, and in it
            with pytest.raises(LedgerError, match="error of its own"):
                await one.send(post(("a", 1)), "a")
        assert one.handler._in_hand == 0
