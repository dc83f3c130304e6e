"""What is offered: programmes, how often a household is served by them, and their standard boxes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any

from services.distribution.contract import BundleSet, LimitSet, ProgrammeClosed, ProgrammeOpened
from services.projections.distribution.base import DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table


class Programmes(DistributionProjection):
    """`programmes` has a row for each. Its `limits` say how many `times` a household is served in a day, week, month or
    year (`every`), each from a day at its place on (`since`, null: from the beginning) to the next. `bundles` has the
    standard box of households from `min_size` on, up to the next larger one.
    """

    name = "programmes"
    version = 4
    sums = False
    events = events_of("programme")
    tables = (
        Table(
            "programmes",
            key=("programme",),
            columns={
                "programme": "text", "name": "text", "kind": "text", "utc_offset": "integer", "limits": "jsonb",
                "opened_at": "timestamptz", "closed_at": "timestamptz",
            },
        ),
        Table(
            "bundles",
            key=("programme", "min_size"),
            columns={"programme": "text", "min_size": "integer", "lines": "jsonb"},
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if isinstance(event.data, ProgrammeOpened | ProgrammeClosed | LimitSet):
            yield "programmes", (event.data.programme,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case ProgrammeOpened() as data if (row := rows.get("programmes", (data.programme,))) is not None:
                row["closed_at"] = None  # opened again, with the same facts
            case ProgrammeOpened() as data:
                rows.put(
                    "programmes",
                    (data.programme,),
                    {
                        "name": data.name, "kind": data.kind, "utc_offset": data.utc_offset, "limits": [],
                        "opened_at": data.occurred_at, "closed_at": None,
                    },
                )  # fmt: skip
            case ProgrammeClosed() as data:
                if (row := rows.get("programmes", (data.programme,))) is not None:
                    row["closed_at"] = data.occurred_at
            case LimitSet() as data:
                if (row := rows.get("programmes", (data.programme,))) is not None:
                    row["limits"] = [*_held(row, data), _limit(data)]
            case BundleSet(lines=()) as data:
                rows.delete("bundles", (data.programme, data.min_size))
            case BundleSet() as data:
                lines = [{"item": line.item, "quantity": line.quantity} for line in data.lines]
                rows.put("bundles", (data.programme, data.min_size), {"lines": lines})


def _held(row: Row, data: LimitSet) -> list[dict[str, Any]]:
    """The limits that had taken effect when another was set, but for one that took effect on the same day."""
    day = (data.occurred_at.astimezone(UTC) + timedelta(minutes=row["utc_offset"])).date().isoformat()
    held = [limit for limit in row["limits"] if limit["since"] is None or limit["since"] <= day]
    return [limit for limit in held if data.since is None or limit["since"] != data.since.isoformat()]


def _limit(data: LimitSet) -> dict[str, Any]:
    since = None if data.since is None else data.since.isoformat()
    return {"times": data.times, "every": str(data.every), "since": since}
