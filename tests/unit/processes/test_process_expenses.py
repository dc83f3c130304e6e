"""What is approved is held, and what is not approved any more is freed; holds end in time."""

from __future__ import annotations

from typing import Any

import pytest

from services.treasury.contract import ExpireHold, HoldExpired, HoldPlaced, HoldVoided, PlaceHold, VoidHold
from services.treasury.processes import Expenses, Holds
from shared.errors import Rejected
from tests.support.desk import Desk
from tests.support.following import Follower


@pytest.fixture
def desk() -> Desk:
    return Desk().open_club()


@pytest.fixture
def expenses(desk: Desk) -> Follower:
    return Follower(desk, Expenses())


def place(desk: Desk, hold: str, amount: int = 1_000, **more: Any) -> None:
    """A hold by hand, for the expense unless told otherwise."""
    fields = {"expense": "x", **more}
    debits, credits = [{"account": "food"}], [{"account": "bank"}]  # noqa: A001
    for side in (*debits, *credits):
        side |= {"amount": amount, "unit": "EUR"}  # type: ignore[dict-item]
    desk.do("PlaceHold", book="club", hold=hold, debits=debits, credits=credits, **fields)


def reject(desk: Desk) -> None:
    desk.do("RejectExpense", book="club", expense="x", reason="Not this year")


def fail(desk: Desk) -> None:
    desk.do("RecordPaymentFailed", book="club", expense="x", entry="back", reason="Account closed")


def test_the_final_approval_is_followed_by_one_hold(desk: Desk, expenses: Follower) -> None:
    desk.submit()
    desk.approve("ben")
    assert expenses.settle() == []
    final = desk.approve("cleo")
    (held,) = expenses.settle()
    assert isinstance(held.data, HoldPlaced)
    assert (held.data.hold, held.data.expense, desk.held()) == ("x-1", "x", 1_000)
    assert final is not None and expenses.steps[0].cause.id == final.id
    desk.pay()
    assert expenses.settle() == []
    assert desk.holds() == {}


@pytest.mark.parametrize("end", [lambda desk: desk.submit(name="ChangeExpense"), reject], ids=["changed", "rejected"])
def test_what_ends_before_the_hold_needs_none(desk: Desk, expenses: Follower, end: Any) -> None:
    desk.submit()
    desk.approve()
    (hold,) = expenses.catch_up()
    assert not expenses.manager.moot(hold)
    end(desk)
    assert expenses.catch_up() == []
    assert expenses.manager.moot(hold)


@pytest.mark.parametrize("end", [lambda desk: desk.submit(name="ChangeExpense"), reject], ids=["changed", "rejected"])
def test_what_ends_after_the_hold_frees_it(desk: Desk, expenses: Follower, end: Any) -> None:
    desk.submit()
    desk.approve()
    expenses.settle()
    end(desk)
    (freed,) = expenses.settle()
    assert isinstance(freed.data, HoldVoided)
    assert desk.held() == 0
    assert expenses.manager.moot(expenses.steps[-1])


def test_a_changed_expense_is_held_for_anew_once_it_is_approved_again(desk: Desk, expenses: Follower) -> None:
    desk.submit()
    desk.approve()
    expenses.settle()
    desk.submit(700, "ChangeExpense")
    desk.approve()
    made = expenses.settle()
    assert [type(event.data) for event in made] == [HoldVoided, HoldPlaced]
    assert (desk.holds(), desk.held()) == ({"x-4": "x"}, 700)


def test_a_hold_that_was_placed_by_hand_is_freed_as_well(desk: Desk, expenses: Follower) -> None:
    desk.submit()
    desk.approve()
    (hold,) = expenses.catch_up()
    place(desk, "mine")
    assert expenses.catch_up() == []
    assert expenses.manager.moot(hold)
    reject(desk)
    expenses.settle()
    assert desk.holds() == {}


def test_the_hold_of_somebody_else_is_left_alone(desk: Desk, expenses: Follower) -> None:
    """It bears the id that the hold for the expense would have."""
    place(desk, "x-1", 300, expense=None)
    desk.submit()
    desk.approve()
    with pytest.raises(Rejected, match="x-1"):
        expenses.settle()
    reject(desk)
    assert expenses.settle() == []
    assert desk.holds() == {"x-1": None}


