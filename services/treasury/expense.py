"""Expenses and grants: submitted, changed, approved by as many as the book's rules ask for, rejected.

The submitter, each approver and the payer are different people, and none of them is who is paid: a login under which
the payee acts is compared by its keyed hash. Payment is a decision of the book (payments.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.treasury import rules
from services.treasury.approvals import eligible, rules_for
from services.treasury.contract import (
    AccountKind,
    ApproveExpense,
    AttachDocument,
    ChangeExpense,
    DocumentAttached,
    ExpenseApproved,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    ExpenseSubmitted,
    RejectExpense,
    SubmitExpense,
    TreasuryError,
    treasury,
)
from services.treasury.expense_state import Expense, ExpenseEvent, Stage, check, evolve, postings_of
from services.treasury.limits import judge
from services.treasury.party import Party, known
from services.treasury.posting import malformed, of_kind, opened, refuse, rejected, today
from services.treasury.rules import recalled
from services.treasury.state import Book
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref

ExpenseCommand = SubmitExpense | ChangeExpense | ApproveExpense | RejectExpense | AttachDocument


def reads(command: ExpenseCommand) -> Iterable[Ref]:
    match command:
        case SubmitExpense() | ChangeExpense():
            return (Ref("book", command.book), Ref("party", command.payee))
        case ApproveExpense() | RejectExpense():
            return (Ref("book", command.book),)
        case AttachDocument():
            return ()


def recalls(command: ExpenseCommand) -> Iterable[tuple[Ref, str]]:
    if isinstance(command, AttachDocument):
        return ()
    return ((Ref("book", command.book), f"expense:{command.expense}"),)


def decide(command: ExpenseCommand, expense: Expense, context: Context) -> ExpenseEvent | None:
    match command:
        case SubmitExpense():
            return _submit(command, expense, context)
        case ChangeExpense():
            return _change(command, expense, context)
        case ApproveExpense():
            return _approve(command, expense, context)
        case RejectExpense():
            return _reject(command, expense, context)
        case AttachDocument():
            return _attach(command, expense, context)


def _submit(command: SubmitExpense, expense: Expense, context: Context) -> ExpenseSubmitted | None:
    if expense.stage is not Stage.NONE:
        if expense.version == 1 and _says_same(command, expense) and context.actor == expense.submitter:
            return None
        raise rejected(
            TreasuryError.ALREADY_EXISTS,
            f"Expense {command.expense} was submitted already. Change it with ChangeExpense, or choose another id.",
            expense=command.expense,
        )  # fmt: skip
    needed, index = _examined(command, context)
    return ExpenseSubmitted(
        **(dict(fields_of(command)) | {"occurred_at": rules.when(command.occurred_at, context)}), needed=needed,
        submitter=context.actor, payee_index=index,
    )  # fmt: skip


def _change(command: ChangeExpense, expense: Expense, context: Context) -> ExpenseChanged | None:
    _of_book(expense, command.expense, command.book)
    _not_paid(command.expense, command.book, context)
    if _says_same(command, expense) and context.actor == expense.submitter and expense.stage is Stage.REQUESTED:
        return None
    needed, index = _examined(command, context)
    return ExpenseChanged(
        **(dict(fields_of(command)) | {"occurred_at": rules.when(command.occurred_at, context)}), needed=needed,
        submitter=context.actor, payee_index=index, hold=expense.hold,
    )  # fmt: skip


def _says_same(command: SubmitExpense | ChangeExpense, expense: Expense) -> bool:
    """Whether a command asks for what is asked for already; its words are sealed, and count as the same."""
    return (command.book, command.payee, command.unit, list(command.lines), command.pay_from) == (
        expense.book, expense.payee, expense.unit, expense.lines, expense.pay_from,
    ) and expense.documents >= set(command.documents)  # fmt: skip


def _examined(command: SubmitExpense | ChangeExpense, context: Context) -> tuple[int, str | None]:
    """How many approvals it needs, and the hash of the payee's login; refuses what could never be paid."""
    book: Book = context.read("book", command.book)
    opened(book, command.book)
    payee: Party = context.read("party", command.payee)
    known(payee, command.payee)
    of_kind(book, command.pay_from, AccountKind.ASSET)
    for line in command.lines:
        of_kind(book, line.account, AccountKind.EXPENSE, AccountKind.ASSET, AccountKind.LIABILITY)
    asked = Expense(unit=command.unit, lines=list(command.lines), pay_from=command.pay_from)
    if problem := malformed(book, *postings_of(asked)):
        refuse(problem)
    chosen = rules_for(book, asked)
    return max(rule.approvals for rule in chosen), payee.login_index


