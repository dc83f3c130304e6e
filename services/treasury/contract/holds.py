"""Holds: an entry in two phases. What is held cannot be spent on anything else, and is not yet spent.

A hold counts against accounts that are guarded and against restricted funds until an event ends it: posted (in whole
or in part), voided, or expired. No balance reads the clock: a hold whose time is over counts until its HoldExpired.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.treasury.contract.base import (
    MAX_POSTINGS,
    Date,
    ExpenseId,
    HoldId,
    Id,
    Journal,
    Moment,
    Note,
    Posting,
    Postings,
    Text,
    command,
    event,
)


@event(category="book")
class HoldPlaced:
    """An entry was set aside: `debits` and `credits` as they are to be posted. `expense` is what it is to pay."""

    book: Id
    hold: HoldId
    debits: tuple[Posting, ...]
    credits: tuple[Posting, ...]
    expires_at: Moment | None = None
    description: Text | None = None
    expense: ExpenseId | None = None
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(HoldPlaced,))
class PlaceHold:
    """Set money aside for an entry that is to come. Refused when it is not there, or a fund may not pay for it.

    For an `expense` it is just what was approved, once, and without an end.
    """

    book: Id
    hold: HoldId
    debits: Postings
    credits: Postings
    expires_at: Moment | None = None
    description: Text | None = None
    expense: ExpenseId | None = None
    occurred_at: Moment | None = None


@event(category="book")
class HoldPosted(Journal):
    """A hold became an entry, in whole or in part; what was not posted is free again."""

    hold: HoldId
    part_debits: tuple[Posting, ...] = ()
    part_credits: tuple[Posting, ...] = ()
    description: Text | None = None
    reference: Text | None = None


@command(category="book", aggregate="book", makes=(HoldPosted,))
class PostHold:
    """Post a hold: all of it, or the part given, in which nothing is above what is held for its account and fund."""

    book: Id
    hold: HoldId
    entry: Id
    date: Date | None = None
    part_debits: Annotated[tuple[Posting, ...], Field(max_length=MAX_POSTINGS)] = ()
    part_credits: Annotated[tuple[Posting, ...], Field(max_length=MAX_POSTINGS)] = ()
    description: Text | None = None
    reference: Text | None = None


@event(category="book")
class HoldVoided:
    """What was held is free again, and nothing was posted."""

    book: Id
    hold: HoldId
    reason: Note
    expense: ExpenseId | None = None
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(HoldVoided,))
class VoidHold:
    """Free what is held, posting nothing. What is held for an expense is freed when that is not approved any more."""

    book: Id
    hold: HoldId
    reason: Note
    occurred_at: Moment | None = None


@event(category="book")
class HoldExpired:
    """What was held is free again: its time was over. What is held for an expense has no end, and never expires."""

    book: Id
    hold: HoldId
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(HoldExpired,))
class ExpireHold:
    """Free what is held, its time being over; sent by a process manager."""

    book: Id
    hold: HoldId
    occurred_at: Moment | None = None


__all__ = [
    "ExpireHold",
    "HoldExpired",
    "HoldPlaced",
    "HoldPosted",
    "HoldVoided",
    "PlaceHold",
    "PostHold",
    "VoidHold",
]
