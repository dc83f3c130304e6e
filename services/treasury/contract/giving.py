"""Donations, gifts in kind and dues, which are entries of the book; and pledges, which are promises and no entry.

    RecordDonation, RecordGiftInKind, AcknowledgeDonation, AssessDues, ReceiveDues, WaiveDues   -> book
    Pledge, EndPledge                                                                          -> pledge

Donors and members are named by the opaque id of their party.
"""

from __future__ import annotations

from enum import StrEnum

from services.treasury.contract.base import (
    DEFAULT_FUND,
    Date,
    Id,
    Journal,
    Moment,
    Money,
    Note,
    Text,
    Unit,
    command,
    event,
)


@event(category="book")
class DonationRecorded(Journal):
    """A gift of money arrived in the account `into`, for a fund, and is income of the account `income`."""

    donor: Id | None = None
    amount: int
    unit: Unit
    fund: Id = DEFAULT_FUND
    into: Id
    income: Id
    pledge: Id | None = None
    reference: Text | None = None
    description: Text | None = None


@command(category="book", aggregate="book", makes=(DonationRecorded,))
class RecordDonation:
    """Record a gift of money; without a donor it is anonymous. Its entry's id names the donation."""

    book: Id
    entry: Id
    donor: Id | None = None
    amount: Money
    unit: Unit
    fund: Id = DEFAULT_FUND
    into: Id
    income: Id
    pledge: Id | None = None
    reference: Text | None = None
    description: Text | None = None
    date: Date | None = None


@event(category="book")
class GiftInKindRecorded(Journal):
    """Goods or services were given: `amount` is their fair value (ASC 958-605), `what` they were.

    `into` is the asset or expense account that has them, `delivery` the delivery in inventory that they came with.
    """

    donor: Id | None = None
    what: Text
    amount: int
    unit: Unit
    fund: Id = DEFAULT_FUND
    into: Id
    income: Id
    delivery: Id | None = None


@command(category="book", aggregate="book", makes=(GiftInKindRecorded,))
class RecordGiftInKind:
    """Record goods or services that were given, at their fair value."""

    book: Id
    entry: Id
    donor: Id | None = None
    what: Text
    amount: Money
    unit: Unit
    fund: Id = DEFAULT_FUND
    into: Id
    income: Id
    delivery: Id | None = None
    date: Date | None = None


@event(category="book")
class DonationAcknowledged:
    """A donor was thanked in writing; `means` says how (letter, e-mail)."""

    book: Id
    donation: Id
    means: Text
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(DonationAcknowledged,))
class AcknowledgeDonation:
    """Record that a gift, of money or in kind, was acknowledged to its donor."""

    book: Id
    donation: Id
    means: Text
    occurred_at: Moment | None = None


# -- dues -------------------------------------------------------------------------------------------------------------


@event(category="book")
class DuesAssessed(Journal):
    """A member owes dues for a `period` (2026, 2026-11, spring), due on `due_on`. The entry's id names the dues."""

    member: Id
    period: Id
    amount: int
    unit: Unit
    fund: Id = DEFAULT_FUND
    receivable: Id
    income: Id
    due_on: Date


@command(category="book", aggregate="book", makes=(DuesAssessed,))
class AssessDues:
    """Ask a member for dues, once for each period; again, under another entry's id, when all of them were waived."""

    book: Id
    entry: Id
    member: Id
    period: Id
    amount: Money
    unit: Unit
    fund: Id = DEFAULT_FUND
    receivable: Id
    income: Id
    due_on: Date
    date: Date | None = None


@event(category="book")
class DuesReceived(Journal):
    """A member paid dues, or a part of them; `remaining` is still owed. `income` is the account they are income of.

    `assessed` is how much was asked for, for `period`.
    """

    dues: Id
    member: Id
    amount: int
    into: Id
    reference: Text | None = None
    income: Id
    period: Id
    assessed: int
    remaining: int


@command(category="book", aggregate="book", makes=(DuesReceived,))
class ReceiveDues:
    """Record that dues were paid, in whole or in part, into an account."""

    book: Id
    entry: Id
    dues: Id
    amount: Money
    into: Id
    reference: Text | None = None
    date: Date | None = None


@event(category="book")
class DuesWaived(Journal):
    """A member need not pay dues, or `waived` of them; `remaining` is still owed.

    `assessed` is how much was asked for, for `period`. When all of it is waived, the period may be assessed anew.
    """

    dues: Id
    member: Id
    amount: int | None = None
    waived: int
    reason: Note
    income: Id
    period: Id
    assessed: int
    remaining: int


@command(category="book", aggregate="book", makes=(DuesWaived,))
class WaiveDues:
    """Release a member from dues: from all that is still owed, or from `amount` of it.

    Dues that were assessed wrongly are waived in whole, and assessed anew.
    """

    book: Id
    entry: Id
    dues: Id
    amount: Money | None = None
    reason: Note
    date: Date | None = None


# -- pledges ----------------------------------------------------------------------------------------------------------


class Every(StrEnum):
    """How often a pledge is to be paid."""

    ONCE = "once"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@event(category="pledge")
class PledgeMade:
    """A donor promised an amount, once or again and again, from `starts` until `ends`, or until it is ended."""

    pledge: Id
    book: Id
    donor: Id
    amount: int
    unit: Unit
    fund: Id = DEFAULT_FUND
    every: Every
    starts: Date
    ends: Date | None = None
    occurred_at: Moment


@command(category="pledge", aggregate="pledge", makes=(PledgeMade,))
class Pledge:
    """Record a promise to give. It is no entry: what arrives is recorded as a donation that names the pledge."""

    pledge: Id
    book: Id
    donor: Id
    amount: Money
    unit: Unit
    fund: Id = DEFAULT_FUND
    every: Every
    starts: Date
    ends: Date | None = None
    occurred_at: Moment | None = None


@event(category="pledge")
class PledgeEnded:
    """A pledge is kept no longer."""

    pledge: Id
    reason: Note
    occurred_at: Moment


@command(category="pledge", aggregate="pledge", makes=(PledgeEnded,))
class EndPledge:
    """End a pledge: the donor withdrew it, or it is fulfilled."""

    pledge: Id
    reason: Note
    occurred_at: Moment | None = None


__all__ = [
    "AcknowledgeDonation", "AssessDues", "DonationAcknowledged", "DonationRecorded", "DuesAssessed", "DuesReceived",
    "DuesWaived", "EndPledge", "Every", "GiftInKindRecorded", "Pledge", "PledgeEnded", "PledgeMade", "ReceiveDues",
    "RecordDonation", "RecordGiftInKind", "WaiveDues",
]  # fmt: skip
