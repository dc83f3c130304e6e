"""Expenses, and grants to members: submitted, approved, the money held, paid.

    SubmitExpense, ChangeExpense, ApproveExpense, RejectExpense, AttachDocument   -> expense
    PayExpense, RecordPaymentFailed                                              -> book

The last approval that the book's rules ask for makes an expense approved; a process manager then holds the money in the
book (HoldPlaced, its id `<expense>-<version>`). Payment is a decision of the book, where the money, the hold and the
payment references are. Whoever submitted or changed an expense, its approvers and its payer are different people, and
neither an approver nor the payer is who is paid: by the login that the payee had when it was submitted, or has now.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from services.treasury.contract.base import (
    DEFAULT_FUND,
    Date,
    Digest,
    ExpenseId,
    HoldId,
    Id,
    Journal,
    Moment,
    Money,
    Note,
    Posting,
    Revision,
    Text,
    Unit,
    command,
    event,
    value,
)
from shared.personal import Sealed


class ExpenseKind(StrEnum):
    """What is paid: a bill or an outlay of the organisation's, or a grant to a member."""

    EXPENSE = "expense"
    GRANT = "grant"


@value
class ExpenseLine:
    """A part of an expense: so much (minor units) from one fund, in one expense account."""

    account: Id
    amount: Money
    fund: Id = DEFAULT_FUND


_Lines = Field(min_length=1, max_length=50)
_Documents = Field(max_length=20)


@event(category="expense")
class ExpenseSubmitted:
    """Somebody asked for an expense to be paid to `payee` from the account `pay_from`; it waits for approvals.

    `needed` is how many the book's rules asked for when it was submitted. `payee_index` is the keyed hash of the
    payee's login, if they have one.
    """

    expense: ExpenseId
    book: Id
    kind: ExpenseKind = ExpenseKind.EXPENSE
    payee: Id
    unit: Unit
    lines: tuple[ExpenseLine, ...]
    pay_from: Id
    description: Annotated[str, Sealed(of="payee", kind="party")]
    documents: tuple[Digest, ...] = ()
    needed: int
    submitter: str
    payee_index: str | None = None
    occurred_at: Moment


@command(category="expense", aggregate="expense", makes=(ExpenseSubmitted,))
class SubmitExpense:
    """Ask for an expense, or a grant to a member, to be approved and paid."""

    expense: ExpenseId
    book: Id
    kind: ExpenseKind = ExpenseKind.EXPENSE
    payee: Id
    unit: Unit
    lines: Annotated[tuple[ExpenseLine, ...], _Lines]
    pay_from: Id
    description: Note
    documents: Annotated[tuple[Digest, ...], _Documents] = ()
    occurred_at: Moment | None = None


@event(category="expense")
class ExpenseChanged:
    """An expense is this from now on. Approvals given before are void, and what was held for it is freed."""

    expense: ExpenseId
    book: Id
    kind: ExpenseKind = ExpenseKind.EXPENSE
    payee: Id
    unit: Unit
    lines: tuple[ExpenseLine, ...]
    pay_from: Id
    description: Annotated[str, Sealed(of="payee", kind="party")]
    documents: tuple[Digest, ...] = ()
    needed: int
    submitter: str
    payee_index: str | None = None
    hold: HoldId | None = None
    occurred_at: Moment


@command(category="expense", aggregate="expense", makes=(ExpenseChanged,))
class ChangeExpense:
    """Put an expense as a whole in the place of what was submitted, or rejected; it needs its approvals anew.

    Whoever changes it is its submitter from then on; who was before still neither approves nor pays it.
    """

    expense: ExpenseId
    book: Id
    kind: ExpenseKind = ExpenseKind.EXPENSE
    payee: Id
    unit: Unit
    lines: Annotated[tuple[ExpenseLine, ...], _Lines]
    pay_from: Id
    description: Note
    documents: Annotated[tuple[Digest, ...], _Documents] = ()
    occurred_at: Moment | None = None


