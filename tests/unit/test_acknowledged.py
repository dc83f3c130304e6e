"""The check of the fault tests: it finds what is lost, what is another and what is there twice."""

from __future__ import annotations

import json

import pytest

from tests.support.acknowledged import Answered, Answers, Fulfilment, unfulfilled, wrong

ACKNOWLEDGED = [
    Answered("inventory", "c1", 1.0, 2.0, "e1", 1), Answered("inventory", "c2", 2.0, 3.0, "e2", 2),
    Answered("inventory", "c3", 2.0, 3.0, None, 0, "NOT_ENOUGH", 409), Answered("clinic", "c1", 2.0, 3.0, "f1", 1),
]  # fmt: skip
EVENTS = {"inventory": {1: "e1", 2: "e2", 3: "e3"}, "clinic": {1: "f1"}}


def test_all_that_was_acknowledged_is_there() -> None:
    assert wrong(ACKNOWLEDGED, EVENTS) == []


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({**EVENTS, "inventory": {1: "e1"}}, "c2 was acknowledged as event e2 at 2 of inventory, where nothing is"),
        ({**EVENTS, "clinic": {1: "other"}}, "c1 was acknowledged as event f1 at 1 of clinic, where other is"),
        ({**EVENTS, "inventory": {1: "e1", 2: "e2", 3: "e1"}}, "event e1 is in inventory more than once"),
        ({**EVENTS, "inventory": {1: "e1", 2: "e2", 4: "e4"}}, "the stream of inventory has a gap"),
        ({"inventory": EVENTS["inventory"]}, "c1 was acknowledged as event f1 at 1 of clinic, where nothing is"),
    ],
)  # fmt: skip
def test_what_is_lost_another_or_twice_is_said(events: dict[str, dict[int, str]], said: str) -> None:
    assert wrong(ACKNOWLEDGED, events) == [said]


CONFIRMED = [
    Answered("distribution", f"c{n}", 1.0, 2.0, f"e{n}", n, command="ConfirmOrder") for n in (1, 2)
] + [Answered("distribution", "c3", 1.0, 2.0, None, 0, "ORDER_ENDED", 409, command="ConfirmOrder")]  # fmt: skip
ORDERS = ["e1 confirmed o1", "e2 confirmed o2"]


def ledger_of(lines: list[str]) -> Fulfilment:
    fulfilment = Fulfilment()
    for line in lines:
        event, *more = line.split()
        fulfilment.take(event, more)
    return fulfilment


def test_the_goods_of_each_confirmed_order_are_set_aside_or_refused_once() -> None:
    assert unfulfilled(CONFIRMED, ledger_of([*ORDERS, "e3", "e4 reserved o1", "e5 refused e2"])) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([*ORDERS, "e4 reserved o1"], "e2, which confirmed o2: goods were set aside 0 times, and refused 0"),
        ([*ORDERS, "e4 reserved o1", "e5 reserved o2", "e6 reserved o2"], "o2: goods were set aside 2 times"),
        ([*ORDERS, "e4 reserved o1", "e5 reserved o2", "e6 refused e2"], "set aside 1 times, and refused 1 times"),
        (["e1 confirmed o1", "e4 reserved o1", "e5 refused e2"], "e2, which confirmed no order"),
    ],
    ids=["missing", "twice", "both", "another event"],
)
def test_goods_that_were_not_set_aside_or_twice_are_said(lines: list[str], said: str) -> None:
    (one,) = unfulfilled(CONFIRMED, ledger_of(lines))
    assert one.startswith("c2 was acknowledged") and said in one


def test_answers_are_taken_in_wherever_a_chunk_ends() -> None:
    lines = [
        {"service": "inventory", "id": "c1", "asked": 1.0, "answered": 1.5, "event": "e1", "sequence": 1},
        {"service": "clinic", "id": "c2", "asked": 2.0, "answered": 2.5, "refused": "ERROR", "status": 500,
         "detail": "x"},
        {"service": "clinic", "id": "c3", "asked": 2.0, "answered": 2.7, "event": "f3", "sequence": 3},
        {"ended": True},
    ]  # fmt: skip
    whole = "".join(json.dumps(line) + "\n" for line in lines).encode() + b"what?\n"
    answers = Answers(whole[at : at + 7] for at in range(0, len(whole), 7))
    answers.join(10)
    taken = [(one.id, one.event, one.refused) for one in answers.all()]
    assert taken == [("c1", "e1", None), ("c2", None, "ERROR"), ("c3", "f3", None)]
    assert answers.ended
    assert answers.errors() == ["clinic c2: ERROR: x", "what?"]
    assert answers.wait_for(["clinic"], 2.0, 1) == 2.7
    with pytest.raises(TimeoutError, match="inventory accepted nothing"):
        answers.wait_for(["inventory"], 1.2, 0.01)
