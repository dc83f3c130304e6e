"""What somebody has to look at: facts that broke a rule, temperatures out of bounds, counts to approve, refused steps.

A fact is recorded whatever the rules say of it; this is where its breach waits for a person. What needs no event to be
seen, such as stock at a closed location, is added by the query (services/queries/review.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from services.inventory.contract import (
    Breach,
    CountApproved,
    CountRecorded,
    Movement,
    MovementCorrected,
    MovementReversed,
    ProcessStepRefused,
    ProcessStepResolved,
    TemperatureRecorded,
    TransferOverdue,
    TransferReceived,
)
from services.projections.base import InventoryProjection, movements
from shared.event import Recorded
from shared.projection import Key, Row, Rows, Table

RECOUNT: Final = frozenset({Breach.BEYOND_LEDGER, Breach.SURPLUS})
"""Breaches that say the ledger's figure was wrong: an approved count of that stock settles them."""


class Review(InventoryProjection):
    """A row for each item to review; open while `closed_at` is null. `closed_by` says what closed it:

    - reversed: the movement was undone; corrected: it was corrected to what the ledger had;
    - counted: an approved count of the stock, as of its moment or later, settled a figure that was wrong;
    - within_limits: a later reading at the location (goods that the breach put on hold stay listed as held);
    - approved: the count that waited; arrived: the transfer that was late;
    - resolved: a step of a process manager that was refused, and that somebody has seen to (ResolveStep).

    What a fact broke beyond that (expired goods given out, another's reservation taken) stays on record as open until
    the movement is reversed. `awaiting` lists, for a stock or a location, the open items that its next count or reading
    may close.
    """

    name = "review"
    version = 1
    events = movements() | {
        TemperatureRecorded, CountRecorded, TransferOverdue, ProcessStepRefused, ProcessStepResolved,
    }  # fmt: skip
    tables = (
        Table(
            "review_items",
            key=("kind", "subject"),
            columns={
                "kind": "text", "subject": "text", "item": "text", "location": "text", "revision": "bigint",
                "quantity": "bigint", "occurred_at": "timestamptz", "recorded_at": "timestamptz",
                "short_at": "timestamptz", "detail": "text", "actor": "text", "closed_at": "timestamptz",
                "closed_by": "text",
            },
            indexes=("closed_at, occurred_at", "item, location"),
        ),
        Table(
            "awaiting",
            key=("place",),
            columns={"place": "text", "items": "jsonb"},
        ),
    )  # fmt: skip

    def touches(self, event: Recorded) -> Iterable[tuple[str, Key]]:
        data = event.data
        match data:
            case Movement():
                if RECOUNT.intersection(data.breaches) or isinstance(data, CountApproved):
                    yield "awaiting", (_stock(data),)
                if isinstance(data, MovementReversed | MovementCorrected):
                    for breach in Breach:
                        yield "review_items", (str(breach), f"{_stock(data)}:{data.movement}")
                if isinstance(data, CountApproved):
                    yield "review_items", ("count_to_approve", f"{data.count}:{data.item}")
                if isinstance(data, TransferReceived):
                    yield "review_items", ("transfer_overdue", f"{data.transfer}:{data.item}")
            case TemperatureRecorded():
                yield "awaiting", (data.location,)
            case CountRecorded():
                yield "review_items", ("count_to_approve", f"{data.count}:{data.item}")
            case ProcessStepResolved():
                yield "review_items", ("step_refused", data.step)

    def apply(self, event: Recorded, rows: Rows) -> None:
        match event.data:
            case Movement() as data:
                _movement(event, data, rows)
            case TemperatureRecorded(breach=None) as data:
                _settle(rows, data.location, data.occurred_at, event, "within_limits")
            case TemperatureRecorded() as data:
                key = ("temperature", f"{data.location}:{event.revision}")
                _open(rows, key, event, location=data.location, quantity=data.temperature)
                _await(rows, data.location, key)
            case CountRecorded() as data:
                key = ("count_to_approve", f"{data.count}:{data.item}")
                before = rows.get("review_items", key)
                row = _open(
                    rows, key, event, item=data.item, location=data.location,
                    quantity=sum(line.variance for line in data.variances),
                )  # fmt: skip
                if before is not None and before["closed_at"] is not None and before["revision"] >= event.revision:
                    row |= {name: before[name] for name in ("revision", "closed_at", "closed_by")}
            case ProcessStepRefused() as data:
                row = _open(rows, ("step_refused", data.step), event)
                row["detail"] = f"{data.manager}: {data.command} to {data.target}: {data.code}. {data.detail}"
            case ProcessStepResolved() as data:
                _close(rows, ("step_refused", data.step), event, "resolved")
            case TransferOverdue() as data:
                for item in data.items:
                    key = ("transfer_overdue", f"{data.transfer}:{item}")
                    _open(rows, key, event, item=item, occurred_at=data.due_at)


