"""An expense as its events make it: what is asked for, by whom, who approved, and how far it has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from services.treasury.contract import (
    DocumentAttached,
    ExpenseApproved,
    ExpenseChanged,
    ExpenseLine,
    ExpenseRejected,
    ExpenseSubmitted,
    Posting,
)
from shared.persons import is_among

ExpenseEvent = ExpenseSubmitted | ExpenseChanged | ExpenseApproved | ExpenseRejected | DocumentAttached


class Stage(StrEnum):
    """How far an expense has come; whether it is paid is in the book alone."""

    NONE = "none"
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass
class Expense:
    """An expense; `version` is the revision of the event that submitted or changed it last."""

    revision: int = 0
    stage: Stage = Stage.NONE
    version: int = 0
    book: str = ""
    payee: str = ""
    payee_index: str | None = None
    submitters: list[str] = field(default_factory=list)
    """Who submitted or changed it, in any version."""
    unit: str = ""
    lines: list[ExpenseLine] = field(default_factory=list)
    pay_from: str = ""
    needed: int = 0
    approvers: dict[str, list[str | None]] = field(default_factory=dict)
    """Who approved this version, each with the mandates under which they did."""
    hold: str | None = None
    documents: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)


def evolve(expense: Expense, event: ExpenseEvent) -> Expense:
    expense.revision += 1
    match event:
        case ExpenseSubmitted() | ExpenseChanged():
            expense.stage, expense.version = Stage.REQUESTED, expense.revision
            expense.book, expense.payee, expense.payee_index = event.book, event.payee, event.payee_index
            if event.submitter not in expense.submitters:
                expense.submitters.append(event.submitter)
            expense.unit, expense.pay_from = event.unit, event.pay_from
            expense.lines, expense.needed = list(event.lines), event.needed
            expense.approvers, expense.hold = {}, None
            expense.documents |= set(event.documents)
        case ExpenseApproved():
            mandates = expense.approvers.setdefault(event.approver, [])
            if event.mandate not in mandates:
                mandates.append(event.mandate)
            expense.needed, expense.hold = event.needed, event.hold
            if event.final:
                expense.stage = Stage.APPROVED
        case ExpenseRejected():
            expense.stage, expense.hold = Stage.REJECTED, None
        case DocumentAttached():
            expense.documents.add(event.document)
    return expense


def check(expense: Expense) -> list[str]:
    broken = []
    if any(is_among(who, expense.submitters) for who in expense.approvers):
        broken.append("whoever submitted it approved it")
    if expense.stage is Stage.APPROVED and len(expense.approvers) < expense.needed:
        broken.append(f"it is approved by {len(expense.approvers)}, and needs {expense.needed}")
    if (expense.hold is not None) != (expense.stage is Stage.APPROVED):
        broken.append("money is to be held for it, and it is not approved, or the other way round")
    return broken


def postings_of(expense: Expense) -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
    """The debits and credits that pay an expense: its lines, and for each fund their sum from where it is paid."""
    debits = tuple(
        Posting(account=line.account, amount=line.amount, unit=expense.unit, fund=line.fund) for line in expense.lines
    )
    sums: dict[str, int] = {}
    for line in expense.lines:
        sums[line.fund] = sums.get(line.fund, 0) + line.amount
    return debits, tuple(
        Posting(account=expense.pay_from, amount=amount, unit=expense.unit, fund=fund) for fund, amount in sums.items()
    )


def is_for(expense: Expense, debits: Iterable[Posting], credits: Iterable[Posting]) -> bool:  # noqa: A002
    """Whether an entry pays just what an expense asks for, in whatever order."""
    wanted = postings_of(expense)
    return Counter(debits) == Counter(wanted[0]) and Counter(credits) == Counter(wanted[1])
