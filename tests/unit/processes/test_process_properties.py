"""Whatever happens in whatever order: the same events lead to the same commands, and no recalled lot is left unheld."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.inventory.contract import HoldReason
from services.inventory.processes import managers
from shared.decider import Ref
from shared.errors import Rejected
from shared.event import Recorded
from shared.manager import Manager, Step
from tests.support.following import command, ids, replay, shown
from tests.support.pantry import Pantry

LOTS = ("A", "a-", "B", None)

Action = tuple[int, int, int, int]
"""A kind of action, and three small numbers that it is made from."""

actions = st.lists(
    st.tuples(st.integers(0, 14), st.integers(0, 2), st.integers(0, 3), st.integers(1, 9)), min_size=8, max_size=60
)


class World:
    """A pantry with all of inventory's managers, which read and send when it suits them.

    `prefix` keeps its ids apart from another's; `refused` are the managers' steps that were refused.
    """

    def __init__(self, prefix: str = "") -> None:
        self.item = f"{prefix}rice"
        self.places = [f"{prefix}{name}" for name in ("north", "south", "east")]
        self.pantry = Pantry()
        self.pantry.do("RegisterItem", item=self.item, name="Rice", unit="each")
        self.pantry.do("RegisterItem", item=f"{self.item}-bag", name="Rice in bags", unit="each")
        for place in self.places:
            self.pantry.do("OpenLocation", location=place, name="A room", kind="store", minimum=0, maximum=50)
        self.managers = managers()
        self.queues: list[deque[Step]] = [deque() for _ in self.managers]
        self.read = 0
        self.before_recall: Any = None
        self.refused: list[tuple[Manager, Step, str]] = []

    def follow(self, send: int) -> None:
        """The managers read all that is new, and each sends some of its steps."""
        while self.read < len(self.pantry.events):
            self.read += 1
            for manager, queue in zip(self.managers, self.queues, strict=True):
                queue.extend(shown(manager, self.pantry.events[self.read - 1]))
        for manager, queue in zip(self.managers, self.queues, strict=True):
            queue.extend(manager.due(self.pantry.now))
            for _ in range(min(send, len(queue))):
                step = queue.popleft()
                if not manager.moot(step):
                    name, fields = command(step)
                    code = self.attempt(name, actor=manager.name, **fields)
                    if code is not None and code not in step.met_by:
                        self.refused.append((manager, step, code))

    def settle(self) -> None:
        while self.read < len(self.pantry.events) or any(self.queues):
            self.follow(1000)

    def attempt(self, name: str, **fields: Any) -> str | None:
        """Send a command; the code if it is refused."""
        try:
            self.pantry.do(name, **fields)
        except Rejected as refusal:
            return str(refusal.code)
        return None

    def act(self, number: int, action: Action) -> None:
        kind, where, which, size = action
        self.pantry.later(minutes=7)
        at = {"item": self.item, "location": self.places[where]}
        other, lot = self.places[(where + 1) % 3], LOTS[which]
        receipt = {**at, "source": "donation", "lines": [{"lot": lot, "quantity": size * 5}]}
        transfer = f"{at['location']}-{which}"
        recall = {"item": self.item, "recall": f"rc{which % 2}"}
        kinds: list[Callable[[], Any]] = [
            lambda: self.attempt("ReceiveStock", **receipt),
            lambda: self.attempt("ReceiveStock", **receipt, occurred_at=self.pantry.now - timedelta(hours=1)),
            lambda: self.unaware("ReceiveStock", receipt),
            lambda: self.attempt("AdjustStock", **at, reason="found", lines=[{"lot": lot, "change": size}]),
            lambda: self.attempt("IssueStock", **at, purpose="meal", lines=[{"quantity": size * 9}]),
            lambda: self.attempt(
                "ReserveStock", **at, reservation=f"r{number}", quantity=size, purpose="meal",
                due_at=self.pantry.now + timedelta(minutes=size * 10),
            ),
            lambda: self.attempt(
                "DispatchTransfer", **at, transfer=transfer, destination=other, lines=[{"quantity": size}],
                expected_by=self.pantry.now + timedelta(minutes=size * 10),
            ),
            lambda: self.attempt(
                "ReceiveTransfer", item=self.item, location=other, transfer=transfer, origin=at["location"]
            ),
            lambda: self.attempt(
                "RepackStock", **at, lines=[{"quantity": size}], into=[{"item": f"{self.item}-bag", "quantity": 1}]
            ),
            lambda: self.attempt("RecallLot", **recall, scope={"lots": ["A"]} if which < 2 else {}, reason="glass"),
            lambda: self.attempt("LiftRecall", **recall, reason="a mistake"),
            lambda: self.attempt("QuarantineLot", item=self.item, quarantine=f"q{which}", lot="B", reason="odd"),
            lambda: self.attempt("ReleaseLot", item=self.item, quarantine=f"q{which}", reason="fine"),
            lambda: self.attempt("RecordTemperature", location=at["location"], temperature=size * 10),
            lambda: self.follow(size),
        ]  # fmt: skip
        if kind == 9:
            self.before_recall = copy.deepcopy(self.pantry.state("lot", self.item))
        kinds[kind]()

    def unaware(self, name: str, fields: dict[str, Any]) -> None:
        """Somebody decides on the lots as they were before the last recall, and is stored behind it."""
        if self.before_recall is not None:
            lots, ref = self.pantry.state("lot", self.item), Ref("lot", self.item)
            self.pantry.states[ref] = self.before_recall
            self.attempt(name, **fields)
            self.pantry.states[ref] = lots


def played(history: list[Action], prefix: str = "") -> World:
    world = World(prefix)
    for number, action in enumerate(history):
        world.act(number, action)
    world.settle()
    return world


def wanted(events: list[Recorded]) -> dict[str, list[str]]:
    """The ids of the steps that follow from events, by manager."""
    return {manager.name: ids(manager, replay(manager, events)) for manager in managers()}


@settings(max_examples=150, deadline=None)
@given(actions)
def test_recalled_lots_are_held_and_others_are_not(history: list[Action]) -> None:
    world = played(history)
    lots = world.pantry.state("lot", world.item)
    for place in world.places:
        stock = world.pantry.state("stock", f"{world.item}:{place}")
        for _, row in stock.shelf():
            assert set(lots.recalled(row.ref)) <= set(row.holds)
            assert set(lots.quarantined(row.ref)) <= set(row.holds)
        over = set(lots.lifted) | set(lots.released)
        assert not over & set(stock.holds)


@settings(max_examples=100, deadline=None)
@given(actions)
def test_reservations_end_and_transfers_are_noted(history: list[Action]) -> None:
    world = played(history)
    world.pantry.later(days=1)
    world.follow(1000)
    world.settle()
    for place in world.places:
        assert world.pantry.state("stock", f"{world.item}:{place}").reservations == {}
    for name in (f"{place}-{number}" for place in world.places for number in range(4)):
        transfer = world.pantry.state("transfer", name)
        assert transfer.overdue or not transfer.due()


@settings(max_examples=100, deadline=None)
@given(actions)
def test_what_a_manager_is_refused_has_become_needless(history: list[Action]) -> None:
    """So that a refusal which is tried again after a moment, as the kernel does, never reaches a person for nothing."""
    world = played(history)
    assert [(code, step) for manager, step, code in world.refused if not manager.moot(step)] == []


@settings(max_examples=50, deadline=None)
@given(actions, st.data())
def test_the_same_events_lead_to_the_same_commands(history: list[Action], data: st.DataObject) -> None:
    """Read again from the start, cut anywhere, each shown twice."""
    events = played(history).pantry.events
    steps = wanted(events)
    assert all(len(set(of_one)) == len(of_one) for of_one in steps.values())
    cut = data.draw(st.integers(0, len(events)))
    first, again = managers(), managers()
    for before, after in zip(first, again, strict=True):
        until_cut = ids(before, replay(before, events[:cut]))
        assert ids(after, replay(after, events))[: len(until_cut)] == until_cut
    twice = wanted([event for event in events for _ in range(2)])
    assert {name: set(found) for name, found in twice.items()} == {name: set(found) for name, found in steps.items()}


@settings(max_examples=50, deadline=None)
@given(actions, actions, st.randoms(use_true_random=False))
def test_what_happens_elsewhere_changes_no_command(one: list[Action], two: list[Action], chance: random.Random) -> None:
    """Two organisations' worth of events in one stream, interleaved in any way."""
    ours, theirs = played(one, "a-").pantry.events, played(two, "b-").pantry.events
    left, right, mixed = deque(ours), deque(theirs), []
    while left or right:
        event = (left if left and (not right or chance.random() < 0.5) else right).popleft()
        mixed.append(replace(event, sequence=len(mixed) + 1))
    apart, together = (wanted(ours), wanted(theirs)), wanted(mixed)
    for name, of_one in together.items():
        assert set(of_one) == set(apart[0][name]) | set(apart[1][name])


def test_no_two_managers_share_a_name() -> None:
    names = [manager.name for manager in managers()]
    assert len(set(names)) == len(names)
    assert all(isinstance(manager, Manager) for manager in managers())


def test_a_hold_of_a_recall_says_so() -> None:
    """The steps carry the reason that the decider looks for."""
    world = played([(0, 0, 0, 5), (9, 0, 0, 1)])
    assert world.pantry.state("stock", f"{world.item}:north").holds["rc0"].reason is HoldReason.RECALL
