"""Takes in what repacking made of other items: StockRepacked -> ReceiveStock at the same location."""

from __future__ import annotations

from collections.abc import Iterable

from services.inventory.contract import (
    MadeFrom,
    ReceiptLine,
    ReceiveStock,
    RepackLine,
    Source,
    StockRepacked,
    inventory,
    lot_form,
)
from shared.event import Recorded
from shared.manager import Manager, Step

MAX_SOURCES = 20
"""Lots that a line of a receipt may name as those it was made from."""


class Repacking(Manager):
    """StockRepacked -> ReceiveStock (source repack), for each other item that came of it."""

    name = "repacking"
    reads = (StockRepacked,)

    def react(self, event: Recorded) -> Iterable[Step]:
        repacked: StockRepacked = event.data
        made_from = tuple(_sources(repacked))
        note = None
        if len(made_from) > MAX_SOURCES:
            note = f"Made from {len(made_from)} lots; the event {event.id} names them all."
        others = {line.item: None for line in repacked.into if line.item != repacked.item}
        for item in others:
            command = ReceiveStock(
                item=item, location=repacked.location, occurred_at=repacked.occurred_at, note=note,
                source=Source.REPACK,
                lines=tuple(_line(line, made_from[:MAX_SOURCES]) for line in repacked.into if line.item == item),
                confirm_unusual=True,  # the goods stand there; nobody is left to ask
            )  # fmt: skip
            yield self.step(event, inventory, command)


def _line(line: RepackLine, made_from: tuple[MadeFrom, ...]) -> ReceiptLine:
    return ReceiptLine(
        lot=line.lot, date=line.date, date_kind=line.date_kind, owner=line.owner, quantity=line.quantity,
        made_from=made_from,
    )  # fmt: skip


def _sources(repacked: StockRepacked) -> Iterable[MadeFrom]:
    """The lots that were taken, each once: those that somebody named, whether or not the ledger had so much of them,
    and those that the ledger took; what was taken beyond it is of unknown lot."""
    named = [line.lot for line in repacked.lines if line.lot is not None]
    taken = [move.lot for move in repacked.moves if move.change < 0 or move.unrecorded]
    lots = {lot_form(lot): lot for lot in reversed([*named, *taken])}
    for form, lot in reversed(lots.items()):
        yield MadeFrom(item=repacked.item, lot=lot if form else None)
