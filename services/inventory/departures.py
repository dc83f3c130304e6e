"""What leaves a shelf, or is found on it: issues, transfers, disposals, returns, repacking and adjustments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from services.inventory.allocation import Drawing
from services.inventory.arrivals import admitted, controlled, distinct
from services.inventory.basis import Basis, effect, said
from services.inventory.contract import (
    PHARMACIST,
    AdjustLine,
    AdjustReason,
    AdjustStock,
    Breach,
    DispatchTransfer,
    DisposeStock,
    InventoryError,
    IssueStock,
    LocationKind,
    LotNumber,
    LotQuantity,
    LotRef,
    PickLine,
    Purpose,
    RepackStock,
    ReturnToSupplier,
    StockAdjusted,
    StockDisposed,
    StockIssued,
    StockRepacked,
    StockReturned,
    TransferDispatched,
    lot_form,
)
from services.inventory.item import Item, registered
from services.inventory.location import Location
from services.inventory.rules import quantity_of, ref_key, ref_of
from shared.errors import Rejected

_READ_OFF_THE_LEDGER: Final = (AdjustReason.LOST, AdjustReason.STOLEN, AdjustReason.COUNTING_ERROR)
_NO_REASON_TO_DISPOSE: Final = (AdjustReason.FOUND, AdjustReason.COUNTING_ERROR)


def issue(command: IssueStock, basis: Basis) -> StockIssued:
    """Goods go to whoever they are meant for."""
    stock, id = basis.stock, command.reservation
    live = not (basis.late or command.already_left)
    drawing = Drawing(basis, live=live)
    reservation = id if id in stock.reservations else None
    if id is not None and reservation is None:
        if id not in stock.ended:
            raise unknown_reservation(id)
        if live or not command.lines:
            raise Rejected(
                InventoryError.RESERVATION_ENDED,
                f"Reservation {id} has ended ({stock.ended[id]}). Issue by lines, without it.",
                reservation=id, ended=stock.ended[id],
            )  # fmt: skip
        drawing.breaches.add(Breach.RESERVATION_ENDED)
    if id is None and not command.lines:
        raise Rejected(InventoryError.INCOMPLETE_LINE, "Say what to issue: lines, or a reservation.")
    distinct_picks(command.lines)
    _lawful(basis, command.item, command.purpose, drawing, live)
    if reservation is not None and not command.lines:
        drawing.take_all_of(reservation)
    else:
        lines = command.lines if command.apart is None else _from_apart(command.lines, command.apart, drawing)
        drawing.take(lines, reservation, command.keep_rest)
    fields = effect(basis, drawing.changes(), refs=_refs(command.lines), **drawing.told())
    return StockIssued(**said(command), **fields)


def dispatch(command: DispatchTransfer, basis: Basis, destination: Location, mandate: str | None) -> TransferDispatched:
    """Goods go on their way to another location: any to a quarantine, elsewhere only what may be held and given out."""
    if command.transfer in basis.stock.dispatched:
        raise Rejected(
            InventoryError.ALREADY_EXISTS,
            f"Transfer {command.transfer} has taken {command.item} from {command.location} already. Use another "
            "transfer id.",
            transfer=command.transfer,
        )
    if command.destination == command.location:
        raise Rejected(
            InventoryError.SAME_LOCATION,
            "A transfer goes to another location than it comes from.",
            location=command.location,
        )
    live = not (basis.late or command.already_left)
    breaches = set()
    if destination.closed_at is not None and (live or basis.at >= destination.closed_at):
        if live:
            raise Rejected(
                InventoryError.LOCATION_CLOSED,
                f"Location {command.destination} is closed. Open it again, or send the goods elsewhere.",
                location=command.destination,
            )
        breaches.add(Breach.LOCATION_CLOSED)
    distinct_picks(command.lines)
    to_quarantine = destination.kind is LocationKind.QUARANTINE
    if basis.facts.controlled and not to_quarantine:
        if live:
            raise controlled(command.item)
        breaches.add(Breach.CONTROLLED)
    if basis.quarantine and not to_quarantine and basis.facts.medicine and mandate != PHARMACIST:
        if live:
            raise pharmacist_required()
        breaches.add(Breach.QUARANTINED)
    drawing = Drawing(
        replace(basis, quarantine=False),
        live=live,
        any_state=to_quarantine,
        unfit_first=to_quarantine,
        breaches=breaches,
    )
    drawing.take(command.lines)
    fields = effect(basis, drawing.changes(), refs=_refs(command.lines), **drawing.told())
    goods: dict[str, LotQuantity] = {}
    for move in fields["moves"]:
        goods[ref_key(move)] = quantity_of(move, move.unrecorded - move.change)
    return TransferDispatched(**said(command), **fields, goods=tuple(goods.values()))


def dispose(command: DisposeStock, basis: Basis) -> StockDisposed:
    """Goods are destroyed or thrown away, whatever their state."""
    distinct_picks(command.lines)
    if command.reason in _NO_REASON_TO_DISPOSE:
        raise Rejected(
            InventoryError.REASON_REQUIRED,
            f"{command.reason} is no reason to dispose of goods. Say what was wrong with them.",
            reason=command.reason,
        )
    drawing = _take_any(basis, command.lines)
    return StockDisposed(
        **said(command), **effect(basis, drawing.changes(), refs=_refs(command.lines), **drawing.told())
    )


def return_(command: ReturnToSupplier, basis: Basis) -> StockReturned:
    """Goods go back to whoever supplied or recalled them, whatever their state."""
    drawing = _take_any(basis, command.lines)
    return StockReturned(
        **said(command), **effect(basis, drawing.changes(), refs=_refs(command.lines), **drawing.told())
    )


def repack(command: RepackStock, basis: Basis, others: dict[str, Item]) -> StockRepacked:
    """Goods become other packs, of this item or others, at the same location."""
    live = not (basis.late or command.already_left)
    for item, state in others.items():
        registered(state, item)
    breaches = set[Breach]()
    for item, state in others.items():
        breaches |= admitted(basis, command.location, item, state.retired_at, fact=not live)
    for item in {line.item for line in command.into}:
        distinct([line for line in command.into if line.item == item])
    distinct_picks(command.lines)
    for item, state in others.items():
        if registered(state, item).controlled:
            if live:
                raise controlled(item)
            breaches.add(Breach.CONTROLLED)
    drawing = Drawing(basis, live=live, breaches=breaches)
    drawing.take(command.lines)
    changes, refs = drawing.changes(), _refs(command.lines)
    for line in command.into:
        if line.item == command.item:
            key = ref_key(line)
            changes[key] = changes.get(key, 0) + line.quantity
            refs[key] = ref_of(line)
    return StockRepacked(**said(command), **effect(basis, changes, refs=refs, **drawing.told()))


def adjust(command: AdjustStock, basis: Basis) -> StockAdjusted:
    """The ledger follows the shelf, for a reason."""
    distinct(command.lines)
    meant = basis.stock.resolve(command.lines)
    out, refs = [], _refs(command.lines) | meant
    changes: dict[str, int] = {}
    for number, (line, key) in enumerate(zip(command.lines, meant, strict=True), start=1):
        _check_sign(command.reason, line, number)
        if line.change < 0:
            out.append(PickLine(quantity=-line.change, lot=line.lot, date=line.date, owner=line.owner))
        else:
            changes[key] = line.change
    drawing = _take_any(basis, out)
    if drawing.unrecorded and command.reason in _READ_OFF_THE_LEDGER:
        asked = sum(line.quantity for line in out)
        told = drawing.told()["short_at"]
        raise Rejected(
            InventoryError.INSUFFICIENT_STOCK,
            f"{asked:,} {basis.facts.unit} cannot be {command.reason.replace('_', ' ')}: from "
            f"{(told or basis.at).isoformat()} on the ledger has only {asked - drawing.unrecorded:,} of them. "
            "Count the stock instead.",
            quantity=asked, balance=asked - drawing.unrecorded, moment=(told or basis.at).isoformat(),
        )  # fmt: skip
    for key, change in drawing.changes().items():
        changes[key] = changes.get(key, 0) + change
    if basis.facts.controlled and any(line.change > 0 for line in command.lines):
        drawing.breaches.add(Breach.CONTROLLED)
    return StockAdjusted(**said(command), **effect(basis, changes, refs=refs, **drawing.told()))


def unknown_reservation(id: str) -> Rejected:
    """The refusal for a reservation that the stock does not know, or has forgotten."""
    return Rejected(
        InventoryError.UNKNOWN_RESERVATION,
        f"There is no reservation {id} of this item at this location. Check the id.",
        reservation=id,
    )


def pharmacist_required() -> Rejected:
    """The refusal for somebody else's letting medicine out of review."""
    return Rejected(
        InventoryError.PHARMACIST_REQUIRED,
        f"Medicine leaves review only under the mandate {PHARMACIST!r}. Ask the pharmacist to do it.",
        mandate=PHARMACIST,
    )


