"""The meals of each site and day: delivered, served by who ate them, thrown away, left over, and certified or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.distribution.contract import (
    CountCertified,
    Diner,
    MealEntry,
    MealsDelivered,
    MealsDiscarded,
    MealServed,
    MealsReversed,
)
from services.projections.distribution.base import DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table

_COUNTED = ("delivered", *(str(diner) for diner in Diner), "discarded")
_CERTIFIED = (
    "carried_over", "left_over", "kept", "kept_before", "kept_on", "carried_after", "carried_on", "discrepancy",
    "reason", "certified_by", "certified_at",
)  # fmt: skip


class MealCounts(DistributionProjection):
    """A row for each meal of a site's day. `first`, `second`, `program_adult` and `other` were served; what was
    reversed is not counted. `discrepancy` is what its certificate says the count is off by, `kept` what it carries
    over, `kept_before` what the last certificate before it kept, on `kept_on`; `carried_after` what the next one, if it
    was certified first, carried over, on `carried_on`.
    """

    name = "meal_counts"
    version = 3
    events = events_of("meal_count")
    tables = (
        Table(
            "meal_counts",
            key=("site", "date", "meal"),
            columns={
                "site": "text", "date": "date", "meal": "text", **dict.fromkeys(_COUNTED, "bigint"),
                "carried_over": "bigint", "left_over": "bigint", "kept": "bigint",
                "kept_before": "bigint", "kept_on": "date", "carried_after": "bigint", "carried_on": "date",
                "discrepancy": "bigint",
                "reason": "text", "certified_by": "text", "certified_at": "timestamptz",
            },
            indexes=("date",),
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        yield "meal_counts", (event.data.site, event.data.date, str(event.data.meal))

    def apply(self, event: Recorded, rows: Rows) -> None:
        key = (event.data.site, event.data.date, str(event.data.meal))
        row = rows.get("meal_counts", key)
        if row is None:
            blank: dict[str, Any] = dict.fromkeys(_COUNTED, 0) | dict.fromkeys(_CERTIFIED)
            row = rows.put("meal_counts", key, blank)
        match event.data:
            case MealsDelivered() as data:
                row["delivered"] += data.quantity
            case MealServed() as data:
                row[str(data.diner)] += data.quantity
            case MealsDiscarded() as data:
                row["discarded"] += data.quantity
            case MealsReversed() as data:
                what = {
                    MealEntry.DELIVERY: "delivered",
                    MealEntry.SERVING: str(data.diner),
                    MealEntry.DISCARD: "discarded",
                }
                row[what[data.kind]] -= data.quantity
            case CountCertified() as data:
                row |= {
                    "carried_over": data.carried_over, "left_over": data.left_over, "kept": data.kept,
                    "kept_before": data.kept_before, "kept_on": data.kept_on, "carried_after": data.carried_after,
                    "carried_on": data.carried_on, "discrepancy": data.discrepancy,
                    "reason": data.reason, "certified_by": data.certified_by, "certified_at": data.occurred_at,
                }  # fmt: skip
