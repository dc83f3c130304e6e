"""Erasure on a real server: two people, holds and obstacles, locked at once, destroyed when due, and never back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import ConsumerInfo
from nats.js.client import JetStreamContext

from services.inventory.contract import inventory
from services.inventory.deciders import deciders_under
from services.inventory.processes import managers
from services.local.nats import NatsServer
from shared.command import Answer, CommandMeta
from shared.decider import Ref
from shared.erasure import Stage, Terms
from shared.errors import Rejected
from shared.event import decode
from shared.keybucket import KeyBucket
from shared.keyreader import Closed, open_texts
from shared.keyring import KeyFile, read_records
from shared.masterkeys import add_to_file, from_file
from shared.service import Service
from shared.settings import Settings
from shared.standings import standings

ANA = {"kind": "donor", "person": "ana"}
OWNER = "donor/ana"
ACCEPTED = "accepted"


@dataclass
class Place:
    """Where an inventory keeps its keys, and under which terms it erases."""

    folder: Path
    server: NatsServer
    terms: Terms = field(default_factory=lambda: Terms(delay=timedelta()))

    @property
    def masters(self) -> Path:
        return self.folder / "master.key"

    @property
    def file(self) -> Path:
        return self.folder / "keyring" / "inventory.keys"

    def settings(self) -> Settings:
        if not self.masters.exists():
            add_to_file(self.masters)
        return Settings(
            nats_url=self.server.url, nats_monitoring_url=self.server.monitor_url, master_key_file=self.masters,
            keyring=self.folder / "keyring",
        )  # fmt: skip


class Shop(Service):
    """The service, with a shorter way to send to it."""

    def __init__(self, place: Place) -> None:
        super().__init__(inventory, deciders_under(place.terms), place.settings(), managers(place.terms))
        self.place = place
        self.sent = 0

    async def send(self, name: str, data: dict[str, Any], actor: str = "sam") -> Answer:
        self.sent += 1
        meta = CommandMeta(id=f"{id(self)}-{self.sent}", actor=actor)
        return await self.handler.handle(inventory.parse(name, data), meta)

    async def stage(self, person: str = "ana") -> tuple[Stage, bool]:
        state, _ = await self.handler.state(Ref("erasure", f"donor:{person}"))
        return state.stage, state.acknowledged

    async def until(self, stage: Stage, acknowledged: bool = False) -> None:
        async with asyncio.timeout(10):
            while await self.stage() != (stage, acknowledged):
                await asyncio.sleep(0.02)

    async def looked(self) -> None:
        """Until the service has noted what needs Ana's data."""
        async with asyncio.timeout(10):
            while (await self.handler.state(Ref("erasure", "donor:ana")))[0].obstacles is None:
                await asyncio.sleep(0.02)

    async def noted(self, count: int) -> None:
        """Until so many obstacles stand."""
        async with asyncio.timeout(10):
            while len((await self.handler.state(Ref("erasure", "donor:ana")))[0].obstacles or ()) != count:
                await asyncio.sleep(0.02)

    async def shown(self, sealed: str) -> str | Closed:
        """What somebody who looks at a read model sees of a sealed text."""
        return (await open_texts(self.nc, "inventory", from_file(self.place.masters), [sealed]))[sealed]

    async def refusal(self, name: str, data: dict[str, Any], actor: str = "sam") -> str:
        with pytest.raises(Rejected) as refused:
            await self.send(name, data, actor)
        return str(refused.value.code)


@asynccontextmanager
async def running(place: Place) -> AsyncIterator[Shop]:
    service = Shop(place)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture
def place(tmp_path: Path, nats_server: NatsServer) -> Place:
    return Place(tmp_path, nats_server)


async def registered(shop: Shop) -> str:
    """Ana is a donor; gives her sealed name."""
    answer = await shop.send("RegisterDonor", {"donor": "ana", "name": "Ana Ruiz"})
    assert answer.event is not None
    name: str = decode(answer.event, contract=inventory).data.name
    return name


async def asked(shop: Shop) -> None:
    assert (await shop.send("RequestErasure", ANA | {"reason": "asked in writing"}, "sam")).status == ACCEPTED
    await shop.looked()


async def recalled(shop: Shop) -> None:
    """Ana gave rice, and rice is recalled."""
    await shop.send("RegisterItem", {"item": "rice", "name": "Rice", "unit": "each"})
    await shop.send("OpenLocation", {"location": "store", "name": "Store", "kind": "store"})
    receipt = {"item": "rice", "location": "store", "source": "donation", "donor": "ana", "lines": [{"quantity": 5}]}
    await shop.send("ReceiveStock", receipt)
    await shop.send("RecallLot", {"item": "rice", "recall": "r-1", "scope": {}, "reason": "glass"})


