"""What inventory did for one order is noted together where it waits together, and once in whatever company."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.distribution.contract import (
    MAX_LINES,
    GoodsIssued,
    GoodsReserved,
    IssuedGoods,
    NoteBox,
    NoteGoods,
    NoteIssued,
    NoteReserved,
    PackedLine,
    ReservedGoods,
)
from services.distribution.fulfilment import Fulfilment, decide, evolve
from services.distribution.processes.supply import Supply
from shared.decider import Context
from tests.support.following import shown
from tests.support.pantry import Pantry

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


def note(state: Fulfilment, command: Any) -> Any:
    event = decide(command, state, Context(NOW, "supply", None, {}))
    if event is not None:
        evolve(state, event)
    return event


def reserved(item: str, quantity: int = 2, lots: int = 1) -> ReservedGoods:
    lines = tuple(PackedLine(item=item, quantity=quantity, lot=f"L{n}") for n in range(lots))
    return ReservedGoods(item=item, asked=quantity * lots, lots=lines, short=0)


def issued(item: str, movement: int) -> IssuedGoods:
    return IssuedGoods(item=item, quantity=2, site="hall", movement=movement)


def test_notes_of_one_kind_for_one_order_are_one_note() -> None:
    notes = [NoteReserved(order="o1", site="hall", goods=(reserved(item),)) for item in ("rice", "milk", "beans")]
    joined = Supply().joined(notes)
    assert joined == NoteReserved(
        order="o1", site="hall", goods=(reserved("rice"), reserved("milk"), reserved("beans"))
    )
    assert isinstance(note(Fulfilment(), joined), GoodsReserved)


def test_what_does_not_fit_in_an_event_or_is_no_note_of_goods_goes_alone() -> None:
    many = [NoteReserved(order="o1", site="hall", goods=(reserved(f"item-{n}"),)) for n in range(MAX_LINES + 1)]
    assert Supply().joined(many[:-1]) is not None
    assert Supply().joined(many) is None
    of_many_lots = [
        NoteReserved(order="o1", site="hall", goods=(reserved(item, lots=101),)) for item in ("rice", "milk")
    ]
    assert Supply().joined(of_many_lots) is None
    assert Supply().joined([NoteBox(order="o1", box=box, packed=True) for box in ("b1", "b2")]) is None


def test_what_was_noted_before_is_left_out_whoever_it_comes_with() -> None:
    state = Fulfilment()
    note(state, NoteReserved(order="o1", site="hall", goods=(reserved("rice"),)))
    event = note(
        state, NoteReserved(order="o1", site="hall", goods=(reserved("rice", 9), reserved("milk"), reserved("milk", 9)))
    )
    assert event == GoodsReserved(order="o1", site="hall", goods=(reserved("milk"),), occurred_at=NOW)
    assert note(state, NoteReserved(order="o1", site="hall", goods=(reserved("milk"), reserved("rice")))) is None

    note(state, NoteIssued(order="o1", goods=(issued("rice", 4), issued("milk", 4))))
    event = note(state, NoteIssued(order="o1", goods=(issued("rice", 4), issued("rice", 7), issued("rice", 7))))
    assert event == GoodsIssued(order="o1", goods=(issued("rice", 7),), occurred_at=NOW)
    assert note(state, NoteIssued(order="o1", goods=(issued("rice", 7), issued("milk", 4)))) is None
    assert {item: line.issued for item, line in state.lines.items()} == {"rice": 4, "milk": 2}


def test_an_items_weight_is_noted_as_inventory_has_it() -> None:
    """Of a piece, or of 1,000 ml: the reports take a thousandth of it for each ml."""
    pantry = Pantry()
    pantry.do("RegisterItem", item="milk", name="Milk", unit="ml", net_weight=1030)
    (step,) = Supply().react(pantry.events[-1])
    assert isinstance(step.command, NoteGoods)
    assert (step.command.unit, step.command.weight) == ("ml", 1030)


def test_what_left_is_noted_for_the_hand_out_it_was_for() -> None:
    """By the reservation it was taken from, or by the reference it was sent with; the box is who got it."""
    pantry = Pantry().furnish()
    pantry.receive(20, "A")
    for fields in (
        {"reference": "d-o1", "recipient": "b1"}, {"reference": "d2-o1", "recipient": "b1"}, {"recipient": "v-v1"},
        {"recipient": "b1"},
    ):  # fmt: skip
        pantry.issue(1, "A", **fields)
    supply = Supply()
    notes = [
        step.command for event in pantry.events for step in shown(supply, event) if isinstance(step.command, NoteIssued)
    ]
    assert [(one.order, one.box, one.hand_out) for one in notes] == [
        ("o1", "b1", 1), ("o1", "b1", 2), ("v-v1", None, 1)
    ]  # fmt: skip
    assert not any(one.goods[0].reserved for one in notes)
    assert supply.joined(notes[:2]) is None, "they are of two hand-outs"
    assert supply.joined([notes[0], notes[0]]) is not None
