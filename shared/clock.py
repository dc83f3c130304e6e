"""The one place that reads the wall clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present moment in UTC; tests pass one of their own."""


def utc_now() -> datetime:
    return datetime.now(UTC)
