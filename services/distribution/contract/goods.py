"""Commands and events of `goods`: what distribution knows of inventory's items. There is one aggregate, `catalogue`.

A process manager follows inventory's catalogue and its recalls, and notes here what warnings, boxes and reports need: a
decision reads nothing of another service.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from services.distribution.contract.base import Date, Id, Moment, Quantity, Revision, Text, command, event, value
from services.inventory.contract import MAX_MOVES, LotNumber, RecallScope

CATALOGUE: Final = "catalogue"
"""The id of the one aggregate: a decision looks items up that it learns of only while it decides."""


def _catalogue(_: Any) -> str:
    return CATALOGUE


@event(category="goods")
class GoodsNoted:
    """What inventory says of an item: `revision` is that of the item's event. Allergens None are not known.

    `weight` is the net weight in g of one piece (unit each) or of 1,000 ml (unit ml); of unit g it is left out.
    `chilled` says whether it must be kept cold. `unusual_above` is the quantity above which somebody is asked twice.
    """

    item: Id
    revision: Revision
    name: Text
    unit: Text
    weight: int | None = None
    allergens: tuple[Text, ...] | None = None
    chilled: bool = False
    retired: bool = False
    unusual_above: Quantity | None = None
    occurred_at: Moment


@command(category="goods", aggregate=_catalogue, makes=(GoodsNoted,))
class NoteGoods:
    """Note what inventory says of an item; sent by a process manager."""

    item: Id
    revision: Revision
    name: Text
    unit: Text
    weight: int | None = None
    allergens: Annotated[tuple[Text, ...], Field(max_length=60)] | None = None
    chilled: bool = False
    retired: bool = False
    unusual_above: Quantity | None = None
    occurred_at: Moment | None = None


@event(category="goods")
class RecallNoted:
    """A recall of an item is open in inventory, or (`open` false) was lifted; `scope` is what it covers, or covered.

    `revision` is that of the event of the item's lots.
    """

    item: Id
    recall: Id
    revision: Revision
    scope: RecallScope
    open: bool
    occurred_at: Moment


@command(category="goods", aggregate=_catalogue, makes=(RecallNoted,))
class NoteRecall:
    """Note that a recall is open, or was lifted; sent by a process manager."""

    item: Id
    recall: Id
    revision: Revision
    scope: RecallScope
    open: bool
    occurred_at: Moment | None = None


@value
class LotOf:
    """A lot of an item, and the date on its packages; null is not known."""

    item: Id
    lot: LotNumber | None = None
    date: Date | None = None


@event(category="goods")
class OriginNoted:
    """Lots were packed anew in inventory out of others, or set apart from them: each of `made` from all of `made_from`.

    A recall of those covers them too.
    """

    made: tuple[LotOf, ...]
    made_from: tuple[LotOf, ...]
    occurred_at: Moment


@command(category="goods", aggregate=_catalogue, makes=(OriginNoted,))
class NoteOrigin:
    """Note what lots were made from; sent by a process manager."""

    made: Annotated[tuple[LotOf, ...], Field(min_length=1, max_length=100)]
    made_from: Annotated[tuple[LotOf, ...], Field(min_length=1, max_length=MAX_MOVES)]
    occurred_at: Moment | None = None


__all__ = ["CATALOGUE", "GoodsNoted", "LotOf", "NoteGoods", "NoteOrigin", "NoteRecall", "OriginNoted", "RecallNoted"]
