"""Meal counts: delivered, served, thrown away, and certified when they add up or say by how much they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.distribution.contract import (
    CertifyCount,
    CountCertified,
    CountResolved,
    DeliverMeals,
    Diner,
    DiscardMeals,
    DistributionError,
    MealEntry,
    MealsDelivered,
    MealsDiscarded,
    MealServed,
    MealsReversed,
    MealsServed,
    MealType,
    ResolveCount,
    ReverseMeals,
    ServeMeal,
)
from tests.support.distribution import NOW, given

E = DistributionError
HERE: dict[str, Any] = {"site": "school", "date": date(2026, 11, 20), "meal": MealType.BREAKFAST}
deliver = DeliverMeals(**HERE, delivery="d1", quantity=40, temperature=650)
serve = ServeMeal(**HERE, serving="s1")
discard = DiscardMeals(**HERE, discard="x1", quantity=2, reason="Dropped.")
certify = CertifyCount(**HERE)
MORNING = (
    deliver, serve, replace(serve, serving="s2", quantity=30), replace(serve, serving="s3", diner=Diner.SECOND),
    replace(serve, serving="s4", diner=Diner.PROGRAM_ADULT, quantity=2), discard,
)  # fmt: skip


def test_meals_are_counted_as_they_come_and_go() -> None:
    there = given().when(deliver).then(MealsDelivered, quantity=40)
    one = there.when(serve).then(MealServed, served=1)
    one.when(replace(serve, serving="s2", quantity=3)).then(MealServed, served=4)
    one.when(discard).then(MealsDiscarded, quantity=2)
    given().when(serve).then(MealServed, served=1)  # eaten before anybody wrote down the delivery


@pytest.mark.parametrize(
    ("command", "other"),
    [
        (deliver, {"quantity": 45}),
        (serve, {"quantity": 2}),
        (serve, {"diner": Diner.OTHER}),
        (discard, {"quantity": 3}),
    ],
)
def test_a_mark_counts_once_and_says_one_thing(command: Any, other: dict[str, Any]) -> None:
    counted = given().when(command).then_event()
    counted.when(command).then_nothing()
    counted.when(replace(command, **other)).then_rejected(E.ALREADY_EXISTS, site="school")
    counted.when(replace(command, meal=MealType.LUNCH)).then_event()
    counted.when(replace(command, date=date(2026, 11, 19))).then_event()


def test_a_count_that_adds_up_is_certified_by_whoever_answers_for_it() -> None:
    done = given(*MORNING).when(replace(certify, left_over=4, kept=3), actor="ada").then(
        CountCertified, delivered=40, served=MealsServed(first=31, second=1, program_adult=2), discarded=2,
        discrepancy=0, certified_by="ada",
    )  # fmt: skip
    done.when(replace(certify, left_over=4, kept=3)).then_nothing()
    done.when(replace(certify, left_over=5)).then_rejected(E.COUNT_CERTIFIED)
    given(*MORNING).when(replace(certify, carried_over=6, left_over=10)).then(CountCertified, carried_over=6)
    given().when(certify).then(CountCertified, delivered=0)


def test_a_count_that_does_not_add_up_says_by_how_much_and_why() -> None:
    morning = given(*MORNING)
    morning.when(certify).then_rejected(E.COUNT_DOES_NOT_ADD_UP, there=40, accounted=36, discrepancy=-4)
    morning.when(replace(certify, discrepancy=-4)).then_rejected(E.COUNT_DOES_NOT_ADD_UP)
    morning.when(replace(certify, discrepancy=4, reason="x")).then_rejected(E.COUNT_DOES_NOT_ADD_UP, discrepancy=-4)
    morning.when(replace(certify, discrepancy=-4, reason="A tray was not written down.")).then(
        CountCertified, discrepancy=-4
    )
    morning.when(replace(certify, left_over=7, discrepancy=3, reason="One box too many.")).then_event()
    morning.when(replace(certify, left_over=4, kept=5)).then_rejected(E.INVALID_RANGE, kept=5, left_over=4)


def test_what_is_kept_is_what_a_count_after_it_carried_over_or_it_is_said_why_and_looked_into() -> None:
    """Counts are not always certified in the order of their days."""
    after = replace(certify, carried_over=7, left_over=7)
    known = given(after, replace(certify, meal=MealType.LUNCH))
    for day in (date(2026, 11, 19), date(2026, 11, 13)):
        before = replace(certify, date=day, carried_over=7, left_over=7)
        none = known.when(before)
        none.then_rejected(E.COUNT_DOES_NOT_ADD_UP, kept=0, carried_over=7, date="2026-11-20")
        assert "on 2026-11-20 7 were carried over" in str(none.refusal)
        said = known.when(replace(before, reason="They were thrown away overnight."))
        off = said.then(CountCertified, carried_after=7, carried_on=date(2026, 11, 20), discrepancy=0)
        off.when(ResolveCount(**HERE | {"date": day}, note="Ada miscounted.")).then(CountResolved)
        kept = known.when(replace(before, kept=7)).then(CountCertified, carried_after=7)
        kept.when(ResolveCount(**HERE | {"date": day}, note="x")).then_rejected(E.NOTHING_TO_REVIEW)
    known.when(replace(certify, date=date(2026, 11, 12))).then(CountCertified, carried_after=None)


def test_what_is_carried_over_is_what_was_kept_or_it_is_said_why() -> None:
    before = replace(certify, date=date(2026, 11, 18), carried_over=9, left_over=9, kept=3)
    other = replace(before, date=date(2026, 11, 19), meal=MealType.LUNCH)
    known = given(before, other)
    seven = replace(certify, carried_over=7, left_over=7)
    wrong = known.when(seven)
    wrong.then_rejected(E.COUNT_DOES_NOT_ADD_UP, carried_over=7, kept=3, date="2026-11-18")
    assert "of 2026-11-18 3 were kept" in str(wrong.refusal)
    known.when(replace(seven, reason="The school kept four in its own fridge.")).then(
        CountCertified, kept_before=3, kept_on=date(2026, 11, 18), discrepancy=0
    )
    known.when(replace(certify, carried_over=3, left_over=3)).then(CountCertified, kept_before=3)
    known.when(certify).then_rejected(E.COUNT_DOES_NOT_ADD_UP, kept=3)
    nothing = given(replace(before, kept=0))
    nothing.when(seven).then_rejected(E.COUNT_DOES_NOT_ADD_UP, kept=0)
    nothing.when(replace(before, date=date(2026, 11, 17), kept=9)).then(CountCertified, kept_before=None)
    later = given(replace(before, date=date(2026, 11, 12)))
    later.when(seven).then(CountCertified, kept_before=None, kept_on=None)
    given(before, replace(before, date=date(2026, 11, 19), carried_over=3, left_over=5, discrepancy=2, kept=5,
          reason="x")).when(seven).then_rejected(E.COUNT_DOES_NOT_ADD_UP, kept=5, date="2026-11-19")  # fmt: skip


def test_nothing_is_counted_after_the_certificate() -> None:
    done = given(*MORNING, replace(certify, left_over=4))
    for late in (
        replace(deliver, delivery="d2"), replace(serve, serving="s9"), replace(discard, discard="x9"),
        replace(certify, left_over=9, kept=10),
    ):  # fmt: skip
        done.when(late).then_rejected(E.COUNT_CERTIFIED, meal="breakfast")
    done.when(serve).then_nothing()
    done.when(replace(serve, meal=MealType.LUNCH)).then_event()


def test_no_meal_is_of_a_day_that_has_begun_nowhere() -> None:
    """At half past nine in the morning UTC the next day begins in the far east; not the one after it."""
    for command in (deliver, serve, discard, certify):
        given().when(replace(command, date=date(2026, 11, 21))).then_rejected(E.OCCURRED_IN_FUTURE, date="2026-11-21")
        given().when(replace(command, date=date(2026, 11, 21)), now=NOW + timedelta(minutes=30)).then_event()
    given().when(replace(serve, occurred_at=NOW + timedelta(hours=1))).then_rejected(E.OCCURRED_IN_FUTURE)


@pytest.mark.parametrize(
    ("command", "kind", "entry", "quantity"),
    [
        (deliver, MealEntry.DELIVERY, "d1", 40),
        (serve, MealEntry.SERVING, "s1", 1),
        (discard, MealEntry.DISCARD, "x1", 2),
    ],
)
def test_an_entry_is_reversed_once_before_the_count_is_certified(
    command: Any, kind: MealEntry, entry: str, quantity: int
) -> None:
    reverse = ReverseMeals(**HERE, kind=kind, entry=entry, reason="Typed twice.")
    back = given(command).when(reverse).then(MealsReversed, quantity=quantity, diner=getattr(command, "diner", None))
    back.when(reverse).then_nothing()
    back.when(certify).then(CountCertified, delivered=0, served=MealsServed(), discarded=0, discrepancy=0)
    back.when(command).then_rejected(E.ALREADY_REVERSED)
    given().when(reverse).then_rejected(E.UNKNOWN_ENTRY, entry=entry)
    given(command).when(replace(reverse, meal=MealType.LUNCH)).then_rejected(E.UNKNOWN_ENTRY)
    sure = back.when(certify).then_event()
    sure.when(reverse).then_nothing()
    done = given(*MORNING, replace(certify, left_over=4))
    done.when(reverse).then_rejected(E.COUNT_CERTIFIED)


def test_meals_of_more_than_a_year_ago_are_a_slip_of_the_pen_or_confirmed() -> None:
    for command in (deliver, serve, discard):
        late = replace(command, date=date(2025, 11, 18))
        given().when(late).then_rejected(E.UNUSUAL, unusual=["2025-11-18 is more than a year ago"])
        given().when(replace(late, confirm_unusual=True)).then_event()
        given().when(replace(command, date=date(2025, 11, 19))).then_event()


def test_a_count_that_is_off_waits_until_somebody_has_looked_into_it() -> None:
    resolve = ResolveCount(**HERE, note="Four trays went to the school next door.")
    off = given(*MORNING, replace(certify, discrepancy=-4, reason="Not known."))
    seen = off.when(resolve).then(CountResolved, note=resolve.note)
    seen.when(resolve).then_nothing()
    seen.when(replace(serve, serving="s9")).then_rejected(E.COUNT_CERTIFIED)
    off.when(replace(resolve, meal=MealType.LUNCH)).then_rejected(E.NOTHING_TO_REVIEW)
    given(*MORNING).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
    given(*MORNING, replace(certify, left_over=4)).when(resolve).then_rejected(E.NOTHING_TO_REVIEW)
