"""Erasure on a real server: two people, holds and obstacles, locked at once, destroyed when due, and never back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.js.client import JetStreamContext

from services.distribution.contract import distribution
from services.distribution.deciders import deciders_under as of_distribution
from services.distribution.processes import following_inventory
from services.distribution.processes import managers as managers_of_distribution
from services.inventory.contract import inventory
from services.inventory.deciders import deciders_under
from services.inventory.processes import managers
from services.local.nats import NatsServer
from shared.command import Answer, CommandMeta
from shared.decider import Ref
from shared.erasure import Stage, Terms
from shared.errors import Erased, LedgerError, Rejected
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
    def keyring(self) -> Path:
        return self.folder / "keyring"

    @property
    def file(self) -> Path:
        return self.keyring / "inventory" / "keys"

    def settings(self) -> Settings:
        if not self.masters.exists():
            add_to_file(self.masters)
        return Settings(
            nats_url=self.server.url, nats_monitoring_url=self.server.monitor_url, master_key_file=self.masters,
            keyring=self.keyring,
        )  # fmt: skip


class Counter(Service):
    """A service, with a shorter way to send to it."""

    sent = 0

    async def send(self, name: str, data: dict[str, Any], actor: str = "sam") -> Answer:
        self.sent += 1
        meta = CommandMeta(id=f"{id(self)}-{self.sent}", actor=actor)
        return await self.handler.handle(self.contract.parse(name, data), meta)

    async def refusal(self, name: str, data: dict[str, Any], actor: str = "sam") -> str:
        with pytest.raises(LedgerError) as refused:
            await self.send(name, data, actor)
        return str(refused.value.code)


class Shop(Counter):
    """Inventory, where Ana is a donor."""

    def __init__(self, place: Place) -> None:
        super().__init__(inventory, deciders_under(place.terms), place.settings(), managers(place.terms))
        self.place = place

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
    assert KeyFile(place.keyring, "inventory").load()[OWNER].erased


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
    assert not KeyFile(place.keyring, "inventory").load()[OWNER].erased
    async with running(place) as shop:
        assert shop._vault is not None and shop._vault.unseal(name) is None
        await shop.until(Stage.ERASED, acknowledged=True)
    assert KeyFile(place.keyring, "inventory").load()[OWNER].erased


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
    records = KeyFile(place.keyring, "inventory").load()
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
    """What is told is how far it had come when it was asked, or further; the next who asks is told the rest."""
    place.terms = Terms(delay=timedelta(days=1))
    reading = JetStreamContext.pull_subscribe_bind
    async with running(place) as shop:
        await registered(shop)
        await asked(shop)

        async def go_on_first(js: JetStreamContext, **which: str) -> JetStreamContext.PullSubscription:
            await shop.send("ApproveErasure", ANA, "kim")
            return await reading(js, **which)

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(JetStreamContext, "pull_subscribe_bind", go_on_first)
            async with asyncio.timeout(5):
                told = await standings(shop.nc, "inventory")
        assert told[OWNER].stage in (Stage.REQUESTED, Stage.APPROVED)
        assert (await standings(shop.nc, "inventory"))[OWNER].stage is Stage.APPROVED


async def test_looking_on_leaves_no_consumer_behind(place: Place) -> None:
    async with running(place) as shop:
        await registered(shop)
        js = shop.nc.jetstream()
        for _ in range(5):
            await standings(shop.nc, "inventory")
        async with asyncio.timeout(5):
            while any(one.name.startswith("standings-") for one in await js.consumers_info("INVENTORY")):
                await asyncio.sleep(0.02)


# -- households -------------------------------------------------------------------------------------------------------


def household(id: str) -> dict[str, Any]:
    return {"kind": "household", "person": id}


class Hall(Counter):
    """Distribution beside inventory."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            distribution, of_distribution(place.terms), place.settings(), managers_of_distribution(place.terms),
            following=((inventory, following_inventory()),),
        )  # fmt: skip

    async def standing(self, id: str, *obstacles: str) -> None:
        """Until just these are what the service noted to stand against the erasure of a household."""

        def so(erasure: Any) -> bool:
            return erasure.obstacles is not None and [one.what for one in erasure.obstacles] == [*obstacles]

        await self.until("erasure", f"household:{id}", so)

    async def until(self, category: str, id: str, condition: Callable[[Any], object]) -> None:
        """Until the state of an aggregate is so."""
        async with asyncio.timeout(10):
            while not condition((await self.handler.state(Ref(category, id)))[0]):
                await asyncio.sleep(0.02)

    async def erase(self, id: str) -> None:
        await self.send("RequestErasure", household(id) | {"reason": "asked"}, "sam")
        await self.standing(id)
        await self.send("ApproveErasure", household(id), "kim")
        await self.until("erasure", f"household:{id}", lambda erasure: erasure.acknowledged)

    def visit(self, id: str, who: str, **more: Any) -> dict[str, Any]:
        line = {"item": "rice", "quantity": 1}
        of = {"programme": "box", "period": f"{datetime.now(UTC):%G-W%V}", "session": "today"}
        return {"visit": id, "household": who, "lines": [line], **of, **more}

    async def open_doors(self) -> None:
        """A programme and its session, open now; two households that are one, and one by itself."""
        now = datetime.now(UTC)
        await self.send("OpenProgramme", {"programme": "box", "name": "Box", "kind": "box"})
        times = {"starts_at": (now - timedelta(hours=1)).isoformat(), "ends_at": (now + timedelta(hours=9)).isoformat()}
        await self.send(
            "ScheduleSession", {"session": "today", "programme": "box", "site": "store", "name": "T"} | times
        )
        await self.send("OpenSession", {"session": "today"})
        for id in ("h-1", "h-2", "h-3"):
            await self.send("RegisterHousehold", {"household": id, "name": f"Name of {id}", "size": 1})
        await self.until("goods", "catalogue", lambda catalogue: "rice" in catalogue.items)