def _movement(event: Recorded, data: Movement, rows: Rows) -> None:
    # What a correction broke belongs to the movement that it corrects, and is closed with it.
    revision = data.movement if isinstance(data, MovementCorrected) else event.revision
    for breach in dict.fromkeys(data.breaches):
        key = (str(breach), f"{_stock(data)}:{revision}")
        beyond = sum(move.unrecorded for move in data.moves) if breach is Breach.BEYOND_LEDGER else None
        row = _open(
            rows, key, event, item=data.item, location=data.location, quantity=beyond, occurred_at=data.effective_at
        )
        row["short_at"] = data.short_at
        if breach in RECOUNT:
            _await(rows, _stock(data), key)
    match data:
        case MovementReversed():
            for breach in Breach:
                _close(rows, (str(breach), f"{_stock(data)}:{data.movement}"), event, "reversed")
        case MovementCorrected() if any(move.unrecorded < 0 for move in data.moves):
            _close(rows, (str(Breach.BEYOND_LEDGER), f"{_stock(data)}:{data.movement}"), event, "corrected")
        case CountApproved():
            _approve(rows, ("count_to_approve", f"{data.count}:{data.item}"), event, data.record)
            _settle(rows, _stock(data), data.effective_at, event, "counted")
        case TransferReceived():
            _close(rows, ("transfer_overdue", f"{data.transfer}:{data.item}"), event, "arrived")


def _stock(data: Movement) -> str:
    return f"{data.item}:{data.location}"


def _open(
    rows: Rows, key: Key, event: Recorded, *, item: str | None = None, location: str | None = None,
    quantity: int | None = None, occurred_at: datetime | None = None,
) -> Row:  # fmt: skip
    return rows.put(
        "review_items",
        key,
        {
            "item": item, "location": location, "revision": event.revision, "quantity": quantity,
            "occurred_at": occurred_at or event.data.occurred_at, "recorded_at": event.recorded_at, "short_at": None,
            "detail": None, "actor": event.envelope.authid, "closed_at": None, "closed_by": None,
        },
    )  # fmt: skip


def _close(rows: Rows, key: Key, event: Recorded, how: str) -> bool:
    """Close an item that is open; whether it is closed now."""
    row = rows.get("review_items", key)
    if row is not None and row["closed_at"] is None:
        row["closed_at"], row["closed_by"] = event.recorded_at, how
    return row is None or row["closed_at"] is not None


def _approve(rows: Rows, key: Key, event: Recorded, record: int) -> None:
    """Close what waited for the approval of a record. The record is another aggregate's event: if it was parked, it
    comes later and finds itself approved."""
    row = rows.get("review_items", key)
    if row is None:
        row = _open(rows, key, event)
        row["revision"] = record
    if row["revision"] <= record:
        row["closed_at"], row["closed_by"] = event.recorded_at, "approved"


def _await(rows: Rows, place: str, key: Key) -> None:
    row = rows.get("awaiting", (place,)) or rows.put("awaiting", (place,), {"items": []})
    row["items"] = [*row["items"], list(key)]


def _settle(rows: Rows, place: str, moment: datetime, event: Recorded, how: str) -> None:
    """Close what waited for a count or a reading, as far as it happened no later than that."""
    waiting = rows.get("awaiting", (place,))
    if waiting is None:
        return
    left = []
    for kind, subject in waiting["items"]:
        row = rows.get("review_items", (kind, subject))
        if row is not None and row["occurred_at"] > moment:
            left.append([kind, subject])
        else:
            _close(rows, (kind, subject), event, how)
    if left:
        waiting["items"] = left
    else:
        rows.delete("awaiting", (place,))
