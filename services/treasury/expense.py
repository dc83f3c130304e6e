"""Expenses and grants: submitted, changed, approved by as many as the book's rules ask for, rejected.

Whoever submitted or changed one, its approvers and its payer are different people, and neither an approver nor the
payer is who is paid: the login under which the payee acts is compared by its keyed hash. What is sealed cannot be
compared, so a change is a change even if it looks the same. Payment is a decision of the book (payments.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.treasury import rules
from services.treasury.approvals import benefits, counted, eligible, rules_for
from services.treasury.contract import (
    AccountKind,
    ApprovalRuleSet,
    ApproveExpense,
    AttachDocument,
    ChangeExpense,
    DocumentAttached,
    ExpenseApproved,
    ExpenseChanged,
    ExpenseRejected,
    ExpenseSubmitted,
    RejectExpense,
    SubmitExpense,
    TreasuryError,
    treasury,
)
from services.treasury.expense_rules import not_paid, not_rejected, of_book, same_version
from services.treasury.expense_state import Expense, ExpenseEvent, Stage, check, evolve, postings_of
from services.treasury.limits import judge
from services.treasury.party import Party, known
from services.treasury.posting import malformed, of_kind, opened, refuse, rejected, today, too_large
from services.treasury.rules import Refusals
from services.treasury.state import Book
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref
from shared.persons import is_among
from shared.types import MAX_INTEGER

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
    if isinstance(command, SubmitExpense | AttachDocument):
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


def _submit(command: SubmitExpense, expense: Expense, context: Context) -> ExpenseSubmitted:
    at = rules.when(command.occurred_at, context)
    book, payee = _book_and_payee(command, context)
    if expense.stage is not Stage.NONE:
        raise rejected(
            TreasuryError.ALREADY_EXISTS,
            f"Expense {command.expense} was submitted already. Change it with ChangeExpense, or choose another id.",
            expense=command.expense,
        )  # fmt: skip
    refusals = Refusals()
    needed = _needed(command, book, refusals)
    return ExpenseSubmitted(
        **(dict(fields_of(command)) | {"occurred_at": at}), needed=needed, submitter=context.actor,
        payee_index=payee.login_index,
    )  # fmt: skip


def _change(command: ChangeExpense, expense: Expense, context: Context) -> ExpenseChanged:
    at = rules.when(command.occurred_at, context)
    book, payee = _book_and_payee(command, context)
    of_book(expense, command.expense, command.book)
    refusals = Refusals()
    with refusals:
        not_paid(command.expense, command.book, context)
    needed = _needed(command, book, refusals)
    return ExpenseChanged(
        **(dict(fields_of(command)) | {"occurred_at": at}), needed=needed, submitter=context.actor,
        payee_index=payee.login_index, hold=expense.hold,
    )  # fmt: skip


def _book_and_payee(command: SubmitExpense | ChangeExpense, context: Context) -> tuple[Book, Party]:
    book: Book = context.read("book", command.book)
    payee: Party = context.read("party", command.payee)
    opened(book, command.book)
    known(payee, command.payee)
    return book, payee


def _needed(command: SubmitExpense | ChangeExpense, book: Book, refusals: Refusals) -> int:
    """How many approvals it needs; refuses what could never be paid."""
    asked = Expense(unit=command.unit, lines=list(command.lines), pay_from=command.pay_from)
    chosen = []
    with refusals:
        of_kind(book, command.pay_from, AccountKind.ASSET)
    for line in command.lines:
        with refusals:
            of_kind(book, line.account, AccountKind.EXPENSE, AccountKind.ASSET, AccountKind.LIABILITY)
        with refusals:
            _moves(line.account, command.pay_from)
    with refusals:
        if problem := malformed(book, *postings_of(asked)):
            refuse(problem)
    with refusals:
        if asked.total > MAX_INTEGER:
            refuse(too_large(book, f"account {command.pay_from}", command.unit))
    with refusals:
        chosen = rules_for(book, asked)
    refusals.answer()
    return max(rule.approvals for rule in chosen)


def _moves(account: str, pay_from: str) -> None:
    """Refuse a line that the books would not show: paid out of the account that it is charged to."""
    if account == pay_from:
        raise rejected(
            TreasuryError.WRONG_ACCOUNT_KIND,
            f"Account {account} is where the expense is paid from. Charge it to the account that says what it is for.",
            account=account,
        )  # fmt: skip


def _approve(command: ApproveExpense, expense: Expense, context: Context) -> ExpenseApproved | None:
    at = rules.when(command.occurred_at, context)
    book: Book = context.read("book", command.book)
    opened(book, command.book)
    of_book(expense, command.expense, command.book)
    known_as = next((who for who in expense.approvers if is_among(who, [context.actor])), context.actor)
    given = expense.approvers.get(known_as, [])
    if command.version == expense.version and expense.stage is Stage.APPROVED and context.mandate in given:
        return None
    debits, credits = postings_of(expense)  # noqa: A001
    chosen = _rules_to_approve_under(command, expense, book, context)
    approvers = expense.approvers | {known_as: [*given, context.mandate]}
    counts = [counted(rule, approvers) for rule in chosen]
    final = all(count >= rule.approvals for count, rule in zip(counts, chosen, strict=True))
    if not final and given and counts == [counted(rule, expense.approvers) for rule in chosen]:
        return None
    if final:
        judge(book, command.expense, today(book, context.now), debits, credits)
    return ExpenseApproved(
        expense=command.expense, book=command.book, version=command.version,
        approver=known_as, mandate=context.mandate, approvers=tuple(approvers),
        needed=max(rule.approvals for rule in chosen), rules=tuple(rule.rule for rule in chosen), final=final,
        hold=f"{command.expense}-{expense.version}" if final else None, debits=debits if final else (),
        credits=credits if final else (), occurred_at=at,
    )  # fmt: skip


def _rules_to_approve_under(
    command: ApproveExpense, expense: Expense, book: Book, context: Context
) -> list[ApprovalRuleSet]:
    """The rules that an expense has to meet; refuses who may not approve it, and what cannot be approved."""
    chosen: list[ApprovalRuleSet] = []
    refusals = Refusals()
    with refusals:
        if problem := malformed(book, *postings_of(expense)):
            refuse(problem)
    with refusals:
        same_version(expense, command.expense, command.version)
    with refusals:
        not_rejected(expense, command.expense)
    with refusals:
        not_paid(command.expense, command.book, context)
    with refusals:
        chosen = rules_for(book, expense)
        if not any(eligible(rule, context.actor, context.mandate) for rule in chosen):
            raise rejected(
                TreasuryError.NOT_AN_APPROVER,
                f"{context.actor} is none of those who approve expense {command.expense}; its rules are "
                f"{', '.join(rule.rule for rule in chosen)}. Name the mandate under which you act, if you have one.",
                expense=command.expense, rules=[rule.rule for rule in chosen],
            )  # fmt: skip
    with refusals:
        _by_another(command, expense, context)
    with refusals:
        if expense.stage is Stage.APPROVED:
            raise rejected(
                TreasuryError.ALREADY_APPROVED, f"Expense {command.expense} has all the approvals that it needs.",
                expense=command.expense,
            )  # fmt: skip
    refusals.answer()
    return chosen


def _by_another(command: ApproveExpense, expense: Expense, context: Context) -> None:
    """Refuse an approval by who asked for the expense, or is paid."""
    if is_among(context.actor, expense.submitters):
        raise rejected(
            TreasuryError.SECOND_PERSON_REQUIRED,
            f"{context.actor} submitted or changed expense {command.expense}. Somebody else approves it.",
            expense=command.expense, actor=context.actor,
        )  # fmt: skip
    if benefits(expense, context):
        raise rejected(
            TreasuryError.OWN_BENEFIT, f"Expense {command.expense} goes to {context.actor}. Somebody else approves it.",
            expense=command.expense,
        )  # fmt: skip


def _reject(command: RejectExpense, expense: Expense, context: Context) -> ExpenseRejected | None:
    at = rules.when(command.occurred_at, context)
    opened(context.read("book", command.book), command.book)
    of_book(expense, command.expense, command.book)
    if expense.stage is Stage.REJECTED:
        return None
    not_paid(command.expense, command.book, context)
    return ExpenseRejected(
        expense=command.expense, book=command.book, reason=command.reason, hold=expense.hold, occurred_at=at
    )


def _attach(command: AttachDocument, expense: Expense, context: Context) -> DocumentAttached | None:
    at = rules.when(command.occurred_at, context)
    if expense.stage is Stage.NONE or expense.payee != command.payee:
        raise rejected(
            TreasuryError.UNKNOWN_EXPENSE, f"There is no expense {command.expense} of payee {command.payee}.",
            expense=command.expense,
        )  # fmt: skip
    if command.document in expense.documents and command.title is None:
        return None
    return DocumentAttached(**(dict(fields_of(command)) | {"occurred_at": at}))


expense: Final = Decider(
    treasury, "expense", Expense, Expense, decide, evolve, check, reads, recalls=recalls
)  # fmt: skip
