"""Two instances of a service on one stream: one leads, the other takes over, and everything is recorded once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import urllib.request
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from nats.aio.client import Client

from services.inventory.contract import DonorRegistered, StockHeld, inventory
from services.local.keys import Keys
from services.local.nats import NatsServer
from services.local.process import free_port
from services.projections.distribution.naming import HOUSEHOLDS
from services.projections.search import NameSearch
from shared import leading
from shared.client import CommandClient
from shared.connection import connect
from shared.keyreader import open_texts
from shared.keyring import KeyFile
from shared.leading import Leadership
from shared.masterkeys import MasterKeys, given
from shared.message import Refused, Reply
from shared.migrations import migrate_database
from shared.service import Service
from shared.settings import Settings
from shared.wireconnection import StreamLost
from tests.support.keys import keys_beside, tokens_beside
from tests.support.kiosk import DECIDERS, kiosk
from tests.support.ledger import read, until

PLACES = tuple(f"site-{n}" for n in range(60))


@dataclass
class Instance:
    """A service process, and where it tells how it is."""

    process: Process
    port: int
    keyring: Path

    async def health(self) -> dict[str, Any]:
        return await asyncio.to_thread(_told, f"http://127.0.0.1:{self.port}/healthz")

    async def leads(self) -> bool:
        return bool((await self.health()).get("leading"))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


def _told(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            told: dict[str, Any] = json.load(answer)
            return told
    except OSError:
        return {}


@asynccontextmanager
async def instance(server: NatsServer, name: str) -> AsyncIterator[Instance]:
    """One whose keyring is its own, as on another machine; the master key is the same."""
    port, keyring = free_port(), server.folder / f"keyring-{name}"
    environment = {
        **os.environ, **keys_beside(server), "NATS_URL": server.url, "NATS_MONITORING_URL": server.monitor_url,
        "DATABASE_URL": "", "COMMONS_KEYRING": str(keyring), "COMMONS_HTTP_PORT": str(port),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.inventory.app", env=environment, stdout=DEVNULL
    )
    one = Instance(process, port, keyring)
    try:
        await until(lambda: _ready(one), 60)
        yield one
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(one: Instance) -> bool:
    assert one.process.returncode is None
    return bool((await one.health()).get("ready"))


def sender(server: NatsServer, nc: Client) -> CommandClient:
    return CommandClient(nc, actor="sam", timeout=2, patience=60, tokens=tokens_beside(server))


async def test_a_mixed_load_goes_on_though_the_leader_is_killed_and_the_next_one_paused(
    nats_server: NatsServer,
) -> None:
    """Many clients send what moves stock, what is refused and what is personal; each command is recorded once."""
    sent: dict[str, Reply | Refused] = {}
    nc = await connect(nats_server.url, name="test")
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(instance(nats_server, "one"))
        send = sender(nats_server, nc).send
        other = await stack.enter_async_context(instance(nats_server, "other"))
        await until(one.leads, 60)
        assert not await other.leads()
        await send("inventory", "RegisterItem", {"item": "rice", "name": "Rice", "unit": "each"})
        sites = [{"location": place, "name": "A site", "kind": "site"} for place in PLACES]
        await asyncio.gather(*(send("inventory", "OpenLocation", site) for site in sites))
        goods = {"item": "rice", "source": "donation", "lines": [{"lot": "A", "quantity": 500}]}
        await asyncio.gather(*(send("inventory", "ReceiveStock", {**goods, "location": place}) for place in PLACES))

        async def client(number: int) -> None:
            choose = random.Random(number)
            for n in range(25):
                id = f"{number}-{n}"
                stock = {"item": "rice", "location": choose.choice(PLACES)}
                name, fields = choose.choice([
                    ("ReceiveStock", {**stock, "source": "donation", "lines": [{"lot": "B", "quantity": 2}]}),
                    ("IssueStock", {**stock, "lines": [{"quantity": 1}], "purpose": "household"}),
                    ("ReserveStock", {**stock, "reservation": id, "quantity": 9999, "purpose": "household"}),
                    ("RegisterDonor", {"donor": f"d-{id}", "name": f"Donor {id}"}),
                ])  # fmt: skip
                try:
                    sent[id] = await send("inventory", name, fields, id=id)
                except Refused as refused:
                    sent[id] = refused

        clients = [asyncio.create_task(client(number)) for number in range(24)]
        await until(lambda: len(sent) > 100, 60)
        one.signal(signal.SIGKILL)
        await until(other.leads, 60)
        await until(lambda: len(sent) > 250, 60)
        again = await stack.enter_async_context(instance(nats_server, "one"))
        other.signal(signal.SIGSTOP)  # it is there, and says nothing
        await until(again.leads, 60)
        other.signal(signal.SIGCONT)
        await asyncio.gather(*clients)
        await until(lambda: _stands_by(other), 60)

        # What follows by itself from one command: each place's stock is held once, by whichever of the two.
        await send("inventory", "RecallLot", {"item": "rice", "recall": "rc", "scope": {"lots": ["A"]}, "reason": "x"})
        await until(lambda: _held_everywhere(nats_server), 60)
        again.signal(signal.SIGTERM)
        await until(other.leads, 60)
        assert (await send("inventory", "RegisterDonor", {"donor": "last", "name": "Last"})).status == "accepted"

    assert len(sent) == 600
    recorded = await read(nats_server, contract=inventory)  # every chain is checked
    by_command = Counter(event.envelope.causationid for event in recorded)
    for id, reply in sent.items():
        accepted = isinstance(reply, Reply)
        assert by_command[id] == accepted, id
        assert accepted or reply.code == "INSUFFICIENT_STOCK", reply
    assert {"accepted", "INSUFFICIENT_STOCK"} == {r.status if isinstance(r, Reply) else r.code for r in sent.values()}
    held = Counter(event.data.location for event in recorded if isinstance(event.data, StockHeld))
    assert held == Counter(PLACES)
    names = {event.data.donor: event.data.name for event in recorded if isinstance(event.data, DonorRegistered)}
    opened = await open_texts(nc, "inventory", _masters(nats_server), list(names.values()))
    assert {donor: opened[sealed] for donor, sealed in names.items()} == {
        donor: "Last" if donor == "last" else f"Donor {donor.removeprefix('d-')}" for donor in names
    }
    await nc.close()


async def _stands_by(one: Instance) -> bool:
    return (await one.health()).get("leading") is False


async def _held_everywhere(server: NatsServer) -> bool:
    events = await read(server, contract=inventory)
    return {event.data.location for event in events if isinstance(event.data, StockHeld)} == set(PLACES)


def _masters(server: NatsServer) -> MasterKeys:
    found = given(server.folder / "keys" / "master.key", None)
    assert found is not None
    return found


async def test_keys_of_one_instance_are_soon_in_the_others_keyring_and_destroyed_in_both(
    nats_server: NatsServer,
) -> None:
    nc = await connect(nats_server.url, name="test")
    async with instance(nats_server, "one") as one, instance(nats_server, "other") as other:
        for donor in ("d-1", "d-2"):
            await sender(nats_server, nc).send("inventory", "RegisterDonor", {"donor": donor, "name": "Ana Ruiz"})

        def records(of: Instance) -> dict[str, Any]:
            return dict(KeyFile(of.keyring, "inventory").load())

        await until(lambda: {"donor/d-1", "donor/d-2"} <= records(other).keys())
        assert records(one) == records(other)
        wrapped = records(one)["donor/d-1"].keys[0].wrapped
        about = {"kind": "donor", "person": "d-1"}
        erasing = {**os.environ, **keys_beside(nats_server)}
        erasing |= {"NATS_URL": nats_server.url, "COMMONS_KEYRING": str(one.keyring)}
        erase = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", "keys", "erase", "inventory", f"{about['kind']}/{about['person']}",
            "--yes", "--data", str(nats_server.folder / "none"), env=erasing, stdout=DEVNULL,
        )  # fmt: skip
        assert await erase.wait() == 0
        await until(lambda: wrapped not in _text(other))
        assert records(other)["donor/d-1"].erased and records(other)["donor/d-2"].keys
    await nc.close()


def _text(of: Instance) -> str:
    return KeyFile(of.keyring, "inventory").path.read_text()


# -- who leads --------------------------------------------------------------------------------------------------------


def service_of(server: NatsServer) -> Service:
    return Service(kiosk, DECIDERS, Settings(NATS_URL=server.url, NATS_MONITORING_URL=server.monitor_url))


def leads(service: Service) -> bool:
    return bool(service.health()["leading"])


async def test_who_comes_first_leads_and_hands_over_when_it_ends(nats_server: NatsServer) -> None:
    first, second = service_of(nats_server), service_of(nats_server)
    await first.start()
    assert leads(first)
    await second.start()
    assert not leads(second) and second.health()["ready"]
    await first.stop()
    await until(lambda: leads(second))
    await second.stop()


async def test_of_two_that_lead_the_one_that_took_over_goes_on(nats_server: NatsServer) -> None:
    """As after a pause, or a network that was in two parts."""
    roles: list[tuple[str, str]] = []

    def noted(who: str, what: str) -> Callable[[], Awaitable[None]]:
        async def note() -> None:
            roles.append((who, what))

        return note

    nc, beside = await connect(nats_server.url, name="a"), await connect(nats_server.url, name="b")
    old, new = (
        Leadership(one, "kiosk", lead=noted(who, "leads"), rest=noted(who, "rests"))
        for one, who in ((nc, "old"), (beside, "new"))
    )
    await old.start()
    await new.start()
    assert old.leading and not new.leading
    await new._become(True)  # as when it asked three times in vain
    await until(lambda: not old.leading)
    assert new.leading and roles == [("old", "leads"), ("new", "leads"), ("old", "rests")]
    await new.stop()
    await until(lambda: old.leading)
    await old.stop()
    await nc.close()
    await beside.close()


async def test_one_that_lost_its_connection_for_commands_lets_the_other_lead(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "_UNABLE", 2)
    first, second = service_of(nats_server), service_of(nats_server)
    await first.start()
    await second.start()
    inbound = first._reception.inbound
    monkeypatch.setattr(inbound, "_url", f"nats://127.0.0.1:{free_port()}")
    assert leads(first) and inbound._wire is not None and first._leadership is not None
    inbound._wire.fail(StreamLost("It was cut."))
    await until(lambda: leads(second) and not leads(first), 60)
    assert not first.health()["ready"]
    asked = AsyncMock(side_effect=first._leadership._look)
    monkeypatch.setattr(first._leadership, "_look", asked)
    await second.stop()
    await until(lambda: asked.await_count > 2, 60)
    assert not leads(first)  # nobody leads, and it could not take commands either
    monkeypatch.setattr(inbound, "_url", nats_server.url)
    await until(lambda: leads(first), 60)
    await first.stop()


async def test_one_process_keeps_the_search_by_name_and_another_takes_over(
    nats_server: NatsServer, database_url: str
) -> None:
    await migrate_database(database_url)
    keys = Keys(nats_server.folder / "keys", {})
    keys.prepare()
    searches = [NameSearch(HOUSEHOLDS, nats_server.url, database_url, lambda: _masters(nats_server)) for _ in range(2)]
    tasks = [asyncio.create_task(search.run()) for search in searches]
    await until(lambda: any("stands by" in search.state for search in searches))
    kept = next(n for n, search in enumerate(searches) if "stands by" not in search.state)
    tasks[kept].cancel()
    await until(lambda: "stands by" not in searches[1 - kept].state)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
