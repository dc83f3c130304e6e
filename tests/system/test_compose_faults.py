"""Containers die, hang, lose the network and are replaced under steady load: what was acknowledged is there, once.

After each fault: every acknowledged command is on the ledger once, read models equal a fresh fold, `commons verify`
finds nothing, nobody else had to be started again. How long it took is shown at the end and kept in build/faults.json.

COMMONS_FAULTS=all takes every container in turn with every fault, and all pairs: more than an hour.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from tests.support import day
from tests.support.acknowledged import wrong
from tests.support.compose import SERVICES, Stack
from tests.support.faults import Fault, Recovery, UnderLoad, under_load
from tests.support.load import Options

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1200)]

ALL = os.environ.get("COMMONS_FAULTS") == "all"

ROLLED = tuple(one for one in SERVICES if one not in ("nats", "postgres"))

_PAUSE, _CUT = 3.0, 4.0
_TELLING = (("nats", "postgres"), ("nats", "inventory"), ("postgres", "projections"), ("inventory", "distribution"))


def _faults() -> Iterator[Fault]:
    for service in SERVICES:
        yield Fault("kill", (service,))
    for service in SERVICES if ALL else ("nats", "postgres", "distribution"):
        yield Fault("pause", (service,), _PAUSE)
    for service in SERVICES if ALL else ("nats", "inventory"):
        yield Fault("restart", (service,))
    for service in SERVICES if ALL else ("nats", "postgres", "inventory"):
        yield Fault("disconnect", (service,), _CUT)
    for moved in [(service,) for service in SERVICES] if ALL else (("projections",), ("nats", "postgres")):
        yield Fault("move", moved)
    for pair in combinations(SERVICES, 2) if ALL else _TELLING:
        yield Fault("kill", pair)
    for kind in ("pause", "restart", "disconnect") if ALL else ():
        for pair in combinations(SERVICES, 2):
            yield Fault(kind, pair, _CUT)
    yield Fault("restart", SERVICES)
    yield Fault("kill", SERVICES)


@pytest.fixture(scope="module")
def week(stack: Stack) -> None:
    """The demo's week is on the ledger."""
    source = Path(day.__file__).read_text()
    for desk, part in (("operator", "pantry"), ("clinic-operator", "clinic")):
        said = stack.run("run", "--rm", "-T", "--entrypoint", "python", desk, "-c", source, part, seconds=600).stdout
        assert "All is well" in said, said[-4000:]


@pytest.fixture(scope="module")
def at_work(stack: Stack, week: None, recoveries: list[Recovery]) -> Iterator[UnderLoad]:
    with under_load(stack, Options(pace=0.8), recoveries) as one:
        yield one


def test_the_demo_can_be_played_in_containers(stack: Stack, week: None) -> None:
    assert "The ledger is whole" in stack.commons("clinic-operator", "verify").stdout


def test_the_checks_find_a_row_that_was_changed_and_an_answer_that_is_not_there(at_work: UnderLoad) -> None:
    def change(by: int) -> None:
        statement = f"UPDATE read.households SET size = size + {by} WHERE household = 'h-0413'"
        said = at_work.stack.execute("postgres", "psql", "-U", "commons", "-d", "commons", "-c", statement)
        assert said.text.strip() == "UPDATE 1"

    change(+1)
    with pytest.raises(AssertionError, match="households"):
        at_work.verify()
    change(-1)
    at_work.verify()
    acknowledged, events = at_work.answers.all(), at_work.events()
    assert wrong(acknowledged, events) == []
    last = max((one for one in acknowledged if one.event), key=lambda one: one.answered)
    del events[last.service][last.sequence]
    assert wrong(acknowledged, events)[0].startswith(f"{last.id} was acknowledged")


@pytest.mark.parametrize("fault", list(_faults()), ids=str)
def test_what_was_acknowledged_survives(at_work: UnderLoad, fault: Fault) -> None:
    at_work.inflict(fault)


def test_every_service_is_rolled_to_a_new_image_without_a_loss(at_work: UnderLoad) -> None:
    stack = at_work.stack
    with stack.next_image() as image:
        for service in ROLLED:
            at_work.inflict(Fault("roll", (service,)))
            assert stack.container(service).image.tags == [image]
        stack.environment["COMMONS_IMAGE"] = stack.image
        at_work.inflict(Fault("roll", ROLLED))  # and back, all at once, so that the new one can be removed
