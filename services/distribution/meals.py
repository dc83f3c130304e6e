"""Meal counts: what was delivered, eaten and thrown away on one day at one site, and who answers for the count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

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
    ResolveCount,
    ReverseMeals,
    ServeMeal,
    distribution,
)
from services.distribution.goods import usual
from services.distribution.refusals import rejected, waits, when
from shared.contract import fields_of
from shared.decider import Context, Decider, Ref

FURTHEST_EAST: Final = timedelta(hours=14)
"""How far a place's clock is ahead of UTC at most."""


@dataclass(slots=True)
class Entry:
    """A delivery, a serving or a discard as it was counted; one that was reversed counts no more."""

    quantity: int
    diner: Diner | None = None
    reversed: bool = False


@dataclass(slots=True)
class Meal:
    """One meal of the day. `entries` are what was counted, by its kind and id with a blank between.

    `review` says whether a certificate that is off waits for somebody; None when it is not off."""

    delivered: int = 0
    served: dict[Diner, int] = field(default_factory=dict)
    discarded: int = 0
    certified: CountCertified | None = None
    review: bool | None = None
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass
class MealCount:
    """The meals of one site's day, by meal."""

    meals: dict[str, Meal] = field(default_factory=dict)


LONG_AGO: Final = timedelta(days=366)
"""How long ago a day is whose meals are counted only when somebody confirms it."""

CARRIED: Final = timedelta(days=7)
"""How long before a day the certificate is looked for that says what was kept for it; and after, which carried it."""

_Counted = DeliverMeals | ServeMeal | DiscardMeals | MealsDelivered | MealServed | MealsDiscarded
MealCommand = DeliverMeals | ServeMeal | DiscardMeals | ReverseMeals | CertifyCount | ResolveCount
MealEvent = MealsDelivered | MealServed | MealsDiscarded | MealsReversed | CountCertified | CountResolved


def evolve(count: MealCount, event: MealEvent) -> MealCount:
    meal = count.meals.setdefault(str(event.meal), Meal())
    match event:
        case CountCertified():
            meal.certified, meal.review = event, True if event.discrepancy or event.carry_off else None
        case CountResolved():
            meal.review = False
        case MealsReversed():
            meal.entries[f"{event.kind} {event.entry}"].reversed = True
            _count(meal, event.kind, event.diner, -event.quantity)
        case _:
            kind, id, entry = _entry(event)
            meal.entries[f"{kind} {id}"] = entry
            _count(meal, kind, entry.diner, entry.quantity)
    return count


def _count(meal: Meal, kind: MealEntry, diner: Diner | None, quantity: int) -> None:
    if kind is MealEntry.DELIVERY:
        meal.delivered += quantity
    elif kind is MealEntry.DISCARD:
        meal.discarded += quantity
    elif diner is not None:
        meal.served[diner] = meal.served.get(diner, 0) + quantity


def _entry(told: _Counted) -> tuple[MealEntry, str, Entry]:
    """What an entry is of, its id, and what it says."""
    match told:
        case DeliverMeals() | MealsDelivered():
            return MealEntry.DELIVERY, told.delivery, Entry(told.quantity)
        case ServeMeal() | MealServed():
            return MealEntry.SERVING, told.serving, Entry(told.quantity, told.diner)
        case DiscardMeals() | MealsDiscarded():
            return MealEntry.DISCARD, told.discard, Entry(told.quantity)


def reads(command: MealCommand) -> Iterable[Ref]:
    if isinstance(command, CertifyCount):
        days = [*_days_before(command.date), *_days_after(command.date)]
        return [Ref("meal_count", f"{command.site}:{day}") for day in days]
    return ()


def _days_before(day: date) -> list[date]:
    """The days on which what is carried over to a day may have been kept, the last first."""
    return [day - timedelta(days=n) for n in range(1, CARRIED.days + 1)]


def _days_after(day: date) -> list[date]:
    """The days that may have carried over what was kept on a day, the next first."""
    return [day + timedelta(days=n) for n in range(1, CARRIED.days + 1)]


def decide(command: MealCommand, count: MealCount, context: Context) -> MealEvent | None:
    at = when(command.occurred_at, context)
    fields = dict(fields_of(command)) | {"occurred_at": at}
    meal = count.meals.get(str(command.meal)) or Meal()
    _not_to_come(command, context)
    if isinstance(command, CertifyCount):
        return _certify(command, meal, context, fields)
    if isinstance(command, ResolveCount):
        what = f"The count of {command.meal} at {command.site} on {command.date}"
        return CountResolved(**fields) if waits(meal.review, what) else None
    if isinstance(command, ReverseMeals):
        return _reverse(command, meal, fields)
    kind, id, entry = _entry(command)
    known = meal.entries.get(f"{kind} {id}")
    if known is not None:
        if known == entry:
            return None
        told = "reversed" if known.reversed else f"counted as: {_said(known, kind)}"
        raise rejected(
            DistributionError.ALREADY_REVERSED if known.reversed else DistributionError.ALREADY_EXISTS,
            f"The {kind} {id} of {command.meal} was {told}. Count what came beside it under another id.",
            site=command.site, date=str(command.date), meal=command.meal,
        )  # fmt: skip
    _near(command, context)
    _open(command, meal)
    match command:
        case DeliverMeals():
            return MealsDelivered(**fields)
        case ServeMeal():
            return MealServed(**fields, served=sum(meal.served.values()) + command.quantity)
        case DiscardMeals():
            return MealsDiscarded(**fields)


