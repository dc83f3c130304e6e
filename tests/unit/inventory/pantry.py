"""The words that sentences about a pantry's stock are made of."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from services.inventory.contract import (
    BaseUnit,
    CountedLot,
    DateKind,
    DispatchTransfer,
    HoldReason,
    HoldStock,
    IssueStock,
    LocationKind,
    OpenLocation,
    PickLine,
    Purpose,
    RecallLot,
    RecallScope,
    ReceiptLine,
    ReceiveStock,
    RecordCount,
    RegisterItem,
    ReserveStock,
    Source,
    StorageClass,
    stock_id,
)
from services.inventory.deciders import DECIDERS
from services.inventory.shelf import Stock
from tests.support.sentences import NOW, Given, sentences

given = sentences(
    DECIDERS,
    {
        "item": lambda event: event.item,
        "location": lambda event: event.location,
        "stock": lambda event: stock_id(event.item, event.location),
        "lot": lambda event: event.item,
        "count": lambda event: event.count,
        "transfer": lambda event: event.transfer,
        "donor": lambda event: event.donor,
    },
)

HERE: dict[str, Any] = {"item": "rice", "location": "main"}
"""The stock that sentences are about."""

SOON, LATER = date(2026, 12, 1), date(2027, 6, 1)
"""Two dates on packages: eleven days and half a year from now."""

rice = RegisterItem(item="rice", name="Rice, 500 g", unit=BaseUnit.EACH, net_weight=500)
aspirin = RegisterItem(item="rice", name="Aspirin", unit=BaseUnit.EACH, medicine=True)
opiate = RegisterItem(item="rice", name="An opiate", unit=BaseUnit.EACH, medicine=True, controlled=True)
main = OpenLocation(location="main", name="Main store", kind=LocationKind.STORE)
van = OpenLocation(location="van", name="The van", kind=LocationKind.VEHICLE)
cage = OpenLocation(location="cage", name="Quarantine", kind=LocationKind.QUARANTINE)
PANTRY = (rice, main, van, cage)


def ago(**how_long: float) -> datetime:
    """A moment before now."""
    return NOW - timedelta(**how_long)


def opened(id: str, kind: LocationKind = LocationKind.STORE, **facts: Any) -> OpenLocation:
    return OpenLocation(location=id, name=id.title(), kind=kind, **facts)


def goods(
    quantity: int = 10, lot: str | None = None, ends: date | None = None, kind: DateKind | None = None, **more: Any
) -> ReceiptLine:
    """A line of a receipt."""
    kind = kind or (DateKind.USE_BY if ends else None)
    return ReceiptLine(quantity=quantity, lot=lot, date=ends, date_kind=kind, **more)


def receive(*lines: ReceiptLine, source: Source = Source.DONATION, **more: Any) -> ReceiveStock:
    return ReceiveStock(**{**HERE, **more}, source=source, lines=lines or (goods(),))


def received(quantity: int = 10, lot: str | None = "A", ends: date | None = None, **more: Any) -> ReceiveStock:
    """A receipt of one line."""
    kind = more.pop("kind", None)
    owner = more.pop("owner", None)
    return receive(goods(quantity, lot, ends, kind, owner=owner), **more)


def pick(quantity: int, lot: str | None = None, **more: Any) -> PickLine:
    return PickLine(quantity=quantity, lot=lot, **more)


def issue(*lines: PickLine | int, purpose: Purpose = Purpose.HOUSEHOLD, **more: Any) -> IssueStock:
    picks = tuple(PickLine(quantity=line) if isinstance(line, int) else line for line in lines)
    return IssueStock(**{**HERE, **more}, purpose=purpose, lines=picks)


def reserve(quantity: int = 4, id: str = "r1", purpose: Purpose = Purpose.HOUSEHOLD, **more: Any) -> ReserveStock:
    return ReserveStock(**{**HERE, **more}, reservation=id, quantity=quantity, purpose=purpose)


def hold(id: str = "h1", reason: HoldReason = HoldReason.DAMAGE, lots: tuple[str, ...] = (), **more: Any) -> HoldStock:
    return HoldStock(**{**HERE, **more}, hold=id, reason=reason, lots=lots)


def recall(*lots: str, id: str = "R1", first: date | None = None, last: date | None = None, **more: Any) -> RecallLot:
    scope = RecallScope(lots=lots, first_date=first, last_date=last)
    return RecallLot(item="rice", recall=id, scope=scope, reason="Glass in the packet", **more)


def send(*lines: PickLine | int, to: str = "van", id: str = "t1", **more: Any) -> DispatchTransfer:
    picks = tuple(PickLine(quantity=line) if isinstance(line, int) else line for line in lines)
    return DispatchTransfer(**{**HERE, **more}, transfer=id, destination=to, lines=picks)


def found(quantity: int, lot: str | None = "A", **more: Any) -> CountedLot:
    return CountedLot(quantity=quantity, lot=lot, **more)


def counted(*lines: CountedLot, id: str = "c1", **more: Any) -> RecordCount:
    return RecordCount(**{**HERE, **more}, count=id, lines=lines)


def stock(given: Given, location: str = "main") -> Stock:
    state: Stock = given.state("stock", f"rice:{location}")
    return state


__all__ = [
    "HERE", "LATER", "NOW", "PANTRY", "SOON", "StorageClass", "ago", "aspirin", "cage", "counted", "found", "given",
    "goods", "hold", "issue", "main", "opened", "opiate", "pick", "recall", "receive", "received", "reserve", "rice",
    "send", "stock", "van",
]  # fmt: skip
