"""Transfers: what of each is still on the way. The goods themselves are moved by stocks; see contract/transfer.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.inventory import rules
from services.inventory.contract import (
    DispatchNoted,
    InventoryError,
    NoteDispatch,
    NoteOverdue,
    NoteReceipt,
    ReceiptNoted,
    TransferOverdue,
    inventory,
)
from shared.decider import Context, Decider
from shared.errors import Rejected


@dataclass
class Leg:
    """One item of a transfer: where it is going, by when it should be there, and whether it arrived."""

    origin: str
    destination: str
    expected_by: datetime | None = None
    arrived: bool = False


@dataclass
class Transfer:
    """The items of a transfer, and whether its lateness was noted."""

    legs: dict[str, Leg] = field(default_factory=dict)
    overdue: bool = False

    def due(self) -> dict[str, datetime]:
        """The items still on the way that have a moment by which they should have arrived."""
        return {
            item: leg.expected_by for item, leg in self.legs.items() if not leg.arrived and leg.expected_by is not None
        }


TransferCommand = NoteDispatch | NoteReceipt | NoteOverdue
TransferEvent = DispatchNoted | ReceiptNoted | TransferOverdue


def evolve(transfer: Transfer, event: TransferEvent) -> Transfer:
    match event:
        case DispatchNoted():
            transfer.legs[event.item] = Leg(event.origin, event.destination, event.expected_by)
        case ReceiptNoted():
            transfer.legs[event.item].arrived = True
        case TransferOverdue():
            transfer.overdue = True
    return transfer


def decide(command: TransferCommand, transfer: Transfer, context: Context) -> TransferEvent | None:
    at = rules.when(command.occurred_at, context)
    match command:
        case NoteDispatch():
            leg = transfer.legs.get(command.item)
            if leg is not None:
                if (leg.origin, leg.destination) == (command.origin, command.destination):
                    return None
                raise Rejected(
                    InventoryError.ALREADY_EXISTS,
                    f"Transfer {command.transfer} carries {command.item} from {leg.origin} to {leg.destination} "
                    "already.",
                    transfer=command.transfer, item=command.item,
                )  # fmt: skip
            return DispatchNoted(
                transfer=command.transfer, item=command.item, origin=command.origin, destination=command.destination,
                goods=command.goods, expected_by=command.expected_by, occurred_at=at,
            )  # fmt: skip
        case NoteReceipt():
            leg = transfer.legs.get(command.item)
            if leg is None:
                raise Rejected(
                    InventoryError.UNKNOWN_TRANSFER,
                    f"Nothing was noted of {command.item} under transfer {command.transfer}.",
                    transfer=command.transfer, item=command.item,
                )  # fmt: skip
            if leg.arrived:
                return None
            others = [other for item, other in transfer.legs.items() if item != command.item]
            return ReceiptNoted(
                transfer=command.transfer, item=command.item, lost=command.lost, occurred_at=at,
                complete=all(other.arrived for other in others),
            )  # fmt: skip
        case NoteOverdue():
            if not transfer.legs:
                raise Rejected(
                    InventoryError.UNKNOWN_TRANSFER, f"Nothing was noted of transfer {command.transfer}.",
                    transfer=command.transfer,
                )  # fmt: skip
            due = transfer.due()
            late = {item: moment for item, moment in due.items() if moment <= at}
            if transfer.overdue or not due:
                return None
            if not late:
                raise Rejected(
                    InventoryError.NOT_YET_DUE,
                    f"Transfer {command.transfer} is expected by {min(due.values()).isoformat()}; it is not late yet.",
                    transfer=command.transfer, due_at=min(due.values()).isoformat(),
                )  # fmt: skip
            return TransferOverdue(
                transfer=command.transfer, items=tuple(late), due_at=min(late.values()), occurred_at=at
            )


def check(transfer: Transfer) -> list[str]:
    return ["a transfer is late without carrying anything"] if transfer.overdue and not transfer.legs else []


transfer: Final = Decider(inventory, "transfer", Transfer, Transfer, decide, evolve, check)
