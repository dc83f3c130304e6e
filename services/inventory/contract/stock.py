"""Commands and events of `stock`: one item at one location. The aggregate's id is `<item>:<location>`.

Movements are named by their revision in the stock's stream. Goods that are happening to leave now may still be
stopped, so a command that breaks a rule of safety (expired, held, recalled, medicine not for the clinic) or takes what
is reserved for another is refused; with `already_left`, or a moment more than five minutes past, it reports a fact, is
recorded, and names what it broke. What leaves beyond the ledger's figure is recorded either way
(`LotMove.unrecorded`).

RepackStock takes goods off this stock. What becomes the same item again is on the shelf with the same event; what
becomes another item is received there by a process manager: StockRepacked -> ReceiveStock(source=repack), one for each
other item of `into`, at the same location, the lines' `made_from` naming the lots that were taken.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.inventory.contract.base import (
    MAX_LINES,
    AdjustLine,
    AdjustReason,
    Date,
    FreedLine,
    HoldReason,
    Id,
    LotHold,
    LotMove,
    LotNumber,
    LotQuantity,
    LotRef,
    Moment,
    Movement,
    MovementKind,
    PickLine,
    Purpose,
    Quantity,
    ReceiptLine,
    RepackLine,
    Revision,
    Source,
    StockCommand,
    StockEvent,
    Text,
    command,
    event,
    stock_of,
)

_Lines = Field(min_length=1, max_length=MAX_LINES)

# -- movements --------------------------------------------------------------------------------------------------------


@event(category="stock")
class StockReceived(Movement):
    """Goods arrived and are on hand.

    `donor` or `supplier` is the opaque id of whoever they came from, `delivery` the id of the delivery they were part
    of. `holds` began with their arrival: an open recall or quarantine, or donated medicine that waits for a pharmacist.
    """

    source: Source
    lines: tuple[ReceiptLine, ...]
    donor: Id | None = None
    supplier: Id | None = None
    delivery: Id | None = None
    confirm_unusual: bool = False
    holds: tuple[LotHold, ...] = ()


@command(category="stock", aggregate=stock_of, makes=(StockReceived,))
class ReceiveStock(StockCommand):
    """Take goods in. Unsorted goods are an item of unit g, and received by weight.

    A quantity above the item's `unusual_above` needs `confirm_unusual`. A lot of UNKNOWN is the same as none.
    """

    source: Source
    lines: Annotated[tuple[ReceiptLine, ...], _Lines]
    donor: Id | None = None
    supplier: Id | None = None
    delivery: Id | None = None
    confirm_unusual: bool = False


@event(category="stock")
class StockIssued(Movement):
    """Goods left for whoever they are meant for.

    `recipient` is the opaque id of who or what got them (a box code, a dispensing), so that a recall can be followed.
    `moves` say from which lots; `lines` what was asked for. With a `reservation`, its goods were taken first, and the
    rest of it was released unless `keep_rest`. `reference` is what the sender knows it by. What had been set apart
    of the goods under the lot number `apart` was taken from there, whichever lot a line names.
    """

    purpose: Purpose
    lines: tuple[PickLine, ...] = ()
    reservation: Id | None = None
    keep_rest: bool = False
    recipient: Id | None = None
    reference: Id | None = None
    apart: LotNumber | None = None
    already_left: bool = False


@command(category="stock", aggregate=stock_of, makes=(StockIssued,))
class IssueStock(StockCommand):
    """Give goods out, by lines or against a reservation (no lines: all that it holds).

    With `apart`, what SetApart holds under that lot number is taken first, and the lines' own lots if it had to hold
    those whole.
    """

    purpose: Purpose
    lines: Annotated[tuple[PickLine, ...], Field(max_length=MAX_LINES)] = ()
    reservation: Id | None = None
    keep_rest: bool = False
    recipient: Id | None = None
    reference: Id | None = None
    apart: LotNumber | None = None
    already_left: bool = False


@event(category="stock")
class StockAdjusted(Movement):
    """The ledger was brought in line with the shelf, for a reason, outside a count."""

    reason: AdjustReason
    lines: tuple[AdjustLine, ...]


@command(category="stock", aggregate=stock_of, makes=(StockAdjusted,))
class AdjustStock(StockCommand):
    """Record what was found or is gone. The reason decides which signs are allowed (see AdjustReason)."""

    reason: AdjustReason
    lines: Annotated[tuple[AdjustLine, ...], _Lines]


@event(category="stock")
class StockDisposed(Movement):
    """Goods were destroyed or thrown away. `method` says how, `witness` who saw it."""

    reason: AdjustReason
    lines: tuple[PickLine, ...]
    method: Text | None = None
    witness: Text | None = None


@command(category="stock", aggregate=stock_of, makes=(StockDisposed,))
class DisposeStock(StockCommand):
    """Record that goods were destroyed or thrown away. A line without a lot takes what may not be given out first.

    `found` and `counting_error` are no reasons to dispose.
    """

    reason: AdjustReason
    lines: Annotated[tuple[PickLine, ...], _Lines]
    method: Text | None = None
    witness: Text | None = None


@event(category="stock")
class StockReturned(Movement):
    """Goods went back to whoever supplied or recalled them."""

    supplier: Id | None = None
    reason: AdjustReason | None = None
    lines: tuple[PickLine, ...]
    reference: Text | None = None


@command(category="stock", aggregate=stock_of, makes=(StockReturned,))
class ReturnToSupplier(StockCommand):
    """Send goods back. `reference` is the supplier's own, such as a credit note's number."""

    supplier: Id | None = None
    reason: AdjustReason | None = None
    lines: Annotated[tuple[PickLine, ...], _Lines]
    reference: Text | None = None


@event(category="stock")
class StockRepacked(Movement):
    """Goods were packed anew: `moves` took them off this stock (and put back what became the same item), `into` is
    what they became, each with its own lot and date; the lots they came from are those of `moves`.

    Goods that were set apart are the same item under the lot number `apart`, and the hold `hold` began with it.
    """

    lines: tuple[PickLine, ...]
    into: tuple[RepackLine, ...]
    already_left: bool = False
    apart: LotNumber | None = None
    hold: Id | None = None

    @property
    def holds(self) -> tuple[LotHold, ...]:
        """The hold that began with it, if one did."""
        if self.hold is None:
            return ()
        lots = tuple(
            LotRef(lot=line.lot, date=line.date, date_kind=line.date_kind, owner=line.owner) for line in self.into
        )
        return (LotHold(hold=self.hold, reason=HoldReason.INSPECTION, lots=lots),)


@command(category="stock", aggregate=stock_of, makes=(StockRepacked,))
class RepackStock(StockCommand):
    """Pack goods anew, into the same item or others at the same location."""

    lines: Annotated[tuple[PickLine, ...], Field(min_length=1, max_length=20)]
    into: Annotated[tuple[RepackLine, ...], Field(min_length=1, max_length=20)]
    already_left: bool = False


@event(category="stock")
class MovementReversed(Movement):
    """A movement is undone: `moves` are its own with the opposite sign, at its moment.

    `movement` is its revision in this stock, `kind` what it was.
    """

    movement: Revision
    kind: MovementKind
    reason: Text


@command(category="stock", aggregate=stock_of, makes=(MovementReversed,))
class ReverseMovement(StockCommand):
    """Undo a movement recorded by mistake, if nothing later depends on it; otherwise the refusal names what does.

    Transfers, counts and repackings are undone by their like: send back, count again, repack.
    """

    movement: Revision
    reason: Text


@event(category="stock")
class MovementCorrected(Movement):
    """A movement's lines were wrong: `was` is what it had done, `lines` is what it should have done, and `moves` are
    the differences, at its moment. Its direction, in or out, stays.
    """

    movement: Revision
    kind: MovementKind
    lines: tuple[LotQuantity, ...]
    reason: Text
    was: tuple[LotMove, ...]


@command(category="stock", aggregate=stock_of, makes=(MovementCorrected,))
class CorrectMovement(StockCommand):
    """Replace the lines of a movement (144 typed for 12), if nothing later depends on what goes away.

    `lines` are all its lines as they should have been, by lot.
    """

    movement: Revision
    lines: Annotated[tuple[LotQuantity, ...], _Lines]
    reason: Text


# -- reservations -----------------------------------------------------------------------------------------------------


@event(category="stock")
class StockReserved(StockEvent):
    """Goods are set aside. `reserved` says which lots; `short` is what could not be set aside (only with `allow_part`).

    `due_at` is when the reservation may be expired; it counts until it is issued, released or expired.
    """

    reservation: Id
    quantity: Quantity
    purpose: Purpose
    allow_part: bool = False
    lot: LotNumber | None = None
    owner: Id | None = None
    expires_after: Date | None = None
    due_at: Moment | None = None
    recipient: Id | None = None
    reserved: tuple[LotQuantity, ...]
    short: int = 0


@command(category="stock", aggregate=stock_of, makes=(StockReserved,))
class ReserveStock(StockCommand):
    """Set goods aside, first-expired-first-out, all or none; with `allow_part`, as much as there is.

    `lot` and `owner` narrow the choice. `expires_after` asks for goods that may still be given out after that date;
    goods of unknown date do not qualify.
    """

    reservation: Id
    quantity: Quantity
    purpose: Purpose
    allow_part: bool = False
    lot: LotNumber | None = None
    owner: Id | None = None
    expires_after: Date | None = None
    due_at: Moment | None = None
    recipient: Id | None = None


@event(category="stock")
class ReservationReleased(StockEvent):
    """A reservation ended without an issue; `freed` is available again."""

    reservation: Id
    freed: tuple[FreedLine, ...]


@command(category="stock", aggregate=stock_of, makes=(ReservationReleased,))
class ReleaseReservation(StockCommand):
    """Give up a reservation. One that has ended already stays as it is."""

    reservation: Id


@event(category="stock")
class ReservationExpired(StockEvent):
    """A reservation's time was over; `freed` is available again."""

    reservation: Id
    freed: tuple[FreedLine, ...]


