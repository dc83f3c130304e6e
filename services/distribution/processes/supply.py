"""Follows inventory: notes its catalogue, and what it set aside, freed and gave out for orders and visits."""

from __future__ import annotations

from collections.abc import Iterable

from services.distribution.contract import (
    NoteFreed,
    NoteGoods,
    NoteIssued,
    NoteReserved,
    PackedLine,
    distribution,
)
from services.distribution.processes.names import is_visit, order_of
from services.inventory.contract import (
    Freeing,
    ItemChanged,
    ItemFacts,
    ItemRegistered,
    ItemRetired,
    LotQuantity,
    Movement,
    ReservationExpired,
    ReservationReleased,
    StockIssued,
    StockReserved,
    StorageClass,
)
from shared.event import Recorded
from shared.manager import Manager, Step


class Supply(Manager):
    """Tells distribution what inventory recorded. It remembers items, and how much is set aside for each order."""

    name = "supply"
    reads = (
        ItemRegistered, ItemChanged, ItemRetired, StockReserved, ReservationReleased, ReservationExpired, Movement,
    )  # fmt: skip

    def __init__(self) -> None:
        self._items: dict[str, ItemFacts] = {}
        self._reserved: dict[tuple[str, str, str], int] = {}
        """By item, location and order: what is still set aside."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case ItemRegistered() | ItemChanged() as item:
                self._items[item.item] = item
                yield self._goods(event, item.item, retired=False)
            case ItemRetired() as item:
                yield self._goods(event, item.item, retired=True)
            case StockReserved() as made:
                order = order_of(made.reservation)
                if order is not None:
                    self._reserved[made.item, made.location, order] = made.quantity - made.short
                    command = NoteReserved(
                        order=order, item=made.item, asked=made.quantity, short=made.short,
                        lots=tuple(_packed(made.item, lot) for lot in made.reserved),
                    )  # fmt: skip
                    yield self.step(event, distribution, command, f"reserved {made.item}")
            case ReservationReleased() | ReservationExpired() as ended:
                order = order_of(ended.reservation)
                if order is not None:
                    freed = sum(line.quantity for line in ended.freed)
                    yield from self._freed(event, ended.item, ended.location, order, freed)
            case Movement() as moved:
                yield from self._moved(event, moved)

    def _moved(self, event: Recorded, moved: Movement) -> Iterable[Step]:
        for_whom = None
        if isinstance(moved, StockIssued):
            for_whom = moved.recipient if is_visit(moved.recipient) else order_of(moved.reservation)
        if for_whom is not None:
            command = NoteIssued(
                order=for_whom, item=moved.item, quantity=-sum(move.change for move in moved.moves) or 1,
                site=moved.location, movement=event.revision,
                unrecorded=sum(move.unrecorded for move in moved.moves),
            )  # fmt: skip
            yield self.step(event, distribution, command, f"issued {moved.item}")
        for line in moved.freed:
            taken_from = order_of(line.reservation)
            if taken_from is not None and line.why is not Freeing.USED:
                yield from self._freed(event, moved.item, moved.location, taken_from, line.quantity)

    def _freed(self, event: Recorded, item: str, location: str, order: str, quantity: int) -> Iterable[Step]:
        remaining = max(0, self._reserved.get((item, location, order), 0) - quantity)
        self._reserved[item, location, order] = remaining
        if quantity:
            command = NoteFreed(order=order, item=item, quantity=quantity, remaining=remaining)
            yield self.step(event, distribution, command, f"freed {item} {order}")

    def _goods(self, event: Recorded, item: str, *, retired: bool) -> Step:
        facts = self._items[item]
        command = NoteGoods(
            item=item, revision=event.revision, name=facts.name, unit=facts.unit, weight=facts.net_weight,
            allergens=facts.allergens, chilled=facts.storage is not StorageClass.AMBIENT, retired=retired,
        )  # fmt: skip
        return self.step(event, distribution, command, f"goods {item}")


def _packed(item: str, lot: LotQuantity) -> PackedLine:
    return PackedLine(item=item, quantity=lot.quantity, lot=lot.lot, date=lot.date, owner=lot.owner)
