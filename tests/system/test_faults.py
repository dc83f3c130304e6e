"""Ten deaths each of NATS, PostgreSQL and the service, under load: nothing acknowledged is lost, nothing doubled.

A kill is SIGKILL; the supervisor of `commons up` brings the process back. They die in turn, and the next one only when
commands have been answered since the last, so every death meets a ledger that works.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from shared.client import CommandClient
from shared.connection import connect
from shared.errors import OutcomeUnknown
from shared.message import Refused
from shared.wire import StreamReader
from tests.support.keys import tokens_of
from tests.system.conftest import Ledger

DEATHS = 10
VICTIMS = (("services", "inventory"), ("servers", "nats"), ("servers", "postgres"))
CALLERS = 12
ANSWERS_BETWEEN = 40
ITEMS = 8


@dataclass
class Answers:
    """What the ledger acknowledged: event id and sequence by command id."""

    accepted: dict[str, tuple[str, int]] = field(default_factory=dict)
    refused: int = 0
    unknown: int = 0


async def _open(client: CommandClient) -> None:
    await client.send("inventory", "OpenLocation", {"location": "store", "name": "Store", "kind": "store"})
    for number in range(ITEMS):
        await client.send("inventory", "RegisterItem", {"item": f"item-{number}", "name": "Beans", "unit": "each"})


def _command(number: int) -> tuple[str, dict[str, Any]]:
    """Receipts, issues and reservations; some of the last two cannot be, and are refused."""
    place = {"item": f"item-{number % ITEMS}", "location": "store"}
    match number % 5:
        case 0 | 1:
            return "ReceiveStock", place | {"source": "donation", "lines": [{"lot": f"L{number % 3}", "quantity": 3}]}
        case 2 | 3:
            return "IssueStock", place | {"purpose": "household", "lines": [{"quantity": 2}]}
        case _:
            return "ReserveStock", place | {"purpose": "household", "reservation": f"r-{number}", "quantity": 1}


async def _caller(client: CommandClient, first: int, answers: Answers, stop: asyncio.Event) -> None:
    number = first
    while not stop.is_set():
        name, data = _command(number)
        try:
            reply = await client.send("inventory", name, data, id=f"load-{number}")
            if reply.event is not None:
                answers.accepted[f"load-{number}"] = (reply.event["id"], reply.sequence)
        except Refused as refusal:
            if refusal.status >= 500:
                raise
            answers.refused += 1
        except OutcomeUnknown:
            answers.unknown += 1
        number += CALLERS


async def _until(condition: Any, seconds: float, what: str) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
    assert condition(), what


async def _run(ledger: Ledger) -> Answers:
    """Load, and the deaths in it."""
    described = ledger.described()
    nc = await connect(described["nats_url"], name="load")
    client = CommandClient(nc, actor="load", timeout=1.0, patience=60, tokens=tokens_of(ledger.data / "keys"))
    await _open(client)
    answers, stop = Answers(), asyncio.Event()
    base = random.randrange(10**9) * CALLERS
    callers = [asyncio.create_task(_caller(client, base + n, answers, stop)) for n in range(CALLERS)]
    try:
        dead: set[int] = set()
        for kind, victim in VICTIMS * DEATHS:
            await _answered(answers)
            await asyncio.sleep(random.uniform(0, 0.05))  # anywhere between two writes, or inside one
            dead.add(await _kill(ledger, kind, victim, dead))
        await _answered(answers)
    finally:
        stop.set()
        done, late = await asyncio.wait(callers, timeout=90)
        for task in late:
            task.cancel()
        with contextlib.suppress(Exception):
            await nc.close()
    assert not late, "a caller was never answered"
    for task in done:
        task.result()
    return answers


async def _answered(answers: Answers) -> None:
    """Wait until some more commands have been answered."""
    before = len(answers.accepted)
    await _until(lambda: len(answers.accepted) >= before + ANSWERS_BETWEEN, 60, "nothing is answered")


async def _kill(ledger: Ledger, kind: str, victim: str, dead: set[int]) -> int:
    """Kill a process, once the supervisor has written down that it is back from its last death; its id."""
    await _until(lambda: ledger.described()[kind][victim]["pid"] not in dead, 60, f"{victim} is not back")
    pid = int(ledger.described()[kind][victim]["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


async def _stored(ledger: Ledger) -> dict[int, str]:
    """The event id at every sequence of the stream."""
    found: dict[int, str] = {}
    async with StreamReader(ledger.described()["nats_url"], "INVENTORY", name="test") as reader:
        async for messages in reader.batches(until=reader.last_sequence):
            found |= {m.sequence: msgspec.json.decode(m.payload)["id"] for m in messages}
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_acknowledged_event_is_lost_or_doubled_by_ten_deaths_of_each(ledger: Ledger) -> None:
    answers = await _run(ledger)
    assert len(answers.accepted) >= len(VICTIMS) * DEATHS * ANSWERS_BETWEEN
    stored = await _stored(ledger)
    for command, (event, sequence) in answers.accepted.items():
        assert stored.get(sequence) == event, f"{command} was acknowledged at {sequence}, and is not there"
    assert max(Counter(stored.values()).values()) == 1, "an event is there twice"
    assert sorted(stored) == list(range(1, len(stored) + 1)), "the stream has a gap"
    # The chain is whole, every aggregate folds, and the read models equal a fresh fold, however they were interrupted.
    await asyncio.to_thread(_verified, ledger)


def _verified(ledger: Ledger) -> None:
    ledger.until_well()
    assert "The ledger is whole" in ledger.commons("verify")
