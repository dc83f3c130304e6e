"""When what a command reports happened, by the clock of who sends it and by that of who decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.decider import Context
from shared.errors import Rejected

TOLERANCE: Final = timedelta(minutes=5)
"""How far two clocks may differ: a moment so far ahead is still now, one so far back is not yet late."""


def happened_at(occurred_at: datetime | None, context: Context, future: StrEnum) -> datetime:
    """When a command's fact happened: as it says, or now. Refuses what is yet to come, with the code `future`."""
    if occurred_at is None:
        return context.now
    if occurred_at > context.now + TOLERANCE:
        raise Rejected(
            future,
            f"occurred_at is {occurred_at:%Y-%m-%d %H:%M} UTC, which is yet to come (it is "
            f"{context.now:%Y-%m-%d %H:%M} UTC). Record what has happened; leave occurred_at out for now.",
            occurred_at=occurred_at.isoformat(), now=context.now.isoformat(),
        )  # fmt: skip
    return occurred_at


def is_late(occurred_at: datetime | None, context: Context) -> bool:
    """Whether a command reports something that was over before it was sent."""
    return occurred_at is not None and occurred_at < context.now - TOLERANCE
