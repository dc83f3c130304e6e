"""What every decision of a stock stands on: the moment, the item, the location and the status of its lots; and how a
decision becomes the part of an event that all movements share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypedDict

from services.inventory import rules
from services.inventory.contract import (
    MAX_MOVES,
    BaseUnit,
    Breach,
    FreedLine,
    HoldReason,
    InventoryError,
    ItemFacts,
    LocationKind,
    LotMove,
    LotRef,
    StockCommand,
)
from services.inventory.item import registered
from services.inventory.location import Location, known
from services.inventory.lot import Lots
from services.inventory.shelf import Row, Stock
from services.inventory.timeline import microseconds
from shared.decider import Context, Ref
from shared.errors import Rejected
from shared.moments import is_late
from shared.types import MAX_INTEGER


@dataclass(frozen=True, slots=True)
class Basis:
    """What a decision stands on. `moment` is `at` in microseconds, `day` the calendar day there; `late` says that it
    was over before it was sent, `absorbed_by` names the approved count that came after it, `quarantine` that the
    location is one."""

    stock: Stock
    at: datetime
    moment: int
    day: date
    late: bool
    facts: ItemFacts
    place: Location
    lots: Lots
    absorbed_by: str | None
    retired_at: datetime | None
    quarantine: bool

    def unfit(self, row: Row) -> Breach | None:
        """Why goods may not be given out; None when they may."""
        ref = row.ref
        reasons = {self.stock.holds[hold].reason for hold in row.holds} if row.holds else ()
        if HoldReason.RECALL in reasons or self.lots.recalled(ref):
            return Breach.RECALLED
        if HoldReason.QUARANTINE in reasons or self.quarantine or self.lots.quarantined(ref):
            return Breach.QUARANTINED
        if reasons:
            return Breach.HELD
        until = rules.usable_until(ref, self.facts)
        if until is not None and until < self.day:
            return Breach.EXPIRED
        return None


def base_reads(command: StockCommand) -> tuple[Ref, ...]:
    """The aggregates that `stand_on` reads."""
    return (Ref("item", command.item), Ref("location", command.location), Ref("lot", command.item))


def stand_on(command: StockCommand, stock: Stock, context: Context) -> Basis:
    """Gather what a decision stands on. Refuses the future, an unknown item and an unknown location."""
    at = rules.when(command.occurred_at, context)
    item = context.read("item", command.item)
    facts = registered(item, command.item)
    place = known(context.read("location", command.location), command.location)
    moment = microseconds(at)
    return Basis(
        stock=stock,
        at=at,
        moment=moment,
        day=rules.local_day(at, place.utc_offset),
        late=is_late(command.occurred_at, context),
        facts=facts,
        place=place,
        lots=context.read("lot", command.item),
        absorbed_by=stock.absorbing(moment, stock.revision + 1),
        retired_at=item.retired_at,
        quarantine=place.kind is LocationKind.QUARANTINE,
    )


class Effect(TypedDict):
    """The fields that all movements share (contract.Movement), but for item, location and note."""

    occurred_at: datetime
    unit: BaseUnit
    moves: tuple[LotMove, ...]
    freed: tuple[FreedLine, ...]
    on_hand: int
    effective_at: datetime
    absorbed_by: str | None
    breaches: tuple[Breach, ...]
    short_at: datetime | None
    medicine: bool


def effect(
    basis: Basis,
    changes: Mapping[str, int],
    *,
    refs: Mapping[str, LotRef] | None = None,
    unrecorded: int = 0,
    unrecorded_key: str = "",
    freed: Iterable[FreedLine] = (),
    breaches: Iterable[Breach] = (),
    short_at: datetime | None = None,
    effective_at: datetime | None = None,
    absorbed_by: str | None = None,
) -> Effect:
    """What a movement does, as its event says it.

    `changes` are signed, by the lot's key; `refs` describes lots that the stock does not know yet. Refuses more than
    200 lots, and figures that a consumer's JSON could not read.
    """
    stock = basis.stock
    absorbed_by = absorbed_by or (basis.absorbed_by if effective_at is None else None)
    keys = [key for key, change in changes.items() if change or (unrecorded and key == unrecorded_key)]
    if unrecorded and unrecorded_key not in keys:
        keys.append(unrecorded_key)
    if len(keys) > MAX_MOVES:
        raise Rejected(
            InventoryError.TOO_MANY_LOTS,
            f"This would touch {len(keys)} lots; one decision touches at most {MAX_MOVES}. Cut it into several.",
            lots=len(keys), limit=MAX_MOVES,
        )  # fmt: skip
    moves = []
    total = stock.on_hand
    for key in keys:
        row = stock.rows.get(key)
        ref = row.ref if row is not None else (refs or {}).get(key) or LotRef()
        before = row.on_hand if row is not None else 0
        change = changes.get(key, 0)
        beyond = unrecorded if key == unrecorded_key else 0
        after = before if absorbed_by else before + change
        total += after - before
        if max(abs(change), abs(beyond), after, total) > MAX_INTEGER:
            raise Rejected(
                InventoryError.OUT_OF_RANGE,
                f"The stock of {rules.name_of(ref)} would pass {MAX_INTEGER:,}, the largest figure that the ledger "
                "holds. "
                "Check the quantity.",
                limit=MAX_INTEGER,
            )
        moves.append(
            LotMove(
                lot=ref.lot,
                date=ref.date,
                date_kind=ref.date_kind,
                owner=ref.owner,
                change=change,
                unrecorded=beyond,
                on_hand=after,
                weight=rules.weight(change - beyond, basis.facts),
            )
        )
    found = set(breaches)
    return {
        "occurred_at": basis.at,
        "unit": basis.facts.unit,
        "moves": tuple(moves),
        "freed": tuple(freed),
        "on_hand": total,
        "effective_at": effective_at or basis.at,
        "absorbed_by": absorbed_by,
        "breaches": tuple(b for b in Breach if b in found) if found else (),
        "short_at": short_at,
        "medicine": basis.facts.medicine,
    }


def said(command: StockCommand) -> dict[str, Any]:
    """The fields of a command that come back in its event as they are (all but the moment, which is filled in)."""
    return {name: getattr(command, name) for name in command.__dataclass_fields__ if name != "occurred_at"}
