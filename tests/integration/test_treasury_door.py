"""The treasury's door on the wire: whatever arrives gets one clear refusal, nothing is written, and it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from services.local.nats import NatsServer
from services.treasury.app import service
from services.treasury.contract import treasury
from shared.client import CommandClient
from shared.errors import Invalid
from shared.message import MAX_COMMAND_BYTES
from shared.settings import load
from tests.support.keys import keys_beside, shown_as, tokens_beside
from tests.support.ledger import last_sequence


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server for all: what is refused leaves nothing behind."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
async def nc(server: NatsServer) -> AsyncIterator[Client]:
    """A client of a running service."""
    running = service(load({"NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url} | keys_beside(server)))
    await running.start()
    client = await nats.connect(server.url)
    yield client
    await client.close()
    await running.stop()


DATA: dict[str, Any] = {
    "expense": "x", "book": "club", "payee": "ada", "unit": "EUR", "pay_from": "bank", "description": "Lunch",
    "lines": [{"account": "food", "amount": 100}],
}  # fmt: skip


def body(name: str = "submit-expense", data: Any = DATA, **more: Any) -> bytes:
    envelope = {
        "specversion": "1.0", "id": "c-1", "source": "/test", "type": f"commons.treasury.{name}", "authid": "sam",
        "data": data, **more,
    }  # fmt: skip
    return json.dumps(envelope).encode()


def said(**changes: Any) -> bytes:
    return body(data={**DATA, **changes})


def party(**changes: Any) -> bytes:
    return body("register-party", PARTY | changes)


LINE = {"account": "food", "amount": 100}
PARTY = {"party": "p-1", "name": "Ada Lovelace"}
CASES: dict[str, tuple[str, bytes, str, str]] = {
    "nothing at all": ("submit-expense", b"", "INVALID", ""),
    "garbage": ("submit-expense", bytes(range(256)) * 40, "INVALID", ""),
    "truncated": ("submit-expense", body()[:-3], "INVALID", ""),
    "another command's type": ("submit-expense", body("change-expense"), "INVALID", "type"),
    "a command that is none": ("steal-money", body(), "UNKNOWN_COMMAND", "SubmitExpense"),
    "an event's name": ("expense-paid", body("expense-paid"), "UNKNOWN_COMMAND", "PayExpense"),
    "data that is a list": ("submit-expense", body(data=[DATA]), "INVALID", ""),
    "a strange field": ("submit-expense", said(submitter="ben"), "INVALID", "submitter"),
    "an amount in euros": ("submit-expense", said(lines=[LINE | {"amount": 1.5}]), "INVALID", "lines.0.amount"),
    "an amount as text": ("submit-expense", said(lines=[LINE | {"amount": "100"}]), "INVALID", "lines.0.amount"),
    "an amount below nothing": ("submit-expense", said(lines=[LINE | {"amount": -100}]), "INVALID", "lines.0.amount"),
    "an amount beyond 64 bits": ("submit-expense", said(lines=[LINE | {"amount": 2**64}]), "INVALID", "lines.0.amount"),
    "51 lines": ("submit-expense", said(lines=[LINE] * 51), "INVALID", "lines"),
    "a wildcard as an id": ("submit-expense", said(expense="*"), "INVALID", "expense"),
    "two tokens as an id": ("submit-expense", said(book="a.b"), "INVALID", "book"),
    "the name given twice": (
        "register-party", party().replace(b'"party"', b'"name": "Eve", "party"'), "INVALID", "name"
    ),
    "a name of spaces": ("register-party", party(name="  "), "INVALID", "name"),
    "a name with an escape": ("register-party", party(name="a\x1b[2J"), "INVALID", "name"),
    "a name that is half a pair": ("register-party", party().replace(b"Ada", b"\\ud800"), "INVALID", ""),
    "an index of the caller's own": (
        "register-party", party(login_index="0" * 32), "INVALID", "login_index"
    ),
    "as much as is taken and one more": (
        "submit-expense", body(subject="x" * MAX_COMMAND_BYTES), "TOO_LARGE", f"{MAX_COMMAND_BYTES:,}"
    ),
    "what no book knows": ("submit-expense", body(), "UNKNOWN_BOOK", "club"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_what_arrives_is_refused_once_and_clearly(nc: Client, server: NatsServer, name: str) -> None:
    command, raw, code, names = CASES[name]
    before = await last_sequence(server, treasury)
    sam = shown_as(server, "sam", "treasury")
    reply = json.loads((await nc.request(f"command.treasury.{command}", raw, timeout=5, headers=sam)).data)
    assert reply["status"] == "refused", reply
    problem = reply["problem"]
    assert problem["code"] == code, problem
    assert names in problem["detail"], problem["detail"]
    assert len(problem["detail"]) < 1200 and problem["detail"].isprintable()
    assert "Lovelace" not in problem["detail"]
    assert await last_sequence(server, treasury) == before
    right = {"party": f"p{before}", "name": "Somebody"}
    client = CommandClient(nc, actor="sam", tokens=tokens_beside(server))
    accepted = await client.send("treasury", "RegisterParty", right)
    assert (accepted.status, accepted.sequence) == ("accepted", before + 1)


async def test_ten_megabytes_do_not_leave(nc: Client, server: NatsServer) -> None:
    before = await last_sequence(server, treasury)
    with pytest.raises(Invalid, match="at most"):
        await CommandClient(nc, actor="sam", tokens=tokens_beside(server)).send(
            "treasury", "RegisterParty", PARTY | {"note": "x" * 10_000_000}
        )
    assert await last_sequence(server, treasury) == before
