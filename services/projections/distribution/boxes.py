"""Boxes: which lots are in each, and whether it is on the shelf, taken apart, or in whose hands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from services.distribution.contract import BoxHandedOut, BoxPacked, BoxUnpacked, HandOutReversed, PackedLine
from services.inventory.contract import lot_form
from services.projections.distribution.base import DistributionProjection, events_of
from shared.event import Recorded
from shared.projection import Key, Rows, Table

LOT: Final = {"lot_key": "text", "lot": "text", "lot_form": "text", "date": "date", "owner": "text"}
"""Columns of goods of one lot: a key of their own, the lot as recorded, its comparable form (empty when unknown)."""


def packed_key(line: PackedLine) -> str:
    """The key of goods of one lot, date and owner in a box."""
    return f"{lot_form(line.lot)}|{line.date or ''}|{line.owner or ''}"


def packed_lots(lines: Iterable[PackedLine]) -> dict[tuple[str, str], dict[str, Any]]:
    """What is in a box: by item and key, the other columns of LOT and the quantity."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        form = lot_form(line.lot)
        row = found.setdefault(
            (line.item, packed_key(line)),
            {"lot": line.lot if form else None, "lot_form": form, "date": line.date, "owner": line.owner,
             "quantity": 0},
        )  # fmt: skip
        row["quantity"] += line.quantity
    return found


class Boxes(DistributionProjection):
    """`boxes` has a row for each code: packed, unpacked or handed_out. `box_lots` is what was packed, by lot.

    `collected_by` is who came for the household, `breaches` the rules that its hand-out broke. `reversed_at` is when
    its last hand-out was found to be a mistake: it is packed, and nothing of it is set aside any more. `reason` is
    sealed.
    """

    name = "boxes"
    version = 1
    sums = False
    events = events_of("box")
    tables = (
        Table(
            "boxes",
            key=("box",),
            columns={
                "box": "text", "order_id": "text", "household": "text", "programme": "text", "session": "text",
                "site": "text", "state": "text", "packed_at": "timestamptz", "packed_by": "text",
                "ended_at": "timestamptz", "collected_by": "text", "breaches": "jsonb", "reason": "text",
                "reversed_at": "timestamptz",
            },
            indexes=("order_id", "session", "household"),
        ),
        Table(
            "box_lots",
            key=("box", "item", "lot_key"),
            columns={"box": "text", "item": "text", **LOT, "quantity": "bigint"},
            indexes=("lot_form, item",),
            append=True,
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        if not isinstance(event.data, BoxPacked):
            yield "boxes", (event.data.box,)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case BoxPacked() as data:
                rows.put(
                    "boxes",
                    (data.box,),
                    {
                        "order_id": data.order, "household": data.household, "programme": data.programme,
                        "session": data.session, "site": data.site, "state": "packed", "packed_at": data.occurred_at,
                        "packed_by": event.envelope.authid, "ended_at": None, "collected_by": None, "breaches": [],
                        "reason": None, "reversed_at": None,
                    },
                )  # fmt: skip
                for (item, key), lot in packed_lots(data.packed).items():
                    rows.put("box_lots", (data.box, item, key), lot)
            case BoxUnpacked() as data:
                if (row := rows.get("boxes", (data.box,))) is not None:
                    row |= {"state": "unpacked", "ended_at": data.occurred_at, "reason": data.reason}
            case BoxHandedOut() as data:
                if (row := rows.get("boxes", (data.box,))) is not None:
                    row |= {
                        "state": "handed_out", "ended_at": data.occurred_at, "collected_by": data.collected_by,
                        "breaches": [str(breach) for breach in data.breaches],
                    }  # fmt: skip
            case HandOutReversed() as data:
                if (row := rows.get("boxes", (data.box,))) is not None:
                    row |= {
                        "state": "unpacked" if data.unpacked else "packed", "ended_at": None, "collected_by": None,
                        "breaches": [],
                        "reversed_at": data.occurred_at,
                    }  # fmt: skip
