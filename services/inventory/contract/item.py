"""Commands and events of `item`: the catalogue. The aggregate's id is the item's id."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.inventory.contract.base import (
    Amount,
    BaseUnit,
    Days,
    Gtin,
    Id,
    Label,
    Moment,
    Note,
    Quantity,
    StorageClass,
    Text,
    command,
    event,
)
from shared.contract import value


@value
class PackSize:
    """A pack that holds `quantity` base units: a case of 12. `gtin` is the pack's own number, if it has one."""

    name: Text
    quantity: Quantity
    gtin: Gtin | None = None


@value
class ItemFacts:
    """What is known of an item.

    `unit` is the base unit of every quantity of it, and never changes. `net_weight` is the weight in g of one piece
    (unit each) or of 1,000 ml (unit ml); null is unknown, and for unit g it is left out. `allergens` null means
    unknown, an empty list means none. `storage` is how cold it must be kept. `best_before_extension` is for how many
    days past a best-before date it is still given out (0 for medicine and infant formula). `minimum_level` is the
    quantity below which it is reordered, 0 for never. `unusual_above` is the quantity of a receipt above which a
    person is asked to confirm it. Controlled substances are listed so that they are recognised and refused.
    """

    name: Text
    unit: BaseUnit
    net_weight: Quantity | None = None
    gtin: Gtin | None = None
    packs: Annotated[tuple[PackSize, ...], Field(max_length=20)] = ()
    brand: Text | None = None
    category: Text | None = None
    allergens: Annotated[tuple[Label, ...], Field(max_length=40)] | None = None
    storage: StorageClass = StorageClass.AMBIENT
    best_before_extension: Days = 0
    medicine: bool = False
    controlled: bool = False
    infant_formula: bool = False
    minimum_level: Amount = 0
    unusual_above: Quantity | None = None


@event(category="item")
class ItemRegistered(ItemFacts):
    """An item entered the catalogue."""

    item: Id
    occurred_at: Moment


@command(category="item", aggregate="item", makes=(ItemRegistered,))
class RegisterItem(ItemFacts):
    """Put an item into the catalogue. The same item with the same facts again changes nothing."""

    item: Id
    occurred_at: Moment | None = None


@event(category="item")
class ItemChanged(ItemFacts):
    """An item's facts are these from now on, all of them. Past movements keep the facts they were recorded with."""

    item: Id
    occurred_at: Moment


@command(category="item", aggregate="item", makes=(ItemChanged,))
class ChangeItem(ItemFacts):
    """Replace an item's facts, all of them. Its base unit cannot change."""

    item: Id
    occurred_at: Moment | None = None


@event(category="item")
class ItemRetired:
    """An item is no longer taken in. What is left of it may still leave. ItemChanged brings it back."""

    item: Id
    occurred_at: Moment
    note: Note | None = None


@command(category="item", aggregate="item", makes=(ItemRetired,))
class RetireItem:
    """Stop taking an item in."""

    item: Id
    occurred_at: Moment | None = None
    note: Note | None = None
