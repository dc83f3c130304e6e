"""Who may send which command of the treasury: people by their roles, process managers by name."""

from __future__ import annotations

from services.treasury.contract.authority import GrantRole, RevokeRole, Role
from services.treasury.contract.base import treasury
from services.treasury.contract.book import (
    CloseAccount,
    CloseFund,
    ClosePeriod,
    CloseYear,
    OpenAccount,
    OpenBook,
    OpenFund,
    RegisterUnit,
    ReopenPeriod,
    SetApprovalRule,
    SetBudget,
)
from services.treasury.contract.entries import PostEntries, PostEntry, ReleaseRestriction, ResolveReview, ReverseEntry
from services.treasury.contract.erasure import (
    AcknowledgeErasure,
    ApproveErasure,
    CancelErasure,
    ErasePerson,
    HoldErasure,
    LiftErasureHold,
    NoteObstacles,
    RequestErasure,
)
from services.treasury.contract.expense import (
    ApproveExpense,
    AttachDocument,
    ChangeExpense,
    PayExpense,
    RecordPaymentFailed,
    RejectExpense,
    SubmitExpense,
)
from services.treasury.contract.giving import (
    AcknowledgeDonation,
    AssessDues,
    EndPledge,
    Pledge,
    ReceiveDues,
    RecordDonation,
    RecordGiftInKind,
    WaiveDues,
)
from services.treasury.contract.holds import ExpireHold, PlaceHold, PostHold, VoidHold
from services.treasury.contract.party import ChangeParty, RegisterParty
from services.treasury.contract.process import NoteRefusal, ResolveStep
from services.treasury.contract.statement import (
    AddStatementLines,
    ImportStatement,
    MatchLine,
    StartStatement,
    UnmatchLine,
)
from shared.rights import Rights

_ERASING = (RequestErasure, HoldErasure, LiftErasureHold, ApproveErasure, CancelErasure)
_ASKING = (SubmitExpense, ChangeExpense, AttachDocument)
_DECIDING = (ApproveExpense, RejectExpense)
_BOOKKEEPING = (
    *_ASKING, PostEntry, PostEntries, ReverseEntry, RecordDonation, RecordGiftInKind, AcknowledgeDonation, AssessDues,
    ReceiveDues, Pledge, EndPledge, RegisterParty, ChangeParty, StartStatement, AddStatementLines, ImportStatement,
    MatchLine, UnmatchLine,
)  # fmt: skip

RIGHTS = Rights(
    treasury,
    Role,
    {
        Role.ADMINISTRATOR: (GrantRole, RevokeRole, ResolveStep, *_ERASING),
        Role.TREASURER: (
            *_BOOKKEEPING, *_DECIDING, *_ERASING, OpenBook, OpenAccount, CloseAccount, OpenFund, CloseFund,
            RegisterUnit, SetBudget, SetApprovalRule, ClosePeriod, ReopenPeriod, CloseYear, ReleaseRestriction,
            ResolveReview, PayExpense, RecordPaymentFailed, WaiveDues, PlaceHold, PostHold, VoidHold, ResolveStep,
        ),
        Role.CHAIR: _DECIDING,
        Role.APPROVER: _DECIDING,
        Role.BOOKKEEPER: _BOOKKEEPING,
        Role.MEMBER: _ASKING,
    },
    processes={
        "expenses": (PlaceHold, VoidHold, NoteRefusal),
        "holds": (ExpireHold, NoteRefusal),
        "erasing": (NoteObstacles, ErasePerson, AcknowledgeErasure, NoteRefusal),
    },
)  # fmt: skip

__all__ = ["RIGHTS"]
