"""Whatever was posted, the figures of the treasury's read models add up."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.projections.registry import TREASURY
from services.projections.treasury.expenses import Expenses
from services.projections.treasury.holds import MoneyHeld
from services.projections.treasury.journal import GeneralJournal
from services.projections.treasury.trial_balance import TABLE, TrialBalance
from services.treasury import contract as c
from services.treasury.expense_state import Stage
from shared.event import Recorded
from shared.projection import NotLoaded, Rows
from tests.support.books import ACCOUNTS, BOOK, FUNDS, Books, posting
from tests.support.pantry import rows_of
from tests.unit.processes.test_expense_properties import Action, actions, played

seldom = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Draft(NamedTuple):
    """The numbers that an event is made from."""

    kind: int
    debit: str
    credit: str
    fund: str
    unit: str
    amount: int
    back: int
    entry: int


drafts = st.builds(
    Draft, st.integers(0, 9), st.sampled_from(sorted(ACCOUNTS)), st.sampled_from(sorted(ACCOUNTS)),
    st.sampled_from(sorted(FUNDS)), st.sampled_from(("EUR", "USD")), st.integers(1, 2**53 - 1), st.integers(0, 40),
    st.integers(0, 30),
)  # fmt: skip
histories = st.lists(drafts, max_size=40)


def play(history: list[Draft]) -> Books:
    """A stream in which every entry balances, as the contract promises; beyond that anything goes."""
    books = Books().furnish()
    posted: list[Recorded] = []
    for number, draft in enumerate(history):
        books.later(hours=7)
        day = books.today - timedelta(days=draft.back)
        debits = (posting(draft.debit, draft.amount, draft.fund, draft.unit),)
        credits_ = (posting(draft.credit, draft.amount, draft.fund, draft.unit),)
        entry = {"book": BOOK, "entry": f"e{number}", "date": day, "debits": debits, "credits": credits_}
        if draft.kind < 4:
            posted.append(books.record(c.EntryPosted(**entry)))
        elif draft.kind < 6:
            parts = tuple(c.Entry(entry=f"e{number}-{n}", date=day, debits=debits, credits=credits_) for n in range(3))
            left_out = (c.NotPosted(at=draft.entry % 3, result=c.EntryResult.ALREADY_POSTED),)
            books.post_many(*parts, not_posted=left_out if draft.entry % 2 else ())
        elif draft.kind < 8 and posted:
            posted.append(books.reverse(posted.pop(draft.entry % len(posted)), f"e{number}"))
        elif draft.kind == 8:
            year = c.YearClosed(**entry, through=day, starts=date(2026, 1, 1), occurred_at=books.now)
            posted.append(books.record(year))
        else:
            posted.append(books.record(_release(draft, entry)))
    return books


def _release(draft: Draft, entry: dict[str, Any]) -> c.RestrictionReleased:
    def both(account: str, fund: str) -> c.Posting:
        return posting(account, draft.amount, fund, draft.unit)

    return c.RestrictionReleased(
        **entry | {
            "debits": (both("bank", "general"), both("released", "kitchen")),
            "credits": (both("released", "general"), both("bank", "kitchen")),
        },
        from_fund="kitchen", to_fund="general", amount=draft.amount, unit=draft.unit, account="bank",
        through="released", reason="done",
    )  # fmt: skip


@often
@given(histories)
def test_the_trial_balance_sums_to_zero_in_every_unit_and_fund_on_every_day(history: list[Draft]) -> None:
    days = {row_key[4] for row_key in rows_of(TrialBalance(), play(history).events).all(TABLE)}
    rows = rows_of(TrialBalance(), play(history).events).all(TABLE)
    for until in days:
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for (_, _, fund, unit, day, _), row in rows.items():
            if day <= until:
                sums[fund, unit] += row["debit"] - row["credit"]
        assert not any(sums.values())


@often
@given(histories)
def test_the_journal_adds_up_to_the_trial_balance(history: list[Draft]) -> None:
    events = play(history).events
    balance: dict[tuple[str, ...], list[int]] = {}
    for (_, account, fund, unit, day, _), row in rows_of(TrialBalance(), events).all(TABLE).items():
        figures = balance.setdefault((account, fund, unit, str(day)), [0, 0])
        figures[0] += row["debit"]
        figures[1] += row["credit"]
    journal: dict[tuple[str, ...], list[int]] = {}
    for row in rows_of(GeneralJournal(), events).all("postings").values():
        figures = journal.setdefault((row["account"], row["fund"], row["unit"], str(row["date"])), [0, 0])
        figures[row["amount"] < 0] += abs(row["amount"])
    assert journal == balance


@often
@given(histories)
def test_an_entry_and_what_took_it_back_leave_no_trace_in_the_figures_of_their_part(history: list[Draft]) -> None:
    """So a year whose closing entry was reversed shows the figures that it had before."""
    books = play(history)
    before = _by_part(books)
    stored = books.record(
        c.YearClosed(
            book=BOOK, entry="year", date=books.today, debits=(posting("gifts", 9),), credits=(posting("net", 9),),
            through=books.today, starts=date(2026, 1, 1), occurred_at=books.now,
        )
    )  # fmt: skip
    books.reverse(stored, "year-back")
    assert _by_part(books) == before


def _by_part(books: Books) -> dict[tuple[str, ...], int]:
    sums: dict[tuple[str, ...], int] = defaultdict(int)
    for (_, account, fund, unit, _, part), row in rows_of(TrialBalance(), books.events).all(TABLE).items():
        sums[account, fund, unit, part] += row["debit"] - row["credit"]
    return {key: figure for key, figure in sums.items() if figure}


@often
@given(histories)
def test_rows_that_are_loaded_one_event_at_a_time_are_those_of_a_rebuild(history: list[Draft]) -> None:
    """What a live read model loads because `touches` named it, or because it was missing, is all that it needs."""
    _assert_live_is_rebuilt(play(history).events)


def _assert_live_is_rebuilt(events: list[Recorded]) -> None:
    for projection in TREASURY:
        kept: dict[str, dict[Any, Any]] = {table.name: {} for table in projection.tables}
        for event in events:
            if projection.events is not None and type(event.data) not in projection.events:
                continue
            wanted = list(projection.touches(event))
            while True:
                rows = Rows(projection.tables)
                for name, keys in rows.missing(wanted).items():
                    rows.loaded(name, keys, {key: dict(kept[name][key]) for key in keys if key in kept[name]})
                try:
                    projection.apply(event, rows)
                    break
                except NotLoaded as missing:
                    wanted.append((missing.table, missing.key))
            for table, puts, gone in rows.changes():
                kept[table.name].update(puts)
                for key in gone:
                    kept[table.name].pop(key, None)
        rebuilt = rows_of(projection, events)
        for table in projection.tables:
            assert kept[table.name] == rebuilt.all(table.name), (projection.name, table.name)


# -- histories that the deciders made -----------------------------------------------------------------------------


@seldom
@given(actions, st.randoms(use_true_random=False))
def test_the_read_models_say_what_the_deciders_know(history: list[Action], chance: random.Random) -> None:
    desk = played(history, chance).desk
    balances: dict[tuple[str, ...], int] = defaultdict(int)
    for (_, account, fund, unit, _, _), row in rows_of(TrialBalance(), desk.events).all(TABLE).items():
        balances[account, fund, unit] += row["debit"] - row["credit"]
    assert {key: b for key, b in balances.items() if b} == {
        key: line.balance for key, line in desk.book.lines.items() if line.balance
    }
    open_holds = {
        hold for (_, hold), row in rows_of(MoneyHeld(), desk.events).all("money_holds").items() if not row["ended"]
    }
    assert open_holds == set(desk.book.holds)
    rows = rows_of(Expenses(), desk.events)
    payments = rows.all("expense_payments")
    for (id,), row in rows.all("expenses").items():
        expense = desk.state("expense", id)
        assert (row["version"], row["needed"], row["amount"]) == (expense.version, expense.needed, expense.total)
        assert sorted(row["approvers"]) == sorted(expense.approvers)
        assert (row["rejected_at"] is not None) == (expense.stage is Stage.REJECTED)
        assert (row["approved_at"] is not None and row["rejected_at"] is None) == (expense.stage is Stage.APPROVED)
        held = [hold for hold, of in desk.holds().items() if of == id]
        assert [payments[id,]["hold"] for _ in held] == held


@seldom
@given(actions, st.randoms(use_true_random=False), st.data())
def test_the_rows_do_not_depend_on_how_the_aggregates_interleave(
    history: list[Action], chance: random.Random, data: st.DataObject
) -> None:
    """An event that was parked is folded later, after events of other aggregates that came behind it."""
    events = played(history, chance).desk.events
    late = data.draw(st.sampled_from(sorted({event.subject for event in events})))
    since = data.draw(st.integers(0, len(events)))
    waiting = [event for event in events if event.subject == late and event.sequence > since]
    delayed = [event for event in events if event not in waiting] + waiting
    for projection in TREASURY:
        rows, otherwise = rows_of(projection, events), rows_of(projection, delayed)
        for shown in projection.tables:
            assert otherwise.all(shown.name) == rows.all(shown.name), (projection.name, shown.name)
    _assert_live_is_rebuilt(events)
