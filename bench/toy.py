"""The domain that the ledger and its peer are measured with: a shelf that goods are put on.

The peer's aggregate in peer.py holds the same state and does the same sum, so that what is compared is the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.contract import Contract
from shared.decider import Context, Decider
from shared.types import Id, Moment, Quantity, Text

shelves = Contract("bench")


@shelves.event(category="shelf")
class GoodsPut:
    """Goods were put on a shelf."""

    shelf: Id
    lot: Text
    quantity: Quantity
    occurred_at: Moment


@shelves.command(category="shelf", aggregate="shelf", makes=(GoodsPut,))
class PutGoods:
    """Put goods on a shelf."""

    shelf: Id
    lot: Text
    quantity: Quantity
    occurred_at: Moment | None = None


shelves.freeze()


@dataclass
class Shelf:
    """What is on it, in all and by lot."""

    quantity: int = 0
    lots: dict[str, int] = field(default_factory=dict)


def _decide(command: PutGoods, _: Shelf, context: Context) -> GoodsPut:
    return GoodsPut(
        shelf=command.shelf, lot=command.lot, quantity=command.quantity, occurred_at=command.occurred_at or context.now
    )


def _evolve(state: Shelf, event: Any) -> Shelf:
    state.quantity += event.quantity
    state.lots[event.lot] = state.lots.get(event.lot, 0) + event.quantity
    return state


def _check(state: Shelf) -> list[str]:
    return [] if state.quantity == sum(state.lots.values()) else ["the lots do not add up"]


shelf = Decider(shelves, "shelf", Shelf, Shelf, _decide, _evolve, _check)
