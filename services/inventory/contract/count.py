"""Commands and events of a count (a stocktake) at one location.

    StartCount    -> count   CountStarted
    RecordCount   -> count   CountRecorded: what was found of one item, when, and by whom; a recount replaces it
    ApproveCount  -> stock   CountApproved: the stock of that item is what was found, as of the moment of counting

Approval is a decision of the stock, one for each item, so that the balance and everything that moved since stand in
the same state: it reads what the count recorded, and asserts it. A lot on the ledger that the count does not list is
asserted to be nothing. Movements after the moment of counting stay as they are, and must not take more than was found;
otherwise the approval is refused with the moment and the figure, and the item is counted again. A movement that is
recorded later but dated before the moment of counting changes the count's variance, and no figure after it
(`Movement.absorbed_by`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.inventory.contract.base import (
    MAX_LINES,
    BaseUnit,
    CountedLot,
    Delta,
    Id,
    LotRef,
    Moment,
    Movement,
    Note,
    Revision,
    StockCommand,
    Text,
    command,
    event,
    stock_of,
)
from shared.contract import value


@value
class Variance(LotRef):
    """Of one lot, in base units: what the ledger expected at the moment of counting, and what was counted less that."""

    expected: int
    variance: Delta


@event(category="count")
class CountStarted:
    """A stocktake began at a location. `items` are those to be counted; none means all."""

    count: Id
    location: Id
    items: tuple[Id, ...] = ()
    name: Text | None = None
    occurred_at: Moment


@command(category="count", aggregate="count", makes=(CountStarted,))
class StartCount:
    """Begin a stocktake at a location, of the items listed or of all."""

    count: Id
    location: Id
    items: Annotated[tuple[Id, ...], Field(max_length=500)] = ()
    name: Text | None = None
    occurred_at: Moment | None = None


@event(category="count")
class CountRecorded:
    """What was found of an item. `occurred_at` is the moment of counting.

    `variances` compare it with the ledger as it stood when the count was recorded; approval compares again.
    """

    count: Id
    location: Id
    item: Id
    lines: tuple[CountedLot, ...]
    occurred_at: Moment
    note: Note | None = None
    unit: BaseUnit
    counted_by: str
    variances: tuple[Variance, ...]


@command(category="count", aggregate="count", makes=(CountRecorded,))
class RecordCount:
    """Record what was found of an item, every lot of it; none at all is an empty list. A recount replaces it."""

    count: Id
    location: Id
    item: Id
    lines: Annotated[tuple[CountedLot, ...], Field(max_length=MAX_LINES)]
    occurred_at: Moment | None = None
    note: Note | None = None


@event(category="stock")
class CountApproved(Movement):
    """The stock is what was counted, as of `effective_at`, the moment of counting. `moves` are the variances.

    `record` is the revision of the CountRecorded that was approved, in its count; `counted` is what it found.
    """

    count: Id
    record: Revision
    counted: tuple[CountedLot, ...]
    counted_by: str
    approved_by: str


@command(category="stock", aggregate=stock_of, makes=(CountApproved,))
class ApproveCount(StockCommand):
    """Approve what a count recorded of one item.

    Somebody other than the counter approves, unless the variance is within the location's `self_approval` and the
    item is no medicine.
    """

    count: Id
