"""Bank statements: read in parts, checked as a whole, and matched line by line with the book."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.treasury.contract import (
    EntriesPosted,
    Entry,
    LineMatched,
    LineUnmatched,
    PostEntries,
    RegisterUnit,
    ReverseEntry,
    StatementImported,
    StatementLinesAdded,
    StatementStarted,
    TreasuryError,
    UnmatchLine,
)
from services.treasury.statement_state import BankAccount
from shared.decider import Ref
from shared.sealing import is_sealed
from tests.support.sentences import Given
from tests.unit.treasury.office import (
    BOOK,
    IN,
    TOMORROW,
    add,
    bank_line,
    entry,
    finish,
    given,
    match,
    posting,
    start,
)

E = TreasuryError
MOST = 2**53 - 1
UNMATCH = UnmatchLine(**IN, account="bank", line="l1", reason="The wrong one")
NOVEMBER = {"statement": "s2", "starts": date(2026, 11, 1), "ends": date(2026, 11, 15), "digest": "b" * 64}


def account(world: Given) -> BankAccount:
    state: BankAccount = world.state("statement", "club:bank")
    return state


def imported(*more: Any) -> Given:
    """October's statement, of two lines, and what came first."""
    return given(*BOOK, *more, start(), add(bank_line("l1", 500), bank_line("l2", -200, 6)), finish())


# -- read and checked -------------------------------------------------------------------------------------------------


def test_a_statement_that_adds_up_is_imported() -> None:
    reading = given(*BOOK).when(start()).then(StatementStarted, lines=2)
    one = reading.when(add(bank_line("l1", 500))).then(StatementLinesAdded, part=1)
    two = one.when(add(bank_line("l2", -200), part=2)).then(StatementLinesAdded, part=2)
    assert account(two).lines == {}
    done = two.when(finish()).then(StatementImported, new=2, known=0, gap=0, closing=300, unit="EUR")
    assert {name: line.amount for name, line in account(done).lines.items()} == {"l1": 500, "l2": -200}
    assert account(done).reading is None


def test_a_statement_without_lines_is_one() -> None:
    given(*BOOK, start(0, 300, 300)).when(finish()).then(StatementImported, new=0)


def test_whom_a_line_names_is_sealed() -> None:
    line = bank_line("l1", 300, payee="Ada Lovelace", memo="for the choir", reference="RF18")
    added = given(*BOOK, start(1)).when(add(line)).then_event()
    stored = added.world.history[Ref("statement", "club:bank")][-1].lines[0]
    assert all(map(is_sealed, (stored.payee, stored.memo, stored.reference)))
    added.when(finish()).then(StatementImported)


@pytest.mark.parametrize("closing", [299, 301, -300])
def test_a_wrong_closing_balance_imports_nothing(closing: int) -> None:
    reading = given(*BOOK, start(closing=closing), add(bank_line("l1", 500), bank_line("l2", -200)))
    reading.when(finish()).then_rejected(E.WRONG_CLOSING_BALANCE, opening=0, closing=closing, computed=300)
    assert account(reading).lines == {} and account(reading).imported == {}
    again = reading.when(start(digest="c" * 64)).then(StatementStarted)
    again.when(match("l1", "gift")).then_rejected(E.UNKNOWN_LINE)


def test_what_is_missing_is_said() -> None:
    reading = given(*BOOK, start(), add(bank_line("l1", 300)))
    reading.when(finish()).then_rejected(E.STATEMENT_INCOMPLETE, lines=2, here=1)
    reading.when(add(bank_line("l2", 1), part=3)).then_rejected(E.STATEMENT_INCOMPLETE, expected=2)
    more = add(bank_line("l2", 1), bank_line("l3", 1), part=2)
    reading.when(more).then_rejected(E.STATEMENT_INCOMPLETE, lines=2, here=3)


def test_a_statement_begun_again_replaces_one_that_was_not_finished() -> None:
    again = given(*BOOK, start(), add(bank_line("l1", 999))).when(start()).then(StatementStarted)
    again.when(start()).then_nothing()
    other = again.when(start(1, statement="s9")).then(StatementStarted)
    other.when(add(bank_line("l1", 500))).then_rejected(E.UNKNOWN_STATEMENT, statement="s1")
    other.when(finish()).then_rejected(E.UNKNOWN_STATEMENT)
    again.when(add(bank_line("l1", 500), bank_line("l2", -200))).then_event().when(finish()).then(StatementImported)


