"""A treasury in memory: commands go through its deciders, and the events come out as they would be stored, sealed."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from services.treasury.contract import treasury
from services.treasury.deciders import DECIDERS
from services.treasury.state import Book
from shared.decider import Decider, Ref
from shared.event import Recorded
from tests.support.books import MONDAY, Books
from tests.support.sentences import World, sealed

BY_CATEGORY: Final[dict[str, Decider[Any]]] = {decider.category: decider for decider in DECIDERS}
LOCATE: Final = {
    name: lambda event, command=treasury.commands[maker]: command.aggregate(event)
    for name, maker in {
        "book": "OpenBook", "expense": "RejectExpense", "party": "RegisterParty", "pledge": "EndPledge",
        "statement": "ImportStatement", "process": "ResolveStep", "erasure": "CancelErasure",
    }.items()
}  # fmt: skip


class Desk(Books):
    """The stream and the states of all aggregates. Every decision is checked as tests/support/sentences.py does."""

    def __init__(self, now: datetime = MONDAY) -> None:
        super().__init__(now)
        self.world = World(BY_CATEGORY, LOCATE)

    def state(self, category: str, id: str) -> Any:
        return self.world.state(Ref(category, id))

    @property
    def book(self) -> Book:
        book: Book = self.state("book", "club")
        return book

    def do(
        self, name: str, /, *, actor: str = "sam", mandate: str | None = None, unaware: World | None = None,
        **fields: Any,
    ) -> Recorded | None:  # fmt: skip
        """Send a command. Returns its event, None when nothing changed; refusals are raised.

        `unaware` is the world that another process still takes for the newest; its own aggregate alone it knows as it
        is, as an append would fail otherwise.
        """
        command = treasury.parse(name, {name: _plain(value) for name, value in fields.items() if value is not None})
        world = self.world
        if unaware is not None:
            spec = treasury.command_of(command)
            own = Ref(spec.category, spec.aggregate(command))
            history = unaware.history | {own: world.history.get(own, [])}
            world = World(world.deciders, world.locate, unaware.states | {own: world.state(own)}, history)
        event = world.decide(command, self.now, actor, mandate)
        if event is None:
            return None
        event = sealed(treasury, event)
        self.world = self.world.after(event)
        return self.record(event, LOCATE[treasury.spec_of(event).category](event), actor=actor)

    # -- the usual furniture --------------------------------------------------------------------------------------

    def open_club(self, in_bank: int = 10_000) -> Desk:
        """The book `club`, with some money in a guarded bank account, a rule of two approvals, and two parties."""
        self.do("OpenBook", book="club", name="The club", unit="EUR", starts=date(2026, 1, 1))
        for account, kind in (("bank", "asset"), ("net", "net_assets"), ("gifts", "income"), ("food", "expense")):
            function = "program" if kind == "expense" else None
            self.do(
                "OpenAccount", book="club", account=account, name=account, kind=kind, function=function,
                guarded=account == "bank",
            )  # fmt: skip
        self.do("OpenFund", book="club", fund="general", name="General", net_assets="net")
        self.do("SetApprovalRule", book="club", rule="two", unit="EUR", approvals=2)
        self.do("RegisterParty", party="shop", name="A shop")
        self.do("RegisterParty", party="ada", name="Ada Lovelace", login="ada")
        self.move("gift", in_bank)
        return self

    def move(self, entry: str, amount: int, **more: Any) -> Recorded | None:
        """Money comes into the bank, or leaves it."""
        sides = [{"account": account, "amount": abs(amount), "unit": "EUR"} for account in ("bank", "gifts")]
        debit, credit = sides if amount > 0 else sides[::-1]
        return self.do("PostEntry", book="club", entry=entry, debits=[debit], credits=[credit], **more)

    def submit(self, amount: int = 1_000, name: str = "SubmitExpense", **more: Any) -> Recorded | None:
        """Sam asks for an expense to the shop, or changes one."""
        fields = {"book": "club", "expense": "x", "payee": "shop", "unit": "EUR", "pay_from": "bank", **more}
        return self.do(name, **fields, lines=[{"account": "food", "amount": amount}], description="Lunch")

    def approve(self, *people: str, expense: str = "x") -> Recorded | None:
        """People approve an expense as it is; the last approval."""
        made = None
        for who in people or ("ben", "cleo"):
            version = self.state("expense", expense).version or 1
            made = self.do("ApproveExpense", book="club", expense=expense, version=version, actor=who)
        return made

    def pay(self, number: int = 1, expense: str = "x", actor: str = "dora") -> Recorded | None:
        version = self.state("expense", expense).version or 1
        return self.do(
            "PayExpense", book="club", expense=expense, version=version, entry=f"pay-{number}",
            reference=f"SEPA {number}", actor=actor,
        )  # fmt: skip

    def holds(self) -> dict[str, str | None]:
        """The open holds, and the expense that each is for."""
        return {id: hold.expense for id, hold in self.book.holds.items()}

    def held(self) -> int:
        """What is held in the bank account."""
        return self.book.guards["account", "bank", "EUR"].held


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value
