"""A book with a million entries: posted in bulk, opened by a fresh process, and summed up into PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from bench import journal, ledger
from bench.figures import Figure, against
from services.local.nats import NatsServer
from services.local.postgres import PostgresServer
from services.projections.registry import PROJECTIONS
from services.treasury.contract import MAX_ENTRIES, Posting, treasury
from services.treasury.deciders import DECIDERS
from shared import migrations
from shared.bulk import cut, handle_parts
from shared.handler import Handler
from shared.message import CommandMessage, encode_bulk_answer, parse_command
from shared.runner import rebuild

_ENTRIES: Final = 1_000_000
_SINGLE: Final = 100_000
_AT_ONCE: Final = 2
"""Requests under way: one is read and decided while the other is being written."""
_TYPE: Final = "commons.treasury.post-entries"


async def bookkeeping(folder: Path) -> list[Figure]:
    """From a request's bytes to its answer's; what the book costs to open; a trial balance of entries one by one."""
    async with ledger.server(folder / "nats") as server:
        async with ledger.handler(server, treasury, DECIDERS) as handler:
            await journal.send(handler, journal.opening(), waiting=1, tag="opening")
            rate, slowest = await _posted(handler)
        opened = await _opened(server)
    async with PostgresServer(folder / "postgres") as postgres, ledger.server(folder / "nats-single") as server:
        summed = await _summed(server, postgres)
    return [
        against("transfers_bulk", rate, "/s", "at least", 70_000, 1, note=f"the slowest request {slowest:.2f} s"),
        against("trial_balance_rebuild", summed, "/s", "at least", 50_000, 1),
        against("book_open", opened["seconds"], "s", f"{_ENTRIES:,} entries, at most", 2, 1, lower=True,
                note=f"{opened['loading']:.2f} s of it behind the start of Python and its imports"),
        against("book_open_memory", opened["mb"], "MB", "at most", 500, 1, lower=True),
    ]  # fmt: skip


async def _posted(handler: Handler) -> tuple[float, float]:
    """Entries a second, and the seconds of the slowest request."""
    spent = slowest = 0.0
    left = _ENTRIES
    while left:  # a few requests are made at a time, with the clock stopped: a million entries would fill the memory
        requests = []
        for _ in range(10):
            if size := min(left, MAX_ENTRIES):
                requests.append(_request(size, tag=f"bulk-{left}"))
                left -= size
        todo = iter(requests)

        async def caller() -> float:
            longest = 0.0
            for raw in todo:  # noqa: B023 - the callers end within this turn
                began = time.perf_counter()
                await _answered(handler, raw)
                longest = max(longest, time.perf_counter() - began)
            return longest

        began = time.perf_counter()
        slowest = max(slowest, *await asyncio.gather(*(caller() for _ in range(_AT_ONCE))))
        spent += time.perf_counter() - began
    return _ENTRIES / spent, slowest


def _request(size: int, *, tag: str) -> bytes:
    entries = [
        {"entry": e.entry, "date": e.date, "debits": _sides(e.debits), "credits": _sides(e.credits)}
        for e in journal.entries(size, tag=tag)
    ]
    data = msgspec.json.encode({"book": journal.BOOK, "entries": entries})
    return msgspec.json.encode(
        CommandMessage(
            specversion="1.0", id=tag, source="/bench", type=_TYPE, authid="bench", data=msgspec.Raw(data),
        )
    )  # fmt: skip


def _sides(postings: tuple[Posting, ...]) -> list[dict[str, object]]:
    """What a caller writes: the fund is the one that is meant when none is named."""
    return [{"account": each.account, "amount": each.amount, "unit": each.unit} for each in postings]


async def _answered(handler: Handler, raw: bytes) -> bytes:
    """What the service does with a request, the wire left out."""
    spec = handler.contract.command_named("PostEntries")
    message = parse_command(raw, _TYPE, bulk=True)
    answer = await handle_parts(handler, spec, cut(spec, bytes(message.data)), message.meta)
    if set(answer.counts) != {"posted"}:
        raise RuntimeError(f"not all of a request's entries were posted: {answer.counts}")
    return encode_bulk_answer(answer)


async def _opened(server: NatsServer) -> dict[str, float]:
    """A fresh process that posts one entry more."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.opening", server.url, server.monitor_url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the measuring process failed with {process.returncode}")
    result: dict[str, float] = json.loads(out)
    return result


async def _summed(server: NatsServer, postgres: PostgresServer) -> float:
    """Entries a second, each an event of its own, which is what costs most."""
    await migrations.migrate_database(postgres.url)
    async with ledger.handler(server, treasury, DECIDERS) as handler:
        await journal.send(handler, journal.opening(), waiting=1, tag="opening")
        await journal.send(handler, journal.transfers(_SINGLE, tag="single"), waiting=1000, tag="single")
    began = time.perf_counter()
    await rebuild(PROJECTIONS["trial_balance"], server.url, postgres.url)
    return _SINGLE / (time.perf_counter() - began)