def test_the_same_file_again_changes_nothing() -> None:
    done = imported()
    done.when(start()).then_nothing()
    done.when(start(statement="s7")).then_nothing()
    done.when(add(bank_line("l1", 500))).then_nothing()
    done.when(finish()).then_nothing()
    done.when(start(digest="b" * 64)).then_rejected(E.ALREADY_EXISTS, statement="s1")


def test_the_same_part_again_changes_nothing_and_another_is_refused() -> None:
    reading = given(*BOOK, start(), add(bank_line("l1", 500)))
    reading.when(add(bank_line("l1", 500))).then_nothing()
    reading.when(add(bank_line("l1", 499))).then_rejected(E.ALREADY_EXISTS, part=1, line="l1")
    reading.when(add(bank_line("l1", 500, 7))).then_rejected(E.ALREADY_EXISTS)
    reading.when(add(bank_line("l2", 500))).then_rejected(E.ALREADY_EXISTS, line="l2")


def test_a_line_stands_once_in_a_statement() -> None:
    reading = given(*BOOK, start())
    reading.when(add(bank_line("l1", 500), bank_line("l1", -200))).then_rejected(E.DUPLICATE_LINE, line="l1")
    one = reading.when(add(bank_line("l1", 500))).then_event()
    one.when(add(bank_line("l1", -200), part=2)).then_rejected(E.DUPLICATE_LINE, line="l1")


@pytest.mark.parametrize(("day", "within"), [(1, True), (31, True)])
def test_a_line_is_of_a_day_of_the_statement(day: int, within: bool) -> None:
    given(*BOOK, start()).when(add(bank_line("l1", 500, day))).then_event()
    for outside in (date(2026, 9, 30), date(2026, 11, 1)):
        line = replace(bank_line("l1", 500), date=outside)
        given(*BOOK, start()).when(add(line)).then_rejected(E.INVALID_RANGE, line="l1")


def test_a_line_has_an_amount() -> None:
    given(*BOOK, start()).when(add(bank_line("l1", 0))).then_rejected(E.AMOUNTS_DIFFER, line="l1", amount=0)


# -- one statement after another --------------------------------------------------------------------------------------


def test_an_overlapping_statement_brings_what_is_new() -> None:
    again = imported().when(start(3, 0, 400, statement="s2", digest="b" * 64)).then_event()
    lines = add(bank_line("l1", 500), bank_line("l2", -200, 6), bank_line("l3", 100), statement="s2")
    done = again.when(lines).then_event().when(finish(statement="s2")).then(StatementImported, new=1, known=2)
    assert sum(line.amount for line in account(done).lines.values()) == 400


def test_what_was_matched_stays_so_when_its_line_comes_again() -> None:
    matched = imported(entry("e1", "bank", "gifts", 500)).when(match("l1", "e1")).then_event()
    again = matched.when(start(1, 0, 500, statement="s2", digest="b" * 64)).then_event()
    done = again.when(add(bank_line("l1", 500), statement="s2")).then_event().when(finish(statement="s2")).then_event()
    assert account(done).lines["l1"].entries == ("e1",)


@pytest.mark.parametrize("line", [bank_line("l1", 501), bank_line("l1", 500, 6)])
def test_a_line_that_an_earlier_statement_has_otherwise_is_refused(line: Any) -> None:
    again = imported().when(start(1, statement="s2", digest="b" * 64)).then_event()
    again.when(add(line, statement="s2")).then_rejected(E.AMOUNTS_DIFFER, line="l1", before=500)


@pytest.mark.parametrize(("opening", "gap"), [(300, 0), (310, 10), (250, -50)])
def test_a_gap_between_statements_that_are_next_to_each_other_is_said(opening: int, gap: int) -> None:
    begun = imported().when(start(0, opening, opening, **NOVEMBER)).then_event()
    begun.when(finish(statement="s2")).then(StatementImported, gap=gap)


@pytest.mark.parametrize(("opening", "gap"), [(300, 0), (310, 10)])
def test_a_gap_between_statements_that_lie_apart_is_said(opening: int, gap: int) -> None:
    begun = imported().when(start(0, opening, opening, **NOVEMBER | {"starts": date(2026, 11, 9)})).then_event()
    begun.when(finish(statement="s2")).then(StatementImported, gap=gap)


