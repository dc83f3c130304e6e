"""The check of the fault tests: it finds what is lost, what is another and what is there twice."""

from __future__ import annotations

import json

import pytest

from tests.support.acknowledged import Answered, Answers, wrong

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
