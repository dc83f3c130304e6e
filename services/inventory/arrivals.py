"""What comes onto a shelf: receipts, and transfers that arrive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.inventory.basis import Basis, effect, said
from services.inventory.contract import (
    AdjustReason,
    Breach,
    HoldReason,
    InventoryError,
    LotHold,
    LotQuantity,
    LotRef,
    ReceiptLine,
    ReceiveStock,
    ReceiveTransfer,
    Source,
    StockReceived,
    StorageClass,
    TransferReceived,
    lot_form,
)
from services.inventory.rules import REVIEW, name_of, quantity_of, ref_key, ref_of
from services.inventory.shelf import Stock
from shared.errors import Rejected

_COLDNESS: Final = {storage: degree for degree, storage in enumerate(StorageClass)}


def receive(command: ReceiveStock, basis: Basis) -> StockReceived:
    """Goods arrive. A recall or quarantine that covers them holds them at once, and donated medicine waits. Goods that
    arrived some time ago are there, whether or not they should have been taken in."""
    breaches = admitted(basis, command.location, command.item, basis.retired_at, fact=basis.late)
    refs = distinct(command.lines)
    if basis.facts.controlled:
        if not basis.late:
            raise controlled(command.item)
        breaches.add(Breach.CONTROLLED)
    total = sum(line.quantity for line in command.lines)
    unusual = basis.facts.unusual_above
    if unusual is not None and total > unusual and not command.confirm_unusual:
        raise Rejected(
            InventoryError.UNUSUAL_QUANTITY,
            f"{total:,} {basis.facts.unit} of {basis.facts.name} is more than the {unusual:,} at which somebody "
            "looks twice. "
            "If it is right, send it again with confirm_unusual.",
            quantity=total, unusual_above=unusual,
        )  # fmt: skip
    changes = {key: line.quantity for key, line in zip(refs, command.lines, strict=True)}
    review = basis.facts.medicine and command.source in (Source.DONATION, Source.RETURN)
    fields = effect(basis, changes, refs=refs, breaches=breaches | _breaches(basis, command.lines))
    return StockReceived(**said(command), **fields, holds=_holds(basis, refs, review))


def receive_transfer(command: ReceiveTransfer, basis: Basis, origin: Stock) -> TransferReceived:
    """What was dispatched arrives, or is lost for a reason; what was not dispatched but came is surplus. It was on the
    road, so that it arrived is recorded even where nothing more should come."""
    stock = basis.stock
    sent = origin.dispatched.get(command.transfer)
    if sent is None:
        raise Rejected(
            InventoryError.UNKNOWN_TRANSFER,
            f"{command.origin} has no dispatch of {command.item} under transfer {command.transfer}. Check the ids; "
            "if it was never "
            "dispatched in this ledger, use ReceiveStock with source transfer.",
            transfer=command.transfer, origin=command.origin,
        )  # fmt: skip
    if command.transfer in stock.received:
        raise Rejected(
            InventoryError.ALREADY_RECEIVED,
            f"Transfer {command.transfer} of {command.item} was received here already (movement "
            f"{stock.received[command.transfer]}). Correct the stock with AdjustStock or a count.",
            transfer=command.transfer, movement=stock.received[command.transfer],
        )  # fmt: skip
    if sent.destination != command.location:
        raise Rejected(
            InventoryError.WRONG_LOCATION,
            f"Transfer {command.transfer} is on its way to {sent.destination}. Receive it there, then send it on.",
            transfer=command.transfer, destination=sent.destination,
        )  # fmt: skip
    if basis.at < sent.at:
        raise Rejected(
            InventoryError.INVALID_RANGE,
            f"Transfer {command.transfer} left at {sent.at.isoformat()}; it cannot have arrived before.",
            dispatched_at=sent.at.isoformat(),
        )
    goods = {ref_key(line): line for line in sent.goods}
    arrived: dict[str, int] = {}
    refs: dict[str, LotRef] = {key: ref_of(line) for key, line in goods.items()}
    if command.lines is None:
        arrived = {key: line.quantity for key, line in goods.items()}
    else:
        distinct(command.lines)
        for line in command.lines:
            key = _sent_as(line, goods)
            refs.setdefault(key, ref_of(line))
            arrived[key] = arrived.get(key, 0) + line.quantity
    lost = {key: line.quantity - arrived.get(key, 0) for key, line in goods.items()}
    surplus = {key: count - (goods[key].quantity if key in goods else 0) for key, count in arrived.items()}
    if any(short > 0 for short in lost.values()) and command.loss_reason in (None, AdjustReason.FOUND):
        raise Rejected(
            InventoryError.REASON_REQUIRED,
            f"{sum(max(short, 0) for short in lost.values()):,} {basis.facts.unit} less arrived than was dispatched. "
            "Say why in loss_reason (damaged, lost, stolen …).",
            lost=sum(max(short, 0) for short in lost.values()),
        )
    landed = {key: refs[key] for key, count in arrived.items() if count}
    breaches = admitted(basis, command.location, command.item, basis.retired_at, fact=True)
    if _too_warm(basis):
        breaches.add(Breach.STORAGE_MISMATCH)
    if basis.facts.controlled:
        breaches.add(Breach.CONTROLLED)
    if any(more > 0 for more in surplus.values()):
        breaches.add(Breach.SURPLUS)
    return TransferReceived(
        **said(command), **effect(basis, {key: arrived[key] for key in landed}, refs=landed, breaches=breaches),
        goods=tuple(sent.goods), lost=_quantities(lost, refs), surplus=_quantities(surplus, refs),
        holds=_holds(basis, landed, review=False),
    )  # fmt: skip


def distinct(lines: Sequence[LotRef]) -> dict[str, LotRef]:
    """The lots of lines by key. Refuses a lot that stands in two lines, and a date without its kind or the reverse."""
    for number, line in enumerate(lines, start=1):
        if (line.date is None) != (line.date_kind is None):
            raise Rejected(
                InventoryError.INCOMPLETE_LINE,
                f"Line {number} has a "
                f"{'date_kind without a date' if line.date is None else 'date without its date_kind'}. "
                "Give both (expiry, use_by or best_before), or neither if the date is not known.",
                line=number,
            )
    refs: dict[str, LotRef] = {}
    for number, line in enumerate(lines, start=1):
        key = ref_key(line)
        if key in refs:
            raise Rejected(
                InventoryError.DUPLICATE_LINE,
                f"Line {number} repeats {name_of(line)}. Put it into one line.",
                line=number, lot=line.lot,
            )  # fmt: skip
        refs[key] = ref_of(line)
    return refs


def controlled(item: str) -> Rejected:
    """The refusal for a controlled substance."""
    return Rejected(
        InventoryError.CONTROLLED_SUBSTANCE,
        f"{item} is a controlled substance, which this programme may not hold or hand on. Ask the pharmacist how "
        "to surrender it.",
        item=item,
    )


def admitted(basis: Basis, location: str, item: str, retired_at: datetime | None, *, fact: bool) -> set[Breach]:
    """What it broke that goods came to a stock that nothing should have come to by then; refused, unless it is a fact
    by now."""
    breaches = set()
    if retired_at is not None and basis.at >= retired_at:
        if not fact:
            raise Rejected(
                InventoryError.ITEM_RETIRED,
                f"Item {item} is retired and no longer taken in. Bring it back with ChangeItem, or take in another "
                "item.",
                item=item, retired_at=retired_at.isoformat(),
            )  # fmt: skip
        breaches.add(Breach.ITEM_RETIRED)
    closed_at = basis.place.closed_at
    if closed_at is not None and basis.at >= closed_at:
        if not fact:
            raise Rejected(
                InventoryError.LOCATION_CLOSED,
                f"Location {location} is closed. Open it again, or take the goods in elsewhere.",
                location=location, closed_at=closed_at.isoformat(),
            )  # fmt: skip
        breaches.add(Breach.LOCATION_CLOSED)
    return breaches


def _breaches(basis: Basis, lines: Sequence[ReceiptLine]) -> set[Breach]:
    breaches = {Breach.STORAGE_MISMATCH} if _too_warm(basis) else set()
    dates = {lot_form(line.lot): line.date for line in lines if line.lot and line.date}
    for row in basis.stock.rows.values() if dates else ():
        date = dates.get(lot_form(row.ref.lot))
        if date is not None and row.ref.date is not None and row.ref.date != date:
            breaches.add(Breach.DATE_CONFLICT)
    return breaches


def _too_warm(basis: Basis) -> bool:
    return _COLDNESS[basis.place.storage] < _COLDNESS[basis.facts.storage]


def _holds(basis: Basis, refs: dict[str, LotRef], review: bool) -> tuple[LotHold, ...]:
    """The holds that begin with an arrival. A lot that such a hold covers already is not named again, and a hold taken
    for another reason under the recall's id, before there was the recall, does not become the recall's."""
    lots, rows, open_holds = basis.lots, basis.stock.rows, basis.stock.holds
    others = {id for id, hold in open_holds.items() if hold.reason not in (HoldReason.RECALL, HoldReason.QUARANTINE)}
    if not (review or lots.recalls or lots.quarantines):
        return ()
    found: dict[tuple[str, HoldReason], list[LotRef]] = {}
    for key, ref in refs.items():
        holds = rows[key].holds if key in rows else []
        for recall in lots.recalled(ref):
            if recall not in holds and recall not in others:
                found.setdefault((recall, HoldReason.RECALL), []).append(ref)
        for quarantine in lots.quarantined(ref):
            if quarantine not in holds and quarantine not in others:
                found.setdefault((quarantine, HoldReason.QUARANTINE), []).append(ref)
        if review and not any(open_holds[hold].reason is HoldReason.PHARMACIST_REVIEW for hold in holds):
            found.setdefault((f"{REVIEW}{basis.stock.revision + 1}", HoldReason.PHARMACIST_REVIEW), []).append(ref)
    return tuple(LotHold(hold=hold, reason=reason, lots=tuple(covered)) for (hold, reason), covered in found.items())


def _sent_as(line: LotRef, goods: dict[str, LotQuantity]) -> str:
    """Which of the dispatched lots a line means: the same, or the only one of that lot."""
    key = ref_key(line)
    if key in goods or line.date is not None or line.owner is not None:
        return key
    same = [k for k, sent in goods.items() if lot_form(sent.lot) == lot_form(line.lot)]
    return same[0] if len(same) == 1 else key


def _quantities(figures: dict[str, int], refs: dict[str, LotRef]) -> tuple[LotQuantity, ...]:
    return tuple(quantity_of(refs[key], figure) for key, figure in figures.items() if figure > 0)