def test_a_hold_that_came_after_the_change_is_freed(desk: Desk, expenses: Follower) -> None:
    """Another process placed it, on the expense as it was a moment before."""
    desk.submit()
    desk.approve()
    before = desk.world
    reject(desk)
    place(desk, "mine", unaware=before)
    assert desk.holds() == {"mine": "x"}
    expenses.settle()
    assert desk.holds() == {}


def test_a_step_that_comes_late_does_not_free_what_is_needed_again(desk: Desk, expenses: Follower) -> None:
    desk.submit()
    desk.approve()
    expenses.settle()
    desk.submit(name="ChangeExpense")
    (void,) = expenses.catch_up()
    assert isinstance(void.command, VoidHold)
    assert not expenses.manager.moot(void)
    desk.approve()
    (again,) = expenses.catch_up()
    assert isinstance(again.command, PlaceHold)
    assert expenses.manager.moot(void) and expenses.manager.moot(again)
    assert desk.holds() == {"x-1": "x"}
    desk.pay()
    assert desk.holds() == {}


def test_a_failed_payment_stays_held_until_somebody_decides(desk: Desk, expenses: Follower) -> None:
    desk.submit()
    desk.approve()
    expenses.settle()
    desk.pay()
    fail(desk)
    assert expenses.settle() == []
    assert desk.held() == 1_000
    desk.pay(2)
    assert expenses.settle() == []
    assert desk.held() == 0


def test_a_failed_payment_of_what_is_rejected_then_is_freed(desk: Desk, expenses: Follower) -> None:
    desk.submit()
    desk.approve()
    expenses.settle()
    desk.pay()
    fail(desk)
    reject(desk)
    expenses.settle()
    assert desk.holds() == {}


def test_a_failed_payment_of_what_was_changed_beside_it_is_freed(desk: Desk, expenses: Follower) -> None:
    """Another process changed it, not knowing of the payment: the money is not held for what nobody approved."""
    desk.submit()
    desk.approve()
    expenses.settle()
    history = desk.world.history.copy()
    desk.pay()
    paid = desk.world.history
    desk.world.history = history
    desk.submit(2, "ChangeExpense")
    desk.world.history = paid | {
        ref: desk.world.history[ref] for ref in desk.world.history if ref.category == "expense"
    }
    fail(desk)
    assert desk.held() == 1_000
    expenses.settle()
    assert desk.holds() == {}


def test_money_that_is_gone_is_refused(desk: Desk, expenses: Follower) -> None:
    desk.submit(6_000)
    desk.approve()
    desk.move("fee", -5_000, fact=True)
    with pytest.raises(Rejected) as refusal:
        expenses.settle()
    assert refusal.value.code == "ACCOUNT_LIMIT"
    assert refusal.value.code not in expenses.steps[-1].met_by
    assert not expenses.manager.moot(expenses.steps[-1])


# -- the clock --------------------------------------------------------------------------------------------------------


def test_a_hold_ends_when_its_time_is_over(desk: Desk) -> None:
    clock = Follower(desk, Holds())
    for hold, hours in (("two", 2), ("one", 1), ("three", 3)):
        place(desk, hold, 100, expense=None, expires_at=desk.now.replace(hour=desk.now.hour + hours))
    place(desk, "ever", 100, expense=None)
    assert clock.wait(minutes=59) == []
    (due,) = clock.wait(minutes=1)
    assert due.command == ExpireHold(book="club", hold="one")
    (ended,) = clock.carry_out([due])
    assert isinstance(ended.data, HoldExpired)
    desk.do("VoidHold", book="club", hold="two", reason="Not needed")
    assert [step.command.hold for step in clock.wait(days=400)] == ["three"]
    desk.do("PostHold", book="club", hold="three", entry="e")
    clock.catch_up()
    assert clock.manager.moot(clock.steps[-1])
    assert desk.holds() == {"ever": None}


def test_what_two_holds_end_at_once_is_both(desk: Desk) -> None:
    clock = Follower(desk, Holds())
    for hold in ("a", "b"):
        place(desk, hold, 100, expense=None, expires_at=desk.now.replace(hour=desk.now.hour + 1))
    clock.carry_out(clock.wait(hours=1))
    assert desk.holds() == {}