@pytest.mark.parametrize(("opening", "gap"), [(500, 0), (300, -200), (0, -500)])
def test_a_statement_that_overlaps_goes_on_from_the_lines_of_the_days_before_it(opening: int, gap: int) -> None:
    september = {"statement": "s0", "starts": date(2026, 9, 1), "ends": date(2026, 9, 30), "digest": "c" * 64}
    world = given(*BOOK, start(0, 0, 0, **september), finish(statement="s0"), start())
    both = world.when(add(bank_line("l1", 500), bank_line("l2", -200, 6))).then_event().when(finish()).then_event()
    begun = both.when(start(0, opening, opening, **NOVEMBER | {"starts": date(2026, 10, 6)})).then_event()
    begun.when(finish(statement="s2")).then(StatementImported, gap=gap)


def test_a_statement_may_begin_on_the_day_on_which_another_ended() -> None:
    september = {"statement": "s0", "starts": date(2026, 9, 1), "ends": date(2026, 9, 30), "digest": "c" * 64}
    world = given(*BOOK, start(0, 0, 0, **september), finish(statement="s0"), start())
    both = world.when(add(bank_line("l1", 500), bank_line("l2", -200, 31))).then_event().when(finish()).then_event()
    begun = both.when(start(0, 300, 300, **NOVEMBER | {"starts": date(2026, 10, 31)})).then_event()
    begun.when(finish(statement="s2")).then(StatementImported, gap=0)


def test_a_first_statement_has_nothing_before_it() -> None:
    begun = imported().when(start(0, 310, 310, **NOVEMBER | {"starts": date(2026, 10, 31)})).then_event()
    begun.when(finish(statement="s2")).then(StatementImported, gap=0)


def test_a_statement_does_not_tell_of_days_to_come() -> None:
    days = {"starts": date(2026, 11, 1), "ends": date(2026, 11, 20)}
    given(*BOOK).when(start(**days)).then(StatementStarted)
    tomorrow = days | {"ends": date(2026, 11, 21)}
    given(*BOOK).when(start(**tomorrow)).then_rejected(E.OCCURRED_IN_FUTURE, ends="2026-11-21", today="2026-11-20")
    imported().when(start(**tomorrow, digest="b" * 64)).then_rejected(E.OCCURRED_IN_FUTURE)
    east = replace(BOOK[0], utc_offset=840)
    at = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
    given(east, *BOOK[1:]).when(start(**tomorrow), now=at).then(StatementStarted)


def test_an_older_statement_does_not_become_the_last() -> None:
    older = {"statement": "s0", "starts": date(2026, 9, 1), "ends": date(2026, 9, 30), "digest": "c" * 64}
    both = imported().when(start(0, 7, 7, **older)).then_event().when(finish(statement="s0")).then_event()
    begun = both.when(start(0, 310, 310, **NOVEMBER)).then_event()
    begun.when(finish(statement="s2")).then(StatementImported, gap=10)


# -- what may have statements -----------------------------------------------------------------------------------------


def test_a_statement_is_of_an_account_that_may_have_one() -> None:
    office = given(*BOOK, RegisterUnit(**IN, unit="USD"))
    office.when(start(book="moon")).then_rejected(E.UNKNOWN_BOOK)
    office.when(start(account="till")).then_rejected(E.UNKNOWN_ACCOUNT, account="till")
    for wrong in ("food", "gifts", "net"):
        office.when(start(account=wrong)).then_rejected(E.WRONG_ACCOUNT_KIND, account=wrong)
    office.when(start(account="owed")).then(StatementStarted)
    office.when(start(unit="XTS")).then_rejected(E.UNKNOWN_UNIT, unit="XTS")
    office.when(start(ends=date(2026, 9, 30))).then_rejected(E.INVALID_RANGE)
    office.when(start(ends=date(2026, 10, 1))).then(StatementStarted)
    for command in (start(occurred_at=TOMORROW), finish(occurred_at=TOMORROW)):
        office.when(command).then_rejected(E.OCCURRED_IN_FUTURE)


