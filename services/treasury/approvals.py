"""Which approval rules of a book an expense meets, who may approve under one, and who benefits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.treasury.contract import ApprovalRuleSet, TreasuryError
from services.treasury.expense_state import Expense
from services.treasury.party import Party
from services.treasury.posting import amount_text, rejected
from services.treasury.state import Book
from shared.decider import Context
from shared.persons import is_among, person_of


def rules_for(book: Book, expense: Expense) -> list[ApprovalRuleSet]:
    """The rules that an expense has to meet, one for each of its funds, without repetition.

    For each fund it is the rule with the highest `from_amount` that the whole expense reaches, among the rules for the
    fund itself if there is one that it reaches, else among those for all funds. Refuses an expense without a rule.
    """
    chosen: dict[str, ApprovalRuleSet] = {}
    for fund in dict.fromkeys(line.fund for line in expense.lines):
        reached = [
            rule for rule in book.rules.values()
            if rule.unit == expense.unit and rule.fund in (None, fund) and rule.from_amount <= expense.total
        ]  # fmt: skip
        if not reached:
            raise rejected(
                TreasuryError.NO_APPROVAL_RULE,
                f"No rule says who approves {amount_text(book, expense.total, expense.unit)} from fund {fund}. "
                "Set one with SetApprovalRule.",
                fund=fund, unit=expense.unit, amount=expense.total,
            )  # fmt: skip
        rule = max(reached, key=lambda rule: (rule.fund is not None, rule.from_amount, rule.approvals, rule.rule))
        chosen[rule.rule] = rule
    return list(chosen.values())


def eligible(rule: ApprovalRuleSet, actor: str, mandate: str | None) -> bool:
    """Whether an approval counts for a rule: by a person it names, a role, or a decision of a body it names.

    A mandate is a role's name, or `<body>/<minute>`; a rule that names nobody takes anyone's.
    """
    if not rule.people and not rule.roles and not rule.bodies:
        return True
    if is_among(actor, rule.people) or mandate in rule.roles:
        return True
    body, _, minute = (mandate or "").partition("/")
    return bool(minute) and body in rule.bodies


def counted(rule: ApprovalRuleSet, approvers: Mapping[str, Sequence[str | None]]) -> int:
    """How many people of those who approved count for a rule; who acted under several mandates counts once."""
    return len({
        person_of(who) for who, under in approvers.items() if any(eligible(rule, who, mandate) for mandate in under)
    })  # fmt: skip


def benefits(expense: Expense, context: Context) -> bool:
    """Whether who acts is who is paid, by the login the payee had when the expense was submitted, or has now."""
    payee: Party = context.read("party", expense.payee)
    known = {expense.payee_index, payee.login_index} - {None}
    return bool(known) and context.blind("login", context.actor) in known