@command(category="stock", aggregate=stock_of, makes=(ReservationExpired,))
class ExpireReservation(StockCommand):
    """End a reservation whose `due_at` has passed; sent by the clock's process manager."""

    reservation: Id


# -- holds ------------------------------------------------------------------------------------------------------------


@event(category="stock")
class StockHeld(StockEvent):
    """Lots at a location may not be given out. `held` are covered whole, with whatever arrives of them later.

    `reservations` are the open reservations that the held lots stand in, 200 of them at most. With `lines`, so much was
    to be set apart under the lot number `apart`, and could not be.
    """

    hold: Id
    reason: HoldReason
    lots: tuple[LotNumber, ...] = ()
    lines: tuple[PickLine, ...] = ()
    apart: LotNumber | None = None
    held: tuple[LotRef, ...]
    reservations: tuple[Id, ...] = ()


@command(category="stock", aggregate=stock_of, makes=(StockHeld,))
class HoldStock(StockCommand):
    """Stop lots at one location; without `lots`, all that is there (UNKNOWN names the stock of unknown lot).

    With reason recall or quarantine, `hold` is the id of the recall or quarantine of this item, which then says which
    lots it covers; a recall's `lots` are held beside those, if they are there: what was packed from recalled goods.
    Sent again it adds what it does not cover yet. One decision holds 200 lots; sent again, the next.
    When there is nothing to hold, nothing is recorded. An id stands for one reason, and none but that of a
    pharmacist's review begins with `review-`.
    """

    hold: Id
    reason: HoldReason
    lots: Annotated[tuple[LotNumber, ...], Field(max_length=MAX_LINES)] = ()


@command(category="stock", aggregate=stock_of, makes=(StockRepacked, StockHeld))
class SetApart(StockCommand):
    """Hold just so much for inspection: it stays the item that it is, of the same date and owner, under the lot number
    `apart`, and the hold covers that alone. A recall of the lots that it was taken from reaches it.

    When it cannot be taken (reserved for others, not on the ledger, expired, held or recalled itself) its lots are held
    whole, as by HoldStock. Sent again while the hold stands it does nothing.
    """

    lines: Annotated[tuple[PickLine, ...], _Lines]
    apart: LotNumber
    hold: Id


@event(category="stock")
class HoldReleased(StockEvent):
    """A hold ended; `freed_lots` are free of it, and may be given out unless something else forbids it."""

    hold: Id
    reason: HoldReason
    freed_lots: tuple[LotRef, ...]


@command(category="stock", aggregate=stock_of, makes=(HoldReleased,))
class ReleaseHold(StockCommand):
    """End a hold. A recall's or quarantine's ends only after it was lifted; a review of medicine by a pharmacist."""

    hold: Id
