"""Fulfilment: the memory of what inventory set aside, freed and gave out for one order or visit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from services.distribution.contract import (
    BoxNoted,
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
from services.distribution.refusals import when
from shared.contract import fields_of
from shared.decider import Context, Decider


@dataclass(slots=True)
class LineState:
    """One item: how much was asked for, what of it is set aside and from which lots, and what was given out."""

    asked: int = 0
    lots: tuple[PackedLine, ...] = ()
    remaining: int = 0
    issued: int = 0
    movements: list[int] = field(default_factory=list)


@dataclass
class Fulfilment:
    """What became of an order's goods, by item; `box` is where they are packed."""

    lines: dict[str, LineState] = field(default_factory=dict)
    box: str | None = None

    def lots(self) -> tuple[PackedLine, ...]:
        """What is set aside, by lot."""
        return tuple(lot for line in self.lines.values() if line.remaining for lot in line.lots)


FulfilmentCommand = NoteReserved | NoteFreed | NoteIssued | NoteBox
FulfilmentEvent = GoodsReserved | GoodsFreed | GoodsIssued | BoxNoted


def evolve(fulfilment: Fulfilment, event: FulfilmentEvent) -> Fulfilment:
    if isinstance(event, BoxNoted):
        fulfilment.box = event.box if event.packed else None
        return fulfilment
    line = fulfilment.lines.setdefault(event.item, LineState())
    match event:
        case GoodsReserved():
            line.asked, line.lots, line.remaining = event.asked, event.lots, event.asked - event.short
        case GoodsFreed():
            line.remaining = event.remaining
        case GoodsIssued():
            line.issued += event.quantity
            line.movements.append(event.movement)
            line.remaining = 0
    return fulfilment


def decide(command: FulfilmentCommand, fulfilment: Fulfilment, context: Context) -> FulfilmentEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    match command:
        case NoteReserved():
            known = fulfilment.lines.get(command.item)
            return None if known is not None and known.asked else GoodsReserved(**fields)
        case NoteFreed():
            known = fulfilment.lines.get(command.item)
            return None if known is None or known.remaining <= command.remaining else GoodsFreed(**fields)
        case NoteIssued():
            known = fulfilment.lines.get(command.item)
            return None if known is not None and command.movement in known.movements else GoodsIssued(**fields)
        case NoteBox():
            same = fulfilment.box == command.box if command.packed else fulfilment.box != command.box
            return None if same else BoxNoted(**fields)


def check(fulfilment: Fulfilment) -> list[str]:
    return [
        f"{line.remaining} of {item} is set aside, and {line.asked} was asked for"
        for item, line in fulfilment.lines.items()
        if line.remaining < 0 or (line.asked and line.remaining > line.asked)
    ]


fulfilment: Final = Decider(distribution, "fulfilment", Fulfilment, Fulfilment, decide, evolve, check)
