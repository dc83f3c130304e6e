"""What the treasury's read models have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from services.treasury.contract import (
    DonationRecorded,
    DuesAssessed,
    DuesReceived,
    DuesWaived,
    EntriesPosted,
    EntryPosted,
    EntryReversed,
    ExpensePaid,
    GiftInKindRecorded,
    HoldPosted,
    Journal,
    PaymentFailed,
    RestrictionReleased,
    YearClosed,
    treasury,
)
from shared.contract import Contract
from shared.projection import Projection

KINDS: Final[Mapping[type, str]] = {
    EntryPosted: "entry",
    EntriesPosted: "entry",
    EntryReversed: "reversal",
    RestrictionReleased: "release",
    YearClosed: "closing",
    HoldPosted: "hold posted",
    ExpensePaid: "expense paid",
    PaymentFailed: "payment failed",
    DonationRecorded: "donation",
    GiftInKindRecorded: "gift in kind",
    DuesAssessed: "dues",
    DuesReceived: "dues paid",
    DuesWaived: "dues waived",
}
"""What an entry is called, by the event that posted it."""


class TreasuryProjection(Projection):
    """A read model of the stream TREASURY. Summing over aggregates, it is incomplete while an event is parked.

    Amounts are integers in minor units: the table `units` says how many decimals that are.
    """

    contracts: ClassVar[Mapping[str, Contract]] = {"TREASURY": treasury}
    sums = True


def events_of(*categories: str) -> frozenset[type]:
    """The events of whole categories of aggregates."""
    return frozenset(spec.cls for spec in treasury.events.values() if spec.category in categories)


def posting_events() -> frozenset[type]:
    """The events that post entries."""
    posting = (Journal, EntriesPosted)
    return frozenset(spec.cls for spec in treasury.events.values() if issubclass(spec.cls, posting))


def taken_back(event: Any) -> str | None:
    """The id of the entry that an event takes back, if it takes one back."""
    return event.reverses if type(event) in (EntryReversed, PaymentFailed) else None
