"""Follows recalls and quarantines to every shelf: hold, release what was reserved, and let go again when it is over.

A receipt decided while its lot was being recalled holds the goods itself, because it reads the recall. One that was
decided just before, or that another process decided without having seen the recall yet, is stored behind it
without the hold; so is stock that is found, counted or corrected later. Each movement that brings goods in is
therefore compared with what is held there, and the hold is sent again where it is missing.

What was packed anew is recalled with what it was packed from: lots of the same item that were made of recalled goods
are named beside those that the recall covers. What became another item is followed by people (`made_from`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from services.inventory.contract import (
    MAX_LINES,
    MAX_MOVES,
    FreedLine,
    HoldReason,
    HoldReleased,
    HoldStock,
    InventoryError,
    LotHold,
    LotNumber,
    LotQuarantined,
    LotRecalled,
    LotRef,
    LotReleased,
    Movement,
    RecallLifted,
    RecallScope,
    ReleaseHold,
    ReleaseReservation,
    ReservationExpired,
    ReservationReleased,
    StockHeld,
    StockReceived,
    StockRepacked,
    StockReserved,
    TransferReceived,
    inventory,
    lot_form,
)
from services.inventory.rules import ref_key, ref_of
from shared.event import Recorded
from shared.manager import Manager, Step

_FOLLOWED = (HoldReason.RECALL, HoldReason.QUARANTINE)


class Recalls(Manager):
    """LotRecalled, LotQuarantined -> HoldStock; StockHeld (recall) -> ReleaseReservation; RecallLifted, LotReleased ->
    ReleaseHold."""

    name = "recalls"
    reads = (
        Movement, StockHeld, HoldReleased, LotQuarantined, LotReleased, LotRecalled, RecallLifted,
        StockReserved, ReservationReleased, ReservationExpired,
    )  # fmt: skip

    def __init__(self) -> None:
        self._locations: defaultdict[str, dict[str, None]] = defaultdict(dict)
        """Of each item, where it has ever been, in the order of its arrival."""
        self._open: defaultdict[str, dict[str, RecallScope | str]] = defaultdict(dict)
        """Of each item, the open recalls (what they cover) and quarantines (their lot), by id."""
        self._held: defaultdict[tuple[str, str], dict[str, set[str]]] = defaultdict(dict)
        """Of each item and hold, the lots that it covers at each location."""
        self._reserved: defaultdict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(dict)
        """Of each item and location, what each open reservation has set aside, by lot. A hold names only the first of
        the reservations that it stands in the way of; this knows them all."""
        self._repacked: defaultdict[str, list[tuple[list[LotRef], list[LotNumber]]]] = defaultdict(list)
        """Of each item, what was packed anew into other lots of it: from which goods, into which lots."""

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case Movement() as movement:
                self._locations[movement.item][movement.location] = None
                self._freed(movement.item, movement.location, movement.freed)
                if isinstance(movement, StockRepacked):
                    self._note_repacking(movement)
                if isinstance(movement, (StockReceived, TransferReceived)):
                    for hold in movement.holds:
                        yield from self._begun(event, movement, hold)
                if self._open[movement.item]:
                    yield from self._missed(event, movement)
            case LotRecalled() as recalled:
                self._open[recalled.item][recalled.recall] = recalled.scope
                yield from self._hold_everywhere(event, recalled.item, recalled.recall, HoldReason.RECALL)
            case LotQuarantined() as quarantined:
                self._open[quarantined.item][quarantined.quarantine] = quarantined.lot
                yield from self._hold_everywhere(event, quarantined.item, quarantined.quarantine, HoldReason.QUARANTINE)
            case RecallLifted() as lifted:
                yield from self._end(event, lifted.item, lifted.recall)
            case LotReleased() as released:
                yield from self._end(event, released.item, released.quarantine)
            case StockHeld() as held:
                yield from self._note_hold(event, held.item, held.location, held.hold, held.reason, held.held)
                if held.reason in _FOLLOWED and len(held.held) == MAX_MOVES and held.hold in self._open[held.item]:
                    yield from self._hold(event, held.item, held.location, held.hold, held.reason)
            case StockReserved() as reserved:
                lots = Counter({ref_key(line): line.quantity for line in reserved.reserved})
                self._reserved[reserved.item, reserved.location][reserved.reservation] = lots
            case ReservationReleased() | ReservationExpired() as ended:
                self._reserved[ended.item, ended.location].pop(ended.reservation, None)
            case HoldReleased() as freed:
                self._held[freed.item, freed.hold].pop(freed.location, None)

    def moot(self, step: Step) -> bool:
        match step.command:
            case HoldStock() as command:
                return command.hold not in self._open[command.item]
            case ReleaseHold() as command:
                return command.location not in self._held[command.item, command.hold]
        return False

    # -- what follows -------------------------------------------------------------------------------------------------

    def _hold_everywhere(self, event: Recorded, item: str, hold: str, reason: HoldReason) -> Iterator[Step]:
        for location in self._locations[item]:
            yield from self._hold(event, item, location, hold, reason)

    def _hold(self, event: Recorded, item: str, location: str, hold: str, reason: HoldReason) -> Iterator[Step]:
        lots = self._packed_from(item, self._open[item][hold])
        for start in range(0, max(len(lots), 1), MAX_LINES):
            part = tuple(lots[start : start + MAX_LINES])
            command = HoldStock(item=item, location=location, hold=hold, reason=reason, lots=part)
            yield self.step(event, inventory, command, f"hold {hold} {start}" if start else f"hold {hold}")

    def _note_repacking(self, repacked: StockRepacked) -> None:
        made = [line.lot for line in repacked.into if line.item == repacked.item and line.lot is not None]
        if made:
            taken = [ref_of(move) for move in repacked.moves if move.change < 0 or move.unrecorded]
            known = {lot_form(ref.lot) for ref in taken}
            named = [LotRef(lot=line.lot) for line in repacked.lines if lot_form(line.lot) not in known]
            self._repacked[repacked.item].append(([*taken, *named], made))

    def _packed_from(self, item: str, scope: RecallScope | str) -> list[LotNumber]:
        """The lots, beside those that a recall covers, that were packed from recalled goods, or from such lots. A
        quarantine is of its own lot alone."""
        found: dict[str, LotNumber] = {}
        waiting = self._repacked[item] if isinstance(scope, RecallScope) else []
        while True:
            grown = len(found)
            for sources, made in waiting:
                if any(_concerns(scope, ref) or lot_form(ref.lot) in found for ref in sources):
                    found |= {lot_form(lot): lot for lot in made if lot_form(lot) and lot_form(lot) not in found}
            if len(found) == grown:
                return list(found.values())

    def _end(self, event: Recorded, item: str, hold: str) -> Iterator[Step]:
        self._open[item].pop(hold, None)
        for location in self._held[item, hold]:
            yield self._release(event, item, location, hold)

    def _release(self, event: Recorded, item: str, location: str, hold: str) -> Step:
        command = ReleaseHold(item=item, location=location, hold=hold)
        return self.step(event, inventory, command, f"release {hold}", met_by=InventoryError.UNKNOWN_HOLD)

    def _begun(self, event: Recorded, movement: Movement, hold: LotHold) -> Iterator[Step]:
        """A hold that began with the arrival of goods."""
        return self._note_hold(event, movement.item, movement.location, hold.hold, hold.reason, hold.lots)

    def _note_hold(
        self, event: Recorded, item: str, location: str, hold: str, reason: HoldReason, lots: tuple[LotRef, ...]
    ) -> Iterator[Step]:
        """Remember a hold; end it at once when what it follows from was over before the hold was stored."""
        if reason in _FOLLOWED:
            self._held[item, hold].setdefault(location, set()).update(map(ref_key, lots))
            if hold not in self._open[item]:
                yield self._release(event, item, location, hold)
        if reason is HoldReason.RECALL:
            yield from self._release_reserved(event, item, location, set(map(ref_key, lots)))

    def _release_reserved(self, event: Recorded, item: str, location: str, held: set[str]) -> Iterator[Step]:
        for reservation, lots in self._reserved[item, location].items():
            if not held.isdisjoint(lots):
                command = ReleaseReservation(item=item, location=location, reservation=reservation)
                name = f"release {reservation}"
                yield self.step(event, inventory, command, name, met_by=InventoryError.UNKNOWN_RESERVATION)

    def _freed(self, item: str, location: str, freed: Sequence[FreedLine]) -> None:
        reservations = self._reserved[item, location] if freed else {}
        for line in freed:
            lots = reservations.get(line.reservation, Counter())
            lots[ref_key(line)] -= line.quantity
            if lots[ref_key(line)] <= 0:
                del lots[ref_key(line)]
            if not lots:
                reservations.pop(line.reservation, None)

    def _missed(self, event: Recorded, movement: Movement) -> Iterator[Step]:
        """Holds that should cover what a movement brought in, and do not as far as the ledger says by now."""
        for hold, scope in self._open[movement.item].items():
            covered = self._held[movement.item, hold].get(movement.location, set())
            packed = {lot_form(lot) for lot in self._packed_from(movement.item, scope)}
            came = [move for move in movement.moves if move.change > 0 and ref_key(move) not in covered]
            if any(_concerns(scope, move) or lot_form(move.lot) in packed for move in came):
                reason = HoldReason.RECALL if isinstance(scope, RecallScope) else HoldReason.QUARANTINE
                yield from self._hold(event, movement.item, movement.location, hold, reason)


def _concerns(scope: RecallScope | str, lot: LotRef) -> bool:
    if isinstance(scope, RecallScope):
        return scope.covers(lot.lot, lot.date)
    return lot_form(scope) == lot_form(lot.lot)
