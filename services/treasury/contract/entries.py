"""Entries of a book: posted one by one or many at once, reversed, and released from a restriction.

An entry's id is the caller's own and is used once in a book, whichever command posts it. The same entry sent again is
posted already, and nothing changes; another one under its id is refused, and the field that differs is named.

With `fact`, an entry reports what the bank or the world has done already: limits do not stop it, and those it breaks
are named in the event and wait as review items. Everything else about it must be right all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Final

from pydantic import Field

from services.treasury.contract.base import (
    Breach,
    Date,
    Digest,
    DuesOwed,
    Id,
    Journal,
    Moment,
    Money,
    Note,
    Postings,
    Text,
    TreasuryError,
    Unit,
    command,
    event,
    treasury,
    value,
)
from shared.cutting import Cutter
from shared.types import Parts

MAX_ENTRIES: Final = 8_189
"""Entries of one PostEntries request."""


@event(category="book")
class EntryPosted(Journal):
    """An entry was posted. `party` is the opaque id of whom it concerns, `reference` the bank's or the sender's own."""

    description: Text | None = None
    party: Id | None = None
    reference: Text | None = None
    document: Digest | None = None
    fact: bool = False


@command(category="book", aggregate="book", makes=(EntryPosted,))
class PostEntry:
    """Post one entry: debits and credits, equal for each unit within each fund. `date` left out is today."""

    book: Id
    entry: Id
    date: Date | None = None
    debits: Postings
    credits: Postings
    description: Text | None = None
    party: Id | None = None
    reference: Text | None = None
    document: Digest | None = None
    fact: bool = False


@value
class Entry:
    """One entry of a request that holds many. With `linked` it stands or falls with the next one."""

    entry: Id
    date: Date
    debits: Postings
    credits: Postings
    description: Text | None = None
    party: Id | None = None
    linked: bool = False
    fact: bool = False


class EntryResult(StrEnum):
    """What became of one entry of a request that holds many."""

    POSTED = "posted"
    ALREADY_POSTED = "already_posted"
    DIFFERS = "differs"
    REFUSED = "refused"


@value
class NotPosted:
    """An entry that this decision did not post. `at` is its place among the event's entries, from 0.

    `result` is already_posted, differs (`field` says in what), or refused with a `code`.
    """

    at: int
    result: EntryResult
    code: TreasuryError | None = None
    field: Text | None = None


@event(category="book")
class EntriesPosted:
    """A part of a request with many entries: those that were posted, and in `not_posted` those that were not.

    `parts` is into how many the request was cut. `breaches` are limits that entries broke which report facts.
    """

    book: Id
    entries: tuple[Entry, ...]
    parts: int = 1
    not_posted: tuple[NotPosted, ...] = ()
    breaches: tuple[Breach, ...] = ()


_REFUSAL_BYTES: Final = 100
"""What a NotPosted takes in an event at the most."""

_BREACH_BYTES: Final = 360
"""What a Breach takes in an event at the most."""


def _allowance(entry: Entry) -> int:
    """What an event may say of an entry beside the entry itself: that it was refused, or what limits a fact broke."""
    limits = 2 * (len(entry.debits) + len(entry.credits)) if entry.fact else 0
    return _REFUSAL_BYTES + _BREACH_BYTES * limits


def _results(command: PostEntries, event: EntriesPosted | None) -> Iterator[dict[str, str]]:
    """What became of each entry; a decision without an event found every one of them posted already."""
    not_posted = {} if event is None else {one.at: one for one in event.not_posted}
    other = EntryResult.ALREADY_POSTED if event is None else EntryResult.POSTED
    for at, entry in enumerate(command.entries):
        one = not_posted.get(at)
        found = {"entry": entry.entry, "result": str(other if one is None else one.result)}
        if one is not None and one.code is not None:
            found["code"] = str(one.code)
        if one is not None and one.field is not None:
            found["field"] = one.field
        yield found


_cut: Final = Cutter(
    treasury, "PostEntries", "entries", allowance=_allowance, linked=attrgetter("linked"), label=attrgetter("entry")
)  # fmt: skip


@command(category="book", aggregate="book", makes=(EntriesPosted,), cut=_cut, results=_results)
class PostEntries:
    """Post many entries with one request, for imports; each is posted, or not, for itself.

    The request is cut into parts by its content alone, one decision each, and answered entry by entry. Entries that are
    `linked` stand or fall with the next one, so the last of such a chain is not linked.
    """

    book: Id
    entries: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=MAX_ENTRIES)]
    parts: Parts = 1


@event(category="book")
class EntryReversed(Journal):
    """An entry was taken back by its mirror image; `reverses` names it. Neither is ever edited or removed.

    `owed_again` are dues that it was the payment or the waiver of; `closing` says that it was a year's closing entry.
    """

    reverses: Id
    reason: Note
    fact: bool = False
    closing: bool = False
    owed_again: DuesOwed | None = None


@command(category="book", aggregate="book", makes=(EntryReversed,))
class ReverseEntry:
    """Take an entry back by one with debits and credits exchanged. Whatever was its date, this is dated today."""

    book: Id
    entry: Id
    reverses: Id
    date: Date | None = None
    reason: Note
    fact: bool = False


@event(category="book")
class RestrictionReleased(Journal):
    """What a donor's restriction asked for is done: an amount went from one fund to another.

    `account` is the asset that moves (the bank), `through` the income account in which both funds show the release.
    `releases` names the entry that met the restriction, if there is one.
    """

    from_fund: Id
    to_fund: Id
    amount: int
    unit: Unit
    account: Id
    through: Id
    releases: Id | None = None
    reason: Note


@command(category="book", aggregate="book", makes=(RestrictionReleased,))
class ReleaseRestriction:
    """Move an amount out of a restricted fund whose condition was met (ASC 958-225-45)."""

    book: Id
    entry: Id
    from_fund: Id
    to_fund: Id = "general"
    amount: Money
    unit: Unit
    account: Id
    through: Id
    releases: Id | None = None
    reason: Note
    date: Date | None = None


@event(category="book")
class ReviewResolved:
    """Somebody looked into an entry that waited for a review, and let it stand; `note` says what was found."""

    book: Id
    entry: Id
    note: Note
    occurred_at: Moment


@command(category="book", aggregate="book", makes=(ReviewResolved,))
class ResolveReview:
    """Let an entry stand that waits for a review: it broke a limit as a fact, looks like another, or paid an expense
    that was changed meanwhile. Who finds it wrong reverses it instead."""

    book: Id
    entry: Id
    note: Note
    occurred_at: Moment | None = None


def entries_of(event: object) -> tuple[Journal | Entry, ...]:
    """The entries that an event posted, whatever else it says; empty for one that posts nothing."""
    if isinstance(event, EntriesPosted):
        if not event.not_posted:
            return event.entries
        left_out = {one.at for one in event.not_posted}
        return tuple(entry for at, entry in enumerate(event.entries) if at not in left_out)
    return (event,) if isinstance(event, Journal) else ()


__all__ = [
    "MAX_ENTRIES", "EntriesPosted", "Entry", "EntryPosted", "EntryResult", "EntryReversed", "NotPosted", "PostEntries",
    "PostEntry", "ReleaseRestriction", "ResolveReview", "RestrictionReleased", "ReverseEntry", "ReviewResolved",
    "entries_of",
]  # fmt: skip
