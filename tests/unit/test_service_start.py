"""A start waits for streams that have no leader yet, and not for ever."""

from __future__ import annotations

import re

import pytest
from prometheus_client import REGISTRY

from services.inventory.contract import inventory
from shared import reception, service
from shared.errors import Busy, Misconfigured
from shared.settings import Settings
from tests.support.figures import ALERTS


async def test_a_stream_without_a_leader_is_asked_again() -> None:
    outcomes: list[Exception | str] = [Busy("The bucket could not be read."), "read"]

    async def step() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert await service._patiently(step) == "read"


@pytest.mark.parametrize("error", [Busy("for ever"), Misconfigured("The master key is missing.")])
async def test_what_does_not_pass_ends_the_start(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PATIENCE_SECONDS", 0.0)

    async def step() -> str:
        raise error

    with pytest.raises(type(error)):
        await service._patiently(step)


def test_errors_that_wake_somebody_are_told_before_the_first() -> None:
    service.Service(inventory, [], Settings())
    rule = next(rule["expr"] for rule in ALERTS if rule["alert"] == "CommandErrors")
    codes = re.findall(r"[A-Z_]+", re.findall(r'code=~"([^"]+)"', rule)[0])
    assert sorted(codes) == sorted(reception.ERRORS)
    for code in codes:
        labels = {"service": inventory.service, "code": code}
        assert REGISTRY.get_sample_value("commons_refusals_total", labels) is not None
