"""Roles on the ledger, on a real server: nothing is decided without one, and a grant or its end counts at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from services.inventory.app import service
from services.inventory.contract import GrantRole, LocationKind, OpenLocation, RevokeRole, Role, inventory
from services.local.nats import NatsServer
from shared.actors import Signed
from shared.actortoken import Signer
from shared.authority import ALL, Grants
from shared.client import CommandClient
from shared.command import CommandMeta
from shared.connection import connect
from shared.errors import Forbidden
from shared.message import Refused, Reply
from shared.service import Service
from shared.settings import load
from shared.store import EventStore
from tests.support.elapsed import Elapsed
from tests.support.keys import keys_beside

EVERY = ("administrator", "steward", "volunteer")


@dataclass
class Pantry:
    server: NatsServer
    nc: Client
    instances: list[Service]
    sent: int = 0

    def tokens(self, *roles: str) -> Signed:
        keys = Path(keys_beside(self.server)["COMMONS_ACTOR_KEYS"]).parent
        return Signed(Signer.from_file(keys / "issuer.jwk", "local"), lambda _: roles)

    async def send(self, command: str, sender: str, /, *roles: str, id: str | None = None, **fields: Any) -> Reply:
        client = CommandClient(self.nc, actor=sender, tokens=self.tokens(*(roles or EVERY)), patience=10)
        return await client.send("inventory", command, fields, id=id)

    async def open(self, actor: str, *roles: str, place: str | None = None, id: str | None = None) -> Reply:
        self.sent += 1
        place = place or f"place-{self.sent}"
        return await self.send("OpenLocation", actor, *roles, id=id, location=place, name="A place", kind="store")

    async def forbidden(self, actor: str, *roles: str) -> dict[str, Any]:
        with pytest.raises(Refused) as refused:
            await self.open(actor, *roles)
        problem = refused.value.problem()
        assert (problem["code"], problem["status"], problem["needs"]) == ("FORBIDDEN", 403, ["steward"])
        return problem

    async def through(self, instance: Service, actor: str, command: Any) -> dict[str, Any]:
        """A command to an instance, whether it leads or not; the event that it made."""
        await instance.nc.flush()  # a command comes over the network, and behind what was written before
        self.sent += 1
        meta = CommandMeta(id=f"command-{self.sent}", actor=actor, roles=frozenset(EVERY))
        answer = await instance.handler.handle(command, meta)
        assert answer.event is not None
        event: dict[str, Any] = json.loads(answer.event)
        return event


@pytest.fixture
async def pantry(nats_server: NatsServer) -> AsyncIterator[Pantry]:
    """Two instances of the service: one leads, and the other stands by."""
    told = {
        "NATS_URL": nats_server.url, "NATS_MONITORING_URL": nats_server.monitor_url, **keys_beside(nats_server),
        "COMMONS_ROLES_FROM_TOKENS": "",
    }  # fmt: skip
    instances = [service(load(told)) for _ in range(2)]
    async with AsyncExitStack() as stack:
        for one in instances:
            await one.start()
            stack.push_async_callback(one.stop)
        nc = await connect(nats_server.url, name="test")
        stack.push_async_callback(nc.close)
        yield Pantry(nats_server, nc, instances)


async def test_a_role_counts_from_its_grant_to_its_end(pantry: Pantry) -> None:
    assert (await pantry.forbidden("ada"))["granted"] == []
    with pytest.raises(Refused) as refused:
        await pantry.send("GrantRole", "noor", "steward", actor="noor", role="administrator")
    assert refused.value.code == "ADMINISTRATOR_REQUIRED"
    await pantry.send("GrantRole", "noor", actor="noor", role="administrator")
    given = await pantry.send("GrantRole", "noor", actor="ada", role="steward")
    assert given.event is not None and given.event["mandate"] == "administrator#1"
    first = await pantry.open("ada", id="first", place="store")
    assert first.event is not None and (first.event["authid"], first.event["mandate"]) == ("ada", "steward#2")
    await pantry.forbidden("ada", "volunteer")
    await pantry.forbidden("noor")
    for number in range(3):
        await pantry.send("RevokeRole", "noor", actor="ada", role="steward")
        await pantry.forbidden("ada")
        await pantry.send("GrantRole", "noor", actor="ada", role="steward")
        again = await pantry.open("ada")
        assert again.event is not None and again.event["mandate"] == f"steward#{4 + 2 * number}"
    await pantry.send("RevokeRole", "noor", actor="ada", role="steward")
    repeated = await pantry.open("ada", id="first", place="store")  # what was decided stays, and is answered as before
    assert (repeated.repeated, repeated.event) == (True, first.event)


@pytest.mark.parametrize("first", [0, 1], ids=["the leader", "the other"])
@pytest.mark.parametrize("seconds", [0.0, 0.7, 1.2, 5.0])
async def test_a_grant_and_its_end_count_in_every_instance(
    pantry: Pantry, monkeypatch: pytest.MonkeyPatch, first: int, seconds: float
) -> None:
    """For a moment two may lead: what one wrote counts in the other, however long nobody asked it."""
    elapsed = Elapsed(monkeypatch)
    one, other = pantry.instances[first], pantry.instances[1 - first]
    grant = GrantRole(actor="ada", role=Role.STEWARD)
    revoke = RevokeRole(actor="ada", role=Role.STEWARD)

    def place() -> OpenLocation:
        return OpenLocation(location=f"place-{pantry.sent}", name="A place", kind=LocationKind.STORE)

    await pantry.through(one, "noor", GrantRole(actor="noor", role=Role.ADMINISTRATOR))
    await pantry.through(one, "noor", grant)  # one has the grants in memory, and no decision has read them yet
    await pantry.through(other, "noor", revoke)
    elapsed.forward(seconds)
    with pytest.raises(Forbidden):
        await pantry.through(one, "ada", place())
    writes = 3
    for writer, reader in ((one, other), (other, one), (other, one), (one, other), (one, other)):
        await pantry.through(writer, "noor", grant)
        elapsed.forward(seconds)
        assert (await pantry.through(reader, "ada", place()))["mandate"] == f"steward#{writes + 1}"
        await pantry.through(writer, "noor", revoke)
        elapsed.forward(seconds)
        with pytest.raises(Forbidden):
            await pantry.through(reader, "ada", place())
        writes += 2


async def test_the_ledger_says_who_was_granted_what(pantry: Pantry) -> None:
    await pantry.send("GrantRole", "noor", actor="noor", role="administrator", reason="the board, 2026-11-20")
    results = await asyncio.gather(
        *(pantry.send("GrantRole", "noor", actor=f"v-{n}", role="volunteer") for n in range(20)),
        *(pantry.send("GrantRole", "eve", actor="eve", role="steward") for _ in range(5)),
        return_exceptions=True,
    )
    assert [getattr(one, "code", "") for one in results[20:]] == ["ADMINISTRATOR_REQUIRED"] * 5
    assert {one.event["mandate"] for one in results[:20] if isinstance(one, Reply) and one.event} == {"administrator#1"}
    events, left = await EventStore(pantry.nc, inventory).page(ALL)
    assert (len(events), left) == (21, 0)
    state = Grants()
    for event in events:
        state.count += 1
        assert event.data.granted_by == event.envelope.authid == "noor"
    assert state.count == events[-1].revision


async def test_with_no_token_nobody_acts_in_any_role(pantry: Pantry) -> None:
    with pytest.raises(Refused) as refused:
        await CommandClient(pantry.nc, actor="noor", patience=5).send(
            "inventory", "GrantRole", {"actor": "noor", "role": "administrator"}
        )
    assert refused.value.code == "UNAUTHENTICATED"
    with pytest.raises(Refused) as refused:
        await pantry.send("NoteOverdue", "transfers", transfer="t-1")
    assert refused.value.code == "FORBIDDEN" and "sent by transfers alone" in str(refused.value)
