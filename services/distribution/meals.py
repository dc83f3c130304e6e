"""Meal counts: what was delivered, eaten and thrown away on one day at one site, and who answers for the count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from services.distribution.contract import (
    CertifyCount,
    CountCertified,
    DeliverMeals,
    Diner,
    DiscardMeals,
    DistributionError,
    MealsDelivered,
    MealsDiscarded,
    MealServed,
    MealsServed,
    ServeMeal,
    distribution,
)
from services.distribution.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider


@dataclass(slots=True)
class Meal:
    """One meal of the day. `marks` are the servings, deliveries and discards that were counted."""

    delivered: int = 0
    served: dict[Diner, int] = field(default_factory=dict)
    discarded: int = 0
    certified: bool = False
    marks: set[str] = field(default_factory=set)


@dataclass
class MealCount:
    """The meals of one site's day, by meal."""

    meals: dict[str, Meal] = field(default_factory=dict)


MealCommand = DeliverMeals | ServeMeal | DiscardMeals | CertifyCount
MealEvent = MealsDelivered | MealServed | MealsDiscarded | CountCertified


def evolve(count: MealCount, event: MealEvent) -> MealCount:
    meal = count.meals.setdefault(str(event.meal), Meal())
    match event:
        case MealsDelivered():
            meal.delivered += event.quantity
            meal.marks.add(f"delivery:{event.delivery}")
        case MealServed():
            meal.served[event.diner] = meal.served.get(event.diner, 0) + event.quantity
            meal.marks.add(f"serving:{event.serving}")
        case MealsDiscarded():
            meal.discarded += event.quantity
            meal.marks.add(f"discard:{event.discard}")
        case CountCertified():
            meal.certified = True
    return count


def decide(command: MealCommand, count: MealCount, context: Context) -> MealEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    meal = count.meals.get(str(command.meal)) or Meal()
    match command:
        case DeliverMeals():
            if f"delivery:{command.delivery}" in meal.marks:
                return None
            _open(command, meal)
            return MealsDelivered(**fields)
        case ServeMeal():
            if f"serving:{command.serving}" in meal.marks:
                return None
            _open(command, meal)
            return MealServed(**fields, served=sum(meal.served.values()) + command.quantity)
        case DiscardMeals():
            if f"discard:{command.discard}" in meal.marks:
                return None
            _open(command, meal)
            return MealsDiscarded(**fields)
        case CertifyCount():
            return _certify(command, meal, context, fields)


def _open(command: MealCommand, meal: Meal) -> None:
    if meal.certified:
        raise rejected(
            DistributionError.COUNT_CERTIFIED,
            f"The count of {command.meal} at {command.site} on {command.date} is certified. What was missed stands in "
            "the certificate's discrepancy, or in the next day's count.",
            site=command.site, date=str(command.date), meal=command.meal,
        )  # fmt: skip


def _certify(
    command: CertifyCount, meal: Meal, context: Context, fields: dict[str, Any]
) -> CountCertified | None:  # fmt: skip
    if meal.certified:
        _open(command, meal)
    there = meal.delivered + command.carried_over
    accounted = sum(meal.served.values()) + meal.discarded + command.left_over
    off = accounted - there
    if command.kept > command.left_over:
        raise rejected(
            DistributionError.MORE_THAN_DELIVERED,
            f"{command.kept} meals would be kept of {command.left_over} left over. Check the two figures.",
            kept=command.kept, left_over=command.left_over,
        )  # fmt: skip
    if off != command.discrepancy or (off and command.reason is None):
        raise rejected(
            DistributionError.COUNT_DOES_NOT_ADD_UP,
            f"Delivered {meal.delivered} and carried over {command.carried_over} make {there}; served "
            f"{sum(meal.served.values())}, discarded {meal.discarded} and left over {command.left_over} make "
            f"{accounted}. Count again, or certify with discrepancy {off} and a reason.",
            there=there, accounted=accounted, discrepancy=off,
        )  # fmt: skip
    served = MealsServed(**{str(diner): meal.served.get(diner, 0) for diner in Diner})
    return CountCertified(
        **fields,
        delivered=meal.delivered,
        served=served,
        discarded=meal.discarded,
        certified_by=context.actor,
    )


def check(count: MealCount) -> list[str]:
    return [
        f"{name} has a negative count"
        for name, meal in count.meals.items()
        if min(meal.delivered, meal.discarded, *meal.served.values()) < 0
    ]


meal_count: Final = Decider(distribution, "meal_count", MealCount, MealCount, decide, evolve, check)
