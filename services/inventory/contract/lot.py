"""Commands and events of `lot`: quarantine and recall of one item's lots, everywhere. Its id is the item's id.

The status of a lot is decided here, and holds at once: every decision of a stock reads this aggregate, so a recalled
lot is neither reserved nor issued from the moment of its recall. A process manager then follows each event:

    LotRecalled, LotQuarantined -> HoldStock, at each location that has had the item, with the id of the recall or
                                   quarantine as the hold's id (what arrives later is held on arrival by the receipt)
    StockHeld (recall)          -> ReleaseReservation, for each reservation that the held lots stand in
    RecallLifted, LotReleased   -> ReleaseHold, at each location

A recall covers stock by lot number or by the date on the package, and every stock of unknown lot, unless the recall
names only dates and the package's date is known to lie outside them.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Annotated

from pydantic import Field

from services.inventory.contract.base import (
    Date,
    Id,
    LotNumber,
    Moment,
    Note,
    RecallClass,
    Text,
    command,
    event,
    lot_form,
)
from shared.contract import value


@value
class RecallScope:
    """Which stock of an item a recall covers: any of `lots`, or any date from `first_date` to `last_date`, both
    included and either left open, or with neither, all of it."""

    lots: Annotated[tuple[LotNumber, ...], Field(max_length=500)] = ()
    first_date: Date | None = None
    last_date: Date | None = None

    def covers(self, lot: LotNumber | None, day: Date | None) -> bool:
        """Whether the recall covers goods of a lot and of a date on the package. What is not known of them (None)
        counts as covered."""
        dated = self.first_date is not None or self.last_date is not None
        if not self.lots and not dated:
            return True
        if self.lots:
            form = lot_form(lot)
            if not form or form in _forms(self.lots):
                return True
        if dated:
            return day is None or (self.first_date or date.min) <= day <= (self.last_date or date.max)
        return False


@lru_cache(maxsize=1024)
def _forms(lots: tuple[LotNumber, ...]) -> frozenset[str]:
    return frozenset(lot_form(lot) for lot in lots)


@event(category="lot")
class LotQuarantined:
    """A lot may not be given out anywhere until it is released. `lot` UNKNOWN is the stock of unknown lot."""

    item: Id
    quarantine: Id
    lot: LotNumber
    reason: Text
    occurred_at: Moment
    note: Note | None = None


@command(category="lot", aggregate="item", makes=(LotQuarantined,))
class QuarantineLot:
    """Stop a lot everywhere while it is looked into. `quarantine` is the caller's id for it."""

    item: Id
    quarantine: Id
    lot: LotNumber
    reason: Text
    occurred_at: Moment | None = None
    note: Note | None = None


@event(category="lot")
class LotReleased:
    """A quarantine ended: `lot` may be given out again, unless something else forbids it."""

    item: Id
    quarantine: Id
    lot: LotNumber
    reason: Text
    occurred_at: Moment
    note: Note | None = None


@command(category="lot", aggregate="item", makes=(LotReleased,))
class ReleaseLot:
    """End a quarantine: the lot may be given out again."""

    item: Id
    quarantine: Id
    reason: Text
    occurred_at: Moment | None = None
    note: Note | None = None


@event(category="lot")
class LotRecalled:
    """Lots of an item are recalled: held everywhere, and traced to whoever got them.

    `notice` is the recall's number at whoever published it, `issued_by` who that is.
    """

    item: Id
    recall: Id
    scope: RecallScope
    reason: Text
    classification: RecallClass = RecallClass.UNCLASSIFIED
    issued_by: Text | None = None
    notice: Text | None = None
    occurred_at: Moment
    note: Note | None = None


@command(category="lot", aggregate="item", makes=(LotRecalled,))
class RecallLot:
    """Recall lots of an item. `recall` is the caller's id for it; a recall of several items is one command for each."""

    item: Id
    recall: Id
    scope: RecallScope
    reason: Text
    classification: RecallClass = RecallClass.UNCLASSIFIED
    issued_by: Text | None = None
    notice: Text | None = None
    occurred_at: Moment | None = None
    note: Note | None = None


@event(category="lot")
class RecallLifted:
    """A recall of an item no longer stands; `scope` is what it covered."""

    item: Id
    recall: Id
    scope: RecallScope
    reason: Text
    occurred_at: Moment
    note: Note | None = None


@command(category="lot", aggregate="item", makes=(RecallLifted,))
class LiftRecall:
    """End a recall that was withdrawn or does not apply. Goods that were disposed of stay so."""

    item: Id
    recall: Id
    reason: Text
    occurred_at: Moment | None = None
    note: Note | None = None