def test_the_statements_of_an_account_are_in_one_unit() -> None:
    dollars = RegisterUnit(**IN, unit="USD")
    imported(dollars).when(start(unit="USD", **NOVEMBER)).then_rejected(E.WRONG_UNIT, unit="USD", expected="EUR")
    begun = given(*BOOK, dollars, start()).when(start(unit="USD")).then(StatementStarted, unit="USD")
    assert account(begun).unit == ""


# -- figures ----------------------------------------------------------------------------------------------------------


def test_a_balance_is_a_figure_that_every_reader_reads_exactly() -> None:
    reading = given(*BOOK, start(3, MOST, 0))
    reading.when(add(bank_line("l1", 1))).then_rejected(E.OUT_OF_RANGE, limit=MOST)
    reading.when(add(bank_line("l1", MOST), bank_line("l2", MOST))).then_rejected(E.OUT_OF_RANGE)
    reading.when(add(bank_line("l1", 1), bank_line("l2", -1))).then_event()
    deep = given(*BOOK, start(1, -MOST, 0))
    deep.when(add(bank_line("l1", -1))).then_rejected(E.OUT_OF_RANGE)


def test_a_gap_is_a_figure_that_every_reader_reads_exactly() -> None:
    low = given(*BOOK, start(0, -MOST, -MOST), finish())
    begun = low.when(start(0, MOST, MOST, **NOVEMBER)).then_event()
    begun.when(finish(statement="s2")).then_rejected(E.OUT_OF_RANGE)


# -- matched ----------------------------------------------------------------------------------------------------------


def test_a_line_is_matched_with_what_it_is_in_the_book() -> None:
    matched = imported(entry("e1", "bank", "gifts", 500)).when(match("l1", "e1")).then(LineMatched, amount=500)
    matched.when(match("l1", "e1")).then_nothing()
    assert account(matched).matched == {"e1": "l1"}


def test_a_line_may_be_several_entries_in_any_order() -> None:
    parts = (entry("e1", "bank", "gifts", 700), entry("e2", "rent", "bank", 200))
    matched = imported(*parts).when(match("l1", "e2", "e1")).then(LineMatched, amount=500)
    matched.when(match("l1", "e1", "e2")).then_nothing()
    matched.when(match("l1", "e1")).then_rejected(E.ALREADY_MATCHED, line="l1")


def test_an_entry_posted_among_many_is_found() -> None:
    many = PostEntries(
        **IN,
        entries=tuple(
            Entry(
                entry=id, date=date(2026, 10, 5), debits=(posting("bank", amount),), credits=(posting("gifts", amount),)
            )
            for id, amount in (("e1", 3), ("e2", 500))
        ),
    )
    posted = imported().when(many).then(EntriesPosted)
    posted.when(match("l1", "e1")).then_rejected(E.AMOUNTS_DIFFER, amount=500, entries=3)
    posted.when(match("l1", "e2")).then(LineMatched)


