"""Entries taken back by their mirror image."""

from __future__ import annotations

from typing import Any

import pytest

from services.treasury.contract import (
    CloseAccount,
    ClosePeriod,
    EntriesPosted,
    EntryPosted,
    EntryReversed,
    ResolveReview,
    ReviewResolved,
    TreasuryError,
)
from tests.support.treasury import (
    CLUB,
    IN,
    TODAY,
    ada,
    assess,
    balances,
    came_in,
    donation,
    entry_of,
    given,
    hold,
    line,
    on,
    p,
    post,
    post_hold,
    release,
    reverse,
    spent,
)

E = TreasuryError
RICH = (*CLUB, came_in(100, "in", on(2, 1)))


def test_a_reversal_is_the_mirror_image_and_is_dated_today() -> None:
    mixed = entry_of((p("food", 30), p("rent", 20)), (p("bank", 50),), "out", on(3, 1))
    after = given(*RICH, mixed).when(reverse("out")).then(
        EntryReversed, date=TODAY, debits=(p("bank", 50),), credits=(p("food", 30), p("rent", 20)), closing=False,
        owed_again=None,
    )  # fmt: skip
    assert balances(after) == balances(given(*RICH))
    after.when(reverse("out")).then_nothing()
    after.when(reverse("out", day=on(3, 2))).then_rejected(E.ENTRY_EXISTS, field="date")
    after.when(reverse("in", "un-out")).then_rejected(E.ENTRY_EXISTS, field="reverses")
    after.when(reverse("out", "twice")).then_rejected(E.ALREADY_REVERSED, entry="out")


def test_an_entry_is_let_stand_with_what_was_found() -> None:
    def stand(entry: str = "out", note: str = "the bank was late") -> ResolveReview:
        return ResolveReview(**IN, entry=entry, note=note)

    looked_into = (
        given(*RICH, spent(50, "out")).when(stand()).then(ReviewResolved, entry="out", note="the bank was late")
    )
    looked_into.when(stand()).then_nothing()
    looked_into.when(stand(note="and again")).then(ReviewResolved)
    given(*RICH).when(stand()).then_rejected(E.UNKNOWN_ENTRY, entry="out")
    given().when(stand()).then_rejected(E.UNKNOWN_BOOK)


def test_a_reversal_is_never_reversed() -> None:
    back = given(*RICH, spent(50), reverse("out", "back"))
    asked = back.when(reverse("back", "again"))
    asked.then_rejected(E.NOT_REVERSIBLE, entry="back")
    assert asked.refusal is not None
    assert "It stays as it is. Record it again under another id." in asked.refusal.detail
    back.when(reverse("back", "again", fact=True)).then_rejected(E.NOT_REVERSIBLE)
    recorded = back.when(spent(50, "out-2")).then(EntryPosted)
    assert balances(recorded) == balances(given(*RICH, spent(50)))


@pytest.mark.parametrize(
    ("step", "id"),
    [(spent(50), "out"), (donation(5), "gift"), (release(5), "free"), (post_hold(), "paid")],
)  # fmt: skip
def test_the_id_of_an_entry_that_was_taken_back_is_not_used_again(step: Any, id: str) -> None:
    posted = given(*RICH, hold(10), donation(9, "y0", fund="youth")).when(step).then_event()
    posted.when(step).then_nothing()
    back = posted.when(reverse(id, "back")).then(EntryReversed)
    back.when(step).then_rejected(E.ENTRY_EXISTS, entry=id, reversed_by="back")
    back.when(came_in(7, id)).then_rejected(E.ENTRY_EXISTS, entry=id, reversed_by="back")
    back.when(reverse(id, "back")).then_nothing()


def test_among_many_an_entry_that_was_taken_back_is_refused_and_drags_its_chain_alone() -> None:
    many = post(line(5, id="a"), line(6, id="b", linked=True), line(7, id="c"))
    posted = given(*RICH, many)
    posted.when(many).then_nothing()
    back = posted.when(reverse("b")).then(EntryReversed)
    refused = {"at": 1, "result": "refused", "code": E.ALREADY_REVERSED}
    back.when(many).then(
        EntriesPosted,
        not_posted=({"at": 0, "result": "already_posted"}, refused, {"at": 2, "result": "already_posted"}),
    )
    back.when(post(line(9, id="b"), line(8, id="d"))).then(
        EntriesPosted, not_posted=({"at": 0, "code": E.ALREADY_REVERSED},)
    )