@event(category="expense")
class ExpenseApproved:
    """One person approved. `approvers` are all who did, `needed` how many the rules `rules` ask for by now.

    Who acts under several mandates approves under each, and counts once for a rule.

    When `final`, the money is to be held: `hold` is the hold's id, `debits` and `credits` the entry.
    """

    expense: ExpenseId
    version: Revision
    approver: str
    mandate: str | None = None
    approvers: tuple[str, ...]
    needed: int
    rules: tuple[Id, ...]
    final: bool
    book: Id
    hold: HoldId | None = None
    debits: tuple[Posting, ...] = ()
    credits: tuple[Posting, ...] = ()
    occurred_at: Moment


@command(category="expense", aggregate="expense", makes=(ExpenseApproved,))
class ApproveExpense:
    """Approve an expense as it is. `version` is the revision that submitted or changed it last: what was looked at."""

    expense: ExpenseId
    book: Id
    version: Revision
    occurred_at: Moment | None = None


@event(category="expense")
class ExpenseRejected:
    """An expense is not paid. `hold` was held for it, and is freed."""

    expense: ExpenseId
    book: Id
    reason: Note
    hold: HoldId | None = None
    occurred_at: Moment


@command(category="expense", aggregate="expense", makes=(ExpenseRejected,))
class RejectExpense:
    """Turn an expense down, approved or not, as long as it is not paid."""

    expense: ExpenseId
    book: Id
    reason: Note
    occurred_at: Moment | None = None


@event(category="expense")
class DocumentAttached:
    """A document belongs to an expense; it is kept elsewhere, and known by its hash."""

    expense: ExpenseId
    payee: Id
    document: Digest
    title: Annotated[str | None, Sealed(of="payee", kind="party")] = None
    occurred_at: Moment


@command(category="expense", aggregate="expense", makes=(DocumentAttached,))
class AttachDocument:
    """Add a receipt or an invoice, by its SHA-256, to an expense of `payee`."""

    expense: ExpenseId
    payee: Id
    document: Digest
    title: Text | None = None
    occurred_at: Moment | None = None


# -- decided by the book ----------------------------------------------------------------------------------------------


@event(category="book")
class ExpensePaid(Journal):
    """An approved expense was paid: its hold was posted. `reference` is the payment's own, used once in a book."""

    expense: ExpenseId
    version: Revision
    hold: HoldId
    payer: str
    reference: Text


@command(category="book", aggregate="book", makes=(ExpensePaid,))
class PayExpense:
    """Record that an approved expense is being paid, under the bank's reference. It is never paid again by itself.

    Case and blanks make no difference between two references.
    """

    book: Id
    expense: ExpenseId
    version: Revision
    entry: Id
    reference: Text
    date: Date | None = None


@event(category="book")
class PaymentFailed(Journal):
    """A payment came back: its entry `reverses` was taken back, and the money is held again under `hold`."""

    expense: ExpenseId
    reverses: Id
    hold: HoldId
    held_debits: tuple[Posting, ...]
    held_credits: tuple[Posting, ...]
    reason: Note


@command(category="book", aggregate="book", makes=(PaymentFailed,))
class RecordPaymentFailed:
    """Record that the bank did not carry out, or returned, the payment of an expense. Somebody decides what is next."""

    book: Id
    expense: ExpenseId
    entry: Id
    reason: Note
    date: Date | None = None


__all__ = [
    "ApproveExpense", "AttachDocument", "ChangeExpense", "DocumentAttached", "ExpenseApproved", "ExpenseChanged",
    "ExpenseKind", "ExpenseLine", "ExpensePaid", "ExpenseRejected", "ExpenseSubmitted", "PayExpense", "PaymentFailed",
    "RecordPaymentFailed", "RejectExpense", "SubmitExpense",
]  # fmt: skip
