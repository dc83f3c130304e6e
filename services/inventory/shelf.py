"""The state of a stock, one item at one location, and how its events change it.

What the stock decides is in stock.py and the modules that it names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final

from services.inventory.contract import (
    CountApproved,
    FreedLine,
    Freeing,
    HoldReason,
    HoldReleased,
    LotHold,
    LotQuantity,
    LotRef,
    Movement,
    MovementCorrected,
    MovementKind,
    MovementReversed,
    Purpose,
    ReservationExpired,
    ReservationReleased,
    StockAdjusted,
    StockDisposed,
    StockHeld,
    StockIssued,
    StockReceived,
    StockRepacked,
    StockReserved,
    StockReturned,
    TransferDispatched,
    TransferReceived,
    lot_form,
)
from services.inventory.rules import ref_key, ref_of
from services.inventory.timeline import Key, Timeline, mark, microseconds

REMEMBERED: Final = 2_000
"""How many ended reservations, and dispatched and received transfers, a stock remembers."""


class Mark(IntEnum):
    """A kind of movement, as the timeline keeps it. FOUND sorts first: what left beyond the ledger was found first."""

    FOUND = 0
    RECEIVED = 1
    ISSUED = 2
    ADJUSTED = 3
    DISPOSED = 4
    RETURNED = 5
    REPACKED = 6
    DISPATCHED = 7
    ARRIVED = 8
    COUNTED = 9


KINDS: Final[dict[int, MovementKind]] = {
    Mark.RECEIVED: MovementKind.STOCK_RECEIVED,
    Mark.ISSUED: MovementKind.STOCK_ISSUED,
    Mark.ADJUSTED: MovementKind.STOCK_ADJUSTED,
    Mark.DISPOSED: MovementKind.STOCK_DISPOSED,
    Mark.RETURNED: MovementKind.STOCK_RETURNED,
    Mark.REPACKED: MovementKind.STOCK_REPACKED,
    Mark.DISPATCHED: MovementKind.TRANSFER_DISPATCHED,
    Mark.ARRIVED: MovementKind.TRANSFER_RECEIVED,
    Mark.COUNTED: MovementKind.COUNT_APPROVED,
}
_KIND_MARKS: Final = {kind: Mark(number) for number, kind in KINDS.items()}

_MARKS: Final[dict[type, Mark]] = {
    StockReceived: Mark.RECEIVED,
    StockIssued: Mark.ISSUED,
    StockAdjusted: Mark.ADJUSTED,
    StockDisposed: Mark.DISPOSED,
    StockReturned: Mark.RETURNED,
    StockRepacked: Mark.REPACKED,
    TransferDispatched: Mark.DISPATCHED,
    TransferReceived: Mark.ARRIVED,
    CountApproved: Mark.COUNTED,
}

_MENDING: Final = (MovementReversed, MovementCorrected)


@dataclass
class Row:
    """Goods of one lot, date and owner on this shelf: their balance over time, what is reserved of them, and which
    holds cover them. `since` is the revision at which they first came."""

    ref: LotRef
    since: int
    timeline: Timeline = field(default_factory=Timeline)
    reserved: int = 0
    holds: list[str] = field(default_factory=list)

    @property
    def on_hand(self) -> int:
        return self.timeline.balance


@dataclass
class Reservation:
    """An open reservation: what it holds of each lot, by the lot's key."""

    quantity: int
    purpose: Purpose
    lots: dict[str, int] = field(default_factory=dict)
    due_at: datetime | None = None


@dataclass
class Hold:
    """An open hold: why, and the keys of the lots that it covers."""

    reason: HoldReason
    keys: list[str] = field(default_factory=list)


@dataclass
class Dispatch:
    """What a transfer took from here, where to, and when."""

    destination: str
    at: datetime
    goods: list[LotQuantity]


@dataclass
class Count:
    """The last approved count: its id, the revision of its record, its moment, its place in the timelines, and the
    moment (that of the count before it) from which movements can still be mended."""

    count: str
    record: int
    at: datetime
    floor: Key
    kept_from: int