def _said(entry: Entry, kind: MealEntry) -> str:
    done = {
        MealEntry.DELIVERY: "delivered",
        MealEntry.SERVING: f"served to {entry.diner}",
        MealEntry.DISCARD: "discarded",
    }
    return f"{entry.quantity} {done[kind]}"


def _reverse(command: ReverseMeals, meal: Meal, fields: dict[str, Any]) -> MealsReversed | None:
    entry = meal.entries.get(f"{command.kind} {command.entry}")
    if entry is None:
        raise rejected(
            DistributionError.UNKNOWN_ENTRY,
            f"No {command.kind} {command.entry} of {command.meal} was counted at {command.site} on {command.date}. "
            "Check its kind, id and day.",
            entry=command.entry,
        )  # fmt: skip
    if entry.reversed:
        return None
    _open(command, meal)
    return MealsReversed(**fields, quantity=entry.quantity, diner=entry.diner)


def _not_to_come(command: MealCommand, context: Context) -> None:
    """Refuse a day that has begun nowhere yet."""
    last = (context.now + FURTHEST_EAST).date()
    if command.date > last:
        raise rejected(
            DistributionError.OCCURRED_IN_FUTURE,
            f"{command.date} is yet to come. Count meals once they are there; check the date.", date=str(command.date),
        )  # fmt: skip


def _near(command: DeliverMeals | ServeMeal | DiscardMeals, context: Context) -> None:
    """Refuse to count meals of a day so long ago that it may be a slip of the pen, unless somebody confirmed it."""
    long_ago = command.date < context.now.date() - LONG_AGO
    usual([f"{command.date} is more than a year ago"] if long_ago else (), command.confirm_unusual)


def _open(command: MealCommand, meal: Meal) -> None:
    if meal.certified is not None:
        raise rejected(
            DistributionError.COUNT_CERTIFIED,
            f"The count of {command.meal} at {command.site} on {command.date} is certified. What was missed stands in "
            "the certificate's discrepancy, or in the next day's count.",
            site=command.site, date=str(command.date), meal=command.meal,
        )  # fmt: skip


def _certify(
    command: CertifyCount, meal: Meal, context: Context, fields: dict[str, Any]
) -> CountCertified | None:  # fmt: skip
    before = meal.certified
    if before is not None and all(
        value == getattr(before, name) for name, value in fields_of(command) if name != "occurred_at"
    ):
        return None
    _open(command, meal)
    there = meal.delivered + command.carried_over
    accounted = sum(meal.served.values()) + meal.discarded + command.left_over
    off = accounted - there
    if command.kept > command.left_over:
        raise rejected(
            DistributionError.INVALID_RANGE,
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
    kept = _nearest(command, _days_before(command.date), context)
    if kept is not None and kept.kept != command.carried_over and command.reason is None:
        raise rejected(
            DistributionError.COUNT_DOES_NOT_ADD_UP,
            f"{command.carried_over} would be carried over, and of {kept.date} {kept.kept} were kept, as certified. "
            "Count again, or certify with a reason.",
            carried_over=command.carried_over, kept=kept.kept, date=str(kept.date),
        )  # fmt: skip
    after = _nearest(command, _days_after(command.date), context)
    if after is not None and after.carried_over != command.kept and command.reason is None:
        raise rejected(
            DistributionError.COUNT_DOES_NOT_ADD_UP,
            f"{command.kept} would be kept, and on {after.date} {after.carried_over} were carried over, as certified. "
            "Count again, or certify with a reason.",
            kept=command.kept, carried_over=after.carried_over, date=str(after.date),
        )  # fmt: skip
    served = MealsServed(**{str(diner): meal.served.get(diner, 0) for diner in Diner})
    return CountCertified(
        **fields,
        delivered=meal.delivered,
        served=served,
        discarded=meal.discarded,
        kept_before=None if kept is None else kept.kept,
        kept_on=None if kept is None else kept.date,
        carried_after=None if after is None else after.carried_over,
        carried_on=None if after is None else after.date,
        certified_by=context.actor,
    )


def _nearest(command: CertifyCount, days: Iterable[date], context: Context) -> CountCertified | None:
    """The first certificate of the meal at the site on one of some days; None when there is none."""
    for day in days:
        count: MealCount = context.read("meal_count", f"{command.site}:{day}")
        meal = count.meals.get(str(command.meal))
        if meal is not None and meal.certified is not None:
            return meal.certified
    return None


def check(count: MealCount) -> list[str]:
    return [
        f"{name} has a negative count"
        for name, meal in count.meals.items()
        if min(meal.delivered, meal.discarded, *meal.served.values()) < 0
    ]


meal_count: Final = Decider(distribution, "meal_count", MealCount, MealCount, decide, evolve, check, reads)
