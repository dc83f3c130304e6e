"""Time that tests let pass for the cache of aggregates, in place of waiting."""

from __future__ import annotations

import time

import pytest

from shared import cache


class Elapsed:
    """A monotonic clock that is set forward by so many seconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        patch.setattr(cache, "time", self)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += seconds
