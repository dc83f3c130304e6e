"""Fulfilment: the memory of what inventory set aside, freed and gave out for one order or visit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from services.distribution.contract import (
    BoxNoted,
    DistributionError,
    GoodsFreed,
    GoodsIssued,
    GoodsReserved,
    NoteBox,
    NoteFreed,
    NoteIssued,
    NoteReserved,
    PackedLine,
    distribution,
)
from services.distribution.refusals import rejected, when
from shared.contract import fields_of
from shared.decider import Context, Decider


@dataclass(slots=True)
class LineState:
    """One item: how much was asked for, what of it is set aside and from which lots, and what was given out."""

    asked: int = 0
    lots: tuple[PackedLine, ...] = ()
    issued: int = 0
    movements: list[int] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """How much is set aside still."""
        return sum(lot.quantity for lot in self.lots)


@dataclass
class Fulfilment:
    """What became of an order's goods, by item; `box` is where they are packed."""

    lines: dict[str, LineState] = field(default_factory=dict)
    box: str | None = None

    def lots(self) -> tuple[PackedLine, ...]:
        """What is set aside, by lot."""
        return tuple(lot for line in self.lines.values() for lot in line.lots)


def _without(lots: tuple[PackedLine, ...], taken: tuple[PackedLine, ...]) -> tuple[PackedLine, ...]:
    """What is left of lots once others are taken from them."""
    gone = {(line.lot, line.date, line.owner): line.quantity for line in taken}
    left = [(line, line.quantity - gone.get((line.lot, line.date, line.owner), 0)) for line in lots]
    return tuple(replace(line, quantity=quantity) for line, quantity in left if quantity > 0)


FulfilmentCommand = NoteReserved | NoteFreed | NoteIssued | NoteBox
FulfilmentEvent = GoodsReserved | GoodsFreed | GoodsIssued | BoxNoted


def evolve(fulfilment: Fulfilment, event: FulfilmentEvent) -> Fulfilment:
    if isinstance(event, BoxNoted):
        fulfilment.box = event.box if event.packed else None
        return fulfilment
    line = fulfilment.lines.setdefault(event.item, LineState())
    match event:
        case GoodsReserved():
            line.asked, line.lots = event.asked, event.lots
        case GoodsFreed():
            line.lots = _without(line.lots, event.lots)
        case GoodsIssued():
            line.issued += event.quantity
            line.movements.append(event.movement)
            line.lots = ()
    return fulfilment


def decide(command: FulfilmentCommand, fulfilment: Fulfilment, context: Context) -> FulfilmentEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    match command:
        case NoteReserved():
            known = fulfilment.lines.get(command.item)
            return None if known is not None and known.asked else GoodsReserved(**fields)
        case NoteFreed():
            before = fulfilment.lines.get(command.item, LineState())
            remaining = sum(lot.quantity for lot in _without(before.lots, command.lots))
            if remaining == before.remaining:
                return None
            return GoodsFreed(**fields, quantity=before.remaining - remaining, remaining=remaining)
        case NoteIssued():
            known = fulfilment.lines.get(command.item)
            return None if known is not None and command.movement in known.movements else GoodsIssued(**fields)
        case NoteBox():
            if command.packed and fulfilment.box not in (None, command.box):
                raise rejected(
                    DistributionError.ALREADY_PACKED,
                    f"Order {command.order} is in box {fulfilment.box}, and now in {command.box} too. Unpack one of "
                    "them.",
                    order=command.order, box=fulfilment.box,
                )  # fmt: skip
            same = fulfilment.box == command.box if command.packed else fulfilment.box != command.box
            return None if same else BoxNoted(**fields)


def check(fulfilment: Fulfilment) -> list[str]:
    return [
        f"{line.remaining} of {item} is set aside, and {line.asked} was asked for"
        for item, line in fulfilment.lines.items()
        if line.remaining > line.asked
    ]


fulfilment: Final = Decider(distribution, "fulfilment", Fulfilment, Fulfilment, decide, evolve, check)
