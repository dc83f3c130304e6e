"""Commands and events of `meal_count`: the meals of one site on one day, from delivery to the certified count.

The aggregate's id is `<site>:<date>`. Delivered and carried over are what there was; served, damaged and left over must
be as many, or the certificate says by how much they differ and why (7 CFR 225.15(c) and 226.15(e) ask for such daily
records; first, second and programme adult meals are counted apart).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta
from pydantic import Field

from services.distribution.contract.base import (
    Amount,
    Date,
    Delta,
    Id,
    Moment,
    Note,
    Quantity,
    Text,
    command,
    event,
    value,
)


def meal_count_id(command: Any) -> str:
    """The id of one site's day. Neither part can hold a colon."""
    return f"{command.site}:{command.date}"


class MealType(StrEnum):
    """Which meal of the day."""

    BREAKFAST = "breakfast"
    LUNCH = "lunch"
    SUPPER = "supper"
    SNACK = "snack"


class Diner(StrEnum):
    """Who ate: a child's first meal, its second, an adult of the programme's staff, anybody else."""

    FIRST = "first"
    SECOND = "second"
    PROGRAM_ADULT = "program_adult"
    OTHER = "other"


Meals = Annotated[int, Field(ge=0, le=1_000_000), Meta(ge=0, le=1_000_000)]
"""Meals of one site's day."""

SomeMeals = Annotated[int, Field(ge=1, le=100_000), Meta(ge=1, le=100_000)]
"""Meals of one delivery or discard."""


@event(category="meal_count")
class MealsDelivered:
    """Meals arrived, or were cooked, at a site."""

    site: Id
    date: Date
    meal: MealType
    delivery: Id
    quantity: SomeMeals
    temperature: int | None = None
    received_by: Text | None = None
    confirm_unusual: bool = False
    occurred_at: Moment


@command(category="meal_count", aggregate=meal_count_id, makes=(MealsDelivered,))
class DeliverMeals:
    """Record that meals arrived. `temperature` is in tenths of a degree Celsius. A day more than a year ago needs
    `confirm_unusual`."""

    site: Id
    date: Date
    meal: MealType
    delivery: Id
    quantity: SomeMeals
    temperature: Annotated[int, Field(ge=-1000, le=2000)] | None = None
    received_by: Text | None = None
    confirm_unusual: bool = False
    occurred_at: Moment | None = None


@event(category="meal_count")
class MealServed:
    """Meals were eaten; `served` is how many of that meal the site has served on the day with them."""

    site: Id
    date: Date
    meal: MealType
    diner: Diner
    quantity: Quantity
    serving: Id
    served: int
    confirm_unusual: bool = False
    occurred_at: Moment


@command(category="meal_count", aggregate=meal_count_id, makes=(MealServed,))
class ServeMeal:
    """Count meals as they are handed over; `serving` names the mark on the sheet, so a repeat counts once. A day more
    than a year ago needs `confirm_unusual`."""

    site: Id
    date: Date
    meal: MealType
    diner: Diner = Diner.FIRST
    quantity: Annotated[int, Field(ge=1, le=1_000)] = 1
    serving: Id
    confirm_unusual: bool = False
    occurred_at: Moment | None = None


@event(category="meal_count")
class MealsDiscarded:
    """Meals were damaged, or kept too warm, and thrown away."""

    site: Id
    date: Date
    meal: MealType
    discard: Id
    quantity: SomeMeals
    reason: Note
    confirm_unusual: bool = False
    occurred_at: Moment


@command(category="meal_count", aggregate=meal_count_id, makes=(MealsDiscarded,))
class DiscardMeals:
    """Record meals that nobody may eat. A day more than a year ago needs `confirm_unusual`."""

    site: Id
    date: Date
    meal: MealType
    discard: Id
    quantity: SomeMeals
    reason: Note
    confirm_unusual: bool = False
    occurred_at: Moment | None = None


