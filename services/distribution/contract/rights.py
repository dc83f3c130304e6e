"""Who may send which command of distribution: people by their roles, process managers by name."""

from __future__ import annotations

from services.distribution.contract.authority import GrantRole, RevokeRole, Role
from services.distribution.contract.base import distribution
from services.distribution.contract.box import HandOutBox, PackBox, ResolveHandOut, ReverseHandOut, UnpackBox
from services.distribution.contract.entitlement import (
    ClaimEntitlement,
    RecordVisit,
    ReleaseEntitlement,
    ResolveVisit,
    ReverseVisit,
)
from services.distribution.contract.erasure import (
    AcknowledgeErasure,
    ApproveErasure,
    CancelErasure,
    ErasePerson,
    HoldErasure,
    LiftErasureHold,
    NoteObstacles,
    RequestErasure,
)
from services.distribution.contract.fulfilment import NoteBox, NoteFreed, NoteIssued, NoteReserved, NoteReversal
from services.distribution.contract.goods import NoteGoods, NoteOrigin, NoteRecall
from services.distribution.contract.household import (
    AddMember,
    AuthoriseProxy,
    ChangeHousehold,
    MergeHouseholds,
    NoteMerge,
    RegisterHousehold,
    RemoveMember,
    RenewEligibility,
    RevokeProxy,
    UnmergeHouseholds,
)
from services.distribution.contract.meals import (
    CertifyCount,
    DeliverMeals,
    DiscardMeals,
    ResolveCount,
    ReverseMeals,
    ServeMeal,
)
from services.distribution.contract.order import (
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    PlaceOrder,
    RecordNoShow,
    ReverseCompletion,
)
from services.distribution.contract.process import NoteRefusal, ResolveStep
from services.distribution.contract.programme import CloseProgramme, OpenProgramme, SetBundle, SetLimit
from services.distribution.contract.session import BookSlot, CloseSession, FreeSlot, OpenSession, ScheduleSession
from shared.rights import Rights

_ERASING = (RequestErasure, HoldErasure, LiftErasureHold, ApproveErasure, CancelErasure)
_EVERY_DAY = (
    RegisterHousehold, ChangeHousehold, AddMember, RemoveMember, AuthoriseProxy, RevokeProxy, RenewEligibility,
    PlaceOrder, ConfirmOrder, CancelOrder, RecordNoShow, PackBox, UnpackBox, HandOutBox, ReverseHandOut, RecordVisit,
    ReverseVisit, OpenSession, CloseSession, DeliverMeals, ServeMeal, DiscardMeals, ReverseMeals,
)  # fmt: skip

RIGHTS = Rights(
    distribution,
    Role,
    {
        Role.ADMINISTRATOR: (GrantRole, RevokeRole, ResolveStep, *_ERASING),
        Role.COORDINATOR: (
            *_EVERY_DAY, *_ERASING, OpenProgramme, CloseProgramme, SetBundle, SetLimit, ScheduleSession,
            ClaimEntitlement, ReleaseEntitlement, MergeHouseholds, UnmergeHouseholds, CertifyCount, ResolveCount,
            ResolveHandOut, ResolveVisit, ResolveStep,
        ),
        Role.VOLUNTEER: _EVERY_DAY,
    },
    processes={
        "fulfilling": (
            ClaimEntitlement, ReleaseEntitlement, NoteReserved, NoteReversal, NoteBox, NoteMerge, CancelOrder,
            RecordNoShow, CompleteOrder, ReverseCompletion, ResolveStep, BookSlot, FreeSlot, NoteRefusal,
        ),
        "supply": (NoteReserved, NoteFreed, NoteIssued, NoteGoods, NoteRecall, NoteOrigin, NoteRefusal),
        "erasing": (NoteObstacles, ErasePerson, AcknowledgeErasure, NoteRefusal),
    },
)  # fmt: skip

__all__ = ["RIGHTS"]
