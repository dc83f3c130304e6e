"""Follows inventory: notes its catalogue and recalls, and what it did for orders and visits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from services.distribution.contract import (
    MAX_LINES,
    IssuedGoods,
    LotOf,
    NoteFreed,
    NoteGoods,
    NoteIssued,
    NoteOrigin,
    NoteRecall,
    NoteReserved,
    PackedLine,
    ReservedGoods,
    distribution,
)
from services.distribution.processes.names import hand_out_of, is_visit, order_of
from services.inventory.contract import (
    MAX_MOVES,
    UNKNOWN,
    Freeing,
    ItemChanged,
    ItemFacts,
    ItemRegistered,
    ItemRetired,
    LotQuantity,
    LotRecalled,
    Movement,
    RecallLifted,
    ReservationExpired,
    ReservationReleased,
    StockIssued,
    StockReceived,
    StockRepacked,
    StockReserved,
    StorageClass,
)
from shared.event import Recorded
from shared.manager import Manager, Step

_MOST_LOTS: Final = 200
"""Lots in notes that are joined: some 20 KB."""


class Supply(Manager):
    """Tells distribution what inventory recorded. It remembers what is known of items, for when one is retired."""

    name = "supply"
    reads = (
        ItemRegistered, ItemChanged, ItemRetired, LotRecalled, RecallLifted, StockReserved, ReservationReleased,
        ReservationExpired, Movement,
    )  # fmt: skip

    def __init__(self) -> None:
        self._items: dict[str, ItemFacts] = {}

    def react(self, event: Recorded) -> Iterable[Step]:
        match event.data:
            case ItemRegistered() | ItemChanged() as item:
                self._items[item.item] = item
                yield self._goods(event, item.item, retired=False)
            case ItemRetired() as item:
                yield self._goods(event, item.item, retired=True)
            case LotRecalled() | RecallLifted() as said:
                note = NoteRecall(
                    item=said.item, recall=said.recall, revision=event.revision, scope=said.scope,
                    open=isinstance(said, LotRecalled),
                )  # fmt: skip
                yield self.step(event, distribution, note, f"recall {said.item} {said.recall}")
            case StockReserved() as made:
                order = order_of(made.reservation)
                if order is not None:
                    goods = ReservedGoods(
                        item=made.item, asked=made.quantity, short=made.short, lots=_packed(made.item, made.reserved)
                    )
                    command = NoteReserved(order=order, site=made.location, goods=(goods,))
                    yield self.step(event, distribution, command, f"reserved {made.item}")
            case ReservationReleased() | ReservationExpired() as ended:
                order = order_of(ended.reservation)
                if order is not None:
                    yield from self._freed(event, ended.item, order, ended.freed)
            case Movement() as moved:
                if isinstance(moved, StockIssued):
                    yield from self._issued(event, moved)
                yield from self._taken(event, moved)
                yield from self._origins(event, moved)

    def joined(self, commands: Sequence[Any]) -> Any | None:
        """What was set aside, or given out, for one order and waits to be noted is one note, if it fits in an event."""
        first = commands[0]
        if not isinstance(first, NoteReserved | NoteIssued) or any(_about(one) != _about(first) for one in commands):
            return None
        goods = tuple(one for command in commands for one in command.goods)
        lots = sum(len(one.lots) for one in goods if isinstance(one, ReservedGoods))
        if len(goods) > MAX_LINES or lots > _MOST_LOTS:
            return None
        joined: NoteReserved | NoteIssued = replace(first, goods=goods)  # type: ignore[arg-type]  # of its own kind
        return joined

    def _issued(self, event: Recorded, moved: StockIssued) -> Iterable[Step]:
        visit = moved.recipient if is_visit(moved.recipient) else None
        for_whom = (visit, 1) if visit else hand_out_of(moved.reference) or hand_out_of(moved.reservation)
        if for_whom is not None:
            order, hand_out = for_whom
            goods = IssuedGoods(
                item=moved.item, site=moved.location, movement=event.revision,
                quantity=sum(move.unrecorded - move.change for move in moved.moves),
                unrecorded=sum(move.unrecorded for move in moved.moves),
                reserved=moved.reservation is not None,
            )  # fmt: skip
            command = NoteIssued(order=order, box=None if visit else moved.recipient, hand_out=hand_out, goods=(goods,))
            yield self.step(event, distribution, command, f"issued {moved.item}")

    def _taken(self, event: Recorded, moved: Movement) -> Iterable[Step]:
        """What was set aside for orders and is not any more, beside what was used for them."""
        lots: defaultdict[str, list[LotQuantity]] = defaultdict(list)
        for line in moved.freed:
            order = order_of(line.reservation)
            if order is not None and line.why is not Freeing.USED:
                lots[order].append(line)
        for order, taken in lots.items():
            yield from self._freed(event, moved.item, order, taken)

    def _freed(self, event: Recorded, item: str, order: str, lots: Iterable[LotQuantity]) -> Iterable[Step]:
        freed = _packed(item, lots)
        if freed:
            command = NoteFreed(order=order, item=item, lots=freed)
            yield self.step(event, distribution, command, f"freed {item}")

    def _origins(self, event: Recorded, moved: Movement) -> Iterable[Step]:
        """What lots were made from, as a repacking says, or a receipt of what was repacked elsewhere."""
        for number, (made, made_from) in enumerate(_made(moved)):
            command = NoteOrigin(made=made, made_from=made_from)
            yield self.step(event, distribution, command, f"made {moved.item} {number}")

    def _goods(self, event: Recorded, item: str, *, retired: bool) -> Step:
        facts = self._items[item]
        command = NoteGoods(
            item=item, revision=event.revision, name=facts.name, unit=facts.unit, weight=facts.net_weight,
            allergens=facts.allergens, unusual_above=facts.unusual_above,
            chilled=facts.storage is not StorageClass.AMBIENT, retired=retired,
        )  # fmt: skip
        return self.step(event, distribution, command, f"goods {item}")


def _about(note: NoteReserved | NoteIssued) -> tuple[object, ...]:
    """What a note is about, beside its goods."""
    return (note.site,) if isinstance(note, NoteReserved) else (note.box, note.hand_out)


def _made(moved: Movement) -> Iterable[tuple[tuple[LotOf, ...], tuple[LotOf, ...]]]:
    """Lots that a movement made, with those that it made them from."""
    if isinstance(moved, StockRepacked):
        taken = [LotOf(item=moved.item, lot=move.lot, date=move.date) for move in moved.moves
                 if move.unrecorded > move.change]  # fmt: skip
        named = [LotOf(item=moved.item, lot=line.lot, date=line.date) for line in moved.lines if line.lot is not None]
        made = [LotOf(item=line.item, lot=line.lot) for line in moved.into]
        if taken or named:
            yield tuple(dict.fromkeys(made)), tuple(dict.fromkeys([*taken, *named]))[:MAX_MOVES]
    elif isinstance(moved, StockReceived):
        for line in moved.lines:
            if line.made_from:
                yield (
                    (LotOf(item=moved.item, lot=line.lot),),
                    tuple(LotOf(item=one.item, lot=one.lot) for one in line.made_from),
                )


def _packed(item: str, lots: Iterable[LotQuantity]) -> tuple[PackedLine, ...]:
    return tuple(
        PackedLine(item=item, quantity=lot.quantity, lot=lot.lot or UNKNOWN, date=lot.date, owner=lot.owner)
        for lot in lots
    )
