"""Whatever becomes of messages and processes: in the end stock, claims and orders agree, and nothing waits for ever.

A pantry's Friday at random: orders, boxes, visits, recalls and counts, while the steps of fulfilment are lost,
repeated, delayed and sent in any order, and the processes that send them are killed at any moment.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from services.distribution.box import Where
from services.distribution.contract import (
    BoxHandedOut,
    BoxUnpacked,
    EntitlementClaimed,
    EntitlementReleased,
    HandOutReversed,
    OrderPlaced,
    ProcessStepRefused,
    SlotBooked,
    Stage,
    VisitRecorded,
    VisitReversed,
    claim_of_box,
    fulfilment_of_visit,
)
from services.distribution.processes.fulfilling import Fulfilling
from services.distribution.processes.names import order_of
from services.inventory.contract import InventoryError, MovementReversed, StockHeld, StockIssued, StockRepacked
from shared.errors import Rejected
from tests.support.couriers import Town

HOUSEHOLDS = ("yilmaz", "okafor", "silva", "novak", "haddad")
ITEMS = ("rice", "milk", "beans")
E = InventoryError
FATES = ("answered", "answered", "joined, answered", "joined, answer lost", "answer lost", "lost", "delayed")
numbers = st.integers(0, 40)
mostly = st.sampled_from((True, True, True, False))
wishes = st.dictionaries(st.sampled_from(ITEMS), st.integers(1, 4), min_size=1)
people_look = ("ALREADY_PACKED",)
"""What a person must look into whatever happens: two boxes that were packed for one order at once."""


class Fulfilment(RuleBasedStateMachine):
    """Two services, their managers, and tables that do as they please."""

    @initialize(limit=st.integers(1, 2), orders=st.lists(wishes, min_size=2, max_size=5), settled=st.booleans())
    def open(self, limit: int, orders: list[dict[str, int]], settled: bool) -> None:
        self.town = Town()
        self.last = 0
        inventory, distribution = self.town.inventory, self.town.distribution
        inventory.do("OpenLocation", location="hall", name="Hall", kind="site")
        for item in ITEMS:
            cold = "chilled" if item == "milk" else "ambient"
            inventory.do("RegisterItem", item=item, name=item, unit="each", storage=cold, allergens=[])
        for item, quantity in (("rice", 60), ("milk", 15)):  # of beans there are none at first
            self.receive(item, quantity, "A")
        distribution.do("OpenProgramme", programme="box", name="Boxes", kind="box")
        distribution.do("SetLimit", programme="box", times=limit, every="week")
        for household in HOUSEHOLDS:
            distribution.do("RegisterHousehold", household=household, size=2)
        self.town.settle()
        at = self.town.now.isoformat()
        for session, hours, room in (("early", 2, {"capacity": 2}), ("late", 5, {})):
            ends = (self.town.now + timedelta(hours=hours)).isoformat()
            fields = {"programme": "box", "site": "hall", "name": session, "starts_at": at, "ends_at": ends, **room}
            distribution.do("ScheduleSession", session=session, **fields)
            distribution.do("OpenSession", session=session)
        for household, wanted in zip(HOUSEHOLDS, orders, strict=False):
            self.order(household, "late", wanted, True, None)
        if settled:
            self.town.settle()

    def attempt(self, name: str, service: str = "distribution", **fields: Any) -> None:
        """What a person does; it may be refused."""
        self.town.later(minutes=1)
        with suppress(Rejected):
            self.town.services[service].do(name, **{k: v for k, v in fields.items() if v is not None})

    def new(self, kind: str) -> str:
        self.last += 1
        return f"{kind}{self.last}"

    def has(self, category: str) -> bool:
        return any(ref.category == category for ref in self.town.distribution.states)

    def pick(self, category: str, number: int) -> str:
        """The id of an order or a box that is not over, if there is one and the number is small; else of any."""
        states = {ref.id: state for ref, state in self.town.distribution.states.items() if ref.category == category}
        if category == "order":
            stage = Stage.PLACED if number % 5 == 0 else Stage.CONFIRMED
            lively = [id for id, order in states.items() if order.stage is stage]
        else:
            lively = [id for id, box in states.items() if box.where is Where.PACKED]
        ids = lively if lively and number < 30 else [*states]
        return ids[number % len(ids)] if ids else "nothing"

    def receive(self, item: str, quantity: int, lot: str | None) -> None:
        line = {"quantity": quantity} | ({"lot": lot} if lot else {})
        self.attempt("ReceiveStock", "inventory", item=item, location="hall", source="donation", lines=[line])

    # -- at the tables ------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(HOUSEHOLDS), session=st.sampled_from(("early", "late")), wanted=wishes, confirm=mostly,
          override=st.sampled_from((None, None, "Twins.")))  # fmt: skip
    def order(
        self, who: str, session: str, wanted: dict[str, int], confirm: bool, override: str | None
    ) -> None:  # fmt: skip
        lines = [{"item": item, "quantity": quantity} for item, quantity in wanted.items()]
        order = self.new("o")
        self.attempt("PlaceOrder", order=order, household=who, session=session, lines=lines)
        if confirm:
            self.attempt("ConfirmOrder", order=order, override_reason=override)

    @precondition(lambda self: self.has("order"))
    @rule(number=numbers)
    def confirm(self, number: int) -> None:
        self.attempt("ConfirmOrder", order=self.pick("order", number))

    @precondition(lambda self: self.has("order"))
    @rule(number=numbers, how=st.sampled_from(("CancelOrder", "RecordNoShow")))
    def end(self, number: int, how: str) -> None:
        self.attempt(how, order=self.pick("order", number), reason="Ill." if how == "CancelOrder" else None)

    @precondition(lambda self: self.has("order"))
    @rule(number=numbers, ready=mostly, listed=st.one_of(st.none(), st.none(), wishes),
          lot=st.sampled_from((None, "A", "B", "UNKNOWN")), hand_out=st.booleans(),
          fact=st.sampled_from((False, False, True)))  # fmt: skip
    def pack(
        self, number: int, ready: bool, listed: dict[str, int] | None, lot: str | None, hand_out: bool, fact: bool
    ) -> None:  # fmt: skip
        if ready:
            self.town.settle()
        of_lot = {"lot": lot} if lot else {}
        lines = [{"item": item, "quantity": quantity, **of_lot} for item, quantity in (listed or {}).items()]
        box = self.new("b")
        self.attempt("PackBox", box=box, order=self.pick("order", number), lines=lines, fact=fact)
        if hand_out:
            self.attempt("HandOutBox", box=box, fact=fact)

    @precondition(lambda self: self.has("box"))
    @rule(number=numbers)
    def unpack(self, number: int) -> None:
        self.attempt("UnpackBox", box=self.pick("box", number), reason="Not wanted.")

    @precondition(lambda self: self.has("box"))
    @rule(number=numbers, fact=st.booleans(), ago=st.sampled_from((None, None, 3, 90)))
    def hand_out(self, number: int, fact: bool, ago: int | None) -> None:
        at = None if ago is None else (self.town.now - timedelta(minutes=ago)).isoformat()
        self.attempt("HandOutBox", box=self.pick("box", number), fact=fact, occurred_at=at)

    @precondition(lambda self: self.has("box"))
    @rule(number=numbers)
    def reverse_hand_out(self, number: int) -> None:
        out = [event.box for event in self.town.distribution.of(BoxHandedOut)]
        box = out[number % len(out)] if out else self.pick("box", number)
        self.attempt("ReverseHandOut", box=box, reason="The wrong box was scanned.")

    @rule(number=numbers)
    def looked_at(self, number: int) -> None:
        """Somebody finds that what was unpacked had been kept cold."""
        boxes = [event.box for event in self.town.distribution.of(BoxUnpacked)]
        if boxes:
            hold = f"unpacked-{boxes[number % len(boxes)]}"
            self.attempt("ReleaseHold", "inventory", item="milk", location="hall", hold=hold)

    @rule(who=st.sampled_from((*HOUSEHOLDS, None)), wanted=wishes, fact=st.booleans(),
          ago=st.sampled_from((None, None, 90)), override=st.sampled_from((None, None, "Twins.")))  # fmt: skip
    def visit(
        self, who: str | None, wanted: dict[str, int], fact: bool, ago: int | None, override: str | None
    ) -> None:  # fmt: skip
        self.attempt(
            "RecordVisit", visit=self.new("v"), household=who, programme="box", period="2026-W47", session="late",
            lines=[{"item": item, "quantity": quantity} for item, quantity in wanted.items()], people={"adult": 1},
            fact=fact, override_reason=override,
            occurred_at=None if ago is None else (self.town.now - timedelta(minutes=ago)).isoformat(),
        )  # fmt: skip

    @rule(number=numbers)
    def reverse(self, number: int) -> None:
        visits = self.town.distribution.of(VisitRecorded)
        if visits:
            visit = visits[number % len(visits)]
            of = {"household": visit.household, "programme": visit.programme, "period": visit.period}
            self.attempt("ReverseVisit", visit=visit.visit, reason="The wrong card.", **of)

    @rule(
        what=st.sampled_from(("close", "limit", "minute", "minute", "minute", "minute", "hour", "hours")),
        number=numbers,
    )
    def time_passes(self, what: str, number: int) -> None:
        match what:
            case "close":
                self.attempt("CloseSession", session=("early", "late")[number % 2], end_orders=True)
            case "limit":
                every = "week" if number % 4 else "month"
                self.attempt("SetLimit", programme="box", times=1 + number % 3, every=every)
            case _:
                self.town.later(minutes={"minute": 1, "hour": 60, "hours": 240}[what])

    # -- at the shelf -------------------------------------------------------------------------------------------------

    @rule(item=st.sampled_from(ITEMS), quantity=st.integers(1, 9), lot=st.sampled_from((None, "A", "B")),
          what=st.sampled_from(("arrives", "arrives", "leaves", "recalled", "counted")))  # fmt: skip
    def at_the_shelf(self, item: str, quantity: int, lot: str | None, what: str) -> None:
        here = {"item": item, "location": "hall"}
        match what:
            case "arrives":
                self.receive(item, quantity, lot)
            case "leaves":
                gone = {"purpose": "meal", "lines": [{"quantity": quantity}], "already_left": True}
                self.attempt("IssueStock", "inventory", **here, **gone)
            case "recalled":
                scope = {"lots": [lot or "A"]}
                self.attempt(
                    "RecallLot", "inventory", item=item, recall=self.new("r"), scope=scope, reason="Glass in it."
                )
            case _:
                count = self.new("c")
                self.attempt("StartCount", "inventory", count=count, location="hall", items=[item])
                lines = [{"quantity": quantity - 1, "lot": "A"}]
                self.attempt("RecordCount", "inventory", **here, count=count, lines=lines)
                with suppress(Rejected):
                    self.town.inventory.do("ApproveCount", actor="ben", **here, count=count)

    # -- between them -------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 2), events=st.integers(1, 30))
    def read(self, which: int, events: int) -> None:
        self.town.read(self.town.couriers[which], events)

    @rule(which=st.integers(0, 2), number=numbers, times=st.integers(1, 12), fate=st.sampled_from(FATES))
    def send(self, which: int, number: int, times: int, fate: str) -> None:
        courier = self.town.couriers[which]
        for _ in range(times):
            targets = list(courier.queues)
            if targets:
                self.town.send(courier, targets[number % len(targets)], fate)

    @rule(number=numbers)
    def arrive_late(self, number: int) -> None:
        if self.town.late:
            self.town.arrive_late(number)

    @rule(which=st.integers(0, 2))
    def kill(self, which: int) -> None:
        self.town.restart(self.town.couriers[which])

    @rule()
    def settle(self) -> None:
        self.town.settle()
        agrees(self.town)

    def teardown(self) -> None:
        if hasattr(self, "town"):
            self.town.settle()
            while self.town.late:
                self.town.arrive_late(0)
            for courier in self.town.couriers:
                self.town.restart(courier)
            self.town.settle()
            agrees(self.town)


# -- what must be so in the end ---------------------------------------------------------------------------------------


def agrees(town: Town) -> None:
    """Nothing is on its way any more: the two services say the same."""
    packed = {
        box.packed.order
        for ref, box in town.distribution.states.items()
        if ref.category == "box" and box.where is Where.PACKED
    }
    every_order_is_settled(town, packed)
    what_left_is_what_was_given(town)
    nobody_is_served_too_often(town)
    what_was_cold_is_looked_at(town)
    nothing_is_remembered_for_ever(town)
    what_is_set_aside_is_known(town)
    again = {event.order for event in town.distribution.of(SlotBooked) if event.again}
    booked = town.distribution.state("session", "early").booked.keys() - again
    assert len(booked) <= 2, "more are expected than there is room for"
    refused = [
        event
        for event in town.distribution.of(ProcessStepRefused)
        if not town.distribution.state("process", event.step).resolved
    ]
    assert {event.code for event in refused} <= {*people_look, *mendable(refused)}, refused


def mendable(refused: list[ProcessStepRefused]) -> set[str]:
    """Codes of refusals by inventory that say why its books, as they are, need a person."""
    return {
        event.code
        for event in refused
        if (event.command == "ReverseMovement" and event.code in (E.BREAKS_LATER_MOMENT, E.UNKNOWN_MOVEMENT))
        or (event.command == "SetApart" and event.code == E.UNKNOWN_LOT)
    }


def every_order_is_settled(town: Town, packed: set[str]) -> None:
    """What is open is booked; of what is over nothing is reserved, unless it is in a box, and no claim counts."""
    handed: Counter[str] = Counter(
        box.packed.order
        for ref, box in town.distribution.states.items()
        if ref.category == "box" and box.where is Where.HANDED_OUT
    )
    reserved = {
        order_of(reservation)
        for ref, stock in town.inventory.states.items()
        if ref.category == "stock"
        for reservation in stock.reservations
    }
    for placed in town.distribution.of(OrderPlaced):
        order = town.distribution.state("order", placed.order)
        claims = town.distribution.state("entitlement", f"{placed.household}:box:{placed.period}").claims
        booked = placed.order in town.distribution.state("session", placed.session).booked
        of_boxes = {
            claim_of_box(event.box, event.hand_out)
            for event in town.distribution.of(BoxHandedOut)
            if event.order == placed.order
        }
        counting = (placed.order in claims) + len(of_boxes & claims)
        match order.stage:
            case Stage.PLACED:
                assert booked and not counting and placed.order not in reserved
            case Stage.CONFIRMED:
                assert booked and counting == 1 and placed.order in claims and not handed[placed.order]
            case Stage.CANCELLED | Stage.NO_SHOW:
                assert not booked and not counting and not handed[placed.order]
                assert placed.order not in reserved or placed.order in packed
            case Stage.COMPLETED:
                assert not booked and counting == handed[placed.order] >= 1
                assert placed.order not in reserved or placed.order in packed


def what_left_is_what_was_given(town: Town) -> None:
    """Of each box and visit exactly its goods left, once, from the ledger or beyond it; of what was reversed none."""
    issued: Counter[tuple[str, str]] = Counter()
    for event in town.inventory.events:
        if isinstance(event.data, StockIssued) and event.data.recipient is not None:
            left = sum(move.unrecorded - move.change for move in event.data.moves)
            stock = town.inventory.state("stock", f"{event.data.item}:{event.data.location}")
            if event.revision not in stock.reversed or not was_undone(town, event.data, event.revision):
                issued[event.data.recipient, event.data.item] += left
    given: Counter[tuple[str, str]] = Counter()
    for event in town.distribution.events:
        match event.data:
            case BoxHandedOut(box=box) | HandOutReversed(box=box):
                change = 1 if isinstance(event.data, BoxHandedOut) else -1
                for line in town.distribution.state("box", box).packed.packed:
                    given[box, line.item] += change * line.quantity
            case VisitRecorded() as visited:
                for line in visited.goods:
                    given[fulfilment_of_visit(visited.visit), line.item] += line.quantity
            case VisitReversed() as back:
                for (whom, item), quantity in list(given.items()):
                    given[whom, item] = 0 if whom == fulfilment_of_visit(back.visit) else quantity
    undone = {fulfilment_of_visit(event.visit) for event in town.distribution.of(VisitReversed)}
    undone |= {event.box for event in town.distribution.of(HandOutReversed)}
    refused = {event.target for event in town.distribution.of(ProcessStepRefused) if event.command == "ReverseMovement"}
    for whom, item in given | issued:
        if whom not in undone or f"stock/{item}:hall" not in refused:
            assert issued[whom, item] == given[whom, item], (whom, item)


def was_undone(town: Town, issued: StockIssued, revision: int) -> bool:
    return any(
        (event.item, event.location, event.movement) == (issued.item, issued.location, revision)
        for event in town.inventory.of(MovementReversed)
    )


def nobody_is_served_too_often(town: Town) -> None:
    """Beyond the limit there is an override, or a fact that says so."""
    counting: dict[str, set[str]] = {}
    for event in town.distribution.events:
        if event.category != "entitlement":
            continue
        now = counting.setdefault(event.envelope.subject, set())
        match event.data:
            case EntitlementReleased() as released:
                now.remove(released.claim)
                assert released.used == len(now)
            case VisitReversed() as undone:
                now.remove(f"visit {undone.visit}")
                assert undone.used == len(now)
            case EntitlementClaimed() as claimed:
                now.add(claimed.claim)
                assert claimed.used == len(now)
                over = claimed.limit is not None and claimed.used > claimed.limit
                assert claimed.over is over
                assert not over or claimed.override_reason or claimed.fact
            case VisitRecorded() as visited:
                now.add(f"visit {visited.visit}")
                assert visited.used == len(now)
                over = visited.limit is not None and visited.used > visited.limit and visited.household is not None
                assert not over or visited.override_reason or "LIMIT_REACHED" in visited.breaches


def what_was_cold_is_looked_at(town: Town) -> None:
    """Of each box that was unpacked, what must be kept cold was held for somebody: just that, or its lots whole."""
    held: Counter[str] = Counter()
    for event in town.inventory.of(StockRepacked, StockHeld):
        if isinstance(event, StockRepacked):
            assert event.hold is not None and event.item == "milk"
            held[event.hold] = sum(line.quantity for line in event.into)
        elif event.hold.startswith("unpacked-"):
            held[event.hold] = sum(line.quantity for line in event.lines)
    unpacked = town.distribution.of(BoxUnpacked)
    assert held.keys() <= {f"unpacked-{event.box}" for event in unpacked}
    refused = [event for event in town.distribution.of(ProcessStepRefused) if event.command == "SetApart"]
    wanted = {
        f"unpacked-{event.box}": sum(line.quantity for line in event.packed if line.item == "milk")
        for event in unpacked
    }
    missing = [hold for hold, quantity in wanted.items() if held[hold] != quantity]
    assert len(missing) <= len(refused), missing


def nothing_is_remembered_for_ever(town: Town) -> None:
    """Once all is said, the manager knows of orders only what may follow from them yet, and of what left nothing."""
    (manager,) = (one for one in town.couriers[0].managers if isinstance(one, Fulfilling))
    assert not manager._issuing
    boxes = [(box.packed.order, box.where) for ref, box in town.distribution.states.items() if ref.category == "box"]
    for id in manager._orders:
        of_it = [where for order, where in boxes if order == id]
        opened = town.distribution.state("order", id).stage in (Stage.PLACED, Stage.CONFIRMED)
        assert opened or Where.PACKED in of_it, (id, manager._orders[id])
    steps = {id for order in manager._orders.values() for id in order.steps}
    assert manager._sent.keys() <= steps


def what_is_set_aside_is_known(town: Town) -> None:
    """Distribution knows of each order just the lots that inventory has set aside for it."""
    there: dict[str, Counter[tuple[str, str]]] = {}
    for ref, stock in town.inventory.states.items():
        if ref.category == "stock":
            for id, reservation in stock.reservations.items():
                for key, quantity in reservation.lots.items():
                    lot = stock.rows[key].ref.lot or "UNKNOWN"
                    there.setdefault(order_of(id) or "", Counter())[ref.id.partition(":")[0], lot] += quantity
    for ref, fulfilment in town.distribution.states.items():
        if ref.category == "fulfilment":
            known = Counter({(lot.item, lot.lot): lot.quantity for lot in fulfilment.lots()})
            assert known == there.get(ref.id, Counter()), ref.id


Fulfilment.TestCase.settings = settings(  # as many examples as the profile says
    stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFulfilment = Fulfilment.TestCase
