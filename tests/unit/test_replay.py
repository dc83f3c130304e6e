"""docs/examples/replay.py, over any history: the services' own figures, or the event that is wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from services.projections.stock_on_hand import StockOnHand
from tests.support.histories import LOCATIONS, Draft, histories, play
from tests.support.pantry import Pantry, table

Figures = dict[tuple[str, str], int]


def _script() -> Callable[[Iterable[bytes]], Figures]:
    path = Path(__file__).parents[2] / "docs" / "examples" / "replay.py"
    spec = importlib.util.spec_from_file_location("replay_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Iterable[bytes]], Figures] = module.replay
    return found


replay = _script()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_it_arrives_at_the_figures_of_the_services_and_of_the_read_model(history: list[Draft]) -> None:
    pantry = play(history)
    found = replay(event.raw + b"\n" for event in pantry.events)
    shown: Figures = {}
    for row in table(StockOnHand(), pantry.events, "stock_on_hand"):
        key = row["item"], row["location"]
        shown[key] = shown.get(key, 0) + row["on_hand"]
    for location in LOCATIONS:
        assert found["rice", location] == pantry.state("stock", f"rice:{location}").on_hand
        assert found["rice", location] == shown.get(("rice", location), 0)


@pytest.mark.parametrize("wrong", ["changed", "left out", "moved", "put in"])
def test_it_stops_at_an_event_that_does_not_follow(wrong: str) -> None:
    pantry = Pantry().furnish()
    for quantity in (10, 20, 30):
        pantry.receive(quantity, "A")
    raw = [event.raw for event in pantry.events]
    match wrong:
        case "changed":
            raw[-2] = raw[-2].replace(b'"authid":"sam"', b'"authid":"kim"')
        case "left out":
            del raw[-2]
        case "moved":
            raw[-2], raw[-1] = raw[-1], raw[-2]
        case _:
            raw.insert(-1, raw[-2])
    with pytest.raises(SystemExit, match=r"does not follow revision \d of stock/rice:store"):
        replay(raw)


def test_it_stops_at_a_figure_that_the_events_do_not_add_up_to() -> None:
    pantry = Pantry().furnish()
    pantry.receive(10, "A")
    raw = [event.raw for event in pantry.events]
    raw[-1] = raw[-1].replace(b'"on_hand":10', b'"on_hand":11')
    with pytest.raises(SystemExit, match="says 11 of"):
        replay(raw)