def _lawful(basis: Basis, item: str, purpose: Purpose, drawing: Drawing, live: bool) -> None:
    if basis.facts.controlled:
        if live:
            raise controlled(item)
        drawing.breaches.add(Breach.CONTROLLED)
    if basis.facts.medicine and purpose is not Purpose.CLINIC:
        if live:
            raise medicine_for_clinic_only(item, purpose)
        drawing.breaches.add(Breach.NOT_FOR_CLINIC)


def medicine_for_clinic_only(item: str, purpose: Purpose) -> Rejected:
    """The refusal for medicine that would go anywhere but the clinic."""
    return Rejected(
        InventoryError.MEDICINE_FOR_CLINIC_ONLY,
        f"{item} is a medicine: it leaves for the clinic alone, not for {purpose}.",
        item=item, purpose=purpose,
    )  # fmt: skip


def _from_apart(lines: Sequence[PickLine], apart: LotNumber, drawing: Drawing) -> list[PickLine]:
    """The lines, with what is there under another lot number in place of what they name, from the first on."""
    if lot_form(apart) in {lot_form(line.lot) for line in lines}:
        return list(lines)
    found = drawing.matching(PickLine(quantity=1, lot=apart))
    there = max(0, sum(drawing.there(key, row) for key, row in found))
    taken, rest = 0, []
    for line in lines:
        part = min(line.quantity, there - taken)
        taken += part
        if part < line.quantity:
            rest.append(replace(line, quantity=line.quantity - part))
    return [PickLine(quantity=taken, lot=apart, reason="set apart"), *rest] if taken else rest