def test_a_line_and_its_entries_say_the_same() -> None:
    world = imported(
        entry("less", "bank", "gifts", 499), entry("out", "rent", "bank", 500), entry("cash", "cash", "gifts", 500),
        entry("right", "bank", "gifts", 500),
    )  # fmt: skip
    world.when(match("l1", "less")).then_rejected(E.AMOUNTS_DIFFER, amount=500, entries=499)
    world.when(match("l1", "out")).then_rejected(E.AMOUNTS_DIFFER, amount=500, entries=-500)
    world.when(match("l1", "cash")).then_rejected(E.AMOUNTS_DIFFER, entry="cash", account="bank")
    world.when(match("l1", "right", "cash")).then_rejected(E.AMOUNTS_DIFFER, entry="cash")
    world.when(match("l1", "moon")).then_rejected(E.UNKNOWN_ENTRY, entry="moon")
    world.when(match("l9", "right")).then_rejected(E.UNKNOWN_LINE, line="l9")
    world.when(match("l1", "right", account="cash")).then_rejected(E.UNKNOWN_LINE)
    world.when(match("l1", "right", book="moon")).then_rejected(E.UNKNOWN_BOOK)
    world.when(match("l1", "right", occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)


def test_an_entry_that_was_taken_back_is_still_what_the_bank_did() -> None:
    back = ReverseEntry(**IN, entry="back", reverses="e1", reason="It bounced")
    bounced = imported(entry("e1", "bank", "gifts", 500), entry("more", "bank", "gifts", 300), back)
    matched = bounced.when(match("l1", "e1")).then(LineMatched, amount=500)
    matched.when(match("l2", "back", "more")).then(LineMatched, amount=-200)
    bounced.when(match("l1", "back")).then_rejected(E.AMOUNTS_DIFFER, entries=-500)


def test_amounts_in_another_unit_do_not_count() -> None:
    dollars = (RegisterUnit(**IN, unit="USD"),)
    debits, credits = (posting("bank", 500, unit="USD"),), (posting("gifts", 500, unit="USD"),)  # noqa: A001
    world = imported(*dollars, replace(entry("usd", "bank", "gifts", 1), debits=debits, credits=credits))
    world.when(match("l1", "usd")).then_rejected(E.AMOUNTS_DIFFER, entry="usd", unit="EUR")


def test_an_entry_is_matched_once() -> None:
    world = imported(entry("e1", "bank", "gifts", 500), entry("e2", "rent", "bank", 200))
    world.when(match("l1", "e1", "e1")).then_rejected(E.DUPLICATE_LINE)
    one = world.when(match("l1", "e1")).then_event()
    one.when(match("l2", "e1")).then_rejected(E.ALREADY_MATCHED, entry="e1", line="l1")
    one.when(match("l2", "e2")).then(LineMatched, amount=-200)


def test_a_match_is_taken_back() -> None:
    world = imported(entry("e1", "bank", "gifts", 500))
    world.when(UNMATCH).then_nothing()
    free = world.when(match("l1", "e1")).then_event().when(UNMATCH).then(LineUnmatched, entries=("e1",))
    assert account(free).matched == {}
    free.when(UNMATCH).then_nothing()
    free.when(match("l1", "e1")).then(LineMatched)
    free.when(replace(UNMATCH, line="l9")).then_rejected(E.UNKNOWN_LINE)
    free.when(replace(UNMATCH, book="moon")).then_rejected(E.UNKNOWN_BOOK)
    free.when(replace(UNMATCH, occurred_at=TOMORROW)).then_rejected(E.OCCURRED_IN_FUTURE)


# -- several reasons --------------------------------------------------------------------------------------------------

WRONG_DAY = replace(bank_line("l8", 1), date=date(2026, 9, 1))


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (start(book="moon", occurred_at=TOMORROW), E.OCCURRED_IN_FUTURE),
        (start(digest="c" * 64, ends=date(2026, 9, 1)), E.ALREADY_EXISTS),
        (start(statement="s3", digest="c" * 64, ends=date(2026, 9, 1), account="food"), E.INVALID_RANGE),
        (start(statement="s3", digest="c" * 64, account="food", unit="XTS"), E.WRONG_ACCOUNT_KIND),
        (start(statement="s3", digest="c" * 64, unit="XTS"), E.UNKNOWN_UNIT),
        (add(bank_line("l1", 0), WRONG_DAY, statement="s5"), E.UNKNOWN_STATEMENT),
        (add(bank_line("l8", 0), bank_line("l8", 1), WRONG_DAY, part=3, statement="s2"), E.INVALID_RANGE),
        (add(bank_line("l8", 0), bank_line("l8", 1), part=3, statement="s2"), E.DUPLICATE_LINE),
        (add(bank_line("l8", 0), part=3, statement="s2"), E.STATEMENT_INCOMPLETE),
        (add(bank_line("l8", 0), bank_line("l9", MOST), statement="s2"), E.AMOUNTS_DIFFER),
        (match("l9", "moon"), E.UNKNOWN_LINE),
        (match("l1", "e1", "e1", "moon"), E.UNKNOWN_ENTRY),
        (match("l1", "e2", "e2"), E.DUPLICATE_LINE),
        (match("l1", "e2"), E.ALREADY_MATCHED),
        (match("l2", "e1"), E.ALREADY_MATCHED),
    ],
)  # fmt: skip
def test_the_first_reason_is_answered(command: Any, code: TreasuryError) -> None:
    world = imported(entry("e1", "bank", "gifts", 500), entry("e2", "bank", "gifts", 499))
    world = world.when(match("l1", "e1")).then_event()
    begun = world.when(start(5, 1, 1, statement="s2", digest="b" * 64)).then_event()
    begun.when(command).then_rejected(code)