@dataclass
class Stock:
    """One item at one location. `revision` counts its events; `present` are the keys of the lots that are there.

    `mended` says of each reversal and correction which movement it mends, `reversed` of each reversed movement by
    which.
    """

    revision: int = 0
    on_hand: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    present: list[str] = field(default_factory=list)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    ended: dict[str, Freeing] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    dispatched: dict[str, Dispatch] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    mended: dict[int, int] = field(default_factory=dict)
    reversed: dict[int, int] = field(default_factory=dict)
    counted: Count | None = None

    @property
    def floor(self) -> Key | None:
        return None if self.counted is None else self.counted.floor

    def shelf(self) -> Iterable[tuple[str, Row]]:
        """The lots that are there."""
        return ((key, self.rows[key]) for key in self.present)

    def absorbing(self, moment: int, revision: int) -> str | None:
        """The approved count that a movement of such a moment would come before, if any."""
        if self.counted is not None and (moment, mark(revision, 0)) < self.counted.floor:
            return self.counted.count
        return None

    def resolve(self, lines: Iterable[LotRef]) -> dict[str, LotRef]:
        """The lots that lines mean, by key and in their order: the very same lot, date and owner, or the only one of
        that lot here when a line leaves date and owner out and no other line names the lot."""
        refs = [ref_of(line) for line in lines]
        named = Counter(lot_form(ref.lot) for ref in refs)
        found: dict[str, LotRef] = {}
        for ref in refs:
            key, form = ref_key(ref), lot_form(ref.lot)
            if key not in self.rows and form and named[form] == 1 and ref.date is None and ref.owner is None:
                same = [k for k, row in self.rows.items() if lot_form(row.ref.lot) == form]
                key = same[0] if len(same) == 1 else key
            found[key] = self.rows[key].ref if key in self.rows else ref
        return found


StockChange = Movement | StockReserved | ReservationReleased | ReservationExpired | StockHeld | HoldReleased


def evolve(stock: Stock, event: StockChange) -> Stock:
    stock.revision += 1
    match event:
        case Movement():
            _move(stock, event)
        case StockReserved():
            lots = {ref_key(line): line.quantity for line in event.reserved}
            for key, quantity in lots.items():
                stock.rows[key].reserved += quantity
            stock.reservations[event.reservation] = Reservation(event.quantity, event.purpose, lots, event.due_at)
        case ReservationReleased():
            _free(stock, event.freed)
            _end(stock, event.reservation, Freeing.RELEASED)
        case ReservationExpired():
            _free(stock, event.freed)
            _end(stock, event.reservation, Freeing.EXPIRED)
        case StockHeld():
            _hold(stock, LotHold(hold=event.hold, reason=event.reason, lots=event.held))
        case HoldReleased():
            for key in stock.holds.pop(event.hold).keys:
                stock.rows[key].holds.remove(event.hold)
    return stock


def _move(stock: Stock, event: Movement) -> None:
    moment = microseconds(event.effective_at)
    before: dict[str, int] = {}
    mends = None
    if isinstance(event, _MENDING):
        kind, mends = _KIND_MARKS[event.kind], event.movement
    else:
        kind = _MARKS[type(event)]
    for move in event.moves:
        key = ref_key(move)
        row = stock.rows.get(key) or _row(stock, key, move)
        before[key] = row.timeline.balance
        if mends is not None:
            if move.unrecorded:
                row.timeline.amend(moment, mends, Mark.FOUND, move.unrecorded)
            row.timeline.amend(moment, mends, kind, move.change - move.unrecorded)
        elif move.unrecorded:
            row.timeline.enter(moment, stock.revision, Mark.FOUND, move.unrecorded)
            row.timeline.enter(moment, stock.revision, kind, move.change - move.unrecorded)
        elif kind is not Mark.COUNTED:
            row.timeline.enter(moment, stock.revision, kind, move.change)
    if event.freed:
        _free(stock, event.freed)
    match event:
        case StockReceived() | StockRepacked():
            for hold in event.holds:
                _hold(stock, hold)
        case StockIssued(reservation=str() as reservation):
            if reservation in stock.reservations and not (event.keep_rest and stock.reservations[reservation].lots):
                _end(stock, reservation, Freeing.USED)
        case TransferDispatched():
            stock.dispatched[event.transfer] = Dispatch(event.destination, event.effective_at, list(event.goods))
            _bound(stock.dispatched)
        case TransferReceived():
            for hold in event.holds:
                _hold(stock, hold)
            stock.received[event.transfer] = stock.revision
            _bound(stock.received)
        case CountApproved():
            variances = {ref_key(move): move.change for move in event.moves}
            _settle(stock, event, moment, variances)
        case MovementReversed():
            stock.mended[stock.revision] = event.movement
            stock.reversed[event.movement] = stock.revision
        case MovementCorrected():
            stock.mended[stock.revision] = event.movement
    for key, was in before.items():
        now = stock.rows[key].timeline.balance
        stock.on_hand += now - was
        if now and not was:
            stock.present.append(key)
        elif was and not now:
            stock.present.remove(key)


