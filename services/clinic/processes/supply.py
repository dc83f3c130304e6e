"""Follows inventory: notes its catalogue and its recalls, and what it set aside, freed and gave out for the clinic.

What a hold or a quarantine stands in the way of is no longer set aside for a dispensing: inventory itself takes only
what is recalled from reservations, and would record what was handed over of the rest as a fact that broke its hold. So
the hand-over is stopped before. A hold names the first 200 reservations that it concerns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from services.clinic.contract import (
    ClinicError,
    LotLine,
    NoteDrawn,
    NoteFreed,
    NoteIssued,
    NoteItem,
    NoteRecall,
    NoteSetAside,
    clinic,
)
from services.clinic.processes.names import administration_of, dispensing_of
from services.inventory.contract import (
    UNKNOWN,
    Freeing,
    HoldReason,
    InventoryError,
    ItemChanged,
    ItemFacts,
    ItemRegistered,
    ItemRetired,
    LotQuantity,
    LotRecalled,
    Movement,
    Purpose,
    RecallLifted,
    ReleaseReservation,
    ReservationExpired,
    ReservationReleased,
    StockHeld,
    StockIssued,
    StockReserved,
    inventory,
)
from shared.event import Recorded
from shared.manager import Manager, Step


class Supply(Manager):
    """Tells the clinic what inventory recorded. Of the catalogue it remembers the items that are medicines, or were."""

    name = "supply"
    reads = (
        ItemRegistered, ItemChanged, ItemRetired, LotRecalled, RecallLifted, StockReserved, ReservationReleased,
        ReservationExpired, StockHeld, Movement,
    )  # fmt: skip

    def __init__(self) -> None:
        self._medicines: dict[str, ItemFacts] = {}

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case ItemRegistered() | ItemChanged() as item:
                if item.medicine or item.item in self._medicines:
                    self._medicines[item.item] = item
                    yield self._item(event, item.item, retired=False)
            case ItemRetired() as item:
                if item.item in self._medicines:
                    yield self._item(event, item.item, retired=True)
            case LotRecalled() | RecallLifted() as recall:
                note = NoteRecall(
                    item=recall.item, recall=recall.recall, revision=event.revision, scope=recall.scope,
                    reason=recall.reason, standing=isinstance(recall, LotRecalled), occurred_at=recall.occurred_at,
                )  # fmt: skip
                yield self.step(event, clinic, note)
            case StockReserved() as made:
                dispensing = dispensing_of(made.reservation)
                if dispensing is not None:
                    aside = NoteSetAside(
                        dispensing=dispensing, item=made.item, location=made.location, asked=made.quantity,
                        lots=_lots(made.reserved), short=made.short,
                    )  # fmt: skip
                    yield self._note(event, aside, dispensing)
            case ReservationReleased() | ReservationExpired() as ended:
                dispensing = dispensing_of(ended.reservation)
                if dispensing is not None:
                    yield from self._freed(event, dispensing, ended.freed)
            case StockHeld() as held if held.reason is not HoldReason.RECALL:
                yield from self._held(event, held)
            case Movement() as moved:
                if isinstance(moved, StockIssued):
                    yield from self._issued(event, moved)
                yield from self._taken(event, moved)

    def _item(self, event: Recorded, item: str, *, retired: bool) -> Step:
        facts = self._medicines[item]
        note = NoteItem(
            item=item, revision=event.revision, name=facts.name, unit=facts.unit, medicine=facts.medicine,
            controlled=facts.controlled, retired=retired,
        )  # fmt: skip
        return self.step(event, clinic, note)

    def _issued(self, event: Recorded, moved: StockIssued) -> Iterable[Step]:
        if moved.purpose is not Purpose.CLINIC:
            return
        administration = administration_of(moved.recipient)
        if administration is not None:
            drawn = NoteDrawn(administration=administration, movement=event.revision)
            yield self.step(event, clinic, drawn, met_by=ClinicError.UNKNOWN_GIVING)
            return
        dispensing = dispensing_of(moved.reservation) or moved.recipient
        if dispensing is not None:
            issued = NoteIssued(
                dispensing=dispensing, movement=event.revision,
                quantity=sum(move.unrecorded - move.change for move in moved.moves),
                unrecorded=sum(move.unrecorded for move in moved.moves),
            )  # fmt: skip
            yield self._note(event, issued, dispensing)

    def _held(self, event: Recorded, held: StockHeld) -> Iterable[Step]:
        for reservation in held.reservations:
            if dispensing_of(reservation) is not None:
                release = ReleaseReservation(item=held.item, location=held.location, reservation=reservation)
                met = InventoryError.UNKNOWN_RESERVATION
                yield self.step(event, inventory, release, f"release {reservation}", met_by=met, about=reservation)

    def _taken(self, event: Recorded, moved: Movement) -> Iterable[Step]:
        """What was set aside for dispensings and is not any more, beside what was used for them."""
        lots: defaultdict[str, list[LotQuantity]] = defaultdict(list)
        for line in moved.freed:
            dispensing = dispensing_of(line.reservation)
            if dispensing is not None and line.why is not Freeing.USED:
                lots[dispensing].append(line)
        for dispensing, taken in lots.items():
            yield from self._freed(event, dispensing, taken)

    def _freed(self, event: Recorded, dispensing: str, lots: Iterable[LotQuantity]) -> Iterable[Step]:
        freed = _lots(lots)
        if freed:
            yield self._note(event, NoteFreed(dispensing=dispensing, lots=freed), dispensing)

    def _note(self, event: Recorded, note: NoteSetAside | NoteFreed | NoteIssued, dispensing: str) -> Step:
        """Of goods that somebody gave out for the clinic by hand, and for no dispensing, nothing is noted."""
        return self.step(event, clinic, note, met_by=ClinicError.UNKNOWN_DISPENSING)


def _lots(lots: Iterable[LotQuantity]) -> tuple[LotLine, ...]:
    return tuple(LotLine(lot=lot.lot or UNKNOWN, quantity=lot.quantity, date=lot.date, owner=lot.owner) for lot in lots)