class MealEntry(StrEnum):
    """What was counted: meals that came, that were eaten, or that were thrown away."""

    DELIVERY = "delivery"
    SERVING = "serving"
    DISCARD = "discard"


@event(category="meal_count")
class MealsReversed:
    """An entry of a day's count was a mistake and does not count: `quantity` of its meals, and whose they were
    (`diner`) if it was a serving."""

    site: Id
    date: Date
    meal: MealType
    kind: MealEntry
    entry: Id
    reason: Note
    quantity: Quantity
    diner: Diner | None = None
    occurred_at: Moment


@command(category="meal_count", aggregate=meal_count_id, makes=(MealsReversed,))
class ReverseMeals:
    """Take back what was counted by mistake, before the count is certified.

    `entry` is the id of the delivery, serving or discard that `kind` says it is; that id is not used again.
    """

    site: Id
    date: Date
    meal: MealType
    kind: MealEntry
    entry: Id
    reason: Note
    occurred_at: Moment | None = None


@value
class MealsServed:
    """How many meals were eaten, by who ate them."""

    first: Amount = 0
    second: Amount = 0
    program_adult: Amount = 0
    other: Amount = 0

    @property
    def total(self) -> int:
        return self.first + self.second + self.program_adult + self.other


@event(category="meal_count")
class CountCertified:
    """Somebody answers for a meal's count of the day. `discrepancy` is what it is off by: what became of the meals less
    what there was.

    `carried_over` came from the day before; of `left_over`, `kept` are carried over to the next day. The last count
    that was certified in the seven days before kept `kept_before`, on `kept_on` (None: there was none): where
    `carried_over` differs from it, `reason` says why. The next count, if one of the seven days after was certified
    already, carried over `carried_after`, on `carried_on`: where it differs from `kept`, `reason` says why, and the
    count is for review.
    """

    site: Id
    date: Date
    meal: MealType
    carried_over: Meals = 0
    left_over: Meals = 0
    kept: Meals = 0
    discrepancy: Delta = 0
    reason: Note | None = None
    delivered: int
    served: MealsServed
    discarded: int
    kept_before: int | None = None
    kept_on: Date | None = None
    carried_after: int | None = None
    carried_on: Date | None = None
    certified_by: str
    occurred_at: Moment

    @property
    def carry_off(self) -> int:
        """By how much what the next count carried over differs from what this one kept."""
        return 0 if self.carried_after is None else self.carried_after - self.kept


@command(category="meal_count", aggregate=meal_count_id, makes=(CountCertified,))
class CertifyCount:
    """Certify a meal's count: it must add up, or say by how much it does not and why.

    What is `carried_over` is what the last certified count of the site and meal kept, in the seven days before; a
    `reason` says why if it is not. So it does if `kept` is not what a count of the seven days after carried over that
    was certified before this one.
    """

    site: Id
    date: Date
    meal: MealType
    carried_over: Meals = 0
    left_over: Meals = 0
    kept: Meals = 0
    discrepancy: Delta = 0
    reason: Note | None = None
    occurred_at: Moment | None = None


@event(category="meal_count")
class CountResolved:
    """Somebody looked into a certified count that is off, and closed its review. `note` says what was found,
    and names nobody."""

    site: Id
    date: Date
    meal: MealType
    note: Note
    occurred_at: Moment


@command(category="meal_count", aggregate=meal_count_id, makes=(CountResolved,))
class ResolveCount:
    """Close the review of a certified count that is off; the certificate stands."""

    site: Id
    date: Date
    meal: MealType
    note: Note
    occurred_at: Moment | None = None


__all__ = [
    "CertifyCount", "CountCertified", "CountResolved", "DeliverMeals", "Diner", "DiscardMeals", "MealEntry",
    "MealServed", "MealType", "MealsDelivered", "MealsDiscarded", "MealsReversed", "MealsServed", "ResolveCount",
    "ReverseMeals", "ServeMeal",
]  # fmt: skip
