"""The lots of one item, everywhere: which are quarantined and which recalled.

How a decision here reaches the shelves is written in contract/lot.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from services.inventory import rules
from services.inventory.contract import (
    InventoryError,
    LiftRecall,
    LotNumber,
    LotQuarantined,
    LotRecalled,
    LotRef,
    LotReleased,
    QuarantineLot,
    RecallLifted,
    RecallLot,
    RecallScope,
    ReleaseLot,
    inventory,
    lot_form,
)
from services.inventory.item import registered
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected


@dataclass
class Lots:
    """Open quarantines and recalls of one item, by their ids, and the ids of those that are over."""

    quarantines: dict[str, LotNumber] = field(default_factory=dict)
    recalls: dict[str, RecallScope] = field(default_factory=dict)
    released: dict[str, LotNumber] = field(default_factory=dict)
    lifted: dict[str, RecallScope] = field(default_factory=dict)

    def recalled(self, ref: LotRef) -> list[str]:
        """The open recalls that cover goods."""
        return [id for id, scope in self.recalls.items() if scope.covers(ref.lot, ref.date)] if self.recalls else []

    def quarantined(self, ref: LotRef) -> list[str]:
        """The open quarantines of a lot."""
        if not self.quarantines:
            return []
        form = lot_form(ref.lot)
        return [id for id, lot in self.quarantines.items() if lot_form(lot) == form]


LotCommand = QuarantineLot | ReleaseLot | RecallLot | LiftRecall
LotEvent = LotQuarantined | LotReleased | LotRecalled | RecallLifted


def evolve(lots: Lots, event: LotEvent) -> Lots:
    match event:
        case LotQuarantined():
            lots.quarantines[event.quarantine] = event.lot
        case LotReleased():
            lots.released[event.quarantine] = lots.quarantines.pop(event.quarantine)
        case LotRecalled():
            lots.recalls[event.recall] = event.scope
        case RecallLifted():
            lots.lifted[event.recall] = lots.recalls.pop(event.recall)
    return lots


def reads(command: LotCommand) -> Iterable[Ref]:
    return (Ref("item", command.item),)


def decide(command: LotCommand, lots: Lots, context: Context) -> LotEvent | None:
    at = rules.when(command.occurred_at, context)
    registered(context.read("item", command.item), command.item)
    match command:
        case QuarantineLot():
            if lots.quarantines.get(command.quarantine) == command.lot:
                return None
            _unused(command.quarantine, lots)
            return LotQuarantined(
                item=command.item, quarantine=command.quarantine, lot=command.lot, reason=command.reason,
                occurred_at=at, note=command.note,
            )  # fmt: skip
        case ReleaseLot():
            if command.quarantine in lots.released:
                return None
            if command.quarantine not in lots.quarantines:
                raise Rejected(
                    InventoryError.UNKNOWN_HOLD,
                    f"Item {command.item} has no quarantine {command.quarantine}. Open are: {_list(lots.quarantines)}.",
                    item=command.item, quarantine=command.quarantine,
                )  # fmt: skip
            return LotReleased(
                item=command.item, quarantine=command.quarantine, lot=lots.quarantines[command.quarantine],
                reason=command.reason, occurred_at=at, note=command.note,
            )  # fmt: skip
        case RecallLot():
            if lots.recalls.get(command.recall) == command.scope:
                return None
            _unused(command.recall, lots)
            first, last = command.scope.first_date, command.scope.last_date
            if first is not None and last is not None and first > last:
                raise Rejected(
                    InventoryError.INVALID_RANGE,
                    f"The recall's first date ({first}) is after its last ({last}).",
                    first_date=first.isoformat(), last_date=last.isoformat(),
                )  # fmt: skip
            return LotRecalled(
                item=command.item, recall=command.recall, scope=command.scope, reason=command.reason,
                classification=command.classification, issued_by=command.issued_by, notice=command.notice,
                occurred_at=at, note=command.note,
            )  # fmt: skip
        case LiftRecall():
            if command.recall in lots.lifted:
                return None
            if command.recall not in lots.recalls:
                raise Rejected(
                    InventoryError.UNKNOWN_RECALL,
                    f"Item {command.item} has no recall {command.recall}. Open are: {_list(lots.recalls)}.",
                    item=command.item, recall=command.recall,
                )  # fmt: skip
            return RecallLifted(
                item=command.item, recall=command.recall, scope=lots.recalls[command.recall], reason=command.reason,
                occurred_at=at, note=command.note,
            )  # fmt: skip


def _unused(id: str, lots: Lots) -> None:
    """An id names one quarantine or one recall, for ever: it is also the id of the holds that follow from it."""
    if id.startswith(rules.REVIEW):
        raise Rejected(
            InventoryError.ALREADY_EXISTS,
            f"An id that begins with {rules.REVIEW} is a pharmacist's review. Choose another one.",
            id=id,
        )
    if id in lots.quarantines or id in lots.recalls or id in lots.released or id in lots.lifted:
        raise Rejected(
            InventoryError.ALREADY_EXISTS,
            f"The id {id} already names another quarantine or recall of this item. Choose a new one.",
            id=id,
        )


def _list(ids: Iterable[str]) -> str:
    return ", ".join(list(ids)[:10]) or "none"


def check(lots: Lots) -> list[str]:
    both = (set(lots.quarantines) | set(lots.released)) & (set(lots.recalls) | set(lots.lifted))
    again = (set(lots.quarantines) & set(lots.released)) | (set(lots.recalls) & set(lots.lifted))
    return [f"the id {id} names two things" for id in sorted(both | again)]


lot: Final = Decider(inventory, "lot", Lots, Lots, decide, evolve, check, reads)