async def test_two_people_erase_a_person_and_the_key_is_gone_within_a_second(place: Place) -> None:
    async with running(place) as shop:
        name = await registered(shop)
        assert await shop.shown(name) == "Ana Ruiz"
        await asked(shop)
        assert await shop.refusal("ApproveErasure", ANA, "sam") == "SECOND_PERSON_REQUIRED"
        assert await shop.shown(name) == "Ana Ruiz"
        await shop.send("ApproveErasure", ANA, "kim")
        assert await shop.shown(name) in (Closed.LOCKED, Closed.ERASED)
        await shop.until(Stage.ERASED, acknowledged=True)
        assert shop._vault is not None and shop._vault.erased(OWNER)
        assert await shop.shown(name) == Closed.ERASED
        assert await shop.refusal("RequestErasure", ANA | {"reason": "again"}) == "ALREADY_ERASED"
        assert await shop.refusal("CancelErasure", ANA | {"reason": "no"}) == "ALREADY_ERASED"
    assert KeyFile(place.file.parent, "inventory").load()[OWNER].erased


async def test_from_the_approval_on_nobody_is_shown_who_it_is_and_a_cancellation_shows_them_again(place: Place) -> None:
    place.terms = Terms(delay=timedelta(days=30))
    async with running(place) as shop:
        name = await registered(shop)
        await asked(shop)
        await shop.send("ApproveErasure", ANA, "kim")
        assert await shop.shown(name) == Closed.LOCKED
    async with running(place) as shop:
        assert await shop.shown(name) == Closed.LOCKED
        await shop.send("CancelErasure", ANA | {"reason": "a mistake"})
        assert await shop.shown(name) == "Ana Ruiz"
        assert await shop.refusal("ApproveErasure", ANA, "kim") == "NOT_REQUESTED"
        await asked(shop)
        await shop.send("ApproveErasure", ANA, "kim")
        assert await shop.stage() == (Stage.APPROVED, False)


async def test_what_still_needs_the_data_stands_against_it_until_it_is_settled(place: Place) -> None:
    async with running(place) as shop:
        await registered(shop)
        await recalled(shop)
        await asked(shop)
        with pytest.raises(Rejected, match="open recalls of what they gave: r-1") as refused:
            await shop.send("ApproveErasure", ANA, "kim")
        assert refused.value.code == "STILL_NEEDED"
        await shop.send("LiftRecall", {"item": "rice", "recall": "r-1", "reason": "withdrawn"})
        await shop.noted(0)
        await shop.send("ApproveErasure", ANA, "kim")
        await shop.until(Stage.ERASED, acknowledged=True)


async def test_what_comes_up_after_the_approval_puts_it_off(place: Place) -> None:
    place.terms = Terms(delay=timedelta(seconds=3))
    async with running(place) as shop:
        name = await registered(shop)
        await asked(shop)
        await shop.send("ApproveErasure", ANA, "kim")
        await recalled(shop)
        await shop.noted(1)
        assert await shop.refusal("ErasePerson", ANA) == "STILL_NEEDED"
        await shop.send("LiftRecall", {"item": "rice", "recall": "r-1", "reason": "withdrawn"})
        await shop.until(Stage.ERASED, acknowledged=True)
        assert await shop.shown(name) == Closed.ERASED


async def test_a_legal_hold_stands_against_it_whenever_it_was_put(place: Place) -> None:
    async with running(place) as shop:
        await registered(shop)
        await shop.send("HoldErasure", ANA | {"reason": "a claim"})
        await asked(shop)
        assert await shop.refusal("ApproveErasure", ANA, "kim") == "ERASURE_HELD"
        await shop.send("LiftErasureHold", ANA | {"reason": "settled"})
        await shop.send("ApproveErasure", ANA, "kim")
        await shop.until(Stage.ERASED, acknowledged=True)


async def test_a_hold_after_the_approval_keeps_the_key_through_a_restart_until_it_is_lifted(place: Place) -> None:
    place.terms = Terms(delay=timedelta(seconds=1))
    async with running(place) as shop:
        await registered(shop)
        await asked(shop)
        await shop.send("ApproveErasure", ANA, "kim")
        await shop.send("HoldErasure", ANA | {"reason": "a court"})
    place.terms = Terms(delay=timedelta())
    async with running(place) as shop:
        assert await shop.refusal("ErasePerson", ANA) == "ERASURE_HELD"
        await shop.send("LiftErasureHold", ANA | {"reason": "settled"})
        await shop.until(Stage.ERASED, acknowledged=True)


