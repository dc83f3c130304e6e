"""Whatever happens to expenses, in whatever order steps come: what is held is what is approved and not paid, nobody
acts in two roles or for their own benefit, and nothing is paid twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.treasury.contract import (
    ExpenseApproved,
    ExpenseChanged,
    ExpensePaid,
    ExpenseRejected,
    ExpenseSubmitted,
    PartyChanged,
    PartyRegistered,
    PaymentFailed,
)
from services.treasury.expense_state import Stage, is_for
from services.treasury.processes import managers
from shared.errors import Rejected
from shared.event import Recorded
from shared.manager import Step
from tests.support.desk import Desk
from tests.support.following import command, shown
from tests.support.sentences import World, blind

PEOPLE = ("sam", "ben", "cleo", "dora", "ada", "eve")
NO_MONEY = ("ACCOUNT_LIMIT",)

WEIGHTS = {
    "approve": 4, "approve by all": 6, "change": 2, "come back": 4, "follow": 6, "give": 2, "hold": 2, "hold late": 2,
    "login": 1, "pay": 3, "pay by dora": 6, "reject": 1, "restart": 1, "rule": 1, "spend": 2, "submit": 1, "twice": 1,
    "void": 1,
}  # fmt: skip

Action = tuple[str, str, str, int]
"""A kind of action, an expense, a person, and a small number."""

kinds = st.sampled_from([kind for kind, weight in WEIGHTS.items() for _ in range(weight)])
actions = st.lists(
    st.tuples(kinds, st.sampled_from("xy"), st.sampled_from(PEOPLE), st.integers(1, 9)), min_size=20, max_size=60
)


class Office:
    """A desk with all of the treasury's managers, whose steps come late, twice, in any order, and after restarts."""

    def __init__(self, chance: random.Random) -> None:
        self.desk = Desk().open_club()
        self.desk.submit(payee="ada")
        self.desk.submit(9_000, expense="y", actor="eve")
        self.chance = chance
        self.managers = managers()
        self.read = 0
        self.steps: list[tuple[Any, Step]] = []
        self.done: set[str] = set()
        """The ids of steps that were carried out: the kernel answers them as it did, and nothing happens."""
        self.refused: dict[str, str] = {}
        """Steps that were refused, each with its code; they are not sent again."""
        self.worlds: list[World] = [self.desk.world]
        self.number = 0

    def act(self, action: Action) -> None:
        kind, expense, actor, size = action
        self.number += 1
        self.desk.later(minutes=7)
        desk, entry = self.desk, f"e{self.number}"
        payee = ("shop", "ada")[size % 2]
        version = desk.state("expense", expense).version or 1
        common = {"book": "club", "expense": expense}
        asked = {"expense": expense, "actor": actor, "amount": size * 400, "payee": payee}
        payment = {
            "version": version,
            "entry": entry,
            "reference": f"{'Bank' if size > 2 else 'BANK'} {self.number // 2}",
        }
        kinds: dict[str, Callable[[], Any]] = {
            "approve": lambda: desk.do("ApproveExpense", **common, version=version, actor=actor),
            "approve by all": lambda: [desk.approve(person, expense=expense) for person in ("ben", "cleo", "eve")],
            "change": lambda: desk.submit(**asked, name="ChangeExpense"),
            "come back": lambda: desk.do("RecordPaymentFailed", **common, entry=entry, reason="back", actor=actor),
            "follow": lambda: self.follow(size),
            "give": lambda: desk.move(entry, size * 900),
            "hold": lambda: self.by_hand(expense, actor, desk.world),
            "hold late": lambda: self.by_hand(expense, actor, self.chance.choice(self.worlds)),
            "login": lambda: desk.do("ChangeParty", party=payee, name="A", login=actor if size < 6 else None),
            "pay": lambda: desk.do("PayExpense", **common, **payment, actor=actor),
            "pay by dora": lambda: desk.do("PayExpense", **common, **payment, actor="dora"),
            "reject": lambda: desk.do("RejectExpense", **common, reason="no", actor=actor),
            "restart": self.restart,
            "rule": lambda: desk.do("SetApprovalRule", book="club", rule="two", unit="EUR", approvals=1 + size // 4),
            "spend": lambda: desk.move(entry, size * -900, fact=size > 6),
            "submit": lambda: desk.submit(**asked),
            "twice": self.twice,
            "void": lambda: self.void(actor),
        }
        with suppress(Rejected):
            kinds[kind]()
        self.worlds.append(desk.world)

    def by_hand(self, expense: str, actor: str, unaware: World) -> None:
        """The treasurer holds the money for what was approved, perhaps on what was so a while before."""
        approved = [e.data for e in self.desk.events if isinstance(e.data, ExpenseApproved) and e.data.final]
        for event in approved[::-1]:
            if event.expense == expense:
                sides = {"debits": event.debits, "credits": event.credits}
                plain = {
                    name: [{"account": p.account, "amount": p.amount, "unit": p.unit} for p in postings]
                    for name, postings in sides.items()
                }
                hold = f"hand-{self.number}"
                self.desk.do(
                    "PlaceHold", book="club", hold=hold, expense=expense, actor=actor, unaware=unaware, **plain
                )
                return

    def void(self, actor: str) -> None:
        for hold in self.desk.book.holds:
            self.desk.do("VoidHold", book="club", hold=hold, reason="by hand", actor=actor)

    def follow(self, send: int) -> None:
        """The managers read all that is new, and some steps are sent, in any order."""
        while self.read < len(self.desk.events):
            self.read += 1
            for manager in self.managers:
                self.steps += [(manager, step) for step in shown(manager, self.desk.events[self.read - 1])]
        self.chance.shuffle(self.steps)
        for _ in range(min(send, len(self.steps))):
            self.send(*self.steps.pop())

    def send(self, manager: Any, step: Step) -> None:
        id = step.id(manager.name)
        if id in self.done or id in self.refused or manager.moot(step):
            return
        name, fields = command(step)
        try:
            self.desk.do(name, actor=manager.name, **fields)
        except Rejected as refusal:
            # The kernel tries again a little later, when what was read a moment late has come.
            if self.read < len(self.desk.events) or refusal.code not in NO_MONEY:
                self.steps.insert(0, (manager, step))
            else:
                self.refused[id] = refusal.code
        else:
            self.done.add(id)

    def twice(self) -> None:
        self.steps += self.steps

    def restart(self) -> None:
        """Another process begins with the first event; whatever follows from any of them is a step again."""
        self.managers, self.read, self.steps = managers(), 0, []

    def settle(self) -> None:
        for _ in range(20):
            if self.read == len(self.desk.events) and not self.steps:
                return
            self.follow(1000)
        left = [(step.command, manager.moot(step)) for manager, step in self.steps]
        raise AssertionError(f"steps are refused for ever: {left}")


def played(history: list[Action], chance: random.Random) -> Office:
    office = Office(chance)
    for action in history:
        office.act(action)
    office.settle()
    return office


def payments(events: list[Recorded]) -> list[Any]:
    return [event.data for event in events if isinstance(event.data, ExpensePaid | PaymentFailed)]


@settings(max_examples=100, deadline=None)
@given(actions, st.randoms(use_true_random=False))
def test_in_the_end_what_is_held_is_what_is_approved_and_not_paid(history: list[Action], chance: random.Random) -> None:
    office = played(history, chance)
    desk = office.desk
    held = 0
    for id in "xy":
        expense = desk.state("expense", id)
        paid = [e for e in payments(desk.events) if e.expense == id]
        open_now = expense.stage is Stage.APPROVED and not (paid and isinstance(paid[-1], ExpensePaid))
        holds = [hold for hold in desk.book.holds.values() if hold.expense == id]
        assert all(is_for(expense, hold.debits, hold.credits) for hold in holds)
        assert len(holds) <= open_now
        if open_now and not holds:
            assert office.refused, "it is approved, nothing is held for it, and nobody was told"
        held += sum(posting.amount for hold in holds for posting in hold.credits)
    assert desk.held() == held


@settings(max_examples=100, deadline=None)
@given(actions, st.randoms(use_true_random=False))
def test_nobody_acts_in_two_roles_or_for_themselves_and_nothing_is_paid_twice(
    history: list[Action], chance: random.Random
) -> None:
    asked: dict[str, set[str]] = {}
    approvers: dict[str, set[str]] = {}
    wanted: dict[str, Any] = {}
    logins: dict[str, str | None] = {}
    known: dict[str, set[str | None]] = {}
    final: dict[str, bool] = {}
    paid: Counter[str] = Counter()
    references = set()
    for event in played(history, chance).desk.events:
        match event.data:
            case PartyRegistered() | PartyChanged() as party:
                logins[party.party] = party.login_index
            case ExpenseSubmitted() | ExpenseChanged() as request:
                id = request.expense
                asked.setdefault(id, set()).add(event.envelope.authid)
                approvers[id], wanted[id], final[id] = set(), request, False
                known[id] = {request.payee_index}
                assert not paid[id]
            case ExpenseApproved() as approval:
                id, who = approval.expense, event.envelope.authid
                assert who not in asked[id] | approvers[id] or (who in approvers[id] and approval.final)
                assert blind("login", who) not in known[id] | {logins[wanted[id].payee]}
                approvers[id].add(who)
                assert not paid[id] and not final[id]
                final[id] = approval.final
                assert not approval.final or len(approvers[id]) >= approval.needed
            case ExpenseRejected() as rejection:
                final[rejection.expense] = False
                assert not paid[rejection.expense]
            case ExpensePaid() as payment:
                id, who = payment.expense, event.envelope.authid
                assert who not in asked[id] | approvers[id]
                assert blind("login", who) not in known[id] | {logins[wanted[id].payee]}
                assert final[id] and not paid[id]
                assert [(p.account, p.amount) for p in payment.debits] == [
                    (p.account, p.amount) for p in wanted[id].lines
                ]
                paid[id] += 1
                assert payment.reference.casefold() not in references
                references.add(payment.reference.casefold())
            case PaymentFailed() as failure:
                paid[failure.expense] -= 1
                assert paid[failure.expense] == 0


@settings(max_examples=30, deadline=None)
@given(actions, st.randoms(use_true_random=False))
def test_the_same_events_lead_to_the_same_steps(history: list[Action], chance: random.Random) -> None:
    events = played(history, chance).desk.events
    first, again = managers(), managers()
    for one, other in zip(first, again, strict=True):
        ids = [step.id(one.name) for event in events for step in shown(one, event)]
        assert len(set(ids)) == len(ids)
        assert ids == [step.id(other.name) for event in events for step in shown(other, event)]