def _take_any(basis: Basis, lines: Sequence[PickLine]) -> Drawing:
    distinct_picks(lines)
    drawing = Drawing(basis, any_state=True, unfit_first=True)
    drawing.take(lines)
    return drawing


def distinct_picks(lines: Sequence[PickLine]) -> None:
    """Refuse lines that ask for the same goods."""
    seen: set[tuple[str | None, date | None, str | None]] = set()
    for number, line in enumerate(lines, start=1):
        key = (None if line.lot is None else lot_form(line.lot), line.date, line.owner)
        if key in seen:
            raise Rejected(
                InventoryError.DUPLICATE_LINE,
                f"Line {number} asks for the same goods as an earlier one. Put them into one line.",
                line=number,
            )
        seen.add(key)


def _check_sign(reason: AdjustReason, line: AdjustLine, number: int) -> None:
    adds = line.change > 0
    if line.change == 0 or ((reason is AdjustReason.FOUND) != adds and reason is not AdjustReason.COUNTING_ERROR):
        raise Rejected(
            InventoryError.WRONG_SIGN,
            f"Line {number} changes the stock by {line.change:,}, which {reason.replace('_', ' ')} cannot. Found "
            "adds, a counting error goes "
            "both ways, every other reason takes away.",
            line=number, change=line.change, reason=reason,
        )  # fmt: skip


def _refs(lines: Sequence[PickLine | AdjustLine]) -> dict[str, LotRef]:
    """Lots that lines name, for those the stock does not know."""
    refs = (ref_of(LotRef(lot=line.lot)) for line in lines if line.lot is not None)
    return {ref_key(ref): ref for ref in refs}
