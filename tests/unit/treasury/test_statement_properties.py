"""Whatever statements come, in whatever order: each line of the bank's is there once, and what is matched agrees."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import given as generated
from hypothesis import settings
from hypothesis import strategies as st

from services.treasury.contract import StatementImported, UnmatchLine
from services.treasury.statement_state import BankAccount
from shared.decider import Ref
from tests.support.sentences import Given
from tests.unit.treasury.office import (
    BOOK,
    IN,
    add,
    bank_line,
    book,
    entry,
    finish,
    given,
    match,
    start,
)

FIRST = date(2026, 1, 1)
REF = Ref("statement", "club:bank")

spans = st.tuples(st.integers(0, 29), st.integers(0, 29)).map(sorted)
truths = st.lists(st.tuples(st.integers(0, 29), st.integers(-500, 500).filter(bool)), max_size=20)
"""What the bank knows: on which day of thirty, how much."""

BEGINNING = given(*BOOK)


def statement(truth: list[tuple[int, int]], span: list[int], number: int, wrong: int = 0, part: int = 3) -> list[Any]:
    """The commands that import what the bank says of some days; `wrong` is by how much its closing balance is off."""
    name, (first, last) = {"statement": f"s{number}"}, span
    lines = [bank_line(f"l{place}", amount, 1) for place, (day, amount) in enumerate(truth) if first <= day <= last]
    days = [FIRST + timedelta(days=truth[int(line.line[1:])][0]) for line in lines]
    lines = [type(line)(line=line.line, date=day, amount=line.amount) for line, day in zip(lines, days, strict=True)]
    opening = sum(amount for day, amount in truth if day < first)
    closing = opening + sum(line.amount for line in lines) + wrong
    cut = [lines[at : at + part] for at in range(0, len(lines), part)]
    return [
        start(len(lines), opening, closing, **name, starts=FIRST + timedelta(days=first),
              ends=FIRST + timedelta(days=last), digest=f"{number:064x}"),
        *(add(*some, part=place, **name) for place, some in enumerate(cut, 1)),
        finish(**name),
    ]  # fmt: skip


def account(world: Given) -> BankAccount:
    state: BankAccount = world.state(*REF)
    return state


def sent(world: Given, commands: list[Any]) -> Given:
    for command in commands:
        outcome = world.when(command)
        if outcome.event is not None:
            world = outcome.then_event()
    return world


@settings(max_examples=60, deadline=None)
@generated(truths, st.lists(spans, min_size=1, max_size=6), st.integers(1, 4))
def test_overlapping_statements_in_any_order_give_each_line_once(
    truth: list[tuple[int, int]], asked: list[list[int]], part: int
) -> None:
    world = BEGINNING
    for number, span in enumerate(asked):
        world = sent(world, statement(truth, span, number, part=part))
        again = sent(world, statement(truth, span, number, part=part))
        assert again.world.history == world.world.history
    covered = {
        f"l{place}": amount
        for place, (day, amount) in enumerate(truth)
        if any(first <= day <= last for first, last in asked)
    }
    assert {id: line.amount for id, line in account(world).lines.items()} == covered
    imports = [event for event in world.world.history[REF] if isinstance(event, StatementImported)]
    assert len(imports) == len(asked)
    assert sum(event.new for event in imports) == len(covered)
    for number, event in enumerate(imports):
        assert event.gap == _unseen(truth, asked[: number + 1]), "what the bank says never contradicts itself"


def _unseen(truth: list[tuple[int, int]], asked: list[list[int]]) -> int:
    """What happened between the last of some statements and the one that ended before it, and no statement told."""
    *earlier, (first, _) = asked
    ended = max((last for _, last in earlier if last < first), default=None)
    goes_on = _balance(truth, first) == _balance(truth, first - 1) and any(last == first for _, last in earlier)
    if ended is None or goes_on:
        return 0
    days = (day for day in range(ended + 1, first) if not any(one <= day <= last for one, last in earlier))
    return sum(_balance(truth, day) - _balance(truth, day - 1) for day in days)


def _balance(truth: list[tuple[int, int]], until: int) -> int:
    return sum(amount for day, amount in truth if day <= until)


@settings(max_examples=60, deadline=None)
@generated(truths, spans, spans, st.integers(-300, 300).filter(bool))
def test_a_statement_that_does_not_add_up_leaves_the_account_as_it_was(
    truth: list[tuple[int, int]], right: list[int], span: list[int], wrong: int
) -> None:
    world = sent(BEGINNING, statement(truth, right, 1))
    before = account(world)
    after = account(sent(world, statement(truth, span, 2, wrong)))
    for name in ("unit", "lines", "imported", "closings", "matched"):
        assert getattr(after, name) == getattr(before, name)
    mended = sent(sent(world, statement(truth, span, 2, wrong)), statement(truth, span, 2))
    assert account(mended).lines == account(sent(world, statement(truth, span, 2))).lines


@settings(max_examples=60, deadline=None)
@generated(truths, st.lists(st.integers(-500, 500).filter(bool), max_size=12), st.data())
def test_what_is_matched_agrees(truth: list[tuple[int, int]], others: list[int], data: st.DataObject) -> None:
    """The lines that are matched make what their entries made of the account, whatever was tried."""
    world = sent(BEGINNING, statement(truth, [0, 29], 1))
    amounts = {f"e{n}": amount for n, amount in enumerate([*(amount for _, amount in truth), *others])}
    for id, amount in amounts.items():
        sides = ("bank", "gifts") if amount > 0 else ("gifts", "bank")
        world = world.when(entry(id, *sides, abs(amount), fact=True)).then_event()
    lines, entries = sorted(account(world).lines), sorted(amounts)
    tries = st.lists(
        st.tuples(
            st.sampled_from(lines or ["l0"]), st.lists(st.sampled_from(entries or ["e0"]), min_size=1, max_size=3),
            st.booleans(),
        ), max_size=20,
    )  # fmt: skip
    for line, chosen, back in [*data.draw(tries), *((f"l{n}", [f"e{n}"], False) for n in range(len(truth)))]:
        command: Any = match(line, *chosen)
        if back:
            command = UnmatchLine(**IN, account="bank", line=line, reason="x")
        world = sent(world, [command])
        state = account(world)
        used = [id for one in state.lines.values() for id in one.entries]
        assert len(used) == len(set(used))
        for one in state.lines.values():
            assert not one.entries or one.amount == sum(amounts[id] for id in one.entries)
    assert book(world).guards["account", "bank", "EUR"].balance == 100_000 + sum(amounts.values())
