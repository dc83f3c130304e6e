"""No event that is stored somewhere becomes unreadable, and none is written otherwise, without somebody deciding so."""

from __future__ import annotations

import msgspec
import pytest

from shared.contract import Contract, EventSpec
from shared.event import decode
from tests.support.golden import FOLDER, held_of, lines_of, path_of, specs

NEWEST = [pytest.param(contract, spec, id=spec.type) for contract, spec in specs()]
EVERY = [
    pytest.param(contract, spec, contract.event_type(spec.name, version), id=contract.event_type(spec.name, version))
    for contract, spec in specs()
    for version in range(1, spec.version + 1)
]

HOW = (
    "Stored events have the old bytes. Raise the event's version and add an upcaster from the one before, then run "
    "`python -m tests.support.golden`. (Only an event that was never released may have its file deleted first.)"
)


@pytest.mark.parametrize(("contract", "spec", "type_"), EVERY)
def test_every_version_is_still_read(contract: Contract, spec: EventSpec, type_: str) -> None:
    assert path_of(type_).exists(), f"{type_} has no golden bytes. Run `python -m tests.support.golden`."
    lines = path_of(type_).read_bytes().splitlines()
    assert len(lines) == 2
    for raw in lines:
        recorded = decode(raw, contract=contract)
        assert recorded.type == type_
        assert type(recorded.data) is spec.cls, HOW
        held_of(recorded.data, contract)  # what is sealed as a value is read too: no upcaster opens it


@pytest.mark.parametrize(("contract", "spec"), NEWEST)
def test_the_newest_version_is_written_in_the_same_bytes(contract: Contract, spec: EventSpec) -> None:
    lines = path_of(spec.type).read_bytes().splitlines()
    assert lines == lines_of(contract, spec), f"{spec.type} is not what it was. {HOW}"
    for raw in lines:
        recorded = decode(raw, contract=contract)
        assert msgspec.json.encode(recorded.data) == bytes(recorded.envelope.data), (
            f"{spec.type} loses something. {HOW}"
        )


def test_no_event_was_taken_away() -> None:
    known = {contract.event_type(spec.name, v) for contract, spec in specs() for v in range(1, spec.version + 1)}
    assert {path.name.removesuffix(".jsonl") for path in FOLDER.glob("*.jsonl")} <= known