async def test_nobody_is_erased_who_is_not_known_or_before_it_is_due(place: Place) -> None:
    place.terms = Terms(delay=timedelta(days=1))
    async with running(place) as shop:
        assert await shop.refusal("RequestErasure", ANA | {"reason": "x"}) == "UNKNOWN_DONOR"
        other = {"kind": "item", "person": "rice", "reason": "x"}
        assert await shop.refusal("RequestErasure", other) == "NOT_A_PERSON"
        await registered(shop)
        assert await shop.refusal("ErasePerson", ANA) == "NOT_APPROVED"
        await asked(shop)
        await shop.send("ApproveErasure", ANA, "kim")
        assert await shop.refusal("ErasePerson", ANA) == "NOT_YET_DUE"
        assert await shop.refusal("AcknowledgeErasure", ANA) == "KEY_NOT_DESTROYED"


async def test_a_crash_between_the_decision_and_the_destruction_is_made_good_at_the_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(place) as shop:
        name = await registered(shop)
        await asked(shop)
        with monkeypatch.context() as patch:
            patch.setattr("shared.vault.Vault.destroy", _never)
            await shop.send("ApproveErasure", ANA, "kim")
            await shop.until(Stage.ERASED)
            assert await shop.shown(name) == Closed.ERASED, "the stream alone says so already"
            await shop.stop()
    assert not KeyFile(place.file.parent, "inventory").load()[OWNER].erased
    async with running(place) as shop:
        assert shop._vault is not None and shop._vault.unseal(name) is None
        await shop.until(Stage.ERASED, acknowledged=True)
    assert KeyFile(place.file.parent, "inventory").load()[OWNER].erased


async def _never(self: Any, owner: str) -> None:
    await asyncio.Event().wait()


async def test_older_copies_of_both_places_bring_nobody_back(place: Place) -> None:
    copy = place.folder / "copy"
    async with running(place) as shop:
        name = await registered(shop)
        await shop.send("RegisterDonor", {"donor": "bo", "name": "Bo Lind"})
        shutil.copy(place.file, copy)
        await asked(shop)
        await shop.send("ApproveErasure", ANA, "kim")
        await shop.until(Stage.ERASED, acknowledged=True)
        # Both places as they were before: every entry of the bucket, and the file.
        await shop.nc.jetstream().delete_key_value("keys-inventory")
        bucket = await KeyBucket.open(shop.nc, "inventory")
        assert bucket is not None
        before = read_records(copy.read_bytes(), str(copy))
        assert before[OWNER].keys and not before[OWNER].erased
        for record in before.values():
            await bucket.create(record)
        shutil.copy(copy, place.file)
        assert await shop.shown(name) == Closed.ERASED, "the stream says so, whatever the bucket has"
    async with running(place) as shop:
        assert shop._vault is not None
        assert shop._vault.unseal(name) is None and shop._vault.erased(OWNER)
        assert not shop._vault.erased("donor/bo")
        assert await shop.shown(name) == Closed.ERASED
    records = KeyFile(place.file.parent, "inventory").load()
    assert records[OWNER].erased and not records[OWNER].keys and records["donor/bo"].keys


async def test_the_stream_says_how_far_each_erasure_has_come(place: Place) -> None:
    place.terms = Terms(delay=timedelta(days=1))
    async with running(place) as shop:
        assert await standings(shop.nc, "inventory") == {}
        assert await standings(shop.nc, "nowhere") == {}
        await registered(shop)
        await asked(shop)
        assert (await standings(shop.nc, "inventory"))[OWNER].stage is Stage.REQUESTED
        await shop.send("ApproveErasure", ANA, "kim")
        assert (await standings(shop.nc, "inventory"))[OWNER].stage is Stage.APPROVED


async def test_an_erasure_that_goes_on_while_they_are_read_holds_nobody_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its older event may still be delivered, and then its newest: two messages about one person."""
    place.terms = Terms(delay=timedelta(days=1))
    asking = JetStreamContext.PullSubscription.consumer_info
    async with running(place) as shop:
        await registered(shop)
        await asked(shop)

        async def go_on_first(reader: JetStreamContext.PullSubscription) -> ConsumerInfo:
            await shop.send("ApproveErasure", ANA, "kim")
            return await asking(reader)

        monkeypatch.setattr(JetStreamContext.PullSubscription, "consumer_info", go_on_first)
        assert (await standings(shop.nc, "inventory"))[OWNER].stage is Stage.APPROVED
