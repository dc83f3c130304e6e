"""One movement of stock as the EPCIS events that say the same, before they get their ids.

Read as a consumer would, the quantities come out as the ledger's: ADD and DELETE change what is at the readPoint (or
in transit, where there is none), `shipping` takes from it, `receiving` brings to it, a transformation takes its inputs
and brings its outputs, an event declared in error is taken back, and everything else changes nothing.
docs/decisions/0012-epcis.md says why each is as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.exports.epcis_names import Names
from services.inventory.contract import (
    AdjustReason,
    CountApproved,
    HoldReason,
    HoldReleased,
    LotMove,
    LotRef,
    Movement,
    Purpose,
    Source,
    StockAdjusted,
    StockDisposed,
    StockHeld,
    StockIssued,
    StockReceived,
    StockRepacked,
    StockReturned,
    TransferDispatched,
    TransferReceived,
)
from shared.types import Id

Goods = list[tuple[LotRef, int]]

GONE_AS: Final[dict[AdjustReason, str]] = {
    AdjustReason.DAMAGED: "damaged",
    AdjustReason.EXPIRED: "expired",
    AdjustReason.SPOILED: "non_sellable_other",
    AdjustReason.LOST: "unknown",
    AdjustReason.STOLEN: "stolen",
    AdjustReason.COLD_CHAIN_FAILURE: "non_sellable_other",
    AdjustReason.RECALLED: "recalled",
    AdjustReason.COUNTING_ERROR: "unknown",
}
HELD_AS: Final[dict[HoldReason, str]] = {HoldReason.RECALL: "recalled", HoldReason.DAMAGE: "damaged"}
"""Any other hold is `non_sellable_other`."""


@dataclass(frozen=True, slots=True)
class Part:
    """One EPCIS event to be: its members, when it happened, and where, for the clock.

    `mendable` says whether it states the movement itself, so that a reversal of the movement declares it in error.
    """

    at: datetime
    location: Id
    members: dict[str, Any]
    mendable: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """What a movement did: what came, what left, and how much of what left had not been on the ledger."""

    came: Goods = field(default_factory=list)
    left: Goods = field(default_factory=list)
    beyond: Goods = field(default_factory=list)


def moved(moves: Iterable[LotMove]) -> Moved:
    """What moves amount to; what left beyond the ledger was found in the same moment."""
    found = Moved()
    for move in moves:
        out = move.unrecorded - move.change
        (found.left if out > 0 else found.came).append((move, abs(out)))
        if move.unrecorded:
            found.beyond.append((move, move.unrecorded))
    return found


def movement(data: Movement, goods: Moved, names: Names) -> list[Part]:
    """The parts of any movement but a reversal or a correction. `goods` is what it did, or should have done."""
    say = _Words(data, names)
    parts = list(_parts(data, goods, say))
    parts += say.found(goods.beyond)
    return parts


def _parts(data: Movement, goods: Moved, say: _Words) -> Iterable[Part]:
    names = say.names
    match data:
        case StockReceived():
            yield from _received(data, goods, say)
        case StockIssued(purpose=Purpose.PARTNER):
            yield from say.goods("OBSERVE", "shipping", "in_transit", goods.left, purpose=data.purpose)
        case StockIssued():
            yield from say.goods("DELETE", "dispensing", "dispensed", goods.left, purpose=data.purpose)
        case StockDisposed():
            yield from say.goods("DELETE", "destroying", "destroyed", goods.left, reason=data.reason)
        case StockReturned():
            more = _papers(names, reference=data.reference) | _parties(names, "destination", supplier=data.supplier)
            yield from say.goods("OBSERVE", "shipping", "returned", goods.left, more, reason=data.reason)
        case StockAdjusted():
            yield from say.adjusted(goods, data.reason)
        case TransferDispatched():
            way = _way(names, data.transfer, data.location, data.destination)
            yield from say.goods("OBSERVE", "shipping", "in_transit", goods.left, way)
        case TransferReceived():
            yield from _arrived(data, goods, say)
        case CountApproved():
            paper = _papers(names, count=data.count)
            counted: Goods = [(line, line.quantity) for line in data.counted]
            yield from say.goods("OBSERVE", "cycle_counting", "in_progress", counted, paper, stays=True)
            yield from say.adjusted(goods, AdjustReason.COUNTING_ERROR, paper)
        case StockRepacked():
            yield _repacked(data, goods, say)
        case _:
            raise TypeError(f"{type(data).__name__} has no EPCIS event of its own")


def _received(data: StockReceived, goods: Moved, say: _Words) -> Iterable[Part]:
    names = say.names
    more = _papers(names, delivery=data.delivery)
    more |= _parties(names, "source", donor=data.donor, supplier=data.supplier)
    if data.source is Source.REPACK:  # the transformation brought them; here they are put on their own shelf
        yield from say.goods("OBSERVE", "storing", "in_progress", goods.came, more, stays=True)
    else:
        step = "stock_taking" if data.source is Source.OPENING else "receiving"
        disposition = "returned" if data.source is Source.RETURN else "in_progress"
        known = names.lot_facts((data.item, ref) for ref, _ in goods.came)
        more |= {"ilmd": known} if known else {}
        yield from say.goods("ADD", step, disposition, goods.came, more, stays=True, source=data.source)


def _arrived(data: TransferReceived, goods: Moved, say: _Words) -> Iterable[Part]:
    """What arrived; what was lost on the way leaves the way, and what nobody had sent joins it."""
    way = _way(say.names, data.transfer, data.origin, data.location)
    yield from say.goods("OBSERVE", "receiving", "in_progress", goods.came, way, stays=True)
    lost: Goods = [(line, line.quantity) for line in data.lost]
    gone_as = GONE_AS.get(data.loss_reason or AdjustReason.LOST, "unknown")
    yield from say.goods("DELETE", "stock_taking", gone_as, lost, way, here=False, reason=data.loss_reason)
    surplus: Goods = [(line, line.quantity) for line in data.surplus]
    yield from say.goods("ADD", "stock_taking", "in_transit", surplus, way, here=False, reason=AdjustReason.FOUND)


def _repacked(data: StockRepacked, goods: Moved, say: _Words) -> Part:
    """The moves are net of what came back as the same item, so what was taken is more than what they say left."""
    names = say.names
    back: Goods = [(line, line.quantity) for line in data.into if line.item == data.item]
    net: Goods = [*goods.left, *((ref, -quantity) for ref, quantity in goods.came)]
    made = [
        element
        for item in dict.fromkeys(line.item for line in data.into)
        for element in names.quantities(item, [(line, line.quantity) for line in data.into if line.item == item])
    ]
    known = names.lot_facts((line.item, line) for line in data.into)
    members = {
        "type": "TransformationEvent",
        "inputQuantityList": names.quantities(data.item, [*net, *back]),
        "outputQuantityList": made,
        "bizStep": "repackaging",
        "disposition": "in_progress",
        **say.where(stays=True),
        **({"ilmd": known} if known else {}),
    }
    return Part(data.effective_at, data.location, members)


def absorbed(data: Movement, counted_at: datetime, names: Names) -> list[Part]:
    """What a movement recorded after a count, but dated before it, does to that count's variance: the opposite."""
    if data.absorbed_by is None:
        return []
    opposite = Moved(
        came=[(move, -move.change) for move in data.moves if move.change < 0],
        left=[(move, move.change) for move in data.moves if move.change > 0],
    )
    say = _Words(data, names, at=counted_at, mendable=False)
    return list(say.adjusted(opposite, AdjustReason.COUNTING_ERROR, _papers(names, count=data.absorbed_by)))


