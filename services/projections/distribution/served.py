"""Who was served with what, for reports: every visit and every box that was handed out."""

from __future__ import annotations

from collections.abc import Iterable

from services.distribution.contract import BoxHandedOut, GoodsNoted, HandOutReversed, VisitRecorded, VisitReversed
from services.projections.distribution.base import BANDS, DistributionProjection, by_age, quantities
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class VisitsServed(DistributionProjection):
    """`served` has a row for each visit, and each box that was handed out; one that was reversed is none.

    `household` is null for somebody who gave no name. `goods` is how much of each item they got, in its base unit; what
    that weighed is told by `goods_noted`: the item as inventory described it, from `noted_at` on, its weight being that
    in g of one piece, or of 1,000 ml.
    """

    name = "visits_served"
    version = 1
    events = frozenset({VisitRecorded, VisitReversed, BoxHandedOut, HandOutReversed, GoodsNoted})
    tables = (
        Table(
            "served",
            key=("kind", "id", "at"),
            columns={
                "kind": "text", "id": "text", "at": "text", "household": "text", "programme": "text", "session": "text",
                "site": "text", "occurred_at": "timestamptz", "recorded_at": "timestamptz", **BANDS, "goods": "jsonb",
                "collected_by": "text", "served_by": "text", "breaches": "jsonb",
            },
            indexes=("occurred_at", "household, occurred_at", "session"),
        ),
        Table(
            "goods_noted",
            key=("item", "revision"),
            columns={
                "item": "text", "revision": "bigint", "name": "text", "unit": "text", "weight": "bigint",
                "allergens": "jsonb", "chilled": "boolean", "retired": "boolean", "noted_at": "timestamptz",
            },
            append=True,
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        return ()

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case VisitRecorded() as data:
                rows.put(
                    "served",
                    ("visit", data.visit, event.aggregate_id),
                    {
                        "household": data.household, "programme": data.programme, "session": data.session,
                        "site": data.site, "occurred_at": data.occurred_at, "recorded_at": event.recorded_at,
                        **by_age(data.served), "goods": quantities(data.goods), "collected_by": data.collected_by,
                        "served_by": event.envelope.authid, "breaches": [str(breach) for breach in data.breaches],
                    },
                )  # fmt: skip
            case BoxHandedOut() as data:
                rows.put(
                    "served",
                    ("box", data.box, event.aggregate_id),
                    {
                        "household": data.household, "programme": data.programme, "session": data.session,
                        "site": data.site, "occurred_at": data.occurred_at, "recorded_at": event.recorded_at,
                        **by_age(data.people), "goods": quantities(data.packed), "collected_by": data.collected_by,
                        "served_by": event.envelope.authid, "breaches": [str(breach) for breach in data.breaches],
                    },
                )  # fmt: skip
            case VisitReversed() as data:
                rows.delete("served", ("visit", data.visit, event.aggregate_id))
            case HandOutReversed() as data:
                rows.delete("served", ("box", data.box, event.aggregate_id))
            case GoodsNoted() as data:
                rows.put(
                    "goods_noted",
                    (data.item, data.revision),
                    {
                        "name": data.name, "unit": data.unit, "weight": data.weight,
                        "allergens": None if data.allergens is None else list(data.allergens),
                        "chilled": data.chilled, "retired": data.retired, "noted_at": data.occurred_at,
                    },
                )  # fmt: skip
