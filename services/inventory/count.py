"""Counts: what was found at a location, item by item, and by whom.

The approval of what was found is a decision of the stock (mending.py); contract/count.py says how the two fit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.inventory import rules
from services.inventory.arrivals import distinct
from services.inventory.contract import (
    ApproveCount,
    CountedLot,
    CountRecorded,
    CountStarted,
    InventoryError,
    LotRef,
    RecordCount,
    StartCount,
    Variance,
    inventory,
    stock_id,
)
from services.inventory.item import registered
from services.inventory.location import known
from services.inventory.shelf import Stock
from services.inventory.timeline import microseconds
from shared.decider import Context, Decider, Ref
from shared.errors import Rejected


@dataclass
class Record:
    """What was found of one item: at which moment, by whom, and the revision of the event that says so."""

    revision: int
    at: datetime
    counted_by: str
    lines: list[CountedLot]


@dataclass
class Counting:
    """A stocktake; `location` is None before it starts. `items` are those to be counted, none means all."""

    revision: int = 0
    location: str | None = None
    items: list[str] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)


CountCommand = StartCount | RecordCount
CountEvent = CountStarted | CountRecorded


def evolve(count: Counting, event: CountEvent) -> Counting:
    count.revision += 1
    match event:
        case CountStarted():
            count.location, count.items = event.location, list(event.items)
        case CountRecorded():
            count.records[event.item] = Record(count.revision, event.occurred_at, event.counted_by, list(event.lines))
    return count


def reads(command: CountCommand) -> Iterable[Ref]:
    match command:
        case StartCount():
            return (Ref("location", command.location),)
        case RecordCount():
            return (Ref("item", command.item), Ref("stock", stock_id(command.item, command.location)))


def decide(command: CountCommand, count: Counting, context: Context) -> CountEvent | None:
    at = rules.when(command.occurred_at, context)
    match command:
        case StartCount():
            known(context.read("location", command.location), command.location)
            if count.location is not None:
                if (count.location, tuple(count.items)) == (command.location, command.items):
                    return None
                raise Rejected(
                    InventoryError.ALREADY_EXISTS,
                    f"Count {command.count} was started at {count.location} already. Choose another id.",
                    count=command.count, location=count.location,
                )  # fmt: skip
            if len(set(command.items)) < len(command.items):
                raise Rejected(InventoryError.DUPLICATE_LINE, "An item is listed twice. List each once.")
            return CountStarted(
                count=command.count, location=command.location, items=command.items, name=command.name, occurred_at=at
            )
        case RecordCount():
            return _record(command, count, context, at)


def _record(command: RecordCount, count: Counting, context: Context, at: datetime) -> CountRecorded | None:
    facts = registered(context.read("item", command.item), command.item)
    _check_place(count, command.count, command.location, command.item)
    distinct(command.lines)
    stock: Stock = context.read("stock", stock_id(command.item, command.location))
    if stock.counted is not None and at <= stock.counted.at and stock.counted.count != command.count:
        raise superseded(stock)
    before = count.records.get(command.item)
    if before is not None and (before.at, before.counted_by, tuple(before.lines)) == (at, context.actor, command.lines):
        return None
    changes, expected, refs = variances(stock, command.lines, microseconds(at))
    return CountRecorded(
        count=command.count, location=command.location, item=command.item, lines=command.lines, occurred_at=at,
        note=command.note, unit=facts.unit, counted_by=context.actor,
        variances=tuple(
            Variance(
                lot=ref.lot, date=ref.date, date_kind=ref.date_kind, owner=ref.owner, expected=expected.get(key, 0),
                variance=changes.get(key, 0),
            )
            for key, ref in refs.items()
        ),
    )  # fmt: skip


def variances(
    stock: Stock, lines: Sequence[CountedLot], moment: int
) -> tuple[dict[str, int], dict[str, int], dict[str, LotRef]]:
    """By lot: what was counted less what the ledger expects at a moment, what it expects, and which lot it is.

    Lots that the ledger has and the count does not list were found to be nothing.
    """
    refs = stock.resolve(lines)
    counted = {key: line.quantity for key, line in zip(refs, lines, strict=True)}
    expected: dict[str, int] = {}
    for key, row in stock.rows.items():
        balance = row.timeline.balance_at(moment)
        if balance or key in counted:
            expected[key] = balance
            refs[key] = row.ref
    changes = {key: counted.get(key, 0) - expected.get(key, 0) for key in refs}
    return changes, expected, refs


def recorded(count: Counting, command: ApproveCount) -> Record:
    """What a count recorded of the item that is to be approved, or a refusal."""
    _check_place(count, command.count, command.location, command.item)
    if command.item not in count.records:
        raise Rejected(
            InventoryError.NOT_IN_COUNT,
            f"Count {command.count} has no record of {command.item} yet. Record it first.",
            count=command.count, item=command.item,
        )  # fmt: skip
    return count.records[command.item]


def superseded(stock: Stock) -> Rejected:
    """The refusal for a count that is older than one that was approved."""
    assert stock.counted is not None
    return Rejected(
        InventoryError.COUNT_SUPERSEDED,
        f"Count {stock.counted.count}, of {stock.counted.at.isoformat()}, is approved and no older than this one. "
        "Count again.",
        count=stock.counted.count, counted_at=stock.counted.at.isoformat(),
    )  # fmt: skip


def _check_place(count: Counting, id: str, location: str, item: str) -> None:
    if count.location is None:
        raise Rejected(InventoryError.UNKNOWN_COUNT, f"Count {id} was never started. Start it first.", count=id)
    if count.location != location:
        raise Rejected(
            InventoryError.WRONG_LOCATION,
            f"Count {id} is of {count.location}, not of {location}.",
            count=id, location=count.location,
        )  # fmt: skip
    if count.items and item not in count.items:
        raise Rejected(
            InventoryError.NOT_IN_COUNT,
            f"Count {id} does not list {item}. Start another count for it.",
            count=id, item=item,
        )  # fmt: skip


def check(count: Counting) -> list[str]:
    broken = [f"{item} is not in the count" for item in count.records if count.items and item not in count.items]
    if count.records and count.location is None:
        broken.append("something was recorded before the count started")
    return broken


count: Final = Decider(inventory, "count", Counting, Counting, decide, evolve, check, reads)
