"""How a decision of distribution says no, and the moments that several deciders look at."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.distribution.contract import DistributionError
from shared.decider import Context
from shared.errors import Rejected
from shared.moments import happened_at


def rejected(code: DistributionError, detail: str, **facts: Any) -> Rejected:
    """A refusal, to be raised."""
    return Rejected(code, detail, **facts)


def waits(review: bool | None, what: str) -> bool:
    """Whether a review is open still; None is that there was never anything to look into. Refuses that."""
    if review is None:
        raise rejected(
            DistributionError.NOTHING_TO_REVIEW,
            f"{what} is not for review: nothing is known that is wrong with it. Look it up among the review items.",
        )
    return review


def when(occurred_at: datetime | None, context: Context) -> datetime:
    """When a command's fact happened: as it says, or now. Refuses the future."""
    return happened_at(occurred_at, context, DistributionError.OCCURRED_IN_FUTURE)


def local_day(moment: datetime, utc_offset: int) -> date:
    """The calendar day at a place whose clock is so many minutes east of UTC."""
    return (moment.astimezone(UTC) + timedelta(minutes=utc_offset)).date()
