"""What is set aside, and what must wait: reservations and holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final

from services.inventory.allocation import Drawing, unfit
from services.inventory.arrivals import controlled
from services.inventory.basis import Basis, effect, said
from services.inventory.contract import (
    MAX_MOVES,
    PHARMACIST,
    UNKNOWN,
    ExpireReservation,
    FreedLine,
    Freeing,
    HoldReason,
    HoldReleased,
    HoldStock,
    InventoryError,
    LotNumber,
    LotRef,
    PickLine,
    Purpose,
    ReleaseHold,
    ReleaseReservation,
    RepackLine,
    ReservationExpired,
    ReservationReleased,
    ReserveStock,
    SetApart,
    StockHeld,
    StockRepacked,
    StockReserved,
    lot_form,
)
from services.inventory.departures import (
    distinct_picks,
    medicine_for_clinic_only,
    pharmacist_required,
    unknown_reservation,
)
from services.inventory.lot import Lots
from services.inventory.rules import REVIEW, freed_of, local_day, quantity_of, ref_key, usable_until
from services.inventory.shelf import Row, Stock
from services.inventory.timeline import moment_of
from shared.decider import Context
from shared.errors import Rejected

_NAMED: Final = 50


def reserve(command: ReserveStock, basis: Basis, now: datetime) -> StockReserved | None:
    """Set goods aside, if they are there at every moment from then on and nobody else's. They are for giving out yet to
    come, so their dates are judged on no day before today, whenever the reservation was made."""
    basis = replace(basis, day=max(basis.day, local_day(now, basis.place.utc_offset)))
    stock = basis.stock
    before = stock.reservations.get(command.reservation)
    if before is not None:
        if (before.quantity, before.purpose) == (command.quantity, command.purpose):
            return None
        raise Rejected(
            InventoryError.ALREADY_EXISTS,
            f"Reservation {command.reservation} is open already, of {before.quantity:,} for {before.purpose}. "
            "Choose another id.",
            reservation=command.reservation,
        )
    if command.reservation in stock.ended:
        raise Rejected(
            InventoryError.RESERVATION_ENDED,
            f"Reservation {command.reservation} has ended ({stock.ended[command.reservation]}). Choose another id.",
            reservation=command.reservation,
        )
    if command.due_at is not None and command.due_at <= now:
        raise Rejected(
            InventoryError.INVALID_RANGE,
            f"due_at is {command.due_at.isoformat()}, which has passed. Give a moment to come.",
            due_at=command.due_at.isoformat(),
        )
    if basis.facts.controlled:
        raise controlled(command.item)
    if basis.facts.medicine and command.purpose is not Purpose.CLINIC:
        raise medicine_for_clinic_only(command.item, command.purpose)
    drawing = Drawing(basis)
    wanted = PickLine(quantity=command.quantity, lot=command.lot, owner=command.owner)
    rows = drawing.matching(wanted)
    fit = [(key, row) for key, row in rows if _qualifies(command, basis, row)]
    reserved, left = [], command.quantity
    for key, row in fit:
        part = min(left, drawing.free(key, row))
        if part > 0:
            reserved.append(quantity_of(row.ref, part))
            left -= part
    if not reserved or (left and not command.allow_part):
        raise _refusal(command, basis, drawing, rows, fit, command.quantity - left)
    if len(reserved) > MAX_MOVES:
        raise Rejected(
            InventoryError.TOO_MANY_LOTS,
            f"This would take from {len(reserved)} lots; one reservation takes from at most {MAX_MOVES}. Cut it "
            "into several.",
            lots=len(reserved),
        )
    return StockReserved(**said(command), occurred_at=basis.at, reserved=tuple(reserved), short=left)


def release(command: ReleaseReservation, stock: Stock, at: datetime) -> ReservationReleased | None:
    """Give a reservation up; one that has ended stays as it is."""
    if command.reservation in stock.ended:
        return None
    freed = _freed(stock, command.reservation, Freeing.RELEASED)
    return ReservationReleased(**said(command), occurred_at=at, freed=freed)


def expire(command: ExpireReservation, stock: Stock, at: datetime, context: Context) -> ReservationExpired | None:
    """End a reservation whose time is over; one that has ended stays as it is."""
    if command.reservation in stock.ended:
        return None
    freed = _freed(stock, command.reservation, Freeing.EXPIRED)
    due = stock.reservations[command.reservation].due_at
    if due is None or due > context.now:
        raise Rejected(
            InventoryError.NOT_YET_DUE,
            f"Reservation {command.reservation} "
            f"{f'is due at {due.isoformat()}' if due else 'has no time at which it ends'}. "
            "Use ReleaseReservation to end it now.",
            reservation=command.reservation, due_at=due.isoformat() if due else None,
        )  # fmt: skip
    return ReservationExpired(**said(command), occurred_at=at, freed=freed)


def hold(command: HoldStock, basis: Basis) -> StockHeld | None:
    """Stop lots at this location; what is held already is not held twice. Of very many lots the first are held: sent
    again, it holds the next, until there is nothing left to hold."""
    stock, lots = basis.stock, basis.lots
    rows = dict(stock.shelf())
    if command.reason is HoldReason.RECALL:
        if command.hold not in lots.recalls:
            raise Rejected(
                InventoryError.UNKNOWN_RECALL,
                f"Item {command.item} has no open recall {command.hold}. A hold for a recall bears the recall's id.",
                recall=command.hold,
            )
        scope, named = lots.recalls[command.hold], {lot_form(lot) for lot in command.lots}
        rows = {
            key: row for key, row in rows.items()
            if scope.covers(row.ref.lot, row.ref.date) or lot_form(row.ref.lot) in named
        }  # fmt: skip
    elif command.reason is HoldReason.QUARANTINE:
        if command.hold not in lots.quarantines:
            raise _unknown_hold(command.hold, "A hold for a quarantine bears the quarantine's id.")
        form = lot_form(lots.quarantines[command.hold])
        rows = {key: row for key, row in rows.items() if lot_form(row.ref.lot) == form}
    elif command.lots:
        forms = {lot_form(lot): lot for lot in command.lots}
        rows = {key: row for key, row in rows.items() if lot_form(row.ref.lot) in forms}
        missing = [forms[form] for form in forms.keys() - {lot_form(row.ref.lot) for row in rows.values()}]
        if missing:
            raise Rejected(
                InventoryError.UNKNOWN_LOT,
                f"There is nothing here of lot {', '.join(sorted(missing)[:10])}. Check the lot number.",
                lots=sorted(missing)[:_NAMED],
            )
    _check_id(command, stock, lots)
    fresh = {key: row for key, row in rows.items() if command.hold not in row.holds}
    if not fresh:
        return None
    fresh = dict(islice(fresh.items(), MAX_MOVES))
    held = tuple(row.ref for row in fresh.values())
    within = tuple(
        id for id, reservation in stock.reservations.items() if any(key in fresh for key in reservation.lots)
    )
    return StockHeld(**said(command), occurred_at=basis.at, held=held, reservations=within[:MAX_MOVES])


def set_apart(command: SetApart, basis: Basis) -> StockRepacked | StockHeld | None:
    """Hold so much of some lots; the lots whole when it cannot be taken from them."""
    distinct_picks(command.lines)
    whole = HoldStock(
        item=command.item, location=command.location, note=command.note, hold=command.hold,
        reason=HoldReason.INSPECTION, lots=tuple(dict.fromkeys(line.lot or UNKNOWN for line in command.lines)),
    )  # fmt: skip
    _check_id(whole, basis.stock, basis.lots)
    if command.hold in basis.stock.holds:
        return None
    drawing = Drawing(basis, live=True)
    try:
        drawing.take(replace(line, reason="they are set apart") for line in command.lines)  # whatever ends sooner
        there = not drawing.unrecorded and basis.absorbed_by is None
    except Rejected:
        there = False
    if not there:
        held = hold(whole, basis)
        return held and replace(held, lines=command.lines, apart=command.apart)
    into = _renamed(drawing.taken, basis.stock, command.apart)
    refs = {ref_key(ref): ref for ref in into}
    changes = drawing.changes()
    for ref, quantity in into.items():
        changes[ref_key(ref)] = changes.get(ref_key(ref), 0) + quantity
    return StockRepacked(
        item=command.item, location=command.location, note=command.note, lines=command.lines,
        into=tuple(
            RepackLine(
                item=command.item, lot=ref.lot, date=ref.date, date_kind=ref.date_kind, owner=ref.owner,
                quantity=quantity,
            )
            for ref, quantity in into.items()
        ),
        apart=command.apart, hold=command.hold,
        **effect(basis, changes, refs=refs, **drawing.told()),
    )  # fmt: skip


def _renamed(taken: dict[str, int], stock: Stock, lot: LotNumber) -> dict[LotRef, int]:
    """What was taken by date and owner, under another lot number."""
    renamed: Counter[LotRef] = Counter()
    for key, quantity in taken.items():
        renamed[replace(stock.rows[key].ref, lot=lot)] += quantity
    return renamed


def release_hold(command: ReleaseHold, basis: Basis, mandate: str | None) -> HoldReleased | None:
    """End a hold, once what it stands for is over."""
    stock, lots, id = basis.stock, basis.lots, command.hold
    if id not in stock.holds:
        if id in lots.lifted or id in lots.released:
            return None
        raise _unknown_hold(id, "Check the id.")
    found = stock.holds[id]
    if id in lots.recalls:
        raise Rejected(
            InventoryError.STILL_RECALLED, f"Recall {id} still stands. Lift it first, with LiftRecall.", recall=id
        )
    if id in lots.quarantines:
        raise Rejected(
            InventoryError.STILL_QUARANTINED,
            f"Quarantine {id} still stands. Release the lot first, with ReleaseLot.",
            quarantine=id,
        )
    if found.reason is HoldReason.PHARMACIST_REVIEW and mandate != PHARMACIST:
        raise pharmacist_required()
    freed: tuple[LotRef, ...] = tuple(stock.rows[key].ref for key in found.keys)
    return HoldReleased(**said(command), occurred_at=basis.at, reason=found.reason, freed_lots=freed)


def _qualifies(command: ReserveStock, basis: Basis, row: Row) -> bool:
    if basis.unfit(row) is not None:
        return False
    if command.expires_after is None:
        return True
    until = usable_until(row.ref, basis.facts)
    return until is not None and until > command.expires_after


def _refusal(
    command: ReserveStock, basis: Basis, drawing: Drawing, rows: list[tuple[str, Row]], fit: list[tuple[str, Row]],
    free: int,
) -> Rejected:  # fmt: skip
    """Why there is not enough: the lot that was named, or how many there are, and when, if only later movements stand
    in the way."""
    if command.lot is not None and not fit:
        for _, row in rows:
            breach = basis.unfit(row)
            if breach is not None and row.on_hand:
                return unfit(basis, row, breach)
    moment = basis.moment
    for _, row in fit:
        lowest = row.timeline.minimum_from(basis.moment)
        fall = row.timeline.first_below(basis.moment, lowest + 1)
        if fall is not None and lowest < row.timeline.balance_at(basis.moment):
            moment = max(moment, fall[0])
    reserved = sum(row.reserved for _, row in rows)
    on_hand = sum(row.on_hand for _, row in rows)
    rest = ", and the rest may not be given out" if on_hand > reserved and not free else ""
    at = moment_of(moment).isoformat()
    return Rejected(
        InventoryError.INSUFFICIENT_STOCK,
        f"{command.quantity:,} asked for, {free:,} can be set aside: from {at} on there are {on_hand:,} on hand, "
        f"{reserved:,} of them reserved{rest}. Ask for less, or allow a part.",
        quantity=command.quantity,
        available=free,
        on_hand=on_hand,
        reserved=reserved,
        moment=at,
    )


def _freed(stock: Stock, reservation: str, why: Freeing) -> tuple[FreedLine, ...]:
    if reservation not in stock.reservations:
        raise unknown_reservation(reservation)
    lots = stock.reservations[reservation].lots
    return tuple(freed_of(stock.rows[key].ref, quantity, reservation, why) for key, quantity in lots.items())


def _check_id(command: HoldStock, stock: Stock, lots: Lots) -> None:
    """A hold is ended by whoever may end its reason, so an id stands for one reason, here and to come."""
    taken = None
    if command.hold in stock.holds:
        before = stock.holds[command.hold].reason
        taken = None if before is command.reason else f"Hold {command.hold} exists already, for {before}."
    elif command.reason is not HoldReason.PHARMACIST_REVIEW and command.hold.startswith(REVIEW):
        taken = f"An id that begins with {REVIEW} is a pharmacist's review."
    elif command.reason is not HoldReason.RECALL and (command.hold in lots.recalls or command.hold in lots.lifted):
        taken = f"{command.hold} is a recall of this item."
    elif command.reason is not HoldReason.QUARANTINE and (
        command.hold in lots.quarantines or command.hold in lots.released
    ):
        taken = f"{command.hold} is a quarantine of this item."
    if taken is not None:
        raise Rejected(InventoryError.ALREADY_EXISTS, f"{taken} Choose another id.", hold=command.hold)


def _unknown_hold(id: str, advice: str) -> Rejected:
    return Rejected(InventoryError.UNKNOWN_HOLD, f"There is no hold {id} here. {advice}", hold=id)