def held_at_once(data: StockReceived | StockRepacked | TransferReceived, names: Names) -> list[Part]:
    """Holds that began with an arrival, or with goods set apart. They stand whatever becomes of a receipt."""
    return [
        _seen(data, "holding", HELD_AS.get(hold.reason, "non_sellable_other"), hold.lots, hold.hold, names)
        for hold in data.holds
        if hold.lots
    ]


def hold(data: StockHeld | HoldReleased, names: Names) -> list[Part]:
    """A hold that began or ended."""
    if isinstance(data, StockHeld):
        lots, step, disposition = data.held, "holding", HELD_AS.get(data.reason, "non_sellable_other")
    else:
        lots, step, disposition = data.freed_lots, "storing", "in_progress"
    return [_seen(data, step, disposition, lots, data.hold, names)] if lots else []


def _seen(
    data: StockHeld | HoldReleased | Movement, step: str, disposition: str, lots: Iterable[LotRef], hold_id: str,
    names: Names,
) -> Part:  # fmt: skip
    """Whole lots, whatever their quantity, which is left out (EPCIS 2.0 section 7.3.3.3)."""
    classes = dict.fromkeys(names.goods(data.item, ref.lot) for ref in lots)
    place = {"id": names.place(data.location)}
    members = {
        "type": "ObjectEvent", "action": "OBSERVE", "quantityList": [{"epcClass": name} for name in classes],
        "bizStep": step, "disposition": disposition, "readPoint": place, "bizLocation": place,
        **_papers(names, hold=hold_id),
    }  # fmt: skip
    return Part(data.occurred_at, data.location, members, mendable=False)