def _settle(stock: Stock, event: CountApproved, moment: int, variances: dict[str, int]) -> None:
    kept_from = stock.floor[0] if stock.floor is not None else -(2**63)
    for key, row in list(stock.rows.items()):
        row.timeline.settle(moment, stock.revision, Mark.COUNTED, variances.get(key, 0))
        if not (row.on_hand or row.reserved or row.holds or row.timeline.blocks):
            del stock.rows[key]
    floor = (moment, mark(stock.revision, Mark.COUNTED))
    stock.counted = Count(event.count, event.record, event.effective_at, floor, kept_from)


def _row(stock: Stock, key: str, ref: LotRef) -> Row:
    row = stock.rows.get(key)
    if row is None:
        bare = LotRef(lot=ref.lot, date=ref.date, date_kind=ref.date_kind, owner=ref.owner)
        row = stock.rows[key] = Row(bare, stock.revision, Timeline(floor=stock.floor))
    return row


def _free(stock: Stock, lines: Iterable[FreedLine]) -> None:
    for line in lines:
        key = ref_key(line)
        stock.rows[key].reserved -= line.quantity
        lots = stock.reservations[line.reservation].lots
        lots[key] -= line.quantity
        if not lots[key]:
            del lots[key]


def _end(stock: Stock, reservation: str, how: Freeing) -> None:
    del stock.reservations[reservation]
    stock.ended[reservation] = how
    _bound(stock.ended)


def _hold(stock: Stock, new: LotHold) -> None:
    hold = stock.holds.setdefault(new.hold, Hold(new.reason))
    for ref in new.lots:
        key = ref_key(ref)
        row = _row(stock, key, ref)
        if new.hold not in row.holds:
            row.holds.append(new.hold)
            hold.keys.append(key)


def _bound(remembered: dict[str, Freeing] | dict[str, Dispatch] | dict[str, int]) -> None:
    while len(remembered) > REMEMBERED:
        del remembered[next(iter(remembered))]


def check(stock: Stock) -> list[str]:
    """Broken invariants: balances are what the movements make them and never negative; reserved goods are there."""
    broken = []
    reserved: dict[str, int] = {}
    for id, reservation in stock.reservations.items():
        for key, quantity in reservation.lots.items():
            reserved[key] = reserved.get(key, 0) + quantity
            if quantity <= 0:
                broken.append(f"reservation {id} holds {quantity} of {key!r}")
    for key, row in stock.rows.items():
        broken += [f"lot {key!r}: {sentence}" for sentence in row.timeline.check()]
        if row.reserved != reserved.get(key, 0):
            broken.append(f"lot {key!r}: {row.reserved} reserved, its reservations hold {reserved.get(key, 0)}")
        if row.reserved > row.on_hand:
            broken.append(f"lot {key!r}: {row.reserved} reserved of {row.on_hand}")
        if (row.on_hand != 0) != (key in stock.present):
            broken.append(f"lot {key!r}: {row.on_hand} on hand, but listed as present: {key in stock.present}")
        for hold in row.holds:
            if hold not in stock.holds or key not in stock.holds[hold].keys:
                broken.append(f"lot {key!r}: hold {hold} does not know it")
        if row.timeline.floor != stock.floor:
            broken.append(f"lot {key!r}: its last count is not the stock's")
        if key != ref_key(row.ref):
            broken.append(f"lot {key!r} is filed under another key")
    if stock.on_hand != sum(row.on_hand for row in stock.rows.values()):
        broken.append(f"{stock.on_hand} on hand, the lots add up to {sum(r.on_hand for r in stock.rows.values())}")
    return broken


def check_after(stock: Stock, event: StockChange) -> list[str]:
    """Broken invariants of the lots that an event moved, and figures in it that its movements do not lead to."""
    if not isinstance(event, Movement):
        return [] if stock.on_hand >= 0 else [f"{stock.on_hand} on hand"]
    broken = []
    for move in event.moves:
        key = ref_key(move)
        row = stock.rows.get(key)
        if row is None:  # a count let it go
            on_hand = 0
        else:
            line = row.timeline
            on_hand = line.balance
            late = line.last[1] >> 4 != stock.revision
            if on_hand < 0 or (late and line.minimum_from(microseconds(event.effective_at)) < 0):
                broken.append(f"lot {key!r}: the balance falls below zero")
            if row.reserved > on_hand:
                broken.append(f"lot {key!r}: {row.reserved} reserved of {on_hand}")
            if (on_hand != 0) != (key in stock.present):
                broken.append(f"lot {key!r}: {on_hand} on hand, but listed as present: {key in stock.present}")
        if on_hand != move.on_hand:
            broken.append(f"lot {key!r}: the event says {move.on_hand} on hand, and its movements make {on_hand}")
    if stock.on_hand != event.on_hand:
        broken.append(f"the event says {event.on_hand} on hand, and its movements make {stock.on_hand}")
    return broken
