"""What is offered: programmes, how often a household is served by them, and their standard boxes."""

from __future__ import annotations

from collections.abc import Iterable

from services.distribution.contract import BundleSet, LimitSet, ProgrammeClosed, ProgrammeOpened
from services.projections.distribution.base import DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table


class Programmes(DistributionProjection):
    """`programmes` has a row for each; `times` a household is served in a day, week, month or year (`every`), null
    without a limit. `bundles` has the standard box of households from `min_size` on, up to the next larger one.
    """

    name = "programmes"
    version = 1
    sums = False
    events = events_of("programme")
    tables = (
        Table(
            "programmes",
            key=("programme",),
            columns={
                "programme": "text", "name": "text", "kind": "text", "utc_offset": "integer", "times": "integer",
                "every": "text", "opened_at": "timestamptz", "closed_at": "timestamptz",
            },
        ),
        Table(
            "bundles",
            key=("programme", "min_size"),
            columns={"programme": "text", "min_size": "integer", "lines": "jsonb"},
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if isinstance(event.data, ProgrammeClosed | LimitSet):
            yield "programmes", (event.data.programme,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case ProgrammeOpened() as data:
                rows.put(
                    "programmes",
                    (data.programme,),
                    {
                        "name": data.name, "kind": data.kind, "utc_offset": data.utc_offset, "times": None,
                        "every": None, "opened_at": data.occurred_at, "closed_at": None,
                    },
                )  # fmt: skip
            case ProgrammeClosed() as data:
                if (row := rows.get("programmes", (data.programme,))) is not None:
                    row["closed_at"] = data.occurred_at
            case LimitSet() as data:
                if (row := rows.get("programmes", (data.programme,))) is not None:
                    row |= {"times": data.times, "every": str(data.every)}
            case BundleSet(lines=()) as data:
                rows.delete("bundles", (data.programme, data.min_size))
            case BundleSet() as data:
                lines = [{"item": line.item, "quantity": line.quantity} for line in data.lines]
                rows.put("bundles", (data.programme, data.min_size), {"lines": lines})
