"""What the API reads from: a read model that opens charts for a reader, and records that it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.clinic.contract import Purpose
from services.fhir.criteria import Criterion
from services.fhir.entry import Entry


class Forbidden(Exception):
    """Who asks may not see this: they do not work here, or not in a role that does. The text goes to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search for one type of resource.

    `ids` and `patients` are ids here; None where the search does not name any. Every one of `criteria` must hold; what
    the read model cannot compare in its tables it compares with `criteria.matches`, on resources of opened entries.
    At most `count` entries are wanted, after the place that the page before ended with.
    """

    type: str
    kinds: tuple[str, ...]
    ids: frozenset[str] | None = None
    patients: frozenset[str] | None = None
    criteria: tuple[Criterion, ...] = ()
    count: int
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of what a search finds, in an order that does not change. `following` is where the next page begins, in the
    read model's own words; None on the last one. `total` counts all that is found, if that is known."""

    entries: Sequence[Entry]
    following: str | None = None
    total: int | None = None


class Charts(Protocol):
    """Charts, opened for `reader` (a practitioner's id) as far as their role goes, for a purpose.

    Each call is recorded as an access to the parts that it opens of the record of every patient whose entries it
    gives, and of every patient whom a search names, whether anything is found or not; what is not to be shown is
    without its content. Raises Forbidden for a reader who may see nothing of the kind, and LedgerError when the
    read model cannot answer.
    """

    async def read(self, kinds: tuple[str, ...], id: str, *, reader: str, purpose: Purpose) -> Entry | None:
        """The entry of one of the kinds with this id; None when there never was one."""

    async def search(self, query: Query, *, reader: str, purpose: Purpose) -> Page:
        """A page of what a search finds."""
