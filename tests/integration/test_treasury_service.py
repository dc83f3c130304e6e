"""The treasury service as a process of its own, with its process managers, on a real server."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from services.local.nats import NatsServer
from services.treasury.contract import (
    ExpenseChanged,
    ExpensePaid,
    HoldExpired,
    HoldPlaced,
    HoldVoided,
    ProcessStepRefused,
    treasury,
)
from services.treasury.deciders import DECIDERS
from services.treasury.state import Book
from shared.client import CommandClient
from shared.connection import connect
from shared.decider import Ref
from shared.event import Recorded
from shared.message import Refused, Reply
from shared.store import EventStore
from tests.support.keys import keys_beside, tokens_beside
from tests.support.ledger import ledger, read

SECRETS = ("Lovelace", "Difference Engine", "DE89370400440532013000")
CLUB = {"book": "club"}


@asynccontextmanager
async def service(server: NatsServer) -> AsyncIterator[Process]:
    """One process of the service."""
    environment = {**os.environ, "NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url, "DATABASE_URL": ""}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.treasury.app", env=environment | keys_beside(server), stdout=DEVNULL
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@dataclass
class Desk:
    """Somebody at a keyboard, and the stream."""

    server: NatsServer
    nc: Client
    store: EventStore
    seen: int = 0
    events: list[Recorded] = field(default_factory=list)

    async def do(self, name: str, /, *, actor: str = "sam", id: str | None = None, **fields: Any) -> Reply:
        # What a killed process took is sent again soon.
        client = CommandClient(self.nc, actor=actor, timeout=2, tokens=tokens_beside(self.server))
        return await client.send("treasury", name, fields, id=id)

    async def wait_for(self, kind: type, count: int = 1, seconds: float = 30) -> list[Any]:
        """Wait until there are so many events of a kind."""
        async with asyncio.timeout(seconds):
            while True:
                while self.seen < await self.store.last_sequence():
                    self.seen += 1
                    event = await self.store.at(self.seen)
                    assert event is not None
                    self.events.append(event)
                found = [event.data for event in self.events if isinstance(event.data, kind)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)

    async def open(self, approvals: int = 1) -> None:
        """A book with 10,000.00 in its bank, a rule, and Ada, who is paid."""
        await self.do("OpenBook", **CLUB, name="The club", unit="EUR", starts="2026-01-01")
        for account, kind in (("bank", "asset"), ("net", "net_assets"), ("gifts", "income"), ("food", "expense")):
            function = {"function": "program"} if kind == "expense" else {}
            await self.do(
                "OpenAccount", **CLUB, account=account, name=account, kind=kind, guarded=account == "bank", **function
            )
        await self.do("OpenFund", **CLUB, fund="general", name="General", net_assets="net")
        await self.do("SetApprovalRule", **CLUB, rule="all", unit="EUR", approvals=approvals)
        await self.do("RegisterParty", party="ada", name="Ada Lovelace", login="ada", bank_account=SECRETS[2])
        await self.do("PostEntry", **CLUB, entry="gift", **moved("bank", "gifts", 1_000_000))

    async def submit(self, expense: str = "x", name: str = "SubmitExpense", amount: int = 1_000) -> Reply:
        return await self.do(
            name, **CLUB, expense=expense, payee="ada", unit="EUR", pay_from="bank",
            lines=[{"account": "food", "amount": amount}], description="Oil for the Difference Engine",
        )  # fmt: skip

    async def approve(self, expense: str = "x") -> Reply:
        return await self.do("ApproveExpense", **CLUB, expense=expense, version=1, actor="ben")

    async def pay(self, expense: str = "x", **more: Any) -> Reply:
        fields = {"version": 1, "entry": f"pay-{expense}", "reference": f"SEPA {expense}", "actor": "dora", **more}
        return await self.do("PayExpense", **CLUB, expense=expense, **fields)

    async def book(self) -> Book:
        """The book as it folds from the stream."""
        async with ledger(self.server, contract=treasury, deciders=DECIDERS) as one:
            state, _ = await one.handler.state(Ref("book", "club"))
        assert isinstance(state, Book)
        return state


def moved(debit: str, credit: str, amount: int) -> dict[str, Any]:
    """The two sides of an entry."""
    return {
        "debits": [{"account": debit, "amount": amount, "unit": "EUR"}],
        "credits": [{"account": credit, "amount": amount, "unit": "EUR"}],
    }


@pytest.fixture
async def desk(nats_server: NatsServer) -> AsyncIterator[Desk]:
    nc = await connect(nats_server.url, name="test")
    try:
        yield Desk(nats_server, nc, EventStore(nc, treasury))
    finally:
        await nc.close()


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_an_approved_expense_is_held_and_paid_and_nothing_stored_names_its_payee(desk: Desk) -> None:
    async with service(desk.server):
        await desk.open(approvals=2)
        await desk.submit()
        await desk.approve()
        await desk.do("ApproveExpense", **CLUB, expense="x", version=1, actor="cleo")
        (held,) = await desk.wait_for(HoldPlaced)
        assert (held.hold, held.expense, held.credits[0].amount) == ("x-1", "x", 1_000)
        for who, code in (("ada", "OWN_BENEFIT"), ("cleo", "SECOND_PERSON_REQUIRED")):
            with pytest.raises(Refused) as refusal:
                await desk.pay(actor=who)
            assert refusal.value.code == code
        await desk.pay()
        await desk.submit("y")
        await desk.approve("y")
        await desk.do("ApproveExpense", **CLUB, expense="y", version=1, actor="cleo")
        await desk.wait_for(HoldPlaced, 2)
        await desk.submit("y", "ChangeExpense", 900)
        (voided,) = await desk.wait_for(HoldVoided)
        assert voided.hold == "y-1"
    assert (await desk.book()).holds == {}
    stored = stored_bytes(desk.server.folder)
    assert b"x-1" in stored and b"expense-paid" in stored, "the bytes are not looked at"
    assert [secret for secret in SECRETS if secret.encode() in stored] == []


async def test_a_hold_ends_when_its_time_is_over(desk: Desk) -> None:
    async with service(desk.server) as running:
        await desk.open()
        soon = datetime.now(UTC) + timedelta(seconds=1)
        await desk.do("PlaceHold", **CLUB, hold="h", expires_at=soon.isoformat(), **moved("food", "bank", 500))
        (ended,) = await desk.wait_for(HoldExpired)
        assert ended.hold == "h"
        soon = datetime.now(UTC) + timedelta(seconds=1)
        await desk.do("PlaceHold", **CLUB, hold="i", expires_at=soon.isoformat(), **moved("food", "bank", 500))
        running.kill()
    async with service(desk.server):
        assert [event.hold for event in await desk.wait_for(HoldExpired, 2)] == ["h", "i"]


async def test_killed_between_the_approvals_and_their_holds_each_is_held_once(desk: Desk) -> None:
    names = [f"x{number}" for number in range(120)]
    async with service(desk.server) as running:
        await desk.open()
        await asyncio.gather(*(desk.submit(name) for name in names))
        before = await desk.store.last_sequence()
        approvals = [asyncio.create_task(desk.approve(name)) for name in names]
        async with asyncio.timeout(30):
            while await desk.store.last_sequence() < before + 40:
                await asyncio.sleep(0)
        running.kill()
    assert len(await desk.wait_for(HoldPlaced, 0)) < len(names)
    async with service(desk.server):
        await asyncio.gather(*approvals)
        placed = await desk.wait_for(HoldPlaced, len(names))
        assert Counter(event.expense for event in placed) == Counter(names)
        await asyncio.gather(*(desk.do("RejectExpense", **CLUB, expense=n, reason="no") for n in names[:60]))
        freed = await desk.wait_for(HoldVoided, 60)
        assert Counter(event.hold for event in freed) == Counter(f"{name}-1" for name in names[:60])
    assert sorted((await desk.book()).holds) == sorted(f"{name}-1" for name in names[60:])


async def test_a_command_sent_again_after_a_restart_is_answered_as_it_was(desk: Desk) -> None:
    async with service(desk.server) as running:
        await desk.open()
        asked = await desk.submit()
        await desk.approve()
        await desk.wait_for(HoldPlaced)
        paid = await desk.pay(id="payment-1")
        await desk.do("RecordPaymentFailed", **CLUB, expense="x", entry="back", reason="Account closed")
        running.kill()
    async with service(desk.server):
        again = await desk.pay(id="payment-1")
        assert (again.sequence, again.event, again.repeated) == (paid.sequence, paid.event, True)
        for other in ({"reference": "SEPA 9"}, {"actor": "eve"}):
            with pytest.raises(Refused) as refusal:
                await desk.pay(id="payment-1", **other)
            assert refusal.value.code == "COMMAND_ID_REUSED"
        assert asked.sequence < paid.sequence
    paid_events = [event for event in await read(desk.server, contract=treasury) if isinstance(event.data, ExpensePaid)]
    assert len(paid_events) == 1


async def test_a_hold_that_is_refused_waits_for_a_person_who_goes_on_by_hand(desk: Desk) -> None:
    async with service(desk.server):
        await desk.open()
        await desk.do("PlaceHold", **CLUB, hold="x-1", **moved("food", "bank", 300))
        await desk.submit()
        await desk.approve()
        (refused,) = await desk.wait_for(ProcessStepRefused)
        assert (refused.manager, refused.command, refused.code) == ("expenses", "PlaceHold", "ALREADY_EXISTS")
        assert refused.target == "book/club"
        with pytest.raises(Refused) as refusal:
            await desk.pay()
        assert refusal.value.code == "MONEY_NOT_HELD"
        for amount in (999, 1_001):
            with pytest.raises(Refused) as refusal:
                await desk.do("PlaceHold", **CLUB, hold="mine", expense="x", **moved("food", "bank", amount))
            assert refusal.value.code == "AMOUNTS_DIFFER"
        await desk.do("PlaceHold", **CLUB, hold="mine", expense="x", **moved("food", "bank", 1_000))
        await desk.do("ResolveStep", step=refused.step, note="Held it by hand.")
        await desk.pay()
    assert list((await desk.book()).holds) == ["x-1"]


async def test_paying_and_changing_at_the_same_moment_one_is_refused(desk: Desk) -> None:
    names = [f"x{number}" for number in range(40)]
    async with service(desk.server):
        await desk.open()
        await asyncio.gather(*(desk.submit(name) for name in names))
        await asyncio.gather(*(desk.approve(name) for name in names))
        await desk.wait_for(HoldPlaced, len(names))
        tries = [
            do
            for number, name in enumerate(names)
            for do in (desk.pay(name), desk.submit(name, "ChangeExpense", 999))[:: 1 if number % 2 else -1]
        ]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        codes = Counter(outcome.code if isinstance(outcome, Refused) else "accepted" for outcome in outcomes)
        assert codes["accepted"] == len(names) == codes["EXPENSE_CHANGED"] + codes["EXPENSE_PAID"]
        changed = await desk.wait_for(ExpenseChanged, codes["EXPENSE_CHANGED"])
        voided = await desk.wait_for(HoldVoided, len(changed))
        paid = await desk.wait_for(ExpensePaid, codes["EXPENSE_PAID"])
        assert {event.expense for event in paid} == set(names) - {event.expense for event in changed}
        assert {event.expense for event in voided} == {event.expense for event in changed}
    assert (await desk.book()).holds == {}