class _Words:
    """Writes the parts of one movement."""

    def __init__(self, data: Movement, names: Names, at: datetime | None = None, mendable: bool = True) -> None:
        self.names = names
        self._data = data
        self._at = at or data.effective_at
        self._mendable = mendable

    def where(self, *, stays: bool) -> dict[str, Any]:
        """Where it happened, and, if the goods `stays` there afterwards, that they do."""
        place = {"id": self.names.place(self._data.location)}
        return {"readPoint": place, "bizLocation": place} if stays else {"readPoint": place}

    def goods(
        self, action: str, step: str, disposition: str, goods: Goods, more: dict[str, Any] | None = None, *,
        stays: bool = False, here: bool = True, **said: str | None,
    ) -> Iterable[Part]:  # fmt: skip
        """An ObjectEvent about goods, if there are any. `said` becomes members of the extension."""
        quantities = self.names.quantities(self._data.item, goods)
        if not quantities:
            return
        members = {
            "type": "ObjectEvent", "action": action, "quantityList": quantities, "bizStep": step,
            "disposition": disposition, **(self.where(stays=stays) if here else {}), **(more or {}),
            **{f"commons:{name}": str(value) for name, value in said.items() if value is not None},
        }  # fmt: skip
        yield Part(self._at, self._data.location, members, self._mendable)

    def adjusted(self, goods: Moved, reason: AdjustReason, more: dict[str, Any] | None = None) -> Iterable[Part]:
        """The ledger follows the shelf: what was found, and what is gone."""
        yield from self.goods(
            "ADD", "stock_taking", "in_progress", goods.came, more, stays=True, reason=reason
        )  # fmt: skip
        yield from self.goods("DELETE", "stock_taking", GONE_AS.get(reason, "unknown"), goods.left, more, reason=reason)

    def found(self, goods: Goods) -> Iterable[Part]:
        """What left beyond the ledger had been there all along."""
        yield from self.goods("ADD", "stock_taking", "in_progress", goods, stays=True, reason=AdjustReason.FOUND)


def _papers(names: Names, **papers: str | None) -> dict[str, Any]:
    """Business transactions. Their types are left out: the ledger does not know which document is behind an id."""
    found = [{"bizTransaction": names.thing(kind, id)} for kind, id in papers.items() if id is not None]
    return {"bizTransactionList": found} if found else {}


def _parties(names: Names, end: str, **parties: str | None) -> dict[str, Any]:
    """Who owned the goods before (`source`), or owns them now (`destination`); the first that is known."""
    for kind, id in parties.items():
        if id is not None:
            return {f"{end}List": [{"type": "owning_party", end: names.thing(kind, id)}]}
    return {}


def _way(names: Names, transfer: str, origin: str, destination: str) -> dict[str, Any]:
    return {
        **_papers(names, transfer=transfer),
        "sourceList": [{"type": "location", "source": names.place(origin)}],
        "destinationList": [{"type": "location", "destination": names.place(destination)}],
    }
