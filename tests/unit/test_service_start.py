"""A start waits for streams that have no leader yet, and not for ever."""

from __future__ import annotations

import pytest

from shared import service
from shared.errors import Busy, Misconfigured


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
