"""Who may send which command of inventory: people by their roles, process managers by name."""

from __future__ import annotations

from services.inventory.contract.authority import GrantRole, RevokeRole, Role
from services.inventory.contract.base import inventory
from services.inventory.contract.count import ApproveCount, RecordCount, StartCount
from services.inventory.contract.donor import ChangeDonor, RegisterDonor
from services.inventory.contract.erasure import (
    AcknowledgeErasure,
    ApproveErasure,
    CancelErasure,
    ErasePerson,
    HoldErasure,
    LiftErasureHold,
    NoteObstacles,
    RequestErasure,
)
from services.inventory.contract.item import ChangeItem, RegisterItem, RetireItem
from services.inventory.contract.location import CloseLocation, OpenLocation, RecordTemperature
from services.inventory.contract.lot import LiftRecall, QuarantineLot, RecallLot, ReleaseLot
from services.inventory.contract.process import NoteRefusal, ResolveStep
from services.inventory.contract.stock import (
    AdjustStock,
    CorrectMovement,
    DisposeStock,
    ExpireReservation,
    HoldStock,
    IssueStock,
    ReceiveStock,
    ReleaseHold,
    ReleaseReservation,
    RepackStock,
    ReserveStock,
    ReturnToSupplier,
    ReverseMovement,
    SetApart,
)
from services.inventory.contract.transfer import (
    DispatchTransfer,
    NoteDispatch,
    NoteOverdue,
    NoteReceipt,
    ReceiveTransfer,
)
from shared.rights import Rights

_ERASING = (RequestErasure, HoldErasure, LiftErasureHold, ApproveErasure, CancelErasure)
_EVERY_DAY = (
    ReceiveStock, IssueStock, ReturnToSupplier, RepackStock, ReserveStock, ReleaseReservation, HoldStock,
    DispatchTransfer, ReceiveTransfer, StartCount, RecordCount, RecordTemperature, RegisterDonor, ChangeDonor,
    ReverseMovement, CorrectMovement,
)  # fmt: skip
_REVIEW = (ReleaseHold, HoldStock, DispatchTransfer, DisposeStock, QuarantineLot, ReleaseLot, RecallLot, LiftRecall)

RIGHTS = Rights(
    inventory,
    Role,
    {
        Role.ADMINISTRATOR: (GrantRole, RevokeRole, ResolveStep, *_ERASING),
        Role.PHARMACIST: _REVIEW,
        Role.STEWARD: (
            *_EVERY_DAY, *_REVIEW, *_ERASING, RegisterItem, ChangeItem, RetireItem, OpenLocation, CloseLocation,
            ApproveCount, AdjustStock, SetApart, ResolveStep,
        ),
        Role.VOLUNTEER: _EVERY_DAY,
    },
    processes={
        "recalls": (HoldStock, ReleaseHold, ReleaseReservation, NoteRefusal),
        "repacking": (ReceiveStock, NoteRefusal),
        "reservations": (ExpireReservation, NoteRefusal),
        "temperatures": (HoldStock, NoteRefusal),
        "transfers": (NoteDispatch, NoteReceipt, NoteOverdue, NoteRefusal),
        "erasing": (NoteObstacles, ErasePerson, AcknowledgeErasure, NoteRefusal),
        "fulfilling": (IssueStock, ReserveStock, ReleaseReservation, ReverseMovement, SetApart),
        "dispensing": (IssueStock, ReserveStock, ReleaseReservation, ReverseMovement),
        "supply": (ReleaseReservation,),
    },
    outside=("fulfilling", "dispensing", "supply"),
)  # fmt: skip

__all__ = ["RIGHTS"]