def _approve(command: ApproveExpense, expense: Expense, context: Context) -> ExpenseApproved | None:
    _of_book(expense, command.expense, command.book)
    book: Book = context.read("book", command.book)
    if command.version != expense.version:
        raise rejected(
            TreasuryError.EXPENSE_CHANGED,
            f"Expense {command.expense} is at version {expense.version}, not {command.version}: look at it again.",
            expense=command.expense, version=expense.version,
        )  # fmt: skip
    if context.actor in expense.approvers:
        return None
    _not_paid(command.expense, command.book, context)
    if expense.stage is Stage.REJECTED:
        raise rejected(
            TreasuryError.EXPENSE_REJECTED, f"Expense {command.expense} was rejected. Submit it again if it is needed.",
            expense=command.expense,
        )  # fmt: skip
    chosen = rules_for(book, expense)
    if not any(eligible(rule, context.actor, context.mandate) for rule in chosen):
        raise rejected(
            TreasuryError.NOT_AN_APPROVER,
            f"{context.actor} is none of those who approve expense {command.expense}; its rules are "
            f"{', '.join(rule.rule for rule in chosen)}. Name the mandate under which you act, if you have one.",
            expense=command.expense, rules=[rule.rule for rule in chosen],
        )  # fmt: skip
    if context.actor == expense.submitter:
        raise rejected(
            TreasuryError.SECOND_PERSON_REQUIRED,
            f"{context.actor} submitted expense {command.expense}. Somebody else approves it.",
            expense=command.expense, actor=context.actor,
        )  # fmt: skip
    if expense.payee_index is not None and context.blind("login", context.actor) == expense.payee_index:
        raise rejected(
            TreasuryError.OWN_BENEFIT, f"Expense {command.expense} goes to {context.actor}. Somebody else approves it.",
            expense=command.expense,
        )  # fmt: skip
    if expense.stage is Stage.APPROVED:
        raise rejected(
            TreasuryError.ALREADY_APPROVED, f"Expense {command.expense} has all the approvals that it needs.",
            expense=command.expense,
        )  # fmt: skip
    approvers = expense.approvers | {context.actor: context.mandate}
    final = all(
        sum(eligible(rule, actor, mandate) for actor, mandate in approvers.items()) >= rule.approvals for rule in chosen
    )
    debits, credits = postings_of(expense)  # noqa: A001
    if final:
        judge(book, command.expense, today(book, context.now), debits, credits)
    return ExpenseApproved(
        expense=command.expense, book=command.book, version=command.version, approver=context.actor,
        mandate=context.mandate, approvers=tuple(approvers), needed=max(rule.approvals for rule in chosen),
        rules=tuple(rule.rule for rule in chosen), final=final,
        hold=f"{command.expense}-{expense.version}" if final else None, debits=debits if final else (),
        credits=credits if final else (), occurred_at=rules.when(command.occurred_at, context),
    )  # fmt: skip


def _reject(command: RejectExpense, expense: Expense, context: Context) -> ExpenseRejected | None:
    _of_book(expense, command.expense, command.book)
    if expense.stage is Stage.REJECTED:
        return None
    _not_paid(command.expense, command.book, context)
    return ExpenseRejected(
        expense=command.expense, book=command.book, reason=command.reason, hold=expense.hold,
        occurred_at=rules.when(command.occurred_at, context),
    )  # fmt: skip


def _attach(command: AttachDocument, expense: Expense, context: Context) -> DocumentAttached | None:
    if expense.stage is Stage.NONE or expense.payee != command.payee:
        raise rejected(
            TreasuryError.UNKNOWN_EXPENSE, f"There is no expense {command.expense} of payee {command.payee}.",
            expense=command.expense,
        )  # fmt: skip
    if command.document in expense.documents:
        return None
    at = rules.when(command.occurred_at, context)
    return DocumentAttached(**(dict(fields_of(command)) | {"occurred_at": at}))


def _of_book(expense: Expense, id: str, book: str) -> None:
    if expense.stage is Stage.NONE or expense.book != book:
        raise rejected(
            TreasuryError.UNKNOWN_EXPENSE, f"There is no expense {id} of book {book}. Check its id.", expense=id
        )


def _not_paid(id: str, book: str, context: Context) -> None:
    past = recalled(context, book, f"expense:{id}")
    if past is not None and isinstance(past.event, ExpensePaid):
        raise rejected(
            TreasuryError.EXPENSE_PAID,
            f"Expense {id} was paid by entry {past.event.entry}. If the payment failed, use RecordPaymentFailed.",
            expense=id, entry=past.event.entry,
        )  # fmt: skip


expense: Final = Decider(
    treasury, "expense", Expense, Expense, decide, evolve, check, reads, recalls=recalls
)  # fmt: skip