def test_only_an_entry_is_reversed() -> None:
    given(*RICH).when(reverse("moon")).then_rejected(E.UNKNOWN_ENTRY, entry="moon")
    given().when(reverse("moon")).then_rejected(E.UNKNOWN_BOOK)


def test_a_reversal_keeps_to_the_limits_unless_it_is_a_fact() -> None:
    used = given(*RICH, spent(60))
    used.when(reverse("in")).then_rejected(E.ACCOUNT_LIMIT, balance=-60)
    bounced = used.when(reverse("in", fact=True)).then_event()
    (breach,) = bounced.world.history[("book", "club")][-1].breaches
    assert (breach.code, breach.entry, breach.balance) == (E.ACCOUNT_LIMIT, "un-in", -60)
    given(*RICH, hold(60)).when(reverse("in")).then_rejected(E.ACCOUNT_LIMIT, held=60)


def test_a_reversal_is_dated_within_the_open_days() -> None:
    closed = given(*RICH, ClosePeriod(**IN, through=on(6, 30)))
    closed.when(reverse("in", day=on(6, 30))).then_rejected(E.PERIOD_CLOSED)
    closed.when(reverse("in", day=on(7, 1))).then(EntryReversed, date=on(7, 1))
    closed.when(reverse("in", day=on(12, 31))).then_rejected(E.DATE_OUTSIDE_BOOK)
    closed.when(reverse("in")).then(EntryReversed, date=TODAY)


def test_a_late_reversal_looks_at_the_days_behind_it() -> None:
    used = given(*RICH, spent(60, "out", on(4, 1)), came_in(60, "more", on(5, 1)))
    used.when(reverse("in", day=on(3, 1))).then_rejected(E.BREAKS_LATER_DAY, date="2026-04-01", balance=-60)


def test_giving_back_what_a_restricted_fund_got_is_not_spending() -> None:
    given(*RICH, donation(50, fund="youth")).when(reverse("gift")).then(EntryReversed, breaches=())
    given(*RICH, donation(50, fund="youth")).when(reverse("gift", fact=True)).then(EntryReversed, breaches=())
    used = given(*RICH, donation(50, fund="youth"), spent(20, fund="youth"))
    used.when(reverse("gift")).then_rejected(E.FUND_LIMIT, fund="youth", balance=-20)


@pytest.mark.parametrize(
    ("step", "id"),
    [(donation(5), "gift"), (release(5), "free"), (post(line(5, id="x"), line(6, id="y")), "y"), (spent(5), "out")],
)  # fmt: skip
def test_entries_of_any_kind_are_reversed(step: Any, id: str) -> None:
    before = given(*RICH, donation(9, "y0", fund="youth"))
    posted = before.when(step).then_event()
    assert balances(posted.when(reverse(id)).then(EntryReversed)) == balances(
        before if id != "y" else before.when(post(line(5, id="x"))).then_event()
    )


def test_a_posted_hold_is_reversed_as_an_entry_and_holds_nothing_again() -> None:
    back = given(*RICH, hold(60), post_hold()).when(reverse("paid")).then(EntryReversed)
    assert balances(back) == balances(given(*RICH))
    back.when(spent(100)).then(EntryPosted)


def test_dues_are_waived_and_not_reversed() -> None:
    given(*RICH, ada, assess()).when(reverse("asked")).then_rejected(E.NOT_REVERSIBLE)


def test_nothing_is_posted_back_to_a_closed_account() -> None:
    moved = given(*CLUB, came_in(5, "in"), spent(5), CloseAccount(**IN, account="bank"))
    moved.when(reverse("out")).then_rejected(E.ACCOUNT_CLOSED, account="bank")


def test_an_entry_that_was_refused_among_many_can_be_posted_and_then_reversed() -> None:
    tried = given(*CLUB, post(line(5, "food", "bank", "x"), line(5, id="y")))
    tried.when(reverse("x")).then_rejected(E.UNKNOWN_ENTRY)
    tried.when(spent(5, "x")).then(EntryPosted).when(reverse("x")).then(EntryReversed)
