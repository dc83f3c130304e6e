"""Whom a recall reaches through distribution: the boxes and visits that its lots went into, and whose they are.

It reads two streams. Inventory says what is recalled, which lots were repacked into which, and from which lots a visit
at the table was served; distribution says what was packed into each box, where the box is, and who was served. Each
table is written by the events of one stream alone, and a row by those of one aggregate, so it makes no difference how
the streams interleave; services/queries/distribution/reach.py puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Final

from services.distribution.contract import (
    BoxHandedOut,
    BoxPacked,
    BoxUnpacked,
    HandOutReversed,
    VisitRecorded,
    VisitReversed,
    distribution,
    fulfilment_of_visit,
)
from services.inventory.contract import (
    LotRecalled,
    LotRef,
    MovementCorrected,
    MovementReversed,
    RecallLifted,
    StockIssued,
    StockReceived,
    StockRepacked,
    inventory,
    lot_form,
)
from services.projections.distribution.boxes import LOT, packed_lots
from services.projections.lots import lot_columns, lot_key
from services.projections.movements import parents
from shared.contract import Contract
from shared.event import Recorded
from shared.projection import Key, Projection, Row, Rows, Table

_VISIT: Final = fulfilment_of_visit("")
"""Begins the recipient by whom inventory knows a visit."""

_HELD: Final = {
    "household": "text", "session": "text", "state": "text", "since": "timestamptz", "collected_by": "text",
}  # fmt: skip


class RecallReachBoxes(Projection):
    """`reach_recalls` are recalls, lifted ones too; `reach_made_from` tells of goods that were repacked what they were
    made from. `reach_boxes` and `reach_visits` are who has what (`state` packed, unpacked, handed_out; visited,
    reversed), `reach_box_lots` and `reach_visit_lots` the lots of it.

    A box holds what was packed, whatever inventory's movement says of it later. A visit's lots are those of inventory's
    issue, as it was corrected or reversed: `issue` is its location and revision, `quantity` the sum.
    """

    name = "recall_reach_boxes"
    version = 1
    sums = True
    contracts: ClassVar[Mapping[str, Contract]] = {"INVENTORY": inventory, "DISTRIBUTION": distribution}
    events = frozenset(
        {LotRecalled, RecallLifted, StockIssued, MovementReversed, MovementCorrected, StockReceived, StockRepacked}
        | {BoxPacked, BoxUnpacked, BoxHandedOut, HandOutReversed, VisitRecorded, VisitReversed}
    )
    tables = (
        Table(
            "reach_recalls",
            key=("item", "recall"),
            columns={
                "item": "text", "recall": "text", "scope_forms": "jsonb", "first_date": "date", "last_date": "date",
                "reason": "text", "begun_at": "timestamptz", "ended_at": "timestamptz",
            },
            indexes=("recall",),
        ),
        Table(
            "reach_made_from",
            key=("item", "lot_form", "parent", "parent_form"),
            columns={"item": "text", "lot_form": "text", "parent": "text", "parent_form": "text"},
            indexes=("parent_form, parent", "parent"),
            append=True,
        ),
        Table(
            "reach_boxes",
            key=("box",),
            columns={"box": "text", "order_id": "text", "site": "text", **_HELD},
            indexes=("household",),
        ),
        Table(
            "reach_box_lots",
            key=("box", "item", "lot_key"),
            columns={"box": "text", "item": "text", **LOT, "quantity": "bigint"},
            indexes=("lot_form, item", "item, date"),
            append=True,
        ),
        Table(
            "reach_visits",
            key=("visit", "at"),
            columns={"visit": "text", "at": "text", "site": "text", **_HELD},
            indexes=("household",),
        ),
        Table(
            "reach_visit_lots",
            key=("item", "issue", "lot_key"),
            columns={
                "visit": "text", "item": "text", "issue": "text", **LOT, "quantity": "bigint",
                "occurred_at": "timestamptz",
            },
            indexes=("lot_form, item", "item, date", "visit"),
        ),
        Table(
            "reach_issues",
            key=("item", "issue"),
            columns={"item": "text", "issue": "text", "visit": "text", "occurred_at": "timestamptz"},
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        match event.data:
            case RecallLifted() as data:
                yield "reach_recalls", (data.item, data.recall)
            case MovementReversed() | MovementCorrected() as data:
                issue = _issue(data.location, data.movement)
                yield "reach_issues", (data.item, issue)
                for move in data.moves:
                    yield "reach_visit_lots", (data.item, issue, lot_key(move))
            case BoxUnpacked() | BoxHandedOut() | HandOutReversed() as data:
                yield "reach_boxes", (data.box,)
            case VisitReversed() as data:
                yield "reach_visits", (data.visit, event.aggregate_id)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case LotRecalled() | RecallLifted():
                _recall(event.data, rows)
            case StockIssued() as data if data.recipient is not None and data.recipient.startswith(_VISIT):
                _issued(data, event.revision, data.recipient.removeprefix(_VISIT), rows)
            case MovementReversed() | MovementCorrected():
                _mended(event.data, rows)
            case StockReceived() | StockRepacked() as data:
                for made, parent, parent_lot in parents(data):
                    key = (data.item, lot_form(made.lot), parent, lot_form(parent_lot.lot))
                    rows.put("reach_made_from", key, {})
            case BoxPacked() | BoxUnpacked() | BoxHandedOut() | HandOutReversed():
                _box(event.data, rows)
            case VisitRecorded() as data:
                rows.put(
                    "reach_visits",
                    (data.visit, event.aggregate_id),
                    {
                        "site": data.site, "household": data.household, "session": data.session, "state": "visited",
                        "since": data.occurred_at, "collected_by": data.collected_by,
                    },
                )  # fmt: skip
            case VisitReversed() as data:
                if (row := rows.get("reach_visits", (data.visit, event.aggregate_id))) is not None:
                    row |= {"state": "reversed", "since": data.occurred_at}


# -- inventory --------------------------------------------------------------------------------------------------------


def _recall(data: LotRecalled | RecallLifted, rows: Rows) -> None:
    if isinstance(data, RecallLifted):
        if (row := rows.get("reach_recalls", (data.item, data.recall))) is not None:
            row["ended_at"] = data.occurred_at
        return
    rows.put(
        "reach_recalls",
        (data.item, data.recall),
        {
            "scope_forms": sorted({lot_form(lot) for lot in data.scope.lots}), "first_date": data.scope.first_date,
            "last_date": data.scope.last_date, "reason": data.reason, "begun_at": data.occurred_at, "ended_at": None,
        },
    )  # fmt: skip


def _issue(location: str, revision: int) -> str:
    """Names a movement of an item's stock."""
    return f"{location}:{revision}"


