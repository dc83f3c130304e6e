"""Rules that several deciders of distribution share: moments, days, who may be served, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from services.distribution.contract import (
    CATALOGUE,
    DistributionError,
    ItemLine,
    PackedLine,
    People,
    Warned,
    Warning,
)
from services.distribution.goods import Catalogue
from services.distribution.household import Household
from services.distribution.programme import Programme
from services.distribution.session import Session
from shared.decider import Context
from shared.errors import Rejected

TOLERANCE: Final = timedelta(minutes=5)
"""How far two clocks may differ: a moment so far ahead is still now, one so far back is not yet late."""


def rejected(code: DistributionError, detail: str, **facts: Any) -> Rejected:
    """A refusal, to be raised."""
    return Rejected(code, detail, **facts)