@asynccontextmanager
async def beside(place: Place) -> AsyncIterator[tuple[Shop, Hall]]:
    """Both services."""
    async with running(place) as shop:
        hall = Hall(place)
        await hall.start()
        try:
            yield shop, hall
        finally:
            await hall.stop()


@asynccontextmanager
async def open_hall(place: Place) -> AsyncIterator[tuple[Shop, Hall]]:
    """Both services, rice in the store, and the doors open."""
    async with beside(place) as (shop, hall):
        await shop.send("RegisterItem", {"item": "rice", "name": "Rice", "unit": "each", "allergens": []})
        await shop.send("OpenLocation", {"location": "store", "name": "Store", "kind": "site"})
        lines = [{"lot": lot, "quantity": 5} for lot in ("A", "B")]
        await shop.send("ReceiveStock", {"item": "rice", "location": "store", "source": "donation", "lines": lines})
        await hall.open_doors()
        yield shop, hall


async def test_a_household_is_kept_while_a_recall_of_what_it_got_is_open_and_others_go_on_as_it(place: Place) -> None:
    async with open_hall(place) as (shop, hall):
        await hall.send("RecordVisit", hall.visit("v-1", "h-1"))
        await hall.send("MergeHouseholds", {"household": "h-2", "into": "h-1", "reason": "twice"})
        await shop.send("RecallLot", {"item": "rice", "recall": "r-1", "scope": {"lots": ["A"]}, "reason": "glass"})
        await hall.until("goods", "catalogue", lambda catalogue: catalogue.recalls)
        await hall.send("RequestErasure", household("h-1") | {"reason": "asked"}, "sam")
        await hall.standing("h-1", "open recalls of what it got", "others that go on as it")
        with pytest.raises(Rejected, match="open recalls of what it got: r-1; others that go on as it: h-2"):
            await hall.send("ApproveErasure", household("h-1"), "kim")
        await shop.send("LiftRecall", {"item": "rice", "recall": "r-1", "reason": "withdrawn"})
        await hall.standing("h-1", "others that go on as it")
        await hall.erase("h-2")
        await hall.standing("h-1")
        await hall.send("ApproveErasure", household("h-1"), "kim")
        await hall.until("erasure", "household:h-1", lambda erasure: erasure.acknowledged)


async def test_a_household_that_was_served_by_a_declaration_is_kept_for_the_years_that_were_set(place: Place) -> None:
    place.terms = Terms(delay=timedelta(), years=4)
    async with open_hall(place) as (_, hall):
        await hall.send("RenewEligibility", {"household": "h-1", "basis": "income", "signature": "X"})
        for id in ("h-1", "h-2"):
            await hall.send("RecordVisit", hall.visit(f"v-{id}", id))
        await hall.send("RequestErasure", household("h-1") | {"reason": "asked"}, "sam")
        await hall.standing("h-1", "served by an eligibility that was declared")
        until = f"{datetime.now(UTC).year + 4}-12-31"
        with pytest.raises(Rejected, match=f"kept for 4 years, until {until}"):
            await hall.send("ApproveErasure", household("h-1"), "kim")
        await hall.erase("h-2")


async def test_a_household_that_was_erased_is_served_only_as_a_fact_and_after_a_restart_too(place: Place) -> None:
    async with open_hall(place) as (_, hall):
        await hall.send("RegisterHousehold", {"household": "h-4", "size": 1})  # nothing of it was ever sealed
        for id in ("h-1", "h-4"):
            await hall.erase(id)
    async with beside(place) as (_, hall):
        for id in ("h-1", "h-4"):
            assert await hall.refusal("RecordVisit", hall.visit(f"v-{id}", id)) == "HOUSEHOLD_ERASED"
            placed = {"order": f"o-{id}", "household": id, "session": "today", "lines": hall.visit("", "")["lines"]}
            assert await hall.refusal("PlaceOrder", placed) == "HOUSEHOLD_ERASED"
            named = {"household": id, "member": "m", "name": "Ana"}
            assert await hall.refusal("AddMember", named) == "HOUSEHOLD_ERASED"
            again = {"household": id, "name": "Ana", "size": 1}
            assert await hall.refusal("RegisterHousehold", again) == "ALREADY_EXISTS"
            assert (await hall.send("RecordVisit", hall.visit(f"v-{id}", id, fact=True))).status == ACCEPTED


async def test_nothing_is_sealed_under_a_key_that_was_destroyed_and_the_service_goes_on(place: Place) -> None:
    """As `commons keys erase` destroys one of an id that nobody has."""
    async with open_hall(place) as (_, hall):
        assert hall._vault is not None
        await hall._vault.destroy("household/h-9")
        new = {"household": "h-9", "name": "Ana", "size": 1}
        with pytest.raises(Erased, match=r"household/h-9 was erased, and nothing new is recorded under that id"):
            await hall.send("RegisterHousehold", new)
        assert (await hall.send("RegisterHousehold", new | {"household": "h-10"})).status == ACCEPTED
