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
    IssuedGoods,
    NoteBox,
    NoteFreed,
    NoteIssued,
    NoteReserved,
    NoteReversal,
    PackedLine,
    ReversalNoted,
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
    """What became of an order's goods, by item; `box` is where they are packed. `given` is what left for each hand-out,
    or for the visit, and `reversed` are those that were taken back."""

    lines: dict[str, LineState] = field(default_factory=dict)
    box: str | None = None
    given: dict[str, list[IssuedGoods]] = field(default_factory=dict)
    reversed: set[str] = field(default_factory=set)

    def line(self, item: str) -> LineState:
        """The line of an item, made when nothing was known of it."""
        return self.lines.setdefault(item, LineState())

    def lots(self) -> tuple[PackedLine, ...]:
        """What is set aside, by lot."""
        return tuple(lot for line in self.lines.values() for lot in line.lots)


def _without(lots: tuple[PackedLine, ...], taken: tuple[PackedLine, ...]) -> tuple[PackedLine, ...]:
    """What is left of lots once others are taken from them."""
    gone = {(line.lot, line.date, line.owner): line.quantity for line in taken}
    left = [(line, line.quantity - gone.get((line.lot, line.date, line.owner), 0)) for line in lots]
    return tuple(replace(line, quantity=quantity) for line, quantity in left if quantity > 0)


def _hand_out(noted: NoteIssued | NoteReversal | GoodsIssued | ReversalNoted) -> str:
    """Names a hand-out of a box; empty for a visit."""
    return "" if noted.box is None else f"{noted.hand_out} {noted.box}"


FulfilmentCommand = NoteReserved | NoteFreed | NoteIssued | NoteReversal | NoteBox
FulfilmentEvent = GoodsReserved | GoodsFreed | GoodsIssued | ReversalNoted | BoxNoted


def evolve(fulfilment: Fulfilment, event: FulfilmentEvent) -> Fulfilment:
    match event:
        case BoxNoted():
            fulfilment.box = event.box if event.packed else None
        case GoodsReserved():
            for reserved in event.goods:
                line = fulfilment.line(reserved.item)
                line.asked, line.lots = reserved.asked, reserved.lots
        case GoodsFreed():
            line = fulfilment.line(event.item)
            line.lots = _without(line.lots, event.lots)
        case GoodsIssued():
            for issued in event.goods:
                line = fulfilment.line(issued.item)
                line.movements.append(issued.movement)
                if issued.reserved:
                    line.lots = ()
                if not event.reversed:
                    line.issued += issued.quantity
                    fulfilment.given.setdefault(_hand_out(event), []).append(issued)
        case ReversalNoted():
            fulfilment.reversed.add(_hand_out(event))
            for issued in fulfilment.given.pop(_hand_out(event), ()):
                fulfilment.line(issued.item).issued -= issued.quantity
    return fulfilment


def decide(command: FulfilmentCommand, fulfilment: Fulfilment, context: Context) -> FulfilmentEvent | None:
    fields = dict(fields_of(command)) | {"occurred_at": when(command.occurred_at, context)}
    lines = fulfilment.lines
    match command:
        case NoteReserved():
            asked = {one.item: one for one in reversed(command.goods)}  # of an item, what was said first
            reserved = tuple(one for item, one in asked.items() if item not in lines or not lines[item].asked)
            return GoodsReserved(**(fields | {"goods": reserved[::-1]})) if reserved else None
        case NoteFreed():
            before = lines.get(command.item, LineState())
            remaining = sum(lot.quantity for lot in _without(before.lots, command.lots))
            if remaining == before.remaining:
                return None
            return GoodsFreed(**fields, quantity=before.remaining - remaining, remaining=remaining)
        case NoteIssued():
            issued = tuple(
                one for one in dict.fromkeys(command.goods)
                if one.item not in lines or one.movement not in lines[one.item].movements
            )  # fmt: skip
            back = _hand_out(command) in fulfilment.reversed
            return GoodsIssued(**(fields | {"goods": issued}), reversed=back) if issued else None
        case NoteReversal():
            hand_out = _hand_out(command)
            if hand_out in fulfilment.reversed:
                return None
            return ReversalNoted(**fields, goods=tuple(fulfilment.given.get(hand_out, ())))
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