def _issued(data: StockIssued, revision: int, visit: str, rows: Rows) -> None:
    issue = _issue(data.location, revision)
    rows.put("reach_issues", (data.item, issue), {"visit": visit, "occurred_at": data.effective_at})
    given: dict[str, Row] = {}
    for move in data.moves:
        row = given.setdefault(lot_key(move), _lot(move, visit, data.effective_at))
        row["quantity"] += move.unrecorded - move.change
    for key, row in given.items():
        rows.put("reach_visit_lots", (data.item, issue, key), row)


def _mended(data: MovementReversed | MovementCorrected, rows: Rows) -> None:
    """What a reversal or correction takes back of an issue to a visit, or adds to it."""
    issue = _issue(data.location, data.movement)
    known = rows.get("reach_issues", (data.item, issue))
    if known is None:
        return
    for move in data.moves:
        key = (data.item, issue, lot_key(move))
        row = rows.get("reach_visit_lots", key) or rows.put(
            "reach_visit_lots", key, _lot(move, known["visit"], known["occurred_at"])
        )
        row["quantity"] += move.unrecorded - move.change


def _lot(ref: LotRef, visit: str, at: datetime) -> Row:
    columns = {name: value for name, value in lot_columns(ref).items() if name in LOT}
    return {**columns, "quantity": 0, "visit": visit, "occurred_at": at}


# -- distribution -----------------------------------------------------------------------------------------------------


def _box(data: BoxPacked | BoxUnpacked | BoxHandedOut | HandOutReversed, rows: Rows) -> None:
    if isinstance(data, BoxPacked):
        rows.put(
            "reach_boxes",
            (data.box,),
            {
                "order_id": data.order, "site": data.site, "household": data.household, "session": data.session,
                "state": "packed", "since": data.occurred_at, "collected_by": None,
            },
        )  # fmt: skip
        for (item, key), lot in packed_lots(data.packed).items():
            rows.put("reach_box_lots", (data.box, item, key), lot)
        return
    row = rows.get("reach_boxes", (data.box,))
    if row is not None:
        here = "packed" if isinstance(data, HandOutReversed) and not data.unpacked else "unpacked"
        row |= {"state": "handed_out" if isinstance(data, BoxHandedOut) else here, "since": data.occurred_at}
        row["collected_by"] = data.collected_by if isinstance(data, BoxHandedOut) else None
