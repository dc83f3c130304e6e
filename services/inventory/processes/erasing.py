"""Erases donors: once no recall is open of an item that they gave.

Any lot of such an item counts: a lot may be asked after that a donor's goods were mixed with, and who gave it is then
whom to ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.inventory.contract import LotRecalled, RecallLifted, StockReceived, inventory
from shared import erasing
from shared.erasing import Person, some
from shared.erasure import Happened, Obstacle, Terms

_KIND = "donor"


class Erasing(erasing.Erasing):
    """Remembers which items each donor gave, and the open recalls of each item."""

    reads = (Happened, StockReceived, LotRecalled, RecallLifted)

    def __init__(self, terms: Terms) -> None:
        super().__init__(inventory, terms)
        self._given: dict[str, set[str]] = {}
        self._givers: dict[str, set[str]] = {}
        self._recalls: dict[str, set[str]] = {}

    def tie(self, event: Any) -> Iterable[Person]:
        match event:
            case StockReceived(donor=str() as donor):
                self._given.setdefault(donor, set()).add(event.item)
                self._givers.setdefault(event.item, set()).add(donor)
                yield (_KIND, donor)
            case LotRecalled() | RecallLifted():
                recalls = self._recalls.setdefault(event.item, set())
                (recalls.add if isinstance(event, LotRecalled) else recalls.discard)(event.recall)
                yield from ((_KIND, donor) for donor in sorted(self._givers.get(event.item, ())))

    def obstacles(self, person: Person) -> tuple[Obstacle, ...]:
        open_ = {recall for item in self._given.get(person[1], ()) for recall in self._recalls.get(item, ())}
        return (Obstacle(what="open recalls of what they gave", which=some(open_)),) if open_ else ()
