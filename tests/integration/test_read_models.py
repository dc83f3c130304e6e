"""The read models on real servers: events go into the stream, rows come out, and the queries answer from them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import nats
import pytest

from services import queries
from services.inventory.basis import base_reads, stand_on
from services.inventory.contract import CountApproved, inventory, lot_form, stock_id
from services.local.nats import NatsServer
from services.projections.registry import INVENTORY
from services.queries import QueryResult
from shared.comparison import compare
from shared.database import open_pool
from shared.decider import Context
from shared.errors import Invalid
from shared.migrations import migrate_database
from shared.readmodel import Behind
from shared.runner import Runner
from shared.sealing import is_sealed
from shared.store import EventStore
from tests.support.histories import LOCATIONS, MAKERS, Draft, play
from tests.support.pantry import MONDAY, Pantry

STORE = {"item": "rice", "location": "store"}


class Open:
    """A pantry whose events are stored, and the read models that follow them."""

    def __init__(self, pantry: Pantry, pool: asyncpg.Pool, nc: Any) -> None:
        self.pantry = pantry
        self.pool = pool
        self._nc = nc
        self._stored = 0

    async def store(self) -> tuple[str, int]:
        """Store what happened since the last time; returns the position to wait for."""
        for event in self.pantry.events[self._stored :]:
            await self._nc.jetstream().publish(event.subject, event.raw)
        self._stored = len(self.pantry.events)
        return "INVENTORY", self._stored

    async def publish(self, subject: str, raw: bytes) -> None:
        await self._nc.jetstream().publish(subject, raw)

    async def ask(self, query: Any, **filters: Any) -> QueryResult:
        """Ask as of all that happened."""
        found: QueryResult = await query(self.pool, at_least=await self.store(), **filters)
        assert found.as_of == ("INVENTORY", self._stored)
        assert not found.incomplete
        assert all(len(row) == len(found.columns) for row in found.rows)
        return found

    async def records(self, query: Any, *names: str, **filters: Any) -> list[Any]:
        """The rows of an answer, cut to some columns."""
        found = await self.ask(query, **filters)
        cut = [tuple(record[name] for name in names) for record in found.records()]
        return [row[0] for row in cut] if len(names) == 1 else cut


@asynccontextmanager
async def opened(nats_server: NatsServer, database_url: str, pantry: Pantry) -> AsyncIterator[Open]:
    nc = await nats.connect(nats_server.url)
    await EventStore(nc, inventory).ensure(nats_server.monitor_url)
    await migrate_database(database_url)
    pool = await open_pool(database_url)
    tasks = [asyncio.ensure_future(Runner(projection, nats_server.url, database_url).run()) for projection in INVENTORY]
    try:
        found = Open(pantry, pool, nc)
        await found.store()
        async with asyncio.timeout(30):
            while await pool.fetchval("SELECT count(*) FROM commons.generation WHERE state = 'live'") < len(INVENTORY):
                await asyncio.sleep(0.02)
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.terminate()
        await nc.close()


@pytest.fixture
async def pantry(nats_server: NatsServer, database_url: str) -> AsyncIterator[Open]:
    async with opened(nats_server, database_url, Pantry().furnish()) as found:
        yield found


async def test_stock_says_what_is_there_and_what_may_be_promised(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A", date="2026-05-30")
    p.receive(20, "B", date="2026-08-01", owner="government")
    p.receive(5, "C")
    p.do("HoldStock", **STORE, hold="h1", reason="damage", lots=["C"])
    p.do("ReserveStock", **STORE, reservation="r1", quantity=8, purpose="household")
    columns = ("on_hand", "reserved", "held", "past_date", "available")
    assert await pantry.records(queries.stock, "location", *columns, now=p.now) == [("store", 35, 8, 5, 10, 12)]
    assert await pantry.records(queries.stock, "lot", *columns, "why", item="rice", now=p.now) == [
        ("A", 10, 0, 0, 10, 0, "past its date"),
        ("B", 20, 8, 0, 0, 12, None),
        ("C", 5, 0, 5, 0, 0, "damage"),
    ]
    assert await pantry.records(queries.stock, "lot", owner="government", by="lot", now=p.now) == ["B"]
    assert await pantry.records(queries.stock, "name", "unit", by="item", now=p.now) == [("Long-grain rice", "each")]


async def test_stock_of_a_recalled_lot_and_at_a_quarantine_location_is_held(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A")
    p.do("RecallLot", item="rice", recall="rc", scope={"lots": ["a"]}, reason="glass")
    p.receive(4, "B", location="shelf-q")
    assert await pantry.records(queries.stock, "lot", "held", "available", "why", by="lot", now=p.now) == [
        ("B", 4, 0, "quarantine"),
        ("A", 10, 0, "recall"),
    ]


async def test_the_last_day_is_that_of_the_location_and_of_the_items_extension(pantry: Open) -> None:
    p = pantry.pantry
    p.do("OpenLocation", location="samoa", name="Samoa", kind="store", utc_offset=780)
    p.do("RegisterItem", item="beans", name="Beans", unit="each", best_before_extension=30)
    p.receive(1, "A", date="2026-06-01")
    p.receive(2, "B", date="2026-06-01", location="samoa")
    p.receive(3, "C", item="beans", date="2026-06-01", date_kind="best_before")
    p.receive(4, "D", date="2026-06-09")
    p.receive(5, "E")
    evening = MONDAY.replace(hour=20)  # on the second of June in Samoa
    assert await pantry.records(queries.expiring, "lot", "due", "days_left", now=evening) == [
        ("B", "past", -1), ("A", "within 7 days", 0), ("D", "within 30 days", 8), ("C", "within 30 days", 30),
    ]  # fmt: skip
    assert await pantry.records(queries.expiring, "lot", within=7, now=evening) == ["B", "A"]


async def test_below_minimum_counts_only_what_can_be_used(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(19, "A")
    p.receive(7, "B", date="2026-05-01")
    p.receive(6, "C", location="site")
    p.do("DispatchTransfer", item="rice", location="site", transfer="t1", destination="store", lines=[{"quantity": 6}])
    columns = ("item", "minimum", "usable", "short", "past_date", "in_transit")
    assert await pantry.records(queries.below_minimum, *columns, now=p.now) == [("rice", 20, 19, 1, 7, 6)]
    p.receive(1, "D", location="site")
    assert await pantry.records(queries.below_minimum, "item", now=p.now) == []


async def test_the_bin_card_puts_late_facts_at_their_moment(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A")
    p.later(hours=2)
    p.issue(4, "A")
    p.later(hours=1)
    p.receive(5, "B", occurred_at=MONDAY + timedelta(hours=1))
    wrong = p.issue(2, "B")
    p.do("ReverseMovement", **STORE, movement=wrong.revision, reason="not theirs")
    card = await pantry.records(queries.movements, "revision", "change", "running", "lots", "state", item="rice")
    assert card == [
        (1, 10, 10, "A +10", None),
        (3, 5, 15, "B +5", None),
        (2, -4, 11, "A -4", None),
        (4, -2, 9, "B -2", "reversed by 5"),
        (5, 2, 11, "B +2", "mends 4"),
    ]
    assert await pantry.records(queries.movements, "revision", "running", item="rice", lot="b", location="store") == [
        (3, 5), (4, 3), (5, 5),
    ]  # fmt: skip
    assert await pantry.records(queries.movements, "revision", "running", item="rice", limit=2) == [(4, 9), (5, 11)]


async def test_a_count_settles_the_card_and_absorbs_what_happened_before_it(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A")
    p.later(days=1)
    _count(p, "c1", [{"lot": "A", "quantity": 9}])
    p.later(days=1)
    p.issue(3, "A")
    p.issue(1, "A", occurred_at=MONDAY + timedelta(hours=3))
    assert await pantry.records(queries.movements, "revision", "change", "running", "state", item="rice") == [
        (1, 10, 10, None),
        (4, -1, 9, "settled by count c1"),
        (2, 0, 9, None),
        (3, -3, 6, None),
    ]


async def test_a_trace_follows_a_lot_from_its_donor_to_whoever_got_it(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(20, "A-1", donor="bakery", delivery="d1")
    p.later(hours=1)
    p.do("DispatchTransfer", **STORE, transfer="t1", destination="site", lines=[{"quantity": 9, "lot": "A-1"}])
    p.later(hours=1)
    p.do(
        "ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store", loss_reason="damaged",
        lines=[{"lot": "A-1", "quantity": 8}],
    )  # fmt: skip
    p.do(
        "RepackStock",
        **STORE,
        lines=[{"quantity": 5, "lot": "A-1"}],
        into=[{"item": "rice", "lot": "P", "quantity": 5}],
    )
    p.later(hours=1)
    p.issue(2, "P", recipient="box-7")
    p.issue(3, "a1", location="site", recipient="box-8")
    gone = p.issue(1, "A-1", location="site", recipient="box-9")
    p.do("ReverseMovement", item="rice", location="site", movement=gone.revision, reason="not handed out")
    p.receive(6)
    p.issue(1, "UNKNOWN", recipient="box-10", already_left=True)
    found = await pantry.records(
        queries.trace, "step", "lot", "location", "quantity", "party", "relation", "certainty", lot="a 1"
    )
    this, made, maybe = ("this lot", "known"), ("made from it", "known"), ("lot not known", "possibly")
    assert found == [
        ("received", "A-1", "store", 20, "bakery", *this),
        ("dispatched", "A-1", "store", 9, "site", *this),
        ("arrived", "A-1", "site", 8, "store", *this),
        ("lost on the way", "A-1", "site", 1, "store", *this),
        ("repacked", "A-1", "store", 5, None, *this),
        ("made", "P", "store", 5, None, *made),
        ("given out", "A-1", "site", 3, "box-8", *this),
        ("given out", "P", "store", 2, "box-7", *made),
        ("on hand", "A-1", "site", 5, None, *this),
        ("on hand", "A-1", "store", 6, None, *this),
        ("on hand", "P", "store", 3, None, *made),
        ("given out", None, "store", 1, "box-10", *maybe),
        ("on hand", None, "store", 5, None, *maybe),
    ]
    parent = await pantry.records(queries.trace, "step", "lot", "party", "relation", lot="P")
    assert ("received", "A-1", "bakery", "went into it") in parent
    assert ("given out", "A-1", "box-8", "went into it") not in parent


async def test_a_lot_that_became_another_item_is_traced_through(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(20, "A", donor="mill")
    p.do("RegisterItem", item="porridge", name="Porridge", unit="each")
    p.receive(
        8, "Q", item="porridge", source="repack", made_from=[{"item": "rice", "lot": "A"}],
    )  # fmt: skip
    p.issue(3, "Q", item="porridge", recipient="box-1")
    found = await pantry.records(queries.trace, "step", "item", "lot", "quantity", "relation", lot="A", item="rice")
    assert ("given out", "porridge", "Q", 3, "made from it") in found
    p.do("RecallLot", item="rice", recall="rc", scope={"lots": ["A"]}, reason="stones")
    assert await pantry.records(queries.reach, "recipient", "item", "quantity", recall="rc") == [
        ("box-1", "porridge", 3)
    ]


async def test_a_recall_lists_its_stock_and_whom_it_reached_in_one_query_each(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(20, "A", date="2026-09-01")
    p.receive(20, "B", date="2026-12-01")
    p.receive(5)
    p.issue(3, "A", recipient="box-1", purpose="household")
    p.issue(2, "B", recipient="box-2", already_left=True)
    p.issue(1, "UNKNOWN", recipient="box-3", already_left=True)
    kept = p.issue(1, "A", recipient="box-5")
    p.do("ReverseMovement", **STORE, movement=kept.revision, reason="not handed out")
    mended = p.issue(9, "A", recipient="box-4")
    p.do(
        "CorrectMovement",
        **STORE,
        movement=mended.revision,
        reason="typed wrongly",
        lines=[{"lot": "A", "quantity": 2}],
    )
    p.do("DisposeStock", **STORE, reason="recalled", lines=[{"quantity": 4, "lot": "A"}])
    p.do("RecallLot", item="rice", recall="rc", scope={"lots": ["a"]}, reason="glass", classification="I")
    p.do("HoldStock", **STORE, hold="rc", reason="recall")
    columns = ("scope", "classification", "on_hand", "not_held", "given_out", "recipients", "removed")
    assert await pantry.records(queries.recalls, *columns) == [("lots a", "I", 15, 0, 6, 3, 4)]
    reached = await pantry.records(queries.reach, "recipient", "purpose", "lot", "quantity", "certainty", recall="rc")
    assert reached == [
        ("box-1", "household", "A", 3, "known"),
        ("box-4", "household", "A", 2, "known"),
        ("box-3", "household", None, 1, "possibly"),
    ]
    p.do("RecallLot", item="rice", recall="rc2", scope={"first_date": "2026-11-01"}, reason="labels")
    assert await pantry.records(queries.reach, "recipient", "certainty", recall="rc2") == [
        ("box-2", "known"), ("box-3", "possibly"),
    ]  # fmt: skip
    p.do("LiftRecall", item="rice", recall="rc2", reason="withdrawn")
    assert await pantry.records(queries.recalls, "recall", ended=False) == ["rc"]
    held = await pantry.records(queries.holds, "hold", "reason", "lots", "on_hand")
    assert held == [("rc", "recall", "A, (unknown)", 15)]


async def test_goods_on_the_way_are_listed_until_they_arrive(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A")
    p.do(
        "DispatchTransfer", **STORE, transfer="t1", destination="site", lines=[{"quantity": 4, "lot": "A"}],
        expected_by=p.now + timedelta(hours=1),
    )  # fmt: skip
    columns = ("transfer", "origin", "destination", "lot", "quantity", "overdue")
    assert await pantry.records(queries.in_transit, *columns, now=p.now) == [("t1", "store", "site", "A", 4, False)]
    p.later(hours=2)
    assert await pantry.records(queries.in_transit, "overdue", location="site", now=p.now) == [True]
    assert await pantry.records(queries.review, "kind", "subject", now=p.now) == [("transfer_overdue", "t1:rice")]
    p.do("ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store")
    assert await pantry.records(queries.in_transit, "transfer", now=p.now) == []
    assert await pantry.records(queries.review, "kind", now=p.now) == []


async def test_waste_counts_by_reason_and_month_without_what_was_reversed(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(20, "A")
    p.do("DisposeStock", **STORE, reason="expired", lines=[{"quantity": 4, "lot": "A"}])
    slip = p.do("DisposeStock", **STORE, reason="spoiled", lines=[{"quantity": 2, "lot": "A"}])
    assert slip is not None
    p.do("DispatchTransfer", **STORE, transfer="t1", destination="site", lines=[{"quantity": 3, "lot": "A"}])
    p.later(days=31)
    p.do("ReverseMovement", **STORE, movement=slip.revision, reason="was fine")
    p.do("AdjustStock", **STORE, reason="stolen", lines=[{"lot": "A", "change": -1}])
    p.do("AdjustStock", **STORE, reason="counting_error", lines=[{"lot": "A", "change": -1}])
    p.do(
        "ReceiveTransfer", item="rice", location="site", transfer="t1", origin="store", loss_reason="damaged", lines=[]
    )
    june, july = date(2026, 6, 1), date(2026, 7, 1)
    assert await pantry.records(queries.waste, "month", "reason", "weight", "times") == [
        (june, "expired", 2000, 1), (july, "damaged in transit", 1500, 1), (july, "stolen", 500, 1),
    ]  # fmt: skip
    first = datetime(2026, 7, 1, tzinfo=UTC)
    assert await pantry.records(queries.waste, "reason", "quantity", "unit", item="rice", since=first) == [
        ("damaged in transit", 3, "each"), ("stolen", 1, "each"),
    ]  # fmt: skip
    weights = await pantry.records(queries.weight, "month", "received", "issued", "wasted", "adjusted")
    assert weights == [(june, 10_000, 0, 2000, 0), (july, 0, 0, 2000, -500)]


async def test_receipts_stand_by_donor_and_by_owner(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A", donor="bakery", delivery="d1")
    wrong = p.receive(144, "B", donor="bakery", delivery="d1", owner="government")
    p.do(
        "CorrectMovement", **STORE, movement=wrong.revision, reason="typed wrongly",
        lines=[{"lot": "B", "quantity": 12, "owner": "government"}],
    )  # fmt: skip
    p.receive(3000, "M", item="milk", supplier="dairy", source="purchase")
    p.receive(7, source="opening")
    assert await pantry.records(queries.receipts, "donor", "weight", "deliveries", "times") == [
        ("bakery", 11_000, 1, 2), (None, 3090, 0, 1),
    ]  # fmt: skip
    assert await pantry.records(queries.receipts, "owner", "quantity", by="owner", item="rice") == [
        ("(the organisation)", 10), ("government", 12),
    ]  # fmt: skip
    columns = ("supplier", "name", "quantity", "unit")
    assert await pantry.records(queries.receipts, *columns, by="supplier", items=True) == [
        ("dairy", "Whole milk", 3000, "ml"), (None, "Long-grain rice", 22, "each"),
    ]  # fmt: skip


async def test_a_receipt_shows_the_name_of_a_donor_who_is_registered(pantry: Open) -> None:
    p = pantry.pantry
    p.do("RegisterDonor", donor="bakery", name="Crumbleholme Bakery", kind="bakery", contact="ovens@bakery.example")
    p.receive(10, "A", donor="bakery", delivery="d1")
    p.receive(2, "A", donor="farm", delivery="d2")
    name, kind, contact, note = (await pantry.records(queries.donors, "name", "kind", "contact", "note"))[0]
    assert (is_sealed(name), kind, is_sealed(contact), note) == (True, "bakery", True, None)
    assert await pantry.records(queries.receipts, "donor", "donor_name") == [("bakery", name), ("farm", None)]
    assert await pantry.records(queries.receipts, "donor", "donor_name", "name", item="rice") == [
        ("bakery", name, "Long-grain rice"), ("farm", None, "Long-grain rice"),
    ]  # fmt: skip
    assert await pantry.records(queries.donors, "donor", donor="farm") == []


async def test_reservations_are_open_until_they_end(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(10, "A")
    for reservation, quantity in (("r1", 4), ("r2", 9)):
        p.do(
            "ReserveStock", **STORE, reservation=reservation, quantity=quantity, purpose="household", allow_part=True,
            due_at=p.now + timedelta(hours=2), recipient="box-1",
        )  # fmt: skip
    columns = ("reservation", "remaining", "short", "lots", "overdue")
    assert await pantry.records(queries.reservations, *columns, now=p.now) == [
        ("r1", 4, 0, "A 4", False), ("r2", 6, 3, "A 6", False),
    ]  # fmt: skip
    p.do("IssueStock", **STORE, purpose="household", reservation="r1")
    later = p.later(hours=3)
    assert await pantry.records(queries.reservations, "reservation", "overdue", now=later) == [("r2", True)]
    assert await pantry.records(queries.reservations, "reservation", "ended", ended=True, now=later) == [
        ("r2", None), ("r1", "used"),
    ]  # fmt: skip


async def test_review_lists_breaches_until_a_count_a_reading_or_a_reversal_closes_them(pantry: Open) -> None:
    p = pantry.pantry
    p.do("OpenLocation", location="cold", name="Cold room", kind="store", storage="chilled", maximum=50)
    p.receive(2, "A")
    p.issue(5, already_left=True)
    p.do("RecordTemperature", location="cold", temperature=91)
    items = await pantry.records(queries.review, "kind", "quantity", "location")
    assert sorted(items) == [("beyond_ledger", 3, "store"), ("temperature", 91, "cold")]
    p.later(hours=1)
    p.do("RecordTemperature", location="cold", temperature=40)
    p.do("StartCount", count="c1", location="store", items=["rice"])
    p.do("RecordCount", count="c1", **STORE, lines=[{"quantity": 1}], actor="kim")
    assert sorted(await pantry.records(queries.review, "kind", "quantity")) == [
        ("beyond_ledger", 3),
        ("count_to_approve", 1),
    ]
    p.do("ApproveCount", count="c1", **STORE)
    assert await pantry.records(queries.review, "kind") == []
    assert sorted(await pantry.records(queries.review, "kind", "closed_by", closed=True)) == [
        ("beyond_ledger", "counted"), ("count_to_approve", "approved"), ("temperature", "within_limits"),
    ]  # fmt: skip


async def test_a_refused_step_is_for_review_until_somebody_resolves_it(pantry: Open) -> None:
    p = pantry.pantry
    p.do(
        "NoteRefusal", step="s1", manager="repacking", cause="e1", service="inventory", command="ReceiveStock",
        target="stock/rice:store", code="LOCATION_CLOSED", detail="store is closed.",
    )  # fmt: skip
    assert await pantry.records(queries.review, "kind", "subject", "detail") == [
        ("step_refused", "s1", "repacking: ReceiveStock to stock/rice:store: LOCATION_CLOSED. store is closed.")
    ]
    p.do("ResolveStep", step="s1", note="Received by hand.")
    assert await pantry.records(queries.review, "kind") == []


async def test_medicine_that_waits_and_stock_at_a_closed_location_are_for_review(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(20, "M", item="ibuprofen", location="clinic")
    p.receive(3, "A", location="site")
    p.do("CloseLocation", location="site", items=[])
    assert sorted(await pantry.records(queries.review, "kind", "item")) == [
        ("held_for_pharmacist_review", "ibuprofen"), ("stock_at_closed_location", "rice"),
    ]  # fmt: skip


async def test_what_is_not_known_is_answered_with_what_comes_near(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(5, "LOT-77")
    found = await pantry.ask(queries.stock, item="rise")
    assert (found.rows, found.near) == ([], ("rice",))
    assert found.message == "There is no item 'rise'. Near it: rice."
    assert (await pantry.ask(queries.stock, location="stor")).near == ("store",)
    assert (await pantry.ask(queries.movements, item="grain")).near == ("rice",)
    lost = await pantry.ask(queries.trace, lot="LOT-78")
    assert lost.message == "No such lot was ever recorded. Near it: LOT-77."
    assert (await pantry.ask(queries.expiring, within=3)).message == "Nothing on hand ends within that time."
    for wrong in ("", " ", "x" * 201, "a\x00"):
        with pytest.raises(Invalid):
            await queries.stock(pantry.pool, item=wrong)
        with pytest.raises(Invalid):
            await queries.trace(pantry.pool, lot=wrong)
    with pytest.raises(Invalid):
        await queries.expiring(pantry.pool, within=-1)
    with pytest.raises(Invalid):
        await queries.movements(pantry.pool, item="rice", limit=0)


async def test_an_item_is_found_by_its_id_its_barcode_and_its_name(pantry: Open) -> None:
    p = pantry.pantry
    p.receive(500, "M", item="milk")
    for name in ("milk", "4006381333931", "04006381333931", "whole MILK"):
        assert await pantry.records(queries.stock, "item", item=name) == ["milk"], name
    assert await pantry.records(queries.items, "item", "gtin") == [
        ("ibuprofen", None), ("rice", None), ("milk", "4006381333931"),
    ]  # fmt: skip
    p.do("ChangeItem", item="milk", name="Milk", unit="ml")
    p.do("RetireItem", item="rice")
    assert (await pantry.ask(queries.stock, item="4006381333931")).rows == []
    assert await pantry.records(queries.items, "item") == ["ibuprofen", "milk"]
    assert await pantry.records(queries.locations, "location") == ["clinic", "shelf-q", "site", "store"]


async def test_a_query_waits_for_the_event_it_was_promised(pantry: Open) -> None:
    p = pantry.pantry
    stream, sequence = await pantry.store()
    asking = asyncio.ensure_future(queries.stock(pantry.pool, at_least=(stream, sequence + 1)))
    await asyncio.sleep(0.05)
    assert not asking.done()
    p.receive(5, "A")
    await pantry.store()
    assert (await asking).rows[0][3] == 5
    with pytest.raises(Behind):
        await queries.stock(pantry.pool, at_least=(stream, sequence + 100))


async def test_the_rows_are_those_of_a_fresh_fold(nats_server: NatsServer, database_url: str) -> None:
    chance = random.Random(7)
    drafts = [
        Draft(
            chance.randrange(len(MAKERS)), n % 2, 1 + chance.randrange(12), chance.randrange(4), chance.randrange(4),
            chance.randrange(4), chance.choice((0, 0, 1, 30)), chance.choice((0, 20, 300)),
        )
        for n in range(480)
    ]  # fmt: skip
    played = play(drafts)
    for location in LOCATIONS:
        at = {"item": "rice", "location": location}
        for lot, day in (("B", None), ("K", None), ("L", "2026-05-30"), ("M", "2027-01-01"), (None, None)):
            played.receive(9, lot, location=location, date=day)
        played.do("HoldStock", **at, hold="h9", reason="inspection", lots=["K"])
        played.do("ReserveStock", **at, reservation="r9", quantity=4, purpose="meal", lot="M")
    async with opened(nats_server, database_url, played) as found:
        assert len(found.pantry.events) > 100
        await found.ask(queries.review)
        for location in LOCATIONS:
            await _check_card(found, location)
            await _check_available(found, location)
        async with found.pool.acquire() as connection:
            for projection in INVENTORY:
                comparison = await compare(connection, projection, nats_server.url)
                assert comparison.same, comparison


async def _check_available(found: Open, location: str) -> None:
    """What the query calls available is what the stock itself would give out."""
    p = found.pantry
    command = inventory.parse("IssueStock", {"item": "rice", "location": location, "purpose": "household"})
    context = Context(p.now, "sam", None, {ref: p.state(*ref) for ref in base_reads(command)})
    basis = stand_on(command, p.state("stock", stock_id("rice", location)), context)
    expected = {
        (lot_form(row.ref.lot), row.ref.date, row.ref.owner): (
            row.on_hand, row.reserved, row.on_hand - row.reserved if basis.unfit(row) is None else 0
        )
        for _, row in basis.stock.shelf()
    }  # fmt: skip
    columns = ("lot", "date", "owner", "on_hand", "reserved", "available")
    rows = await found.records(queries.stock, *columns, item="rice", location=location, now=p.now)
    assert {(lot_form(lot), day, owner): figures for lot, day, owner, *figures in map(list, rows)} == {
        key: list(figures) for key, figures in expected.items()
    }
    assert len(expected) >= 5


async def _check_card(found: Open, location: str) -> None:
    """The running figure is what was counted at a count, and ends at what is on hand, as a whole and lot by lot."""
    card = await found.records(queries.movements, "revision", "running", item="rice", location=location, limit=10_000)
    figures = dict(card)
    counted = {
        event.revision: sum(line.quantity for line in event.data.counted)
        for event in found.pantry.events
        if isinstance(event.data, CountApproved) and event.data.location == location
    }
    assert len(counted) > 3
    assert {revision: figures[revision] for revision in counted} == counted
    assert card[-1][1] == found.pantry.state("stock", stock_id("rice", location)).on_hand
    by_lot = {}
    apart = {event.data.apart for event in found.pantry.events if getattr(event.data, "apart", None)}
    for lot in ("A", "B", "K", "L", "M", "P", "UNKNOWN", *sorted(apart)):
        at = {"item": "rice", "location": location, "lot": lot, "limit": 10_000}
        lines = await found.records(queries.movements, "running", **at)
        by_lot[lot] = lines[-1] if lines else 0
    assert sum(by_lot.values()) == card[-1][1]


async def test_a_parked_event_makes_every_answer_that_lacks_it_incomplete(pantry: Open) -> None:
    p = pantry.pantry
    stored = p.receive(7, "A")
    stream, sequence = await pantry.store()
    bad = stored.raw.replace(b'"on_hand":7', b'"on_hand":null')
    await pantry.publish(stored.subject, bad)
    for query in (queries.stock, queries.waste, queries.review, queries.reservations, queries.recalls):
        found = await query(pantry.pool, at_least=(stream, sequence + 1))
        assert found.incomplete, query
        assert found.reason is not None
        assert "set aside" in found.reason
    assert not (await queries.locations(pantry.pool, at_least=(stream, sequence + 1))).incomplete


def _count(pantry: Pantry, count: str, lines: list[dict[str, Any]]) -> None:
    pantry.do("StartCount", count=count, location="store", items=["rice"])
    pantry.do("RecordCount", count=count, **STORE, lines=lines, actor="kim")
    pantry.do("ApproveCount", count=count, **STORE)
